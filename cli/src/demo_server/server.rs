//! The demo server's state machine: lines and time in, lines out.
//!
//! ```text
//! new ──initialize──▶ open: each request is answered at once, or becomes a Job
//!                           Job::Countdown ──tick…──▶ result        ◀── notifications/cancelled: no answer
//!                           Job::Ask ──client's response──▶ result
//! ```
//!
//! The driver calls [`Server::handle`] per line and [`Server::tick`] when [`Server::deadline`] has passed, and drains
//! [`Server::poll_output`] after each. Nothing here fails, waits or looks at a clock.
//!
//! Invariants: each request gets exactly one answer, unless it was cancelled in time, and then none; progress only
//! with a token, strictly increasing, and never after the answer; at most [`JOBS_MAX`] requests are open.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::catalog::{self, Answer, Refusal, Revision};
use mcp_proxy_core::time::calendar;

/// A reading of both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// Never goes back; for deadlines.
    pub(super) since_start: Duration,
    /// For people.
    pub(super) unix_seconds: u64,
}

/// The server of one connection.
pub(super) struct Server {
    session: Option<Session>,
    jobs: Vec<Job>,
    questions: u64,
    output: VecDeque<String>,
}

/// What `initialize` settled.
struct Session {
    revision: Revision,
    may_ask: bool,
}

/// A request that is answered later.
struct Job {
    id: Value,
    due: Duration,
    work: Work,
}

enum Work {
    Countdown(Countdown),
    /// Waits for the response to our request `ask-N`; `due` is when we lose patience.
    Ask {
        question: u64,
    },
}

struct Countdown {
    token: Option<Value>,
    done: u64,
    steps: u64,
    delay: Duration,
}

/// What a request leads to.
enum Outcome {
    Answered(Answer),
    Later,
}

impl Server {
    pub(super) fn new() -> Self {
        Self { session: None, jobs: Vec::new(), questions: 0, output: VecDeque::new() }
    }

    /// Takes one line from the client, with or without its line end. Blank lines mean nothing.
    pub(super) fn handle(&mut self, now: Now, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        match serde_json::from_slice(line) {
            Ok(Value::Object(message)) => self.on_message(now, message),
            Ok(_) => self.send_error(&Value::Null, invalid("a message must be a JSON object")),
            Err(_) => self.handle_unreadable("parse error"),
        }
    }

    /// Takes note that something came that cannot be read as JSON.
    pub(super) fn handle_unreadable(&mut self, problem: &str) {
        self.send_error(&Value::Null, Refusal::new(catalog::PARSE_ERROR, problem));
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Now) {
        while let Some(index) = self.jobs.iter().position(|job| job.due <= now.since_start) {
            self.on_due(now, index);
        }
    }

