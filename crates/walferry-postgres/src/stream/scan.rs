//! The walk over what has been read: whole frames, how far they reach, and what is not a frame.
//!
//! Owns [`Scan`]. Never: reserves memory; it says how much the frame that has begun will need, after checking that.
//! Invariants: `whole <= ` bytes read; each byte is looked at once.
//! Source: PostgreSQL documentation, "Streaming Replication Protocol", START_REPLICATION.

use walferry_event::Lsn;
use walferry_pgoutput::Frame;

use crate::Error;

/// tag and length.
const HEADER_BYTES: usize = 5;
/// The longest frame that PostgreSQL can send: it builds no message above 1 GiB.
const FRAME_BYTES_CEILING: usize = (1 << 30) + (1 << 10);
/// The longest message that is no frame: an error or a notice.
const OTHER_BYTES_MAX: usize = 1 << 20;

/// How far a buffer has been walked.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Bytes of whole frames at the front of the buffer.
    pub(super) whole: usize,
    /// Length of the message after them, once its header is there.
    pub(super) next: Option<usize>,
    /// Tag of the message after them when it is whole and is no frame: the frames end before it.
    pub(super) other: Option<u8>,
    /// The furthest position that a frame has named.
    pub(super) reached: Option<Lsn>,
    /// Length of the frame after them when it is above the limit: it is not gathered, but passed over.
    pub(super) long: Option<usize>,
    /// Whether a keepalive has asked for feedback.
    pub(super) reply_requested: bool,
}

impl Scan {
    /// Walks on over the buffer, whose first `whole` bytes it has walked before.
    ///
    /// # Errors
    /// A length that cannot be, or a payload that is not of streaming replication.
    pub(super) fn walk(
        &mut self,
        doing: &str,
        buffer: &[u8],
        frame_bytes_max: u64,
    ) -> Result<(), Error> {
        self.next = None;
        self.long = None;
        while self.other.is_none() {
            let rest = &buffer[self.whole..];
            let Some((&[tag, a, b, c, d], _)) = rest.split_first_chunk::<HEADER_BYTES>() else {
                return Ok(());
            };
            let len = u32::from_be_bytes([a, b, c, d]) as usize;
            check(doing, tag, len)?;
            let message = 1 + len;
            if tag == b'd' && len as u64 > frame_bytes_max {
                self.long = Some(message);
                return Ok(());
            }
            if rest.len() < message {
                self.next = Some(message);
                return Ok(());
            }
            if tag == b'd' {
                self.frame(doing, &rest[HEADER_BYTES..message])?;
                self.whole += message;
            } else {
                self.next = Some(message);
                self.other = Some(tag);
            }
        }
        Ok(())
    }

    fn frame(&mut self, doing: &str, payload: &[u8]) -> Result<(), Error> {
        let frame = Frame::parse(payload)
            .map_err(|error| Error::protocol(format!("{doing}: {error}")).because(error))?;
        let reached = match frame {
            Frame::XLogData(data) => data.start.max(data.end),
            Frame::Keepalive(keepalive) => {
                self.reply_requested |= keepalive.reply_requested;
                keepalive.wal_end
            }
            // The tag is ours.
            Frame::Cut(_) => {
                return Err(Error::protocol(format!(
                    "{doing}: a frame of an unknown tag: expected 'w' or 'k'"
                )));
            }
        };
        self.reached = self.reached.max(Some(reached));
        Ok(())
    }

    /// The first `whole` bytes have been taken off the buffer.
    pub(super) fn cut(&mut self) {
        self.whole = 0;
    }

    /// The message that is no frame has been taken off, too.
    pub(super) fn passed(&mut self) {
        self.other = None;
        self.next = None;
    }
}

