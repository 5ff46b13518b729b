-- case names-odd
-- covers: schemas and tables with dashes and digits first, which Debezium leaves in the names of schemas
-- schemas: Odd Schema-1
create table "My Table" ("Id" int primary key, "a column" text, "1st" int, "with-dash" int, "ž" text, "dollar$" int, "do.t" int);
create table "1st" (id int primary key); create table "Ünï" (id int primary key);
insert into "My Table" values (1, 'x', 1, 2, 'z', 3, 4); insert into "1st" values (1); insert into "Ünï" values (1);
-- stream
insert into "My Table" values (2, 'y', 1, 2, 'z', 3, 4);
update "My Table" set "Id" = 3 where "Id" = 2;
delete from "My Table" where "Id" = 1;
insert into "1st" values (2); insert into "Ünï" values (2);

-- case names-columns
-- covers: columns with spaces, letters beyond ASCII, digits first
create table t ("Id" int primary key, "a column" text, "1st" int, "with-dash" int, "ž" text, "dollar$" int, "do.t" int, "9" int);
insert into t values (1, 'x', 1, 2, 'z', 3, 4, 5);
-- stream
insert into t values (2, 'y', 1, 2, 'z', 3, 4, 5);
update t set "Id" = 3 where "Id" = 2;
delete from t where "Id" = 1;

-- case names-tables
-- covers: tables with spaces, letters beyond ASCII
-- schemas: Names Tables, Ünï
create table "My Table" (id int primary key); create table "Ünï"."žluť" (id int primary key);
insert into "My Table" values (1); insert into "Ünï"."žluť" values (1);
-- stream
insert into "My Table" values (2); insert into "Ünï"."žluť" values (2);

-- case names-mixed
-- covers: mixed case and reserved words
create table "Order" ("Id" int primary key, "select" text, "CamelCase" int, _under int);
insert into "Order" values (1, 'x', 1, 2);
-- stream
insert into "Order" values (2, 'y', 3, 4);
delete from "Order" where "Id" = 1;

-- case schemas-two
-- covers: tables of one name in two schemas
-- schemas: schemas_a, schemas_b
create table schemas_a.t (id int primary key, a int); create table schemas_b.t (id int primary key, b text);
insert into schemas_a.t values (1, 1); insert into schemas_b.t values (1, 'x');
-- stream
insert into schemas_a.t values (2, 2); insert into schemas_b.t values (2, 'y');

-- case wide
-- covers: 300 columns
do $$ begin execute (select 'create table t (id int primary key, ' || string_agg('c' || i || ' int', ', ') || ')' from generate_series(1, 300) i); end $$;
insert into t (id, c1, c300) values (1, 1, 300);
-- stream
insert into t (id, c1, c300) values (2, 1, 300);
update t set c150 = 5 where id = 1;

-- case generated
-- covers: a generated column
create table t (id int primary key, a int, b int generated always as (a * 2) stored);
insert into t (id, a) values (1, 1);
-- stream
insert into t (id, a) values (2, 2);
update t set a = 3 where id = 1;

-- case inherited
-- covers: inherited tables
create table t (id int primary key, a text); create table u (b int, primary key (id)) inherits (t);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
insert into u values (3, 'z', 1);
update t set a = 'w';

-- case comments
-- covers: comments on columns and tables
create table t (id int primary key, a text);
comment on column t.a is 'a comment'; comment on table t is 'of the table';
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');

-- case partition-leaves
-- covers: a partitioned table, one topic per leaf
-- groups: leaves
create table parent (id int, a text, primary key (id)) partition by range (id);
create table lo partition of parent for values from (0) to (100); create table hi partition of parent for values from (100) to (200);
-- stream
insert into parent values (2, 'y'), (102, 'z');
update parent set a = 'w' where id = 2;
update parent set id = 150 where id = 2;
delete from parent where id = 102;

-- case partition-root
-- covers: a partitioned table as one stream
-- groups: root
create table parent (id int, a text, primary key (id)) partition by range (id);
create table lo partition of parent for values from (0) to (100); create table hi partition of parent for values from (100) to (200);
insert into parent values (1, 'x'), (101, 'x');
-- stream
insert into parent values (2, 'y'), (102, 'z');
update parent set a = 'w' where id = 2;
delete from parent where id = 102;

-- case views
-- covers: views, materialised views, temporary and unlogged tables are not there
create table t (id int primary key, a text);
create view v as select * from t; create materialized view m as select * from t; create unlogged table w (id int primary key);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
refresh materialized view m;

-- case excluded
-- covers: columns left out by configuration
-- groups: exclude-columns
create table t (id int primary key, a text, b text not null, c int, d int);
insert into t values (1, 'x', 'secret', 1, 2);
-- stream
insert into t values (2, 'y', 'secret', 1, 2);
update t set b = 'other' where id = 1;
update t set id = 3 where id = 2;
delete from t where id = 3;

-- case renamed
-- covers: a topic by configuration; the schemas' names stay
-- groups: topic-names
create table t (id int primary key, a text);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
delete from t where id = 1;

-- case routed
-- covers: tables of two schemas in one topic with one schema, told apart in their keys
-- groups: one-topic
-- schemas: routed_a, routed_b
-- topics: routed.t
create table routed_a.t (id int primary key, note text);
create table routed_b.t (id int primary key, note text);
insert into routed_a.t values (1, 'a');
insert into routed_b.t values (1, 'b');
-- stream
insert into routed_b.t values (2, 'b');
update routed_a.t set note = 'c' where id = 1;
update routed_b.t set id = 3 where id = 2;
delete from routed_b.t where id = 1;

-- case no-snapshot
-- covers: rows that were there before the start are not read
-- groups: no-snapshot
create table t (id int primary key, a text);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
update t set a = 'z';
delete from t where id = 1;
