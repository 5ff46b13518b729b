-- case array-integers
-- covers: int2[], int4[], int8[], oid[] with NULL elements and empty
create table t (id int primary key, a smallint[], b int[], c bigint[], d oid[], e int[] not null);
insert into t values (1, '{1,2}', '{1,2,3}', '{1550166368505037572}', '{3,4000000000}', '{}');
-- stream
insert into t values (2, '{}', '{null,-1}', '{}', '{}', '{1}'), (3, null, null, null, null, '{null}');
update t set b = '{5}' where id = 3;
delete from t where id = 2;

-- case array-floats
-- covers: float4[], float8[], bool[]
create table t (id int primary key, a real[], b double precision[], c boolean[]);
insert into t values (1, '{1.5,NaN}', '{3.14,Infinity}', '{t,f}');
-- stream
insert into t values (2, '{null}', '{-Infinity,1e300}', '{null,t}'), (3, null, null, null);

-- case array-numerics
-- covers: numeric(p,s)[] and numeric[] in every mode
-- groups: default, decimal-string, decimal-double
create table t (id int primary key, a numeric(10,2)[], b numeric[]);
insert into t values (1, '{1.2,3.4,5.6}', '{1.1,2.22,3.333}');
-- stream
insert into t values (2, '{null,0}', '{10.00,null}'), (3, null, '{}');

-- case array-texts
-- covers: text[], varchar[], char(n)[], citext[] with every kind of quoting
create table t (id int primary key, a text[], b varchar(10)[], c char(10)[], d citext[]);
insert into t values (1, '{one,two,three}', '{vone}', '{cone,ctwo}', '{Four,five}');
-- stream
insert into t values (2, array['a"b', 'c\d', 'e,f', '', 'NULL', null, ' g ', '{h}'], '{null}', '{}', '{}'), (3, null, null, null, null);

-- case array-dates
-- covers: date[], time[], timetz[], timestamp[], timestamptz[]
-- groups: default, time-connect, time-isostring
create table t (id int primary key, a date[], b time[], c timetz[], d timestamp[], e timestamptz[], f timestamp(3)[], g time(3)[]);
insert into t values (1, '{2016-11-04,2016-11-05}', '{00:01:02,01:02:03}', '{13:51:02+0200,14:51:03+0200}',
  '{2020-04-01 00:01:02,2020-04-01 01:02:03}', '{2020-04-01 13:51:02+02,2020-04-01 14:51:03+02}', '{2020-04-01 00:01:02.5}', '{01:02:03.5}');
-- stream
insert into t values (2, '{null}', '{null}', '{null}', '{null}', '{null}', '{}', '{}'), (3, null, null, null, null, null, null, null);

-- case array-documents
-- covers: json[], jsonb[], uuid[], bytea[], ltree[]
create table t (id int primary key, a json[], b jsonb[], c uuid[], d bytea[], e ltree[]);
insert into t values (1, array['{"bar": "baz"}', '{"foo": "qux"}']::json[], array['{"bar": "baz"}']::jsonb[],
  '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', array['\x000102', '\x030405']::bytea[], '{Ship.Frigate,Ship.Destroyer}');
-- stream
insert into t values (2, '{null}', '{}', '{null}', '{null}', '{}'), (3, null, null, null, null, null);

-- case array-ltree-null
-- covers: NULL in ltree[]
create table t (id int primary key, a ltree[]);
-- stream
insert into t values (1, '{a.b,null}');

-- case array-bytea-modes
-- covers: bytea[] as text
-- groups: binary-base64, binary-base64-url, binary-hex
create table t (id int primary key, a bytea[]);
insert into t values (1, array['\x000102', '\xfffefd']::bytea[]);
-- stream
insert into t values (2, array[null, '\x']::bytea[]);

-- case array-networks
-- covers: inet[], cidr[], macaddr[], macaddr8[]
create table t (id int primary key, a inet[], b cidr[], c macaddr[], d macaddr8[]);
insert into t values (1, '{192.168.2.0/12,192.168.1.1}', '{192.168.100.128/25}', '{08:00:2b:01:02:03,08-00-2b-01-02-03}', '{08:00:2b:01:02:03:04:05}');
-- stream
insert into t values (2, '{null}', '{}', null, '{null}');

