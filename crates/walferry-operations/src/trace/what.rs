//! What a person looks for: a transaction by its id or by an LSN, or the changes of a key.
//!
//! Owns: [`What`] and its three forms on a command line.

use std::str::FromStr;

use serde_json::{Map, Value};
use walferry_event::Lsn;

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The LSN of a change, of its commit, or of the end of that.
    Lsn(Lsn),
    /// A transaction id, as records have it: 32 bits.
    Xid(u32),
    /// Columns of a key and their values.
    Key(Map<String, Value>),
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<What, String> {
        if let Ok(id) = text.parse::<u64>() {
            // What pg_current_xact_id says has the epoch above.
            return Ok(What::Xid(id as u32));
        }
        if let Ok(lsn) = text.parse() {
            return Ok(What::Lsn(lsn));
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(key)) if !key.is_empty() => Ok(What::Key(key)),
            _ => Err(format!(
                "{text:?} is no LSN (16/B374D848), no transaction id (4711) and no key as JSON ({{\"id\":42}})"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_told_by_itself() {
        assert_eq!("4711".parse(), Ok(What::Xid(4711)));
        assert_eq!("4294967301".parse(), Ok(What::Xid(5)));
        let lsn = What::Lsn(Lsn(0x16_B374_D848));
        assert_eq!("16/B374D848".parse(), Ok(lsn));
        let Ok(What::Key(key)) = "{\"id\": 42}".parse() else {
            panic!("it is a key");
        };
        assert_eq!(key["id"], 42);
        for wrong in ["", "{}", "[1]", "x/y", "-1"] {
            assert!(wrong.parse::<What>().is_err(), "{wrong}");
        }
    }
}
