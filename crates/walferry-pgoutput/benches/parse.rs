//! How long one message of the hot path takes: parse, and its values into a row.
//!
//! Never: judges; it writes nanoseconds per message, best of several rounds, so that noise of the
//! machine falls out. Run it with `cargo bench -p walferry-pgoutput`.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::Instant;

use walferry_pgoutput::{Message, frames, parse};

const ROUNDS: u32 = 30;
const MESSAGES_PER_ROUND: u32 = 200_000;

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    let insert = insert(&[
        Some("1042"),
        Some("1c1a4e5e-52cf-4ff1-a65e-9f3b1d7f4a11"),
        Some("ada@example.org"),
        Some("1999.95"),
        None,
        Some("2026-11-24 12:00:00.123456+00"),
        Some("t"),
    ]);
    let row_ns = best_ns(|| {
        let mut row = Vec::with_capacity(7);
        let mut seen = 0;
        for _ in 0..MESSAGES_PER_ROUND {
            row.clear();
            if let Ok(Message::Insert(insert)) = parse(black_box(&insert), false) {
                insert.new.datums(&mut row);
            }
            seen += black_box(&row).len();
        }
        seen
    });
    writeln!(out, "insert of 7 columns, parse and datums: {row_ns:.1} ns")?;

    let mut block = Vec::new();
    for _ in 0..1_000 {
        frame(&insert, &mut block);
    }
    let frame_ns = best_ns(|| {
        let mut row = Vec::with_capacity(7);
        let mut seen = 0;
        for _ in 0..MESSAGES_PER_ROUND / 1_000 {
            for found in frames(black_box(&block)).flatten() {
                row.clear();
                if let walferry_pgoutput::Frame::XLogData(data) = found
                    && let Ok(Message::Insert(insert)) = parse(data.body, false)
                {
                    insert.new.datums(&mut row);
                }
                seen += black_box(&row).len();
            }
        }
        seen
    });
    writeln!(
        out,
        "the same in its frame:                 {frame_ns:.1} ns"
    )
}

/// Nanoseconds per message of the fastest round. `round` answers how many values it saw.
fn best_ns(mut round: impl FnMut() -> usize) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let seen = round();
        let nanos = start.elapsed().as_nanos() as f64;
        assert_eq!(seen, 7 * MESSAGES_PER_ROUND as usize);
        best = best.min(nanos / f64::from(MESSAGES_PER_ROUND));
    }
    best
}

fn insert(values: &[Option<&str>]) -> Vec<u8> {
    let mut bytes = b"I\0\0\x40\0N".to_vec();
    bytes.extend((values.len() as u16).to_be_bytes());
    for value in values {
        match value {
            None => bytes.push(b'n'),
            Some(text) => {
                bytes.push(b't');
                bytes.extend((text.len() as u32).to_be_bytes());
                bytes.extend(text.as_bytes());
            }
        }
    }
    bytes
}

fn frame(body: &[u8], block: &mut Vec<u8>) {
    block.push(b'd');
    block.extend((body.len() as u32 + 4 + 25).to_be_bytes());
    block.push(b'w');
    block.extend([0; 24]);
    block.extend(body);
}