-- case array-ranges
-- covers: arrays of ranges
create table t (id int primary key, a int4range[], b int8range[], c numrange[], d tsrange[], e tstzrange[], f daterange[]);
insert into t values (1, array['[1,6)', '[1,4)']::int4range[], array['[1000000,6000000)']::int8range[], array['[5.3,6.3)', '[10.0,20.0)']::numrange[],
  array['[2019-03-31 15:30:00, infinity)']::tsrange[], array['[2017-06-05 11:29:12.549426+00,)']::tstzrange[], array['[2019-03-31, infinity)']::daterange[]);
-- stream
insert into t values (2, '{}', '{empty}', '{null}', null, null, null);

-- case array-enums
-- covers: an array of an enum
create type mood as enum ('sad', 'ok', 'very happy');
create table t (id int primary key, a mood[], b mood[] not null);
insert into t values (1, '{ok,"very happy"}', '{}');
-- stream
insert into t values (2, '{sad}', '{ok}'), (3, null, '{sad,sad}');

-- case array-enum-null
-- covers: NULL in an array of an enum
create type mood as enum ('sad', 'ok');
create table t (id int primary key, a mood[]);
insert into t values (1, '{ok,null}');
-- stream
insert into t values (2, '{null,sad}');

-- case array-left-out
-- covers: arrays that Debezium leaves out: money, name, interval, varbit, xml, point
create table t (id int primary key, a money[], b name[], c interval[], d varbit[], e xml[], f point[], g text);
insert into t values (1, '{1.5}', '{x}', '{1 day}', '{101}', array['<a/>']::xml[], array['(1,2)']::point[], 'x');
-- stream
insert into t (id, g) values (2, 'y');

-- case array-bits
-- covers: bit[], which Debezium declares as a scalar
create table t (id int primary key, a bit(3)[], b bit(1)[]);
insert into t values (1, '{101}', '{1}');
-- stream
insert into t values (2, '{101,000}', '{0,1}');

-- case array-tsvectors
-- covers: tsvector[]
create table t (id int primary key, a tsvector[]);
insert into t values (1, array['a fat cat']::tsvector[]);
-- stream
insert into t values (2, array['b']::tsvector[]), (3, null);

-- case int2vector
-- covers: int2vector
create table t (id int primary key, b int2vector);
insert into t values (1, '1 2 3');
-- stream
insert into t values (2, '4');

-- case array-deep-integers
-- covers: int[][] and arrays with lower bounds
create table t (id int primary key, a int[][], b int[]);
-- stream
insert into t values (1, '{{1,2},{3,4}}', '[5:6]={7,8}');
insert into t values (2, '{1,2}', '{1,2}');

-- case array-deep-snapshot
-- covers: int[][] in the snapshot
create table t (id int primary key, a int[][], b int[]);
insert into t values (1, '{{1,2},{3,4}}', '[5:6]={7,8}');
-- stream
insert into t values (2, null, null);

-- case array-hstores
-- covers: hstore[] as JSON or maps
-- groups: default, hstore-map
create table t (id int primary key, a hstore[]);
insert into t values (1, array['key5=>NULL, key4=>val4', 'key6=>val6']::hstore[]);
-- stream
insert into t values (2, array[''::hstore, null]), (3, null);

-- case array-shapes
-- covers: box[], circle[], line[], lseg[], path[], polygon[]
create table t (id int primary key, a box[], b circle[], c line[], d lseg[], e path[], f polygon[]);
insert into t values (1, '{(1,1),(0,0)}', array['<(10,4),10>']::circle[], array['{-1,0,0}']::line[], array['[(0,0),(0,1)]']::lseg[], array['((0,0),(0,1),(0,2))']::path[], array['((0,0),(0,1),(1,0),(0,0))']::polygon[]);
-- stream
insert into t values (2, null, '{}', '{null}', '{}', array['[(0,0),(0,1)]']::path[], '{}');
