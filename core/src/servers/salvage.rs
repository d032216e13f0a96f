//! What a server says that is not quite a message: what can be read of it, and which call it names.
//!
//! | what came | what follows |
//! |---|---|
//! | members that are only `null`, no `jsonrpc` | taken as if it were said properly |
//! | a byte order mark in front, bytes that are no UTF-8 | taken without it, with U+FFFD in their place |
//! | an array of messages, several messages in one line | each is taken |
//! | broken or contradictory text that is an answer to a call | the call ends with an error, at once |
//! | a request that nobody can read but that has an id | refused with -32600 |
//! | an answer that no client takes (a result that is no object) | the call ends with an error, at once |
//! | anything else | logged and skipped |
//!
//! Over the pipe of a child anything may come; whoever waits for an answer is told what became of it either way. A line
//! that does not begin like a message is left alone whatever it holds: servers print what they send.

use super::ServersMut;
use super::calls::Origin;
use super::connection::Connection;
use super::http::escape::plain;
use super::messages::hears;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::json::number::is_integer;
use crate::json::{self, Envelope, Kind, Salvage, Span};
use crate::jsonrpc;
use crate::log::Level;
use crate::mcp::Method;
use crate::mcp::ask::Refusal;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why an answer cannot be handed on as it is.
pub(super) enum Unfit {
    /// There is nothing to say, which is said as `null`.
    Nothing,
    /// No client would take it.
    For(Fault),
}

impl ServersMut<'_> {
    /// A message whose text not everybody would take as it is.
    pub(super) fn on_sloppy_message(
        &mut self,
        id: UpstreamId,
        call: Option<Key>,
        envelope: &Envelope,
        text: &[u8],
    ) {
        // What lacks `jsonrpc` may as well be a line of a log.
        let answers = matches!(envelope.kind, Kind::Result | Kind::Error);
        if !envelope.versioned && answers && unfit_outcome(envelope, text).is_some() {
            let fault = Fault::peer(Code::InvalidRequest, "`jsonrpc` must be \"2.0\"");
            return self.skip(id, text, &fault);
        }
        let plain = envelope.plain(text);
        match Envelope::parse(&plain, self.fx.limits.json_depth_max) {
            Ok(envelope) => self.on_server_message(id, call, &envelope, &plain),
            Err(fault) => self.skip(id, text, &fault),
        }
    }

    /// Text that is no message as it stands.
    pub(super) fn on_unreadable(&mut self, id: UpstreamId, call: Option<Key>, text: &[u8], fault: &Fault) {
        if text.starts_with(BYTE_ORDER_MARK) {
            let mut text = text;
            while let Some(rest) = text.strip_prefix(BYTE_ORDER_MARK) {
                text = rest;
            }
            return self.on_server_text(id, call, text);
        }
        let open = text.trim_ascii_start().first().copied();
        if !matches!(open, Some(b'{' | b'[')) {
            return self.skip(id, text, fault);
        }
        if std::str::from_utf8(text).is_err() {
            let readable = String::from_utf8_lossy(text);
            if readable.len() <= self.fx.limits.message_bytes_max.saturating_add(REPLACED_BYTES_MAX) {
                self.warn_printed(id, "a message is not valid UTF-8; what cannot be read of it is replaced");
                return self.on_server_text(id, call, readable.as_bytes());
            }
        }
        match (json::scan::check(text, 0, self.fx.limits.json_depth_max), fault.code) {
            (Ok(value), Code::ParseError) if value.end < text.len() => {
                self.on_several(id, call, text, value.end);
            }
            (Ok(value), _) if open == Some(b'[') => self.on_server_batch(id, call, text, value.end),
            _ => self.on_broken_text(id, call, text, fault),
        }
    }

    /// Values one after the other; the first of them ends at `end`.
    fn on_several(&mut self, id: UpstreamId, call: Option<Key>, text: &[u8], end: usize) {
        let (mut rest, mut end) = (text, end);
        loop {
            let (value, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
            self.on_server_text(id, call, value);
            rest = after;
            let next = match rest.trim_ascii_start().first() {
                None => return,
                Some(b'{' | b'[') => json::scan::check(rest, 0, self.fx.limits.json_depth_max),
                Some(_) => Err(Fault::peer(Code::ParseError, "something follows a message")),
            };
            match next {
                Ok(value) => end = value.end,
                Err(fault) => return self.on_broken_text(id, call, rest, &fault),
            }
        }
    }

    /// Revision 2025-03-26 has arrays of messages; servers of other revisions that write them mean the same.
    fn on_server_batch(&mut self, id: UpstreamId, call: Option<Key>, text: &[u8], end: usize) {
        let start = text.len().saturating_sub(text.trim_ascii_start().len());
        let mut messages = 0usize;
        for span in json::elements(text, Span { start, end }) {
            let element = span.of(text);
            if element.first() == Some(&b'{') {
                messages = messages.saturating_add(1);
                self.on_server_text(id, call, element);
            }
        }
        if messages == 0 {
            self.skip(id, text, &Fault::peer(Code::InvalidRequest, "an array without a message in it"));
        }
    }

    /// Text that is beyond repair.
    fn on_broken_text(&mut self, id: UpstreamId, call: Option<Key>, text: &[u8], fault: &Fault) {
        let found = Salvage::of(text);
        let raw = found.id.map(|span| span.of(text));
        let key = match raw {
            Some(raw) => self.call_named(id, raw),
            // On the stream of a call it can only be the answer to that.
            None => call,
        };
        if let Some(key) = key.filter(|_| found.is_answer()) {
            if let Some(server) = self.server(id) {
                server.pulse.spoke();
            }
            let line = format!("an answer cannot be used: {fault}");
            self.warn_printed(id, &line);
            let detail = format!("the answer of the server cannot be used: {fault}");
            return self.fail(key, &Fault::peer(Code::UpstreamBroken, detail));
        }
        let is_request = found.versioned && found.method && found.closed;
        if let Some(raw) = raw.filter(|raw| is_request && raw.len() <= self.fx.limits.id_bytes_max) {
            self.warn_printed(id, &format!("a request cannot be used: {fault}"));
            return self.refuse(id, raw, &Refusal::unreadable(fault));
        }
        self.skip(id, text, fault);
    }

    /// Why the client that waits for this answer would not take it.
    pub(super) fn unfit(&self, key: Key, envelope: &Envelope, text: &[u8]) -> Option<Unfit> {
        let call = self.calls.get(key)?;
        let said = unfit_outcome(envelope, text)?;
        // The proxy itself is content with any answer to what has none to speak of.
        let is_empty =
            matches!(call.method, Method::Ping | Method::SetLevel | Method::Subscribe | Method::Unsubscribe);
        match envelope.kind {
            Kind::Result if is_empty && said == b"null" => Some(Unfit::Nothing),
            Kind::Error if matches!(call.origin, Origin::Own(_)) => None,
            Kind::Result => {
                let detail = format!("the server answered with a result that is no object: {}", quoted(said));
                Some(Unfit::For(Fault::peer(Code::UpstreamBroken, detail)))
            }
            Kind::Error | Kind::Request | Kind::Notification => {
                let detail = format!("the server answered with an error that is none: {}", quoted(said));
                Some(Unfit::For(Fault::peer(Code::UpstreamBroken, detail)))
            }
        }
    }

    /// The answer `null` to what is answered with an empty object.
    pub(super) fn complete_with_nothing(&mut self, key: Key, raw: &[u8]) {
        let mut text = Vec::new();
        jsonrpc::result(raw, b"{}").write(&mut text);
        match Envelope::parse(&text, self.fx.limits.json_depth_max) {
            Ok(envelope) => self.complete(key, &envelope, &text),
            Err(fault) => self.fail(key, &fault),
        }
    }

    fn warn_printed(&mut self, id: UpstreamId, line: &str) {
        let Some(server) = self.conns.get_mut(id) else { return };
        if hears(self.fx, server) {
            self.fx.log(Level::Warn, Some(&server.label), line.to_owned());
        }
    }

    fn skip(&mut self, id: UpstreamId, text: &[u8], fault: &Fault) {
        if let Some(server) = self.conns.get_mut(id) {
            skip(self.fx, server, text, fault);
        }
    }
}

