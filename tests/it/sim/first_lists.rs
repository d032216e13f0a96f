//! What clients are shown of servers that have not said yet what they offer, or cannot, and of what is wrong with it.

use super::{KINDS, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, MERGED};
use mcp_proxy_tests::lists::LISTS;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

fn health(w: &World, server: &str) -> Value {
    let report = serde_json::to_value(w.shard.proxy().health()).expect("a report");
    let mut servers = report["servers"].as_array().into_iter().flatten();
    servers.find(|it| it["name"] == server).expect("a server of that name").clone()
}

#[test]
fn a_list_that_was_never_read_is_an_error_of_the_server_and_no_empty_list() {
    // FT-108
    for (method, member, _) in LISTS {
        let failing = |mind: &mut mcp_proxy_tests::mind::Mind| {
            (mind.list_failures, mind.list_failing) = (3, method);
        };
        let cast = ["fs", "web", "old"].into_iter().fold(three(), |cast, name| cast.mind(name, failing));
        story(cast.calm(), |w| {
            let clients =
                KINDS.map(|kind| ["fs", "web", "old"].map(|server| (server, w.client(server, kind))));
            for (server, c) in clients.into_iter().flatten() {
                let answer = w.ask(c, method, json!({}));
                let error = answer["error"]["message"].as_str().unwrap_or_default().to_owned();
                assert!(error.contains("not yet"), "{server}: {answer}");
                let told = health(w, server)["lastError"]["message"].to_string();
                assert!(told.contains(method) && told.contains("not yet"), "{told}");
            }
            w.run_ms(5_000);
            for (server, c) in clients.into_iter().flatten() {
                let answer = w.ask(c, method, json!({}));
                let items = answer["result"][member].as_array().map(Vec::len);
                assert!(items.is_some_and(|items| items > 0), "{server}: {answer}");
            }
        });
    }
}

#[test]
fn a_merged_list_leaves_out_a_server_whose_list_was_never_read_and_is_refused_if_nothing_is_left() {
    // FT-108
    story(three().mind("fs", |m| m.list_failures = 3).calm(), |w| {
        w.until_all_tried();
        let c = w.client(MERGED, Kind::Sse);
        assert_eq!(w.listed(c, "tools/list").len(), 2 * 14);
        w.run_ms(5_000);
        assert_eq!(w.notices(c), [1, 0, 0]);
        assert_eq!(w.listed(c, "tools/list").len(), 3 * 14);
    });
    let cast = Cast::default().stdio("a").streamable("b");
    story(cast.mind("a", |m| m.list_failures = 99).mind("b", |m| m.list_failures = 99).calm(), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            let answer = w.ask(c, "tools/list", json!({}));
            let error = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(error.contains("a: ") && error.contains("b: ") && error.contains("not yet"), "{answer}");
            assert_eq!(w.listed(c, "prompts/list").len(), 4);
        }
    });
}

#[test]
fn the_first_list_waits_for_servers_in_their_first_start() {
    // FT-703
    let cast = three().program("fs", |p| p.mind.delay_ms = 1_000).calm();
    story(cast, |w| {
        w.run_ms(200);
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            assert_eq!(w.listed(c, "tools/list").len(), 3 * 14, "whole though it was asked for early");
        }
    });
}

#[test]
fn a_server_is_waited_for_as_long_as_it_is_configured() {
    // FT-703
    let slow = |cast: Cast, wait: &str| {
        let cast = cast.stdio("slow").program("slow", |p| p.mind.mute = true);
        cast.with_proxy("options", json!({"listWait": "10s"})).options("slow", json!({"listWait": wait}))
    };
    for (wait, expected) in [("0s", 0), ("500ms", 500), ("7s", 7_000)] {
        story(slow(three(), wait).calm(), |w| {
            w.run_ms(1_000);
            let c = w.client(MERGED, Kind::Streamable);
            let from = w.now_ms();
            assert_eq!(w.listed(c, "tools/list").len(), 3 * 14);
            let waited = w.now_ms() - from;
            assert!((expected..expected + 150).contains(&waited), "{wait}: {waited} ms");
        });
    }
}

