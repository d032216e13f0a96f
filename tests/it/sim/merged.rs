//! All servers as one: what the merged endpoint says of itself, and whose everything is that goes through it.

use super::{KINDS, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::client::{Kind, MERGED};
use mcp_proxy_tests::lists::with_roots;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::json;

const SERVERS: [&str; 3] = ["fs", "web", "old"];

#[test]
fn the_greeting_is_that_of_the_proxy_with_the_instructions_of_all() {
    // DL-03, DL-13
    story(three(), |w| {
        w.until_all_tried();
        for kind in KINDS {
            for revision in ["2024-11-05", "2025-03-26", "2025-11-25"] {
                let c = w.client_with(MERGED, kind, |c| c.revision = revision.to_owned());
                let told = w.greeting(c);
                assert_eq!(told["protocolVersion"], revision);
                assert_eq!(told["serverInfo"], json!({"name": "proxy", "version": "1"}));
                let list = json!({"listChanged": true});
                let mut expected = json!({"tools": list, "prompts": list, "logging": {},
                    "resources": {"listChanged": true, "subscribe": true}});
                if revision >= "2025-03-26" {
                    expected["completions"] = json!({});
                }
                assert_eq!(told["capabilities"], expected, "{revision}");
                let instructions = "## fs\n\nuse fs\n\n## web\n\nuse web\n\n## old\n\nuse old";
                assert_eq!(told["instructions"], instructions);
            }
        }
    });
}

#[test]
fn everything_asked_reaches_its_server_under_its_own_name() {
    // BR-02
    story(three(), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            for server in SERVERS {
                let heard = |w: &World, method: &str| w.names_heard(server, method).pop().unwrap();
                let arguments = json!({"text": server, "name": "decoy", "n": 1.0});
                let answer = w.ask(
                    c,
                    "tools/call",
                    json!({"arguments": arguments, "name": format!("{server}__echo")}),
                );
                assert_eq!(answer["result"]["content"][0]["text"], server);
                assert_eq!(answer["result"]["structuredContent"], arguments);
                assert_eq!(heard(w, "tools/call"), "echo");
                let answer = w.ask(c, "prompts/get", json!({"name": format!("{server}__prompt1")}));
                assert_eq!(answer["result"]["messages"][0]["content"]["text"], format!("{server}:prompt1"));
                for uri in [format!("sim://{server}/1"), format!("sim://{server}/t1/any")] {
                    let answer = w.ask(c, "resources/read", json!({"uri": uri}));
                    assert_eq!(answer["result"]["contents"][0]["text"], format!("of {server}"));
                    assert_eq!(heard(w, "resources/read"), uri);
                }
                for (reference, own) in [
                    (
                        json!({"type": "ref/prompt", "name": format!("{server}__prompt0")}),
                        "prompt0".to_owned(),
                    ),
                    (
                        json!({"type": "ref/resource", "uri": format!("sim://{server}/t0/{{x}}")}),
                        format!("sim://{server}/t0/{{x}}"),
                    ),
                ] {
                    let params = json!({"argument": {"name": "a", "value": "name"}, "ref": reference});
                    let answer = w.ask(c, "completion/complete", params);
                    assert_eq!(answer["result"]["completion"]["values"][0], format!("{server}-value"));
                    assert_eq!(heard(w, "completion/complete"), own);
                }
            }
        }
        for server in SERVERS {
            assert_eq!(
                (w.heard(server, "tools/call").len(), w.heard(server, "resources/read").len()),
                (2, 4)
            );
        }
    });
}

