//! The frames of streaming replication, laid end to end as they came off the socket.
//!
//! Owns [`frames`] and [`Frame`]. Never: waits for the rest of a frame; blocks are cut at frames.
//! Invariant: after the first error the walk ends, because the place of the next frame is unknown.
//! Source: PostgreSQL documentation, "Streaming Replication Protocol", START_REPLICATION.
//!
//! ```text
//! CopyData   ┌───┬──────────┬─────────────────────┐
//!            │'d'│ len: i32 │ payload: len-4 bytes│
//!            └───┴──────────┴─────────────────────┘
//! XLogData   ┌───┬────────────┬──────────┬───────────┬────────────────┐
//!   payload  │'w'│ start: lsn │ end: lsn │ sent: time│ pgoutput: bytes│
//!            └───┴────────────┴──────────┴───────────┴────────────────┘
//! keepalive  ┌───┬──────────────┬────────────┬───────────────────┐
//!   payload  │'k'│ wal end: lsn │ sent: time │ reply asked: u8   │
//!            └───┴──────────────┴────────────┴───────────────────┘
//! ```

use walferry_event::Lsn;

use crate::{Error, cursor::Cursor, shorten::CUT};

/// One CopyData payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message of the output plugin.
    XLogData(XLogData<'a>),
    /// The server shows that it is there.
    Keepalive(Keepalive),
    /// A message that was too long to keep: see [`crate::Shorten`]. No server sends one.
    Cut(Cut<'a>),
}

/// A message whose long values were passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut<'a> {
    /// How many bytes came.
    pub bytes: u64,
    /// What was kept of it; each long value is "unchanged" there.
    pub data: XLogData<'a>,
}

/// A message of the output plugin, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XLogData<'a> {
    /// The LSN of the change; of a transaction's first change for its begin, behind the commit
    /// record for its commit. Zero for Relation and Type, which stand nowhere in the WAL.
    pub start: Lsn,
    /// The same again: a logical walsender does not tell the end of WAL here, but in keepalives.
    pub end: Lsn,
    /// When it was sent, microseconds since 1970.
    pub sent_us: i64,
    /// The message, for [`crate::parse`].
    pub body: &'a [u8],
}

/// The server shows that it is there, and how far it has decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Everything that commits before this has been sent.
    pub wal_end: Lsn,
    /// When it was sent, microseconds since 1970.
    pub sent_us: i64,
    /// Whether the server ends the connection unless feedback comes soon.
    pub reply_requested: bool,
}

/// Walks whole CopyData frames laid end to end. After an error it ends.
pub fn frames(block: &[u8]) -> Frames<'_> {
    Frames { rest: block }
}

/// Iterator over the frames of a block.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let frame = self.split().and_then(Frame::parse);
        if frame.is_err() {
            self.rest = &[];
        }
        Some(frame)
    }
}

impl<'a> Frames<'a> {
    /// Takes the payload of the first frame.
    fn split(&mut self) -> Result<&'a [u8], Error> {
        let mut cursor = Cursor::new(self.rest, "CopyData");
        cursor.code("tag 'd'", |tag| (tag == b'd').then_some(()))?;
        let before_len = cursor;
        // The length counts itself.
        let len = (cursor.u32("a length")? as usize).checked_sub(size_of::<u32>());
        let len = len.ok_or_else(|| before_len.error("a length of at least 4"))?;
        let payload = cursor.take(len, "as many bytes as the length says")?;
        self.rest = cursor.rest();
        Ok(payload)
    }
}

impl<'a> Frame<'a> {
    /// Parses one CopyData payload.
    ///
    /// # Errors
    /// The payload is neither XLogData nor a keepalive, or ends too early.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Frame<'a>, Error> {
        let mut cursor = Cursor::new(payload, "replication");
        match cursor.u8("'w' or 'k'")? {
            b'w' => {
                cursor.name("XLogData");
                xlog_data(&mut cursor).map(Frame::XLogData)
            }
            b'k' => {
                cursor.name("keepalive");
                let keepalive = Keepalive {
                    wal_end: cursor.lsn("the end of WAL")?,
                    sent_us: cursor.time_us("the time sent")?,
                    reply_requested: cursor.u8("whether a reply is asked for")? != 0,
                };
                cursor.end()?;
                Ok(Frame::Keepalive(keepalive))
            }
            CUT => {
                cursor.name("cut");
                let bytes = cursor.lsn("how many bytes came")?.0;
                cursor.code("tag 'w'", |tag| (tag == b'w').then_some(()))?;
                let data = xlog_data(&mut cursor)?;
                Ok(Frame::Cut(Cut { bytes, data }))
            }
            _ => Err(Error::new("replication", 0, "'w' or 'k'")),
        }
    }
}

fn xlog_data<'a>(cursor: &mut Cursor<'a>) -> Result<XLogData<'a>, Error> {
    Ok(XLogData {
        start: cursor.lsn("the start LSN")?,
        end: cursor.lsn("the end LSN")?,
        sent_us: cursor.time_us("the time sent")?,
        body: cursor.rest(),
    })
}
