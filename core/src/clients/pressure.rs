//! When memory or seats are short: what is given up, and by whom.
//!
//! | who | what |
//! |---|---|
//! | streams of clients that may come back | what they keep is forgotten, the oldest first |
//! | a client that takes nothing of much that waits for it | closed |
//! | a request that grows | 503 with `Retry-After`, and closed |
//! | a call, or its answer, that is larger than a share | an error, to that call alone |
//! | a line of a child, an answer over HTTP | dropped, with an error to its call |
//! | when all seats are taken: a connection that waits for its client | closed, the slowest ([`super::seats`]) |
//!
//! Nobody is touched for what others do: whoever is refused holds more than its share or wants to
//! ([`crate::ledger`]). Messages of the usual size go on.

use super::Clients;
use super::admission::RETRY_AFTER;
use super::conn::{ClientConn, ConnState};
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::id::ConnId;
use crate::jsonrpc::NO_ID;
use crate::log::Level;
use crate::net::is_global;
use crate::time::Mono;
use crate::timer::ClientTimer;
use std::net::IpAddr;

/// What a client is told that asks for too much at such a time.
const NO_MEMORY_FOR_REQUEST: &str = "the proxy holds too much for others to take a request of this size";

/// A client that takes nothing for so long while memory is short is closed. Longer than a lost packet takes to be
/// sent again a few times.
const STILL_MS: u64 = 3_000;

/// From one look for a slow connection to the next while all seats are taken.
const SEATS_MS: u64 = 1_000;

/// From one line of the log about memory to the next.
const TOLD_MS: u64 = 60_000;

/// What was told of it.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    told: Option<Mono>,
    /// A timer is armed for when all seats are taken.
    looks_again: bool,
}

impl Clients {
    /// Gives something back when memory is short. Returns whether there may be more to give.
    pub(crate) fn relieve(&mut self, fx: &mut Effects) -> bool {
        if !fx.ledger.is_short() {
            return false;
        }
        self.tell_pressure(fx);
        if self.forget_oldest_kept() {
            return true;
        }
        let Some(conn) = fx.next_still(STILL_MS) else { return false };
        fx.log(Level::Info, None, format!("client {conn:?} does not read and memory is short, closing"));
        self.drop_conn(fx, conn);
        true
    }

    fn tell_pressure(&mut self, fx: &mut Effects) {
        let now = fx.mono();
        if self.pressure.told.is_some_and(|at| now.ms_since(at) < TOLD_MS) {
            return;
        }
        self.pressure.told = Some(now);
        let (held, max) = (fx.ledger.held(), fx.limits.memory_bytes_max);
        let line = format!(
            "{held} of {max} bytes are held for peers: large messages are refused (see limits.memoryBytes)"
        );
        fx.log(Level::Warn, None, line);
    }

    /// Whether somebody from this address may have another connection.
    pub(super) fn admits_address(&mut self, fx: &Effects, address: IpAddr) -> bool {
        let trusted = self.trust.trusts(address);
        let max = match is_global(address.to_canonical()) && !trusted {
            true => fx.limits.conns_per_address_max,
            false => usize::MAX,
        };
        self.seats.enter(address, max)
    }

    /// Keeps a seat free as long as somebody only sits there, or is slow.
    pub(super) fn make_room(&mut self, fx: &mut Effects, newcomer: ConnId) {
        if self.conns_len() < fx.limits.downstream_conns_max {
            return;
        }
        match self.seats.makes_room_for(newcomer, fx.mono(), &fx.limits) {
            Some(conn) => self.give_seat(fx, conn),
            None => self.look_again_for_seats(fx),
        }
    }

    /// All seats were taken by connections in use a moment ago. Nobody is accepted meanwhile, so nobody else would ask.
    pub(super) fn on_seats_timer(&mut self, fx: &mut Effects) {
        self.pressure.looks_again = false;
        if self.conns_len() < fx.limits.downstream_conns_max {
            return;
        }
        match self.seats.slowest(fx.mono(), &fx.limits) {
            Some(conn) => self.give_seat(fx, conn),
            None => self.look_again_for_seats(fx),
        }
    }

    fn give_seat(&mut self, fx: &mut Effects, conn: ConnId) {
        fx.log(Level::Debug, None, format!("client {conn:?} makes room for another"));
        self.drop_conn(fx, conn);
    }

    fn look_again_for_seats(&mut self, fx: &mut Effects) {
        if !std::mem::replace(&mut self.pressure.looks_again, true) {
            let _fires_once = fx.after(SEATS_MS, ClientTimer::Seats, 0);
        }
    }

    /// Ends a request that grows while there is no memory for it.
    pub(super) fn refuse_growing(&self, fx: &mut Effects, client: &mut ClientConn) {
        let grows = client.state == ConnState::Reading && client.http.is_mid_request();
        if !grows || fx.ledger.allows(client.http.pending()) {
            return;
        }
        client.http.abort();
        let fault = Fault::local(Code::Overloaded, NO_MEMORY_FOR_REQUEST);
        client.answer_fault(fx, &fault, NO_ID, &[RETRY_AFTER]);
    }
}
