//! Files that cannot be used: `check` and `run` both end with 2 and one message with its code, which names the key and what would be
//! right. No server is asked.

use walferry_testkit::process::{Settings, Walferry};

use crate::codes::code_of;
use crate::place::{Place, REFUSED};

/// What is changed in a file that can be used, and words of the message.
type Case = (fn(&mut Settings), &'static [&'static str]);

fn text(settings: &mut Settings, key: &str, value: &str) {
    settings.set_text(key, value);
}

const ALL: &[Case] = &[
    (
        |it| text(it, "source.tabels", "public.*"),
        &["tabels", "tables", "WF0003"],
    ),
    (
        |it| text(it, "source.heartbeat_ms", "soon"),
        &["heartbeat_ms", "WF0003"],
    ),
    (
        |it| {
            it.set("source.heartbeat_ms", "-1");
        },
        &["heartbeat_ms", "WF0003"],
    ),
    (
        |it| text(it, "source.slot_retained_bytes_max", "50 furlongs"),
        &["slot_retained_bytes_max", "furlongs", "GiB", "WF0003"],
    ),
    (
        |it| text(it, "source.new_tables", "perhaps"),
        &["new_tables", "follow", "WF0003"],
    ),
    (
        |it| text(it, "source.partitions", "twig"),
        &["partitions", "leaf", "WF0003"],
    ),
    (
        |it| text(it, "source.tls.mode", "maybe"),
        &["mode", "verify-full", "WF0003"],
    ),
    (
        |it| text(it, "source.url", "mysql://db/shop"),
        &["source.url", "postgresql://", "WF0"],
    ),
    (
        |it| {
            it.unset("source.url");
        },
        &["source.url", "WF0003"],
    ),
    (
        |it| {
            it.set("source.password", "{ env = \"WALFERRY_NOT_SET\" }");
        },
        &["WALFERRY_NOT_SET", "source.password", "WF0004"],
    ),
    (
        |it| {
            it.set("source.password", "{ file = \"/nowhere/at/all\" }");
        },
        &["/nowhere/at/all", "source.password", "WF0004"],
    ),
    (
        |it| text(it, "snapshot.mode", "sometimes"),
        &["mode", "initial", "WF0003"],
    ),
    (
        |it| {
            it.set("snapshot.readers", "0");
        },
        &["readers", "WF0003"],
    ),
    (
        |it| {
            it.unset("kafka.brokers");
        },
        &["brokers", "WF0003"],
    ),
    (
        |it| {
            it.kafka_property("enable.idempotence", "false");
        },
        &["enable.idempotence", "doubled", "WF0"],
    ),
    (
        |it| {
            it.kafka_property("transactional.id", "mine");
        },
        &["transactional.id", "WF0"],
    ),
    (
        |it| {
            it.kafka_property("acks", "1");
        },
        &["acks", "WF0"],
    ),
    (
        |it| {
            it.kafka_property("compression.tipe", "lz4");
        },
        &["compression.tipe", "compression.type", "WF0"],
    ),
    (
        |it| text(it, "errors.policy", "ignore"),
        &["policy", "dead-letter", "WF0003"],
    ),
    (
        |it| text(it, "format.decimal", "roman"),
        &["decimal", "precise", "WF0003"],
    ),
    (
        |it| text(it, "format.envelope", "paper"),
        &["envelope", "debezium", "WF0003"],
    ),
    (
        |it| text(it, "publish.batch_bytes_max", "16 parsecs"),
        &["batch_bytes_max", "16 parsecs", "MiB", "WF0003"],
    ),
    (
        |it| text(it, "registry.url", "ftp://registry"),
        &["registry.url", "WF0"],
    ),
    (
        |it| text(it, "admin.listen", "nowhere"),
        &["listen", "WF0003"],
    ),
    (
        |it| {
            it.table("name = \"public.t\"").table("name = \"public.t\"");
        },
        &["public.t", "WF0003"],
    ),
    (
        |it| {
            it.table("name = \"public.t\"\nmask = [{ column = \"a\", with = \"rot13\" }]");
        },
        &["rot13", "sha256", "WF0003"],
    ),
    (
        |it| {
            it.table("name = \"public.t\"\ntopik = \"a\"");
        },
        &["topik", "topic", "WF0003"],
    ),
];

#[test]
fn each_is_named_by_check_and_by_run() {
    let place = Place::shared("broken_file");
    for (change, words) in ALL {
        let mut settings = place.all();
        change(&mut settings);
        let path = settings.write(&place.folder).unwrap();
        for command in ["check", "run"] {
            let arguments = [command, "-c", path.to_str().unwrap()];
            let mut walferry = Walferry::start_with(&arguments, &settings, &place.folder).unwrap();
            let code = walferry.wait_exit(REFUSED);
            let log = walferry.log().join("\n");
            assert_eq!(code, Some(2), "{words:?}: {log}");
            let told = log
                .lines()
                .find(|line| words.iter().all(|word| line.contains(word)));
            let told = told.unwrap_or_else(|| panic!("no line has {words:?}:\n{log}"));
            assert!(code_of(told).is_some(), "{told}");
        }
    }
}
