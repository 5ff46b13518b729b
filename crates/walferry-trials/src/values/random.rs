//! Random values in PostgreSQL's input form.
//!
//! Owns: one maker for each sort of type. A maker draws small and large values alike, so that lengths, signs and widths vary.
//! Never: a NUL in a text, a value beyond its type.

use rand::Rng;
use rand::rngs::StdRng;

/// Makes one value's text.
pub(super) type Make = Box<dyn Fn(&mut StdRng) -> String>;

pub(super) fn make(it: impl Fn(&mut StdRng) -> String + 'static) -> Make {
    Box::new(it)
}

/// An integer of any width between two ends.
pub(super) fn integer(min: i64, max: i64) -> Make {
    make(move |random| {
        let value: i64 = random.random::<i64>() >> random.random_range(0..64);
        value.clamp(min, max).to_string()
    })
}

/// A decimal of at most so many digits before and after the point.
pub(super) fn decimal(whole: usize, fraction: usize) -> Make {
    make(move |random| {
        let before = random.random_range(0..=whole);
        let after = random.random_range(0..=fraction);
        let sign = if random.random() { "-" } else { "" };
        format!(
            "{sign}0{}.{}0",
            digits(random, before),
            digits(random, after)
        )
    })
}

pub(super) fn digits(random: &mut StdRng, count: usize) -> String {
    (0..count)
        .map(|_| char::from(random.random_range(b'0'..=b'9')))
        .collect()
}

/// Any float of 32 or 64 bits.
pub(super) fn float(double: bool) -> Make {
    make(move |random| {
        if random.random_ratio(1, 3) {
            return format!(
                "{}",
                random.random_range(-1_000_000..1_000_000) as f64 / 1_000.0
            );
        }
        let (text, value) = if double {
            let value = f64::from_bits(random.random());
            (format!("{value:e}"), value)
        } else {
            let value = f32::from_bits(random.random());
            (format!("{value:e}"), f64::from(value))
        };
        match value {
            it if it.is_nan() => "NaN".to_owned(),
            f64::INFINITY => "Infinity".to_owned(),
            f64::NEG_INFINITY => "-Infinity".to_owned(),
            _ => text,
        }
    })
}

/// Letters of several widths, and those that quoting stumbles over.
pub(super) fn text(letters_max: usize) -> Make {
    const LETTERS: &[char] = &[
        'a', 'B', '7', ' ', '\'', '"', '\\', ',', '{', '}', '(', ')', '=', '>', ';', '\n', '\t',
        'ž', 'ß', '語', '😀', '\u{1}', '\u{7f}', '/', '<', '&', '%', '_', 'N', 'U', 'L',
    ];
    make(move |random| {
        let count = random.random_range(0..=letters_max);
        (0..count)
            .map(|_| LETTERS[random.random_range(0..LETTERS.len())])
            .collect()
    })
}

/// Plain letters and digits, at least one.
pub(super) fn word(random: &mut StdRng, letters_max: usize) -> String {
    let count = random.random_range(1..=letters_max);
    (0..count)
        .map(|_| char::from(random.random_range(b'a'..=b'z')))
        .collect()
}

pub(super) fn bytea(bytes_max: usize) -> Make {
    make(move |random| {
        let count = random.random_range(0..=bytes_max);
        let hex: String = (0..count)
            .map(|_| format!("{:02x}", random.random::<u8>()))
            .collect();
        format!("\\x{hex}")
    })
}

/// Bits, at least and at most so many.
pub(super) fn bits(least: usize, most: usize) -> Make {
    make(move |random| {
        let count = random.random_range(least..=most);
        let dense = random.random_range(1..=9);
        (0..count)
            .map(|_| {
                if random.random_ratio(dense, 10) {
                    '1'
                } else {
                    '0'
                }
            })
            .collect()
    })
}

/// A date in parts, years counted astronomically; every day from 1 to 28 exists.
fn date_parts(random: &mut StdRng, years: (i64, i64)) -> (i64, u32, u32) {
    let near = (years.0.max(1_500), years.1.min(2_500));
    let (first, last) = if random.random() { near } else { years };
    let year = random.random_range(first..=last);
    (
        year,
        random.random_range(1..=12),
        random.random_range(1..=28),
    )
}

/// `YYYY-MM-DD`, and what follows the time of day.
fn date_text((year, month, day): (i64, u32, u32)) -> (String, &'static str) {
    let (shown, era) = if year > 0 {
        (year, "")
    } else {
        (1 - year, " BC")
    };
    (format!("{shown:04}-{month:02}-{day:02}"), era)
}

