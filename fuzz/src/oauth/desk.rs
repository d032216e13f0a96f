//! An authorization server on a table: its disk, its clock, its answers, and what a client remembers of them.

use crate::tape::Tape;
use mcp_proxy_core::config::{Source, parse};
use mcp_proxy_core::event::{Content, StoreKey};
use mcp_proxy_core::http::{Limits, Server as Http, ServerEvent};
use mcp_proxy_core::oauth::page::PageKind;
use mcp_proxy_core::oauth::{Effect, Fetched, Reply, Request, RequestId, Server, Settings, Start};
use mcp_proxy_core::route::Place;
use mcp_proxy_core::time::{Mono, Now, Unix};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

pub(super) const BASE: &str = "https://mcp.example.com";
pub(super) const CALLBACK: &str = "https://claude.ai/api/mcp/auth_callback";
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A store that some version wrote.
pub(super) const STORED: &str = r#"{"format":2,"savedAt":1800000000,"hmacKey":"0707070707070707070707070707070707070707070707070707070707070707","clients":{"c":{"name":"x","redirectUris":["https://claude.ai/api/mcp/auth_callback"],"method":"none"}},"later":{"a":1}}"#;

/// What a client remembers.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) client: String,
    pub(super) code: String,
    pub(super) refresh: String,
    pub(super) form_token: String,
}

/// What a request was for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    Any,
    /// A login; whether with the right password.
    Login(bool),
    /// New tokens for a refresh token. Several that are under way get the same.
    Refresh,
    /// The end of this access token, or of the one that the refresh token has.
    Revocation(String),
}

#[derive(Debug)]
pub(super) struct Desk {
    /// A hash of the input: passwords and randomness have it in them, so that no input can write a secret itself.
    mark: u64,
    config: String,
    server: Server,
    starts: u8,
    disk: Option<Vec<u8>>,
    pending: VecDeque<Effect>,
    waiting: BTreeMap<RequestId, Purpose>,
    last: RequestId,
    now: Now,
    /// Somebody has logged in with the right password.
    is_logged_in: bool,
    pub(super) known: Known,
    /// Access tokens that were given out, each with its refresh token.
    tokens: BTreeMap<String, String>,
    /// Access tokens that must not open anything.
    dead: BTreeSet<String>,
    secrets: BTreeSet<String>,
}

impl Desk {
    pub(super) fn new(input: &[u8], config: &str, disk: Option<Vec<u8>>) -> Self {
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        let mark = hasher.finish();
        let config = marked(config, mark);
        let now = Now { mono: Mono(1), unix: Unix(1_800_000_000_000) };
        let mut desk = Self {
            mark,
            server: server(&config, now, (mark, 0)),
            config,
            starts: 0,
            disk,
            pending: VecDeque::new(),
            waiting: BTreeMap::new(),
            last: 0,
            now,
            is_logged_in: false,
            known: Known { client: "c".to_owned(), ..Known::default() },
            tokens: BTreeMap::new(),
            dead: BTreeSet::new(),
            secrets: ["right-password", "another-password"].map(|password| marked(password, mark)).into(),
        };
        desk.server.start();
        desk.work();
        desk.answer_all();
        desk
    }

    /// Whether requests may come.
    pub(super) fn is_ready(&self) -> bool {
        *self.server.progress() == Start::Ready
    }

    pub(super) fn send(&mut self, text: &str) {
        self.request(text.as_bytes(), Purpose::Any);
    }

    pub(super) fn send_raw(&mut self, bytes: &[u8]) {
        self.request(bytes, Purpose::Any);
    }

    pub(super) fn post(&mut self, path: &str, kind: &str, body: &[u8]) {
        let refreshes = body.starts_with(b"grant_type=refresh_token&");
        self.post_for(path, kind, body, if refreshes { Purpose::Refresh } else { Purpose::Any });
    }

    pub(super) fn log_in(&mut self, form: &str, is_right: bool) {
        let (form, purpose) = (marked(form, self.mark), Purpose::Login(is_right));
        self.post_for("/oauth/authorize", "application/x-www-form-urlencoded", form.as_bytes(), purpose);
    }

    /// The end of an access token, or of a grant by its refresh token.
    pub(super) fn revoke(&mut self, by_refresh: bool) {
        let access = self.tokens.last_key_value().map(|(token, _)| token.clone()).unwrap_or_default();
        let (token, purpose) = if by_refresh {
            (self.known.refresh.clone(), Purpose::Any)
        } else {
            (access.clone(), Purpose::Revocation(access))
        };
        let form = format!("token={token}&client_id={}", self.known.client);
        self.post_for("/oauth/revoke", "application/x-www-form-urlencoded", form.as_bytes(), purpose);
    }

