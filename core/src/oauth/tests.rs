//! The authorization server by itself, without a proxy around it.

use super::*;
use crate::config::{Source, parse};
use crate::event::Content;
use crate::http::{Limits, ServerEvent};
use crate::time::{Mono, Unix};
use serde_json::{Value, json};
use std::collections::BTreeMap;

mod bounds;

const BASE: &str = "https://mcp.example.com";
const CALLBACK: &str = "https://claude.ai/api/mcp/auth_callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A server on a table: its disk, its clock, its answers.
struct Desk {
    server: Server,
    disk: Option<Vec<u8>>,
    full: bool,
    replies: BTreeMap<RequestId, Reply>,
    last: RequestId,
    now: Now,
    log: String,
    fetches: u32,
}

impl Desk {
    fn new(oauth2: Value) -> Self {
        Self::on(oauth2, None)
    }

    fn on(mut oauth2: Value, disk: Option<Vec<u8>>) -> Self {
        oauth2["enabled"] = json!(true);
        let users = json!({"ann": "secret", "bob": "other"});
        oauth2["users"] = oauth2.get("users").cloned().unwrap_or(users);
        let text = json!({
            "mcpProxy": {"baseURL": BASE, "type": "streamable-http", "options": {"oauth2": oauth2}},
            "mcpServers": {
                "fs": {"command": "x"}, "db": {"command": "y"},
                "open": {"command": "z", "options": {"oauth2": {"enabled": false}}},
            },
        })
        .to_string();
        let loaded = parse(&Source { text: &text, name: "t", strict: true, env: None }).unwrap();
        let settings = Settings::of(&loaded.config).unwrap();
        let mut desk = Self {
            server: Server::new(settings, [9; 32]),
            disk,
            full: false,
            replies: BTreeMap::new(),
            last: 0,
            now: Now { mono: Mono(1), unix: Unix(1_800_000_000_000) },
            log: String::new(),
            fetches: 0,
        };
        desk.server.set_now(desk.now);
        desk.server.start();
        desk.work();
        desk
    }

