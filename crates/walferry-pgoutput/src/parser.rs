//! The parser of each message, with its box above it.
//!
//! Owns [`parse`]. Never: keeps state between messages.
//! Invariant: a message is read to its last byte, or it is an error.
//! Source: PostgreSQL documentation, "Logical Replication Message Formats".
//!
//! In the boxes `str` is text up to a zero byte, `lsn` a u64, `time` an i64 of microseconds since
//! 2000; all numbers are big-endian. `xid?` is there only inside a streamed transaction.

use crate::{
    Begin, BeginPrepare, Commit, Delete, Error, Insert, LogicalMessage, Message, Old, Origin,
    Prepare, Prepared, RelationMessage, RolledBack, StreamAbort, StreamStart, Truncate, Tuple,
    TypeMessage, Update, cursor::Cursor,
};

/// Parses one message of the output plugin.
///
/// `in_stream`: the message stands between Stream Start and Stream Stop, where changes carry their
/// transaction's id. The bytes do not show it, so the caller has to know.
///
/// # Errors
/// The bytes are not exactly one message of protocol 1 to 4.
#[inline]
pub fn parse(body: &[u8], in_stream: bool) -> Result<Message<'_>, Error> {
    let mut cursor = Cursor::new(body, "pgoutput");
    let message = match cursor.u8("a tag")? {
        b'I' => Message::Insert(insert(&mut cursor, in_stream)?),
        b'U' => Message::Update(update(&mut cursor, in_stream)?),
        b'D' => Message::Delete(delete(&mut cursor, in_stream)?),
        b'B' => Message::Begin(begin(&mut cursor)?),
        b'C' => {
            cursor.name("Commit");
            Message::Commit(commit(&mut cursor)?)
        }
        tag => rare(tag, &mut cursor, in_stream)?,
    };
    // A field that a later protocol appends may change what the message means, so it is an error.
    cursor.end()?;
    Ok(message)
}

fn rare<'a>(tag: u8, cursor: &mut Cursor<'a>, in_stream: bool) -> Result<Message<'a>, Error> {
    Ok(match tag {
        b'R' => {
            cursor.name("Relation");
            let xid = xid(cursor, in_stream)?;
            Message::Relation(RelationMessage::parse(cursor, xid)?)
        }
        b'Y' => Message::Type(type_message(cursor, in_stream)?),
        b'O' => Message::Origin(origin(cursor)?),
        b'T' => Message::Truncate(truncate(cursor, in_stream)?),
        b'M' => Message::Logical(logical(cursor, in_stream)?),
        b'S' => Message::StreamStart(stream_start(cursor)?),
        b'E' => stream_stop(cursor),
        b'c' => stream_commit(cursor)?,
        b'A' => Message::StreamAbort(stream_abort(cursor)?),
        b'b' => Message::BeginPrepare(begin_prepare(cursor)?),
        b'P' => {
            cursor.name("Prepare");
            Message::Prepare(prepare(cursor)?)
        }
        b'p' => {
            cursor.name("Stream Prepare");
            Message::StreamPrepare(prepare(cursor)?)
        }
        b'K' => Message::CommitPrepared(commit_prepared(cursor)?),
        b'r' => Message::RollbackPrepared(rollback_prepared(cursor)?),
        _ => return Err(Error::new("pgoutput", 0, "a known message tag")),
    })
}

fn xid(cursor: &mut Cursor<'_>, in_stream: bool) -> Result<Option<u32>, Error> {
    if in_stream {
        cursor.u32("the transaction id").map(Some)
    } else {
        Ok(None)
    }
}

// Begin  ┌───┬────────────────┬──────────────┬──────────┐
//        │'B'│ final lsn: lsn │ commit: time │ xid: u32 │
//        └───┴────────────────┴──────────────┴──────────┘
fn begin(cursor: &mut Cursor<'_>) -> Result<Begin, Error> {
    cursor.name("Begin");
    Ok(Begin {
        final_lsn: cursor.lsn("the commit LSN")?,
        commit_us: cursor.time_us("the commit time")?,
        xid: cursor.u32("the transaction id")?,
    })
}

