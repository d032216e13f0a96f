//! What the head of a request alone says: may it in, and what does it speak.
//!
//! Checks come in this order, each before any of the body is read: host, path, origin, then, by those who know of
//! credentials, who it is ([`ClientEvent::Entry`]); then method, content coding, media type.

use super::Clients;
use super::accept::is_json;
use super::conn::{Admission, ClientConn, Entry};
use super::event::{ClientEvent, Exchange};
use super::reading::Step;
use super::transports::spoken;
use crate::digest::Hash;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::http::Reply;
use crate::http::{CONTINUE, Method, RequestHead};
use crate::id::{ConnId, ViewId};
use crate::json::{Pieces, Raw, Salvage};
use crate::jsonrpc::NO_ID;
use crate::limits::Limits;
use crate::policy::Principal;
use crate::route::Endpoint;

/// A request that is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// With a JSON-RPC error, and a header field that the answer needs.
    Fault { fault: Fault, header: Option<(&'static str, &'static str)> },
    /// In the words of the authorization server.
    Reply(Box<Reply>),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let header = match fault.code == Code::BadContentCoding {
            true => Some(NO_CODING),
            false => fault.code.is_temporary().then_some(RETRY_AFTER),
        };
        Self::Fault { fault, header }
    }
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

/// What a refused content coding is told (RFC 9110 §15.5.16).
const NO_CODING: (&str, &str) = ("accept-encoding", "identity");

/// What comes with a fault that passes (RFC 9110 §10.2.3), in seconds.
pub(super) const RETRY_AFTER: (&str, &str) = ("retry-after", "2");

/// Answer to a preflight request of a browser (Fetch standard, CORS protocol).
const PREFLIGHT: [(&str, &str); 3] = [
    ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS"),
    (
        "access-control-allow-headers",
        "Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name",
    ),
    ("access-control-max-age", "86400"),
];

impl Clients {
    /// A head is complete: others say who it is, unless it is refused at once.
    pub(super) fn on_head(&mut self, fx: &mut Effects, mut client: Box<ClientConn>) -> Step<Box<ClientConn>> {
        let head = client.http.head();
        let found = self.gate.check_host(head.host()).map(|()| self.routes.find(head.path()));
        match found {
            Ok(None) => return Step::Break(ClientEvent::Unrouted { exchange: Exchange(client) }),
            Ok(Some(route)) => match self.allow_origin(&mut client) {
                Ok(()) => return Step::Break(ClientEvent::Entry { exchange: Exchange(client), route }),
                Err(fault) => refuse(fx, &mut client, &fault.into()),
            },
            Err(fault) => refuse(fx, &mut client, &fault.into()),
        }
        Step::Continue(client)
    }

    /// Checks the origin of a request, and lets a page of it read the answer.
    pub(super) fn allow_origin(&self, client: &mut ClientConn) -> Result<(), Fault> {
        let head = client.http.head();
        let origin = head.credential().and_then(|_| head.origin())?;
        self.gate.check_origin(origin)?;
        client.cors = origin.map(Into::into);
        Ok(())
    }

    /// The same for a request that leads to no server.
    pub(crate) fn check_origin(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        self.allow_origin(&mut exchange.0)
    }

    /// Answers a browser that asks what it may send.
    pub(crate) fn answer_preflight(&mut self, fx: &mut Effects, mut exchange: Exchange) {
        exchange.0.respond(fx, 204, &PREFLIGHT, &Pieces::of(&[]));
        self.give_back(exchange.0);
    }

    /// It is known who sends a request for a server: what is left to check of its head, then its body is read.
    /// `login` is the token that they logged in with.
    pub(crate) fn admit(
        &mut self,
        fx: &mut Effects,
        mut exchange: Exchange,
        endpoint: Endpoint,
        (view, principal): (ViewId, Principal),
        login: Option<Hash>,
    ) {
        let client = &mut exchange.0;
        client.login = login;
        let endpoint = spoken(self.serve, endpoint, client.http.head());
        match check_post(client, endpoint) {
            Ok(()) => admitted(fx, client, Admission::Mcp(Entry { view, endpoint, principal })),
            Err(refusal) => refuse(fx, client, &refusal),
        }
        self.give_back(exchange.0);
    }

