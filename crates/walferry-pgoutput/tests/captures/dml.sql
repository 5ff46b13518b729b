-- Every kind of change with every replica identity, and a key that changes.
-- options: 'proto_version', '1'
create table by_key (id int primary key, name text, note text);
create table by_two (a int, b text, c int, primary key (b, a));
create table by_index (id int primary key, code text not null unique, note text);
alter table by_index replica identity using index by_index_code_key;
create table by_row (id int primary key, name text, note text);
alter table by_row replica identity full;
create table by_nothing (id int, note text);
alter table by_nothing replica identity nothing;
create table no_key (id int, note text);
create table no_columns ();
create publication p for all tables;
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null

insert into by_key values (1, 'one', null), (2, '', 'a''b"c\d');
insert into by_two values (1, 'x', null);
insert into by_index values (1, 'A', 'n');
insert into by_row values (1, 'one', null), (2, 'two', 'n');
insert into by_nothing values (1, null);
insert into no_key values (1, 'n');
insert into no_columns default values;
begin;
update by_key set name = 'uno' where id = 1;
update by_key set id = 20 where id = 2;
update by_two set c = 5;
update by_two set a = 7;
update by_index set note = 'm';
update by_index set id = 9;
update by_index set code = 'B';
update by_row set note = 'set' where id = 1;
update by_row set id = 20 where id = 2;
commit;
begin;
delete from by_key;
delete from by_two;
delete from by_index;
delete from by_row;
commit;
:get;
