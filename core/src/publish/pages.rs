//! Pages of MCP Apps (`ui://…`) on a view of several servers: whose is which, and by which URI it is read.
//!
//! A tool names its page in `_meta`; its server may leave it out of the list of resources. Resources keep their URIs
//! elsewhere, but two servers made from one template have pages of the same URI, and each tool needs its own server's.
//! So the first server that lists or names a page keeps its URI, and that of any other goes by one with the server's
//! prefix in front, in the tools that name it and in the list of resources. Routing is by table, never by taking a URI
//! apart. Deliberately absent: what answers say, where URIs stay as they are.

use super::{Rules, names};
use crate::catalog::NamedPages;
use crate::json::{self, Pieces, Span};
use crate::mcp::ListKind;
use crate::mcp::pages::{SCHEME, named_by};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// All pages of a view.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pages {
    /// Where a URI leads: the part, and the URI there unless it is the same.
    table: BTreeMap<String, (usize, Option<String>)>,
    /// What the URIs of a part are read by, where that is another one.
    renamed: BTreeMap<(usize, String), String>,
}

/// One server's pages.
pub(crate) struct PartPages<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) rules: &'a dyn Rules,
    /// By its tools, and by its list of resources.
    pub(crate) named: [&'a NamedPages; 2],
}

impl Pages {
    /// Tells pages apart. Without any there is nothing to remember.
    pub(crate) fn new(parts: &[PartPages<'_>], separator: &str) -> Option<Self> {
        let mut pages = Self::default();
        let mut later = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let [tools, list] = part.named;
            for uri in tools.union(list).filter(|uri| part.rules.admits(ListKind::Resources, uri)) {
                if pages.table.contains_key(uri) {
                    later.push((index, part.prefix, uri));
                } else {
                    pages.table.insert(uri.clone(), (index, None));
                }
            }
        }
        for (index, prefix, uri) in later {
            let rest = uri.strip_prefix(SCHEME).unwrap_or(uri);
            let mut new = format!("{SCHEME}{prefix}{separator}{rest}");
            if pages.table.contains_key(&new) {
                new.push_str(&names::mark(&[prefix, uri]));
            }
            // Whoever names such a one on purpose has it.
            if !pages.table.contains_key(&new) {
                pages.table.insert(new.clone(), (index, Some(uri.clone())));
                pages.renamed.insert((index, uri.clone()), new);
            }
        }
        (!pages.table.is_empty()).then_some(pages)
    }

