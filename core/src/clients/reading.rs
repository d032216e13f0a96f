//! What is done with the bytes of a connection, and when: one request at a time, the next one when the response to the one
//! before is completely queued and the client has read enough of it.

use super::Clients;
use super::conn::{Admission, ClientConn, ConnState};
use super::event::{ClientEvent, Exchange, McpEvent};
use super::session::Transport;
use crate::digest::Hash;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::http::ServerEvent;
use crate::id::{ConnId, Key};
use crate::jsonrpc::NO_ID;
use crate::log::Level;
use std::ops::ControlFlow;

/// What work on a connection comes to: an event that takes it along, or nothing for now.
pub(super) type Step<T = ()> = ControlFlow<ClientEvent, T>;

impl Clients {
    /// A connection whose request was served, or which got bytes: it is looked at next.
    pub(super) fn give_back(&mut self, client: Box<ClientConn>) {
        debug_assert!(self.hand.is_none(), "one connection is worked on at a time");
        self.hand = Some(client);
    }

    pub(super) fn put(&mut self, fx: &Effects, mut client: Box<ClientConn>) {
        client.count();
        let (before, seat) = client.change_seat(fx.mono());
        self.seats.change(client.conn, before, seat);
        self.conns.insert(client.conn, client);
    }

    pub(super) fn on_bytes(&mut self, fx: &mut Effects, conn: ConnId, bytes: &[u8]) {
        let Some(mut client) = self.conns.remove(&conn) else { return };
        client.on_bytes(fx);
        client.http.push(bytes);
        self.give_back(client);
    }

    pub(super) fn on_eof(&mut self, fx: &mut Effects, conn: ConnId) {
        let Some(mut client) = self.conns.remove(&conn) else { return };
        client.http.close_read();
        let over = match client.state {
            // A client that only half-closes may still read its answer, but nobody reads a stream that way.
            ConnState::Streaming { .. } | ConnState::Probing { .. } => true,
            ConnState::Closing => fx.queued(conn) == 0,
            ConnState::Reading | ConnState::Deciding | ConnState::Waiting { .. } => false,
        };
        if over {
            self.put(fx, client);
            return self.drop_conn(fx, conn);
        }
        self.give_back(client);
    }

    /// A client took bytes of which too many waited: it may be looked at again, and told what was held back.
    pub(crate) fn on_drained(&mut self, conn: ConnId, below: bool) {
        let Some(client) = self.conns.get(&conn) else { return };
        if let ConnState::Streaming { session, .. } = client.state {
            self.events.push_back(McpEvent::Reachable { session });
        }
        if below {
            self.ready.push_back(conn);
        }
    }

    /// Works on the requests that a client sent.
    pub(super) fn work(&mut self, fx: &mut Effects, mut client: Box<ClientConn>) -> Step {
        let conn = client.conn;
        let mut gone = false;
        loop {
            client = self.next_of_batch(fx, client)?;
            if client.state != ConnState::Reading || fx.queued(conn) > fx.limits.send_high_bytes {
                break;
            }
            match client.http.next() {
                Ok(Some(ServerEvent::Head)) => client = self.on_head(fx, client)?,
                Ok(Some(ServerEvent::Request)) => client = self.on_request(fx, client)?,
                Ok(Some(ServerEvent::Eof)) if fx.queued(conn) > 0 => client.close_in_order(fx),
                Ok(Some(ServerEvent::Eof)) => {
                    gone = true;
                    break;
                }
                Ok(None) => break,
                Err(fault) => {
                    fx.log(Level::Debug, None, format!("bad request from {}: {fault}", client.peer()));
                    if client.admitted == Some(Admission::OAuth) {
                        let exchange = Exchange(client);
                        return Step::Break(ClientEvent::BrokenLogin { exchange, fault });
                    }
                    client.answer_fault(fx, &fault, NO_ID, &[]);
                }
            }
        }
        self.refuse_growing(fx, &mut client);
        let reading = client.http.wants_read() && fx.queued(conn) <= fx.limits.send_high_bytes;
        fx.set_reading(conn, reading || client.state == ConnState::Closing);
        self.put(fx, client);
        if gone {
            self.drop_conn(fx, conn);
        }
        Step::Continue(())
    }

    /// A request is complete.
    fn on_request(&mut self, fx: &mut Effects, client: Box<ClientConn>) -> Step<Box<ClientConn>> {
        match client.admitted {
            Some(Admission::Mcp(entry)) => self.on_mcp_request(fx, client, entry),
            Some(Admission::OAuth) => Step::Break(ClientEvent::Login { exchange: Exchange(client) }),
            // Its head was answered.
            None => Step::Continue(client),
        }
    }

    pub(super) fn on_conn_timer(&mut self, fx: &mut Effects, conn: ConnId) {
        let Some(client) = self.conns.get_mut(&conn) else { return };
        if client.on_timer(fx) {
            return;
        }
        if client.state == ConnState::Reading && client.http.is_mid_request() {
            let fault = Fault::peer(Code::PeerTimeout, "the request did not arrive in time");
            client.http.abort();
            client.answer_fault(fx, &fault, NO_ID, &[]);
        } else {
            self.drop_conn(fx, conn);
        }
    }

    /// The parts of the answer to the doctor come a second apart.
    pub(super) fn on_probe_timer(&mut self, fx: &mut Effects, conn: ConnId) {
        let Some(mut client) = self.conns.remove(&conn) else { return };
        client.go_on_probing(fx);
        self.put(fx, client);
        self.ready.push_back(conn);
    }

    /// A client has taken nothing for long: it is gone without a word, or as good as gone.
    pub(crate) fn on_stalled(&mut self, fx: &mut Effects, conn: ConnId) {
        fx.log(Level::Debug, None, format!("client {conn:?} does not read, closing"));
        self.drop_conn(fx, conn);
    }

    /// A connection is gone or must go, and with it the session that it is (HTTP+SSE).
    pub(crate) fn drop_conn(&mut self, fx: &mut Effects, conn: ConnId) {
        let Some(client) = self.conns.remove(&conn) else { return };
        client.cancel_timers(fx);
        self.seats.leave(client.peer().ip(), conn, client.seat());
        fx.close(conn);
        let (ConnState::Waiting { session, stream } | ConnState::Streaming { session, stream }) =
            client.state
        else {
            return;
        };
        self.detach(fx, session, stream);
    }

    /// Event streams of those who logged in with a token that opens nothing any more end (T-56). For rare events only.
    pub(crate) fn end_streams(&mut self, fx: &mut Effects, is_valid: impl Fn(&Hash) -> bool) {
        let token = |client: &ClientConn| {
            matches!(client.state, ConnState::Streaming { .. }).then_some(client.login).flatten()
        };
        #[expect(clippy::disallowed_methods, reason = "sorted at once")]
        let streams = self.conns.values().filter_map(|client| Some((client.conn, token(client)?)));
        let mut over: Vec<_> = streams.filter(|(_, token)| !is_valid(token)).collect();
        over.sort_unstable_by_key(|(conn, _)| *conn);
        for (conn, token) in over {
            fx.log(Level::Debug, None, format!("oauth event=stream_ended token={token}"));
            self.drop_conn(fx, conn);
        }
    }

    /// The connection of a stream is gone: with HTTP+SSE its session, else the stream may be resumed.
    fn detach(&mut self, fx: &mut Effects, key: Key, number: u32) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.last_used = fx.mono();
        if session.transport == Transport::Sse {
            return self.end_session(fx, key);
        }
        if let Some(stream) = session.streams.get_mut(&number) {
            stream.detach(fx);
        }
    }
}
