//! Conditions that are taken, and hostile ones in some hundreds of forms.

use proptest::prelude::*;

use super::*;

fn names(sql: &str) -> Vec<String> {
    let calls = functions(sql).unwrap_or_else(|reason| panic!("{sql}: {reason}"));
    let text = |it: Call| match it.schema {
        Some(schema) => format!("{schema}.{}", it.name),
        None => it.name,
    };
    calls.into_iter().map(text).collect()
}

#[test]
fn conditions_are_taken_with_the_functions_that_they_call() {
    for (sql, expected) in [
        ("id <= 1200", &[][..]),
        ("a > 1 OR (b = 'it''s (' AND c IS NULL)", &["or"]),
        ("lower(name) = 'x'", &["lower"]),
        ("pg_catalog.Lower (name) = 'x'", &["pg_catalog.lower"]),
        ("\"S\" . \"F\"\"x\"(a) > 0", &["S.F\"x"]),
        ("a[1] = ANY (ARRAY[1, 2])", &["any"]),
        ("id IN (1, 2) -- and no more", &["in"]),
        ("id /* ) /* ; */ ' */ > 1", &[]),
        ("name = E'a\\'b' AND b'1' = x'1'", &[]),
        ("name = $x$ ' ) ; $x$", &[]),
        ("created > now() - interval '1 day'", &["now"]),
        ("at::timestamp with time zone > '2026-01-01'", &[]),
        ("\"select\" = 1 AND t.values = 2", &[]),
        ("größe > 1 AND a$b = 2", &[]),
        ("lower/* x */\n(a) = 'b'", &["lower"]),
    ] {
        assert_eq!(names(sql), expected, "{sql}");
    }
}

/// Ways to end the parentheses, or to hide that, before and behind each of the commands.
const BREAKS: [&str; 20] = [
    "true))",
    "true)))",
    "1=1) UNION (",
    "'a' = 'a'))",
    "true /* ) */ ))",
    "E'\\'')) OR ('",
    "E'a'\n'\\'' ) ) ",
    "E'a' -- x\n'\\'' ) ) ",
    "true;",
    "true); ",
    "'a' = 'b",
    "\"a",
    "true /* ",
    "/* /* */ true",
    "$$ = $x$",
    "$1 = 1",
    "U&'\\0027' = '') ) ",
    "U&\"d\\0061t\" = 1 ) ",
    "\u{a0}e'\\' ) ) --' ",
    "(true",
];

const COMMANDS: [&str; 12] = [
    " TO PROGRAM 'touch /tmp/x' -- ",
    " TO '/tmp/x' -- ",
    "; DROP TABLE t; -- ",
    "; COPY t FROM PROGRAM 'id'; -- ",
    " UNION SELECT rolpassword FROM pg_authid -- ",
    " AND (SELECT 1 FROM pg_authid) = 1",
    " OR EXISTS (TABLE pg_shadow)",
    " OR id IN (VALUES (1))",
    " OR id = (WITH x AS (SELECT 1) TABLE x)",
    "; SET ROLE postgres; -- ",
    " LIMIT 1) TO STDOUT; -- ",
    "\\; SELECT 1 \\g",
];

#[test]
fn hostile_conditions_are_refused_in_every_form() {
    let mut forms = 0;
    for hostile in BREAKS {
        for command in COMMANDS {
            let sql = format!("{hostile}{command}");
            // One that is taken is one expression with everything in quotes: the parentheses around it are not ended.
            if let Ok(calls) = functions(&sql) {
                panic!("{sql:?} was taken with {calls:?}");
            }
            forms += 1;
        }
    }
    assert!(forms >= 200, "{forms}");
    for sql in [
        "",
        " ",
        "-- nothing",
        "a\0b",
        "'a\0'",
        "a]",
        "[a)",
        "(a]",
        "a = 'x' 'y'",
        "(select 1) = 1",
        "exists (TABLE t)",
        "a in (values (1))",
        "SeLeCt 1",
        "a = $1",
    ] {
        assert!(functions(sql).is_err(), "{sql:?}");
    }
    assert!(functions(&"(".repeat(200)).is_err());
    assert!(functions(&"a".repeat(20_000)).is_err());
}

#[test]
fn what_a_function_is_called_by_is_found_behind_any_dress() {
    for sql in [
        "pg_read_file('x') = ''",
        "pg_catalog.pg_read_file('x') = ''",
        "\"pg_read_file\"('x') = ''",
        "PG_READ_FILE /* */ ('x') = ''",
        "pg_read_file--\n('x') = ''",
        "d.pg_catalog.pg_read_file('x') = ''",
    ] {
        let found = functions(sql).unwrap();
        assert!(found.iter().any(|it| it.name == "pg_read_file"), "{sql}");
    }
}

proptest! {
    #[test]
    fn what_is_taken_does_not_end_its_parentheses(sql in "[ab().;'\"$/*\\-\n\\\\\\[\\]eEuU&1é\u{a0} ]{0,40}") {
        if functions(&sql).is_ok() {
            // By the rules of scripts, too, it is one statement.
            let whole = format!("f({sql}\n)");
            prop_assert!(functions(&whole).is_ok(), "{whole}");
        }
    }
}
