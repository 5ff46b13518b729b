-- Two-phase commit: prepared and committed, prepared and rolled back, streamed and prepared.
-- options: 'proto_version', '3', 'streaming', 'on', 'two_phase', 'on'
create table t (id int primary key, note text);
create table unpublished (id int);
create publication p for table t;
select pg_create_logical_replication_slot('capture', 'pgoutput', false, true) \g /dev/null

begin;
insert into t values (1, 'committed later');
prepare transaction 'first';
begin;
insert into t values (2, 'never');
prepare transaction 'sécond with spaces';
begin;
insert into t values (3, 'streamed');
insert into unpublished select generate_series(1, 1500);
update t set note = 'streamed twice' where id = 3;
prepare transaction 'third';
insert into t values (4, 'plain');
:get;
commit prepared 'first';
rollback prepared 'sécond with spaces';
commit prepared 'third';
insert into t values (5, 'last');
:get;
