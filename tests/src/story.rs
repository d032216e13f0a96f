//! What scenarios are written in: short verbs over a [`World`].
//!
//! Verbs that return a [`Req`] or an [`Xid`] do not wait; verbs that return a value run the world until they
//! have it, for at most [`PATIENCE_MS`] of virtual time.

use crate::cast::Cast;
use crate::child::{Child, Program};
use crate::client::{Client, Exchange, Kind, Progress, Req, State, Xid};
use crate::mind::Mind;
use crate::net::MS;
use crate::site::Site;
use crate::world::World;
use serde_json::{Value, json};

/// How long a verb waits before the story has failed, virtual milliseconds.
pub const PATIENCE_MS: u64 = 120_000;

/// How many steps one wait may take.
const STEPS_MAX: u64 = 20_000_000;

/// Plays a story under several seeds, or under the one of `SIM_SEED`, and [finishes](World::finish) each world.
pub fn story(cast: Cast, tell: impl Fn(&mut World)) {
    story_of(0..6, cast, tell);
}

/// Seeds from `first` on: as many as `SIM_SEEDS` says, or `usual`.
pub fn seeds(first: u64, usual: u64) -> std::ops::Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "the one way to ask for a long run")]
    let many = std::env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok());
    first..first + many.unwrap_or(usual)
}

/// The same with seeds of the caller's choice.
pub fn story_of(seeds: impl IntoIterator<Item = u64>, cast: Cast, tell: impl Fn(&mut World)) {
    story_by(seeds, |_| cast.clone(), tell);
}

/// The same with a cast that depends on the seed.
pub fn story_by(seeds: impl IntoIterator<Item = u64>, cast: impl Fn(u64) -> Cast, tell: impl Fn(&mut World)) {
    let seeds: Vec<u64> = one_seed().map_or_else(|| seeds.into_iter().collect(), |seed| vec![seed]);
    for seed in seeds {
        let mut world = World::new(seed, cast(seed));
        tell(&mut world);
        world.finish();
    }
}

/// The seed that `SIM_SEED` asks for.
pub fn one_seed() -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the one way to repeat a run")]
    std::env::var("SIM_SEED").ok().and_then(|text| text.parse().ok())
}

