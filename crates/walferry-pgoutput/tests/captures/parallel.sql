-- Transactions streamed for parallel apply, whose aborts say when and where (protocol 4).
-- live: proto_version '4', streaming 'parallel', messages 'true'
create extension dblink;
create type mood as enum ('sad', 'ok');
create table t (id int primary key, m mood, note text);
create table s (id int primary key);
create table u (id int primary key);
create table unpublished (id int);
create publication p for table t, s, u;
-- Enough to pass logical_decoding_work_mem, and nothing of it is sent.
create procedure fill() language sql as 'insert into unpublished select generate_series(1, 1500)';
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null
select pg_sleep(1) \g /dev/null
select dblink_connect('a', :'dblink'), dblink_connect('b', :'dblink') \g /dev/null

-- One that commits, with a part that is rolled back, beside one that is rolled back as a whole.
select dblink_exec('a', 'begin; insert into t values (1, ''ok'', ''a''); call fill()') \g /dev/null
select dblink_exec('b', 'begin; insert into s values (1); call fill()') \g /dev/null
select dblink_exec('a', 'savepoint x; insert into t values (2, null, ''gone''); call fill()') \g /dev/null
insert into s values (100);
select pg_sleep(1) \g /dev/null
select dblink_exec('a', 'rollback to x; update t set id = 3, note = ''kept''; truncate u; call fill()') \g /dev/null
select * from dblink('a', 'select pg_logical_emit_message(true, ''audit'', ''within'')::text') as _(lsn text) \g /dev/null
select dblink_exec('a', 'delete from t; commit') \g /dev/null
select dblink_exec('b', 'rollback') \g /dev/null
insert into s values (200);
select pg_sleep(1) \g /dev/null
select dblink_disconnect('a'), dblink_disconnect('b') \g /dev/null