/// How much longer than allowed a message may become by what stands in place of unreadable bytes.
const REPLACED_BYTES_MAX: usize = 64 * 1024;

/// The outcome of an answer, if it is not of the form that MCP knows: an object, of an error with code and message.
pub(super) fn unfit_outcome<'a>(envelope: &Envelope, text: &'a [u8]) -> Option<&'a [u8]> {
    let outcome = envelope.outcome?;
    let said = outcome.of(text);
    let fits = said.first() == Some(&b'{')
        && (envelope.kind != Kind::Error || {
            let [code, message] = json::members(text, outcome, ["code", "message"]).unwrap_or_default();
            code.is_some_and(|code| is_integer(code.of(text)))
                && message.is_some_and(|message| message.of(text).first() == Some(&b'"'))
        });
    (!fits).then_some(said)
}

fn quoted(said: &[u8]) -> String {
    format!("`{}`", Fault::quoted(said))
}

/// What a server printed is no message.
fn skip(fx: &mut Effects, server: &mut Connection, text: &[u8], fault: &Fault) {
    if !hears(fx, server) {
        return;
    }
    // Text that may be a piece of a message is not shown: it could hold anything.
    let looks_like_json = text.iter().any(|byte| matches!(byte, b'"' | b'{'));
    let shown = if looks_like_json { String::new() } else { format!(": {}", Fault::quoted(&plain(text))) };
    let line = format!("{} bytes of output are no message and were skipped{shown}", text.len());
    fx.log(Level::Debug, Some(&server.label), fault.to_string());
    fx.log(Level::Info, Some(&server.label), line);
}
