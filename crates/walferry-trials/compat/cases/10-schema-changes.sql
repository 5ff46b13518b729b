-- case add-column
-- covers: columns added, nullable and with a default
create table t (id int primary key, a text);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
-- step
alter table t add column b int;
alter table t add column c text default 'default';
alter table t add column d int not null default 5;
-- step
insert into t values (3, 'z', 1, 'w', 6);
insert into t (id) values (4);
update t set a = 'v' where id = 1;

-- case drop-column
-- covers: a column dropped
create table t (id int primary key, a text, b int);
insert into t values (1, 'x', 1);
-- stream
insert into t values (2, 'y', 2);
-- step
alter table t drop column a;
-- step
insert into t values (3, 3);
update t set b = 5 where id = 1;

-- case rename-column
-- covers: a column renamed
create table t (id int primary key, a text);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
-- step
alter table t rename column a to b;
-- step
insert into t values (3, 'z');

-- case retype-column
-- covers: a column's type changed
create table t (id int primary key, a int);
insert into t values (1, 1);
-- stream
insert into t values (2, 2);
-- step
alter table t alter column a type bigint;
-- step
insert into t values (3, 3000000000);
-- step
alter table t alter column a type text using a::text;
-- step
insert into t values (4, 'four');

-- case retype-numeric
-- covers: precision and scale changed
create table t (id int primary key, a numeric(5,2));
insert into t values (1, 123.45);
-- stream
insert into t values (2, 1);
-- step
alter table t alter column a type numeric(6,1);
-- step
insert into t values (3, 123.41);
-- step
alter table t alter column a type numeric;
-- step
insert into t values (4, 123.4567);
-- step
alter table t alter column a type numeric(12);
-- step
insert into t values (5, 1238);

-- case set-not-null
-- covers: NOT NULL set and dropped
create table t (id int primary key, a int);
insert into t values (1, 1);
-- stream
insert into t values (2, 2);
-- step
alter table t alter column a set not null;
-- step
insert into t values (3, 3);
-- step
alter table t alter column a drop not null;
-- step
insert into t values (4, null);

-- case retype-length
-- covers: a varchar's length, and a timestamp's precision
create table t (id int primary key, a varchar(5), b timestamp);
insert into t values (1, 'x', '2020-01-01');
-- stream
insert into t values (2, 'y', '2020-01-01');
-- step
alter table t alter column a type varchar(10), alter column b type timestamp(3);
-- step
insert into t values (3, 'abcdefghij', '2020-01-01 00:00:00.125');

-- case default-changes
-- covers: a default set and dropped
create table t (id int primary key, a int);
insert into t values (1, 1);
-- stream
insert into t values (2, 2);
-- step
alter table t alter column a set default 9; alter table t add column z int;
-- step
insert into t (id) values (3);

-- case new-table
-- covers: a table created while streaming
create table t (id int primary key);
-- stream
insert into t values (1);
-- step
create table u (id int primary key, a text);
-- step
insert into u values (1, 'x');
update u set a = 'y';

-- case new-key
-- covers: a primary key added while streaming
create table t (id int not null, a text);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
-- step
alter table t add primary key (id);
-- step
insert into t values (3, 'z');
update t set a = 'w' where id = 1;
delete from t where id = 2;

-- case rename-table
-- covers: a table renamed
create table t (id int primary key, a text);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
-- step
alter table t rename to u;
-- step
insert into u values (3, 'z');

-- case recreate-table
-- covers: a table dropped and created again with other columns
create table t (id int primary key, a text);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
-- step
drop table t;
create table t (id bigint primary key, b int);
-- step
insert into t values (3, 5);

-- case identity-changes
-- covers: the replica identity changed while streaming
create table t (id int primary key, a text);
insert into t values (1, 'x'), (2, 'x');
-- stream
update t set a = 'y' where id = 1;
-- step
alter table t replica identity full;
-- step
update t set a = 'z' where id = 1;
delete from t where id = 2;
