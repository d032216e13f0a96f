//! Who holds a connection: how many an address has, and which one goes when a seat is wanted.
//!
//! A connection that waits for its client, between two requests or in the middle of a head, costs its client nothing.
//! Enough of them would lock everybody out, so the one that has waited longest makes room: first those without a
//! request, then those whose head does not come to its end. One that is being served, or uploads a body, is never taken.
//!
//! Invariants: the number of an address is that of its connections; a message costs at most two look-ups in a tree.

use crate::id::ConnId;
use crate::oauth::throttle::Network;
use crate::time::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What a connection waits for while nothing is done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wait {
    /// A request.
    Request,
    /// The rest of a head.
    Head,
}

/// Where a connection stands in the order in which they are given up.
pub(crate) type Seat = (Wait, Mono);

/// The seats of all connections.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    by_network: BTreeMap<Network, usize>,
    waiting: BTreeSet<(Wait, Mono, ConnId)>,
}

impl Seats {
    /// A connection came from this address, unless there are `max` of it.
    pub(crate) fn enter(&mut self, address: IpAddr, max: usize) -> bool {
        let count = self.by_network.entry(Network::of(address)).or_default();
        let free = *count < max;
        *count += usize::from(free);
        free
    }

    /// One of them is gone, and its seat.
    pub(crate) fn leave(&mut self, address: IpAddr, conn: ConnId, seat: Option<Seat>) {
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
    pub(crate) fn change(&mut self, conn: ConnId, before: Option<Seat>, now: Option<Seat>) {
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

    /// The connection that makes room for this one.
    pub(crate) fn makes_room_for(&self, newcomer: ConnId) -> Option<ConnId> {
        self.waiting.iter().map(|(_, _, conn)| *conn).find(|conn| *conn != newcomer)
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
    fn whoever_has_waited_longest_goes_first_and_heads_after_requests() {
        let mut seats = Seats::default();
        let [a, b, c] = [1, 2, 3].map(ConnId);
        seats.change(a, None, Some((Wait::Head, Mono(1))));
        seats.change(b, None, Some((Wait::Request, Mono(3))));
        seats.change(c, None, Some((Wait::Request, Mono(2))));
        assert_eq!(seats.makes_room_for(ConnId(9)), Some(c));
        seats.change(c, Some((Wait::Request, Mono(2))), None);
        assert_eq!(seats.makes_room_for(ConnId(9)), Some(b));
        seats.change(b, Some((Wait::Request, Mono(3))), Some((Wait::Head, Mono(4))));
        assert_eq!(seats.makes_room_for(ConnId(9)), Some(a));
        seats.change(c, None, Some((Wait::Request, Mono(5))));
        assert_eq!(seats.makes_room_for(c), Some(a));
    }
}
