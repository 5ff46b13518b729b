-- case texts
-- covers: text, varchar, name of any letters
create table t (id int primary key, a text, b varchar, c varchar(20) not null);
insert into t values (1, 'some text', 'žš', '');
-- stream
insert into t values (2, 'quote '' back \ tab	', E'line\nline', '€𝄞'), (3, null, null, 'x');
update t set a = '' where id = 3;
delete from t where id = 2;

-- case chars
-- covers: char(n) is padded, "char" and bpchar are not
create table t (id int primary key, a char(5), b char, c bpchar, d char(3) not null);
insert into t values (1, 'ab', 'x', 'free ', 'a');
-- stream
insert into t values (2, 'abcde', 'y', '', 'ü'), (3, null, null, null, '');

-- case internal-char
-- covers: "char"
create table t (id int primary key, a "char", b "char" not null);
insert into t values (1, 'x', 'y');
-- stream
insert into t values (2, null, 'z');

-- case names
-- covers: the type name
create table t (id int primary key, a name, b name not null);
insert into t values (1, 'pg_class', 'x');
-- stream
insert into t values (2, 'some', 'thing'), (3, null, 'n');

-- case citexts
-- covers: citext
create table t (id int primary key, a citext, b citext not null);
insert into t values (1, 'Hello World', 'A');
-- stream
insert into t values (2, 'HELLO', 'b'), (3, null, 'c');

-- case jsons
-- covers: json as written, jsonb as PostgreSQL normalises it
create table t (id int primary key, a json, b jsonb, c jsonb not null);
insert into t values (1, '{"b": 1,  "a": [1, null]}', '{"b": 1,  "a": [1, null]}', '{}');
-- stream
insert into t values (2, '"text"', '1.50', 'null'), (3, null, null, '[]'), (4, E'{"k":\n 1}', '{"é": "\u00e9"}', 'true');

-- case xmls
-- covers: xml
create table t (id int primary key, a xml, b xml not null);
insert into t values (1, '<foo>bar</foo><foo>bar</foo>', '<a/>');
-- stream
insert into t values (2, null, 'text');
insert into t values (3, '<a b="c">&amp;</a>', '<é/>');

-- case uuids
-- covers: uuid, also as the key
create table t (id uuid primary key, a uuid);
insert into t values ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', null);
-- stream
insert into t values ('A0EEBC999C0B4EF8BB6D6BB9BD380A12', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
delete from t where a is null;

-- case networks
-- covers: inet, cidr, macaddr, macaddr8
create table t (id int primary key, a inet, b cidr, c macaddr, d macaddr8, e inet not null);
insert into t values (1, '192.168.2.0/12', '192.168.100.128/25', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '::1');
-- stream
insert into t values (2, '10.0.0.1', '10.0.0.0/8', '08-00-2B-01-02-03', '08002b0102030405', '::ffff:1.2.3.4/120'), (3, null, null, null, null, '0.0.0.0');

-- case tsvectors
-- covers: tsvector
create table t (id int primary key, a tsvector);
insert into t values (1, 'a fat cat');
-- stream
insert into t values (2, to_tsvector('english', 'The Fat Rats')), (3, null);

-- case ltrees
-- covers: ltree
create table t (id int primary key, a ltree, b ltree not null);
insert into t values (1, 'Top.Collections.Pictures.Astronomy.Galaxies', 'a');
-- stream
insert into t values (2, null, 'a.b');

-- case ranges
-- covers: the six range types
create table t (id int primary key, a int4range, b int8range, c numrange, d tsrange, e tstzrange, f daterange, g int4range not null);
insert into t values (1, '[1000,6000)', '[1000000,6000000)', '[5.3,6.3)', '[2019-03-31 15:30:00, infinity)', '[2017-06-05 11:29:12.549426+00,)', '[2019-03-31, infinity)', 'empty');
-- stream
insert into t values (2, '(,5]', '(1,)', '(1.0,2.00]', '[2019-03-31 15:30:00, 2019-04-30 15:30:00]', '[2017-06-05 11:29:12+00,2018-01-01 00:00:00+02]', '[2019-03-31, 2019-04-30)', '[1,2]');
insert into t (id, g) values (3, '[0,0]');

-- case multiranges
-- covers: multiranges, which Debezium leaves out
create table t (id int primary key, a int4multirange, b nummultirange, c text);
insert into t values (1, '{[1,3), [5,9)}', '{}', 'x');
-- stream
insert into t values (2, null, '{[1.5,2]}', 'y');

-- case unknown-types
-- covers: types that Debezium leaves out: pg_lsn, tsquery, xid, regclass, jsonpath, txid_snapshot
create table t (id int primary key, a pg_lsn, b tsquery, c xid, d regclass, e jsonpath, f txid_snapshot, g text);
insert into t values (1, '0/16B3748', 'fat & rat', '77', 'pg_class', '$.a', '10:20:10,14', 'x');
-- stream
insert into t (id, g) values (2, 'y');

-- case enums
-- covers: an enum with its labels, nullable and not
create type mood as enum ('sad', 'ok', 'very happy');
create table t (id int primary key, a mood, b mood not null, c mood not null default 'ok');
insert into t values (1, 'ok', 'sad');
-- stream
insert into t values (2, null, 'very happy', 'sad');
update t set a = 'sad' where id = 2;
delete from t where id = 1;

-- case enum-key
-- covers: an enum in the key
create type mood as enum ('sad', 'ok');
create table t (id mood primary key, a int);
insert into t values ('sad', 1);
-- stream
insert into t values ('ok', 2);
delete from t where id = 'sad';

-- case enum-grows
-- covers: labels added while streaming
create type mood as enum ('sad', 'ok');
create table t (id int primary key, a mood);
insert into t values (1, 'ok');
-- stream
insert into t values (2, 'sad');
-- step
alter type mood add value 'happy';
-- step
insert into t values (3, 'happy');
insert into t values (4, 'ok');
