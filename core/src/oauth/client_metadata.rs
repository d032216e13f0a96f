//! Client ID metadata documents: a client whose id is the URL of its own description (draft-ietf-oauth-client-id-metadata-document).
//!
//! ```text
//! id ─▶ URL in order? ─▶ host admitted? ─▶ fresh copy ─────────────────────────▶ client
//!          │ no             │ no             │ none: fetch ─▶ good ─▶ cache ───▶ client
//!          └──── error page, nothing fetched │             └▶ bad ─▶ old copy ─▶ client, or error page
//! ```
//! The list of hosts is what keeps the promise that only known clients come: there is no registration whose address could
//! be looked at. Fetching is an effect; whoever carries it out looks only at addresses of the whole world (see
//! [`crate::net::is_global`]), dials the address that was looked at, and follows no redirect (T-24, T-25).
//!
//! Deliberately absent: clients that authenticate with keys; each is treated as public. Redirect targets are not checked
//! here but where they are used.

use super::Effect;
use super::Server;
use super::authorize::Visit;
use super::client::Lookup;
use super::object::read_object;
use super::registration::clean_name;
use super::store::{Document, State, unix};
use crate::config::DocumentHosts;
use crate::limits::OAUTH_JSON_DEPTH_MAX;
use crate::log::Level;
use crate::time::Mono;
use crate::url::Url;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Longest document.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024;
/// Time for the whole fetch.
pub const FETCH_MS: u64 = 5_000;

/// A copy is fresh at least and at most this long, whatever its server says.
const FRESH_MS_MIN: u64 = 5 * 60_000;
const FRESH_MS_MAX: u64 = 24 * 3_600_000;
/// A copy that cannot be renewed is used this long.
const STALE_SECONDS_MAX: u64 = 7 * 24 * 3600;
/// A document that could not be read is not asked for again for this long.
const FAILED_MS: u64 = 60_000;
/// Documents are not offered for this long after one could not be fetched at all: clients then register.
const NOT_OFFERED_MS: u64 = 10 * 60_000;
/// Copies and failures that are remembered.
const ENTRIES_MAX: usize = 100;
/// Visitors who wait for documents.
const WAITING_MAX: usize = 100;
/// Redirect targets that are read of a document.
const TARGETS_MAX: usize = 32;
/// An unchanged copy is written to the store again after this time, so that its age there is about right.
const REWRITE_SECONDS: u64 = 24 * 3600;

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, empty if there was none.
    pub media_type: String,
    /// `Cache-Control`, empty if there was none.
    pub cache_control: String,
    /// At most [`DOCUMENT_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// Copies, failures, and who waits.
#[derive(Debug, Default)]
pub(super) struct Documents {
    fresh: BTreeMap<String, Mono>,
    failed: BTreeMap<String, Mono>,
    waiting: BTreeMap<u64, (String, Vec<Visit>)>,
    last_job: u64,
    /// Nothing can be fetched, it seems, until then at least.
    unreachable: Option<Mono>,
}

impl Documents {
    /// Name and targets of a client, from the newest copy that is not too old, or from those that come with the program.
    pub(super) fn copy(&self, id: &str, state: &State) -> Option<(String, Vec<String>)> {
        let stored =
            state.document(id).map(|document| (document.name.clone(), document.redirect_uris.clone()));
        stored.or_else(|| {
            let pinned = PINNED.iter().find(|pinned| pinned.0 == id)?;
            Some((pinned.1.to_owned(), pinned.2.iter().map(|uri| (*uri).to_owned()).collect()))
        })
    }

    pub(super) fn has_copy(&self, id: &str, state: &State) -> bool {
        state.document(id).is_some() || PINNED.iter().any(|pinned| pinned.0 == id)
    }

    pub(super) fn sweep(&mut self, now: Mono) {
        self.fresh.retain(|_, until| now < *until);
        self.failed.retain(|_, until| now < *until);
        self.unreachable = self.unreachable.filter(|until| now < *until);
    }
}

impl Server {
    /// Whether documents at the host of this id are read.
    pub(super) fn admits_document(&self, id: &str) -> bool {
        document_url(id).is_some_and(|url| self.settings.options.document_hosts.admit(url.host()))
    }

    /// Whether clients are told that they may come with a document: one that could not be fetched leaves its client
    /// with an error page, while registering works. Where documents of any host are read it could be anybody's own host
    /// that is away, and without registration there is no other way.
    pub(super) fn offers_documents(&self) -> bool {
        let options = &self.settings.options;
        let is_down = self.documents.unreachable.is_some_and(|until| self.now.mono < until);
        let counts = options.registration && !matches!(options.document_hosts, DocumentHosts::Any);
        options.document_hosts.is_on() && !(is_down && counts)
    }

