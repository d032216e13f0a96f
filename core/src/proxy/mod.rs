//! The engine: owns the machines, brings each input to the one that it concerns, and moves what happens in one to the
//! others until nothing happens any more.
//!
//! | module | what it decides |
//! |---|---|
//! | `entry` | what a request leads to once it is known who it is from |
//! | `health`, `probe` | pages about the proxy itself |
//! | `stop` | the end of everything |
//! | `census` | how much there is of everything |
//!
//! Invariants: [`Proxy::handle`] is the only way in and cannot fail; a fault concerns one connection, call or
//! server; nothing here reads a clock, a file, a socket or the environment.

mod census;
mod entry;
mod health;
mod probe;
mod stop;

pub use census::Census;

use crate::access::{Access, AccessEvent};
use crate::bridge::{Bridge, BridgeMut};
use crate::clients::{ClientEvent, Clients};
use crate::config::{Config, Host, Serve};
use crate::effects::Effects;
use crate::event::{Command, ConnEvent, Input, ListenAddr, Output};
use crate::http::Reply;
use crate::id::{ConnId, ListenerId, UpstreamId};
use crate::limits::Limits;
use crate::log::Level;
use crate::policy::Gate;
use crate::route::merged_paths;
use crate::servers::{Servers, ServersMut};
use crate::throttle::Bucket;
use crate::time::Now;
use crate::timer::{Deadline, Timer, TimerKind};
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
    access: Access,
    servers: Servers,
    clients: Clients,
    bridge: Bridge,
    stage: Stage,
    bound: Option<SocketAddr>,
    exit_code: u8,
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

/// The one listener.
const LISTENER: ListenerId = ListenerId(0);

impl Proxy {
    /// An engine that has done nothing yet. `seed` comes from the system's random source.
    pub fn new(config: Arc<Config>, options: Options, seed: [u8; 32]) -> Self {
        let limits = config.limits.apply(options.limits);
        let servers = Servers::new(config.clone(), &limits);
        let mut fx = Effects::new(limits.clone(), seed, options.log_level);
        let mut oauth_seed = [0; 32];
        fx.rng.fill(&mut oauth_seed);
        let access = Access::new(config.clone(), oauth_seed);
        Self {
            bridge: Bridge::new(config.clone(), &servers, access.keyring(), &limits),
            clients: Clients::new(&config, gate(&config), limits.sessions_max),
            access,
            servers,
            fx,
            stage: Stage::Serving,
            bound: None,
            exit_code: 0,
            probes: Bucket::default(),
            config,
        }
    }

    /// Opens the listener. All servers are started once it listens, so that a proxy that cannot serve starts nobody.
    /// Call once, then drain [`Proxy::poll_output`].
    pub fn start(&mut self, now: Now) {
        self.fx.now = now;
        self.fx.log(Level::Info, None, format!("Starting {} server", served(&self.config)));
        self.access.start(&mut self.fx);
        self.access.tell_protection(&mut self.fx);
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
        self.pump();
    }

