//! An MCP server over stdio that has a bit of everything, for the end-to-end tests.

#![allow(deprecated, reason = "what 2026-07-28 removes is what is tested here")]

mod server;

use rmcp::ServiceExt;
use server::Everything;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Who closes stdin before the handshake wants no server.
    let Ok(running) = Everything::default().serve(rmcp::transport::stdio()).await else { return };
    let _ended = running.waiting().await;
}
