//! The real program, end to end: started as a process, spoken to by the official Rust SDK, in front of servers on
//! the same SDK.
//!
//! | file | what is told there |
//! |---|---|
//! | [`pairings`] | every client transport with every server transport |
//! | [`questions`] | the same where servers ask their clients: sampling, elicitation, roots; log messages, watches |
//! | [`children`] | children: crash, orderly stop, sudden death of the proxy |
//! | [`access`] | tokens, filters, routes, sessions |
//! | [`command_line`] | flags, exit codes, configurations |
//! | [`login`] | the authorization server: redirects, codes, passwords, forms |
//! | [`login_tokens`] | what tokens open, rotation, sessions, clients |
//! | [`login_wire`] | the same down to bytes: header injection, smuggling, sizes, addresses |
//! | [`login_store`] | what it keeps on disk, and from whom |
//! | [`login_start`] | what it is started with, and what not |
//! | [`login_log`] | what its log says and does not say |
//! | [`rmcp_login`] | a login by the official Rust SDK |
//! | [`killed`] | SIGKILL at any moment |
//! | [`hostile`] | ten thousand connections, endless lines, floods |
//! | [`system`] | limits of the system, signals, orphans, the guard |
//! | [`client_config`] | what clients are to be configured with |
//!
//! The rest is the stage: [`browser`] stands in for an OAuth client and its browser, [`program`] finds what is to be started, [`proxy`] runs it, [`upstream`] has the servers,
//! [`client`] the clients, [`ears`] what comes to them unasked, [`pair`] both with a proxy between, [`event_stream`] HTTP+SSE (which the SDK no longer speaks), [`meeting`] lets a test hold
//! a call in the air, [`process`] looks at processes.
//!
//! Invariants: nothing waits for a time to pass. What is waited for is a line of the log, a connection, a message or
//! a process; [`within`] bounds it. Ports are chosen by the system. Everything started is killed with its test.
//!
//! Unix only: these tests send signals and look at process groups.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first broken expectation")]
#![allow(deprecated, reason = "what 2026-07-28 removes is what is tested here")]

#[macro_use]
mod pair;

mod access;
mod browser;
mod children;
mod client;
mod client_config;
mod command_line;
mod ears;
mod event_stream;
#[path = "everything/server.rs"]
mod everything;
mod hostile;
mod killed;
mod login;
mod login_log;
mod login_memory;
mod login_start;
mod login_store;
mod login_tokens;
mod login_wire;
mod meeting;
mod pairings;
mod process;
mod program;
mod proxy;
mod questions;
mod rmcp_login;
mod system;
mod upstream;

use std::time::Duration;

/// Longer than anything here takes on a slow and busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What `future` gives; panics when it takes longer than anything should.
#[track_caller]
fn within<F: Future>(what: impl Into<String>, future: F) -> impl Future<Output = F::Output> {
    let (caller, what) = (std::panic::Location::caller(), what.into());
    async move {
        match tokio::time::timeout(LIMIT, future).await {
            Ok(output) => output,
            Err(_) => panic!("at {caller}: {what} did not happen within {LIMIT:?}"),
        }
    }
}
