//! The messages of a client, and what answers to them say.

use serde_json::{Value, json};

/// `initialize`.
pub fn initialize(id: u64) -> String {
    let client = json!({"name": "worn out", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": params}).to_string()
}

/// What a client says after it.
pub fn initialized() -> String {
    json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string()
}

/// A call of a tool with one text.
pub fn call(id: u64, tool: &str, text: &str) -> String {
    let params = json!({"name": tool, "arguments": {"text": text}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The text of the result of a tool; empty for other results.
    Result(String),
    /// Code and message of an error.
    Error(i64, String),
}

/// Reads an answer: its id and what it says. `None` for a notification or request.
pub fn answer(message: &[u8]) -> Option<(Option<u64>, Outcome)> {
    let message: Value = serde_json::from_slice(message).ok()?;
    let outcome = if let Some(error) = message.get("error") {
        let text = error["message"].as_str().unwrap_or_default();
        Outcome::Error(error["code"].as_i64().unwrap_or_default(), text.to_owned())
    } else {
        let result = message.get("result")?;
        Outcome::Result(result["content"][0]["text"].as_str().unwrap_or_default().to_owned())
    };
    Some((message["id"].as_u64(), outcome))
}
