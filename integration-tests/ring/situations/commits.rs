//! What a commit holds: prepared transactions, subtransactions that are spilled to disk or rolled back with their DDL,
//! transactions that were open when a slot was made, rows that share a position in the log.

use walferry_stack::PostgresServer;
use walferry_testkit::checker::{Session, Start};

use super::{Followed, audit_agrees, of_op, with_postgres};
use crate::changes::lines;
use crate::place::{Place, READY, own_postgres};
use crate::records::{read, schemas};
use crate::snapshots::{consistent_point, done, said};

#[test]
fn prepared_transactions_come_when_they_are_committed_over_restarts_of_both_sides() {
    let options = own_postgres().setting("max_prepared_transactions", "20");
    let mut server = PostgresServer::start(options).unwrap();
    let place = Place::on(&with_postgres(&server), "prepared");
    let tables =
        "create table t (id int primary key, note text); create table u (id int primary key)";
    let mut it = Followed::on(place, tables, &["public.t", "public.u"]);
    it.run(&[
        "begin; insert into t values (1, 'prepared'); prepare transaction 'one'",
        "insert into t values (2, 'before it')",
        "commit prepared 'one'",
        "begin; insert into t values (3, 'lost'); prepare transaction 'two'",
        "rollback prepared 'two'",
        "begin; insert into t values (4, 'old form'); alter table t add column n int default 7;
         insert into t values (5, 'new form', 8); prepare transaction 'three'",
        "insert into u values (1)",
        "commit prepared 'three'",
        "begin; insert into t values (6); savepoint s; insert into t values (7, 'lost'); rollback to s;
         create table made (id int primary key); insert into made values (1);
         update t set note = repeat('t', 9000) where id = 1; prepare transaction 'four, \"with\" a name'",
        "commit prepared 'four, \"with\" a name'",
        "begin; insert into t values (8, 'over restarts'); update t set note = 'changed' where id = 2;
         prepare transaction 'five'",
        "begin; insert into t values (9, 'lost'); prepare transaction 'six'",
    ]);
    it.place.drain("insert into u values (2)");
    it.walferry.kill9();
    it.place.sql("checkpoint");
    server.kill9().unwrap();
    server.restart().unwrap();
    it.walferry = it.place.streaming(&it.settings);
    it.run(&["insert into u values (3)", "rollback prepared 'six'"]);
    it.walferry.sigterm();
    it.walferry.wait_exit(READY);
    it.run(&[
        "commit prepared 'five'",
        "insert into t values (10, 'after')",
    ]);
    it.walferry = it.place.streaming(&it.settings);
    it.agree("insert into u values (4)", 13);
    let told = it.lines("public.t");
    let ids: Vec<&str> = of_op(&told, "c")
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        ids,
        ["id=2", "id=1", "id=4", "id=5", "id=6", "id=8", "id=10"]
    );
}

#[test]
fn a_prepared_transaction_beside_a_snapshot_comes_once() {
    let options = own_postgres().setting("max_prepared_transactions", "20");
    let server = PostgresServer::start(options).unwrap();
    let place = Place::on(&with_postgres(&server), "prepared_beside");
    place.sql(
        "create table t (id int primary key, note text); insert into t select i, 'old' from generate_series(1, 50) i",
    );
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set_text("admin.token", "open")
        .set("snapshot.chunk_rows", "10");
    let mut walferry = place.streaming(&settings);
    place.sql(
        "begin; insert into t values (60, 'prepared'); update t set note = 'prepared' where id = 7;
         delete from t where id = 8; update t set id = 70 where id = 9; prepare transaction 'beside'",
    );
    let path = settings.write(&place.folder).unwrap();
    let (code, _, error) = said(path.to_str().unwrap(), &["start", "public.t"]);
    assert_eq!(code, Some(0), "{error}");
    walferry.wait_status("the snapshot is complete", READY, |it| {
        it["snapshot"][0].is_object() && done(it)
    });
    place.sql("commit prepared 'beside'");
    place.drain("insert into t values (61, 'after')");
    let told = lines(&place, "public.t");
    assert_eq!(of_op(&told, "r").len(), 50, "{told:?}");
    assert_eq!(
        told[50..],
        [
            "c id=60 | - | id=60 note=prepared",
            "u id=7 | - | id=7 note=prepared",
            "d id=8 | id=8 note=null | -",
            "- id=8",
            "d id=9 | id=9 note=null | -",
            "- id=9",
            "c id=70 | - | id=70 note=old",
            "c id=61 | - | id=61 note=after",
        ]
    );
    audit_agrees(&place, &settings);
}

/// A transaction with all sorts of subtransactions, as one string.
const NESTED: &str = "
begin;
insert into t values (40001, 'top');
savepoint a; insert into t values (40002, 'a'); insert into t values (40003, 'a'); release a;
savepoint b; savepoint c; insert into t values (40004, 'c'); release c; insert into t values (40005, 'b'); release b;
savepoint d; insert into t values (40006, 'lost'); savepoint e; insert into t values (40007, 'lost'); rollback to d;
insert into t values (40008, 'd'); update t set note = 'again' where id = 40001;
savepoint f; delete from t where id = 40002; truncate t; rollback to f;
savepoint g; update t set id = -id where id = 40003; rollback to g;
insert into t values (40009, 'last');
commit";

