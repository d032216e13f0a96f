//! What a client thinks of each message that arrives: the checks of the [client](super) module.

use super::{Client, Kind, Progress, State};
use crate::net::Net;
use serde_json::{Value, json};

impl Client {
    pub(super) fn on_message(&mut self, index: usize, raw: &str, net: &mut Net) {
        let value: Value = serde_json::from_str(raw).unwrap_or_else(|e| panic!("not JSON ({e}): {raw:?}"));
        let tag = self.check_tag(raw);
        if let Some(uid) = between(raw, '#') {
            assert!(
                self.seen.insert(uid.to_owned()),
                "client {}: message #{uid}# came twice: {raw}",
                self.index
            );
        }
        if value.get("method").is_none() {
            return self.on_answer(index, raw, &value, tag);
        }
        if value["method"] == "notifications/progress" {
            self.on_progress(&value, tag);
        }
        self.inbox.push((index, value.clone()));
        if value.get("id").is_some() {
            self.on_question(&value, net);
        }
    }

    fn check_tag(&self, raw: &str) -> Option<usize> {
        let (owner, tag) = between(raw, '@')?.strip_prefix('c')?.split_once('.')?;
        assert_eq!(owner, self.index.to_string(), "client {} got a message of another: {raw}", self.index);
        tag.parse().ok()
    }

    fn on_answer(&mut self, index: usize, raw: &str, value: &Value, tag: Option<usize>) {
        let origin = self.origin(index);
        let refused = self.exchanges[index].status() >= 400;
        let Some(request) = self.requests.iter_mut().rev().find(|request| request.id == value["id"]) else {
            assert!(
                refused
                    || self.exchanges[index].is_stream() && value["id"].is_null()
                    || self.server.is_empty(),
                "client {}: an answer to nobody: {raw}",
                self.index
            );
            return;
        };
        assert!(!matches!(request.state, State::Answered(_)), "client {}: answered twice: {raw}", self.index);
        assert!(
            tag.is_none_or(|tag| tag == request.tag),
            "client {}: answer of another request: {raw}",
            self.index
        );
        if self.kind == Kind::Streamable {
            assert_eq!(
                origin, request.exchange,
                "client {}: answer on a foreign stream (DL-50): {raw}",
                self.index
            );
        }
        let (result, error) = (value.get("result").is_some(), value.get("error").is_some());
        assert!(result != error, "an answer has either result or error (GN-03): {raw}");
        request.state = State::Answered(raw.to_owned());
    }

    fn on_progress(&mut self, value: &Value, tag: Option<usize>) {
        let params = &value["params"];
        let request =
            self.requests.iter_mut().rev().find(|r| !r.token.is_null() && r.token == params["progressToken"]);
        let request = request.unwrap_or_else(|| panic!("progress for nobody (DL-22): {value}"));
        assert!(!matches!(request.state, State::Answered(_)), "progress after the answer (DL-21): {value}");
        assert!(tag.is_none_or(|tag| tag == request.tag), "progress of another request: {value}");
        let step = params["progress"].as_f64().expect("progress is a number");
        assert!(request.steps.last().is_none_or(|last| *last < step), "progress must grow (DL-22): {value}");
        request.steps.push(step);
    }

    fn on_question(&mut self, value: &Value, net: &mut Net) {
        let method = value["method"].as_str().unwrap_or_default();
        let mut answer = match self.replies.get(method) {
            Some(reply) => reply.clone(),
            None if method == "ping" => json!({"result": {}}),
            None => json!({"error": {"code": -32601, "message": "not mine"}}),
        };
        if answer.is_null() {
            return;
        }
        answer["jsonrpc"] = json!("2.0");
        answer["id"] = value["id"].clone();
        self.post(net, &answer.to_string());
    }

    fn origin(&self, mut index: usize) -> usize {
        while let Some(before) = self.exchanges[index].resumes {
            index = before;
        }
        index
    }

    /// An exchange is over: requests that only it could answer are lost.
    pub(super) fn settle(&mut self, index: usize) {
        let origin = self.origin(index);
        let (refused, ends_all) = (
            self.exchanges[index].status() >= 400 || self.exchanges[index].progress == Progress::Cut,
            self.kind == Kind::Sse && self.stream == Some(index),
        );
        for request in self.requests.iter_mut().filter(|request| request.state == State::Waiting) {
            let own = request.exchange == origin && (self.kind == Kind::Streamable || refused);
            if own || ends_all {
                request.state = State::Lost;
            }
        }
    }
}

/// The text between the first two `mark`s that enclose neither blanks nor quotes.
fn between(text: &str, mark: char) -> Option<&str> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(mark) {
        match after.split_once(mark) {
            Some((inner, _)) if inner.len() < 40 && !inner.contains([' ', '"']) => return Some(inner),
            _ => rest = after,
        }
    }
    None
}
