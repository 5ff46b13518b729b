//! The families of scalar types, and those of text, bits and bytes, networks and ranges.

use rand::Rng;
use rand::rngs::StdRng;

use super::family::{Column, Family, column};
use super::modes::Modes;
use super::moments::{dates, intervals, moments, same_zone};
use super::numbers::{decimals, no_numbers, numbers};
use super::oracle::{self, text};
use super::random::{self, Make, choice, make, word};

pub(super) fn families() -> Vec<Family> {
    vec![
        numbers(),
        decimals(),
        no_numbers(),
        texts(),
        bits(),
        dates(),
        moments(),
        intervals(),
        networks(),
        ranges(),
    ]
}

fn texts() -> Family {
    let json = |quote: bool| {
        make(move |random| {
            let inner = random::text(12)(random);
            let text = serde_json::Value::from(inner.as_str()).to_string();
            let number = random.random::<i64>() >> random.random_range(0..64);
            let space = if quote { "  " } else { "" };
            format!("{{\"a\":{space}{text}, \"n\": [{number}, null, true], \"\": {{}}}}")
        })
    };
    let xml = make(|random| {
        let (tag, body) = (word(random, 5), word(random, 20));
        format!("<{tag} a=\"{}\">{body} žš</{tag}>", random.random::<u16>())
    });
    let columns = vec![
        column(
            "t",
            "text",
            random::text(60),
            text,
            &["", " ", "NULL", "null", "\\N", "__debezium"],
        ),
        column("v", "varchar(20)", random::text(20), text, &["", "žš"]),
        column(
            "c",
            "char(7)",
            random::text(7),
            padded,
            &["", "a", "abcdefg"],
        ),
        column(
            "letter",
            "\"char\"",
            choice(&["a", "Z", " ", "\\"]),
            text,
            &["x"],
        ),
        column("n", "name", random::text(15), text, &["a name"]),
        column("ci", "citext", random::text(20), text, &["Hello World"]),
        column(
            "u",
            "uuid",
            uuid(),
            text,
            &["00000000-0000-0000-0000-000000000000"],
        ),
        column(
            "j",
            "json",
            json(true),
            text,
            &["{\"bar\": \"baz\"}", "null", " 1 ", "[]"],
        ),
        column(
            "jb",
            "jsonb",
            json(false),
            text,
            &["{\"b\": 1, \"a\": 2}", "null", "1e2"],
        ),
        column(
            "x",
            "xml",
            xml,
            text,
            &["<foo>bar</foo><foo>bar</foo>", "plain"],
        ),
        column(
            "ts",
            "tsvector",
            tsvector(),
            text,
            &["", "'it''s':1A 'cat'"],
        ),
        column(
            "tq",
            "tsquery",
            choice(&["'a' & 'b'", "!'c'", "'fat' <-> 'cat'"]),
            text,
            &["'a'"],
        ),
        column("lt", "ltree", ltree(), text, &["", "Top.Science"]),
        column(
            "isbn",
            "isbn",
            choice(&["978-0-393-04002-9", "0-393-04002-X"]),
            text,
            &["978-0-393-04002-9"],
        ),
    ];
    Family::plain(
        "texts",
        "create extension citext; create extension ltree; create extension isn",
        columns,
    )
}

/// A cast to text takes the blanks away that PostgreSQL shows.
fn padded(_: &Modes, it: &str) -> String {
    format!("rpad({it}::text, 7)")
}

pub(super) fn uuid() -> Make {
    make(|random| {
        let text = format!("{:032x}", random.random::<u128>());
        format!(
            "{}-{}-{}-{}-{}",
            &text[..8],
            &text[8..12],
            &text[12..16],
            &text[16..20],
            &text[20..]
        )
    })
}

fn tsvector() -> Make {
    make(|random| {
        let words: Vec<String> = (0..random.random_range(0..5))
            .map(|_| format!("{}:{}A", word(random, 6), random.random_range(1..100)))
            .collect();
        words.join(" ")
    })
}

fn ltree() -> Make {
    make(|random| {
        let labels: Vec<String> = (0..random.random_range(1..5))
            .map(|_| word(random, 6))
            .collect();
        labels.join(".")
    })
}

fn bits() -> Family {
    let columns = vec![
        column(
            "raw",
            "bytea",
            random::bytea(40),
            oracle::bytea,
            &["\\x", "\\x00", "\\xff", "\\x5c5c"],
        ),
        column(
            "raw2",
            "bytea",
            random::bytea(3),
            oracle::bytea,
            &["\\xfbff"],
        ),
        column(
            "one",
            "bit",
            random::bits(1, 1),
            oracle::one_bit,
            &["0", "1"],
        ),
        column(
            "seven",
            "bit(7)",
            random::bits(7, 7),
            oracle::bit,
            &["0000000", "1000000"],
        ),
        column("long", "bit(64)", random::bits(64, 64), oracle::bit, &[]),
        column(
            "longer",
            "bit(131)",
            random::bits(131, 131),
            oracle::bit,
            &[],
        ),
        column(
            "any",
            "varbit",
            random::bits(0, 80),
            oracle::varbit,
            &["", "0", "1", "00000000", "101"],
        ),
        column(
            "up_to",
            "varbit(24)",
            random::bits(0, 24),
            oracle::varbit,
            &["000000110000001000000001"],
        ),
        column(
            "up_to_one",
            "varbit(1)",
            random::bits(0, 1),
            oracle::one_bit,
            &["", "0", "1"],
        ),
    ];
    Family::of_modes("bits", "", columns)
}

