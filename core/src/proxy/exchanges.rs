//! What comes back over HTTP from a server.
//!
//! | the exchange | ends well when | otherwise |
//! |---|---|---|
//! | a call | its answer came, as JSON or as an event; over HTTP+SSE, it was accepted | continued by event id, sent again if it cannot have been executed, or failed |
//! | a notification | 2xx | logged |
//! | the standalone stream | never | opened again after a while; not at all after 405 |
//! | the stream of HTTP+SSE | never | the server is lost |
//!
//! 404 to a request that named a session means that the session is gone (2025-03-26+ § Session Management): one
//! new handshake, and what was refused is sent again.

use super::Proxy;
use crate::config::HttpKind;
use crate::fault::{Code, Fault};
use crate::http::{ClientEvent, Method as HttpMethod};
use crate::id::{ConnId, Key, UpstreamId};
use crate::json::{self, Envelope, Pieces, Span};
use crate::log::Level;
use crate::mux::Origin;
use crate::sse;
use crate::timer::TimerKind;
use crate::upstream::Phase;
use crate::upstream::exchange::{Exchange, Job};
use std::net::SocketAddr;

/// Tries to continue a broken answer stream, or to repeat a refused call, without a sign of life in between.
const TRIES_MAX: u32 = 5;
/// Wait before a broken stream is asked for again, when the server did not say.
const RETRY_MS: u64 = 1_000;
/// Longest wait a server may ask for.
const RETRY_MS_MAX: u64 = 60_000;