    /// Looks for the client of an authorization request.
    pub(super) fn lookup_client(&self, id: &str) -> Lookup {
        if !id.contains("://") {
            let unknown = "This application is not registered here (any more).";
            return self
                .known_client(id)
                .map_or(Lookup::Unknown(unknown), |client| Lookup::Found(Box::new(client)));
        }
        let Some(url) = document_url(id) else {
            return Lookup::Unknown("The identifier of the application is no proper address of a document.");
        };
        if !self.settings.options.document_hosts.admit(url.host()) {
            return Lookup::Unknown(
                "Applications of this site are not admitted here (clientIdMetadata.allowedHosts).",
            );
        }
        let now = self.now.mono;
        let is = |map: &BTreeMap<String, Mono>| map.get(id).is_some_and(|until| now < *until);
        match self.known_client(id) {
            Some(client) if is(&self.documents.fresh) || is(&self.documents.failed) => {
                Lookup::Found(Box::new(client))
            }
            None if is(&self.documents.failed) => Lookup::Unknown(UNREADABLE),
            _ => Lookup::Document(url),
        }
    }

    /// Fetches a document, once for all who wait for it.
    pub(super) fn await_document(&mut self, url: Url, visit: Visit) {
        let waiting: usize = self.documents.waiting.values().map(|(_, visits)| visits.len()).sum();
        if waiting >= WAITING_MAX {
            return self.refuse_unread(visit);
        }
        let id = visit.params.get("client_id").unwrap_or_default().to_owned();
        if let Some((_, visits)) = self.documents.waiting.values_mut().find(|(known, _)| *known == id) {
            return visits.push(visit);
        }
        if self.throttle.documents.admit(self.now.mono, &visit.address.networks()).is_err() {
            return self.refuse_unread(visit);
        }
        self.documents.last_job = self.documents.last_job.wrapping_add(1);
        let job = self.documents.last_job;
        self.documents.waiting.insert(job, (id, vec![visit]));
        self.effect(Effect::Fetch { job, url });
    }

    /// A document has come, or not; in words for the log.
    pub(super) fn on_document(&mut self, job: u64, result: Result<Fetched, String>) {
        let Some((id, visits)) = self.documents.waiting.remove(&job) else { return };
        let now = self.now.mono;
        let has_copy = self.documents.has_copy(&id, self.book.staged());
        match &result {
            Ok(_) => self.documents.unreachable = None,
            Err(_) if !has_copy => self.documents.unreachable = Some(now.plus_ms(NOT_OFFERED_MS)),
            Err(_) => {}
        }
        match result.and_then(|fetched| Ok((read(&id, &fetched)?, fresh_ms(&fetched.cache_control)))) {
            Ok((document, fresh_ms)) => {
                self.event(Level::Info, "cimd_fetch", &[("client", &id), ("result", "ok")]);
                self.documents.failed.remove(&id);
                insert(&mut self.documents.fresh, &id, now.plus_ms(fresh_ms));
                self.keep_document(&id, document);
            }
            Err(reason) => {
                let hint = if has_copy { COPY } else { WITHOUT };
                self.event(
                    Level::Warn,
                    "cimd_fetch",
                    &[("client", &id), ("result", "failed"), ("reason", &reason), ("hint", hint)],
                );
                insert(&mut self.documents.failed, &id, now.plus_ms(FAILED_MS));
            }
        }
        for visit in visits {
            match self.known_client(&id) {
                Some(_) => self.admit_visit(visit),
                None => self.refuse_unread(visit),
            }
        }
    }

    fn keep_document(&mut self, id: &str, (name, redirect_uris): (String, Vec<String>)) {
        let fetched_at = unix(self.now);
        let same = self.book.staged().document(id).is_some_and(|known| {
            known.name == name
                && known.redirect_uris == redirect_uris
                && fetched_at.saturating_sub(known.fetched_at) < REWRITE_SECONDS
        });
        if !same {
            self.book.change().put_document(id, Document { name, redirect_uris, fetched_at });
        }
    }

    /// Copies that are too old are dropped, and so are those of hosts that are not admitted any more.
    pub(super) fn sweep_documents(&mut self) {
        self.documents.sweep(self.now.mono);
        let now = unix(self.now);
        let is_old = |document: &Document| now.saturating_sub(document.fetched_at) > STALE_SECONDS_MAX;
        let documents = self.book.staged().documents();
        let old: Vec<String> = documents
            .filter(|(id, document)| is_old(document) || !self.admits_document(id))
            .map(|(id, _)| id.to_string())
            .collect();
        for id in old {
            self.book.change().remove_document(&id);
        }
    }

