//! The remedy of each difference: what to do when something else is published of a table than before.
//!
//! Owns the decision only. The table `ROWS` is executed, and the first row that matches decides.
//! Invariants: nothing tells whether an earlier table of a name wrote, or is still to write, to the topic: a table that is new is
//! never read without looking for keys that it does not have; a table whose changes were not published for a while is read again, or known to be incomplete; none of these ends
//! the connector.
//! Start reading at `ROWS`.

/// What a decision rests on.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) change: Change,
    /// The publication lists the table.
    pub(super) listed: bool,
    /// Why it cannot be added to the publication, and what mends that.
    pub(super) bar: Option<String>,
    /// Why its rows cannot be read, and what mends that.
    pub(super) unreadable: Option<String>,
    /// Its records have keys.
    pub(super) keyed: bool,
    /// Truncates are published, so that a topic without keys can be ended and told anew.
    pub(super) truncates: bool,
    /// It has a topic already.
    pub(super) has_topic: bool,
    /// The publication has had it since it was created.
    pub(super) since_creation: bool,
    /// Which operations the publication does not publish any more.
    pub(super) narrowed: Option<String>,
    /// The publication shows other rows of it than the configuration says, and that is not ours to change; and what mends that.
    pub(super) other_rows: Option<String>,
    /// The publication shows other columns or rows of it than the configuration says, and we put that back.
    pub(super) limits_change: bool,
    /// Partitions that have come have rows.
    pub(super) filled: bool,
    pub(super) new_tables: NewTables,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing is missing: it is recorded.
    Note,
    /// It is followed no more.
    Forget,
    /// It is not followed, without a word.
    Ignore,
    /// It is left out, and that is told.
    LeaveOut,
    /// Its rows are read, after it was added to the publication where it is not in it.
    Read,
    /// Its rows are read, and what its topic has beside them is deleted; without a key the topic is ended by a truncate first.
    ReadAgain,
    /// The rows of partitions are read.
    ReadPartitions,
    /// What its topic has and the table has no more is deleted.
    Sweep,
    /// Changes are missing from its topic, until somebody mends it.
    Tell,
    /// Its topic holds rows that the table has no more.
    TellSurplus,
}

impl Remedy {
    /// What has to run before what this tells of a table is right.
    pub(super) fn mends(self) -> Mend {
        match self {
            Remedy::Sweep | Remedy::TellSurplus => Mend::Sweep,
            Remedy::ReadPartitions => Mend::Part,
            _ => Mend::Whole,
        }
    }
}

/// One row of the table.
pub(super) struct Row {
    /// The row's name, in tests and in the log.
    pub(super) name: &'static str,
    applies: fn(&Case) -> bool,
    pub(super) remedy: Remedy,
}

/// The table. The first row that applies decides.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "dropped, renamed or not chosen any more", applies: |c| c.change == Change::Gone,      remedy: Remedy::Forget },
    Row { name: "added by us",                       applies: |c| c.change == Change::Joined,          remedy: Remedy::Note },
    Row { name: "partitions created",                applies: |c| c.change == Change::Born,            remedy: Remedy::Note },
    Row { name: "new, and new tables are ignored",   applies: |c| new(c) && !c.listed && c.new_tables == NewTables::Ignore, remedy: Remedy::Ignore },
    Row { name: "new, and new tables are told of",   applies: |c| new(c) && !c.listed && c.new_tables == NewTables::Warn,   remedy: Remedy::LeaveOut },
    Row { name: "new, may not be added",             applies: |c| new(c) && !c.listed && c.bar.is_some(), remedy: Remedy::LeaveOut },
    Row { name: "new, published since its creation, cannot be looked through", applies: |c| born_published(c) && (!c.keyed || c.unreadable.is_some()), remedy: Remedy::Note },
    Row { name: "new, published since its creation", applies: born_published,                          remedy: Remedy::Sweep },
    Row { name: "new, may not be read",              applies: |c| new(c) && !c.listed && c.unreadable.is_some(), remedy: Remedy::LeaveOut },
    Row { name: "new, without a topic, a key and truncates", applies: |c| new(c) && !c.has_topic && !c.keyed && !c.truncates && c.unreadable.is_none(), remedy: Remedy::Read },
    Row { name: "partitions came empty",             applies: |c| attached(c) && !c.filled,            remedy: Remedy::Note },
    Row { name: "partitions made unlogged",          applies: |c| c.change == Change::Unlogged,        remedy: Remedy::Note },
    Row { name: "operations not published",          applies: |c| c.narrowed.is_some(),                remedy: Remedy::Tell },
    Row { name: "other rows are published",          applies: |c| c.other_rows.is_some(),              remedy: Remedy::Tell },
    Row { name: "may not be added",                  applies: |c| !c.listed && c.bar.is_some(),        remedy: Remedy::Tell },
    Row { name: "partitions taken away",             applies: |c| c.change == Change::Detached,        remedy: Remedy::TellSurplus },
    Row { name: "without a key and without truncates", applies: |c| !c.keyed && !c.truncates,          remedy: Remedy::Tell },
    Row { name: "may not be read",                   applies: |c| c.unreadable.is_some(),              remedy: Remedy::Tell },
    Row { name: "partitions came with rows",         applies: |c| attached(c) && c.keyed,              remedy: Remedy::ReadPartitions },
    Row { name: "partitions emptied",                applies: |c| c.change == Change::Emptied && c.keyed, remedy: Remedy::Sweep },
    Row { name: "replaced, taken out, put back, altered, new",   applies: |_| true,                        remedy: Remedy::ReadAgain },
];

fn new(case: &Case) -> bool {
    case.change == Change::New
}

/// All of its rows come with the stream; what an earlier table of its name has left in the topic does not.
fn born_published(case: &Case) -> bool {
    new(case) && case.listed && case.since_creation
}

fn attached(case: &Case) -> bool {
    matches!(case.change, Change::Attached(_))
}

/// The row that decides.
pub(super) fn decide(case: &Case) -> &'static Row {
    ROWS.iter()
        .find(|row| (row.applies)(case))
        .expect("the last row applies to any case")
}

/// What has happened, in words for the operator.
pub(super) fn words(case: &Case) -> String {
    match &case.change {
        Change::New => "it was not published until now".into(),
        Change::Joined => "it is in the publication".into(),
        Change::Gone => "it was dropped or renamed".into(),
        Change::Replaced => "the table was replaced by another of the same name, or the name was another's for a while".into(),
        Change::TakenOut => "it was taken out of the publication".into(),
        Change::PutBack => {
            "it was taken out of the publication and put back, or other columns or rows of it are published".into()
        }
        Change::Altered => match &case.narrowed {
            Some(missing) => not_published(missing),
            None => "the publication was altered or created anew".into(),
        },
        Change::Attached(_) => "partitions with rows were attached".into(),
        Change::Born => "partitions were created".into(),
        Change::Detached => "partitions were detached or dropped, which makes no event".into(),
        Change::Unlogged => "changes of partitions are not in the WAL any more".into(),
        Change::Logged => "partitions are logged again, whose changes were not in the WAL".into(),
        Change::Emptied => "partitions were emptied by TRUNCATE, which makes no event, or written anew".into(),
    }
}

/// Of operations that the publication does not publish any more.
pub(super) fn not_published(missing: &str) -> String {
    format!("the publication does not publish {missing}")
}

#[cfg(test)]
mod tests;

use crate::{
    config::NewTables, connector::published::compare::Change, position::published_record::Mend,
};
