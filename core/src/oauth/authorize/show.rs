//! Pages: what stands on them, and the header fields that keep others from using them.
//!
//! A template may have changed since the last page, so the host is asked for it each time; pages that are wanted
//! meanwhile wait for the same answer.
//!
//! Invariants: every page carries the same protection (T-19); `form-action` names the validated target as well, since
//! some browsers apply it to everywhere a form leads; no page is ever cached.

use super::{Ask, Visit};
use crate::event::{Content, StoreKey};
use crate::http::Reply;
use crate::log::Level;
use crate::oauth::client::Origin;
use crate::oauth::page::{PageKind, Pages, Values};
use crate::oauth::resource::Audience;
use crate::oauth::secret::mint_id;
use crate::oauth::{Effect, RequestId, Server};
use crate::redirect_uri::{form_action_source, is_builtin_claude, is_loopback, shown_host};
use std::collections::BTreeMap;

/// What is said above the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    None,
    WrongPassword,
    /// The form was open for too long.
    Stale,
    /// The form is not one of ours, or was changed.
    Forged,
    /// So many seconds to wait.
    Throttled(u64),
    Busy,
    NotPermitted,
}

impl Notice {
    fn status(self) -> u16 {
        match self {
            Self::None | Self::WrongPassword | Self::Stale => 200,
            Self::Forged => 400,
            Self::NotPermitted => 403,
            Self::Throttled(_) => 429,
            Self::Busy => 503,
        }
    }

    fn message(self) -> String {
        let text = match self {
            Self::None => "",
            Self::WrongPassword => "Invalid username or password. Please try again.",
            Self::Stale | Self::Forged => "The page was open too long, please try again.",
            Self::Throttled(seconds) => {
                return format!("Too many attempts. Please wait {seconds} s and try again.");
            }
            Self::Busy => "Many people are signing in at the moment. Please try again in a few seconds.",
            Self::NotPermitted => "You are not permitted to use this server.",
        };
        text.to_owned()
    }
}

/// A page that waits for its template.
#[derive(Debug)]
struct Wanted {
    request: RequestId,
    status: u16,
    values: Values<'static>,
    headers: Vec<(&'static str, String)>,
}

/// The templates, and the pages that wait for them.
#[derive(Debug)]
pub(in crate::oauth) struct Presenter {
    pages: Pages,
    waiting: BTreeMap<PageKind, Vec<Wanted>>,
    /// The last complaint about each, so that it is made once.
    complaints: BTreeMap<PageKind, String>,
}

impl Presenter {
    pub(in crate::oauth) fn new() -> Self {
        Self { pages: Pages::new(), waiting: BTreeMap::new(), complaints: BTreeMap::new() }
    }
}

impl Server {
    /// The login form.
    pub(super) fn show_form(&mut self, visit: &Visit, ask: &Ask, notice: Notice, user: &str) {
        let token = self.form_token(visit);
        let params = &visit.params;
        let get = |name: &str| params.get(name).unwrap_or_default().to_owned();
        let resources: Vec<&str> = params.resources().collect();
        let issuer = &visit.issuer;
        let client_host = match &ask.client.origin {
            Origin::Document(host) => host.clone(),
            Origin::Fixed | Origin::Registered => String::new(),
        };
        let values = Values::new()
            .set("ClientName", client_name(ask))
            .set("ClientID", get("client_id"))
            .set("ClientHost", client_host)
            .set("ResourceName", self.resource_name(&ask.audience))
            .set("RedirectURI", get("redirect_uri"))
            .set("RedirectHost", shown_host(&ask.target.uri))
            .set("ResponseType", "code")
            .set("Scope", get("scope"))
            .set("State", get("state"))
            .set("CodeChallenge", ask.challenge.clone())
            .set("CodeChallengeMethod", "S256")
            .set("Resource", resources.join(" "))
            .set("ErrorMessage", notice.message())
            .set("Username", user.to_owned())
            .set("FormToken", token)
            .set("FormAction", format!("{}/oauth/authorize", issuer.path()))
            .set("CancelURL", ask.target.error(issuer, "access_denied", "the user cancelled"))
            .set("ProxyName", self.settings.name.clone())
            .set("Lang", "en")
            .set_flag("IsLoopback", is_loopback(&ask.target.uri))
            .set_flag("AllResources", ask.audience == Audience::All);
        let mut headers = Vec::new();
        if let Notice::Throttled(seconds) = notice {
            headers.push(("retry-after", seconds.to_string()));
        }
        self.present(visit, PageKind::Authorize, notice.status(), values, headers, Some(&ask.target.uri));
    }

    /// After the login. The client gets its answer from here by a script or a link, not by a redirect of the form: some
    /// browsers hold a form to its page's policy through every hop.
    pub(super) fn show_success(&mut self, visit: &Visit, ask: &Ask, user: &str, url: String) {
        let values = Values::new()
            .set("Username", user.to_owned())
            .set("RedirectURL", url)
            .set("ClientName", client_name(ask))
            .set("RedirectHost", shown_host(&ask.target.uri))
            .set("ProxyName", self.settings.name.clone())
            .set("Lang", "en");
        self.present(visit, PageKind::Success, 200, values, Vec::new(), Some(&ask.target.uri));
    }

