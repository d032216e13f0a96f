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

use super::BridgeMut;
use super::targets::Subject;
use crate::clients::{Message, Served, Transport};
use crate::fault::{Code, Fault};
use crate::id::{Key, Requester};
use crate::json::{self, Raw, Span};
use crate::mcp::{ListKind, LogLevel, Method};
use crate::servers::calls::ClientOrigin;
use crate::servers::{Forwarded, Purpose};

impl BridgeMut<'_> {
    /// A request of a client.
    pub(super) fn on_request(&mut self, message: Message) {
        let name = message.envelope().method_name(message.text());
        let is_initialize = name == "initialize";
        if is_initialize && message.is_opening() {
            return self.on_initialize(message);
        }
        let session = message.session();
        let served = match is_initialize {
            true if message.is_in_batch() => {
                Served::Refused(Fault::peer(Code::InvalidRequest, "initialize cannot be part of a batch"))
            }
            true => self.on_event_initialize(&message),
            false => self.serve(&message, &name).unwrap_or_else(Served::Refused),
        };
        self.clients.serve(self.fx, message, served);
        // A question may have waited for a stream.
        if self.sessions.get(session).is_some_and(|client| !client.questions.is_empty()) {
            self.changed.push_back(session);
        }
    }

    /// Serves one request of a session.
    fn serve(&mut self, message: &Message, name: &str) -> Result<Served, Fault> {
        let method = self.method_here(message.session(), name);
        match method {
            Method::Ping => Ok(Served::nothing()),
            Method::List(kind) => self.list(message, kind),
            Method::SetLevel => self.set_session_level(message),
            Method::ToolsCall
            | Method::PromptsGet
            | Method::ResourcesRead
            | Method::Complete
            | Method::Subscribe
            | Method::Unsubscribe
            | Method::SkillsGet
            | Method::Other => self.forward(message, method),
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
        }
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
    fn forward(&mut self, message: &Message, method: Method) -> Result<Served, Fault> {
        let Requester { session: key, stream } = message.requester();
        let (envelope, text) = (message.envelope(), message.text());
        let Some(session) = self.sessions.get_mut(key) else { return Ok(Served::Later) };
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
            true => self.connection_for_call(key, target.server)?,
            false => self.connection(key, target.server)?,
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
            if self.is_answered_here(key, upstream, method, &uri)? {
                return Ok(Served::nothing());
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
        let origin = ClientOrigin {
            session: key,
            stream,
            id: Raw::new(message.id()),
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
        let streamable = self.clients.transport(key) == Some(Transport::Streamable);
        let slow_ms = streamable.then_some(self.fx.limits.sse_after_ms);
        let request = Forwarded { text, envelope, token, rename, task, slow_ms };
        let purpose = Purpose { uri: about, task: wanted };
        let call = self.servers().call(origin, upstream, method, &request, purpose)?;
        if let Some(session) = self.sessions.get_mut(key) {
            session.calls.push(call);
        }
        Ok(Served::Later)
    }

    /// `logging/setLevel`: unknown levels are refused (DL-18).
    fn set_session_level(&mut self, message: &Message) -> Result<Served, Fault> {
        let (key, envelope, text) = (message.session(), message.envelope(), message.text());
        let view = self.client(key)?.view;
        if !self.offers(view, |peer| peer.logging) {
            return Err(Fault::peer(Code::MethodNotFound, "the server has no log messages"));
        }
        let level = envelope.params.map(|params| json::member(text, params, "level")).transpose()?.flatten();
        let level = level.and_then(|span| LogLevel::from_name(&json::unquote(span.of(text))?));
        let level = level.ok_or_else(|| Fault::peer(Code::InvalidParams, "there is no such log level"))?;
        self.set_level(key, level);
        Ok(Served::nothing())
    }
}

/// Progress tokens are strings or integers.
fn is_token(raw: &[u8]) -> bool {
    matches!(raw.first(), Some(b'"' | b'-' | b'0'..=b'9'))
}
