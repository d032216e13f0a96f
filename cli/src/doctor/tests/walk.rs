//! The whole walk, against a site on loopback that is as it should be but for one thing.

use super::super::*;
use super::{answer_of, html, json};
use mcp_proxy_core::http::{Body, encode_response_head};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What differs from a good site: sees `METHOD /path`, the origin, and the answer it may change.
type Change = fn(&str, &str, &mut Response);

/// A site that ends with its test.
struct Site {
    addr: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Site {
    fn start(change: Change) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        spawn(move || {
            for socket in listener.incoming().take(REQUESTS_MAX) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                // A client that went away is no trouble of the site's.
                let _ = serve(socket.unwrap(), addr, change);
            }
        });
        Self { addr, over }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
    }
}

#[expect(clippy::disallowed_methods, reason = "the other side of a test")]
fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

fn serve(mut socket: TcpStream, addr: SocketAddr, change: Change) -> std::io::Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && socket.read(&mut byte)? > 0 {
        request.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap_or(0)];
    socket.read_exact(&mut body)?;
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let asked = format!("{method} {}", target.split('?').next().unwrap_or_default());
    let origin = format!("http://{addr}");
    let mut response = good(&asked, target, &origin, &String::from_utf8_lossy(&body));
    change(&asked, &origin, &mut response);
    let headers: Vec<(&str, &str)> =
        response.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut out = Vec::new();
    encode_response_head(&mut out, response.status, &headers, Body::Length(response.body.len()), true);
    out.extend_from_slice(&response.body);
    socket.write_all(&out)
}