impl Proxy {
    fn take_exchange(&mut self, id: UpstreamId, conn: ConnId) -> Option<Box<Exchange>> {
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
                exchange.arm(&mut self.fx, super::calls::DRAIN_MS);
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
        match exchange.job {
            // Until the answer is understood the request may have to be sent again.
            Job::Call(_) if !good => {}
            _ => self.fx.release(exchange.conn),
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
            exchange.arm(&mut self.fx, super::calls::DRAIN_MS);
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
            match exchange.job {
                Job::Delete => {
                    exchange.disarm(&mut self.fx);
                    self.fx.close(exchange.conn);
                }
                _ => link.recycle(&mut self.fx, exchange),
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

    /// A call was answered with an error status.
    fn on_refused(&mut self, id: UpstreamId, exchange: Box<Exchange>, key: Key, status: u16) {
        let answer = Envelope::parse(&exchange.body, self.fx.limits.json_depth_max).ok();
        let body = exchange.request_body(&self.fx);
        let session_lost = exchange.named_session && is_session_loss(status, &exchange.body, answer.as_ref());
        let method = self.mux.get(key).map(|call| call.method);
        if session_lost {
            self.on_session_lost(id, key, body);
        } else if let Some(envelope) = answer.filter(|answer| answer.id.is_some() && answer.outcome.is_some())
            && self.mux.find(id, envelope.id.unwrap_or_default().of(&exchange.body)) == Some(key)
        {
            self.complete(key, &envelope, &exchange.body);
        } else if method == Some(crate::mcp::Method::Initialize) && matches!(status, 400 | 404 | 405 | 406) {
            self.mux.remove(key);
            self.recycle(id, exchange);
            return self.try_other_kind(id, &Fault::peer(Code::UpstreamBroken, status_text(status)));
        } else {
            let text = match answer.and_then(|answer| answer.outcome) {
                Some(error) => super::calls::server_error(&exchange.body, error).detail.into_owned(),
                None => status_text(status),
            };
            self.fail(key, &Fault::peer(Code::UpstreamBroken, text));
        }
        self.recycle(id, exchange);
    }

    fn recycle(&mut self, id: UpstreamId, exchange: Box<Exchange>) {
        if let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) {
            link.recycle(&mut self.fx, exchange);
        }
        self.check_ended();
    }

    /// The server forgot the session. The call was not executed: it waits for the new one.
    fn on_session_lost(&mut self, id: UpstreamId, key: Key, body: Vec<u8>) {
        let Some(call) = self.mux.get_mut(key) else { return };
        call.resumes += 1;
        let again = call.resumes < TRIES_MAX && matches!(call.origin, Origin::Client(_));
        let Some(server) = self.servers.get_mut(id.0 as usize) else { return };
        if again {
            server.wait(key, body);
        } else {
            self.fail(key, &Fault::peer(Code::UpstreamLost, "the server keeps losing its session"));
        }
        self.renew_session(id);
    }

    /// One new handshake, however many requests noticed that the session is gone.
    fn renew_session(&mut self, id: UpstreamId) {
        let Some(server) = self.servers.get_mut(id.0 as usize) else { return };
        if server.phase != Phase::Ready {
            return;
        }
        self.fx.log(Level::Info, Some(&server.label), "the server lost its session, initializing again");
        server.readings = [const { None }; 4];
        server.ping = None;
        if let Some(link) = server.link.http() {
            link.session = None;
            link.revision = None;
            link.listen_id = None;
            if let Some(listen) = link.find(Job::Listen) {
                listen.job = Job::Drain;
                listen.arm(&mut self.fx, super::calls::DRAIN_MS);
            }
        }
        self.shake_hands(id);
    }

    fn on_note_refused(&mut self, id: UpstreamId, exchange: &Exchange, status: u16) {
        let Some(server) = self.servers.get(id.0 as usize) else { return };
        self.fx.log(
            Level::Debug,
            Some(&server.label),
            format!("a notification was refused: {}", status_text(status)),
        );
        if exchange.named_session && status == 404 {
            self.renew_session(id);
        }
    }

    /// The stream that is an HTTP+SSE session ended, or could not be opened.
    fn on_stream_ended(
        &mut self,
        id: UpstreamId,
        mut exchange: Box<Exchange>,
        fault: &Fault,
        was_stream: bool,
    ) {
        exchange.disarm(&mut self.fx);
        self.fx.close(exchange.conn);
        let starting = self.server(id).is_some_and(|server| server.phase == Phase::Starting);
        if starting && !was_stream {
            self.try_other_kind(id, fault);
        } else {
            self.lose(id, fault);
        }
    }

    /// An exchange broke off.
    fn on_broken(&mut self, id: UpstreamId, mut exchange: Box<Exchange>, fault: &Fault) {
        exchange.disarm(&mut self.fx);
        match exchange.job {
            Job::Call(key) if exchange.events.is_some() => return self.on_stream_broken(id, exchange, key),
            Job::Call(key) => self.on_call_broken(id, &exchange, key, fault),
            Job::Stream => return self.on_stream_ended(id, exchange, fault, true),
            Job::Listen => self.on_listen_ended(id, &exchange, 200),
            Job::Initialized => self.lose(id, fault),
            Job::Note | Job::Delete | Job::Drain | Job::Idle => {}
        }
        self.fx.close(exchange.conn);
        if let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) {
            link.forget(exchange.conn);
        }
        self.check_ended();
    }

    /// A connection broke before the answer: sent again if the server cannot have executed the call, or if that
    /// would do no harm.
    fn on_call_broken(&mut self, id: UpstreamId, exchange: &Exchange, key: Key, fault: &Fault) {
        let Some(call) = self.mux.get_mut(key) else { return };
        let unread = exchange.reused && !exchange.client.started();
        let again = unread && (exchange.is_unwritten(&self.fx) || call.method.is_repeatable());
        if again && call.resumes < TRIES_MAX {
            call.resumes += 1;
            let body = exchange.request_body(&self.fx);
            let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) else {
                return;
            };
            link.forget(exchange.conn);
            let Err(refused) = link.post(&mut self.fx, Job::Call(key), &Pieces::of(&[&body])) else { return };
            return self.fail(key, &refused);
        }
        self.fail(
            key,
            &Fault::environment(Code::UpstreamLost, format!("the connection to the server broke: {fault}")),
        );
    }