#[test]
fn a_list_does_not_wait_for_a_server_that_failed_or_is_known_from_before() {
    // FT-703
    let cast = three().stdio("gone").program("gone", |p| p.missing = true).outage("fs", 3).calm();
    story(cast, |w| {
        w.until_all_tried();
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(1)));
        w.run_ms(50);
        let c = w.client(MERGED, Kind::Streamable);
        let from = w.now_ms();
        assert_eq!(w.listed(c, "tools/list").len(), 3 * 14);
        assert!(w.now_ms() - from < 100);
    });
}

#[test]
fn one_sloppy_item_spoils_no_merged_list_and_its_own_endpoint_shows_it_as_it_is() {
    // FT-206
    let schema = json!({"type": "object", "properties": {"x": {"default": null}}});
    let mended = [
        json!({"name": "nulls", "title": null, "annotations": {"readOnlyHint": null}, "outputSchema": null,
            "inputSchema": schema}),
        json!({"name": "icons", "icons": [{"mimeType": "image/png"}], "inputSchema": {"type": "object"}}),
    ];
    let refused = [
        json!({"name": "bare"}),
        json!({"name": "array", "inputSchema": {"type": "array"}}),
        json!({"name": "out", "inputSchema": {"type": "object"}, "outputSchema": {}}),
        json!({"title": "nameless", "inputSchema": {"type": "object"}}),
        json!(7),
    ];
    let all: Vec<Value> = mended.iter().chain(&refused).cloned().collect();
    let cast = ["fs", "web", "old"].into_iter().fold(three(), |cast, name| {
        cast.mind(name, |m| {
            m.odd.insert("tools", all.clone());
            m.odd.insert(
                "prompts",
                vec![json!({"title": "nameless"}), json!({"name": "p", "arguments": null})],
            );
            m.odd.insert("resources", vec![json!({"uri": "sim://nameless"})]);
            m.odd.insert("resourceTemplates", vec![json!({"uriTemplate": null, "name": "t"})]);
        })
    });
    story(cast, |w| {
        w.until_all_tried();
        let c = w.client(MERGED, Kind::Streamable);
        let tools = w.items(c, "tools/list");
        assert_eq!(tools.len(), 3 * 16);
        let of = |name: &str| tools.iter().find(|tool| tool["name"] == name).unwrap().clone();
        assert_eq!(of("fs__nulls"), json!({"name": "fs__nulls", "annotations": {}, "inputSchema": schema}));
        assert_eq!(of("web__icons"), json!({"name": "web__icons", "inputSchema": {"type": "object"}}));
        assert_eq!(of("old__nulls")["inputSchema"], schema);
        let prompts = w.items(c, "prompts/list");
        assert!(prompts.contains(&json!({"name": "fs__p"})) && prompts.len() == 3 * 3, "{prompts:?}");
        assert_eq!(w.items(c, "resources/list").len(), 3 * 2);
        assert_eq!(w.items(c, "resources/templates/list").len(), 3 * 2);
        for server in ["fs", "web", "old"] {
            let own = w.client(server, Kind::Streamable);
            assert_eq!(w.items(own, "tools/list")[14..], all, "byte for byte but for blanks");
            assert_eq!(health(w, server)["invalidItems"], 11);
        }
        assert!(w.watch.logged("the tool `bare` is left out of merged lists: `inputSchema` is missing"));
        assert!(w.watch.logged("the tool number 20 is left out of merged lists: `name` is missing"));
        assert!(w.watch.logged("the tool `nulls` has optional members of a wrong type"));
    });
}

