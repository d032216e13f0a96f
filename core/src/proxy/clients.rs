//! What a client's HTTP request is: which endpoint, may it in, which session.
//!
//! Checks come in this order, each before any of the body is read: host, origin, path, credential, method, media
//! types. Then the session decides, then the message ([`super::requests`]).

use super::logins::as_oauth_error;
use super::sessions::unknown_session;
use super::transports::spoken;
use super::{Proxy, Stage};
use crate::downstream::client::{Admission, Admitted, Client, NO_ID, Task};
use crate::downstream::session::Transport;
use crate::downstream::stream::Stream;
use crate::fault::{Code, Fault};
use crate::health::Page;
use crate::http::{CONTINUE, Method, RequestHead, ServerEvent};
use crate::id::{ConnId, UpstreamId};
use crate::json::{Pieces, Raw};
use crate::log::Level;
use crate::oauth::Reply;
use crate::route::{Endpoint, Place, Route};
use crate::servers::Connection;
use crate::sse::encode_event;
use std::net::SocketAddr;

/// A request that is refused.
pub(super) enum Refusal {
    /// With a JSON-RPC error, and a header field that the answer needs.
    Fault { fault: Fault, header: Option<(&'static str, &'static str)> },
    /// In the words of the authorization server.
    Reply(Box<Reply>),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let later = matches!(fault.code, Code::NotReady | Code::Overloaded);
        let header = if fault.code == Code::BadContentCoding {
            Some(NO_CODING)
        } else {
            later.then_some(("retry-after", "2"))
        };
        Self::Fault { fault, header }
    }
}

/// What a refused content coding is told (RFC 9110 §15.5.16).
const NO_CODING: (&str, &str) = ("accept-encoding", "identity");

/// Answer to a preflight request of a browser (Fetch standard, CORS protocol).
const PREFLIGHT: [(&str, &str); 3] = [
    ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS"),
    (
        "access-control-allow-headers",
        "Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name",
    ),
    ("access-control-max-age", "86400"),
];

impl Proxy {
    pub(super) fn on_accepted(&mut self, conn: ConnId, peer: SocketAddr) {
        let admitted = self.admits_address(peer.ip());
        if !admitted {
            self.fx.log(Level::Debug, None, format!("{} has too many connections", peer.ip()));
            self.fx.open(conn);
            return self.fx.close(conn);
        }
        self.down.accept(&mut self.fx, conn, peer);
        if self.stage != Stage::Serving {
            return self.drop_client(conn);
        }
        self.make_room(conn);
    }