    fn work(&mut self) {
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Reply { request, reply } => {
                    assert!(self.replies.insert(request, reply).is_none(), "two answers to {request}");
                }
                Effect::Load(StoreKey::OAuth) => {
                    let disk = self.disk.clone();
                    let content = disk.as_deref().map_or(Content::Absent, Content::Bytes);
                    self.server.on_loaded(StoreKey::OAuth, Ok(content));
                }
                Effect::Load(key) => self.server.on_loaded(key, Ok(Content::Absent)),
                Effect::Save { ticket, .. } if self.full => self.server.on_saved(ticket, Err("disk full")),
                Effect::Save { ticket, bytes } => {
                    self.disk = Some(bytes.expose().to_vec());
                    self.server.on_saved(ticket, Ok(()));
                }
                Effect::SetAside => self.server.on_set_aside(Ok("elsewhere")),
                Effect::Derive { job, candidate } => {
                    self.server.on_compared(job, candidate.password == candidate.stored);
                }
                Effect::Fetch { job, .. } => {
                    self.fetches += 1;
                    self.server.on_fetched(job, Err("no network".to_owned()));
                }
                Effect::Log(_, line) => self.log.push_str(&(line + "\n")),
            }
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now.mono = self.now.mono.plus_ms(seconds * 1000);
        self.now.unix.0 += seconds * 1000;
        self.server.set_now(self.now);
        self.server.tick();
        self.work();
    }

    fn send(&mut self, text: &str) -> Reply {
        self.send_from([203, 0, 113, 9], text)
    }

    fn send_from(&mut self, peer: [u8; 4], text: &str) -> Reply {
        let mut http = crate::http::Server::new(Limits::default());
        http.push(text.as_bytes());
        assert_eq!(http.next(), Ok(Some(ServerEvent::Head)), "{text}");
        let peer = IpAddr::from(peer);
        self.server.set_now(self.now);
        if let Err(reply) = self.server.admit(http.head(), peer) {
            self.work();
            return reply;
        }
        assert_eq!(http.next(), Ok(Some(ServerEvent::Request)), "{text}");
        self.last += 1;
        self.server.handle(self.last, &Request { head: http.head(), body: http.body(), peer });
        self.work();
        self.replies.remove(&self.last).unwrap_or_else(|| panic!("no answer to {text}"))
    }

    fn get(&mut self, target: &str) -> Reply {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: mcp.example.com\r\n\r\n"))
    }

    fn post(&mut self, path: &str, kind: &str, body: &str) -> Reply {
        let len = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\r\n{body}"
        ))
    }

    fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let encode =
            |(name, value): &(&str, &str)| format!("{name}={}", crate::url::percent::encode_component(value));
        let body = fields.iter().map(encode).collect::<Vec<_>>().join("&");
        self.post(path, "application/x-www-form-urlencoded", &body)
    }

    fn register(&mut self) -> String {
        let body =
            json!({"redirect_uris": [CALLBACK], "client_name": "X", "token_endpoint_auth_method": "none"});
        let reply = self.post("/oauth/register", "application/json", &body.to_string());
        assert_eq!(reply.status, 201, "{reply:?}");
        member(&reply, "client_id")
    }

    /// The code that a login gives.
    fn log_in(&mut self, client: &str, user: &str, password: &str, resource: &str) -> Option<String> {
        self.log_in_with(client, resource, &[("username", user), ("password", password)])
    }

    /// The same with these fields behind the parameters of the request.
    fn log_in_with(&mut self, client: &str, resource: &str, typed: &[(&str, &str)]) -> Option<String> {
        let query = format!(
            "response_type=code&client_id={client}&redirect_uri={}&code_challenge={CHALLENGE}\
             &code_challenge_method=S256&state=s%20t&resource={}",
            crate::url::percent::encode_component(CALLBACK),
            crate::url::percent::encode_component(resource)
        );
        let page = self.get(&format!("/oauth/authorize?{query}"));
        assert_eq!(page.status, 200, "{page:?}");
        let Some(token) = between(&page.body, "name=\"form_token\" value=\"", "\"") else {
            panic!("no form token in {page:?}");
        };
        let resource = resource.to_owned();
        let fields = [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", CALLBACK),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("state", "s t"),
            ("resource", &resource),
            ("form_token", &token),
        ];
        let page = self.form("/oauth/authorize", &[&fields, typed].concat());
        between(&page.body, "code=", "&")
    }

    fn redeem(&mut self, client: &str, code: &str) -> Reply {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", client),
            ("code_verifier", VERIFIER),
            ("redirect_uri", CALLBACK),
        ];
        self.form("/oauth/token", &fields)
    }

    fn refresh(&mut self, client: &str, token: &str) -> Reply {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", client)];
        self.form("/oauth/token", &fields)
    }

    /// Shows a token at a server: `db` is the first, `fs` the second.
    fn check(&mut self, server: u64, token: &str) -> Result<Login, Refusal> {
        self.server.set_now(self.now);
        self.server
            .check(crate::route::Place::Server(crate::id::ServerId(server)), Some(&format!("Bearer {token}")))
            .map_err(|(refusal, _)| refusal)
    }
}

fn member(reply: &Reply, name: &str) -> String {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{reply:?}"));
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {reply:?}")).to_owned()
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(rest[..rest.find(after)?].to_owned())
}

