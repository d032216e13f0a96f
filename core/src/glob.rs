//! Patterns for names: `*` stands for any run of characters, also an empty one; nothing else is special.
//!
//! Invariants: a name without `*` fits itself only; one comparison takes at most pattern × name steps, whatever
//! the pattern (one star is tried again at a time: whatever an earlier one could take, the last one can take
//! too). Comparing bytes is right, because the pieces between stars are whole characters.
//! Deliberately absent: `?`, classes, an escape for `*`, letter case; a `*` in a name is fitted by itself.

use std::collections::BTreeSet;

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob {
    pattern: String,
}

impl Glob {
    /// Takes any text; there are no wrong patterns.
    pub fn new(pattern: &str) -> Self {
        Self { pattern: pattern.to_owned() }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole name fits.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.pattern.as_bytes(), name.as_bytes());
        let (mut at, mut seen) = (0_usize, 0_usize);
        // What follows the last star, and where the name goes on after what that star has taken so far.
        let mut star: Option<(usize, usize)> = None;
        while let Some(byte) = name.get(seen) {
            match (pattern.get(at), star) {
                (Some(b'*'), _) => {
                    at = at.saturating_add(1);
                    star = Some((at, seen));
                }
                (Some(wanted), _) if wanted == byte => {
                    at = at.saturating_add(1);
                    seen = seen.saturating_add(1);
                }
                (_, Some((after, taken))) => {
                    at = after;
                    seen = taken.saturating_add(1);
                    star = Some((after, seen));
                }
                (_, None) => return false,
            }
        }
        pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
    }
}

/// Several patterns of which one is to fit. Names without `*` are looked up, the others are tried in turn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Globs {
    exact: BTreeSet<String>,
    patterns: Vec<Glob>,
}

impl Globs {
    /// Whether one of them fits the whole name.
    pub fn matches(&self, name: &str) -> bool {
        self.exact.contains(name) || self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether there is none, so that no name fits.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    /// As they were written: the names in alphabetical order, then the patterns in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(String::as_str).chain(self.patterns.iter().map(Glob::as_str))
    }
}

impl<S: AsRef<str>> FromIterator<S> for Globs {
    fn from_iter<I: IntoIterator<Item = S>>(patterns: I) -> Self {
        let mut globs = Self::default();
        for pattern in patterns {
            let pattern = pattern.as_ref();
            if !pattern.contains('*') {
                globs.exact.insert(pattern.to_owned());
            } else if !globs.patterns.iter().any(|known| known.as_str() == pattern) {
                globs.patterns.push(Glob::new(pattern));
            }
        }
        globs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        let table = [
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("a", "a", true),
            ("a", "A", false),
            ("a", "aa", false),
            ("*", "", true),
            ("*", "anything", true),
            ("**", "", true),
            ("a*", "a", true),
            ("a*", "ab", true),
            ("a*", "ba", false),
            ("*a", "a", true),
            ("*a", "bba", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a_b_b_c", true),
            ("a*b*c", "a_c_b", false),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abab", true),
            ("*aab", "aaaab", true),
            ("get_*", "get_", true),
            ("get_*", "forget_it", false),
            ("file:///home/*/notes/*", "file:///home/me/notes/a/b", true),
            ("ä*ü", "äöü", true),
            ("*ö*", "äöü", true),
            ("é*", "è", false),
            ("a?c", "abc", false),
            ("a?c", "a?c", true),
            ("[a]", "a", false),
            ("a.c", "abc", false),
            ("a*b", "a*b", true),
        ];
        for (pattern, name, fits) in table {
            assert_eq!(Glob::new(pattern).matches(name), fits, "{pattern} {name}");
        }
    }

    /// By definition: the first star takes nothing, or one character more.
    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', after @ ..], _) if slow(after, name) => true,
            ([b'*', ..], [_, rest @ ..]) => slow(pattern, rest),
            ([wanted, after @ ..], [byte, rest @ ..]) => wanted == byte && slow(after, rest),
            _ => false,
        }
    }

    #[test]
    fn every_short_pattern_fits_what_the_definition_says() {
        let words = |letters: &[u8], len_max: usize| {
            let longer = |word: &Vec<u8>| {
                letters.iter().map(|letter| [word, &[*letter][..]].concat()).collect::<Vec<_>>()
            };
            let generations = std::iter::successors(Some(vec![Vec::new()]), |last| {
                Some(last.iter().flat_map(longer).collect())
            });
            generations.take(len_max + 1).flatten().collect::<Vec<Vec<u8>>>()
        };
        let names = words(b"ab", 6);
        for pattern in words(b"ab*", 5) {
            let glob = Glob::new(std::str::from_utf8(&pattern).unwrap());
            for name in &names {
                let text = std::str::from_utf8(name).unwrap();
                assert_eq!(glob.matches(text), slow(&pattern, name), "{glob:?} {text}");
            }
        }
    }

    #[test]
    fn many_stars_do_not_take_long() {
        // Trying every star again would take more steps than there are atoms.
        let glob = Glob::new(&format!("{}b", "*a".repeat(200)));
        assert!(!glob.matches(&"a".repeat(10_000)));
        assert!(glob.matches(&format!("{}b", "a".repeat(10_000))));
    }

    #[test]
    fn of_several_one_is_enough() {
        let globs: Globs = ["b", "x*", "a", "*y", "x*", "a"].into_iter().collect();
        assert_eq!(globs.iter().collect::<Vec<_>>(), ["a", "b", "x*", "*y"]);
        for (name, fits) in [("a", true), ("b", true), ("x", true), ("xa", true), ("zy", true), ("c", false)]
        {
            assert_eq!(globs.matches(name), fits, "{name}");
        }
        assert!(!globs.is_empty() && Globs::default().is_empty() && !Globs::default().matches(""));
    }
}
