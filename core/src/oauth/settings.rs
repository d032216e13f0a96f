//! What the authorization server needs to know of the configuration.

use crate::config::{Config, Filter, OAuth2};
use crate::id::ServerId;
use crate::route::Routes;
use crate::url::Url;

/// The settings.
#[derive(Debug)]
pub struct Settings {
    /// The public URL; without one only requests for this machine are served.
    pub base: Option<Url>,
    /// What the proxy is called on pages.
    pub name: String,
    /// The servers behind the proxy, in the order of their ids.
    pub resources: Vec<Resource>,
    /// `mcpProxy.options.oauth2`
    pub options: OAuth2,
    pub(super) routes: Routes,
}

/// A server behind the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What names it.
    pub id: ServerId,
    /// Its key.
    pub key: String,
    /// Its key with secret parts masked.
    pub label: String,
    /// Whether it needs a login.
    pub protected: bool,
    /// Who may use it.
    pub users: Filter,
}

impl Settings {
    /// The settings of a configuration; `None` when there is no authorization server.
    pub fn of(config: &Config) -> Option<Self> {
        let options = config.oauth2.clone().filter(|oauth2| oauth2.enabled)?;
        let resources = config.enabled().map(|server| Resource {
            id: server.id,
            key: server.name.clone(),
            label: server.label(),
            protected: !server.options.oauth2_exempt,
            users: server.options.users.clone(),
        });
        Some(Self {
            base: config.base_url.clone(),
            name: config.name.clone(),
            resources: resources.collect(),
            options,
            routes: Routes::new(config),
        })
    }

    /// A server, if it is still there.
    pub(super) fn resource(&self, id: ServerId) -> Option<&Resource> {
        let place = self.resources.binary_search_by_key(&id, |resource| resource.id).ok()?;
        self.resources.get(place)
    }
}
