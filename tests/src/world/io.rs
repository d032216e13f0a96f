//! The host's side of every connection: how it accepts, dials, starts, reads, writes, and notices the end.
//!
//! Plays the life of a connection as `mcp_proxy_core::event` draws it, and as the real runtimes do: no read
//! while the engine does not want one, except after the half-close; a half-close only after the queue is empty.

use super::World;
use crate::haste::{own_message, own_request};
use crate::net::{Event, MS, Phase, Who};
use crate::site::Site;
use mcp_proxy_core::event::{CloseCause, Input};
use mcp_proxy_core::id::{ConnId, ListenerId};
use std::net::{IpAddr, SocketAddr};

/// How often a host looks whether there is room for a connection that waits to be accepted.
const ACCEPT_AGAIN_MS: u64 = 10;

impl World {
    pub(super) fn on_listening(&mut self, listener: ListenerId) {
        let Some(open) = self.listeners.get_mut(&listener) else { return };
        if self.cast.port_taken {
            self.listeners.remove(&listener);
            return self.turn(&Input::Listening { listener, result: Err("address already in use") });
        }
        *open = true;
        let everywhere = self.cast.proxy["addr"].as_str().is_some_and(|addr| addr.starts_with(':'));
        let addr = SocketAddr::from((if everywhere { [0, 0, 0, 0] } else { [127, 0, 0, 1] }, 9090));
        self.turn(&Input::Listening { listener, result: Ok(addr) });
    }

    pub(super) fn on_accept(&mut self, conn: ConnId) {
        let Some((listener, open)) = self.listeners.first_key_value().map(|(l, open)| (*l, *open)) else {
            return self.end_peer(conn);
        };
        if !open || !self.shard.proxy().wants_accept(listener) {
            return self.net.plan(ACCEPT_AGAIN_MS * MS, Event::Accept(conn));
        }
        if let Some(link) = self.net.links.get_mut(&conn) {
            let Who::Client(index) = link.peer else { panic!("{:?} does not dial", link.peer) };
            let peer = SocketAddr::new(self.clients[index].address, 40_000);
            link.phase = Phase::Open;
            self.turn(&Input::Accepted { conn, listener, peer });
            self.net.wake_reader(conn);
        }
    }

    pub(super) fn on_resolved(&mut self, conn: ConnId, name: &str, port: u16) {
        if self.net.links.get(&conn).is_none_or(|link| link.phase != Phase::Opening) {
            return;
        }
        if let Some(publisher) = self.publishers.iter_mut().find(|publisher| publisher.host == name) {
            let addrs = publisher.look_up(port);
            return self.turn(&Input::Resolved { conn, result: Ok(&addrs) });
        }
        let site = self.sites.iter().find(|site| site.host == name && !site.nameless);
        let decoy = site.filter(|site| site.decoy).map(|_| IpAddr::from([10, 9, 9, 9]));
        let own = site.map(|site| site.addr.ip()).or_else(|| name.parse().ok());
        let addrs: Vec<SocketAddr> =
            decoy.into_iter().chain(own).map(|ip| SocketAddr::new(ip, port)).collect();
        let result = if addrs.is_empty() { Err("no such host") } else { Ok(addrs.as_slice()) };
        self.turn(&Input::Resolved { conn, result });
    }

    pub(super) fn on_connected(&mut self, conn: ConnId, addr: SocketAddr) {
        let Some(link) = self.net.links.get_mut(&conn).filter(|link| link.phase == Phase::Opening) else {
            return;
        };
        let publisher = self.publishers.iter_mut().find(|it| it.addr == addr && !it.down);
        if let Some(publisher) = publisher {
            if publisher.bad_certificate {
                link.phase = Phase::Failed;
                return self.turn(&Input::Failed { conn, reason: "certificate is not valid for the name" });
            }
            link.phase = Phase::Open;
            link.peer = Who::Publisher(publisher.index);
            self.turn(&Input::Connected { conn });
            return self.net.wake_writer(conn);
        }
        if self.sites.iter().any(|site| site.addr == addr && site.unreachable) {
            return self.net.plan(50 * MS, Event::Connected(conn, addr));
        }
        let listens = |site: &&mut Site| {
            let ports = [Some(site.addr.port()), site.second_port];
            !site.down && site.addr.ip() == addr.ip() && ports.contains(&Some(addr.port()))
        };
        match self.sites.iter_mut().find(listens) {
            None => {
                link.phase = Phase::Failed;
                self.haste.contact(&addr.to_string(), "a dial", self.net.now, self.crowd());
                self.turn(&Input::Failed { conn, reason: "connection refused" });
            }
            Some(site) => {
                link.phase = Phase::Open;
                link.peer = Who::Site(site.index);
                site.on_open(conn);
                self.turn(&Input::Connected { conn });
                self.net.wake_writer(conn);
            }
        }
    }