// Commit ┌───┬───────────┬─────────────────┬──────────────┬──────────────┐
//        │'C'│ flags: u8 │ commit lsn: lsn │ end lsn: lsn │ commit: time │
//        └───┴───────────┴─────────────────┴──────────────┴──────────────┘
fn commit(cursor: &mut Cursor<'_>) -> Result<Commit, Error> {
    Ok(Commit {
        flags: cursor.u8("the flags")?,
        commit_lsn: cursor.lsn("the commit LSN")?,
        end_lsn: cursor.lsn("the end LSN")?,
        commit_us: cursor.time_us("the commit time")?,
    })
}

// Origin ┌───┬─────────────────┬───────────┐
//        │'O'│ commit lsn: lsn │ name: str │
//        └───┴─────────────────┴───────────┘
fn origin<'a>(cursor: &mut Cursor<'a>) -> Result<Origin<'a>, Error> {
    cursor.name("Origin");
    Ok(Origin {
        commit_lsn: cursor.lsn("the commit LSN at the origin")?,
        name: cursor.text("the origin's name")?,
    })
}

// Type   ┌───┬───────────┬──────────┬─────────────┬───────────┐
//        │'Y'│ xid?: u32 │ oid: u32 │ schema: str │ name: str │
//        └───┴───────────┴──────────┴─────────────┴───────────┘
fn type_message<'a>(cursor: &mut Cursor<'a>, in_stream: bool) -> Result<TypeMessage<'a>, Error> {
    cursor.name("Type");
    Ok(TypeMessage {
        xid: xid(cursor, in_stream)?,
        oid: cursor.u32("the type's oid")?,
        schema: cursor.text("the schema name")?,
        name: cursor.text("the type's name")?,
    })
}

// Insert ┌───┬───────────┬───────────────┬───┬───────────┐
//        │'I'│ xid?: u32 │ relation: u32 │'N'│ TupleData │
//        └───┴───────────┴───────────────┴───┴───────────┘
fn insert<'a>(cursor: &mut Cursor<'a>, in_stream: bool) -> Result<Insert<'a>, Error> {
    cursor.name("Insert");
    let xid = xid(cursor, in_stream)?;
    let relation = cursor.u32("the relation's oid")?;
    Ok(Insert {
        xid,
        relation,
        new: new_tuple(cursor)?,
    })
}

fn new_tuple<'a>(cursor: &mut Cursor<'a>) -> Result<Tuple<'a>, Error> {
    cursor.code("'N' before the new row", |kind| {
        (kind == b'N').then_some(())
    })?;
    Tuple::parse(cursor)
}

// Update ┌───┬───────────┬───────────────┬────────────────────┬───┬───────────┐
//        │'U'│ xid?: u32 │ relation: u32 │ 'K'|'O' TupleData? │'N'│ TupleData │
//        └───┴───────────┴───────────────┴────────────────────┴───┴───────────┘
fn update<'a>(cursor: &mut Cursor<'a>, in_stream: bool) -> Result<Update<'a>, Error> {
    cursor.name("Update");
    let xid = xid(cursor, in_stream)?;
    let relation = cursor.u32("the relation's oid")?;
    let before_kind = *cursor;
    let (old, new) = match cursor.u8("'K', 'O' or 'N'")? {
        b'N' => (None, Tuple::parse(cursor)?),
        b'K' => (Some(Old::Key(Tuple::parse(cursor)?)), new_tuple(cursor)?),
        b'O' => (Some(Old::Full(Tuple::parse(cursor)?)), new_tuple(cursor)?),
        _ => return Err(before_kind.error("'K', 'O' or 'N'")),
    };
    Ok(Update {
        xid,
        relation,
        old,
        new,
    })
}

