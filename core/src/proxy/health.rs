//! Answers the questions about the engine's own health. See [`crate::health`].

use super::{Proxy, Stage};
use crate::bridge::Views;
use crate::clients::{Exchange, Refusal};
use crate::fault::{Code, Fault};
use crate::health::{LastError, Page, Report, ServerReport, Standing, Status};
use crate::http::{Method, RequestHead};
use crate::id::{ServerId, UpstreamId, ViewId};
use crate::servers::health::Trouble;
use crate::servers::{Connection, Phase, Server, Servers};
use std::collections::BTreeMap;

impl Proxy {
    /// How everything stands. Takes time in proportion to servers, sessions and calls: for those who look, not for
    /// every message.
    pub fn health(&self) -> Report {
        self.report(|_| true)
    }

    /// A request for one of the pages; answered from its head alone.
    pub(super) fn on_health(&mut self, exchange: Exchange, page: Page) {
        if page == Page::Front {
            return self.on_probe(exchange);
        }
        match self.page(exchange.head(), page) {
            Ok((status, body)) => {
                let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
                self.clients.respond(&mut self.fx, exchange, status, &headers, body.as_bytes());
            }
            Err(refusal) => self.clients.refuse(&mut self.fx, exchange, refusal),
        }
    }

    fn page(&mut self, head: &RequestHead, page: Page) -> Result<(u16, String), Refusal> {
        if !matches!(head.method(), Method::Get | Method::Head) {
            let fault = Fault::peer(Code::BadMethod, "this method is not allowed here");
            return Err(Refusal::Fault { fault, header: Some(("allow", "GET, HEAD")) });
        }
        Ok(match page {
            Page::Live | Page::Front => (200, "{\"status\":\"live\"}".to_owned()),
            Page::Ready => {
                let status = status(self.stage, self.bound.is_some(), &self.servers);
                let code = if status == Status::Ready { 200 } else { 503 };
                (code, serde_json::json!({ "status": status }).to_string())
            }
            Page::Servers => {
                let open = self.open_servers(head)?;
                let report = self.report(|server| open.contains(&server));
                (200, serde_json::to_string(&report).unwrap_or_default())
            }
        })
    }

    fn report(&self, shows: impl Fn(ServerId) -> bool) -> Report {
        let census = self.census();
        let (load, sessions) = (load(&self.servers), self.bridge.sessions_of_views());
        let report = |server| server_report(&self.servers, self.bridge.views(), server, &load, &sessions);
        let shown = self.servers.servers().filter(|server| shows(server.id()));
        Report {
            status: status(self.stage, self.bound.is_some(), &self.servers),
            version: env!("CARGO_PKG_VERSION"),
            at: self.fx.now.unix,
            connections: census.clients,
            sessions: census.sessions,
            calls_in_flight: census.calls,
            held_bytes: census.bytes,
            servers: shown.filter_map(report).collect(),
        }
    }
}

fn status(stage: Stage, listens: bool, servers: &Servers) -> Status {
    let is_up = |server: &Connection| is_up(server.health().standing().0);
    match stage {
        Stage::Draining | Stage::GivingUp | Stage::Ending | Stage::Stopped => Status::Stopping,
        Stage::Serving if !listens || !servers.shared().all(|server| server.was_tried()) => Status::Starting,
        Stage::Serving if servers.shared().any(is_up) || servers.shared().next().is_none() => Status::Ready,
        Stage::Serving => Status::Unavailable,
    }
}

/// Calls of clients that are at each connection, and that wait for it.
fn load(servers: &Servers) -> BTreeMap<UpstreamId, (usize, usize)> {
    let mut load: BTreeMap<UpstreamId, (usize, usize)> = BTreeMap::new();
    for (id, waits) in servers.calls().client_load() {
        let (in_flight, waiting) = load.entry(id).or_default();
        *(if waits { waiting } else { in_flight }) += 1;
    }
    load
}

fn server_report(
    servers: &Servers,
    views: &Views,
    server: &Server,
    load: &BTreeMap<UpstreamId, (usize, usize)>,
    sessions: &BTreeMap<ViewId, usize>,
) -> Option<ServerReport> {
    let shared = servers.get(server.shared())?;
    let others = server.others().iter().filter_map(|id| servers.get(*id));
    let all: Vec<&Connection> = std::iter::once(shared).chain(others).collect();
    let shows = |view: &ViewId| views.get(*view).is_some_and(|view| view.has(server.id()));
    let calls = || all.iter().filter_map(|one| load.get(&one.id()));
    let (state, since) = shared.health().standing();
    let trouble = all.iter().filter_map(|one| one.health().trouble()).max_by_key(|trouble| trouble.at);
    Some(ServerReport {
        name: shared.label().to_string(),
        state,
        since,
        transport: shared.transport(),
        server_name: shared.peer().name.as_deref().map(str::to_owned),
        server_version: shared.peer().version.as_deref().map(str::to_owned),
        protocol_version: shared.was_ready().then(|| shared.peer().revision.name()),
        last_error: trouble.map(last_error),
        restarts: all.iter().map(|one| one.health().restarts).sum(),
        sessions: sessions.iter().filter(|(view, _)| shows(view)).map(|(_, count)| count).sum(),
        connections: all.iter().filter(|one| one.phase() == Phase::Ready).count(),
        calls_in_flight: calls().map(|(in_flight, _)| in_flight).sum(),
        calls_waiting: calls().map(|(_, waiting)| waiting).sum(),
        late_answers: all.iter().map(|one| one.health().late_answers).sum(),
        invalid_items: shared.catalog().flawed_len(),
    })
}

/// Whether calls reach a server that stands so.
const fn is_up(standing: Standing) -> bool {
    matches!(standing, Standing::Ready | Standing::Unresponsive)
}

fn last_error(trouble: Trouble) -> LastError {
    let stderr = trouble.stderr.iter().map(|line| line.to_string()).collect();
    LastError { at: trouble.at, message: trouble.what, stderr }
}
