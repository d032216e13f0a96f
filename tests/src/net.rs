//! Links between the engine and its peers, and the queue of everything that is going to happen.
//!
//! A link is two pipes with bounded buffers. Bytes never overtake each other; how they are cut into reads and
//! writes, and how long each hop takes, is the [`Weather`]. Peers use [`Net::send`], [`Net::close_write`],
//! [`Net::close`], [`Net::reset`] and [`Net::stall`]; the engine's side is played by
//! [`World`](crate::world::World).

mod harm;

use crate::dice::Dice;
use crate::mind::Deed;
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_core::id::{ConnId, ListenerId};
use std::collections::BTreeMap;

/// A millisecond of virtual time.
pub const MS: u64 = 1_000_000;

/// Something that will happen.
#[derive(Debug)]
pub enum Event {
    /// A listener came up.
    Listening(ListenerId),
    /// A client's connection reaches the listener.
    Accept(ConnId),
    /// A name look-up ends.
    Resolved(ConnId, String, u16),
    /// A dial ends.
    Connected(ConnId, std::net::SocketAddr),
    /// A child starts, or does not.
    Spawned(ConnId),
    /// The engine's host reads.
    Read(ConnId),
    /// The engine's host writes.
    Write(ConnId),
    /// The peer reads.
    PeerRead(ConnId),
    /// The connection breaks.
    Reset(ConnId),
    /// A scripted server does something it planned. The number is the child's connection or the site's place.
    Deed(Who, Deed),
    /// A request to the disk ends.
    Stored(u64),
    /// A password was compared.
    Derived(u64, bool),
    /// A web site writes more of its answer, and closes after the last piece.
    Publish(usize, ConnId, Vec<u8>, bool),
    /// This client answers its question of this number.
    Reply(usize, usize),
    /// The system looks whether a peer that has vanished owes it an acknowledgement.
    GiveUp(ConnId),
}

/// Who is at the other end of a link, or acts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A connection of this model client.
    Client(usize),
    /// A connection to this HTTP server.
    Site(usize),
    /// This web site.
    Publisher(usize),
    /// This child.
    Child(ConnId),
    /// A dial that has reached nobody yet.
    Nobody,
}

/// How far a connection has come, as the engine has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The engine waits for the name, the connection or the child, or the host has not announced it.
    Opening,
    /// A dial failed; the engine may try another address.
    Failed,
    /// Bytes may flow.
    Open,
    /// The engine was told, or said itself, that it is over.
    Over,
}

/// How bytes travel.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Shortest time of a hop, nanoseconds.
    pub latency_min: u64,
    /// Longest time of a hop, nanoseconds.
    pub latency_max: u64,
    /// Longest piece of a read or write; 1 is byte by byte.
    pub piece_max: usize,
    /// Whether pieces are always as long as possible.
    pub whole: bool,
}

impl Weather {
    /// Everything arrives in one piece after 0.1 ms.
    pub const CALM: Self =
        Self { latency_min: MS / 10, latency_max: MS / 10, piece_max: 1 << 20, whole: true };
    /// One byte at a time.
    pub const DRIZZLE: Self = Self { latency_min: 1_000, latency_max: 2_000, piece_max: 1, whole: true };

    /// The weather of a link by the seed of the world: calm, drizzle, or something in between.
    pub fn of(seed: u64, dice: &mut Dice) -> Self {
        match seed % 4 {
            0 => Self::CALM,
            1 => Self::DRIZZLE,
            _ => {
                let piece_max = *dice.pick(&[1, 7, 100, 1_500, 16_384]);
                // Many small pieces come faster, so that a message does not take seconds.
                let latency_max = if piece_max < 100 { MS / 50 } else { dice.range(1, 20) * MS / 10 };
                Self { latency_min: 1_000, latency_max, piece_max, whole: false }
            }
        }
    }

    fn hop(self, dice: &mut Dice) -> u64 {
        dice.range(self.latency_min, self.latency_max)
    }

    fn piece(self, available: usize, dice: &mut Dice) -> usize {
        let most = available.min(self.piece_max);
        if self.whole || most < 2 { most } else { dice.range(1, most as u64) as usize }
    }
}

