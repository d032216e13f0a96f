//! Which path means what.
//!
//! The table is built once from the configuration; a request is one look-up of its whole path. No path is ever
//! redirected: some clients lose their body or their credentials on the way.

use crate::config::{Config, Serve};
use std::collections::HashMap;

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// Index of the view.
    pub(crate) view: usize,
    pub(crate) endpoint: Endpoint,
}

/// What is spoken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Streamable HTTP: POST, GET, DELETE.
    Mcp,
    /// The stream of HTTP+SSE: GET.
    Sse,
    /// The messages of HTTP+SSE: POST.
    Message,
}

/// All paths.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    table: HashMap<String, Route>,
}

impl Routes {
    /// The routes of all servers that are not disabled. The n-th such server is the n-th view.
    pub(crate) fn new(config: &Config) -> Self {
        let mut routes = Self::default();
        for (view, server) in config.servers.iter().filter(|server| !server.disabled).enumerate() {
            for (path, endpoint) in paths(config, &server.name) {
                // A short form gives way to what was there first; `config` refuses real collisions.
                routes.table.entry(path).or_insert(Route { view, endpoint });
            }
        }
        routes
    }

    pub(crate) fn find(&self, path: &str) -> Option<Route> {
        self.table.get(path).copied()
    }
}

/// The paths of one server.
fn paths(config: &Config, name: &str) -> Vec<(String, Endpoint)> {
    let base = format!("{}/{name}", config.base_path);
    let mut paths = Vec::new();
    if matches!(config.serve, Serve::Sse | Serve::Both) {
        paths.push((format!("{base}/sse"), Endpoint::Sse));
        paths.push((format!("{base}/message"), Endpoint::Message));
    }
    if matches!(config.serve, Serve::StreamableHttp | Serve::Both) {
        paths.push((format!("{base}/mcp"), Endpoint::Mcp));
        if !is_reserved(name) {
            paths.push((base.clone(), Endpoint::Mcp));
            paths.push((format!("{base}/"), Endpoint::Mcp));
        }
    }
    paths
}

/// The path clients are told to use: `/{server}/mcp` or `/{server}/sse` under the path of `baseURL`.
pub fn public_paths(config: &Config, name: &str) -> Vec<String> {
    let mut shown: Vec<String> = paths(config, name)
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.ends_with("/mcp") || path.ends_with("/sse"))
        .collect();
    shown.truncate(2);
    shown
}

/// Whether the proxy itself owns this first segment, so that a server of that name has no short forms.
fn is_reserved(name: &str) -> bool {
    const OWN: [&str; 7] = ["mcp", "sse", "message", "authorize", "token", "register", "health"];
    OWN.contains(&name.split('/').next().unwrap_or_default())
}
