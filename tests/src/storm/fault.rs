//! What goes wrong: in the network, in servers, on the disk, with clocks, with the proxy's own process.
//!
//! A fault that lasts has an [`Undo`]; in the calm all of them are undone.

use super::Storm;
use super::plan::{Reach, weather};
use crate::net::{Link, MS, Phase, Weather, Who};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_core::id::ConnId;

/// The end of a fault.
#[derive(Debug, Clone)]
pub enum Undo {
    /// The network between two ends is back.
    Thaw(ConnId),
    /// A peer reads again.
    Read(ConnId),
    /// Bytes travel as usual.
    Weather(ConnId),
    /// A site works in every respect.
    Site(usize),
    /// A process goes on.
    Go(ConnId),
    /// Processes answer again.
    Unmute(ConnId),
    /// What is started under this command works again.
    Programs(String),
    /// The disk works.
    Disk,
    /// The wall clock is right.
    Clock,
}

/// Bytes that make sense nowhere: neither in JSON nor as a chunk size or a status line.
const NONSENSE: &[u8] = b"\x00\xff{]\x01 nonsense \x02\r\n\r\n";

/// One byte at a time, at a pace at which few of them pass while it lasts.
const SINGLE_BYTES: Weather =
    Weather { latency_min: MS / 10, latency_max: MS / 5, piece_max: 1, whole: true };

/// The longest that a process is not scheduled.
const PAUSE_MS_MAX: u64 = 20_000;

impl Storm {
    /// Lets something go wrong.
    pub(super) fn inject(&mut self) {
        if self.world.stopped.is_some() {
            return;
        }
        let kind = match self.dice.below(100) {
            0..38 => self.break_network(),
            38..62 => self.break_site(),
            62..86 => self.break_child(),
            86..91 => self.break_disk(),
            91..94 => self.turn_clock(),
            94..97 => self.pause(),
            _ => self.change_weather(),
        };
        if let Some(kind) = kind {
            self.tally.fault(kind);
        }
    }

    /// Ends the faults whose time is over.
    pub(super) fn undo_due(&mut self) {
        let now = self.world.now_ms();
        let (due, later) = std::mem::take(&mut self.undo).into_iter().partition(|(at, _)| *at <= now);
        self.undo = later;
        let due: Vec<(u64, Undo)> = due;
        due.into_iter().for_each(|(_, undo)| self.mend(undo));
    }

    /// Ends all faults.
    pub(super) fn undo_all(&mut self) {
        std::mem::take(&mut self.undo).into_iter().for_each(|(_, undo)| self.mend(undo));
    }

    fn mend(&mut self, undo: Undo) {
        let world = &mut self.world;
        match undo {
            Undo::Thaw(conn) => world.net.freeze(conn, false),
            Undo::Read(conn) => world.net.stall(conn, false),
            Undo::Weather(conn) => {
                if let Some(link) = world.net.links.get_mut(&conn) {
                    link.weather = Weather::CALM;
                }
            }
            Undo::Site(index) => {
                let site = &mut world.sites[index];
                (site.down, site.nameless, site.unreachable, site.mind.mute) = (false, false, false, false);
                site.fails_with = None;
            }
            Undo::Go(conn) => self.with_child(conn, |child, net| child.stop(false, net)),
            Undo::Unmute(conn) => self.with_child(conn, |child, _| child.mind().mute = false),
            Undo::Programs(command) => {
                let programs = self.plan.cast().programs.remove(&command);
                world.cast.programs.extend(programs.map(|programs| (command, programs)));
            }
            Undo::Disk => {
                (world.disk.full, world.disk.full_after, world.disk.unreadable) = (false, None, None);
                world.disk.slow_ms = 0;
            }
            Undo::Clock => world.turn_clock(0),
        }
    }

    fn later(&mut self, most_ms: u64, undo: Undo) {
        let ms = self.dice.range(20, most_ms);
        self.undo.push((self.world.now_ms() + ms, undo));
    }

    fn with_child(&mut self, conn: ConnId, act: impl FnOnce(&mut crate::child::Child, &mut crate::net::Net)) {
        let child = self.world.children.iter_mut().find(|child| child.conn == conn && child.alive);
        if let Some(child) = child {
            act(child, &mut self.world.net);
        }
    }

