//! Each message as the documentation draws it, whole, cut, too long and damaged.

use proptest::prelude::*;
use walferry_event::{Datum, Lsn, ReplicaIdentity};

use super::*;

/// Builds the bytes of a message.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn tag(tag: u8) -> Bytes {
        Bytes(vec![tag])
    }
    fn u8(mut self, value: u8) -> Bytes {
        self.0.push(value);
        self
    }
    fn u16(mut self, value: u16) -> Bytes {
        self.0.extend(value.to_be_bytes());
        self
    }
    fn u32(mut self, value: u32) -> Bytes {
        self.0.extend(value.to_be_bytes());
        self
    }
    fn u64(mut self, value: u64) -> Bytes {
        self.0.extend(value.to_be_bytes());
        self
    }
    fn text(mut self, value: &str) -> Bytes {
        self.0.extend(value.as_bytes());
        self.u8(0)
    }
    fn value(self, value: &str) -> Bytes {
        let mut out = self.u8(b't').u32(value.len() as u32);
        out.0.extend(value.as_bytes());
        out
    }
}

/// One of each message, as the documentation draws them.
fn examples() -> Vec<(&'static str, Vec<u8>)> {
    let row = |b: Bytes| b.u16(3).value("7").u8(b'n').u8(b'u');
    vec![
        ("Begin", Bytes::tag(b'B').u64(0x10).u64(5).u32(77).0),
        (
            "Commit",
            Bytes::tag(b'C').u8(0).u64(0x10).u64(0x20).u64(5).0,
        ),
        ("Origin", Bytes::tag(b'O').u64(9).text("elsewhere").0),
        (
            "Relation",
            Bytes::tag(b'R')
                .u32(42)
                .text("public")
                .text("t")
                .u8(b'd')
                .u16(1)
                .u8(1)
                .text("id")
                .u32(23)
                .u32(u32::MAX)
                .0,
        ),
        (
            "Type",
            Bytes::tag(b'Y').u32(99).text("public").text("mood").0,
        ),
        ("Insert", row(Bytes::tag(b'I').u32(42).u8(b'N')).0),
        (
            "Update",
            row(row(Bytes::tag(b'U').u32(42).u8(b'K')).u8(b'N')).0,
        ),
        ("Delete", row(Bytes::tag(b'D').u32(42).u8(b'O')).0),
        ("Truncate", Bytes::tag(b'T').u32(2).u8(3).u32(42).u32(43).0),
        ("Message", {
            let mut m = Bytes::tag(b'M').u8(1).u64(8).text("p").u32(2);
            m.0.extend(b"hi");
            m.0
        }),
        ("Stream Start", Bytes::tag(b'S').u32(77).u8(1).0),
        ("Stream Stop", Bytes::tag(b'E').0),
        (
            "Stream Commit",
            Bytes::tag(b'c').u32(77).u8(0).u64(1).u64(2).u64(3).0,
        ),
        ("Stream Abort", Bytes::tag(b'A').u32(77).u32(78).0),
        (
            "Stream Abort",
            Bytes::tag(b'A').u32(77).u32(78).u64(1).u64(2).0,
        ),
        (
            "Begin Prepare",
            Bytes::tag(b'b').u64(1).u64(2).u64(3).u32(77).text("g").0,
        ),
        (
            "Prepare",
            Bytes::tag(b'P')
                .u8(0)
                .u64(1)
                .u64(2)
                .u64(3)
                .u32(77)
                .text("g")
                .0,
        ),
        (
            "Stream Prepare",
            Bytes::tag(b'p')
                .u8(0)
                .u64(1)
                .u64(2)
                .u64(3)
                .u32(77)
                .text("g")
                .0,
        ),
        (
            "Commit Prepared",
            Bytes::tag(b'K')
                .u8(0)
                .u64(1)
                .u64(2)
                .u64(3)
                .u32(77)
                .text("g")
                .0,
        ),
        (
            "Rollback Prepared",
            Bytes::tag(b'r')
                .u8(0)
                .u64(1)
                .u64(2)
                .u64(3)
                .u64(4)
                .u32(77)
                .text("g")
                .0,
        ),
    ]
}

#[test]
fn each_message_is_known_by_its_name() {
    for (name, bytes) in examples() {
        let message = parse(&bytes, false).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(message.name(), name);
    }
}

