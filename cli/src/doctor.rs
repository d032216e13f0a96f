//! `oauth doctor`: walks the way of a client to its login page, and says in plain words where it gets stuck.
//!
//! ```text
//! address → initialize without a token → challenge → metadata of the server
//!   → metadata of the authorization server → further well-known addresses → preflights
//!   → registration → login page → errors of the token endpoint → what stands in front
//! ```
//!
//! Invariants: the judgement (a module each: answers in, findings out) knows no network, the walk here knows no
//! judgement; no credential is sent and no form is filled in; what is registered is one and the same public client each
//! time; a query is never printed. The walk ends at the first failure that leaves the next step without sense.
//! Deliberately absent: reading the configuration (what counts is what comes out at the public address), and the
//! login itself.

use crate::load::extra_roots;
use address::{as_resource, candidates, on_origin, well_known, without_slash};
use finding::{Finding, Grade, Report};
use front::Front;
use mcp_proxy_core::url::Url;
use mcp_proxy_os::Response;
use metadata::{Endpoints, Expected};
use net::{Net, answer};
use std::io::Write;
use std::process::ExitCode;

mod address;
mod challenge;
mod cors;
mod finding;
mod front;
mod html;
mod mend;
mod metadata;
mod net;
mod page;
mod probe;
mod registration;
mod token;

