//! Names that Avro allows.
//!
//! A name is `[A-Za-z_][A-Za-z0-9_]*`. Every UTF-16 unit that does not fit becomes `_`, and one
//! that begins with a digit gets a `_` before it, as Debezium does for field names under an Avro
//! converter; the same rule holds here for each part of a namespace, which that connector writes
//! as it is and registries then refuse.
//! Source: Avro specification 1.12, "Names".

/// One name.
pub(crate) fn field(name: &str) -> String {
    let mut adjusted = String::with_capacity(name.len());
    for c in name.chars() {
        if c == '_' || c.is_ascii_alphanumeric() {
            if adjusted.is_empty() && c.is_ascii_digit() {
                adjusted.push('_');
            }
            adjusted.push(c);
        } else {
            // One underscore for each UTF-16 unit, which is how the names that consumers know
            // were made.
            adjusted.extend(std::iter::repeat_n('_', c.len_utf16()));
        }
    }
    if adjusted.is_empty() {
        adjusted.push('_');
    }
    adjusted
}

/// A name with its namespace, each part for itself.
pub(crate) fn dotted(name: &str) -> String {
    name.split('.').map(field).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_avro_does_not_allow_becomes_an_underscore() {
        for (name, expected) in [
            ("id", "id"),
            ("MixedCase9", "MixedCase9"),
            ("1st", "_1st"),
            ("9", "_9"),
            ("é1", "_1"),
            ("a-b c", "a_b_c"),
            ("žluť", "_lu_"),
            ("a😀", "a__"),
            ("", "_"),
        ] {
            assert_eq!(field(name), expected, "{name}");
        }
        assert_eq!(dotted("shop.My-Schema.1st"), "shop.My_Schema._1st");
        assert_eq!(dotted("a..b"), "a._.b");
    }
}
