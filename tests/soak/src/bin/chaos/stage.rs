//! The servers: which there are, how long their answers may take, how they are started.
//!
//! | limit of a call | from |
//! |---|---|
//! | over HTTP | it may wait 30 s for a server that went away, and 5 s (`timeout`) for its answer |
//! | over stdio | it may wait 30 s, and then as long as the server is stopped or slow here |

use mcp_proxy_soak::http::Conn;
use serde_json::{Value, json};
use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Stdio,
    /// The same with a child for each session.
    Dedicated,
    Streamable,
    Sse,
}

/// A server by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Nobody touches it.
    pub(crate) is_healthy: bool,
}

const fn role(name: &'static str, kind: Kind, is_healthy: bool) -> Role {
    Role { name, kind, is_healthy }
}

/// All servers.
pub(crate) const SERVERS: [Role; 8] = [
    role("safe-stdio", Kind::Stdio, true),
    role("safe-mcp", Kind::Streamable, true),
    role("safe-sse", Kind::Sse, true),
    role("stdio", Kind::Stdio, false),
    role("own", Kind::Dedicated, false),
    role("mcp-one", Kind::Streamable, false),
    role("mcp-two", Kind::Streamable, false),
    role("sse", Kind::Sse, false),
];

/// The longest stop of a server.
pub(crate) const STOP_MS_MAX: u64 = 8_000;
/// `limits.queue_ms` of the proxy, `timeout` below, the slowest answer of a slow server, and a busy machine.
const QUEUE: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(5);
const SLOW: Duration = Duration::from_millis(1_500);
const SLACK: Duration = Duration::from_secs(1);

impl Role {
    /// When a call must have been answered.
    pub(crate) const fn limit(&self) -> Duration {
        let own = match self.kind {
            Kind::Streamable | Kind::Sse => TIMEOUT,
            Kind::Stdio | Kind::Dedicated => Duration::from_millis(STOP_MS_MAX).saturating_add(SLOW),
        };
        QUEUE.saturating_add(own).saturating_add(SLACK)
    }

    /// Whether the proxy starts it.
    pub(crate) fn is_child(&self) -> bool {
        matches!(self.kind, Kind::Stdio | Kind::Dedicated)
    }

    /// What its processes have in their environment.
    pub(crate) fn mark(&self) -> String {
        format!("CHAOS_SERVER={}-{}", self.name, std::process::id())
    }
}

/// A server with its process, unless that is the proxy's.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) role: Role,
    pub(crate) port: u16,
    pub(crate) process: Option<Child>,
}

impl Server {
    /// Starts the process on the port it always had, and waits until it listens.
    pub(crate) async fn start(&mut self) -> io::Result<()> {
        let how = match self.role.kind {
            Kind::Streamable => "streamable",
            Kind::Sse => "sse",
            Kind::Stdio | Kind::Dedicated => return Ok(()),
        };
        let mark = self.role.mark();
        let (name, value) = mark.split_once('=').unwrap_or_default();
        let child = Command::new(std::env::current_exe()?.with_file_name("server"))
            .args([how, "--port", &self.port.to_string()])
            .env(name, value)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        self.process = Some(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Conn::open(self.port).await.is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{} does not listen", self.role.name)));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Starts all that the proxy does not start.
pub(crate) async fn start_all() -> io::Result<Vec<Server>> {
    let mut servers = Vec::new();
    for role in SERVERS {
        let mut server = Server { role, port: 0, process: None };
        if !role.is_child() {
            server.port = TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?.port();
            server.start().await?;
        }
        servers.push(server);
    }
    Ok(servers)
}

/// `mcpServers`.
pub(crate) fn config(servers: &[Server]) -> io::Result<Value> {
    let program = std::env::current_exe()?.with_file_name("server");
    let program = program.to_string_lossy();
    let mut config = serde_json::Map::new();
    for Server { role, port, .. } in servers {
        let mark = role.mark();
        let (name, value) = mark.split_once('=').unwrap_or_default();
        let timeout = format!("{}s", TIMEOUT.as_secs());
        let entry = match role.kind {
            Kind::Stdio => json!({"command": program, "args": ["stdio"], "env": {name: value}}),
            Kind::Dedicated => json!({
                "command": program, "args": ["stdio"], "env": {name: value},
                "options": {"sessions": "dedicated", "maxSessions": 1_000, "idleSeconds": 10},
            }),
            Kind::Streamable => json!({
                "url": format!("http://127.0.0.1:{port}/mcp"), "transportType": "streamable-http", "timeout": timeout,
            }),
            Kind::Sse => json!({"url": format!("http://127.0.0.1:{port}/sse"), "timeout": timeout}),
        };
        config.insert(role.name.to_owned(), entry);
    }
    Ok(config.into())
}
