//! The clients of the proxy, on the official SDK.

use super::event_stream::EventStream;
use super::within;
use axum::http::header;
use reqwest::Response;
use rmcp::model::{CallToolRequestParams, CallToolResult, ProgressNotificationParam};
use rmcp::service::{NotificationContext, RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ServiceExt};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How a client reaches the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Down {
    Mcp,
    Sse,
}

impl Down {
    /// The path of a server.
    pub(crate) fn path(self, server: &str) -> String {
        match self {
            Self::Mcp => format!("/{server}/mcp"),
            Self::Sse => format!("/{server}/sse"),
        }
    }
}

/// A connected client.
pub(crate) struct Client {
    pub(crate) service: RunningService<RoleClient, Ears>,
    pub(crate) progress: UnboundedReceiver<ProgressNotificationParam>,
    pub(crate) tools_changed: UnboundedReceiver<()>,
}

/// Takes the notifications.
pub(crate) struct Ears {
    progress: UnboundedSender<ProgressNotificationParam>,
    tools_changed: UnboundedSender<()>,
}

impl ClientHandler for Ears {
    async fn on_progress(&self, note: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        let _deaf = self.progress.send(note);
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        let _deaf = self.tools_changed.send(());
    }
}

impl Client {
    /// Connects and shakes hands; the transport is the one that `url` ends in.
    pub(crate) async fn connect(url: &str, token: Option<&str>) -> Self {
        let (progress, heard_progress) = unbounded_channel();
        let (changed, heard_changed) = unbounded_channel();
        let ears = Ears { progress, tools_changed: changed };
        let handshake = async {
            if url.ends_with("/sse") {
                return ears.serve(EventStream::open(url, token).await).await.unwrap();
            }
            let mut config = StreamableHttpClientTransportConfig::with_uri(url);
            if let Some(token) = token {
                config = config.auth_header(token);
            }
            ears.serve(StreamableHttpClientTransport::with_client(http(), config)).await.unwrap()
        };
        let service = within("the handshake", handshake).await;
        Self { service, progress: heard_progress, tools_changed: heard_changed }
    }

    /// Calls a tool.
    pub(crate) async fn call(
        &self,
        tool: &'static str,
        arguments: Value,
    ) -> Result<CallToolResult, ServiceError> {
        let arguments = arguments.as_object().unwrap().clone();
        let call = CallToolRequestParams::new(tool).with_arguments(arguments);
        within(tool, self.service.call_tool(call)).await
    }

    /// Calls a tool and gives the text it answers.
    pub(crate) async fn text(&self, tool: &'static str, arguments: Value) -> String {
        text(&self.call(tool, arguments).await.unwrap())
    }

    /// The process of the server.
    pub(crate) async fn pid(&self) -> u32 {
        self.text("pid", json!({})).await.parse().unwrap()
    }

    /// The names of all tools.
    pub(crate) async fn tools(&self) -> Vec<String> {
        let tools = within("tools/list", self.service.list_all_tools()).await.unwrap();
        tools.into_iter().map(|tool| tool.name.into_owned()).collect()
    }
}

/// The one text of a result.
pub(crate) fn text(result: &CallToolResult) -> String {
    wire(result)["content"][0]["text"].as_str().unwrap().to_owned()
}

/// A value of the SDK as it looks on the wire.
pub(crate) fn wire(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

/// An HTTP client that goes straight to the loopback, whatever the environment says about proxies.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Sends a request made by hand.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Response {
    within("a response", request.send()).await.unwrap()
}

/// A message for the endpoint of Streamable HTTP.
pub(crate) fn post(url: &str, message: &Value) -> reqwest::RequestBuilder {
    let accept = "application/json, text/event-stream";
    let request = http().post(url).header(header::ACCEPT, accept);
    request.header(header::CONTENT_TYPE, "application/json").body(message.to_string())
}

/// The first message of a session.
pub(crate) fn initialize() -> Value {
    let client = json!({"name": "by hand", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
}
