//! Any bytes as one pgoutput message; the first bit says whether it stands in a streamed piece.
//!
//! Invariants: no panic; what has been parsed can be walked, and has as many values as it says; a
//! message that is accepted is refused with a byte more.

#![no_main]

use libfuzzer_sys::fuzz_target;
use walferry_pgoutput::{Message, Old, Tuple, parse};

fuzz_target!(|data: &[u8]| {
    let Some((&flags, body)) = data.split_first() else {
        return;
    };
    let in_stream = flags & 1 != 0;
    let message = match parse(body, in_stream) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.to_string().starts_with("malformed "));
            return;
        }
    };
    walk(message);
    let longer = [body, &[0]].concat();
    assert!(
        parse(&longer, in_stream).is_err(),
        "{} takes any tail",
        message.name()
    );
});

fn walk(message: Message<'_>) {
    match message {
        Message::Insert(insert) => row(insert.new),
        Message::Update(update) => {
            if let Some(old) = update.old {
                old_row(old);
            }
            row(update.new);
        }
        Message::Delete(delete) => old_row(delete.old),
        Message::Relation(relation) => {
            let owned = relation.to_relation();
            assert_eq!(owned.columns.len(), relation.columns().count());
            assert!(!owned.schema.is_empty());
        }
        Message::Truncate(truncate) => {
            let _ = truncate.relations().count();
        }
        _ => {}
    }
}

fn old_row(old: Old<'_>) {
    match old {
        Old::Key(tuple) | Old::Full(tuple) => row(tuple),
    }
}

fn row(tuple: Tuple<'_>) {
    let mut out = Vec::new();
    tuple.datums(&mut out);
    assert_eq!(out.len(), tuple.len());
    assert_eq!(tuple.is_empty(), out.is_empty());
    assert!(tuple.iter().eq(out));
}
