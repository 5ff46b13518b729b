//! Three tables with a past and a stream of changes, and what they hold in the end, by PostgreSQL's own word.
//!
//! Owns: [`History`]. `plain` has the default identity, so that an update leaves TOASTed values out; `complete` has the full
//! one, without which Flink takes no update; `pairs` has a key of two columns. Never: random; the same at each run.
//! A value is compared as text that every language can write alike: floats by their bits, times in microseconds.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value as Json};
use walferry_testkit::checker::Session;
use walferry_testkit::process::Walferry;

use crate::place::Place;

/// Table → text of the key's columns → row.
pub(crate) type Tables = BTreeMap<String, BTreeMap<String, Json>>;

/// A finished history: its place, and the connector that has published all of it.
pub(crate) struct History {
    pub(crate) place: Place,
    _walferry: Walferry,
}

impl History {
    /// Rows from before the start, then a stream of changes; returns when all of it is published.
    pub(crate) fn publish(name: &str) -> History {
        let place = Place::shared(name);
        place.sql(SCHEMA);
        for table in TYPED {
            place.sql(&format!(
                "insert into {table} select (made(g)).* from generate_series(1, 400) g"
            ));
        }
        place.sql(
            "insert into pairs select g % 20, 'k' || g, 'v' || g from generate_series(1, 200) g",
        );
        let walferry = place.streaming(&place.all());
        for table in TYPED {
            place.sql(&STREAM.replace("{table}", table));
        }
        place.sql(PAIRS_STREAM);
        place.drain("insert into pairs values (99, 'last', null)");
        History {
            place,
            _walferry: walferry,
        }
    }

    /// What PostgreSQL holds.
    pub(crate) fn expected(&self, tables: &[&str]) -> Tables {
        let mut session = Session::connect(&self.place.url).unwrap();
        let mut expected = Tables::new();
        for table in tables {
            let columns = if TYPED.contains(table) {
                AS_TEXT
            } else {
                PAIRS_AS_TEXT
            };
            let query =
                format!("select row_to_json(it)::text from (select {columns} from {table}) it");
            let rows = expected.entry((*table).to_owned()).or_default();
            for row in session.query(&query).unwrap() {
                let row: Json = serde_json::from_str(row[0].as_deref().unwrap()).unwrap();
                rows.insert(key_of(row.as_object().unwrap()), row);
            }
            assert!(rows.len() > 100, "{table} has only {} rows", rows.len());
        }
        expected
    }

    /// Runs a client, which prints a line of JSON per row: `{"table": …, "row": {…}}`, and compares.
    pub(crate) fn compare(&self, tables: &[&str], client: &mut Command) {
        let output = client.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let mut found = Tables::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let line: Json = serde_json::from_str(line).unwrap();
            let rows = found
                .entry(line["table"].as_str().unwrap().to_owned())
                .or_default();
            let row = &line["row"];
            let before = rows.insert(key_of(row.as_object().unwrap()), row.clone());
            assert!(before.is_none(), "two rows with one key: {row}");
        }
        let expected = self.expected(tables);
        for table in tables {
            let (expected, found) = (&expected[*table], &found[*table]);
            let mut differences = BTreeMap::new();
            for (key, row) in expected {
                let other = found.get(key);
                let other = other.unwrap_or_else(|| panic!("{table}: no row {key}\n{errors}"));
                for (column, value) in row.as_object().unwrap() {
                    if &other[column] != value {
                        let example = format!("row {key} has {value}, found {}", other[column]);
                        differences.entry(column).or_insert(example);
                    }
                }
            }
            assert!(differences.is_empty(), "{table}: {differences:#?}");
            assert_eq!(expected.len(), found.len(), "{table} has rows too many");
        }
    }

    /// Topics of these tables.
    pub(crate) fn topics(&self, tables: &[&str]) -> Vec<String> {
        let topic = |table: &&str| self.place.topic(&format!("public.{table}"));
        tables.iter().map(topic).collect()
    }
}

/// The folder of the clients' sources.
pub(crate) fn source(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("consumers/clients")
        .join(name)
}

fn key_of(row: &Map<String, Json>) -> String {
    let columns = if row.contains_key("id") {
        &["id"][..]
    } else {
        &["a", "b"]
    };
    let texts: Vec<&str> = columns
        .iter()
        .map(|it| row[*it].as_str().unwrap())
        .collect();
    texts.join("/")
}

/// Tables of many types.
pub(crate) const TYPED: [&str; 2] = ["plain", "complete"];

const SCHEMA: &str = r#"
create type mood as enum ('sad', 'ok', 'happy');
create table plain (
  id bigint primary key, b bool, i2 smallint not null, i4 int not null default 7, i8 bigint, f4 real, f8 double precision,
  n numeric(12,2), nv numeric, t text, v varchar(80), c char(5), raw bytea, d date, tm time, tm3 time(3),
  ts timestamp, ts3 timestamp(3), tz timestamptz, u uuid, j json, jb jsonb, m mood, o inet, ints int[], words text[],
  p point);
