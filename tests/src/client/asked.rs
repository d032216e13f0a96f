//! What servers ask a model client, and how it answers: at once, after a while, never, by hand.

use super::{Client, Kind, Progress};
use crate::net::{Event, MS, Net};
use serde_json::{Value, json};

/// One request of the server.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its id.
    pub id: Value,
    /// Its method.
    pub method: String,
    /// Its params.
    pub params: Value,
    /// The exchange that brought it.
    pub exchange: usize,
    /// Virtual time it came, nanoseconds.
    pub at: u64,
    /// How it stands.
    pub stand: Stand,
    reply: Value,
}

/// How a question stands at the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// Not answered yet.
    Open,
    /// Answered.
    Answered,
    /// Taken back.
    Withdrawn,
}

impl Client {
    pub(super) fn on_question(&mut self, index: usize, value: &Value, net: &mut Net) {
        let (name, method) = (self.index, value["method"].as_str().unwrap_or_default());
        let open = self.questions.iter().any(|asked| asked.id == value["id"] && asked.stand == Stand::Open);
        assert!(!open, "client {name}: two questions of one id: {value}");
        if method != "ping" {
            assert!(self.ready, "client {name}: asked before it is ready (DL-04): {value}");
            // What an extension asks is the client's to know.
            let foreign = method.starts_with("com.example/");
            let can = foreign || declares(&self.capabilities, method, &value["params"]);
            assert!(can, "client {name}: asked what it does not know (DL-09 to DL-12): {value}");
        }
        let mut reply = match self.replies.get(method) {
            Some(reply) => reply.clone(),
            None if method == "ping" => json!({"result": {}}),
            None => json!({"error": {"code": -32601, "message": "not mine"}}),
        };
        if let Some(most) = reply["within_ms"].as_u64() {
            reply["after_ms"] = json!(net.dice.below(most));
        }
        self.questions.push(Asked {
            id: value["id"].clone(),
            method: method.to_owned(),
            params: value["params"].clone(),
            exchange: index,
            at: net.now,
            stand: Stand::Open,
            reply: Value::Null,
        });
        if !reply.is_null() {
            let place = self.questions.len() - 1;
            self.answer(place, &reply, net);
        }
    }

    /// Answers a question, in the manner of [`Client::replies`].
    pub fn answer(&mut self, question: usize, reply: &Value, net: &mut Net) {
        let token = self.questions[question].params["_meta"]["progressToken"].clone();
        for step in 1..=reply["reports"].as_u64().unwrap_or_default() {
            let params = json!({"progressToken": token, "progress": step});
            let note = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
            self.post(net, &note.to_string());
        }
        let by = json!(format!("c{}", self.index));
        let mut answer = json!({"jsonrpc": "2.0", "id": self.questions[question].id});
        if reply["error"].is_object() {
            answer["error"] = reply["error"].clone();
            answer["error"]["data"]["sim/by"] = by;
        } else {
            answer["result"] = reply["result"].clone();
            answer["result"]["_meta"]["sim/by"] = by;
        }
        self.questions[question].reply = answer;
        match reply["after_ms"].as_u64().unwrap_or_default() {
            0 => self.reply(question, net),
            ms => net.plan(ms * MS, Event::Reply(self.index, question)),
        }
    }

    /// The time to answer has come; not if the question was taken back meanwhile.
    pub fn reply(&mut self, question: usize, net: &mut Net) {
        let asked = &mut self.questions[question];
        if asked.stand == Stand::Open {
            asked.stand = Stand::Answered;
            let text = asked.reply.to_string();
            self.post(net, &text);
        }
    }

    pub(super) fn on_withdrawn(&mut self, value: &Value) {
        let asked = self.questions.iter_mut().rev().find(|asked| asked.id == value["params"]["requestId"]);
        // A question may have been on a stream that was cut or left before it came, and is taken back on another.
        let left = self.kind == Kind::Streamable
            || self.exchanges.iter().any(|exchange| exchange.progress == Progress::Cut);
        let Some(asked) = asked else {
            return assert!(left, "a question nobody put is taken back: {value}");
        };
        assert!(asked.stand != Stand::Withdrawn, "a question is taken back twice: {value}");
        if asked.stand == Stand::Open {
            asked.stand = Stand::Withdrawn;
        }
    }
}

/// Whether a client that declared this may be asked that.
fn declares(capabilities: &Value, method: &str, params: &Value) -> bool {
    match method {
        "roots/list" => capabilities["roots"].is_object(),
        "sampling/createMessage" if params["tools"].is_null() && params["toolChoice"].is_null() => {
            capabilities["sampling"].is_object()
        }
        "sampling/createMessage" => capabilities["sampling"]["tools"].is_object(),
        "elicitation/create" => {
            let modes = &capabilities["elicitation"];
            match params["mode"].as_str() {
                Some("url") => modes["url"].is_object(),
                _ => modes["form"].is_object() || modes.is_object() && modes["url"].is_null(),
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_say_what_may_be_asked() {
        let url = json!({"mode": "url"});
        for (capabilities, method, params, can) in [
            (json!({}), "roots/list", &json!({}), false),
            (json!({"roots": {}}), "roots/list", &Value::Null, true),
            (json!({"elicitation": {}}), "elicitation/create", &json!({}), true),
            (json!({"elicitation": {}}), "elicitation/create", &url, false),
            (json!({"elicitation": {"url": {}}}), "elicitation/create", &url, true),
            (json!({"elicitation": {"url": {}}}), "elicitation/create", &json!({}), false),
            (json!({"sampling": {}}), "sampling/createMessage", &json!({"tools": []}), false),
        ] {
            assert_eq!(declares(&capabilities, method, params), can, "{capabilities} {method} {params}");
        }
    }
}
