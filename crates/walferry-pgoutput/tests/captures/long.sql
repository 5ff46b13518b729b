-- A transaction that is longer than a block of the session, between two short ones.
-- live: proto_version '1'
create table t (id int primary key, note text);
create publication p for all tables;
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null

select pg_sleep(1) \g /dev/null
insert into t values (0, 'before');
insert into t select g, 'row ' || g from generate_series(1, 40) g;
insert into t values (41, 'behind');
