//! The race between a commit's record in the WAL and its visibility, held open by a standby that never answers: the stream brings a
//! change that no snapshot sees yet. A chunk waits for it; that it would give the old row last without that wait, a test beside the reading
//! of chunks shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use walferry_pipeline::{Handle, State, Status, TableState, config, snapshot::control};
use walferry_stack::{Coordinates, PostgresServer, Stack};
use walferry_testkit::checker::{Record, Session, Value};
use walferry_testkit::topics::{Decoder, Reader};

use crate::place::{Place, READY, own_postgres};

fn config(place: &Place) -> config::Config {
    let name = &place.name;
    let retries = config::RetryLimits {
        retries_max: 20,
        retry_min_ms: 50,
        retry_max_ms: 1_000,
    };
    config::Config {
        name: name.clone(),
        source: config::Source {
            new_tables: config::NewTables::Follow,
            adopt_with_snapshot: false,
            connect: config::ConnectConfig::from_url(&place.url).unwrap(),
            tables: vec!["public.*".into()],
            slot: place.slot(),
            publication: place.slot(),
            create: true,
            partitions_root: true,
            origin_none: false,
            slot_retained_bytes_max: None,
            heartbeat_ms: 1_000,
            adopt_slot: false,
        },
        snapshot: config::Snapshot::default(),
        kafka: config::Kafka {
            headers: Vec::new(),
            topics: Default::default(),
            brokers: place.brokers.clone(),
            properties: BTreeMap::new(),
            secrets: BTreeMap::new(),
            connector: name.clone(),
            checkpoint_topic: format!("walferry_checkpoint_{name}"),
            dead_letter_topic: "dead_letters".into(),
            requests: Default::default(),
            queue_bytes_max: 8 << 20,
            topic_partitions: 1,
            topic_replication: -1,
            topic_config: BTreeMap::new(),
            retries,
        },
        topic_prefix: name.clone(),
        registry: config::Registry {
            urls: vec![config::BaseUrl::parse(&place.registry).unwrap().0],
            username: None,
            password: None,
            token: None,
            ca: None,
            cert: None,
            key: None,
            timeout_ms: 5_000,
        },
        subject_strategy: config::SubjectStrategy::default(),
        format: config::Format::default(),
        transaction_metadata: false,
        context_headers: false,
        tombstones: true,
        skipped_operations: Vec::new(),
        publish: config::Publish {
            batch_bytes_max: 1 << 20,
            commit_interval_ms: 50,
            memory_bytes_max: 16 << 20,
        },
        errors: config::Errors {
            policy: config::Policy::Stop,
            dead_letter_topic: format!("{name}.dead"),
            retries_max: 20,
            retry_min_ms: 50,
            retry_max_ms: 1_000,
        },
        shutdown_ms: 10_000,
        tables: Vec::new(),
        resync: None,
    }
}

fn wait(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < READY, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn done(status: &Status) -> bool {
    let tables = status.report().snapshot;
    !tables.is_empty() && tables.iter().all(|it| it.table.state == TableState::Done)
}

#[test]
fn a_chunk_waits_for_what_was_streamed_before_it_was_visible() {
    let postgres = PostgresServer::start(own_postgres()).unwrap();
    let shared = Stack::shared().unwrap();
    let servers = Coordinates {
        postgres_url: postgres.url(),
        kafka_brokers: shared.kafka_brokers.clone(),
        registry_url: shared.registry_url.clone(),
    };
    let place = Place::on(&servers, "seen");
    place.sql("create table t (id int primary key, note text); insert into t select i, 'old' from generate_series(1, 1000) i");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let status = Arc::new(Handle::new(&place.name));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let run = walferry_pipeline::run(config(&place), status.clone(), stopped);
    let running = runtime.spawn(run);
    wait("the first snapshot", || {
        done(&status) && status.report().state == State::Streaming
    });

    // Its commit record is written and streamed; it waits for a standby before it leaves the set of running transactions.
    place.sql("alter system set synchronous_standby_names = 'nobody'");
    place.sql("select pg_reload_conf()");
    wait("the setting", || {
        place.value("show synchronous_standby_names").as_deref() == Some("nobody")
    });
    let url = place.url.clone();
    let racing = std::thread::spawn(move || {
        let mut session = Session::connect(&url).unwrap();
        session
            .execute("update t set note = 'new' where id = 500")
            .unwrap();
    });
    let changes = || {
        let tables = status.report().tables;
        tables.iter().map(|table| table.changes).sum::<u64>()
    };
    wait("the change is streamed", || changes() == 1);
    assert_eq!(
        place.value("select note from t where id = 500").as_deref(),
        Some("old")
    );

    runtime
        .block_on(control::start(&status, vec!["public.t".into()], None, 0))
        .unwrap();
    // While the change is not visible, one snapshot after the other is taken and given up.
    let mut given_up = BTreeSet::new();
    let last = "select max(query_start)::text from pg_stat_activity
                where datname = current_database() and query = 'ROLLBACK'";
    wait("several snapshots are given up", || {
        assert!(!done(&status), "the chunk did not wait");
        given_up.extend(place.value(last));
        given_up.len() > 3
    });
    place.sql("alter system reset synchronous_standby_names");
    place.sql("select pg_reload_conf()");
    racing.join().unwrap();
    wait("the snapshot", || done(&status));
    stop.send_replace(true);
    runtime.block_on(running).unwrap().unwrap();

    let mut decoder = Decoder::new(&place.registry);
    let mut reader = Reader::open(&place.brokers, &[place.topic("public.t")]).unwrap();
    let mut last = String::new();
    reader
        .read_to_end(|message| {
            if let Record::Event(event) = decoder.decode(message)?.record
                && let Some(row) = event.after
                && row.column("id") == Some(&Value::Text("500".into()))
                && let Some(Value::Text(note)) = row.column("note")
            {
                last.clone_from(note);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(last, "new");
}
