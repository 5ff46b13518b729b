//! One short question whether Kafka answers.
//!
//! Owns its limit. Never waits longer, whatever librdkafka's own limits are: whoever asks asks again, and so a cluster that is back
//! is noticed sooner than by a question that was on its way when it went.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::{Config, Error, background_drop::Leaving, journal::Journal, veil};

const ANSWER: Duration = Duration::from_secs(2);

/// Whether a broker answers within two seconds.
///
/// # Errors
/// None does.
pub fn ping(config: &Config) -> Result<(), Error> {
    let mut settings = config.client()?;
    let limit_ms = ANSWER.as_millis().to_string();
    settings.set("socket.timeout.ms", limit_ms.as_str());
    settings.set("socket.connection.setup.timeout.ms", limit_ms.as_str());
    settings.set("api.version.request.timeout.ms", limit_ms.as_str());
    let journal = Journal::of(config);
    let client: Leaving<BaseConsumer<Journal>> = settings
        .create_with_context(journal.clone())
        .map(Leaving::new)
        .map_err(|error| veil::property(config, &error))?;
    // Of one topic, since all topics of a large cluster are megabytes.
    match client.fetch_metadata(Some(&config.checkpoint_topic), ANSWER) {
        Ok(_) => Ok(()),
        Err(error) => Err(journal.unanswered(&error)),
    }
}
