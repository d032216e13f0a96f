//! What a scripted MCP server thinks: messages in, deeds out, whatever carries them.
//!
//! Written for legacy revisions (`initialize`); any other method it does not know is -32601. What it heard is
//! kept, in raw text too, for scenarios to look at. Tools of its own, chosen by name:
//!
//! | tool | does |
//! |---|---|
//! | `echo` | gives its `text` back, and its arguments byte for byte as `structuredContent` |
//! | `slow` | answers after `ms` |
//! | `stubborn` | the same, cancelled or not |
//! | `progress` | `n` times progress, every `ms`, then the answer |
//! | `log` | a log message, then the answer |
//! | `fail` | a JSON-RPC error |
//! | `big` | a text of `bytes` characters |
//! | `never` | does not answer |
//! | `twice` | answers twice |
//! | `foreign` | first answers a request nobody sent |
//! | `crash` | exits with code 3 |
//! | `cut` | breaks the stream the answer belongs to (HTTP only), answers after `ms` |
//! | `change` | says that its tools changed, then answers |
//! | any | names `page` as the page of an app in the `_meta` of its result |
//! | `link` | the text, then a link to the resource `uri`; no server has it unless told so |
//! | `ask` | asks its client, answers with what it was told: see [`asking`] |
//! | `url` | sends its client to a URL (-32042, `id`), which is visited after `ms` |
//! | `task` | asks or works as a task, if it is one of its tools: see [`tasks`] |
//!
//! The method `com.example/NAME` does what a call of that tool does.
//!
//! Tags: the client plants `_meta."sim/tag"`; answers, progress, log messages and questions carry it back, so nobody
//! can take another's.

pub mod asking;
pub mod tasks;

use asking::{Asked, Question};
use mcp_proxy_core::id::ConnId;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A message as it came in.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its text.
    pub raw: String,
    /// Its meaning.
    pub value: Value,
    /// Virtual time, nanoseconds.
    pub at: u64,
}

/// Something a server will do.
#[derive(Debug, Clone)]
pub struct Deed {
    /// How long from now, milliseconds.
    pub after_ms: u64,
    /// The request it belongs to: the raw text of its id.
    pub about: Option<String>,
    /// The session (HTTP) it happened in.
    pub session: Option<String>,
    /// Do it even when the request was cancelled.
    pub stubborn: bool,
    /// What.
    pub what: What,
}

/// Kinds of deeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A message that is not the answer.
    Say(String),
    /// The answer to `about`.
    Answer(String),
    /// The process exits.
    Exit(i32),
    /// Break the stream of `about`, keeping the request.
    Cut,
    /// Answer a request on this connection with 404 (HTTP only).
    Refuse(ConnId),
    /// Go on with something begun.
    Recall(Recall),
}

/// What a mind had begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recall {
    /// Put the question with this raw id.
    Ask(String),
    /// Take it back, unless it was answered.
    Withdraw(String),
    /// Do the work of this task.
    Work(String),
}

/// The memory and habits of one MCP server.
#[derive(Debug, Clone)]
pub struct Mind {
    /// Goes into everything it publishes.
    pub name: String,
    /// The revision it insists on; `None` accepts what is asked for.
    pub revision: Option<&'static str>,
    /// Names of its tools.
    pub tools: Vec<String>,
    /// How many prompts, resources and templates it has (each kind).
    pub others: usize,
    /// Names, URIs or URI templates of its prompts, resources or templates (by the member of the list), where they
    /// are not the usual ones.
    pub named: BTreeMap<&'static str, Vec<String>>,
    /// A client capability, and a tool that only clients with it are shown (a process of its own each).
    pub bonus: Option<(&'static str, &'static str)>,
    /// Items on a page; 0 for all.
    pub page: usize,
    /// Each page points to itself.
    pub page_loop: bool,
    /// Declares `listChanged`.
    pub list_changed: bool,
    /// Never answers anything.
    pub mute: bool,
    /// Does not answer `ping`.
    pub ping_mute: bool,
    /// Waits so long with each answer, milliseconds.
    pub delay_ms: u64,
    /// Refuses `initialize` with an error.
    pub refuses: bool,
    /// The `_meta` of tools, by name.
    pub metas: BTreeMap<String, Value>,
    /// That error, as it is written.
    pub refusal: &'static str,
    /// Answers `server/discover` with this result, as it is written, if it is not empty.
    pub discovery: &'static str,
    /// Completes arguments.
    pub completes: bool,
    /// What else it says in its greeting: members laid over it, also inside of its members.
    pub greets: Value,
    /// So many requests for a list fail.
    pub list_failures: usize,
    /// Which list that is, by its method.
    pub list_failing: &'static str,
    /// Items at the end of a list, by its member, that are as they are.
    pub odd: BTreeMap<&'static str, Vec<Value>>,
    /// Everything it was told.
    pub heard: Vec<Heard>,
    /// Everything it has asked or means to ask.
    pub questions: Vec<Question>,
    /// Resources it was told to watch, each with its session (HTTP).
    pub watched: BTreeSet<(Option<String>, String)>,
    asked: usize,
    begun: usize,
    tasks: Vec<tasks::Task>,
    levels: BTreeMap<Option<String>, usize>,
    cancelled: BTreeSet<String>,
    run: u64,
    counter: u64,
}

