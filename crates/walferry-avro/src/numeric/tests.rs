//! Decimal text to bytes, case by case.

use super::*;

fn bytes_of(write: impl FnOnce(&mut Vec<u8>) -> Written) -> Result<Vec<u8>, EncodeErrorKind> {
    let mut out = Vec::new();
    write(&mut out).map(|()| out)
}

/// The unscaled bytes of a decimal, without their length.
fn check(text: &str, scale: usize, expected: &[u8]) {
    let out = bytes_of(|out| decimal(out, text.as_bytes(), scale)).unwrap();
    let mut rest = &out[..];
    assert_eq!(
        wire::read_long(&mut rest),
        Some(expected.len() as i64),
        "{text}"
    );
    assert_eq!(rest, expected, "{text} at scale {scale}");
}

#[test]
fn decimals_are_as_short_as_their_value() {
    for (text, scale, expected) in [
        ("0", 0, &[0][..]),
        ("-0.00", 2, &[0]),
        ("1.5", 2, &[0, 150]),
        ("-0.01", 2, &[0xFF]),
        ("1.27", 2, &[0x7F]),
        ("1.28", 2, &[0, 0x80]),
        ("-1.28", 2, &[0x80]),
        ("-1.29", 2, &[0xFF, 0x7F]),
        ("10", 0, &[10]),
        ("1.500", 1, &[15]),
        ("00012", 0, &[12]),
        ("65536", 0, &[1, 0, 0]),
        ("9223372036854775807", 0, &i64::MAX.to_be_bytes()),
        ("-9223372036854775808", 0, &i64::MIN.to_be_bytes()),
        ("9223372036854775808", 0, &[0, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ("92233720368547758.08", 2, &[0, 0x80, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        check(text, scale, expected);
    }
}

#[test]
fn powers_of_two_at_every_width() {
    // Against 128-bit arithmetic where that reaches; shifted by scale zeros beyond it.
    for bits in 0..127 {
        for value in [1_i128 << bits, -(1_i128 << bits), (1_i128 << bits) - 1] {
            check(&value.to_string(), 0, minimal(&value.to_be_bytes()));
        }
    }
    // 2^200, so limbs: bit 200 is the lowest of the 26th byte.
    let mut expected = vec![0; 26];
    expected[0] = 1;
    check(
        "1606938044258990275541962092341162602522202993782792835301376",
        0,
        &expected,
    );
    // -2^199 needs its sign bit only.
    let mut expected = vec![0; 25];
    expected[0] = 0x80;
    check(
        "-803469022129495137770981046170581301261101496891396417650688",
        0,
        &expected,
    );
}

#[test]
fn a_row_is_never_rounded() {
    for (text, scale) in [("-0.005", 2), ("1.55", 1), ("0.1", 0)] {
        let written = bytes_of(|out| decimal(out, text.as_bytes(), scale));
        assert_eq!(written, Err(EncodeErrorKind::OutOfRange), "{text}");
    }
    for text in ["NaN", "Infinity", "-Infinity"] {
        let written = bytes_of(|out| decimal(out, text.as_bytes(), 2));
        assert_eq!(written, Err(EncodeErrorKind::OutOfRange));
        assert_eq!(
            bytes_of(|out| variable(out, text.as_bytes())),
            Err(EncodeErrorKind::OutOfRange)
        );
    }
    let huge = "9".repeat(DIGITS_MAX + 2);
    assert_eq!(
        bytes_of(|out| variable(out, huge.as_bytes())),
        Err(EncodeErrorKind::OutOfRange)
    );
}

#[test]
fn variable_scale_drops_zeros_of_the_fraction_only() {
    for (text, scale, unscaled) in [
        ("10", 0, &[10][..]),
        ("100", 0, &[100]),
        ("10.00", 0, &[10]),
        ("1.10", 1, &[11]),
        ("0.000", 0, &[0]),
        ("-0.50", 1, &[0xFB]),
    ] {
        let out = bytes_of(|out| variable(out, text.as_bytes())).unwrap();
        let mut rest = &out[..];
        assert_eq!(wire::read_long(&mut rest), Some(scale), "{text}");
        assert_eq!(
            wire::read_long(&mut rest),
            Some(unscaled.len() as i64),
            "{text}"
        );
        assert_eq!(rest, unscaled, "{text}");
    }
}

#[test]
fn the_most_digits_that_postgresql_holds() {
    let digits = format!("{}.{}", "7".repeat(131_072), "3".repeat(16_383));
    let out = bytes_of(|out| variable(out, digits.as_bytes())).unwrap();
    let mut rest = &out[..];
    assert_eq!(wire::read_long(&mut rest), Some(16_383));
    // 147455 digits of 3.3219 bits.
    let length = wire::read_long(&mut rest).unwrap();
    assert_eq!(length as usize, rest.len());
    assert_eq!(length, 61_230);
}

#[test]
fn integers_end_where_their_type_ends() {
    let int2 = |text: &str| {
        bytes_of(|out| integer(out, text.as_bytes(), i16::MIN.into(), i16::MAX.into()))
    };
    assert!(int2("32767").is_ok() && int2("-32768").is_ok());
    assert_eq!(int2("32768"), Err(EncodeErrorKind::OutOfRange));
    let int8 = |text: &str| bytes_of(|out| integer(out, text.as_bytes(), i64::MIN, i64::MAX));
    for value in [i64::MIN, i64::MAX, 0, -1] {
        let out = int8(&value.to_string()).unwrap();
        assert_eq!(wire::read_long(&mut &out[..]), Some(value));
    }
    assert_eq!(
        int8("9223372036854775808"),
        Err(EncodeErrorKind::OutOfRange)
    );
    for text in [
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "1.0",
        "--1",
        "0x1",
        "99999999999999999999",
    ] {
        assert_eq!(int8(text), Err(EncodeErrorKind::Malformed), "{text:?}");
    }
}

#[test]
fn floats_and_text_modes() {
    let of = |text: &str| bytes_of(|out| double(out, text.as_bytes()));
    assert_eq!(of("1e+300").unwrap(), 1e300_f64.to_le_bytes());
    assert_eq!(of("-0").unwrap(), (-0.0_f64).to_le_bytes());
    assert_eq!(of("-Infinity").unwrap(), f64::NEG_INFINITY.to_le_bytes());
    assert!(f64::from_le_bytes(of("NaN").unwrap().try_into().unwrap()).is_nan());
    for text in ["", "inf", "nan", "+1", "1e", "infinity", "1 ", "0x10"] {
        assert_eq!(of(text), Err(EncodeErrorKind::Malformed), "{text:?}");
    }
    let of = |value: &str| bytes_of(|out| text(out, value.as_bytes())).unwrap();
    assert_eq!(&of("1.10")[1..], b"1.10");
    assert_eq!(&of("NaN")[1..], b"NAN");
    assert_eq!(&of("-Infinity")[1..], b"NEGATIVE_INFINITY");
}

#[test]
fn defaults_are_rounded_as_postgresql_rounds() {
    for (text, scale, expected) in [
        ("0.0", 0, "0"),
        ("1.5", 2, "1.50"),
        ("-0.005", 2, "-0.01"),
        ("0.004", 2, "0.00"),
        ("9.995", 2, "10.00"),
        ("99.5", 0, "100"),
        ("12345.67891", 5, "12345.67891"),
    ] {
        assert_eq!(rounded(text, scale).as_deref(), Some(expected), "{text}");
    }
    assert_eq!(rounded("NaN", 2), None);
    assert_eq!(rounded("abc", 2), None);
}

#[test]
fn malformed_numbers() {
    for text in [
        "", "-", ".", "1.", ".5", "1.2.3", "1e5", "+1", "--1", "1 ", "abc", "١",
    ] {
        assert_eq!(
            parse(text.as_bytes()),
            Err(EncodeErrorKind::Malformed),
            "{text:?}"
        );
    }
}
