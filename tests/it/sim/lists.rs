//! Lists of the servers: read whole, kept fresh, told about.

use super::{KINDS, one, three};
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::mind::{MISSING, NO_RESOURCE};
use mcp_proxy_tests::story::story;
use serde_json::json;

#[test]
fn all_pages_of_every_list_are_read() {
    // UP-57
    for page in [1, 3, 14] {
        let cast = three()
            .program("fs", move |p| p.mind.page = page)
            .change_site("web", move |s| s.mind.page = page);
        story(cast.change_site("old", move |s| s.mind.page = page), |w| {
            for server in ["fs", "web", "old"] {
                let c = w.client(server, Kind::Streamable);
                let answer = w.ask(c, "tools/list", json!({}));
                assert_eq!(answer["result"]["tools"].as_array().map(Vec::len), Some(14), "{server}");
                assert!(answer["result"]["nextCursor"].is_null());
                assert_eq!(
                    w.ask(c, "resources/list", json!({}))["result"]["resources"].as_array().map(Vec::len),
                    Some(2)
                );
            }
        });
    }
}

#[test]
fn a_cursor_that_repeats_ends_the_reading() {
    // UP-58
    story(
        one().program("fs", |p| {
            p.mind.page = 5;
            p.mind.page_loop = true;
        }),
        |w| {
            let c = w.client("fs", Kind::Streamable);
            w.check_echo(c);
            let asked = w.child("fs").mind().count("tools/list");
            assert!(asked <= 3, "{asked} pages were asked for");
        },
    );
}

#[test]
fn unknown_members_of_an_item_survive() {
    // GN-06
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start(c, "tools/list", json!({}));
        let raw = w.raw_answer(req);
        assert!(raw.contains(r#""x-unknown":[0,1.0]"#), "{raw}");
    });
}

#[test]
fn lists_are_only_asked_for_when_declared() {
    // UP-59
    story(one().program("fs", |p| p.mind.others = 0), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        let mind = w.child("fs").mind();
        assert_eq!(
            (
                mind.count("prompts/list"),
                mind.count("resources/list"),
                mind.count("resources/templates/list")
            ),
            (0, 0, 0)
        );
        let answer = w.ask(c, "prompts/list", json!({}));
        assert!(answer["error"]["code"] == -32601 || answer["result"]["prompts"] == json!([]), "{answer}");
    });
}

#[test]
fn a_burst_of_changes_is_read_once_and_told_once() {
    // limit: debounce_ms
    // UP-60
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let c = w.client(server, Kind::Sse);
            w.run_ms(1_000);
            let mind = if server == "fs" { w.child("fs").mind() } else { &mut w.site(server).mind };
            let before = mind.count("tools/list");
            mind.tools.push("fresh".to_owned());
            for _ in 0..20 {
                w.say(server, r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
            }
            w.run_ms(1_000);
            let mind = if server == "fs" { w.child("fs").mind() } else { &mut w.site(server).mind };
            assert!(mind.count("tools/list") - before <= 2, "{server}");
            assert_eq!(w.inbox(c, "notifications/tools/list_changed").len(), 1, "{server}");
            assert!(w.ask(c, "tools/list", json!({})).to_string().contains("\"fresh\""));
            assert_eq!(w.call(c, "fresh", json!({})), "done");
        }
    });
}

#[test]
fn a_change_that_changes_nothing_is_not_told() {
    // BR-51
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client("fs", kind);
            if kind == Kind::Streamable {
                w.listen(c);
            }
            w.say("fs", r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
            w.run_ms(1_000);
            assert!(w.inbox(c, "notifications/tools/list_changed").is_empty());
        }
    });
}

#[test]
fn an_unknown_tool_or_resource_is_an_error_of_its_kind() {
    // DL-15, DL-17
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        assert_eq!(w.ask(c, "tools/call", json!({"name": "no such"}))["error"]["code"], -32602);
        assert_eq!(w.ask(c, "tools/list", json!({"cursor": "no such"}))["error"]["code"], -32602);
        assert_eq!(w.ask(c, "tools/call", json!({}))["error"]["code"], -32602);
    });
}

#[test]
fn a_missing_resource_is_the_error_of_the_server_byte_for_byte() {
    // DL-16
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            let req = w.start(c, "resources/read", json!({"uri": MISSING}));
            let raw = w.raw_answer(req);
            assert!(raw.contains(&format!("\"error\":{NO_RESOURCE}")), "{server}: {raw}");
        }
    });
}

#[test]
fn nobody_hears_of_tasks() {
    // DL-14
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, |c| c.revision = "2025-11-25".to_owned());
            let raw = format!("{:?}", w.clients[c].requests.last().unwrap().state);
            assert!(raw.contains("serverInfo") && !raw.contains("tasks"), "{raw}");
            let tools = w.ask(c, "tools/list", json!({}));
            assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(14));
            assert!(!tools.to_string().contains("execution"), "{tools}");
            for params in [
                r#"{"name":"echo","task":{"ttl":60000},"arguments":{"task":1}}"#,
                r#"{"task":{"ttl":60000},"name":"echo","arguments":{"task":1}}"#,
                r#"{"name":"echo","arguments":{"task":1},"task":{"ttl":60000}}"#,
            ] {
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":"t{}","method":"tools/call","params":{params}}}"#,
                    params.len()
                );
                let id = json!(format!("t{}", params.len()));
                let req = w.start_raw(c, &[id], &body)[0];
                assert_eq!(w.text(req), "done");
                let mind = if server == "fs" { w.child("fs").mind() } else { &mut w.site(server).mind };
                let heard = &mind.last("tools/call").unwrap().value["params"];
                assert_eq!(*heard, json!({"name": "echo", "arguments": {"task": 1}}), "{server}");
            }
        }
    });
}

#[test]
fn completions_are_offered_if_the_server_completes() {
    // DL-13
    story(one().program("fs", |p| p.mind.completes = false), |w| {
        for kind in KINDS {
            let c = w.client_with("fs", kind, |c| c.revision = "2025-06-18".to_owned());
            let raw = format!("{:?}", w.clients[c].requests.last().unwrap().state);
            assert!(raw.contains("serverInfo") && !raw.contains("completions"), "{raw}");
            let params = json!({"ref": {"type": "ref/prompt", "name": "prompt0"}, "argument": {"name": "a", "value": ""}});
            assert_eq!(w.ask(c, "completion/complete", params)["error"]["code"], -32601);
            assert_eq!(w.child("fs").mind().count("completion/complete"), 0);
        }
    });
}

#[test]
fn a_list_that_could_not_be_read_is_read_again() {
    let cast = three().program("fs", |p| p.mind.list_failures = 1);
    let cast = cast.change_site("web", |s| s.mind.list_failures = 1);
    story(cast.change_site("old", |s| s.mind.list_failures = 1), |w| {
        for server in ["fs", "web", "old"] {
            let c = w.client(server, Kind::Sse);
            w.run_ms(15_000);
            let tools = w.ask(c, "tools/list", json!({}));
            assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(14), "{server}");
            assert!(w.watch.logged("Failed to list tools"));
            w.check_echo(c);
        }
        let c = w.clients.len() - 3;
        assert_eq!(w.inbox(c, "notifications/tools/list_changed").len(), 1, "whoever saw none is told");
    });
}
