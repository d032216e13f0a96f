//! What the world does to connections whose peer is not there any more, without the peer having said so.

use super::World;
use crate::net::{Phase, Who};
use mcp_proxy_core::event::{CloseCause, Input};
use mcp_proxy_core::id::ConnId;

impl World {
    /// The peer vanishes: no FIN, no RST, no more acknowledgements. The peer itself knows.
    pub fn vanish(&mut self, conn: ConnId) {
        let Some(peer) = self.net.links.get(&conn).filter(|link| !link.vanished).map(|link| link.peer) else {
            return;
        };
        self.net.lose(conn);
        match peer {
            Who::Client(index) => self.clients[index].on_end(conn, &mut self.net),
            Who::Site(index) => self.sites[index].on_close(conn, &mut self.net),
            Who::Publisher(_) | Who::Child(_) | Who::Nobody => {}
        }
    }

    /// A server loses its connection in the middle of what it was writing.
    pub fn cut(&mut self, conn: ConnId) {
        self.net.cut(conn);
        if let Some(Who::Site(index)) = self.net.links.get(&conn).map(|link| link.peer) {
            self.sites[index].on_close(conn, &mut self.net);
        }
    }

    /// Bytes that were not acknowledged for long break the connection; without such bytes nobody ever knows.
    pub(super) fn on_give_up(&mut self, conn: ConnId) {
        let Some(link) = self.net.links.get_mut(&conn).filter(|link| link.phase == Phase::Open) else {
            return;
        };
        if link.outbound.is_empty() {
            return self.net.look_later(conn);
        }
        link.phase = Phase::Over;
        self.turn(&Input::Closed { conn, cause: CloseCause::Error });
    }
}