#[test]
fn each_truncation_is_an_error_that_names_the_message() {
    for (name, bytes) in examples() {
        for len in 0..bytes.len() {
            let Err(error) = parse(&bytes[..len], false) else {
                // Without its last two fields it is the abort of an older protocol.
                assert!(
                    name == "Stream Abort" && len == 9,
                    "{name} cut to {len} bytes was accepted"
                );
                continue;
            };
            assert!(
                len == 0 || error.to_string().contains(name),
                "{name}: {error}"
            );
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(
            parse(&longer, false).is_err(),
            "{name} with a byte too many was accepted"
        );
    }
}

#[test]
fn fields_are_where_the_boxes_draw_them() {
    let message = |name: &str| examples().into_iter().find(|(n, _)| *n == name).unwrap().1;
    let bytes = message("Begin");
    let Ok(Message::Begin(begin)) = parse(&bytes, false) else {
        panic!()
    };
    assert_eq!(
        (begin.final_lsn, begin.commit_us, begin.xid),
        (Lsn(0x10), EPOCH_US + 5, 77)
    );

    let bytes = message("Relation");
    let Ok(Message::Relation(relation)) = parse(&bytes, false) else {
        panic!()
    };
    let relation = relation.to_relation();
    assert_eq!(relation.qualified_name(), "public.t");
    assert_eq!(relation.replica_identity, ReplicaIdentity::Default);
    assert_eq!(relation.columns[0].type_modifier, -1);
    assert!(relation.columns[0].in_identity);

    let bytes = message("Update");
    let Ok(Message::Update(update)) = parse(&bytes, false) else {
        panic!()
    };
    let mut row = Vec::new();
    update.new.datums(&mut row);
    assert_eq!(row, [Datum::Text(b"7"), Datum::Null, Datum::Unchanged]);
    assert!(matches!(update.old, Some(Old::Key(old)) if old.len() == 3));

    let bytes = message("Truncate");
    let Ok(Message::Truncate(truncate)) = parse(&bytes, false) else {
        panic!()
    };
    assert!(truncate.cascade && truncate.restart_identity);
    assert_eq!(truncate.relations().collect::<Vec<_>>(), [42, 43]);
}

#[test]
fn a_change_inside_a_streamed_transaction_carries_its_id() {
    let bytes = Bytes::tag(b'I').u32(77).u32(42).u8(b'N').u16(0).0;
    let Ok(Message::Insert(insert)) = parse(&bytes, true) else {
        panic!()
    };
    assert_eq!((insert.xid, insert.relation), (Some(77), 42));
    assert!(parse(&bytes, false).is_err());
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![b'd'];
    bytes.extend((payload.len() as u32 + 4).to_be_bytes());
    bytes.extend(payload);
    bytes
}

#[test]
fn frames_are_walked_in_order_and_end_at_the_first_fault() {
    let data = Bytes::tag(b'w').u64(1).u64(2).u64(3).u8(b'E').0;
    let keepalive = Bytes::tag(b'k').u64(9).u64(3).u8(1).0;
    let mut block = [frame(&data), frame(&keepalive)].concat();
    let seen: Vec<_> = frames(&block).collect::<Result<_, _>>().unwrap();
    assert!(matches!(seen[0], Frame::XLogData(d) if d.start == Lsn(1) && d.body == b"E"));
    assert!(matches!(seen[1], Frame::Keepalive(k) if k.wal_end == Lsn(9) && k.reply_requested));
    block.truncate(block.len() - 1);
    let seen: Vec<_> = frames(&block).collect();
    assert!(seen.len() == 2 && seen[0].is_ok() && seen[1].is_err());
    for hostile in [
        &b"d\0\0\0\0"[..],
        b"d\xff\xff\xff\xff",
        b"x\0\0\0\x04",
        b"d\0\0",
    ] {
        assert!(frames(hostile).next().unwrap().is_err(), "{hostile:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(tag in proptest::sample::select(b"IUDBCRYOTMSEcAbPpKr".to_vec()),
                              rest in prop::collection::vec(any::<u8>(), 0..200), in_stream: bool) {
        let mut bytes = vec![tag];
        bytes.extend(&rest);
        if let Ok(message) = parse(&bytes, in_stream) {
            walk(message);
        }
        for frame in frames(&rest) {
            let _ = frame;
        }
    }

    #[test]
    fn a_flipped_byte_never_makes_it_panic(which in 0usize..20, at in 0usize..60, value: u8) {
        let (_, mut bytes) = examples().swap_remove(which);
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(message) = parse(&bytes, false) {
            walk(message);
        }
    }
}

/// Looks at everything that a message gives out lazily.
fn walk(message: Message<'_>) {
    let mut row = Vec::new();
    match message {
        Message::Insert(insert) => {
            insert.new.datums(&mut row);
            assert_eq!(row.len(), insert.new.len());
        }
        Message::Relation(relation) => drop(relation.to_relation()),
        Message::Truncate(truncate) => drop(truncate.relations().collect::<Vec<_>>()),
        _ => {}
    }
}
