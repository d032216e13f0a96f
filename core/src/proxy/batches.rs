//! Arrays of messages, which revision 2025-03-26 alone has (basic/index § Batching).
//!
//! Each message is served as if it came alone; the answers share the stream of their POST.

use super::Proxy;
use super::clients::Refusal;
use super::requests::{Served, TOO_MANY_STREAMS};
use crate::downstream::client::{Client, error_body};
use crate::downstream::stream::Stream;
use crate::fault::{Code, Fault};
use crate::id::Key;
use crate::json::{self, Envelope, Kind, Pieces, Span};
use crate::mcp::Revision;

impl Proxy {
    /// An array of messages: 2025-03-26 only (basic/index § Batching).
    pub(super) fn on_batch(
        &mut self,
        client: &mut Client,
        key: Key,
        json: bool,
        events: bool,
    ) -> Result<(), Refusal> {
        let spans = self.batch(key, client.http.body())?;
        let text = client.http.body();
        let messages: Vec<_> = spans.into_iter().map(|span| (span, self.parse(span.of(text)))).collect();
        let wants_answer =
            |parsed: &Result<Envelope, Fault>| !matches!(parsed, Ok(note) if note.kind != Kind::Request);
        let owed = messages.iter().filter(|(_, parsed)| wants_answer(parsed)).count() as u32;
        let mut number = 0;
        if owed > 0 {
            // The stream is there before the first call, so that a cancellation in the same batch finds it.
            let stream = Stream::for_request(&self.fx, events, owed, true);
            let start = events && (owed > 1 || !json);
            let attached = self.down.attach(&mut self.fx, client, key, stream, start);
            number = attached.ok_or_else(|| Fault::local(Code::Overloaded, TOO_MANY_STREAMS))?;
        }
        self.changed.push_back(key);
        let text = client.http.body();
        for (span, parsed) in messages {
            if let Some(answer) = self.serve_one(key, number, parsed, span.of(text)) {
                self.deferred.push_back((key, number, answer));
            }
        }
        if owed == 0 {
            client.respond(&mut self.fx, 202, &[], &Pieces::of(&[]));
        } else if self.down.session(key).is_none_or(|session| !session.streams.contains_key(&number)) {
            // Everything was cancelled already.
            client.end_stream(&mut self.fx);
        }
        Ok(())
    }

    /// The elements of a batch.
    pub(super) fn batch(&mut self, key: Key, text: &[u8]) -> Result<Vec<Span>, Fault> {
        if self.down.session(key).is_none_or(|session| session.revision != Revision::V2025_03_26) {
            return Err(Fault::peer(Code::InvalidRequest, "batches belong to revision 2025-03-26 alone"));
        }
        if std::str::from_utf8(text).is_err() {
            return Err(Fault::peer(Code::ParseError, "not valid UTF-8"));
        }
        let start = text.iter().position(|byte| *byte == b'[').unwrap_or(0);
        let end = json::scan::check(text, start, self.fx.limits.json_depth_max)?.end;
        if text.get(end..).unwrap_or_default().iter().any(|byte| !byte.is_ascii_whitespace()) {
            return Err(Fault::peer(Code::ParseError, "not valid JSON: something follows the batch"));
        }
        let max = self.fx.limits.batch_max;
        let spans: Vec<Span> =
            json::elements(text, Span { start, end }).take(max.saturating_add(1)).collect();
        if spans.is_empty() || spans.len() > max {
            return Err(Fault::peer(Code::InvalidRequest, format!("a batch has 1 to {max} messages")));
        }
        Ok(spans)
    }

    /// Serves one element of a batch; gives its answer if that is there already.
    pub(super) fn serve_one(
        &mut self,
        key: Key,
        number: u32,
        parsed: Result<Envelope, Fault>,
        text: &[u8],
    ) -> Option<Vec<u8>> {
        let envelope = match parsed {
            Ok(envelope) => envelope,
            Err(fault) => return Some(error_body(self.id_of_request(text), &fault).into_bytes()),
        };
        if envelope.kind != Kind::Request {
            self.on_client_note(key, &envelope, text);
            return None;
        }
        let served = match envelope.method_name(text) == "initialize" {
            true => {
                Served::Refused(Fault::peer(Code::InvalidRequest, "initialize cannot be part of a batch"))
            }
            false => self.serve(key, number, &envelope, text),
        };
        served.text(envelope.id?.of(text))
    }
}
