//! Families of scalar types: numbers, decimals, text, bits and bytes, moments, intervals, networks, ranges.

use rand::Rng;
use rand::rngs::StdRng;

use super::family::{Column, Family, column, since};
use super::modes::Modes;
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

fn numbers() -> Family {
    let integers = |min, max| random::integer(min, max);
    let columns = vec![
        column(
            "b",
            "boolean",
            choice(&["true", "false"]),
            text,
            &["true", "false"],
        ),
        column(
            "i2",
            "smallint",
            integers(i16::MIN.into(), i16::MAX.into()),
            text,
            &["-32768", "32767", "0"],
        ),
        column(
            "i4",
            "integer",
            integers(i32::MIN.into(), i32::MAX.into()),
            text,
            &["-2147483648", "2147483647"],
        ),
        column(
            "i8",
            "bigint",
            integers(i64::MIN, i64::MAX),
            text,
            &["-9223372036854775808", "9223372036854775807"],
        ),
        column(
            "o",
            "oid",
            integers(0, u32::MAX.into()),
            text,
            &["0", "4294967295"],
        ),
        column(
            "f4",
            "real",
            random::float(false),
            oracle::single,
            &[
                "NaN",
                "Infinity",
                "-Infinity",
                "-0",
                "3.4028235e38",
                "1e-45",
                "1.17549435e-38",
            ],
        ),
        column(
            "f8",
            "double precision",
            random::float(true),
            oracle::double,
            &[
                "NaN",
                "Infinity",
                "-Infinity",
                "-0",
                "1.7976931348623157e308",
                "5e-324",
                "0.1",
            ],
        ),
        column(
            "m",
            "money",
            random::decimal(16, 2),
            oracle::money,
            &["92233720368547758.07", "-92233720368547758.08"],
        ),
        column(
            "ms",
            "money",
            random::decimal(3, 2),
            oracle::money,
            &["0", "-0.01"],
        ),
    ];
    Family::of_modes("numbers", "", columns)
}

fn decimals() -> Family {
    let plain = |whole, fraction| random::decimal(whole, fraction);
    let columns = vec![
        column(
            "n",
            "numeric",
            plain(60, 60),
            oracle::variable_decimal,
            &["0", "100", "-0.50", "1e100", "1e-100", "10.00"],
        ),
        column(
            "n12_2",
            "numeric(12,2)",
            plain(10, 2),
            oracle::decimal,
            &["9999999999.99", "-9999999999.99", "0.01"],
        ),
        column(
            "n38_10",
            "numeric(38,10)",
            plain(28, 10),
            oracle::decimal,
            &["9999999999999999999999999999.9999999999"],
        ),
        column(
            "n18_0",
            "numeric(18)",
            plain(18, 0),
            oracle::decimal,
            &["999999999999999999", "-999999999999999999"],
        ),
        column(
            "n19_0",
            "numeric(19)",
            plain(19, 0),
            oracle::decimal,
            &["9999999999999999999", "-9223372036854775808"],
        ),
        column(
            "n100_50",
            "numeric(100,50)",
            plain(50, 50),
            oracle::decimal,
            &["0.00000000000000000000000000000000000000000000000001"],
        ),
        column(
            "price",
            "price",
            plain(6, 3),
            oracle::decimal,
            &["999999.999", "-0.001"],
        ),
        column(
            "small",
            "numeric",
            plain(2, 2),
            oracle::variable_decimal,
            &["127", "128", "-128", "-129"],
        ),
        since(
            15,
            column(
                "below",
                "numeric(5,-2)",
                plain(7, 0),
                oracle::decimal,
                &["9999900", "-100", "49"],
            ),
        ),
        since(
            15,
            column(
                "above",
                "numeric(2,4)",
                below_a_hundredth(),
                oracle::decimal,
                &["0.0099", "-0.0001"],
            ),
        ),
    ];
    Family::of_modes("decimals", "create domain price as numeric(9,3)", columns)
}

fn below_a_hundredth() -> Make {
    make(|random| format!("0.00{}", random::digits(random, 2)))
}

