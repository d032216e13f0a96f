//! What a scripted server asks its clients, and what it makes of the answers.
//!
//! Arguments of the tool `ask`:
//!
//! | argument | is |
//! |---|---|
//! | `method`, `params` | the question; `roots/list` unless told otherwise |
//! | `n` | how many of it at once; 1 |
//! | `ms`, `gap_ms` | how long until the first, and between one and the next; 0 |
//! | `withdraw_ms` | takes each back so long after it was put, unless it was answered |
//! | `token` | puts a progress token into each |
//! | `pause_ms` | how long from the last answer of a client to the answer of the call; 0 |
//!
//! A question carries the tag of the call that led to it, and a model client signs its answers. Checked: each question
//! is answered at most once, in the session it was put in, and by the client of its tag or by the proxy in its place.

use super::{Deed, Mind, Recall, What, answer, note, say};
use serde_json::{Value, json};

/// A question, from the intention on.
#[derive(Debug, Clone)]
pub struct Question {
    /// Raw id.
    pub id: String,
    /// Its method.
    pub method: String,
    /// The call that led to it: the raw id.
    pub call: Option<String>,
    /// The client whose call that was: `c3`.
    pub owner: Option<String>,
    /// The session (HTTP) it is put in.
    pub session: Option<String>,
    /// How it stands.
    pub state: Asked,
    /// The answer.
    pub answer: Value,
    /// How often a client told how its answer was coming along.
    pub reports: usize,
    text: String,
    pub(super) task: Option<String>,
    withdraw_ms: Option<u64>,
    pause_ms: u64,
}

/// How a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Not put yet.
    Planned,
    /// Put.
    Open,
    /// Taken back; an answer that was on its way may still come.
    Withdrawn,
    /// Answered.
    Answered,
}

impl Question {
    /// Whether the client itself answered, not the proxy for it.
    pub fn is_signed(&self) -> bool {
        signature(&self.answer).is_some()
    }
}

impl Mind {
    pub(super) fn ask(&mut self, id: &str, params: &Value, session: Option<&str>) -> Vec<Deed> {
        let arguments = &params["arguments"];
        let number = |name: &str| arguments[name].as_u64().unwrap_or_default();
        let (n, ms, gap_ms) = (number("n").max(1), number("ms"), number("gap_ms"));
        (0..n)
            .map(|place| {
                let own = self.plan_question(Some(id), params, session, None);
                let what = What::Recall(Recall::Ask(own));
                Deed { after_ms: ms + place * gap_ms, what, ..say(id, String::new()) }
            })
            .collect()
    }