// Delete ┌───┬───────────┬───────────────┬─────────┬───────────┐
//        │'D'│ xid?: u32 │ relation: u32 │ 'K'|'O' │ TupleData │
//        └───┴───────────┴───────────────┴─────────┴───────────┘
fn delete<'a>(cursor: &mut Cursor<'a>, in_stream: bool) -> Result<Delete<'a>, Error> {
    cursor.name("Delete");
    let xid = xid(cursor, in_stream)?;
    let relation = cursor.u32("the relation's oid")?;
    let before_kind = *cursor;
    let old = match cursor.u8("'K' or 'O'")? {
        b'K' => Old::Key(Tuple::parse(cursor)?),
        b'O' => Old::Full(Tuple::parse(cursor)?),
        _ => return Err(before_kind.error("'K' or 'O'")),
    };
    Ok(Delete { xid, relation, old })
}

// Truncate ┌───┬───────────┬────────┬─────────────┬─────────────┐
//          │'T'│ xid?: u32 │ n: u32 │ options: u8 │ n oids: u32 │
//          └───┴───────────┴────────┴─────────────┴─────────────┘
//          option 1: CASCADE, 2: RESTART IDENTITY
fn truncate<'a>(cursor: &mut Cursor<'a>, in_stream: bool) -> Result<Truncate<'a>, Error> {
    cursor.name("Truncate");
    let xid = xid(cursor, in_stream)?;
    let relations = cursor.u32("the number of relations")? as usize;
    let options = cursor.u8("the options")?;
    // Where the product does not fit, neither do the bytes.
    let oids = cursor.take(
        relations.saturating_mul(4),
        "as many oids as the number says",
    )?;
    let (oids, _) = oids.as_chunks::<4>();
    Ok(Truncate {
        xid,
        cascade: options & 1 != 0,
        restart_identity: options & 2 != 0,
        oids,
    })
}

// Message ┌───┬───────────┬───────────┬──────────┬─────────────┬──────────┬───────────┐
//         │'M'│ xid?: u32 │ flags: u8 │ lsn: lsn │ prefix: str │ len: u32 │ len bytes │
//         └───┴───────────┴───────────┴──────────┴─────────────┴──────────┴───────────┘
//         flag 1: transactional
fn logical<'a>(cursor: &mut Cursor<'a>, in_stream: bool) -> Result<LogicalMessage<'a>, Error> {
    cursor.name("Message");
    let xid = xid(cursor, in_stream)?;
    let flags = cursor.u8("the flags")?;
    let lsn = cursor.lsn("the message's LSN")?;
    let prefix = cursor.text("the prefix")?;
    let len = cursor.u32("the length of the content")? as usize;
    Ok(LogicalMessage {
        xid,
        transactional: flags & 1 != 0,
        lsn,
        prefix,
        content: cursor.take(len, "as many bytes as the length says")?,
    })
}

// Stream Start ┌───┬──────────┬───────────┐
//              │'S'│ xid: u32 │ first: u8 │
//              └───┴──────────┴───────────┘
fn stream_start(cursor: &mut Cursor<'_>) -> Result<StreamStart, Error> {
    cursor.name("Stream Start");
    Ok(StreamStart {
        xid: cursor.u32("the transaction id")?,
        first: cursor.u8("whether it is the first piece")? == 1,
    })
}

// Stream Stop ┌───┐
//             │'E'│
//             └───┘
fn stream_stop<'a>(cursor: &mut Cursor<'a>) -> Message<'a> {
    cursor.name("Stream Stop");
    Message::StreamStop
}

// Stream Commit ┌───┬──────────┬────────────────────┐
//               │'c'│ xid: u32 │ as Commit, no tag  │
//               └───┴──────────┴────────────────────┘
fn stream_commit<'a>(cursor: &mut Cursor<'a>) -> Result<Message<'a>, Error> {
    cursor.name("Stream Commit");
    Ok(Message::StreamCommit {
        xid: cursor.u32("the transaction id")?,
        commit: commit(cursor)?,
    })
}

