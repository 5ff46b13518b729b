//! What the writer knows of a table: its columns, its key, its identity.
//!
//! Owns: the model and the literals for its types. Never: I/O.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

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
    /// Whether its primary key changes and it is dropped and made anew; the others change their identity.
    pub(super) reshaped: bool,
    pub(super) published: bool,
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
    pub(super) fn new(names: [&str; 2], reshaped: bool) -> Table {
        Table {
            name: names[0].to_owned(),
            names: names.map(str::to_owned),
            id: "id".into(),
            alt: "alt".into(),
            id_kind: "int",
            primary: vec!["id".into()],
            columns: Vec::new(),
            identity: Identity::Default,
            reshaped,
            published: true,
            next: 1,
        }
    }

    /// Makes it, with a few columns.
    pub(super) fn create(&mut self, random: &mut StdRng) -> String {
        (self.id, self.alt, self.id_kind) = ("id".into(), "alt".into(), "int");
        self.primary =
            vec![["id", "alt"][random.random_range(0..if self.reshaped { 2 } else { 1 })].into()];
        self.identity = Identity::Default;
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
        format!(
            "create table {name} (id int not null, alt bigint not null{columns}, \
             constraint {name}_key primary key ({}), constraint {name}_id unique (id), constraint {name}_alt unique (alt))",
            primary.join(", ")
        )
    }

    /// The columns of the message key.
    pub(super) fn key(&self) -> Vec<String> {
        match self.identity {
            Identity::Index => vec![self.alt.clone()],
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
        let first = self.next;
        self.next += rows;
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
        let Table { name, id, alt, .. } = self;
        if random.random_ratio(1, 5) {
            // Keys are taken from a range of their own, so that they never meet others.
            self.next += 1;
            let (from, to) = (random.random_range(1..self.next), self.next + 1_000_000);
            self.next += 1;
            let column = if random.random_ratio(1, 2) { id } else { alt };
            return Some(format!(
                "update {name} set {column} = {to} where {column} = {from}"
            ));
        }
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

    pub(super) fn delete(&self, random: &mut StdRng) -> String {
        format!("delete from {} where {}", self.name, self.some(random))
    }
}
