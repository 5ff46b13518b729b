-- pg_logical_emit_message, inside and outside of the transaction that calls it.
-- options: 'proto_version', '1', 'messages', 'true'
create table t (id int primary key);
create publication p for all tables;
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null

begin;
select pg_logical_emit_message(true, 'audit', 'user=ada') \g /dev/null
insert into t values (1);
select pg_logical_emit_message(false, 'at once', 'even if rolled back') \g /dev/null
select pg_logical_emit_message(true, '', '\x00ff0a'::bytea) \g /dev/null
select pg_logical_emit_message(true, 'empty', '') \g /dev/null
commit;
begin;
select pg_logical_emit_message(true, 'never seen', 'rolled back') \g /dev/null
select pg_logical_emit_message(false, 'seen', 'rolled back') \g /dev/null
rollback;
insert into t values (2);
:get;
