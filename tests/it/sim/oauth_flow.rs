//! A client that knows nothing but the URL of a server finds its way to a token and uses it: challenge, discovery,
//! registration, login, code, token, call, refresh, revocation.

use super::three;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Client, Kind, MERGED};
use mcp_proxy_tests::login::{ANN, App, CALLBACK, STATE, code_in, parameter, public, tokens};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;

const METADATA: &str = "/.well-known/oauth-authorization-server";

fn cast() -> Cast {
    three().with_logins(&json!({}))
}

fn deep() -> Cast {
    cast().with_proxy("baseURL", json!("http://localhost:9090/hub"))
}

fn bearer(token: &str) -> impl Fn(&mut Client) {
    let value = format!("Bearer {token}");
    move |client| client.fields = vec![("authorization".to_owned(), value.clone())]
}

/// The path of a URL of this proxy.
fn path_of(w: &World, url: &str) -> String {
    url.strip_prefix(&w.origin()).unwrap_or_else(|| panic!("{url} is elsewhere")).to_owned()
}

/// The address of the metadata in a challenge.
fn metadata_url(challenge: &str) -> String {
    let (_, rest) = challenge.split_once("resource_metadata=\"").expect("a challenge names its metadata");
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// Does what a client does that was given a URL, and gives what it has in the end.
fn connect(w: &mut World, path: &str, user: &str) -> (App, String, String) {
    let refused = w.knock(path, "");
    assert_eq!(refused.status(), 401);
    let url = metadata_url(refused.field("www-authenticate").expect("a challenge"));
    let at = path_of(w, &url);
    let resource = w.get(&at).json();
    let asked = format!("{}{}{path}", w.origin(), w.base_path());
    assert_eq!(resource["resource"], json!(asked), "RFC 9728 section 3.3");
    let issuer = resource["authorization_servers"][0].as_str().expect("a server").to_owned();
    let base = path_of(w, &issuer);
    let server = w.get(&format!("{METADATA}{base}")).json();
    assert_eq!(server["issuer"], json!(issuer));
    for (member, end) in [
        ("registration_endpoint", "register"),
        ("authorization_endpoint", "authorize"),
        ("token_endpoint", "token"),
        ("revocation_endpoint", "revoke"),
    ] {
        assert_eq!(server[member], json!(format!("{issuer}/oauth/{end}")));
    }
    let app = w.app("Guest");
    let form = w.open_form(&app, &[("resource", &asked), ("scope", "mcp")]);
    let page = w.sign_in(&form, user, if user == "ann" { ANN } else { mcp_proxy_tests::login::BEN });
    let link = page.links().into_iter().find(|link| link.starts_with(CALLBACK)).expect("a link");
    assert_eq!(parameter(&link, "state").as_deref(), Some(STATE));
    assert_eq!(parameter(&link, "iss"), Some(issuer));
    let answer = w.redeem(&app, &code_in(&page).expect("a code"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let got = tokens(&answer);
    assert_eq!((got.seconds, got.scope.as_str()), (3_600, "mcp"));
    (app, got.access, got.refresh)
}

#[test]
fn a_client_that_knows_a_url_ends_up_with_tools() {
    // OA-50, OA-53, OA-70, OA-110, OA-118, OA-119, OA-140, OA-150, OA-159
    for cast in [cast(), deep()] {
        story(cast, |w| {
            w.until_open();
            for (path, server) in
                [("/fs/mcp", "fs"), ("/web/mcp", "web"), ("/old/mcp", "old"), ("/mcp", MERGED)]
            {
                let (app, access, refresh) = connect(w, path, "ann");
                let name =
                    if server == MERGED { server.to_owned() } else { format!("{}/{server}", w.base_path()) };
                let base = w.base_path();
                let name = if base.is_empty() { name.trim_start_matches('/').to_owned() } else { name };
                if server == MERGED && !base.is_empty() {
                    assert_eq!(w.opens(server, &access), 200);
                } else {
                    let c = w.client_with(name.trim_start_matches('/'), Kind::Streamable, bearer(&access));
                    let tool = if server == MERGED { "fs__echo" } else { "echo" };
                    assert_eq!(w.call(c, tool, json!({"text": "hi"})), "hi");
                }
                let next = w.renewed(&app, &refresh);
                assert_eq!((w.opens(server, &next.access), w.opens(server, &access)), (200, 200));
                assert_eq!(w.revoke(&app, &next.refresh).status(), 200);
                assert_eq!((w.opens(server, &next.access), w.opens(server, &access)), (401, 401));
            }
        });
    }
}

#[test]
fn the_pages_that_come_with_the_program_lead_there_too() {
    // OA-110, OA-127, OA-136, OA-137, OA-190
    story_of([0, 2, 5], cast().with_own_pages(), |w| {
        w.until_open();
        for redirect in [CALLBACK, "http://127.0.0.1:7777/cb"] {
            let app = w.app_at("A <b>guest</b>", redirect);
            let form = w.open_form(&app, &[]);
            assert!(form.page.body.contains("claude.ai") || form.page.body.contains("127.0.0.1"));
            assert!(!form.page.body.contains("<b>guest"), "{}", form.page.body);
            let cancel = form.page.links().into_iter().find(|link| link.starts_with(redirect)).unwrap();
            assert_eq!(parameter(&cancel, "error").as_deref(), Some("access_denied"));
            assert_eq!(parameter(&cancel, "iss"), Some(w.url("")));
            let page = w.sign_in(&form, "ann", ANN);
            assert!(page.status() == 200 && page.body.contains("http-equiv=\"refresh\""), "{}", page.body);
            let answer = w.redeem(&app, &code_in(&page).unwrap());
            assert_eq!(w.opens("fs", &tokens(&answer).access), 200);
            let wrong = w.get("/oauth/authorize?client_id=nobody");
            assert_eq!(wrong.status(), 400);
            for page in [&form.page, &page, &wrong] {
                assert_eq!(page.field("x-frame-options"), Some("DENY"), "OA-129, T-19");
                assert_eq!(page.field("cache-control"), Some("no-store"));
                assert_eq!(page.field("referrer-policy"), Some("same-origin"));
                assert_eq!(page.field("access-control-allow-origin"), None, "OA-40");
                let policy = page.field("content-security-policy").unwrap();
                assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"));
            }
        }
    });
}

#[test]
fn the_challenge_leads_to_the_description_of_what_was_asked_for() {
    // OA-50 to OA-53
    for (cast, base) in [(cast(), ""), (deep(), "/hub")] {
        story(cast, |w| {
            w.until_open();
            for path in ["/fs", "/fs/mcp", "/web/mcp", "/mcp"] {
                for method in ["GET", "POST", "DELETE"] {
                    let refused = w.visit(method, &format!("{base}{path}"), &[], "");
                    assert_eq!(refused.error(), (401, "unauthorized".to_owned()), "{method} {path}");
                    let challenge = refused.field("www-authenticate").unwrap().to_owned();
                    assert!(
                        challenge.starts_with("Bearer ") && challenge.contains("scope=\"mcp\""),
                        "{challenge}"
                    );
                    assert!(!challenge.contains("error"), "{challenge}");
                    let at = path_of(w, &metadata_url(&challenge));
                    assert_eq!(
                        w.get(&at).json()["resource"],
                        json!(format!("http://localhost:9090{base}{path}"))
                    );
                }
                let refused = w.knock(path, "mcpx_at_nonsense");
                assert_eq!(refused.error(), (401, "invalid_token".to_owned()));
                assert!(refused.field("www-authenticate").unwrap().contains("error=\"invalid_token\""));
            }
            // The answer comes before the body has.
            let head = format!(
                "POST {base}/fs/mcp HTTP/1.1\r\nhost: localhost:9090\r\ncontent-type: application/json\r\n\
                                accept: application/json, text/event-stream\r\ncontent-length: 1000\r\n\r\n"
            );
            let xid = w.raw(&head);
            assert_eq!(w.ended(xid).status(), 401);
        });
    }
}

#[test]
fn a_token_opens_every_route_of_its_server_and_only_in_the_header() {
    // OA-54 to OA-58, T-11, T-32
    story(cast(), |w| {
        w.until_open();
        let app = w.app("Guest");
        let url = w.url("fs");
        let token = w.log_in(&app, "ann", &[("resource", &url)]).access;
        let accept = ("accept", "application/json, text/event-stream");
        let kind = ("content-type", "application/json");
        for path in ["/fs", "/fs/", "/fs/mcp"] {
            assert_eq!(w.knock(path, &token).status(), 200, "{path}");
        }
        for value in [format!("bearer {token}"), format!("BEARER  {token} ")] {
            let answer = w.visit("POST", "/fs/mcp", &[kind, accept, ("authorization", &value)], "{}");
            assert_eq!(answer.status(), 400, "let in, and then told that this is no message");
        }
        for (value, status) in [
            (token.clone(), 401),
            (format!("Basic {token}"), 401),
            ("Bearer".to_owned(), 400),
            (format!("Bearer {token} {token}"), 400),
            (format!("Bearer {token},{token}"), 400),
        ] {
            let answer = w.visit("POST", "/fs/mcp", &[kind, accept, ("authorization", &value)], "{}");
            assert_eq!(answer.status(), status, "{value}");
        }
        let value = format!("Bearer {token}");
        let twice = [kind, accept, ("authorization", value.as_str()), ("authorization", value.as_str())];
        assert_eq!(w.visit("POST", "/fs/mcp", &twice, "{}").status(), 400);
        let query = format!("/fs/mcp?access_token={token}");
        assert_eq!(w.visit("POST", &query, &[kind, accept], "{}").status(), 401);
        for path in
            ["/web/mcp", "/fs/../web/mcp", "/web%2fmcp", "//web/mcp", "/fs/mcp/../../web/mcp", "/WEB/mcp"]
        {
            let status = w.knock(path, &token).status();
            assert!((400..500).contains(&status), "{path}: {status}");
        }
        assert_eq!(w.heard("web", "initialize").len(), 1, "none but the proxy itself has greeted it");
    });
}

#[test]
fn old_clients_find_the_endpoints_at_the_root() {
    // MCP 2025-03-26, fallback URLs
    for cast in [cast(), deep()] {
        story_of([0, 2, 5], cast, |w| {
            w.until_open();
            let kind = ("content-type", "application/json");
            let answer = w.visit("POST", "/register", &[kind], &public("Old", CALLBACK).to_string());
            assert_eq!(answer.status(), 201);
            let app = App::new(answer.json()["client_id"].as_str().unwrap(), CALLBACK);
            let path = w.authorize_path(&app, &[]);
            let short = path.replacen(&format!("{}/oauth", w.base_path()), "", 1);
            let page = w.get(&short);
            let form = mcp_proxy_tests::login::Form::of(&page);
            let page = w.sign_in(&form, "ann", ANN);
            let code = code_in(&page).unwrap();
            let mut params = vec![("client_id", app.id.as_str())];
            params.extend(mcp_proxy_tests::login::redeeming(&app, &code));
            let body = mcp_proxy_tests::login::encode(&params);
            let answer = w.visit("POST", "/token", &[mcp_proxy_tests::login::FORM], &body);
            assert_eq!(answer.status(), 200);
            assert_eq!(w.opens("fs", &tokens(&answer).access), 200);
        });
    }
}
