//! The settings of `[format]` that a run of the campaign has.
//!
//! Owns: which combinations are tried: together they hold every word of every mode.

use walferry_testkit::process::Settings;

/// One combination.
#[derive(Clone, Copy, Debug)]
pub struct Modes {
    /// What it is called in names and reports.
    pub name: &'static str,
    pub(super) decimal: &'static str,
    pub(super) time: &'static str,
    pub(super) binary: &'static str,
    pub(super) interval: &'static str,
    pub(super) hstore: &'static str,
}

/// All combinations; the first is the default.
#[rustfmt::skip]
pub const MODES: [Modes; 6] = [
    Modes { name: "default",      decimal: "precise", time: "adaptive",                   binary: "bytes",           interval: "numeric", hstore: "json" },
    Modes { name: "words",        decimal: "string",  time: "isostring",                  binary: "base64",          interval: "string",  hstore: "map" },
    Modes { name: "micro",        decimal: "double",  time: "microseconds",               binary: "base64-url-safe", interval: "numeric", hstore: "json" },
    Modes { name: "connect",      decimal: "precise", time: "connect",                    binary: "hex",             interval: "string",  hstore: "map" },
    Modes { name: "micro_times",  decimal: "string",  time: "adaptive-time-microseconds", binary: "bytes",           interval: "numeric", hstore: "json" },
    Modes { name: "nano",         decimal: "double",  time: "nanoseconds",                binary: "base64",          interval: "string",  hstore: "map" },
];

impl Modes {
    pub(super) fn is_default(&self) -> bool {
        self.name == MODES[0].name
    }

    pub(super) fn set(&self, settings: &mut Settings) {
        for (key, value) in [
            ("decimal", self.decimal),
            ("time", self.time),
            ("binary", self.binary),
            ("interval", self.interval),
            ("hstore", self.hstore),
        ] {
            settings.set_text(&format!("format.{key}"), value);
        }
    }
}
