//! An engine on a table, and everything it talks to, played by hand: for the targets that drive the whole engine with
//! inputs of their own choice.
//!
//! Where the simulator's world has peers that keep the rules, a peer here says what it is told to. The host keeps them:
//! it answers what the engine asks for at most once, and reports nothing about what is over.
//!
//! Checked after every input, whatever came in:
//!
//! * outputs are about connections that the engine still has; ids are its own;
//! * what leaves is well formed: responses and requests that a strict reader understands, JSON in bodies, events and
//!   lines;
//! * queues, sessions, connections and calls are within their limits; a timeout makes progress;
//! * a log record is one line without a planted secret.

pub mod peer;
mod talk;
pub mod words;

use mcp_proxy_core::config::{Source, parse};
use mcp_proxy_core::event::{CloseCause, Command, Content, ExitStatus, Input, Output, Signal, StoreKey};
use mcp_proxy_core::id::{ConnId, ListenerId};
use mcp_proxy_core::limits::Limits;
use mcp_proxy_core::log::Level;
use mcp_proxy_core::time::{Mono, Now, Unix};
use mcp_proxy_core::{Options, Proxy};
use peer::{Peer, Phase, Side};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

/// Must not be in a log record.
pub const SECRET: &str = "planted-secret";

/// Whether the input holds half of the secret: who says it where it is logged can read it there.
pub fn tells_secret(data: &[u8]) -> bool {
    [&b"planted"[..], b"-secret"].iter().any(|half| data.windows(half.len()).any(|window| window == *half))
}

/// What the engine waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A listener.
    Listen(ListenerId),
    /// The addresses of a name.
    Resolve(ConnId),
    /// A connection.
    Connect(ConnId),
    /// A child.
    Spawn(ConnId),
    /// The end of a child that was killed.
    Exit(ConnId),
    /// What is stored.
    Load(StoreKey),
    /// A write.
    Save(StoreKey, u64),
    /// A file out of the way.
    SetAside(StoreKey),
    /// A comparison.
    Derive(u64, bool),
}

/// The table.
#[derive(Debug)]
pub struct Rig {
    /// The engine.
    pub proxy: Proxy,
    /// Everybody it has a connection with, or had.
    pub peers: BTreeMap<ConnId, Peer>,
    /// What it waits for, oldest first.
    pub wishes: VecDeque<Wish>,
    /// The listener is open.
    pub open: bool,
    /// The engine has stopped.
    pub stopped: bool,
    limits: Limits,
    now: u64,
    accepted: u64,
}

