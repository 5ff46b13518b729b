//! Files that load, and what is said of those that do not.

use super::*;

const LEAST: &str = r#"
name = "shop"
[source]
url = "postgresql://walferry@db:5432/shop"
tables = ["public.*"]
[kafka]
brokers = "k1:9092"
[registry]
url = "http://registry:8081"
"#;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    from_text(text, "shop.toml", variables, &Choices::default())
}

fn refusal(text: &str, variables: &[(&str, &str)]) -> String {
    match load(text, variables) {
        Ok(_) => panic!("it loads: {text}"),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn the_least_file_has_the_documented_defaults() {
    let config = load(LEAST, &[]).unwrap().pipeline;
    assert_eq!(config.source.slot, "walferry_shop");
    assert_eq!(config.source.publication, "walferry_shop");
    assert_eq!(config.kafka.checkpoint_topic, "walferry_checkpoint_shop");
    assert_eq!(config.topic("public", "orders"), "shop.public.orders");
    assert_eq!(config.errors.dead_letter_topic, "shop.dead_letters");
    assert_eq!(config.publish.batch_bytes_max, 16 << 20);
    assert_eq!(config.source.slot_retained_bytes_max, Some(50 << 30));
    assert_eq!(config.source.connect.application_name, "walferry_shop");
}

#[test]
fn the_example_loads() {
    let text = include_str!("../../../../config/walferry.toml");
    let config = load(text, &[]).unwrap().pipeline;
    assert_eq!(config.name, "shop");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (from, to, parts) in [
        (
            "tables =",
            "tabels =",
            &["shop.toml:5", "tabels", "\"tables\""][..],
        ),
        ("[kafka]", "[kafak]", &["shop.toml:6", "kafak", "\"kafka\""]),
        ("tables =", "url =", &["shop.toml:5", "duplicate key"]),
        (
            "name = \"shop\"",
            "name = \"Shop\"",
            &["name", "lower-case"],
        ),
        (
            "[kafka]",
            "[publish]\nbatch_bytes_max = \"16 MB\"\n[kafka]",
            &["shop.toml:7", "batch_bytes_max", "16 MB", "MiB"],
        ),
        (
            "[kafka]",
            "[publish]\nmemory_bytes_max = \"1 MiB\"\n[kafka]",
            &["publish.memory_bytes_max", "16 MiB"],
        ),
        ("brokers = \"k1:9092\"", "", &["kafka.brokers is missing"]),
        (
            "[kafka]",
            "[snapshot]\nmode = \"initail\"\n[kafka]",
            &["shop.toml:7", "mode", "initail", "initial"],
        ),
        (
            "[kafka]",
            "[format]\ntransaction_metadata = \"yes\"\n[kafka]",
            &["shop.toml:7", "transaction_metadata"],
        ),
        (
            "[registry]",
            "[kafka.properties]\nacks = \"1\"\n[registry]",
            &["acks"],
        ),
        (
            "[registry]",
            "[kafka.properties]\nlinger.ms = 5\n[registry]",
            &["shop.toml:9", "in quotes: \"linger.ms\""],
        ),
        (
            "tables = [",
            "password = { evn = \"X\" }\ntables = [",
            &["shop.toml:5", "password", "\"env\""],
        ),
    ] {
        let message = refusal(&LEAST.replace(from, to), &[]);
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}

#[test]
fn variables_override_keys_and_unknown_ones_are_errors() {
    let variables = [
        ("WALFERRY_KAFKA__BROKERS", "k2:9092"),
        ("WALFERRY_SOURCE__TABLES", "[\"a.*\", \"b.*\"]"),
        ("WALFERRY_PUBLISH__BATCH_BYTES_MAX", "1 MiB"),
        ("WALFERRY_PUBLISH__COMMIT_INTERVAL_MS", "50"),
        ("WALFERRY_SOURCE__CREATE", "false"),
        ("WALFERRY_NAME", "other"),
        ("WALFERRY_TEST_KAFKA", "ignored"),
        ("WALFERRY_SERVICE_HOST", "10.0.0.1"),
        ("WALFERRY_PORT", "tcp://10.0.0.1:9464"),
        ("WALFERRY_TOKEN", "ignored"),
        ("PATH", "/bin"),
    ];
    let config = load(LEAST, &variables).unwrap().pipeline;
    assert_eq!(config.kafka.brokers, "k2:9092");
    assert_eq!(config.source.tables, ["a.*", "b.*"]);
    assert_eq!(config.publish.batch_bytes_max, 1 << 20);
    assert_eq!(config.publish.commit_interval_ms, 50);
    assert!(!config.source.create);
    assert_eq!(config.name, "other");
    let message = refusal(LEAST, &[("WALFERRY_KAFKA__BROKER", "k2:9092")]);
    assert!(
        message.contains("WALFERRY_KAFKA__BROKER") && message.contains("\"brokers\""),
        "{message}"
    );
    let message = refusal(LEAST, &[("WALFERRY_PUBLISH__COMMIT_INTERVAL_MS", "soon")]);
    assert!(message.contains("COMMIT_INTERVAL_MS"), "{message}");
    // A variable that may only be in the environment can supply what the file lacks.
    let less = LEAST.replace("brokers = \"k1:9092\"", "");
    assert!(load(&less, &[("WALFERRY_KAFKA__BROKERS", "k:1")]).is_ok());
}

#[test]
fn a_secret_is_asked_for_and_never_printed() {
    let file = LEAST.replace(
        "tables = [",
        "password = { env = \"WALFERRY_SHOP_PASSWORD_NOT_SET\" }\ntables = [",
    );
    let message = refusal(&file, &[("WALFERRY_SHOP_PASSWORD_NOT_SET", "hunter2")]);
    assert!(
        message.contains("source.password") && message.contains("is not set"),
        "{message}"
    );
    let literal = LEAST.replace("tables = [", "password = \"hunter2\"\ntables = [");
    let config = load(&literal, &[]).unwrap().pipeline;
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn every_key_is_in_the_document_once() {
    let text = document::document();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert_eq!(rows.len(), file::keys().count());
    let mut variables: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.rsplit_once("| ").map(|(_, variable)| variable))
        .filter(|variable| variable.starts_with("`WALFERRY_"))
        .collect();
    let count = variables.len();
    variables.sort_unstable();
    variables.dedup();
    assert_eq!(variables.len(), count);
    assert!(variables.contains(&"`WALFERRY_KAFKA__TOPICS__PARTITIONS` |"));
}

#[test]
fn a_level_that_is_none_is_refused() {
    for level in ["verbose", "info,walferry_kafka=loud", ""] {
        let message = refusal(&format!("{LEAST}[log]\nlevel = {level:?}\n"), &[]);
        assert!(message.contains("log.level"), "{message}");
    }
    for level in ["debug", "INFO", "warn,walferry_kafka=trace"] {
        assert!(load(&format!("{LEAST}[log]\nlevel = {level:?}\n"), &[]).is_ok());
    }
}

#[test]
fn what_has_changed_is_told_by_its_keys_and_split_by_whether_it_needs_a_start() {
    let running = load(LEAST, &[]).unwrap();
    let changed = |text: &str| {
        let read = load(text, &[]).unwrap();
        super::reload::changes(&running, &read)
    };
    assert_eq!(changed(LEAST), super::reload::Changes::default());
    let wider = LEAST.replace("\"public.*\"", "\"public.*\", \"other.t\"");
    let wider =
        format!("{wider}\n[snapshot]\nreaders = 4\n[[table]]\nname = \"other.t\"\ntopic = \"x\"\n");
    let told = changed(&wider);
    assert_eq!(
        told.reloaded,
        ["snapshot.readers", "source.tables", "[[table]] other.t"]
    );
    assert!(told.refused.is_empty(), "{told:?}");
    let other = format!(
        "{LEAST}\n[publish]\ncommit_interval_ms = 7\n[[table]]\nname = \"public.t\"\ntopic = \"x\"\n"
    );
    let told = changed(&other);
    assert_eq!(
        told.refused,
        ["publish.commit_interval_ms", "[[table]] public.t"]
    );
}
