//! Who has a seat among the downstream connections, and who gives theirs up first when all are taken.
//!
//! | goes | who | since |
//! |---|---|---|
//! | first | no request within the grace of a newcomer, no whole head, no whole body within its time | the beginning |
//! | then | a head that has begun | the beginning |
//! | then | waits for its next request, longer than that grace | the last answer |
//! | then | the last response is queued, waits for the close | the response |
//! | last | waits for its first or next request, within the grace | the connection, or the last answer |
//!
//! Of each the one that has taken longest: a head is one packet for most, so whoever needs seconds for one is the slowest,
//! while the youngest may be about to send it. A connection that is being served, or whose body comes in time, keeps its
//! seat.
//!
//! Invariants: the number of an address is that of its connections; a message costs at most two look-ups in a tree, and
//! so does the choice.

use crate::id::ConnId;
use crate::limits::Limits;
use crate::net::Network;
use crate::time::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What a connection waits for while nothing is done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// The rest of a head. A first request counts from the connection on.
    Head,
    /// The next request, after others were answered.
    Request,
    /// The close of the other side.
    Close,
    /// The first byte of all.
    First,
    /// The rest of a body.
    Body,
}

/// Where a connection stands in the order in which they are given up.
pub(super) type Seat = (Wait, Mono);

/// The seats of all connections.
#[derive(Debug, Default)]
pub(super) struct Seats {
    by_network: BTreeMap<Network, usize>,
    waiting: BTreeSet<(Wait, Mono, ConnId)>,
}

impl Seats {
    /// A connection came from this address, unless there are `max` of it.
    pub(super) fn enter(&mut self, address: IpAddr, max: usize) -> bool {
        let count = self.by_network.entry(Network::of(address)).or_default();
        let free = *count < max;
        *count += usize::from(free);
        free
    }

    /// One of them is gone, and its seat.
    pub(super) fn leave(&mut self, address: IpAddr, conn: ConnId, seat: Option<Seat>) {
        self.change(conn, seat, None);
        let network = Network::of(address);
        if let Some(count) = self.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&network);
            }
        }
    }

    /// A connection waits for something else than before.
    pub(super) fn change(&mut self, conn: ConnId, before: Option<Seat>, now: Option<Seat>) {
        if before == now {
            return;
        }
        if let Some((wait, since)) = before {
            self.waiting.remove(&(wait, since, conn));
        }
        if let Some((wait, since)) = now {
            self.waiting.insert((wait, since, conn));
        }
    }

    /// The connection that makes room for this one, which has just come.
    pub(super) fn makes_room_for(&self, newcomer: ConnId, now: Mono, limits: &Limits) -> Option<ConnId> {
        let oldest = |wait| self.oldest(wait, Some(newcomer));
        let idle = || oldest(Wait::Request).filter(|(since, _)| now.ms_since(*since) >= limits.newcomer_ms);
        let young = || oldest(Wait::First).into_iter().chain(oldest(Wait::Request)).min();
        let slowest = self.slowest(now, limits).map(|conn| (now, conn));
        let next = slowest.or_else(|| oldest(Wait::Head)).or_else(idle).or_else(|| oldest(Wait::Close));
        next.or_else(young).map(|(_, conn)| conn)
    }

    /// The connection that has been slow for longest.
    pub(super) fn slowest(&self, now: Mono, limits: &Limits) -> Option<ConnId> {
        let past = |wait, ms| self.oldest(wait, None).filter(|(since, _)| now.ms_since(*since) >= ms);
        let grace = limits.newcomer_ms;
        let slow = [past(Wait::First, grace), past(Wait::Head, grace), past(Wait::Body, limits.slow_body_ms)];
        slow.into_iter().flatten().min().map(|(_, conn)| conn)
    }

    /// The one that has waited longest for this.
    fn oldest(&self, wait: Wait, except: Option<ConnId>) -> Option<(Mono, ConnId)> {
        let all = self.waiting.range((wait, Mono(0), ConnId(0))..).take_while(|(of, ..)| *of == wait);
        all.map(|(_, since, conn)| (*since, *conn)).find(|(_, conn)| Some(*conn) != except)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_as_many_connections_as_it_may_and_no_more() {
        // limit: conns_per_address_max
        let (one, other) = (IpAddr::from([203, 0, 113, 1]), IpAddr::from([203, 0, 113, 2]));
        let mut seats = Seats::default();
        assert!(seats.enter(one, 2) && seats.enter(one, 2) && !seats.enter(one, 2));
        assert!(seats.enter(other, 2));
        seats.leave(one, ConnId(1), None);
        assert!(seats.enter(one, 2) && !seats.enter(one, 2));
        for _ in 0..2 {
            seats.leave(one, ConnId(1), None);
        }
        seats.leave(other, ConnId(2), None);
        assert!(seats.by_network.is_empty());
    }

    #[test]
    fn the_slowest_goes_first_and_newcomers_last() {
        // FT-502
        // limit: newcomer_ms
        // limit: slow_body_ms
        let limits = Limits { newcomer_ms: 100, slow_body_ms: 1_000, ..Limits::default() };
        let mut seats = Seats::default();
        let all = [
            (1, Wait::First, 900),
            (2, Wait::Head, 920),
            (3, Wait::Request, 10),
            (4, Wait::Close, 20),
            (5, Wait::Body, 901),
            (6, Wait::Head, 899),
            (7, Wait::First, 950),
        ];
        let change = |seats: &mut Seats, conn: u64, comes: bool| {
            let seat = all
                .iter()
                .find(|(of, ..)| *of == conn)
                .map(|(_, wait, since)| (*wait, Mono(0).plus_ms(*since)));
            let (before, now) = if comes { (None, seat) } else { (seat, None) };
            seats.change(ConnId(conn), before, now);
        };
        all.iter().for_each(|(conn, ..)| change(&mut seats, *conn, true));
        let goes = |seats: &mut Seats, now: u64| {
            let goes = seats.makes_room_for(ConnId(9), Mono(0).plus_ms(now), &limits)?.0;
            change(seats, goes, false);
            Some(goes)
        };
        let order: Vec<u64> = std::iter::from_fn(|| goes(&mut seats, 998)).collect();
        assert_eq!(order, [6, 2, 3, 4, 1, 7], "a body that comes in time stays");
        for conn in [1, 2, 3, 7] {
            change(&mut seats, conn, true);
        }
        assert_eq!(goes(&mut seats, 1_000), Some(1), "its grace is over");
        for (now, expected) in [
            (1_019, Some(2)),
            (1_900, Some(7)),
            (1_900, Some(3)),
            (1_900, None),
            (1_901, Some(5)),
            (9_999, None),
        ] {
            assert_eq!(goes(&mut seats, now), expected, "at {now}");
        }
    }
}
