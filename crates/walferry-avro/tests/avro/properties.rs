//! Random values against independent arithmetic, and random bytes against panics.

use apache_avro::types::Value;
use proptest::prelude::*;
use walferry_avro::{BinaryMode, DecimalMode, EncodeErrorKind, IntervalMode, TimeMode};

use crate::harness::*;

/// The Julian day of a date by Fliegel and Van Flandern's formula, which is not the crate's way.
fn epoch_days(year: i64, month: i64, day: i64) -> i64 {
    // The formula holds for positive years: shift by whole eras of 400 years.
    let eras = 20;
    let year = year + 400 * eras;
    let a = (month - 14) / 12;
    let julian = (1461 * (year + 4800 + a)) / 4 + (367 * (month - 2 - 12 * a)) / 12
        - (3 * ((year + 4900 + a) / 100)) / 4
        + day
        - 32_075;
    julian - 2_440_588 - 146_097 * eras
}

/// A date and a time of day, in parts; every day from 1 to 28 exists.
fn stamp() -> impl Strategy<Value = (i64, i64, i64, i64, i64)> {
    (
        -4712_i64..294_277,
        1_i64..13,
        1_i64..29,
        0_i64..86_400,
        0_i64..1_000_000,
    )
}

/// As PostgreSQL writes it: the year of its era, zeros at the end of the fraction dropped.
fn text(stamp: (i64, i64, i64, i64, i64), offset: &str) -> String {
    let (year, month, day, second, us) = stamp;
    let (era_year, era) = if year > 0 {
        (year, "")
    } else {
        (1 - year, " BC")
    };
    let fraction = if us == 0 {
        String::new()
    } else {
        format!(".{us:06}").trim_end_matches('0').to_owned()
    };
    format!(
        "{era_year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}{fraction}{offset}{era}",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// As ISO 8601 has it: astronomical years with a sign outside 0 to 9999.
fn iso(stamp: (i64, i64, i64, i64, i64)) -> String {
    let (year, month, day, second, us) = stamp;
    let year = match year {
        0..=9_999 => format!("{year:04}"),
        10_000.. => format!("+{year}"),
        _ => format!("-{:04}", -year),
    };
    format!(
        "{year}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{us:06}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn decimals_come_back(digits in "[1-9][0-9]{0,60}", scale in 0_usize..30, negative: bool) {
        let width = digits.len().max(scale + 1);
        let padded = format!("{digits:0>width$}");
        let (whole, fraction) = padded.split_at(width - scale);
        let sign = if negative { "-" } else { "" };
        let point = if scale > 0 { "." } else { "" };
        let number = format!("{sign}{whole}{point}{fraction}");

        let fixed = Lone::new(column("c", NUMERIC, numeric(100, scale as i32)), &<_>::default());
        prop_assert_eq!(fixed.show(&number), format!("decimal {sign}{digits}"));

        let variable = Lone::new(column("c", NUMERIC, -1), &<_>::default());
        let Ok(Value::Record(fields)) = variable.text(number.as_bytes()) else {
            panic!("{number} gave no record");
        };
        let (Value::Int(found_scale), Value::Bytes(bytes)) = (&fields[0].1, &fields[1].1) else {
            panic!("{fields:?}");
        };
        let dropped = fraction.len() - fraction.trim_end_matches('0').len();
        prop_assert_eq!(*found_scale, (scale - dropped) as i32);
        let kept = &digits[..digits.len() - dropped];
        prop_assert_eq!(integer_text(bytes), format!("{sign}{kept}"));
    }

    #[test]
    fn integers_come_back(value: i64) {
        let lone = Lone::new(column("c", INT8, -1), &<_>::default());
        prop_assert_eq!(lone.show(&value.to_string()), format!("long {value}"));
        let narrow = Lone::new(column("c", INT4, -1), &<_>::default());
        let expected = match i32::try_from(value) {
            Ok(value) => format!("int {value}"),
            Err(_) => "error out_of_range".to_owned(),
        };
        prop_assert_eq!(narrow.show(&value.to_string()), expected);
    }

    #[test]
    fn floats_come_back(bits: u64) {
        let value = f64::from_bits(bits);
        let written = if value.is_nan() {
            "NaN".to_owned()
        } else if value.is_infinite() {
            if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
        } else {
            format!("{value:e}")
        };
        let lone = Lone::new(column("c", FLOAT8, -1), &<_>::default());
        let Ok(Value::Double(found)) = lone.text(written.as_bytes()) else {
            panic!("{written} gave no double");
        };
        prop_assert!(found == value || (found.is_nan() && value.is_nan()));
    }

    #[test]
    fn timestamps_come_back(stamp in stamp()) {
        let (year, month, day, second, us) = stamp;
        let days = epoch_days(year, month, day);
        let micros = i128::from(days * 86_400 + second) * 1_000_000 + i128::from(us);
        let expected = match i64::try_from(micros) {
            Ok(micros) => format!("long {micros}"),
            Err(_) => "error out_of_range".to_owned(),
        };
        let adaptive = Lone::new(column("c", TIMESTAMP, -1), &<_>::default());
        prop_assert_eq!(adaptive.show(&text(stamp, "")), expected);
        let dates = Lone::new(column("c", DATE, -1), &<_>::default());
        let date = text((year, month, day, 0, 0), "").replace(" 00:00:00", "");
        prop_assert_eq!(dates.show(&date), format!("int {days}"));
        let times = Lone::new(column("c", TIME, -1), &<_>::default());
        let clock = text((2000, 1, 1, second, us), "").split_off(11);
        prop_assert_eq!(times.show(&clock), format!("long {}", second * 1_000_000 + us));
    }

    #[test]
    fn instants_come_back_from_any_offset(stamp in stamp(), offset in -57_599_i64..57_600) {
        let lone = Lone::new(column("c", TIMESTAMPTZ, -1), &<_>::default());
        prop_assert_eq!(lone.show(&text(stamp, "+00")), format!("string {}", iso(stamp)));

        // The same instant in another zone: days 2 to 27 cannot leave their month.
        let (year, month, day, second, us) = stamp;
        let day = day.clamp(2, 27);
        let local = second + offset;
        let shown = (year, month, day + local.div_euclid(86_400), local.rem_euclid(86_400), us);
        let sign = if offset < 0 { '-' } else { '+' };
        let distance = offset.abs();
        let zone = format!(
            "{sign}{:02}:{:02}:{:02}",
            distance / 3_600,
            distance / 60 % 60,
            distance % 60
        );
        let zone = zone.strip_suffix(":00").map_or(zone.clone(), ToOwned::to_owned);
        prop_assert_eq!(
            lone.show(&text(shown, &zone)),
            format!("string {}", iso((year, month, day, second, us)))
        );
    }

    #[test]
    fn bytea_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let lone = Lone::new(column("c", BYTEA, -1), &<_>::default());
        let found = lone.text(format!("\\x{hex}").as_bytes());
        prop_assert_eq!(found, Ok(Value::Bytes(bytes)));
    }
}

proptest! {
    #[test]
    fn any_default_expression_gives_a_schema(
        expression in prop_oneof![
            any::<String>(),
            "[(]{0,2}E?'?[a-z0-9'.\\\\-]{0,8}'?(::[a-z \"(),.]{0,12}){0,2}[)]{0,2}",
        ],
        name: String,
        oid in prop::sample::select(&[BOOL, INT2, FLOAT4, NUMERIC, TEXT, DATE, TIMESTAMPTZ][..]),
        nullable: bool,
    ) {
        let column = default(column(&name, oid, -1), &expression);
        let column = if nullable { column } else { required(column) };
        let plan = plan(vec![column], &[0], &<_>::default());
        parse(plan.value_schema());
        parse(plan.key_schema().unwrap());
    }
}

/// Every type in every mode.
fn every_lone() -> Vec<Lone> {
    let mut lones = Vec::new();
    let plain = [
        BOOL,
        INT2,
        INT4,
        INT8,
        OID,
        FLOAT4,
        FLOAT8,
        TEXT,
        UUID,
        JSONB,
        TIMESTAMPTZ,
        TIMETZ,
        INTERVAL,
        MONEY,
        VARBIT,
    ];
    lones.extend(plain.map(|oid| Lone::new(column("c", oid, -1), &<_>::default())));
    for decimal in [
        DecimalMode::Precise,
        DecimalMode::String,
        DecimalMode::Double,
    ] {
        for modifier in [-1, numeric(12, 2), numeric(5, -2)] {
            let format = format(|format| format.decimal = decimal);
            lones.push(Lone::new(column("c", NUMERIC, modifier), &format));
        }
    }
    for time in TimeMode::WORDS {
        let format = format(|format| format.time = time.parse().unwrap());
        for (oid, modifier) in [
            (DATE, -1),
            (TIME, 3),
            (TIME, 6),
            (TIMESTAMP, 0),
            (TIMESTAMP, 6),
            (TIMESTAMPTZ, 3),
        ] {
            lones.push(Lone::new(column("c", oid, modifier), &format));
        }
    }
    let string = format(|format| format.interval = IntervalMode::String);
    lones.push(Lone::new(column("c", INTERVAL, -1), &string));
    for binary in BinaryMode::WORDS {
        let format = format(|format| format.binary = binary.parse().unwrap());
        lones.push(Lone::new(column("c", BYTEA, -1), &format));
    }
    lones
}

#[test]
fn damaged_text_is_an_error_or_a_record_and_never_a_panic() {
    let lones = every_lone();
    let samples = [
        "t",
        "-9223372036854775808",
        "NaN",
        "-Infinity",
        "1234567.89",
        "2016-11-04",
        "13:51:30.123456",
        "2016-11-04 13:51:30.123456",
        "2016-11-04 13:51:30.123456+00",
        "0044-03-15 12:00:00+05:30 BC",
        "294276-12-31 23:59:59.999999-15:59:59",
        "infinity",
        "-1 years -2 mons +3 days -04:05:06.789",
        "-$1,234.11",
        "0110",
        "13:51:30.123+05:30",
        "\\xdeadbeef",
        "a\\\\b\\000",
    ];
    // A sample with some bytes replaced, inserted or cut off; or nothing but noise.
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(&b"0123456789-+:. BCx\\"[..])
    ];
    let damage = prop::collection::vec((any::<prop::sample::Index>(), byte.clone(), 0..4_u8), 0..4);
    let damaged = prop_oneof![
        4 => (prop::sample::select(samples.to_vec()), damage).prop_map(|(sample, damage)| {
            let mut text = sample.as_bytes().to_vec();
            for (at, byte, how) in damage {
                let at = at.index(text.len() + 1);
                match how {
                    0 => text.truncate(at),
                    1 => text.insert(at, byte),
                    _ if at < text.len() => text[at] = byte,
                    _ => text.push(byte),
                }
            }
            text
        }),
        1 => prop::collection::vec(byte, 0..40),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(3_000));
    runner
        .run(&damaged, |text| {
            for lone in &lones {
                // A text that is accepted decodes whole; the harness sees to that.
                if let Err(kind) = lone.text(&text) {
                    prop_assert!(matches!(
                        kind,
                        EncodeErrorKind::Malformed
                            | EncodeErrorKind::OutOfRange
                            | EncodeErrorKind::Shape
                            | EncodeErrorKind::NotUtf8
                    ));
                }
            }
            Ok(())
        })
        .unwrap();
}