    /// When [`Server::tick`] must be called next, on the clock of [`Now::since_start`].
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.jobs.iter().map(|job| job.due).min()
    }

    /// The next line to write, without its line feed.
    pub(super) fn poll_output(&mut self) -> Option<String> {
        self.output.pop_front()
    }

    fn on_message(&mut self, now: Now, mut message: Map<String, Value>) {
        let id = message.remove("id");
        let is_id_valid = id.as_ref().is_none_or(is_id);
        let reply_to = id.clone().filter(|_| is_id_valid).unwrap_or(Value::Null);
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return self.send_error(&reply_to, invalid("jsonrpc must be \"2.0\""));
        }
        let params = match message.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) if id.is_none() => return,
            Some(_) => return self.send_error(&reply_to, Refusal::bad_params("params must be an object")),
        };
        match (message.remove("method"), id) {
            (Some(Value::String(method)), None) => self.on_notification(&method, &params),
            (Some(Value::String(_)), Some(_)) if !is_id_valid => {
                self.send_error(&reply_to, invalid("id must be a string or an integer"));
            }
            (Some(Value::String(method)), Some(id)) => self.on_request(now, id, &method, &params),
            (None, Some(id)) if message.contains_key("result") || message.contains_key("error") => {
                self.on_response(&id, message.get("result"));
            }
            _ => self.send_error(&reply_to, invalid("method must be a string")),
        }
    }

    fn on_notification(&mut self, method: &str, params: &Map<String, Value>) {
        if method != "notifications/cancelled" {
            return;
        }
        let Some(index) = self.jobs.iter().position(|job| params.get("requestId") == Some(&job.id)) else {
            return;
        };
        if let Work::Ask { question } = self.jobs.remove(index).work {
            self.withdraw(question, "the call was cancelled");
        }
    }

    fn on_request(&mut self, now: Now, id: Value, method: &str, params: &Map<String, Value>) {
        if self.jobs.iter().any(|job| job.id == id) {
            return self.send_error(&id, invalid("a request with this id is still open"));
        }
        match self.dispatch(now, &id, method, params) {
            Outcome::Answered(Ok(result)) => self.send_result(&id, result),
            Outcome::Answered(Err(refusal)) => self.send_error(&id, refusal),
            Outcome::Later => {}
        }
    }

    fn dispatch(&mut self, now: Now, id: &Value, method: &str, params: &Map<String, Value>) -> Outcome {
        let plain: fn(Revision, &Map<String, Value>) -> Answer = match method {
            "ping" => return Outcome::Answered(Ok(json!({}))),
            "initialize" => return Outcome::Answered(self.on_initialize(params)),
            "tools/call" => return self.on_call(now, id, params),
            "tools/list" => |revision, params| page(params, catalog::tools(revision)),
            "prompts/list" => |_, params| page(params, catalog::prompts()),
            "prompts/get" => |_, params| catalog::prompt(params),
            "resources/list" => |_, params| page(params, catalog::resources()),
            "resources/templates/list" => |_, params| page(params, catalog::templates()),
            "resources/read" => |_, params| catalog::resource(params),
            "completion/complete" => |_, params| catalog::completion(params),
            _ => return refuse(Refusal::new(catalog::METHOD_NOT_FOUND, "method not found")),
        };
        match &self.session {
            Some(session) => Outcome::Answered(plain(session.revision, params)),
            None => too_early(),
        }
    }

    fn on_initialize(&mut self, params: &Map<String, Value>) -> Answer {
        if self.session.is_some() {
            return Err(invalid("already initialized"));
        }
        let Some(asked) = params.get("protocolVersion").and_then(Value::as_str) else {
            return Err(Refusal::bad_params("params.protocolVersion must be a string"));
        };
        let revision = Revision::negotiate(asked);
        let elicitation = params.get("capabilities").and_then(|known| known.get("elicitation")?.as_object());
        // An empty object means forms only, one with members names the modes (2025-11-25 client/elicitation).
        let has_forms = elicitation.is_some_and(|modes| modes.is_empty() || modes.contains_key("form"));
        let may_ask = has_forms && revision >= Revision::R2025_06_18;
        self.session = Some(Session { revision, may_ask });
        Ok(catalog::initialized(revision))
    }

    fn on_call(&mut self, now: Now, id: &Value, params: &Map<String, Value>) -> Outcome {
        let Some(&Session { revision, may_ask }) = self.session.as_ref() else { return too_early() };
        let empty = Map::new();
        let arguments = match params.get("arguments") {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return refuse(Refusal::bad_params("params.arguments must be an object")),
        };
        let outcome = match params.get("name").and_then(Value::as_str) {
            Some("echo") => {
                text(arguments, "text").map(|text| Outcome::Answered(Ok(catalog::text_result(text))))
            }
            Some("clock") => Ok(Outcome::Answered(Ok(clock(revision, now.unix_seconds)))),
            Some("countdown") => match progress_token(params) {
                Ok(token) => countdown(arguments, token).map(|countdown| {
                    self.begin(id, now.since_start + countdown.delay, Work::Countdown(countdown))
                }),
                Err(refusal) => return refuse(refusal),
            },
            Some("ask") => text(arguments, "question").map(|question| self.ask(now, id, question, may_ask)),
            Some(_) => return refuse(Refusal::bad_params("unknown tool")),
            None => return refuse(Refusal::bad_params("params.name must be a string")),
        };
        // Since 2025-11-25 the model shall see what is wrong with its arguments (SEP-1303).
        outcome.unwrap_or_else(|problem| match revision {
            Revision::R2025_11_25 => Outcome::Answered(Ok(catalog::error_result(&problem))),
            Revision::R2024_11_05 | Revision::R2025_03_26 | Revision::R2025_06_18 => {
                refuse(Refusal::bad_params(problem))
            }
        })
    }

    fn ask(&mut self, now: Now, id: &Value, question: &str, may_ask: bool) -> Outcome {
        if !may_ask {
            return Outcome::Answered(Ok(catalog::error_result(
                "This client cannot be asked: it did not declare the elicitation capability.",
            )));
        }
        let number = self.questions;
        let outcome = self.begin(id, now.since_start + PATIENCE, Work::Ask { question: number });
        if let Outcome::Later = outcome {
            self.questions += 1;
            self.send(&json!({
                "jsonrpc": "2.0",
                "id": question_id(number),
                "method": "elicitation/create",
                "params": {
                    "message": question,
                    "requestedSchema": {
                        "type": "object",
                        "properties": {"answer": {"type": "string", "title": "Your answer"}},
                        "required": ["answer"],
                    },
                },
            }));
        }
        outcome
    }

    fn begin(&mut self, id: &Value, due: Duration, work: Work) -> Outcome {
        if self.jobs.len() >= JOBS_MAX {
            return Outcome::Answered(Ok(catalog::error_result("Too many calls at once, try again later.")));
        }
        self.jobs.push(Job { id: id.clone(), due, work });
        Outcome::Later
    }

    fn on_due(&mut self, now: Now, index: usize) {
        let mut job = self.jobs.remove(index);
        match &mut job.work {
            Work::Countdown(countdown) => {
                countdown.done += 1;
                let (done, steps) = (countdown.done, countdown.steps);
                if let Some(token) = countdown.token.clone() {
                    self.send_progress(&token, done, steps);
                }
                if done < steps {
                    job.due = now.since_start + countdown.delay;
                    self.jobs.insert(index, job);
                } else {
                    self.send_result(&job.id, catalog::text_result(&format!("Counted down {steps} steps.")));
                }
            }
            Work::Ask { question } => {
                self.withdraw(*question, "no answer in time");
                self.send_result(&job.id, catalog::error_result("The user did not answer in time."));
            }
        }
    }

    /// The client answers a question. Responses to anything else are late or made up, and mean nothing.
    fn on_response(&mut self, response_id: &Value, result: Option<&Value>) {
        let is_answered = |job: &Job| match job.work {
            Work::Ask { question } => response_id.as_str() == Some(&question_id(question)),
            Work::Countdown(_) => false,
        };
        let Some(index) = self.jobs.iter().position(is_answered) else { return };
        let job = self.jobs.remove(index);
        let member = |name: &str| result.and_then(|result| result.get(name));
        let answer = member("content").and_then(|content| content.get("answer")?.as_str());
        let outcome = match (member("action").and_then(Value::as_str), answer) {
            (Some("accept"), Some(answer)) => catalog::text_result(&format!("The user answered: {answer}")),
            (Some("accept"), None) => catalog::error_result("The client accepted without an answer."),
            (Some("decline"), _) => catalog::text_result("The user declined to answer."),
            (Some("cancel"), _) => catalog::text_result("The user dismissed the question."),
            _ => catalog::error_result("The client could not ask the user."),
        };
        self.send_result(&job.id, outcome);
    }

    fn withdraw(&mut self, question: u64, reason: &str) {
        self.send(&json!({
            "jsonrpc": "2.0",
            "method": "notifications/cancelled",
            "params": {"requestId": question_id(question), "reason": reason},
        }));
    }

    fn send_progress(&mut self, token: &Value, done: u64, steps: u64) {
        let mut params = json!({"progressToken": token, "progress": done, "total": steps});
        if self.session.as_ref().is_some_and(|session| session.revision >= Revision::R2025_03_26) {
            params["message"] = json!(format!("{} to go", steps - done));
        }
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
    }

    fn send_result(&mut self, id: &Value, result: Value) {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn send_error(&mut self, id: &Value, refusal: Refusal) {
        let mut error = json!({"code": refusal.code, "message": refusal.message});
        if let Some(data) = refusal.data {
            error["data"] = data;
        }
        self.send(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
    }

    /// Compact JSON escapes every control character, so a message is one line.
    fn send(&mut self, message: &Value) {
        self.output.push_back(message.to_string());
    }
}

fn clock(revision: Revision, unix_seconds: u64) -> Value {
    let utc = calendar::iso8601(unix_seconds);
    let structured = json!({"utc": utc, "unixSeconds": unix_seconds});
    if revision >= Revision::R2025_06_18 {
        // The text repeats the structured content (server/tools § Structured Content).
        let mut result = catalog::text_result(&structured.to_string());
        result["structuredContent"] = structured;
        result
    } else {
        catalog::text_result(&utc)
    }
}

fn countdown(arguments: &Map<String, Value>, token: Option<Value>) -> Result<Countdown, String> {
    let steps = integer(arguments, "steps", catalog::STEPS_DEFAULT, 1..=catalog::STEPS_MAX)?;
    let delay = integer(arguments, "delayMs", catalog::DELAY_MS_DEFAULT, 0..=catalog::DELAY_MS_MAX)?;
    Ok(Countdown { token, done: 0, steps, delay: Duration::from_millis(delay) })
}

fn progress_token(params: &Map<String, Value>) -> Result<Option<Value>, Refusal> {
    match params.get("_meta").and_then(|meta| meta.get("progressToken")) {
        None => Ok(None),
        Some(token) if is_id(token) => Ok(Some(token.clone())),
        Some(_) => Err(Refusal::bad_params("progressToken must be a string or an integer")),
    }
}

fn text<'a>(arguments: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    arguments
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("{name} is required and must be a string"))
}

