//! What surrounds the tables: settings of a database that bend what its sessions print, many tables and types that nobody
//! asks for, a server that shall end, sessions that change tables between the changes of another.

use std::time::Instant;

use walferry_stack::PostgresServer;
use walferry_testkit::checker::Session;

use super::{Followed, audit_agrees, with_postgres};
use crate::changes::lines;
use crate::options::show;
use crate::place::{DRAIN, Place, READY, own_postgres};
use crate::records::{read, schemas};
use crate::snapshots::done;

#[test]
fn settings_of_a_database_bend_no_value() {
    let place = Place::shared("bent");
    place.sql("create schema other; create type other.kind as enum ('a', 'b'); create table other.t (id int primary key)");
    for setting in [
        "datestyle = 'German, DMY'",
        "intervalstyle = 'sql_standard'",
        "timezone = 'Asia/Kolkata'",
        "bytea_output = 'escape'",
        "extra_float_digits = -10",
        "search_path = 'other'",
        "xmloption = 'document'",
        "quote_all_identifiers = on",
        "array_nulls = off",
        "client_encoding = 'LATIN1'",
        "client_min_messages = 'debug1'",
    ] {
        place.sql(&format!("alter database {} set {setting}", place.name));
    }
    place.sql(
        "create table public.t (id int primary key, a date default '2020-02-01', b timestamptz default '2020-02-01 12:00+00',
           c interval default '1 year 2 days 03:04:05', d bytea default '\\x00ff', e float8 default 0.1234567890123456,
           f other.kind default 'b', g xml default '<a/>', h int[] default array[1, null]::int[], i time, j tstzrange,
           k real default 0.33333334, l text default 'Ä')",
    );
    let row = "insert into public.t (id, i, j) values ({id}, '13:14:15', '[2020-01-01 00:00+00,2020-01-02 00:00+00)')";
    place.sql(&row.replace("{id}", "1"));
    let settings = place.settings(&["public.t"]);
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    place.drain(&row.replace("{id}", "2"));
    let told = lines(&place, "public.t");
    assert_eq!(told.len(), 2, "{told:?}");
    // What a session prints is the same in the snapshot and in the stream, and what any other database gives.
    let read = told[0].strip_prefix("r id=1 | - | id=1 ").unwrap();
    let streamed = told[1].strip_prefix("c id=2 | - | id=2 ").unwrap();
    assert_eq!(read, streamed);
    for part in [
        "a=18293",
        "b=1580558400000000",
        "c=31741445000000",
        "d=\\x00ff",
        "e=0.1234567890123456",
        "f=b",
        "i=47655000000",
        "j=[\"2020-01-01 00:00:00+00\",\"2020-01-02 00",
        "k=0.33333334",
        "l=Ä",
    ] {
        assert!(read.contains(part), "no {part} in {read}");
    }
    audit_agrees(&place, &settings);
}

#[test]
fn a_database_of_many_tables_and_types_is_started_on_quickly() {
    let place = Place::shared("crowd");
    place.sql(
        "create schema crowd; create table t (id int primary key); insert into t values (1);
         do $$ begin
           for i in 1 .. 1500 loop
             execute format('create type crowd.e%s as enum (''a'', ''b'')', i);
             execute format('create table crowd.t%s (id int, e crowd.e%s, c0 text, c1 int, c2 int, c3 int)', i, i);
           end loop;
         end $$",
    );
    let settings = place.settings(&["public.*"]);
    let begun = Instant::now();
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    // A second on a free machine; other tests run beside this one.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    // Changes of tables that nobody follows cost no description.
    place.sql("do $$ begin for i in 1 .. 1500 loop execute format('insert into crowd.t%s (id) values (1)', i); end loop; end $$");
    place.drain("insert into t values (2)");
    assert_eq!(lines(&place, "public.t").len(), 2);
}

#[test]
fn a_server_may_stop_in_order_while_a_table_waits_and_a_large_transaction_is_read() {
    let options = own_postgres()
        .setting("wal_sender_timeout", "4s")
        .setting("logical_decoding_work_mem", "64kB");
    let mut server = PostgresServer::start(options).unwrap();
    let place = Place::on(&with_postgres(&server), "ordered_stop");
    place.sql("create table waits (id int primary key, n numeric(9,2)); create table t (id int primary key, note text)");
    let checker = place.checker(&["public.t"]);
    let mut settings = place.all();
    settings
        .set_text("snapshot.mode", "never")
        .set_text("errors.policy", "park");
    let mut walferry = place.streaming(&settings);
    place.sql("insert into waits values (1, 'NaN')");
    walferry.wait_status("parked", READY, |it| {
        let tables = it["tables"].as_array().into_iter().flatten();
        tables.filter(|table| table["state"] == "parked").count() == 1
    });
    place.sql("insert into t select i, repeat('n', 200) from generate_series(1, 100000) i");
    let begun = Instant::now();
    server.terminate().unwrap();
    assert!(
        begun.elapsed() < READY,
        "the server waits for us: {:?}",
        begun.elapsed()
    );
    server.restart().unwrap();
    walferry.wait_status("streaming again", READY, |it| it["state"] == "streaming");
    place.sql("insert into t values (0)");
    let behind = Instant::now();
    loop {
        let status = walferry.status().unwrap_or_default();
        let tables = status["tables"].as_array().into_iter().flatten();
        let told = tables.filter(|table| table["name"] == "public.t");
        if told
            .filter_map(|table| table["changes"].as_u64())
            .sum::<u64>()
            >= 100_001
        {
            break;
        }
        assert!(behind.elapsed() < DRAIN, "{status}");
        std::thread::yield_now();
    }
    checker.verdict().unwrap().assert_clean(100_001);
}

