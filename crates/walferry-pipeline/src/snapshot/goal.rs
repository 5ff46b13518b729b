//! Where the stream has to stand before what a snapshot has read may be judged.
//!
//! Owns the one rule. Source: `access/xlog_internal.h` of PostgreSQL, for the headers of WAL pages.

use walferry_event::Lsn;

/// A page of the WAL, and the longest header of one.
const WAL_PAGE: u64 = 8192;
const WAL_HEADER_MAX: u64 = 40;

/// Where the stream has to stand. The end of the WAL may be told as behind the header of a page on which nothing stands yet;
/// the stream then stops before it.
pub(crate) fn goal(wal_insert: Lsn) -> Lsn {
    let into = wal_insert.0 % WAL_PAGE;
    if into <= WAL_HEADER_MAX {
        Lsn(wal_insert.0 - into)
    } else {
        wal_insert
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_wal_is_not_sought_in_a_page_header() {
        for (told, sought) in [
            (8192 + 24, 8192),
            (8192 + 40, 8192),
            (8192, 8192),
            (8192 + 41, 8192 + 41),
            (8191, 8191),
        ] {
            assert_eq!(goal(Lsn(told)), Lsn(sought));
        }
    }
}