    /// Takes one input. Cannot fail: what goes wrong concerns one connection, call or server, and becomes
    /// outputs. Drain [`Proxy::poll_output`] before the next one.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        // Time never goes backwards in here, whatever a host does.
        self.fx.now = Now { mono: now.mono.max(self.fx.now.mono), unix: now.unix };
        match input {
            Input::Listening { listener: _, result } => self.on_listening(result),
            Input::Accepted { conn, listener: _, peer } => {
                let welcome = self.stage == Stage::Serving;
                self.clients.accept(&mut self.fx, conn, peer, welcome);
            }
            Input::Command(Command::Stop) => self.on_stop(),
            Input::Command(Command::Hangup) if self.stage == Stage::Serving => self.on_stop(),
            Input::Command(Command::Hangup) => {}
            Input::Timeout => self.on_timeout(),
            Input::Sent { conn, len } => self.on_sent(conn, len),
            Input::Loaded { key, result } => self.access.on_loaded(&self.fx, key, result),
            Input::Saved { key: _, ticket, result } => self.access.on_saved(&self.fx, ticket, result),
            Input::SetAside { key: _, result } => self.access.on_set_aside(&self.fx, result),
            Input::Derived { job, matches } => self.access.on_compared(&self.fx, job, matches),
            Input::Received { conn, bytes } => self.on_conn(conn, ConnEvent::Received(bytes)),
            Input::Stderr { conn, bytes } => self.on_conn(conn, ConnEvent::Stderr(bytes)),
            Input::Eof { conn } => self.on_conn(conn, ConnEvent::Eof),
            Input::Closed { conn, cause } => self.on_conn(conn, ConnEvent::Closed(cause)),
            Input::Resolved { conn, result } => self.on_conn(conn, ConnEvent::Resolved(result)),
            Input::Connected { conn } => self.on_conn(conn, ConnEvent::Connected),
            Input::Failed { conn, reason } => self.on_conn(conn, ConnEvent::Failed(reason)),
            Input::Spawned { conn, pid } => self.on_conn(conn, ConnEvent::Spawned(pid)),
            Input::Exited { conn, status } => self.on_conn(conn, ConnEvent::Exited(status)),
        }
        self.pump();
        self.check_ended();
    }

    /// Something happened to a connection: the machine that it belongs to is told.
    fn on_conn(&mut self, conn: ConnId, event: ConnEvent<'_>) {
        match self.fx.owner(conn) {
            Some(id) => self.servers().handle(id, conn, event),
            None if self.access.has(conn) => self.access.handle(&mut self.fx, conn, event),
            None => self.clients.handle(&mut self.fx, conn, event),
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
            && self.clients.conns_len() < self.fx.limits.downstream_conns_max
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

    /// The bridge, with both sides.
    fn bridge(&mut self) -> BridgeMut<'_> {
        self.bridge.with(&mut self.fx, &mut self.clients, &mut self.servers)
    }

    /// Moves events from machine to machine until none has any, and gives back what is short.
    fn pump(&mut self) {
        loop {
            if let Some(event) = self.clients.poll_event(&mut self.fx) {
                self.on_client_event(event);
            } else if let Some(event) = self.servers().poll_event() {
                self.bridge().on_server_event(event);
            } else if let Some(event) = self.access.poll_event(&mut self.fx) {
                self.on_access_event(event);
            } else if self.bridge().tell_next() || self.clients.relieve(&mut self.fx) {
                // There may be more.
            } else if !self.end_if_due() {
                return;
            }
        }
    }

    /// A client wants something: those who know credentials say whether it may.
    fn on_client_event(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Entry { exchange, route } => self.on_entry(exchange, route),
            ClientEvent::Unrouted { exchange } => self.on_unrouted(exchange),
            ClientEvent::Login { exchange } => {
                self.access.on_request(&self.fx, &exchange);
                self.clients.await_reply(exchange);
            }
            ClientEvent::BrokenLogin { exchange, fault } => {
                self.clients.refuse(&mut self.fx, exchange, Reply::of_fault(&fault));
            }
            ClientEvent::Mcp(event) => self.bridge().on_client_event(event),
        }
    }

    fn on_access_event(&mut self, event: AccessEvent) {
        match event {
            AccessEvent::Reply { conn, reply } => self.clients.reply(&mut self.fx, conn, &reply),
            AccessEvent::Ready if self.stage == Stage::Serving => listen(&mut self.fx, &self.config),
            // Everything ends already.
            AccessEvent::Ready => {}
            AccessEvent::Failed(reason) => {
                self.fx.log(Level::Error, None, format!("Failed to start the OAuth server: {reason}"));
                self.give_up();
            }
            // Event streams end with the token they were opened with (T-56).
            AccessEvent::Expired => {
                let Self { clients, access, fx, .. } = self;
                clients.end_streams(fx, |token| access.holds(token));
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
                self.clients.set_loopback_only(addr.ip().is_loopback());
                let kind = served(&self.config);
                self.fx.log(Level::Info, None, format!("{kind} server listening on {addr}"));
                tell_access(&mut self.fx, &self.config, addr);
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

    fn on_sent(&mut self, conn: ConnId, len: usize) {
        let high = self.fx.limits.send_high_bytes;
        let before = self.fx.queued(conn);
        self.fx.sent(conn, len);
        if self.stage == Stage::Ending {
            self.check_ended();
        }
        if before > high && self.fx.owner(conn).is_none() {
            self.clients.on_drained(conn, before - len.min(before) <= high);
        }
    }

    fn on_timeout(&mut self) {
        let now = self.fx.mono();
        while let Some(Timer { kind, owner, .. }) = self.fx.timers.pop_due(now) {
            match kind {
                TimerKind::Client(timer) => self.clients.on_timer(&mut self.fx, timer, owner),
                TimerKind::Server(timer) => self.servers().on_timer(timer, owner),
                TimerKind::Bridge(timer) => self.bridge().on_timer(timer, owner),
                TimerKind::Upkeep => self.access.on_upkeep_timer(&mut self.fx),
                TimerKind::Document => self.access.on_document_timer(&mut self.fx, ConnId(owner)),
                TimerKind::Stall => self.on_stall_timer(),
                TimerKind::Shutdown => self.on_shutdown_timer(),
            }
            self.pump();
        }
    }

    /// Peers that take nothing are gone without a word, or as good as gone. Children are no such peers: the end of one
    /// is always seen, and one that is busy may leave its input alone.
    fn on_stall_timer(&mut self) {
        for conn in self.fx.on_stall_timer() {
            match self.fx.owner(conn) {
                Some(owner) => self.servers().on_stalled(owner, conn),
                None if self.access.has(conn) => {}
                None => self.clients.on_stalled(&mut self.fx, conn),
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

/// Says who may in, whatever the configuration.
fn tell_access(fx: &mut Effects, config: &Config, addr: SocketAddr) {
    for line in config.access_lines() {
        fx.log(Level::Info, None, line);
    }
    if config.is_open() {
        let who = match addr.ip().to_canonical().is_loopback() {
            true => "every program on this machine",
            false => "every machine that reaches this address",
        };
        let line = format!("Servers open to everybody are open to {who} ({addr})");
        fx.log(Level::Info, None, line);
    }
}

/// Asks for the listener.
fn listen(fx: &mut Effects, config: &Config) {
    let host = config.addr.host.as_ref().map(|host| match host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    });
    let addr = Arc::new(ListenAddr { host, port: config.addr.port });
    fx.output(Output::Listen { listener: LISTENER, addr });
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
