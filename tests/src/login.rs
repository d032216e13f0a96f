//! Model OAuth clients and the people before their browsers: verbs over a [`World`] for everything that leads to a
//! token, and for what can be done with one.
//!
//! Every secret that is issued is guarded from then on: no log record may hold it (T-33). Left out: what a browser does
//! with a page beyond reading its form and its links.

mod cast;
mod page;

pub use page::{Answer, Form, code_in, encode, parameter};

use crate::client::{Progress, Xid};
use crate::world::World;
use serde_json::{Value, json};

/// The password of the user `ann`.
pub const ANN: &str = "password-of-ann";
/// The password of the user `ben`.
pub const BEN: &str = "password-of-ben";
/// Where hosted clients are called back.
pub const CALLBACK: &str = "https://claude.ai/api/mcp/auth_callback";
/// What a state parameter looks like.
pub const STATE: &str = "state of the client+%=";

/// Verifiers and the challenges that belong to them, made by another program (RFC 7636 §4.2).
const PKCE: [(&str, &str); 4] = [
    ("verifier-0-abcdefghijklmnopqrstuvwxyz012345", "DpdcYpYInHKWXeGoO0WFDEdHAOGbGt2pKUDbZiEhR30"),
    ("verifier-1-abcdefghijklmnopqrstuvwxyz012345", "33zjJ16tWL55rp5KDwGzZCTO-jmVJnL6xR_WiigOqyc"),
    ("verifier-2-abcdefghijklmnopqrstuvwxyz012345", "zjoanno6r5B_ae76zZdehqUQstEvRraw7vu3BRU3DJU"),
    ("verifier-3-abcdefghijklmnopqrstuvwxyz012345", "NUxKaR7MQEE-LCL0TfsZ81Ep2nAaHcFRWItrzad8DKQ"),
];

/// An application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// `client_id`
    pub id: String,
    /// `client_secret`
    pub secret: Option<String>,
    /// Where it is called back.
    pub redirect: String,
    /// Which verifier it uses.
    pub pkce: usize,
}

impl App {
    /// An application that has this id.
    pub fn new(id: &str, redirect: &str) -> Self {
        Self { id: id.to_owned(), secret: None, redirect: redirect.to_owned(), pkce: 0 }
    }

    /// What it shows when it redeems a code.
    pub fn verifier(&self) -> &'static str {
        PKCE[self.pkce].0
    }

    /// What it shows when it asks for one.
    pub fn challenge(&self) -> &'static str {
        PKCE[self.pkce].1
    }
}

/// What a client has after a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// `access_token`
    pub access: String,
    /// `refresh_token`, empty if there is none.
    pub refresh: String,
    /// `expires_in`
    pub seconds: i64,
    /// `scope`
    pub scope: String,
}

impl World {
    /// Waits until clients can connect and all servers were tried.
    #[track_caller]
    pub fn until_open(&mut self) {
        self.run_until("the proxy is open", |w| w.is_listening() && w.watch.logged("servers are ready"));
    }

    /// Sends a request of a stranger.
    pub fn begin(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Xid {
        let mut all = vec![("host", crate::client::AUTHORITY)];
        all.retain(|(name, _)| !fields.iter().any(|(own, _)| own == name));
        all.extend_from_slice(fields);
        self.raw(&crate::http::message(&format!("{method} {path} HTTP/1.1"), &all, body))
    }

    /// Waits for what comes of it.
    #[track_caller]
    pub fn ended(&mut self, xid: Xid) -> Answer {
        self.run_until("the end of a response", |w| w.exchange(xid).progress != Progress::Running);
        let exchange = self.exchange(xid);
        Answer { head: exchange.head.clone(), body: exchange.body.clone() }
    }

    /// Both. To HEAD there is no body, whatever its length is said to be: it is read until the connection is closed.
    #[track_caller]
    pub fn visit(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let xid = self.begin(method, path, fields, body);
        self.ended(xid)
    }

    /// `GET`
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.visit("GET", path, &[], "")
    }

    /// The path of `baseURL`.
    pub fn base_path(&self) -> String {
        let base = self.cast.proxy["baseURL"].as_str().unwrap_or_default();
        base.splitn(4, '/').nth(3).map(|path| format!("/{}", path.trim_end_matches('/'))).unwrap_or_default()
    }

