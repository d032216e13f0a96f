//! What servers offer, in the log: each item once, and one line when a server is ready (FT-407).

use super::ServersMut;
use crate::catalog::Item;
use crate::config::{Config, Filter, Server};
use crate::fault::Fault;
use crate::id::UpstreamId;
use crate::mcp::ListKind;
use crate::route::public_paths;
use std::collections::BTreeSet;

impl ServersMut<'_> {
    /// Says what is new in a list (SEED-033).
    pub(super) fn announce(&mut self, id: UpstreamId, kind: ListKind, before: &[Item]) {
        let Some(server) = self.conns.get(id) else { return };
        let (items, level, label) =
            (server.catalog.list(kind).items.clone(), server.level(), server.label.clone());
        let config = server.config.clone();
        if self.fx.logs(level) {
            let told: BTreeSet<&str> = before.iter().map(|item| item.name.as_str()).collect();
            for item in
                items.iter().filter(|item| !item.name.is_empty() && !told.contains(item.name.as_str()))
            {
                self.fx.log(level, Some(&label), announcement(&config, kind, &item.name));
            }
        }
    }

    /// A server is ready, for the first time or again.
    pub(super) fn tell_ready(&mut self, id: UpstreamId, first: bool) {
        let Some(server) = self.conns.get(id) else { return };
        let level = server.level();
        if !self.fx.logs(level) {
            return;
        }
        let seconds = server.startup_took_ms(self.fx) as f64 / 1000.0;
        let counts: Vec<String> = ListKind::ALL
            .into_iter()
            .filter_map(|kind| count(&server.config, kind, &server.catalog.list(kind).items))
            .collect();
        let offers = if counts.is_empty() { "nothing to list".to_owned() } else { counts.join(", ") };
        let label = server.label.clone();
        let line = if first {
            let routes = shown_routes(self.config, &server.name, &label);
            format!("Ready: {offers} in {seconds:.1} s, handling requests at {routes}")
        } else {
            format!("Ready again: {offers} in {seconds:.1} s")
        };
        self.fx.log(level, Some(&label), line);
    }
}

/// The line of the original for one item, in whose words people write their filters.
fn announcement(config: &Server, kind: ListKind, name: &str) -> String {
    let shown = Fault::quoted(name.as_bytes());
    match (&config.filters.tools, config.filters.tools.admits(name)) {
        (Filter::Allow(_), false) if kind == ListKind::Tools => {
            format!("Ignoring tool {shown} as it is not in allow list")
        }
        (Filter::Block(_), false) if kind == ListKind::Tools => {
            format!("Ignoring tool {shown} as it is in block list")
        }
        _ => format!("Adding {} {shown}", kind.noun()),
    }
}

/// `14 tools`, or `3 of 14 tools` with a filter; `None` for an empty list.
fn count(config: &Server, kind: ListKind, items: &[Item]) -> Option<String> {
    let is_shown = |name: &str| match kind {
        ListKind::Tools => {
            config.filters.tools.admits(name) && !config.tools.get(name).is_some_and(|tool| tool.hidden)
        }
        ListKind::Prompts => config.filters.prompts.admits(name),
        ListKind::Resources | ListKind::Templates | ListKind::Skills => config.filters.resources.admits(name),
    };
    let (all, shown) = (items.len(), items.iter().filter(|item| is_shown(&item.name)).count());
    let plural = if all == 1 { "" } else { "s" };
    match (all, all.saturating_sub(shown)) {
        (0, _) => None,
        (all, 0) => Some(format!("{all} {}{plural}", kind.noun())),
        (all, _) => Some(format!("{shown} of {all} {}{plural}", kind.noun())),
    }
}

/// The routes of a server as log lines show them.
fn shown_routes(config: &Config, name: &str, label: &str) -> String {
    let paths = public_paths(config, name);
    let shown: Vec<String> = paths.iter().map(|path| path.replacen(name, label, 1)).collect();
    shown.join(" and ")
}
