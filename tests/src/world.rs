//! The world: one engine, everybody it talks to, and virtual time.
//!
//! [`World::step`] takes the earliest event; an engine's deadline wins against an event of the same time.
//! Checked here: outputs concern only connections that the engine still has (between their open and their
//! close), ids are minted by the side that owns them, a timeout makes progress, and what [`World::finish`] lists.

mod harm;
mod io;
mod stored;

use crate::cast::Cast;
use crate::child::Child;
use crate::client::{Client, State};
use crate::disk::Disk;
use crate::haste::Haste;
use crate::host::SimHost;
use crate::mind::asking::{Asked, Question};
use crate::net::{Event, Link, MS, Net, PIPE_CAPACITY, Phase, Who};
use crate::publisher::Publisher;
use crate::watch::Watch;
use mcp_proxy_core::event::{ChildSpec, Command, Input, Output, Signal};
use mcp_proxy_core::id::{ConnId, ListenerId};
use mcp_proxy_core::shard::Shard;
use mcp_proxy_core::timer::TimerKind;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// From one recount of what the engine holds to the next, inputs.
const RECOUNT_EVERY: u64 = 61;

/// Everything.
#[derive(Debug)]
pub struct World {
    /// What this run is a function of, beside the story.
    pub seed: u64,
    /// Links, events, clock, chance.
    pub net: Net,
    /// Model clients.
    pub clients: Vec<Client>,
    /// All processes ever started.
    pub children: Vec<Child>,
    /// HTTP servers.
    pub sites: Vec<crate::site::Site>,
    /// Web sites that publish documents.
    pub publishers: Vec<Publisher>,
    /// The record and its checks.
    pub watch: Watch,
    /// What is kept.
    pub disk: Disk,
    /// How many passwords were compared by their hash.
    pub derived: u32,
    /// How long that takes.
    pub hashing_ms: u64,
    hashing: u32,
    /// How many were compared at the same time, at the most.
    pub hashing_most: u32,
    /// The exit code, once the engine has stopped.
    pub stopped: Option<u8>,
    /// The engine.
    pub shard: Shard<SimHost>,
    /// Kinds of the timers that fired, with the virtual time of each.
    pub fired: Vec<(u64, TimerKind)>,
    /// How often a connection was closed that was over already.
    pub needless_closes: u32,
    /// How many outputs came after `Stopped`.
    pub afterthoughts: u32,
    /// How many connections had bytes queued when the engine stopped.
    pub unfinished: u32,
    /// What each process was started from.
    pub spawned: Vec<ChildSpec>,
    /// Names that were looked up.
    pub lookups: Vec<String>,
    /// Addresses that were dialled.
    pub dials: Vec<SocketAddr>,
    /// The most that the engine has held for its peers after an input.
    pub most_held: usize,
    /// How often servers are contacted.
    pub haste: Haste,
    /// Where the next clients come from.
    pub visitors_from: IpAddr,
    pub(crate) cast: Cast,
    listeners: BTreeMap<ListenerId, bool>,
    starts: BTreeMap<String, usize>,
    timeouts_in_place: u32,
    crashes: u64,
}

impl World {
    /// A world at time 0 with a started engine.
    pub fn new(seed: u64, cast: Cast) -> Self {
        let disk = cast.disk.clone();
        Self::on(seed, cast, disk, 0, 0)
    }

