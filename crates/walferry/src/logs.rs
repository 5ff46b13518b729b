//! Logs: one event per line, JSON or text, on standard output.
//!
//! Owns the shape of a line: `ts level target message connector` and the event's own fields. Never: row values, secrets;
//! whoever writes an event sees to that.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use walferry_event::Code;

use crate::{
    bars::Screen,
    configuration::{Loaded, LogFormat},
};

/// Starts the log of the process. Its settings are the first connector's. A terminal that shows text has room for bars below it.
pub(crate) fn start(loaded: &[Loaded]) -> Result<Option<Screen>> {
    let first = &loaded[0];
    let filter = EnvFilter::try_new(&first.log_level)
        .with_context(|| format!("log.level: {:?} is no level", first.log_level))?;
    let terminal = io::stdout().is_terminal();
    let format = first.log_format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => {
            // Where there is one connector, its name is known also for what the process says for itself.
            let connector = match loaded {
                [one] => Some(one.pipeline.name.clone()),
                _ => None,
            };
            // Colours would stand between the span's field and its value.
            let builder = builder.with_ansi(false);
            builder.event_format(JsonLines { connector }).init();
        }
        LogFormat::Text => {
            let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
            let dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
            let screen = (io::stderr().is_terminal() && !dumb).then(Screen::default);
            let above = screen.clone();
            match above {
                Some(screen) => builder
                    .with_ansi(colour)
                    .with_writer(move || Above(screen.clone()))
                    .init(),
                None => builder.with_ansi(colour).init(),
            }
            return Ok(screen);
        }
    }
    Ok(None)
}

/// Writes lines above the bars.
struct Above(Screen);

impl io::Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.log(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One JSON object per event.
struct JsonLines {
    connector: Option<String>,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut ts = String::new();
        SystemTime.format_time(&mut Writer::new(&mut ts))?;
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("ts".into(), ts.into());
        line.insert("level".into(), metadata.level().as_str().into());
        line.insert("target".into(), metadata.target().into());
        line.insert("message".into(), Value::Null);
        line.insert("connector".into(), Value::Null);
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let named = self.connector.clone().map(Value::from);
        let spanned = context.lookup_current().and_then(|span| {
            let extensions = span.extensions();
            let fields = extensions.get::<tracing_subscriber::fmt::FormattedFields<N>>()?;
            let (_, name) = fields.fields.split_once("connector=")?;
            Some(Value::from(name.trim_matches('"')))
        });
        line.insert("connector".into(), named.or(spanned).unwrap_or(Value::Null));
        // What failed carries its code behind its message, wherever that stands in the line.
        let code = fields
            .0
            .values()
            .filter_map(Value::as_str)
            .find_map(Code::of);
        if let Some(code) = code {
            line.insert("code".into(), code.to_string().into());
        }
        line.extend(fields.0);
        if line["connector"].is_null() {
            line.remove("connector");
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_documented_fields_in_order() {
        let sink = Sink::default();
        let out = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(JsonLines {
                connector: Some("shop".into()),
            })
            .with_writer(move || out.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "audit", lsn = %"0/10", xid = 7_u32, "slot \"created\"");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let line: Value = serde_json::from_str(text.trim()).unwrap();
        let keys: Vec<&str> = line
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "ts",
                "level",
                "target",
                "message",
                "connector",
                "lsn",
                "xid"
            ]
        );
        assert_eq!(line["message"], "slot \"created\"");
        assert_eq!(line["connector"], "shop");
        assert_eq!(line["xid"], 7);
    }
}
