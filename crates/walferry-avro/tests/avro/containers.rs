//! Arrays, composites, hstore, geometry and vectors.
//!
//! | module | holds |
//! |---|---|
//! | `arrays` | array text, elements, dimensions, shapes that a schema widens for |
//! | `composites` | composites, and records that occur more than once |
//! | `extensions` | hstore, geometry, PostGIS, vectors |
//! | `rows` | unchanged TOAST, what an old key does not carry, columns that are left out |

mod arrays;
mod composites;
mod extensions;
mod rows;

use walferry_avro::{Format, Quirk};
use walferry_event::Column;

use crate::harness::*;

fn check(column: Column, format: &Format, cases: &[(&str, &str)]) {
    let lone = Lone::new(column, format);
    for (text, expected) in cases {
        assert_eq!(lone.show(text), *expected, "{text}");
    }
}

/// The type of the only column, as text.
fn schema(column: Column, format: &Format) -> String {
    let plan = plan(vec![column], &[], format);
    parse(plan.value_schema());
    let schema: serde_json::Value = serde_json::from_str(plan.value_schema()).unwrap();
    schema["fields"][0]["type"][1]["fields"][0]["type"].to_string()
}

fn quirk(quirk: Quirk) -> Format {
    format(|format| format.quirks = [quirk].into_iter().collect())
}

fn address() -> Column {
    composite(
        "c",
        "address",
        vec![
            column("street", TEXT, -1),
            column("no-1", INT4, -1),
            array("tags", column("c", TEXT, -1), 1),
        ],
    )
}

/// Hexadecimal little-endian WKB from its words.
fn wkb(kind: u32, counts: &[u32], numbers: &[f64]) -> String {
    let mut bytes = vec![1];
    bytes.extend(kind.to_le_bytes());
    bytes.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
