//! Links OpenSSL for librdkafka, and declares nothing of it: TLS of our own is rustls.
//!
//! Owns: the choice between the system's OpenSSL and one that is compiled with librdkafka, in `build.rs`.

#![no_std]
