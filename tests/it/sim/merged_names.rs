//! Names on the merged endpoint: fit for hosts, each for one thing only, and always the same.

use super::{KINDS, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, MERGED};
use mcp_proxy_tests::lists::LISTS;
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;
use std::collections::BTreeSet;

/// Names that need care; those of tools of `fs` also leave ASCII.
fn odd(server: &str, list: &str) -> Vec<String> {
    let long = "long-".repeat(20);
    let mut names = vec![
        "a__b".to_owned(),
        "__".to_owned(),
        "web__echo".to_owned(),
        "x".repeat(64),
        "x".repeat(65),
        format!("{long}1"),
        format!("{long}2"),
        "dotted.name".to_owned(),
        "slashed/name".to_owned(),
        "two words".to_owned(),
        "quote\"back\\slash\n".to_owned(),
        "-".to_owned(),
        "_".to_owned(),
    ];
    if (server, list) == ("fs", "tools/list") {
        names.extend(["größe", "grösse", "大きさ"].map(str::to_owned));
    }
    names
}

fn is_fit(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

#[test]
fn odd_names_become_fit_ones_and_lead_back() {
    // BR-02, BR-03
    let mut cast = three();
    for server in ["fs", "web", "old"] {
        let (tools, prompts) = (odd(server, "tools/list"), odd(server, "prompts/list"));
        cast = cast.tools(server, &tools).named(server, "prompts", &prompts);
    }
    story(cast, |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            for (list, call) in [("tools/list", "tools/call"), ("prompts/list", "prompts/get")] {
                let names = w.listed(c, list);
                let own = ["fs", "web", "old"]
                    .map(|server| odd(server, list).into_iter().map(move |name| (server, name)));
                let own: Vec<_> = own.into_iter().flatten().collect();
                assert_eq!(names.len(), own.len());
                assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), own.len(), "{names:?}");
                for (name, (server, own)) in names.iter().zip(own) {
                    assert!(is_fit(name) && name.starts_with(&format!("{server}__")), "{name}");
                    let answer = w.ask(c, call, json!({"name": name, "arguments": {"text": "t"}}));
                    assert!(answer["result"].is_object(), "{name}: {answer}");
                    assert_eq!(w.names_heard(server, call).pop(), Some(own.clone()));
                    if list == "prompts/list" {
                        let reference = json!({"type": "ref/prompt", "name": name});
                        w.ask(c, "completion/complete", json!({"ref": reference}));
                        assert_eq!(w.names_heard(server, "completion/complete").pop(), Some(own));
                    }
                }
            }
        }
    });
}

#[test]
fn names_written_with_escapes_are_the_same_names() {
    // BR-02
    story(three(), |w| {
        w.until_all_tried();
        let c = w.client(MERGED, Kind::Streamable);
        let body = r#"{"jsonrpc":"2.0","id":"e","method":"tools\/call","params":{"n\u0061me":"web\u005f_ech\u006f","arguments":{"text":"\u0041"}}}"#;
        let req = w.start_raw(c, &[json!("e")], body)[0];
        assert_eq!(w.text(req), "A");
        assert!(w.heard("web", "tools/call")[0].raw.contains(r#""arguments":{"text":"\u0041"}"#));
        let body =
            r#"{"jsonrpc":"2.0","id":"r","method":"resources/read","params":{"uri":"sim:\/\/old\/1"}}"#;
        let req = w.start_raw(c, &[json!("r")], body)[0];
        assert_eq!(w.outcome(req)["result"]["contents"][0]["text"], "of old");
    });
}

#[test]
fn lists_are_in_the_order_of_the_configuration_then_of_the_servers() {
    story(three(), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            for (method, member, key) in LISTS {
                let mut expected = Vec::new();
                for server in ["fs", "web", "old"] {
                    let alone = w.client(server, kind);
                    for mut item in w.items(alone, method) {
                        if key == "name" {
                            item["name"] = json!(format!("{server}__{}", item["name"].as_str().unwrap()));
                        }
                        expected.push(item);
                    }
                }
                assert_eq!(w.items(c, method), expected, "{member}");
            }
        }
    });
}