    fn refuse_unread(&mut self, visit: Visit) {
        self.refuse_unknown(&visit, UNREADABLE);
    }
}

const UNREADABLE: &str = "The description of this application cannot be read at the moment, because this proxy gets no \
                          good answer from its site. Whoever runs the proxy can set clientIdMetadata.allowedHosts to \
                          [], so that the application registers instead.";

/// For the log: how clients get in without documents.
const WITHOUT: &str = "clientIdMetadata.allowedHosts [] lets clients register instead";
/// For the log: nobody is kept out.
const COPY: &str = "an earlier copy is used";

/// The URL that an id is, if it may be one (draft §3).
fn document_url(id: &str) -> Option<Url> {
    let rest = id.strip_prefix("https://")?;
    let url = Url::parse(id).ok().filter(|_| id.len() <= 2_048 && !id.contains('#'))?;
    let (authority, _) = rest.split_once('/')?;
    let dots = |segment: &str| {
        matches!(segment.to_ascii_lowercase().as_str(), "." | ".." | "%2e" | "%2e%2e" | ".%2e" | "%2e.")
    };
    let is_name = url.host().parse::<std::net::IpAddr>().is_err() && url.host().contains('.');
    let path_is_plain = url.path() != "/" && !rest.split(['/', '?']).any(dots);
    (is_name && path_is_plain && !authority.contains([':', '@'])).then_some(url)
}

/// Name and redirect targets in a document.
fn read(id: &str, fetched: &Fetched) -> Result<(String, Vec<String>), String> {
    if fetched.status != 200 {
        return Err(format!("status {}", fetched.status));
    }
    let kind = fetched.media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/json" && !kind.ends_with("+json") {
        return Err("it is no JSON by its media type".to_owned());
    }
    let members = read_object(&fetched.body, OAUTH_JSON_DEPTH_MAX).map_err(|error| error.to_string())?;
    if members.get("client_id").and_then(Value::as_str) != Some(id) {
        return Err("its client_id is not its URL".to_owned());
    }
    if members.contains_key("client_secret") || members.contains_key("client_secret_expires_at") {
        return Err("it holds a secret".to_owned());
    }
    if !is_public(&members) {
        return Err("the client wants to authenticate with a key".to_owned());
    }
    let name = members.get("client_name").and_then(Value::as_str).ok_or("it has no client_name")?;
    let uris = members.get("redirect_uris").and_then(Value::as_array).ok_or("it has no redirect_uris")?;
    let targets: Vec<String> =
        uris.iter().filter_map(Value::as_str).take(TARGETS_MAX).map(str::to_owned).collect();
    if targets.is_empty() {
        return Err("it has no redirect_uris".to_owned());
    }
    Ok((clean_name(name), targets))
}

