//! What a client's JSON-RPC message is: answered here, or a call to a server.
//!
//! | message | answer |
//! |---|---|
//! | `initialize`, `ping`, the lists, `logging/setLevel` | here, from the handshakes and catalogs of the servers |
//! | `tools/call`, `prompts/get`, `resources/read`, `completion/complete` | by the server |
//! | `resources/subscribe`, `resources/unsubscribe` | by the server for the first and the last, else here |
//! | notifications, responses | none |
//! | what the proxy does not know, on a view of one server | by the server |
//! | `skills/list`, `skills/get`, on a view of several | here, and by the server |
//! | anything else | method not found |

use super::Proxy;
use super::clients::{Refusal, accepts};
use super::greetings::Readiness;
use super::targets::Subject;
use crate::downstream::Role;
use crate::downstream::client::{Admitted, Client, NO_ID, error_body};
use crate::downstream::session::Transport;
use crate::downstream::stream::Stream;
use crate::fault::{Code, Fault};
use crate::id::Key;
use crate::json::{self, Envelope, Kind, Pieces, Raw, Salvage, Span};
use crate::log::Level;
use crate::mcp::{Declared, ListKind, LogLevel, Method, Profile, Revision};
use crate::route::Endpoint;
use crate::servers::NO_MEMORY;
use crate::servers::calls::ClientOrigin;
use crate::servers::{Forwarded, NO_MEMORY_FOR_ANSWER, Purpose};
use std::sync::Arc;

pub(super) const TOO_MANY_STREAMS: &str = "too many requests of this session are open";

/// What became of a request.
pub(super) enum Served {
    /// Answered with this `result`.
    Now(Body),
    /// Refused.
    Refused(Fault),
    /// A server will answer.
    Later,
}

/// A result of our own.
pub(super) enum Body {
    Shared(Arc<[u8]>),
    Owned(String),
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Owned(text) => text.as_bytes(),
        }
    }
}

impl Served {
    /// The answer as text; `None` when it is still to come.
    pub(super) fn text(&self, id: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Now(body) => {
                let mut text = Vec::new();
                result_pieces(id, body.bytes()).write(&mut text);
                Some(text)
            }
            Self::Refused(fault) => Some(error_body(id, fault).into_bytes()),
            Self::Later => None,
        }
    }
}

pub(super) fn result_pieces<'a>(id: &'a [u8], result: &'a [u8]) -> Pieces<'a> {
    Pieces::of(&[b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"result\":", result, b"}"])
}

impl Proxy {
    /// POST on the Streamable HTTP endpoint.
    pub(super) fn on_post(&mut self, client: &mut Client, entry: Admitted) -> Result<(), Refusal> {
        let head = client.http.head();
        let (json, events) = (accepts(head, "application/json"), accepts(head, "text/event-stream"));
        if !json && !events {
            let detail = "the answer is application/json or text/event-stream, and neither is accepted";
            return Err(Fault::peer(Code::NotAcceptable, detail).into());
        }
        let named = head.single("mcp-session-id")?.is_some();
        let text = client.http.body();
        if is_array(text) {
            let key = self.named_session(head, entry)?;
            return self.on_batch(client, key, json, events);
        }
        let envelope = self.parse(text)?;
        let is_initialize = envelope.kind == Kind::Request && envelope.method_name(text) == "initialize";
        if is_initialize && !named {
            return self.on_initialize(client, entry, &envelope, json, events);
        }
        let key = self.named_session(head, entry)?;
        if is_initialize {
            return Err(Fault::peer(Code::InvalidRequest, "the session is initialized already").into());
        }
        self.on_message(client, key, &envelope, json, events)
    }

    /// One message of an open session, POSTed on its own.
    fn on_message(
        &mut self,
        client: &mut Client,
        key: Key,
        envelope: &Envelope,
        json: bool,
        events: bool,
    ) -> Result<(), Refusal> {
        let text = client.http.body();
        if envelope.kind != Kind::Request {
            self.on_client_note(key, envelope, text);
            client.respond(&mut self.fx, 202, &[], &Pieces::of(&[]));
            return Ok(());
        }
        let Some(session) = self.down.session(key) else { return Ok(()) };
        if session.streams.len() >= self.fx.limits.session_streams_max {
            return Err(Fault::local(Code::Overloaded, TOO_MANY_STREAMS).into());
        }
        let number = session.next_stream;
        let served = self.serve(key, number, envelope, text);
        let served = self.fit(served, self.fx.queued(client.conn));
        if let Served::Later = served {
            let stream = Stream::for_request(&self.fx, events, 1, false);
            self.down.attach(&mut self.fx, client, key, stream, !json);
            if self.down.session(key).is_some_and(|session| !session.questions.is_empty()) {
                self.changed.push_back(key);
            }
            return Ok(());
        }
        let id = Raw::new(envelope.id.map_or(b"".as_slice(), |span| span.of(text)));
        match &served {
            Served::Now(body) if json => {
                client.answer_json(&mut self.fx, &result_pieces(id.as_bytes(), body.bytes()))
            }
            Served::Now(_) | Served::Refused(_) | Served::Later => {
                let answer = served.text(id.as_bytes()).unwrap_or_default();
                client.answer_text(&mut self.fx, &answer, json);
            }
        }
        Ok(())
    }

