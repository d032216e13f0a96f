//! Which path means what.
//!
//! The table is built once from the configuration; a request is one look-up of its whole path. No path is ever
//! redirected: some clients lose their body or their credentials on the way.

use crate::config::{Config, OWN_PATHS, Serve};
use crate::id::ServerId;
use crate::url::percent;
use std::collections::HashMap;

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) place: Place,
    pub(crate) endpoint: Endpoint,
}

/// What is shown there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A server.
    Server(ServerId),
    /// All servers that the caller's credential opens.
    Merged,
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
    /// The routes of all servers that are not disabled, and of the merged endpoint.
    pub(crate) fn new(config: &Config) -> Self {
        let mut routes = Self::default();
        routes.add(merged(config), Place::Merged);
        for server in config.enabled() {
            routes.add(paths(config, &server.name), Place::Server(server.id));
        }
        routes
    }

    /// A short form gives way to what was there first; `config` refuses real collisions.
    fn add(&mut self, paths: Vec<(String, Endpoint)>, place: Place) {
        for (path, endpoint) in paths {
            self.table.entry(path).or_insert(Route { place, endpoint });
        }
    }

    /// The route of a request path. A slash at its end makes no difference: users write it, and so do the addresses of
    /// well-known servers.
    pub(crate) fn find(&self, path: &str) -> Option<Route> {
        self.look_up(path).or_else(|| self.look_up(path.strip_suffix('/')?))
    }

    /// Where the messages of an HTTP+SSE session go that was opened at a path: spelled like that path, since a front may
    /// have taken nothing but its beginning away.
    pub(crate) fn message_path(&self, opened: &str) -> String {
        let path = opened.strip_suffix('/').unwrap_or(opened);
        let base = path.rsplit_once('/').map_or(path, |(base, _)| base);
        let place = self.find(opened).map(|route| route.place);
        let leads = |path: &String| {
            let found = self.find(path);
            found.is_some_and(|found| found.endpoint == Endpoint::Message && Some(found.place) == place)
        };
        // A short form has nothing to replace.
        [base, path]
            .map(|base| format!("{base}/message"))
            .into_iter()
            .find(leads)
            .unwrap_or_else(|| format!("{path}/message"))
    }

    /// Escapes are resolved, since clients escape what browsers would, unless the path is one as it stands: that of
    /// `baseURL` may hold escapes.
    fn look_up(&self, path: &str) -> Option<Route> {
        match self.table.get(path) {
            None if path.contains('%') => self.table.get(&percent::decode(path)?).copied(),
            found => found.copied(),
        }
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

/// All paths of the merged endpoint.
fn merged(config: &Config) -> Vec<(String, Endpoint)> {
    let base = &config.base_path;
    let mut paths = Vec::new();
    if config.merged.enabled && config.serve.has_streamable_http() {
        paths.push((format!("{base}/mcp"), Endpoint::Mcp));
    }
    if config.merged.enabled && config.serve.has_sse() {
        paths.push((format!("{base}/sse"), Endpoint::Sse));
        paths.push((format!("{base}/message"), Endpoint::Message));
    }
    paths
}

/// The paths of the merged endpoint that clients are told to use, the better one first; none if it is turned off.
pub fn merged_paths(config: &Config) -> Vec<String> {
    let shown = merged(config).into_iter().filter(|(_, endpoint)| *endpoint != Endpoint::Message);
    shown.map(|(path, _)| path).collect()
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
    OWN_PATHS.contains(&name.split('/').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};

    fn routes(kind: &str, names: &[&str]) -> Routes {
        let servers: Vec<String> =
            names.iter().map(|name| format!("\"{name}\": {{\"command\": \"x\"}}")).collect();
        let text = format!(
            "{{\"mcpProxy\": {{\"baseURL\": \"https://a.example/pre/\", \"type\": \"{kind}\"}}, \"mcpServers\": {{{}}}}}",
            servers.join(",")
        );
        let loaded = parse(&Source { text: &text, name: "test", strict: false, env: None }).unwrap();
        Routes::new(&loaded.config)
    }

    fn endpoint(routes: &Routes, path: &str) -> Option<(u64, Endpoint)> {
        match routes.find(path)? {
            Route { place: Place::Server(id), endpoint } => Some((id.0, endpoint)),
            Route { place: Place::Merged, endpoint } => Some((u64::MAX, endpoint)),
        }
    }

    #[test]
    fn the_merged_endpoint_lies_under_the_base_path() {
        const MERGED: u64 = u64::MAX;
        let both = routes("both", &["a", "mcp"]);
        assert_eq!(endpoint(&both, "/pre/mcp"), Some((MERGED, Endpoint::Mcp)));
        assert_eq!(endpoint(&both, "/pre/sse"), Some((MERGED, Endpoint::Sse)));
        assert_eq!(endpoint(&both, "/pre/message"), Some((MERGED, Endpoint::Message)));
        assert_eq!(endpoint(&both, "/pre/mcp/mcp"), Some((1, Endpoint::Mcp)));
        let sse = routes("sse", &["a"]);
        assert_eq!(endpoint(&sse, "/pre/mcp"), None);
        assert_eq!(endpoint(&sse, "/pre/sse"), Some((MERGED, Endpoint::Sse)));
    }

    #[test]
    fn streamable_http_has_three_spellings_and_no_redirect() {
        let routes = routes("streamable-http", &["a", "fetch/secret"]); // SEED-003, SEED-042, SEED-081
        for path in ["/pre/a", "/pre/a/", "/pre/a/mcp", "/pre/a/mcp/"] {
            assert_eq!(endpoint(&routes, path), Some((0, Endpoint::Mcp)), "{path}");
        }
        assert_eq!(endpoint(&routes, "/pre/fetch/secret/mcp"), Some((1, Endpoint::Mcp)));
        for path in [
            "/a/mcp",
            "/pre/a/sse",
            "/pre/a/message",
            "/pre/fetch/mcp",
            "/pre/fetch",
            "/",
            "/pre",
            "/pre/",
            "/pre/a/mcp//",
            "/pre/a//mcp",
        ] {
            assert_eq!(endpoint(&routes, path), None, "{path}");
        }
    }

    #[test]
    fn a_slash_at_the_end_makes_no_difference() {
        let routes = routes("both", &["a", "my server", "mcp"]); // FT-203
        for path in [
            "/pre/mcp",
            "/pre/sse",
            "/pre/message",
            "/pre/a/mcp",
            "/pre/a/sse",
            "/pre/a/message",
            "/pre/my%20server/mcp",
            "/pre/mcp/mcp",
        ] {
            let found = endpoint(&routes, path);
            assert!(found.is_some(), "{path}");
            assert_eq!(endpoint(&routes, &format!("{path}/")), found, "{path}/");
        }
    }

    #[test]
    fn the_messages_of_a_session_go_where_its_server_is() {
        let routes = routes("both", &["a", "my server", "mcp", "x/mcp"]); // FT-705
        for (opened, message) in [
            ("/pre/sse", "/pre/message"),
            ("/pre/mcp", "/pre/message"),
            ("/pre/mcp/", "/pre/message"),
            ("/pre/a/sse/", "/pre/a/message"),
            ("/pre/a/mcp", "/pre/a/message"),
            ("/pre/a", "/pre/a/message"),
            ("/pre/a/", "/pre/a/message"),
            ("/pre/my%20server/%6dcp", "/pre/my%20server/message"),
            ("/pre/mcp/mcp", "/pre/mcp/message"),
            ("/pre/x/mcp", "/pre/x/mcp/message"),
            ("/pre/x/mcp/sse", "/pre/x/mcp/message"),
        ] {
            assert_eq!(routes.message_path(opened), message, "{opened}");
        }
    }

    #[test]
    fn http_sse_has_a_stream_and_a_message_endpoint() {
        let routes = routes("sse", &["a"]); // SEED-003, SEED-080
        assert_eq!(endpoint(&routes, "/pre/a/sse"), Some((0, Endpoint::Sse)));
        assert_eq!(endpoint(&routes, "/pre/a/message"), Some((0, Endpoint::Message)));
        assert_eq!(endpoint(&routes, "/pre/a/mcp"), None);
    }

    #[test]
    fn a_server_named_like_an_own_path_loses_its_short_forms() {
        let routes = routes("both", &["mcp"]);
        assert_eq!(endpoint(&routes, "/pre/mcp/mcp"), Some((0, Endpoint::Mcp)));
        assert_ne!(endpoint(&routes, "/pre/mcp"), Some((0, Endpoint::Mcp)));
    }

    #[test]
    fn escapes_in_a_path_are_resolved() {
        let routes = routes("both", &["my server"]);
        assert_eq!(endpoint(&routes, "/pre/my%20server/mcp"), Some((0, Endpoint::Mcp)));
        for broken in ["/pre/my%2", "/pre/my%zz", "/pre/%ff/mcp"] {
            assert_eq!(endpoint(&routes, broken), None);
        }
    }
}
