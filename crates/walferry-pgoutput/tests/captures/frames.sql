-- What the socket carries: CopyData with XLogData and keepalives.
-- live: proto_version '1'
create table t (id int primary key, note text);
create publication p for all tables;
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null

select pg_sleep(1) \g /dev/null
insert into t values (1, 'one'), (2, null);
update t set id = 3 where id = 2;
delete from t where id = 1;
