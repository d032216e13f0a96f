//! Dynamic client registration (RFC 7591).
//!
//! Hosted clients register at nearly every connect, often twice: identical public registrations get the same id, so
//! they do not pile up, and it does not matter which of both a client goes on with. What clients send beside the few
//! members that mean something here is tolerated, whatever it is.

use super::object::{ObjectError, read_object};
use super::scope::Scopes;
use super::secret::{Purpose, mint, mint_id};
use super::store::{AuthMethod, Client, unix};
use super::{Request, RequestId, Server};
use crate::digest::Hash;
use crate::http::Reply;
use crate::limits::OAUTH_JSON_DEPTH_MAX;
use crate::log::Level;
use crate::net::ClientAddress;
use crate::oauth::reply::printable;
use crate::redacted::Redacted;
use crate::redirect_uri::is_loopback;
use serde_json::{Map, Value, json};

/// Most redirect targets of one client.
const TARGETS_MAX: usize = 10;
/// Longest redirect target.
const TARGET_BYTES_MAX: usize = 2_048;
/// Longest name of a client.
const NAME_CHARS_MAX: usize = 100;
/// Longest of the members that are only echoed.
const ECHO_BYTES_MAX: usize = 2_048;
/// A client through which nobody ever logged in is forgotten after this time.
pub(super) const UNUSED_SECONDS: u64 = 7 * 24 * 3600;
/// A client whose grants are all over is forgotten this long after it was last used.
pub(super) const IDLE_SECONDS: u64 = 90 * 24 * 3600;

/// A registration that was understood.
struct Wanted {
    client: Client,
    scope: Scopes,
    application_type: Option<&'static str>,
    echo: Map<String, Value>,
}

impl Server {
    /// `POST /oauth/register`
    pub(super) fn register(&mut self, id: RequestId, request: &Request<'_>, address: &ClientAddress) {
        if !self.settings.options.registration {
            return self.reply(id, Reply::not_found().open());
        }
        let wait = self.throttle.registrations.admit(self.now.mono, &address.networks());
        if let Err(seconds) = wait {
            self.event(
                Level::Info,
                "register_denied",
                &[("reason", "too many"), ("ip", &address.shown.to_string())],
            );
            return self.reply(id, Reply::too_many(seconds).open());
        }
        let wanted = read(request.body)
            .and_then(|members| self.understand(&members))
            .map_err(|(code, text)| Reply::error(400, code, &text));
        match wanted {
            Ok(wanted) => self.enter(id, wanted, address),
            Err(reply) => {
                let reason = reply.body.clone();
                self.event(
                    Level::Warn,
                    "register_denied",
                    &[("reason", &reason), ("ip", &address.shown.to_string())],
                );
                self.reply(id, reply.open());
            }
        }
    }

    /// Whether this address may register at all: asked before anything of the body is read.
    pub(super) fn may_register(&mut self, address: &ClientAddress) -> Result<(), Reply> {
        if address.is_in(&self.settings.options.allowed_ips) {
            return Ok(());
        }
        let hint = if address.disagree {
            "the headers about it disagree, see clientIPHeader"
        } else {
            "see allowedIPs"
        };
        let ip = address.shown.to_string();
        self.event(
            Level::Warn,
            "register_denied",
            &[("reason", "address not allowed"), ("ip", &ip), ("hint", hint)],
        );
        Err(Reply::error(403, "access_denied", "Client registration not allowed from this IP").open())
    }

    fn understand(&self, members: &Map<String, Value>) -> Result<Wanted, (&'static str, String)> {
        let redirect_uris = self.targets(members)?;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let application_type = match text("application_type") {
            Some("native") => Some("native"),
            Some("web") => Some("web"),
            _ => None,
        };
        let local = |uri: &String| is_loopback(uri) || !uri.starts_with("https://");
        if self.settings.options.strict_application_type
            && application_type == Some("web")
            && redirect_uris.iter().any(local)
        {
            return Err(("invalid_redirect_uri", "a web application has https redirect URIs only".into()));
        }
        let native = application_type == Some("native") || redirect_uris.iter().all(local);
        let method = match text("token_endpoint_auth_method") {
            Some("none") => AuthMethod::None,
            Some("client_secret_post") => AuthMethod::Post,
            Some("client_secret_basic") => AuthMethod::Basic,
            None if native => AuthMethod::None,
            None => AuthMethod::Basic,
            Some(other) => {
                let text = format!("token_endpoint_auth_method {} is not supported", printable(other));
                return Err(("invalid_client_metadata", text));
            }
        };
        let refresh = grant_types(members)?;
        if let Some(Value::Array(types)) = members.get("response_types")
            && !types.iter().any(|kind| kind == "code")
        {
            return Err(("invalid_client_metadata", "response_types must contain code".into()));
        }
        let client = Client {
            name: clean_name(text("client_name").unwrap_or_default()),
            redirect_uris,
            method,
            secret_hash: None,
            refresh,
            created_at: unix(self.now),
            last_used_at: 0,
            extra: Map::new(),
        };
        let asked =
            text("scope").and_then(|scope| Scopes::parse(scope).ok()).filter(|scope| !scope.is_empty());
        Ok(Wanted { client, scope: asked.unwrap_or(Scopes::DEFAULT), application_type, echo: echo(members) })
    }