/// Tools every mind lists unless told otherwise.
pub const TOOLS: [&str; 14] = [
    "echo", "slow", "stubborn", "progress", "log", "fail", "big", "never", "twice", "foreign", "crash",
    "cut", "change", "ask",
];

/// Log levels, the least severe first.
pub const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// A resource that no mind has.
pub const MISSING: &str = "sim://missing";

/// The error for it, as it is written.
pub const NO_RESOURCE: &str =
    r#"{"code":-32002,"message":"Resource not found","data":{"uri":"sim:\/\/missing"}}"#;

impl Mind {
    /// A well-behaved server with all tools, two prompts, two resources and two templates.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            revision: None,
            tools: TOOLS.map(str::to_owned).to_vec(),
            others: 2,
            named: BTreeMap::new(),
            bonus: None,
            page: 0,
            page_loop: false,
            list_changed: true,
            mute: false,
            ping_mute: false,
            delay_ms: 0,
            refuses: false,
            metas: BTreeMap::new(),
            refusal: r#"{"code":-32600,"message":"go away"}"#,
            discovery: "",
            completes: true,
            greets: Value::Null,
            list_failures: 0,
            list_failing: "tools/list",
            odd: BTreeMap::new(),
            heard: Vec::new(),
            questions: Vec::new(),
            watched: BTreeSet::new(),
            asked: 0,
            begun: 0,
            tasks: Vec::new(),
            levels: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            run: 0,
            counter: 0,
        }
    }

    /// How often it heard a method.
    pub fn count(&self, method: &str) -> usize {
        self.heard.iter().filter(|heard| heard.value["method"] == method).count()
    }

    /// The last message with this method.
    pub fn last(&self, method: &str) -> Option<&Heard> {
        self.heard.iter().rev().find(|heard| heard.value["method"] == method)
    }

    /// How often it heard a call of this tool.
    pub fn calls(&self, tool: &str) -> usize {
        self.heard.iter().filter(|heard| heard.value["params"]["name"] == tool).count()
    }

    /// Whether a deed still makes sense.
    pub fn still_wants(&self, deed: &Deed) -> bool {
        deed.stubborn || deed.about.as_ref().is_none_or(|id| !self.cancelled.contains(id))
    }

    /// Takes one message, of a session if there are any.
    pub fn hear(&mut self, raw: &str, session: Option<&str>, now: u64) -> Vec<Deed> {
        let mut deeds = self.react(raw, session, now);
        for deed in &mut deeds {
            deed.session = session.map(str::to_owned);
        }
        deeds
    }

    fn react(&mut self, raw: &str, session: Option<&str>, now: u64) -> Vec<Deed> {
        let value: Value = serde_json::from_str(raw).unwrap_or_else(|e| panic!("not JSON ({e}): {raw:?}"));
        assert_eq!(value["jsonrpc"], "2.0", "not JSON-RPC: {raw:?}");
        self.heard.push(Heard { raw: raw.to_owned(), value: value.clone(), at: now });
        let method = value["method"].as_str().unwrap_or_default().to_owned();
        if method == "notifications/cancelled" {
            let call = value["params"]["requestId"].to_string();
            // What was asked on a stream that broke nobody may ever have seen.
            let moot = |q: &&mut Question| {
                session.is_some() && q.call.as_ref() == Some(&call) && q.state == Asked::Open
            };
            self.questions.iter_mut().filter(moot).for_each(|question| question.state = Asked::Withdrawn);
            self.cancelled.insert(call);
        } else if method == "notifications/progress" {
            self.reported(&value["params"]["progressToken"]);
        }
        let Some(id) = members(raw).get("id").map(|id| id.get().to_owned()) else { return Vec::new() };
        if method.is_empty() {
            return self.told(&id, &value, session);
        }
        // The same number, but another request.
        self.cancelled.remove(&id);
        if self.mute || (self.ping_mute && method == "ping") {
            return Vec::new();
        }
        let mut deeds = if method == "tools/call" {
            self.call(&id, raw, &value["params"], session)
        } else if let Some(name) = method.strip_prefix("com.example/") {
            let mut params = value["params"].clone();
            params["name"] = json!(name);
            self.call(&id, raw, &params, session)
        } else if method.starts_with("tasks/") {
            self.on_task_request(&id, &method, &value["params"])
        } else {
            self.note_wish(&method, &value["params"], session);
            vec![answer(&id, self.respond(&method, &value["params"]))]
        };
        for deed in &mut deeds {
            deed.after_ms += self.delay_ms;
        }
        deeds
    }

    /// Tells one process from the next of the same program.
    pub fn name_run(&mut self, run: u64) {
        self.run = run;
    }

    /// A text that no other message of any server has.
    pub fn unique(&mut self) -> String {
        self.counter += 1;
        format!("#{}.{}.{}#", self.name, self.run, self.counter)
    }

    /// What a session wants to hear of.
    fn note_wish(&mut self, method: &str, params: &Value, session: Option<&str>) {
        let session = session.map(str::to_owned);
        let uri = params["uri"].as_str().unwrap_or_default().to_owned();
        match method {
            "logging/setLevel" => {
                let level = LEVELS.iter().position(|level| params["level"] == *level);
                self.levels.insert(session, level.expect("only levels that exist are set"));
            }
            "resources/subscribe" => {
                self.watched.insert((session, uri));
            }
            "resources/unsubscribe" => {
                self.watched.remove(&(session, uri));
            }
            _ => {}
        }
    }

    /// A session is over; what it left open matters no more.
    pub fn forget(&mut self, session: &str) {
        self.questions.retain(|question| question.session.as_deref() != Some(session));
        self.tasks.retain(|task| task.session.as_deref() != Some(session));
        self.watched.retain(|(of, _)| of.as_deref() != Some(session));
    }

    /// The time for something begun has come.
    pub fn recall(&mut self, recall: &Recall, deed: &Deed) -> Vec<Deed> {
        let mut deeds = match recall {
            Recall::Ask(own) => self.put(own),
            Recall::Withdraw(own) => self.take_back(own),
            Recall::Work(task) => self.work(task),
        };
        for each in &mut deeds {
            each.session.clone_from(&deed.session);
        }
        deeds
    }

    fn respond(&mut self, method: &str, params: &Value) -> String {
        let tag = &params["_meta"]["sim/tag"];
        let result = match method {
            "initialize" if self.refuses => {
                return format!(r#""error":{}"#, self.refusal);
            }
            "server/discover" if !self.discovery.is_empty() => {
                return format!(r#""result":{}"#, self.discovery);
            }
            "initialize" => {
                let bonus =
                    self.bonus.filter(|(capability, _)| params["capabilities"][*capability].is_object());
                self.tools.extend(bonus.map(|(_, tool)| tool.to_owned()));
                self.greeting(params)
            }
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => json!({}),
            _ if self.list_failures > 0 && method == self.list_failing => {
                self.list_failures -= 1;
                return r#""error":{"code":-32603,"message":"not yet"}"#.to_owned();
            }
            "resources/read" if params["uri"] == MISSING => {
                return format!(r#""error":{NO_RESOURCE}"#);
            }
            "tools/list" => self.page("tools", self.tools.len(), params),
            "prompts/list" => self.page("prompts", self.total("prompts"), params),
            "resources/list" => self.page("resources", self.total("resources"), params),
            "resources/templates/list" => {
                self.page("resourceTemplates", self.total("resourceTemplates"), params)
            }
            "skills/list" if self.named.contains_key("skills") => {
                self.page("skills", self.total("skills"), params)
            }
            "skills/get" if self.named.contains_key("skills") => {
                json!({"skill": {"uri": params["uri"], "of": self.name, "resources": "dynamic"},
                    "_meta": {"sim/tag": tag}})
            }
            "prompts/get" => json!({"messages": [{"role": "user", "content": link_to(&params["arguments"])
                .unwrap_or_else(|| json!({"type": "text",
                "text": format!("{}:{}", self.name, params["name"].as_str().unwrap_or_default())}))}],
                "_meta": {"sim/tag": tag}}),
            "resources/read" => {
                json!({"contents": [{"uri": params["uri"], "text": format!("of {}", self.name)}],
                "_meta": {"sim/tag": tag}})
            }
            "completion/complete" => json!({"completion": {"values": [format!("{}-value", self.name)]},
                "_meta": {"sim/tag": tag}}),
            _ => return r#""error":{"code":-32601,"message":"no such method"}"#.to_owned(),
        };
        format!(r#""result":{result}"#)
    }

    fn greeting(&self, params: &Value) -> Value {
        let revision = self.revision.map_or_else(|| params["protocolVersion"].clone(), Value::from);
        let list = json!({"listChanged": self.list_changed});
        let mut capabilities = json!({"logging": {}, "tools": list});
        if self.completes {
            capabilities["completions"] = json!({});
        }
        if self.tools.iter().any(|tool| tool == "task") {
            capabilities["tasks"] = json!({"cancel": {}, "requests": {"tools": {"call": {}}}});
        }
        if self.others > 0 {
            capabilities["prompts"] = capabilities["tools"].clone();
            capabilities["resources"] = json!({"listChanged": self.list_changed, "subscribe": true});
        }
        let mut greeting = json!({"protocolVersion": revision, "capabilities": capabilities,
            "serverInfo": {"name": self.name, "version": "1"}, "instructions": format!("use {}", self.name)});
        for (name, more) in self.greets.as_object().into_iter().flatten() {
            match (greeting[name].as_object_mut(), more.as_object()) {
                (Some(object), Some(more)) => object.extend(more.clone()),
                _ => greeting[name] = more.clone(),
            }
        }
        greeting
    }

    fn page(&self, kind: &str, total: usize, params: &Value) -> Value {
        let from = params["cursor"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0usize);
        let to = if self.page == 0 { total } else { total.min(from + self.page) };
        let items: Vec<Value> = (from..to).map(|n| self.item(kind, n)).collect();
        let odd = self.odd.get(kind).filter(|_| to == total).into_iter().flatten().cloned();
        let mut page = json!({ kind: items.into_iter().chain(odd).collect::<Vec<_>>() });
        if self.page_loop {
            page["nextCursor"] = json!(from.to_string());
        } else if to < total {
            page["nextCursor"] = json!(to.to_string());
        }
        page
    }

    fn total(&self, kind: &str) -> usize {
        self.named.get(kind).map_or(self.others, Vec::len)
    }

    fn item(&self, kind: &str, n: usize) -> Value {
        let name = &self.name;
        if let Some(given) = self.named.get(kind).map(|names| &names[n]) {
            return match kind {
                "prompts" => json!({"name": given, "arguments": []}),
                "resources" => json!({"uri": given, "name": format!("res{n} of {name}")}),
                "skills" => json!({"uri": given, "of": name, "resources": "dynamic"}),
                _ => json!({"uriTemplate": given, "name": format!("tpl{n} of {name}")}),
            };
        }
        match kind {
            "tools" => {
                let support = if self.tools[n] == "task" { "required" } else { "optional" };
                let mut tool = json!({"name": self.tools[n], "description": format!("{name} {n}"),
                    "x-unknown": [n, 1.0], "inputSchema": {"type": "object"},
                    "execution": {"taskSupport": support}});
                if let Some(meta) = self.metas.get(&self.tools[n]) {
                    tool["_meta"] = meta.clone();
                }
                tool
            }
            "prompts" => json!({"name": format!("prompt{n}"), "arguments": []}),
            "resources" => json!({"uri": format!("sim://{name}/{n}"), "name": format!("res{n}")}),
            _ => json!({"uriTemplate": format!("sim://{name}/t{n}/{{x}}"), "name": format!("tpl{n}")}),
        }
    }

    fn call(&mut self, id: &str, raw: &str, params: &Value, session: Option<&str>) -> Vec<Deed> {
        let raw_params = members(raw).remove("params").map(|p| p.get().to_owned()).unwrap_or_default();
        let raw_arguments = members(&raw_params).remove("arguments");
        let raw_arguments = raw_arguments.as_ref().map_or("{}", |a| a.get());
        let arguments = &params["arguments"];
        let (ms, n) = (arguments["ms"].as_u64().unwrap_or(0), arguments["n"].as_u64().unwrap_or(3));
        let mut meta = json!({"sim/tag": params["_meta"]["sim/tag"], "sim/uid": self.unique()});
        if arguments["page"].is_string() {
            meta["ui"] = json!({"resourceUri": arguments["page"]});
        }
        let text = match params["name"].as_str() {
            Some("big") => "x".repeat(arguments["bytes"].as_u64().unwrap_or(1) as usize),
            _ => arguments["text"].as_str().unwrap_or("done").to_owned(),
        };
        let mut content = json!([{"type": "text", "text": text}]);
        if params["name"] == "link" {
            content.as_array_mut().unwrap().extend(link_to(arguments));
        }
        let done = answer(
            id,
            format!(r#""result":{{"content":{content},"structuredContent":{raw_arguments},"_meta":{meta}}}"#),
        );
        let later = |deed: &Deed, ms: u64| Deed { after_ms: ms, ..deed.clone() };
        match params["name"].as_str().unwrap_or_default() {
            "slow" => vec![later(&done, ms)],
            "stubborn" => vec![Deed { stubborn: true, ..later(&done, ms) }],
            "progress" => {
                self.progress(id, params, ms, n).into_iter().chain([later(&done, ms * (n + 1))]).collect()
            }
            "log" => self.log(id, params, session).into_iter().chain([later(&done, ms)]).collect(),
            "fail" => {
                vec![answer(id, r#""error":{"code":-5,"message":"as you wish","data":{"n":1}}"#.to_owned())]
            }
            "never" => vec![],
            "twice" => vec![done.clone(), later(&done, ms)],
            "foreign" => vec![say(id, r#"{"jsonrpc":"2.0","id":987654321,"result":{}}"#.to_owned()), done],
            "crash" => vec![Deed { what: What::Exit(3), ..done }],
            "cut" => vec![Deed { what: What::Cut, ..done.clone() }, later(&done, ms)],
            "change" => vec![
                note(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned()),
                done,
            ],
            "ask" => self.ask(id, params, session),
            "task" => self.begin_task(id, params, session),
            "url" => self.send_away(id, arguments, ms),
            name if self.tools.iter().any(|tool| tool == name) => vec![done],
            _ => vec![answer(id, r#""error":{"code":-32602,"message":"unknown tool"}"#.to_owned())],
        }
    }

    fn progress(&mut self, id: &str, params: &Value, ms: u64, n: u64) -> Vec<Deed> {
        let token = &params["_meta"]["progressToken"];
        if token.is_null() {
            return Vec::new();
        }
        let tag = params["_meta"]["sim/tag"].as_str().unwrap_or_default().to_owned();
        (1..=n)
            .map(|step| {
                let message = format!("{tag} {}", self.unique());
                let note = json!({"jsonrpc": "2.0", "method": "notifications/progress",
                    "params": {"progressToken": token, "progress": step, "total": n, "message": message}});
                Deed { after_ms: ms * step, ..say(id, note.to_string()) }
            })
            .collect()
    }

    /// `n` log messages, if their level is one that the session wants.
    fn log(&mut self, id: &str, params: &Value, session: Option<&str>) -> Vec<Deed> {
        let arguments = &params["arguments"];
        let level = arguments["level"].as_str().unwrap_or("info");
        let told = self.levels.get(&session.map(str::to_owned)).copied().unwrap_or_default();
        if LEVELS.iter().position(|known| *known == level).is_none_or(|level| level < told) {
            return Vec::new();
        }
        let one = |mind: &mut Self| {
            let data = json!({"sim/tag": params["_meta"]["sim/tag"], "sim/uid": mind.unique()});
            let note = json!({"jsonrpc": "2.0", "method": "notifications/message",
                "params": {"level": level, "data": data}});
            say(id, note.to_string())
        };
        (0..arguments["n"].as_u64().unwrap_or(1)).map(|_| one(self)).collect()
    }

    /// -32042, and after a while the news that the URL was visited.
    fn send_away(&mut self, id: &str, arguments: &Value, ms: u64) -> Vec<Deed> {
        let elicitation = json!({"mode": "url", "elicitationId": arguments["id"], "message": "Sign in",
            "url": "https://example.com/in"});
        let error =
            json!({"code": -32042, "message": "sign in first", "data": {"elicitations": [elicitation]}});
        let news = json!({"jsonrpc": "2.0", "method": "notifications/elicitation/complete",
            "params": {"elicitationId": arguments["id"], "sim/uid": self.unique()}});
        vec![answer(id, format!(r#""error":{error}"#)), Deed { after_ms: ms, ..note(news.to_string()) }]
    }
}

/// The members of a JSON object as raw text.
pub fn members(raw: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(raw).unwrap_or_default()
}

/// A link to the resource that the arguments name, if they do.
fn link_to(arguments: &Value) -> Option<Value> {
    let uri = arguments["uri"].as_str()?;
    Some(json!({"type": "resource_link", "uri": uri, "name": "linked"}))
}

fn answer(id: &str, rest: String) -> Deed {
    let text = format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#);
    Deed { what: What::Answer(text), ..say(id, String::new()) }
}

fn say(about: &str, text: String) -> Deed {
    Deed { about: Some(about.to_owned()), ..note(text) }
}

/// A message that belongs to no request.
pub fn note(text: String) -> Deed {
    Deed { after_ms: 0, about: None, session: None, stubborn: false, what: What::Say(text) }
}
