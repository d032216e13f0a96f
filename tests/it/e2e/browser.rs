//! A stand-in for an OAuth client and for the browser of its user, which follows nothing by itself.
//!
//! [`App`] is the client: it registers, asks for tokens and uses them. [`Visit`] is what it sends the browser to the
//! login page with, [`Form`] what the browser finds there.

use super::client::{initialize, send};
use super::proxy::config;
use super::within;
use axum::http::{HeaderMap, header};
use base64ct::{Base64UrlUnpadded, Encoding};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where apps are called back.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:7777/callback";

/// The users of [`guarded`] and their passwords.
pub(crate) const USERS: [(&str, &str); 2] = [("ann", "correct horse & battery"), ("bob", "staple/50%")];

/// The file of the authorization server.
pub(crate) const STORE: &str = "oauth_clients.json";

/// A configuration with an authorization server that keeps its data in `dir`; `more` are further members of `oauth2`.
/// Nobody is slowed down.
pub(crate) fn guarded(dir: &Path, servers: Value, more: &Value) -> Value {
    let mut oauth2 = json!({
        "enabled": true,
        "users": USERS.into_iter().collect::<BTreeMap<_, _>>(),
        "persistenceDir": dir,
        "allowedRedirectURIs": ["claude", "loopback"],
        "loginRateLimit": {"quickTries": 1000, "addressPerMinute": 100_000, "globalPerMinute": 1_000_000},
    });
    for (name, value) in more.as_object().unwrap() {
        oauth2[name] = value.clone();
    }
    let mut config = config(servers);
    config["mcpProxy"]["options"] = json!({ "oauth2": oauth2 });
    config
}

/// What is stored of clients and grants.
pub(crate) fn stored(dir: &Path) -> (Value, Value) {
    let text = std::fs::read_to_string(dir.join(STORE)).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    (file["clients"].take(), file["grants"].take())
}

/// A whole response.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// What comes to a request.
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = send(request).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = within("the body", response.text()).await.unwrap();
        Self { status, headers, body }
    }

    /// The same, of a proxy that may die meanwhile.
    pub(crate) async fn maybe(request: RequestBuilder) -> Option<Self> {
        let response = within("a response or its end", request.send()).await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = within("the body or its end", response.text()).await.ok()?;
        Some(Self { status, headers, body })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status and code of an OAuth error, after a look at what all of them have in common.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, String) {
        let body = self.json(); // OA-160
        assert!(body["error_description"].as_str().is_none_or(|text| text.is_ascii()), "{self:?}");
        assert_eq!(self.header(header::CACHE_CONTROL), Some("no-store"), "{self:?}");
        (self.status, body["error"].as_str().unwrap().to_owned())
    }

    /// The tokens in it.
    #[track_caller]
    pub(crate) fn tokens(&self) -> Tokens {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header(header::CACHE_CONTROL), Some("no-store"));
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Tokens { access: text("access_token"), refresh: text("refresh_token") }
    }

    /// Everywhere that the page leads to.
    pub(crate) fn links(&self) -> Vec<String> {
        let found = ["href=\"", "action=\"", "content=\"", "src=\""].into_iter();
        let values =
            found.flat_map(|name| self.body.split(name).skip(1).filter_map(|rest| rest.split('"').next()));
        values.map(unescape).collect()
    }

    /// The link of a success page, back to the app.
    pub(crate) fn way_back(&self) -> Option<String> {
        self.links().into_iter().find(|link| link.contains("code=mcpx_ac_"))
    }

    /// The code of a success page.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let link = self.way_back().unwrap_or_else(|| panic!("no code: {self:?}"));
        query(&link).remove("code").unwrap()
    }
}

/// A pair of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// A registered client.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) base: String,
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    pub(crate) redirect: String,
}