    /// The answer stream of a call ended before its answer: continued where it broke off, if the server numbers
    /// its events (2025-11-25 § Resumability).
    fn on_stream_broken(&mut self, id: UpstreamId, mut exchange: Box<Exchange>, key: Key) {
        let event_id = exchange.event_id().map(Into::into);
        let wait = exchange.retry_ms.unwrap_or(RETRY_MS);
        exchange.disarm(&mut self.fx);
        if exchange.client.is_reusable() {
            self.recycle(id, exchange);
        } else {
            self.fx.close(exchange.conn);
        }
        let Some(call) = self.mux.get_mut(key) else { return };
        call.event_id = event_id.or(call.event_id.take());
        call.resumes += 1;
        if call.event_id.is_some() && call.resumes <= TRIES_MAX {
            self.fx.after(wait, TimerKind::Resume, key.to_wire());
        } else {
            let fault = Fault::environment(Code::UpstreamLost, "the answer stream of the server broke off");
            match call.origin {
                Origin::Client(_) => self.give_up_call(key, &fault),
                Origin::Own(_) => self.fail(key, &fault),
            }
        }
    }

    pub(super) fn on_resume_timer(&mut self, key: Key) {
        let Some(call) = self.mux.get(key) else { return };
        let (id, event_id) = (call.upstream, call.event_id.clone());
        let Some(server) = self.servers.get_mut(id.0 as usize) else { return };
        if let (Some(link), Some(event_id)) = (server.link.http(), event_id) {
            link.ask(&mut self.fx, Job::Call(key), HttpMethod::Get, Some(&event_id));
        }
    }

    /// Opens the standalone stream of a Streamable HTTP server.
    pub(super) fn open_standalone(&mut self, id: UpstreamId) {
        let Some(server) = self.servers.get_mut(id.0 as usize) else { return };
        if server.phase != Phase::Ready {
            return;
        }
        let Some(link) = server.link.http().filter(|link| link.kind == HttpKind::Streamable) else { return };
        if link.find(Job::Listen).is_none() {
            let event_id = link.listen_id.clone();
            link.ask(&mut self.fx, Job::Listen, HttpMethod::Get, event_id.as_deref());
        }
    }

    /// The standalone stream ended. A server that refuses it has none, which is fine.
    fn on_listen_ended(&mut self, id: UpstreamId, exchange: &Exchange, status: u16) {
        let Some(link) = self.servers.get_mut(id.0 as usize).and_then(|server| server.link.http()) else {
            return;
        };
        if exchange.events.is_none() && status != 200 {
            link.listen_id = None;
            if status == 404 && exchange.named_session {
                self.renew_session(id);
            }
            return;
        }
        if let Some(event_id) = exchange.event_id() {
            link.listen_id = Some(event_id.into());
        }
        let wait = exchange.retry_ms.unwrap_or(RETRY_MS);
        self.fx.after(wait, TimerKind::Standalone, u64::from(id.0));
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

/// Whether this answer means that the session is gone. The specification says 404; servers built on the
/// TypeScript SDK say 400 with an error that mentions the session after they were restarted.
fn is_session_loss(status: u16, body: &[u8], answer: Option<&Envelope>) -> bool {
    match (status, answer.and_then(|answer| answer.outcome)) {
        (404, _) => true,
        (400, Some(error)) => says_session(body, error),
        _ => false,
    }
}

fn says_session(body: &[u8], error: Span) -> bool {
    let message = json::member(body, error, "message").ok().flatten();
    let message = message.and_then(|span| json::unquote(span.of(body))).unwrap_or_default();
    message.to_ascii_lowercase().contains("session")
}

fn status_text(status: u16) -> String {
    let hint = match status {
        401 | 403 => ": it wants a credential (see `headers`)",
        404 => ": there is no MCP endpoint at this URL",
        _ => "",
    };
    format!("the server answered HTTP {status}{hint}")
}
