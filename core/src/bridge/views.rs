//! What each caller sees: one server at its own endpoint, or those that their credential opens on the merged one.
//!
//! Callers of the merged endpoint who see the same servers share a view, which is made when it is first needed.

use crate::config::Config;
use crate::fault::{Code, Fault};
use crate::id::{IdMap, ServerId, ViewId};
use crate::policy::{Keyring, Principal};
use crate::servers::{Server, Servers};
use crate::view::View;
use std::collections::BTreeMap;

/// All views.
#[derive(Debug, Default)]
pub(crate) struct Views {
    all: IdMap<ViewId, View>,
    next: u64,
    /// Those of one server.
    single: BTreeMap<ServerId, ViewId>,
    /// The merged ones, by the servers that are seen.
    sets: Vec<(Vec<ServerId>, ViewId)>,
    /// Merged views of principals that are known from the configuration.
    fixed: Vec<(Principal, ViewId)>,
}

impl Views {
    /// The view of each server, and what each principal of the configuration sees of all.
    pub(super) fn new(config: &Config, servers: &Servers, keyring: &Keyring) -> Self {
        let mut views = Self::default();
        for server in servers.servers() {
            let id = views.add(View::single(server.id(), server.config().clone()));
            views.single.insert(server.id(), id);
        }
        for principal in keyring.principals().filter(|_| config.merged.enabled) {
            let id = views.find(|server| keyring.opens(principal, server), config, servers, usize::MAX);
            views.fixed.extend(id.map(|id| (principal, id)));
        }
        views
    }

    /// A view.
    pub(crate) fn get(&self, id: ViewId) -> Option<&View> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ViewId) -> Option<&mut View> {
        self.all.get_mut(&id)
    }

    fn add(&mut self, view: View) -> ViewId {
        let id = ViewId(self.next);
        self.next = self.next.saturating_add(1);
        self.all.insert(id, view);
        id
    }

    /// The view of one server.
    ///
    /// # Errors
    /// [`Code::UnknownRoute`] if the server is gone.
    pub(crate) fn single(&self, server: ServerId) -> Result<ViewId, Fault> {
        let nothing = || Fault::peer(Code::UnknownRoute, "there is nothing at this path");
        self.single.get(&server).copied().ok_or_else(nothing)
    }

    /// The merged view of a principal of the configuration.
    ///
    /// # Errors
    /// [`Code::UnknownRoute`] if there is no merged endpoint.
    pub(crate) fn merged_of(&self, principal: Principal) -> Result<ViewId, Fault> {
        let view = self.fixed.iter().find(|(known, _)| *known == principal);
        let nothing = || Fault::peer(Code::UnknownRoute, "there is nothing at this path");
        Ok(view.ok_or_else(nothing)?.1)
    }

    /// The merged view of those servers that are open to somebody who logged in.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if it had to be made and there are `max` already.
    pub(super) fn merged_of_login(
        &mut self,
        opens: impl Fn(ServerId) -> bool,
        config: &Config,
        servers: &Servers,
        max: usize,
    ) -> Result<ViewId, Fault> {
        let full = || Fault::local(Code::Overloaded, "there are too many selections of servers");
        self.find(opens, config, servers, max).ok_or_else(full)
    }

    /// The view of the servers that are open; `None` if it had to be made and there are `max` already.
    fn find(
        &mut self,
        opens: impl Fn(ServerId) -> bool,
        config: &Config,
        servers: &Servers,
        max: usize,
    ) -> Option<ViewId> {
        let open = || servers.servers().filter(|server| opens(server.id()));
        let ids: Vec<ServerId> = open().map(Server::id).collect();
        if let Some((_, id)) = self.sets.iter().find(|(same, _)| *same == ids) {
            return Some(*id);
        }
        if self.sets.len() >= max {
            return None;
        }
        let members: Vec<_> = open().map(|server| (server.id(), server.config().clone())).collect();
        let id = self.add(View::merged(&members, &config.merged));
        self.sets.push((ids, id));
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Source};
    use crate::limits::Limits;
    use std::sync::Arc;

    #[test]
    fn there_are_as_many_selections_of_servers_as_the_limit() {
        // limit: views_max
        let text =
            r#"{"mcpProxy":{},"mcpServers":{"a":{"command":"x"},"b":{"command":"x"},"c":{"command":"x"}}}"#;
        let source = Source { text, name: "test.json", strict: true, env: None };
        let config = config::parse(&source).unwrap().config;
        let servers = Servers::new(Arc::new(config.clone()), &Limits::default());
        let mut views = Views::default();
        let mut find = |open: &[u64]| views.find(|server| open.contains(&server.0), &config, &servers, 2);
        assert_eq!((find(&[0]), find(&[0, 1])), (Some(ViewId(0)), Some(ViewId(1))));
        assert_eq!(find(&[2]), None);
        assert_eq!(
            (find(&[0]), find(&[1, 0])),
            (Some(ViewId(0)), Some(ViewId(1))),
            "those that are there serve on"
        );
    }
}
