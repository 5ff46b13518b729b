//! The walsender session, the catalog, slots, publications and snapshot readers.
