//! Publishing: the lists of some servers as the one list a client sees, and the way back from the names in it.
//!
//! [`publish`] is a pure function, to be called again whenever something it was given changed. Tools and prompts of
//! several servers get names by a [`Naming`]; resources and templates keep theirs, because a URI also stands where
//! no proxy could change it, but for the [`pages`] of apps that two servers have under one URI.
//!
//! Invariants: a published name is looked up, never taken apart (BR-02); what tells servers apart comes from the
//! configuration, never from what a server says of itself (BR-03); order is that of the parts, then that of each
//! server, and whoever comes first keeps a name that others would have too; what is hidden by that is reported; a
//! server that is away keeps its names, so that nobody else's item takes their place meanwhile. Deliberately
//! absent: the configuration, of which only [`Rules`] are seen, and all that happens over time.

mod item;
mod names;
mod offer;
pub(crate) mod pages;
mod report;
mod template;

pub(crate) use names::{Naming, prefixes};

use crate::catalog::Item;
use crate::mcp::ListKind;
use names::Names;
use pages::Pages;
use report::Report;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// One server's part in a view.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    /// What tells its names apart, from [`prefixes`].
    pub(crate) prefix: &'a str,
    pub(crate) items: &'a [Item],
    /// False while the server is away: its items are not listed, but their names resolve.
    pub(crate) listed: bool,
    pub(crate) rules: &'a dyn Rules,
}

/// What the configuration says about the items of a server, by the server's own names.
pub(crate) trait Rules {
    /// Whether an item is served at all.
    fn admits(&self, kind: ListKind, name: &str) -> bool;
    /// What is to be changed about a tool.
    fn tool(&self, name: &str) -> Option<Override<'_>>;
}

/// What is to be changed about a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Override<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) title: Option<&'a str>,
    pub(crate) description: Option<&'a str>,
    /// Neither listed nor callable.
    pub(crate) hidden: bool,
}

/// Where a published name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Index of the part.
    pub(crate) part: usize,
    /// The name or URI there.
    pub(crate) own: &'a str,
}

/// One list of a view.
#[derive(Debug)]
pub(crate) struct Published {
    /// The `result` of the list request.
    pub(crate) encoded: Arc<[u8]>,
    /// Sentences for the log: which items are hidden, and by what.
    pub(crate) hidden: Vec<String>,
    kind: ListKind,
    /// One server, names unchanged: it also has what it does not list.
    alone: bool,
    table: HashMap<Box<str>, Place>,
    /// Of tools of several servers: the part that has one of this own name, `None` if there are more.
    own: HashMap<Box<str>, Option<usize>>,
    /// Pages of apps on a view of several servers.
    pages: Option<Arc<Pages>>,
    /// Those of a list of templates in order, with their parts.
    templates: Vec<(Box<str>, usize)>,
}

/// The value of a published name.
#[derive(Debug)]
struct Place {
    part: usize,
    /// Unless it is the published name.
    own: Option<Box<str>>,
}

impl Published {
    /// Finds an item by its published name, URI or URI template. `rules` are those of the first part. They are asked
    /// only if names are unchanged and this one is not listed: it leads to the server then, which knows best.
    pub(crate) fn find<'a>(&'a self, name: &'a str, rules: &dyn Rules) -> Option<Target<'a>> {
        if let Some(place) = self.table.get(name) {
            return Some(Target { part: place.part, own: place.own.as_deref().unwrap_or(name) });
        }
        let same =
            self.alone && offer::changes(rules, self.kind, name).is_some_and(|change| change.name.is_none());
        same.then_some(Target { part: 0, own: name })
    }

    /// Finds a tool of several servers by its server's own name for it, if it is the only one of that name: the view of
    /// an app knows no other.
    pub(crate) fn find_own<'a>(&self, name: &'a str) -> Option<Target<'a>> {
        let part = (*self.own.get(name)?)?;
        Some(Target { part, own: name })
    }

    /// Finds a page of an app by the URI that stands in this list.
    pub(crate) fn find_page<'a>(&'a self, uri: &'a str) -> Option<Target<'a>> {
        let (part, own) = self.pages.as_ref()?.find(uri)?;
        Some(Target { part, own })
    }

    /// In a list of templates, finds the first one that a URI may have been made from.
    pub(crate) fn find_matching(&self, uri: &str) -> Option<Target<'_>> {
        self.templates
            .iter()
            .filter(|(template, _)| template::may_match(template, uri))
            .take(TRIES_MAX)
            .find(|(template, _)| template::matches(template, uri))
            .map(|(template, part)| Target { part: *part, own: template })
    }
}

