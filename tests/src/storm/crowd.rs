//! The crowd: clients that come, say everything that clients can say, and leave.
//!
//! Nothing here waits: what becomes of a handshake or a request is looked at later, because in a storm it may be lost.

use super::Storm;
use super::plan::Reach;
use crate::client::{Client, Kind, MERGED, Progress, Req, State, Xid};
use crate::dice::Dice;
use crate::mind::LEVELS;
use serde_json::{Value, json};

/// A request, and the text that its result must have.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Which.
    pub req: Req,
    /// The first text of the result, if it is known before.
    pub text: Option<String>,
    /// Whether it was judged already.
    pub judged: bool,
}

/// A client on its way in.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer {
    client: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// It waits for the event stream of HTTP+SSE.
    Stream(usize),
    /// It waits for the answer to its greeting.
    Greeting(Req),
}

const KINDS: [Kind; 3] = [Kind::Streamable, Kind::Streamable, Kind::Sse];
const QUESTIONS: [&str; 3] = ["roots/list", "sampling/createMessage", "elicitation/create"];
const REVISIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2025-11-25"];
const BROKEN: [&str; 5] =
    ["{", "[]", "{}", r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "\u{1}nonsense"];
const TORN: [&str; 4] = [
    "POST /mcp HTTP/1.1\r\nhost: localhost:9090\r\ncontent-le",
    "POST /mcp HTTP/1.1\r\nhost: localhost:9090\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"json",
    "\u{1}\u{2}\u{3}",
    "GET",
];

impl Storm {
    /// Somebody comes, who can be asked this or that and answers so or so.
    pub(super) fn arrive(&mut self) {
        let (kind, own) = (*self.dice.pick(&KINDS), self.dice.roll());
        let server = if self.dice.chance(300) { MERGED.to_owned() } else { self.a_server().0 };
        let token = self.a_token(&server);
        let client = self.world.stranger_with(&server, kind, |client| {
            be(client, &mut Dice::new(own));
            if let Some(token) = &token {
                client.fields.push(("authorization".to_owned(), format!("Bearer {token}")));
            }
        });
        let stage = match kind {
            Kind::Sse => {
                self.tally.request("GET, HTTP+SSE");
                Stage::Stream(self.world.clients[client].listen(&mut self.world.net, None))
            }
            Kind::Streamable => Stage::Greeting(self.greet(client)),
        };
        self.newcomers.push(Newcomer { client, stage });
    }

    fn a_server(&mut self) -> (String, Reach) {
        self.dice.pick(&self.plan.servers).clone()
    }

    fn greet(&mut self, client: usize) -> Req {
        let it = &self.world.clients[client];
        let params = json!({"protocolVersion": it.revision, "capabilities": it.capabilities,
            "clientInfo": {"name": "sim", "version": "1"}});
        self.begin(client, "initialize", params, None)
    }

    /// Lets clients on their way in take their next step.
    pub(super) fn welcome(&mut self) {
        for newcomer in std::mem::take(&mut self.newcomers) {
            match newcomer.stage {
                Stage::Stream(index) => {
                    let it = &self.world.clients[newcomer.client];
                    if let Some(endpoint) = &it.endpoint {
                        if let Some((_, token)) = endpoint.split_once('=') {
                            self.world.watch.guard(token);
                        }
                        let stage = Stage::Greeting(self.greet(newcomer.client));
                        self.newcomers.push(Newcomer { stage, ..newcomer });
                    } else if it.exchanges[index].progress == Progress::Running {
                        self.newcomers.push(newcomer);
                    }
                }
                Stage::Greeting(req) => match self.world.state(req) {
                    State::Waiting => self.newcomers.push(newcomer),
                    State::Lost => {}
                    State::Answered(raw) => {
                        let raw = raw.clone();
                        self.greeted(newcomer.client, req, &raw);
                    }
                },
            }
        }
    }

    fn greeted(&mut self, client: usize, req: Req, raw: &str) {
        let answer: Value = serde_json::from_str(raw).unwrap();
        let Some(agreed) = answer["result"]["protocolVersion"].as_str() else { return };
        let exchange = self.world.exchange_of(req);
        let session = self.world.exchange(exchange).field("mcp-session-id").map(str::to_owned);
        if let Some(session) = &session {
            self.world.watch.guard(session);
        }
        let it = &mut self.world.clients[client];
        agreed.clone_into(&mut it.revision);
        it.session = session;
        self.tally.clients += 1;
        self.notify(client, "notifications/initialized", json!({}));
        if self.dice.chance(600) && self.world.clients[client].session.is_some() {
            self.listen(client);
        }
    }

