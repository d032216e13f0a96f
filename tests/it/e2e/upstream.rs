//! The servers behind the proxy.

use super::everything::Everything;
use super::{event_stream, program};
use axum::Router;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// How the proxy reaches its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Up {
    Stdio,
    Streamable,
    Sse,
}

/// A server, there for as long as this value.
pub(crate) struct Upstream {
    /// What `mcpServers.<key>` says about it.
    pub(crate) config: Value,
    task: Option<AbortHandle>,
}

impl Upstream {
    pub(crate) async fn start(kind: Up) -> Self {
        let everything = Everything::default();
        match kind {
            Up::Stdio => Self { config: stdio(), task: None },
            Up::Streamable => {
                let (url, task) = serve(streamable(everything)).await;
                let config = json!({"url": format!("{url}/mcp"), "transportType": "streamable-http"});
                Self { config, task: Some(task) }
            }
            Up::Sse => {
                let (url, task) = serve(event_stream::server(everything)).await;
                Self { config: json!({"url": format!("{url}/sse")}), task: Some(task) }
            }
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The configuration of the stdio server.
pub(crate) fn stdio() -> Value {
    json!({"command": program::everything()})
}

/// Serves on a free port; gives the URL without a path.
pub(crate) async fn serve(router: Router) -> (String, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, task.abort_handle())
}

/// A Streamable HTTP server at `/mcp`.
pub(crate) fn streamable(everything: Everything) -> Router {
    let mut config = StreamableHttpServerConfig::default();
    config.max_request_body_bytes = 16 * 1024 * 1024;
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(everything.clone()), sessions, config);
    Router::new().nest_service("/mcp", service)
}