    /// A world at this time with a started engine, on this disk.
    fn on(seed: u64, cast: Cast, disk: Disk, now: u64, wall_off_ms: i64) -> Self {
        let mut net = Net::new(seed);
        net.now = now;
        net.weather = cast.weather;
        let engine = cast.engine(net.dice.seed());
        let mut world = Self {
            seed,
            net,
            clients: Vec::new(),
            children: Vec::new(),
            sites: cast.sites.clone(),
            publishers: cast.publishers.clone(),
            watch: Watch::new(cast.secrets.clone()),
            disk,
            derived: 0,
            hashing_ms: 50,
            hashing: 0,
            hashing_most: 0,
            stopped: None,
            shard: Shard::new(engine, SimHost::default()),
            fired: Vec::new(),
            needless_closes: 0,
            afterthoughts: 0,
            unfinished: 0,
            spawned: Vec::new(),
            lookups: Vec::new(),
            dials: Vec::new(),
            most_held: 0,
            haste: Haste::default(),
            visitors_from: IpAddr::V4(Ipv4Addr::LOCALHOST),
            cast,
            listeners: BTreeMap::new(),
            starts: BTreeMap::new(),
            timeouts_in_place: 0,
            crashes: 0,
        };
        world.shard.host_mut().now = now;
        world.shard.host_mut().wall_off_ms = wall_off_ms;
        world.shard.start();
        world.carry_out();
        world
    }