    fn post_for(&mut self, path: &str, kind: &str, body: &[u8], purpose: Purpose) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.request(&[head.as_bytes(), body].concat(), purpose);
    }

    fn request(&mut self, bytes: &[u8], purpose: Purpose) {
        let mut http = Http::new(Limits::default());
        http.push(bytes);
        if http.next() != Ok(Some(ServerEvent::Head)) {
            return;
        }
        let peer = IpAddr::from([203, 0, 113, 9]);
        self.server.set_now(self.now);
        match self.server.admit(http.head(), peer) {
            Err(reply) => self.check_reply(&reply, &purpose),
            Ok(max) => {
                if http.limit_body(max).is_ok() && http.next() == Ok(Some(ServerEvent::Request)) {
                    self.last += 1;
                    self.waiting.insert(self.last, purpose);
                    self.server.handle(self.last, &Request { head: http.head(), body: http.body(), peer });
                }
            }
        }
        self.work();
    }

    /// Takes what the server wants; replies and log lines are looked at at once.
    fn work(&mut self) {
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Reply { request, reply } => {
                    let purpose = self.waiting.remove(&request);
                    let purpose = purpose.unwrap_or_else(|| panic!("{request} is answered twice"));
                    self.check_reply(&reply, &purpose);
                }
                Effect::Log(_, line) => {
                    assert!(!line.contains(['\r', '\n']), "{line:?}");
                    self.check_secrets(&line, "a log line");
                }
                Effect::Save { ticket, bytes } => {
                    let text = String::from_utf8(bytes.expose().to_vec()).expect("the store is text");
                    self.check_secrets(&text, "the store");
                    self.pending.push_back(Effect::Save { ticket, bytes });
                }
                other => self.pending.push_back(other),
            }
        }
    }

    fn check_secrets(&self, text: &str, place: &str) {
        for secret in &self.secrets {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }

    fn check_reply(&mut self, reply: &Reply, purpose: &Purpose) {
        assert!((200..=503).contains(&reply.status), "{reply:?}");
        for (name, value) in &reply.headers {
            assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
        }
        let kind = reply.header("content-type").unwrap_or_default();
        let json: Value = if kind == "application/json" && !reply.body.is_empty() {
            serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {reply:?}"))
        } else {
            Value::Null
        };
        assert!(reply.status < 400 || json.is_null() || json["error"].is_string(), "{reply:?}");
        self.remember(reply, &json, purpose);
    }

    fn remember(&mut self, reply: &Reply, json: &Value, purpose: &Purpose) {
        let member = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        if reply.status == 201 {
            self.known.client = member("client_id");
            self.secrets.extend(json["client_secret"].as_str().map(str::to_owned));
        }
        if let Some(token) = between(&reply.body, "name=\"form_token\" value=\"", "\"") {
            self.known.form_token = token.to_owned();
        }
        let places = [reply.header("location").unwrap_or_default(), reply.body.as_str()];
        // An error page may lead back with a code that was never made, so that the application registers anew.
        let code = places.into_iter().find_map(|text| between(text, "?code=", "&"));
        if let Some(code) = code.filter(|_| reply.status < 400) {
            assert_eq!(*purpose, Purpose::Login(true), "a code without the right password: {code} {reply:?}");
            self.is_logged_in = true;
            self.known.code = code.to_owned();
            self.secrets.insert(code.to_owned());
        }
        if json["access_token"].is_string() {
            self.known.refresh = member("refresh_token");
            self.secrets.extend([member("access_token")].into_iter().filter(|token| !token.is_empty()));
            self.secrets.extend([member("refresh_token")].into_iter().filter(|token| !token.is_empty()));
            assert!(self.is_logged_in, "a token without a login");
            let before = self.tokens.insert(member("access_token"), member("refresh_token"));
            let again = before.is_none_or(|refresh| *purpose == Purpose::Refresh && refresh == self.known.refresh);
            assert!(again, "a token was given out twice");
        }
        if let Purpose::Revocation(token) = purpose
            && reply.status == 200
        {
            self.dead.insert(token.clone());
        }
    }

    /// What is dead opens nothing.
    pub(super) fn check_tokens(&mut self) {
        self.server.set_now(self.now);
        for token in &self.dead {
            assert!(!self.opens(token), "a dead token opens a server");
        }
        assert!(!self.opens("") && !self.opens("x"), "nothing opens a server");
    }

    fn opens(&self, token: &str) -> bool {
        self.server.check(Place::Server(mcp_proxy_core::id::ServerId(0)), Some(&format!("Bearer {token}"))).is_ok()
    }

    /// Time passes on both clocks. No access token lives for a day.
    pub(super) fn pass(&mut self, seconds: u64) {
        self.now.mono = self.now.mono.plus_ms(seconds * 1_000);
        self.now.unix.0 += seconds * 1_000;
        if seconds >= 86_400 {
            self.dead.extend(self.tokens.keys().cloned());
        }
        self.server.set_now(self.now);
        self.server.tick();
        self.work();
    }

    /// One of the things that the server waits for ends, well or badly.
    pub(super) fn answer_one(&mut self, place: usize, badly: bool, tape: &mut Tape<'_>) {
        let Some(effect) = self.pending.remove(place) else { return };
        self.server.set_now(self.now);
        match effect {
            Effect::Save { ticket, .. } if badly => self.server.on_saved(ticket, Err("disk full")),
            Effect::Fetch { job, .. } => {
                let fetched = Fetched {
                    status: tape.pick(&[200, 200, 304, 404, 500]),
                    media_type: tape.pick(&["application/json", "text/html", ""]).to_owned(),
                    cache_control: tape.pick(&["", "max-age=600", "no-store", "max-age=99999999999999999999"]).to_owned(),
                    body: {
                        let len = tape.byte().into();
                        tape.take(len).to_vec()
                    },
                };
                self.server.on_fetched(job, if badly { Err("no network".to_owned()) } else { Ok(fetched) });
            }
            other => self.answer(other),
        }
        self.work();
    }

    /// Everything that the server waits for ends well.
    pub(super) fn answer_all(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let Some(effect) = self.pending.pop_front() else { return };
            self.answer(effect);
            self.work();
        }
        panic!("the server always wants more: {:?}", self.pending);
    }

    fn answer(&mut self, effect: Effect) {
        match effect {
            Effect::Load(StoreKey::OAuth) => {
                let disk = self.disk.clone();
                self.server.on_loaded(StoreKey::OAuth, Ok(disk.as_deref().map_or(Content::Absent, Content::Bytes)));
            }
            Effect::Load(key) => self.server.on_loaded(key, Ok(Content::Absent)),
            Effect::Save { ticket, bytes } => {
                self.disk = Some(bytes.expose().to_vec());
                self.server.on_saved(ticket, Ok(()));
            }
            Effect::SetAside => self.server.on_set_aside(Ok("elsewhere")),
            Effect::Derive { job, candidate } => {
                self.server.on_compared(job, candidate.password == candidate.stored);
            }
            Effect::Fetch { job, .. } => self.server.on_fetched(job, Err("no network".to_owned())),
            Effect::Reply { .. } | Effect::Log(..) => {}
        }
    }

    /// The operator changes a template, or the file of users.
    pub(super) fn reload(&mut self, page: PageKind, users: bool, bytes: &[u8]) {
        let key = if users { StoreKey::Users } else { StoreKey::Page(page) };
        let text = std::str::from_utf8(bytes).map(|text| marked(text, self.mark));
        self.server.on_loaded(key, Ok(Content::Bytes(text.as_ref().map_or(bytes, |text| text.as_bytes()))));
        self.work();
    }

    /// The process ends and starts again from what is on the disk. Only if everything was saved must tokens survive.
    pub(super) fn restart(&mut self) {
        self.answer_all();
        self.server.set_now(self.now);
        let good: Vec<String> = self.tokens.keys().filter(|token| self.opens(token)).cloned().collect();
        self.starts = self.starts.wrapping_add(1);
        self.server = server(&self.config, self.now, (self.mark, self.starts));
        self.pending.clear();
        self.waiting.clear();
        self.server.start();
        self.work();
        self.answer_all();
        assert!(self.is_ready(), "what was stored cannot be read again: {:?}", self.server.progress());
        for token in good {
            assert!(self.opens(&token), "a token did not survive a restart");
        }
    }

    /// Nobody waits for ever.
    pub(super) fn finish(&mut self) {
        self.answer_all();
        assert!(self.waiting.is_empty(), "requests without an answer: {:?}", self.waiting);
        if self.is_ready() {
            self.restart();
        }
    }
}