    fn begin(&mut self, client: usize, method: &str, params: Value, text: Option<String>) -> Req {
        let req = self.world.start(client, method, params);
        self.tally.request(method);
        self.asked.push(Asked { req, text, judged: false });
        req
    }

    fn notify(&mut self, client: usize, method: &str, params: Value) {
        self.tally.request(method);
        self.world.notify(client, method, params);
    }

    fn listen(&mut self, client: usize) {
        self.tally.request("GET, standalone stream");
        self.world.clients[client].listen(&mut self.world.net, None);
    }

    /// A client that can still say something.
    fn somebody(&mut self) -> Option<usize> {
        let able = |client: &&Client| match (client.kind, client.stream) {
            (Kind::Streamable, _) => client.session.is_some(),
            (Kind::Sse, Some(index)) => client.ready && client.exchanges[index].progress == Progress::Running,
            (Kind::Sse, None) => false,
        };
        let all: Vec<usize> = self.world.clients.iter().filter(able).map(|client| client.index).collect();
        (!all.is_empty()).then(|| *self.dice.pick(&all))
    }

    /// One random deed of somebody.
    pub(super) fn act(&mut self) {
        if self.plan.logins && self.dice.chance(150) {
            return self.act_login();
        }
        let Some(c) = self.somebody() else { return self.arrive() };
        match self.dice.below(100) {
            0..30 => self.call(c),
            30..38 => self.ask(c),
            38..44 => self.call_watched(c),
            44..52 => self.list(c),
            52..58 => self.other_request(c),
            58..66 => self.cancel(c),
            66..70 => self.batch(c),
            70..74 => self.break_off(c),
            74..80 => self.resume(c),
            80..82 if self.world.clients[c].session.is_some() => self.listen(c),
            82..86 => self.of_servers(),
            86..89 => self.misbehave(c),
            89..93 => {
                let rudely = self.dice.chance(500);
                self.leave(c, rudely);
            }
            _ => self.arrive(),
        }
    }

    /// The name of a tool or prompt as this client has to say it, of some server.
    fn called(&mut self, client: usize, name: &str) -> String {
        let (server, _) = self.a_server();
        let merged = self.world.clients[client].server == MERGED;
        if merged { format!("{server}__{name}") } else { name.to_owned() }
    }

    fn call(&mut self, c: usize) {
        let tool = *self.dice.pick(&[
            "echo", "echo", "echo", "slow", "slow", "stubborn", "log", "fail", "twice", "foreign", "big",
            "cut", "change", "never", "url", "task", "crash",
        ]);
        if matches!(tool, "never" | "crash") && self.dice.chance(700) {
            return;
        }
        self.counter += 1;
        let mut text = format!("text-{}", self.counter);
        if self.dice.chance(30) {
            text += &"y".repeat(self.dice.below(30_000) as usize);
        }
        let bytes = if self.dice.chance(60) { self.dice.below(40_000) } else { self.dice.below(2_000) };
        let arguments = json!({"ms": self.dice.below(900), "n": 2, "level": *self.dice.pick(&LEVELS),
            "id": format!("visit-{}", self.counter), "bytes": bytes, "text": text,
            "fail": self.dice.chance(200), "poll_ms": 200});
        let name = self.called(c, tool);
        let expected = match tool {
            "big" => Some("x".repeat(bytes as usize)),
            "task" | "fail" | "url" => None,
            _ => Some(text),
        };
        self.begin(c, "tools/call", json!({"name": name, "arguments": arguments}), expected);
    }

    /// A call in which the server asks something back.
    fn ask(&mut self, c: usize) {
        let method = *self.dice.pick(&QUESTIONS);
        let dice = &mut self.dice;
        let mut arguments = json!({"method": method, "ms": dice.below(300), "gap_ms": dice.below(50),
            "n": dice.range(1, 3), "token": dice.chance(300), "pause_ms": dice.below(100)});
        if dice.chance(200) {
            arguments["withdraw_ms"] = json!(dice.range(1, 600));
        }
        if method != "roots/list" {
            arguments["params"] = question(method);
        }
        let tool = if dice.chance(150) { "task" } else { "ask" };
        let name = self.called(c, tool);
        self.begin(c, "tools/call", json!({"name": name, "arguments": arguments}), None);
    }

    fn call_watched(&mut self, c: usize) {
        self.counter += 1;
        let name = self.called(c, "progress");
        let (ms, token) = (self.dice.below(200), json!(self.counter));
        let params = json!({"name": name, "arguments": {"n": 5, "ms": ms, "text": "watched"},
            "_meta": {"progressToken": token}});
        self.tally.request("tools/call with progress");
        self.begin(c, "tools/call", params, Some("watched".to_owned()));
    }

