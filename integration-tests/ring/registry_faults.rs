//! A registry that fails in parts, takes no writes, or is another when it is back: nothing is lost, no schema is blamed, and no
//! record has an id that the registry has not given.

use std::collections::BTreeSet;
use std::time::Duration;

use walferry_stack::Stack;
use walferry_testkit::fake_registry::{FakeRegistry, Fault};
use walferry_testkit::process::{Settings, Walferry};
use walferry_testkit::topics::Reader;

use crate::park::table;
use crate::place::{Place, READY};

/// How soon `/readyz` says why, and how soon it goes on when the fault is over: five seconds, and more on a machine that runs other
/// tests.
const SAID: Duration = Duration::from_secs(8);
const RESUMED: Duration = Duration::from_secs(10);

fn place(name: &str, registry: &FakeRegistry) -> (Place, Settings) {
    let mut servers = Stack::shared().unwrap().clone();
    servers.registry_url = registry.url();
    let place = Place::on(&servers, name);
    place.sql("create table a (id int primary key); create table b (id int primary key)");
    let mut settings = place.all();
    settings.set_text("snapshot.mode", "never");
    (place, settings)
}

fn live(walferry: &Walferry) {
    assert_eq!(walferry.get("/livez").unwrap().status, 200);
}

/// The ids in the values of a topic's records, in their order.
fn ids(place: &Place, table: &str) -> Vec<u32> {
    let mut reader = Reader::open(&place.brokers, &[place.topic(table)]).unwrap();
    let mut ids = Vec::new();
    reader
        .read_to_end(|message| {
            if let Some(value) = rdkafka::Message::payload(message) {
                ids.push(u32::from_be_bytes(value[1..5].try_into()?));
            }
            Ok(())
        })
        .unwrap();
    ids
}

/// A new schema meets a registry that fails for writes alone, in each of the ways that mean that it is away. The policies would
/// have it in the dead letters, or stop; it is waited for.
#[test]
fn a_registry_that_takes_no_writes_is_waited_for() {
    let registry = FakeRegistry::start().unwrap();
    let (place, mut settings) = place("no_writes", &registry);
    settings
        .set_text("errors.policy", "dead-letter")
        .set("errors.retries_max", "2");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into a values (0)");
    let read_only = r#"{"error_code":42205,"message":"Subject is in read-only mode"}"#;
    for (n, fault) in [
        Fault::Writes(503, "<html>no backend</html>".into()),
        Fault::Writes(500, r#"{"error_code":50001,"message":"store"}"#.into()),
        Fault::Writes(422, read_only.into()),
        Fault::Writes(405, String::new()),
        Fault::All(503, String::new()),
        Fault::BlackHole,
    ]
    .into_iter()
    .enumerate()
    {
        registry.set(fault);
        place.sql(&format!(
            "alter table a add column c{n} int; insert into a (id) values ({})",
            n + 1
        ));
        let said = walferry.wait_not_ready("registry", SAID);
        assert!(said.contains("since 20"), "{said}");
        live(&walferry);
        registry.set(Fault::None);
        walferry.wait_ready(RESUMED);
        place.drain(&format!("insert into b values ({n})"));
    }
    let status = walferry.status().unwrap();
    assert_eq!(status["dead_letters"], 0, "{status}");
    assert_eq!(ids(&place, "public.a").len(), 7);
}

/// With the policy `park` the table that needs a new schema waits alone.
#[test]
fn a_table_is_parked_while_the_registry_takes_no_writes() {
    let registry = FakeRegistry::start().unwrap();
    let (place, mut settings) = place("parked_by_outage", &registry);
    settings.table("name = \"public.a\"\nerrors = \"park\"");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into a values (0); insert into b values (0)");
    registry.set(Fault::Writes(503, String::new()));
    place.sql(
        "alter table a add column c int; insert into a values (1, 1); insert into b values (1)",
    );
    walferry.wait_status("parked, and the other goes on", READY, |it| {
        table(it, "public.a")["state"] == "parked" && table(it, "public.b")["changes"] == 2
    });
    let reason = table(&walferry.status().unwrap(), "public.a")["reason"].to_string();
    assert!(reason.contains("503"), "{reason}");
    registry.set(Fault::None);
    walferry.wait_log("the registry takes the schema now", RESUMED);
    walferry.wait_status("caught up", READY, |it| {
        table(it, "public.a")["state"] == "streaming" && table(it, "public.a")["changes"] == 2
    });
    place.drain("insert into b values (2)");
}

/// A registry that was built anew gives other ids. They are asked for again, after an outage and when nobody saw one.
#[test]
fn no_record_has_an_id_that_a_rebuilt_registry_does_not_know() {
    let registry = FakeRegistry::start().unwrap();
    let (place, mut settings) = place("rebuilt", &registry);
    settings.set("format.transaction_metadata", "true");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into a values (0); insert into b values (0)");
    registry.rebuild(100);
    walferry.wait_log("answers differently", READY);
    place.drain("insert into a values (1); insert into b values (1)");
    registry.set(Fault::All(503, String::new()));
    walferry.wait_not_ready("registry", SAID);
    registry.rebuild(200);
    registry.set(Fault::None);
    walferry.wait_ready(RESUMED);
    place.drain("insert into a values (2); insert into b values (2)");
    for topic in ["public.a", "public.b", "transaction"] {
        let ids = ids(&place, topic);
        let hundreds: BTreeSet<u32> = ids.iter().map(|id| id / 100).collect();
        assert_eq!(hundreds, BTreeSet::from([0, 1, 2]), "{topic}: {ids:?}");
        assert!(ids.is_sorted(), "{topic}: {ids:?}");
        assert!(registry.schema(ids[ids.len() - 1]).is_some());
    }
}