#[test]
fn a_client_registers_logs_in_and_lives_on_refresh_tokens() {
    let mut desk = Desk::new(json!({}));
    let metadata = desk.get("/.well-known/oauth-authorization-server");
    assert_eq!(member(&metadata, "issuer"), BASE);
    let client = desk.register();
    assert_eq!(desk.register(), client, "OA-89");
    assert_eq!(desk.log_in(&client, "ann", "wrong", ""), None);
    let code = desk.log_in(&client, "ann", "secret", &format!("{BASE}/fs/mcp")).unwrap();
    let tokens = desk.redeem(&client, &code);
    let access = member(&tokens, "access_token");
    assert!(desk.check(1, &access).is_ok());
    assert_eq!(desk.check(0, &access), Err(Refusal::Invalid), "OA-57");
    desk.pass(3_600);
    assert_eq!(desk.check(1, &access), Err(Refusal::Invalid), "OA-56");
    let refreshed = desk.refresh(&client, &member(&tokens, "refresh_token")); // OA-151
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert!(desk.check(1, &member(&refreshed, "access_token")).is_ok());
    for secret in [&code, &access, "secret", VERIFIER, CHALLENGE] {
        assert!(!desk.log.contains(secret), "T-33: {secret} in {}", desk.log);
        assert!(!String::from_utf8_lossy(desk.disk.as_ref().unwrap()).contains(secret), "OA-172");
    }
}

#[test]
fn a_form_that_has_a_field_twice_logs_nobody_in() {
    // FT-511
    let mut desk = Desk::new(json!({}));
    let client = desk.register();
    let (ann, secret) = (("username", "ann"), ("password", "secret"));
    let doubled =
        [[ann, ("username", "bob"), secret], [("username", ""), ann, secret], [ann, secret, secret]];
    for typed in doubled.iter().chain([&[ann, secret, ("form_token", "x")]]) {
        assert_eq!(desk.log_in_with(&client, "", typed), None, "{typed:?}");
    }
    assert!(desk.log_in_with(&client, "", &[ann, secret]).is_some());
}

#[test]
fn what_was_answered_survives_and_nothing_else() {
    let mut desk = Desk::new(json!({"refreshGraceSeconds": 0}));
    let client = desk.register();
    let code = desk.log_in(&client, "ann", "secret", "").unwrap();
    let tokens = desk.redeem(&client, &code);
    let second = desk.refresh(&client, &member(&tokens, "refresh_token"));
    let mut again = Desk::on(json!({"refreshGraceSeconds": 0}), desk.disk.clone()); // OA-173
    assert!(again.check(0, &member(&tokens, "access_token")).is_ok());
    assert_eq!(again.redeem(&client, &code).status, 400);
    assert_eq!(again.refresh(&client, &member(&second, "refresh_token")).status, 200);
    assert_eq!(again.refresh(&client, &member(&tokens, "refresh_token")).status, 400, "OA-153");
    assert!(again.check(0, &member(&tokens, "access_token")).is_err(), "its family ended with it");
}

#[test]
fn a_full_disk_changes_nothing() {
    // OA-177, T-41
    let mut desk = Desk::new(json!({}));
    let client = desk.register();
    let code = desk.log_in(&client, "ann", "secret", "").unwrap();
    desk.full = true;
    assert_eq!(desk.redeem(&client, &code).status, 503);
    assert_eq!(member(&desk.redeem(&client, &code), "error"), "temporarily_unavailable");
    desk.full = false;
    let tokens = desk.redeem(&client, &code);
    assert_eq!(tokens.status, 200, "the code was not used up: {tokens:?}");
    desk.full = true;
    let refresh = member(&tokens, "refresh_token");
    assert_eq!(desk.refresh(&client, &refresh).status, 503);
    let access = member(&tokens, "access_token");
    assert_eq!(desk.form("/oauth/revoke", &[("token", &access), ("client_id", &client)]).status, 503);
    assert!(desk.check(0, &access).is_ok(), "what is known goes on");
    desk.full = false;
    assert_eq!(desk.refresh(&client, &refresh).status, 200);
}

#[test]
fn a_code_that_comes_twice_ends_what_came_of_it_even_after_a_failed_save() {
    let mut desk = Desk::new(json!({}));
    let client = desk.register();
    let code = desk.log_in(&client, "ann", "secret", "").unwrap();
    let tokens = desk.redeem(&client, &code);
    desk.full = true;
    let other =
        json!({"redirect_uris": [CALLBACK], "client_name": "other", "token_endpoint_auth_method": "none"});
    assert_eq!(desk.post("/oauth/register", "application/json", &other.to_string()).status, 503);
    desk.full = false;
    let replay = desk.redeem(&client, &code); // OA-144, T-06
    assert_eq!((replay.status, member(&replay, "error").as_str()), (400, "invalid_grant"));
    assert!(desk.check(0, &member(&tokens, "access_token")).is_err());
}

