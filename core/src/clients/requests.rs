//! What a complete request at an endpoint of MCP is: which session it names, and which message it brings.

use super::Clients;
use super::accept::{Accepted, check_takes_events};
use super::admission::{Named, Refusal, refuse};
use super::conn::{ClientConn, Entry};
use super::event::{ClientEvent, Exchange, McpEvent, Message, Way};
use super::reading::Step;
use super::session::Transport;
use super::sessions::unknown_session;
use super::stream::Stream;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::http::Method as HttpMethod;
use crate::id::{Key, Requester};
use crate::json::{Envelope, Kind, Pieces, Span};
use crate::limits::Limits;
use crate::mcp::Method;
use crate::route::Endpoint;

pub(super) const TOO_MANY_STREAMS: &str = "too many requests of this session are open";

/// What a request turned out to be.
enum Found {
    /// It was answered, or is an array that is served piece by piece.
    Done,
    Sessionless,
    Connect,
    Message(Requester, Envelope, Way),
}

impl Clients {
    /// A request was admitted and is complete.
    pub(super) fn on_mcp_request(
        &mut self,
        fx: &mut Effects,
        mut client: Box<ClientConn>,
        entry: Entry,
    ) -> Step<Box<ClientConn>> {
        let found = match self.find_message(fx, &mut client, entry) {
            Ok(found) => found,
            Err(refusal) => {
                refuse(fx, &mut client, &refusal);
                Found::Done
            }
        };
        let exchange = Exchange(client);
        Step::Break(ClientEvent::Mcp(match found {
            Found::Done => return Step::Continue(exchange.0),
            Found::Sessionless => McpEvent::Sessionless { exchange, entry },
            Found::Connect => McpEvent::Connect { exchange, entry },
            Found::Message(requester, envelope, way) => {
                let span = Span { start: 0, end: exchange.body().len() };
                message_event(Message { exchange, entry, requester, envelope, span, way })
            }
        }))
    }

    fn find_message(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        entry: Entry,
    ) -> Result<Found, Refusal> {
        match (entry.endpoint, client.http.head().method()) {
            (Endpoint::Sse, _) => {
                Named::of(client.http.head())?;
                check_takes_events(client.http.head())?;
                Ok(Found::Connect)
            }
            (Endpoint::Message, _) => self.find_event_message(fx, client, entry),
            (Endpoint::Mcp, HttpMethod::Post) => self.find_post(fx, client, entry),
            (Endpoint::Mcp, HttpMethod::Delete) => {
                let named = Named::of(client.http.head())?;
                let Some(key) = self.named_session(fx, named, entry)? else {
                    return Ok(Found::Sessionless);
                };
                self.end_session(fx, key);
                client.respond(fx, 204, &[], &Pieces::of(&[]));
                Ok(Found::Done)
            }
            (Endpoint::Mcp, _) => self.open_stream(fx, client, entry),
        }
    }

    /// POST on the Streamable HTTP endpoint.
    fn find_post(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        entry: Entry,
    ) -> Result<Found, Refusal> {
        let head = client.http.head();
        let named = Named::of(head)?;
        let accepted = Accepted::of_post(head)?;
        let Accepted { json, events } = accepted;
        let text = client.http.body();
        if is_array(text) {
            let Some(key) = self.named_session(fx, named, entry)? else { return Ok(Found::Sessionless) };
            return self.begin_batch(fx, client, key, accepted).map(|()| Found::Done);
        }
        let envelope = parse(&fx.limits, text)?;
        let is_initialize = envelope.kind == Kind::Request && envelope.method_name(text) == "initialize";
        if is_initialize && named.session.is_none() {
            let nobody = Requester { session: Key::NONE, stream: 0 };
            return Ok(Found::Message(nobody, envelope, Way::Opening { json, events }));
        }
        let Some(session) = self.named_session(fx, named, entry)? else { return Ok(Found::Sessionless) };
        if is_initialize {
            return Err(Fault::peer(Code::InvalidRequest, "the session is initialized already").into());
        }
        let Some(known) = self.sessions.get(session) else { return Err(unknown_session().into()) };
        if envelope.kind == Kind::Request && known.streams.len() >= fx.limits.session_streams_max {
            return Err(Fault::local(Code::Overloaded, TOO_MANY_STREAMS).into());
        }
        let requester = Requester { session, stream: known.next_stream };
        Ok(Found::Message(requester, envelope, Way::Post { json, events }))
    }