/// Whether the client can come without authentication.
fn is_public(members: &Map<String, Value>) -> bool {
    let lists_none = |value: &Value| match value {
        Value::String(method) => method == "none",
        Value::Array(methods) => methods.iter().any(|method| method == "none"),
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    let named = members.get("token_endpoint_auth_method").is_none_or(lists_none);
    named || members.get("token_endpoint_auth_methods_supported").is_some_and(lists_none)
}

/// How long a copy is fresh (RFC 9111 §5.2), within our bounds.
fn fresh_ms(cache_control: &str) -> u64 {
    let mut seconds = 0;
    for directive in cache_control.split(',') {
        let directive = directive.trim().to_ascii_lowercase();
        if let Some(age) = directive.strip_prefix("max-age=") {
            seconds = age.trim_matches('"').parse().unwrap_or(0);
        } else if matches!(directive.as_str(), "no-store" | "no-cache") {
            return FRESH_MS_MIN;
        }
    }
    u64::saturating_mul(seconds, 1000).clamp(FRESH_MS_MIN, FRESH_MS_MAX)
}

fn insert(map: &mut BTreeMap<String, Mono>, id: &str, until: Mono) {
    if map.len() >= ENTRIES_MAX && !map.contains_key(id) {
        let first = map.iter().min_by_key(|(_, until)| **until).map(|(id, _)| id.clone());
        if let Some(first) = first {
            map.remove(&first);
        }
    }
    map.insert(id.to_owned(), until);
}

/// Copies that come with the program: these documents have been out of reach for servers in data centres, and are for a
/// proxy without a way out. Loopback targets fit any port. Who is let in is for the policy of redirect targets to say.
const PINNED: [(&str, &str, &[&str]); 7] = [
    (
        "https://claude.ai/oauth/mcp-oauth-client-metadata",
        "Claude",
        &["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"],
    ),
    ("https://claude.ai/oauth/claude-code-client-metadata", "Claude Code", &LOOPBACK),
    ("https://chatgpt.com/oauth/codex/client.json", "Codex", &LOOPBACK),
    (
        "https://chatgpt.com/oauth/client.json",
        "ChatGPT",
        &["https://chatgpt.com/connector_platform_oauth_redirect"],
    ),
    (
        "https://vscode.dev/oauth/client-metadata.json",
        "Visual Studio Code",
        &["http://127.0.0.1:33418/", "https://vscode.dev/redirect"],
    ),
    ("https://opencode.ai/oauth/opencode/client.json", "opencode", &LOOPBACK),
    ("https://zed.dev/oauth/client-metadata.json", "Zed", &["http://127.0.0.1/callback"]),
];

/// Where programs wait that choose a port anew each time.
const LOOPBACK: [&str; 2] = ["http://localhost/callback", "http://127.0.0.1/callback"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proper_https_urls_of_named_hosts_are_documents() {
        // OA-97
        assert!(document_url("https://app.example.com/oauth/client.json").is_some());
        assert!(document_url("https://app.example.com/client?v=1").is_some());
        for bad in [
            "http://app.example.com/client",
            "https://app.example.com",
            "https://app.example.com/",
            "https://app.example.com/a#b",
            "https://u@app.example.com/a",
            "https://app.example.com:443/a",
            "https://app.example.com:8443/a",
            "https://127.0.0.1/a",
            "https://[::1]/a",
            "https://0x7f.1/a",
            "https://localhost/a",
            "https://app.example.com/../a",
            "https://app.example.com/a/%2e%2E/b",
            "https:///a",
            "javascript://app.example.com/a",
        ] {
            assert_eq!(document_url(bad), None, "{bad}");
        }
        assert_eq!(document_url(&format!("https://a.example/{}", "x".repeat(2_048))), None);
    }

    fn fetched(body: &str) -> Fetched {
        Fetched {
            status: 200,
            media_type: "application/json; charset=utf-8".into(),
            cache_control: String::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_document_must_be_about_itself_and_public() {
        // OA-97, OA-100
        let id = "https://a.example/c";
        let with = |more: &str| {
            fetched(&format!(
                r#"{{"client_id":"{id}","client_name":"A\u202e","redirect_uris":["https://a.example/cb"]{more}}}"#
            ))
        };
        assert_eq!(read(id, &with("")).unwrap(), ("A".to_owned(), vec!["https://a.example/cb".to_owned()]));
        for good in [
            r#","token_endpoint_auth_method":"none""#,
            r#","token_endpoint_auth_method":["private_key_jwt","none"]"#,
            r#","token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["private_key_jwt","none"]"#,
        ] {
            assert!(read(id, &with(good)).is_ok(), "{good}");
        }
        for bad in [
            r#","token_endpoint_auth_method":"private_key_jwt""#,
            r#","token_endpoint_auth_method":"client_secret_basic""#,
            r#","client_secret":"x""#,
        ] {
            assert!(read(id, &with(bad)).is_err(), "{bad}");
        }
        assert!(read("https://a.example/other", &with("")).is_err());
        assert!(read(id, &Fetched { status: 302, ..with("") }).is_err());
        assert!(read(id, &Fetched { media_type: "text/html".into(), ..with("") }).is_err());
        assert!(read(id, &fetched("[]")).is_err() && read(id, &fetched("{}")).is_err());
        let deep = |levels: usize| format!(",\"x\":{}{}", "[".repeat(levels), "]".repeat(levels)); // FT-511
        assert!(read(id, &with(&deep(OAUTH_JSON_DEPTH_MAX - 1))).is_ok());
        assert!(read(id, &with(&deep(OAUTH_JSON_DEPTH_MAX))).unwrap_err().contains("nests too deeply"));
    }

    #[test]
    fn freshness_stays_within_bounds() {
        // OA-102
        for (header, ms) in [
            ("", FRESH_MS_MIN),
            ("max-age=0", FRESH_MS_MIN),
            ("public, max-age=3600", 3_600_000),
            ("max-age=99999999999999999999", FRESH_MS_MIN),
            ("max-age=9999999", FRESH_MS_MAX),
            ("no-store, max-age=3600", FRESH_MS_MIN),
        ] {
            assert_eq!(fresh_ms(header), ms, "{header}");
        }
    }
}
