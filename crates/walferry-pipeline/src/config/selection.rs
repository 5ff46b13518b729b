//! Which tables are followed: globs of `schema.table` in order, the last match decides.
//!
//! Owns the matching only. `*` stands for any characters, `?` for one, `!` in front excludes.

/// The globs of `source.tables`.
#[derive(Clone, Debug)]
pub struct Selection {
    globs: Vec<Glob>,
}

#[derive(Clone, Debug)]
struct Glob {
    include: bool,
    pattern: String,
}

impl Selection {
    /// From the globs as configured.
    pub fn new(globs: &[String]) -> Selection {
        let globs = globs
            .iter()
            .map(|glob| match glob.strip_prefix('!') {
                Some(pattern) => Glob {
                    include: false,
                    pattern: pattern.to_owned(),
                },
                None => Glob {
                    include: true,
                    pattern: glob.clone(),
                },
            })
            .collect();
        Selection { globs }
    }

    /// Whether the table `schema.table` is followed.
    pub fn includes(&self, qualified_name: &str) -> bool {
        self.globs
            .iter()
            .rev()
            .find(|glob| matches(&glob.pattern, qualified_name))
            .is_some_and(|glob| glob.include)
    }

    /// The including globs that match none of `names`.
    pub fn idle<'a>(&self, names: impl Iterator<Item = &'a str> + Clone) -> Vec<&str> {
        let idle = |glob: &&Glob| {
            glob.include
                && is_glob(&glob.pattern)
                && !names.clone().any(|name| matches(&glob.pattern, name))
        };
        let idle = self.globs.iter().filter(idle);
        idle.map(|glob| glob.pattern.as_str()).collect()
    }

    /// The including patterns that name one table outright and match none of `names`: most likely a typing error.
    pub fn missing<'a>(&'a self, names: &[String]) -> Vec<&'a str> {
        self.globs
            .iter()
            .filter(|glob| glob.include && !is_glob(&glob.pattern))
            .map(|glob| glob.pattern.as_str())
            .filter(|pattern| !names.iter().any(|name| name == pattern))
            .collect()
    }
}

/// Whether a pattern may match more than one name.
pub(crate) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Whether a glob matches a name.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    fits(pattern.as_bytes(), name.as_bytes())
}

/// Glob matching with one place to go back to, so that its time is bounded by the product of the two lengths.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Whether the tables of a pattern may go to one topic.
pub(crate) fn has_many(pattern: &str, topic: &str) -> bool {
    let (schema, table) = pattern.split_once('.').unwrap_or((pattern, pattern));
    let meets = |part: &str, place: &str| is_glob(part) && !topic.contains(place);
    meets(schema, "{schema}") || meets(table, "{table}")
}

/// Whether two settings of `topic` may name the same one.
pub(crate) fn may_meet(one: &str, other: &str) -> bool {
    if one == other {
        return !(one.contains("{schema}") && one.contains("{table}"));
    }
    let glob = |topic: &str| topic.replace("{schema}", "*").replace("{table}", "*");
    let (one, other) = (glob(one), glob(other));
    matches(&one, &other) || matches(&other, &one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(globs: &[&str]) -> Selection {
        Selection::new(&globs.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_match_decides() {
        let chosen = selection(&["public.*", "!public.audit_*", "public.audit_login"]);
        for (name, expected) in [
            ("public.orders", true),
            ("public.audit_rows", false),
            ("public.audit_login", true),
            ("other.orders", false),
            ("public", false),
        ] {
            assert_eq!(chosen.includes(name), expected, "{name}");
        }
    }

    #[test]
    fn stars_go_back_as_far_as_needed() {
        for (pattern, name, expected) in [
            ("*.a*b*c", "s.axxbxxbc", true),
            ("*.a*b*c", "s.axxbxxb", false),
            ("*", "", true),
            ("?.t", "s.t", true),
            ("?.t", ".t", false),
            ("s.t", "s.tt", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_table_named_outright_that_does_not_exist_is_reported() {
        let names = ["public.orders".to_owned()];
        assert_eq!(
            selection(&["public.*", "public.ordres", "!public.x"]).missing(&names),
            ["public.ordres"]
        );
    }
}