/// In the modes that can hold them.
fn no_numbers() -> Family {
    const NONE: &[&str] = &["NaN", "Infinity", "-Infinity", "0", "1.10"];
    // PostgreSQL lets no infinity into a column with a precision.
    const NAN: &[&str] = &["NaN", "0", "1.10"];
    let columns = vec![
        column("n", "numeric", choice(NONE), oracle::any_decimal, NONE),
        column(
            "n5_2",
            "numeric(5,2)",
            choice(NAN),
            oracle::any_decimal,
            NAN,
        ),
    ];
    Family {
        applies: |modes| modes.decimal != "precise",
        ..Family::plain("no_numbers", "", columns)
    }
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

const ALL_YEARS: (i64, i64) = (-4_712, 294_246);
/// What 64 bits of nanoseconds hold.
const NEAR_YEARS: (i64, i64) = (1_678, 2_261);

fn dates() -> Family {
    let columns = vec![
        column(
            "d",
            "date",
            random::date((-4_712, 5_874_896)),
            oracle::date,
            &[
                "infinity",
                "-infinity",
                "0044-03-15 BC",
                "5874897-12-31",
                "4714-11-24 BC",
                "1970-01-01",
                "2000-02-29",
            ],
        ),
        column(
            "t",
            "time",
            random::time(false),
            oracle::time,
            &["24:00:00", "00:00:00", "23:59:59.999999", "00:00:00.000001"],
        ),
        column(
            "t3",
            "time(3)",
            random::time(false),
            oracle::short_time,
            &["24:00:00", "23:59:59.999", "13:51:30.123"],
        ),
        column(
            "t0",
            "time(0)",
            random::time(false),
            oracle::short_time,
            &["23:59:59.9"],
        ),
        column(
            "tz",
            "timetz",
            random::time(true),
            oracle::zoned_time,
            &[
                "24:00:00+00",
                "24:00:00+02",
                "00:00:00+15:59:59",
                "23:59:59.999999-15:59:59",
                "04:05:11-08",
            ],
        ),
        column(
            "tz3",
            "timetz(3)",
            random::time(true),
            oracle::zoned_time,
            &["13:51:30.123+02:00"],
        ),
        column(
            "tz0",
            "timetz(0)",
            random::time(true),
            oracle::zoned_time,
            &["23:59:59.999999+00"],
        ),
        column(
            "near",
            "timestamp",
            random::timestamp(NEAR_YEARS, false),
            oracle::timestamp,
            &["infinity", "-infinity", "1970-01-01"],
        ),
        column(
            "near3",
            "timestamp(3)",
            random::timestamp(NEAR_YEARS, false),
            oracle::short_timestamp,
            &["infinity", "1969-12-31 23:59:59.999"],
        ),
    ];
    Family::of_modes("dates", "", columns)
}

fn moments() -> Family {
    const EDGES: &[&str] = &[
        "infinity",
        "-infinity",
        "4714-11-24 00:00:00 BC",
        "4713-01-01 00:00:00 BC",
        "0001-12-31 23:59:59.999999 BC",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59.999999",
        "10000-01-01 00:00:00",
        "1582-10-10 12:00:00",
        "1969-12-31 23:59:59.999999",
        "294247-01-01 23:59:59.999999",
    ];
    // Where no count is made of a moment, PostgreSQL's own last one is none too many.
    const ZONED: &[&str] = &[
        "infinity",
        "-infinity",
        "4714-11-24 00:00:00+00 BC",
        "294276-12-31 23:59:59.999999+00",
        "9999-12-31 23:59:59.999999-01",
        "0001-01-01 00:00:00+01",
        "2016-11-04 13:51:30.123456+02:00",
    ];
    let stamp = |zone| random::timestamp(ALL_YEARS, zone);
    let columns = vec![
        column("ts", "timestamp", stamp(false), oracle::timestamp, EDGES),
        column(
            "ts6",
            "timestamp(6)",
            stamp(false),
            oracle::timestamp,
            EDGES,
        ),
        column(
            "ts4",
            "timestamp(4)",
            stamp(false),
            oracle::timestamp,
            EDGES,
        ),
        column(
            "ts3",
            "timestamp(3)",
            stamp(false),
            oracle::short_timestamp,
            &["294247-01-01 23:59:59.999", "infinity", "-infinity"],
        ),
        column(
            "ts0",
            "timestamp(0)",
            stamp(false),
            oracle::short_timestamp,
            &["4713-01-01 00:00:00.5 BC", "infinity"],
        ),
        column(
            "tz",
            "timestamptz",
            stamp(true),
            oracle::zoned_timestamp,
            ZONED,
        ),
        column(
            "tz3",
            "timestamptz(3)",
            stamp(true),
            oracle::short_zoned_timestamp,
            &["infinity", "-infinity", "4714-11-24 00:00:00+00 BC"],
        ),
        column(
            "tz0",
            "timestamptz(0)",
            stamp(true),
            oracle::whole_zoned_timestamp,
            &["infinity", "2016-11-04 13:51:30+05:30"],
        ),
    ];
    Family {
        // Nanoseconds end in 2262, milliseconds and text with PostgreSQL itself.
        applies: |modes| modes.time != "nanoseconds",
        ..Family::plain("moments", "", columns)
    }
}

fn intervals() -> Family {
    const EDGES: &[&str] = &[
        "1 year 2 mons 3 days 04:05:06.78",
        "-1 years -2 mons +3 days -04:05:06.789",
        "00:00:00",
        "-00:00:00.5",
        "-00:01:00.000001",
        "1 mon -1 day",
        "250000 years",
    ];
    let of = |name, data_type| column(name, data_type, random::interval(), oracle::interval, EDGES);
    let columns = vec![
        of("i", "interval"),
        of("i6", "interval(6)"),
        of("i3", "interval(3)"),
        of("i0", "interval(0)"),
        of("months", "interval year to month"),
        of("seconds", "interval day to second(3)"),
        of("hours", "interval hour to minute"),
        of("span", "span"),
        since(
            17,
            column(
                "endless",
                "interval",
                choice(&["infinity", "-infinity", "1 day"]),
                oracle::interval,
                &["infinity", "-infinity"],
            ),
        ),
    ];
    Family::of_modes("intervals", "create domain span as interval", columns)
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

/// Two moments in one zone, so that their texts sort as they do.
fn same_zone(years: (i64, i64)) -> Make {
    random::range(random::timestamp(years, false))
}
