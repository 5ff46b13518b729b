//! Harness for tests: real servers, a fault proxy and the checker.
