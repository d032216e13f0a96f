//! Who may come in and what is shown: origins, hosts, tokens, routes, tool filters.

use super::{KINDS, one};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{AUTHORITY, Kind};
use mcp_proxy_tests::story::story;
use serde_json::json;

const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
const POST: [(&str, &str); 2] =
    [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];

#[test]
fn foreign_origins_are_refused_on_every_path_and_method() {
    // DL-32, DL-34
    story(one(), |w| {
        let c = w.client("fs", Kind::Sse);
        let endpoint = w.clients[c].endpoint.clone().unwrap();
        for (method, path) in [
            ("POST", "/fs/mcp"),
            ("GET", "/fs/mcp"),
            ("DELETE", "/fs/mcp"),
            ("GET", "/fs/sse"),
            ("POST", &endpoint),
        ] {
            let fields =
                [POST[0], ("accept", "application/json, text/event-stream"), ("origin", "http://evil.test")];
            let body = if method == "POST" { HELLO } else { "" };
            assert_eq!(w.http(method, path, &fields, body).status(), 403, "{method} {path}");
        }
        w.check_echo(c);
    });
}

#[test]
fn foreign_host_names_are_refused_on_a_loopback_listener() {
    // DL-35
    story(one(), |w| {
        w.client("fs", Kind::Streamable);
        for (host, admitted) in [
            (AUTHORITY, true),
            ("127.0.0.1:9090", true),
            ("[::1]:9090", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("evil.test", false),
            ("localhost.evil.test", false),
            ("127.0.0.1.evil.test:9090", false),
        ] {
            let fields = [POST[0], POST[1], ("host", host)];
            let status = w.http("POST", "/fs/mcp", &fields, HELLO).status();
            assert_eq!(
                (status == 200, (400..500).contains(&status)),
                (admitted, !admitted),
                "{host}: {status}"
            );
        }
    });
}

#[test]
fn tokens_open_and_nothing_else_does() {
    // SEED-029, SEED-084, DL-41
    let cast = one().stdio("db").options("fs", json!({"authTokens": ["token-secret-1", "token-secret-2"]}));
    story(cast.secret("token-secret-1").secret("token-secret-2"), |w| {
        w.client("db", Kind::Streamable);
        for (path, method) in
            [("/fs/mcp", "POST"), ("/fs/mcp", "GET"), ("/fs/sse", "GET"), ("/fs/mcp", "DELETE")]
        {
            for value in [
                "",
                "Bearer wrong",
                "Bearer",
                "token-secret",
                "Basic token-secret-1",
                "Bearer token-secret-1x",
            ] {
                let fields = [POST[0], POST[1], ("authorization", value)];
                let exchange = w.http(method, path, &fields[..if value.is_empty() { 2 } else { 3 }], HELLO);
                assert_eq!(exchange.status(), 401, "{method} {path} {value:?}");
            }
        }
        let mine = |value: &'static str| {
            move |c: &mut mcp_proxy_tests::client::Client| {
                c.fields = vec![("authorization".to_owned(), value.to_owned())];
            }
        };
        let bare = w.client_with("fs", Kind::Streamable, mine("token-secret-1"));
        let bearer = w.client_with("fs", Kind::Streamable, mine("Bearer token-secret-2"));
        let sse = w.client_with("fs", Kind::Sse, mine("Bearer   token-secret-1 "));
        for c in [bare, bearer, sse] {
            w.check_echo(c);
        }
        w.clients[bare].session = w.clients[bearer].session.clone();
        assert_eq!(w.post_wait(bare, r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#).status(), 404, "DL-41");
    });
}

#[test]
fn unknown_servers_are_404_and_servers_not_ready_503_with_retry_after() {
    // SEED-083
    story(one().program("fs", |p| p.mind.mute = true), |w| {
        w.run_ms(50);
        for path in ["/nobody/mcp", "/", "/fsx/mcp", "/nobody/sse"] {
            assert_eq!(w.http("POST", path, &POST, HELLO).status(), 404, "{path}");
        }
        let exchange = w.http("POST", "/fs/mcp", &POST, HELLO);
        assert_eq!(exchange.status(), 503);
        assert!(exchange.field("retry-after").unwrap().parse::<u64>().unwrap() > 0);
        // FT-205: in its first start it is waited for.
        w.run_ms(120_000);
        assert_eq!(w.http("GET", "/fs/sse", &[("accept", "text/event-stream")], "").status(), 503);
    });
}

#[test]
fn short_forms_of_a_route_work_without_a_redirect() {
    // SEED-081
    story(one(), |w| {
        w.client("fs", Kind::Streamable);
        for path in ["/fs", "/fs/", "/fs/mcp"] {
            assert_eq!(w.http("POST", path, &POST, HELLO).status(), 200, "{path}");
        }
        assert_eq!(w.http("PUT", "/fs/mcp", &POST, HELLO).status(), 405);
    });
}

#[test]
fn a_base_url_with_a_path_prefixes_every_route() {
    // SEED-021, SEED-080, DL-28
    let cast = one().with_proxy("baseURL", json!("http://localhost:9090/hub"));
    story(cast, |w| {
        for kind in KINDS {
            let c = w.client("hub/fs", kind);
            w.check_echo(c);
        }
        assert_eq!(w.http("POST", "/fs/mcp", &POST, HELLO).status(), 404);
    });
}

#[test]
fn a_tool_filter_hides_and_refuses() {
    // SEED-031
    for (mode, list, hidden) in
        [("block", json!(["echo", "fail"]), "echo"), ("ALLOW", json!(["slow", "log"]), "echo")]
    {
        let cast = one().options("fs", json!({"toolFilter": {"mode": mode, "list": list}}));
        story(cast, |w| {
            for kind in KINDS {
                let c = w.client("fs", kind);
                let tools = w.ask(c, "tools/list", json!({})).to_string();
                assert!(!tools.contains(&format!("\"{hidden}\"")) && tools.contains("\"slow\""), "{tools}");
                let answer = w.ask(c, "tools/call", json!({"name": hidden}));
                assert_eq!(answer["error"]["code"], -32602);
                let escaped =
                    r#"{"jsonrpc":"2.0","id":"e","method":"tools\/call","params":{"name":"\u0065cho"}}"#;
                let req = w.start_raw(c, &[json!("e")], escaped)[0];
                assert_eq!(w.outcome(req)["error"]["code"], -32602, "escapes do not get around the filter");
                let twice = r#"{"jsonrpc":"2.0","id":"f","method":"tools/call","params":{"name":"slow","name":"echo"}}"#;
                let req = w.start_raw(c, &[json!("f")], twice)[0];
                w.outcome(req);
                assert_eq!(w.child("fs").mind().calls("echo"), 0);
                assert_eq!(w.call(c, "slow", json!({})), "done");
            }
        });
    }
}

#[test]
fn a_disabled_server_is_not_there() {
    // SEED-034
    story(one().stdio("off").options("off", json!({"disabled": true})), |w| {
        w.client("fs", Kind::Streamable);
        assert_eq!(w.http("POST", "/off/mcp", &POST, HELLO).status(), 404);
        assert!(w.children_of("off").is_empty());
    });
}

#[test]
fn an_empty_configuration_serves_nothing_and_stops() {
    story(Cast::default(), |w| {
        w.run_ms(1_000);
        assert_eq!(w.http("GET", "/fs/sse", &[], "").status(), 404);
    });
}

#[test]
fn no_member_that_differs_by_letter_case_slips_past_a_filter() {
    // SEED-031: servers written in Go take `Name` for `name`
    let cast = one().options("fs", json!({"toolFilter": {"mode": "allow", "list": ["slow"]}}));
    story(cast, |w| {
        for kind in KINDS {
            let c = w.client("fs", kind);
            for params in [
                r#"{"name":"slow","Name":"echo"}"#,
                r#"{"NAME":"echo","name":"slow"}"#,
                r#"{"\u004eame":"echo","name":"slow"}"#,
                r#"{"name":"slow","n\u0041me":"echo"}"#,
            ] {
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{params}}}"#,
                    json!(params)
                );
                let req = w.start_raw(c, &[json!(params)], &body)[0];
                assert!(w.outcome(req)["error"].is_object(), "{params}");
            }
            for members in [
                r#""method":"ping","Method":"tools/call","params":{"name":"echo"}"#,
                r#""METHOD":"tools/call","method":"ping","params":{"name":"echo"}"#,
                r#""method":"tools/call","params":{"name":"slow"},"Params":{"name":"echo"}"#,
                r#""m\u0045thod":"tools/call","method":"ping","params":{"name":"echo"}"#,
            ] {
                let body = format!(r#"{{"jsonrpc":"2.0","id":"m",{members}}}"#);
                assert_eq!(w.post_wait(c, &body).status(), 400, "{members}");
            }
            assert_eq!(w.child("fs").mind().count("tools/call"), 0);
        }
    });
}

