-- case byteas
-- covers: bytea in every mode
-- groups: default, binary-base64, binary-base64-url, binary-hex
create table t (id int primary key, a bytea, b bytea not null);
insert into t values (1, '\x000102', '\x');
-- stream
insert into t values (2, '\xfffefdfb3e3f', '\x030405'), (3, null, '\x00');
update t set a = '\xff' where id = 2;
delete from t where id = 3;

-- case bytea-key
-- covers: bytea in the key
-- groups: default, binary-hex
create table t (id bytea primary key, a int);
insert into t values ('\x01ff', 1);
-- stream
insert into t values ('\x02', 2);
delete from t where a = 1;

-- case bits
-- covers: bit(1) is a boolean, bit(n) little-endian bytes
create table t (id int primary key, a bit, b bit(1), c bit(2), d bit(7), e bit(64), f bit(3) not null, g bit not null);
insert into t values (1, '0', '1', '11', '1000000', 1::bit(64), '101', '1');
-- stream
insert into t values (2, '1', '0', '00', '0000001', (1::bigint << 62)::bit(64), '000', '0'), (3, null, null, null, null, null, '111', '1');
delete from t where id = 2;

-- case varbits
-- covers: bit varying
create table t (id int primary key, a varbit(1), b varbit(2), c varbit(24), d varbit, e varbit(64));
insert into t values (1, '1', '00', '000000110000001000000001', '101', ('1' || repeat('0', 63))::varbit);
-- stream
insert into t values (2, '0', '1', '1', '111011010001000110000001000000001', ''), (3, null, null, null, null, null);