#[test]
fn the_unknown_is_an_error_of_its_kind_and_asks_no_server() {
    // DL-15, DL-16, DL-17, BR-57
    story(three(), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            w.run_ms(500);
            let before = w.all_heard();
            for name in
                ["", "echo", "fs_echo", "fs__", "__echo", "nobody__echo", "fs__echo ", "web__fs__echo"]
            {
                assert_eq!(w.error_of(c, "tools/call", json!({"name": name})), -32602, "{name}");
            }
            for name in ["", "prompt0", "fs__prompt9"] {
                assert_eq!(w.error_of(c, "prompts/get", json!({"name": name})), -32602);
                let reference = json!({"type": "ref/prompt", "name": name});
                assert_eq!(w.error_of(c, "completion/complete", json!({"ref": reference})), -32602);
            }
            for uri in ["", "sim://nobody/1", "sim://fs/9", "sim://fs/t0/a/b"] {
                for method in ["resources/read", "resources/subscribe"] {
                    assert_eq!(w.error_of(c, method, json!({"uri": uri})), -32002, "{uri}");
                }
            }
            for params in [json!({}), json!({"name": 7}), json!({"name": null}), json!({"uri": ["x"]})] {
                for method in ["tools/call", "prompts/get", "resources/read", "completion/complete"] {
                    assert_eq!(w.error_of(c, method, params.clone()), -32602, "{method} {params}");
                }
            }
            for (method, _, _) in mcp_proxy_tests::lists::LISTS {
                assert_eq!(w.error_of(c, method, json!({"cursor": "fs:1"})), -32602);
            }
            assert_eq!(w.all_heard(), before);
        }
    });
}

#[test]
fn the_first_server_with_a_uri_has_it_and_a_warning_says_so() {
    let both = ["sim://same/1", "sim://own/1"];
    let cast =
        three().named("web", "resources", &both).named("old", "resources", &["sim://same/1", "sim://other"]);
    let cast = cast.named("fs", "resourceTemplates", &["sim://t/{x}"]);
    story(cast.named("web", "resourceTemplates", &["sim://t/{x}"]), |w| {
        w.until_all_tried();
        let c = w.client(MERGED, Kind::Streamable);
        let uris = w.listed(c, "resources/list");
        assert_eq!(uris, ["sim://fs/0", "sim://fs/1", "sim://same/1", "sim://own/1", "sim://other"]);
        assert_eq!(
            w.listed(c, "resources/templates/list").iter().filter(|uri| *uri == "sim://t/{x}").count(),
            1
        );
        for (uri, server) in [("sim://same/1", "web"), ("sim://other", "old"), ("sim://t/1", "fs")] {
            let answer = w.ask(c, "resources/read", json!({"uri": uri}));
            assert_eq!(answer["result"]["contents"][0]["text"], format!("of {server}"));
        }
        assert!(w.watch.logged("the resource `sim://same/1` of `old` is hidden"));
        assert!(w.watch.logged("the resource template `sim://t/{x}` of `web` is hidden"));
    });
}

#[test]
fn a_resource_only_mentioned_is_read_from_who_mentioned_it() {
    // BR-04
    let cast = three().tools("web", &["echo", "link"]).tools("old", &["link"]);
    story(cast, |w| {
        w.until_all_tried();
        for kind in KINDS {
            let (c, other) = (w.client(MERGED, kind), w.client(MERGED, kind));
            assert_eq!(w.error_of(c, "resources/read", json!({"uri": "sim://new/web"})), -32002);
            for server in ["web", "old"] {
                let uri = format!("sim://new/{server}");
                w.call(c, &format!("{server}__link"), json!({"uri": uri}));
                let answer = w.ask(c, "resources/read", json!({"uri": uri}));
                assert_eq!(answer["result"]["contents"][0]["text"], format!("of {server}"));
                assert_eq!(w.ask(c, "resources/subscribe", json!({"uri": uri}))["result"], json!({}));
                assert_eq!(w.names_heard(server, "resources/subscribe").pop(), Some(uri.clone()));
                assert_eq!(
                    w.error_of(other, "resources/read", json!({"uri": uri})),
                    -32002,
                    "told another session"
                );
            }
        }
    });
}

#[test]
fn a_mention_counts_more_than_a_template_of_another_server() {
    // BR-04: two servers with templates as wide as that of files
    let cast = three().named("fs", "resourceTemplates", &["file:///{+path}"]).tools("web", &["link"]);
    story(cast, |w| {
        w.until_all_tried();
        let c = w.client(MERGED, Kind::Streamable);
        let uri = json!({"uri": "file:///tmp/report.txt"});
        w.call(c, "web__link", uri.clone());
        assert_eq!(w.ask(c, "resources/read", uri)["result"]["contents"][0]["text"], "of web");
        let other = json!({"uri": "file:///tmp/other.txt"});
        assert_eq!(w.ask(c, "resources/read", other)["result"]["contents"][0]["text"], "of fs");
    });
}

