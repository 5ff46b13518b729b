//! The guard against properties that would break the guarantee.
//!
//! Owns [`Config::check`], apart from the settings themselves because it makes a client, which needs them.

use rdkafka::producer::BaseProducer;

use crate::{
    Config,
    error::{Error, Kind},
    events::Events,
    properties::{FIXED, NOT_BELOW},
    veil::{self, Veil},
};

impl Config {
    /// Refuses properties that would break the guarantee, and those that librdkafka does not know.
    pub fn check(&self) -> Result<(), Error> {
        for name in self.properties.keys().chain(self.secrets.keys()) {
            if let Some((_, _, reason)) = FIXED.iter().find(|(fixed, _, _)| *fixed == name.trim()) {
                return Err(Error::new(
                    Kind::Config,
                    format!("kafka.properties: {name:?} cannot be set: {reason}"),
                ));
            }
        }
        for &(name, least) in NOT_BELOW {
            let set = self.properties.get(name);
            if let Some(set) = set
                && set.parse::<u64>().is_ok_and(|value| value < least)
            {
                return Err(Error::new(
                    Kind::Config,
                    format!(
                        "kafka.properties: {name:?} = {set} is below {least}, which makes publishing several times slower"
                    ),
                ));
            }
        }
        // librdkafka checks names and values when a client is made; no connection is needed for that.
        let events = Events::new(0, Veil::of(self));
        let client: Result<BaseProducer<Events>, _> = self.producer()?.create_with_context(events);
        client
            .map(drop)
            .map_err(|error| veil::property(self, &error))
    }
}

#[cfg(test)]
mod tests {
    use walferry_event::Secret;

    use crate::config::example;

    fn refusal(name: &str, value: &str) -> Option<String> {
        let mut config = example();
        config.properties.insert(name.into(), value.into());
        config.check().err().map(|error| error.to_string())
    }

    #[test]
    fn properties_that_would_break_the_guarantee_are_refused_by_name() {
        for (name, value) in [
            ("enable.idempotence", "false"),
            ("acks", "1"),
            ("transactional.id", "mine"),
            ("partitioner", "random"),
            ("request.required.acks", "1"),
            ("retry.backoff.max.ms", "1"),
            ("max.in.flight", "6"),
            ("queuing.strategy", "lifo"),
            ("log_level", "0"),
            ("test.mock.num.brokers", "3"),
            ("batch.size", "1000"),
            ("no.such.property", "1"),
        ] {
            let text =
                refusal(name, value).unwrap_or_else(|| panic!("{name}={value} was accepted"));
            assert!(text.contains(name), "{text}");
        }
        for (name, value) in [
            ("compression.type", "zstd"),
            ("client.rack", "a"),
            ("linger.ms", "20"),
        ] {
            assert_eq!(refusal(name, value), None);
        }
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_named_without_its_value() {
        let mut config = example();
        config.secrets.insert(
            "sasl.password".into(),
            Secret::new(|| Err("file /run/secrets/k: no such file".into())),
        );
        let text = config.check().unwrap_err().to_string();
        assert!(
            text.contains("sasl.password") && text.contains("/run/secrets/k"),
            "{text}"
        );
    }
}
