//! The authorization endpoint (RFC 6749 §4.1.1): what a client asks for, checked before anybody sees a form.
//!
//! ```text
//! GET   ─▶ Visit ─▶ client known? ─▶ examine ─▶ form
//!                     │ (document)      │ refused: our own page, or a redirect to an exact target
//! POST  ─▶ Visit ─▶   ▲  …same…    ─▶ examine ─▶ login ─▶ code ─▶ success page
//! ```
//! Everything about a request travels in the form itself and is checked again when it comes back; nothing is kept here
//! until a login succeeds, so reloading, two tabs and prefetching are harmless.
//!
//! Invariants: the browser is sent to a target only if it is registered for this very client and still admitted by the
//! policy (T-01); every such redirect carries `iss` and the `state` as it came; a password is typed for every grant.

mod codes;
mod login;
mod show;

pub(super) use codes::{Code, Codes, Presented};
pub(super) use login::{Job, Logins};
pub(super) use show::Presenter;

use super::client::{Known, Lookup};
use super::issuer::Issuer;
use super::params::Params;
use super::resource::{self, Audience};
use super::scope::Scopes;
use super::secret::{Purpose, mint};
use super::{Request, RequestId, Server};
use crate::config::DefaultResource;
use crate::http::Method;
use crate::http::Reply;
use crate::limits::RECONNECTS_ALL_PER_MINUTE;
use crate::log::Level;
use crate::net::ClientAddress;
use crate::redirect_uri::{Admission, is_builtin_claude, with_parameters};
use crate::route::Place;
use crate::throttle::Rate;

/// Longest query of a request.
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// One request of a browser, taken out of the connection it came on: it may have to wait.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) request: RequestId,
    pub(super) issuer: Issuer,
    pub(super) address: ClientAddress,
    pub(super) params: Params,
    /// The form came back.
    pub(super) login: Option<login::Form>,
    /// Errors are for a program, not for a person.
    wants_json: bool,
}

/// A request that is in order.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) client: Known,
    pub(super) target: Target,
    pub(super) challenge: String,
    pub(super) scope: Scopes,
    pub(super) audience: Audience,
}

/// Where an answer goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) uri: String,
    admission: Admission,
    state: Option<String>,
}

/// A request that is not in order.
#[derive(Debug)]
enum Refused {
    /// There is nowhere to send the browser.
    Page { code: &'static str, message: String, hint: &'static str, retry: Option<String> },
    /// The client is told.
    Client { target: Target, code: &'static str, description: &'static str },
}

impl Server {
    /// GET or POST of the authorization endpoint.
    pub(super) fn visit(
        &mut self,
        id: RequestId,
        request: &Request<'_>,
        issuer: Issuer,
        address: ClientAddress,
    ) {
        let head = request.head;
        let accept = head.header("accept").unwrap_or_default();
        let wants_json = accept.contains("application/json") && !accept.contains("text/html");
        let query = head.query().unwrap_or_default();
        let is_post = head.method() == Method::Post;
        let params = match is_post {
            true if query.is_empty() => {
                std::str::from_utf8(request.body).map_err(|_| ()).and_then(Params::form)
            }
            true => Err(()),
            false if query.len() > QUERY_BYTES_MAX => Err(()),
            false => Params::form(query),
        };
        let mut visit =
            Visit { request: id, issuer, address, params: Params::default(), login: None, wants_json };
        let Ok(params) = params else {
            let message = "The request is too long or cannot be read.".to_owned();
            return self.refuse(
                &visit,
                Refused::Page { code: "invalid_request", message, hint: START_AGAIN, retry: None },
            );
        };
        visit.params = params;
        if is_post {
            if !login::is_own_form(head, &visit.issuer) {
                self.event(
                    Level::Warn,
                    "login_failed",
                    &[("reason", "cross-site form"), ("ip", &visit.ip())],
                );
                let message = "This form was sent by a page of another site.";
                return self.show_error(&visit, 403, "This was not accepted", message, START_AGAIN, None);
            }
            if visit.params.repeats_any(&login::FIELDS) {
                let message = "The form has one of its fields twice.";
                return self.show_error(&visit, 400, "This was not accepted", message, START_AGAIN, None);
            }
            visit.login = login::Form::take(head, &mut visit.params);
        }
        self.admit_visit(visit);
    }

