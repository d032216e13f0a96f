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

use super::HttpLink;
use super::exchange::{Exchange, Job};
use super::lapses::Verdict;
use super::packed::{Unfit, complete};
use super::recovery::answer_lost;
use super::redirect::is_redirect;
use crate::config::HttpKind;
use crate::fault::{Code, Fault};
use crate::http::ClientEvent;
use crate::id::{ConnId, Key, UpstreamId};
use crate::ledger::NO_MEMORY_FOR_ANSWER;
use crate::servers::connection::Phase;
use crate::servers::connections::Connections;
use crate::servers::{ServersMut, Unread};
use crate::sse;

/// What was read of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// A piece; there may be more.
    More,
    /// All that is there.
    All,
    /// Its end.
    End,
}

/// Longest wait a server may ask for.
const RETRY_MS_MAX: u64 = 60_000;

/// The HTTP link of a server, without borrowing the rest of the engine.
pub(in crate::servers) fn http_link(conns: &mut Connections, id: UpstreamId) -> Option<&mut HttpLink> {
    conns.get_mut(id)?.link.http()
}

impl ServersMut<'_> {
    pub(in crate::servers) fn take_exchange(
        &mut self,
        id: UpstreamId,
        conn: ConnId,
    ) -> Option<Box<Exchange>> {
        self.server(id)?.link.http()?.take(conn)
    }

    pub(super) fn put_exchange(&mut self, id: UpstreamId, exchange: Box<Exchange>) {
        if let Some(link) = http_link(self.conns, id) {
            link.put(self.fx, exchange);
        }
    }

    pub(in crate::servers) fn on_exchange_bytes(&mut self, id: UpstreamId, conn: ConnId, bytes: &[u8]) {
        let Some(link) = http_link(self.conns, id) else { return };
        if let Some(mut exchange) = link.take(conn) {
            exchange.client.push(bytes);
            link.put_back(exchange);
            self.unread.push_back(Unread::Exchange(id, conn, None));
        }
    }

    /// Reads what came for an exchange, up to the first message that others are told of. `eof` says why nothing
    /// follows.
    pub(in crate::servers) fn read_exchange_of(
        &mut self,
        id: UpstreamId,
        conn: ConnId,
        eof: Option<&'static str>,
    ) {
        if let Some(exchange) = self.take_exchange(id, conn)
            && self.read_exchange(id, exchange)
        {
            return self.unread.push_front(Unread::Exchange(id, conn, eof));
        }
        // Whatever it was, there will be no more of it.
        if let Some(reason) = eof
            && let Some(exchange) = self.take_exchange(id, conn)
        {
            let fault = Fault::environment(Code::UpstreamLost, reason);
            self.on_broken(id, exchange, &fault);
        }
    }

    /// The other end closed: the pipe of a child, or an HTTP connection.
    pub(in crate::servers) fn on_server_eof(&mut self, id: UpstreamId, conn: ConnId, reason: &'static str) {
        let Some(mut exchange) = self.take_exchange(id, conn) else {
            return self.on_pipe_closed(id, conn);
        };
        if exchange.is_dialling() {
            let fault = Fault::environment(Code::UpstreamLost, reason);
            return self.on_dial_failed(id, exchange, &fault);
        }
        exchange.client.close_read();
        if let Some(link) = http_link(self.conns, id) {
            link.put_back(exchange);
        }
        self.unread.push_back(Unread::Exchange(id, conn, Some(reason)));
    }

    /// Works on what an exchange has buffered. Returns whether there is more to work on.
    fn read_exchange(&mut self, id: UpstreamId, mut exchange: Box<Exchange>) -> bool {
        loop {
            // The server may have been given up while its bytes were worked on: nothing it says counts any more.
            if http_link(self.conns, id).is_none_or(|link| !link.is_current(&exchange)) {
                self.put_exchange(id, exchange);
                return false;
            }
            if let Err(fault) = self.read_events(id, &mut exchange) {
                self.on_broken(id, exchange, &fault);
                return false;
            }
            if !self.events.is_empty() {
                if let Some(link) = http_link(self.conns, id) {
                    link.put_back(exchange);
                }
                return true;
            }
            if !self.may_grow(&mut exchange) {
                let fault = Fault::local(Code::Overloaded, NO_MEMORY_FOR_ANSWER);
                self.give_up_exchange(id, exchange, &fault);
                return false;
            }
            match self.read_next(id, &mut exchange) {
                Ok(Read::More) => {}
                Ok(Read::All) => {
                    self.put_exchange(id, exchange);
                    return false;
                }
                Ok(Read::End) => {
                    self.on_response_end(id, exchange);
                    return false;
                }
                Err(unfit) => {
                    self.end_unfit(id, exchange, &unfit);
                    return false;
                }
            }
        }
    }

    /// Reads the next piece of a response.
    fn read_next(&mut self, id: UpstreamId, exchange: &mut Exchange) -> Result<Read, Unfit> {
        if self.unpack(id, exchange)? {
            return Ok(Read::More);
        }
        match exchange.client.next().map_err(Unfit::Content)? {
            None => return Ok(Read::All),
            Some(ClientEvent::Head) => {
                self.on_response_head(id, exchange);
                self.look_for_coding(exchange).map_err(Unfit::Packing)?;
            }
            Some(ClientEvent::Data(bytes)) => {
                if let Some(coding) = &mut exchange.coding {
                    coding.push(bytes);
                } else if let Some(events) = &mut exchange.events {
                    events.push(bytes);
                    self.on_flow(id);
                } else if exchange.body.len().saturating_add(bytes.len()) > self.fx.limits.message_bytes_max {
                    let fault = Fault::peer(Code::UpstreamBroken, "the answer is too long");
                    return Err(Unfit::Content(fault));
                } else {
                    exchange.body.extend_from_slice(bytes);
                }
            }
            Some(ClientEvent::End) => {
                complete(exchange)?;
                return Ok(Read::End);
            }
        }
        Ok(Read::More)
    }

    /// Something came over an event stream.
    pub(in crate::servers) fn on_flow(&mut self, id: UpstreamId) {
        if let Some(server) = self.server(id) {
            server.pulse.flowed();
        }
    }

    fn on_response_head(&mut self, id: UpstreamId, exchange: &mut Exchange) {
        if let Some(link) = http_link(self.conns, id) {
            link.take_cookies(self.fx, exchange);
        }
        let head = exchange.client.head();
        let status = head.status();
        let kind =
            head.header("content-type").and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        let good = (200..300).contains(&status);
        if good && kind.eq_ignore_ascii_case("text/event-stream") && exchange.job != Job::Idle {
            exchange.events = Some(sse::Decoder::new(self.fx.limits.message_bytes_max));
            if exchange.job == Job::Listen
                && let Some(link) = http_link(self.conns, id)
            {
                link.offers_listening(exchange.named_session);
            }
            if let Job::Call(key) = exchange.job
                && let Some(call) = self.calls.get_mut(key)
            {
                call.answered_in = exchange.named_session;
            }
        }
        // `initialize` names the session of everything that follows.
        if let (Job::Call(key), Some(session), true) = (exchange.job, head.header("mcp-session-id"), good)
            && self.calls.get(key).is_some_and(|call| call.method == crate::mcp::Method::Initialize)
            && let Some(link) = http_link(self.conns, id)
        {
            link.session = Some(session.into());
        }
        // Until a refusal is understood the call may have to be sent again, and whatever is redirected.
        if good || !(matches!(exchange.job, Job::Call(_)) || is_redirect(status)) {
            self.fx.release(exchange.conn);
        }
    }

    /// Hands on the events that are complete.
    pub(in crate::servers) fn read_events(
        &mut self,
        id: UpstreamId,
        exchange: &mut Exchange,
    ) -> Result<(), Fault> {
        let job = exchange.job;
        let Some(events) = &mut exchange.events else { return Ok(()) };
        while self.events.is_empty()
            && let Some(event) = events.next()?
        {
            exchange.heard = true;
            if let Job::Call(key) = job
                && let Some(call) = self.calls.get_mut(key)
            {
                call.resumes = 0;
                call.alive = self.fx.now.mono;
            }
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
            && !self.calls.is_owed(key)
            && exchange.job == job
        {
            exchange.begin(self.fx, Job::Drain, None, 0);
        }
        Ok(())
    }

    /// HTTP+SSE: the server says where to POST. Another origin would be given our credentials, so it is refused.
    fn on_endpoint(&mut self, id: UpstreamId, reference: &str) -> Result<(), Fault> {
        let Some(server) = self.conns.get_mut(id) else { return Ok(()) };
        if server.phase != Phase::Starting {
            return Ok(());
        }
        let Some(link) = server.link.http() else { return Ok(()) };
        let refuse = |why: &str| {
            let shown = Fault::quoted(reference.as_bytes());
            Fault::peer(Code::UpstreamBroken, format!("the endpoint `{shown}` {why}"))
        };
        let base = &link.get_at.url;
        let url = base.resolve(reference).map_err(|_| refuse("is no URL"))?;
        if url.origin() != base.origin() {
            return Err(refuse("is at another origin"));
        }
        link.set_endpoint(url);
        self.shake_hands(id);
        Ok(())
    }

    /// A response is complete.
    fn on_response_end(&mut self, id: UpstreamId, mut exchange: Box<Exchange>) {
        let status = exchange.client.head().status();
        let good = (200..300).contains(&status);
        let streamed = exchange.events.is_some();
        let job = exchange.job;
        if is_redirect(status) && !matches!(job, Job::Drain | Job::Idle) {
            return self.on_redirected(id, exchange, status);
        }
        match job {
            Job::Call(key) if streamed && self.calls.is_owed(key) && !self.answers_on_stream(id) => {
                return self.on_stream_broken(id, exchange, key);
            }
            Job::Call(key) if !good => return self.on_refused(id, exchange, key, status),
            Job::Stream if streamed => {
                let fault = Fault::environment(Code::UpstreamLost, "it ended its event stream");
                return self.on_stream_ended(id, exchange, &fault);
            }
            Job::Stream => return self.on_stream_refused(id, exchange, status),
            Job::Call(_)
            | Job::Note
            | Job::Answer(_)
            | Job::Initialized
            | Job::Listen
            | Job::Delete
            | Job::Drain
            | Job::Idle => {}
        }
        let refusal = if good { String::new() } else { self.refusal(id, &exchange) };
        // The connection is free before anything follows from the answer, so that it can serve that too.
        let body = std::mem::take(&mut exchange.body);
        let summary = exchange.summary(status);
        self.recycle(id, exchange);
        let verdict = self.judge_response(status, &body);
        match job {
            // HTTP+SSE: only an acknowledgement, the answer comes on the stream.
            Job::Call(key) if self.answers_on_stream(id) => self.on_taken(id, key),
            Job::Call(key) => self.on_json_answer(id, &body, key, status),
            Job::Initialized if good => self.read_all_lists(id),
            Job::Initialized => {
                let detail = format!("it refused `initialized`: {refusal}");
                self.lose(id, &Fault::peer(Code::UpstreamBroken, detail));
            }
            Job::Note if !good => self.on_note_refused(id, &summary, &refusal, verdict),
            Job::Answer(call) if !good => {
                self.on_note_refused(id, &summary, &refusal, verdict);
                self.fail(call, &answer_lost(&Fault::peer(Code::UpstreamBroken, refusal)));
            }
            Job::Listen => self.on_listen_ended(id, &summary, verdict),
            // Of a call that was given up: an answer that comes too late.
            Job::Drain if good && !body.is_empty() => self.on_server_text(id, None, &body),
            Job::Note | Job::Answer(_) | Job::Stream | Job::Delete | Job::Drain | Job::Idle => {}
        }
        self.check_gone(id);
    }

    /// Whether this is a server of HTTP+SSE.
    pub(in crate::servers) fn answers_on_stream(&mut self, id: UpstreamId) -> bool {
        let link = self.server(id).and_then(|server| server.link.http());
        link.is_some_and(|link| link.kind == HttpKind::Sse)
    }

    fn on_taken(&mut self, id: UpstreamId, key: Key) {
        if let Some(server) = self.server(id) {
            server.pulse.took(key);
        }
    }

    /// The JSON body of a call: its answer, or (2025-03-26) an array with it.
    fn on_json_answer(&mut self, id: UpstreamId, body: &[u8], key: Key, status: u16) {
        if !body.is_empty() {
            self.on_server_text(id, Some(key), body);
        }
        if !self.calls.is_owed(key) {
            return;
        }
        let detail = format!("the server answered HTTP {status} without an answer");
        self.fail(key, &Fault::peer(Code::UpstreamBroken, detail));
    }

    /// An exchange takes too long.
    pub(in crate::servers) fn on_exchange_timer(&mut self, id: UpstreamId, conn: ConnId) {
        let Some(exchange) = self.take_exchange(id, conn) else { return };
        let fault =
            Fault::environment(Code::UpstreamTimeout, "the connection could not be established in time");
        if exchange.is_dialling() {
            self.on_dial_failed(id, exchange, &fault);
        } else if exchange.job == Job::Initialized && exchange.events.is_some() {
            // Acknowledged by the head of a response that does not end.
            self.drop_exchange(id, exchange);
            self.read_all_lists(id);
        } else {
            let fault = Fault::environment(Code::UpstreamTimeout, "the server did not answer in time");
            self.on_broken(id, exchange, &fault);
        }
    }

    /// A server takes nothing of a request.
    pub(crate) fn on_stalled(&mut self, id: UpstreamId, conn: ConnId) {
        if let Some(exchange) = self.take_exchange(id, conn) {
            let fault = Fault::environment(Code::UpstreamTimeout, "the server does not read");
            self.on_broken(id, exchange, &fault);
        }
    }

    pub(in crate::servers) fn on_pool_timer(&mut self, id: UpstreamId) {
        if let Some(link) = http_link(self.conns, id) {
            link.on_pool_timer(self.fx);
        }
    }

    /// Whether the answer that an exchange is receiving may go on.
    pub(in crate::servers) fn may_grow(&self, exchange: &mut Exchange) -> bool {
        exchange.update_charge();
        match exchange.job {
            // They belong to everybody behind the server; there is one of each, and a limit to one event.
            Job::Stream | Job::Listen => true,
            Job::Idle
            | Job::Call(_)
            | Job::Note
            | Job::Answer(_)
            | Job::Initialized
            | Job::Delete
            | Job::Drain => self.fx.ledger.allows(exchange.pending()),
        }
    }

    /// Ends an exchange of which nothing more is wanted, and what it was for.
    pub(in crate::servers) fn give_up_exchange(
        &mut self,
        id: UpstreamId,
        exchange: Box<Exchange>,
        fault: &Fault,
    ) {
        let (job, summary) = (exchange.job, exchange.summary(200));
        match job {
            Job::Stream => return self.on_stream_ended(id, exchange, fault),
            Job::Idle
            | Job::Call(_)
            | Job::Note
            | Job::Answer(_)
            | Job::Initialized
            | Job::Listen
            | Job::Delete
            | Job::Drain => self.drop_exchange(id, exchange),
        }
        match job {
            Job::Call(key) => self.fail(key, fault),
            Job::Initialized => self.lose(id, fault),
            Job::Listen => self.on_listen_ended(id, &summary, Verdict::Silent),
            // The server has taken what it was sent.
            Job::Answer(_) | Job::Note | Job::Idle | Job::Stream | Job::Delete | Job::Drain => {}
        }
        self.check_gone(id);
    }
}
