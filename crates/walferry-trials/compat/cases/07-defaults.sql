-- case defaults-constant
-- covers: constant defaults of numbers, texts, booleans
create table t (id int primary key, a int not null default 5, b bigint default 9223372036854775807, c smallint default -3, d text default 'asdf', e varchar(9) not null default 'it''s',
  f boolean not null default true, g boolean default false, h char(10) default 'abcd', i text default '', j text default 'text(parens)', k text default 'NULL', l int default null);
insert into t (id) values (1);
-- stream
insert into t (id) values (2);
insert into t values (3, 0, 0, 0, 'x', 'y', false, true, 'z', 'q', '', '', 1);

-- case defaults-null
-- covers: NULL in a column with a default
create table t (id int primary key, a int default 5, b text default 'x', c boolean default true);
insert into t values (1, null, null, null);
-- stream
insert into t values (2, null, null, null);
update t set a = 1 where id = 2;

-- case defaults-numeric
-- covers: defaults of numerics
-- groups: default, decimal-string, decimal-double
create table t (id int primary key, a numeric(10,5) default 12345.67891, b numeric(12,0) default 0.0, c numeric default 0, d numeric(5,2) not null default 1, e numeric(5,2) default -0.01, f numeric not null default 1.50);
insert into t (id) values (1);
-- stream
insert into t (id) values (2);

-- case defaults-float
-- covers: defaults of floats
create table t (id int primary key, a real default 1.5, b double precision default 123456789.1234567890123, c double precision not null default -0.5, d double precision default 1e10);
insert into t (id) values (1);
-- stream
insert into t (id) values (2);

-- case defaults-time
-- covers: constant defaults of dates and times
-- groups: default, time-isostring, time-connect, time-microseconds
create table t (id int primary key, a date default '2021-03-19', b time default '12:34:56', c timestamp default '2021-03-20 13:44:28', d timestamptz default '2021-03-20 14:44:28 +1', e date not null default '2000-01-01', f time(3) default '01:02:03.5', g timestamp(3) default '2021-03-20 13:44:28.25');
insert into t (id) values (1);
-- stream
insert into t (id) values (2);

-- case defaults-function
-- covers: defaults that are functions
create table t (id int primary key, a timestamptz not null default now(), b timestamp default now(), c date default current_date, d uuid default gen_random_uuid(), e int default abs(-1),
  f text default concat('foo', 'bar'), g time default now()::time, i jsonb default jsonb_build_object(), j boolean default random() > 0.5);
-- stream
insert into t values (1, '2020-01-01 00:00+00', '2020-01-01', '2020-01-01', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1, 'x', '01:00', '{}', true);

-- case defaults-value-function
-- covers: a default that is a function without parentheses
create table t (id int primary key, a text not null default current_user, b timestamptz default current_timestamp);
-- stream
insert into t values (1, 'x', '2020-01-01 00:00+00');

-- case defaults-document
-- covers: defaults of json, jsonb, uuid, xml, enum
create type mood as enum ('sad', 'ok');
create table t (id int primary key, a json default '{}', b jsonb default '{"a": 1}', c uuid default '76019d1a-ad2e-4b22-96e9-1a6d6543c818', d xml default '<foo>bar</foo>', e mood default 'ok', f mood not null default 'sad');
insert into t (id) values (1);
-- stream
insert into t (id) values (2);

-- case defaults-none
-- covers: types whose defaults Debezium does not show
create table t (id int primary key, a bytea default '\x01', b int[] default '{1}', c inet default '10.0.0.1', d oid default 5, e timetz default '12:00+00', f money default 1, g point default '(1,1)', h hstore default 'a=>b', i int4range default '[1,2)', j citext default 'c');
insert into t (id) values (1);
-- stream
insert into t (id) values (2);

-- case defaults-bit
-- covers: defaults of bits and intervals
create table t (id int primary key, a bit(1) default B'1', b bit(2) default B'11', c varbit(5) default B'110', d interval default '1 hour', e interval default make_interval(hours => 1));
insert into t (id, e) values (1, '1 hour');
-- stream
insert into t (id, e) values (2, '1 hour');

-- case defaults-key
-- covers: a key column with a default, zero-filled old rows with defaults
create table t (id int primary key default 7, a int not null default 5, b text default 'nd', c text not null);
insert into t values (1, 1, 'x', 'y');
-- stream
insert into t (c) values ('z');
update t set id = 8 where id = 7;
delete from t where id = 1;