    /// What we answer, if there is memory for it beside the bytes that wait for the same client.
    fn fit(&self, served: Served, waits: usize) -> Served {
        match served {
            Served::Now(body) if !self.fx.ledger.has_room(waits, body.bytes().len()) => {
                Served::Refused(Fault::local(Code::Overloaded, NO_MEMORY_FOR_ANSWER))
            }
            Served::Now(_) | Served::Refused(_) | Served::Later => served,
        }
    }

    /// A message POSTed for a session of HTTP+SSE; its answer goes on the stream of the session.
    pub(super) fn on_event_message(&mut self, key: Key, text: &[u8]) -> Result<(), Fault> {
        if is_array(text) {
            for span in self.batch(key, text)? {
                let parsed = self.parse(span.of(text));
                if let Some(answer) = self.serve_one(key, 0, parsed, span.of(text)) {
                    self.deferred.push_back((key, 0, answer));
                }
            }
            return Ok(());
        }
        let envelope = self.parse(text)?;
        if envelope.kind != Kind::Request {
            self.on_client_note(key, &envelope, text);
            return Ok(());
        }
        let id = envelope.id.map_or(b"".as_slice(), |span| span.of(text));
        let served = if envelope.method_name(text) == "initialize" {
            self.greet_event_session(key, &envelope, text, id)
        } else {
            self.serve(key, 0, &envelope, text)
        };
        let waits = self.down.waits(&self.fx, key, 0);
        if let Some(answer) = self.fit(served, waits).text(id) {
            self.down.deliver(&mut self.fx, key, 0, &Pieces::of(&[&answer]), Role::Answer);
        }
        Ok(())
    }

    /// `initialize` on HTTP+SSE.
    fn greet_event_session(&mut self, key: Key, envelope: &Envelope, text: &[u8], id: &[u8]) -> Served {
        if let Err(fault) = self.open(key, envelope, text) {
            return Served::Refused(fault);
        }
        let Some(session) = self.down.session(key) else { return Served::Later };
        let (view, revision, principal) = (session.view, session.revision, session.principal);
        if let Ok(Readiness::Starting(home)) =
            self.readiness(Admitted { view, endpoint: Endpoint::Message, principal })
        {
            self.await_start(key, home, 0, id);
            return Served::Later;
        }
        self.greet(view, revision)
    }

    /// `initialize` without a session: opens one.
    fn on_initialize(
        &mut self,
        client: &mut Client,
        entry: Admitted,
        envelope: &Envelope,
        json: bool,
        events: bool,
    ) -> Result<(), Refusal> {
        let readiness = self.readiness(entry)?;
        let key = self.new_session(Transport::Streamable, entry)?;
        let text = client.http.body();
        let id = Raw::new(envelope.id.map_or(b"".as_slice(), |span| span.of(text)));
        if let Err(fault) = self.open(key, envelope, text) {
            self.end_session(key);
            client.answer_text(&mut self.fx, error_body(id.as_bytes(), &fault).as_bytes(), json);
            return Ok(());
        }
        let Some(session) = self.down.session(key) else { return Ok(()) };
        client.opens = Some(session.token.clone());
        let revision = session.revision;
        match readiness {
            Readiness::Starting(home) => {
                let stream = Stream::for_request(&self.fx, events, 1, false);
                let number = self.down.attach(&mut self.fx, client, key, stream, !json).unwrap_or_default();
                self.await_start(key, home, number, id.as_bytes());
            }
            Readiness::Ready => {
                let answer = self.greet(entry.view, revision).text(id.as_bytes()).unwrap_or_default();
                client.answer_text(&mut self.fx, &answer, json);
            }
        }
        Ok(())
    }

