-- Transactions that were replicated in from elsewhere.
-- options: 'proto_version', '1'
create table t (id int primary key);
create publication p for all tables;
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null
select pg_replication_origin_drop(roname) from pg_replication_origin \g /dev/null
select pg_replication_origin_create('elsewhere in Köln') \g /dev/null

insert into t values (1);
select pg_replication_origin_session_setup('elsewhere in Köln') \g /dev/null
begin;
select pg_replication_origin_xact_setup('1A/2B3C4D', '2026-11-24 12:00:00Z') \g /dev/null
insert into t values (2);
commit;
select pg_replication_origin_session_reset() \g /dev/null
insert into t values (3);
:get;
select pg_replication_origin_drop('elsewhere in Köln') \g /dev/null
