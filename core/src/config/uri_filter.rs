//! `options.resourceFilter`: which resources and templates are served, whatever the spelling of their URIs.
//!
//! A server may open the same file for many spellings of its URI ([`crate::url::forms`]). A list of what is blocked
//! blocks a URI when any reader could see a blocked one in it; a list of what is allowed admits a URI only when every
//! reader sees an allowed one.
//!
//! Invariant: what the list names as it stands is blocked, or admitted, as before.

use super::Filter;
use crate::glob::Globs;
use crate::url::forms::{Reader, normal, opened, unescaped};

/// Longest URI that a filter looks into; longer ones are not served where there is a filter. Browsers do not promise
/// more than 2,000 bytes, and each reading is a copy.
const URI_BYTES_MAX: usize = 8 * 1024;

/// The filter of the resources of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UriFilter {
    written: Filter,
    /// The patterns in all spellings.
    patterns: Globs,
}

impl UriFilter {
    pub(super) fn new(written: Filter) -> Self {
        let patterns = match &written {
            Filter::None => Globs::default(),
            Filter::Allow(list) => {
                let forms = |uri: &str| [normal(uri), opened(uri, Reader::Url), opened(uri, Reader::Path)];
                list.iter().flat_map(forms).collect()
            }
            Filter::Block(list) => {
                let forms = |uri: &str| {
                    [uri.to_owned(), normal(uri), opened(uri, Reader::Url), opened(uri, Reader::File)]
                };
                list.iter().flat_map(forms).collect()
            }
        };
        Self { written, patterns }
    }

    /// The list as it was written.
    pub fn written(&self) -> &Filter {
        &self.written
    }

    /// Whether a resource of this URI, or a template, is served.
    pub fn admits(&self, uri: &str) -> bool {
        let fits = |form: String| self.patterns.matches(&form);
        let known = |readers: &[Reader], all: bool| {
            let fits = |reader: &Reader| self.patterns.matches(&opened(uri, *reader));
            if all { readers.iter().all(fits) } else { readers.iter().any(fits) }
        };
        match &self.written {
            Filter::None => true,
            Filter::Allow(_) | Filter::Block(_) if uri.len() > URI_BYTES_MAX => false,
            Filter::Allow(_) => fits(normal(uri)) && known(&[Reader::Url, Reader::Path], true),
            Filter::Block(_) => {
                let all = [Reader::Url, Reader::Path, Reader::File, Reader::Again];
                !(self.patterns.matches(uri)
                    || fits(normal(uri))
                    || fits(unescaped(uri))
                    || known(&all, false))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(patterns: &[&str]) -> Globs {
        patterns.iter().collect()
    }

    #[test]
    fn a_blocked_uri_is_blocked_in_every_spelling() {
        // FT-506
        let filter = UriFilter::new(Filter::Block(list(&[
            "file:///notes/private",
            "FILE:///Upper/*",
            "http://Internal.example/*",
            "sim://%61",
            "*..*",
        ])));
        let blocked = [
            "file:///notes/private",
            "FILE:///notes/private",
            "file:///notes/%70rivate",
            "file:///notes/%2570rivate",
            "file:///notes/./private",
            "file:///x/../notes/private",
            "file:///notes%2Fprivate",
            "file:///notes//private",
            "file:///notes/private/",
            "file:///notes/private?x",
            "file:///notes/private#x",
            "file://localhost/notes/private",
            "file:/notes/private",
            "file:///notes\\private",
            "file:///notes/pri\tvate",
            "file:///Upper/x",
            "http://INTERNAL.example:80/x",
            "http://internal.example",
            "http:internal.example/x",
            "sim://a",
            "SIM://%61",
            "file:///a/../b",
            "file:///a/%2e%2E/b",
        ];
        for uri in blocked {
            assert!(!filter.admits(uri), "{uri}");
        }
        for uri in
            ["file:///notes/public", "file:///notes/private2", "file:///upper/x", "sim://b", "sim://a?b"]
        {
            assert!(filter.admits(uri), "{uri}");
        }
        // What is looked into has a bound.
        let long = |len: usize| format!("x:///{}", "a".repeat(len - 5));
        assert!(filter.admits(&long(URI_BYTES_MAX)) && !filter.admits(&long(URI_BYTES_MAX + 1)));
        assert!(UriFilter::default().admits(&long(URI_BYTES_MAX + 1)));
    }

    #[test]
    fn an_allowed_uri_is_one_to_every_reader() {
        let filter = UriFilter::new(Filter::Allow(list(&[
            "file:///public/*",
            "FILE:///one",
            "file:///t/{+path}",
            "db://host/a%2Fb",
            "web://fetch?url=http://x",
        ])));
        for uri in [
            "file:///public/a",
            "file:///public/",
            "FILE:///public/a",
            "file:///%70ublic/a",
            "file:///public/a?b#c",
            "file:///public/a%2Fb",
            "file:///x/../public/a",
            "file:///one",
            "file:///t/{+path}",
            "db://host/a%2Fb",
            "web://fetch?url=http://x",
        ] {
            assert!(filter.admits(uri), "{uri}");
        }
        for uri in [
            "file:///private",
            "file:///public/../private",
            "file:///public/%2e%2e/private",
            "file:///public/..%2fprivate",
            "file:///public/a/..\\..\\private",
            "file:///public/a?/../../../private",
            "file:///public/a#/../../../private",
            "file:///public//../private",
            "file:///publi\tc/../private",
            "file:///two",
        ] {
            assert!(!filter.admits(uri), "{uri}");
        }
    }
}
