//! Families of types that are made of others: enums, domains, arrays, composites, hstore, geometry.

use rand::Rng;
use rand::rngs::StdRng;

use super::family::{Column, Family, column};
use super::modes::Modes;
use super::oracle::{self, elements, text};
use super::random::{self, Make, choice, make};
use super::scalars::uuid;

pub(super) fn families() -> Vec<Family> {
    vec![enums(), arrays(), arrays_of_modes(), hstores(), geometry()]
}

const MOODS: &[&str] = &["sad", "ok", "happy", "it's \"odd\", really", "žluť"];

fn enums() -> Family {
    const TYPES: &str = r#"
        create type mood as enum ('sad', 'ok', 'happy', 'it''s "odd", really', 'žluť');
        create type pair as (a integer, "b-1" text, c numeric(7,2), m mood);
        create domain feeling as mood; create domain deep as feeling; create domain count as bigint check (value >= 0);
        create domain note as varchar(30); create domain notes as text[]"#;
    let quoted = |_: &Modes, it: &str| elements(it, "oracle.q(x::text)");
    let pair = |_: &Modes, it: &str| {
        format!(
            "case when {it}::text is not null then '{{a:' || coalesce(({it}).a::text, 'null') || ',b_1:' || \
             coalesce(oracle.q(({it}).\"b-1\"), 'null') || ',c:' || coalesce(({it}).c::text, 'null') || ',m:' || \
             coalesce(oracle.q(({it}).m::text), 'null') || '}}' end"
        )
    };
    let pairs = make(|random| {
        let number = random::integer(-1_000, 1_000)(random);
        let text = random::text(10)(random);
        let decimal = random::decimal(5, 2)(random);
        let mood = MOODS[random.random_range(0..MOODS.len())];
        let parts = [number, random::quoted(&text), decimal, random::quoted(mood)];
        let parts = parts.map(|it| {
            if random.random_ratio(1, 8) {
                String::new()
            } else {
                it
            }
        });
        format!("({})", parts.join(","))
    });
    let columns = vec![
        column("m", "mood", choice(MOODS), text, MOODS),
        column("f", "feeling", choice(MOODS), text, MOODS),
        column("d", "deep", choice(MOODS), text, MOODS),
        column(
            "ms",
            "mood[]",
            random::array(choice(MOODS), false),
            quoted,
            &["{}", "{sad,ok}"],
        ),
        column(
            "fs",
            "feeling[]",
            random::array(choice(MOODS), false),
            quoted,
            &["{}"],
        ),
        column(
            "c",
            "count",
            random::integer(0, i64::MAX),
            text,
            &["9223372036854775807", "0"],
        ),
        column("n", "note", random::text(30), text, &[""]),
        column(
            "ns",
            "notes",
            random::array(random::text(9), true),
            quoted,
            &["{NULL,\"NULL\",\"\"}"],
        ),
        column("p", "pair", pairs, pair, &["(,,,)", "(1,\"\",0.00,sad)"]),
    ];
    Family::plain("enums", TYPES, columns)
}

/// Arrays whose elements no mode has a say in.
fn arrays() -> Family {
    let array = random::array;
    let plain: oracle::Oracle = |_, it| elements(it, "x::text");
    let quoted: oracle::Oracle = |_, it| elements(it, "oracle.q(x::text)");
    let of = |name, data_type, element: Make, oracle| -> Column {
        column(
            name,
            data_type,
            array(element, true),
            oracle,
            &["{}", "{NULL}"],
        )
    };
    let columns = vec![
        of("i2", "smallint[]", random::integer(-32_768, 32_767), plain),
        of(
            "i4",
            "integer[]",
            random::integer(i32::MIN.into(), i32::MAX.into()),
            plain,
        ),
        of("i8", "bigint[]", random::integer(i64::MIN, i64::MAX), plain),
        of("o", "oid[]", random::integer(0, u32::MAX.into()), plain),
        of("b", "boolean[]", choice(&["t", "f"]), plain),
        of("f4", "real[]", random::float(false), |_, it| {
            elements(it, "oracle.f4(x)")
        }),
        of("f8", "float8[]", random::float(true), |_, it| {
            elements(it, "oracle.f8(x)")
        }),
        of("t", "text[]", random::text(12), quoted),
        of("v", "varchar(9)[]", random::text(9), quoted),
        of("c", "char(10)[]", random::text(5), |_, it| {
            elements(it, "oracle.q(rpad(x::text, 10))")
        }),
        of("n", "name[]", random::text(12), quoted),
        of("u", "uuid[]", uuid(), quoted),
        of(
            "jb",
            "jsonb[]",
            choice(&["{\"bar\": \"baz\"}", "[1, 2]", "\"\\\"\""]),
            quoted,
        ),
        of(
            "tz",
            "timestamptz[]",
            random::timestamp((1, 9_999), true),
            |modes, it| {
                elements(
                    it,
                    &format!("oracle.q({})", oracle::zoned_timestamp(modes, "x")),
                )
            },
        ),
        of("ttz", "timetz[]", random::time(true), |modes, it| {
            elements(it, &format!("oracle.q({})", oracle::zoned_time(modes, "x")))
        }),
        of(
            "r",
            "int4range[]",
            random::range(random::integer(-99, 99)),
            quoted,
        ),
        of("bits", "bit(9)[]", random::bits(9, 9), |_, it| {
            elements(it, "oracle.bits(x::text)")
        }),
        column(
            "deep",
            "integer[][]",
            random::matrix(random::integer(-999, 999)),
            |_, it| format!("array_to_json({it})::text"),
            &["{{1,2},{3,4}}", "{}"],
        ),
    ];
    Family::plain("arrays", "", columns)
}

