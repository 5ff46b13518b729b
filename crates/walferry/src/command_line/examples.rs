//! Examples at the end of each command's help.
//!
//! Owns the examples. Never: knows what a command does; its own help says that.
//! Invariants: every command that is shown has one; each can be parsed, for a test parses them.
//! Start reading at [`with_examples`].

use clap::Command;

/// A command, by the words behind `walferry`, and lines to type with what each is for. A pipe ends what is ours of a line.
pub(super) type Examples = (&'static str, &'static [(&'static str, &'static str)]);

pub(super) const EXAMPLES: &[Examples] = &[
    (
        "",
        &[
            (
                "walferry init --source postgresql://postgres@db:5432/shop",
                "a first file, and the SQL of its role",
            ),
            (
                "walferry check -c shop.toml",
                "what is wrong, and what run would do",
            ),
            ("walferry run -c shop.toml", "until Ctrl-C or SIGTERM"),
            ("walferry status -c shop.toml", "what it is doing"),
            ("walferry explain WF0806", "what an error code means"),
        ],
    ),
    (
        "init",
        &[
            (
                "walferry init --source postgresql://postgres@db:5432/shop",
                "asks for what is missing, writes shop.toml, prints SQL",
            ),
            (
                "walferry init --source postgresql://postgres@db/shop --brokers k1:9092 --registry http://registry:8081 | psql postgresql://postgres@db/shop",
                "asks nothing, and has the role made at once",
            ),
            (
                "walferry init --source postgresql://postgres@db/shop --output - --tables 'public.*' '!public.audit_*'",
                "only shows the file, for some of the tables",
            ),
        ],
    ),
    (
        "estimate",
        &[
            (
                "walferry estimate --source postgresql://postgres@db:5432/shop",
                "as the tables' owner, before there is a file",
            ),
            (
                "walferry estimate -c shop.toml --seconds 600",
                "ten minutes, best of the busiest hour",
            ),
            (
                "walferry estimate -c shop.toml --json | jq '.proposals'",
                "values for the file",
            ),
        ],
    ),
    (
        "run",
        &[
            ("walferry run -c shop.toml", "one connector"),
            (
                "walferry run -c /etc/walferry",
                "one for each *.toml of a folder, none of which ends another",
            ),
            (
                "walferry run -c shop.toml --adopt-slot --with-snapshot",
                "goes on with a slot of another connector, and reads every table beside it",
            ),
        ],
    ),
    (
        "check",
        &[
            (
                "walferry check -c shop.toml",
                "ends with 1 when run would stop",
            ),
            (
                "walferry check -c shop.toml --fix-sql | psql postgresql://postgres@db/shop",
                "mends the source; again until nothing is printed",
            ),
            (
                "walferry check -c shop.toml --fix-kafka | sh",
                "mends topics and rights, where kafka-topics, kafka-configs and kafka-acls are to be had",
            ),
            (
                "walferry check -c shop.toml --json | jq '.findings[] | select(.severity == \"error\")'",
                "for programs",
            ),
        ],
    ),
    (
        "trace",
        &[
            (
                "walferry trace 16/B374D848 -c shop.toml",
                "by source.lsn of a record or of a log line",
            ),
            (
                "walferry trace 4711 -c shop.toml",
                "by pg_current_xact_id() or source.txId",
            ),
            (
                "walferry trace '{\"id\":42}' -c shop.toml --table public.orders --json",
                "the newest changes of a key",
            ),
        ],
    ),
    (
        "audit",
        &[
            (
                "walferry audit -c shop.toml",
                "every table; ends with 0 only when nothing is missing, extra or different",
            ),
            (
                "walferry audit -c shop.toml public.orders --rate 20000 --json",
                "one table, gently, for programs",
            ),
        ],
    ),
    (
        "replay",
        &[
            (
                "walferry replay -c shop.toml",
                "after what kept dead letters back has been mended",
            ),
            (
                "walferry replay -c shop.toml --table public.orders --leave",
                "one table, and gives up what still cannot be encoded",
            ),
        ],
    ),
    (
        "resync",
        &[
            (
                "walferry resync -c shop.toml",
                "after a lost slot: a new one, and every table read again",
            ),
            (
                "walferry resync -c shop.toml public.orders",
                "one table, while the slot is well; also beside a connector that runs",
            ),
        ],
    ),
    (
        "tail",
        &[
            (
                "walferry tail --source postgresql://postgres@db:5432/shop --tables 'public.order*'",
                "as the tables' owner",
            ),
            (
                "walferry tail -c shop.toml | jq -c 'select(.op == \"d\")'",
                "through the connector's publication; deletes alone",
            ),
        ],
    ),
    (
        "status",
        &[
            ("walferry status -c shop.toml", "at the file's admin.listen"),
            (
                "walferry status --admin db-host:9464 --watch",
                "another machine's, again every second",
            ),
            (
                "walferry status --json | jq '.connectors[].lag'",
                "for programs",
            ),
        ],
    ),
    (
        "pause",
        &[(
            "walferry pause -c shop.toml",
            "before work on Kafka; mind the WAL that the slot keeps",
        )],
    ),
    (
        "resume",
        &[(
            "walferry resume --admin db-host:9464",
            "the token is taken from WALFERRY_TOKEN",
        )],
    ),
    (
        "checkpoint",
        &[(
            "walferry checkpoint show -c shop.toml",
            "up to where the topics hold everything",
        )],
    ),
    (
        "checkpoint show",
        &[(
            "walferry checkpoint show -c shop.toml | jq -r .commit_lsn",
            "the last transaction that the topics hold",
        )],
    ),
    (
        "checkpoint set",
        &[(
            "walferry checkpoint set 16/B374D848 -c shop.toml",
            "asks for the connector's name; what is passed over is never published",
        )],
    ),
    (
        "checkpoint clear",
        &[(
            "walferry checkpoint clear -c shop.toml --yes shop",
            "the next run begins anew",
        )],
    ),
    (
        "drop",
        &[(
            "walferry drop -c shop.toml",
            "asks for the connector's name; then slot, publication and checkpoint are gone",
        )],
    ),
    (
        "snapshot",
        &[(
            "walferry snapshot start public.orders -c shop.toml",
            "reads a table again while the stream runs",
        )],
    ),
    (
        "snapshot start",
        &[
            (
                "walferry snapshot start public.orders public.lines -c shop.toml",
                "prints the snapshot's id",
            ),
            (
                "walferry snapshot start public.orders --where 'id > 1000' --priority 5 -c shop.toml",
                "some of its rows, before other snapshots",
            ),
        ],
    ),
    (
        "snapshot list",
        &[(
            "walferry snapshot list -c shop.toml",
            "those that run, wait or are held",
        )],
    ),
    (
        "snapshot pause",
        &[(
            "walferry snapshot pause 7 -c shop.toml",
            "over restarts too",
        )],
    ),
    (
        "snapshot resume",
        &[(
            "walferry snapshot resume 7 -c shop.toml",
            "goes on where it stood",
        )],
    ),
    (
        "snapshot cancel",
        &[(
            "walferry snapshot cancel 7 -c shop.toml",
            "what it has published stays",
        )],
    ),
    (
        "schema",
        &[(
            "walferry schema diff -c shop.toml",
            "before a deployment: what the registry would say",
        )],
    ),
    (
        "schema show",
        &[(
            "walferry schema show -c shop.toml 'public.order*' --json",
            "the Avro schemas of some tables",
        )],
    ),
    (
        "schema diff",
        &[(
            "walferry schema diff -c shop.toml",
            "ends with 1 when the registry would refuse one",
        )],
    ),
    (
        "schema plan",
        &[(
            "walferry schema plan -c shop.toml --ddl migration.sql --source postgresql://owner@db/shop",
            "tries the migration, and rolls it back",
        )],
    ),
    (
        "schema approve",
        &[(
            "walferry schema approve public.orders -c shop.toml",
            "a parked table goes on, whatever the subject's compatibility",
        )],
    ),
    (
        "migrate",
        &[(
            "walferry migrate debezium connector.json > shop.toml",
            "then settle what its comments say, and check",
        )],
    ),
    (
        "migrate debezium",
        &[
            (
                "walferry migrate debezium connector.json > shop.toml",
                "JSON or Java properties",
            ),
            (
                "walferry migrate debezium - > shop.toml",
                "from standard input, as of Kafka Connect's API",
            ),
        ],
    ),
    (
        "explain",
        &[
            ("walferry explain WF0806", "its cause and remedy"),
            (
                "walferry explain --json | jq -r '.[].code'",
                "all of them, for programs",
            ),
        ],
    ),
    (
        "completions",
        &[(
            "walferry completions bash > /etc/bash_completion.d/walferry",
            "for every shell of the machine",
        )],
    ),
    (
        "man",
        &[("walferry man | man -l -", "this and every other command")],
    ),
];

/// The command of this path with its examples, and its own commands with theirs.
pub(super) fn with_examples(command: Command, path: &str) -> Command {
    let examples = EXAMPLES.iter().find(|(of, _)| *of == path);
    let command = match examples {
        Some((_, examples)) => command.after_help(text(examples)),
        None => command,
    };
    let names: Vec<String> = command
        .get_subcommands()
        .map(|it| it.get_name().to_owned())
        .collect();
    names.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |it| with_examples(it, path.trim_start()))
    })
}

fn text(examples: &[(&str, &str)]) -> String {
    let lines = examples
        .iter()
        .map(|(line, what)| format!("  {line}\n      {what}\n"));
    format!("Examples:\n{}", lines.collect::<String>())
}