#[test]
fn names_are_told_apart_as_configured() {
    let servers = |cast: Cast| {
        let cast = cast.stdio("fs").tools("fs", &["echo", "mine", "a_name"]).streamable("web");
        cast.tools("web", &["echo", "slow"]).sse("old").tools("old", &["slow", "fs--echo", "echo"])
    };
    let table = [
        (
            json!({}),
            vec![
                "fs__echo",
                "fs__mine",
                "fs__a_name",
                "web__echo",
                "web__slow",
                "old__slow",
                "old__fs--echo",
                "old__echo",
            ],
        ),
        (
            json!({"separator": "-"}),
            vec![
                "fs-echo",
                "fs-mine",
                "fs-a_name",
                "web-echo",
                "web-slow",
                "old-slow",
                "old-fs--echo",
                "old-echo",
            ],
        ),
        (
            json!({"prefix": "on-clash", "separator": "--"}),
            vec!["fs--echo", "mine", "a_name", "web--echo", "web--slow", "old--slow", "old--echo"],
        ),
        (json!({"prefix": "never"}), vec!["echo", "mine", "a_name", "slow", "fs--echo"]),
    ];
    for (merged, expected) in table {
        story_of(0..2, servers(Cast::default()).with_proxy("merged", merged.clone()), |w| {
            w.until_all_tried();
            let c = w.client(MERGED, Kind::Streamable);
            let names = w.listed(c, "tools/list");
            assert_eq!(names, expected, "{merged}");
            let mut heard = BTreeSet::new();
            for name in &names {
                w.call(c, name, json!({}));
                let all = ["fs", "web", "old"].map(|server| (server, w.names_heard(server, "tools/call")));
                let count: usize = all.iter().map(|(_, names)| names.len()).sum();
                heard.extend(
                    all.into_iter().flat_map(|(s, names)| names.into_iter().map(move |name| (s, name))),
                );
                assert_eq!((count, heard.len()), (heard.len(), heard.len()), "each name is its own tool");
            }
            assert_eq!(heard.len(), names.len());
            assert_eq!(w.watch.logged("is hidden"), names.len() < 8);
        });
    }
}

#[test]
fn what_is_too_long_is_shortened_to_the_configured_length() {
    let names = ["short", "just-right", "a-name-that-is-too-long", "a-name-that-is-too-long-as-well"];
    for max in [16, 20, 64, 128] {
        let cast = three().merged("nameMax", json!(max)).tools("fs", &names).tools("web", &names);
        story_of(0..2, cast, |w| {
            w.until_all_tried();
            let c = w.client(MERGED, Kind::Streamable);
            let listed = w.listed(c, "tools/list");
            assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), 8 + 14, "{listed:?}");
            for (name, (server, own)) in
                listed.iter().zip(["fs", "web"].iter().flat_map(|s| names.map(|n| (s, n))))
            {
                assert!(name.len() <= max, "{name}");
                let plain = format!("{server}__{own}");
                assert_eq!(*name == plain, plain.len() <= max, "{name}");
                w.call(c, name, json!({}));
                assert_eq!(w.names_heard(server, "tools/call").pop().as_deref(), Some(own));
            }
        });
    }
}

/// Twenty servers of all transports with a hundred tools each, among them names that all have, that need care, and
/// that look like published ones.
fn crowd() -> Cast {
    let mut cast = Cast::default();
    for n in 0..20 {
        let name = format!("server-{n}");
        cast = match n % 3 {
            0 => cast.stdio(&name),
            1 => cast.streamable(&name),
            _ => cast.sse(&name),
        };
        let tools: Vec<String> = (0..100)
            .map(|i| match i % 5 {
                0 => format!("tool_{i}"),
                1 => format!("server-{}__tool_{}", (n + 1) % 20, i - 1),
                2 => format!("{}{i}", "a-very-long-name-".repeat(5)),
                3 => format!("odd.name/of {n} no {i}"),
                _ => format!("of-{n}-{i}"),
            })
            .collect();
        cast = cast.tools(&name, &tools).mind(&name, |mind| mind.page = 30).calm();
    }
    cast
}

/// The tools as they are listed, asked for twice.
fn tools_of(w: &mut World, kind: Kind) -> Vec<String> {
    w.until_all_tried();
    let c = w.client(MERGED, kind);
    let tools = w.listed(c, "tools/list");
    w.run_ms(1_000);
    let before = w.all_heard();
    assert_eq!(w.listed(c, "tools/list"), tools);
    let other = w.client(MERGED, kind);
    assert_eq!(w.listed(other, "tools/list"), tools);
    assert_eq!(w.all_heard(), before, "a list is answered without asking any server");
    tools
}

#[test]
fn two_thousand_tools_have_fit_names_that_outlive_the_proxy() {
    // BR-02, BR-03
    let mut runs = Vec::new();
    for (seed, kind) in [(1, Kind::Streamable), (2, Kind::Sse)] {
        story_of([seed], crowd(), |w| {
            let tools = tools_of(w, kind);
            assert_eq!(tools.len(), 2_000);
            assert!(tools.iter().all(|name| is_fit(name)));
            let c = w.client(MERGED, kind);
            for n in (0..2_000).step_by(97) {
                w.call(c, &tools[n], json!({}));
                let server = format!("server-{}", n / 100);
                let own = w.minds(&server)[0].tools[n % 100].clone();
                assert_eq!(w.names_heard(&server, "tools/call").pop(), Some(own));
            }
        });
        let mut world = World::new(seed, crowd());
        runs.push(tools_of(&mut world, kind));
        world.finish();
    }
    assert_eq!(runs[0].iter().collect::<BTreeSet<_>>().len(), 2_000);
    assert_eq!(runs[0], runs[1], "another proxy gives the same names");
}