impl App {
    /// A public client on this machine, at the proxy of this URL.
    pub(crate) async fn register(base: &str) -> Self {
        let metadata = json!({"client_name": "An App", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"});
        Self::register_as(base, &metadata).await
    }

    /// A client that describes itself.
    pub(crate) async fn register_as(base: &str, metadata: &Value) -> Self {
        let answer = Answer::to(registration(base, metadata)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Self::registered(base, &answer)
    }

    /// What a registration has made.
    pub(crate) fn registered(base: &str, answer: &Answer) -> Self {
        let body = answer.json();
        Self {
            base: base.to_owned(),
            id: body["client_id"].as_str().unwrap().to_owned(),
            secret: body["client_secret"].as_str().map(str::to_owned),
            redirect: body["redirect_uris"][0].as_str().unwrap().to_owned(),
        }
    }

    /// The way to the login page; each with a verifier of its own.
    pub(crate) fn visit(&self) -> Visit<'_> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let verifier = format!("v-{:0>41}", COUNT.fetch_add(1, Ordering::Relaxed));
        let challenge = Base64UrlUnpadded::encode_string(&Sha256::digest(verifier.as_bytes()));
        let params = [
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect),
            ("state", "a state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Visit { app: self, verifier, params }
    }

    /// A login from the form to the tokens.
    pub(crate) async fn log_in(&self, user: &str) -> Tokens {
        let visit = self.visit();
        let code = visit.sign_in(user).await.code();
        self.redeem(&visit, &code).await.tokens()
    }

    /// Tokens for one server only.
    pub(crate) async fn log_in_to(&self, user: &str, server: &str) -> Tokens {
        let visit = self.visit().with("resource", &format!("{}/{server}/mcp", self.base));
        let code = visit.sign_in(user).await.code();
        self.redeem(&visit, &code).await.tokens()
    }

    /// Brings a code to the token endpoint.
    pub(crate) async fn redeem(&self, visit: &Visit<'_>, code: &str) -> Answer {
        Answer::to(self.redemption(visit, code)).await
    }

    pub(crate) fn redemption(&self, visit: &Visit<'_>, code: &str) -> RequestBuilder {
        let redirect = ("redirect_uri", self.redirect.as_str());
        self.ask(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", &visit.verifier),
            redirect,
        ])
    }

    /// Brings a refresh token to the token endpoint.
    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        Answer::to(self.refreshing(token)).await
    }

    pub(crate) fn refreshing(&self, token: &str) -> RequestBuilder {
        self.ask(&[("grant_type", "refresh_token"), ("refresh_token", token)])
    }

    /// A request for tokens.
    pub(crate) fn ask(&self, fields: &[(&str, &str)]) -> RequestBuilder {
        let mut fields = fields.to_vec();
        fields.push(("client_id", &self.id));
        fields.extend(self.secret.as_deref().map(|secret| ("client_secret", secret)));
        post_form(&format!("{}/oauth/token", self.base), &fields)
    }

    /// Gives a token back.
    pub(crate) async fn revoke(&self, token: &str) -> Answer {
        let fields = [("token", token), ("client_id", self.id.as_str())];
        Answer::to(post_form(&format!("{}/oauth/revoke", self.base), &fields)).await
    }
}

/// A registration.
pub(crate) fn registration(base: &str, metadata: &Value) -> RequestBuilder {
    let request = browser().post(format!("{base}/oauth/register"));
    request.header(header::CONTENT_TYPE, "application/json").body(metadata.to_string())
}

/// A way to the login page.
#[derive(Debug, Clone)]
pub(crate) struct Visit<'a> {
    app: &'a App,
    pub(crate) verifier: String,
    params: Vec<(String, String)>,
}