    fn list(&mut self, c: usize) {
        let method = *self.dice.pick(&crate::lists::LISTS.map(|(method, _, _)| method));
        self.begin(c, method, json!({}), None);
    }

    fn other_request(&mut self, c: usize) {
        let (server, _) = self.a_server();
        let uri = format!("sim://{server}/0");
        let (method, params) = match self.dice.below(9) {
            0 => ("ping", json!({})),
            1 => ("prompts/get", json!({"name": self.called(c, "prompt0")})),
            2 => ("resources/read", json!({ "uri": uri })),
            3 => ("resources/subscribe", json!({ "uri": uri })),
            4 => ("resources/unsubscribe", json!({ "uri": uri })),
            5 => ("logging/setLevel", json!({"level": *self.dice.pick(&LEVELS)})),
            6 => {
                let name = self.called(c, "prompt0");
                let of = json!({"type": "ref/prompt", "name": name});
                ("completion/complete", json!({"ref": of, "argument": {"name": "a", "value": "b"}}))
            }
            7 => ("tasks/get", json!({"taskId": "task-1-1"})),
            _ => ("nonsense", json!({})),
        };
        self.begin(c, method, params, None);
        if self.dice.chance(100) {
            self.notify(c, "notifications/roots/list_changed", json!({}));
        }
    }

    fn cancel(&mut self, client: usize) {
        let open: Vec<usize> = self.world.clients[client]
            .requests
            .iter()
            .filter(|request| request.state == State::Waiting)
            .map(|request| request.tag)
            .collect();
        if !open.is_empty() {
            let index = *self.dice.pick(&open);
            self.tally.request("notifications/cancelled");
            self.world.cancel(Req { client, index });
        }
    }

    /// Several messages in one body, which only one revision knows.
    fn batch(&mut self, client: usize) {
        let first = self.world.clients[client].requests.len();
        let count = self.dice.range(1, 4) as usize;
        let mut all = Vec::new();
        let tool = if self.dice.chance(500) { "echo" } else { "slow" };
        let name = self.called(client, tool);
        for tag in first..first + count {
            all.push(json!({"jsonrpc": "2.0", "id": tag, "method": "tools/call", "params": {"name": name,
                "arguments": {"text": format!("batch-{tag}"), "ms": 100},
                "_meta": {"sim/tag": format!("@c{client}.{tag}@")}}}));
        }
        if self.dice.chance(300) {
            all.push(json!({"jsonrpc": "2.0", "method": "notifications/x"}));
        }
        let ids: Vec<Value> = (first..first + count).map(|tag| json!(tag)).collect();
        self.tally.request("batch");
        let body = Value::Array(all).to_string();
        for (at, req) in (first..).zip(self.world.start_raw(client, &ids, &body)) {
            self.asked.push(Asked { req, text: Some(format!("batch-{at}")), judged: false });
        }
    }

    /// A client leaves one of its connections.
    fn break_off(&mut self, client: usize) {
        let running =
            |(_, exchange): &(usize, &crate::client::Exchange)| exchange.progress == Progress::Running;
        let all = self.world.clients[client].exchanges.iter().enumerate().filter(running);
        let all: Vec<usize> = all.map(|(index, _)| index).collect();
        if all.is_empty() {
            return;
        }
        let xid = Xid { client, index: *self.dice.pick(&all) };
        if self.dice.chance(500) {
            self.tally.request("connection closed");
            self.world.hang_up(xid);
        } else {
            self.tally.request("connection reset");
            self.world.reset(xid);
        }
    }

    /// A client comes back for what it missed.
    fn resume(&mut self, client: usize) {
        let it = &self.world.clients[client];
        if it.session.is_none() {
            return;
        }
        let cut = it.exchanges.iter().enumerate().filter(|(index, exchange)| {
            exchange.progress == Progress::Cut && !self.resumed.contains(&(client, *index))
        });
        let left: Vec<(usize, String)> =
            cut.filter_map(|(index, exchange)| Some((index, exchange.last_event_id()?.to_owned()))).collect();
        if left.is_empty() {
            return;
        }
        let (index, id) = self.dice.pick(&left).clone();
        self.resumed.insert((client, index));
        self.tally.request("GET, Last-Event-ID");
        self.world.clients[client].listen(&mut self.world.net, Some((index, id)));
    }

