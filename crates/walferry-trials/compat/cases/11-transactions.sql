-- case messages
-- covers: logical messages, transactional and not
-- groups: messages
-- topics: message
create table t (id int primary key, a text);
-- stream
select pg_logical_emit_message(true, 'pre', 'content');
begin; insert into t values (1, 'x'); select pg_logical_emit_message(true, 'in', '\x00ff'::bytea); insert into t values (2, 'y'); commit;
select pg_logical_emit_message(false, 'outside', '');
insert into t values (3, 'z');

-- case transaction-metadata
-- covers: BEGIN and END records, the transaction block
-- groups: transaction-metadata
-- topics: transaction
create table t (id int primary key, a text); create table u (id int primary key); create table "Zz" (id int primary key);
insert into t values (1, 'x');
-- stream
begin; insert into t values (2, 'y'); insert into u values (1); update t set a = 'z' where id = 1; delete from u; commit;
update t set id = 5 where id = 1;
truncate u;
truncate u, t, "Zz";
begin; insert into "Zz" values (1); insert into t values (7, 'y'); insert into u values (1); update "Zz" set id = 2; commit;
begin; insert into t values (8, 'y'); savepoint s; insert into t values (9, 'y'); rollback to s; insert into t values (10, 'y'); commit;

-- case message-metadata
-- covers: messages among the events of their transaction
-- groups: message-metadata
-- topics: transaction, message
create table t (id int primary key, a text); create table u (id int primary key);
-- stream
begin; select pg_logical_emit_message(true, 'in', 'x'); insert into t values (1, 'y'); insert into u values (1); select pg_logical_emit_message(true, 'in', 'y'); commit;
begin; insert into t values (2, 'y'); select pg_logical_emit_message(false, 'out', 'x'); insert into t values (3, 'y'); commit;
select pg_logical_emit_message(true, 'alone', 'x');

-- case context-headers
-- covers: Debezium's context headers
-- groups: headers
create table t (id int primary key, a text);
insert into t values (1, 'x');
-- stream
insert into t values (2, 'y');
update t set id = 3 where id = 2;
delete from t where id = 1;
