//! Families of moments: dates, times, timestamps, intervals.

use super::family::{Family, column, since};
use super::oracle;
use super::random::{self, Make, choice};

pub(super) const ALL_YEARS: (i64, i64) = (-4_712, 294_246);
/// What 64 bits of nanoseconds hold.
pub(super) const NEAR_YEARS: (i64, i64) = (1_678, 2_261);

pub(super) fn dates() -> Family {
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

pub(super) fn moments() -> Family {
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

pub(super) fn intervals() -> Family {
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

/// Two moments in one zone, so that their texts sort as they do.
pub(super) fn same_zone(years: (i64, i64)) -> Make {
    random::range(random::timestamp(years, false))
}