impl Rig {
    /// A started engine with this configuration.
    ///
    /// # Panics
    ///
    /// When the configuration is none.
    pub fn new(config: &str, limits: Limits) -> Self {
        let source = Source { text: config, name: "rig.json", strict: true, env: None };
        let loaded = parse(&source).expect("a good configuration");
        let options = Options { limits: limits.clone(), log_level: Level::Trace };
        let mut rig = Self {
            proxy: Proxy::new(Arc::new(loaded.config), options, [7; 32]),
            peers: BTreeMap::new(),
            wishes: VecDeque::new(),
            open: false,
            stopped: false,
            limits,
            now: 1,
            accepted: 0,
        };
        rig.proxy.start(rig.now());
        rig.drain();
        rig
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.now), unix: Unix(1_800_000_000_000 + self.now / 1_000_000) }
    }

    /// Hands one input in and looks at everything that follows.
    pub fn turn(&mut self, input: Input<'_>) {
        if self.stopped {
            return;
        }
        let is_timeout = input == Input::Timeout;
        self.proxy.handle(self.now(), input);
        self.drain();
        let deadline = self.proxy.deadline();
        assert!(
            !is_timeout || deadline.is_none_or(|next| next.at.0 > self.now),
            "a timeout makes no progress: {deadline:?}"
        );
        let census = self.proxy.census();
        assert!(census.sessions <= self.limits.sessions_max, "{census:?}");
        assert!(census.clients <= self.limits.downstream_conns_max, "{census:?}");
    }

    fn drain(&mut self) {
        while let Some(output) = self.proxy.poll_output() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Listen { listener, .. } => self.wishes.push_back(Wish::Listen(listener)),
            Output::Unlisten { .. } => self.open = false,
            Output::Resolve { conn, name, .. } => {
                self.mint(conn, Side::Server(name.starts_with("old")), &name);
                self.wishes.push_back(Wish::Resolve(conn));
            }
            Output::Connect { conn, addr, .. } => {
                if !self.peers.contains_key(&conn) {
                    self.mint(conn, Side::Server(addr.port() == OLD_PORT), "");
                }
                assert_eq!(self.peer(conn).phase, Phase::Opening, "Connect for {conn:?}");
                self.wishes.push_back(Wish::Connect(conn));
            }
            Output::Spawn { conn, spec } => {
                self.mint(conn, Side::Child, &spec.command);
                self.wishes.push_back(Wish::Spawn(conn));
            }
            Output::Signal { conn, signal } => {
                assert_eq!(self.peer(conn).side, Side::Child, "only children are signalled");
                let wish = Wish::Exit(conn);
                if signal == Signal::Kill && !self.wishes.contains(&wish) {
                    self.wishes.push_back(wish);
                }
            }
            Output::Wake { conn } => {
                self.peer(conn);
            }
            Output::Shutdown { conn } => self.peer(conn).shut = true,
            Output::Close { conn } => {
                let Some(peer) = self.peers.get_mut(&conn) else { panic!("Close for unknown {conn:?}") };
                assert_ne!(peer.side, Side::Child, "Close is not for children");
                peer.phase = Phase::Over;
            }
            Output::Load { key } => self.wishes.push_back(Wish::Load(key)),
            Output::Save { key, ticket, .. } => self.wishes.push_back(Wish::Save(key, ticket)),
            Output::SetAside { key } => self.wishes.push_back(Wish::SetAside(key)),
            Output::Derive { job, candidate } => {
                self.wishes.push_back(Wish::Derive(job, candidate.password == candidate.stored));
            }
            Output::Log(record) => {
                assert!(!record.message.contains(['\r', '\n']), "a log record of several lines: {record:?}");
                assert!(!record.message.contains(SECRET), "a secret in a log record: {record:?}");
            }
            Output::Stopped { .. } => self.stopped = true,
        }
    }

    fn mint(&mut self, conn: ConnId, side: Side, name: &str) {
        assert_eq!(conn.0 & 1, 1, "{conn:?} is not the engine's to mint");
        assert!(self.peers.insert(conn, Peer::new(side, name)).is_none(), "{conn:?} was minted twice");
    }

    /// The peer an output is about, which the engine must still have.
    fn peer(&mut self, conn: ConnId) -> &mut Peer {
        let peer = self.peers.get_mut(&conn).unwrap_or_else(|| panic!("an output for unknown {conn:?}"));
        assert_ne!(peer.phase, Phase::Over, "an output for {conn:?}, which is over");
        peer
    }

    /// A client connects, if the engine lets it.
    pub fn accept(&mut self) -> Option<ConnId> {
        if !self.open || self.stopped || !self.proxy.wants_accept(ListenerId(0)) {
            return None;
        }
        self.accepted += 1;
        let conn = ConnId::accepted(self.accepted);
        let mut peer = Peer::new(Side::Client, "");
        peer.phase = Phase::Open;
        self.peers.insert(conn, peer);
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.turn(Input::Accepted { conn, listener: ListenerId(0), peer });
        Some(conn)
    }

    /// Bytes from a peer, as long as the engine wants them.
    pub fn say(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        if peer.phase == Phase::Open && !peer.ended && !bytes.is_empty() && self.proxy.wants_read(conn) {
            peer.said(bytes);
            self.turn(Input::Received { conn, bytes });
        }
    }

    /// Writes at most `most` bytes of what waits for a peer, who looks at them.
    pub fn pump(&mut self, conn: ConnId, most: usize) {
        let Some(peer) = self.peers.get_mut(&conn).filter(|peer| peer.phase == Phase::Open) else { return };
        let queue = self.proxy.outgoing(conn);
        let cap = if peer.side == Side::Client {
            self.limits.send_cap_bytes
        } else {
            self.limits.upstream_send_cap_bytes
        };
        assert!(
            queue.len() <= cap + 8 * self.limits.message_bytes_max,
            "{} bytes wait for {conn:?}",
            queue.len()
        );
        let bytes = queue[..queue.len().min(most)].to_vec();
        if !bytes.is_empty() {
            peer.hears(&bytes);
            self.turn(Input::Sent { conn, len: bytes.len() });
        }
    }

    /// Writes everything that waits for anybody.
    pub fn pump_all(&mut self) {
        for conn in self.conns(|_| true) {
            self.pump(conn, usize::MAX);
        }
    }

    /// The open connections of this kind.
    pub fn conns(&self, which: impl Fn(&Peer) -> bool) -> Vec<ConnId> {
        self.peers
            .iter()
            .filter(|(_, peer)| peer.phase == Phase::Open && which(peer))
            .map(|(conn, _)| *conn)
            .collect()
    }

    /// The other end will send nothing more.
    pub fn end(&mut self, conn: ConnId) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        if peer.phase == Phase::Open && !std::mem::replace(&mut peer.ended, true) {
            self.turn(Input::Eof { conn });
        }
    }

    /// The connection is gone; a child only stops to read.
    pub fn close(&mut self, conn: ConnId, cause: CloseCause) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        if peer.phase == Phase::Open && !std::mem::replace(&mut peer.deaf, true) {
            if peer.side != Side::Child {
                peer.phase = Phase::Over;
            }
            self.turn(Input::Closed { conn, cause });
        }
    }

    /// A child ends.
    pub fn exit(&mut self, conn: ConnId, code: i32) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        if peer.side == Side::Child && peer.phase == Phase::Open {
            peer.phase = Phase::Over;
            self.wishes.retain(|wish| *wish != Wish::Exit(conn));
            self.turn(Input::Exited { conn, status: ExitStatus::Code(code) });
        }
    }

    /// Answers a wish, well or badly. `stored` is what is read.
    pub fn grant(&mut self, place: usize, good: bool, stored: Option<&[u8]>) {
        let Some(wish) = self.wishes.remove(place) else { return };
        let outcome = if good { Ok(()) } else { Err("not today") };
        match wish {
            Wish::Listen(listener) => {
                self.open = good;
                let addr = SocketAddr::from(([127, 0, 0, 1], 9090));
                self.turn(Input::Listening { listener, result: outcome.map(|()| addr) });
            }
            Wish::Resolve(conn) if self.is_opening(conn) => {
                let old = self.peers.get(&conn).is_some_and(|peer| peer.side == Side::Server(true));
                let addrs = [SocketAddr::from(([192, 0, 2, 1], if old { OLD_PORT } else { 80 }))];
                self.turn(Input::Resolved { conn, result: outcome.map(|()| addrs.as_slice()) });
            }
            Wish::Connect(conn) if self.is_opening(conn) && good => {
                self.peer(conn).phase = Phase::Open;
                self.turn(Input::Connected { conn });
            }
            Wish::Spawn(conn) if self.is_opening(conn) && good => {
                self.peer(conn).phase = Phase::Open;
                self.turn(Input::Spawned { conn, pid: 7 });
            }
            Wish::Spawn(conn) if self.is_opening(conn) => {
                self.peer(conn).phase = Phase::Over;
                self.turn(Input::Failed { conn, reason: "not today" });
            }
            Wish::Connect(conn) if self.is_opening(conn) => {
                self.turn(Input::Failed { conn, reason: "not today" })
            }
            Wish::Resolve(_) | Wish::Connect(_) | Wish::Spawn(_) => {}
            Wish::Exit(conn) => self.exit(conn, 137),
            Wish::Load(key) => {
                let content = stored.map_or(Content::Absent, Content::Bytes);
                self.turn(Input::Loaded { key, result: outcome.map(|()| content) });
            }
            Wish::Save(key, ticket) => self.turn(Input::Saved { key, ticket, result: outcome }),
            Wish::SetAside(key) => self.turn(Input::SetAside { key, result: outcome.map(|()| "elsewhere") }),
            Wish::Derive(job, matches) => self.turn(Input::Derived { job, matches: matches && good }),
        }
    }

    fn is_opening(&self, conn: ConnId) -> bool {
        self.peers.get(&conn).is_some_and(|peer| peer.phase == Phase::Opening)
    }

    /// Answers every wish that is there.
    pub fn grant_all(&mut self, good: bool) {
        for _ in 0..self.wishes.len() {
            self.grant(0, good, None);
        }
    }

    /// Lets time pass, with every timeout on the way.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now.saturating_add(ms * 1_000_000);
        for _ in 0..TIMEOUTS_MAX {
            let due = self
                .proxy
                .deadline()
                .map(|deadline| deadline.at.0)
                .filter(|at| *at <= until && !self.stopped);
            let Some(due) = due else {
                self.now = until;
                return;
            };
            self.now = self.now.max(due);
            self.turn(Input::Timeout);
        }
        panic!("timer storm: {:?}", self.proxy.deadline());
    }

    /// Everybody leaves, nothing works any more, and then the engine is told to stop.
    ///
    /// # Panics
    ///
    /// When something of the clients is left, or the engine does not stop.
    pub fn finish(&mut self) {
        for conn in self.conns(|peer| peer.side == Side::Client) {
            self.close(conn, CloseCause::Reset);
        }
        for _ in 0..20 {
            self.grant_all(false);
            self.pump_all();
            self.pass(1_000);
        }
        if self.stopped {
            return;
        }
        let census = self.proxy.census();
        assert_eq!((census.clients, census.sessions, census.questions), (0, 0, 0), "{census:?}");
        self.turn(Input::Command(Command::Stop));
        for _ in 0..12 {
            self.grant_all(false);
            self.pump_all();
            self.pass(1_000);
        }
        assert!(self.stopped, "the engine does not stop: {:?} {:?}", self.proxy.census(), self.wishes);
    }
}

