//! What the writer knows of a table: its columns, its key, its identity, its partitions.
//!
//! Owns: the model and the literals for its types. Never: I/O.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom};

/// A column besides the two that make keys.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) required: bool,
}

/// Which columns make the replica identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Default,
    Full,
    Index,
    Nothing,
}

/// What happens to a table besides its rows and its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Its primary key changes.
    Keys,
    /// Its replica identity changes.
    Identities,
    /// It is dropped and made anew, swapped, and not published for a while. Its key stays what it is.
    Replaced,
    /// It has no key. What its columns mean stays what it is, so that its rows can be compared as a whole.
    Keyless,
    /// Its key is checked at the end of each statement, so that rows swap theirs.
    Deferrable,
    /// It is partitioned. Its columns stay what they are, so that partitions come and go.
    Partitioned,
}

/// A partition, or a table that was one or will be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    /// Its keys begin at this number times [`LEAF_KEYS`].
    pub(super) number: i64,
    pub(super) attached: bool,
    /// Rows that it may have.
    pub(super) next: i64,
}

/// Keys of a partition.
pub(super) const LEAF_KEYS: i64 = 100_000;

/// A table. Every one has `id int` and `alt bigint`, both unique and never NULL.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// The two names that it goes by in turn.
    pub(super) names: [String; 2],
    /// What the two columns of keys are called now.
    pub(super) id: String,
    pub(super) alt: String,
    pub(super) id_kind: &'static str,
    /// The primary key, of `id` and `alt`.
    pub(super) primary: Vec<String>,
    pub(super) columns: Vec<Column>,
    pub(super) identity: Identity,
    pub(super) part: Part,
    /// Whether it is there.
    pub(super) exists: bool,
    pub(super) published: bool,
    /// Whether a policy hides rows from the connector's role.
    pub(super) secured: bool,
    pub(super) leaves: Vec<Leaf>,
    /// LSN from which on a column means what it means now, where that has changed.
    pub(super) meanings: BTreeMap<String, u64>,
    /// Whether its records have had another key or another topic: what the topic says in the end is then no whole table.
    pub(super) moved: bool,
    /// Keys that may be there.
    pub(super) next: i64,
}

/// Types of the other columns, with what makes one of them of any value.
pub(super) const KINDS: &[(&str, &str)] = &[
    ("smallint", "(hashtext({}::text) % 100)::smallint"),
    ("int", "hashtext({}::text)"),
    ("bigint", "hashtext({}::text)::bigint * 1000"),
    ("text", "{}::text"),
    ("varchar(60)", "left({}::text, 60)"),
    ("numeric(9,2)", "(hashtext({}::text) % 1000)::numeric / 7"),
    ("numeric(14,4)", "(hashtext({}::text) % 1000)::numeric / 7"),
    (
        "double precision",
        "(hashtext({}::text) % 1000)::double precision / 8",
    ),
    ("boolean", "hashtext({}::text) % 2 = 0"),
    ("date", "date '2020-01-01' + hashtext({}::text) % 1000"),
    (
        "timestamp",
        "timestamp '2020-01-01' + (hashtext({}::text) % 1000) * interval '1 minute'",
    ),
    (
        "timestamptz",
        "timestamptz '2020-01-01Z' + (hashtext({}::text) % 1000) * interval '1 minute'",
    ),
    ("jsonb", "to_jsonb({}::text)"),
    ("bytea", "convert_to({}::text, 'UTF8')"),
];

/// A literal of a type.
pub(super) fn literal(kind: &str, random: &mut StdRng) -> String {
    let number: i32 = random.random_range(-9_000..9_000);
    match kind {
        "smallint" | "int" | "bigint" => number.to_string(),
        "text" if random.random_ratio(1, 6) => {
            format!("repeat('long text {number} ', 900)")
        }
        "text" | "varchar(60)" => format!("'text {number} žluť'"),
        "numeric(9,2)" => format!("{number}.25"),
        "numeric(14,4)" => format!("{number}.0625"),
        "double precision" => format!("{number}.5"),
        "boolean" => (number % 2 == 0).to_string(),
        "date" => format!("date '2024-02-29' + {}", number % 900),
        "timestamp" => {
            format!("timestamp '2024-02-29 12:00:00.123456' + {number} * interval '1 s'")
        }
        "timestamptz" => {
            format!("timestamptz '2024-02-29 12:00:00.123456+02' + {number} * interval '1 s'")
        }
        "jsonb" => format!("'{{\"n\": {number}}}'::jsonb"),
        _ => format!("convert_to('bytes {number}', 'UTF8')"),
    }
}

pub(super) fn any_kind(random: &mut StdRng) -> (&'static str, &'static str) {
    KINDS.choose(random).copied().unwrap_or(KINDS[1])
}

impl Table {
    pub(super) fn new(names: [&str; 2], part: Part) -> Table {
        Table {
            name: names[0].to_owned(),
            names: names.map(str::to_owned),
            id: "id".into(),
            alt: "alt".into(),
            id_kind: "int",
            primary: vec!["id".into()],
            columns: Vec::new(),
            identity: Identity::Default,
            part,
            exists: false,
            published: true,
            secured: false,
            leaves: Vec::new(),
            meanings: BTreeMap::new(),
            moved: false,
            next: 1,
        }
    }