#[test]
fn many_refreshes_at_once_get_one_successor() {
    // OA-152, T-39
    let mut desk = Desk::new(json!({}));
    let client = desk.register();
    let code = desk.log_in(&client, "ann", "secret", "").unwrap();
    let first = member(&desk.redeem(&client, &code), "refresh_token");
    let successor = desk.refresh(&client, &first);
    for _ in 0..20 {
        assert_eq!(desk.refresh(&client, &first).body, successor.body);
    }
    // A restart forgets the answer: siblings, but only so many.
    let mut again = Desk::on(json!({}), desk.disk.clone());
    let mut given = 0;
    let mut last = first.clone();
    for _ in 0..10 {
        let mut fresh = Desk::on(json!({}), again.disk.clone());
        given += u32::from(fresh.refresh(&client, &first).status == 200);
        last = first.clone();
        again = fresh;
    }
    assert_eq!(given, 3, "with the first successor that makes four leaves");
    again.pass(121);
    assert_eq!(again.refresh(&client, &last).status, 400);
    let successor = member(&successor, "refresh_token");
    assert_eq!(again.refresh(&client, &successor).status, 400, "the family ended: OA-153, T-38");
}

#[test]
fn a_refresh_for_another_server_within_the_grace_gets_what_it_asks_for() {
    // OA-149
    let mut desk = Desk::new(json!({}));
    let client = desk.register();
    let code = desk.log_in(&client, "ann", "secret", "").unwrap();
    let token = member(&desk.redeem(&client, &code), "refresh_token");
    let mut ask = |resource: &str| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str()),
            ("client_id", client.as_str()),
            ("resource", resource),
        ];
        let reply = desk.form("/oauth/token", &fields);
        (reply.status, reply)
    };
    let (fs, db) = (format!("{BASE}/fs/mcp"), format!("{BASE}/db"));
    let first = ask(&fs).1;
    let other = ask(&db).1;
    assert_eq!(ask(&fs).1.body, first.body);
    assert_eq!(ask(&format!("{BASE}/none")).0, 400);
    assert!(desk.check(1, &member(&first, "access_token")).is_ok());
    assert!(desk.check(0, &member(&other, "access_token")).is_ok());
    assert!(desk.check(1, &member(&other, "access_token")).is_err());
}

#[test]
fn one_address_cannot_make_us_fetch_without_end() {
    // T-24, T-55
    let mut desk = Desk::new(json!({}));
    for n in 0..100 {
        let id = crate::url::percent::encode_component(&format!("https://claude.ai/client/{n}"));
        let page = desk.get(&format!("/oauth/authorize?response_type=code&client_id={id}"));
        assert_eq!(page.status, 400, "{page:?}");
    }
    assert_eq!(desk.fetches, DOCUMENTS_PER_MINUTE);
    desk.pass(60);
    let id = crate::url::percent::encode_component("https://claude.ai/client/100");
    desk.get(&format!("/oauth/authorize?response_type=code&client_id={id}"));
    assert_eq!(desk.fetches, DOCUMENTS_PER_MINUTE + 1);
}

#[test]
fn the_log_says_why_and_the_answer_does_not() {
    // T-08, OA-56
    let mut desk = Desk::new(json!({}));
    let client = desk.register();
    let code = desk.log_in(&client, "ann", "secret", "").unwrap();
    let unknown = desk.redeem(&client, "mcpx_ac_nothing");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("client_id", client.as_str()),
        ("code_verifier", CHALLENGE),
    ];
    let unmet = desk.form("/oauth/token", &fields);
    assert_eq!((unmet.status, &unmet.body), (400, &unknown.body));
    assert!(desk.log.contains("the code is unknown or has expired"), "{}", desk.log);
    assert!(desk.log.contains("the code_verifier does not meet the challenge"), "{}", desk.log);
    let refreshed = desk.refresh(&client, "mcpx_rt_nothing");
    assert_eq!(member(&refreshed, "error"), "invalid_grant");
    assert!(desk.log.contains("the refresh token is unknown"), "{}", desk.log);
}