    /// An open connection by chance, of a kind.
    fn link(&mut self, wanted: impl Fn(&Link) -> bool) -> Option<ConnId> {
        let open = |link: &Link| link.phase == Phase::Open && !link.vanished && wanted(link);
        let all: Vec<ConnId> =
            self.world.net.links.iter().filter(|(_, link)| open(link)).map(|(conn, _)| *conn).collect();
        (!all.is_empty()).then(|| *self.dice.pick(&all))
    }

    /// What a site says on this connection may be lost from now on.
    fn harm(&mut self, conn: ConnId) {
        if let Some(Who::Site(index)) = self.world.net.links.get(&conn).map(|link| link.peer) {
            self.harmed.insert(self.world.sites[index].mind.name.clone());
        }
    }

    fn break_network(&mut self) -> Option<&'static str> {
        let to_site = |link: &Link| matches!(link.peer, Who::Site(_));
        let any = |link: &Link| matches!(link.peer, Who::Site(_) | Who::Client(_));
        let kind = self.dice.below(9);
        let conn = if kind < 2 { self.link(to_site)? } else { self.link(any)? };
        self.harm(conn);
        let net = &mut self.world.net;
        match kind {
            0 => {
                self.world.cut(conn);
                Some("network: response cut off")
            }
            1 => {
                net.send(conn, NONSENSE);
                Some("network: nonsense from a server")
            }
            2 | 3 => {
                net.reset(conn);
                Some("network: reset")
            }
            4 => {
                net.freeze(conn, true);
                self.later(12_000, Undo::Thaw(conn));
                Some("network: partition")
            }
            5 => {
                self.world.vanish(conn);
                Some("network: peer vanished")
            }
            6 => {
                net.stall(conn, true);
                self.later(10_000, Undo::Read(conn));
                Some("network: slow reader")
            }
            7 => {
                net.links.get_mut(&conn)?.weather = SINGLE_BYTES;
                self.later(800, Undo::Weather(conn));
                Some("network: single bytes")
            }
            _ => {
                let delay = self.dice.range(50, 1_500) * MS;
                self.world.net.links.get_mut(&conn)?.weather =
                    Weather { latency_min: delay, latency_max: delay, piece_max: 16_384, whole: true };
                self.later(6_000, Undo::Weather(conn));
                Some("network: delay")
            }
        }
    }

    fn change_weather(&mut self) -> Option<&'static str> {
        self.world.net.weather = Some(weather(&mut self.dice));
        Some("network: other weather")
    }

    fn break_site(&mut self) -> Option<&'static str> {
        let count = self.world.sites.len() as u64;
        let index = self.dice.below(count) as usize;
        let site = self.world.sites.get_mut(index)?;
        self.harmed.insert(site.mind.name.clone());
        let (kind, most_ms) = match self.dice.below(10) {
            0 | 1 => {
                site.down = true;
                if self.dice.chance(500) {
                    self.world.sites[index].restart(&mut self.world.net);
                }
                ("server: refuses connections", 5_000)
            }
            2 => {
                site.nameless = true;
                ("server: name not found", 5_000)
            }
            3 => {
                site.unreachable = true;
                let of_site = |link: &&ConnId| self.world.net.links[*link].peer == Who::Site(index);
                let conns: Vec<ConnId> = self.world.net.links.keys().filter(of_site).copied().collect();
                for conn in conns {
                    self.world.net.freeze(conn, true);
                    self.undo.push((self.world.now_ms() + 6_000, Undo::Thaw(conn)));
                }
                ("server: unreachable", 6_000)
            }
            4 | 5 => {
                site.fails_with = Some(*self.dice.pick(&[500, 502, 503, 404, 429, 401, 400]));
                ("server: error status", 2_500)
            }
            6 | 7 => {
                site.restart(&mut self.world.net);
                ("server: restart", 20)
            }
            8 => {
                let known: Vec<String> = site.live.keys().cloned().collect();
                let session = known.get(self.dice.below(known.len() as u64) as usize)?;
                site.live.remove(session);
                site.mind.forget(session);
                ("server: session forgotten", 20)
            }
            _ => {
                site.mind.mute = true;
                ("server: no answers", 5_000)
            }
        };
        self.later(most_ms, Undo::Site(index));
        Some(kind)
    }

    fn break_child(&mut self) -> Option<&'static str> {
        let alive: Vec<usize> =
            (0..self.world.children.len()).filter(|place| self.world.children[*place].alive).collect();
        let place = *alive.get(self.dice.below(alive.len() as u64) as usize)?;
        let child = &mut self.world.children[place];
        let (conn, command) = (child.conn, child.command.clone());
        let net = &mut self.world.net;
        match self.dice.below(12) {
            0 | 1 => {
                child.exit(
                    net,
                    *self.dice.pick(&[ExitStatus::Code(1), ExitStatus::Signal(11), ExitStatus::Code(0)]),
                );
                Some("child: crash")
            }
            2 => {
                child.exit(net, ExitStatus::Code(1));
                self.change_programs(&command, |program| program.exits_at_once = Some(1));
                Some("child: crash loop")
            }
            3 => {
                child.exit(net, ExitStatus::Code(1));
                self.change_programs(&command, |program| program.missing = true);
                Some("child: cannot be started")
            }
            4 => {
                let len = self.dice.below(40_000) as usize;
                let line = if self.dice.chance(500) { 100 } else { 20_000 };
                let text: Vec<u8> =
                    (0..len).map(|at| if at % line == line - 1 { b'\n' } else { b'e' }).collect();
                net.send_stderr(conn, &text);
                Some("child: flood on stderr")
            }
            5 => {
                net.stall(conn, true);
                self.later(8_000, Undo::Read(conn));
                Some("child: does not read stdin")
            }
            6 | 7 => {
                child.stop(true, net);
                self.later(10_000, Undo::Go(conn));
                Some("child: stopped")
            }
            8 => {
                self.harmed.insert(child.program.mind.name.clone());
                let len = self.dice.below(NONSENSE.len() as u64) as usize;
                net.send(conn, &NONSENSE[..len]);
                Some("child: nonsense or half a line")
            }
            9 => {
                net.send(conn, b"{\"jsonrpc\":\"2.0\",\"id\":123456,\"result\":{}}\nnot json\n[]\n{\"a\n");
                Some("child: lines of no meaning")
            }
            10 => {
                self.harmed.insert(child.program.mind.name.clone());
                child.close_stdout(net);
                Some("child: stdout closed")
            }
            _ => {
                child.mind().mute = true;
                self.later(5_000, Undo::Unmute(conn));
                Some("child: no answers")
            }
        }
    }

    /// What is started under a command is another program for a while.
    fn change_programs(&mut self, command: &str, change: impl Fn(&mut crate::child::Program)) {
        if let Some(programs) = self.world.cast.programs.get_mut(command) {
            programs.iter_mut().for_each(change);
        }
        self.later(6_000, Undo::Programs(command.to_owned()));
    }

    fn break_disk(&mut self) -> Option<&'static str> {
        if !self.plan.logins {
            return (self.dice.chance(300)).then(|| self.kill());
        }
        let disk = &mut self.world.disk;
        let kind = match self.dice.below(5) {
            0 => {
                disk.full = true;
                "disk: full"
            }
            1 => {
                disk.full_after = Some(self.dice.below(3) as u32);
                "disk: full after some writes"
            }
            2 => {
                disk.slow_ms = self.dice.range(50, 3_000);
                "disk: slow"
            }
            3 => {
                disk.unreadable = Some("input/output error");
                "disk: unreadable"
            }
            _ => return Some(self.kill()),
        };
        self.later(4_000, Undo::Disk);
        Some(kind)
    }

    /// The proxy is killed and started again on the same disk. Its clients know nothing any more.
    pub(super) fn kill(&mut self) -> &'static str {
        self.undo_all();
        self.count();
        self.world.crash_here();
        self.forget_clients();
        "proxy: killed"
    }

    fn turn_clock(&mut self) -> Option<&'static str> {
        // Logins live by the wall clock: small jumps do not end them.
        let most = if self.plan.logins { 30_000 } else { 400_000_000 };
        let off = self.dice.range(0, 2 * most) as i64 - most as i64;
        self.world.turn_clock(off);
        self.later(10_000, Undo::Clock);
        Some("clock: jump of the wall clock")
    }

    /// The process is not scheduled for a while; everything that came meanwhile waits for it.
    fn pause(&mut self) -> Option<&'static str> {
        let ms = self.dice.range(50, PAUSE_MS_MAX);
        self.world.net.now += ms * MS;
        Some("clock: process not scheduled")
    }

    /// Names of the servers that are children.
    pub(super) fn children(&self) -> impl Iterator<Item = &str> {
        let stdio = |(_, reach): &&(String, Reach)| *reach == Reach::Stdio;
        self.plan.servers.iter().filter(stdio).map(|(name, _)| name.as_str())
    }
}
