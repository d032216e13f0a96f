//! What can happen to a link that no peer wants: partitions, peers that vanish, bytes that are cut off or spoilt.

use super::{Event, MS, Net};
use mcp_proxy_core::id::ConnId;

/// How long the system goes on sending to a peer that does not acknowledge; minutes in the field.
const GIVE_UP_MS: u64 = 12_000;

impl Net {
    /// Nothing passes, or everything that has waited does.
    pub fn freeze(&mut self, conn: ConnId, frozen: bool) {
        let Some(link) = self.links.get_mut(&conn).filter(|link| !link.vanished) else { return };
        link.frozen = frozen;
        if !frozen {
            self.wake_reader(conn);
            self.wake_writer(conn);
            self.wake_peer(conn);
        }
    }

    /// The peer is gone, and nobody says so. See [`World::vanish`](crate::world::World::vanish).
    pub(crate) fn lose(&mut self, conn: ConnId) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.frozen = true;
            link.vanished = true;
        }
        self.look_later(conn);
    }

    /// Plans the next look of the system at a connection whose peer has vanished.
    pub(crate) fn look_later(&mut self, conn: ConnId) {
        self.plan(GIVE_UP_MS * MS, Event::GiveUp(conn));
    }

    /// The peer ends in the middle of what it was writing.
    pub fn cut(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        let keep = self.dice.below(link.inbound.len() as u64 + 1) as usize;
        link.inbound.truncate(keep);
        self.close(conn);
    }
}
