//! The MCP server behind the proxy: tools that echo, take their time or never answer, and ways to misbehave.
//!
//! ```text
//! server stdio                  until stdin ends
//! server stdio --deaf           the same, but its end changes nothing, and TERM is ignored
//! server streamable --port P    Streamable HTTP on any path, with sessions that die with the process
//! server sse --port P           GET /sse, POST /message?s=SESSION
//! server idle                   no server: a process that stays until it is killed
//! ```
//!
//! `echo` answers `PID TEXT`, so that a caller sees both whether the answer is its own and which process gave it.
//! `nap` does the same after half a second.
//! SIGUSR1 makes every answer late, SIGUSR2 ends that.

mod http;
mod mcp;
mod stdio;

use mcp::Mcp;
use std::io;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(&args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[&str]) -> io::Result<()> {
    let mcp = Mcp::new();
    tokio::spawn(
        mcp.clone().obey_signals(signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?),
    );
    match args {
        ["stdio"] => stdio::run(mcp).await,
        ["stdio", "--deaf"] => {
            let _ignored = signal(SignalKind::terminate())?;
            stdio::run(mcp).await?;
            std::future::pending().await
        }
        ["streamable", "--port", port] => http::serve(bind(port).await?, mcp, http::Kind::Streamable).await,
        ["sse", "--port", port] => http::serve(bind(port).await?, mcp, http::Kind::Sse).await,
        ["idle"] => std::future::pending().await,
        other => Err(io::Error::other(format!("not understood: {}", other.join(" ")))),
    }
}

async fn bind(port: &str) -> io::Result<TcpListener> {
    let port: u16 = port.parse().map_err(io::Error::other)?;
    TcpListener::bind(("127.0.0.1", port)).await
}
