//! The documents by which clients find their way, at every place where one looks; and how all endpoints answer what
//! they do not serve.

use super::three;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::login::{CALLBACK, public};
use mcp_proxy_tests::story::{story, story_of};
use serde_json::{Value, json};

const METADATA: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

fn cast() -> Cast {
    three().with_logins(&json!({}))
}

fn deep() -> Cast {
    cast().with_proxy("baseURL", json!("http://localhost:9090/hub"))
}

fn no_null(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().all(no_null),
        Value::Object(members) => members.values().all(no_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[test]
fn the_documents_of_the_authorization_server_say_what_there_is() {
    // OA-08, OA-20 to OA-31
    for (cast, base) in [
        (cast(), ""),
        (deep(), "/hub"),
        (deep().with_proxy("baseURL", json!("http://localhost:9090/hub/")), "/hub"),
    ] {
        story_of([0, 1, 4], cast, |w| {
            w.until_open();
            let issuer = format!("http://localhost:9090{base}");
            let mut places = vec![METADATA.to_owned(), OPENID.to_owned(), format!("{METADATA}{base}")];
            places.extend([format!("{OPENID}{base}"), format!("{base}{OPENID}")]);
            for place in places {
                let answer = w.visit("GET", &place, &[("mcp-protocol-version", "2099-01-01")], "");
                assert_eq!(answer.status(), 200, "{place}");
                assert_eq!(answer.field("content-type"), Some("application/json"));
                assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
                let json = answer.json();
                assert_eq!(json["issuer"], json!(issuer));
                assert_eq!(json["response_types_supported"], json!(["code"]));
                assert_eq!(json["code_challenge_methods_supported"], json!(["S256"]));
                assert_eq!(json["grant_types_supported"], json!(["authorization_code", "refresh_token"]));
                let methods = json!(["none", "client_secret_post", "client_secret_basic"]);
                assert_eq!(json["token_endpoint_auth_methods_supported"], methods);
                assert_eq!(json["authorization_response_iss_parameter_supported"], json!(true));
                assert_eq!(json["client_id_metadata_document_supported"], json!(true));
                assert!(no_null(&json), "{json}");
            }
        });
    }
    let closed = cast().oauth(&json!({"registration": false, "clientIdMetadata": {"allowedHosts": []}}));
    story_of([0, 3], closed, |w| {
        w.until_open();
        let json = w.get(METADATA).json();
        assert!(json.get("registration_endpoint").is_none(), "OA-22");
        assert!(json.get("client_id_metadata_document_supported").is_none(), "OA-27");
        assert_eq!(w.register(&public("x", CALLBACK)).error(), (404, "not_found".to_owned()));
    });
    story_of([0], deep().oauth(&json!({"strictDiscovery": true})), |w| {
        w.until_open();
        assert_eq!((w.get(METADATA).status(), w.get(&format!("{METADATA}/hub")).status()), (404, 200));
    });
}

#[test]
fn each_resource_is_described_under_the_name_it_was_asked_for() {
    // OA-33 to OA-38
    for (cast, base) in [(cast(), ""), (deep(), "/hub")] {
        let cast = cast.options("old", json!({"oauth2": {"enabled": false}}));
        story(cast, |w| {
            w.until_open();
            for path in ["/fs", "/fs/mcp", "/web", "/web/mcp", "/mcp"] {
                let json = w.get(&format!("{RESOURCE}{base}{path}")).json();
                assert_eq!(json["resource"], json!(format!("http://localhost:9090{base}{path}")));
                assert_eq!(json["authorization_servers"], json!([format!("http://localhost:9090{base}")]));
                assert_eq!(json["bearer_methods_supported"], json!(["header"]));
                assert_eq!(json["scopes_supported"], json!(["mcp"]));
                assert!(no_null(&json));
            }
            // FT-203: also with a slash at the end, in the challenge as in the document (RFC 9728 §3.3).
            for path in ["/fs/", "/fs/mcp/", "/web/sse/", "/mcp/", "/sse/"] {
                let resource = w.get(&format!("{RESOURCE}{base}{path}")).json()["resource"].clone();
                assert_eq!(resource, json!(format!("http://localhost:9090{base}{path}")));
                let refused = w.knock(path, "");
                let named = format!("resource_metadata=\"http://localhost:9090{RESOURCE}{base}{path}\"");
                assert!(refused.field("www-authenticate").unwrap().contains(&named), "{path}: {refused:?}");
            }
            let root = w.get(RESOURCE).json();
            assert_eq!(root["resource"], json!(format!("http://localhost:9090{base}")));
            let unknown = w.get(&format!("{RESOURCE}{base}/nobody/mcp"));
            let exempt = w.get(&format!("{RESOURCE}{base}/old/mcp"));
            assert_eq!(unknown.error(), (404, "not_found".to_owned()));
            assert_eq!((exempt.status(), exempt.body), (404, unknown.body), "nobody can tell them apart");
        });
    }
    story_of([0, 1], super::one().with_logins(&json!({})), |w| {
        w.until_open();
        assert_eq!(w.get(RESOURCE).json()["resource"], json!(w.url("fs")), "OA-37");
    });
}

#[test]
fn methods_preflights_and_unknown_paths_are_answered_in_json() {
    // OA-39, OA-40, OA-42
    for (cast, base) in [(cast(), ""), (deep(), "/hub")] {
        story_of([0, 1, 2, 3], cast, |w| {
            w.until_open();
            for path in [
                "/.well-known/nothing".to_owned(),
                format!("{base}/fs/mcp/.well-known/openid-configuration"),
                format!("{base}/fs/.well-known/oauth-authorization-server"),
                format!("{METADATA}{base}/fs/mcp"),
                format!("{METADATA}{base}/fs"),
                format!("{OPENID}{base}/fs/mcp"),
                format!("{base}/oauth/introspect"),
                format!("{base}/oauth/userinfo"),
            ] {
                for method in ["GET", "POST"] {
                    let answer = w.visit(method, &path, &[], "");
                    assert_eq!(answer.error(), (404, "not_found".to_owned()), "{method} {path}");
                    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
                }
            }
            let origin = ("origin", "http://page.test");
            for (path, allowed) in [
                (METADATA.to_owned(), "GET, HEAD, OPTIONS"),
                (format!("{RESOURCE}{base}/fs"), "GET, HEAD, OPTIONS"),
                (format!("{base}/oauth/register"), "POST, OPTIONS"),
                (format!("{base}/oauth/token"), "POST, OPTIONS"),
                (format!("{base}/oauth/revoke"), "POST, OPTIONS"),
            ] {
                let asked = w.visit("OPTIONS", &path, &[origin], "");
                assert_eq!(asked.status(), 204, "{path}");
                assert_eq!(asked.field("access-control-allow-origin"), Some("*"));
                assert!(
                    asked.field("access-control-allow-headers").unwrap().contains("MCP-Protocol-Version")
                );
                let refused = w.visit("PUT", &path, &[], "");
                assert_eq!((refused.status(), refused.field("allow")), (405, Some(allowed)), "{path}");
            }
            let page = w.visit("OPTIONS", &format!("{base}/oauth/authorize"), &[origin], "");
            assert_eq!((page.status(), page.field("access-control-allow-origin")), (405, None));
            let head = w.visit("HEAD", METADATA, &[("connection", "close")], "");
            assert_eq!((head.status(), head.body.as_str()), (200, ""));
            let whole = w.get(METADATA);
            assert_eq!(head.field("content-length"), whole.field("content-length"));
        });
    }
}

#[test]
fn without_logins_nothing_of_it_is_there() {
    // OA-01, OA-02, OA-66
    for cast in [three(), cast().oauth(&json!({"enabled": false}))] {
        story_of([0, 1], cast.options("fs", json!({"authTokens": ["token-secret-1"]})), |w| {
            w.until_open();
            for path in
                [METADATA, RESOURCE, "/.well-known/oauth-protected-resource/fs/mcp", "/oauth/authorize"]
            {
                assert_eq!(w.get(path).error(), (404, "not_found".to_owned()), "{path}");
            }
            let refused = w.knock("/fs/mcp", "");
            let challenge = refused.field("www-authenticate").unwrap();
            assert!(
                refused.status() == 401
                    && challenge.starts_with("Bearer")
                    && !challenge.contains("resource_metadata")
            );
            assert_eq!(w.opens("web", ""), 200);
            assert_eq!(w.disk.saves, 0);
        });
    }
}

#[test]
fn without_a_base_url_only_names_of_this_machine_have_an_issuer() {
    // OA-10, T-49
    let mut cast = cast();
    cast.proxy.as_object_mut().unwrap().remove("baseURL");
    story_of([0, 3], cast, |w| {
        w.until_open();
        for host in ["localhost:9090", "127.0.0.1:9090", "[::1]:1234", "localhost"] {
            let answer = w.visit("GET", METADATA, &[("host", host)], "");
            assert_eq!(answer.json()["issuer"], json!(format!("http://{host}")));
        }
        for host in ["evil.test", "localhost.evil.test", "127.0.0.1.evil.test:9090", "10.0.0.1"] {
            let answer = w.visit("GET", METADATA, &[("host", host), ("x-forwarded-host", "localhost")], "");
            assert!(
                (400..500).contains(&answer.status()) && !answer.body.contains("issuer"),
                "{host}: {answer:?}"
            );
        }
    });
}
