//! What each server brings into a view, once the rules have been heard: no item twice, none that is not served, and
//! within one server no name twice.

use super::report::Report;
use super::{Override, Part, Rules};
use crate::catalog::Item;
use crate::mcp::ListKind;
use std::collections::{HashMap, HashSet};

/// One item on its way into the list.
pub(super) struct Offer<'a> {
    /// Its part, and the index of that.
    pub(super) part: &'a Part<'a>,
    pub(super) index: usize,
    pub(super) item: &'a Item,
    /// Its name before servers are told apart: that of the override or its own.
    pub(super) base: &'a str,
    pub(super) change: Override<'a>,
}

/// All offers, in order.
pub(super) fn gather<'a>(kind: ListKind, parts: &'a [Part<'a>], report: &mut Report) -> Vec<Offer<'a>> {
    let mut offers = Vec::with_capacity(parts.iter().map(|part| part.items.len()).sum());
    for (index, part) in parts.iter().enumerate() {
        offers.append(&mut of_part(kind, index, part, report));
    }
    offers
}

/// Whether the list of a server is published as it is.
pub(super) fn is_unchanged(kind: ListKind, part: &Part<'_>) -> bool {
    let unchanged = Some(Override::default());
    part.items.iter().all(|item| changes(part.rules, kind, &item.name) == unchanged)
}

/// What to change about the item of this name; `None` if it is not served.
pub(super) fn changes<'a>(rules: &'a dyn Rules, kind: ListKind, own: &str) -> Option<Override<'a>> {
    if !rules.admits(kind, own) {
        return None;
    }
    if kind != ListKind::Tools {
        return Some(Override::default());
    }
    let change = rules.tool(own).unwrap_or_default();
    (!change.hidden).then(|| Override { name: change.name.filter(|name| *name != own), ..change })
}

fn of_part<'a>(kind: ListKind, index: usize, part: &'a Part<'a>, report: &mut Report) -> Vec<Offer<'a>> {
    let mut seen = HashSet::with_capacity(part.items.len());
    let mut renamed: HashMap<&str, &str> = HashMap::new();
    let mut offers = Vec::with_capacity(part.items.len());
    for item in part.items {
        let Some(change) = changes(part.rules, kind, &item.name) else { continue };
        if !seen.insert(item.name.as_str()) {
            continue;
        }
        if let Some(name) = change.name {
            renamed.entry(name).or_insert(&item.name);
        }
        offers.push(Offer { part, index, item, base: change.name.unwrap_or(&item.name), change });
    }
    // A name given on purpose counts more than one the server happens to use as well.
    offers.retain(|offer| match renamed.get(offer.base) {
        Some(winner) if **winner != *offer.item.name => {
            report.override_of(offer, winner);
            false
        }
        _ => true,
    });
    offers
}
