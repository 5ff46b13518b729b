//! Which kinds of statements a history has.
//!
//! Owns: the kinds by name, and the choice of a seed. Never: what a statement does.

use anyhow::{Result, bail};
use rand::Rng;
use rand::rngs::StdRng;

/// A kind of statement besides those that change rows and columns, which every history has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Tables get other files: type changes, `CLUSTER`, `VACUUM FULL`, volatile defaults.
    Rewrites,
    /// Tables are dropped and made anew, in one transaction and in two, and swap their names.
    Replaced,
    /// New tables come.
    Tables,
    /// Partitions are made, attached, detached and dropped.
    Partitions,
    /// Single partitions are truncated, of which a stream by roots tells nothing.
    LeafTruncates,
    /// Tables leave the publication and come back, and are unlogged for a while.
    Publication,
    /// The publication leaves kinds of changes out for a while.
    Flags,
    /// Policies hide rows from the connector's role.
    Security,
    /// Rows take each other's keys within a statement.
    Swaps,
    /// Snapshots of single tables are asked for while it runs.
    Asked,
    /// Single tables are read again by `walferry resync`.
    Resync,
}

/// Every kind, and in how many of how many histories it is.
const KINDS: [(Kind, &str, (u32, u32)); 11] = [
    (Kind::Rewrites, "rewrites", (2, 3)),
    (Kind::Replaced, "replaced", (1, 2)),
    (Kind::Tables, "tables", (1, 2)),
    (Kind::Partitions, "partitions", (1, 2)),
    (Kind::LeafTruncates, "leaf-truncates", (1, 6)),
    (Kind::Publication, "publication", (1, 3)),
    (Kind::Flags, "flags", (1, 6)),
    (Kind::Security, "security", (1, 5)),
    (Kind::Swaps, "swaps", (1, 3)),
    (Kind::Asked, "asked", (1, 3)),
    (Kind::Resync, "resync", (1, 4)),
];

/// One restart in so many transactions; the last is none at all in most histories.
const RESTART_EVERY: [u32; 5] = [3, 6, 6, 12, 200];

/// How a connector comes by the rows that are there when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// There are none.
    Never,
    /// At one moment, before the stream.
    Consistent,
    /// Beside the stream.
    Beside,
    /// Beside the stream, when it is asked for.
    Asked,
}

impl Snapshot {
    const NAMES: [(Snapshot, &str); 4] = [
        (Snapshot::Never, "never"),
        (Snapshot::Consistent, "consistent"),
        (Snapshot::Beside, "beside"),
        (Snapshot::Asked, "asked"),
    ];

    /// By its name.
    ///
    /// # Errors
    /// There is no such way.
    pub fn named(name: &str) -> Result<Snapshot> {
        match Snapshot::NAMES.iter().find(|it| it.1 == name) {
            Some(found) => Ok(found.0),
            None => bail!("{name:?} is none of never, consistent, beside, asked"),
        }
    }

    pub(super) fn any(random: &mut StdRng) -> Snapshot {
        Snapshot::NAMES[random.random_range(0..Snapshot::NAMES.len())].0
    }
}

/// What a history has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Menu {
    /// The kinds of statements.
    pub kinds: Vec<Kind>,
    /// How the first rows come.
    pub snapshot: Snapshot,
    /// Whether partitions are published by themselves.
    pub leaves: bool,
    /// One restart in so many transactions, about.
    pub restart_every: u32,
}

impl Menu {
    /// The choice of a seed.
    pub(super) fn of(random: &mut StdRng) -> Menu {
        let kinds = KINDS.iter();
        let kinds = kinds.filter(|it| random.random_ratio(it.2.0, it.2.1));
        let kinds = kinds.map(|it| it.0).collect();
        Menu {
            kinds,
            snapshot: Snapshot::any(random),
            leaves: random.random_ratio(1, 3),
            restart_every: RESTART_EVERY[random.random_range(0..RESTART_EVERY.len())],
        }
    }

    /// The kinds of these names.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn kinds_named(names: &[String]) -> Result<Vec<Kind>> {
        let named = |name: &String| match KINDS.iter().find(|it| it.1 == name) {
            Some(found) => Ok(found.0),
            None => bail!("{name:?} is none of {}", KINDS.map(|it| it.1).join(", ")),
        };
        names.iter().map(named).collect()
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }
}

impl std::fmt::Display for Menu {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = KINDS.iter().filter(|it| self.has(it.0)).map(|it| it.1);
        let kinds: Vec<&str> = kinds.collect();
        let snapshot = Snapshot::NAMES.iter().find(|it| it.0 == self.snapshot);
        write!(
            out,
            "snapshot {}, partitions by {}, a restart in {}, with {}",
            snapshot.map_or("", |it| it.1),
            if self.leaves { "leaf" } else { "root" },
            self.restart_every,
            match kinds.is_empty() {
                true => "columns alone".to_owned(),
                false => kinds.join(","),
            }
        )
    }
}