#[test]
fn a_page_of_a_welcome_origin_may_ask_first_and_read_the_answer() {
    // Fetch standard, CORS protocol
    story(one().options("fs", json!({"authTokens": ["token-secret-1"]})), |w| {
        w.run_ms(2_000);
        let origin = ("origin", "http://localhost:6274");
        let asked = w.http("OPTIONS", "/fs/mcp", &[origin], "");
        assert_eq!(asked.status(), 204, "a preflight request carries no credential");
        assert_eq!(asked.field("access-control-allow-origin"), Some(origin.1));
        assert!(asked.field("access-control-allow-headers").unwrap().contains("Mcp-Session-Id"));
        let fields = [POST[0], POST[1], origin, ("authorization", "Bearer token-secret-1")];
        let answered = w.http("POST", "/fs/mcp", &fields, HELLO);
        assert_eq!(answered.status(), 200);
        assert_eq!(answered.field("access-control-allow-origin"), Some(origin.1));
        assert!(answered.field("access-control-expose-headers").unwrap().contains("Mcp-Session-Id"));
        let foreign = w.http("OPTIONS", "/fs/mcp", &[("origin", "http://evil.test")], "");
        assert_eq!((foreign.status(), foreign.field("access-control-allow-origin")), (403, None));
    });
}