    /// All redirect targets, each of which must be admitted.
    fn targets(&self, members: &Map<String, Value>) -> Result<Vec<String>, (&'static str, String)> {
        let refuse = |text: String| Err(("invalid_redirect_uri", text));
        let Some(Value::Array(uris)) = members.get("redirect_uris") else {
            return refuse("redirect_uris must be a list".into());
        };
        if uris.is_empty() || uris.len() > TARGETS_MAX {
            return refuse(format!("redirect_uris must have 1 to {TARGETS_MAX} entries"));
        }
        let mut targets = Vec::with_capacity(uris.len());
        for uri in uris {
            let Some(uri) = uri.as_str().filter(|uri| uri.len() <= TARGET_BYTES_MAX) else {
                return refuse(format!("a redirect URI is a string of at most {TARGET_BYTES_MAX} bytes"));
            };
            if let Err(reason) = self.settings.options.redirects.admits(uri) {
                return refuse(format!("redirect URI {} is not accepted: {reason}", printable(uri)));
            }
            targets.push(uri.to_owned());
        }
        Ok(targets)
    }

    fn enter(&mut self, id: RequestId, mut wanted: Wanted, address: &ClientAddress) {
        let ip = address.shown.to_string();
        if let Some(known) = self.same_client(&wanted.client) {
            self.event(Level::Info, "register", &[("client", &known), ("ip", &ip), ("known", "true")]);
            if let Some(client) = self.book.change().client_mut(&known) {
                // Whoever was given it now has as long to use it as everybody.
                client.created_at = wanted.client.created_at;
            }
            let reply = registered(&known, &wanted, None);
            return self.reply_after_save(id, reply);
        }
        if !self.make_room() {
            self.event(Level::Warn, "register_denied", &[("reason", "maxClients are in use"), ("ip", &ip)]);
            return self.reply(id, Reply::unavailable().open());
        }
        let client_id = format!("mcpx_{}", mint_id(&mut self.rng));
        let secret = (wanted.client.method != AuthMethod::None).then(|| mint(&mut self.rng, Purpose::Client));
        wanted.client.secret_hash = secret.as_ref().map(|secret| Hash::of(secret.expose()));
        self.book.change().insert_client(client_id.as_str().into(), wanted.client.clone());
        self.event(
            Level::Info,
            "register",
            &[("client", &client_id), ("name", &wanted.client.name), ("ip", &ip)],
        );
        let reply = registered(&client_id, &wanted, secret.as_ref());
        self.reply_after_save(id, reply);
    }

    /// A public client with exact https targets that registered in the same words before.
    fn same_client(&self, wanted: &Client) -> Option<String> {
        let stable = |uri: &String| uri.starts_with("https://");
        if wanted.method != AuthMethod::None || !wanted.redirect_uris.iter().all(stable) {
            return None;
        }
        let same = |client: &Client| {
            let same_targets = || {
                client.redirect_uris.len() == wanted.redirect_uris.len()
                    && client.redirect_uris.iter().all(|uri| wanted.redirect_uris.contains(uri))
            };
            client.method == AuthMethod::None
                && client.name == wanted.name
                && client.refresh == wanted.refresh
                && same_targets()
        };
        let mut clients = self.book.staged().clients();
        clients.find(|(_, client)| same(client)).map(|(id, _)| id.to_string())
    }

    /// Makes room for one more client, at the price of the oldest that nobody logged in through.
    fn make_room(&mut self) -> bool {
        let state = self.book.staged();
        if state.clients_len() < self.settings.options.clients_max as usize {
            return true;
        }
        let unused = state.clients().filter(|(_, client)| client.last_used_at == 0);
        let oldest = unused.min_by_key(|(_, client)| client.created_at).map(|(id, _)| id.clone());
        match oldest {
            Some(oldest) => {
                self.book.change().remove_client(&oldest);
                true
            }
            None => false,
        }
    }
}

