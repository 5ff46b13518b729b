-- Types that are not built in, names that need quotes, and a table whose shape changes.
-- options: 'proto_version', '1'
create schema "Größe & Co";
create type mood as enum ('sad', 'it''s ok');
create type "Größe & Co"."Point 3" as (x int, y int, z text);
create domain positive as numeric(10, 2) check (value > 0);
create type span as range (subtype = timestamptz);
create table "Größe & Co"."select" (
    "ID" int primary key, m mood, p "Größe & Co"."Point 3", d positive, s span,
    moods mood[], points "Größe & Co"."Point 3"[], v varchar(10), n numeric(12, 3), t timestamptz(3));
create table shape (id int primary key, a text, b int generated always as (id * 2) stored);
create publication p for all tables;
select pg_create_logical_replication_slot('capture', 'pgoutput') \g /dev/null

insert into "Größe & Co"."select" values (
    1, 'it''s ok', row(1, 2, 'a,"b'), 1.5, '[2026-01-01 00:00Z,2026-01-02 00:00Z)',
    '{sad,NULL}', array[row(1, null, '')::"Größe & Co"."Point 3"], 'naïve', 7.25, '2026-11-24 12:00:00.123Z');
insert into shape values (1, 'before');
alter table shape add c text default 'added';
insert into shape values (2, 'after add');
alter table shape drop a;
insert into shape values (3, default, 'after drop');
alter table shape rename c to d;
update shape set d = 'after rename' where id = 3;
alter table shape alter d type varchar(40);
begin;
alter table shape rename to formed;
insert into formed values (4, default, 'after move');
commit;
:get;
