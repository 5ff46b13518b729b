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

/// A value of a row and the bytes that PostgreSQL would send for it.
fn value() -> impl Strategy<Value = (Option<bool>, Vec<u8>)> {
    let text = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        text.clone().prop_map(|text| (Some(true), text)),
        text.prop_map(|bytes| (Some(false), bytes)),
        any::<bool>().prop_map(|null| (None, vec![u8::from(null)])),
    ]
}

proptest! {
    #[test]
    fn a_row_reads_as_it_was_written(values in prop::collection::vec(value(), 0..30), xid: u32) {
        let mut bytes = Bytes::tag(b'I').u32(xid).u32(42).u8(b'N').u16(values.len() as u16);
        let mut expected = Vec::new();
        for (kind, value) in &values {
            bytes = match kind {
                None => bytes.u8(if value == &[1] { b'n' } else { b'u' }),
                Some(text) => {
                    let kind = if *text { b't' } else { b'b' };
                    let mut bytes = bytes.u8(kind).u32(value.len() as u32);
                    bytes.0.extend(value);
                    bytes
                }
            };
            expected.push(match kind {
                None if value == &[1] => Datum::Null,
                None => Datum::Unchanged,
                Some(true) => Datum::Text(value),
                Some(false) => Datum::Binary(value),
            });
        }
        let Ok(Message::Insert(insert)) = parse(&bytes.0, true) else { panic!() };
        prop_assert_eq!((insert.xid, insert.relation), (Some(xid), 42));
        prop_assert_eq!(insert.new.iter().len(), expected.len());
        // Rows are appended: what the caller has already stays.
        let mut row = vec![Datum::Null];
        insert.new.datums(&mut row);
        prop_assert_eq!(&row[1..], expected.as_slice());
        for len in 0..bytes.0.len() {
            prop_assert!(parse(&bytes.0[..len], true).is_err());
        }
    }

    #[test]
    fn a_relation_reads_as_it_was_written(
        names in prop::collection::vec("[^\0]{0,12}", 2..12),
        numbers: (u32, u32, i32),
    ) {
        let (oid, type_oid, type_modifier) = numbers;
        let columns = &names[2..];
        let mut bytes = Bytes::tag(b'R').u32(oid).text(&names[0]).text(&names[1]);
        bytes = bytes.u8(b'i').u16(columns.len() as u16);
        for (index, column) in columns.iter().enumerate() {
            bytes = bytes.u8((index % 2) as u8).text(column);
            bytes = bytes.u32(type_oid).u32(type_modifier as u32);
        }
        let Ok(Message::Relation(message)) = parse(&bytes.0, false) else { panic!() };
        let relation = message.to_relation();
        let schema = if names[0].is_empty() { "pg_catalog" } else { &names[0] };
        prop_assert_eq!((relation.oid, relation.schema.as_str()), (oid, schema));
        prop_assert_eq!(&relation.name, &names[1]);
        prop_assert_eq!(relation.replica_identity, ReplicaIdentity::Index);
        prop_assert_eq!(relation.columns.len(), columns.len());
        for (index, (column, name)) in relation.columns.iter().zip(columns).enumerate() {
            prop_assert_eq!(&column.name, name);
            prop_assert_eq!(column.in_identity, index % 2 == 1);
            prop_assert_eq!((column.type_oid, column.type_modifier), (type_oid, type_modifier));
        }
    }

    #[test]
    fn frames_read_as_they_were_laid(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20),
        at: u64,
        sent_us in -1_000_000_000_000_000i64..1_000_000_000_000_000,
    ) {
        let mut block = Vec::new();
        for body in &bodies {
            let mut data = Bytes::tag(b'w').u64(at).u64(!at).u64(sent_us as u64);
            data.0.extend(body);
            block.extend(frame(&data.0));
        }
        let mut found = Vec::new();
        for frame in frames(&block) {
            let Ok(Frame::XLogData(data)) = frame else { panic!() };
            prop_assert_eq!((data.start, data.end), (Lsn(at), Lsn(!at)));
            prop_assert_eq!(data.sent_us, sent_us + EPOCH_US);
            found.push(data.body.to_vec());
        }
        prop_assert_eq!(found, bodies);
    }
}

#[test]
fn faults_name_the_message_the_place_and_what_was_expected() {
    let cases = [
        (
            Bytes::tag(b'?').0,
            "malformed pgoutput message: expected a known message tag at byte 0",
        ),
        (
            Bytes::tag(b'I').u32(1).u8(b'N').u16(1).u8(b'x').0,
            "malformed Insert message: expected a value's kind 'n', 'u', 't' or 'b' at byte 8",
        ),
        (
            Bytes::tag(b'I').u32(1).u8(b'N').u16(1).u8(b't').u32(9).0,
            "malformed Insert message: expected as many bytes as the \
             value's length says at byte 13",
        ),
        (
            Bytes::tag(b'U').u32(1).u8(b'K').u16(0).u8(b'M').0,
            "malformed Update message: expected 'N' before the new row at byte 8",
        ),
        (
            Bytes::tag(b'D').u32(1).u8(b'N').u16(0).0,
            "malformed Delete message: expected 'K' or 'O' at byte 5",
        ),
        (
            Bytes::tag(b'R').u32(1).text("s").text("t").u8(b'z').0,
            "malformed Relation message: expected replica identity 'd', 'n', 'f' or 'i' at byte 9",
        ),
        (
            Bytes::tag(b'Y').u32(1).u8(0xff).u8(0).0,
            "malformed Type message: expected the schema name at byte 5",
        ),
        (
            Bytes::tag(b'T').u32(u32::MAX).u8(0).0,
            "malformed Truncate message: expected as many oids as the number says at byte 6",
        ),
        (
            Bytes::tag(b'E').u8(0).0,
            "malformed Stream Stop message: expected the end of the message at byte 1",
        ),
    ];
    for (bytes, expected) in cases {
        let error = parse(&bytes, false).unwrap_err();
        assert_eq!(error.to_string(), expected);
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
