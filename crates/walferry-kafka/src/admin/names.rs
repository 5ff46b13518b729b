//! Names of topics that Kafka takes for the same.
//!
//! Owns the comparison. Never asks the cluster.

use std::collections::HashSet;

use crate::{Error, error::Kind};

/// Kafka's metrics have one name for `.` and `_`, so a topic is refused whose name differs from another's in these alone.
pub(super) fn collide(there: &HashSet<String>, wanted: &[&str]) -> Result<(), Error> {
    for (at, name) in wanted.iter().enumerate() {
        if let Some(error) = collision(
            name,
            there
                .iter()
                .map(String::as_str)
                .chain(wanted[..at].iter().copied()),
        ) {
            return Err(error);
        }
    }
    Ok(())
}

/// Why a topic cannot be created beside those that there are; nothing when it can.
pub(super) fn collision<'a>(
    name: &str,
    mut others: impl Iterator<Item = &'a str>,
) -> Option<Error> {
    let plain = |name: &str| name.replace('.', "_");
    let mine = plain(name);
    let other = others.find(|other| *other != name && plain(other) == mine)?;
    Some(Error::new(
        Kind::Config,
        format!(
            "topic {name:?} cannot be created beside topic {other:?}: Kafka takes '.' and '_' for the same in the names of its \
             metrics, and refuses a topic whose name differs from another's in these alone; give one of the two tables \
             another name in [[table]] topic"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kafka_takes_for_the_same_are_told_before_anything_is_created() {
        let there = ["p.a_b".to_owned(), "other".to_owned()].into();
        let text = collide(&there, &["p.a.b"]).unwrap_err().to_string();
        assert!(
            text.contains("\"p.a.b\"") && text.contains("\"p.a_b\""),
            "{text}"
        );
        let text = collide(&HashSet::new(), &["p.a.b", "p_a_b"])
            .unwrap_err()
            .to_string();
        assert!(text.contains("\"p_a_b\""), "{text}");
        assert!(collide(&there, &["p.c", "p.d"]).is_ok());
    }
}