/// An integer in JSON Schema's sense, to which `5.0` belongs.
fn integer(
    arguments: &Map<String, Value>,
    name: &str,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, String> {
    let Some(value) = arguments.get(name) else { return Ok(default) };
    let float =
        || value.as_f64().filter(|float| float.fract() == 0.0 && *float >= 0.0).map(|float| float as u64);
    (value.as_u64().or_else(float))
        .filter(|whole| range.contains(whole))
        .ok_or_else(|| format!("{name} must be an integer from {} to {}", range.start(), range.end()))
}

/// We offer no second page, so no cursor can be ours.
fn page(params: &Map<String, Value>, list: Value) -> Answer {
    match params.get("cursor") {
        None | Some(Value::Null) => Ok(list),
        Some(_) => Err(Refusal::bad_params("unknown cursor")),
    }
}

/// Strings and integers; others would be ambiguous or lose digits on the way back.
fn is_id(value: &Value) -> bool {
    value.is_string() || value.is_i64() || value.is_u64()
}

fn question_id(question: u64) -> String {
    format!("ask-{question}")
}

fn invalid(problem: &str) -> Refusal {
    Refusal::new(catalog::INVALID_REQUEST, problem)
}

fn refuse(refusal: Refusal) -> Outcome {
    Outcome::Answered(Err(refusal))
}

fn too_early() -> Outcome {
    refuse(invalid("initialize first"))
}

/// Calls open at once. The demo is for one person looking at it.
const JOBS_MAX: usize = 64;

/// How long a person may think about a question.
const PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests;