    /// Goes on once it is clear who the client is.
    pub(super) fn admit_visit(&mut self, visit: Visit) {
        let id = match visit.params.repeated() {
            Some("client_id") | Some("redirect_uri") => None,
            _ => visit.params.get("client_id"),
        };
        let lookup = match id {
            Some(id) => self.lookup_client(id),
            None => Lookup::Unknown("The request does not say, in one word, which application it is from."),
        };
        match lookup {
            Lookup::Document(url) => self.await_document(url, visit),
            Lookup::Unknown(message) => self.refuse_unknown(&visit, message),
            Lookup::Found(client) => match self.examine(*client, &visit) {
                Ok(ask) => self.admit_ask(visit, ask),
                Err(refused) => self.refuse(&visit, refused),
            },
        }
    }

    fn admit_ask(&mut self, mut visit: Visit, ask: Ask) {
        match visit.login.take() {
            Some(form) if self.settings.options.users_file.is_some() => self.await_users(visit, ask, form),
            Some(form) => self.log_in(visit, ask, form),
            None => {
                self.event(Level::Info, "authorize", &[("client", &ask.client.id), ("ip", &visit.ip())]);
                self.show_form(&visit, &ask, show::Notice::None, "");
            }
        }
    }

    /// Checks a request in the order of RFC 6749 §4.1.2.1: first what decides where an answer may go.
    fn examine(&self, client: Known, visit: &Visit) -> Result<Ask, Refused> {
        let params = &visit.params;
        let target = self.target(&client, params)?;
        let refuse = |code, description| Err(Refused::Client { target: target.clone(), code, description });
        if params.repeated().is_some() {
            return refuse("invalid_request", "a parameter occurs more than once");
        }
        if params.get("response_type") != Some("code") {
            return refuse("unsupported_response_type", "response_type must be code");
        }
        let challenge = params.get("code_challenge").unwrap_or_default();
        // A form of the original has no method: only S256 was ever accepted there.
        let plain = match params.get("code_challenge_method") {
            None => visit.login.is_none(),
            Some(method) => method != "S256",
        };
        if plain || !is_challenge(challenge) {
            return refuse("invalid_request", "PKCE with S256 is required");
        }
        if params.get("request").is_some() {
            return refuse("request_not_supported", "request objects are not supported");
        }
        if params.get("request_uri").is_some() {
            return refuse("request_uri_not_supported", "request_uri is not supported");
        }
        let Some(audience) = self.audience(&visit.issuer, params) else {
            return refuse("invalid_target", "resource must name servers of this proxy");
        };
        let Ok(scope) = Scopes::granted(params.get("scope")) else {
            return refuse("invalid_scope", "scope cannot be read");
        };
        if params.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "none")) {
            return refuse("login_required", "every grant needs a login");
        }
        let challenge = challenge.to_owned();
        Ok(Ask { client, target, challenge, scope, audience })
    }

    fn target(&self, client: &Known, params: &Params) -> Result<Target, Refused> {
        let uri = params.get("redirect_uri").map(str::to_owned).or_else(|| self.only_target(client));
        let admitted = uri.and_then(|uri| Some((self.admits_target(client, &uri)?, uri)));
        let Some((admission, uri)) = admitted else {
            return Err(Refused::Page {
                code: "invalid_request",
                message: "The application wants to be called back at an address that it did not register, or that is \
                          not accepted here."
                    .to_owned(),
                hint: "Remove the server from the application and add it again. If that does not help, the operator of \
                       this proxy has to allow the address (allowedRedirectURIs).",
                retry: None,
            });
        };
        let state = params.get("state").map(str::to_owned);
        Ok(Target { uri, admission, state })
    }

    /// What a request is for (RFC 8707 §2). `None` if it names something else than servers of ours.
    pub(super) fn audience(&self, issuer: &Issuer, params: &Params) -> Option<Audience> {
        let mut audience = None;
        for literal in params.resources() {
            let place = resource::find(&self.settings.routes, issuer, literal)?;
            let one = match place {
                Place::Merged => self.default_audience()?,
                Place::Server(id) => {
                    Audience::one(&self.settings.resource(id).filter(|server| server.protected)?.key)
                }
            };
            audience = Some(match audience {
                Some(known) => one.union(known),
                None => one,
            });
        }
        audience.or_else(|| self.default_audience())
    }

    /// What a login is for that names the proxy as a whole, or nothing.
    fn default_audience(&self) -> Option<Audience> {
        let mut protected = self.settings.resources.iter().filter(|server| server.protected);
        match (self.settings.options.default_resource, protected.next(), protected.next()) {
            (DefaultResource::All, _, _) => Some(Audience::All),
            (DefaultResource::Single, Some(only), None) => Some(Audience::one(&only.key)),
            (DefaultResource::Single | DefaultResource::Require, _, _) => None,
        }
    }

    /// A client that nobody knows. Some keep a dead registration for ever and register again only when the token
    /// endpoint refuses them: those of the built-in targets are offered a way there (T-57), as often as a person
    /// presses it.
    pub(super) fn refuse_unknown(&mut self, visit: &Visit, message: &'static str) {
        let target = visit.params.get("redirect_uri").filter(|uri| is_builtin_claude(uri));
        let policy = &self.settings.options.redirects;
        let target = target.filter(|uri| !visit.wants_json && policy.admits(uri).is_ok());
        if target.is_some()
            && let Err(seconds) = self.may_reconnect(visit)
        {
            self.event(Level::Info, "authorize_denied", &[("reason", "too many"), ("ip", &visit.ip())]);
            return self.show_wait(visit, seconds);
        }
        let retry = target.map(|uri| {
            let code = mint(&mut self.rng, Purpose::Code);
            let mut parameters = vec![("code", code.expose().as_str())];
            parameters.extend(visit.params.get("state").map(|state| ("state", state)));
            let issuer = visit.issuer.text();
            parameters.push(("iss", &issuer));
            with_parameters(uri, &parameters)
        });
        let hint = match retry {
            Some(_) => {
                "Press Reconnect: the application then registers anew. If that does not help, remove the server \
                        there and add it again."
            }
            None => "Remove the server from the application and add it again.",
        };
        self.refuse(
            visit,
            Refused::Page { code: "invalid_client", message: message.to_owned(), hint, retry },
        );
    }

    /// Counts a page with such a way back, unless there were too many.
    fn may_reconnect(&mut self, visit: &Visit) -> Result<(), u64> {
        let (now, throttle) = (self.now.mono, &mut self.throttle);
        throttle.reconnects.admit(now, &visit.address.networks())?;
        throttle.all_reconnects.admit(now, Rate::new(RECONNECTS_ALL_PER_MINUTE, RECONNECTS_ALL_PER_MINUTE))
    }

    fn refuse(&mut self, visit: &Visit, refused: Refused) {
        let client = visit.params.get("client_id").unwrap_or_default().to_owned();
        match refused {
            Refused::Page { code, message, hint, retry } => {
                self.event(
                    Level::Warn,
                    "authorize_denied",
                    &[("client", &client), ("reason", code), ("detail", &message), ("ip", &visit.ip())],
                );
                if visit.wants_json {
                    return self.reply(visit.request, Reply::error(400, code, &message));
                }
                let retry = retry.map(|url| (url, "Reconnect"));
                self.show_error(visit, 400, "This cannot be connected", &message, hint, retry);
            }
            Refused::Client { target, code, description } => {
                self.event(
                    Level::Warn,
                    "authorize_denied",
                    &[("client", &client), ("reason", code), ("detail", description), ("ip", &visit.ip())],
                );
                let url = target.error(&visit.issuer, code, description);
                if target.admission == Admission::Exact {
                    return self.reply(visit.request, Reply::redirect(&url));
                }
                // Anybody can register such a target; nobody is sent there without having seen where (RFC 9700 §4.11.2).
                let message = format!("The application sent a request that is not in order: {description}.");
                let retry = Some((url, "Return to the application"));
                self.show_error(visit, 400, "This cannot be connected", &message, START_AGAIN, retry);
            }
        }
    }
}

impl Visit {
    fn ip(&self) -> String {
        self.address.shown.to_string()
    }
}

impl Target {
    /// The answer to the client that `parameters` make, with what every answer carries.
    fn answer(&self, issuer: &Issuer, parameters: &[(&str, &str)]) -> String {
        let issuer = issuer.text();
        let mut all = parameters.to_vec();
        all.extend(self.state.as_deref().map(|state| ("state", state)));
        all.push(("iss", &issuer));
        with_parameters(&self.uri, &all)
    }

    fn error(&self, issuer: &Issuer, code: &str, description: &str) -> String {
        self.answer(issuer, &[("error", code), ("error_description", description)])
    }
}

/// What a SHA-256 looks like in base64url; longer ones are tolerated as RFC 7636 §4.2 allows them, though they can
/// never be met.
fn is_challenge(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
}

const START_AGAIN: &str = "Go back to the application and start again.";
