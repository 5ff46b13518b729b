//! Every way in which SQL writes a row, and every way in which the server writes rows by itself: each is a change like another.

use walferry_stack::test_postgres_major;

use super::{Followed, audit_agrees};
use crate::place::{Place, READY};
use crate::snapshots::done;

const TABLES: &str = "
create table t (id int primary key, note text, n int not null default 0);
create table log (id bigint generated always as identity primary key, what text);
create table parent (id int primary key, a text);
create table child (id int primary key, parent int references parent on delete cascade on update cascade, v text);
create table grandchild (id int primary key, child int references child on delete cascade);
create table orphan (id int primary key, parent int default 0 references parent on delete set null on update set default);
create table bulk (id int primary key, note text);
create table wide (id int primary key, big text); alter table wide alter big set storage external;
create view v as select id, note from t;
create function twice(x int) returns int immutable language sql as 'select x * 2';
create index on t (note) where n > twice(1);
create index on t using brin (n);
create index on t using gin (to_tsvector('simple', note));
create unique index on t (id) where n > 1000;
create function before_t() returns trigger language plpgsql as $$
begin
  if new.id = 666 then return null; end if;
  new.note := upper(new.note); return new;
end $$;
create trigger before_t before insert or update on t for each row execute function before_t();
create function after_t() returns trigger language plpgsql as $$
begin
  insert into log (what) values (tg_op); return null;
end $$;
create trigger after_t after insert or update or delete on t for each row execute function after_t();
create rule also as on delete to parent do also insert into log (what) values ('rule')";

const WRITES: &[&str] = &[
    "insert into parent values (0, 'nobody')",
    "insert into t select i, 'row', i % 10 from generate_series(1, 40) i",
    "insert into t values (666, 'refused by a trigger', 0)",
    "insert into t values (1, 'upserted') on conflict (id) do update set note = excluded.note || t.note",
    "insert into t values (1, 'nothing'), (41, 'new') on conflict do nothing",
    "insert into t values (1, 'filtered') on conflict (id) do update set note = 'never' where t.n > 5000",
    "insert into t select i, 'large upsert' from generate_series(30, 60) i on conflict (id) do update set n = t.n + 1",
    "with gone as (delete from t where id = 2 returning *) insert into t select id + 1000, note, n from gone",
    "with a as (update t set n = 1 where id = 3 returning id), b as (insert into t values (70, 'b') returning id)
     select * from a, b",
    "update t set n = p.id from parent p where t.id = 4",
    "delete from t using parent p where t.id = p.id + 5",
    "update t set id = id + 200000 where id < 60",
    "update t set note = note, n = n",
    "do $$ declare c cursor for select * from t where id > 200030 for update;
     begin for r in c loop update t set n = n + 1 where current of c; end loop; end $$",
    "do $$ begin insert into t values (71, 'x'); insert into t values (71, 'y');
     exception when unique_violation then insert into t values (72, 'caught'); end $$",
    "insert into v values (80, 'through a view'); update v set note = 'view' where id = 80; delete from v where id = 80",
    "begin; set local session_replication_role = replica; insert into t values (90, 'no trigger'); commit",
    "begin; select * from t for key share; savepoint s; update t set n = 5 where id = 90; commit",
    "begin; declare c cursor with hold for select * from t; insert into t values (91, 'held'); commit",
    "insert into parent select i, 'p' from generate_series(1, 6) i;
     insert into child select i, i, 'c' from generate_series(1, 6) i;
     insert into grandchild select i, i from generate_series(1, 6) i;
     insert into orphan select i, i from generate_series(1, 6) i",
    "update parent set id = 100 where id = 1",
    "delete from parent where id in (2, 3, 100)",
    "begin; delete from parent where id = 4; savepoint s; delete from parent where id = 5; rollback to s; commit",
    "vacuum freeze t",
    "update t set n = n + 1 where id > 200000",
    "update t set note = 'hot' where id = 90; update t set note = 'hotter' where id = 90",
    "cluster t using t_pkey",
    "delete from t where id = 90",
    "vacuum full t",
    "reindex table t",
    "insert into wide values (1, repeat('w', 9000)), (2, 'short')",
    "insert into wide values (1, 'x') on conflict (id) do update set big = excluded.big || wide.big",
    "begin; insert into wide values (3, repeat('x', 9000)); update wide set big = big where id = 3;
     update wide set id = 30 where id = 3; delete from wide where id = 1; savepoint s;
     insert into wide values (4, repeat('lost', 9000)); rollback to s; insert into wide values (4, repeat('y', 9000)); commit",
    "copy bulk (id) from program 'seq 1 3000'",
    "insert into bulk values (1, 'in conflict') on conflict do nothing",
    "truncate orphan, grandchild",
    "lock t in access exclusive mode; insert into log (what) values ('locked')",
];

