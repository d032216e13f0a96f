//! What a client thinks of each message that arrives: the checks of the [client](super) module.

use super::{Client, Kind, Progress, State};
use crate::net::Net;
use serde_json::Value;

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
        match value["method"].as_str() {
            Some("notifications/progress") => self.on_progress(&value, tag),
            Some("notifications/cancelled") => self.on_withdrawn(&value),
            Some(_) => self.check_order(index, raw, tag),
            None => panic!("a method is a string: {raw}"),
        }
        self.inbox.push((index, value.clone()));
        if value.get("id").is_some() {
            self.on_question(index, &value, net);
        }
    }

    /// All tags in a message are this client's. Gives the first.
    fn check_tag(&self, raw: &str) -> Option<usize> {
        let mut first = None;
        for piece in raw.split("@c").skip(1) {
            let Some((owner, rest)) = piece.split_once('.') else { continue };
            let Some((tag, _)) = rest.split_once('@') else { continue };
            let (Ok(owner), Ok(tag)) = (owner.parse::<usize>(), tag.parse()) else { continue };
            assert_eq!(owner, self.index, "client {} got a message of another: {raw}", self.index);
            first = first.or(Some(tag));
        }
        first
    }

    /// What the server said of a request before its answer does not come after it on the same stream (BR-59). An error
    /// may be the proxy's, which gave up waiting and cannot know what of the server is still on its way.
    fn check_order(&self, index: usize, raw: &str, tag: Option<usize>) {
        let Some(request) = self.requests.iter().find(|request| Some(request.tag) == tag) else { return };
        let same = self.kind == Kind::Sse || self.origin(index) == request.exchange;
        let State::Answered(answer) = &request.state else { return };
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        assert!(!same || answer["error"].is_object(), "after the answer (BR-59): {raw}");
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
