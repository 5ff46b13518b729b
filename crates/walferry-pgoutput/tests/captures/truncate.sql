-- TRUNCATE of one table and of several, with each option.
-- options: 'proto_version', '1'
create table parent (id serial primary key);
create table child (id serial primary key, parent int references parent);
create publication p for all tables;
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null

truncate child;
truncate child restart identity;
truncate parent cascade;
truncate parent, child restart identity cascade;
:get;
