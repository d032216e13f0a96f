//! What comes back over HTTP from a server.
//!
//! | the exchange | ends well when | otherwise |
//! |---|---|---|
//! | a call | its answer came, as JSON or as an event; over HTTP+SSE, it was accepted | continued by event id, sent again if it cannot have been executed, or failed |
//! | a notification | 2xx | logged |
//! | the standalone stream | never | opened again after a while; not at all after 405 |
//! | the stream of HTTP+SSE | never | the server is lost |
//!
//! What follows when one goes wrong is in [`super::recovery`].

use super::Proxy;
use super::calls::DRAIN_MS;
use super::recovery::status_text;
use crate::config::HttpKind;
use crate::fault::{Code, Fault};
use crate::http::ClientEvent;
use crate::id::{ConnId, Key, UpstreamId};
use crate::mux::Origin;
use crate::sse;
use crate::upstream::Phase;
use crate::upstream::exchange::{Exchange, Job};
use std::net::SocketAddr;

/// Longest wait a server may ask for.
const RETRY_MS_MAX: u64 = 60_000;

impl Proxy {
    pub(super) fn take_exchange(&mut self, id: UpstreamId, conn: ConnId) -> Option<Box<Exchange>> {
        self.server(id)?.link.http()?.take(conn)
    }

    fn put_exchange(&mut self, id: UpstreamId, exchange: Box<Exchange>) {
        if let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) {
            // The server may have been lost while its bytes were worked on.
            if self.fx.is_open(exchange.conn) {
                link.put(exchange);
            }
        }
    }

    pub(super) fn on_resolved(&mut self, id: UpstreamId, conn: ConnId, result: Result<&[SocketAddr], &str>) {
        let Some(mut exchange) = self.take_exchange(id, conn) else { return };
        let fault = match result {
            Ok(addrs) => {
                if let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http())
                {
                    link.learn(&self.fx, addrs);
                }
                if exchange.resolved(&mut self.fx, addrs) {
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

    pub(super) fn on_connected(&mut self, id: UpstreamId, conn: ConnId) {
        let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) else {
            return;
        };
        if let Some(mut exchange) = link.take(conn) {
            exchange.connected(&mut self.fx);
            if matches!(exchange.job, Job::Note | Job::Initialized | Job::Delete | Job::Drain) {
                exchange.arm(&mut self.fx, DRAIN_MS);
            }
            link.put(exchange);
        }
    }

    /// A dial did not work, or a child could not be started.
    pub(super) fn on_failed(&mut self, id: UpstreamId, conn: ConnId, reason: &str) {
        let Some(mut exchange) = self.take_exchange(id, conn) else {
            let fault = Fault::environment(Code::UpstreamLost, reason.to_owned());
            return self.on_child_gone(id, conn, fault);
        };
        if exchange.connect_next(&mut self.fx) {
            return self.put_exchange(id, exchange);
        }
        let fault = Fault::environment(Code::UpstreamLost, format!("cannot connect: {reason}"));
        self.on_dial_failed(id, exchange, &fault);
    }

    /// The server cannot be reached. Nothing of the request was sent, so a call can wait for it.
    fn on_dial_failed(&mut self, id: UpstreamId, mut exchange: Box<Exchange>, fault: &Fault) {
        let body = exchange.request_body(&self.fx);
        exchange.disarm(&mut self.fx);
        self.fx.close(exchange.conn);
        if let Some(server) = self.servers.get_mut(id.0 as usize) {
            let alive = server.link.http().is_some_and(|link| {
                link.unlearn();
                link.is_alive()
            });
            // It does not take another connection, but is busy with others: no reason to give those up.
            if alive && server.phase == Phase::Ready {
                match exchange.job {
                    Job::Call(key) => self.fail(key, fault),
                    Job::Listen => self.on_listen_ended(id, &exchange, 200),
                    Job::Note | Job::Initialized | Job::Stream | Job::Delete | Job::Drain | Job::Idle => {}
                }
                return;
            }
            if let Job::Call(key) = exchange.job
                && server.was_ready
                && matches!(self.mux.get(key).map(|call| &call.origin), Some(Origin::Client(_)))
            {
                server.wait(key, body);
            }
        }
        self.lose(id, fault);
        self.check_ended();
    }

    pub(super) fn on_exchange_bytes(&mut self, id: UpstreamId, conn: ConnId, bytes: &[u8]) {
        let Some(mut exchange) = self.take_exchange(id, conn) else { return };
        exchange.client.push(bytes);
        self.read_exchange(id, exchange);
    }

    /// The other end closed: the pipe of a child, or an HTTP connection.
    pub(super) fn on_server_eof(&mut self, id: UpstreamId, conn: ConnId, reason: &'static str) {
        let Some(mut exchange) = self.take_exchange(id, conn) else {
            let fault = Fault::environment(Code::UpstreamLost, reason);
            let Some(server) = self.server(id) else { return };
            let current = server.link.child().and_then(|link| link.child.as_ref()).map(|child| child.conn);
            if current == Some(conn) && server.phase != Phase::Stopped {
                self.lose(id, &fault);
            }
            return;
        };
        if exchange.is_dialling() {
            let fault = Fault::environment(Code::UpstreamLost, reason);
            return self.on_dial_failed(id, exchange, &fault);
        }
        exchange.client.close_read();
        self.read_exchange(id, exchange);
        // Whatever it was, there will be no more of it.
        if let Some(exchange) = self.take_exchange(id, conn) {
            let fault = Fault::environment(Code::UpstreamLost, reason);
            self.on_broken(id, exchange, &fault);
        }
    }

    /// Works on what an exchange has buffered.
    fn read_exchange(&mut self, id: UpstreamId, mut exchange: Box<Exchange>) {
        loop {
            match exchange.client.next() {
                Ok(None) => return self.put_exchange(id, exchange),
                Ok(Some(ClientEvent::Head)) => self.on_response_head(id, &mut exchange),
                Ok(Some(ClientEvent::Data(bytes))) => {
                    if let Some(events) = &mut exchange.events {
                        events.push(bytes);
                        if let Err(fault) = self.read_events(id, &mut exchange) {
                            return self.on_broken(id, exchange, &fault);
                        }
                    } else if exchange.body.len().saturating_add(bytes.len())
                        > self.fx.limits.message_bytes_max
                    {
                        let fault = Fault::peer(Code::UpstreamBroken, "the answer is too long");
                        return self.on_broken(id, exchange, &fault);
                    } else {
                        exchange.body.extend_from_slice(bytes);
                    }
                }
                Ok(Some(ClientEvent::End)) => {
                    self.on_response_end(id, exchange);
                    return;
                }
                Err(fault) => return self.on_broken(id, exchange, &fault),
            }
        }
    }

    fn on_response_head(&mut self, id: UpstreamId, exchange: &mut Exchange) {
        let head = exchange.client.head();
        let status = head.status();
        let kind =
            head.header("content-type").and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        let good = (200..300).contains(&status);
        if good && kind.eq_ignore_ascii_case("text/event-stream") && exchange.job != Job::Idle {
            exchange.events = Some(sse::Decoder::new(self.fx.limits.message_bytes_max));
        }
        // `initialize` names the session of everything that follows.
        if let (Job::Call(key), Some(session)) = (exchange.job, head.header("mcp-session-id"))
            && self.mux.get(key).is_some_and(|call| call.method == crate::mcp::Method::Initialize)
            && let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http())
        {
            link.session = Some(session.into());
        }
        // Until a refusal is understood the call may have to be sent again.
        if good || !matches!(exchange.job, Job::Call(_)) {
            self.fx.release(exchange.conn);
        }
    }

    /// Hands on the events that are complete.
    fn read_events(&mut self, id: UpstreamId, exchange: &mut Exchange) -> Result<(), Fault> {
        let job = exchange.job;
        let Some(events) = &mut exchange.events else { return Ok(()) };
        while let Some(event) = events.next()? {
            if let Some(ms) = event.retry_ms {
                exchange.retry_ms = Some(ms.min(RETRY_MS_MAX));
            }
            match (event.name, job) {
                ("endpoint", Job::Stream) => {
                    let endpoint = String::from_utf8_lossy(event.data).into_owned();
                    self.on_endpoint(id, &endpoint)?;
                }
                ("" | "message", _) if !event.data.is_empty() => {
                    let call = if let Job::Call(key) = job { Some(key) } else { None };
                    self.on_server_text(id, call, event.data);
                }
                _ => {}
            }
        }
        // The answer is here: what follows on this stream interests nobody.
        if let Job::Call(key) = job
            && self.mux.get(key).is_none()
            && exchange.job == job
        {
            exchange.job = Job::Drain;
            exchange.arm(&mut self.fx, DRAIN_MS);
        }
        Ok(())
    }

    /// HTTP+SSE: the server says where to POST. Another origin would be given our credentials, so it is refused.
    fn on_endpoint(&mut self, id: UpstreamId, reference: &str) -> Result<(), Fault> {
        let Some(server) = self.servers.get_mut(id.0 as usize) else { return Ok(()) };
        if server.phase != Phase::Starting {
            return Ok(());
        }
        let Some(link) = server.link.http() else { return Ok(()) };
        let refuse = |why: &str| {
            let shown = Fault::quoted(reference.as_bytes());
            Fault::peer(Code::UpstreamBroken, format!("the endpoint `{shown}` {why}"))
        };
        let url = link.url.resolve(reference).map_err(|_| refuse("is no URL"))?;
        if url.origin() != link.url.origin() {
            return Err(refuse("is at another origin"));
        }
        link.endpoint = Some(url.target());
        self.shake_hands(id);
        Ok(())
    }

    /// A response is complete.
    fn on_response_end(&mut self, id: UpstreamId, mut exchange: Box<Exchange>) {
        let status = exchange.client.head().status();
        let good = (200..300).contains(&status);
        match exchange.job {
            Job::Call(key) if exchange.events.is_some() => {
                if self.mux.get(key).is_some() {
                    return self.on_stream_broken(id, exchange, key);
                }
            }
            // HTTP+SSE: only an acknowledgement, the answer comes on the stream.
            Job::Call(_) if good && self.answers_on_stream(id) => {}
            Job::Call(key) if good => self.on_json_answer(id, &exchange, key),
            Job::Call(key) => return self.on_refused(id, exchange, key, status),
            Job::Initialized if good => self.read_all_lists(id),
            Job::Initialized => {
                let fault =
                    Fault::peer(Code::UpstreamBroken, format!("it refused `initialized` with HTTP {status}"));
                self.lose(id, &fault);
            }
            Job::Note if !good => self.on_note_refused(id, &exchange, status),
            Job::Stream => {
                let broken = exchange.events.is_some();
                exchange.job = Job::Drain;
                let fault = match broken {
                    true => Fault::environment(Code::UpstreamLost, "it ended its event stream"),
                    false => Fault::peer(Code::UpstreamBroken, status_text(status)),
                };
                return self.on_stream_ended(id, exchange, &fault, broken);
            }
            Job::Listen => self.on_listen_ended(id, &exchange, status),
            Job::Note | Job::Delete | Job::Drain | Job::Idle => {}
        }
        if let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) {
            if exchange.job == Job::Delete {
                exchange.disarm(&mut self.fx);
                self.fx.close(exchange.conn);
            } else {
                link.recycle(&mut self.fx, exchange);
            }
        }
        self.check_ended();
    }

    fn answers_on_stream(&mut self, id: UpstreamId) -> bool {
        let link = self.server(id).and_then(|server| server.link.http());
        link.is_some_and(|link| link.kind == HttpKind::Sse)
    }

    /// The JSON body of a call: its answer, or (2025-03-26) an array with it.
    fn on_json_answer(&mut self, id: UpstreamId, exchange: &Exchange, key: Key) {
        if !exchange.body.is_empty() {
            self.on_server_text(id, Some(key), &exchange.body);
        }
        let status = exchange.client.head().status();
        self.fail(
            key,
            &Fault::peer(
                Code::UpstreamBroken,
                format!("the server answered HTTP {status} without an answer"),
            ),
        );
    }

    /// An exchange takes too long.
    pub(super) fn on_exchange_timer(&mut self, id: UpstreamId, conn: ConnId) {
        let Some(exchange) = self.take_exchange(id, conn) else { return };
        let fault =
            Fault::environment(Code::UpstreamTimeout, "the connection could not be established in time");
        if exchange.is_dialling() {
            self.on_dial_failed(id, exchange, &fault);
        } else {
            let fault = Fault::environment(Code::UpstreamTimeout, "the server did not answer in time");
            self.on_broken(id, exchange, &fault);
        }
    }

    pub(super) fn on_pool_timer(&mut self, id: UpstreamId) {
        if let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) {
            link.on_pool_timer(&mut self.fx);
        }
    }
}