    /// A message for a session of HTTP+SSE: acknowledged at once, answered on its stream.
    fn find_event_message(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        entry: Entry,
    ) -> Result<Found, Refusal> {
        Named::of(client.http.head())?;
        let query = client.http.head().query();
        let token = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("sessionId=")));
        let key = token.and_then(|token| self.by_token.get(token).copied());
        let session = key.filter(|key| self.owns(*key, entry, Transport::Sse)).ok_or_else(unknown_session)?;
        self.touch(fx, session);
        let requester = Requester { session, stream: 0 };
        let text = client.http.body();
        if is_array(text) {
            return self.begin_event_batch(fx, client, requester).map(|()| Found::Done);
        }
        Ok(Found::Message(requester, parse(&fx.limits, text)?, Way::EventSession))
    }

    /// GET on the Streamable HTTP endpoint: the standalone stream, or a broken stream again.
    fn open_stream(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        entry: Entry,
    ) -> Result<Found, Refusal> {
        let head = client.http.head();
        let named = Named::of(head)?;
        check_takes_events(head)?;
        let Some(session) = self.named_session(fx, named, entry)? else { return Ok(Found::Sessionless) };
        match head.single("last-event-id")?.map(str::to_owned) {
            Some(id) => self
                .resume(fx, client, session, &id)
                .ok_or_else(|| Fault::peer(Code::BadEventId, "this event is not known (any more)"))?,
            None => {
                let stream = Stream::standalone(fx, true);
                let attached = self.attach(fx, client, session, stream, true);
                attached.ok_or_else(|| Fault::local(Code::Overloaded, "the session has too many streams"))?;
            }
        }
        self.events.push_back(McpEvent::Reachable { session });
        Ok(Found::Done)
    }
}

/// The event that a message is.
pub(super) fn message_event(message: Message) -> McpEvent {
    match message.envelope.kind {
        Kind::Request => return McpEvent::Request { message },
        Kind::Result | Kind::Error => return McpEvent::Answer { message },
        Kind::Notification => {}
    }
    match Method::from_name(&message.envelope.method_name(message.text())) {
        Method::Cancelled => McpEvent::Cancel { message },
        Method::Initialized => McpEvent::Initialized { message },
        Method::RootsChanged => McpEvent::RootsChanged { message },
        Method::Progress => McpEvent::Progress { message },
        Method::Other => McpEvent::Foreign { message },
        Method::Initialize
        | Method::Ping
        | Method::List(_)
        | Method::SetLevel
        | Method::ToolsCall
        | Method::PromptsGet
        | Method::ResourcesRead
        | Method::Complete
        | Method::Subscribe
        | Method::Unsubscribe
        | Method::SkillsGet
        | Method::ListChanged(_)
        | Method::Ask(_)
        | Method::LogMessage
        | Method::ResourceUpdated
        | Method::Elicited
        | Method::NotCarried => McpEvent::Idle { message },
    }
}

/// Reads one message.
///
/// # Errors
/// Why it is none that can be served.
pub(super) fn parse(limits: &Limits, text: &[u8]) -> Result<Envelope, Fault> {
    let envelope = Envelope::parse(text, limits.json_depth_max)?;
    if envelope.id.is_some_and(|span| span.of(text).len() > limits.id_bytes_max) {
        return Err(Fault::peer(Code::InvalidRequest, "the `id` is too long"));
    }
    if envelope.versioned {
        Ok(envelope)
    } else {
        Err(Fault::peer(Code::InvalidRequest, "`jsonrpc` must be \"2.0\""))
    }
}

fn is_array(text: &[u8]) -> bool {
    text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}
