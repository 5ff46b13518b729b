//! A broker that speaks TLS and asks for a log-in: records go out, and an authority that is not trusted is named with its remedy.

use walferry_stack::{KafkaOptions, KafkaServer};
use walferry_testkit::process::Settings;

use crate::place::{DRAIN, Place, READY};
use crate::records::read;

fn reached_by(place: &Place, kafka: &KafkaServer, trusted: Option<&str>) -> Settings {
    let mut settings = place.all();
    settings
        .set_text("kafka.brokers", &kafka.sasl_brokers())
        .kafka_property("security.protocol", "sasl_ssl")
        .kafka_property("sasl.mechanism", "PLAIN")
        .kafka_property("sasl.username", "w")
        .kafka_property("sasl.password", "secret");
    if let Some(file) = trusted {
        settings.kafka_property("ssl.ca.location", file);
    }
    settings
}

fn checked(place: &Place, settings: &Settings) -> (Option<i32>, String) {
    let path = settings.write(&place.folder).unwrap();
    place.ends(settings, &["check", "-c", &path.to_string_lossy()])
}

#[test]
fn records_go_to_a_broker_with_tls_and_an_unknown_authority_is_named() {
    let options = KafkaOptions::new().user("w", "secret").tls();
    let options = options.setting("super.users", "User:ANONYMOUS;User:w");
    let kafka = KafkaServer::start(options).unwrap();
    let authority = kafka.authority().unwrap().to_string_lossy().into_owned();
    let mut place = Place::shared("broker_tls");
    place.brokers = kafka.brokers();
    place.sql("create table t (id int primary key); insert into t values (1)");
    // The system's authorities did not sign it.
    let (code, said) = checked(&place, &reached_by(&place, &kafka, None));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("certificate verify failed") && said.contains("ssl.ca.location"),
        "{said}"
    );
    let settings = reached_by(&place, &kafka, Some(&authority));
    let (code, said) = checked(&place, &settings);
    assert_eq!(code, Some(0), "{said}");
    let mut walferry = place.streaming(&settings);
    place.drain("insert into t values (2)");
    assert_eq!(read(&place, "public.t").len(), 2);
    walferry.sigterm();
    assert_eq!(walferry.wait_exit(READY.max(DRAIN)), Some(0));
}