    /// Where a URI leads: the index of the part, and the URI there.
    pub(crate) fn find<'a>(&'a self, uri: &'a str) -> Option<(usize, &'a str)> {
        let (part, own) = self.table.get(uri)?;
        Some((*part, own.as_deref().unwrap_or(uri)))
    }

    /// By which URI a page of a part is read, if by another than its own.
    pub(super) fn renamed(&self, part: usize, own: &str) -> Option<&str> {
        if self.renamed.is_empty() {
            return None;
        }
        self.renamed.get(&(part, own.to_owned())).map(String::as_str)
    }

    /// The definition of an item with the URIs of pages that are read by.
    pub(super) fn rewrite<'a>(&self, kind: ListKind, part: usize, raw: &'a [u8]) -> Cow<'a, [u8]> {
        let whole = Span { start: 0, end: raw.len() };
        let spans = match kind {
            ListKind::Tools => named_by(raw, whole).to_vec(),
            ListKind::Resources => vec![json::member(raw, whole, "uri").ok().flatten()],
            ListKind::Prompts | ListKind::Templates | ListKind::Skills => Vec::new(),
        };
        let renamed = spans.into_iter().flatten().filter_map(|span| {
            let new = self.renamed(part, &json::unquote(span.of(raw))?)?;
            Some((span, json::quote(new).into_bytes()))
        });
        let renamed: Vec<(Span, Vec<u8>)> = renamed.collect();
        if renamed.is_empty() {
            return Cow::Borrowed(raw);
        }
        let mut cuts: Vec<(Span, &[u8])> =
            renamed.iter().map(|(span, new)| (*span, new.as_slice())).collect();
        let mut out = Vec::with_capacity(raw.len());
        Pieces::replace(raw, false, &mut cuts).write(&mut out);
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Item, named_pages};
    use crate::publish::Override;

    struct All;

    impl Rules for All {
        fn admits(&self, _kind: ListKind, name: &str) -> bool {
            !name.contains("secret")
        }

        fn tool(&self, _name: &str) -> Option<Override<'_>> {
            None
        }
    }

    fn tool(meta: &str) -> Item {
        let raw = format!(r#"{{"name":"t","_meta":{meta}}}"#).into_bytes();
        Item { name: "t".to_owned(), raw: raw.into(), needs_task: false, flaws: None }
    }

    fn resource(uri: &str) -> Item {
        Item {
            name: uri.to_owned(),
            raw: format!(r#"{{"uri":"{uri}"}}"#).into_bytes().into(),
            needs_task: false,
            flaws: None,
        }
    }

    fn pages(parts: &[(&str, &[Item], &[Item])]) -> Option<Pages> {
        let named: Vec<[NamedPages; 2]> = parts
            .iter()
            .map(|(_, tools, list)| {
                [named_pages(ListKind::Tools, tools), named_pages(ListKind::Resources, list)]
            })
            .collect();
        let parts = parts.iter().zip(&named).map(|((prefix, _, _), [tools, list])| PartPages {
            prefix,
            rules: &All,
            named: [tools, list],
        });
        Pages::new(&parts.collect::<Vec<_>>(), "__")
    }

    #[test]
    fn each_spelling_of_a_page_is_found_and_rewritten() {
        // FT-303
        let all = [
            r#"{"ui":{"resourceUri":"ui://x/a","y":1.0}}"#,
            r#"{"ui/resourceUri":"ui:\/\/x/a"}"#,
            r#"{ "openai/outputTemplate" : "ui://x/a", "ui":{"resourceUri":"ui://x/a"},"ui/resourceUri":"ui://x/a"}"#,
        ];
        for meta in all {
            let one = [tool(meta)];
            assert_eq!(named_pages(ListKind::Tools, &one).iter().collect::<Vec<_>>(), ["ui://x/a"], "{meta}");
            let pages = pages(&[("a", &one, &[]), ("b", &one, &[])]).unwrap();
            assert!(matches!(pages.rewrite(ListKind::Tools, 0, &one[0].raw), Cow::Borrowed(_)));
            let new = pages.rewrite(ListKind::Tools, 1, &one[0].raw);
            let expected = String::from_utf8(one[0].raw.to_vec()).unwrap();
            let expected = expected.replace(r"ui:\/\/x/a", "ui://x/a").replace("ui://x/a", "ui://b__x/a");
            assert_eq!(std::str::from_utf8(&new), Ok(expected.as_str()));
        }
        for none in [
            r#"{"ui":{"resourceUri":"https://x"}}"#,
            r#"{"ui":"ui://x"}"#,
            "{}",
            "7",
            r#"{"ui":{"resourceUri":7}}"#,
        ] {
            assert!(pages(&[("a", &[tool(none)], &[])]).is_none(), "{none}");
        }
    }

    #[test]
    fn the_first_keeps_its_uri_whether_it_lists_or_names_it() {
        // FT-303
        let named = [tool(r#"{"ui":{"resourceUri":"ui://x"}}"#)];
        let listed = [resource("ui://x")];
        for (first, second) in
            [((&named[..], &[][..]), (&[][..], &listed[..])), ((&[], &listed), (&named, &[]))]
        {
            let pages = pages(&[("a", first.0, first.1), ("b", second.0, second.1)]).unwrap();
            assert_eq!(pages.find("ui://x"), Some((0, "ui://x")));
            assert_eq!(pages.find("ui://b__x"), Some((1, "ui://x")));
            assert_eq!(pages.find("ui://y"), None);
        }
        let list = pages(&[("a", &named, &[]), ("b", &[], &listed)]).unwrap();
        assert_eq!(&*list.rewrite(ListKind::Resources, 1, &listed[0].raw), br#"{"uri":"ui://b__x"}"#);
    }

    #[test]
    fn a_uri_that_is_taken_gets_a_mark_and_a_filtered_one_takes_nothing() {
        // FT-303
        let same = [resource("ui://x"), resource("ui://b__x"), resource("ui://secret")];
        let pages = pages(&[("a", &[], &same), ("b", &[], &same[..1]), ("c", &[], &same[2..])]).unwrap();
        let (new, own) = pages.renamed.iter().next().map(|((_, own), new)| (new, own)).unwrap();
        assert!(new.starts_with("ui://b__x_") && own == "ui://x", "{new}");
        assert_eq!(pages.find(new), Some((1, "ui://x")));
        assert_eq!((pages.find("ui://secret"), pages.renamed.len()), (None, 1));
    }
}
