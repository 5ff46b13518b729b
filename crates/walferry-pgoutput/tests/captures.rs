//! What real servers sent, against the text that it should read as.
//!
//! `captures/NAME.sql` says what was done, `NAME.hex` is what came (PostgreSQL 17, or as the name
//! says), `NAME.txt` is what is expected. `captures/capture.sh` makes them anew.
//! Invariant: nothing in a capture is lost on the way to its text, but the times.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use walferry_event::Datum;
use walferry_pgoutput::{Commit, Frame, Message, Old, Tuple, frames, parse};

#[test]
fn changes_with_each_replica_identity() {
    check("dml");
    check("dml-14");
    check("dml-18");
}

#[test]
fn toasted_values_that_were_not_touched() {
    check("toast");
}

#[test]
fn truncates_with_each_option() {
    check("truncate");
}

#[test]
fn types_names_and_changes_of_shape() {
    check("shapes");
}

#[test]
fn transactions_from_elsewhere() {
    check("origin");
}

#[test]
fn logical_messages() {
    check("logical");
}

#[test]
fn transactions_streamed_in_progress() {
    check("stream");
    check("stream-14");
}

#[test]
fn transactions_streamed_for_parallel_apply() {
    check("parallel");
}

#[test]
fn two_phase_commits() {
    check("prepare");
}

#[test]
fn frames_off_the_socket() {
    check("frames");
}

#[test]
fn what_the_encoder_is_driven_with() {
    check("ring");
    check("altered");
    check("long");
}

#[test]
fn each_capture_has_its_check() {
    let this = include_str!("captures.rs");
    for name in names() {
        assert!(
            this.contains(&format!("check(\"{name}\")")),
            "{name} is not checked"
        );
    }
}

#[test]
fn each_cut_of_each_captured_message_is_an_error() {
    for (message, in_stream) in all_messages() {
        for len in 0..message.len() {
            let Ok(cut) = parse(&message[..len], in_stream) else {
                continue;
            };
            // Without its last two fields it is an abort of protocol 2.
            let old_abort = matches!(cut, Message::StreamAbort(_)) && len == 9;
            assert!(old_abort, "{} cut to {len} bytes was accepted", cut.name());
        }
    }
}

#[test]
fn no_flipped_bit_of_a_captured_message_makes_it_panic() {
    let (mut accepted, mut refused) = (0, 0);
    for (mut message, in_stream) in all_messages() {
        // Beyond this, values are only longer.
        for bit in 0..message.len().min(400) * 8 {
            message[bit / 8] ^= 1 << (bit % 8);
            match parse(&message, in_stream) {
                Ok(flipped) => {
                    accepted += 1;
                    Text::default().message(flipped);
                }
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().starts_with("malformed "));
                }
            }
            message[bit / 8] ^= 1 << (bit % 8);
        }
    }
    // Flips in values and numbers are messages again; flips in tags, kinds and lengths are not.
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} {refused}");
}

#[test]
fn each_cut_of_a_captured_block_ends_in_one_error_at_most() {
    let Capture::Frames(block) = Capture::read("frames") else {
        panic!("the capture `frames` has no frames");
    };
    let whole = frames(&block).count();
    for len in 0..block.len() {
        let found: Vec<_> = frames(&block[..len]).collect();
        let faults = found.iter().filter(|frame| frame.is_err()).count();
        assert!(faults <= 1 && found.len() <= whole, "cut to {len} bytes");
        assert!(found.iter().rev().skip(1).all(Result::is_ok));
    }
}

/// Reads `NAME.hex` and compares its text with `NAME.txt`; with `UPDATE_EXPECTED` set, writes that.
fn check(name: &str) {
    let text = Capture::read(name).text();
    let path = path(name, "txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &text).expect("the folder can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (line, expected)) in (1..).zip(text.lines().zip(expected.lines())) {
        assert_eq!(line, expected, "{name}.txt:{number}");
    }
    assert_eq!(text, expected, "{name}.txt is longer or shorter");
}

fn path(name: &str, ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/captures/{name}.{ending}"))
}

fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(".hex").map(str::to_owned))
        .collect()
}

/// Every message of every capture, with whether it stood in a streamed piece.
fn all_messages() -> Vec<(Vec<u8>, bool)> {
    let mut all = Vec::new();
    for name in names() {
        let capture = Capture::read(&name);
        let mut in_stream = false;
        for (_, body) in capture.messages() {
            all.push((body.to_vec(), in_stream));
            match body.first() {
                Some(b'S') => in_stream = true,
                Some(b'E') => in_stream = false,
                _ => {}
            }
        }
    }
    assert!(all.len() > 200, "only {} captured messages", all.len());
    all
}