/// Bytes on their way in one direction.
#[derive(Debug, Default)]
pub struct Pipe {
    bytes: Vec<u8>,
    taken: usize,
    /// No more bytes will follow.
    pub eof: bool,
    /// The reader knows.
    pub eof_told: bool,
}

impl Pipe {
    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds bytes at the end.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets all but the first `keep` of the bytes that wait.
    fn truncate(&mut self, keep: usize) {
        self.bytes.truncate(self.taken + keep);
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let out = self.bytes[self.taken..self.taken + len].to_vec();
        self.taken += len;
        if self.taken == self.bytes.len() || self.taken > 1 << 16 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        out
    }
}

/// One connection or the pipes of one child.
#[derive(Debug)]
pub struct Link {
    /// The other end.
    pub peer: Who,
    /// What the engine knows.
    pub phase: Phase,
    /// From the peer (a child's stdout).
    pub inbound: Pipe,
    /// A child's stderr.
    pub stderr: Pipe,
    /// To the peer (a child's stdin).
    pub outbound: Pipe,
    /// The engine asked for a half-close after what is queued.
    pub shutdown: bool,
    /// The peer does not read.
    pub stalled: bool,
    /// Nothing arrives at either end. What is written waits in the buffers of the writer.
    pub frozen: bool,
    /// The peer has gone without a word, and the link is frozen for ever.
    pub vanished: bool,
    /// The peer has gone, or a child closed its stdin.
    pub deaf: bool,
    /// The engine knows that its bytes go nowhere.
    pub broken_told: bool,
    /// How a child ended.
    pub exit: Option<ExitStatus>,
    /// How its bytes travel.
    pub weather: Weather,
    /// A look by the engine's host at what came in is planned.
    pub reading: bool,
    /// A look by the engine's host at what is to go out is planned.
    pub writing: bool,
    /// A look by the peer is planned.
    pub peer_reading: bool,
}

impl Link {
    /// Whether it is a child's.
    pub fn is_child(&self) -> bool {
        matches!(self.peer, Who::Child(_))
    }
}

/// What fits into the buffers of a pipe before its writer must wait.
pub const PIPE_CAPACITY: usize = 16 * 1024;

/// All links and all that is going to happen.
#[derive(Debug)]
pub struct Net {
    /// Virtual time, nanoseconds.
    pub now: u64,
    /// Chance.
    pub dice: Dice,
    /// The weather of new links; by default it depends on the seed.
    pub weather: Option<Weather>,
    /// All links the engine or a peer still knows.
    pub links: BTreeMap<ConnId, Link>,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    accepted: u64,
    seed: u64,
}

impl Net {
    /// An empty network.
    pub fn new(seed: u64) -> Self {
        Self {
            now: 0,
            dice: Dice::new(seed),
            weather: None,
            links: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            accepted: 0,
            seed,
        }
    }

