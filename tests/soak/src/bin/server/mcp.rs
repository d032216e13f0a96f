//! What the server answers, whatever it is reached by.

use mcp_proxy_soak::dice::Dice;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::signal::unix::Signal;

/// The server. Clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct Mcp(Arc<State>);

#[derive(Debug)]
struct State {
    slow: AtomicBool,
    dice: Mutex<Dice>,
}

/// A message that came in.
pub(crate) enum Incoming {
    /// Nothing to answer.
    Note,
    /// A request that is never answered.
    Endless,
    /// A request, its answer, whether it opens a session, and how long it takes anyway.
    Request { answer: String, opens: bool, takes: Duration },
}

impl Mcp {
    pub(crate) fn new() -> Self {
        let dice = Dice::new(u64::from(std::process::id()));
        Self(Arc::new(State { slow: AtomicBool::new(false), dice: Mutex::new(dice) }))
    }

    /// Lets signals change its pace.
    pub(crate) async fn obey_signals(self, mut slow: Signal, mut quick: Signal) {
        loop {
            let is_slow = tokio::select! {
                _signal = slow.recv() => true,
                _signal = quick.recv() => false,
            };
            self.0.slow.store(is_slow, Ordering::Relaxed);
        }
    }

    /// Reads a message.
    pub(crate) fn read(&self, text: &[u8]) -> Incoming {
        let Ok(message) = serde_json::from_slice::<Value>(text) else { return Incoming::Note };
        let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) else {
            return Incoming::Note;
        };
        let result = match method {
            "initialize" => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "worn out", "version": "1"},
            }),
            "ping" => json!({}),
            "tools/list" => {
                let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
                json!({"tools": [tool("echo"), tool("nap"), tool("hold")]})
            }
            "tools/call" if message["params"]["name"] == "hold" => return Incoming::Endless,
            "tools/call" => {
                let text = message["params"]["arguments"]["text"].as_str().unwrap_or_default();
                json!({"content": [{"type": "text", "text": format!("{} {text}", std::process::id())}]})
            }
            _ => {
                let error = json!({"code": -32601, "message": "no such method"});
                let answer = json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string();
                return Incoming::Request { answer, opens: false, takes: Duration::ZERO };
            }
        };
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
        let takes = if message["params"]["name"] == "nap" { NAP } else { Duration::ZERO };
        Incoming::Request { answer, opens: method == "initialize", takes }
    }

    /// Takes the time that an answer takes.
    pub(crate) async fn think(&self, takes: Duration) {
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        if self.0.slow.load(Ordering::Relaxed) {
            let pause = self.0.dice.lock().map(|mut dice| dice.millis(SLOW_MS.0, SLOW_MS.1));
            tokio::time::sleep(pause.unwrap_or(Duration::ZERO)).await;
        }
    }
}

/// How long `nap` takes: longer than whoever vanishes in the midst of it stays.
const NAP: Duration = Duration::from_millis(500);

/// How late the answers of a slow server are.
const SLOW_MS: (u64, u64) = (300, 1_500);
