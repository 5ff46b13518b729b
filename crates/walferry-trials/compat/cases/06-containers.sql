-- case domains
-- covers: domains over many types
create domain d_int as int; create domain d_text as text; create domain d_num as numeric(6,2); create domain d_ts as timestamp(3);
create domain d_vc as varchar(5); create domain d_json as jsonb; create domain d_bool as boolean; create domain d_date as date; create domain d_uuid as uuid;
create table t (id int primary key, a d_int, b d_text, c d_num, d d_ts, e d_vc, f d_json, g d_bool, h d_date, i d_uuid);
insert into t values (1, 5, 'x', 1234.12, '2019-10-02 01:02:03.123', 'abcde', '{"key": "value"}', true, '2019-10-02', '40e6215d-b5c6-4896-987c-f30f3678f608');
-- stream
insert into t values (2, null, null, null, null, null, null, null, null, null);
update t set a = 6, c = 0.5 where id = 2;
delete from t where id = 1;

-- case domain-chain
-- covers: a domain over a domain, a domain that is NOT NULL, one with a default
create domain d1 as numeric(8,3); create domain d2 as d1 check (value > 0); create domain d3 as int not null; create domain d4 as text default 'dom';
create table t (id int primary key, a d2, b d3, c d4);
insert into t values (1, 1.5, 7, 'x');
-- stream
insert into t (id, a, b) values (2, null, 8);
insert into t values (3, 2.125, 9, null);

-- case domain-default
-- covers: a column's default where the type is a domain
create domain d_text as text; create domain d_int as int;
create table t (id int primary key, a d_text default 'own', b d_int not null default 5);
-- stream
insert into t (id) values (1);

-- case domain-key
-- covers: a domain in the key
create domain code as varchar(8);
create table t (id code primary key, v int);
insert into t values ('a', 1);
-- stream
insert into t values ('b', 2);
delete from t where id = 'a';

-- case domain-enum
-- covers: a domain over an enum
create type mood as enum ('sad', 'ok'); create domain d_mood as mood;
create table t (id int primary key, a d_mood, b d_mood not null);
insert into t values (1, 'ok', 'sad');
-- stream
insert into t values (2, null, 'ok');

-- case domain-array
-- covers: a domain over an array
create domain d_ints as int[];
create table t (id int primary key, a d_ints);
insert into t values (1, '{1,2}');
-- stream
insert into t values (2, '{3,null}'), (3, null);

-- case array-domain
-- covers: an array of a domain, which Debezium leaves out
create domain d_int as int;
create table t (id int primary key, a d_int[], g text);
insert into t values (1, '{1,2}', 'x');
-- stream
insert into t values (2, '{3}', 'y');

-- case composites
-- covers: a composite, which Debezium leaves out
create type pair as (x int, y text);
create table t (id int primary key, a pair, g text);
insert into t values (1, row(1, 'a'), 'x');
-- stream
insert into t values (2, row(null, 'b c'), 'y'), (3, null, 'z');

-- case hstores
-- covers: hstore as JSON or a map
-- groups: default, hstore-map
create table t (id int primary key, a hstore, b hstore not null);
insert into t values (1, '"key" => "val"', ''), (2, 'key1=>val1,key2=>NULL', 'a=>b');
-- stream
insert into t values (3, '"key_#1" => "val 1","key 2" =>" ##123 78"', 'key1=>val1,key2=>val2,key3=>val3'), (4, null, '"q\"uote"=>"back\\slash"'), (5, 'zz=>1,a=>2,mm=>3,bbbb=>4', 'é=>ü');
delete from t where id = 3;

-- case points
-- covers: point
create table t (id int primary key, a point, b point not null);
insert into t values (1, '(1,1)', '(0,0)');
-- stream
insert into t values (2, '(-1.5,2.25)', '(1e10,-1e-10)'), (3, null, '(0,1)');
delete from t where id = 2;

-- case shapes
-- covers: box, lseg, path, polygon, circle, line
create table t (id int primary key, a box, b lseg, c path, d polygon, e circle, f line);
insert into t values (1, '(0,0),(1,1)', '((0,0),(0,1))', '((0,0),(0,1),(0,2))', '(0,0),(0,1),(1,0),(0,0)', '10,4,10', '(0,0),(0,1)');
-- stream
insert into t values (2, '(2,3),(-1,-5)', '[(1.5,2),(3,4)]', '[(0,0),(0,1),(0,2)]', '((0,0),(1,1),(2,0))', '<(0,0),0>', '{1,-1,0.5}'), (3, null, null, null, null, null, null);

-- case shapes-required
-- covers: shapes that are NOT NULL
create table t (id int primary key, a box not null, b lseg not null, c path not null, d polygon not null, e circle not null, f line not null);
insert into t values (1, '(0,0),(1,1)', '((0,0),(0,1))', '((0,0),(0,1),(0,2))', '(0,0),(0,1),(1,0),(0,0)', '10,4,10', '(0,0),(0,1)');
-- stream
insert into t values (2, '(2,3),(-1,-5)', '[(1.5,2),(3,4)]', '[(0,0),(0,1),(0,2)]', '((0,0),(1,1),(2,0))', '<(0,0),0>', '{1,-1,0.5}');
update t set a = '(5,5),(1,1)' where id = 2;

-- case vectors
-- covers: pgvector's vector, halfvec, sparsevec (stand-ins with their names and text)
create table t (id int primary key, a public.vector, b public.halfvec, c public.sparsevec);
insert into t values (1, '[1,2,3]', '[0.5,-1]', '{1:201,9:209}/3000');
-- stream
insert into t values (2, '[1.5]', '[65504]', '{}/10'), (3, null, null, null);

-- case geometries
-- covers: PostGIS geometry and geography (stand-ins with their names and text)
create table t (id int primary key, a public.geometry, b public.geography);
insert into t values (1, '0101000020730C00001C7C613255DE6540787AA52C435C42C0', '0105000020E610000001000000010200000002000000A779C7293A2465400B462575025A46C0C66D3480B7FC6440C3D32B65195246C0');
-- stream
insert into t values (2, '010700000000000000', null), (3, null, null);