    /// `baseURL` without its path.
    pub fn origin(&self) -> String {
        let base = self.cast.proxy["baseURL"].as_str().unwrap_or_default();
        base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
    }

    /// The URL of a server, `""` for all.
    pub fn url(&self, server: &str) -> String {
        let server = if server.is_empty() { String::new() } else { format!("/{server}/mcp") };
        format!("{}{}{server}", self.origin(), self.base_path())
    }

    /// Sends a registration.
    pub fn begin_registration(&mut self, metadata: &Value) -> Xid {
        let path = format!("{}/oauth/register", self.base_path());
        self.begin("POST", &path, &[JSON], &metadata.to_string())
    }

    /// Registers.
    #[track_caller]
    pub fn register(&mut self, metadata: &Value) -> Answer {
        let xid = self.begin_registration(metadata);
        self.registered(xid)
    }

    /// What came of a registration.
    #[track_caller]
    pub fn registered(&mut self, xid: Xid) -> Answer {
        let answer = self.ended(xid);
        if let Some(secret) = answer.json()["client_secret"].as_str() {
            self.watch.guard(secret);
        }
        answer
    }

    /// A hosted application of this name, registered.
    #[track_caller]
    pub fn app(&mut self, name: &str) -> App {
        self.app_at(name, CALLBACK)
    }

    /// The same with a target of its own.
    #[track_caller]
    pub fn app_at(&mut self, name: &str, redirect: &str) -> App {
        let answer = self.register(&public(name, redirect));
        assert_eq!(answer.status(), 201, "{answer:?}");
        App::new(answer.json()["client_id"].as_str().unwrap(), redirect)
    }

