//! Enum labels: a label that the schema's `allowed` does not name is noticed.
//!
//! PostgreSQL does not announce `ALTER TYPE … ADD VALUE` in the stream, so the first value of a new label is the first word
//! of it: it is of another [`EncodeErrorKind::Shape`], and the pipeline then asks the catalog anew.

use crate::error::{EncodeErrorKind, Written};
use crate::wire;

/// Up to here a walk through the labels is quicker than halving.
const WALK_MAX: usize = 8;

/// The labels of one enum type.
#[derive(Clone, Debug)]
pub(crate) struct Labels(Box<[Box<[u8]>]>);

impl Labels {
    pub(crate) fn new(labels: &[String]) -> Labels {
        let mut known: Vec<Box<[u8]>> =
            labels.iter().map(|label| label.as_bytes().into()).collect();
        if known.len() > WALK_MAX {
            known.sort_unstable();
        }
        Labels(known.into())
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, text: &[u8]) -> Written {
        let known = if self.0.len() > WALK_MAX {
            self.0.binary_search_by(|label| (**label).cmp(text)).is_ok()
        } else {
            self.0.iter().any(|label| **label == *text)
        };
        if !known {
            return Err(EncodeErrorKind::Shape);
        }
        // The catalog's labels are UTF-8.
        wire::bytes(out, text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_labels_and_many() {
        for count in [1, WALK_MAX, WALK_MAX + 1, 1_000] {
            let names: Vec<String> = (0..count).rev().map(|n| format!("label {n}")).collect();
            let labels = Labels::new(&names);
            let mut out = Vec::new();
            for name in &names {
                assert_eq!(labels.write(&mut out, name.as_bytes()), Ok(()));
            }
            for other in ["", "label", "Label 0", "label 0 "] {
                assert_eq!(
                    labels.write(&mut out, other.as_bytes()),
                    Err(EncodeErrorKind::Shape)
                );
            }
        }
    }
}
