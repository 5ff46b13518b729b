//! The largest request that the brokers take, `socket.request.max.bytes`: a broker ends the connection of one that is larger,
//! without an answer, so that it would be sent again for ever.
//!
//! Owns the question. Never an error where the right to ask is missing: then Kafka's default counts.

use std::time::Duration;

use rdkafka::admin::{AdminOptions, ResourceSpecifier};

use super::questions::{Admin, client, metadata};
use crate::{Config, Error};

const SETTING: &str = "socket.request.max.bytes";
/// How long a broker may take; one that is down is not waited for, the others have the same setting.
const ANSWER: Duration = Duration::from_secs(2);

/// Asks the brokers, for [`crate::sizes::Sizes`].
pub(super) fn learn(config: &Config, admin: &Admin) {
    match ask(admin) {
        Ok(limit) => config.requests.set(limit),
        Err(error) => tracing::debug!(%error, "what the brokers take at once is not known"),
    }
}

/// Where the brokers take smaller requests than the producer could send: what follows, and what to do.
pub fn request_limit(config: &Config) -> Result<Option<String>, Error> {
    let wanted = config.sizes().record;
    learn(config, &client(config)?);
    let (taken, limit) = (config.sizes().record, config.requests.get());
    Ok((taken < wanted).then(|| {
        format!(
            "the brokers take no request above {SETTING} = {}, so a record above {taken} bytes follows its table's policy, though \
             kafka.properties.\"message.max.bytes\" is {wanted}; raise it on every broker",
            limit.unwrap_or_default()
        )
    }))
}

/// The least of what the brokers say.
fn ask(admin: &Admin) -> Result<Option<u64>, Error> {
    let brokers = metadata(admin, None)?;
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    // Each of them is asked by itself, and all at the same time.
    let brokers = brokers.brokers().iter();
    let each: Vec<_> = brokers
        .map(|it| [ResourceSpecifier::Broker(it.id())])
        .collect();
    let asked: Vec<_> = each
        .iter()
        .map(|it| admin.describe_configs(it, &options))
        .collect();
    let answers = asked.into_iter().map(futures_executor::block_on);
    let configs = answers.flatten().flatten().flatten();
    let found = configs.filter_map(|it| it.get(SETTING)?.value.as_ref()?.parse().ok());
    Ok(found.min())
}