/// The passwords in a text with the mark of the run.
fn marked(text: &str, mark: u64) -> String {
    text.replace("-password", &format!("-password-{mark:016x}"))
}

/// Each start of each run has randomness of its own.
fn server(oauth2: &str, now: Now, (mark, start): (u64, u8)) -> Server {
    let options = format!("{{\"enabled\":true,{}", oauth2.trim_start_matches('{'));
    let text = format!(
        "{{\"mcpProxy\":{{\"baseURL\":\"{BASE}\",\"type\":\"streamable-http\",\"options\":{{\"oauth2\":{options}}}}},\
         \"mcpServers\":{{\"fs\":{{\"command\":\"x\"}},\"db\":{{\"command\":\"y\"}}}}}}"
    );
    let source = Source { text: &text, name: "desk.json", strict: true, env: None };
    let loaded = parse(&source).unwrap_or_else(|notices| panic!("{notices:?}"));
    let mut seed = [start; 32];
    seed[..8].copy_from_slice(&mark.to_le_bytes());
    let mut server = Server::new(Settings::of(&loaded.config).expect("a server"), seed);
    server.set_now(now);
    server
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split(after).next().map(|found| found.split(['"', '<']).next().unwrap_or_default())
}

/// Each answer may make the server want more, but not for ever.
const ROUNDS_MAX: usize = 10_000;
