//! The form that came back: is it ours, is the password right, may this user in (README §5.3).
//!
//! There is no cookie: no request has an authority of its own, since the password is typed every time. What keeps others
//! from sending the form are the fields by which browsers say where it comes from, and a token over all its parameters.
//!
//! Invariants: an unknown user costs what a known one costs and gets the same answer (T-14); a try is counted before any
//! work is done for it; passwords are compared elsewhere, a bounded number at a time.

use super::show::Notice;
use super::{Ask, Code, Visit};
use crate::digest::Hash;
use crate::event::{Candidate, StoreKey};
use crate::http::Reply;
use crate::http::RequestHead;
use crate::log::Level;
use crate::oauth::issuer::Issuer;
use crate::oauth::params::Params;
use crate::oauth::resource::Audience;
use crate::oauth::secret::{Purpose, mint, mint_id};
use crate::oauth::store::unix;
use crate::oauth::{Effect, Server};
use crate::password::{self, PASSWORD_BYTES_MAX};
use crate::redacted::Redacted;
use crate::time::Mono;
use base64ct::{Base64UrlUnpadded, Encoding};
use std::collections::VecDeque;
use subtle::ConstantTimeEq;

/// How long a form may be open.
const FORM_SECONDS: u64 = 30 * 60;
/// Longest name of a user.
const USER_BYTES_MAX: usize = 256;
/// Passwords that wait to be compared, of those who have logged in from where they are, and of all others.
const JOBS_MAX: usize = 64;
/// How long one may wait. With some 50 ms for each the last of both queues waits for 6 s; where hashes are slower, it is
/// told to come back. Short of the 30 s after which browsers and reverse proxies lose patience.
const QUEUE_MS: u64 = 10_000;

/// What the browser sent beside the parameters of the request.
#[derive(Debug)]
pub(in crate::oauth) struct Form {
    user: String,
    password: Redacted<String>,
    token: String,
    /// The page it comes from did not say where it was.
    origin_is_null: bool,
}

/// A number for a comparison that is under way.
pub(in crate::oauth) type Job = u64;

/// Logins that wait for their password to be compared: one at a time, so that the memory of one hash is all it takes.
#[derive(Debug, Default)]
pub(in crate::oauth) struct Logins {
    under_way: Option<(Job, Login)>,
    /// Of those who have logged in from where they are: they go first, whatever others do.
    known: VecDeque<Queued>,
    others: VecDeque<Queued>,
    last: Job,
    /// Those that wait for the file of users to be looked at.
    pub(in crate::oauth) waiting: Vec<(Visit, Ask, Form)>,
}

#[derive(Debug)]
struct Queued {
    login: Login,
    candidate: Box<Candidate>,
    until: Mono,
}

#[derive(Debug)]
struct Login {
    visit: Visit,
    ask: Ask,
    user: String,
    nonce: String,
    verdict: Verdict,
}

/// What the result of a comparison means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It decides.
    Compared,
    /// It is only for the time it takes; this was clear before.
    Decided(bool),
}

/// What a form has beside the parameters of the request. Whoever stands in front may read another one of two than we do,
/// so each occurs once (FT-511).
pub(super) const FIELDS: [&str; 3] = ["username", "password", "form_token"];

impl Form {
    /// Takes what is not a parameter of the request out of a form. `None` if nobody signed in with it.
    pub(in crate::oauth) fn take(head: &RequestHead, params: &mut Params) -> Option<Self> {
        let (user, password) = (params.take("username"), params.take("password"));
        let token = params.take("form_token").unwrap_or_default();
        if user.is_none() && password.is_none() {
            return None;
        }
        Some(Self {
            user: user.unwrap_or_default(),
            password: Redacted::new(password.unwrap_or_default()),
            token,
            origin_is_null: head.origin().ok().flatten() == Some("null"),
        })
    }
}

