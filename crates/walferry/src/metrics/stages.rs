//! The histogram of the stages, as text: the account is the pipeline's own, and not the recorder's.
//!
//! Owns the text. Invariant: a bucket holds what is below its end, those before it included.

use std::{fmt::Write, sync::Arc};

use walferry_pipeline::{Handle, SECONDS, Totals};

/// Adds the histogram of every connector, under its name and with its help.
pub(super) fn write(text: &mut String, name: &str, help: &str, connectors: &[Arc<Handle>]) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
    for connector in connectors {
        one(text, name, connector.name(), &connector.stage_totals());
    }
    text.push('\n');
}

fn one(text: &mut String, name: &str, connector: &str, totals: &Totals) {
    let count = totals.transactions;
    for (stage, of) in totals.stages() {
        let labels = format!("connector=\"{connector}\",stage=\"{stage}\"");
        let mut below = 0;
        for (end, count) in SECONDS.iter().zip(of.counts) {
            below += count;
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{end}\"}} {below}");
        }
        let sum = of.sum_us as f64 / 1e6;
        let _ = writeln!(
            text,
            "{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_that_has_published_nothing_has_every_stage() {
        let mut text = String::new();
        let shop = Arc::new(Handle::new("shop"));
        write(
            &mut text,
            "walferry_stage_seconds",
            "from the commit",
            &[shop],
        );
        assert!(text.starts_with("# HELP walferry_stage_seconds from the commit"));
        let line = "walferry_stage_seconds_bucket{connector=\"shop\",stage=\"send\",le=\"0.25\"} 0";
        assert!(text.lines().any(|it| it == line), "{text}");
        let counts = text.lines().filter(|it| it.contains("_count{"));
        assert_eq!(counts.count(), 9);
    }
}
