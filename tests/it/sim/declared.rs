//! What clients and servers declare beyond the protocol, and what a server says of itself.

use super::{KINDS, one, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Client, Kind, MERGED};
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

const UI: &str = "io.modelcontextprotocol/ui";

/// A client that declares these capabilities.
fn can(capabilities: &Value) -> impl Fn(&mut Client) + use<> {
    let capabilities = capabilities.clone();
    move |client| client.capabilities = capabilities.clone()
}

/// What a server was told in each handshake, in order.
fn told(w: &World, server: &str) -> Vec<Value> {
    let heard = w.heard(server, "initialize").into_iter();
    heard.map(|heard| heard.value["params"]["capabilities"].clone()).collect()
}

fn with_greeting(cast: Cast, server: &str, greets: &Value) -> Cast {
    cast.mind(server, |mind| mind.greets = greets.clone())
}

#[test]
fn what_a_server_declares_stands_on_its_own_endpoint() {
    // FT-301
    let extensions = json!({UI: {"mimeTypes": ["text/html;profile=mcp-app"]}, "com.example/x": {"n": 1.0}});
    let declared = json!({"extensions": extensions, "experimental": {"y": {}}});
    for server in ["fs", "web", "old"] {
        story(with_greeting(three(), server, &json!({"capabilities": declared})), |w| {
            for kind in KINDS {
                let c = w.client(server, kind);
                let capabilities = &w.greeting(c)["capabilities"];
                assert_eq!(capabilities["extensions"], extensions);
                assert_eq!(capabilities["experimental"], json!({"y": {}}));
            }
        });
    }
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let capabilities = &w.greeting(c)["capabilities"];
        assert!(capabilities["extensions"].is_null() && capabilities["experimental"].is_null());
    });
}

#[test]
fn the_merged_endpoint_declares_what_all_have_and_the_first_says() {
    // FT-301
    let of =
        |n: u64, name: &str| json!({"capabilities": {"extensions": {"com.example/one": {"n": n}, name: {}}}});
    let cast = with_greeting(three(), "fs", &of(1, "a"));
    let cast = with_greeting(cast, "web", &of(2, "b"));
    let cast = with_greeting(cast, "old", &json!({"capabilities": {"experimental": {"x": {}}}}));
    story(cast, |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            let capabilities = &w.greeting(c)["capabilities"];
            assert_eq!(capabilities["extensions"], json!({"com.example/one": {"n": 1}, "a": {}, "b": {}}));
            assert_eq!(capabilities["experimental"], json!({"x": {}}));
        }
    });
}

#[test]
fn a_server_is_told_what_its_client_declares_and_nobody_elses_is() {
    // FT-301
    let ui = json!({"extensions": {UI: {"mimeTypes": ["text/html"]}}});
    for server in ["fs", "web", "old"] {
        story(three(), |w| {
            let plain = w.client(server, Kind::Streamable);
            w.check_echo(plain);
            assert_eq!(told(w, server), [json!({})]);
            let c = w.client_with(server, Kind::Streamable, can(&ui));
            w.check_echo(c);
            assert_eq!(told(w, server), [json!({}), ui.clone()]);
            let asks = json!({"roots": {}, "experimental": {"x": {"y": [1, null]}}});
            let c = w.client_with(server, Kind::Streamable, can(&asks));
            w.check_echo(c);
            assert_eq!(told(w, server).last(), Some(&asks));
        });
    }
}