    /// Takes an `initialize`: negotiates the revision and notes what the client can do.
    fn open(&mut self, key: Key, envelope: &Envelope, text: &[u8]) -> Result<(), Fault> {
        let asked = match envelope.params.map(|params| json::member(text, params, "protocolVersion")) {
            Some(Err(fault)) => return Err(fault),
            Some(Ok(span)) => span.and_then(|span| json::unquote(span.of(text))),
            None => None,
        };
        let Some(asked) = asked else {
            return Err(Fault::peer(Code::InvalidParams, "initialize needs a protocolVersion"));
        };
        let revision = Revision::from_name(&asked).unwrap_or(Revision::NEWEST);
        let capabilities =
            envelope.params.and_then(|params| json::member(text, params, "capabilities").ok()?);
        let profile = match capabilities.map(|span| Profile::parse(text, span)) {
            Some(Err(fault)) => return Err(fault),
            Some(Ok(profile)) => profile.usable(revision),
            None => Profile::default(),
        };
        let bytes_max = self.fx.limits.declared_bytes_max;
        let declared = match capabilities.map(|span| Declared::parse(text, span, bytes_max)) {
            Some(Err(fault)) => return Err(fault),
            Some(Ok(None)) => {
                let line = "a client declares more extensions than servers are told of: none of them is";
                self.fx.log(Level::Warn, None, line);
                Declared::default()
            }
            Some(Ok(Some(declared))) => declared,
            None => Declared::default(),
        };
        let Some(session) = self.down.session(key) else { return Ok(()) };
        if session.opened {
            return Err(Fault::peer(Code::InvalidRequest, "the session is initialized already"));
        }
        if !session.has_room(&self.fx, declared.size()) {
            return Err(Fault::local(Code::Overloaded, NO_MEMORY));
        }
        session.opened = true;
        session.revision = revision;
        session.profile = profile;
        session.declare(declared);
        Ok(())
    }

    /// The answer to `initialize`.
    pub(super) fn greet(&self, view: usize, revision: Revision) -> Served {
        self.greeting(view, revision).map_or(Served::Later, |text| Served::Now(Body::Owned(text)))
    }

    /// Serves one request of a session; its answer belongs on stream `number`.
    pub(super) fn serve(&mut self, key: Key, number: u32, envelope: &Envelope, text: &[u8]) -> Served {
        let method = self.method_here(key, &envelope.method_name(text));
        let served = match method {
            Method::Ping => Ok(Served::Now(Body::Owned("{}".to_owned()))),
            Method::List(kind) => self.list(key, number, kind, envelope, text),
            Method::SetLevel => self.set_session_level(key, envelope, text),
            Method::ToolsCall
            | Method::PromptsGet
            | Method::ResourcesRead
            | Method::Complete
            | Method::Subscribe
            | Method::Unsubscribe
            | Method::SkillsGet
            | Method::Other => self.forward(key, number, method, envelope, text),
            Method::Initialize
            | Method::Initialized
            | Method::Cancelled
            | Method::Progress
            | Method::ListChanged(_)
            | Method::Ask(_)
            | Method::RootsChanged
            | Method::LogMessage
            | Method::ResourceUpdated
            | Method::Elicited
            | Method::NotCarried => Err(Fault::peer(Code::MethodNotFound, "method not found")),
        };
        served.unwrap_or_else(Served::Refused)
    }

    /// The method of a name for a session. On a view of several servers skills are merged; of one they pass.
    fn method_here(&mut self, key: Key, name: &str) -> Method {
        match name {
            "skills/list" if self.is_merged(key) => Method::List(ListKind::Skills),
            "skills/get" if self.is_merged(key) => Method::SkillsGet,
            _ => Method::from_name(name),
        }
    }