    pub(super) fn on_spawned(&mut self, conn: ConnId) {
        let Some(link) = self.net.links.get_mut(&conn).filter(|link| link.phase == Phase::Opening) else {
            return;
        };
        if self.children.iter().any(|child| child.conn == conn) {
            link.phase = Phase::Open;
            self.turn(&Input::Spawned { conn, pid: 1_000 + (conn.0 as u32) });
            self.net.wake_reader(conn);
            self.net.wake_writer(conn);
        } else {
            link.phase = Phase::Over;
            self.turn(&Input::Failed { conn, reason: "no such file or directory" });
        }
    }

    pub(super) fn on_read(&mut self, conn: ConnId) {
        let Some(link) = self.net.links.get_mut(&conn) else { return };
        link.reading = false;
        if link.frozen {
            return;
        }
        if link.phase != Phase::Open || link.inbound.eof_told && link.exit.is_none() && link.stderr.is_empty()
        {
            return;
        }
        // Two pipes of their own: neither is ahead of the other.
        if !link.stderr.is_empty() && (link.inbound.is_empty() || self.net.dice.chance(500)) {
            let bytes = self.net.take(conn, |link| &mut link.stderr);
            self.turn(&Input::Stderr { conn, bytes: &bytes });
            return self.net.wake_reader(conn);
        }
        if !link.inbound.eof_told && !self.shard.proxy().wants_read(conn) {
            if !link.stderr.is_empty() {
                return self.net.wake_reader(conn);
            }
            if link.outbound.eof && !link.is_child() {
                // After its half-close a host reads what nobody wants, to see the peer's.
                self.net.take(conn, |link| &mut link.inbound);
                self.drained(conn);
            }
            return;
        }
        if !link.inbound.is_empty() {
            let bytes = self.net.take(conn, |link| &mut link.inbound);
            self.turn(&Input::Received { conn, bytes: &bytes });
            self.net.wake_reader(conn);
        } else if link.inbound.eof && !link.inbound.eof_told {
            link.inbound.eof_told = true;
            self.turn(&Input::Eof { conn });
            self.net.wake_reader(conn);
            self.part(conn);
        } else if let Some(status) = link.exit {
            link.phase = Phase::Over;
            self.turn(&Input::Exited { conn, status });
        }
    }

    /// After bytes nobody wanted: goes on reading, or reports the end.
    fn drained(&mut self, conn: ConnId) {
        let Some(link) = self.net.links.get_mut(&conn) else { return };
        if !link.inbound.is_empty() {
            self.net.wake_reader(conn);
        } else if link.inbound.eof {
            link.inbound.eof_told = true;
            self.turn(&Input::Eof { conn });
            self.part(conn);
        }
    }

    pub(super) fn on_write(&mut self, conn: ConnId) {
        let Some(link) = self.net.links.get_mut(&conn) else { return };
        link.writing = false;
        if link.phase != Phase::Open {
            return;
        }
        let waiting = self.shard.proxy().outgoing(conn).len();
        if waiting == 0 {
            if link.shutdown && !link.outbound.eof {
                link.outbound.eof = true;
                self.net.wake_peer(conn);
                self.part(conn);
            }
            return;
        }
        if link.deaf && !link.frozen {
            if !std::mem::replace(&mut link.broken_told, true) {
                if !link.is_child() {
                    link.phase = Phase::Over;
                }
                self.turn(&Input::Closed { conn, cause: CloseCause::Reset });
            }
            return;
        }
        let len = self.net.accepts(conn, waiting);
        if len == 0 {
            return;
        }
        let bytes = self.shard.proxy().outgoing(conn)[..len].to_vec();
        self.watch.wrote(self.net.now, conn, &bytes);
        if let Some(link) = self.net.links.get_mut(&conn) {
            link.outbound.put(&bytes);
        }
        self.turn(&Input::Sent { conn, len });
        self.net.wake_peer(conn);
        self.net.wake_writer(conn);
    }