    /// Makes it, with a few columns.
    pub(super) fn create(&mut self, random: &mut StdRng) -> String {
        (self.id, self.alt, self.id_kind) = ("id".into(), "alt".into(), "int");
        let keys = if self.part == Part::Keys { 2 } else { 1 };
        self.primary = vec![["id", "alt"][random.random_range(0..keys)].into()];
        self.identity = match self.part {
            Part::Keyless | Part::Deferrable => Identity::Full,
            _ => Identity::Default,
        };
        (self.exists, self.secured) = (true, false);
        self.meanings.clear();
        self.columns = (0..random.random_range(1..4))
            .map(|number| Column {
                name: format!("c{number}"),
                kind: any_kind(random).0,
                required: false,
            })
            .collect();
        let columns: String = self
            .columns
            .iter()
            .map(|it| format!(", {} {}", it.name, it.kind))
            .collect();
        let Table { name, primary, .. } = self;
        let columns = format!("create table {name} (id int not null, alt bigint not null{columns}");
        match self.part {
            Part::Keyless => format!("{columns}); alter table {name} replica identity full"),
            Part::Deferrable => format!(
                "{columns}, primary key (id) deferrable, unique (alt)); alter table {name} replica identity full"
            ),
            Part::Partitioned => {
                format!("{columns}, primary key (id)) partition by range (id)")
            }
            // Names of constraints go with a table that is renamed, and would be in the way of the next one.
            Part::Replaced => format!("{columns}, primary key (id), unique (alt))"),
            _ => format!(
                "{columns}, constraint {name}_key primary key ({}), constraint {name}_id unique (id), \
                 constraint {name}_alt unique (alt))",
                primary.join(", ")
            ),
        }
    }

    /// The bounds of a partition.
    pub(super) fn bounds(number: i64) -> String {
        let first = number * LEAF_KEYS;
        format!("for values from ({first}) to ({})", first + LEAF_KEYS)
    }

    pub(super) fn leaf_name(&self, number: i64) -> String {
        format!("{}_{number}", self.name)
    }

    /// The first key of the next rows; of a partitioned table in one of its partitions.
    fn take_keys(&mut self, rows: i64, random: &mut StdRng) -> Option<i64> {
        if self.part != Part::Partitioned {
            self.next += rows;
            return Some(self.next - rows);
        }
        let mut leaves: Vec<&mut Leaf> = self.leaves.iter_mut().filter(|it| it.attached).collect();
        let leaf = leaves.choose_mut(random)?;
        leaf.next += rows;
        Some(leaf.number * LEAF_KEYS + leaf.next - rows)
    }

    /// The columns of the message key.
    pub(super) fn key(&self) -> Vec<String> {
        match (self.part, self.identity) {
            (Part::Keyless, _) => Vec::new(),
            (_, Identity::Index) => vec![self.alt.clone()],
            _ => self.primary.clone(),
        }
    }

    /// Whether the server lets its rows be changed while it is published.
    pub(super) fn may_update(&self) -> bool {
        self.identity != Identity::Nothing
    }

    pub(super) fn insert(&mut self, rows: i64, random: &mut StdRng) -> String {
        let mut names = vec![self.id.clone(), self.alt.clone()];
        let mut values = vec!["n".to_owned(), "n * 10".to_owned()];
        for column in &self.columns {
            if !column.required && random.random_ratio(1, 5) {
                continue;
            }
            names.push(column.name.clone());
            values.push(match !column.required && random.random_ratio(1, 5) {
                true => "null".into(),
                false => literal(column.kind, random),
            });
        }
        // Without a partition there is no place for a row, and the statement says so with none.
        let (first, rows) = self.take_keys(rows, random).map_or((1, 0), |it| (it, rows));
        format!(
            "insert into {} ({}) select {} from generate_series({first}, {}) n",
            self.name,
            names.join(", "),
            values.join(", "),
            first + rows - 1
        )
    }

    /// Some of its rows.
    fn some(&self, random: &mut StdRng) -> String {
        let modulus = random.random_range(2..9);
        format!(
            "{} % {modulus} = {}",
            self.id,
            random.random_range(0..modulus)
        )
    }

    pub(super) fn update(&mut self, random: &mut StdRng) -> Option<String> {
        let some = self.some(random);
        if self.part == Part::Deferrable && random.random_ratio(1, 2) {
            return Some(self.pass_keys(random));
        }
        if random.random_ratio(1, 5) {
            return self.move_key(random);
        }
        let Table { name, .. } = self;
        let column = self.columns.choose(random)?;
        let value = match !column.required && random.random_ratio(1, 6) {
            true => "null".into(),
            false => literal(column.kind, random),
        };
        Some(format!(
            "update {name} set {} = {value} where {some}",
            column.name
        ))
    }

    /// Two to four rows take each other's keys.
    pub(super) fn pass_keys(&self, random: &mut StdRng) -> String {
        let first = random.random_range(1..self.next.max(2));
        // Keys above are those of rows that are still to come.
        let last = (first + random.random_range(1..4)).min(self.next - 1);
        let name = &self.name;
        format!(
            "update {name} set id = case when id = {last} then {first} else id + 1 end where id between {first} and {last}"
        )
    }

    /// Another key for one row: of a range of its own, so that it never meets others, or in another partition.
    fn move_key(&mut self, random: &mut StdRng) -> Option<String> {
        let (from, to) = if self.part == Part::Partitioned {
            let leaves: Vec<&Leaf> = self.leaves.iter().filter(|it| it.attached).collect();
            let leaf = leaves.choose(random)?;
            let from = leaf.number * LEAF_KEYS + random.random_range(1..=leaf.next);
            (from, self.take_keys(1, random)?)
        } else {
            self.next += 2;
            let from = random.random_range(1..self.next - 1);
            (from, self.next + 1_000_000)
        };
        let column = match self.part {
            Part::Partitioned => &self.id,
            _ if random.random_ratio(1, 2) => &self.id,
            _ => &self.alt,
        };
        let name = &self.name;
        Some(format!(
            "update {name} set {column} = {to} where {column} = {from}"
        ))
    }

    pub(super) fn delete(&self, random: &mut StdRng) -> String {
        format!("delete from {} where {}", self.name, self.some(random))
    }
}