#[test]
fn a_prompt_mentions_resources_too() {
    // BR-04
    story(three(), |w| {
        w.until_all_tried();
        let c = w.client(MERGED, Kind::Streamable);
        w.ask(c, "prompts/get", json!({"name": "old__prompt0", "arguments": {"uri": "sim://new/prompt"}}));
        let answer = w.ask(c, "resources/read", json!({"uri": "sim://new/prompt"}));
        assert_eq!(answer["result"]["contents"][0]["text"], "of old", "{answer}");
    });
}

#[test]
fn progress_and_cancellation_go_through() {
    // BR-45, DL-21, DL-24, UP-48
    story(three(), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let clients = [w.client(MERGED, kind), w.client(MERGED, kind)];
            let reqs: Vec<_> = SERVERS
                .iter()
                .flat_map(|server| clients.map(|c| (c, format!("{server}__progress"))))
                .enumerate()
                .map(|(n, (c, tool))| w.start_watched(c, &tool, json!({"n": 4, "ms": 20}), json!(n / 2)))
                .collect();
            for req in reqs {
                assert_eq!(w.text(req), "done");
                assert_eq!(w.clients[req.client].requests[req.index].steps, [1.0, 2.0, 3.0, 4.0]);
            }
            for server in SERVERS {
                let before = w.heard(server, "notifications/cancelled").len();
                let req = w.start_call(clients[0], &format!("{server}__slow"), json!({"ms": 900_000}));
                w.until_heard(req);
                w.cancel(req);
                w.run_ms(1_000);
                let cancelled = w.heard(server, "notifications/cancelled");
                assert_eq!(cancelled.len(), before + 1);
                let call = w.heard(server, "tools/call").pop().unwrap();
                assert_eq!(cancelled[before].value["params"]["requestId"], call.value["id"]);
            }
        }
    });
}

