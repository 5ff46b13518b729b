//! pgoutput, the format of PostgreSQL's logical replication stream, without copies.