    /// Makes up a question. Its id is a number or a string, no two processes have different ones.
    pub(super) fn plan_question(
        &mut self,
        call: Option<&str>,
        params: &Value,
        session: Option<&str>,
        task: Option<&str>,
    ) -> String {
        let (arguments, tag) = (&params["arguments"], &params["_meta"]["sim/tag"]);
        self.asked += 1;
        let count = self.asked;
        let own = if count.is_multiple_of(2) { count.to_string() } else { format!("\"q{count}\"") };
        let method = arguments["method"].as_str().unwrap_or("roots/list").to_owned();
        let mut asked = arguments["params"].clone();
        if !tag.is_null() {
            asked["_meta"]["sim/tag"] = tag.clone();
            asked["_meta"]["sim/uid"] = json!(self.unique());
        }
        if arguments["token"] == true {
            asked["_meta"]["progressToken"] = json!(format!("of-{count}"));
        }
        if let Some(task) = task {
            asked["_meta"]["io.modelcontextprotocol/related-task"] = json!({"taskId": task});
        }
        let params = if asked.is_null() { String::new() } else { format!(r#","params":{asked}"#) };
        let owner = tag.as_str().and_then(|tag| tag.strip_prefix('@')?.split_once('.'));
        self.questions.push(Question {
            id: own.clone(),
            text: format!(r#"{{"jsonrpc":"2.0","id":{own},"method":"{method}"{params}}}"#),
            method,
            call: call.map(str::to_owned),
            owner: owner.map(|(owner, _)| owner.to_owned()),
            session: session.map(str::to_owned),
            state: Asked::Planned,
            answer: Value::Null,
            reports: 0,
            task: task.map(str::to_owned),
            withdraw_ms: arguments["withdraw_ms"].as_u64(),
            pause_ms: arguments["pause_ms"].as_u64().unwrap_or_default(),
        });
        own
    }

    /// Asks outside any call. Gives what to do, and the id.
    pub fn ask_outside(&mut self, method: &str, params: &Value, session: Option<&str>) -> (Deed, String) {
        let own = self.plan_question(
            None,
            &json!({"arguments": {"method": method, "params": params}}),
            session,
            None,
        );
        let what = What::Recall(Recall::Ask(own.clone()));
        (Deed { what, session: session.map(str::to_owned), ..note(String::new()) }, own)
    }

    pub(super) fn put(&mut self, own: &str) -> Vec<Deed> {
        let Some(question) = self.questions.iter_mut().find(|question| question.id == own) else {
            return Vec::new();
        };
        question.state = Asked::Open;
        let (text, call) = (question.text.clone(), question.call.clone());
        let about = match &question.task {
            Some(task) => {
                let task = self.tasks.iter().find(|known| known.id == *task);
                task.and_then(|task| task.waiting.clone())
            }
            None => call,
        };
        let withdraw = question.withdraw_ms.map(|after_ms| {
            let what = What::Recall(Recall::Withdraw(own.to_owned()));
            Deed { after_ms: after_ms.max(1), about: about.clone(), what, ..note(String::new()) }
        });
        let put = Deed { about, ..note(text) };
        [put].into_iter().chain(withdraw).collect()
    }

    pub(super) fn take_back(&mut self, own: &str) -> Vec<Deed> {
        let Some(question) = self.questions.iter_mut().find(|question| question.id == own) else {
            return Vec::new();
        };
        if question.state != Asked::Open {
            return Vec::new();
        }
        question.state = Asked::Withdrawn;
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{own},"reason":"changed my mind"}}}}"#
        );
        let about = question.call.clone();
        let mut deeds = vec![Deed { about, ..note(text) }];
        deeds.extend(self.conclude(own));
        deeds
    }

    /// A client's answer, or the proxy's.
    pub(super) fn told(&mut self, own: &str, value: &Value, session: Option<&str>) -> Vec<Deed> {
        let Some(question) = self.questions.iter_mut().find(|question| question.id == own) else {
            return Vec::new();
        };
        let (name, before) = (&self.name, question.state);
        assert!(before != Asked::Planned, "{name}: answered before it was asked: {value}");
        if question.answer == *value {
            // A POST is sent again when its connection closed unread, though it may have arrived.
            return Vec::new();
        }
        assert!(question.answer.is_null(), "{name}: a question answered twice: {value}");
        assert_eq!(question.session.as_deref(), session, "{name}: answered in another session: {value}");
        if let (Some(owner), Some(by)) = (&question.owner, signature(value)) {
            assert_eq!(by, owner, "{name}: the answer of another client: {value}");
        }
        question.answer = value.clone();
        if before == Asked::Withdrawn {
            return Vec::new();
        }
        question.state = Asked::Answered;
        self.conclude(own)
    }

    /// When all questions of a call are settled, it is answered with what came of them.
    fn conclude(&mut self, own: &str) -> Vec<Deed> {
        let Some(question) = self.questions.iter().find(|question| question.id == own) else {
            return Vec::new();
        };
        let (call, task, pause_ms) = (question.call.clone(), question.task.clone(), question.pause_ms);
        if let Some(task) = task {
            return self.finish_task(&task);
        }
        let Some(call) = call else { return Vec::new() };
        let all: Vec<&Question> = self.questions.iter().filter(|q| q.call.as_ref() == Some(&call)).collect();
        if all.iter().any(|question| matches!(question.state, Asked::Planned | Asked::Open)) {
            return Vec::new();
        }
        let texts: Vec<String> = all.iter().map(|question| spoken(&question.answer)).collect();
        let text = if let [one] = texts.as_slice() { one.clone() } else { format!("[{}]", texts.join(",")) };
        let content =
            json!({"content": [{"type": "text", "text": text}], "_meta": {"sim/uid": self.unique()}});
        vec![Deed { after_ms: pause_ms, ..answer(&call, format!(r#""result":{content}"#)) }]
    }

    /// What came of the questions of a task, as text.
    pub(super) fn told_task(&self, task: &str) -> Option<String> {
        let all = self.questions.iter().filter(|question| question.task.as_deref() == Some(task));
        let texts: Vec<String> = all.map(|question| spoken(&question.answer)).collect();
        (!texts.is_empty()).then(|| texts.join(","))
    }

    /// A client tells how its answer is coming along.
    pub(super) fn reported(&mut self, token: &Value) {
        let Some(count) = token.as_str().and_then(|token| token.strip_prefix("of-")) else { return };
        let of = |question: &&mut Question| question.id.trim_matches(['"', 'q']) == count;
        if let Some(question) = self.questions.iter_mut().find(of) {
            question.reports += 1;
        }
    }
}

/// What a question came to: the `result`, the `error`, or nothing.
fn spoken(answer: &Value) -> String {
    match (&answer["result"], &answer["error"]) {
        (Value::Null, Value::Null) => "null".to_owned(),
        (Value::Null, error) => error.to_string(),
        (result, _) => result.to_string(),
    }
}

/// Who signed an answer; the proxy signs nothing.
fn signature(answer: &Value) -> Option<&str> {
    answer["result"]["_meta"]["sim/by"].as_str().or_else(|| answer["error"]["data"]["sim/by"].as_str())
}
