//! Families of numbers: integers, floating point, decimals, and what is no number.

use super::family::{Family, column, since};
use super::oracle::{self, text};
use super::random::{self, Make, choice, make};

pub(super) fn numbers() -> Family {
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

pub(super) fn decimals() -> Family {
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
pub(super) fn no_numbers() -> Family {
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