/// Makes one list out of those of some servers. Without a [`Naming`] there is one server, whose names stay. `pages` are
/// those of all parts, if there are any.
pub(crate) fn publish(
    kind: ListKind,
    parts: &[Part<'_>],
    naming: Option<&Naming>,
    pages: Option<Arc<Pages>>,
) -> Published {
    debug_assert!(naming.is_some() || parts.len() <= 1, "names of several servers are told apart");
    match (naming, parts) {
        (None, [part]) if offer::is_unchanged(kind, part) => publish_unchanged(kind, part),
        _ => publish_changed(kind, parts, naming, pages),
    }
}

/// The list as the server has it. There is no table: each name leads to itself.
fn publish_unchanged(kind: ListKind, part: &Part<'_>) -> Published {
    let mut list = Encoder::new(kind);
    for item in part.items.iter().filter(|_| part.listed) {
        list.item().extend_from_slice(&item.raw);
    }
    let own = |item: &Item| (item.name.as_str().into(), 0);
    Published {
        encoded: list.finish(),
        hidden: Vec::new(),
        kind,
        alone: true,
        table: HashMap::new(),
        own: HashMap::new(),
        pages: None,
        templates: part.items.iter().filter(|_| kind == ListKind::Templates).map(own).collect(),
    }
}

fn publish_changed(
    kind: ListKind,
    parts: &[Part<'_>],
    naming: Option<&Naming>,
    pages: Option<Arc<Pages>>,
) -> Published {
    let mut report = Report::new(kind, naming.is_some());
    let mut offers = offer::gather(kind, parts, &mut report);
    if naming.is_some() {
        // One item that clients refuse would cost them those of all servers.
        offers.retain(|offer| !offer.item.is_refused());
    }
    let names = Names::new(kind, naming, &offers);
    let mut list = Encoder::new(kind);
    let mut table = HashMap::with_capacity(offers.len());
    let mut templates = Vec::new();
    let mut own_names: HashMap<Box<str>, Option<usize>> = HashMap::new();
    for offer in &offers {
        let own = offer.item.name.as_str();
        if naming.is_some() && kind == ListKind::Tools {
            let only = own_names.entry(own.into()).or_insert(Some(offer.index));
            *only = only.filter(|part| *part == offer.index);
        }
        let page = pages.as_ref().filter(|_| kind == ListKind::Resources);
        let page = page.and_then(|pages| pages.renamed(offer.index, own));
        let name = match page.map_or_else(|| names.of(offer), |uri| Ok(uri.into())) {
            Ok(name) => name,
            Err(winner) => {
                report.other_server(offer, offer.base, winner);
                continue;
            }
        };
        match table.entry(name.as_ref().into()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Place { part: offer.index, own: (name != own).then(|| own.into()) });
            }
            Entry::Occupied(taken) => {
                let winner = parts.get(taken.get().part).map_or("", |part| part.prefix);
                report.other_server(offer, &name, winner);
                continue;
            }
        }
        if kind == ListKind::Templates {
            templates.push((own.into(), offer.index));
        }
        if offer.part.listed {
            let name = (name != own && page.is_none()).then_some(name.as_ref());
            let raw = if naming.is_some() { offer.item.mended() } else { Cow::Borrowed(&*offer.item.raw) };
            let raw = match &pages {
                Some(pages) => Cow::Owned(pages.rewrite(kind, offer.index, &raw).into_owned()),
                None => raw,
            };
            item::write_changed(&raw, &Override { name, ..offer.change }, list.item());
        }
    }
    Published {
        encoded: list.finish(),
        hidden: report.finish(),
        kind,
        alone: naming.is_none() && parts.len() == 1,
        table,
        own: own_names,
        pages,
        templates,
    }
}

/// A list being written.
struct Encoder(Vec<u8>);

impl Encoder {
    fn new(kind: ListKind) -> Self {
        Self(format!("{{\"{}\":[", kind.member()).into_bytes())
    }

    /// Where to append the next item.
    fn item(&mut self) -> &mut Vec<u8> {
        if self.0.last() != Some(&b'[') {
            self.0.push(b',');
        }
        &mut self.0
    }

    fn finish(mut self) -> Arc<[u8]> {
        self.0.extend_from_slice(b"]}");
        self.0.into()
    }
}

/// Most templates that are tried for one URI, of those whose beginning fits. The worst that servers can think of takes
/// a tenth of a millisecond each.
const TRIES_MAX: usize = 256;

#[cfg(test)]
mod tests;
