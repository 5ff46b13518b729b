//! Keys of every type: a snapshot in small chunks finds its way from each key to the next, in the order that the server
//! gives them, beside changes, and the stream's keys are the snapshot's.

use super::{audit_agrees, of_op};
use crate::changes::lines;
use crate::place::{Place, READY};
use crate::snapshots::done;

/// A type, and its 25 keys as an expression of `i`.
const KEYS: &[(&str, &str)] = &[
    (
        "numeric",
        "case i when 1 then 'NaN' when 2 then 'Infinity' when 3 then '-Infinity' else (i / 3.0)::numeric end",
    ),
    (
        "numeric(9,2)",
        "case i when 1 then 'NaN' else i * 1.25 - 10 end",
    ),
    (
        "float8",
        "case i when 1 then 'NaN' when 2 then 'Infinity' when 3 then '1e-300' else i / 3.0 - 4 end",
    ),
    ("money", "(i - 12)::numeric::money * 1000000"),
    ("boolean", "i = 1"),
    (
        "text",
        "case i when 1 then '' when 2 then E'tab\\t' when 3 then 'quote '' back \\ slash' when 4 then 'ž€𝄞' else 'Key ' || i end",
    ),
    ("char(6)", "'k' || i"),
    (
        "citext",
        "chr(64 + i) || case when i % 2 = 0 then 'X' else 'x' end",
    ),
    ("bytea", "decode(lpad(to_hex(i * 11), 4, '0'), 'hex')"),
    ("bit(8)", "i::bit(8)"),
    ("uuid", "md5(i::text)::uuid"),
    (
        "date",
        "case i when 1 then 'infinity' when 2 then '-infinity' when 3 then '0044-03-15 BC' else date '2020-01-01' + i end",
    ),
    (
        "timetz",
        "('00:00:00.5' || case when i % 2 = 0 then '+' else '-' end || lpad((i / 2 % 12)::text, 2, '0') || case when i > 23 then ':30' else '' end)::timetz",
    ),
    (
        "timestamp",
        "case i when 2 then '0044-03-15 BC' else timestamp '2020-01-01' + i * interval '1 day 00:00:00.000001' end",
    ),
    (
        "timestamptz",
        "case i when 2 then '1600-01-01 00:00+00' else timestamptz '2020-01-01 00:00+00' + i * interval '1 day' end",
    ),
    ("interval", "i * interval '1 mon -2 days 00:00:01.5'"),
    ("inet", "inet '10.0.0.0/8' + i"),
    ("jsonb", "jsonb_build_object('k', i)"),
    ("text[]", "array['a\"b', i::text, '{x}']"),
    ("int4range", "int4range(i, i + 3)"),
    ("pg_lsn", "('0/' || to_hex(i * 100))::pg_lsn"),
    ("xid8", "(i::bigint * 1000000000)::text::xid8"),
    ("ltree", "('a.b' || i)::ltree"),
    ("code", "'c' || i"),
    ("mood", "(enum_range(null::mood))[i]"),
];

fn tables() -> String {
    let labels: Vec<String> = (1..=25).map(|i| format!("'l{}'", i * 7 % 26)).collect();
    let mut sql = format!(
        "create extension citext; create extension ltree; create domain code as varchar(8);
         create type mood as enum ({});",
        labels.join(", ")
    );
    for (number, (kind, key)) in KEYS.iter().enumerate() {
        sql += &format!(
            "create table k{number} (id {kind} primary key, n int);
             insert into k{number} select distinct on (1) x.* from (select ({key})::{} as id, i from generate_series(1, 25) i) x;",
            kind.split(" collate").next().unwrap_or(kind)
        );
    }
    sql + "create table four (a int, b text, c uuid, d timestamptz, n int, primary key (d, b, a, c));
           insert into four select i % 3, 'b' || i % 4, md5((i % 5)::text)::uuid, timestamptz '2020-01-01 00:00+00' + i % 2 * interval '1 h', i
             from generate_series(1, 60) i"
}

#[test]
fn keys_of_every_type_are_read_in_chunks() {
    let place = Place::shared("keys");
    place.sql(&tables());
    let mut settings = place.all();
    settings
        .set_text("format.decimal", "string")
        .set("snapshot.chunk_rows", "4")
        .set("snapshot.while_streaming", "true");
    let mut walferry = place.streaming(&settings);
    // Some of these come while their table is read, and some after it.
    for number in 0..KEYS.len() {
        place.sql(&format!(
            "update k{number} set n = -n where n in (3, 24); delete from k{number} where n = 10"
        ));
    }
    walferry.wait_status("snapshot", READY, done);
    place.drain("delete from four where n in (7, 50)");
    audit_agrees(&place, &settings);
    // What was read is more than what the changes alone would have told.
    for (number, (kind, _)) in KEYS.iter().enumerate() {
        let told = lines(&place, &format!("public.k{number}"));
        let rows = of_op(&told, "r").len();
        assert!(rows >= 20 || *kind == "boolean", "{kind}: {told:?}");
    }
}