/// The commit that is checked out, for reports; `unknown` where nobody can tell.
pub fn commit() -> String {
    let git = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let text = git.ok().filter(|git| git.status.success()).and_then(|git| String::from_utf8(git.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

impl World {
    /// Runs until the condition holds.
    ///
    /// # Panics
    ///
    /// When it does not within [`PATIENCE_MS`], or nothing will ever happen again.
    #[track_caller]
    pub fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let until = self.net.now + PATIENCE_MS * MS;
        let mut steps = 0;
        while !done(self) {
            steps += 1;
            let next = self.next_at();
            assert!(next.is_some_and(|at| at <= until) && steps < STEPS_MAX, "did not happen: {what}");
            assert!(self.step(), "nothing will ever happen, waiting for: {what}");
        }
    }

    /// Lets so many virtual milliseconds pass.
    pub fn run_ms(&mut self, ms: u64) {
        let until = self.net.now + ms * MS;
        while self.next_at().is_some_and(|at| at <= until) {
            self.step();
        }
        self.net.now = until;
    }

    /// A client that has shaken hands, as soon as the server is there.
    #[track_caller]
    pub fn client(&mut self, server: &str, kind: Kind) -> usize {
        self.client_with(server, kind, |_| {})
    }

    /// The same for a client with traits of its own.
    #[track_caller]
    pub fn client_with(&mut self, server: &str, kind: Kind, change: impl Fn(&mut Client)) -> usize {
        let client = self.stranger_with(server, kind, change);
        let until = self.now_ms() + PATIENCE_MS;
        let mut pause_ms = 50;
        loop {
            assert!(self.now_ms() < until, "the server {server} is not served");
            if kind == Kind::Sse {
                let index = self.clients[client].listen(&mut self.net, None);
                let xid = Xid { client, index };
                self.run_until("an event stream", |w| {
                    w.clients[client].endpoint.is_some() || w.exchange(xid).progress != Progress::Running
                });
            }
            if kind == Kind::Streamable || self.clients[client].endpoint.is_some() {
                let answer = self.greet(client);
                if answer["result"].is_object() {
                    let endpoint = self.clients[client].endpoint.clone().unwrap_or_default();
                    if let Some((_, token)) = endpoint.split_once('=') {
                        self.watch.guard(token);
                    }
                    self.notify(client, "notifications/initialized", json!({}));
                    return client;
                }
            }
            let status = self.clients[client].exchanges.last().map_or(0, Exchange::status);
            assert!(matches!(status, 0 | 503), "the handshake with {server} ended with status {status}");
            self.run_ms(pause_ms);
            pause_ms = (2 * pause_ms).min(500);
        }
    }

    /// A client that has not said anything. An empty server name makes one for raw requests.
    pub fn stranger_with(&mut self, server: &str, kind: Kind, change: impl Fn(&mut Client)) -> usize {
        let index = self.clients.len();
        let mut client = Client::new(index, server, kind);
        client.address = self.visitors_from;
        change(&mut client);
        self.clients.push(client);
        index
    }

    /// Sends `initialize` and gives the whole answer, `null` if there was none.
    #[track_caller]
    pub fn greet(&mut self, client: usize) -> Value {
        let (revision, capabilities) = (&self.clients[client].revision, &self.clients[client].capabilities);
        let params = json!({"protocolVersion": revision, "capabilities": capabilities,
            "clientInfo": {"name": "sim", "version": "1"}});
        let req = self.start(client, "initialize", params);
        let answer = self.outcome(req);
        if let Some(agreed) = answer["result"]["protocolVersion"].as_str() {
            agreed.clone_into(&mut self.clients[client].revision);
            let exchange = self.clients[client].requests[req.index].exchange;
            let session = self.clients[client].exchanges[exchange].field("mcp-session-id").map(str::to_owned);
            if let Some(session) = &session {
                self.watch.guard(session);
            }
            self.clients[client].session = session;
        }
        answer
    }

    /// Sends a request with an id of the client's own.
    pub fn start(&mut self, client: usize, method: &str, params: Value) -> Req {
        let id = json!(self.clients[client].requests.len());
        self.start_as(client, id, method, params)
    }

    /// Sends a request with this id.
    pub fn start_as(&mut self, client: usize, id: Value, method: &str, params: Value) -> Req {
        let index = self.clients[client].request(&mut self.net, id, method, params);
        Req { client, index }
    }

    /// Sends one body with the requests of these ids in it.
    pub fn start_raw(&mut self, client: usize, ids: &[Value], body: &str) -> Vec<Req> {
        let adopted =
            ids.iter().map(|id| Req { client, index: self.clients[client].adopt(id.clone()) }).collect();
        self.post(client, body);
        adopted
    }

    /// Sends `tools/call`.
    pub fn start_call(&mut self, client: usize, tool: &str, arguments: Value) -> Req {
        self.start(client, "tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// Sends `tools/call` with a progress token.
    pub fn start_watched(&mut self, client: usize, tool: &str, arguments: Value, token: Value) -> Req {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": token}});
        self.start(client, "tools/call", params)
    }

    /// How a request stands.
    pub fn state(&self, req: Req) -> &State {
        &self.clients[req.client].requests[req.index].state
    }

    /// Waits for the answer or the loss of a request: the whole answer, `null` when lost.
    #[track_caller]
    pub fn outcome(&mut self, req: Req) -> Value {
        self.run_until("the end of a request", |w| *w.state(req) != State::Waiting);
        match self.state(req) {
            State::Answered(raw) => serde_json::from_str(raw).unwrap(),
            State::Lost | State::Waiting => Value::Null,
        }
    }

    /// Waits for the answer in raw text.
    #[track_caller]
    pub fn raw_answer(&mut self, req: Req) -> String {
        self.run_until("an answer", |w| *w.state(req) != State::Waiting);
        match self.state(req) {
            State::Answered(raw) => raw.clone(),
            State::Lost | State::Waiting => panic!("the request was lost"),
        }
    }

    /// Sends a request and waits for the whole answer.
    #[track_caller]
    pub fn ask(&mut self, client: usize, method: &str, params: Value) -> Value {
        let req = self.start(client, method, params);
        self.outcome(req)
    }

    /// Calls a tool and gives the text of its result.
    #[track_caller]
    pub fn call(&mut self, client: usize, tool: &str, arguments: Value) -> String {
        let req = self.start_call(client, tool, arguments);
        self.text(req)
    }

    /// Waits for the result of a tool call and gives its text.
    #[track_caller]
    pub fn text(&mut self, req: Req) -> String {
        let answer = self.outcome(req);
        let text = answer["result"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no text in {answer}")).to_owned()
    }

    /// Calls `echo` and checks that it came back.
    #[track_caller]
    pub fn check_echo(&mut self, client: usize) {
        assert_eq!(self.call(client, "echo", json!({"text": "hello"})), "hello");
    }

    /// Waits until the server behind has heard of a request.
    #[track_caller]
    pub fn until_heard(&mut self, req: Req) {
        let tag = format!("\"@c{}.{}@\"", req.client, req.index);
        let knows = move |mind: &Mind| mind.heard.iter().rev().any(|heard| heard.raw.contains(&tag));
        self.run_until("the server hears of a request", |w| {
            w.sites.iter().any(|site| knows(&site.mind)) || w.children.iter().any(|c| knows(&c.program.mind))
        });
    }

    /// Sends a notification.
    pub fn notify(&mut self, client: usize, method: &str, params: Value) -> Xid {
        self.clients[client].ready |= method == "notifications/initialized";
        self.post(client, &json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string())
    }

    /// Cancels a request.
    pub fn cancel(&mut self, req: Req) -> Xid {
        let request = &mut self.clients[req.client].requests[req.index];
        request.cancelled = true;
        let id = request.id.clone();
        self.notify(req.client, "notifications/cancelled", json!({"requestId": id, "reason": "test"}))
    }

    /// Sends a body as the client would send a message.
    pub fn post(&mut self, client: usize, body: &str) -> Xid {
        Xid { client, index: self.clients[client].post(&mut self.net, body) }
    }

    /// Sends a body and waits for the end of the response.
    #[track_caller]
    pub fn post_wait(&mut self, client: usize, body: &str) -> &Exchange {
        let xid = self.post(client, body);
        self.response(xid)
    }

    /// Opens a standalone stream and waits for its head.
    #[track_caller]
    pub fn listen(&mut self, client: usize) -> Xid {
        let index = self.clients[client].listen(&mut self.net, None);
        self.opened(Xid { client, index })
    }

    /// Resumes a stream after an event and waits for its head.
    #[track_caller]
    pub fn resume(&mut self, of: Xid, last_event_id: &str) -> Xid {
        let resumes = Some((of.index, last_event_id.to_owned()));
        let index = self.clients[of.client].listen(&mut self.net, resumes);
        self.opened(Xid { client: of.client, index })
    }

    #[track_caller]
    fn opened(&mut self, xid: Xid) -> Xid {
        self.run_until("a response head", |w| w.exchange(xid).head.is_some());
        xid
    }

    /// An exchange as it stands.
    pub fn exchange(&self, xid: Xid) -> &Exchange {
        &self.clients[xid.client].exchanges[xid.index]
    }

    /// The exchange of a request.
    pub fn exchange_of(&self, req: Req) -> Xid {
        Xid { client: req.client, index: self.clients[req.client].requests[req.index].exchange }
    }

    /// Waits for the end of a response.
    #[track_caller]
    pub fn response(&mut self, xid: Xid) -> &Exchange {
        self.run_until("the end of a response", |w| w.exchange(xid).progress != Progress::Running);
        self.exchange(xid)
    }

    /// Sends raw bytes over a new connection; the first response belongs to the returned exchange.
    pub fn raw(&mut self, bytes: &str) -> Xid {
        let client = self.stranger_with("", Kind::Streamable, |_| {});
        let conn = self.clients[client].connect(&mut self.net);
        Xid { client, index: self.clients[client].write(&mut self.net, conn, bytes.as_bytes()) }
    }

    /// Sends a request of a stranger and waits for the end of the response.
    #[track_caller]
    pub fn http(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> &Exchange {
        let mut all = vec![("host", crate::client::AUTHORITY)];
        all.retain(|(name, _)| !fields.iter().any(|(own, _)| own == name));
        all.extend_from_slice(fields);
        let text = crate::http::message(&format!("{method} {path} HTTP/1.1"), &all, body);
        let xid = self.raw(&text);
        self.response(xid)
    }

    /// The client leaves the connection of an exchange in order (FIN).
    pub fn hang_up(&mut self, xid: Xid) {
        let conn = self.exchange(xid).conn;
        self.clients[xid.client].hang_up(conn, false, &mut self.net);
    }

    /// The connection of an exchange breaks (RST).
    pub fn reset(&mut self, xid: Xid) {
        let conn = self.exchange(xid).conn;
        self.clients[xid.client].hang_up(conn, true, &mut self.net);
    }

    /// The client stops, or starts again, to read from the connection of an exchange.
    pub fn stall(&mut self, xid: Xid, stalled: bool) {
        let conn = self.exchange(xid).conn;
        self.net.stall(conn, stalled);
    }

    /// Messages of the server to a client with this method, requests and notifications.
    pub fn inbox(&self, client: usize, method: &str) -> Vec<&Value> {
        let all = self.clients[client].inbox.iter();
        all.filter(|(_, value)| value["method"] == method).map(|(_, value)| value).collect()
    }

    /// Waits until so many questions have reached a client, and gives the place of the last.
    #[track_caller]
    pub fn asked(&mut self, client: usize, count: usize) -> usize {
        self.run_until("a question", |w| w.clients[client].questions.len() >= count);
        count - 1
    }

    /// A client answers a question that it has kept.
    pub fn answer(&mut self, client: usize, question: usize, reply: &Value) {
        self.clients[client].answer(question, reply, &mut self.net);
    }

    /// What a client has to say to end its session: DELETE, or leaving its stream.
    pub fn end_session(&mut self, client: usize) {
        match (self.clients[client].kind, self.clients[client].stream) {
            (Kind::Streamable, _) => {
                self.clients[client].delete(&mut self.net);
            }
            (Kind::Sse, Some(index)) => self.hang_up(Xid { client, index }),
            (Kind::Sse, None) => {}
        }
    }

    /// The server asks something outside any call: over stdout, or on its standalone stream. Gives the place of the
    /// question in its mind.
    pub fn ask_outside(&mut self, server: &str, method: &str, params: &Value) -> usize {
        let host = format!("{server}.test");
        if let Some(site) = self.sites.iter_mut().find(|site| site.host == host) {
            let session = site.newest_session();
            let (deed, _) = site.mind.ask_outside(method, params, session.as_deref());
            site.on_deed(&deed, &mut self.net);
        } else {
            self.with_child(server, |child, net| {
                let (deed, _) = child.mind().ask_outside(method, params, None);
                child.on_deed(&deed, net);
            });
        }
        self.mind(server).questions.len() - 1
    }

    /// The mind of an HTTP server, or of the newest process of a stdio server.
    pub fn mind(&mut self, server: &str) -> &mut Mind {
        let host = format!("{server}.test");
        match self.sites.iter().position(|site| site.host == host) {
            Some(place) => &mut self.sites[place].mind,
            None => self.child(server).mind(),
        }
    }

    /// How many processes of a server run.
    pub fn alive(&self, server: &str) -> usize {
        self.children_of(server).iter().filter(|child| child.alive).count()
    }

    /// The newest process of a server.
    pub fn child(&mut self, server: &str) -> &mut Child {
        let command = format!("sim-{server}");
        self.children
            .iter_mut()
            .rev()
            .find(|child| child.command == command)
            .expect("a child has been started")
    }

    /// Changes what happens when a server is started from now on.
    pub fn change_program(&mut self, server: &str, change: impl Fn(&mut Program)) {
        self.cast.programs.get_mut(&format!("sim-{server}")).unwrap().iter_mut().for_each(change);
    }

    /// All processes of a server, oldest first.
    pub fn children_of(&self, server: &str) -> Vec<&Child> {
        let command = format!("sim-{server}");
        self.children.iter().filter(|child| child.command == command).collect()
    }

    /// Lets the newest process of a server do something.
    pub fn with_child(&mut self, server: &str, act: impl FnOnce(&mut Child, &mut crate::net::Net)) {
        let command = format!("sim-{server}");
        let child = self.children.iter_mut().rev().find(|child| child.command == command).unwrap();
        act(child, &mut self.net);
    }

    /// An HTTP server.
    pub fn site(&mut self, server: &str) -> &mut Site {
        let host = format!("{server}.test");
        self.sites.iter_mut().find(|site| site.host == host).expect("the cast has this site")
    }

    /// Lets an HTTP server do something.
    pub fn with_site(&mut self, server: &str, act: impl FnOnce(&mut Site, &mut crate::net::Net)) {
        let host = format!("{server}.test");
        let site = self.sites.iter_mut().find(|site| site.host == host).unwrap();
        act(site, &mut self.net);
    }

    /// The server says something of its own accord: over stdout, or on its standalone stream.
    pub fn say(&mut self, server: &str, text: &str) {
        let deed = crate::mind::note(text.to_owned());
        let host = format!("{server}.test");
        if let Some(site) = self.sites.iter_mut().find(|site| site.host == host) {
            site.on_deed(&deed, &mut self.net);
        } else {
            self.with_child(server, |child, net| child.print(text, net));
        }
    }

    /// The server says something where the answer to the request with this id belongs.
    pub fn say_as_answer(&mut self, server: &str, id: &Value, text: &str) {
        let deed = crate::mind::Deed {
            about: Some(id.to_string()),
            what: crate::mind::What::Answer(text.to_owned()),
            ..crate::mind::note(String::new())
        };
        let host = format!("{server}.test");
        if let Some(site) = self.sites.iter_mut().find(|site| site.host == host) {
            site.on_deed(&deed, &mut self.net);
        } else {
            self.with_child(server, |child, net| child.on_deed(&deed, net));
        }
    }
}