    pub(super) fn on_client_bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(mut client) = self.down.take(conn) else { return };
        client.on_bytes(&mut self.fx);
        client.http.push(bytes);
        self.work(client);
    }

    pub(super) fn on_client_eof(&mut self, conn: ConnId) {
        let Some(mut client) = self.down.take(conn) else { return };
        client.http.close_read();
        let over = match client.task {
            // A client that only half-closes may still read its answer, but nobody reads a stream that way.
            Task::Streaming { .. } | Task::Probing { .. } => true,
            Task::Closing => self.fx.queued(conn) == 0,
            Task::Reading | Task::Deciding | Task::Waiting { .. } => false,
        };
        self.work(client);
        if over {
            self.drop_client(conn);
        }
    }

    /// Looks at what a connection has buffered.
    pub(super) fn look_again(&mut self, conn: ConnId) {
        if let Some(client) = self.down.take(conn) {
            self.work(client);
        }
    }

    /// Works on the requests that a client sent, one at a time.
    fn work(&mut self, mut client: Box<Client>) {
        let conn = client.conn;
        let mut gone = false;
        while client.task == Task::Reading && self.fx.queued(conn) <= self.fx.limits.send_high_bytes {
            match client.http.next() {
                Ok(Some(ServerEvent::Head)) => self.on_head(&mut client),
                Ok(Some(ServerEvent::Request)) => self.on_request(&mut client),
                Ok(Some(ServerEvent::Eof)) if self.fx.queued(conn) > 0 => client.close_in_order(&mut self.fx),
                Ok(Some(ServerEvent::Eof)) => {
                    gone = true;
                    break;
                }
                Ok(None) => break,
                Err(fault) => {
                    self.fx.log(Level::Debug, None, format!("bad request from {}: {fault}", client.peer()));
                    match client.admitted {
                        Some(Admission::OAuth) => client.answer_reply(&mut self.fx, &as_oauth_error(&fault)),
                        Some(Admission::Mcp(_)) | None => {
                            client.answer_fault(&mut self.fx, &fault, NO_ID, &[]);
                        }
                    }
                }
            }
        }
        self.refuse_growing(&mut client);
        let reading = client.http.wants_read() && self.fx.queued(conn) <= self.fx.limits.send_high_bytes;
        self.fx.set_reading(conn, reading || client.task == Task::Closing);
        self.down.put(&self.fx, client);
        if gone {
            self.drop_client(conn);
        }
    }

    pub(super) fn on_client_timer(&mut self, conn: ConnId) {
        let Some(client) = self.down.client(conn) else { return };
        if client.on_timer(&mut self.fx) {
            return;
        }
        if client.task == Task::Reading && client.http.is_mid_request() {
            let fault = Fault::peer(Code::PeerTimeout, "the request did not arrive in time");
            client.http.abort();
            client.answer_fault(&mut self.fx, &fault, NO_ID, &[]);
        } else {
            self.drop_client(conn);
        }
    }

    /// A connection is gone, or must go.
    pub(super) fn drop_client(&mut self, conn: ConnId) {
        if let Some(session) = self.down.drop_client(&mut self.fx, conn) {
            self.end_session(session);
        }
    }

    /// A head is complete: admit the request, or refuse it.
    fn on_head(&mut self, client: &mut Client) {
        match self.admit(client) {
            Ok(Some(admitted)) => {
                client.admitted = Some(admitted);
                if client.http.wants_continue() {
                    self.fx.send(client.conn, CONTINUE.len(), |out| out.extend_from_slice(CONTINUE));
                }
            }
            Ok(None) => {}
            Err(refusal) => self.refuse(client, &refusal),
        }
    }

    /// Refuses a request: under its id, if it came so far that it has one to read.
    fn refuse(&mut self, client: &mut Client, refusal: &Refusal) {
        match refusal {
            Refusal::Fault { fault, header } => {
                let id = Raw::new(self.id_of_request(client.http.body()));
                client.answer_fault(&mut self.fx, fault, id.as_bytes(), header.as_slice());
            }
            Refusal::Reply(reply) => client.answer_reply(&mut self.fx, reply),
        }
    }

    /// Everything that can be said from the head alone. `None` is a request that this answered.
    fn admit(&mut self, client: &mut Client) -> Result<Option<Admission>, Refusal> {
        let head = client.http.head();
        self.gate.check_host(head.host())?;
        let route = self.routes.find(head.path());
        let is_oauth = route.is_none() && self.is_oauth_path(head.path());
        let said = head.credential().and_then(|_| head.origin());
        if is_oauth {
            return match said {
                Ok(_) => self.admit_oauth(client),
                Err(fault) => Err(as_oauth_error(&fault).into()),
            };
        }
        let origin = said?;
        self.gate.check_origin(origin)?;
        client.cors = origin.map(Into::into);
        let Some(route) = route else {
            if let Some(page) = Page::find(&self.config.base_path, head.path()) {
                return self.on_health(client, page).map(|()| None);
            }
            return Err(Fault::peer(Code::UnknownRoute, "there is nothing at this path").into());
        };
        self.log_request(route, head);
        if head.method() == Method::Options {
            client.respond(&mut self.fx, 204, &PREFLIGHT, &Pieces::of(&[]));
            return Ok(None);
        }
        let (view, principal) = self.enter(client, route.place)?;
        let head = client.http.head();
        let endpoint = spoken(self.config.serve, route.endpoint, head);
        check_method(endpoint, head.method())?;
        if client.http.wants_continue() {
            check_coding(head)?;
        }
        // What is said in two ways, or packed, is refused once the request can be named.
        let is_json = head.content_type().map_or(true, is_json);
        if head.method() == Method::Post && !is_json && !head.is_coded() {
            return Err(Fault::peer(Code::BadMediaType, "the content-type must be application/json").into());
        }
        Ok(Some(Admission::Mcp(Admitted { view, endpoint, principal })))
    }

    /// SEED-028: server, method and path of each request.
    fn log_request(&mut self, route: Route, head: &RequestHead) {
        if !self.fx.logs(Level::Info) {
            return;
        }
        let server = match route.place {
            Place::Server(index) => self.servers.get(UpstreamId(index as u64)),
            Place::Merged => None,
        };
        let on = |server: &Connection| server.config().options.log_enabled;
        if !server.map_or_else(|| self.servers.iter().any(on), on) {
            return;
        }
        let label = server.map(|server| server.label().clone());
        // Not the path of the request, which may hold a secret in any spelling.
        let suffix = match route.endpoint {
            Endpoint::Mcp => "mcp",
            Endpoint::Sse => "sse",
            Endpoint::Message => "message",
        };
        let (base, slash) = (&self.config.base_path, if label.is_some() { "/" } else { "" });
        let shown = label.as_deref().unwrap_or_default();
        let line = format!("{} {base}/{shown}{slash}{suffix}", head.method_str());
        self.fx.log(Level::Info, label.as_ref(), line);
    }

    /// A request is complete.
    fn on_request(&mut self, client: &mut Client) {
        let entry = match client.admitted {
            Some(Admission::Mcp(entry)) => entry,
            Some(Admission::OAuth) => return self.on_oauth_request(client),
            None => return,
        };
        if let Err(refusal) = self.on_mcp_request(client, entry) {
            self.refuse(client, &refusal);
        }
    }

    fn on_mcp_request(&mut self, client: &mut Client, entry: Admitted) -> Result<(), Refusal> {
        check_fields(client.http.head())?;
        match (entry.endpoint, client.http.head().method()) {
            (Endpoint::Sse, _) => self.open_event_session(client, entry),
            (Endpoint::Message, _) => self.on_event_session_post(client, entry),
            (Endpoint::Mcp, Method::Post) => self.on_post(client, entry),
            (Endpoint::Mcp, Method::Delete) => self.on_delete(client, entry),
            (Endpoint::Mcp, _) => self.on_get(client, entry),
        }
    }

    fn on_delete(&mut self, client: &mut Client, entry: Admitted) -> Result<(), Refusal> {
        let key = self.named_session(client.http.head(), entry)?;
        self.end_session(key);
        client.respond(&mut self.fx, 204, &[], &Pieces::of(&[]));
        Ok(())
    }

    /// GET on the Streamable HTTP endpoint: the standalone stream, or a broken stream again.
    fn on_get(&mut self, client: &mut Client, entry: Admitted) -> Result<(), Refusal> {
        let head = client.http.head();
        check_takes_events(head)?;
        let key = self.named_session(head, entry)?;
        if let Some(id) = head.single("last-event-id")?.map(str::to_owned) {
            let Some(()) = self.down.resume(&mut self.fx, client, key, &id) else {
                return Err(Fault::peer(Code::BadEventId, "this event is not known (any more)").into());
            };
            self.changed.push_back(key);
            return Ok(());
        }
        let stream = Stream::standalone(&self.fx, true);
        let attached = self.down.attach(&mut self.fx, client, key, stream, true);
        if attached.is_none() {
            return Err(Fault::local(Code::Overloaded, "the session has too many streams").into());
        }
        self.changed.push_back(key);
        Ok(())
    }

    /// GET of HTTP+SSE: the connection becomes a session.
    fn open_event_session(&mut self, client: &mut Client, entry: Admitted) -> Result<(), Refusal> {
        check_takes_events(client.http.head())?;
        self.readiness(entry)?;
        let key = self.new_session(Transport::Sse, entry)?;
        let message = self.routes.message_path(client.http.head().path());
        let stream = Stream::standalone(&self.fx, false);
        self.down.attach(&mut self.fx, client, key, stream, true);
        let token = self.down.session(key).map(|session| session.token.clone()).unwrap_or_default();
        let reference = format!("{message}?sessionId={token}");
        client.write_stream(&mut self.fx, reference.len().saturating_add(32), |out| {
            encode_event(out, None, Some("endpoint"), None, &[reference.as_bytes()]);
        });
        Ok(())
    }

    /// A message for a session of HTTP+SSE: acknowledged at once, answered on its stream.
    fn on_event_session_post(&mut self, client: &mut Client, entry: Admitted) -> Result<(), Refusal> {
        let token = client
            .http
            .head()
            .query()
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("sessionId=")));
        let key = token.and_then(|token| self.down.session_by_token(token));
        let key = key.filter(|key| self.owns(*key, entry, Transport::Sse));
        let Some(key) = key else { return Err(unknown_session().into()) };
        self.touch(key);
        self.on_event_message(key, client.http.body())?;
        client.respond(&mut self.fx, 202, &[], &Pieces::of(&[]));
        Ok(())
    }
}

