//! What the engine says of its own health, for machines: three pages under the path of `baseURL`, and the same as values;
//! and a fourth with which `oauth doctor` looks at what stands in front.
//!
//! | path | who may ask | 200 | 503 |
//! |---|---|---|---|
//! | `/health/live` | everybody | always: the process turns over | |
//! | `/health/ready` | everybody | a server is up, and each was tried once | starting, stopping, or no server is up |
//! | `/_healthz`, `/_readyz` | everybody | as `/health/live` and `/health/ready`, for probes of the original; at the root, too | |
//! | `/health/servers` | who may use the merged endpoint, of the servers that are open to them | the [`Report`] | |
//! | `/health/front` | everybody, 30 times a minute | what of the request arrived, then parts a second apart | |
//!
//! Invariants: everything comes from what the engine did and saw, nothing from the configuration; the two open pages
//! say no more than one word. Making a report takes time in proportion to servers, sessions and calls.

use crate::time::Unix;
use crate::time::calendar::iso8601;
use serde::{Serialize, Serializer};

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Live,
    Ready,
    Servers,
    /// For the doctor, at this path and all below it.
    Front,
}

impl Page {
    /// The page at a path, if it is one of them.
    pub(crate) fn find(base_path: &str, path: &str) -> Option<Self> {
        let own = path.strip_prefix(base_path);
        // Probes of the original ask the port, not the public URL.
        match own.unwrap_or(path) {
            "/_healthz" => return Some(Self::Live),
            "/_readyz" => return Some(Self::Ready),
            _ => {}
        }
        match own?.strip_prefix("/health/")? {
            "live" => Some(Self::Live),
            "ready" => Some(Self::Ready),
            "servers" => Some(Self::Servers),
            page if page == "front" || page.starts_with("front/") => Some(Self::Front),
            _ => None,
        }
    }
}

/// Whether clients are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The listener is not open yet, or a server is being brought up for the first time.
    Starting,
    /// At least one server is up, or none is configured.
    Ready,
    /// No server is up.
    Unavailable,
    /// The process is about to end; running calls may finish.
    Stopping,
}

/// How the connection to a server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is being brought up for the first time.
    #[default]
    Starting,
    /// In use.
    Ready,
    /// In use, but it does not answer pings at the moment.
    Unresponsive,
    /// It was in use, is lost, and is being brought up again.
    Reconnecting,
    /// It has never been in use; every try has failed so far, and others follow.
    Failing,
    /// So many tries have failed one after the other that the next ones are rare, or made when somebody calls.
    Suspended,
    /// It was stopped for good.
    Stopped,
}

/// How everything stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether clients are served.
    pub status: Status,
    /// Of this program.
    pub version: &'static str,
    /// When this was made.
    #[serde(serialize_with = "moment")]
    pub at: Unix,
    /// Downstream connections.
    pub connections: usize,
    /// Downstream sessions.
    pub sessions: usize,
    /// Calls of clients and of the proxy itself that are not answered yet.
    pub calls_in_flight: usize,
    /// Bytes held for peers, as `limits.memoryBytes` counts them.
    pub held_bytes: usize,
    /// In the order of the configuration, without those that are disabled.
    pub servers: Vec<ServerReport>,
}

/// How one server stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerReport {
    /// Its key in the configuration, as logs show it.
    pub name: String,
    /// Of the connection that sessions share.
    pub state: Standing,
    /// Since when it stands so.
    #[serde(serialize_with = "moment")]
    pub since: Unix,
    /// How it is reached: `stdio`, `sse` or `streamable-http`.
    pub transport: &'static str,
    /// Its own name, as it says.
    pub server_name: Option<String>,
    /// Its own version, as it says.
    pub server_version: Option<String>,
    /// The protocol revision that is spoken with it, once it was up.
    pub protocol_version: Option<&'static str>,
    /// What went wrong last, if anything has.
    pub last_error: Option<LastError>,
    /// Times it was brought up again after a loss or a failed try.
    pub restarts: u64,
    /// Sessions that show it.
    pub sessions: usize,
    /// Connections to it that are up.
    pub connections: usize,
    /// Calls of clients that were handed to it and are not answered yet.
    pub calls_in_flight: usize,
    /// Calls of clients that wait for it.
    pub calls_waiting: usize,
    /// Answers that came when nobody waited for them any more; they were dropped.
    pub late_answers: u64,
    /// Tools, prompts, resources and templates that break the schema of MCP: merged lists leave them out, or what is
    /// wrong with them.
    pub invalid_items: usize,
}

/// What went wrong last with a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastError {
    /// When.
    #[serde(serialize_with = "moment")]
    pub at: Unix,
    /// In words.
    pub message: String,
    /// The last lines it had printed to stderr, at most 20, each cut after 500 characters.
    pub stderr: Vec<String>,
}

fn moment<S: Serializer>(at: &Unix, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&iso8601(at.0 / 1000))
}
