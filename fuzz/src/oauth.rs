//! The authorization server by itself: registrations, logins, codes, tokens, documents and what is stored, in any order.
//!
//! Byte 0: the configuration; byte 1: what is stored at the start, with a text of the input's own up to a zero byte; each
//! further byte an act, followed by what the act needs.
//!
//! Properties: a request is answered once, and at the latest when the disk, the passwords and the fetches are; a reply is
//! a well-formed response, its JSON is JSON; no password, code or token is in a log line or in what is stored; a code
//! needs the right password, a token that was revoked or whose time is over opens nothing; what was stored can be read
//! again, and a token that was good before a restart is good after it.

mod desk;

use crate::tape::Tape;
use desk::{BASE, CALLBACK, CHALLENGE, Desk, VERIFIER};
use mcp_proxy_core::oauth::page::PageKind;

const CONFIGS: [&str; 4] = [
    r#"{"users":{"ann":"right-password","bob":"another-password"}}"#,
    r#"{"users":{"ann":"right-password"},"allowedRedirectURIs":["claude","loopback","any-https"],"tokenExpirationMinutes":1,"clientIdMetadata":{"allowedHosts":["app.example"]}}"#,
    r#"{"users":{"ann":"right-password"},"refreshReuse":"revoke","allowedRedirectURIs":["claude"]}"#,
    r#"{"users":{"ann":"right-password"},"allowedIPs":["203.0.113.0/24"],"trustedProxies":["private"]}"#,
];

/// See the module.
pub fn oauth(data: &[u8]) {
    let mut tape = Tape::new(data);
    let config = tape.pick(&CONFIGS);
    let stored = match tape.below(3) {
        0 => None,
        1 => Some(tape.until(0).to_vec()),
        _ => Some(desk::STORED.as_bytes().to_vec()),
    };
    let mut desk = Desk::new(data, config, stored);
    while !tape.is_over() && desk.is_ready() {
        act(&mut desk, &mut tape);
    }
    desk.finish();
}

fn act(desk: &mut Desk, tape: &mut Tape<'_>) {
    match tape.below(20) {
        0 => {
            let path = tape.pick(&[
                "/.well-known/oauth-authorization-server",
                "/.well-known/oauth-protected-resource/fs/mcp",
                "/.well-known/openid-configuration",
                "/oauth/jwks",
                "/oauth/unknown",
            ]);
            desk.send(&format!("GET {path} HTTP/1.1\r\nHost: mcp.example.com\r\n\r\n"));
        }
        1 => register(desk, br#"{"redirect_uris":["https://claude.ai/api/mcp/auth_callback"],"client_name":"X","token_endpoint_auth_method":"none"}"#),
        2 => register(desk, br#"{"redirect_uris":["https://claude.ai/api/mcp/auth_callback"],"grant_types":["authorization_code","refresh_token"],"scope":"mcp"}"#),
        3 => {
            let len = tape.byte().into();
            register(desk, tape.take(len));
        }
        4 => {
            let client = desk.known.client.clone();
            visit(desk, tape, &client);
        }
        5 => {
            let client = tape.pick(&["https://app.example/client", "https://claude.ai/oauth/x", "https://app.example/a?b"]);
            visit(desk, tape, client);
        }
        6 | 7 => log_in(desk, tape),
        8 | 9 => {
            let known = &desk.known;
            let form = format!(
                "grant_type=authorization_code&code={}&client_id={}&code_verifier={VERIFIER}&redirect_uri={}",
                known.code,
                escape(&known.client),
                escape(CALLBACK)
            );
            token(desk, tape, &form);
        }
        10 => {
            let form = format!("grant_type=refresh_token&refresh_token={}&client_id={}", desk.known.refresh, escape(&desk.known.client));
            token(desk, tape, &form);
        }
        11 => desk.revoke(tape.one_in(2)),
        12 => {
            let len = tape.byte().into();
            let form = String::from_utf8_lossy(tape.take(len)).into_owned();
            desk.post("/oauth/token", "application/x-www-form-urlencoded", form.as_bytes());
        }
        13 => {
            let len = tape.byte().into();
            let path = tape.pick(&["/oauth/token", "/oauth/register", "/oauth/revoke"]);
            desk.post(path, "application/json", tape.take(len));
        }
        14 => desk.pass(tape.pick(&[1, 30, 61, 301, 3_601, 90_000, 3_000_000])),
        15 => desk.answer_one(tape.below(8), tape.one_in(4), tape),
        16 => desk.answer_all(),
        17 => {
            let len = tape.byte().into();
            let page = PageKind::ALL[tape.below(PageKind::ALL.len())];
            desk.reload(page, tape.one_in(2), tape.take(len));
        }
        18 => desk.restart(),
        _ => {
            let len = tape.byte().into();
            desk.send_raw(tape.take(len));
        }
    }
    desk.check_tokens();
}

fn register(desk: &mut Desk, body: &[u8]) {
    desk.post("/oauth/register", "application/json", body);
}

/// An authorization request, with parameters of the input's own now and then.
fn visit(desk: &mut Desk, tape: &mut Tape<'_>, client: &str) {
    let own = if tape.one_in(4) { 2 * tape.byte() as usize / 3 } else { 0 };
    let own = escape_lightly(tape.take(own));
    let resource = tape.pick(&["", "&resource=https%3A%2F%2Fmcp.example.com%2Ffs%2Fmcp", "&resource=x"]);
    desk.send(&format!(
        "GET /oauth/authorize?response_type=code&client_id={}&redirect_uri={}&code_challenge={CHALLENGE}\
         &code_challenge_method=S256&state=s%20t{resource}{own} HTTP/1.1\r\nHost: mcp.example.com\r\n\r\n",
        escape(client),
        escape(CALLBACK)
    ));
}

/// The login form, filled in rightly or wrongly.
fn log_in(desk: &mut Desk, tape: &mut Tape<'_>) {
    let (user, password, is_right) = tape.pick(&[
        ("ann", "right-password", true),
        ("ann", "right-password", true),
        ("ann", "wrong", false),
        ("nobody", "right-password", false),
        ("", "", false),
    ]);
    let resource = tape.pick(&["", BASE]);
    let choice = tape.pick(&["", "", "&action=cancel", "&username=bob"]);
    let known = &desk.known;
    let form = format!(
        "response_type=code&client_id={}&redirect_uri={}&code_challenge={CHALLENGE}&code_challenge_method=S256&state=s%20t\
         &resource={}&form_token={}&username={user}&password={password}{choice}",
        escape(&known.client),
        escape(CALLBACK),
        escape(resource),
        escape(&known.form_token)
    );
    desk.log_in(&form, is_right);
}

fn token(desk: &mut Desk, tape: &mut Tape<'_>, form: &str) {
    let own = if tape.one_in(4) { tape.byte().into() } else { 0 };
    let own = escape_lightly(tape.take(own));
    desk.post("/oauth/token", "application/x-www-form-urlencoded", format!("{form}{own}").as_bytes());
}

/// RFC 3986 §2.1, for whole values.
fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The same for parameters of the input's own, whose separators stay.
fn escape_lightly(bytes: &[u8]) -> String {
    let keep = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    bytes.iter().map(|byte| if keep(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