/// What a `.hex` file holds.
enum Capture {
    /// From the SQL functions: an LSN and a message on each line.
    Messages(Vec<(String, Vec<u8>)>),
    /// From the socket.
    Frames(Vec<u8>),
}

impl Capture {
    fn read(name: &str) -> Capture {
        let text = std::fs::read_to_string(path(name, "hex")).expect("each capture is there");
        if !text.contains(' ') {
            return Capture::Frames(unhex(&text.replace('\n', "")));
        }
        let line = |line: &str| {
            let (lsn, hex) = line.split_once(' ').expect("an LSN and a message");
            (lsn.to_owned(), unhex(hex))
        };
        Capture::Messages(text.lines().map(line).collect())
    }

    fn messages(&self) -> Vec<(String, &[u8])> {
        match self {
            Capture::Messages(messages) => messages
                .iter()
                .map(|(lsn, body)| (lsn.clone(), body.as_slice()))
                .collect(),
            Capture::Frames(block) => frames(block)
                .filter_map(|frame| match frame.expect("a whole frame") {
                    Frame::XLogData(data) => Some((data.start.to_string(), data.body)),
                    Frame::Keepalive(_) | Frame::Cut(_) => None,
                })
                .collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = Text::default();
        match self {
            Capture::Messages(messages) => {
                for (lsn, body) in messages {
                    let message = parse(body, text.in_stream).expect("a whole message");
                    text.line(lsn, message);
                }
            }
            Capture::Frames(block) => {
                for frame in frames(block) {
                    match frame.expect("a whole frame") {
                        Frame::XLogData(data) => {
                            recent(data.sent_us);
                            let message =
                                parse(data.body, text.in_stream).expect("a whole message");
                            text.line(&format!("{}..{}", data.start, data.end), message);
                        }
                        Frame::Cut(cut) => {
                            panic!("no server sends a cut frame: {} bytes", cut.bytes)
                        }
                        Frame::Keepalive(alive) => {
                            recent(alive.sent_us);
                            let reply = alive.reply_requested;
                            let _ = writeln!(text.out, "{} keepalive reply={reply}", alive.wal_end);
                        }
                    }
                }
            }
        }
        text.out
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit") as u8;
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "an odd number of digits");
    pairs
        .iter()
        .map(|[a, b]| digit(*a) << 4 | digit(*b))
        .collect()
}

/// Times are left out of the text, but they have to be of the day of the capture, or later.
fn recent(unix_us: i64) {
    const FIRST_US: i64 = 1_795_478_400_000_000; // 2026-11-24
    const YEARS_US: i64 = 20 * 366 * 86_400_000_000;
    assert!(
        (FIRST_US..FIRST_US + YEARS_US).contains(&unix_us),
        "{unix_us}"
    );
}

/// Writes messages as text, with the names that the stream has told so far.
#[derive(Default)]
struct Text {
    out: String,
    relations: HashMap<u32, (String, Vec<String>)>,
    in_stream: bool,
}

impl Text {
    fn line(&mut self, at: &str, message: Message<'_>) {
        if let Message::Begin(walferry_pgoutput::Begin { commit_us, .. })
        | Message::Commit(Commit { commit_us, .. }) = message
        {
            recent(commit_us);
        }
        let _ = write!(self.out, "{at} {}", message.name());
        self.message(message);
        self.out.push('\n');
    }

    fn message(&mut self, message: Message<'_>) {
        match message {
            Message::Begin(m) => self.words(format_args!("final {} xid {}", m.final_lsn, m.xid)),
            Message::Commit(m) => self.commit(m),
            Message::Origin(m) => self.words(format_args!("{:?} at {}", m.name, m.commit_lsn)),
            Message::Relation(m) => self.relation(m),
            Message::Type(m) => {
                self.xid(m.xid);
                self.words(format_args!("{} {:?}.{:?}", m.oid, m.schema, m.name));
            }
            Message::Insert(m) => {
                self.change(m.xid, m.relation);
                self.row("new", m.relation, m.new);
            }
            Message::Update(m) => {
                self.change(m.xid, m.relation);
                if let Some(old) = m.old {
                    self.old(m.relation, old);
                }
                self.row("new", m.relation, m.new);
            }
            Message::Delete(m) => {
                self.change(m.xid, m.relation);
                self.old(m.relation, m.old);
            }
            Message::Truncate(m) => {
                self.xid(m.xid);
                for relation in m.relations() {
                    self.change(None, relation);
                }
                let options = (m.cascade, m.restart_identity);
                self.words(format_args!("cascade={} restart={}", options.0, options.1));
            }
            Message::Logical(m) => {
                self.xid(m.xid);
                let content = String::from_utf8_lossy(m.content);
                let within = m.transactional;
                self.words(format_args!("{:?} {content:?} at {}", m.prefix, m.lsn));
                self.words(format_args!("transactional={within}"));
            }
            _ => self.rare(message),
        }
    }