/// What the proxy answers, with one server `fetch` and baseURL at `/tools`.
fn good(asked: &str, target: &str, origin: &str, body: &str) -> Response {
    match asked {
        "POST /tools/fetch/mcp" => {
            let challenge = format!(
                r#"Bearer resource_metadata="{origin}/.well-known/oauth-protected-resource/tools/fetch/mcp", scope="mcp""#
            );
            let mut response = json(401, r#"{"error":"unauthorized"}"#);
            response.headers.push(("WWW-Authenticate".to_owned(), challenge));
            response
        }
        "GET /.well-known/oauth-protected-resource/tools/fetch/mcp" => json(
            200,
            &format!(
                r#"{{"resource":"{origin}/tools/fetch/mcp","authorization_servers":["{origin}/tools"],
                "scopes_supported":["mcp"],"bearer_methods_supported":["header"]}}"#
            ),
        ),
        "GET /.well-known/oauth-authorization-server/tools"
        | "GET /.well-known/oauth-authorization-server" => json(200, &super::server_metadata(origin)),
        _ if asked.starts_with("OPTIONS ") => {
            let any = [
                ("Access-Control-Allow-Origin", "*"),
                ("Access-Control-Allow-Headers", "Content-Type, MCP-Protocol-Version"),
            ];
            answer_of(204, &any, "")
        }
        "POST /tools/oauth/register" => {
            assert!(body.contains("mcp-proxy doctor"), "{body}");
            json(201, super::REGISTERED)
        }
        "GET /tools/oauth/authorize" => {
            for part in ["client_id=", "code_challenge_method=S256", "&resource=http%3A%2F%2F127"] {
                assert!(target.contains(part), "{target}");
            }
            super::login_page()
        }
        "POST /tools/oauth/token" if body.contains("client_id=mcpx_1") => {
            json(400, r#"{"error":"invalid_grant"}"#)
        }
        "POST /tools/oauth/token" => json(401, r#"{"error":"invalid_client"}"#),
        _ if asked.starts_with("GET /tools/health/front") => json(503, "{}"),
        _ => json(404, r#"{"error":"not_found"}"#),
    }
}

/// Walks to a path of a site, and gives whether that passed and what was printed.
fn walk(path: &str, change: Change) -> (bool, String) {
    let site = Site::start(change);
    let net = Net { insecure: false, extra_roots: None };
    let mut out = Vec::new();
    let passed = examine(&format!("http://{}{path}", site.addr), &net, false, &mut out);
    (passed, String::from_utf8(out).unwrap())
}

#[test]
fn a_good_site_passes() {
    let (passed, out) = walk("/tools/fetch/mcp", |_, _, _| {});
    assert!(passed, "{out}");
    assert!(!out.contains("warn ") && !out.contains("FAIL "), "{out}");
    assert!(out.ends_with("\nverdict: clients should be able to connect and sign in\n"), "{out}");
    assert!(out.contains("a client \"mcp-proxy doctor\" was registered"), "{out}");
    let (passed, out) = walk("/tools/fetch/mcp/", |_, _, _| {});
    assert!(!passed && out.contains("status 404"), "{out}");
}

#[test]
fn broken_sites_are_told_apart() {
    let table: &[(&str, Change, &str)] = &[
        (
            "an open server",
            |asked, _, response| {
                if asked == "POST /tools/fetch/mcp" {
                    *response = json(200, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)
                }
            },
            "FAIL a request without a token is answered with 200: this server is open",
        ),
        (
            "a header stripped on the way",
            |_, _, response| {
                response.headers.retain(|(name, _)| name != "WWW-Authenticate");
            },
            "FAIL the 401 has no WWW-Authenticate header",
        ),
        (
            "a front that forwards the path of the server alone",
            |asked, _, response| {
                if !asked.contains("/fetch/mcp") || asked.contains("well-known") {
                    *response = html(404, "nginx")
                }
            },
            "FAIL the metadata of the server: status 404, an HTML page (through nginx)",
        ),
        (
            "a baseURL of another host",
            |asked, origin, response| {
                if asked == "POST /tools/fetch/mcp" {
                    for (_, value) in &mut response.headers {
                        *value = value.replace(origin, "https://other.example")
                    }
                }
            },
            "FAIL resource_metadata is on https://other.example, but the URL on http://127.0.0.1",
        ),
        (
            "a document about another server",
            |asked, _, response| {
                if asked.starts_with("GET /.well-known/oauth-protected") {
                    response.body = String::from_utf8_lossy(&response.body)
                        .replace("fetch/mcp\"", "fetch\"")
                        .into_bytes();
                }
            },
            "FAIL the metadata is about ",
        ),
        (
            "errors replaced by pages",
            |asked, _, response| {
                if response.status == 404 && asked.contains("well-known") {
                    *response = html(404, "nginx")
                }
            },
            "nonexistent-mcp-proxy-doctor is missing, but an HTML page says so",
        ),
        (
            "a firewall before the token endpoint",
            |asked, _, response| {
                if asked.ends_with("/token") {
                    *response = html(403, "cloudflare")
                }
            },
            "FAIL a dead refresh token: status 403, an HTML page (through Cloudflare)",
        ),
        (
            "registrations that get lost",
            |asked, _, response| {
                if asked == "POST /tools/oauth/token" {
                    *response = json(401, r#"{"error":"invalid_client"}"#)
                }
            },
            "FAIL a dead refresh token: the client that was just registered is unknown",
        ),
    ];
    for (name, change, line) in table {
        let (passed, out) = walk("/tools/fetch/mcp", *change);
        assert!(!passed && out.contains(line), "{name}:\n{out}");
        assert!(out.contains("\nverdict: ") && !out.contains("should be able"), "{name}:\n{out}");
    }
}

#[test]
fn a_refused_address_leaves_the_rest_untested_without_failing() {
    let (passed, out) = walk("/tools/fetch/mcp", |asked, _, response| {
        if asked.ends_with("/register") {
            *response = json(403, r#"{"error":"access_denied"}"#);
        }
    });
    assert!(passed && out.contains("160.79.104.0/21"), "{out}");
    assert!(out.contains("verdict: nothing is wrong as far as could be tested"), "{out}");
    assert!(out.contains("ok   an unknown client is refused"), "{out}");
}

#[test]
fn another_address_that_is_served_is_named() {
    let (passed, out) = walk("/tools/fetch", |_, _, _| {});
    assert!(!passed && out.contains("/tools/fetch/mcp is served: type that into"), "{out}");
}

#[test]
fn the_base_address_is_walked_as_far_as_it_leads() {
    let (passed, out) = walk("", |asked, origin, response| {
        if asked == "GET /.well-known/oauth-protected-resource" {
            let text =
                r#"{"resource":"X/tools","authorization_servers":["X/tools"],"scopes_supported":["mcp"]}"#;
            *response = json(200, &text.replace('X', origin));
        }
    });
    assert!(passed && out.contains("warn no server is at http://127.0.0.1"), "{out}");
    assert!(
        out.contains("ok   the login page has its form") && out.contains("see the warnings above"),
        "{out}"
    );
    let (_, out) = walk("", |asked, origin, response| {
        if asked == "POST /mcp" {
            *response = good("POST /tools/fetch/mcp", "", origin, "");
        }
    });
    assert!(out.contains("/mcp for all of them. What follows is about"), "{out}");
}

#[test]
fn a_client_with_a_document_needs_no_registration() {
    let (passed, out) = walk("/tools/fetch/mcp", |asked, _, response| {
        if asked == "GET /.well-known/oauth-authorization-server/tools" {
            let text = String::from_utf8_lossy(&response.body).replace("registration_endpoint", "x");
            let text = text.replace('}', r#","client_id_metadata_document_supported":true}"#);
            response.body = text.into_bytes();
        }
    });
    assert!(passed && out.contains("warn registration is off"), "{out}");
    assert!(out.contains("takes the metadata document of Claude\nok   the login page has its form"), "{out}");
}

#[test]
fn nobody_there_is_the_end() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut out = Vec::new();
    let net = Net { insecure: false, extra_roots: None };
    assert!(!examine(&format!("http://{closed}/fetch/mcp"), &net, false, &mut out));
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("FAIL a request without a token: no answer from"), "{out}");
    assert!(
        out.ends_with(
            "verdict: 1 problem, see the line with FAIL above; what comes after could not be tested\n"
        ),
        "{out}"
    );
}

/// More than any walk makes.
const REQUESTS_MAX: usize = 64;
