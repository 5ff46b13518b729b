//! A way to each server with a proxy in it, for tests that take servers away or slow them down.
//!
//! Owns: [`Ways`]. Never: decides what is wrong with a way.

use walferry_testkit::process::Settings;
use walferry_testkit::proxy::Proxy;

use crate::place::Place;

fn host(url: &str) -> String {
    let rest = url.split("//").nth(1).unwrap();
    let rest = rest.rsplit('@').next().unwrap();
    rest.split('/').next().unwrap().to_owned()
}

/// The three ways out, each with a proxy in it.
pub(crate) struct Ways {
    pub(crate) postgres: Proxy,
    pub(crate) kafka: Proxy,
    pub(crate) registry: Proxy,
}

impl Ways {
    pub(crate) fn of(place: &Place, settings: &mut Settings) -> Ways {
        let ways = Ways {
            postgres: Proxy::start(&host(&place.url)).unwrap(),
            kafka: Proxy::kafka(&place.brokers).unwrap(),
            registry: Proxy::start(&host(&place.registry)).unwrap(),
        };
        let url = |url: &str, proxy: &Proxy| url.replace(&host(url), &proxy.address());
        settings
            .set_text("source.url", &url(&place.url, &ways.postgres))
            .set_text("kafka.brokers", &ways.kafka.address())
            .set_text("registry.url", &url(&place.registry, &ways.registry));
        ways
    }

    pub(crate) fn all(&self) -> [(&Proxy, &'static str); 3] {
        [
            (&self.postgres, "postgresql"),
            (&self.kafka, "kafka"),
            (&self.registry, "registry"),
        ]
    }
}
