//! The engine: owns every layer and moves what happens from one to the next.
//!
//! | module | what it decides |
//! |---|---|
//! | `clients` | what a client's HTTP request is: which endpoint, may it in, which session |
//! | `entry` | who a request is from, and what they see |
//! | `logins` | what the authorization server wants |
//! | `documents` | descriptions of its clients, fetched from the world |
//! | `sessions` | which session a request belongs to, its beginning and end |
//! | `greetings` | `initialize` that waits for the first start of a server |
//! | `requests` | what a client's JSON-RPC message is: answered here, or a call |
//! | `batches` | arrays of messages |
//! | `shown` | what a session is shown: greeting and lists |
//! | `targets` | which server a name or URI belongs to |
//! | `connections` | which connection serves a session at a server |
//! | `calls` | calls that their clients want no more |
//! | `answers` | what who asked is told when a call ends |
//! | `server_events` | what follows from what happens at servers (the machine `servers`) |
//! | `questions` | what a server asks a client, and the answer |
//! | `notices` | log messages, updates and other news, each to whom it concerns |
//! | `watches` | watched resources |
//! | `listing` | lists that clients ask for: answered, awaited or refused |
//! | `offers` | what views are made of |
//! | `pressure` | what is given up when memory or seats are short |
//! | `stop` | the end of everything |
//! | `health` | what is said of the health of all this |
//! | `census` | how much there is of everything |
//!
//! Invariants: [`Proxy::handle`] is the only way in and cannot fail; a fault concerns one connection, call or
//! server; nothing here reads a clock, a file, a socket or the environment.

mod answers;
mod batches;
mod calls;
mod census;
mod clients;
mod connections;
mod documents;
mod entry;
mod greetings;
mod health;
mod listing;
mod logins;
mod notices;
mod offers;
mod pressure;
mod probe;
mod questions;
mod requests;
mod server_events;
mod sessions;
mod shown;
mod stop;
mod targets;
mod transports;
mod watches;

pub use census::Census;

use crate::config::{Config, Serve};
use crate::downstream::{Downstream, Role};
use crate::effects::Effects;
use crate::event::{Command, Input, Output};
use crate::id::{ConnId, Key, ListenerId, UpstreamId};
use crate::json::Pieces;
use crate::limits::Limits;
use crate::log::Level;
use crate::oauth;
use crate::oauth::throttle::Bucket;
use crate::policy::{Gate, Keyring};
use crate::route::{Routes, merged_paths};
use crate::servers::{Servers, ServersMut};
use crate::time::Now;
use crate::timer::{Deadline, Timer, TimerKind};
use crate::view::View;
use documents::Fetches;
use entry::MergedViews;
use offers::Offers;
use pressure::Pressure;
use questions::Questions;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// What an embedder may set beside the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bounds. Those that the configuration sets replace them.
    pub limits: Limits,
    /// Records less important than this are not made.
    pub log_level: Level,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), log_level: Level::Info }
    }
}

/// The engine. See the [crate page](crate) for how to drive it.
#[derive(Debug)]
pub struct Proxy {
    config: Arc<Config>,
    fx: Effects,
    gate: Gate,
    keyring: Keyring,
    routes: Routes,
    /// Those of the servers in order, then the merged ones.
    views: Vec<View>,
    merged: MergedViews,
    oauth: Option<oauth::Server>,
    fetches: Fetches,
    /// The listener was asked for.
    door_is_open: bool,
    servers: Servers,
    /// What views are made of.
    offers: Offers,
    down: Downstream,
    questions: Questions,
    stage: Stage,
    bound: Option<SocketAddr>,
    exit_code: u8,
    /// Messages for clients whose connection is being worked on right now.
    deferred: VecDeque<(Key, u32, Vec<u8>)>,
    /// Sessions that may have something to be told.
    changed: VecDeque<Key>,
    pressure: Pressure,
    /// How often what stands in front may be looked at.
    probes: Bucket,
}

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// No new connections; running calls may finish.
    Draining,
    /// The same, without waiting for anything.
    GivingUp,
    /// Sessions are closed, children are ending.
    Ending,
    Stopped,
}

/// Whose a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Server(UpstreamId),
    /// A fetch of a document of a client.
    Document,
    Client,
}

/// The one listener.
const LISTENER: ListenerId = ListenerId(0);

