//! What is refused because it is too much, and what is taken though it is spelled oddly.

use super::*;
use crate::limits::OAUTH_JSON_DEPTH_MAX;

#[test]
fn metadata_that_nests_deeply_is_refused_in_words() {
    // FT-511
    let mut desk = Desk::new(json!({}));
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [OAUTH_JSON_DEPTH_MAX, 100, 10_000] {
            let inner = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let body = format!("{{\"redirect_uris\":[\"{CALLBACK}\"],\"x\":{inner}}}");
            let reply = desk.post("/oauth/register", "application/json", &body);
            assert_eq!((reply.status, member(&reply, "error").as_str()), (400, "invalid_client_metadata"));
            assert!(member(&reply, "error_description").contains("nests too deeply"), "{reply:?}");
        }
    }
    let flat = "[".repeat(OAUTH_JSON_DEPTH_MAX - 1) + &"]".repeat(OAUTH_JSON_DEPTH_MAX - 1);
    let body = format!("{{\"redirect_uris\":[\"{CALLBACK}\"],\"x\":{flat}}}");
    assert_eq!(desk.post("/oauth/register", "application/json", &body).status, 201);
}

#[test]
fn a_loopback_target_with_an_empty_port_is_one_without() {
    // FT-511, RFC 3986 §3.2.3, RFC 8252 §7.3
    let mut desk = Desk::new(json!({"allowedRedirectURIs": ["loopback"]}));
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        for (registered, asked) in [("", ":"), (":", ""), (":", ":"), (":", ":5000"), (":5000", ":")] {
            let body = json!({"redirect_uris": [format!("http://{host}{registered}/cb")],
                "token_endpoint_auth_method": "none"});
            let client =
                member(&desk.post("/oauth/register", "application/json", &body.to_string()), "client_id");
            let target = crate::url::percent::encode_component(&format!("http://{host}{asked}/cb"));
            let page = desk.get(&format!(
                "/oauth/authorize?response_type=code&client_id={client}&redirect_uri={target}\
                 &code_challenge={CHALLENGE}&code_challenge_method=S256"
            ));
            assert_eq!(page.status, 200, "{host}{registered} {asked}: {page:?}");
        }
    }
}

#[test]
fn the_target_need_not_be_said_again_for_a_code_and_another_is_refused() {
    // FT-511, OAuth 2.1 §10.2
    let mut desk = Desk::new(json!({}));
    let client = desk.register();
    let resource = format!("{BASE}/db/mcp");
    for (said, status) in [(None, 200), (Some(CALLBACK), 200), (Some("https://claude.ai/other"), 400)] {
        let code = desk.log_in(&client, "ann", "secret", &resource).unwrap();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("client_id", client.as_str()),
            ("code_verifier", VERIFIER),
        ];
        fields.extend(said.map(|uri| ("redirect_uri", uri)));
        let reply = desk.form("/oauth/token", &fields);
        assert_eq!(reply.status, status, "{said:?}: {reply:?}");
        assert!(status == 200 || member(&reply, "error") == "invalid_grant", "{reply:?}");
    }
}

#[test]
fn one_address_is_not_offered_ways_back_without_end() {
    // FT-511
    let mut desk = Desk::new(json!({}));
    let target = crate::url::percent::encode_component(CALLBACK);
    let ask = |desk: &mut Desk, from| {
        let text = format!(
            "GET /oauth/authorize?response_type=code&client_id=gone&redirect_uri={target} HTTP/1.1\r\n\
             Host: mcp.example.com\r\n\r\n"
        );
        desk.send_from(from, &text)
    };
    for _ in 0..RECONNECTS_PER_MINUTE {
        let page = ask(&mut desk, [203, 0, 113, 9]);
        assert!(page.status == 400 && page.body.contains("Reconnect"), "{page:?}");
    }
    let refused = ask(&mut desk, [203, 0, 113, 9]);
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.headers.iter().any(|(name, _)| *name == "retry-after"), "{refused:?}");
    assert_eq!(ask(&mut desk, [203, 0, 113, 10]).status, 400, "others are unharmed");
    desk.pass(60);
    assert_eq!(ask(&mut desk, [203, 0, 113, 9]).status, 400);
}