/// As the type writes itself; the cast of an address to text adds a mask.
fn shown(_: &Modes, it: &str) -> String {
    format!("case when {it} is not null then format('%s', {it}) end")
}

fn networks() -> Family {
    let v4 = |random: &mut StdRng| {
        let [a, b, c, d] = random.random::<[u8; 4]>();
        format!("{a}.{b}.{c}.{d}")
    };
    let inet = make(move |random| match random.random_range(0..3) {
        0 => v4(random),
        1 => format!("{}/{}", v4(random), random.random_range(0..=32)),
        _ => {
            let groups: Vec<String> = (0..8)
                .map(|_| format!("{:x}", random.random::<u16>()))
                .collect();
            format!("{}/{}", groups.join(":"), random.random_range(0..=128))
        }
    });
    let cidr = make(|random| {
        let [a, b, c] = random.random::<[u8; 3]>();
        [
            format!("{a}.0.0.0/8"),
            format!("{a}.{b}.0.0/16"),
            format!("{a}.{b}.{c}.0/24"),
            format!("{a:x}{b:x}::/16"),
        ][random.random_range(0..3)]
        .clone()
    });
    let mac = |bytes: usize| {
        make(move |random| {
            let parts: Vec<String> = (0..bytes)
                .map(|_| format!("{:02x}", random.random::<u8>()))
                .collect();
            parts.join(":")
        })
    };
    let lsn = make(|random| {
        format!(
            "{:X}/{:X}",
            random.random::<u32>() >> 8,
            random.random::<u32>()
        )
    });
    let columns = vec![
        column(
            "i",
            "inet",
            inet,
            shown,
            &["192.168.2.0/12", "::1", "::ffff:1.2.3.4"],
        ),
        column(
            "c",
            "cidr",
            cidr,
            text,
            &["192.168.100.128/25", "2001:db8::/32"],
        ),
        column("m", "macaddr", mac(6), text, &["08:00:2b:01:02:03"]),
        column("m8", "macaddr8", mac(8), text, &["08:00:2b:01:02:03:04:05"]),
        column("l", "pg_lsn", lsn, text, &["0/0", "FFFFFFFF/FFFFFFFF"]),
        column(
            "x",
            "xid",
            random::integer(0, u32::MAX.into()),
            text,
            &["4294967295"],
        ),
        column(
            "x8",
            "xid8",
            random::integer(0, i64::MAX),
            text,
            &["18446744073709551615"],
        ),
        column(
            "s",
            "txid_snapshot",
            choice(&["10:20:10,14,15", "1:1:"]),
            text,
            &["10:10:"],
        ),
        column(
            "p",
            "jsonpath",
            choice(&["$", "$.\"a\"[*]"]),
            text,
            &["strict $"],
        ),
        column(
            "r",
            "regclass",
            choice(&["pg_class", "pg_type"]),
            text,
            &["pg_attribute"],
        ),
    ];
    Family::plain("networks", "", columns)
}

fn ranges() -> Family {
    let number = || random::integer(-1_000_000_000, 1_000_000_000);
    let decimals = || random::decimal(6, 3);
    let years = (1_700, 2_300);
    let day = || random::date((1_000, 9_999));
    let of =
        |name, data_type, make, edges| -> Column { column(name, data_type, make, text, edges) };
    let columns = vec![
        of(
            "r4",
            "int4range",
            random::range(number()),
            &["empty", "(,)", "[1000,6000)", "(1,5]"],
        ),
        of(
            "r8",
            "int8range",
            random::range(number()),
            &["[1000000,6000000)"],
        ),
        of(
            "rn",
            "numrange",
            random::range(decimals()),
            &["[5.3,6.3)", "[0,infinity]"],
        ),
        of(
            "rd",
            "daterange",
            random::range(day()),
            &["[2019-03-31,infinity)", "[2019-03-31,2019-04-30]"],
        ),
        of(
            "rt",
            "tsrange",
            same_zone(years),
            &["[2019-03-31 15:30:00,infinity)"],
        ),
        of(
            "rz",
            "tstzrange",
            same_zone(years),
            &["[2017-06-05 11:29:12.549426+00,)"],
        ),
        of(
            "m4",
            "int4multirange",
            random::multirange(number()),
            &["{}", "{[1,3),[5,7)}"],
        ),
        of(
            "mn",
            "nummultirange",
            random::multirange(decimals()),
            &["{(,)}"],
        ),
        of(
            "md",
            "datemultirange",
            random::multirange(day()),
            &["{[2019-03-31,infinity)}"],
        ),
        of("own", "floats", random::range(decimals()), &["[1.5,2.5]"]),
    ];
    Family::plain(
        "ranges",
        "create type floats as range (subtype = float8)",
        columns,
    )
}
