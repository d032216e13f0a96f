//! What a request leads to once it is known who it is from: views, and pages about the proxy.

use super::Proxy;
use crate::access::Who;
use crate::clients::{Exchange, Refusal};
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::health::Page;
use crate::http::{Method, Reply, RequestHead};
use crate::id::{ServerId, ViewId};
use crate::log::Level;
use crate::oauth;
use crate::policy::Principal;
use crate::route::{Endpoint, Place, Route};
use crate::servers::{Server, Servers};

impl Proxy {
    /// The head of a request at an endpoint of MCP: may it in, and to what?
    pub(super) fn on_entry(&mut self, exchange: Exchange, route: Route) {
        log_request(&mut self.fx, &self.servers, &self.config.base_path, route, exchange.head());
        if exchange.head().method() == Method::Options {
            return self.clients.answer_preflight(&mut self.fx, exchange);
        }
        match self.enter(exchange.head(), route.place) {
            Ok((seen, login)) => {
                self.clients.admit(&mut self.fx, exchange, route.endpoint, seen, login);
            }
            Err(refusal) => self.clients.refuse(&mut self.fx, exchange, refusal),
        }
    }

    /// What who sends this sees, who it is, and the token that they logged in with.
    fn enter(
        &mut self,
        head: &RequestHead,
        place: Place,
    ) -> Result<((ViewId, Principal), Option<oauth::Hash>), Refusal> {
        let Self { access, bridge, servers, fx, .. } = self;
        let who = access.identify(fx, head, place)?;
        let view = match (place, &who) {
            (Place::Server(id), _) => bridge.views().single(id)?,
            (Place::Merged, Who::Known(principal)) => bridge.views().merged_of(*principal)?,
            (Place::Merged, Who::LoggedIn(_)) => {
                bridge.merged_view(|server| access.opens(&who, server), servers, fx.limits.views_max)?
            }
        };
        Ok(((view, who.principal()), who.token()))
    }

    /// The servers that are open to who asks for all. Without a credential a web page under a
    /// name that was pointed here could be asking, and its browser would not say so.
    pub(super) fn open_servers(&mut self, head: &RequestHead) -> Result<Vec<ServerId>, Refusal> {
        let who = self.access.identify(&mut self.fx, head, Place::Merged)?;
        if matches!(who, Who::Known(Principal::Anonymous)) {
            self.clients.gate().check_reader(head.host())?;
        }
        let ids = self.servers.servers().map(Server::id);
        Ok(ids.filter(|server| self.access.opens(&who, *server)).collect())
    }

    /// The head of a request that leads to no server: for the authorization server, or for a page about the proxy.
    pub(super) fn on_unrouted(&mut self, mut exchange: Exchange) {
        let Self { access, clients, fx, .. } = self;
        if access.is_oauth_path(exchange.head().path()) {
            return match access.admit_oauth(fx, &exchange) {
                Ok(body_max) => {
                    if let Err((exchange, fault)) = clients.admit_oauth(fx, exchange, body_max) {
                        clients.refuse(fx, exchange, Reply::of_fault(&fault));
                    }
                }
                Err(refusal) => clients.refuse(fx, exchange, refusal),
            };
        }
        if let Err(fault) = clients.check_origin(&mut exchange) {
            return clients.refuse(fx, exchange, fault);
        }
        match Page::find(&self.config.base_path, exchange.head().path()) {
            Some(page) => self.on_health(exchange, page),
            None => {
                let fault = Fault::peer(Code::UnknownRoute, "there is nothing at this path");
                clients.refuse(fx, exchange, fault);
            }
        }
    }
}

/// SEED-028: server, method and path of each request.
fn log_request(fx: &mut Effects, servers: &Servers, base: &str, route: Route, head: &RequestHead) {
    if !fx.logs(Level::Info) {
        return;
    }
    let server = match route.place {
        Place::Server(id) => servers.server(id),
        Place::Merged => None,
    };
    let on = |server: &Server| server.config().options.log_enabled;
    if !server.map_or_else(|| servers.servers().any(on), on) {
        return;
    }
    let label = server.map(|server| server.label().clone());
    // Not the path of the request, which may hold a secret in any spelling.
    let suffix = match route.endpoint {
        Endpoint::Mcp => "mcp",
        Endpoint::Sse => "sse",
        Endpoint::Message => "message",
    };
    let slash = if label.is_some() { "/" } else { "" };
    let shown = label.as_deref().unwrap_or_default();
    let line = format!("{} {base}/{shown}{slash}{suffix}", head.method_str());
    fx.log(Level::Info, label.as_ref(), line);
}
