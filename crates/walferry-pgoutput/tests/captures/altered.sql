-- A table that changes its shape between transactions and within one, with a type that is not built in.
-- live: proto_version '1'
create type mood as enum ('sad', 'ok');
create table t (id int primary key, note text);
create publication p for all tables;
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null

select pg_sleep(1) \g /dev/null
insert into t values (1, 'before');
begin;
insert into t values (2, 'in the old shape');
alter table t add feels mood default 'sad';
insert into t values (3, 'in the new shape', 'ok');
commit;
alter table t drop note;
insert into t values (4, 'sad');
alter table t alter id type bigint;
insert into t values (5, 'ok');
