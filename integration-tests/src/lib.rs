//! Nothing but a name: the tests are in `ring/`, whose `main.rs` is their table of contents.
