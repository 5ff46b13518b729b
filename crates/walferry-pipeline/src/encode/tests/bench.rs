//! An encoder without anything around it: its blocks come from a capture, and stay here.
//!
//! Owns `Bench`, the captures and the expected texts. Never: asks the clock what time it is for a record.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use metrics::Counter;
use walferry_event::{Lsn, Position};

use crate::{
    clock::Moment,
    config::{Config, example},
    encode::{
        Encoder,
        block::{EncodedBlock, Memory},
        block_builder::Builder,
        passage::Arrival,
        relations::{Relations, message_keys::MessageKeys},
        tests::{
            answers::{Answers, Asked},
            witness::Witness,
        },
    },
    error::Error,
    position::table_positions::Held,
    status::Status,
};

pub(super) struct Bench {
    pub(super) encoder: Encoder,
    pub(super) now: Moment,
    pub(super) witness: Witness,
    output: mpsc::Receiver<EncodedBlock>,
    blocks: Vec<EncodedBlock>,
    /// Blocks that have been told of.
    told: usize,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) topic: String,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    headers: Vec<String>,
}

/// Noon of 30 November 2026.
const NOON_US: i64 = 1_796_040_000_000_000;

impl Bench {
    pub(super) fn begin(config: Config, start: Held) -> Bench {
        Bench::with(config, start, None)
    }

    /// The registry does not take the schemas of this subject.
    pub(super) fn refusing(config: Config, start: Held, subject: &'static str) -> Bench {
        Bench::with(config, start, Some(subject))
    }

    fn with(config: Config, start: Held, refused_subject: Option<&'static str>) -> Bench {
        let config = Arc::new(config);
        let status = Arc::new(Status::new(config.name.as_str()));
        let asked = Asked::default();
        let servers = Answers {
            asked: asked.clone(),
            refused_subject,
        };
        let relations = Relations::asking(
            Box::new(servers),
            config.clone(),
            status.clone(),
            MessageKeys::default(),
        );
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let (input, output) = mpsc::sync_channel(1_000);
        let memory = Memory::new(1 << 30);
        let handle = runtime.handle().clone();
        let builder = Builder::new(start, memory, handle, input, Counter::noop());
        Bench {
            encoder: Encoder::new(config, status, relations, builder),
            now: Moment {
                us: NOON_US,
                monotonic: Instant::now(),
            },
            witness: Witness::beside(asked),
            output,
            blocks: Vec::new(),
            told: 0,
            _runtime: runtime,
        }
    }

    pub(super) fn block(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let arrival = Arrival {
            received: self.now.monotonic,
            held_back: Duration::ZERO,
            taken: self.now,
        };
        let outcome = self.encoder.block(bytes, false, arrival, &mut self.witness);
        self.witness.note_asked();
        outcome
    }

    fn receive(&mut self) {
        self.blocks.extend(self.output.try_iter());
    }

    pub(super) fn records(&mut self) -> Vec<Written> {
        self.receive();
        self.blocks.iter().flat_map(records).collect()
    }

    /// Where a batch may end: after how many records, and what the topics hold then.
    pub(super) fn marks(&mut self) -> Vec<(usize, Held)> {
        self.receive();
        let (mut marks, mut before) = (Vec::new(), 0);
        for block in &self.blocks {
            for mark in &block.marks {
                marks.push((before + mark.records_end, mark.held.clone()));
            }
            before += block.records.len();
        }
        marks
    }

    /// The blocks since the last time, as text.
    pub(super) fn handed_over(&mut self) -> String {
        self.receive();
        let mut text = String::new();
        for block in &self.blocks[self.told..] {
            text.push_str("block\n");
            let mut marks = block.marks.iter().peekable();
            for (at, record) in records(block).into_iter().enumerate() {
                while let Some(mark) = marks.next_if(|it| it.records_end <= at) {
                    text.push_str(&told("mark", &mark.held.position));
                }
                let bytes = |it: Option<Vec<u8>>| match it {
                    Some(bytes) => bytes.escape_ascii().to_string(),
                    None => "-".to_owned(),
                };
                let value = record.value.as_ref().map_or(0, Vec::len);
                let key = bytes(record.key);
                let _ = writeln!(text, "  {} key {key} value of {value} bytes", record.topic);
                for header in record.headers {
                    let _ = writeln!(text, "    {header}");
                }
            }
            for mark in marks {
                text.push_str(&told("mark", &mark.held.position));
            }
            if let Some(idle) = &block.idle {
                text.push_str(&told("idle", &idle.position));
            }
        }
        self.told = self.blocks.len();
        text
    }
}

fn told(what: &str, at: &Position) -> String {
    let ordinal = at.ordinal.map(|it| format!(" ordinal {it}"));
    let (commit, end) = (at.commit_lsn, at.end_lsn);
    format!(
        "  {what} commit {commit} end {end}{}\n",
        ordinal.unwrap_or_default()
    )
}

fn records(block: &EncodedBlock) -> Vec<Written> {
    let record = |at| {
        let record = block.records.record(at);
        let headers = record.headers.unwrap_or_default().iter();
        let header =
            |(name, value): &(Box<str>, Vec<u8>)| format!("{name}: {}", value.escape_ascii());
        Written {
            topic: record.topic.to_owned(),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers.map(header).collect(),
        }
    };
    (0..block.records.len()).map(record).collect()
}

/// Nothing is held yet.
pub(super) fn start() -> Held {
    Held::at(Position::at(Lsn(1)))
}

/// The bytes of a socket, as they were captured.
pub(super) fn capture(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(captures().join(format!("{name}.hex"))).unwrap();
    unhex(&text.replace('\n', ""))
}

/// A keepalive of the server.
pub(super) fn keepalive(wal_end: Lsn, reply_requested: bool) -> Vec<u8> {
    let mut bytes = b"d\0\0\0\x16k".to_vec();
    bytes.extend_from_slice(&wal_end.0.to_be_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.push(u8::from(reply_requested));
    bytes
}

/// Pieces of whole frames, each as short as may be but for so many bytes.
pub(super) fn pieces(bytes: &[u8], least: usize) -> Vec<&[u8]> {
    let (mut pieces, mut from, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let length: [u8; 4] = bytes[at + 1..at + 5].try_into().unwrap();
        at += 1 + u32::from_be_bytes(length) as usize;
        if at - from >= least || at == bytes.len() {
            pieces.push(&bytes[from..at]);
            from = at;
        }
    }
    pieces
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../walferry-pgoutput/tests/captures")
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// Compares with the expected text, or writes it.
pub(super) fn expect(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/encode/tests");
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected, "{name}");
}

/// A connector that follows all tables but one.
pub(super) fn config() -> Config {
    let mut config = example::example();
    config.topic_prefix = "pre".into();
    config.source.tables.push("!public.unseen".into());
    config
}
