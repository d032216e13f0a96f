//! A deterministic world around the engine: virtual time, seeded networks, scripted servers, model clients.
//!
//! It is the third runtime, beside smol and tokio: [`world::World`] owns one `Shard` over a [`host::SimHost`]
//! and plays the rest of the universe from one ordered queue of events. A run is a function of its seed.
//! Nothing here uses the engine's codecs: [`http`] is an independent, simple and strict reader, so that a
//! mistake shared by the engine's writer and reader does not hide.
//!
//! A scenario is written as a story over a [`cast::Cast`]:
//!
//! ```
//! use mcp_proxy_tests::cast::Cast;
//! use mcp_proxy_tests::client::Kind;
//! use mcp_proxy_tests::story::story;
//! use serde_json::json;
//!
//! story(Cast::default().stdio("fs"), |w| {
//!     let client = w.client("fs", Kind::Streamable);
//!     let call = w.start_call(client, "echo", json!({"text": "hi"}));
//!     assert_eq!(w.text(call), "hi");
//! });
//! ```
//!
//! [`watch`] lists the checkers that run in every scenario. `SIM_SEED=n` repeats one seed, `SIM_SEEDS=n` plays soaks
//! under that many. Left out: TLS (its
//! key shares cannot be seeded), more than one shard, and any real thread, socket or clock.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::print_stderr,
    reason = "a simulator stops with a panic and a report as soon as an expectation breaks"
)]

pub mod cast;
pub mod child;
pub mod client;
pub mod dice;
pub mod disk;
pub mod haste;
pub mod host;
pub mod http;
pub mod lists;
pub mod login;
pub mod mind;
pub mod net;
pub mod publisher;
pub mod site;
pub mod storm;
pub mod story;
pub mod watch;
pub mod world;