/// Whether a form comes from our own page, as far as the browser says (T-17).
pub(super) fn is_own_form(head: &RequestHead, issuer: &Issuer) -> bool {
    if head.header("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Ok(origin) = head.origin() else { return false };
    let Some(origin) = origin else { return true };
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    // `null` needs a good token; that is looked at later.
    origin == issuer.origin() || origin == "null" || (host.is_some() && host == head.host())
}

impl Server {
    /// The file of users may have changed: it is looked at before each login, once for all who wait.
    pub(super) fn await_users(&mut self, visit: Visit, ask: Ask, form: Form) {
        if self.logins.waiting.len() >= JOBS_MAX {
            return self.show_form(&visit, &ask, Notice::Busy, &form.user);
        }
        self.logins.waiting.push((visit, ask, form));
        if self.logins.waiting.len() == 1 {
            self.effect(Effect::Load(StoreKey::Users));
        }
    }

    /// A form came back for a request that is in order.
    pub(in crate::oauth) fn log_in(&mut self, visit: Visit, ask: Ask, form: Form) {
        let nonce = match self.check_token(&visit, &form.token) {
            Token::Good(nonce) => nonce,
            Token::Stale => return self.show_form(&visit, &ask, Notice::Stale, &form.user),
            Token::Bad => {
                let reason = if form.origin_is_null { "cross-site form" } else { "form token" };
                self.event(Level::Warn, "login_failed", &[("reason", reason), ("ip", &visit.ip())]);
                return self.show_form(&visit, &ask, Notice::Forged, &form.user);
            }
        };
        let from = visit.address.networks();
        let known = self.throttle.logins.knows(self.now.mono, &form.user, &from);
        if let Err(seconds) = self.throttle.logins.admit(self.now.mono, &form.user, &from) {
            self.event(Level::Warn, "login_throttled", &[("user", &form.user), ("ip", &visit.ip())]);
            return self.show_form(&visit, &ask, Notice::Throttled(seconds), &form.user);
        }
        self.end_waits();
        let queue = if known { &self.logins.known } else { &self.logins.others };
        if queue.len() >= JOBS_MAX {
            return self.show_form(&visit, &ask, Notice::Busy, &form.user);
        }
        self.compare(visit, ask, form, nonce, known);
    }

    /// Lets the password be compared with what is stored for its user. Whoever is unknown is compared with a
    /// hash that takes as long as the slowest.
    fn compare(&mut self, visit: Visit, ask: Ask, form: Form, nonce: String, known: bool) {
        let Form { user, password, .. } = form;
        let possible = password.expose().len() <= PASSWORD_BYTES_MAX && user.len() <= USER_BYTES_MAX;
        let stored = self.users.stored(&user).filter(|_| possible).cloned();
        let decoy = self.users.decoy().cloned();
        let plain = |stored: &Redacted<String>| password::plain_matches(password.expose(), stored.expose());
        let (against, verdict) = match (&stored, decoy) {
            (Some(stored), _) if password::Kind::of(stored.expose()).is_hash() => {
                (stored.clone(), Verdict::Compared)
            }
            (stored, Some(decoy)) => (decoy, Verdict::Decided(stored.as_ref().is_some_and(plain))),
            (stored, None) => {
                let dummy = Redacted::new(String::new());
                let matches = plain(stored.as_ref().unwrap_or(&dummy)) && stored.is_some();
                return self.finish_login(
                    Login { visit, ask, user, nonce, verdict: Verdict::Decided(matches) },
                    matches,
                );
            }
        };
        let password = if possible { password } else { Redacted::new(String::new()) };
        let candidate = Box::new(Candidate { password, stored: against });
        let login = Login { visit, ask, user, nonce, verdict };
        let until = self.now.mono.plus_ms(QUEUE_MS);
        let queue = if known { &mut self.logins.known } else { &mut self.logins.others };
        queue.push_back(Queued { login, candidate, until });
        self.compare_next();
    }

    /// Has the next password compared, unless one is.
    fn compare_next(&mut self) {
        self.end_waits();
        if self.logins.under_way.is_some() {
            return;
        }
        let logins = &mut self.logins;
        let Some(next) = logins.known.pop_front().or_else(|| logins.others.pop_front()) else { return };
        logins.last = logins.last.wrapping_add(1);
        let job = logins.last;
        logins.under_way = Some((job, next.login));
        self.effect(Effect::Derive { job, candidate: next.candidate });
    }

    /// Tells those who have waited for too long to come back. Asked whenever a comparison ends or a login comes, and now
    /// and then.
    pub(in crate::oauth) fn end_waits(&mut self) {
        loop {
            let now = self.now.mono;
            let is_late = |queue: &VecDeque<Queued>| queue.front().is_some_and(|first| now >= first.until);
            let late = if is_late(&self.logins.known) {
                self.logins.known.pop_front()
            } else if is_late(&self.logins.others) {
                self.logins.others.pop_front()
            } else {
                None
            };
            let Some(Queued { login, .. }) = late else { return };
            self.event(Level::Warn, "login_delayed", &[("user", &login.user), ("ip", &login.visit.ip())]);
            self.show_form(&login.visit, &login.ask, Notice::Busy, &login.user);
        }
    }

    /// A password was compared.
    pub(in crate::oauth) fn on_derived(&mut self, job: Job, matches: bool) {
        let Some((_, login)) = self.logins.under_way.take_if(|(running, _)| *running == job) else { return };
        let matches = match login.verdict {
            Verdict::Compared => matches,
            Verdict::Decided(decided) => decided,
        };
        self.finish_login(login, matches);
        self.compare_next();
    }

    fn finish_login(&mut self, login: Login, matches: bool) {
        let Login { visit, ask, user, nonce, .. } = login;
        let (ip, client) = (visit.ip(), ask.client.id.clone());
        let facts = [("client", client.as_str()), ("user", user.as_str()), ("ip", ip.as_str())];
        if !matches {
            self.event(Level::Warn, "login_failed", &facts);
            return self.show_form(&visit, &ask, Notice::WrongPassword, &user);
        }
        self.throttle.logins.succeeded(self.now.mono, &user, &visit.address.networks());
        if !self.may_use(&user, &ask.audience) {
            self.event(Level::Warn, "login_denied", &facts);
            return self.show_form(&visit, &ask, Notice::NotPermitted, &user);
        }
        if self.codes.is_spent(&nonce) {
            self.event(Level::Info, "login_repeated", &facts);
            let message = "This login was completed already. You can close this window.";
            return self.show_error(&visit, 200, "Already connected", message, "", None);
        }
        self.event(Level::Info, "login_ok", &facts);
        let code = mint(&mut self.rng, Purpose::Code);
        let life = u64::from(self.settings.options.code_seconds).saturating_mul(1000);
        let entry = Code {
            client_id: ask.client.id.clone(),
            redirect_uri: ask.target.uri.clone(),
            challenge: ask.challenge.clone(),
            cred_fp: self.users.fingerprint(&user).unwrap_or_default().to_owned(),
            user: user.clone(),
            audience: ask.audience.clone(),
            scope: ask.scope,
            nonce,
            expires: self.now.mono.plus_ms(life),
        };
        let hash = Hash::of(code.expose());
        self.codes.insert(hash, entry);
        self.event(
            Level::Info,
            "code_issued",
            &[("client", &client), ("user", &user), ("code", &hash.to_string())],
        );
        let url = ask.target.answer(&visit.issuer, &[("code", code.expose())]);
        if self.settings.options.success_page {
            self.show_success(&visit, &ask, &user, url);
        } else {
            self.reply(visit.request, Reply::redirect(&url));
        }
    }

    /// Whether a user may use what a request is for: each server that it names, or at least one.
    fn may_use(&self, user: &str, audience: &Audience) -> bool {
        let mut protected = self.settings.resources.iter().filter(|server| server.protected);
        match audience {
            Audience::All => protected.any(|server| server.users.admits(user)),
            Audience::Servers(keys) => {
                protected.filter(|server| keys.contains(&server.key)).all(|server| server.users.admits(user))
            }
        }
    }

    /// A token for a form that asks for these parameters.
    pub(super) fn form_token(&mut self, visit: &Visit) -> String {
        let nonce = mint_id(&mut self.rng);
        let time = unix(self.now).to_string();
        let seal = self.seal_form(visit, &time, &nonce);
        format!("{time}.{nonce}.{}", Base64UrlUnpadded::encode_string(&seal))
    }

    fn check_token(&self, visit: &Visit, token: &str) -> Token {
        let mut parts = token.split('.');
        let (Some(time), Some(nonce), Some(seal), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Token::Bad;
        };
        let expected = Base64UrlUnpadded::encode_string(&self.seal_form(visit, time, nonce));
        if !bool::from(expected.as_bytes().ct_eq(seal.as_bytes())) {
            return Token::Bad;
        }
        let made = time.parse::<u64>().unwrap_or(0);
        match unix(self.now).abs_diff(made) > FORM_SECONDS {
            true => Token::Stale,
            false => Token::Good(nonce.to_owned()),
        }
    }

    fn seal_form(&self, visit: &Visit, time: &str, nonce: &str) -> [u8; 32] {
        let get = |name: &str| visit.params.get(name).unwrap_or_default();
        let resources: Vec<&str> = visit.params.resources().collect();
        let resources = resources.join(" ");
        let parts = ["form", time, nonce, get("client_id"), get("redirect_uri"), get("response_type")];
        let more = [get("scope"), get("state"), get("code_challenge"), resources.as_str()];
        self.book.durable().key.seal(parts.into_iter().chain(more))
    }
}

/// What a form token is worth.
enum Token {
    /// Good; its nonce.
    Good(String),
    Stale,
    Bad,
}
