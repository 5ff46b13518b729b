//! The promises of the product, held by the real binary on real servers.
//!
//! | module | holds |
//! |---|---|
//! | `first_start` | snapshot, stream, clean stop; what a start creates; how long it takes |
//! | `flat` | records that are the row itself |
//! | `grants` | a role that may read some columns of a table alone |
//! | `crash` | `kill -9` at random moments under mixed load |
//! | `history` | random DDL and DML with restarts: each record has the schema that was in force, each row is told once |
//! | `outage` | servers killed and brought back, the walsender ended, the network cut without a word |
//! | `stays` | a server that is away is waited for, a refusal harms nobody, every wait says for whom |
//! | `registry_faults` | a registry that fails in parts, takes no writes, or was built anew |
//! | `instances` | two processes with one name, also when the older one was stopped and wakes up |
//! | `published` | tables are replaced, come, leave the publication and come back, partitions come and go: topics agree again |
//! | `recovery` | each row of the recovery table |
//! | `reload` | the configuration is read again while it runs |
//! | `doors` | what a stranger or a wrong server can do: half requests, and who gets the password |
//! | `canaries` | a secret in each place, at each peer that fails, is in no output |
//! | `refusal` | each wrong setting or missing right: one message, the exit status, no secret |
//! | `records` | types, schemas, keys, headers; decoded by apache-avro and by fastavro |
//! | `changes` | every kind of change and of table, record by record |
//! | `snapshots` | snapshots that are interrupted, beside the stream, asked for |
//! | `contents` | tables that are rewritten, truncated or given another key while a snapshot reads them |
//! | `sessions` | row security, settings of the role, keys of every type, hostile conditions |
//! | `snapshot_faults` | snapshots whose readers are ended and whose servers go away |
//! | `resync` | changes were lost: the topics agree with the tables again, whatever moment a resync is killed at |
//! | `visibility` | the race between a commit's record and its visibility |
//! | `values` | every type in every mode, at the edges and at random, is what PostgreSQL's own casts say |
//! | `messages` | logical decoding messages, in transactions and outside |
//! | `transactions` | BEGIN and END of each transaction, and the numbers of its events |
//! | `schemas` | a table changes while it is followed; dead letters |
//! | `situations` | what PostgreSQL and others test of the same kind, and had no test here |
//! | `kafka` | what Kafka refuses for good, rights that are missing, topics that change |
//! | `broker_tls` | a broker with TLS and a log-in, and one whose authority is not trusted |
//! | `sizes` | rows of every size, in the stream and in snapshots, under each policy |
//! | `oversize` | a record that its topic refuses for its size |
//! | `replay` | dead letters are published once when what kept them back is mended |
//! | `park` | a table that cannot go on waits, and the others go on |
//! | `options` | exclude_columns, where, mask: streamed, in every snapshot, in dead letters, in the audit |
//! | `tenants` | many tables into one topic with one schema |
//! | `schema_commands` | show, diff and plan; subject strategies |
//! | `quiet` | nothing happens in the database, and much on its server |
//! | `memory` | a transaction larger than the memory, and a broker that is away |
//! | `audit` | tables and topics compared: clean under load, planted faults found |
//! | `planted` | faults that the field found, put back into topics: the checker, the comparison at the end and the audit find each |
//! | `writers` | the application's INSERT, UPDATE and DELETE beside a connector, for every kind of table |
//! | `keys` | keys are unique, complete, not NULL, and name one row at any time; topics and fields stay apart |
//! | `same_records` | records that depend neither on restarts nor on the database's encoding |
//! | `old_rows` | old rows that leaves of partitioned tables write |
//! | `compat` | what Debezium answered over a corpus of SQL, recorded, is given again |
//! | `terminal` | bars of a snapshot |
//! | `hand` | the position moved or forgotten by hand, and all of a connector removed |
//! | `migrate` | a Debezium configuration becomes a file that goes on where its slot stands |
//! | `check_findings` | what `check` says before anything is created, with reason and remedy |
//! | `fix_kafka` | what `check` says of topics, rights and brokers, and that the lines it prints mend them |
//! | `broken` | broken set-ups, each for real: `check` names every one, and what it prints as SQL leads to a start |
//! | `broken_files` | files that cannot be used: one message with code and key, of `check` and of `run` |
//! | `codes` | the code of each failure, and what `explain` says of it |
//! | `init` | a first file from the catalog, and the SQL of a role that may no more than follow it |
//! | `estimate` | a forecast counts what a connector publishes of the same load, and leaves nothing |
//! | `deployment` | compose file, manifests, image and unit of `deploy` |
//! | `monitoring` | alerts, dashboard and receivers of `deploy`, with a real Prometheus and Alertmanager |
//! | `latency` | where the time goes between commit and commit, and what takes most of it |
//! | `trace` | transactions are found where a consumer sees them |
//! | `commands` | check, tail, status, checkpoint |
//!
//! Each test has its own database, slot and topics; one that harms a server has its own servers.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test")]

mod audit;
mod broken;
mod broken_files;
mod broker_tls;
mod canaries;
mod changes;
mod check_findings;
mod codes;
mod commands;
mod compat;
mod contents;
mod crash;
mod deployment;
mod doors;
mod estimate;
mod first_start;
mod fix_kafka;
mod flat;
mod grants;
mod hand;
mod history;
mod init;
mod instances;
mod kafka;
mod keyless;
mod keys;
mod latency;
mod memory;
mod messages;
mod migrate;
mod monitoring;
mod old_rows;
mod options;
mod outage;
mod oversize;
mod park;
mod place;
mod planted;
mod published;
mod quiet;
mod records;
mod recovery;
mod refusal;
mod registry_faults;
mod reload;
mod replay;
mod resync;
mod same_records;
mod schema_commands;
mod schemas;
mod sessions;
mod situations;
mod sizes;
mod snapshot_faults;
mod snapshots;
mod stays;
mod tenants;
mod terminal;
mod trace;
mod transactions;
mod values;
mod visibility;
mod ways;
mod writers;