#[test]
fn whatever_comes_in_there_is_one_answer_and_no_panic() {
    let mut desk = Desk::new(json!({}));
    let client = desk.register();
    let mut rng = Rng::new([77; 32]);
    let words = [
        "response_type",
        "code",
        "client_id",
        client.as_str(),
        "redirect_uri",
        CALLBACK,
        "state",
        "scope",
        "mcp",
        "%",
        "%00",
        "%zz",
        "+",
        "&",
        "=",
        "{",
        "}",
        "\"",
        "[",
        "]",
        ":",
        "null",
        "grant_type",
        "refresh_token",
        "authorization_code",
        "username",
        "password",
        "form_token",
        "1.a.b",
        "code_challenge",
        CHALLENGE,
        "code_challenge_method",
        "S256",
        "plain",
        "resource",
        BASE,
        "redirect_uris",
        "client_name",
        "token",
        "é",
        "https%3A%2F%2Fx.example%2Fc",
        "prompt",
        "none",
        "request",
    ];
    let paths =
        ["/oauth/authorize", "/oauth/token", "/oauth/register", "/oauth/revoke", "/token", "/authorize"];
    let kinds = ["application/x-www-form-urlencoded", "application/json", "text/plain", ""];
    for _ in 0..3_000 {
        let pick = |rng: &mut Rng, len: usize| rng.below(len as u64) as usize;
        let mut text = String::new();
        for _ in 0..rng.below(24) {
            text.push_str(words[pick(&mut rng, words.len())]);
            text.push_str(["", "=", "&", ","][pick(&mut rng, 4)]);
        }
        let path = paths[pick(&mut rng, paths.len())];
        let reply = match rng.below(2) {
            0 => desk.get(&format!("{path}?{}", text.replace(['é', '"'], ""))),
            _ => desk.post(path, kinds[pick(&mut rng, kinds.len())], &text),
        };
        assert!((200..=503).contains(&reply.status), "{reply:?}");
        for (name, value) in &reply.headers {
            assert!(!value.contains(['\r', '\n']), "{name}: {value:?}"); // OA-203
        }
    }
}

/// The address of the login page for a client with a document.
fn page_of(id: &str, redirect: &str) -> String {
    let query = [("client_id", id), ("redirect_uri", redirect), ("code_challenge", CHALLENGE)]
        .map(|(name, value)| format!("{name}={}", crate::url::percent::encode_component(value)))
        .join("&");
    format!("/oauth/authorize?response_type=code&code_challenge_method=S256&resource={BASE}/fs/mcp&{query}")
}

#[test]
fn documents_that_hosts_ship_are_known_without_a_way_out() {
    // FT-704
    let mut desk = Desk::new(json!({"allowedRedirectURIs": ["claude", "loopback", "vscode", "chatgpt"]}));
    for (id, redirect, name) in [
        ("https://claude.ai/oauth/mcp-oauth-client-metadata", CALLBACK, "Claude"),
        (
            "https://claude.ai/oauth/claude-code-client-metadata",
            "http://localhost:3118/callback",
            "Claude Code",
        ),
        ("https://chatgpt.com/oauth/codex/client.json", "http://127.0.0.1:41000/callback", "Codex"),
        ("https://chatgpt.com/oauth/codex/client.json", "http://localhost:41000/callback", "Codex"),
        (
            "https://chatgpt.com/oauth/client.json",
            "https://chatgpt.com/connector_platform_oauth_redirect",
            "ChatGPT",
        ),
        ("https://vscode.dev/oauth/client-metadata.json", "http://127.0.0.1:33418/", "Visual Studio Code"),
        (
            "https://vscode.dev/oauth/client-metadata.json",
            "https://vscode.dev/redirect",
            "Visual Studio Code",
        ),
        ("https://opencode.ai/oauth/opencode/client.json", "http://127.0.0.1:19876/callback", "opencode"),
        ("https://zed.dev/oauth/client-metadata.json", "http://127.0.0.1:5000/callback", "Zed"),
    ] {
        let page = desk.get(&page_of(id, redirect));
        assert_eq!(page.status, 200, "{id}: {page:?}");
        assert!(page.body.contains(name), "{id}: {page:?}");
    }
    assert!(desk.log.contains("an earlier copy is used"), "{}", desk.log);
    assert_eq!(is_offered(&mut desk), Some(true), "nobody was kept out");
    let strange = page_of("https://chatgpt.com/oauth/codex/client.json", "https://evil.example/callback");
    assert_eq!(desk.get(&strange).status, 400);
}

