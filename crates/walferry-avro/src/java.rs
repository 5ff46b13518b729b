//! Numbers in JSON as Java writes them, and the order of its hash tables.
//!
//! A registry compares schemas as text, so the default of a float is written as the schema that
//! consumers know has it: `0.5`, `123.0`, `1.234568E9`. (Java before 19 gave some floats a digit more than they need.)
//! Source: Java SE documentation, `Double.toString`.

/// A `double` default; `None` when JSON has no form for it.
pub(crate) fn double(value: f64) -> Option<String> {
    value
        .is_finite()
        .then(|| number(&format!("{value:e}"), value.abs()))
}

/// A `float` default.
pub(crate) fn single(value: f32) -> Option<String> {
    value
        .is_finite()
        .then(|| number(&format!("{value:e}"), f64::from(value.abs())))
}

/// `scientific` is `[-]d[.d]e[-]d`, the shortest digits that read back as the same number.
fn number(scientific: &str, magnitude: f64) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let point = |text: &str| {
        if text.contains('.') {
            text.into()
        } else {
            format!("{text}.0")
        }
    };
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let (sign, digits) = match mantissa.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", mantissa),
        };
        return format!("{sign}{}", shifted(digits, exponent.parse().unwrap_or(0)));
    }
    format!("{}E{exponent}", point(mantissa))
}

/// `d.ddd` with its point moved by `exponent` places, which is -3 to 6 here.
fn shifted(mantissa: &str, exponent: i32) -> String {
    let mut digits: Vec<char> = mantissa.chars().filter(|c| *c != '.').collect();
    let whole = if exponent < 0 {
        for _ in exponent..0 {
            digits.insert(0, '0');
        }
        1
    } else {
        exponent.unsigned_abs() as usize + 1
    };
    while digits.len() <= whole {
        digits.push('0');
    }
    digits.insert(whole, '.');
    digits.into_iter().collect()
}

/// Puts items into the order in which a `HashMap` that took them one by one gives them back: by bucket, and within one as
/// they came. The table doubles when it is three quarters full.
/// Source: Java SE documentation, `String.hashCode`, `HashMap`.
pub(crate) fn hash_order<T>(items: &mut [T], key: impl Fn(&T) -> &str) {
    let mut buckets = 16_usize;
    while items.len() > buckets / 4 * 3 {
        buckets *= 2;
    }
    items.sort_by_key(|item| {
        let hash = key(item).encode_utf16().fold(0_u32, |hash, unit| {
            hash.wrapping_mul(31).wrapping_add(u32::from(unit))
        });
        (hash ^ hash >> 16) as usize & (buckets - 1)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_a_hash_map_orders_them() {
        // As measured.
        let mut keys = ["a", "mm", "zz", "bbbb"];
        hash_order(&mut keys, |key| key);
        assert_eq!(keys, ["mm", "zz", "a", "bbbb"]);
    }

    #[test]
    fn as_java_writes_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1.5, "1.5"),
            (-2.0, "-2.0"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (123_456_789.123_456_79, "1.2345678912345679E8"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (-1.5e300, "-1.5E300"),
        ] {
            assert_eq!(double(value).as_deref(), Some(expected));
        }
        assert_eq!(single(1_234_567_890.5).as_deref(), Some("1.234568E9"));
        assert_eq!(double(f64::NAN), None);
        assert_eq!(single(f32::INFINITY), None);
    }
}