#[test]
fn each_server_hears_of_log_levels_and_of_its_own_subscriptions() {
    // DL-18, DL-19, DL-23, BR-52
    story(three(), |w| {
        w.until_all_tried();
        let clients = KINDS.map(|kind| w.client(MERGED, kind));
        w.listen(clients[0]);
        for (n, c) in clients.into_iter().enumerate() {
            assert_eq!(w.ask(c, "logging/setLevel", json!({"level": "warning"}))["result"], json!({}));
            for server in SERVERS {
                let uri = json!({"uri": format!("sim://{server}/1")});
                assert_eq!(w.ask(c, "resources/subscribe", uri)["result"], json!({}));
            }
            w.run_ms(500);
            for server in SERVERS {
                assert_eq!(w.heard(server, "logging/setLevel").len(), 1, "{server}, client {n}");
                assert_eq!(w.names_heard(server, "resources/subscribe"), [format!("sim://{server}/1")]);
            }
        }
        for (n, server) in SERVERS.into_iter().enumerate() {
            let update = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
                "params": {"uri": format!("sim://{server}/1")}});
            w.say(server, &update.to_string());
            w.run_ms(500);
            for c in clients {
                let told = w.inbox(c, "notifications/resources/updated");
                assert_eq!(told.len(), n + 1);
                assert_eq!(told[n]["params"]["uri"], format!("sim://{server}/1"));
                w.call(c, &format!("{server}__log"), json!({"level": "info"}));
            }
            w.call(clients[0], &format!("{server}__log"), json!({"level": "error"}));
        }
        let levels = |c| {
            w.inbox(c, "notifications/message")
                .iter()
                .map(|m| m["params"]["level"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!((levels(clients[0]), levels(clients[1])), (vec![json!("error"); 3], vec![]));
    });
}

#[test]
fn servers_ask_on_connections_of_the_session() {
    // BR-38, BR-43, BR-55
    story(three(), |w| {
        w.until_all_tried();
        for (n, kind) in KINDS.into_iter().enumerate() {
            let asked = w.client_with(MERGED, kind, with_roots);
            let other = w.client_with(MERGED, kind, with_roots);
            let mute = w.client(MERGED, kind);
            for server in SERVERS {
                let tool = format!("{server}__ask");
                assert!(w.call(asked, &tool, json!({})).contains(r#""roots":[]"#), "{server}");
                assert!(w.call(mute, &tool, json!({})).contains("-326"));
            }
            assert_eq!((w.inbox(asked, "roots/list").len(), w.inbox(other, "roots/list").len()), (3, 0));
            assert!(w.inbox(mute, "roots/list").is_empty());
            assert_eq!(
                w.children_of("fs").iter().filter(|child| child.alive).count(),
                2,
                "shared and one own"
            );
            assert_eq!(w.heard("web", "initialize").len(), n + 2);
            if kind == Kind::Streamable {
                w.clients[asked].delete(&mut w.net);
            } else {
                let index = w.clients[asked].stream.unwrap();
                w.hang_up(mcp_proxy_tests::client::Xid { client: asked, index });
            }
            w.run_ms(2_000);
            assert_eq!(
                w.children_of("fs").iter().filter(|child| child.alive).count(),
                1,
                "the own one has ended"
            );
        }
    });
}

#[test]
fn one_server_that_cannot_be_reached_harms_nobody() {
    // BR-16, BR-58
    let cast = three().stdio("gone").program("gone", |p| p.missing = true);
    let cast = cast.streamable("broken").change_site("broken", |s| s.fails_with = Some(500));
    story(cast.mind("old", |m| m.list_failures = 99), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            let tools = w.listed(c, "tools/list");
            assert_eq!(tools.len(), 28, "{tools:?}");
            assert_eq!(w.listed(c, "resources/list").len(), 6);
            for server in ["fs", "web"] {
                assert_eq!(w.call(c, &format!("{server}__echo"), json!({"text": "hi"})), "hi");
            }
        }
    });
}

#[test]
fn calls_of_a_server_that_went_away_fail_in_time_and_leave_the_others_alone() {
    // BR-16
    story(three().outage("fs", 6).limits(|l| l.queue_ms = 8_000), |w| {
        w.until_all_tried();
        let clients = KINDS.map(|kind| w.client(MERGED, kind));
        let lost = clients.map(|c| w.start_call(c, "fs__never", json!({})));
        lost.iter().for_each(|req| w.until_heard(*req));
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(1)));
        for req in lost {
            assert_eq!(w.outcome(req)["error"]["code"], -32603);
        }
        let waiting = clients.map(|c| w.start_call(c, "fs__echo", json!({})));
        for (c, server) in clients.iter().flat_map(|c| ["web", "old"].map(|server| (*c, server))) {
            assert_eq!(w.call(c, &format!("{server}__echo"), json!({"text": "hi"})), "hi");
        }
        for req in waiting {
            assert_eq!(w.outcome(req)["error"]["code"], -32603);
        }
        w.run_until("the server is back", |w| w.children_of("fs").len() == 2);
        for c in clients {
            assert_eq!(w.call(c, "fs__echo", json!({"text": "hi"})), "hi");
        }
    });
}

#[test]
fn without_it_there_is_nothing_at_its_paths() {
    story(three().merged("enabled", json!(false)), |w| {
        w.client("fs", Kind::Streamable);
        for (method, path) in [("POST", "/mcp"), ("GET", "/mcp"), ("GET", "/sse"), ("POST", "/message")] {
            let fields =
                [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
            assert_eq!(w.http(method, path, &fields, "{}").status(), 404, "{method} {path}");
        }
    });
}

#[test]
fn it_lies_under_the_base_path_beside_servers_named_like_it() {
    let cast = three().stdio("mcp").with_proxy("baseURL", json!("http://localhost:9090/hub"));
    story(cast, |w| {
        w.until_all_tried();
        for kind in KINDS {
            let all = w.client("hub/*", kind);
            assert_eq!(w.listed(all, "prompts/list").len(), 8);
            assert_eq!(w.call(all, "mcp__echo", json!({"text": "hi"})), "hi");
            let one = w.client("hub/mcp", kind);
            assert_eq!(w.listed(one, "prompts/list"), ["prompt0", "prompt1"]);
        }
    });
}
