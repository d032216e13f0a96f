//! The server behind the proxy, on the official SDK: the same one over stdio, Streamable HTTP and HTTP+SSE.
//!
//! Invariant: every tool ends when the test says so, never after a time. `meet` connects to a port of the test,
//! which thereby knows that the call runs, and answers when it gets a byte.

#[path = "asking.rs"]
mod asking;

use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    GetPromptRequestParams, GetPromptResponse, GetPromptResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer};
use rmcp::{ErrorData, model};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// The server. Clones share their state.
#[derive(Clone, Default)]
pub(crate) struct Everything {
    /// Whether the tool `grown` is there already.
    grown: Arc<AtomicBool>,
    /// What clients have told: methods and what they are about.
    heard: watch::Sender<Vec<String>>,
}

impl Everything {
    fn hear(&self, words: String) {
        self.heard.send_modify(|heard| heard.push(words));
    }
}

/// Tools that are there from the start, in the order of the list.
pub(crate) const TOOLS: [&str; 12] =
    ["echo", "steps", "meet", "fail", "crash", "grow", "pid", "ask", "say", "touch", "heard", "abilities"];

impl ServerHandler for Everything {
    fn get_info(&self) -> ServerConfig {
        wire(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {
                "tools": {"listChanged": true},
                "prompts": {},
                "resources": {"subscribe": true},
                "completions": {},
                "logging": {},
            },
            "serverInfo": {"name": "everything", "version": "1.2.3"},
            "instructions": "Call \"echo\" first.",
        }))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let grown = self.grown.load(Ordering::SeqCst).then_some("grown");
        let tools: Vec<Value> = TOOLS
            .into_iter()
            .chain(grown)
            .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))
            .collect();
        Ok(wire(json!({ "tools": tools })))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        match &*request.name {
            "echo" => Ok(text(arguments["text"].as_str().unwrap_or_default())),
            "steps" => steps(&context).await,
            "meet" => meet(&arguments, &context).await,
            "fail" => Err(wire(json!({
                "code": -32042,
                "message": "no such luck",
                "data": {"tries": 3, "why": ["a \"quoted\" reason", null, 9007199254740993_u64]},
            }))),
            "crash" => std::process::exit(9),
            "grow" => {
                self.grown.store(true, Ordering::SeqCst);
                let told = context.peer.notify_tool_list_changed().await;
                told.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
                Ok(text("grown"))
            }
            "pid" => Ok(text(&std::process::id().to_string())),
            "ask" => asking::ask(&arguments, &context).await,
            "say" => asking::say(&arguments, &context).await,
            "touch" => {
                let told = context.peer.notify_resource_updated(wire(json!({"uri": arguments["uri"]}))).await;
                told.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
                Ok(text("touched"))
            }
            "heard" => {
                let words = arguments["words"].as_str().unwrap_or_default();
                let mut heard = self.heard.subscribe();
                let found = heard.wait_for(|heard| heard.iter().any(|line| line == words)).await;
                found.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
                Ok(text("heard"))
            }
            "abilities" => asking::abilities(&context),
            other => Err(ErrorData::invalid_params(format!("unknown tool {other}"), None)),
        }
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(wire(json!({"prompts": [{"name": "greet", "arguments": [{"name": "whom", "required": true}]}]})))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let whom = request.arguments.and_then(|mut it| it.remove("whom")).unwrap_or_default();
        let whom = whom.as_str().unwrap_or_default();
        let content = json!({"type": "text", "text": format!("Say hello to {whom}.")});
        let result = json!({"messages": [{"role": "user", "content": content}]});
        Ok(wire::<GetPromptResult>(result).into())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(wire(json!({"resources": [{"uri": "test://one", "name": "one"}]})))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(wire(json!({"resourceTemplates": [{"uriTemplate": "test://item/{id}", "name": "item"}]})))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri;
        let result = json!({"contents": [{"uri": uri, "text": format!("what is at {uri}")}]});
        Ok(wire::<ReadResourceResult>(result).into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let start = request.argument.value;
        Ok(wire(json!({"completion": {"values": [format!("{start}x"), format!("{start}y")]}})))
    }
    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let level = serde_json::to_value(request.level).unwrap_or_default();
        self.hear(format!("level {}", level.as_str().unwrap_or_default()));
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.hear(format!("subscribe {}", request.uri));
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.hear(format!("unsubscribe {}", request.uri));
        Ok(())
    }

    async fn on_roots_list_changed(&self, _context: NotificationContext<RoleServer>) {
        self.hear("roots changed".to_owned());
    }
}

/// Three notifications of progress, then the result.
async fn steps(context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    let token = context.meta.get_progress_token();
    let token = token.ok_or_else(|| ErrorData::invalid_params("a progress token is needed", None))?;
    for step in 1..=3 {
        let note: model::ProgressNotificationParam = wire(
            json!({"progressToken": token, "progress": step, "total": 3, "message": format!("step {step}")}),
        );
        let told = context.peer.notify_progress(note).await;
        told.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    }
    Ok(text("three steps"))
}

/// Meets the test at `port`: says `label`, then waits for a byte or for the call to be cancelled.
async fn meet(
    arguments: &Value,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let lost = |error: std::io::Error| ErrorData::internal_error(error.to_string(), None);
    let port = arguments["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
    let label = arguments["label"].as_str().unwrap_or_default();
    let mut test = TcpStream::connect(("127.0.0.1", port)).await.map_err(lost)?;
    test.write_all(format!("{label}\n").as_bytes()).await.map_err(lost)?;
    tokio::select! {
        _byte = test.read_u8() => Ok(text(&format!("met {label}"))),
        () = context.ct.cancelled() => {
            test.write_all(b"cancelled\n").await.map_err(lost)?;
            Ok(text("cancelled"))
        }
    }
}

fn text(text: &str) -> CallToolResponse {
    wire::<CallToolResult>(json!({"content": [{"type": "text", "text": text}]})).into()
}

/// A type of the SDK from what it looks like on the wire.
#[allow(clippy::expect_used, reason = "the argument is a literal of this file")]
fn wire<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the SDK knows this shape")
}