#[test]
fn an_item_whose_name_came_already_is_left_out_of_every_list() {
    // FT-206
    let twice = |m: &mut mcp_proxy_tests::mind::Mind| {
        m.odd.insert("tools", vec![json!({"name": "echo", "inputSchema": {"type": "object"}})]);
        m.odd.insert("resources", vec![json!({"uri": "sim://fs/0", "name": "again"})]);
    };
    story(three().mind("fs", twice), |w| {
        w.until_all_tried();
        let (c, own) = (w.client(MERGED, Kind::Streamable), w.client("fs", Kind::Streamable));
        assert_eq!(w.listed(c, "tools/list").len(), 3 * 14);
        assert_eq!(w.listed(own, "tools/list").len(), 14);
        assert_eq!(w.items(own, "resources/list")[0]["name"], "res0");
        assert_eq!(w.listed(own, "resources/list").len(), 2);
        assert!(w.watch.logged("1 tools are left out: others before them have the same name"));
    });
}

#[test]
fn a_cursor_that_never_ends_leaves_each_item_once() {
    // FT-206, UP-58
    story(three().mind("fs", |m| m.page_loop = true).mind("web", |m| m.page_loop = true), |w| {
        w.until_all_tried();
        let c = w.client(MERGED, Kind::Streamable);
        for (method, many) in [("tools/list", 14), ("prompts/list", 2), ("resources/list", 2)] {
            assert_eq!(w.listed(c, method).len(), 3 * many, "{method}");
        }
    });
}

#[test]
fn a_call_to_a_server_that_is_not_there_says_so() {
    // FT-207
    let cast = three().stdio("files").program("files", |p| p.missing = true);
    for prefix in ["always", "on-clash", "never"] {
        story(cast.clone().merged("prefix", json!(prefix)), |w| {
            w.until_all_tried();
            for kind in KINDS {
                let c = w.client(MERGED, kind);
                w.listed(c, "tools/list");
                let mut error = |method: &str, params: Value| w.ask(c, method, params)["error"].clone();
                for method in ["tools/call", "prompts/get"] {
                    let down = error(method, json!({"name": "files__read"}));
                    let text = down["message"].as_str().unwrap();
                    assert!(text.contains("files") && text.contains("not connected"), "{prefix}: {text}");
                    assert_eq!(down["code"], if prefix == "never" { -32602 } else { -32603 });
                    let nobody = error(method, json!({"name": "nobody__read"}));
                    assert_eq!(nobody["code"], -32602);
                    let blamed = nobody["message"].as_str().unwrap().contains("not connected: files");
                    assert_eq!(blamed, prefix != "always", "{nobody}");
                }
                let lost = error("resources/read", json!({"uri": "file:///x"}));
                assert_eq!(lost["code"], -32002);
                assert!(lost["message"].as_str().unwrap().contains("not connected: files"), "{lost}");
            }
        });
    }
}

#[test]
fn a_server_without_sessions_that_comes_back_with_other_tools_is_noticed() {
    // FT-108
    let bare = |offers_get: bool| {
        three().change_site("web", |site| (site.sessions, site.offers_get) = (false, offers_get))
    };
    let restart = |w: &mut World| {
        w.site("web").mind.tools.push("new".to_owned());
        w.with_site("web", |site, net| site.restart(net));
    };
    for offers_get in [true, false] {
        story(bare(offers_get), |w| {
            w.until_all_tried();
            let (c, merged) = (w.client("web", Kind::Sse), w.client(MERGED, Kind::Sse));
            for client in [c, merged] {
                w.listed(client, "tools/list");
            }
            // Between two calls.
            restart(w);
            w.run_ms(95_000);
            assert_eq!((w.notices(c)[0], w.notices(merged)[0]), (1, 1), "stream: {offers_get}");
            assert!(w.listed(c, "tools/list").contains(&"new".to_owned()));
            // While it works on a call.
            let call = w.start_call(c, "never", json!({}));
            w.until_heard(call);
            w.site("web").mind.tools.pop();
            w.with_site("web", |site, net| site.restart(net));
            assert!(w.outcome(call)["error"].is_object());
            w.run_ms(5_000);
            assert_eq!((w.notices(c)[0], w.notices(merged)[0]), (2, 2), "stream: {offers_get}");
        });
    }
}