    fn rare(&mut self, message: Message<'_>) {
        match message {
            Message::StreamStart(m) => {
                self.in_stream = true;
                self.words(format_args!("xid {} first={}", m.xid, m.first));
            }
            Message::StreamStop => self.in_stream = false,
            Message::StreamCommit { xid, commit } => {
                self.xid(Some(xid));
                self.commit(commit);
            }
            Message::StreamAbort(m) => {
                self.words(format_args!("xid {} subxid {}", m.xid, m.subxid));
                if let Some((lsn, _)) = m.at {
                    self.words(format_args!("at {lsn}"));
                }
            }
            Message::BeginPrepare(m) => {
                self.words(format_args!("{:?} xid {}", m.gid, m.xid));
                self.words(format_args!("prepare {} end {}", m.prepare_lsn, m.end_lsn));
            }
            Message::Prepare(m) | Message::StreamPrepare(m) => {
                self.words(format_args!("{:?} xid {}", m.gid, m.xid));
                self.words(format_args!("prepare {} end {}", m.prepare_lsn, m.end_lsn));
            }
            Message::CommitPrepared(m) => {
                self.words(format_args!("{:?} xid {}", m.gid, m.xid));
                self.words(format_args!("commit {} end {}", m.commit_lsn, m.end_lsn));
            }
            Message::RollbackPrepared(m) => {
                self.words(format_args!("{:?} xid {}", m.gid, m.xid));
                let (prepare, rollback) = (m.prepare_end_lsn, m.rollback_end_lsn);
                self.words(format_args!(
                    "prepare end {prepare} rollback end {rollback}"
                ));
            }
            other => panic!("{} has no text", other.name()),
        }
    }

    fn words(&mut self, words: std::fmt::Arguments<'_>) {
        let _ = write!(self.out, " {words}");
    }

    fn xid(&mut self, xid: Option<u32>) {
        if let Some(xid) = xid {
            self.words(format_args!("xid {xid}"));
        }
    }

    fn commit(&mut self, m: Commit) {
        self.words(format_args!(
            "{} end {} flags {}",
            m.commit_lsn, m.end_lsn, m.flags
        ));
    }

    fn relation(&mut self, m: walferry_pgoutput::RelationMessage<'_>) {
        self.xid(m.xid);
        let relation = m.to_relation();
        let (name, identity) = (relation.qualified_name(), relation.replica_identity);
        self.words(format_args!("{} {name:?} identity {identity}", m.oid));
        for column in m.columns() {
            let key = if column.in_identity { "*" } else { "" };
            let (name, oid, modifier) = (column.name, column.type_oid, column.type_modifier);
            self.words(format_args!("{key}{name:?}:{oid}({modifier})"));
        }
        let columns = relation.columns.into_iter().map(|column| column.name);
        self.relations.insert(m.oid, (name, columns.collect()));
    }

    fn change(&mut self, xid: Option<u32>, relation: u32) {
        self.xid(xid);
        match self.relations.get(&relation).map(|(name, _)| name.clone()) {
            Some(name) => self.words(format_args!("{name:?}")),
            None => self.words(format_args!("relation {relation}")),
        }
    }

    fn old(&mut self, relation: u32, old: Old<'_>) {
        match old {
            Old::Key(row) => self.row("key", relation, row),
            Old::Full(row) => self.row("old", relation, row),
        }
    }

    fn row(&mut self, word: &str, relation: u32, row: Tuple<'_>) {
        let mut datums = Vec::new();
        row.datums(&mut datums);
        assert_eq!(datums.len(), row.len());
        assert!(row.into_iter().eq(datums.iter().copied()));
        self.words(format_args!("{word}("));
        let names = self
            .relations
            .get(&relation)
            .map(|(_, names)| names.clone());
        for (index, datum) in datums.iter().enumerate() {
            let name = names.as_ref().and_then(|names| names.get(index));
            let name = name.map_or("?", String::as_str);
            let separator = if index == 0 { "" } else { ", " };
            let value = value(datum);
            let _ = write!(self.out, "{separator}{name}={value}");
        }
        self.out.push(')');
    }
}

fn value(datum: &Datum<'_>) -> String {
    match datum {
        Datum::Null => "null".to_owned(),
        Datum::Unchanged => "unchanged".to_owned(),
        Datum::Binary(bytes) => format!("binary {bytes:?}"),
        Datum::Text(bytes) if bytes.len() > 1_000 => format!("text of {} bytes", bytes.len()),
        Datum::Text(bytes) => format!("'{}'", String::from_utf8_lossy(bytes)),
    }
}