    /// Sends a request on to its server.
    fn forward(
        &mut self,
        key: Key,
        number: u32,
        method: Method,
        envelope: &Envelope,
        text: &[u8],
    ) -> Result<Served, Fault> {
        let Some(session) = self.down.session(key) else { return Ok(Served::Later) };
        if session.calls.len() >= self.fx.limits.session_calls_max {
            return Err(Fault::local(Code::Overloaded, "too many calls of this session are in flight"));
        }
        let params = envelope.params.unwrap_or_default();
        let [meta, name, uri, reference, task] = if method == Method::Other {
            // Of an extension's members nothing is known.
            [json::member(text, params, "_meta")?, None, None, None, None]
        } else {
            json::members(text, params, ["_meta", "name", "uri", "ref", "task"])?
        };
        let target = self.target(key, method, text, params, Subject { name, uri, reference })?;
        let upstream = match method.may_ask() {
            true => self.seat_for_call(key, target.home)?,
            false => self.seat(key, target.home)?,
        };
        let completes = self.servers.get(upstream).is_some_and(|server| server.peer().may_complete());
        if method == Method::Complete && !completes {
            return Err(Fault::peer(Code::MethodNotFound, "the server completes nothing"));
        }
        let mut about = None;
        if matches!(method, Method::Subscribe | Method::Unsubscribe) {
            if target.rename.is_some() {
                // Updates would come under a URI that leads to the page of another server.
                let detail = "a page that goes by the URI of another server's cannot be subscribed to here";
                return Err(Fault::peer(Code::InvalidParams, detail));
            }
            let uri = target.own.clone().or_else(|| json::unquote(uri?.of(text)));
            let uri = uri.ok_or_else(|| Fault::peer(Code::InvalidParams, "a `uri` is needed"))?;
            if self.is_settled_here(key, upstream, method, &uri)? {
                return Ok(Served::Now(Body::Owned("{}".to_owned())));
            }
            about = Some(uri.into());
        }
        let token = match meta {
            Some(meta) => json::member(text, meta, "progressToken")?
                .filter(|span| is_token(span.of(text)) && span.of(text).len() <= self.fx.limits.id_bytes_max),
            None => None,
        };
        let wanted =
            if method == Method::ToolsCall { self.task_for(upstream, &target, text, name) } else { None };
        let id = envelope.id.map_or(b"".as_slice(), |span| span.of(text));
        let origin = ClientOrigin {
            session: key,
            stream: number,
            id: Raw::new(id),
            token: token.map(|span| Raw::new(span.of(text))),
        };
        // No client was offered tasks, so a server that knows them must not take the wish up (DL-14).
        let at = params.start.saturating_add(1);
        let task = match (task, &wanted) {
            (Some(span), Some(_)) => Some((span, b"{}".as_slice())),
            (None, Some(_)) => Some((Span { start: at, end: at }, b"\"task\":{},".as_slice())),
            (Some(_), None) => {
                json::scan::member_with_comma(text, params, "task").map(|span| (span, b"".as_slice()))
            }
            (None, None) => None,
        };
        let rename = target.rename.as_ref().map(|(span, name)| (*span, name.as_bytes()));
        let streamable = self.down.session(key).is_some_and(|s| s.transport == Transport::Streamable);
        let slow_ms = streamable.then_some(self.fx.limits.sse_after_ms);
        let request = Forwarded { text, envelope, token, rename, task, slow_ms };
        let purpose = Purpose { uri: about, task: wanted };
        let call = self.servers().call(origin, upstream, method, &request, purpose)?;
        if let Some(session) = self.down.session(key) {
            session.calls.push(call);
        }
        Ok(Served::Later)
    }

    /// `logging/setLevel`: unknown levels are refused (DL-18).
    fn set_session_level(&mut self, key: Key, envelope: &Envelope, text: &[u8]) -> Result<Served, Fault> {
        let index = self.down.session(key).map(|session| session.view).unwrap_or_default();
        if !self.offers(index, |peer| peer.logging) {
            return Err(Fault::peer(Code::MethodNotFound, "the server has no log messages"));
        }
        let level = envelope.params.map(|params| json::member(text, params, "level")).transpose()?.flatten();
        let level = level.and_then(|span| LogLevel::from_name(&json::unquote(span.of(text))?));
        let level = level.ok_or_else(|| Fault::peer(Code::InvalidParams, "there is no such log level"))?;
        self.set_level(key, level);
        Ok(Served::Now(Body::Owned("{}".to_owned())))
    }

    /// A notification or a response of a client.
    pub(super) fn on_client_note(&mut self, key: Key, envelope: &Envelope, text: &[u8]) {
        if envelope.kind != Kind::Notification {
            return self.on_client_answer(key, envelope, text);
        }
        let method = Method::from_name(&envelope.method_name(text));
        if method == Method::Cancelled
            && let Some(params) = envelope.params
        {
            self.on_client_cancelled(key, params, text);
        } else if method == Method::Initialized {
            if let Some(session) = self.down.session(key) {
                session.ready = true;
            }
            self.changed.push_back(key);
        } else if method == Method::RootsChanged {
            self.on_roots_changed(key);
        } else if method == Method::Progress {
            self.on_client_progress(key, envelope, text);
        } else if method == Method::Other {
            self.on_client_foreign_note(key, envelope, text);
        }
    }

    /// The raw id of what is meant as a request, also if it is not fit to be served; `null` if there is none to read.
    pub(super) fn id_of_request<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let id = Salvage::id_of_request(text).map(|span| span.of(text));
        id.filter(|id| id.len() <= self.fx.limits.id_bytes_max).unwrap_or(NO_ID)
    }

    pub(super) fn parse(&self, text: &[u8]) -> Result<Envelope, Fault> {
        let envelope = Envelope::parse(text, self.fx.limits.json_depth_max)?;
        if envelope.id.is_some_and(|span| span.of(text).len() > self.fx.limits.id_bytes_max) {
            return Err(Fault::peer(Code::InvalidRequest, "the `id` is too long"));
        }
        if envelope.versioned {
            Ok(envelope)
        } else {
            Err(Fault::peer(Code::InvalidRequest, "`jsonrpc` must be \"2.0\""))
        }
    }
}

fn is_array(text: &[u8]) -> bool {
    text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// Progress tokens are strings or integers.
fn is_token(raw: &[u8]) -> bool {
    matches!(raw.first(), Some(b'"' | b'-' | b'0'..=b'9'))
}