/// Examines the address that a user has typed into a client, or that of a server below it. Fails when a client would.
/// `long` takes 20 s more to see whether answers that take long arrive.
pub(crate) fn run(url: &str, insecure: bool, long: bool, server: Option<&str>) -> ExitCode {
    let below = server.map(|server| format!("{}/{server}/mcp", url.trim_end_matches('/')));
    let url = below.as_deref().unwrap_or(url);
    let mut out = std::io::stdout().lock();
    let passed = match extra_roots() {
        Ok(extra_roots) => examine(url, &Net { insecure, extra_roots }, long, &mut out),
        Err(reason) => {
            let mut report = Report::new(&mut out);
            report.add(&Finding::fail(reason, "Correct the variable SSL_CERT_FILE or unset it."));
            report.verdict(false)
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Walks and writes the report. True when nothing failed.
fn examine(url: &str, net: &Net, long: bool, out: &mut dyn Write) -> bool {
    let mut report = Report::new(out);
    let complete = Walk { net, long, report: &mut report }.all(url).is_some();
    report.verdict(complete)
}

/// The way of one client.
struct Walk<'a, 'r> {
    net: &'a Net,
    long: bool,
    report: &'a mut Report<'r>,
}

impl Walk<'_, '_> {
    /// `None` when it ended early.
    fn all(&mut self, typed: &str) -> Option<()> {
        let typed = self.report.take(address::address(typed))?;
        let Start { url, place, front } = self.start(&typed)?;
        let issuer = self.resource_metadata(&typed, url.as_ref(), place)?;
        let endpoints = self.server_metadata(&issuer)?;
        self.further_addresses(url.as_ref().unwrap_or(&typed), &issuer);
        self.preflights(&issuer, &endpoints);
        let resource = url.as_ref().map_or_else(|| issuer.clone(), as_resource);
        let client = self.register(&endpoints);
        let signed_in = self.login_pages(&endpoints, client.as_deref(), &resource);
        self.token_errors(&endpoints, client.as_deref());
        self.report.add(&front::named(front.as_ref()));
        self.what_stands_in_front(&issuer, url.as_ref(), front.is_some());
        signed_in
    }

    /// Knocks without a token.
    fn start(&mut self, typed: &Url) -> Option<Start> {
        let result = self.knock(typed);
        let response = answer(self.report, "a request without a token", typed, result)?;
        if response.status != 404 {
            return self.challenged(typed, &response);
        }
        let mut answered = Vec::new();
        for other in candidates(typed) {
            if let Ok(response) = self.knock(&other) {
                if typed.path() == "/" && response.status == 401 {
                    self.report.add(&challenge::base_only(typed, Some(&other)));
                    return self.challenged(&other, &response);
                }
                answered.push((other, response.status));
            }
        }
        if typed.path() == "/" && !front::is_html(&response) {
            self.report.add(&challenge::base_only(typed, None));
            return Some(Start { url: None, place: None, front: Front::of(&response) });
        }
        self.report.add(&challenge::unknown_path(typed, &response, &answered));
        None
    }

    fn knock(&self, url: &Url) -> Result<Response, mcp_proxy_os::ExchangeError> {
        self.net.post(url, JSON, challenge::INITIALIZE)
    }

    fn challenged(&mut self, url: &Url, response: &Response) -> Option<Start> {
        self.report.take(challenge::refusal(response))?;
        let place = self.report.take(challenge::challenge(response, url));
        Some(Start { url: Some(url.clone()), place, front: Front::of(response) })
    }

    /// Reads about the server, where the challenge says and where clients look without one.
    fn resource_metadata(&mut self, typed: &Url, url: Option<&Url>, place: Option<Url>) -> Option<String> {
        let derived = well_known(url.unwrap_or(typed), "oauth-protected-resource")?;
        let place = place.unwrap_or_else(|| derived.clone());
        let response = answer(self.report, "the metadata of the server", &place, self.net.get(&place, JSON))?;
        let issuer = self.report.take(metadata::resource(&response, url))?;
        if place != derived {
            let what = "the metadata at the address that clients derive";
            if let Some(response) = answer(self.report, what, &derived, self.net.get(&derived, JSON)) {
                metadata::alias(&response, &derived, Expected::Document)
                    .iter()
                    .for_each(|finding| self.report.add(finding));
            }
        }
        Some(issuer)
    }

    fn server_metadata(&mut self, issuer: &str) -> Option<Endpoints> {
        let place = well_known(&Url::parse(issuer).ok()?, SERVER_METADATA)?;
        let what = "the metadata of the authorization server";
        let response = answer(self.report, what, &place, self.net.get(&place, JSON))?;
        self.report.take(metadata::server(&response, issuer))
    }

    /// All other addresses that some client tries.
    fn further_addresses(&mut self, url: &Url, issuer: &str) {
        let Ok(issuer) = Url::parse(issuer) else { return };
        let openid = "openid-configuration";
        let base = without_slash(issuer.path());
        let root = if base.is_empty() { Expected::Either } else { Expected::Document };
        let below =
            |url: &Url| on_origin(url, &format!("{}/.well-known/{openid}", without_slash(url.path())));
        let list = [
            (on_origin(&issuer, &format!("/.well-known/{SERVER_METADATA}")), root),
            (on_origin(&issuer, &format!("/.well-known/{openid}")), Expected::Either),
            (on_origin(&issuer, "/.well-known/oauth-protected-resource"), Expected::Either),
            (well_known(&issuer, openid), Expected::Either),
            (below(&issuer), Expected::Either),
            (well_known(url, SERVER_METADATA), Expected::Either),
            (below(url), Expected::Either),
            (on_origin(&issuer, "/.well-known/nonexistent-mcp-proxy-doctor"), Expected::Nothing),
        ];
        let (mut seen, mut clean): (Vec<Url>, bool) = (Vec::new(), true);
        for (place, expected) in list.into_iter().filter_map(|(place, expected)| Some((place?, expected))) {
            if seen.contains(&place) {
                continue;
            }
            let result = self.net.get(&place, JSON);
            // One that does not answer is enough to wait for.
            let Some(response) = answer(self.report, "a further address", &place, result) else { return };
            let finding = metadata::alias(&response, &place, expected);
            clean &= finding.is_none();
            finding.iter().for_each(|finding| self.report.add(finding));
            seen.push(place);
        }
        if clean {
            let what = format!("the {} further addresses that clients try answer with JSON", seen.len());
            self.report.add(&Finding::ok(what));
        }
    }

    fn preflights(&mut self, issuer: &str, endpoints: &Endpoints) {
        let metadata = Url::parse(issuer).ok().and_then(|issuer| well_known(&issuer, SERVER_METADATA));
        let list = [
            ("the metadata", metadata, "GET", "mcp-protocol-version"),
            ("the token endpoint", Some(endpoints.token.clone()), "POST", "content-type"),
        ];
        for (what, place, method, header) in list {
            let Some(place) = place else { continue };
            let result = self.net.preflight(&place, cors::ORIGIN, method, header);
            if let Some(response) = answer(self.report, what, &place, result) {
                self.report.add(&cors::preflight(what, &response, method, header));
            }
        }
    }

    /// Registers a client; the value is its id.
    fn register(&mut self, endpoints: &Endpoints) -> Option<String> {
        let Some(place) = &endpoints.register else {
            self.report.add(&registration::off(endpoints.takes_documents));
            return None;
        };
        let result = self.net.post(place, JSON, &registration::request());
        let response = answer(self.report, "registration", place, result)?;
        self.report.take(registration::registration(&response, endpoints.takes_documents))
    }

    /// Looks at the login page of the registered client, and at that of a client with a document. `None` when there is
    /// neither to be seen.
    fn login_pages(&mut self, endpoints: &Endpoints, client: Option<&str>, resource: &str) -> Option<()> {
        let mut seen = None;
        if let Some((place, response)) =
            client.and_then(|client| self.login_page(endpoints, client, resource))
        {
            let findings = page::page(&response, &place, registration::CALLBACK);
            findings.iter().for_each(|finding| self.report.add(finding));
            seen = Some(());
        }
        if endpoints.takes_documents
            && let Some((place, response)) = self.login_page(endpoints, page::CLAUDE_DOCUMENT, resource)
        {
            let finding = page::document_page(&response);
            self.report.add(&finding);
            if seen.is_none() && finding.grade == Grade::Ok {
                let findings = page::page(&response, &place, registration::CALLBACK);
                findings.iter().for_each(|finding| self.report.add(finding));
                seen = Some(());
            }
        }
        seen
    }

    fn login_page(&mut self, endpoints: &Endpoints, client: &str, resource: &str) -> Option<(Url, Response)> {
        // Nobody knows what the challenge is the hash of.
        let random: String = mcp_proxy_os::seed().ok()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let challenge = random.get(..CHALLENGE_CHARS)?;
        let state = "mcp-proxy-doctor";
        let callback = registration::CALLBACK;
        let place = page::address(&endpoints.authorize, client, callback, challenge, state, resource)?;
        let result = self.net.get(&place, "text/html,application/xhtml+xml,*/*;q=0.8");
        let response = answer(self.report, "the login page", &place, result)?;
        Some((place, response))
    }

    fn token_errors(&mut self, endpoints: &Endpoints, client: Option<&str>) {
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", "mcp-proxy-doctor-has-none")];
        let mut ask = |client: &str, judge: fn(&Response) -> Finding| {
            let body = page::form(&[refresh[0], refresh[1], ("client_id", client)]);
            let result = self.net.post(&endpoints.token, "application/x-www-form-urlencoded", &body);
            if let Some(response) = answer(self.report, "the token endpoint", &endpoints.token, result) {
                self.report.add(&judge(&response));
            }
        };
        if let Some(client) = client {
            ask(client, token::dead_grant);
        }
        ask("mcp-proxy-doctor-unknown", token::unknown_client);
    }
}

impl Walk<'_, '_> {
    /// Looks at what it does to streams, paths, header fields and large requests.
    fn what_stands_in_front(&mut self, issuer: &str, server: Option<&Url>, shows_itself: bool) {
        let Ok(issuer) = Url::parse(issuer) else { return };
        let place = |page: &str, seconds: u64| {
            let path = format!("{}{page}?seconds={seconds}", without_slash(issuer.path()));
            Url::parse(&format!("{}{path}", issuer.origin())).ok()
        };
        // The proxy itself speaks plain HTTP.
        let may_be_direct = !shows_itself && !issuer.is_secure() && address::is_loopback(&issuer);
        let seconds = if self.long { LONG_SECONDS } else { 1 };
        if let Some(url) = place(probe::PAGE, seconds) {
            let watched = self.net.watch(&url, &probe::FIELDS, seconds);
            let findings = probe::page(&watched, &url, seconds, may_be_direct);
            findings.iter().for_each(|finding| self.report.add(finding));
        }
        if let Some(url) = place(probe::ODD_PAGE, 0) {
            let watched = self.net.watch(&url, &[("Accept", "text/event-stream")], 0);
            probe::odd_page(&watched, &url).iter().for_each(|finding| self.report.add(finding));
        }
        if let Some(server) = server {
            let body = " ".repeat(probe::LONG_BODY_BYTES);
            let finding = probe::long_body(&self.net.post(server, JSON, &body));
            self.report.add(&finding);
        }
    }
}

/// What the first request has given.
struct Start {
    /// The address of a server; `None` when it is only the base.
    url: Option<Url>,
    /// Where its metadata is.
    place: Option<Url>,
    front: Option<Front>,
}

const JSON: &str = "application/json";

const SERVER_METADATA: &str = "oauth-authorization-server";

/// Longer than the limits for whole answers that fronts have by default.
const LONG_SECONDS: u64 = 20;

/// That of a SHA-256 in base64url (RFC 7636 §4.2).
const CHALLENGE_CHARS: usize = 43;

#[cfg(test)]
mod tests;
