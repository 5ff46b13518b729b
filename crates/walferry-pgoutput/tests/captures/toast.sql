-- A TOASTed value that an update does not touch, in the new row and in the old one.
-- options: 'proto_version', '1'
create table by_key (id int primary key, body text, note text);
alter table by_key alter body set storage external;
create table by_row (id int primary key, body text, note text);
alter table by_row alter body set storage external;
alter table by_row replica identity full;
alter table by_key set (toast_tuple_target = 128);
alter table by_row set (toast_tuple_target = 128);
create publication p for all tables;
insert into by_key values (1, repeat('k', 2100), 'n');
insert into by_row values (1, repeat('r', 2100), 'n');
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null

update by_key set note = 'untouched';
update by_key set id = 2;
update by_key set body = 'short';
update by_row set note = 'untouched';
delete from by_row;
:get;
