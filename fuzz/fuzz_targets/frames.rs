//! Any bytes as a block of CopyData frames, and what is in them as messages.
//!
//! Invariants: no panic; at most one error, which is the last; the frames add up to the block
//! when there is none; bodies lie within the block.

#![no_main]

use libfuzzer_sys::fuzz_target;
use walferry_pgoutput::{Frame, Message, frames, parse};

/// Tag and length of CopyData; tag, two LSNs and a time of XLogData; of a keepalive.
const COPY_DATA_BYTES: usize = 5;
const XLOG_DATA_BYTES: usize = 25;
const KEEPALIVE_BYTES: usize = 18;

fuzz_target!(|block: &[u8]| {
    let mut walked = 0;
    let mut in_stream = false;
    let mut failed = false;
    for frame in frames(block) {
        assert!(!failed, "frames go on behind an error");
        match frame {
            Ok(Frame::XLogData(data)) => {
                walked += COPY_DATA_BYTES + XLOG_DATA_BYTES + data.body.len();
                assert!(block.as_ptr_range().start <= data.body.as_ptr());
                assert!(data.body.as_ptr_range().end <= block.as_ptr_range().end);
                match parse(data.body, in_stream) {
                    Ok(Message::StreamStart(_)) => in_stream = true,
                    Ok(Message::StreamStop) => in_stream = false,
                    Ok(_) => {}
                    Err(error) => assert!(error.to_string().contains("expected")),
                }
            }
            // Tag, length and what it says of the message that was cut.
            Ok(Frame::Cut(cut)) => {
                walked += COPY_DATA_BYTES + 9 + XLOG_DATA_BYTES + cut.data.body.len();
            }
            Ok(Frame::Keepalive(_)) => walked += COPY_DATA_BYTES + KEEPALIVE_BYTES,
            Err(_) => failed = true,
        }
    }
    assert!(walked <= block.len());
    assert!(
        failed || walked == block.len(),
        "bytes were passed over in silence"
    );
});