alter table plain alter column t set storage external;
create table complete (like plain including all);
alter table complete replica identity full;
create table pairs (a int, b text, v text, primary key (a, b));
alter table pairs replica identity full;

-- A row that follows from its number; about every seventh value is null.
create function made(g bigint) returns plain language sql as $$
  select row(
    g,
    case when g % 7 = 0 then null else g % 2 = 0 end,
    ((g * 3571) % 65536 - 32768)::smallint,
    ((g * 1000003) % 4294967296 - 2147483648)::int,
    case when g % 7 = 1 then null when g % 50 = 2 then -9223372036854775808 else g * 1000000007 end,
    case when g % 50 = 3 then 'NaN' when g % 50 = 4 then '-Infinity' else (g * 1.1)::real end,
    case when g % 50 = 5 then 'Infinity' when g % 50 = 6 then '-0'::float8 else g / 3.0 end,
    case when g % 7 = 2 then null else (g * 12.34 - 3000)::numeric(12,2) end,
    case when g % 7 = 3 then null else (g::numeric / 8) * power(10::numeric, g % 20) end,
    case when g % 7 = 4 then null when g % 40 = 5 then repeat('toast ' || g, 2000) else 'grün "' || g || '" \ 雪' end,
    case when g % 7 = 5 then '' else md5(g::text) end,
    'c' || g % 100,
    case when g % 7 = 6 then null else decode(md5(g::text), 'hex') end,
    date '2000-02-29' + (g * 37 - 20000)::int,
    time '00:00' + g * interval '191.000017 second',
    (time '00:00' + g * interval '191.017 second')::time(3),
    timestamp '1999-12-31 23:59:59.999999' + g * interval '100000.000001 second',
    timestamp '1999-12-31 23:59:59' + g * interval '1.001 second',
    timestamptz '1969-12-31 23:59:59.5+00' + g * interval '12345.678901 second',
    md5(g::text)::uuid,
    json_build_object('g', g, 'text', 'a"b'),
    case when g % 7 = 0 then null else jsonb_build_array(g, null, true) end,
    (array['sad', 'ok', 'happy'])[1 + g % 3]::mood,
    '10.0.0.0'::inet + g,
    case when g % 7 = 1 then null when g % 7 = 2 then '{}' else array[g::int, null, -g::int] end,
    array['w' || g, null, 'a "q", \b'],
    case when g % 7 = 3 then null else point(g / 2.0, -g) end)::plain
$$;
"#;

/// A transaction per step: new rows, changes that leave TOASTed values alone and some that do not, deletes, keys that change.
const STREAM: &str = "
do $$ declare i bigint; begin
  for i in 1..200 loop
    insert into {table} select (made(1000 + i)).*;
    update {table} set i4 = i, ts3 = ts3 + interval '1 day', ints = ints || i::int where id = (i * 7919) % 400;
    update {table} set b = not b, n = n + 0.01, words = array['changed', words[1]], p = point(i, i)
      where id % 97 = i % 97;
    update {table} set t = 'short again ' || i where id = i + 3;
    if i % 5 = 0 then delete from {table} where id = (i * 104729) % 400; end if;
    if i % 10 = 0 then update {table} set id = 5000 + i, t = 'moved' where id = i; end if;
    if i % 25 = 0 then insert into {table} (id, i2) values (9000 + i, i); end if;
    commit;
  end loop;
end $$";

const PAIRS_STREAM: &str = "
do $$ declare i int; begin
  for i in 1..100 loop
    insert into pairs values (i, 'new', null);
    update pairs set v = 'changed ' || i where a = i % 20;
    if i % 10 = 0 then delete from pairs where b = 'k' || i; end if;
    if i % 15 = 0 then update pairs set a = a + 1000 where b = 'k' || i + 1; end if;
    commit;
  end loop;
end $$";

const AS_TEXT: &str = "
  id::text, b::text, i2::text, i4::text, i8::text, encode(float4send(f4), 'hex') f4, encode(float8send(f8), 'hex') f8,
  n::text, trim_scale(nv)::text nv, t, v, rpad(c::text, 5) c, encode(raw, 'hex') raw, d::text, (extract(epoch from tm) * 1000000)::bigint::text tm,
  (extract(epoch from tm3) * 1000000)::bigint::text tm3, (extract(epoch from ts) * 1000000)::bigint::text ts,
  (extract(epoch from ts3) * 1000000)::bigint::text ts3, (extract(epoch from tz) * 1000000)::bigint::text tz,
  u::text, j::text, jb::text, m::text, host(o) o, to_json(ints)::text ints, to_json(words)::text words,
  encode(float8send(p[0]), 'hex') || ',' || encode(float8send(p[1]), 'hex') p";

const PAIRS_AS_TEXT: &str = "a::text, b, v";