/// More subtransactions than a backend remembers, and errors that end half of them.
const MANY: &str = "
do $$ begin
  for i in 50001 .. 50300 loop
    begin
      insert into t values (i, 'kept');
      if i % 2 = 0 then
        insert into t values (i, 'twice');
      end if;
    exception when unique_violation then null;
    end;
  end loop;
end $$";

#[test]
fn subtransactions_that_are_spilled_rolled_back_or_hold_ddl_are_what_was_committed() {
    let place = Place::shared("spilled");
    // Sessions of this database, the walsender's too, keep little of a transaction in memory.
    place.sql(&format!(
        "alter database {} set logical_decoding_work_mem = '64kB'",
        place.name
    ));
    let tables = "create table t (id int primary key, note text);
                  create table u (id int primary key, a int, b text)";
    let it = Followed::on(place, tables, &["public.t", "public.u"]);
    let rows = |from: u32, to: u32| {
        format!(
            "insert into t select i, 'row ' || i || repeat('-', 60) from generate_series({from}, {to}) i;"
        )
    };
    for sql in [
        "insert into t values (0, 'first'); insert into u values (0, 0, 'first')".to_owned(),
        format!("begin; savepoint s; {} release s; commit", rows(1, 2000)),
        format!("begin; savepoint s; {} release s; {} commit", rows(2001, 4000), rows(4001, 6000)),
        format!("begin; {} savepoint s; {} release s; commit", rows(6001, 8000), rows(8001, 8001)),
        format!(
            "begin; savepoint s; {} release s; savepoint z; {} release z; commit",
            rows(8002, 10000),
            rows(10001, 12000)
        ),
        // Spilled and rolled back, inside and as a whole.
        format!(
            "begin; {} savepoint s; {} update t set note = 'lost'; rollback to s; {} commit",
            rows(12001, 12100),
            rows(12101, 14000),
            rows(12101, 12200)
        ),
        format!("begin; {} rollback", rows(30001, 32000)),
        // A column that comes, goes and changes inside of what is rolled back, and one that stays.
        format!(
            "begin; {} savepoint s; alter table t add column lost int default 5; {} alter table t alter note type varchar(90);
             {} rollback to s; alter table t add column n bigint; {} update t set n = id where id > 16000; commit",
            rows(15001, 15100),
            rows(15101, 16500),
            rows(16501, 16600),
            rows(16001, 16100),
        ),
        format!("begin; savepoint s; drop table u; {} rollback to s; insert into u values (1, 1, 'kept'); commit", rows(17001, 17002)),
        "begin; savepoint s; alter table u drop column a; insert into u values (2, 'lost'); rollback to s;
         alter table u alter a type text using 'text ' || a; insert into u values (2, 'two', 'kept'); commit"
            .to_owned(),
        // Locks give a transaction its number before the first row, in the top or in a part.
        "begin; select * from u for update; savepoint s; insert into u values (3, 'x', 'y'); commit".to_owned(),
        "begin; insert into u values (4, 'x', 'y'); savepoint s; select 1 from u for update limit 1; commit".to_owned(),
        "begin; select pg_current_xact_id(); savepoint s; insert into u values (5, 'x', 'y'); release s; commit".to_owned(),
        NESTED.to_owned(),
        format!("begin; savepoint top; {} insert into u values (6, 'deep', ''); release top; insert into u values (7, 'top', ''); commit", "savepoint a; ".repeat(80)),
        MANY.to_owned(),
    ] {
        it.place.sql(&sql);
    }
    it.agree("insert into u values (99, 'end', '')", 12_000);
    let spilled = it.place.value(&format!(
        "select spill_txns > 0 from pg_stat_replication_slots where slot_name = '{}'",
        it.place.slot()
    ));
    assert_eq!(spilled.as_deref(), Some("t"), "nothing was spilled");
}

#[test]
fn transactions_that_are_open_while_a_slot_is_made_come_once() {
    let place = Place::shared("open");
    place.sql("create table t (id int primary key, note text); create table log (a int); alter table log replica identity full");
    let mut checker = place.checker(&["public.t", "public.log"]);
    place
        .sql("insert into t values (1, 'old'), (2, 'old'), (3, 'old'); insert into log values (1)");
    let mut first = Session::connect(&place.url).unwrap();
    first
        .execute("begin; insert into t values (4, 'open'); update t set note = 'open' where id = 1; insert into log values (2)")
        .unwrap();
    let mut settings = place.all();
    settings.without_identity(&["public.log"]);
    let mut walferry = place.start(&settings);
    let waits = "select count(*) from pg_stat_activity where backend_type = 'walsender' and wait_event_type = 'Lock' \
                 and datname = current_database()";
    let begun = std::time::Instant::now();
    while place.value(waits).as_deref() == Some("0") {
        assert!(begun.elapsed() < READY, "no slot waits");
    }
    let mut second = Session::connect(&place.url).unwrap();
    second
        .execute("begin; savepoint s; delete from t where id = 2; insert into log values (3); release s; insert into t values (5, 'open')")
        .unwrap();
    first.execute("commit").unwrap();
    second.execute("commit").unwrap();
    checker.rules.start = Start::Snapshot(consistent_point(&mut walferry));
    walferry.wait_status("streaming", READY, done);
    place.drain("insert into t values (6, 'after')");
    let report = checker.verdict().unwrap();
    assert!(report.is_clean(), "{report}");
    audit_agrees(&place, &settings);
}

