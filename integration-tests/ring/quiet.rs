//! A database in which nothing happens, on a server on which much does: the slot keeps up with the WAL of all databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use walferry_event::Lsn;
use walferry_testkit::checker::Session;

use crate::place::Place;

/// Between two transactions of the other database.
const BEAT: Duration = Duration::from_millis(20);
/// How far behind the slot may be: a heartbeat, and time for a machine that is busy itself.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_quiet_database_on_a_busy_server_holds_no_wal() {
    let (quiet, busy) = (Place::shared("quiet"), Place::shared("busy"));
    quiet.sql("create table t (id int primary key)");
    busy.sql("create table t (id int)");
    let mut walferry = quiet.streaming(&quiet.all());
    quiet.drain("insert into t values (1)");
    let over = Arc::new(AtomicBool::new(false));
    let _ends = Ends(over.clone());
    let url = busy.url.clone();
    let busy_writer = std::thread::spawn(move || {
        let mut session = Session::connect(&url).unwrap();
        while !over.load(Ordering::Relaxed) {
            session.execute("insert into t values (1)").unwrap();
            std::thread::sleep(BEAT);
        }
    });
    for _ in 0..2 {
        let end = quiet.value("select pg_current_wal_insert_lsn()").unwrap();
        let end: Lsn = end.parse().unwrap();
        walferry.wait_status("the slot keeps up", SOON, |it| {
            let confirmed = it["positions"]["confirmed"].as_str();
            confirmed.and_then(|it| it.parse().ok()) >= Some(end)
        });
    }
    assert!(!busy_writer.is_finished());
}

/// Ends the load, also when the test fails.
struct Ends(Arc<AtomicBool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