/// Tells an HTTP+SSE server from one of Streamable HTTP.
pub const OLD_PORT: u16 = 8_081;

/// Timeouts in one stretch of time.
const TIMEOUTS_MAX: usize = 20_000;

/// Bounds that a few kilobytes of input can reach, and times that pass soon.
pub fn tight() -> Limits {
    Limits {
        head_bytes_max: 2_048,
        message_bytes_max: 8 * 1024,
        json_depth_max: 24,
        downstream_conns_max: 12,
        sessions_max: 6,
        session_calls_max: 6,
        calls_max: 24,
        upstream_queue_max: 6,
        upstream_queue_bytes_max: 16 * 1024,
        send_high_bytes: 4 * 1024,
        send_cap_bytes: 32 * 1024,
        upstream_send_cap_bytes: 32 * 1024,
        replay_events_max: 6,
        replay_bytes_max: 4 * 1024,
        session_streams_max: 8,
        batch_max: 4,
        pool_conns_max: 6,
        list_pages_max: 4,
        list_items_max: 12,
        list_bytes_max: 4 * 1024,
        stderr_line_bytes_max: 64,
        request_ms: 2_000,
        conn_idle_ms: 5_000,
        linger_ms: 500,
        call_ms: 6_000,
        call_total_ms: 20_000,
        own_call_ms: 2_000,
        input_ms: 5_000,
        ask_wait_ms: 1_000,
        questions_max: 4,
        id_bytes_max: 64,
        uri_bytes_max: 64,
        watches_max: 4,
        server_conns_max: 4,
        server_conn_idle_ms: 2_000,
        lists_ms: 1_000,
        away_ms: 1_000,
        queue_ms: 2_000,
        session_idle_ms: 4_000,
        stream_retention_ms: 2_000,
        handshake_ms: 5_000,
        connect_ms: 1_000,
        endpoint_ms: 1_000,
        ping_ms: 5_000,
        backoff_max_ms: 4_000,
        child_stop_ms: 1_000,
        shutdown_ms: 2_000,
        ..Limits::default()
    }
}