pub(super) fn date(years: (i64, i64)) -> Make {
    make(move |random| {
        let (date, era) = date_text(date_parts(random, years));
        format!("{date}{era}")
    })
}

fn clock(random: &mut StdRng) -> String {
    let (hour, minute) = (random.random_range(0..24), random.random_range(0..60));
    let second = random.random_range(0..60);
    let fraction = random.random_range(0..=6);
    let fraction = match fraction {
        0 => String::new(),
        count => format!(".{}", digits(random, count)),
    };
    format!("{hour:02}:{minute:02}:{second:02}{fraction}")
}

fn offset(random: &mut StdRng) -> String {
    let sign = if random.random() { '+' } else { '-' };
    let (hour, minute) = (random.random_range(0..15), random.random_range(0..60));
    match random.random_range(0..3) {
        0 => "+00".to_owned(),
        1 => format!("{sign}{hour:02}:{minute:02}"),
        _ => format!(
            "{sign}{hour:02}:{minute:02}:{:02}",
            random.random_range(0..60)
        ),
    }
}

pub(super) fn time(zone: bool) -> Make {
    make(move |random| {
        let clock = clock(random);
        let offset = if zone { offset(random) } else { String::new() };
        format!("{clock}{offset}")
    })
}

pub(super) fn timestamp(years: (i64, i64), zone: bool) -> Make {
    make(move |random| {
        let (date, era) = date_text(date_parts(random, years));
        let clock = clock(random);
        let offset = if zone { offset(random) } else { String::new() };
        format!("{date} {clock}{offset}{era}")
    })
}

/// An interval whose count fits 64 bits.
pub(super) fn interval() -> Make {
    make(|random| {
        let mut part = |most: i64| {
            let wide = random.random_range(-most..=most);
            let narrow = random.random_range(-20..=20);
            [0, narrow, wide][random.random_range(0..3)]
        };
        let (years, months, days) = (part(200_000), part(11), part(10_000_000));
        let hours = part(500_000_000);
        let clock = clock(random);
        let (_, minutes) = clock.split_once(':').unwrap_or(("", "00:00"));
        let sign = if hours < 0 { "-" } else { "" };
        format!(
            "{years} years {months} mons {days} days {sign}{:02}:{minutes}",
            hours.abs()
        )
    })
}

/// One of these.
pub(super) fn choice(of: &'static [&'static str]) -> Make {
    make(move |random| of[random.random_range(0..of.len())].to_owned())
}

/// Array text with elements of one maker, sometimes NULL where that is allowed.
pub(super) fn array(element: Make, nulls: bool) -> Make {
    make(move |random| {
        let count = random.random_range(0..6);
        let items: Vec<String> = (0..count)
            .map(|_| {
                if nulls && random.random_ratio(1, 8) {
                    return "NULL".to_owned();
                }
                quoted(&element(random))
            })
            .collect();
        format!("{{{}}}", items.join(","))
    })
}

/// Two dimensions, or none.
pub(super) fn matrix(element: Make) -> Make {
    make(move |random| {
        let (rows, columns) = (random.random_range(0..4), random.random_range(1..4));
        let rows: Vec<String> = (0..rows)
            .map(|_| {
                let items: Vec<String> = (0..columns).map(|_| element(random)).collect();
                format!("{{{}}}", items.join(","))
            })
            .collect();
        format!("{{{}}}", rows.join(","))
    })
}

/// Text in double quotes, with a backslash before what would end them.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A range between two values of a maker of integers or of texts that sort as their values do.
pub(super) fn range(bound: Make) -> Make {
    make(move |random| {
        if random.random_ratio(1, 20) {
            return "empty".to_owned();
        }
        let mut ends = [bound(random), bound(random)];
        ends.sort_by(|a, b| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.total_cmp(&b),
            _ => a.cmp(b),
        });
        let [low, high] = ends.map(|end| {
            if random.random_ratio(1, 8) {
                String::new()
            } else {
                quoted(&end)
            }
        });
        let open = ["[", "("][random.random_range(0..2)];
        let close = ["]", ")"][random.random_range(0..2)];
        format!("{open}{low},{high}{close}")
    })
}

pub(super) fn multirange(bound: Make) -> Make {
    let range = range(bound);
    make(move |random| {
        let count = random.random_range(0..4);
        let ranges: Vec<String> = (0..count)
            .map(|_| range(random))
            .filter(|it| it != "empty")
            .collect();
        format!("{{{}}}", ranges.join(","))
    })
}
