//! Scenarios over the simulated world. Each name says the behaviour; each story runs under several seeds, that is
//! several weathers of the network, with all checkers of the simulator on.

mod addresses;
mod apps;
mod batches;
mod calls;
mod children;
mod connecting;
mod cookies;
mod credentials;
mod crowd;
mod declared;
mod doubted_sessions;
mod filters;
mod first_lists;
mod first_start;
mod floods;
mod foreign;
mod frozen;
mod health;
mod hostile;
mod http_upstreams;
mod levels;
mod limits;
mod limits_of_time;
mod lists;
mod log_lines;
mod losing_sessions;
mod lost_sessions;
mod merged;
mod merged_changes;
mod merged_connections;
mod merged_names;
mod named_errors;
mod negotiation;
mod oauth_access;
mod oauth_authorize;
mod oauth_crowd;
mod oauth_discovery;
mod oauth_documents;
mod oauth_flow;
mod oauth_login;
mod oauth_pages;
mod oauth_store;
mod oauth_throttle;
mod oauth_times;
mod oauth_tokens;
mod odd_answers;
mod packed;
mod passage;
mod policy;
mod probes;
mod questions;
mod redirects;
mod repeated_fields;
mod request_bodies;
mod resumption;
mod sessions;
mod sharing;
mod short_ids;
mod skills;
mod soak;
mod stopping;
mod storm;
mod streams;
mod tasks;
mod time_limits;
mod told;
mod transports;
mod watches;
mod who;

use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;

/// Both downstream transports.
const KINDS: [Kind; 2] = [Kind::Streamable, Kind::Sse];

/// One stdio server, `fs`.
fn one() -> Cast {
    Cast::default().stdio("fs")
}

/// One server of each kind: `fs` over stdio, `web` over Streamable HTTP, `old` over HTTP+SSE.
fn three() -> Cast {
    Cast::default().stdio("fs").streamable("web").sse("old")
}
