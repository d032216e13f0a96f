//! A very cheap MCP server that stands behind the proxies under test.
//!
//! ```text
//! stub-upstream --mode stdio
//! stub-upstream --mode http --port P   POST/GET/DELETE on any path (streamable-http)
//! stub-upstream --mode sse  --port P   GET /sse, POST /message?sessionId=..  (2024-11-05)
//! ```
//!
//! Options: `--tools N` (dummy tools beside echo, blob, sleep), `--cpu N` (pin
//! itself to one CPU), `--sse-response` (http: answer by an event stream).
//!
//! Single-threaded. `sleep` never blocks other requests: on stdio and SSE its
//! answer overtakes nothing and is overtaken by everything that is ready sooner.

mod mcp;
mod server;
mod stdio;
mod timers;

use std::net::TcpListener;

use mcp_proxy_bench::args::Args;
use mcp_proxy_bench::net;

use crate::mcp::Mcp;
use crate::server::Server;

fn main() {
    let args = Args::parse(&["sse-response"], &["mode", "port", "tools", "cpu"]).unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(2);
    });
    if args.str("cpu").is_some() {
        net::pin_to_cpu(args.num("cpu", 0));
    }
    net::raise_fd_limit();
    let mcp = Mcp::new(args.num("tools", 0));
    let mode = args.str("mode").unwrap_or("stdio");
    let result = match mode {
        "stdio" => stdio::run(mcp),
        "http" | "sse" => TcpListener::bind(("127.0.0.1", args.num("port", 0u16))).and_then(|l| {
            // std's backlog is 128; a load of 1000 connects at once wants more.
            rustix::net::listen(&l, 4096)?;
            let port = l.local_addr()?.port();
            eprintln!("stub-upstream: {mode} on 127.0.0.1:{port}");
            Server::new(mcp, mode == "sse", args.flag("sse-response"))?.run(l)
        }),
        other => {
            eprintln!("unknown mode {other}");
            std::process::exit(2);
        }
    };
    if let Err(e) = result {
        eprintln!("stub-upstream: {e}");
        std::process::exit(1);
    }
}
