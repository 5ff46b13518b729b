-- case identity-default
-- covers: replica identity default: update without, with a changed key, delete
create table t (id int primary key, a text, b int not null, c numeric(6,2) not null, d timestamptz not null, e boolean not null, f jsonb not null, g uuid not null);
insert into t values (1, 'x', 1, 1, '2020-01-01 00:00+00', true, '{}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
-- stream
update t set a = 'y' where id = 1;
update t set id = 2 where id = 1;
delete from t where id = 2;

-- case identity-full
-- covers: replica identity full
create table t (id int primary key, a text, b int not null);
alter table t replica identity full;
insert into t values (1, 'x', 1), (2, 'y', 2);
-- stream
update t set a = 'z' where id = 1;
update t set id = 3 where id = 1;
update t set a = a where id = 2;
delete from t;

-- case identity-index-key
-- covers: replica identity index on the key
create table t (id int primary key, a text, b int not null unique);
alter table t replica identity using index t_pkey;
insert into t values (1, 'x', 1);
-- stream
update t set a = 'y';
update t set id = 2;
delete from t;

-- case identity-index-other
-- covers: replica identity index on a column that is not the key
create table t (id int primary key, a text, b int not null unique);
alter table t replica identity using index t_b_key;
insert into t values (1, 'x', 10), (2, 'y', 20);
-- stream
update t set a = 'z' where id = 1;
update t set b = 11 where id = 1;
delete from t where id = 2;

-- case identity-nothing
-- covers: replica identity nothing: inserts only
create table t (id int primary key, a text);
alter table t replica identity nothing;
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');

-- case key-composite
-- covers: a key of three columns in another order than the table's
create table t (a int, b text, c uuid, d int, primary key (c, a, b));
insert into t values (1, 'x', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1);
-- stream
insert into t values (2, 'y', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 2);
update t set b = 'z' where a = 2;
update t set d = 5 where a = 1;
delete from t where a = 1;

-- case key-change
-- covers: delete, tombstone, create with headers
-- groups: default, no-tombstones
create table t (id int primary key, a text);
insert into t values (1, 'x');
-- stream
update t set id = 2, a = 'y' where id = 1;
update t set id = 2 where id = 2;
delete from t where id = 2;

-- case key-text
-- covers: text keys that need escapes in headers
create table t (id text primary key, a int);
insert into t values ('a"b', 1);
-- stream
update t set id = 'c\d' where a = 1;
update t set id = 'é€' where a = 1;
update t set id = '' where a = 1;

-- case no-key
-- covers: a table without a key: inserts
create table t (a int, b text);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
insert into t values (2, 'y');

-- case no-key-full
-- covers: a table without a key, replica identity full
create table t (a int, b text);
alter table t replica identity full;
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
update t set b = 'z' where a = 1;
delete from t where a = 2;

-- case unique-key
-- covers: the key from a unique index
create table t (a int not null, b text, c int not null);
create unique index z_index on t (c); create unique index a_index on t (a, c);
alter table t replica identity using index a_index;
insert into t values (1, 'x', 1);
-- stream
insert into t values (2, 'y', 2);
update t set b = 'z' where a = 1;
delete from t where a = 2;

-- case unique-nullable-key
-- covers: the key from a unique index over nullable columns
create table t (a int, b text unique);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y'), (3, null);

-- case unique-partial
-- covers: a partial unique index is no key
create table t (a int not null, b text);
create unique index p on t (a) where a > 0;
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y'), (-1, 'z');

-- case unique-expression
-- covers: a unique index over an expression is no key
create table t (a int not null, b text not null);
create unique index e on t (lower(b));
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');

-- case truncates
-- covers: truncate of one and of several tables
-- groups: default, skip-truncate
create table t (id int primary key, a text); create table u (id int primary key, t int references t);
insert into t values (1, 'x'); insert into u values (1, 1);
-- stream
truncate t cascade;
insert into t values (2, 'y');
truncate t, u restart identity;

-- case skipped
-- covers: skipped operations
-- groups: skip-most
create table t (id int primary key, a text);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
update t set a = 'z';
delete from t where id = 1;
truncate t;
insert into t values (3, 'w');

-- case transactions
-- covers: several changes in one transaction, savepoints, a rollback
create table t (id int primary key, a text); create table u (id int primary key, a text);
-- stream
begin; insert into t values (1, 'a'); insert into u values (1, 'b'); update t set a = 'c' where id = 1; savepoint s; insert into t values (2, 'lost'); rollback to s; insert into t values (3, 'd'); commit;
begin; insert into t values (4, 'lost'); rollback;
insert into t values (5, 'e'), (6, 'f'), (7, 'g');
insert into u values (2, 'h') on conflict (id) do update set a = 'i';
insert into u values (2, 'h') on conflict (id) do update set a = 'i';

-- case copies
-- covers: rows of one statement
create table t (id int primary key, a text);
-- stream
insert into t select i, 'row ' || i from generate_series(1, 50) i;
update t set a = 'x' where id % 10 = 0;
delete from t where id > 45;

-- case empties
-- covers: tables that stay empty, and one that gets its first row late
create table t (id int primary key, a text); create table u (id int primary key);
-- stream
insert into t values (1, 'x');

-- case toast-texts
-- covers: unchanged TOAST values of text, varchar, json, jsonb, bytea, xml
-- groups: default, placeholder
create table t (id int primary key, n int, a text, b varchar, c json, d jsonb, e bytea, f xml);
alter table t set (toast_tuple_target = 128);
alter table t alter a set storage external, alter b set storage external, alter c set storage external, alter d set storage external, alter e set storage external, alter f set storage external;
insert into t values (1, 1, repeat('a', 450), repeat('b', 450), ('"' || repeat('c', 600) || '"')::json, ('"' || repeat('d', 450) || '"')::jsonb, repeat('e', 450)::bytea, repeat('f', 450)::xml);
-- stream
update t set n = 2 where id = 1;
update t set a = 'short' where id = 1;
delete from t where id = 1;

-- case toast-full
-- covers: unchanged TOAST values with replica identity full
create table t (id int primary key, n int, a text);
alter table t set (toast_tuple_target = 128);
alter table t alter a set storage external; alter table t replica identity full;
insert into t values (1, 1, repeat('a', 2600));
-- stream
update t set n = 2 where id = 1;
delete from t where id = 1;

-- case toast-arrays
-- covers: unchanged TOAST values of arrays with a placeholder
create table t (id int primary key, n int, a text[], b int[], c bigint[], d uuid[], e bytea[], f varchar[], g date[], h json[]);
alter table t set (toast_tuple_target = 128);
alter table t alter a set storage external, alter b set storage external, alter c set storage external, alter d set storage external, alter e set storage external, alter f set storage external, alter g set storage external, alter h set storage external;
insert into t select 1, 1, array_agg('text ' || i), array_agg(i), array_agg(i::bigint), array_agg('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid), array_agg('\x0102030405'::bytea), array_agg('v' || i), array_agg('2020-01-01'::date + i), array_agg(to_json(i)) from generate_series(1, 150) i;
-- stream
update t set n = 2 where id = 1;

-- case toast-others
-- covers: unchanged TOAST values of types that have no placeholder
create table t (id int primary key, n int, a numeric, b numeric[], c double precision[], d smallint[], e boolean[], f timestamp[], g inet[], h timestamptz[]);
alter table t set (toast_tuple_target = 128);
alter table t alter a set storage external, alter b set storage external, alter c set storage external, alter d set storage external, alter e set storage external, alter f set storage external, alter g set storage external, alter h set storage external;
insert into t select 1, 1, repeat('1', 2000)::numeric, array_agg(i::numeric), array_agg(i::float8), array_agg(i::smallint), array_agg(true), array_agg('2020-01-01'::timestamp), array_agg('10.0.0.1'::inet), array_agg('2020-01-01 00:00+00'::timestamptz) from generate_series(1, 150) i;
-- stream
update t set n = 2 where id = 1;

-- case toast-more-arrays
-- covers: unchanged TOAST values of more arrays
create table t (id int primary key, n int, a citext[], b ltree[], c oid[], d timetz[], e int4range[], f hstore[], g char(3)[], h time[], i real[], j macaddr[], k numeric(9,2)[], l jsonb[]);
alter table t set (toast_tuple_target = 128);
alter table t alter a set storage external, alter b set storage external, alter c set storage external, alter d set storage external, alter e set storage external, alter f set storage external, alter g set storage external,
  alter h set storage external, alter i set storage external, alter j set storage external, alter k set storage external, alter l set storage external;
insert into t select 1, 1, array_agg(('c' || i)::citext), array_agg(('a.b' || i)::ltree), array_agg(i::oid), array_agg('12:00+00'::timetz), array_agg('[1,2)'::int4range), array_agg('a=>b'::hstore), array_agg('abc'::char(3)),
  array_agg('12:00'::time), array_agg(i::real), array_agg('08:00:2b:01:02:03'::macaddr), array_agg(i::numeric(9,2)), array_agg(to_jsonb(i)) from generate_series(1, 150) i;
-- stream
update t set n = 2 where id = 1;

-- case toast-shapes
-- covers: unchanged TOAST values of polygon, path, bit varying, citext, ltree, tsvector, vector
create table t (id int primary key, n int, a polygon, b path, c varbit, d citext, e ltree, f tsvector, g public.vector, h public.geometry);
alter table t set (toast_tuple_target = 128);
alter table t alter a set storage external, alter b set storage external, alter c set storage external, alter d set storage external, alter e set storage external, alter f set storage external, alter g set storage external;
insert into t values (1, 1, ('(' || repeat('(1,2),', 60) || '(3,4))')::polygon, ('(' || repeat('(1,2),', 60) || '(3,4))')::path, repeat('10', 2000)::varbit, repeat('c', 600)::citext,
  ('a' || repeat('.b', 300))::ltree, (select string_agg('w' || i, ' ') from generate_series(1, 150) i)::tsvector, null, null);
-- stream
update t set n = 2 where id = 1;

-- case toast-hstore
-- covers: an unchanged TOAST value of hstore
-- groups: default, hstore-map
create table t (id int primary key, n int, a hstore);
alter table t set (toast_tuple_target = 128);
alter table t alter a set storage external;
insert into t select 1, 1, hstore(array_agg('k' || i), array_agg('v' || i)) from generate_series(1, 150) i;
-- stream
update t set n = 2 where id = 1;

-- case partitioned-topics
-- covers: keys over three partitions
-- groups: three-partitions
create table t (id int primary key, a text); create table u (k text primary key, v int); create table w (a int, b uuid, primary key (b, a));
insert into t select i, 'r' from generate_series(1, 20) i;
-- stream
insert into t select i, 'c' from generate_series(21, 60) i;
update t set a = 'u' where id % 3 = 0;
update t set id = id + 1000 where id % 10 = 0;
delete from t where id % 7 = 0;
insert into u select 'key ' || i, i from generate_series(1, 20) i;
insert into w select i, ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd38' || lpad(i::text, 4, '0'))::uuid from generate_series(1, 20) i;

-- case snapshot-markers
-- covers: first and last of a snapshot
-- groups: markers
create table a (id int primary key); create table b (id int primary key); create table c (id int primary key);
insert into a values (1), (2), (3); insert into b values (1);
-- stream
insert into c values (1);

-- case custom-key
-- covers: keys by configuration
-- groups: custom-key
create table t (a int primary key, b text not null, c int); create table u (id int primary key, name text);
alter table t replica identity full; alter table u replica identity full;
insert into t values (1, 'x', 1); insert into u values (1, 'n');
-- stream
insert into t values (2, 'y', 2);
update t set c = 5 where a = 2;
update t set b = 'z' where a = 1;
delete from t where a = 2;
insert into u values (2, null);
delete from u where id = 1;