impl Proxy {
    /// An engine that has done nothing yet. `seed` comes from the system's random source.
    pub fn new(config: Arc<Config>, options: Options, seed: [u8; 32]) -> Self {
        let limits = config.limits.apply(options.limits);
        let servers = Servers::new(config.clone(), &limits);
        let keyring = entry::keyring(&config, &servers);
        let mut views: Vec<View> =
            servers.shared().map(|server| View::single(server.id(), server.config().clone())).collect();
        let merged = MergedViews::new(&config, &servers, &keyring, &mut views);
        let mut fx = Effects::new(limits.clone(), seed, options.log_level);
        let mut oauth_seed = [0; 32];
        fx.rng.fill(&mut oauth_seed);
        let oauth = oauth::Settings::of(&config).map(|settings| oauth::Server::new(settings, oauth_seed));
        Self {
            gate: gate(&config),
            routes: Routes::new(&config),
            keyring,
            views,
            merged,
            oauth,
            fetches: Fetches::default(),
            door_is_open: false,
            offers: Offers::default(),
            down: Downstream::new(limits.sessions_max),
            questions: Questions::new(&limits),
            servers,
            fx,
            stage: Stage::Serving,
            bound: None,
            exit_code: 0,
            deferred: VecDeque::new(),
            changed: VecDeque::new(),
            pressure: Pressure::default(),
            probes: Bucket::default(),
            config,
        }
    }

    /// Opens the listener. All servers are started once it listens, so that a proxy that cannot serve starts nobody.
    /// Call once, then drain [`Proxy::poll_output`].
    pub fn start(&mut self, now: Now) {
        self.fx.now = now;
        self.fx.log(Level::Info, None, format!("Starting {} server", served(&self.config)));
        self.open_door();
        self.tell_protection();
        for server in self.config.servers.iter().filter(|server| server.disabled) {
            let label = server.label().into();
            self.fx.log(Level::Info, Some(&label), "Disabled");
        }
        let merged = merged_paths(&self.config);
        if !merged.is_empty() {
            self.fx.log(Level::Info, None, format!("All servers together at {}", merged.join(" and ")));
        }
        if self.servers.shared().next().is_none() {
            self.fx.log(Level::Warn, None, "no server is configured");
        }
        self.settle();
    }

