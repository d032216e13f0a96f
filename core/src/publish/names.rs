//! Names that tell servers apart, and that hosts accept.
//!
//! Hosts refuse names other than `^[a-zA-Z0-9_-]{1,64}$`. A name that is none gets a mark, which depends on nothing
//! but the server's prefix and the item's own name: it stays over restarts and whatever other servers do.

use super::offer::Offer;
use crate::config::Prefix;
use crate::mcp::ListKind;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// How names of several servers are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) prefix: Prefix,
    /// Between prefix and name. Should itself consist of characters of names, or every name gets a mark.
    pub(crate) separator: String,
    /// Length of the longest name, at least 1.
    pub(crate) name_max: usize,
}

impl Default for Naming {
    fn default() -> Self {
        Self { prefix: Prefix::Always, separator: "__".to_owned(), name_max: 64 }
    }
}

/// Makes the prefix of each server from the keys of all of them, in the order of the configuration.
///
/// What follows the first `/` of a key may be a secret and leaves no trace. The first of several equal ones keeps it,
/// the others are numbered; the number of one never is the plain prefix of another.
pub(crate) fn prefixes(keys: &[&str]) -> Vec<String> {
    let plain: Vec<String> = keys.iter().map(|key| prefix(key)).collect();
    let mut taken: HashSet<String> = plain.iter().cloned().collect();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    plain
        .iter()
        .map(|prefix| {
            let number = numbers.entry(prefix).or_default();
            loop {
                *number = number.saturating_add(1);
                if *number == 1 {
                    return prefix.clone();
                }
                let suffix = format!("_{number}");
                let mut numbered = prefix.clone();
                numbered.truncate(PREFIX_MAX.saturating_sub(suffix.len()));
                numbered.push_str(&suffix);
                if taken.insert(numbered.clone()) {
                    return numbered;
                }
            }
        })
        .collect()
}

/// The prefix of one server, as if there were no others.
fn prefix(key: &str) -> String {
    let first = key.split('/').next().unwrap_or_default();
    let mut prefix: String = first.chars().take(PREFIX_MAX.saturating_add(1)).map(plain).collect();
    if prefix.is_empty() {
        return "server".to_owned();
    }
    if prefix.len() > PREFIX_MAX {
        prefix.truncate(PREFIX_MAX.saturating_sub(MARK_LEN));
        prefix.push_str(&mark(&[first]));
    }
    prefix
}

/// The names under which offers are published.
pub(super) struct Names<'a> {
    /// `None`: as they are.
    naming: Option<&'a Naming>,
    /// Who has which name, for namings that ask.
    owners: HashMap<&'a str, Owner<'a>>,
}

/// The first server that has a name.
struct Owner<'a> {
    index: usize,
    prefix: &'a str,
    /// Whether another one has it too.
    shared: bool,
}

impl<'a> Names<'a> {
    pub(super) fn new(kind: ListKind, naming: Option<&'a Naming>, offers: &[Offer<'a>]) -> Self {
        let naming = match kind {
            ListKind::Tools | ListKind::Prompts => naming,
            ListKind::Resources | ListKind::Templates | ListKind::Skills => None,
        };
        let mut owners: HashMap<&str, Owner<'_>> = HashMap::new();
        if naming.is_some_and(|naming| naming.prefix != Prefix::Always) {
            for &Offer { index, base, part, .. } in offers {
                owners
                    .entry(base)
                    .and_modify(|owner| owner.shared |= owner.index != index)
                    .or_insert(Owner { index, prefix: part.prefix, shared: false });
            }
        }
        Self { naming, owners }
    }

    /// The name of an offer.
    ///
    /// # Errors
    /// The prefix of the server that has this name, when names are not told apart.
    pub(super) fn of(&self, offer: &Offer<'a>) -> Result<Cow<'a, str>, &'a str> {
        let Some(naming) = self.naming else { return Ok(offer.base.into()) };
        let owner = self.owners.get(offer.base);
        let prefixed = match naming.prefix {
            Prefix::Always => true,
            Prefix::OnClash => owner.is_some_and(|owner| owner.shared),
            Prefix::Never => match owner {
                Some(owner) if owner.index != offer.index => return Err(owner.prefix),
                Some(_) | None => false,
            },
        };
        Ok(naming.name(offer, prefixed))
    }
}

impl Naming {
    /// The name of an offer, made fit for hosts.
    fn name<'a>(&self, offer: &Offer<'a>, prefixed: bool) -> Cow<'a, str> {
        let (prefix, separator) =
            if prefixed { (offer.part.prefix, self.separator.as_str()) } else { ("", "") };
        let len = [prefix, separator, offer.base].iter().map(|text| text.len()).sum::<usize>();
        let chars = || prefix.chars().chain(separator.chars()).chain(offer.base.chars());
        if (1..=self.name_max).contains(&len) && chars().all(|c| plain(c) == c) {
            return if prefixed { chars().collect::<String>().into() } else { offer.base.into() };
        }
        let max = self.name_max.max(1);
        let mut name: String = chars().take(max.saturating_sub(MARK_LEN)).map(plain).collect();
        name.push_str(&mark(&[offer.part.prefix, &offer.item.name]));
        name.truncate(max);
        name.into()
    }
}

/// A character of names stays, any other becomes `_`.
fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }
}

/// `_` and eight hexadecimal digits that stand for these words.
pub(super) fn mark(words: &[&str]) -> String {
    let mut digest = Sha256::new();
    for word in words {
        digest.update(word);
        digest.update([0]);
    }
    let [a, b, c, d, ..]: [u8; 32] = digest.finalize().into();
    format!("_{:08x}", u32::from_be_bytes([a, b, c, d]))
}

const MARK_LEN: usize = 9;

/// Leaves room for names of 38 characters in the 64 that hosts accept.
const PREFIX_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_the_first_segment_in_characters_of_names() {
        // BR-03
        let keys = ["git", "files/s3cr3t-token", "my server.v2", "größe", "", "/x", "-"];
        assert_eq!(prefixes(&keys), ["git", "files", "my_server_v2", "gr__e", "server", "server_2", "-"]);
    }

    #[test]
    fn equal_prefixes_are_numbered_in_order() {
        assert_eq!(prefixes(&["a/1", "a/2", "b", "a"]), ["a", "a_2", "b", "a_3"]);
        assert_eq!(prefixes(&["a", "a/x", "a_2"]), ["a", "a_3", "a_2"]);
        assert_eq!(prefixes(&["ä", "ö", "__"]), ["_", "__2", "__"]);
        let long = "x".repeat(24);
        assert_eq!(prefixes(&[&long, &long]), [long.clone(), format!("{}_2", "x".repeat(22))]);
        let many = prefixes(&[long.as_str(); 1_000]);
        assert!(many.iter().all(|prefix| prefix.len() <= 24));
        assert_eq!(many.into_iter().collect::<HashSet<_>>().len(), 1_000);
    }

    #[test]
    fn long_prefixes_are_cut_and_marked() {
        let [one, two] = [1, 2].map(|n| format!("a-server-with-quite-a-long-key-{n}"));
        let made = prefixes(&[&one, &two, &format!("{one}/secret"), &one]);
        assert_eq!(
            made,
            [
                "a-server-with-q_c7bab57a",
                "a-server-with-q_604e29a7",
                "a-server-with-q_c7bab5_2",
                "a-server-with-q_c7bab5_3",
            ]
        );
        assert_eq!(prefixes(&["x".repeat(24).as_str()]), ["x".repeat(24)]);
        assert_eq!(prefixes(&["é".repeat(25).as_str()])[0].len(), 24);
    }
}