const MERGES: &[&str] = &[
    "merge into t using (select generate_series(200020, 200070) as id) s on t.id = s.id
       when matched and t.id < 200030 then update set note = 'merged'
       when matched and t.id < 200040 then delete
       when matched then do nothing
       when not matched then insert values (s.id, 'merged in')",
    "merge into child c using parent p on c.parent = p.id when matched then delete",
];

#[test]
fn every_way_to_write_a_row_is_a_change() {
    let watched = [
        "t",
        "log",
        "parent",
        "child",
        "grandchild",
        "orphan",
        "bulk",
        "wide",
    ]
    .map(|table| format!("public.{table}"));
    let watched: Vec<&str> = watched.iter().map(String::as_str).collect();
    let it = Followed::new("writes", TABLES, &watched);
    it.run(WRITES);
    if test_postgres_major() >= 15 {
        it.run(MERGES);
    }
    // Rows that are written frozen, out of line and in place, are rows of a stream like others.
    let folder = it.place.value("show data_directory").unwrap();
    let file = format!("{folder}/{}.copy", it.place.name);
    it.place.sql(&format!(
        "copy (select i, case when i % 40 = 0 then repeat(md5(i::text), 200) else 'short' end
               from generate_series(101, 500) i) to '{file}'"
    ));
    it.place.sql(&format!("copy wide from '{file}'"));
    it.place.sql(&format!(
        "begin; truncate bulk; copy bulk from '{file}' with (freeze); commit"
    ));
    it.agree("insert into t values (99, 'last')", 4000);
}

#[test]
fn tables_that_are_made_with_their_rows_or_become_logged_arrive_at_the_next_start() {
    let place = Place::shared("made");
    place.sql(
        "create table t (id int primary key);
         create unlogged table quick (id int primary key, a text); insert into quick values (1, 'unlogged');
         create unlogged table bare (a int)",
    );
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    // What is not in the log is nobody's business: it is written as before, with a key or without.
    place.sql("update quick set a = 'again'; insert into bare values (1); update bare set a = 2; delete from bare");
    place.sql(
        "begin; create temporary table passing as select 1 as a; update passing set a = 2; commit",
    );
    place.sql("create table made as select i as id, 'made' as a from generate_series(1, 300) i");
    place.sql("alter table made add primary key (id)");
    place.sql(
        "select id, a into chosen from made where id < 5; alter table chosen add primary key (id)",
    );
    place.sql("create table alike (like made including all); insert into alike select * from made where id < 3");
    place.sql("alter table quick set logged; insert into quick values (2, 'logged')");
    place.drain("insert into t values (1)");
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY), Some(0));
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("their rows", READY, done);
    place.sql("update quick set a = 'third' where id = 2; delete from made where id > 290");
    place.drain("insert into t values (2)");
    audit_agrees(&place, &settings);
    let status = walferry.status().unwrap();
    let tables: Vec<&str> = status["tables"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|table| table["name"].as_str())
        .collect();
    for table in ["made", "chosen", "alike", "quick"] {
        let table = format!("public.{table}");
        assert!(tables.contains(&table.as_str()), "{table}: {tables:?}");
    }
}
