//! What a server says: bytes of a child's pipes to messages, messages to what they mean.
//!
//! A server that prints to its output by mistake goes on working: see [`super::salvage`] for what is no message.

use super::call::server_error;
use super::child::line_rate::Heard;
use super::connection::{Connection, Phase};
use super::event::{Said, ServerEvent};
use super::health::printable;
use super::http::exchange::Job;
use super::link::{Link, Pipes};
use super::salvage::Unfit;
use super::tasks::related_task;
use super::{ServersMut, Todo, Unread};
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::id::{ConnId, Key, UpstreamId};
use crate::json::{Envelope, Kind, Pieces, Salvage};
use crate::jsonrpc;
use crate::ledger::NO_MEMORY_FOR_ANSWER;
use crate::log::Level;
use crate::mcp::ask::{self, Refusal};
use crate::mcp::{Ask, Method};
use crate::short_id::Late;

impl ServersMut<'_> {
    /// Bytes from a child's stdout, or from an HTTP connection.
    pub(super) fn on_server_bytes(&mut self, id: UpstreamId, conn: ConnId, bytes: &[u8]) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let Link::Child(link) = &mut server.link else { return self.on_exchange_bytes(id, conn, bytes) };
        let Some(pipes) = &mut link.pipes else { return };
        pipes.stdout.push(bytes);
        self.unread.push_back(Unread::Child(id));
    }

    /// Reads what a child has printed, up to the first line that others are told of.
    pub(super) fn read_child(&mut self, id: UpstreamId) {
        let Some(link) = self.server(id).and_then(|server| server.link.child()) else { return };
        let Some(mut pipes) = link.pipes.take() else { return };
        while self.events.is_empty() {
            match pipes.stdout.next() {
                Ok(Some(line)) => self.on_server_text(id, None, line),
                Ok(None) => break,
                Err(fault) => self.on_line_skipped(id, &fault, pipes.stdout.skipped()),
            }
        }
        if !self.events.is_empty() {
            self.unread.push_front(Unread::Child(id));
        }
        pipes.update_charge(self.fx);
        if let Some(link) = self.server(id).and_then(|server| server.link.child()) {
            link.pipes = Some(pipes);
        }
    }

    /// A child closed its output: it can serve no more. As a rule it exits at this moment, and how it ends is what
    /// everybody wants to know.
    pub(super) fn on_pipe_closed(&mut self, id: UpstreamId, conn: ConnId) {
        let Some(link) = self.server(id).and_then(|server| server.link.child()) else { return };
        if link.child.as_ref().is_none_or(|child| child.conn != conn) {
            return;
        }
        // Its last line may lack its end.
        if let Some(mut pipes) = link.pipes.take() {
            if let Some(line) = pipes.stdout.finish() {
                self.on_server_text(id, None, line);
            }
            pipes.update_charge(self.fx);
            if let Some(link) = self.server(id).and_then(|server| server.link.child()) {
                link.pipes = Some(pipes);
            }
        }
        let Some(server) = self.conns.get_mut(id) else { return };
        if matches!(server.phase, Phase::Down | Phase::Asleep | Phase::Stopped) {
            return;
        }
        if let Some(child) = server.link.child().and_then(|link| link.child.as_mut()) {
            child.await_exit(self.fx);
        }
    }

    /// A line was longer than a message may be. If it was the answer to a call, that call fails now.
    fn on_line_skipped(&mut self, id: UpstreamId, fault: &Fault, ends: (&[u8], &[u8])) {
        if let Some(server) = self.conns.get(id) {
            let line = format!("output was skipped: {fault}");
            self.fx.log(Level::Warn, Some(&server.label), line);
        }
        let raw = Salvage::id_of_ends(ends.0, ends.1);
        if let Some(key) = raw.and_then(|raw| self.call_named(id, raw)) {
            let why = match fault.code == Code::Overloaded {
                true => Fault::local(Code::Overloaded, NO_MEMORY_FOR_ANSWER),
                false => {
                    Fault::peer(Code::UpstreamBroken, "the answer of the server is longer than is allowed")
                }
            };
            self.fail(key, &why);
        }
    }

    /// One message of a server. `call` is the call whose own answer stream it came on.
    pub(super) fn on_server_text(&mut self, id: UpstreamId, call: Option<Key>, text: &[u8]) {
        match Envelope::parse(text, self.fx.limits.json_depth_max) {
            Ok(envelope) if envelope.versioned && !envelope.padded => {
                self.on_server_message(id, call, &envelope, text);
            }
            Ok(envelope) => self.on_sloppy_message(id, call, &envelope, text),
            Err(fault) => self.on_unreadable(id, call, text, &fault),
        }
    }

    /// One message as it ought to be.
    pub(super) fn on_server_message(
        &mut self,
        id: UpstreamId,
        call: Option<Key>,
        envelope: &Envelope,
        text: &[u8],
    ) {
        let Some(server) = self.conns.get_mut(id) else { return };
        server.pulse.spoke();
        match envelope.kind {
            Kind::Result | Kind::Error => self.on_server_answer(id, call, envelope, text),
            Kind::Request => self.on_server_request(id, call, envelope, text),
            Kind::Notification => match Method::from_name(&envelope.method_name(text)) {
                Method::Progress => self.on_progress(id, envelope, text),
                Method::ListChanged(kind) => self.on_list_changed(id, kind),
                Method::LogMessage => self.tell(|said| ServerEvent::Log { said }, id, call, envelope, text),
                Method::ResourceUpdated => {
                    self.tell(|said| ServerEvent::Updated { said }, id, call, envelope, text);
                }
                Method::Elicited => {
                    self.tell(|said| ServerEvent::Elicited { said }, id, call, envelope, text);
                }
                Method::Other if matches!(server.phase, Phase::Listing | Phase::Ready) => {
                    self.tell(|said| ServerEvent::Foreign { said }, id, call, envelope, text);
                }
                Method::Cancelled => {
                    self.tell(|said| ServerEvent::Withdrawn { said }, id, call, envelope, text);
                }
                Method::Initialize
                | Method::Ping
                | Method::List(_)
                | Method::ToolsCall
                | Method::PromptsGet
                | Method::ResourcesRead
                | Method::SkillsGet
                | Method::Complete
                | Method::SetLevel
                | Method::Subscribe
                | Method::Unsubscribe
                | Method::Ask(_)
                | Method::Initialized
                | Method::RootsChanged
                | Method::Other
                | Method::NotCarried => {}
            },
        }
    }

    /// Tells others what a server said.
    fn tell(
        &mut self,
        event: impl FnOnce(Said) -> ServerEvent,
        id: UpstreamId,
        on: Option<Key>,
        envelope: &Envelope,
        text: &[u8],
    ) {
        let task = envelope.params.and_then(|params| related_task(text, params));
        let cause = self.cause(id, on, task.map(|span| span.of(text)));
        let named = on.is_some() || task.is_some();
        self.events.push_back(event(Said { id, named, cause, text: text.to_vec(), envelope: *envelope }));
    }

    fn on_server_answer(&mut self, id: UpstreamId, call: Option<Key>, envelope: &Envelope, text: &[u8]) {
        if envelope.kind == Kind::Error {
            self.heed_error(id, envelope.outcome.unwrap_or_default(), text);
        }
        let raw = envelope.id.map_or(b"null".as_slice(), |span| span.of(text));
        match self.call_named(id, raw) {
            Some(key) => match self.unfit(key, envelope, text) {
                None => self.complete(key, envelope, text),
                Some(Unfit::Nothing) => self.complete_with_nothing(key, raw),
                Some(Unfit::For(fault)) => self.fail(key, &fault),
            },
            // An error that could not name its request, on the stream of that request.
            None if call.is_some() && raw == b"null" => {
                if let Some(key) = call {
                    self.fail(key, &server_error(text, envelope.outcome.unwrap_or_default()));
                }
            }
            None => {
                let Some(server) = self.conns.get_mut(id) else { return };
                let late = self.calls.on_late(server.server, raw);
                if late != Late::Unknown {
                    server.health.late_answers = server.health.late_answers.saturating_add(1);
                }
                if let Late::Owed(key) = late
                    && server.running.on_late_answer(key)
                {
                    self.todo.push_back(Todo::SendWaiting(id));
                }
                let line = format!("an answer to no call was dropped (id {})", Fault::quoted(raw));
                self.fx.log(Level::Debug, Some(&server.label), line);
            }
        }
    }

    /// A request of a server: `ping` is answered here, what clients have to answer, or may know, goes to them.
    fn on_server_request(&mut self, id: UpstreamId, call: Option<Key>, envelope: &Envelope, text: &[u8]) {
        // In the next session an answer could be taken for that to another question.
        if self.is_of_lost_session(id, call) {
            return;
        }
        let raw = envelope.id.map_or(b"null".as_slice(), |span| span.of(text));
        let method = Method::from_name(&envelope.method_name(text));
        if let Method::Ask(ask) = method {
            return self.on_question(id, call, ask, envelope, text);
        } else if method == Method::Other {
            return self.on_question(id, call, Ask::Other, envelope, text);
        }
        let outcome: &[u8] = match method == Method::Ping {
            true => b"\"result\":{}",
            false => b"\"error\":{\"code\":-32601,\"message\":\"method not found\"}",
        };
        let message = jsonrpc::answer(raw, outcome);
        if let Some(server) = self.conns.get_mut(id) {
            // Over HTTP an answer belongs to a session, and there is none before the handshake is over.
            if server.link.http().is_none() || server.phase != Phase::Handshake {
                server.link.send_note(self.fx, Job::Note, &message);
            }
        }
    }

    /// A request of a server that a client has to answer.
    fn on_question(&mut self, id: UpstreamId, call: Option<Key>, ask: Ask, envelope: &Envelope, text: &[u8]) {
        let Some(server) = self.conns.get(id) else { return };
        match server.phase {
            Phase::Listing | Phase::Ready => {
                self.tell(|said| ServerEvent::Question { ask, said }, id, call, envelope, text);
            }
            // Before the handshake is over a child gets its answer; over HTTP there is no session it could go to.
            Phase::Handshake if server.has_one_channel() => {
                let raw = envelope.id.map_or(b"null".as_slice(), |span| span.of(text));
                self.refuse(id, raw, &ask::unattributed(ask));
            }
            Phase::Down | Phase::Starting | Phase::Handshake | Phase::Asleep | Phase::Stopped => {}
        }
    }

    /// Answers a request of a server with an error, or with what stands for the answer of a client.
    pub(crate) fn refuse(&mut self, id: UpstreamId, raw: &[u8], refusal: &Refusal) {
        let outcome = refusal.encode();
        self.answer(id, None, &jsonrpc::answer(raw, outcome.as_bytes()));
    }

    /// Hands a server the answer to its request, which `call` led to.
    pub(crate) fn answer(&mut self, id: UpstreamId, call: Option<Key>, message: &Pieces<'_>) {
        if let Some(server) = self.conns.get_mut(id) {
            server.link.send_note(self.fx, call.map_or(Job::Note, Job::Answer), message);
        }
    }

    /// Tells a server something now; lost if it is not there.
    pub(crate) fn notify(&mut self, id: UpstreamId, message: &Pieces<'_>) {
        self.answer(id, None, message);
    }

    /// Tells a server something, once it has started.
    pub(crate) fn notify_later(&mut self, id: UpstreamId, message: &Pieces<'_>) {
        if let Some(server) = self.conns.get_mut(id) {
            server.submit_note(self.fx, message);
        }
        self.wake(id);
    }

    pub(super) fn on_stderr(&mut self, id: UpstreamId, bytes: &[u8]) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let Some(mut pipes) = server.link.child().and_then(|link| link.pipes.take()) else { return };
        pipes.push_stderr(bytes);
        print_lines(self.fx, server, &mut pipes);
        pipes.update_charge(self.fx);
        if let Some(link) = server.link.child() {
            link.pipes = Some(pipes);
        }
    }

    /// The last words of a child that is gone may lack the end of their line.
    pub(super) fn on_stderr_end(&mut self, id: UpstreamId) {
        let Some(server) = self.conns.get_mut(id) else { return };
        let Some(mut pipes) = server.link.child().and_then(|link| link.pipes.take()) else { return };
        pipes.end_stderr();
        print_lines(self.fx, server, &mut pipes);
        if let Some(line) = pipes.stderr.finish() {
            server.health.on_stderr(line);
            print_line(self.fx, server, line);
        }
    }
}

/// What is complete of a child's stderr goes to the log and stays with its health.
fn print_lines(fx: &mut Effects, server: &mut Connection, pipes: &mut Pipes) {
    loop {
        match pipes.stderr.next() {
            Ok(Some(line)) => {
                server.health.on_stderr(line);
                print_line(fx, server, line);
            }
            Ok(None) => return,
            Err(_) => print_line(fx, server, b"(a very long line of stderr was skipped)"),
        }
    }
}

fn print_line(fx: &mut Effects, server: &mut Connection, line: &[u8]) {
    if hears(fx, server) {
        let line: String = printable(&String::from_utf8_lossy(line)).collect();
        fx.log(Level::Info, Some(&server.label), line);
    }
}

/// Whether one more line that a server printed goes to the log.
pub(super) fn hears(fx: &mut Effects, server: &mut Connection) -> bool {
    let heard = server.line_rate.line(fx.mono(), fx.limits.printed_lines_max);
    if heard == Heard::Full {
        let line = format!(
            "it prints more than {} lines a second, of which the rest is dropped",
            fx.limits.printed_lines_max
        );
        fx.log(Level::Warn, Some(&server.label), line);
    }
    heard == Heard::Logged
}
