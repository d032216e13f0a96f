//! From the name of a server to a connection.

use super::exchange::{Exchange, Job};
use super::exchanges::http_link;
use super::lapses::Verdict;
use super::recovery::answer_lost;
use crate::fault::{Code, Fault};
use crate::id::{ConnId, UpstreamId};
use crate::servers::ServersMut;
use crate::servers::connection::Phase;
use std::net::SocketAddr;

impl ServersMut<'_> {
    pub(in crate::servers) fn on_resolved(
        &mut self,
        id: UpstreamId,
        conn: ConnId,
        result: Result<&[SocketAddr], &str>,
    ) {
        let Some(mut exchange) = self.take_exchange(id, conn) else { return };
        let fault = match result {
            Ok(addrs) => {
                if let Some(link) = http_link(self.conns, id) {
                    link.learn(self.fx, addrs);
                }
                if exchange.resolved(self.fx, addrs) {
                    return self.put_exchange(id, exchange);
                }
                Fault::environment(Code::UpstreamLost, "its name has no address")
            }
            Err(reason) => {
                Fault::environment(Code::UpstreamLost, format!("its name cannot be resolved: {reason}"))
            }
        };
        self.on_dial_failed(id, exchange, &fault);
    }

    pub(in crate::servers) fn on_connected(&mut self, id: UpstreamId, conn: ConnId) {
        let Some(link) = http_link(self.conns, id) else { return };
        if let Some(mut exchange) = link.take(conn) {
            exchange.connected(self.fx);
            link.put(self.fx, exchange);
        }
    }

    /// A dial did not work, or a child could not be started.
    pub(in crate::servers) fn on_failed(&mut self, id: UpstreamId, conn: ConnId, reason: &str) {
        let Some(mut exchange) = self.take_exchange(id, conn) else {
            let fault = Fault::environment(Code::UpstreamLost, reason.to_owned());
            return self.on_child_gone(id, conn, fault);
        };
        if exchange.connect_next(self.fx) {
            return self.put_exchange(id, exchange);
        }
        let fault = Fault::environment(Code::UpstreamLost, format!("cannot connect: {reason}"));
        self.on_dial_failed(id, exchange, &fault);
    }

    /// The server cannot be reached. Nothing of the request was sent, so a call can wait for it.
    pub(super) fn on_dial_failed(&mut self, id: UpstreamId, exchange: Box<Exchange>, fault: &Fault) {
        let body = exchange.request_body(self.fx);
        exchange.disarm(self.fx);
        let Some(link) = http_link(self.conns, id) else { return };
        link.unlearn();
        link.drop_exchange(self.fx, &exchange);
        // It does not take another connection, but is busy with others: no reason to give those up.
        let alive = link.is_alive() && self.conns.get(id).is_some_and(|s| s.phase == Phase::Ready);
        match exchange.job {
            Job::Call(key) if alive => self.fail(key, fault),
            Job::Call(key) => self.park(id, key, body),
            Job::Listen if alive => self.on_listen_ended(id, &exchange.summary(200), Verdict::Silent),
            Job::Answer(call) if alive => self.fail(call, &answer_lost(fault)),
            Job::Listen
            | Job::Answer(_)
            | Job::Note
            | Job::Initialized
            | Job::Stream
            | Job::Delete
            | Job::Drain
            | Job::Idle => {}
        }
        if !alive {
            self.lose(id, fault);
        }
        self.check_gone(id);
    }
}