#[test]
fn tables_change_their_form_between_the_changes_of_an_open_transaction() {
    let it = Followed::new(
        "between",
        "create table one (id int primary key, a int); create table two (id int primary key, a int, b text);
         create table three (id int primary key, a int)",
        &["public.one", "public.two", "public.three"],
    );
    let mut open = Session::connect(&it.place.url).unwrap();
    for (round, ddl) in [
        "alter table two alter a type float8",
        "alter table two alter a type text using a::text",
        "alter table two add column c int default 5",
        "alter table two add column d text default repeat('d', 3000)",
        "alter table two drop column c",
        "alter table two replica identity full",
        "alter table two rename column b to renamed",
        "begin; drop table two; create table two (id int primary key, other text); alter table two replica identity full; commit",
        "alter table two drop constraint two_pkey, add primary key (id)",
    ]
    .iter()
    .enumerate()
    {
        // The dropped table's successor is another table: that is a situation of its own.
        if ddl.contains("drop table") {
            continue;
        }
        let id = round * 10;
        open.execute(&format!("begin; insert into one values ({id}, 1)")).unwrap();
        it.place.sql(ddl);
        open.execute(&format!("insert into two (id) values ({id})")).unwrap();
        it.place.sql(&format!("insert into three values ({id}, 1)"));
        open.execute(&format!(
            "savepoint s; update two set a = '7' where id = {id}; release s; alter table three add column c{round} int default {round};
             insert into two (id) values ({}); insert into three (id) values ({})",
            id + 1,
            id + 1
        ))
        .unwrap();
        open.execute("commit").unwrap();
        it.place.sql(&format!("update three set a = 2 where id = {id}; delete from two where id = {}", id + 1));
    }
    it.agree("insert into one values (-1)", 60);
}

#[test]
fn columns_that_are_named_as_our_own_fields_are_columns() {
    let place = Place::shared("own_names");
    let columns = "op text, source text, before text, after text, ts_ms bigint, transaction text, lsn text, key int";
    place.sql(&format!(
        "create table t (id int primary key, {columns}); insert into t values (1, 'o', 's', 'b', 'a', 5, 't', 'l', 6)"
    ));
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    place.sql("update t set op = 'x', before = 'y'");
    place.drain("update t set id = 2");
    let row = |id: u32, op: &str, before: &str| {
        format!(
            "id={id} op={op} source=s before={before} after=a ts_ms=5 transaction=t lsn=l key=6"
        )
    };
    let told = lines(&place, "public.t");
    assert_eq!(told[0], format!("r id=1 | - | {}", row(1, "o", "b")));
    assert_eq!(told[1], format!("u id=1 | - | {}", row(1, "x", "y")));
    assert_eq!(told[4], format!("c id=2 | - | {}", row(2, "x", "y")));
    audit_agrees(&place, &settings);
}

#[test]
fn a_flat_record_does_not_hide_a_column_of_its_own_names() {
    let place = Place::shared("flat_names");
    place.sql("create table t (id int primary key, __op text, __deleted text); insert into t values (1, 'theirs', 'theirs')");
    let mut settings = place.all();
    settings.set_text("format.envelope", "flat");
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    place.drain("update t set __op = 'changed'");
    let mut schemas = schemas(&place);
    let told = read(&place, "public.t");
    for (record, (op, values)) in told.iter().zip([("r", 2), ("u", 1)]) {
        let fields = schemas.decode(record.value.as_ref().unwrap());
        let text = |name: &str| show(&fields[name]);
        assert_eq!(
            (text("__op").as_str(), text("__deleted").as_str()),
            (op, "false"),
            "{fields:?}"
        );
        let theirs = fields
            .values()
            .filter(|value| show(value) == "theirs")
            .count();
        assert_eq!(theirs, values, "{fields:?}");
    }
}

#[test]
fn types_of_one_name_in_two_schemas_are_two_types() {
    let place = Place::shared("type_names");
    place.sql(
        "create schema other;
         create type public.kind as enum ('x', 'y'); create domain other.kind as int;
         create type other.form as enum ('a', 'b'); create domain public.form as int;
         create type \"odd.name\" as enum ('new', 'open'); create type \"Quoted \"\"Type\" as enum ('q');
         create type \"table\" as (a int, b text); create type public.\"int4\" as enum ('not a number');
         create table t (id int primary key, a public.kind default 'x', b other.kind default 42, c other.form default 'a',
           d public.form default 100, e \"odd.name\" default 'new', f \"Quoted \"\"Type\" default 'q', g \"table\",
           h public.\"int4\" default 'not a number', i public.kind[] default '{x}', j other.kind[] default '{1}');
         insert into t (id, g) values (1, row(1, 'r'))",
    );
    let settings = place.all();
    let mut walferry = place.streaming(&settings);
    walferry.wait_status("snapshot", READY, done);
    place.sql("insert into t (id, g) values (2, row(1, 'r'))");
    place.drain("update t set a = 'y', b = 43, c = 'b', d = 101, e = 'open' where id = 1");
    let told = lines(&place, "public.t");
    assert_eq!(
        told[0].strip_prefix("r id=1 | - | id=1 "),
        told[1].strip_prefix("c id=2 | - | id=2 ")
    );
    assert!(told[0].contains("a=x b=42 c=a d=100 e=new f=q"), "{told:?}");
    assert!(told[0].contains("h=not a number"), "{told:?}");
    assert!(told[2].contains("a=y b=43 c=b d=101 e=open"), "{told:?}");
    audit_agrees(&place, &settings);
}