    /// A server says something of its own accord.
    fn of_servers(&mut self) {
        let (server, reach) = self.a_server();
        let there = match reach {
            Reach::Stdio => self.world.alive(&server) > 0,
            Reach::Streamable | Reach::Sse => self.world.site(&server).newest_session().is_some(),
        };
        if !there {
            return;
        }
        match self.dice.below(4) {
            0 => {
                let method = *self.dice.pick(&QUESTIONS);
                self.tally.request("question outside a call");
                self.ask_outside(&server, reach, method);
            }
            1 => {
                let text = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
                    "params": {"uri": format!("sim://{server}/0")}});
                self.tally.request("notifications/resources/updated");
                self.say(&server, reach, &text.to_string());
            }
            _ => {
                let kind = *self.dice.pick(&["tools", "prompts", "resources"]);
                self.tally.request("notifications/list_changed");
                let text = json!({"jsonrpc": "2.0", "method": format!("notifications/{kind}/list_changed")});
                self.say(&server, reach, &text.to_string());
            }
        }
    }

    fn say(&mut self, server: &str, reach: Reach, text: &str) {
        match reach {
            Reach::Stdio => self.with_alive(server, |child, net| child.print(text, net)),
            Reach::Streamable | Reach::Sse => self.world.say(server, text),
        }
    }

    fn ask_outside(&mut self, server: &str, reach: Reach, method: &str) {
        let params = question(method);
        match reach {
            Reach::Stdio => self.with_alive(server, |child, net| {
                let (deed, _) = child.mind().ask_outside(method, &params, None);
                child.on_deed(&deed, net);
            }),
            Reach::Streamable | Reach::Sse => {
                self.world.ask_outside(server, method, &params);
            }
        }
    }

    fn with_alive(&mut self, server: &str, act: impl FnOnce(&mut crate::child::Child, &mut crate::net::Net)) {
        let command = format!("sim-{server}");
        let all = self.world.children.iter_mut().rev();
        if let Some(child) = all.into_iter().find(|child| child.alive && child.command == command) {
            act(child, &mut self.world.net);
        }
    }

    /// Somebody says what nobody should say.
    fn misbehave(&mut self, client: usize) {
        match self.dice.below(4) {
            0 | 1 => {
                self.tally.request("broken message");
                let text = *self.dice.pick(&BROKEN);
                self.world.post(client, text);
            }
            2 => {
                self.tally.request("torn request");
                let text = *self.dice.pick(&TORN);
                let xid = self.world.raw(text);
                if self.dice.chance(300) {
                    self.world.hang_up(xid);
                }
            }
            _ => {
                self.tally.request("method that is not allowed");
                let method = *self.dice.pick(&["PUT", "PATCH", "OPTIONS"]);
                self.world.raw(&format!("{method} /mcp HTTP/1.1\r\nhost: localhost:9090\r\n\r\n"));
            }
        }
    }

    /// Somebody goes: says so, or is just not there any more.
    pub(super) fn leave(&mut self, client: usize, rudely: bool) {
        let index = self.world.clients[client].stream;
        match index {
            Some(index) if rudely => {
                self.tally.request("left without a word");
                let conn = self.world.clients[client].exchanges[index].conn;
                if self.dice.chance(500) {
                    self.world.reset(Xid { client, index });
                } else if self.world.net.links.get(&conn).is_some_and(|link| !link.frozen) {
                    self.world.vanish(conn);
                }
            }
            Some(_) | None => {
                self.tally.request(match self.world.clients[client].kind {
                    Kind::Streamable => "DELETE",
                    Kind::Sse => "left its stream",
                });
                self.world.end_session(client);
            }
        }
    }
}

fn question(method: &str) -> Value {
    match method {
        "sampling/createMessage" => json!({"messages": [], "maxTokens": 1}),
        "elicitation/create" => {
            json!({"message": "?", "requestedSchema": {"type": "object", "properties": {}}})
        }
        _ => json!({}),
    }
}

/// Capabilities, revision, and how questions are answered, by chance.
fn be(client: &mut Client, dice: &mut Dice) {
    let names = ["roots", "sampling", "elicitation"];
    let can = *dice.pick(&[0, 1, 2, 3, 4, 7, 7, 7]);
    for bit in (0..3).filter(|bit| can >> bit & 1 == 1) {
        client.capabilities[names[bit]] = json!({});
    }
    if dice.chance(300) && client.capabilities["roots"].is_object() {
        client.capabilities["roots"]["listChanged"] = json!(true);
    }
    client.revision = (*dice.pick(&REVISIONS)).to_owned();
    let results = [
        json!({"roots": []}),
        json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "t"}}),
        json!({"action": "accept", "content": {}}),
    ];
    for (method, result) in QUESTIONS.iter().zip(results) {
        let reply = match dice.below(10) {
            0 => Value::Null,
            1 => json!({"within_ms": 500, "error": {"code": -1, "message": "no"}}),
            2 => json!({"within_ms": 3_000, "reports": 2, "result": result}),
            _ => json!({"within_ms": 400, "result": result}),
        };
        client.replies.insert((*method).to_owned(), reply);
    }
}