    /// Milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        self.net.now / MS
    }

    /// Turns the wall clock: it is so many milliseconds ahead of, or behind, the time that has passed.
    pub fn turn_clock(&mut self, off_ms: i64) {
        self.shard.host_mut().wall_off_ms = off_ms;
    }

    /// Hands the engine a command.
    pub fn command(&mut self, command: Command) {
        self.turn(&Input::Command(command));
    }

    /// Whether somebody can connect.
    pub fn is_listening(&self) -> bool {
        self.listeners.values().any(|open| *open)
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<u64> {
        let deadline = self
            .shard
            .host()
            .deadline
            .filter(|_| self.stopped.is_none())
            .map(|deadline| deadline.at.0.max(self.net.now));
        match (self.net.next_at(), deadline) {
            (Some(event), Some(deadline)) => Some(event.min(deadline)),
            (event, deadline) => event.or(deadline),
        }
    }

    /// Lets the next thing happen. False when nothing ever will.
    pub fn step(&mut self) -> bool {
        let event_at = self.net.next_at();
        if let Some(deadline) = self.shard.host().deadline.filter(|_| self.stopped.is_none())
            && event_at.is_none_or(|at| deadline.at.0 <= at)
        {
            if deadline.at.0 == u64::MAX {
                return false;
            }
            self.timeouts_in_place =
                if deadline.at.0 > self.net.now { 0 } else { self.timeouts_in_place + 1 };
            assert!(self.timeouts_in_place < 1_000, "timer storm: {deadline:?}");
            self.net.now = self.net.now.max(deadline.at.0);
            self.fired.push((self.net.now, deadline.why));
            self.turn(&Input::Timeout);
            return true;
        }
        let Some(event) = self.net.pop() else { return false };
        match event {
            Event::Listening(listener) => self.on_listening(listener),
            Event::Accept(conn) => self.on_accept(conn),
            Event::Resolved(conn, name, port) => self.on_resolved(conn, &name, port),
            Event::Connected(conn, addr) => self.on_connected(conn, addr),
            Event::Spawned(conn) => self.on_spawned(conn),
            Event::Read(conn) => self.on_read(conn),
            Event::Write(conn) => self.on_write(conn),
            Event::PeerRead(conn) => self.on_peer_read(conn),
            Event::Reset(conn) => self.on_reset(conn),
            Event::Deed(Who::Child(conn), deed) => {
                if let Some(child) = self.children.iter_mut().find(|child| child.conn == conn) {
                    child.on_deed(&deed, &mut self.net);
                }
            }
            Event::Deed(Who::Site(index), deed) => self.sites[index].on_deed(&deed, &mut self.net),
            Event::Stored(id) => self.on_stored(id),
            Event::Publish(index, conn, bytes, last) => {
                self.publishers[index].write(conn, &bytes, last, &mut self.net);
            }
            Event::Derived(job, matches) => {
                self.hashing -= 1;
                self.turn(&Input::Derived { job, matches });
            }
            Event::GiveUp(conn) => self.on_give_up(conn),
            Event::Reply(client, question) => self.clients[client].reply(question, &mut self.net),
            Event::Deed(who, _) => panic!("{who:?} does not plan deeds"),
        }
        true
    }

    /// Ends the story: lets open requests finish, stops the engine, and checks that nothing is left.
    ///
    /// # Panics
    ///
    /// When a request or a question of a server that should have been answered still waits after a minute; when the engine does not stop
    /// in time, or leaves a child, a connection or a listener behind.
    pub fn finish(&mut self) {
        if self.stopped.is_none() {
            let patience = self.net.now + 60_000 * MS;
            while self.open_requests() > 0 && self.next_at().is_some_and(|at| at < patience) {
                self.step();
            }
            assert_eq!(self.open_requests(), 0, "requests without an answer");
            let patience = self.net.now + 60_000 * MS;
            while self.open_questions() > 0 && self.next_at().is_some_and(|at| at < patience) {
                self.step();
            }
            assert!(self.unanswered().is_empty(), "questions without an answer: {:?}", self.unanswered());
            self.recount();
            self.command(Command::Stop);
        }
        let limits = &self.cast.limits;
        let patience =
            self.net.now + (limits.shutdown_ms + 2 * limits.child_stop_ms + limits.linger_ms + 2_000) * MS;
        while self.stopped.is_none() {
            assert!(self.next_at().is_some_and(|at| at < patience), "the engine does not stop");
            self.step();
        }
        let alive: Vec<&str> = self.children.iter().filter(|c| c.alive).map(|c| c.command.as_str()).collect();
        assert!(alive.is_empty(), "children left behind: {alive:?}");
        // What has left the engine still arrives.
        while self.net.next_at().is_some() {
            self.step();
        }
    }

    /// Requests that wait and were neither cancelled nor meant to wait for ever.
    pub fn open_requests(&self) -> usize {
        let waits = |client: &Client| {
            client.requests.iter().filter(|r| r.state == State::Waiting && !r.cancelled).count()
        };
        self.clients.iter().map(waits).sum()
    }

    /// How many questions of servers wait for an answer and can still get one.
    pub fn open_questions(&self) -> usize {
        self.unanswered().len()
    }

    /// Those questions.
    pub fn unanswered(&self) -> Vec<&Question> {
        let children = self.children.iter().filter(|child| child.alive && !child.stdin_closed);
        let minds = children.map(|child| &child.program.mind).chain(self.sites.iter().map(|site| &site.mind));
        minds.flat_map(|mind| &mind.questions).filter(|question| question.state == Asked::Open).collect()
    }

    fn turn(&mut self, input: &Input<'_>) {
        if self.stopped.is_some() {
            return;
        }
        self.watch.input(self.net.now, input);
        self.shard.host_mut().now = self.net.now;
        self.shard.turn(input.clone());
        self.carry_out();
        self.most_held = self.most_held.max(self.shard.proxy().held());
        if self.watch.inputs.is_multiple_of(RECOUNT_EVERY) {
            self.recount();
        }
    }

    /// Checks that what the engine counts as held for its peers is what it holds.
    #[track_caller]
    pub fn recount(&self) {
        let proxy = self.shard.proxy();
        assert_eq!(proxy.census().bytes, proxy.recount(), "the ledger of the engine is wrong");
    }

    fn carry_out(&mut self) {
        for output in std::mem::take(&mut self.shard.host_mut().outputs) {
            self.watch.output(self.net.now, &output);
            if self.stopped.is_none() {
                self.perform(output);
            } else {
                self.afterthoughts += 1;
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Listen { listener, .. } => {
                self.listeners.insert(listener, false);
                self.net.plan(MS, Event::Listening(listener));
            }
            Output::Unlisten { listener } => {
                assert!(self.listeners.remove(&listener).is_some(), "{listener:?} is not open");
            }
            Output::Resolve { conn, name, port } => {
                self.mint(conn, Who::Nobody);
                self.lookups.push(name.to_string());
                self.net.plan(MS, Event::Resolved(conn, name.to_string(), port));
            }
            Output::Connect { conn, addr, .. } => {
                self.dials.push(addr);
                if !self.net.links.contains_key(&conn) {
                    // An address looked up a moment ago needs no second look-up.
                    self.mint(conn, Who::Nobody);
                }
                let link = self.link(conn, "Connect");
                assert!(matches!(link.phase, Phase::Opening | Phase::Failed), "Connect in {:?}", link.phase);
                link.phase = Phase::Opening;
                self.net.plan(MS, Event::Connected(conn, addr));
            }
            Output::Spawn { conn, spec } => {
                self.mint(conn, Who::Child(conn));
                self.spawned.push(ChildSpec::clone(&spec));
                self.starts.entry(spec.command.clone()).and_modify(|n| *n += 1).or_insert(1);
                self.haste.contact(&spec.command, "a start", self.net.now, self.crowd());
                let starts = self.starts[&spec.command];
                let programs = &self.cast.programs[&spec.command];
                let program = programs[(starts - 1).min(programs.len() - 1)].clone();
                if !program.missing {
                    self.children.push(Child::start(&spec.command, conn, program, &mut self.net));
                }
                self.net.plan(MS, Event::Spawned(conn));
            }
            Output::Signal { conn, signal } => self.signal(conn, signal),
            Output::Wake { conn } => {
                self.link(conn, "Wake");
                self.net.wake_writer(conn);
                self.net.wake_reader(conn);
            }
            Output::Shutdown { conn } => {
                self.link(conn, "Shutdown").shutdown = true;
                self.net.wake_writer(conn);
            }
            Output::Close { conn } if self.net.links.get(&conn).is_none_or(|l| l.phase == Phase::Over) => {
                self.needless_closes += 1;
            }
            Output::Close { conn } => {
                let link = self.link(conn, "Close");
                assert!(!link.is_child(), "Close is not for children");
                link.phase = Phase::Over;
                link.outbound.eof = true;
                self.net.wake_peer(conn);
            }
            Output::Load { .. } | Output::Save { .. } | Output::SetAside { .. } | Output::Derive { .. } => {
                self.keep(output);
            }
            Output::Log(_) => {}
            Output::Stopped { code } => self.end_process(code),
        }
    }

    /// The host ends: what is queued gets one last write, the system closes the rest.
    fn end_process(&mut self, code: u8) {
        self.stopped = Some(code);
        let open = |link: &Link| matches!(link.phase, Phase::Open | Phase::Opening | Phase::Failed);
        let conns: Vec<ConnId> = self.net.links.iter().filter(|(_, l)| open(l)).map(|(c, _)| *c).collect();
        for conn in conns {
            let queued = self.shard.proxy().outgoing(conn).to_vec();
            let Some(link) = self.net.links.get_mut(&conn) else { continue };
            self.unfinished += u32::from(!link.is_child() && !queued.is_empty());
            let room = PIPE_CAPACITY.saturating_sub(link.outbound.len());
            if link.shutdown {
                link.outbound.put(&queued[..queued.len().min(room)]);
            }
            link.phase = Phase::Over;
            link.outbound.eof = true;
            self.net.wake_peer(conn);
        }
    }

    fn mint(&mut self, conn: ConnId, peer: Who) {
        assert_eq!(conn.0 & 1, 1, "{conn:?} is not the engine's to mint");
        self.net.add(conn, peer);
    }

    /// The link an output is about; it must be one the engine still has.
    fn link(&mut self, conn: ConnId, what: &str) -> &mut Link {
        let link = self.net.links.get_mut(&conn).unwrap_or_else(|| panic!("{what} for unknown {conn:?}"));
        assert!(link.phase != Phase::Over, "{what} for {conn:?}, which is over");
        link
    }

    fn signal(&mut self, conn: ConnId, signal: Signal) {
        assert!(self.link(conn, "Signal").is_child(), "only children are signalled");
        if let Some(child) = self.children.iter_mut().find(|child| child.conn == conn && child.alive) {
            child.on_signal(signal, &mut self.net);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if !self.watch.quiet {
                eprintln!("{}", self.watch.report());
            }
            eprintln!("commit {}, repeat with SIM_SEED={}", crate::story::commit(), self.seed);
        }
    }
}
