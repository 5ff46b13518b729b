-- What a connector follows: every kind of change, a key that moves, a table beside, messages, a truncate of two tables.
-- live: proto_version '1', messages 'true'
create table by_key (id int primary key, note text);
create table by_row (id int primary key, note text);
alter table by_row replica identity full;
create table unseen (id int primary key);
create publication p for all tables;
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null

select pg_sleep(1) \g /dev/null
insert into by_key values (1, 'one'), (2, null);
begin;
update by_key set note = 'uno' where id = 1;
update by_key set id = 20 where id = 2;
insert into by_row values (1, 'row');
update by_row set note = null;
delete from by_row;
delete from by_key where id = 1;
commit;
insert into unseen values (1);
begin;
select pg_logical_emit_message(true, 'outbox', 'in a transaction') \g /dev/null
insert into by_key values (3, 'three');
commit;
select pg_logical_emit_message(false, 'outbox', 'beside') \g /dev/null
truncate by_key, by_row;
insert into by_key values (4, 'four');