    /// Takes one input. Cannot fail: what goes wrong concerns one connection, call or server, and becomes
    /// outputs. Drain [`Proxy::poll_output`] before the next one.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        // Time never goes backwards in here, whatever a host does.
        self.fx.now = Now { mono: now.mono.max(self.fx.now.mono), unix: now.unix };
        match input {
            Input::Listening { listener: _, result } => self.on_listening(result),
            Input::Accepted { conn, listener: _, peer } => self.on_accepted(conn, peer),
            Input::Command(Command::Stop) => self.on_stop(),
            Input::Command(Command::Hangup) => self.on_hangup(),
            Input::Timeout => self.on_timeout(),
            Input::Sent { conn, len } => self.on_sent(conn, len),
            Input::Loaded { key, result } => self.on_loaded(key, result),
            Input::Saved { key: _, ticket, result } => self.on_saved(ticket, result),
            Input::SetAside { key: _, result } => self.on_set_aside(result),
            Input::Derived { job, matches } => self.on_compared(job, matches),
            Input::Received { conn, .. }
            | Input::Stderr { conn, .. }
            | Input::Eof { conn }
            | Input::Closed { conn, .. }
            | Input::Resolved { conn, .. }
            | Input::Connected { conn }
            | Input::Failed { conn, .. }
            | Input::Spawned { conn, .. }
            | Input::Exited { conn, .. } => match self.whose(conn) {
                Owner::Server(id) => self.servers().handle(id, input),
                Owner::Document => self.on_fetch_input(conn, input),
                Owner::Client => self.on_client_input(conn, input),
            },
        }
        self.settle();
        self.check_ended();
    }

    /// Whose a connection is.
    fn whose(&self, conn: ConnId) -> Owner {
        match self.fx.owner(conn) {
            Some(id) => Owner::Server(id),
            None if self.is_fetch(conn) => Owner::Document,
            None => Owner::Client,
        }
    }

    fn on_fetch_input(&mut self, conn: ConnId, input: Input<'_>) {
        match input {
            Input::Received { bytes, .. } => self.on_fetch_bytes(conn, bytes),
            Input::Eof { .. } => self.on_fetch_eof(conn),
            Input::Closed { .. } => {
                self.fx.mark_gone(conn);
                self.on_fetch_eof(conn);
            }
            Input::Resolved { result, .. } => self.on_fetch_resolved(conn, result),
            Input::Connected { .. } => self.on_fetch_connected(conn),
            Input::Failed { reason, .. } => self.on_fetch_failed(conn, reason),
            Input::Stderr { .. }
            | Input::Spawned { .. }
            | Input::Exited { .. }
            | Input::Listening { .. }
            | Input::Accepted { .. }
            | Input::Sent { .. }
            | Input::Loaded { .. }
            | Input::Saved { .. }
            | Input::SetAside { .. }
            | Input::Derived { .. }
            | Input::Command(_)
            | Input::Timeout => debug_assert!(false, "a document comes over a socket"),
        }
    }

    fn on_client_input(&mut self, conn: ConnId, input: Input<'_>) {
        match input {
            Input::Received { bytes, .. } => self.on_client_bytes(conn, bytes),
            Input::Eof { .. } => self.on_client_eof(conn),
            Input::Closed { .. } => {
                self.fx.mark_gone(conn);
                self.drop_client(conn);
            }
            // They crossed the end of a connection to a server.
            Input::Stderr { .. }
            | Input::Spawned { .. }
            | Input::Exited { .. }
            | Input::Resolved { .. }
            | Input::Connected { .. }
            | Input::Failed { .. } => {}
            Input::Listening { .. }
            | Input::Accepted { .. }
            | Input::Sent { .. }
            | Input::Loaded { .. }
            | Input::Saved { .. }
            | Input::SetAside { .. }
            | Input::Derived { .. }
            | Input::Command(_)
            | Input::Timeout => {
                debug_assert!(false, "this is not about a connection");
            }
        }
    }

    /// The next thing to do. Drain it after each input and after [`Proxy::start`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.fx.poll_output()
    }

    /// When to send [`Input::Timeout`], and why.
    pub fn deadline(&self) -> Option<Deadline> {
        self.fx.timers.next()
    }

    /// Bytes to write to this connection next; report what was written with [`Input::Sent`].
    pub fn outgoing(&self, conn: ConnId) -> &[u8] {
        self.fx.outgoing(conn)
    }

    /// Whether bytes of this connection are welcome now.
    pub fn wants_read(&self, conn: ConnId) -> bool {
        self.fx.wants_read(conn)
    }

    /// Whether new connections are welcome now. Look again after each turn in which a connection closed.
    pub fn wants_accept(&self, _listener: ListenerId) -> bool {
        self.stage == Stage::Serving
            && self.down.clients_len() < self.fx.limits.downstream_conns_max
            && !self.fx.ledger.is_full()
    }

    /// The address clients reach this proxy at, once it listens.
    pub fn bound(&self) -> Option<SocketAddr> {
        self.bound
    }

    /// The servers, to do something with them.
    fn servers(&mut self) -> ServersMut<'_> {
        self.servers.with(&mut self.fx)
    }

    /// What an input left to be done: deliveries that had to wait for their connection, connections to give up,
    /// pipelined requests to look at.
    fn settle(&mut self) {
        loop {
            if let Some(event) = self.servers().poll_event() {
                self.on_server_event(event);
            } else if let Some((session, stream, text)) = self.deferred.pop_front() {
                self.down.deliver(&mut self.fx, session, stream, &Pieces::of(&[&text]), Role::Answer);
            } else if let Some(conn) = self.down.next_stalled() {
                self.fx.log(Level::Debug, None, format!("client {conn:?} does not read, closing"));
                self.drop_client(conn);
            } else if self.serve_oauth() {
                // There may be more.
            } else if let Some(session) = self.changed.pop_front() {
                self.down.flush_changes(&mut self.fx, session);
                self.send_held_questions(session);
            } else if let Some(conn) = self.down.next_ready() {
                self.look_again(conn);
            } else if self.relieve() {
                // There may be more to give back.
            } else if self.end_if_due() {
                // What it left.
            } else {
                return;
            }
        }
    }

    fn on_listening(&mut self, result: Result<SocketAddr, &str>) {
        match result {
            Ok(addr) => {
                self.bound = Some(addr);
                if self.stage != Stage::Serving {
                    return self.unlisten();
                }
                self.gate.loopback_only = addr.ip().is_loopback();
                let kind = served(&self.config);
                self.fx.log(Level::Info, None, format!("{kind} server listening on {addr}"));
                self.tell_access(addr);
                let ids: Vec<UpstreamId> = self.servers.shared().map(|server| server.id()).collect();
                for id in ids {
                    self.servers().start(id);
                }
            }
            Err(reason) => {
                let addr = &self.config.addr;
                self.fx.log(Level::Error, None, format!("Failed to listen on {addr}: {reason}"));
                self.give_up();
            }
        }
    }

    /// Says who may in, whatever the configuration.
    fn tell_access(&mut self, addr: SocketAddr) {
        for line in self.config.access_lines() {
            self.fx.log(Level::Info, None, line);
        }
        if self.config.is_open() {
            let who = match addr.ip().to_canonical().is_loopback() {
                true => "every program on this machine",
                false => "every machine that reaches this address",
            };
            let line = format!("Servers open to everybody are open to {who} ({addr})");
            self.fx.log(Level::Info, None, line);
        }
    }

    fn on_sent(&mut self, conn: ConnId, len: usize) {
        let high = self.fx.limits.send_high_bytes;
        let before = self.fx.queued(conn);
        self.fx.sent(conn, len);
        if self.stage == Stage::Ending {
            self.check_ended();
        }
        if before > high
            && let Some(session) = self.down.session_of(conn)
        {
            // What was not told because the client was slow is told now.
            self.changed.push_back(session);
        }
        // A client that was not read because it did not read is looked at again.
        if before > high && before - len.min(before) <= high && self.fx.owner(conn).is_none() {
            self.look_again(conn);
        }
    }

    fn on_timeout(&mut self) {
        let now = self.fx.mono();
        while let Some(Timer { kind, owner, .. }) = self.fx.timers.pop_due(now) {
            let conn = ConnId(owner);
            match kind {
                TimerKind::DownstreamConn => self.on_client_timer(conn),
                TimerKind::KeepAlive => {
                    if let Some(client) = self.down.client(conn) {
                        client.on_keep_alive(&mut self.fx);
                    }
                }
                TimerKind::Probe => self.on_probe_timer(conn),
                TimerKind::SessionIdle => self.with_key(owner, Self::on_session_timer),
                TimerKind::Question => self.with_key(owner, Self::on_question_timer),
                TimerKind::Lists => self.with_key(owner, |proxy, key| proxy.answer_lists(key, true)),
                TimerKind::Greeting => self.with_key(owner, Self::on_greeting_timer),
                TimerKind::Upkeep => self.on_upkeep_timer(),
                TimerKind::Document => self.on_fetch_timer(conn),
                TimerKind::Stall => self.on_stall_timer(),
                TimerKind::Seats => self.on_seats_timer(),
                TimerKind::Shutdown => self.on_shutdown_timer(),
                TimerKind::Call
                | TimerKind::Resume
                | TimerKind::TaskPoll
                | TimerKind::Exchange
                | TimerKind::PoolIdle
                | TimerKind::Standalone
                | TimerKind::Backoff
                | TimerKind::Handshake
                | TimerKind::Ping
                | TimerKind::Refresh
                | TimerKind::Idle
                | TimerKind::Away
                | TimerKind::ChildStop => self.servers().on_timer(kind, owner),
            }
            self.settle();
        }
    }

    fn with_key(&mut self, wire: u64, act: impl FnOnce(&mut Self, Key)) {
        if let Some(key) = Key::from_u64(wire) {
            act(self, key);
        }
    }

    /// Peers that take nothing are gone without a word, or as good as gone. Children are no such peers: the end of one
    /// is always seen, and one that is busy may leave its input alone.
    fn on_stall_timer(&mut self) {
        for conn in self.fx.on_stall_timer() {
            match self.fx.owner(conn) {
                Some(owner) => self.servers().on_stalled(owner, conn),
                None if self.is_fetch(conn) => {}
                None => {
                    self.fx.log(Level::Debug, None, format!("client {conn:?} does not read, closing"));
                    self.drop_client(conn);
                }
            }
        }
    }
}

/// Hosts and origins that the configuration makes welcome; those of `baseURL` are.
fn gate(config: &Config) -> Gate {
    let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>();
    let mut gate = Gate {
        loopback_only: false,
        base_host: None,
        hosts: lower(&config.allowed_hosts),
        origins: lower(&config.allowed_origins),
    };
    if let Some(url) = &config.base_url {
        gate.origins.push(url.origin().to_ascii_lowercase());
        gate.base_host = Some(url.host().to_ascii_lowercase());
    }
    gate
}

/// What is served, in the words of the log.
fn served(config: &Config) -> &'static str {
    match config.serve {
        Serve::Sse => "sse",
        Serve::StreamableHttp => "streamable-http",
        Serve::Both => "sse and streamable-http",
    }
}

/// Reports that everything is over.
fn stopped(fx: &mut Effects, code: u8) {
    fx.output(Output::Stopped { code });
}
