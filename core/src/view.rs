//! What one endpoint shows to one caller: an ordered set of servers, what is served of each, and a naming policy.
//!
//! Nothing outside this module knows which endpoint a client uses. `/{server}/…` is a view of one server with its
//! names unchanged; the merged endpoint is a view of all servers that the caller's credential opens. Sessions of one
//! view may have different connections to the same server, which may offer different things; what is published of
//! the same lists is made once and kept as long as somebody is shown it.
//!
//! Deliberately absent: naming itself (see [`publish`]), and connections.

use crate::catalog::{Catalog, Digest, List};
use crate::config::{self, Merged, Prefix};
use crate::id::ServerId;
use crate::mcp::ListKind;
use crate::publish::pages::{Pages, PartPages};
use crate::publish::{self, Naming, Override, Part, Published, Rules};
use std::sync::Arc;

/// One view.
#[derive(Debug)]
pub(crate) struct View {
    members: Vec<Member>,
    /// How names of several servers are told apart; `None` is a view of one server.
    naming: Option<Naming>,
    made: Vec<Made>,
}

/// One server of a view.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) server: ServerId,
    pub(crate) config: Arc<config::Server>,
    prefix: String,
}

/// A list that was published.
#[derive(Debug)]
struct Made {
    kind: ListKind,
    of: Vec<(Digest, bool)>,
    pages: Option<Arc<Pages>>,
    published: Arc<Published>,
}

/// Lists kept although nobody is shown them at the moment.
const SPARE_MAX: usize = 4;

impl View {
    /// A view of one server, names unchanged.
    pub(crate) fn single(server: ServerId, config: Arc<config::Server>) -> Self {
        let members = vec![Member { server, config, prefix: String::new() }];
        Self { members, naming: None, made: Vec::new() }
    }

    /// A view of several servers.
    pub(crate) fn merged(servers: &[(ServerId, Arc<config::Server>)], merged: &Merged) -> Self {
        let keys: Vec<&str> = servers.iter().map(|(_, config)| config.name.as_str()).collect();
        let prefixes = publish::prefixes(&keys);
        let members = servers.iter().zip(prefixes).map(|((server, config), prefix)| Member {
            server: *server,
            config: config.clone(),
            prefix,
        });
        let naming =
            Naming { prefix: merged.prefix, separator: merged.separator.clone(), name_max: merged.name_max };
        Self { members: members.collect(), naming: Some(naming), made: Vec::new() }
    }

    /// Its servers in order.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether a server is in it.
    pub(crate) fn has(&self, server: ServerId) -> bool {
        self.members.iter().any(|member| member.server == server)
    }

    /// Whether it is the merged endpoint.
    pub(crate) fn is_merged(&self) -> bool {
        self.naming.is_some()
    }

    /// The server, if this is its own endpoint.
    pub(crate) fn alone(&self) -> Option<ServerId> {
        let [member] = self.members.as_slice() else { return None };
        self.naming.is_none().then_some(member.server)
    }

    /// The server whose prefix a name has, if names are told apart by prefixes. Of several the longest prefix counts.
    pub(crate) fn by_prefix(&self, name: &str) -> Option<ServerId> {
        let naming = self.naming.as_ref().filter(|naming| naming.prefix != Prefix::Never)?;
        let has = |member: &&Member| {
            name.strip_prefix(member.prefix.as_str()).is_some_and(|rest| rest.starts_with(&naming.separator))
        };
        let member = self.members.iter().filter(has).max_by_key(|member| member.prefix.len())?;
        Some(member.server)
    }

    /// Whether every name of a tool or prompt says which server it is of.
    pub(crate) fn names_servers(&self) -> bool {
        self.naming.as_ref().is_some_and(|naming| naming.prefix == Prefix::Always)
    }

    /// The server, if every name of this kind leads to the same one and none is changed or refused.
    pub(crate) fn passes(&self, kind: ListKind) -> Option<ServerId> {
        let [member] = self.members.as_slice() else { return None };
        (self.naming.is_none() && member.config.passes(kind)).then_some(member.server)
    }

    /// The pages of apps on a view of several servers, of what each member offers.
    pub(crate) fn pages(&self, catalogs: &[&Catalog]) -> Option<Arc<Pages>> {
        let separator = &self.naming.as_ref()?.separator;
        let named = |catalog: &'_ Catalog| -> bool {
            [ListKind::Tools, ListKind::Resources].iter().any(|kind| !catalog.list(*kind).pages.is_empty())
        };
        if !catalogs.iter().any(|catalog| named(catalog)) {
            return None;
        }
        let parts = self.members.iter().zip(catalogs).map(|(member, catalog)| PartPages {
            prefix: &member.prefix,
            rules: &*member.config,
            named: [ListKind::Tools, ListKind::Resources].map(|kind| &catalog.list(kind).pages),
        });
        Pages::new(&parts.collect::<Vec<_>>(), separator).map(Arc::new)
    }

    /// The list that is shown of these lists, one for each member, with whether the server is there; `pages` are those
    /// of all of them. The second value says that it was not made before.
    pub(crate) fn publish(
        &mut self,
        kind: ListKind,
        lists: &[(&List, bool)],
        pages: Option<Arc<Pages>>,
    ) -> (Arc<Published>, bool) {
        let pages = pages.filter(|_| kind.shares_pages().is_some());
        let of: Vec<(Digest, bool)> = lists.iter().map(|(list, listed)| (list.digest, *listed)).collect();
        let is_this = |made: &&Made| made.kind == kind && made.of == of && made.pages == pages;
        if let Some(known) = self.made.iter().find(is_this) {
            return (known.published.clone(), false);
        }
        let parts: Vec<Part<'_>> = self
            .members
            .iter()
            .zip(lists)
            .map(|(member, (list, listed))| Part {
                prefix: &member.prefix,
                items: &list.items,
                listed: *listed,
                rules: &*member.config,
            })
            .collect();
        let published = Arc::new(publish::publish(kind, &parts, self.naming.as_ref(), pages.clone()));
        let is_used = |made: &Made| Arc::strong_count(&made.published) > 1;
        if self.made.iter().filter(|made| !is_used(made)).count() >= SPARE_MAX {
            self.made.retain(is_used);
        }
        self.made.push(Made { kind, of, pages, published: published.clone() });
        (published, true)
    }
}

impl config::Server {
    /// What the configuration lists of this kind.
    fn written(&self, kind: ListKind) -> &config::Filter {
        match kind {
            ListKind::Tools => &self.filters.tools,
            ListKind::Prompts => &self.filters.prompts,
            ListKind::Resources | ListKind::Templates | ListKind::Skills => self.filters.resources.written(),
        }
    }

    /// Whether everything of this kind is served as it is.
    fn passes(&self, kind: ListKind) -> bool {
        *self.written(kind) == config::Filter::None && (kind != ListKind::Tools || self.tools.is_empty())
    }
}

impl Rules for config::Server {
    fn admits(&self, kind: ListKind, name: &str) -> bool {
        match kind {
            ListKind::Tools => self.filters.tools.admits(name),
            ListKind::Prompts => self.filters.prompts.admits(name),
            ListKind::Resources | ListKind::Templates | ListKind::Skills => {
                self.filters.resources.admits(name)
            }
        }
    }

    fn tool(&self, name: &str) -> Option<Override<'_>> {
        self.tools.get(name).map(|tool| Override {
            name: tool.name.as_deref(),
            title: tool.title.as_deref(),
            description: tool.description.as_deref(),
            hidden: tool.hidden,
        })
    }
}

#[cfg(test)]
mod tests;