// Stream Abort ┌───┬──────────┬─────────────┬────────────┬──────────────┐
//              │'A'│ xid: u32 │ subxid: u32 │ abort?: lsn│ abort?: time │
//              └───┴──────────┴─────────────┴────────────┴──────────────┘
//              abort?: with streaming = 'parallel', protocol 4
fn stream_abort(cursor: &mut Cursor<'_>) -> Result<StreamAbort, Error> {
    cursor.name("Stream Abort");
    Ok(StreamAbort {
        xid: cursor.u32("the transaction id")?,
        subxid: cursor.u32("the subtransaction id")?,
        at: if cursor.is_at_end() {
            None
        } else {
            Some((
                cursor.lsn("the abort LSN")?,
                cursor.time_us("the abort time")?,
            ))
        },
    })
}

// Begin Prepare ┌───┬──────────────┬──────────┬───────────────┬──────────┬──────────┐
//               │'b'│ prepare: lsn │ end: lsn │ prepare: time │ xid: u32 │ gid: str │
//               └───┴──────────────┴──────────┴───────────────┴──────────┴──────────┘
fn begin_prepare<'a>(cursor: &mut Cursor<'a>) -> Result<BeginPrepare<'a>, Error> {
    cursor.name("Begin Prepare");
    Ok(BeginPrepare {
        prepare_lsn: cursor.lsn("the prepare LSN")?,
        end_lsn: cursor.lsn("the end LSN")?,
        prepare_us: cursor.time_us("the prepare time")?,
        xid: cursor.u32("the transaction id")?,
        gid: cursor.text("the global transaction id")?,
    })
}

// Prepare ┌───┬───────────┬──────────────┬──────────┬───────────────┬──────────┬──────────┐
//         │'P'│ flags: u8 │ prepare: lsn │ end: lsn │ prepare: time │ xid: u32 │ gid: str │
//         └───┴───────────┴──────────────┴──────────┴───────────────┴──────────┴──────────┘
// Stream Prepare: the same with tag 'p'
fn prepare<'a>(cursor: &mut Cursor<'a>) -> Result<Prepare<'a>, Error> {
    Ok(Prepare {
        flags: cursor.u8("the flags")?,
        prepare_lsn: cursor.lsn("the prepare LSN")?,
        end_lsn: cursor.lsn("the end LSN")?,
        prepare_us: cursor.time_us("the prepare time")?,
        xid: cursor.u32("the transaction id")?,
        gid: cursor.text("the global transaction id")?,
    })
}

// Commit Prepared ┌───┬───────────┬─────────────┬──────────┬──────────────┬──────────┬──────────┐
//                 │'K'│ flags: u8 │ commit: lsn │ end: lsn │ commit: time │ xid: u32 │ gid: str │
//                 └───┴───────────┴─────────────┴──────────┴──────────────┴──────────┴──────────┘
fn commit_prepared<'a>(cursor: &mut Cursor<'a>) -> Result<Prepared<'a>, Error> {
    cursor.name("Commit Prepared");
    Ok(Prepared {
        flags: cursor.u8("the flags")?,
        commit_lsn: cursor.lsn("the commit LSN")?,
        end_lsn: cursor.lsn("the end LSN")?,
        commit_us: cursor.time_us("the commit time")?,
        xid: cursor.u32("the transaction id")?,
        gid: cursor.text("the global transaction id")?,
    })
}

// Rollback Prepared ┌───┬───────────┬──────────────────┬───────────────────┐
//                   │'r'│ flags: u8 │ prepare end: lsn │ rollback end: lsn │
//                   ├───┴───────────┴──┬───────────────┴┬──────────┬───────┴──┐
//                   │ prepare: time    │ rollback: time │ xid: u32 │ gid: str │
//                   └──────────────────┴────────────────┴──────────┴──────────┘
fn rollback_prepared<'a>(cursor: &mut Cursor<'a>) -> Result<RolledBack<'a>, Error> {
    cursor.name("Rollback Prepared");
    Ok(RolledBack {
        flags: cursor.u8("the flags")?,
        prepare_end_lsn: cursor.lsn("the end LSN of the prepare")?,
        rollback_end_lsn: cursor.lsn("the end LSN of the rollback")?,
        prepare_us: cursor.time_us("the prepare time")?,
        rollback_us: cursor.time_us("the rollback time")?,
        xid: cursor.u32("the transaction id")?,
        gid: cursor.text("the global transaction id")?,
    })
}
