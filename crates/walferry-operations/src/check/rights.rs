//! What Kafka has to grant, in `walferry check`: rights that cannot be asked for without using them are at least named.
//!
//! Owns the list.

use crate::check::finding::{Finding, Severity};
use walferry_pipeline::config::Config;

pub(super) fn needed(config: &Config, findings: &mut Vec<Finding>) {
    let kafka = &config.kafka;
    let id = format!("walferry-{}", kafka.connector);
    let message = format!(
        "where Kafka has ACLs, run needs: WRITE and DESCRIBE on the transactional id {id:?}; READ on the group {id:?}; READ, \
         WRITE, DESCRIBE and DESCRIBE_CONFIGS on topic {:?}; WRITE and DESCRIBE on the topics of the tables; CREATE for those \
         that do not exist. The first two are not tried, because trying ends a connector that runs",
        kafka.checkpoint_topic
    );
    findings.push(Finding::new(Severity::Ok, "kafka rights", message));
    let property = |name: &str| kafka.properties.get(name).map(|it| it.to_lowercase());
    let mechanism = property("sasl.mechanism").or_else(|| property("sasl.mechanisms"));
    if property("security.protocol").as_deref() == Some("sasl_plaintext")
        && mechanism.as_deref() == Some("plain")
    {
        findings.push(
            Finding::new(
                Severity::Warning,
                "kafka",
                "sasl.password goes over the network in clear text (sasl_plaintext with PLAIN)",
            )
            .remedy("set security.protocol = \"sasl_ssl\", or use SCRAM-SHA-512"),
        );
    }
}
