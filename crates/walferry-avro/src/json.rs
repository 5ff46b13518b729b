//! JSON as text.
//!
//! Owns: how a string is quoted, for headers and for `hstore`.

/// A JSON string.
pub(crate) fn quoted(text: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(text);
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}