#[test]
fn clients_that_declare_the_same_share_a_connection_and_others_do_not() {
    // FT-301
    let text = |capabilities: &str| -> Value { serde_json::from_str(capabilities).unwrap() };
    let same = [
        text(r#"{"extensions":{"a":{"x":1,"y":2},"b":{}}}"#),
        text(r#"{"extensions":{"b":{},"a":{"y":2,"x":1}},"experimental":{}}"#),
        text(r#"{"experimental":null,"extensions":{"a":{"x":1,"y":2},"b":{}}}"#),
    ];
    let other = text(r#"{"extensions":{"a":{"x":1,"y":3},"b":{}}}"#);
    for sessions in ["auto", "shared"] {
        story(one().options("fs", json!({"sessions": sessions})), |w| {
            for capabilities in &same {
                let c = w.client_with("fs", Kind::Streamable, can(capabilities));
                w.check_echo(c);
                assert_eq!(w.alive("fs"), 2, "the shared one and one more");
            }
            let c = w.client_with("fs", Kind::Streamable, can(&other));
            w.check_echo(c);
            assert_eq!(w.alive("fs"), 3);
        });
    }
    // Who can be asked something shares by that as well.
    story(one().options("fs", json!({"sessions": "shared"})), |w| {
        for (capabilities, alive) in [
            (json!({"roots": {}, "extensions": {"a": {}}}), 2),
            (json!({"extensions": {"a": {}}, "roots": {}}), 2),
            (json!({"roots": {}}), 3),
            (json!({"roots": {}, "extensions": {"b": {}}}), 4),
        ] {
            let c = w.client_with("fs", Kind::Streamable, can(&capabilities));
            w.check_echo(c);
            assert_eq!(w.alive("fs"), alive, "{capabilities}");
        }
    });
}

#[test]
fn calls_of_clients_that_declare_the_same_run_beside_each_other() {
    // FT-301
    story(one(), |w| {
        let ui = json!({"extensions": {UI: {}}});
        let slow = w.client_with("fs", Kind::Streamable, can(&ui));
        let quick = w.client_with("fs", Kind::Streamable, can(&ui));
        let req = w.start_call(slow, "slow", json!({"ms": 20_000, "text": "late"}));
        w.until_heard(req);
        w.check_echo(quick);
        // Nobody can be asked anything, however it is tried.
        let refused = w.call(quick, "ask", json!({"method": "roots/list"}));
        assert!(refused.contains("-32601"), "{refused}");
        assert_eq!(w.text(req), "late");
        assert_eq!(w.alive("fs"), 2);
    });
}

#[test]
fn a_connection_of_clients_that_declare_the_same_ends_with_the_last() {
    // FT-301
    story(one().calm(), |w| {
        let ui = json!({"extensions": {UI: {}}});
        let clients = [0, 1].map(|_| w.client_with("fs", Kind::Streamable, can(&ui)));
        clients.iter().for_each(|c| w.check_echo(*c));
        w.end_session(clients[0]);
        w.run_ms(200_000);
        assert_eq!(w.alive("fs"), 2);
        w.end_session(clients[1]);
        w.run_ms(200_000);
        assert_eq!(w.alive("fs"), 1);
    });
}

#[test]
fn a_declaration_without_bounds_is_not_told_and_not_kept() {
    // FT-301
    // limit: declared_bytes_max
    story(one(), |w| {
        for (len, declared) in [(16_000, true), (16_500, false)] {
            let c = w.client_with(
                "fs",
                Kind::Streamable,
                can(&json!({"extensions": {"a": {"x": "x".repeat(len)}}})),
            );
            w.check_echo(c);
            assert_eq!(w.alive("fs"), 2, "{len}");
            assert!(told(w, "fs").iter().any(|told| told["extensions"].is_object()));
            assert_eq!(w.watch.logged("none of them is"), !declared, "{len}");
        }
    });
    let long = json!({"capabilities": {"extensions": {"a": "x".repeat(17_000)}}});
    story(with_greeting(one(), "fs", &long), |w| {
        let c = w.client("fs", Kind::Streamable);
        assert!(w.greeting(c)["capabilities"]["extensions"].is_null());
        assert!(w.watch.logged("too long to be shown in full"));
    });
}

#[test]
fn the_tasks_extension_is_not_carried() {
    // FT-301, DL-14
    let tasks = json!({"extensions": {"io.modelcontextprotocol/tasks": {}, "a": {}}});
    story(with_greeting(one(), "fs", &json!({"capabilities": tasks})), |w| {
        let c = w.client_with("fs", Kind::Streamable, can(&tasks));
        assert_eq!(w.greeting(c)["capabilities"]["extensions"], json!({"a": {}}));
        w.check_echo(c);
        assert_eq!(told(w, "fs").last(), Some(&json!({"extensions": {"a": {}}})));
    });
}

#[test]
fn a_server_shows_who_it_is_on_its_own_endpoint_only() {
    // FT-304
    let info = json!({"name": "somebody", "version": "7.1", "title": "A Server", "description": "does\nthings",
        "websiteUrl": "https://example.com", "icons": [{"src": "data:image/png;base64,AA", "sizes": ["48x48"]}]});
    let greets = json!({"serverInfo": info, "_meta": {"com.example/x": [1, {"y": "z"}]}});
    for server in ["fs", "web", "old"] {
        story(with_greeting(three(), server, &greets), |w| {
            w.until_all_tried();
            for kind in KINDS {
                let c = w.client(server, kind);
                let mut expected = info.clone();
                expected["name"] = json!(server);
                let greeting = w.greeting(c);
                assert_eq!(greeting["serverInfo"], expected);
                assert_eq!(greeting["_meta"], greets["_meta"]);
                let c = w.client(MERGED, kind);
                let greeting = w.greeting(c);
                assert_eq!(greeting["serverInfo"], json!({"name": "proxy", "version": "1"}));
                assert!(greeting["_meta"].is_null());
            }
        });
    }
}

#[test]
fn what_clients_could_not_read_of_an_identity_is_left_out() {
    // FT-304
    let info = json!({"title": null, "description": 7, "icons": {}, "websiteUrl": null, "version": null});
    story(with_greeting(one(), "fs", &json!({"serverInfo": info, "_meta": null})), |w| {
        let c = w.client("fs", Kind::Streamable);
        let greeting = w.greeting(c);
        assert_eq!(greeting["serverInfo"], json!({"name": "fs", "version": "1"}));
        assert!(greeting.get("_meta").is_none());
    });
}

#[test]
fn completions_are_declared_where_the_server_declares_them() {
    // FT-304, DL-13
    for (revision, declares) in [("2024-11-05", false), ("2025-11-25", false), ("2024-11-05", true)] {
        let cast = one().program("fs", |p| {
            p.mind.revision = Some(revision);
            p.mind.completes = declares;
        });
        story(cast, |w| {
            let c = w.client("fs", Kind::Streamable);
            assert_eq!(w.greeting(c)["capabilities"]["completions"].is_object(), declares, "{revision}");
        });
    }
}
