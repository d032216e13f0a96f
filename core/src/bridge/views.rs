//! What each caller sees: one server at its own endpoint, or those that their credential opens on the merged one.
//!
//! Callers of the merged endpoint who see the same servers share a view, which is made when it is first needed.

use crate::config::Config;
use crate::fault::{Code, Fault};
use crate::id::ServerId;
use crate::policy::{Keyring, Principal};
use crate::servers::Servers;
use crate::view::View;

/// All views.
#[derive(Debug)]
pub(crate) struct Views {
    /// Those of the servers in order, then the merged ones.
    all: Vec<View>,
    /// Servers of the merged ones, and the index of the view of them.
    sets: Vec<(Vec<ServerId>, usize)>,
    /// Merged views of principals that are known from the configuration.
    fixed: Vec<(Principal, usize)>,
}

impl Views {
    /// The view of each server, and what each principal of the configuration sees of all.
    pub(super) fn new(config: &Config, servers: &Servers, keyring: &Keyring) -> Self {
        let all =
            servers.servers().map(|server| View::single(server.id(), server.config().clone())).collect();
        let mut views = Self { all, sets: Vec::new(), fixed: Vec::new() };
        for principal in keyring.principals().filter(|_| config.merged.enabled) {
            let index = views.find(|place| keyring.opens(principal, place), config, servers, usize::MAX);
            views.fixed.extend(index.map(|index| (principal, index)));
        }
        views
    }

    /// A view.
    pub(crate) fn get(&self, index: usize) -> Option<&View> {
        self.all.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut View> {
        self.all.get_mut(index)
    }

    /// The merged view of a principal of the configuration.
    ///
    /// # Errors
    /// [`Code::UnknownRoute`] if there is no merged endpoint.
    pub(crate) fn merged_of(&self, principal: Principal) -> Result<usize, Fault> {
        let view = self.fixed.iter().find(|(known, _)| *known == principal);
        let nothing = || Fault::peer(Code::UnknownRoute, "there is nothing at this path");
        Ok(view.ok_or_else(nothing)?.1)
    }

    /// The merged view of those servers that are open to somebody who logged in, by their places.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if it had to be made and there are `max` already.
    pub(super) fn merged_of_login(
        &mut self,
        opens: impl Fn(usize) -> bool,
        config: &Config,
        servers: &Servers,
        max: usize,
    ) -> Result<usize, Fault> {
        let full = || Fault::local(Code::Overloaded, "there are too many selections of servers");
        self.find(opens, config, servers, max).ok_or_else(full)
    }

    /// The view of the servers that are open; `None` if it had to be made and there are `max` already.
    fn find(
        &mut self,
        opens: impl Fn(usize) -> bool,
        config: &Config,
        servers: &Servers,
        max: usize,
    ) -> Option<usize> {
        let all = || servers.servers().enumerate();
        let ids: Vec<ServerId> =
            all().filter(|(place, _)| opens(*place)).map(|(_, server)| server.id()).collect();
        if let Some((_, index)) = self.sets.iter().find(|(same, _)| *same == ids) {
            return Some(*index);
        }
        if self.sets.len() >= max {
            return None;
        }
        let members = all().map(|(_, server)| (server.id(), server.config().clone()));
        let members: Vec<_> = members.filter(|(id, _)| ids.contains(id)).collect();
        let index = self.all.len();
        self.all.push(View::merged(&members, &config.merged));
        self.sets.push((ids, index));
        Some(index)
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
        let mut views = Views { all: Vec::new(), sets: Vec::new(), fixed: Vec::new() };
        let mut find = |open: &[usize]| views.find(|place| open.contains(&place), &config, &servers, 2);
        assert_eq!((find(&[0]), find(&[0, 1])), (Some(0), Some(1)));
        assert_eq!(find(&[2]), None);
        assert_eq!((find(&[0]), find(&[1, 0])), (Some(0), Some(1)), "those that are there serve on");
    }
}