    /// What an application asks for with its first words.
    pub fn authorize_path(&self, app: &App, more: &[(&str, &str)]) -> String {
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", app.id.as_str()),
            ("redirect_uri", app.redirect.as_str()),
            ("state", STATE),
            ("code_challenge", app.challenge()),
            ("code_challenge_method", "S256"),
        ];
        params.retain(|(name, _)| *name == "resource" || !more.iter().any(|(own, _)| own == name));
        params.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        format!("{}/oauth/authorize?{}", self.base_path(), encode(&params))
    }

    /// Opens the login page; an empty value leaves a parameter out.
    #[track_caller]
    pub fn open_form(&mut self, app: &App, more: &[(&str, &str)]) -> Form {
        let path = self.authorize_path(app, more);
        let page = self.get(&path);
        assert_eq!(page.status(), 200, "{page:?}");
        Form::of(&page)
    }

    /// Sends a form.
    pub fn begin_login(&mut self, form: &Form, user: &str, password: &str) -> Xid {
        let form = form.clone().with("username", user).with("password", password);
        let origin = self.origin();
        let fields = [FORM, ("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
        self.begin("POST", &form.action, &fields, &form.body())
    }

    /// Signs in.
    #[track_caller]
    pub fn sign_in(&mut self, form: &Form, user: &str, password: &str) -> Answer {
        let xid = self.begin_login(form, user, password);
        self.signed_in(xid)
    }

    /// What came of a login.
    #[track_caller]
    pub fn signed_in(&mut self, xid: Xid) -> Answer {
        let answer = self.ended(xid);
        if let Some(code) = code_in(&answer) {
            self.watch.guard(&code);
        }
        answer
    }

    /// Signs in and gives the code.
    #[track_caller]
    pub fn code(&mut self, app: &App, user: &str, more: &[(&str, &str)]) -> String {
        let form = self.open_form(app, more);
        let password = if user == "ann" { ANN } else { BEN };
        let answer = self.sign_in(&form, user, password);
        code_in(&answer).unwrap_or_else(|| panic!("no code in {answer:?}"))
    }

    /// Sends a request to the token endpoint, or another one.
    pub fn begin_form(&mut self, app: &App, end: &str, params: &[(&str, &str)]) -> Xid {
        let mut all = vec![("client_id", app.id.as_str())];
        all.extend(app.secret.as_deref().map(|secret| ("client_secret", secret)));
        all.extend_from_slice(params);
        let path = format!("{}/oauth/{end}", self.base_path());
        self.begin("POST", &path, &[FORM], &encode(&all))
    }

    /// Sends it, waits, and guards what came.
    #[track_caller]
    pub fn token(&mut self, app: &App, params: &[(&str, &str)]) -> Answer {
        let xid = self.begin_form(app, "token", params);
        self.issued(xid)
    }

    /// What came of a request for tokens.
    #[track_caller]
    pub fn issued(&mut self, xid: Xid) -> Answer {
        let answer = self.ended(xid);
        if answer.status() == 200 {
            let tokens = tokens(&answer);
            self.watch.guard(&tokens.access);
            if !tokens.refresh.is_empty() {
                self.watch.guard(&tokens.refresh);
            }
        }
        answer
    }

    /// Begins to redeem a code.
    pub fn begin_redeem(&mut self, app: &App, code: &str) -> Xid {
        let params = redeeming(app, code);
        self.begin_form(app, "token", &params)
    }

    /// Redeems a code.
    #[track_caller]
    pub fn redeem(&mut self, app: &App, code: &str) -> Answer {
        let xid = self.begin_redeem(app, code);
        self.issued(xid)
    }

    /// The whole login of a user.
    #[track_caller]
    pub fn log_in(&mut self, app: &App, user: &str, more: &[(&str, &str)]) -> Tokens {
        let code = self.code(app, user, more);
        let answer = self.redeem(app, &code);
        assert_eq!(answer.status(), 200, "{answer:?}");
        tokens(&answer)
    }

    /// Begins a refresh.
    pub fn begin_refresh(&mut self, app: &App, refresh: &str) -> Xid {
        self.begin_form(app, "token", &[("grant_type", "refresh_token"), ("refresh_token", refresh)])
    }

    /// Refreshes.
    #[track_caller]
    pub fn refresh(&mut self, app: &App, refresh: &str) -> Answer {
        let xid = self.begin_refresh(app, refresh);
        self.issued(xid)
    }

    /// Refreshes, which must work.
    #[track_caller]
    pub fn renewed(&mut self, app: &App, refresh: &str) -> Tokens {
        let answer = self.refresh(app, refresh);
        assert_eq!(answer.status(), 200, "{answer:?}");
        tokens(&answer)
    }

    /// Revokes a token.
    #[track_caller]
    pub fn revoke(&mut self, app: &App, token: &str) -> Answer {
        let xid = self.begin_form(app, "revoke", &[("token", token)]);
        self.ended(xid)
    }

    /// Greets a server with a token; gives the answer.
    #[track_caller]
    pub fn knock(&mut self, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let fields =
            [JSON, ("accept", "application/json, text/event-stream"), ("authorization", bearer.as_str())];
        let path = format!("{}{path}", self.base_path());
        let answer = self.visit("POST", &path, &fields[..if token.is_empty() { 2 } else { 3 }], HELLO);
        if let Some(session) = answer.field("mcp-session-id") {
            self.watch.guard(session);
        }
        answer
    }

    /// Whether a token opens a server (`*` for all): 200, or why not.
    #[track_caller]
    pub fn opens(&mut self, server: &str, token: &str) -> u16 {
        let path = if server == crate::client::MERGED { "/mcp".to_owned() } else { format!("/{server}/mcp") };
        self.knock(&path, token).status()
    }
}

/// The tokens in an answer.
#[track_caller]
pub fn tokens(answer: &Answer) -> Tokens {
    let json = answer.json();
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(json["token_type"], "Bearer");
    let seconds = json["expires_in"].as_i64().expect("a number of seconds");
    Tokens { access: text("access_token"), refresh: text("refresh_token"), seconds, scope: text("scope") }
}

/// The registration of a public client.
pub fn public(name: &str, redirect: &str) -> Value {
    json!({"client_name": name, "redirect_uris": [redirect], "token_endpoint_auth_method": "none"})
}

/// The parameters that redeem a code.
pub fn redeeming<'a>(app: &'a App, code: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", app.verifier()),
        ("redirect_uri", app.redirect.as_str()),
    ]
}

const JSON: (&str, &str) = ("content-type", "application/json");
/// What forms are.
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
