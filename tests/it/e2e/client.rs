//! The clients of the proxy, on the official SDK.

use super::ears::{Ears, Heard, Question};
use super::event_stream::EventStream;
use super::within;
use axum::http::header;
use reqwest::Response;
use rmcp::ServiceExt;
use rmcp::model::{CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ServerResult};
use rmcp::service::{PeerRequestOptions, RequestHandle, RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};

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

    /// The path of all servers together.
    pub(crate) fn merged_path(self) -> &'static str {
        match self {
            Self::Mcp => "/mcp",
            Self::Sse => "/sse",
        }
    }
}

/// A connected client.
pub(crate) struct Client {
    pub(crate) service: RunningService<RoleClient, Ears>,
    pub(crate) heard: Heard,
    /// What the names of its server's tools begin with.
    pub(crate) prefix: &'static str,
}

impl Client {
    /// Connects and shakes hands; the transport is the one that `url` ends in.
    pub(crate) async fn connect(url: &str, token: Option<&str>) -> Self {
        Self::able(url, token, json!({})).await
    }

    /// The same with capabilities.
    pub(crate) async fn able(url: &str, token: Option<&str>, capabilities: Value) -> Self {
        let (ears, heard) = Ears::new(capabilities);
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
        Self { service, heard, prefix: "" }
    }

    /// Calls a tool.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Result<CallToolResult, ServiceError> {
        within(tool, self.service.call_tool(self.call_of(tool, &arguments))).await
    }

    /// Calls a tool and does not wait for the answer.
    pub(crate) async fn begin(&self, tool: &str, arguments: Value) -> RequestHandle<RoleClient> {
        let call = CallToolRequest::new(self.call_of(tool, &arguments));
        let request = ClientRequest::CallToolRequest(call);
        let sent = self.service.send_cancellable_request(request, PeerRequestOptions::no_options());
        within("sending a call", sent).await.unwrap()
    }

    fn call_of(&self, tool: &str, arguments: &Value) -> CallToolRequestParams {
        let name = format!("{}{tool}", self.prefix);
        CallToolRequestParams::new(name).with_arguments(arguments.as_object().unwrap().clone())
    }

    /// The next question of the server.
    pub(crate) async fn question(&mut self) -> Question {
        within("a question", self.heard.questions.recv()).await.unwrap()
    }

    /// Calls a tool and gives the text it answers.
    pub(crate) async fn text(&self, tool: &str, arguments: Value) -> String {
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

/// Waits for the answer to a call and gives its text.
pub(crate) async fn end(call: RequestHandle<RoleClient>) -> String {
    let answer = within("the answer", call.await_response()).await.unwrap();
    let ServerResult::CallToolResult(result) = answer else { panic!("not a result of a tool: {answer:?}") };
    text(&result)
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