#[test]
fn rows_that_share_a_position_in_the_log_come_once_over_kills() {
    // COPY writes many rows as one record of the log: all of them have its position.
    let place = Place::shared("copied");
    place.sql("create table t (id int primary key, note text default 'n'); create table log (id int, note text);
         alter table log replica identity full");
    let checker = place.checker(&["public.t", "public.log"]);
    let mut settings = place.all();
    settings
        .without_identity(&["public.log"])
        .set_text("snapshot.mode", "never")
        .set("publish.memory_bytes_max", &(16 << 20).to_string())
        .set_text("publish.batch_bytes_max", "256 KiB");
    let mut walferry = place.streaming(&settings);
    for round in 0..3 {
        let (from, to) = (round * 40_000 + 1, (round + 1) * 40_000);
        place.sql(&format!(
            "begin; copy t (id) from program 'seq {from} {to}'; copy log (id) from program 'seq 1 100'; commit"
        ));
        walferry.wait_log_times("larger than a batch", 2, READY);
        walferry.kill9();
        walferry = place.streaming(&settings);
    }
    place.drain("insert into t values (0)");
    checker.verdict().unwrap().assert_clean(120_301);
    audit_agrees(&place, &settings);
}

#[test]
fn messages_of_what_is_rolled_back_are_told_only_outside_of_transactions() {
    let place = Place::shared("message_undone");
    place.sql("create table t (id int primary key)");
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    for sql in [
        "begin; insert into t values (1); select pg_logical_emit_message(true, 'in', 'lost');
         select pg_logical_emit_message(false, 'out', 'told'); rollback",
        "begin; savepoint s; select pg_logical_emit_message(true, 'in', 'lost too');
         select pg_logical_emit_message(false, 'out', 'told too'); rollback to s;
         select pg_logical_emit_message(true, 'in', 'kept'); commit",
        "select pg_logical_emit_message(true, '', '')",
        "select pg_logical_emit_message(false, 'large', repeat('m', 300000))",
    ] {
        place.sql(sql);
    }
    place.drain("insert into t values (2)");
    walferry.kill9();
    walferry = place.streaming(&settings);
    // The last that was received was a message outside of a transaction: the next change is not lost with it.
    place.sql("select pg_logical_emit_message(false, 'out', 'end')");
    walferry.kill9();
    let _walferry = place.streaming(&settings);
    place.drain("insert into t values (3)");
    assert_eq!(
        lines(&place, "public.t"),
        ["c id=2 | - | id=2", "c id=3 | - | id=3"]
    );
    let mut schemas = schemas(&place);
    let told: Vec<String> = read(&place, "message")
        .iter()
        .map(|record| {
            let value = schemas.decode(record.value.as_ref().unwrap());
            let text = format!("{:?}", value["message"]);
            text.chars().take(200).collect()
        })
        .collect();
    assert_eq!(told.len(), 6, "{told:?}");
    assert!(!format!("{told:?}").contains("lost"));
}

#[test]
fn transactions_that_interleave_are_whole_over_restarts_between_their_parts() {
    let place = Place::shared("interleaved");
    place.sql("create table long (id int primary key); create table short (id int primary key)");
    let checker = place.checker(&["public.long", "public.short"]);
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set("format.transaction_metadata", "true");
    let mut walferry = place.streaming(&settings);
    for round in 0..4 {
        let at = round * 100;
        let mut long = Session::connect(&place.url).unwrap();
        let rows = |from: i32| {
            format!(
                "insert into long select generate_series({}, {})",
                at + from,
                at + from + 4
            )
        };
        long.execute(&format!("begin; {}", rows(1))).unwrap();
        place.drain(&format!("insert into short values ({at})"));
        long.execute(&rows(6)).unwrap();
        if round % 2 == 0 {
            walferry.sigterm();
            assert_eq!(walferry.wait_exit(READY), Some(0));
        } else {
            walferry.kill9();
        }
        // The next change may stand where the last commit ended.
        long.execute(&rows(11)).unwrap();
        long.execute("commit").unwrap();
        place.sql(&format!("insert into short values ({})", at + 1));
        walferry = place.streaming(&settings);
    }
    place.drain("insert into short values (-1)");
    checker.verdict().unwrap().assert_clean(69);
    audit_agrees(&place, &settings);
}