impl Visit<'_> {
    /// Another value of a parameter.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.params.retain(|(known, _)| known != name);
        self
    }

    /// One more parameter.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.params.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The request as text.
    pub(crate) fn query(&self) -> String {
        encode(self.params.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Opens the page.
    pub(crate) async fn open(&self) -> Answer {
        Answer::to(browser().get(format!("{}/oauth/authorize?{}", self.app.base, self.query()))).await
    }

    /// Opens the page, which must have a form.
    pub(crate) async fn form(&self) -> Form {
        let page = self.open().await;
        assert_eq!(page.status, 200, "{page:?}");
        Form::of(&self.app.base, &page)
    }

    /// Opens the page and signs in.
    pub(crate) async fn sign_in(&self, user: &str) -> Answer {
        self.form().await.sign_in(user).await
    }
}

/// The form of a login page.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    base: String,
    /// The hidden fields, then what was typed.
    fields: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn of(base: &str, page: &Answer) -> Self {
        let inputs = page.body.split("<input ").skip(1).filter_map(|rest| rest.split('>').next());
        let attribute = |input: &str, name: &str| {
            let (_, rest) = input.split_once(&format!("{name}=\""))?;
            rest.split('"').next().map(unescape)
        };
        let hidden = inputs.filter(|input| input.contains("type=\"hidden\""));
        let fields = hidden.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)));
        let fields: Vec<(String, String)> = fields.collect();
        assert!(fields.iter().any(|(name, _)| name == "form_token"), "{page:?}");
        Self { base: base.to_owned(), fields }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        &self.fields.iter().find(|(known, _)| known == name).unwrap().1
    }

    /// What a browser sends.
    pub(crate) fn post(&self, user: &str, password: &str) -> RequestBuilder {
        let form = self.clone().with("username", user).with("password", password);
        let fields: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        post_form(&format!("{}/oauth/authorize", self.base), &fields)
    }

    /// Signs in with the right password.
    pub(crate) async fn sign_in(&self, user: &str) -> Answer {
        Answer::to(self.post(user, password(user))).await
    }
}

pub(crate) fn password(user: &str) -> &'static str {
    USERS.into_iter().find(|(name, _)| *name == user).unwrap().1
}

/// What a proxy answers to the first message of a session.
pub(crate) async fn knock(base: &str, path: &str, token: &str) -> Answer {
    Answer::to(super::client::post(&format!("{base}{path}"), &initialize()).bearer_auth(token)).await
}

/// Every place where a token might still be good says no.
#[track_caller]
pub(crate) fn assert_dead(app: &App, path: &str, tokens: &Tokens) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let entered = knock(&app.base, path, &tokens.access).await;
        assert_eq!(entered.error(), (401, "invalid_token".into()), "{caller}");
        let refreshed = app.refresh(&tokens.refresh).await;
        assert_eq!(refreshed.error(), (400, "invalid_grant".into()), "{caller}"); // OA-154
    }
}

/// An HTTP client that follows nothing.
pub(crate) fn browser() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

pub(crate) fn post_form(url: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    let request = browser().post(url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(encode(fields.iter().copied()))
}

/// Sends bytes as they are and gives everything that comes until the other side closes.
pub(crate) async fn raw(base: &str, bytes: &[u8]) -> String {
    let talk = async {
        let mut socket = TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap();
        // Who is refused early may find the connection closed.
        let _sent = socket.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ended = socket.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    };
    within("the end of a raw connection", talk).await
}

pub(crate) fn encode<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = fields.map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Percent-encodes everything that is not unreserved.
pub(crate) fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// The parameters in a URL.
pub(crate) fn query(url: &str) -> BTreeMap<String, String> {
    let pairs = url.split_once('?').map_or("", |(_, query)| query).split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decode(value)))
        .collect()
}

fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// A text in HTML as a browser understands it.
fn unescape(text: &str) -> String {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').unwrap_or(("", part));
        let number = name.strip_prefix("#x").map(|hex| u32::from_str_radix(hex, 16));
        let number = number.or_else(|| name.strip_prefix('#').map(str::parse)).and_then(Result::ok);
        match (name, number.and_then(char::from_u32)) {
            (_, Some(char)) => out.push(char),
            ("amp", _) => out.push('&'),
            ("lt", _) => out.push('<'),
            ("gt", _) => out.push('>'),
            ("quot", _) => out.push('"'),
            _ => panic!("an unknown reference in {text:?}"),
        }
        out.push_str(rest);
    }
    out
}