fn check(doing: &str, tag: u8, len: usize) -> Result<(), Error> {
    if len < size_of::<u32>() {
        return Err(Error::protocol(format!(
            "{doing}: a message {:?} of length {len}: expected at least 4",
            char::from(tag)
        )));
    }
    let max = if tag == b'd' {
        FRAME_BYTES_CEILING
    } else {
        OTHER_BYTES_MAX
    };
    if len > max {
        return Err(Error::protocol(format!(
            "{doing}: a message {:?} of {len} bytes is above the limit of {max} bytes",
            char::from(tag)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&(payload.len() as u32 + 4).to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    fn data(lsn: u64) -> Vec<u8> {
        let mut payload = vec![b'w'];
        payload.extend_from_slice(&lsn.to_be_bytes());
        payload.extend_from_slice(&lsn.to_be_bytes());
        payload.extend_from_slice(&[0; 8]);
        payload.extend_from_slice(b"Ixyz");
        message(b'd', &payload)
    }

    fn keepalive(lsn: u64, reply: u8) -> Vec<u8> {
        let mut payload = vec![b'k'];
        payload.extend_from_slice(&lsn.to_be_bytes());
        payload.extend_from_slice(&[0; 8]);
        payload.push(reply);
        message(b'd', &payload)
    }

    #[test]
    fn frames_are_found_however_they_arrive() {
        let bytes = [data(7), keepalive(9, 1), data(8)].concat();
        for step in [1, 2, 3, 7, bytes.len()] {
            let mut scan = Scan::default();
            for end in (step..bytes.len()).step_by(step).chain([bytes.len()]) {
                scan.walk("test", &bytes[..end], 1 << 20).unwrap();
                assert!(scan.whole <= end);
            }
            assert_eq!(scan.whole, bytes.len(), "{step}");
            assert_eq!(scan.reached, Some(Lsn(9)), "{step}");
            assert!(scan.reply_requested, "{step}");
        }
    }

    #[test]
    fn what_is_no_frame_ends_the_walk_once_it_is_whole() {
        let bytes = [data(7), message(b'N', b"note"), data(8)].concat();
        let mut scan = Scan::default();
        scan.walk("test", &bytes[..data(7).len() + 6], 1 << 20)
            .unwrap();
        assert_eq!(
            (scan.whole, scan.other, scan.next),
            (data(7).len(), None, Some(9))
        );
        scan.walk("test", &bytes, 1 << 20).unwrap();
        assert_eq!(
            (scan.whole, scan.other, scan.next),
            (data(7).len(), Some(b'N'), Some(9))
        );
        scan.cut();
        scan.passed();
        scan.walk("test", &data(8), 1 << 20).unwrap();
        assert_eq!((scan.whole, scan.other), (data(8).len(), None));
    }

    #[test]
    fn lengths_are_bounded_before_memory_is_asked_for() {
        for (header, words) in [
            (&b"d\0\0\0\x03"[..], "expected at least 4"),
            (b"d\x7F\xFF\xFF\xFF", "above the limit"),
            (b"d\xFF\xFF\xFF\xFF", "above the limit"),
            (b"E\x00\x20\0\0", "above the limit"),
        ] {
            let error = Scan::default().walk("test", header, 1 << 20).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(
            Scan::default()
                .walk("test", &message(b'd', b"?"), 1 << 20)
                .is_err()
        );
        assert!(
            Scan::default()
                .walk("test", &message(b'd', b""), 1 << 20)
                .is_err()
        );
    }

    #[test]
    fn a_frame_above_the_limit_ends_the_walk_before_it_and_is_no_error() {
        let long = message(b'd', &[b'w'; 2_000]);
        let bytes = [data(7), long[..5].to_vec()].concat();
        let mut scan = Scan::default();
        scan.walk("test", &bytes, 1_000).unwrap();
        assert_eq!((scan.whole, scan.long), (data(7).len(), Some(long.len())));
        assert_eq!(scan.next, None, "no room is made for it");
        scan.walk("test", &bytes, 1 << 20).unwrap();
        assert_eq!((scan.long, scan.next), (None, Some(long.len())));
        let mut cut = vec![b'!'];
        cut.extend_from_slice(&[0; 8]);
        cut.extend_from_slice(&data(7)[5..]);
        assert!(scan.frame("test", &cut).is_err(), "no server sends one");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let good = [data(7), keepalive(9, 0), message(b'E', b"x"), data(8)].concat();
        let mut seed = 7_u32;
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..3 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (seed >> 8) as usize % bytes.len();
                bytes[at] = seed as u8;
            }
            let mut scan = Scan::default();
            if scan.walk("test", &bytes, 1 << 20).is_ok() {
                assert!(scan.whole <= bytes.len());
            }
        }
    }
}