    pub(super) fn on_peer_read(&mut self, conn: ConnId) {
        let Some(link) = self.net.links.get_mut(&conn) else { return };
        link.peer_reading = false;
        if link.stalled || link.deaf || link.frozen {
            if link.deaf && link.phase == Phase::Over {
                self.net.links.remove(&conn);
            }
            return;
        }
        if link.outbound.is_empty() {
            if link.outbound.eof && !std::mem::replace(&mut link.outbound.eof_told, true) {
                self.end_peer(conn);
            }
            return;
        }
        let peer = link.peer;
        let bytes = self.net.take(conn, |link| &mut link.outbound);
        match peer {
            Who::Client(index) => self.clients[index].on_bytes(conn, &bytes, &mut self.net),
            Who::Site(index) => {
                let before = self.sites[index].hits.len();
                self.sites[index].on_bytes(conn, &bytes, &mut self.net);
                self.note_hits(index, before);
            }
            Who::Publisher(index) => self.publishers[index].on_bytes(conn, &bytes, &mut self.net),
            Who::Child(_) => {
                let crowd = self.crowd();
                if let Some(child) = self.children.iter_mut().find(|child| child.conn == conn && child.alive)
                {
                    let before = child.program.mind.heard.len();
                    child.on_bytes(&bytes, &mut self.net);
                    let heard = child.program.mind.heard.get(before..).unwrap_or_default();
                    for what in heard.iter().filter_map(|heard| own_message(&heard.raw)) {
                        self.haste.contact(&child.command, &what, self.net.now, crowd);
                    }
                }
            }
            Who::Nobody => {}
        }
        self.net.wake_peer(conn);
        self.net.wake_writer(conn);
    }

    /// How many clients there are, and how many requests they have sent.
    pub(super) fn crowd(&self) -> (usize, usize) {
        (self.clients.len(), self.clients.iter().map(|client| client.exchanges.len()).sum())
    }

    /// A server got requests.
    fn note_hits(&mut self, index: usize, before: usize) {
        let (site, crowd) = (&self.sites[index], self.crowd());
        for hit in site.hits.get(before..).unwrap_or_default() {
            if let Some(what) = own_request(&hit.head, &hit.body) {
                self.haste.contact(&site.addr.to_string(), &what, self.net.now, crowd);
            }
        }
    }

    pub(super) fn on_reset(&mut self, conn: ConnId) {
        let Some(link) = self.net.links.get_mut(&conn) else { return };
        if link.frozen && !link.vanished {
            // The news waits until the network is back.
            return self.net.plan(100 * MS, Event::Reset(conn));
        }
        link.deaf = true;
        link.inbound.eof = true;
        if std::mem::replace(&mut link.phase, Phase::Over) == Phase::Open {
            self.turn(&Input::Closed { conn, cause: CloseCause::Reset });
        }
        self.end_peer(conn);
    }

    /// Both directions of a socket ended in order: the host says so, once.
    fn part(&mut self, conn: ConnId) {
        let Some(link) = self.net.links.get_mut(&conn) else { return };
        let done = link.inbound.eof_told && link.outbound.eof;
        if done && !link.is_child() && link.phase == Phase::Open {
            link.phase = Phase::Over;
            self.turn(&Input::Closed { conn, cause: CloseCause::Done });
        }
    }

    /// The peer learns that nothing more will come.
    fn end_peer(&mut self, conn: ConnId) {
        let Some(peer) = self.net.links.get(&conn).map(|link| link.peer) else { return };
        match peer {
            Who::Client(index) => self.clients[index].on_end(conn, &mut self.net),
            Who::Site(index) => self.sites[index].on_close(conn, &mut self.net),
            Who::Publisher(_) => self.net.close(conn),
            Who::Child(_) => {
                if let Some(child) = self.children.iter_mut().find(|child| child.conn == conn && child.alive)
                {
                    child.on_eof(&mut self.net);
                }
            }
            Who::Nobody => {}
        }
    }
}
