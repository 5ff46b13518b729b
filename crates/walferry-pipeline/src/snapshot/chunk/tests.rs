//! What a chunk is read from: conditions, and the race between a commit's record in the WAL and its visibility.

use std::collections::BTreeSet;

use walferry_stack::{PostgresOptions, PostgresServer, test_postgres_major};
use walferry_testkit::checker::Session as Client;

use super::*;
use crate::{
    config::{ConnectConfig, example::example},
    encode::recent_transactions::Recent,
};

#[test]
fn rows_without_a_key_are_told_by_the_transaction_that_wrote_them() {
    let now: Visibility = "30:31:30".parse().unwrap();
    assert_eq!(
        condition([None, Some("a OR b")], Some("10:20:12,14"), &now).unwrap(),
        "(a OR b) AND xmin::text::bigint < 20 AND xmin::text::bigint NOT IN (12, 14)"
    );
    assert_eq!(
        condition([Some("a"), Some("b")], None, &now).unwrap(),
        "(a) AND (b)"
    );
    assert_eq!(condition([None; 2], None, &now), None);
    let wrapped: Visibility = "4294967297:4294967297:".parse().unwrap();
    assert_eq!(condition([None; 2], Some("10:20:"), &wrapped), None);
}

/// Asks until there is an answer.
async fn until<T>(what: &str, mut asked: impl FnMut() -> Option<T>) -> T {
    let begun = time::Instant::now();
    loop {
        if let Some(answer) = asked() {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        time::sleep(Duration::from_millis(5)).await;
    }
}

/// The rows as COPY has them, and up to where the WAL had been written just after the snapshot was taken.
async fn rows(sessions: &Sessions, order: &Order) -> (String, Lsn) {
    match sessions.read(order).await.unwrap() {
        Read::Chunk(chunk) => {
            let lines = chunk.blocks.iter().flat_map(|it| it.lines());
            let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
            (lines.join("\n"), chunk.wal_insert)
        }
        Read::Replaced(..) => panic!("the table is as it was"),
    }
}

/// A transaction whose commit record is written waits for a standby before others see what it has done.
#[tokio::test]
async fn a_comparison_of_lsns_would_give_a_row_as_it_was_before_a_change_that_was_streamed() {
    let options = PostgresOptions::new().major(test_postgres_major());
    let postgres = PostgresServer::start(options.fsync(false)).unwrap();
    let url = postgres.url();
    let mut client = Client::connect(&url).unwrap();
    client
        .execute("create table t (id int primary key, note text)")
        .unwrap();
    client.execute("insert into t values (1, 'old')").unwrap();
    client.execute("create publication c for table t").unwrap();
    let oid = client.value("select 't'::regclass::oid").unwrap().unwrap();
    client
        .execute("alter system set synchronous_standby_names = 'nobody'")
        .unwrap();
    client.execute("select pg_reload_conf()").unwrap();
    until("the setting", || {
        let seen = client.value("show synchronous_standby_names").unwrap();
        seen.filter(|it| it == "nobody")
    })
    .await;
    let racing = std::thread::spawn({
        let url = url.clone();
        move || {
            let mut session = Client::connect(&url).unwrap();
            session.execute("update t set note = 'new'").unwrap();
        }
    });
    let waiting = "select backend_xid::text from pg_stat_activity where wait_event = 'SyncRep'";
    let xid = until("the commit waits", || client.value(waiting).unwrap()).await;
    let committed = client.value("select pg_current_wal_insert_lsn()").unwrap();
    let committed: Lsn = committed.unwrap().parse().unwrap();

    let mut config = example();
    config.source.connect = ConnectConfig::from_url(&url).unwrap();
    let sessions = Sessions::new(InForce::new(config));
    let mut order = Order {
        table: oid.parse().unwrap(),
        range: RowRange::default(),
        rows_max: 100,
        bytes_max: 1 << 20,
        condition: None,
        base: None,
        contents: None,
        streamed: Streamed::default(),
        added_at: None,
    };
    // By its position the snapshot sees the change, and yet it does not.
    let (read, wal_insert) = rows(&sessions, &order).await;
    assert_eq!(read, "1\told");
    assert!(wal_insert >= committed, "{wal_insert} {committed}");

    // Who says what was streamed is given no row before it is seen.
    let mut recent = Recent::default();
    recent.note(xid.parse().unwrap());
    order.streamed = recent.before();
    let reading = tokio::spawn(async move { rows(&sessions, &order).await.0 });
    let mut given_up = BTreeSet::new();
    let last = "select max(query_start)::text from pg_stat_activity
                where datname = current_database() and query = 'ROLLBACK'";
    until("several snapshots are given up", || {
        assert!(!reading.is_finished(), "the chunk did not wait");
        given_up.extend(client.value(last).unwrap());
        (given_up.len() > 3).then_some(())
    })
    .await;
    client
        .execute("alter system reset synchronous_standby_names")
        .unwrap();
    client.execute("select pg_reload_conf()").unwrap();
    assert_eq!(reading.await.unwrap(), "1\tnew");
    racing.join().unwrap();
}