fn check_method(endpoint: Endpoint, method: Method) -> Result<(), Refusal> {
    let (allowed, header): (&[Method], _) = match endpoint {
        Endpoint::Mcp => (&[Method::Get, Method::Post, Method::Delete], "GET, POST, DELETE, OPTIONS"),
        // Where both transports are served, what is no GET is never HTTP+SSE.
        Endpoint::Sse => (&[Method::Get], "GET, OPTIONS"),
        Endpoint::Message => (&[Method::Post], "POST, OPTIONS"),
    };
    if allowed.contains(&method) {
        return Ok(());
    }
    let fault = Fault::peer(Code::BadMethod, "this method is not allowed here");
    Err(Refusal::Fault { fault, header: Some(("allow", header)) })
}

/// A packed body is not unpacked: few bytes could become many (RFC 9110 §15.5.16).
fn check_coding(head: &RequestHead) -> Result<(), Fault> {
    if head.is_coded() {
        let detail = "a packed body is not taken: send it without content-encoding";
        return Err(Fault::peer(Code::BadContentCoding, detail));
    }
    Ok(())
}

/// A stream that its client would not read is refused at once: clients that find out what a server speaks ask so, and
/// would wait for the end of it.
fn check_takes_events(head: &RequestHead) -> Result<(), Fault> {
    if accepts(head, "text/event-stream") {
        return Ok(());
    }
    Err(Fault::peer(Code::NotAcceptable, "a GET must accept text/event-stream"))
}

