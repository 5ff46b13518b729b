//! Lists of regular expressions, as the include and exclude lists hold them, to names and globs.
//!
//! Owns the few expressions that a glob can say: literal names, `.*`, `.+`, and choices as `(a|b)`. Never guesses: any other
//! is told.
//! Source: Debezium's documentation, "PostgreSQL connector properties", `table.include.list`.

/// Splits a list at its commas; those within an expression stay.
pub(super) fn entries(list: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    list.split(|c| {
        depth += i32::from(matches!(c, '(' | '[' | '{')) - i32::from(matches!(c, ')' | ']' | '}'));
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|entry| !entry.is_empty())
    .collect()
}

/// The globs that match the same names; `None` when no glob does.
pub(super) fn globs(expression: &str) -> Option<Vec<String>> {
    let mut globs = Vec::new();
    for one in choices(expression)? {
        globs.push(glob(&one)?);
    }
    Some(globs)
}

/// `a(b|c)d` to `abd` and `acd`.
fn choices(expression: &str) -> Option<Vec<String>> {
    let Some(open) = expression.find('(') else {
        return match expression.contains([')', '|']) {
            // A choice without parentheses.
            true if !expression.contains(')') => {
                Some(expression.split('|').map(str::to_owned).collect())
            }
            true => None,
            false => Some(vec![expression.to_owned()]),
        };
    };
    let close = open + expression[open..].find(')')?;
    let (before, within, after) = (
        &expression[..open],
        &expression[open + 1..close],
        &expression[close + 1..],
    );
    let plain = !before.ends_with('\\') && !within.contains(['(', '\\', '?']);
    if !plain || before.contains('|') || after.starts_with(['*', '+', '?', '{']) {
        return None;
    }
    let ends = choices(after)?;
    let with = |choice| ends.iter().map(move |end| format!("{before}{choice}{end}"));
    Some(within.split('|').flat_map(with).collect())
}

/// One expression without choices. A dot that stands alone is meant as a dot, and is one in every name it has to match.
fn glob(expression: &str) -> Option<String> {
    let mut glob = String::new();
    let mut rest = expression.trim_start_matches('^');
    rest = rest.strip_suffix('$').unwrap_or(rest);
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = if let Some(after) = rest.strip_prefix(".*") {
            glob.push('*');
            after
        } else if let Some(after) = rest.strip_prefix(".+") {
            glob.push_str("?*");
            after
        } else if c == '\\' {
            let literal = after.chars().next().filter(|c| !c.is_alphanumeric())?;
            glob.push(literal);
            &after[literal.len_utf8()..]
        } else if c == '.' || c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '"') {
            glob.push(c);
            after
        } else {
            return None;
        };
        if rest.starts_with(['*', '+', '?', '{']) {
            return None;
        }
    }
    Some(glob)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_glob_can_say_is_said() {
        let cases = [
            (r"public\.orders", vec!["public.orders"]),
            ("public.orders", vec!["public.orders"]),
            (r"public\..*", vec!["public.*"]),
            ("public.*", vec!["public*"]),
            (r"shop\.(orders|lines)", vec!["shop.orders", "shop.lines"]),
            (r"(a|b)\.(c|d)", vec!["a.c", "a.d", "b.c", "b.d"]),
            (r"^shop\.o.+$", vec!["shop.o?*"]),
        ];
        for (expression, expected) in cases {
            assert_eq!(globs(expression).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn what_no_glob_can_say_is_not_guessed() {
        for expression in [
            r"s\.t\d+",
            r"s\.[ab]",
            r"s\.t?",
            "(?!a)b",
            r"s\.(a|b)*",
            r"s\.a{2}",
            "a)",
        ] {
            assert_eq!(globs(expression), None, "{expression}");
        }
    }

    #[test]
    fn a_list_is_split_where_it_is_one() {
        assert_eq!(
            entries(r"a\.b, c\.d{1,2} ,(e,f)\.g,"),
            [r"a\.b", r"c\.d{1,2}", r"(e,f)\.g"]
        );
    }
}