fn read(body: &[u8]) -> Result<Map<String, Value>, (&'static str, String)> {
    read_object(body, OAUTH_JSON_DEPTH_MAX).map_err(|error| {
        let text = match error {
            ObjectError::Deep(max) => format!("the body nests too deeply: at most {max} levels are read"),
            ObjectError::Json(_) => "the body must be a JSON object".to_owned(),
        };
        ("invalid_client_metadata", text)
    })
}

/// Whether refresh tokens are wanted. Unknown grants are dropped.
fn grant_types(members: &Map<String, Value>) -> Result<bool, (&'static str, String)> {
    let Some(Value::Array(types)) = members.get("grant_types") else { return Ok(true) };
    if types.is_empty() {
        return Ok(true);
    }
    if !types.iter().any(|kind| kind == "authorization_code") {
        return Err(("invalid_client_metadata", "grant_types must contain authorization_code".into()));
    }
    Ok(types.iter().any(|kind| kind == "refresh_token"))
}

/// A name without what makes it look like another (T-21): no control, bidirectional or invisible characters.
pub(super) fn clean_name(name: &str) -> String {
    let invisible = |c: char| {
        c.is_control()
            || matches!(
                c,
                '\u{ad}'
                    | '\u{61c}'
                    | '\u{115f}'
                    | '\u{1160}'
                    | '\u{180e}'
                    | '\u{3164}'
                    | '\u{feff}'
                    | '\u{ffa0}'
            )
            || ('\u{200b}'..='\u{200f}').contains(&c)
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2060}'..='\u{206f}').contains(&c)
            || ('\u{fff0}'..='\u{fffb}').contains(&c)
            || ('\u{e0000}'..='\u{e0fff}').contains(&c)
    };
    let clean: String = name.chars().filter(|c| !invisible(*c)).take(NAME_CHARS_MAX).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Members that are given back and nothing else: never fetched, never shown.
fn echo(members: &Map<String, Value>) -> Map<String, Value> {
    let short = |value: &&Value| value.as_str().is_some_and(|text| text.len() <= ECHO_BYTES_MAX);
    let url = |value: &&Value| {
        value.as_str().is_some_and(|text| text.starts_with("https://") || text.starts_with("http://"))
    };
    let mut kept = Map::new();
    for name in ["client_uri", "logo_uri", "tos_uri", "policy_uri"] {
        if let Some(value) = members.get(name).filter(short).filter(url) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    for name in ["software_id", "software_version"] {
        if let Some(value) = members.get(name).filter(short) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(Value::Array(contacts)) = members.get("contacts")
        && contacts.len() <= TARGETS_MAX
        && contacts.iter().all(|contact| short(&contact))
    {
        kept.insert("contacts".to_owned(), Value::Array(contacts.clone()));
    }
    kept
}

/// The answer to a registration (RFC 7591 §3.2.1).
fn registered(id: &str, wanted: &Wanted, secret: Option<&Redacted<String>>) -> Reply {
    let client = &wanted.client;
    let grants: &[&str] =
        if client.refresh { &["authorization_code", "refresh_token"] } else { &["authorization_code"] };
    let mut members = wanted.echo.clone();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("client_id", json!(id));
    set("client_id_issued_at", json!(client.created_at));
    if let Some(secret) = secret {
        set("client_secret", json!(secret.expose()));
        set("client_secret_expires_at", json!(0));
    }
    set("redirect_uris", json!(client.redirect_uris));
    set("grant_types", json!(grants));
    set("response_types", json!(["code"]));
    set("token_endpoint_auth_method", json!(client.method.name()));
    set("scope", json!(wanted.scope.to_string()));
    if !client.name.is_empty() {
        set("client_name", json!(client.name));
    }
    if let Some(kind) = wanted.application_type {
        set("application_type", json!(kind));
    }
    Reply::json(201, Value::Object(members).to_string()).open()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_is_invisible_and_are_cut() {
        // T-21
        assert_eq!(clean_name("Cl\u{202e}au\u{200b}de\r\n\tCode \u{feff} x"), "ClaudeCode x");
        assert_eq!(clean_name("  Claude   (web) "), "Claude (web)");
        assert_eq!(clean_name(&"x".repeat(10_000)).len(), NAME_CHARS_MAX);
        assert_eq!(clean_name("Größe 😀"), "Größe 😀");
    }
}
