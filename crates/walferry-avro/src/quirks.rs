//! Deviations of Debezium's that are reproduced on request, because a consumer may rely on them.
//!
//! Owns: the list of [`Quirk`]s and the set that a configuration chooses. Each quirk is reproduced where the value, name
//! or record that it bends is made. The default is none: then Walferry writes what PostgreSQL holds.

use std::{fmt, str::FromStr};

use crate::unknown_word::UnknownMode;

/// Declares the quirks, their words, and both ways between them.
macro_rules! quirks {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// One deviation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Quirk {
            $($(#[$doc])* $name,)+
        }

        impl Quirk {
            /// Every quirk, in the order of its words.
            pub const ALL: &'static [Quirk] = &[$(Quirk::$name),+];
            /// The word of each in the configuration.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
        }

        impl FromStr for Quirk {
            type Err = UnknownMode;

            fn from_str(word: &str) -> Result<Quirk, UnknownMode> {
                match word {
                    $($word => Ok(Quirk::$name),)+
                    _ => Err(UnknownMode::new(word, Quirk::WORDS)),
                }
            }
        }

        impl fmt::Display for Quirk {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Quirk::$name => $word,)+
                })
            }
        }
    };
}

quirks! {
    /// NULL in a column that has a default is written as the default, and so is what an old row does not carry.
    NullAsDefault = "null-as-default",
    /// A column of a type that Debezium has no mapping for is left out: composites, arrays of some types, multiranges,
    /// `pg_lsn`, `tsquery`. By default it has a field like any other.
    LeaveOut = "leave-out",
    /// Arrays have one dimension: a declared second one is ignored, what lies deeper than the first level is NULL, and
    /// lower bounds are dropped. By default the shape is kept.
    FlatArrays = "flat-arrays",
    /// The pairs of an `hstore` stand in the order of a Java `HashMap`. By default they stand as PostgreSQL sends them.
    HstoreHashOrder = "hstore-hash-order",
    /// The tables of an END record stand in the order of a Java `HashMap`. By default they stand by their names.
    CollectionHashOrder = "collection-hash-order",
    /// The numbers of a `sparsevec` have 16 bits, so that one of more than 32767 dimensions is an error. By default they
    /// have 32.
    SparsevecInt16 = "sparsevec-int16",
    /// An unchanged TOAST value of a type without a placeholder is NULL where the column is nullable. By default the
    /// placeholder's text takes the value's place in a schema that is widened for it, or there is an error.
    UnavailableAsNull = "unavailable-as-null",
    /// A value that its Avro type cannot hold (a `numeric` that is no number, a timestamp beyond its count, NULL in an array
    /// of an enum or of `ltree`), or that Debezium does not convert (an array with a `box` or another shape in it) is NULL
    /// where the column is nullable. By default it is an error, and the table's policy decides.
    OutOfRangeAsNull = "out-of-range-as-null",
    /// The bytes of a `varbit` do not tell the zeros that it begins with. By default such a value goes out as its text, in a
    /// schema that is widened for it.
    CutBits = "cut-bits",
    /// The column of type `bit[]` has the schema of one `bit`, and its values are NULL. By default it is an array.
    BitArraysAsNull = "bit-arrays-as-null",
    /// A column of type `name` is NULL in the stream, and empty where it is NOT NULL. By default it is its text.
    NameAsNull = "name-as-null",
    /// The infinities of a `date`, and as text of a `timestamp`, are far days. By default they are the ends of the count, or
    /// the words `infinity` and `-infinity`.
    InfinityAsDate = "infinity-as-date",
    /// A snapshot takes a date before Christ for one after, and the ten days that the calendar of 1582 left out for later
    /// ones. By default snapshot and stream agree.
    EraInSnapshots = "era-in-snapshots",
    /// The time 24:00:00 as text is that of midnight before. By default it is the end of the day.
    MidnightAsZero = "midnight-as-zero",
    /// Microseconds of a timestamp beyond 64 bits are wrapped round. By default they are an error.
    WrapTimestamps = "wrap-timestamps",
    /// An interval beyond 64 bits of microseconds is the last number. By default it is an error.
    SaturateIntervals = "saturate-intervals",
    /// A `numeric` of negative scale has the scale that its eleven bits give without their sign. By default it has scale 0.
    NegativeScale = "negative-scale",
    /// A default that JSON has no number for stands as text in a number's place. By default there is no default.
    NanDefaults = "nan-defaults",
    /// A unique index with a condition gives the message key, so that rows which it does not cover may share one.
    PartialIndexKey = "partial-index-key",
    /// The primary key, or the configured key, is the message key even where old rows do not carry it: what is not known
    /// of it is the type's zero, so that deletes and key changes go out under a key that no row has.
    KeyOutsideIdentity = "key-outside-identity",
    /// A delete from a table without a key is followed by a record with neither key nor value.
    TombstoneWithoutKey = "tombstone-without-key",
}

/// A set of quirks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks(u64);

impl Quirks {
    /// None of them.
    pub const NONE: Quirks = Quirks(0);

    /// All of them.
    pub fn all() -> Quirks {
        Quirk::ALL.iter().copied().collect()
    }

    /// Whether `quirk` is reproduced.
    pub fn has(self, quirk: Quirk) -> bool {
        self.0 & Quirks::bit(quirk) != 0
    }

    /// Whether rows of a snapshot are written in another way than those of the stream.
    pub(crate) fn tell_snapshots_apart(self) -> bool {
        use Quirk::{EraInSnapshots, InfinityAsDate, NameAsNull};
        [EraInSnapshots, InfinityAsDate, NameAsNull]
            .iter()
            .any(|quirk| self.has(*quirk))
    }

    fn bit(quirk: Quirk) -> u64 {
        1 << quirk as u64
    }
}

impl FromIterator<Quirk> for Quirks {
    fn from_iter<I: IntoIterator<Item = Quirk>>(quirks: I) -> Quirks {
        Quirks(quirks.into_iter().fold(0, |set, it| set | Quirks::bit(it)))
    }
}

const _: () = assert!(Quirk::ALL.len() <= 64, "a set has 64 bits");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_quirk_has_a_word_and_a_place_in_the_set() {
        for (quirk, word) in Quirk::ALL.iter().zip(Quirk::WORDS) {
            assert_eq!(
                (quirk.to_string().as_str(), word.parse()),
                (*word, Ok(*quirk))
            );
            let one: Quirks = [*quirk].into_iter().collect();
            assert!(one.has(*quirk) && Quirks::all().has(*quirk) && !Quirks::NONE.has(*quirk));
        }
        assert!("no-such-quirk".parse::<Quirk>().is_err());
    }
}
