//! Arrays of messages, which revision 2025-03-26 alone has (basic/index § Batching).
//!
//! Each message is served as if it came alone, in the order of the array; the answers share the stream of their POST.
//! Those that are there at once are sent when the whole array is served.

use super::Clients;
use super::accept::Accepted;
use super::admission::{Refusal, id_of_request};
use super::conn::{Admission, ClientConn};
use super::event::{ClientEvent, Exchange, McpEvent, Message, Way};
use super::reading::Step;
use super::requests::{TOO_MANY_STREAMS, message_event, parse};
use super::stream::Stream;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::id::{Key, Requester};
use crate::json::{self, Envelope, Kind, Pieces, Span};
use crate::jsonrpc;
use std::vec::IntoIter;

/// An array that is being served.
#[derive(Debug)]
pub(super) struct Batch {
    requester: Requester,
    /// What is left of it.
    items: IntoIter<Item>,
    /// Whether answers to it share a response; otherwise it is acknowledged.
    has_stream: bool,
}

/// An element, and what it is as a message.
type Item = (Span, Result<Envelope, Fault>);

impl Clients {
    /// An array POSTed on the Streamable HTTP endpoint.
    pub(super) fn begin_batch(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        session: Key,
        accepted: Accepted,
    ) -> Result<(), Refusal> {
        let items = self.items(fx, session, client.http.body())?;
        let wants_answer =
            |parsed: &Result<Envelope, Fault>| !matches!(parsed, Ok(note) if note.kind != Kind::Request);
        let owed = items.iter().filter(|(_, parsed)| wants_answer(parsed)).count() as u32;
        let mut stream = 0;
        if owed > 0 {
            // The stream is there before the first call, so that a cancellation in the same batch finds it.
            let Accepted { json, events } = accepted;
            let start = events && (owed > 1 || !json);
            let attached =
                self.attach(fx, client, session, Stream::for_request(fx, events, owed, true), start);
            stream = attached.ok_or_else(|| Fault::local(Code::Overloaded, TOO_MANY_STREAMS))?;
        }
        self.events.push_back(McpEvent::Reachable { session });
        let requester = Requester { session, stream };
        client.batch = Some(Box::new(Batch { requester, items: items.into_iter(), has_stream: owed > 0 }));
        Ok(())
    }

    /// An array for a session of HTTP+SSE.
    pub(super) fn begin_event_batch(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        requester: Requester,
    ) -> Result<(), Refusal> {
        let items = self.items(fx, requester.session, client.http.body())?.into_iter();
        client.batch = Some(Box::new(Batch { requester, items, has_stream: false }));
        Ok(())
    }

    /// The elements of an array.
    fn items(&self, fx: &Effects, session: Key, text: &[u8]) -> Result<Vec<Item>, Fault> {
        if self.sessions.get(session).is_none_or(|session| !session.revision.has_batches()) {
            return Err(Fault::peer(Code::InvalidRequest, "batches belong to revision 2025-03-26 alone"));
        }
        if std::str::from_utf8(text).is_err() {
            return Err(Fault::peer(Code::ParseError, "not valid UTF-8"));
        }
        let start = text.iter().position(|byte| *byte == b'[').unwrap_or(0);
        let end = json::scan::check(text, start, fx.limits.json_depth_max)?.end;
        if text.get(end..).unwrap_or_default().iter().any(|byte| !byte.is_ascii_whitespace()) {
            return Err(Fault::peer(Code::ParseError, "not valid JSON: something follows the batch"));
        }
        let max = fx.limits.batch_max;
        let spans: Vec<Span> =
            json::elements(text, Span { start, end }).take(max.saturating_add(1)).collect();
        if spans.is_empty() || spans.len() > max {
            return Err(Fault::peer(Code::InvalidRequest, format!("a batch has 1 to {max} messages")));
        }
        Ok(spans.into_iter().map(|span| (span, parse(&fx.limits, span.of(text)))).collect())
    }

    /// Goes on with the array of a connection, if it has one.
    pub(super) fn next_of_batch(
        &mut self,
        fx: &mut Effects,
        mut client: Box<ClientConn>,
    ) -> Step<Box<ClientConn>> {
        loop {
            let Some(batch) = &mut client.batch else { return Step::Continue(client) };
            let requester = batch.requester;
            let Some((span, parsed)) = batch.items.next() else {
                let has_stream = batch.has_stream;
                client.batch = None;
                self.end_batch(fx, &mut client, requester, has_stream);
                return Step::Continue(client);
            };
            let text = span.of(client.http.body());
            let envelope = match parsed {
                Ok(envelope) => envelope,
                Err(fault) => {
                    let error = jsonrpc::error(id_of_request(&fx.limits, text), &fault);
                    self.answers.push_back((requester, error.into_bytes()));
                    continue;
                }
            };
            let Some(Admission::Mcp(entry)) = client.admitted else { return Step::Continue(client) };
            let exchange = Exchange(client);
            let message = Message { exchange, entry, requester, envelope, span, way: Way::Batch };
            return Step::Break(ClientEvent::Mcp(message_event(message)));
        }
    }

    fn end_batch(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        requester: Requester,
        has_stream: bool,
    ) {
        let stream = self.sessions.get(requester.session).map(|session| &session.streams);
        if !has_stream {
            client.respond(fx, 202, &[], &Pieces::of(&[]));
        } else if stream.is_none_or(|streams| !streams.contains_key(&requester.stream)) {
            // Everything was cancelled already.
            client.end_stream(fx);
        }
    }
}