/// The expression, in quotes where it is text.
fn words(is_text: bool, expression: String) -> String {
    if is_text {
        format!("oracle.q({expression})")
    } else {
        expression
    }
}

/// Arrays whose elements follow a mode.
fn arrays_of_modes() -> Family {
    let of = |name, data_type, element: Make, oracle| -> Column {
        column(
            name,
            data_type,
            random::array(element, true),
            oracle,
            &["{}", "{NULL}"],
        )
    };
    let columns = vec![
        of(
            "n",
            "numeric(10,2)[]",
            random::decimal(8, 2),
            |modes, it| {
                elements(
                    it,
                    &words(modes.decimal == "string", oracle::decimal(modes, "x")),
                )
            },
        ),
        of("nv", "numeric[]", random::decimal(20, 20), |modes, it| {
            elements(
                it,
                &words(
                    modes.decimal == "string",
                    oracle::variable_decimal(modes, "x"),
                ),
            )
        }),
        of("m", "money[]", random::decimal(9, 2), |modes, it| {
            elements(
                it,
                &words(modes.decimal == "string", oracle::money(modes, "x")),
            )
        }),
        of(
            "d",
            "date[]",
            random::date((-4_000, 20_000)),
            |modes, it| {
                elements(
                    it,
                    &words(modes.time == "isostring", oracle::date(modes, "x")),
                )
            },
        ),
        of("t", "time[]", random::time(false), |modes, it| {
            elements(
                it,
                &words(modes.time == "isostring", oracle::time(modes, "x")),
            )
        }),
        of(
            "ts",
            "timestamp[]",
            random::timestamp((1_678, 2_261), false),
            |modes, it| {
                elements(
                    it,
                    &words(modes.time == "isostring", oracle::timestamp(modes, "x")),
                )
            },
        ),
        of(
            "ts3",
            "timestamp(3)[]",
            random::timestamp((1_678, 2_261), false),
            |modes, it| {
                elements(
                    it,
                    &words(
                        modes.time == "isostring",
                        oracle::short_timestamp(modes, "x"),
                    ),
                )
            },
        ),
        of("i", "interval[]", random::interval(), |modes, it| {
            elements(
                it,
                &words(modes.interval == "string", oracle::interval(modes, "x")),
            )
        }),
        of("raw", "bytea[]", random::bytea(9), |modes, it| {
            elements(
                it,
                &words(modes.binary != "bytes", oracle::bytea(modes, "x")),
            )
        }),
    ];
    Family::of_modes("arrays_of_modes", "", columns)
}

fn hstores() -> Family {
    let pairs = make(|random| {
        let (key, value) = (random::text(6), random::text(10));
        let pairs: Vec<String> = (0..random.random_range(0..5))
            .map(|_| {
                let value = match random.random_ratio(1, 8) {
                    true => "NULL".to_owned(),
                    false => random::quoted(&value(random)),
                };
                format!("{}=>{value}", random::quoted(&key(random)))
            })
            .collect();
        pairs.join(",")
    });
    let columns = vec![column(
        "h",
        "hstore",
        pairs,
        oracle::hstore,
        &[
            "",
            "\"key_#1\"=>\"val 1\",\"key 2\"=>\" ##123 78\"",
            "a=>NULL",
            "\"\"=>\"\"",
        ],
    )];
    Family::of_modes("hstores", "create extension hstore", columns)
}

fn geometry() -> Family {
    let point = |random: &mut StdRng| {
        let number =
            |random: &mut StdRng| f64::from(random.random_range(-1_000_000..1_000_000)) / 1_000.0;
        format!("({},{})", number(random), number(random))
    };
    let points = move |count: usize, around: [&'static str; 2]| {
        make(move |random| {
            let points: Vec<String> = (0..count).map(|_| point(random)).collect();
            format!("{}{}{}", around[0], points.join(","), around[1])
        })
    };
    let columns = vec![
        column(
            "p",
            "point",
            points(1, ["", ""]),
            |_, it| format!("oracle.point({it})"),
            &["(0,0)", "(-0,1e300)"],
        ),
        column(
            "s",
            "lseg",
            points(2, ["[", "]"]),
            |_, it| format!("oracle.shape('lseg', '0200000002000000', array[{it}[0], {it}[1]])"),
            &[],
        ),
        column(
            "b",
            "box",
            points(2, ["", ""]),
            |_, it| {
                format!(
                    "oracle.shape('box', '030000000100000005000000', array[{it}[0], point(({it}[0])[0], ({it}[1])[1]), {it}[1], \
                     point(({it}[1])[0], ({it}[0])[1]), {it}[0]])"
                )
            },
            &["(0,0),(1,1)"],
        ),
        column(
            "c",
            "circle",
            make(move |random| format!("<{},{}>", point(random), random.random_range(0..1_000))),
            |_, it| {
                format!(
                    "'{{center:' || oracle.point(center({it})) || ',radius:' || oracle.f8(radius({it})) || '}}'"
                )
            },
            &["<(10,4),10>"],
        ),
        column(
            "l",
            "line",
            points(2, ["[", "]"]),
            |_, it| {
                let part = |at: u32| {
                    format!("oracle.f8(split_part(trim({it}::text, '{{}}'), ',', {at})::float8)")
                };
                format!(
                    "'{{a:' || {} || ',b:' || {} || ',c:' || {} || '}}'",
                    part(1),
                    part(2),
                    part(3)
                )
            },
            &["{1,2,3}"],
        ),
        column(
            "ps",
            "point[]",
            random::array(make(point), true),
            |_, it| elements(it, "oracle.point(x)"),
            &["{}", "{NULL}"],
        ),
    ];
    Family::plain("geometry", "", columns)
}