/// The fields that all endpoints of MCP share: those that have one value, and the coding of a body.
fn check_fields(head: &RequestHead) -> Result<(), Fault> {
    head.single("mcp-session-id")?;
    head.single("mcp-protocol-version")?;
    head.content_type()?;
    check_coding(head)
}

fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|value| media_type(value).eq_ignore_ascii_case("application/json"))
}

fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// Whether the client takes this media type (RFC 9110 §12.5.1): the most specific range that covers it decides, and
/// a weight of 0 refuses. No `Accept` accepts everything.
pub(super) fn accepts(head: &RequestHead, wanted: &str) -> bool {
    let kind = wanted.split('/').next().unwrap_or_default();
    let mut said = false;
    let mut best = (0, false);
    for (_, value) in head.headers().filter(|(name, _)| name.eq_ignore_ascii_case("accept")) {
        for item in value.split(',') {
            let range = media_type(item);
            said |= !range.is_empty();
            let specificity = match range.strip_suffix("/*") {
                Some("*") => 1,
                Some(prefix) if prefix.eq_ignore_ascii_case(kind) => 2,
                None if range.eq_ignore_ascii_case(wanted) => 3,
                Some(_) | None => 0,
            };
            best = best.max((specificity, specificity > 0 && !is_refused(item)));
        }
    }
    best.1 || !said
}

/// Whether `Accept` names this media type itself, and does not refuse it.
pub(super) fn names(head: &RequestHead, wanted: &str) -> bool {
    let fields = head.headers().filter(|(name, _)| name.eq_ignore_ascii_case("accept"));
    let mut items = fields.flat_map(|(_, value)| value.split(','));
    items.any(|item| media_type(item).eq_ignore_ascii_case(wanted) && !is_refused(item))
}

/// Whether an element of `Accept` has the weight 0.
fn is_refused(item: &str) -> bool {
    let weight = item.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("q="));
    weight.is_some_and(|weight| weight.trim().parse::<f32>() == Ok(0.0))
}