    /// A request is one for the authorization server; its body may have so many bytes.
    ///
    /// # Errors
    /// It says already that it has more, for which it is to be refused.
    pub(crate) fn admit_oauth(
        &mut self,
        fx: &mut Effects,
        mut exchange: Exchange,
        body_max: usize,
    ) -> Result<(), (Exchange, Fault)> {
        if let Err(fault) = exchange.0.http.limit_body(body_max) {
            return Err((exchange, fault));
        }
        admitted(fx, &mut exchange.0, Admission::OAuth);
        self.give_back(exchange.0);
        Ok(())
    }

    /// Refuses a request.
    pub(crate) fn refuse(&mut self, fx: &mut Effects, mut exchange: Exchange, refusal: impl Into<Refusal>) {
        refuse(fx, &mut exchange.0, &refusal.into());
        self.give_back(exchange.0);
    }

    /// Answers a request with a whole response.
    pub(crate) fn respond(
        &mut self,
        fx: &mut Effects,
        mut exchange: Exchange,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        exchange.0.respond(fx, status, headers, &Pieces::of(&[body]));
        self.give_back(exchange.0);
    }

    /// The authorization server answers later.
    pub(crate) fn await_reply(&mut self, mut exchange: Exchange) {
        exchange.0.decide();
        self.give_back(exchange.0);
    }

    /// The answer of the authorization server. Nothing happens when who asked is gone.
    pub(crate) fn reply(&mut self, fx: &mut Effects, conn: ConnId, reply: &Reply) {
        let Some(mut client) = self.conns.remove(&conn) else { return };
        client.answer_reply(fx, reply);
        self.put(fx, client);
        self.ready.push_back(conn);
    }

    /// Begins the answer to the doctor: `seen`, then so many parts, a second apart.
    pub(crate) fn begin_probe(&mut self, fx: &mut Effects, mut exchange: Exchange, parts: u32, seen: &str) {
        exchange.0.begin_probe(fx, parts, seen);
        self.give_back(exchange.0);
    }
}

fn admitted(fx: &mut Effects, client: &mut ClientConn, admission: Admission) {
    client.admitted = Some(admission);
    if client.http.wants_continue() {
        fx.send(client.conn, CONTINUE.len(), |out| out.extend_from_slice(CONTINUE));
    }
}

/// Refuses a request: under its id, if it came so far that it has one to read.
pub(super) fn refuse(fx: &mut Effects, client: &mut ClientConn, refusal: &Refusal) {
    match refusal {
        Refusal::Fault { fault, header } => {
            let id = Raw::new(id_of_request(&fx.limits, client.http.body()));
            client.answer_fault(fx, fault, id.as_bytes(), header.as_slice());
        }
        Refusal::Reply(reply) => client.answer_reply(fx, reply),
    }
}

/// The raw id of what is meant as a request, also if it is not fit to be served; `null` if there is none to read.
pub(super) fn id_of_request<'a>(limits: &Limits, text: &'a [u8]) -> &'a [u8] {
    let id = Salvage::id_of_request(text).map(|span| span.of(text));
    id.filter(|id| id.len() <= limits.id_bytes_max).unwrap_or(NO_ID)
}

fn check_post(client: &ClientConn, endpoint: Endpoint) -> Result<(), Refusal> {
    let head = client.http.head();
    check_method(endpoint, head.method())?;
    if client.http.wants_continue() {
        check_coding(head)?;
    }
    // What is said in two ways, or packed, is refused once the request can be named.
    let is_json = head.content_type().map_or(true, is_json);
    if head.method() == Method::Post && !is_json && !head.is_coded() {
        return Err(Fault::peer(Code::BadMediaType, "the content-type must be application/json").into());
    }
    Ok(())
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

/// What a request says of its session, each said once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    /// `Mcp-Session-Id`.
    pub(super) session: Option<&'a str>,
    /// `MCP-Protocol-Version`.
    pub(super) revision: Option<&'a str>,
}

impl<'a> Named<'a> {
    /// Reads the fields that all endpoints of MCP share: those that have one value, and the coding of a body.
    ///
    /// # Errors
    /// [`Code::BadHead`] for a field that is there twice, [`Code::BadContentCoding`].
    pub(super) fn of(head: &'a RequestHead) -> Result<Self, Fault> {
        let named =
            Self { session: head.single("mcp-session-id")?, revision: head.single("mcp-protocol-version")? };
        head.content_type()?;
        check_coding(head)?;
        Ok(named)
    }
}