fn is_offered(desk: &mut Desk) -> Option<bool> {
    let metadata = desk.get("/.well-known/oauth-authorization-server");
    let members: Value = serde_json::from_str(&metadata.body).unwrap();
    members.get("client_id_metadata_document_supported").and_then(Value::as_bool)
}

#[test]
fn documents_that_cannot_be_fetched_are_not_offered_for_a_while() {
    // FT-704
    let unknown = page_of("https://opencode.ai/oauth/other.json", "http://127.0.0.1:4000/callback");
    let mut desk = Desk::new(json!({"allowedRedirectURIs": ["loopback"]}));
    assert_eq!(is_offered(&mut desk), Some(true));
    let page = desk.get(&unknown);
    assert_eq!(page.status, 400);
    assert!(page.body.contains("clientIdMetadata.allowedHosts"), "{page:?}");
    assert!(
        desk.log.contains("reason=\"no network\" hint=\"clientIdMetadata.allowedHosts []"),
        "{}",
        desk.log
    );
    assert_eq!(is_offered(&mut desk), None, "clients register now");
    desk.pass(599);
    assert_eq!(is_offered(&mut desk), None);
    desk.pass(1);
    assert_eq!(is_offered(&mut desk), Some(true));

    // Without registration there is no other way in; of any host, anybody can name one that is away.
    for oauth2 in [
        json!({"allowedRedirectURIs": ["loopback"], "registration": false}),
        json!({"allowedRedirectURIs": ["loopback"], "clientIdMetadata": {"allowedHosts": ["*"]}}),
    ] {
        let mut desk = Desk::new(oauth2);
        assert_eq!(desk.get(&unknown).status, 400);
        assert_eq!(is_offered(&mut desk), Some(true));
    }
}

#[test]
fn a_front_that_adds_no_address_is_told_once() {
    // FT-602
    let get = |fields: &str| {
        format!(
            "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: mcp.example.com\r\n{fields}\r\n"
        )
    };
    let told = |desk: &Desk| desk.log.matches("event=no_client_address").count();
    let mut desk = Desk::new(json!({}));
    desk.send_from([127, 0, 0, 1], &get("X-Forwarded-For: 203.0.113.7\r\n"));
    desk.send(&get(""));
    assert_eq!(told(&desk), 0, "an address was added, or there is no front");
    desk.send_from([127, 0, 0, 1], &get(""));
    desk.send_from([10, 0, 0, 1], &get(""));
    assert_eq!(told(&desk), 1);
    for part in ["peer=127.0.0.1", "X-Forwarded-For", "trustedProxies"] {
        assert!(desk.log.contains(part), "{}", desk.log);
    }

    let mut named = Desk::new(json!({"clientIPHeader": "X-Real-IP"}));
    named.send_from([127, 0, 0, 1], &get("X-Forwarded-For: 203.0.113.7\r\n"));
    assert_eq!(told(&named), 1, "another header than the one that is read");
    assert!(named.log.contains("has to set x-real-ip"), "{}", named.log);

    let mut none = Desk::new(json!({"trustedProxies": ["none"]}));
    none.send_from([127, 0, 0, 1], &get(""));
    assert_eq!(told(&none), 0);
}
