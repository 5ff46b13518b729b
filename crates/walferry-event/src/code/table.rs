//! The table of codes: number, name, heading, cause, remedy.
//!
//! Owns the words. A new failure gets the next free number of its area; a number is never given twice.

use crate::Entry;

macro_rules! codes {
    ($($number:literal $name:ident $title:literal, $cause:literal, $remedy:literal;)*) => {
        /// A failure that an operator can meet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// Every code, by its number.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// The four digits.
            pub const fn number(self) -> u16 {
                match self { $(Code::$name => $number,)* }
            }

            /// Its name in the code.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)* }
            }

            /// Heading, cause and remedy.
            pub const fn entry(self) -> Entry {
                match self {
                    $(Code::$name => Entry { title: $title, cause: $cause, remedy: $remedy },)*
                }
            }
        }
    };
}

codes! {
    1 Internal "Walferry met a state that cannot be",
        "A defect of Walferry, or a server that answered what its protocol does not allow. Nothing is lost: the next start \
         goes on at the checkpoint.",
        "Start again. If it comes back, report it with the log from the start of the process on.";
    2 CommandLine "The command line is wrong",
        "An argument is unknown, missing, or not of the form that it has to have.",
        "Read the message, or `walferry COMMAND --help`.";
    3 Configuration "The configuration cannot be used",
        "The file cannot be read, is not TOML, has an unknown key or a value out of its range, or two files contradict each \
         other. The message names file, line and key.",
        "Mend what the message names; docs/CONFIG.md has each key with its default and unit. `walferry check -c FILE` tries it \
         without a start.";
    4 Secret "A secret cannot be read",
        "The environment variable or file that a `{ env = … }` or `{ file = … }` names is missing, empty or not readable for \
         the user that runs Walferry.",
        "Set the variable, or mend the file and its rights. A process that has streamed before waits for it.";
    5 AdminAddress "The admin endpoint cannot listen",
        "Another process has the port of admin.listen, or the address is none of this machine.",
        "Stop the other process, or choose another admin.listen.";
    6 TemporaryDisk "The folder for temporary files cannot be used",
        "A resync or an audit sorts keys on disk, and the folder of temporary files is full, missing or not writable.",
        "Make room, or let TMPDIR name another folder.";
    7 AdminAway "No connector answers at the admin address",
        "The process does not run, or listens somewhere else.",
        "Start it, or give its admin.listen to --admin.";
    8 AdminRefused "The running connector refuses a command",
        "The token is missing or wrong, or the connector is in a state in which the command means nothing. The message has the \
         reason.",
        "Give the token of admin.token by -c FILE or WALFERRY_TOKEN, or wait for the state that the message names.";
    9 Command "A command could not do its work",
        "What it needs is not there, or cannot be read or written: a checkpoint, a dead letter, a file, standard output.",
        "Read the message; it says what is missing.";
    10 Migration "A Debezium configuration cannot be translated",
        "The file is none of Debezium's connector for PostgreSQL, or a property has no form here.",
        "Read the message; docs/runbooks/from-debezium.md has what has no counterpart.";
    11 Stalled "A stage shows no progress",
        "A thread of the connector has done nothing for longer than its limit, or the machine stands still.",
        "Let the supervisor restart the process (it goes on at the checkpoint), and report it with the log.";
    12 ClearText "A secret goes over the network in clear text",
        "The protocol of the message neither encrypts nor hides the password or token.",
        "Use TLS (https, ssl, sasl_ssl), or a log-in that does not send the secret, such as SCRAM-SHA-512.";
    101 SourceUnreachable "PostgreSQL does not answer",
        "The server is down, restarting or not reachable from here.",
        "Bring it back; Walferry waits for it and goes on by itself.";
    102 SourceLost "The connection to PostgreSQL ended",
        "The server, or something between, closed it.",
        "Nothing: Walferry connects again. If it repeats, read the server's log at that time.";
    103 SourceSilent "PostgreSQL has fallen silent",
        "The connection is open and nothing came over it for longer than the limit: a network that drops packets, or a server \
         that stands still.",
        "Nothing: Walferry connects again. If it repeats, look at the network and at the server's load.";
    104 SourceLate "PostgreSQL did not answer within the limit",
        "A statement waits for a lock, or the server is overloaded.",
        "Look at pg_stat_activity for who holds the lock; Walferry tries again.";
    105 SourceTls "TLS with PostgreSQL is refused",
        "The certificate is not trusted, expired or for another name, or the server speaks no TLS.",
        "Mend source.tls (mode, root certificate, name) or the server's certificate; the message says which setting decides.";
    106 SourceLogin "PostgreSQL does not let the role in",
        "Wrong password, a role that may not log in, or no line of pg_hba.conf that fits.",
        "Mend the password or its secret, the role, or pg_hba.conf.";
    107 SourceRight "The role lacks a right in PostgreSQL",
        "A grant is missing for what the message names.",
        "Run the GRANT of the message; `walferry check -c FILE --fix-sql` prints all that are missing.";
    108 SourceSettings "The connection settings of PostgreSQL cannot be used",
        "source.url or a file that it names is not of the form that it has to have.",
        "Mend source.url or the file.";
    109 SourceChanged "Tables changed while they were looked at",
        "A table was dropped, renamed or altered between two questions.",
        "Nothing: Walferry looks again.";
    110 SourceAnswer "PostgreSQL refuses a statement",
        "The server answered with the SQLSTATE of the message.",
        "Read the message and the server's log.";
    111 SourceProtocol "What answers is not PostgreSQL",
        "Bytes came that PostgreSQL's protocol does not have: another service, or a proxy that changes them.",
        "Let source.url name the server itself; a pooler cannot pass replication on.";
    112 RowSecurity "Row level security hides rows from the role",
        "The table has policies, and the role of source.url does not bypass them: a snapshot would miss rows without a word.",
        "ALTER ROLE … BYPASSRLS, or ALTER TABLE … DISABLE ROW LEVEL SECURITY, or leave the table out.";
    113 WalLevel "The server does not write what logical decoding needs",
        "wal_level is below `logical`.",
        "ALTER SYSTEM SET wal_level = 'logical', then restart the server.";
    114 ReplicationRight "The role may not use replication",
        "It has neither REPLICATION nor is it a superuser.",
        "ALTER ROLE … REPLICATION; on a managed service, grant the role that it has for this.";
    115 OriginFilter "The server cannot leave out origins",
        "source.origin needs PostgreSQL 16 or later.",
        "Take source.origin out, or upgrade the server.";
    116 StartWaits "Sessions keep a start waiting",
        "The creation of a slot waits for transactions that run, that of a publication for locks on its tables.",
        "Let the sessions of the message end, or end them with its SQL.";
    117 ConnectionsFull "There is no room for the connector's sessions",
        "max_connections, or the CONNECTION LIMIT of the role or the database, is used up.",
        "Raise the limit of the message, end sessions that nobody needs, or set snapshot.readers lower.";
    118 RolePower "The role may do more than it needs",
        "source.url logs in as a superuser: whoever changes the configuration or holds admin.token acts with its rights.",
        "Give the connector a role of its own; `walferry init` prints the SQL of one that may no more than follow its tables.";
    119 CommitsWait "Commits on the server wait for the connector",
        "synchronous_standby_names counts the connector's session as a standby.",
        "Name the standbys alone in synchronous_standby_names, and not `*`.";
    120 RoleEnds "The role's password ends soon",
        "VALID UNTIL of the role is near; from then on PostgreSQL refuses its log-in.",
        "ALTER ROLE … VALID UNTIL, and renew the password before that day.";
    121 Clocks "Two machines have different times",
        "The clock of the server and that of this machine differ by more than a second.",
        "Let both follow the same time servers; until then freshness and the alerts on it are wrong by as much.";
    122 Pooler "source.url leads to a connection pooler",
        "Its host or port is one at which a pooler listens, and a pooler does not pass on what logical replication needs.",
        "Let source.url name the server itself.";
    201 SlotForeign "The slot is not one of this connector",
        "A slot of that name exists with another output plugin, as a physical one, or in another database.",
        "Choose another source.slot, or drop that slot if nobody needs it.";
    202 SlotMissing "The slot does not exist",
        "source.create is false, so that Walferry does not create it.",
        "Run the SQL of the message, then start with --adopt-slot --with-snapshot.";
    203 SlotInUse "Somebody else reads from the slot",
        "Another process, or an earlier one that has not ended, holds the slot.",
        "Stop the other reader; each connector needs a slot of its own.";
    204 PublicationMissing "The publication does not exist",
        "source.create is false, so that Walferry does not create it.",
        "CREATE PUBLICATION … FOR TABLE …, as the message has it.";
    205 PublicationLacks "The publication does not carry what is followed",
        "A table, an operation, a column or a row is not published, and the publication is not Walferry's to change.",
        "Run the SQL of the message; the rows are read again where changes were missed.";
    206 StreamUnreadable "The stream of the slot cannot be read",
        "A message came that was not asked for, or that is not of the form of the protocol.",
        "Start again. If it comes back at the same place, report it; `walferry resync -c FILE` goes round it.";
    207 SlotGrows "The slot keeps more WAL than its budget",
        "The connector, or a parked table, is behind, or an old transaction is open on the server.",
        "Read docs/runbooks/slot-grows.md before the disk is full.";
    208 SlotGivenUp "The server would give the slot up early",
        "max_slot_wal_keep_size or idle_replication_slot_timeout is less than an outage of the connector or of Kafka may last.",
        "Raise the setting of the message; a slot that is lost needs `walferry resync -c FILE`.";
    209 SlotsFull "No replication slot or walsender is free",
        "max_replication_slots or max_wal_senders is used up.",
        "Drop a slot that nobody reads, or raise the setting of the message and restart the server.";
    301 NoTables "No table is followed",
        "source.tables matches no table of the database.",
        "Mend source.tables; patterns are schema.table with `*`.";
    302 TableNotFollowed "A table that was named is not followed",
        "It is not in source.tables, or there is no table of that name.",
        "Name it as schema.table, as source.tables has it, or add it there.";
    303 TableUnreadable "The rows of a table may not be read",
        "SELECT is not granted on the table or on one of its columns.",
        "Run the GRANT of the message, or set snapshot.mode = \"never\" for the stream alone.";
    304 TableKind "A relation of that kind has no changes of its own",
        "Views, foreign tables, temporary and unlogged tables are not in the stream.",
        "Name the tables behind it, or take it out of source.tables.";
    305 TableIdentity "A table has no usable replica identity",
        "PostgreSQL would refuse the application's UPDATE and DELETE if the table were published with them.",
        "Give it a primary key, ALTER TABLE … REPLICA IDENTITY …, or ask for it with publish_without_identity.";
    306 TableOption "An option of a `[[table]]` cannot be carried out",
        "A column that it names does not exist, is generated, or is part of the key; or a mask does not fit the type.",
        "Mend the [[table]] as the message says.";
    307 TableFilter "A `where` of a `[[table]]` cannot be carried out",
        "The server is too old for row filters, the condition is not valid, or it uses columns outside the replica identity.",
        "Mend the condition, or ALTER TABLE … REPLICA IDENTITY FULL.";
    308 SharedTopic "Tables would share a topic that cannot hold them",
        "Their schemas, keys or policies do not go together, or nobody has asked for the sharing.",
        "Give each table a topic of its own, or write the same topic into both [[table]] on purpose.";
    310 ChangesMissing "Changes or rows of a table are missing from its topic",
        "They were not published, or could not be read, as the message says.",
        "Do what the message says; `walferry resync TABLE -c FILE` makes the topic agree.";
    311 RowsTooMany "A topic holds rows that the table has no more",
        "They left the table in a way that the stream does not tell.",
        "`walferry resync TABLE -c FILE` deletes them from the topic.";
    312 TableLeftOut "A table is left out",
        "It cannot be published as it is; the others are.",
        "Do what the message says; the table is followed with its rows then.";
    313 TopicUneven "A topic is not as it was",
        "Its partitions, key or settings are others than before: records of one key may stand in two partitions or under two \
         keys.",
        "Read docs/runbooks/topic-changed.md.";
    401 SnapshotRow "A row of a snapshot cannot be published",
        "Its value has no place in the schema, or its record is refused.",
        "Mend the value or the subject's compatibility level, or set errors = \"dead-letter\" or \"skip\" for the table.";
    402 SnapshotImpossible "A snapshot cannot be taken",
        "What was asked for contradicts the table, the mode or another snapshot that runs.",
        "Read the message; `walferry snapshot list` shows what runs.";
    403 TopicUnreadable "A topic cannot be compared with its table",
        "A record is not in the registry's framing, or its schema is not known to the registry.",
        "Restore the schema, or let the table go to a new topic.";
    404 TableParked "A table waits",
        "One of its changes cannot be published, and its policy is `park`; the others go on.",
        "Mend what the message names, then `walferry schema approve TABLE`. Its place in the WAL is kept meanwhile.";
    501 KafkaSettings "A property of Kafka's client would break the guarantee",
        "kafka.properties has a property that Walferry sets itself, or that librdkafka does not know.",
        "Take the property out of [kafka.properties].";
    502 TopicMissing "A topic does not exist",
        "It was deleted, or topics are not created here.",
        "Create it, or start again where kafka.topics.create allows it.";
    503 KafkaDenied "Kafka refuses a right",
        "An ACL is missing for a topic, the group, the cluster or the transactional id, or the login is wrong.",
        "Add the ACL of the message, or mend sasl.username and its password.";
    504 KafkaUnreachable "No broker answers",
        "The cluster is down or not reachable from here, or advertises addresses that are not.",
        "Bring it back; Walferry waits for it and goes on by itself. If it never came, compare advertised.listeners with what \
         this machine can reach.";
    505 KafkaDoubt "A broker answers what no table knows",
        "An error code that is in no list of permanent or passing ones; it is tried again a bounded number of times.",
        "Read the message and the brokers' logs.";
    506 RecordTooLarge "A record is larger than Kafka takes",
        "max.message.bytes of the topic, message.max.bytes of the producer or socket.request.max.bytes of the broker is \
         smaller.",
        "Raise the limit that the message names, or set a policy for the table; docs/runbooks/record-too-large.md.";
    507 RecordRefused "Kafka refuses a record or its topic for good",
        "The topic is compacted and the record has no key, or its settings refuse it.",
        "Mend the topic's settings, or set a policy for the table.";
    508 Fenced "Another instance has taken over",
        "A second process runs the same connector name on the same Kafka.",
        "Nothing: the other one goes on. Stop it if it is the wrong one.";
    509 Diverged "The checkpoint is not the one that was expected",
        "Somebody else wrote it, or the end of a transaction stayed unknown.",
        "Nothing: the connector begins again at the checkpoint.";
    510 CheckpointUnreadable "The checkpoint cannot be read",
        "It was written by a later version, or is damaged.",
        "Run the version that wrote it, or restore the checkpoint topic.";
    511 KafkaBroken "Kafka's client cannot go on",
        "librdkafka met an error that it calls fatal, or too many doubts came one after another.",
        "Start again; read the brokers' logs at that time.";
    512 TopicUnfit "A topic cannot serve as it is set",
        "Its partitions, cleanup.policy, min.insync.replicas or max.message.bytes do not fit what is written to it.",
        "Run the lines of `walferry check -c FILE --fix-kafka`, or name another topic.";
    513 TopicUnsafe "What is committed to a topic can be lost with a broker",
        "It has one replica, min.insync.replicas = 1, or unclean leader elections.",
        "Raise its replicas to 3 and min.insync.replicas to 2; `walferry check -c FILE --fix-kafka` prints what a command can do.";
    514 TransactionsRefused "The brokers cannot carry transactions",
        "transaction.max.timeout.ms, the replicas of the topic that keeps the transactions, or the broker itself does not allow \
         what exactly once needs.",
        "Change the brokers' setting that the message names, and restart them.";
    601 RegistryLate "The schema registry does not answer in time",
        "It is overloaded, or its store is.",
        "Nothing: Walferry waits for it and goes on by itself.";
    602 RegistryUnreachable "The schema registry is away",
        "It is down, answers 5xx, or takes no writes now (READONLY, IMPORT).",
        "Bring it back, or set its mode to READWRITE; Walferry waits for it.";
    603 RegistryDenied "The schema registry refuses the login or a right",
        "User, password or token is wrong, or may not write the subject.",
        "Mend registry.username and its secret, or grant write access to the subject.";
    604 RegistryConflict "Two registered a schema at once",
        "The registry answered 409 without a verdict.",
        "Nothing: it is tried again.";
    605 SchemaRefused "The schema registry refuses a schema",
        "The new schema breaks the subject's compatibility level, or is not valid for it.",
        "Read docs/runbooks/schema-refused.md: mend the table, approve the schema, or change the level.";
    606 RegistryForeign "What answers is no schema registry",
        "registry.url names another service, or a path that is not the registry's.",
        "Let registry.url name the schema registry, with the path of its API.";
    607 RegistrySettings "The registry's settings cannot be used",
        "The URL or the certificate is not of the form that it has to have.",
        "Mend registry.url or the certificate that the message names.";
    608 RegistryDoubt "The schema registry answers what no table knows",
        "A code that is in no list; it is tried again a bounded number of times.",
        "Read the message and the registry's log.";
    609 RegistryInternal "The schema registry's answer cannot be read",
        "It refuses a question as malformed, or answers what is no JSON.",
        "Read the message; a proxy in between may change answers.";
    701 ValueRefused "A value has no place in its schema",
        "NULL where none is allowed, a number that the type cannot hold, text that is not UTF-8 or not of its type, or a shape \
         that the schema has not.",
        "Mend the value, choose another format.decimal or format.time, or set errors = \"park\", \"dead-letter\" or \"skip\" \
         for the table.";
    702 KeyRefused "A row has no usable message key",
        "A column of the key is NULL or not known of the old row, so that different rows would share a key.",
        "Choose another `key`, or let old rows carry it: ALTER TABLE … REPLICA IDENTITY FULL.";
    703 TableSchema "A table has no Avro schema",
        "Catalog and stream disagree about its columns, or a mask does not fit a type.",
        "Start again to read both anew, or mend the mask.";
    704 MessageRefused "A logical decoding message cannot be published",
        "It is too large, or its value has no place.",
        "Raise the limit that the message names, or set errors.policy = \"skip\".";
    705 LetterUnreadable "A dead letter cannot be replayed",
        "The letter, or the note of what was replayed, is not one of this version, or the topic was made anew.",
        "Read the message; docs/runbooks/dead-letters.md.";
    801 OtherCluster "The checkpoint belongs to another cluster",
        "The server that answers has another system identifier than the one that was followed.",
        "Point source.url at the old cluster, or give this source a connector name of its own.";
    802 OtherSlot "The checkpoint belongs to another slot or database",
        "source.slot or the database was changed.",
        "Restore the old settings, or use another connector name.";
    803 OtherTimeline "The server's timeline does not contain the checkpoint",
        "A standby was promoted that lacked what had been published, or the server was restored to an earlier point.",
        "`walferry resync -c FILE` makes the topics agree with the tables; docs/runbooks/refused.md.";
    804 ServerBehind "The server's log ends before the checkpoint",
        "It was restored to an earlier state.",
        "`walferry resync -c FILE`; docs/runbooks/refused.md.";
    805 SlotUnknown "A slot exists and no checkpoint does",
        "The checkpoint topic was lost, the connector was renamed, or somebody created the slot.",
        "Start with --adopt-slot, with --with-snapshot where the topics do not hold what was before, or drop the slot.";
    806 SlotLost "The slot is gone or invalidated",
        "It was dropped, or the server gave it up (max_slot_wal_keep_size, idle_replication_slot_timeout, a conflict). Changes \
         are lost to the stream.",
        "`walferry resync -c FILE` takes a new slot and makes the topics agree; docs/runbooks/refused.md.";
    807 SlotAhead "The slot is ahead of the checkpoint",
        "Something else has read from this slot: the changes between are lost to the stream.",
        "Stop the other reader, then `walferry resync -c FILE`.";
    808 TransactionChanged "The server goes on with another transaction",
        "The topics hold a part of one that does not come again.",
        "`walferry resync -c FILE` makes the topics agree with the tables.";
    809 NothingToResync "There is nothing to make agree",
        "The connector has published nothing yet, or every table has lost changes and only some were named.",
        "`walferry run` takes the first snapshot; or name no table.";
    810 CheckpointForeign "A command would change what belongs to another connector",
        "The checkpoint belongs to another slot, database or cluster than the configuration says, or the connector runs.",
        "Use the configuration that the connector runs with, and stop it first.";
    811 AuditImpossible "An audit has no place to stand on",
        "The connector has no position yet, or does not move while the audit waits for it.",
        "Let the connector run while it is audited.";
}
