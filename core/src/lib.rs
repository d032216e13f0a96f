//! The sans-IO engine of mcp-proxy: any MCP client in front, any MCP server behind, and not one system call.
//!
//! [`Proxy`] is a deterministic state machine. What happens in the world goes in as an [`Input`], what should happen
//! comes out as an [`Output`], time and entropy are arguments. The same inputs give the same outputs, so a log of
//! inputs is a reproduction, and a simulator is just another runtime.
//!
//! # How to drive it
//!
//! Implement the three methods of [`Host`], put the engine on it with a [`Shard`], call [`Shard::start`] once and then
//! [`Shard::turn`] with whatever happened. The shard drains all outputs after each input and arms one timer. Beside
//! that a runtime looks, whenever [`Output::Wake`] names a connection, at [`Proxy::outgoing`] (bytes to write; report
//! them with [`Input::Sent`]) and at [`Proxy::wants_read`]. [`event`] says what life a connection and a child have.
//!
//! ```
//! use mcp_proxy_core::config::{Source, parse};
//! use mcp_proxy_core::id::{ConnId, ListenerId};
//! use mcp_proxy_core::time::{Mono, Now, Unix};
//! use mcp_proxy_core::timer::Deadline;
//! use mcp_proxy_core::{Host, Input, Options, Output, Proxy, Shard};
//! use std::sync::Arc;
//!
//! /// A runtime without a world: it notes what the engine wants.
//! #[derive(Default)]
//! struct Notes(Vec<Output>);
//!
//! impl Host for Notes {
//!     fn now(&mut self) -> Now {
//!         Now { mono: Mono(1), unix: Unix(0) }
//!     }
//!     fn perform(&mut self, output: Output) {
//!         self.0.push(output);
//!     }
//!     fn wake_at(&mut self, _deadline: Option<Deadline>) {}
//! }
//!
//! let text = r#"{"mcpProxy": {"type": "streamable-http"}, "mcpServers": {"time": {"command": "mcp-server-time"}}}"#;
//! let loaded = parse(&Source { text, name: "config.json", strict: true, env: None }).expect("a good configuration");
//! let proxy = Proxy::new(Arc::new(loaded.config), Options::default(), [7; 32]);
//! let mut shard = Shard::new(proxy, Notes::default());
//! shard.start();
//! assert!(shard.host().0.iter().any(|output| matches!(output, Output::Listen { .. })));
//!
//! // It listens before it starts what it serves.
//! let bound = Ok("127.0.0.1:9090".parse().expect("an address"));
//! shard.turn(Input::Listening { listener: ListenerId(0), result: bound });
//! assert!(shard.host().0.iter().any(|output| matches!(output, Output::Spawn { .. })));
//!
//! let conn = ConnId::accepted(1);
//! let peer = "127.0.0.1:50000".parse().expect("an address");
//! shard.turn(Input::Accepted { conn, listener: ListenerId(0), peer });
//! shard.turn(Input::Received { conn, bytes: b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" });
//! let answer = shard.proxy().outgoing(conn);
//! assert!(answer.starts_with(b"HTTP/1.1 404 "));
//! let len = answer.len();
//! shard.turn(Input::Sent { conn, len });
//! assert!(shard.proxy().outgoing(conn).is_empty());
//! ```
//!
//! # Layers
//!
//! ```text
//!  proxy                    brings each input to its machine and moves events from one to the next
//!  ├─ oauth                 the authorization server, with its pages and its store
//!  ├─ access                who a request is from
//!  ├─ bridge                whose request, which server, in which shape: the only part that knows both sides
//!  ├─ clients               connections, sessions, streams
//!  └─ servers               children, exchanges, handshakes, calls in flight
//!  view · catalog · publish  what an endpoint shows · what a server offers · several servers as one
//!  mcp                      words of the protocol, from bytes to bytes
//!  policy · route · config  may it in · which path is what · checked configuration
//!  net · throttle · password · redirect_uri  what configuration and logins share
//!  json · http · sse · line  bytes ⇄ messages, heads, bodies, events, lines: each usable and testable alone
//! ```
//! A layer never calls upward: its owner asks it and forwards what it says.
//!
//! # Words
//!
//! | word | means |
//! |---|---|
//! | client | what connects to us in the words of MCP |
//! | server | what is configured under a name in `mcpServers` |
//! | connection (of a server) | one child, or one handshake over HTTP; a server has a shared one and may have others |
//! | session | one handshake of one client, over HTTP+SSE or Streamable HTTP |
//! | stream | where the messages of one POST or one GET go; it may be resumed |
//! | exchange | one HTTP request and its response |
//! | message | one JSON-RPC request, notification or response |
//! | call | a request on its way to a server and back |
//! | question | a request of a server on its way to a client and back: sampling, elicitation, roots |
//! | requester | who waits for an answer: a stream of a session |
//! | view | what the callers of one endpoint see: one server, or several together |
//! | merged endpoint | the endpoint of all servers that a caller may use |
//! | principal | whose a request is: nobody's in particular, the holder of a token, or a login |
//! | access | who may in |
//! | bridge | what knows clients and servers, and brings what one wants to the other |
//! | runtime | what does the system calls: smol, tokio, threads, the simulator |
//! | input, output | what a runtime tells the engine; what it is to do |
//! | event | what a machine tells its owner |
//! | ledger | the sum of what is held for peers, against the memory budget |
//! | census | how much there is of everything |
//! | fault | what went wrong, whose fault it is, and how each peer is told |
//!
//! # What is absent
//!
//! Clocks, sockets, files, threads, the environment, the system's randomness; TLS inside the engine (the codec of
//! `tls` is run by runtimes); panics on anything a peer sent; unbounded queues (see [`limits`]).
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::string_slice, clippy::expect_used, clippy::panic)
)]

mod access;
mod bridge;
pub mod buf;
mod catalog;
mod clients;
pub mod config;
pub mod digest;
mod effects;
pub mod event;
pub mod fault;
pub mod glob;
pub mod health;
pub mod http;
pub mod id;
pub mod json;
mod jsonrpc;
mod ledger;
pub mod limits;
pub mod line;
pub mod log;
pub mod mcp;
pub mod net;
pub mod oauth;
pub mod password;
mod policy;
pub mod proxy;
mod publish;
pub mod redacted;
pub mod redirect_uri;
pub mod rng;
pub mod route;
mod servers;
pub mod shard;
mod short_id;
pub mod sse;
pub mod throttle;
pub mod time;
pub mod timer;
#[cfg(feature = "tls")]
pub mod tls;
pub mod url;
mod view;

pub use event::{Input, Output};
pub use proxy::{Options, Proxy};
pub use shard::{Host, Shard};