    /// When there is nothing to sign in to.
    pub(super) fn show_error(
        &mut self,
        visit: &Visit,
        status: u16,
        title: &str,
        message: &str,
        hint: &str,
        retry: Option<(String, &str)>,
    ) {
        self.show_problem(visit, status, [title, message, hint], retry, Vec::new());
    }

    /// When somebody asks too often for a page with a way back.
    pub(super) fn show_wait(&mut self, visit: &Visit, seconds: u64) {
        let message = format!("This was tried too often. Please wait {seconds} s and try again.");
        let headers = vec![("retry-after", seconds.to_string())];
        self.show_problem(visit, 429, ["This cannot be connected", &message, ""], None, headers);
    }

    fn show_problem(
        &mut self,
        visit: &Visit,
        status: u16,
        [title, message, hint]: [&str; 3],
        retry: Option<(String, &str)>,
        headers: Vec<(&'static str, String)>,
    ) {
        let (url, text) = retry.map_or_else(Default::default, |(url, text)| (url, text.to_owned()));
        let values = Values::new()
            .set("Title", title.to_owned())
            .set("Message", message.to_owned())
            .set("Hint", hint.to_owned())
            .set("RetryURL", url)
            .set("RetryText", text)
            .set("ProxyName", self.settings.name.clone())
            .set("Lang", "en");
        self.present(visit, PageKind::Error, status, values, headers, None);
    }

    fn present(
        &mut self,
        visit: &Visit,
        kind: PageKind,
        status: u16,
        values: Values<'static>,
        mut headers: Vec<(&'static str, String)>,
        target: Option<&str>,
    ) {
        let nonce = mint_id(&mut self.rng);
        let action = target.map(|uri| format!(" {}", form_action_source(uri))).unwrap_or_default();
        headers.push((
            "content-security-policy",
            format!(
                "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src 'self' data:; \
                 base-uri 'none'; frame-ancestors 'none'; form-action 'self'{action}"
            ),
        ));
        if visit.issuer.is_secure() {
            headers.push(("strict-transport-security", "max-age=31536000".to_owned()));
        }
        let values = values.set("CSPNonce", nonce);
        let wanted = Wanted { request: visit.request, status, values, headers };
        let waiting = self.presenter.waiting.entry(kind).or_default();
        waiting.push(wanted);
        if waiting.len() == 1 {
            self.effect(Effect::Load(StoreKey::Page(kind)));
        }
    }

    /// The host has looked at a template.
    pub(in crate::oauth) fn on_page(&mut self, kind: PageKind, result: Result<Content<'_>, &str>) {
        let replaced = match result {
            Ok(Content::Same) => Ok(false),
            Ok(Content::Absent) if self.presenter.pages.is_builtin(kind) => Ok(false),
            Ok(Content::Absent) => {
                self.presenter.pages.replace(kind, None).map(|()| true).map_err(|e| e.to_string())
            }
            Ok(Content::Bytes(bytes)) => self
                .presenter
                .pages
                .replace(kind, Some(bytes))
                .map(|()| true)
                .map_err(|error| error.to_string()),
            Err(reason) => Err(reason.to_owned()),
        };
        let file = kind.file_name();
        match replaced {
            Ok(true) => {
                self.presenter.complaints.remove(&kind);
                self.event(Level::Info, "template_reload", &[("file", file)]);
            }
            Ok(false) => {}
            Err(reason) => {
                let known = self.presenter.complaints.insert(kind, reason.clone());
                if known.as_ref() != Some(&reason) {
                    let rest = "the version before stays in use";
                    self.event(
                        Level::Warn,
                        "template_error",
                        &[("file", file), ("reason", &reason), ("so", rest)],
                    );
                }
            }
        }
        for wanted in self.presenter.waiting.remove(&kind).unwrap_or_default() {
            let body = self.presenter.pages.render(kind, &wanted.values);
            let mut reply = Reply::html(wanted.status, body);
            for (name, value) in HEADERS {
                reply = reply.with(name, value);
            }
            for (name, value) in wanted.headers {
                reply = reply.with(name, value);
            }
            self.reply(wanted.request, reply);
        }
    }

    /// What a login is for, in words.
    fn resource_name(&self, audience: &Audience) -> String {
        match audience {
            Audience::All => self.settings.name.clone(),
            Audience::Servers(keys) => {
                let named = self.settings.resources.iter().filter(|server| keys.contains(&server.key));
                named.map(|server| server.label.as_str()).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// The name of the client: its own words, unless it says none.
fn client_name(ask: &Ask) -> String {
    if is_builtin_claude(&ask.target.uri) {
        return "Claude".to_owned();
    }
    match ask.client.name.as_str() {
        "" => "An unverified application".to_owned(),
        name => name.to_owned(),
    }
}

/// What every page carries (RFC 9700 §4.2, §4.16). With `no-referrer` browsers would send `Origin: null` with the form.
/// There is no `Cross-Origin-Opener-Policy`: hosted clients open the page as a popup and wait for it.
const HEADERS: [(&str, &str); 4] = [
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("x-robots-tag", "noindex"),
];