    /// Plans an event `delay` nanoseconds from now.
    pub fn plan(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), event);
    }

    /// When the earliest event is due.
    pub fn next_at(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the earliest event and moves the clock to it.
    pub fn pop(&mut self) -> Option<Event> {
        let ((at, _), event) = self.queue.pop_first()?;
        self.now = self.now.max(at);
        Some(event)
    }

    /// A new link in a weather of its own.
    pub fn add(&mut self, conn: ConnId, peer: Who) {
        let weather = self.weather.unwrap_or_else(|| Weather::of(self.seed, &mut self.dice));
        let link = Link {
            peer,
            phase: Phase::Opening,
            inbound: Pipe::default(),
            stderr: Pipe::default(),
            outbound: Pipe::default(),
            shutdown: false,
            stalled: false,
            frozen: false,
            vanished: false,
            deaf: false,
            broken_told: false,
            exit: None,
            weather,
            reading: false,
            writing: false,
            peer_reading: false,
        };
        assert!(self.links.insert(conn, link).is_none(), "{conn:?} was minted twice");
    }

    /// A client dials the proxy.
    pub fn dial(&mut self, client: usize) -> ConnId {
        self.accepted += 1;
        let conn = ConnId::accepted(self.accepted);
        self.add(conn, Who::Client(client));
        self.plan(MS / 10, Event::Accept(conn));
        conn
    }

    /// The peer sends bytes.
    pub fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(&conn).filter(|link| !link.inbound.eof) {
            link.inbound.put(bytes);
            self.wake_reader(conn);
        }
    }

    /// A child writes to its stderr.
    pub fn send_stderr(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(&conn).filter(|link| !link.stderr.eof) {
            link.stderr.put(bytes);
            self.wake_reader(conn);
        }
    }

    /// The peer will send nothing more.
    pub fn close_write(&mut self, conn: ConnId) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.inbound.eof = true;
            self.wake_reader(conn);
        }
    }

    /// The peer goes away in order: the engine sees the end after the bytes before it.
    pub fn close(&mut self, conn: ConnId) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.deaf = true;
        }
        self.close_write(conn);
        self.wake_writer(conn);
    }

    /// The connection breaks; bytes on their way are lost.
    pub fn reset(&mut self, conn: ConnId) {
        self.plan(MS / 10, Event::Reset(conn));
    }

    /// The peer stops or starts to read.
    pub fn stall(&mut self, conn: ConnId, stalled: bool) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.stalled = stalled;
            self.wake_peer(conn);
        }
    }

    /// Plans a look by the engine's host at what came from the peer.
    pub fn wake_reader(&mut self, conn: ConnId) {
        self.wake(conn, |link| &mut link.reading, Event::Read);
    }

    /// Plans a look by the engine's host at what is to be written.
    pub fn wake_writer(&mut self, conn: ConnId) {
        self.wake(conn, |link| &mut link.writing, Event::Write);
    }

    /// Plans a look by the peer at what came from the engine.
    pub fn wake_peer(&mut self, conn: ConnId) {
        self.wake(conn, |link| &mut link.peer_reading, Event::PeerRead);
    }

    /// Takes a piece of what waits in a pipe; as much as the weather lets through at once.
    pub fn take(&mut self, conn: ConnId, pipe: fn(&mut Link) -> &mut Pipe) -> Vec<u8> {
        let Some(link) = self.links.get_mut(&conn) else { return Vec::new() };
        let weather = link.weather;
        let pipe = pipe(link);
        let len = weather.piece(pipe.len(), &mut self.dice);
        pipe.take(len)
    }

    /// How many of `available` bytes the kernel takes from the engine now.
    pub fn accepts(&mut self, conn: ConnId, available: usize) -> usize {
        let Some(link) = self.links.get(&conn) else { return 0 };
        let room = PIPE_CAPACITY.saturating_sub(link.outbound.len());
        link.weather.piece(available.min(room), &mut self.dice)
    }

    fn wake(&mut self, conn: ConnId, flag: fn(&mut Link) -> &mut bool, event: fn(ConnId) -> Event) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let weather = link.weather;
        if !std::mem::replace(flag(link), true) {
            let delay = weather.hop(&mut self.dice);
            self.plan(delay, event(conn));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_their_order_in_any_weather() {
        for seed in 0..20 {
            let mut net = Net::new(seed);
            let conn = net.dial(0);
            let sent: Vec<u8> = (0..=255).collect();
            net.send(conn, &sent);
            let mut got = Vec::new();
            while got.len() < sent.len() {
                let piece = net.take(conn, |link| &mut link.inbound);
                assert!(!piece.is_empty());
                got.extend(piece);
            }
            assert_eq!(got, sent, "seed {seed}");
        }
    }

    #[test]
    fn events_come_in_order_of_time_and_then_of_planning() {
        let mut net = Net::new(0);
        let names = [1, 2, 3].map(ConnId);
        net.plan(5, Event::Read(names[0]));
        net.plan(3, Event::Read(names[1]));
        net.plan(5, Event::Read(names[2]));
        let order: Vec<ConnId> = std::iter::from_fn(|| net.pop())
            .map(|event| match event {
                Event::Read(conn) => conn,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(order, [names[1], names[0], names[2]]);
        assert_eq!(net.now, 5);
    }
}
