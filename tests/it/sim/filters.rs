//! What the configuration takes off and renames: on the endpoint of its server and on the merged one alike.

use super::{KINDS, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, MERGED};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

/// Endpoints that show `fs`, and what stands before its names there.
const PLACES: [(&str, &str); 2] = [("fs", ""), (MERGED, "fs__")];

const NAMES: [&str; 6] = ["read_a", "read_b", "write_a", "read", "thread", "other"];

/// `fs` with these names for its tools and prompts and in its URIs; `web` and `old` as they are.
fn named() -> Cast {
    let cast = three().tools("fs", &NAMES).named("fs", "prompts", &NAMES);
    let cast = cast.named("fs", "resources", &NAMES.map(|name| format!("sim://fs/{name}")));
    cast.named("fs", "resourceTemplates", &NAMES.map(|name| format!("sim://fs/{name}/{{x}}")))
}

/// Lists every kind and asks for every name: what is listed works, what is not is unknown and its server not asked.
fn check(w: &mut World, kind: Kind, (endpoint, prefix): (&str, &str), admitted: &[&str]) {
    let c = w.client(endpoint, kind);
    let of_fs = |w: &mut World, list: &str, start: &str| {
        let mut names = w.listed(c, list);
        names.retain(|name| name.starts_with(start));
        names
    };
    for (list, call) in [("tools/list", "tools/call"), ("prompts/list", "prompts/get")] {
        let expected: Vec<String> = admitted.iter().map(|name| format!("{prefix}{name}")).collect();
        assert_eq!(of_fs(w, list, prefix), expected);
        for name in NAMES {
            let (before, params) = (w.heard("fs", call).len(), json!({"name": format!("{prefix}{name}")}));
            if admitted.contains(&name) {
                assert!(w.ask(c, call, params)["result"].is_object(), "{name}");
                assert_eq!(w.names_heard("fs", call)[before..], [name]);
            } else {
                assert_eq!(w.error_of(c, call, params), -32602, "{name}");
                assert_eq!(w.heard("fs", call).len(), before);
            }
        }
    }
    for (list, end) in [("resources/list", ""), ("resources/templates/list", "/{x}")] {
        let expected: Vec<String> = admitted.iter().map(|name| format!("sim://fs/{name}{end}")).collect();
        assert_eq!(of_fs(w, list, "sim://fs/"), expected);
    }
    for name in NAMES {
        for (method, end) in [("resources/read", ""), ("resources/read", "/x"), ("resources/unsubscribe", "")]
        {
            let (before, uri) = (w.heard("fs", method).len(), format!("sim://fs/{name}{end}"));
            let answer = w.ask(c, method, json!({"uri": uri}));
            if admitted.contains(&name) {
                assert!(answer["result"].is_object(), "{answer}");
            } else {
                assert_eq!((&answer["error"]["code"], w.heard("fs", method).len()), (&json!(-32002), before));
            }
        }
    }
}

#[test]
fn filters_take_patterns_and_hold_for_every_kind() {
    // SEED-031, SEED-032
    let table = [
        ("allow", json!(["read_*"]), vec!["read_a", "read_b"]),
        ("ALLOW", json!(["read", "*_b", "no such"]), vec!["read_b", "read"]),
        ("block", json!(["*rea*"]), vec!["write_a", "other"]),
        ("block", json!(["*"]), vec![]),
    ];
    for (mode, list, admitted) in table {
        let below = |entry: &Value, end: &str| format!("sim://fs/{}{end}", entry.as_str().unwrap());
        let uris: Vec<String> =
            list.as_array().unwrap().iter().flat_map(|e| [below(e, ""), below(e, "/*")]).collect();
        let options = json!({"toolFilter": {"mode": mode, "list": list},
            "promptFilter": {"mode": mode, "list": list}, "resourceFilter": {"mode": mode, "list": uris}});
        story_of(0..3, named().options("fs", options), |w| {
            w.until_all_tried();
            for (kind, place) in KINDS.into_iter().flat_map(|kind| PLACES.map(|place| (kind, place))) {
                check(w, kind, place, &admitted);
            }
        });
    }
}

/// Blocks what is secret, of each kind.
fn secretive() -> Cast {
    let block = json!({"mode": "block", "list": ["*secret*"]});
    let cast = three().tools("fs", &["echo", "secret", "link"]).named("fs", "prompts", &["open", "secret"]);
    let cast = cast.named("fs", "resources", &["sim://fs/open", "sim://fs/secret"]);
    let cast = cast.named("fs", "resourceTemplates", &["sim://fs/t/{x}", "sim://fs/secret/{x}"]);
    cast.options("fs", json!({"toolFilter": block, "promptFilter": block, "resourceFilter": block}))
}

#[test]
fn nothing_is_completed_of_what_is_not_served() {
    // SEED-031
    story(secretive(), |w| {
        w.until_all_tried();
        for (kind, (endpoint, prefix)) in KINDS.into_iter().flat_map(|kind| PLACES.map(|place| (kind, place)))
        {
            let c = w.client(endpoint, kind);
            let before = w.heard("fs", "completion/complete").len();
            for reference in [
                format!(r#"{{"type":"ref/prompt","name":"{prefix}secret"}}"#),
                r#"{"type":"ref/resource","uri":"sim://fs/secret/{x}"}"#.to_owned(),
                r#"{"type":"ref/resource","uri":"sim://fs/secret"}"#.to_owned(),
                // What one reader takes for a prompt and another for a resource.
                r#"{"type":"ref/prompt","name":"secret","uri":"sim://fs/t/{x}"}"#.to_owned(),
                format!(r#"{{"type":"ref/resource","name":"{prefix}open","uri":"sim://fs/secret"}}"#),
                format!(r#"{{"type":"ref/resource","name":"{prefix}open"}}"#),
                format!(r#"{{"type":"ref/other","name":"{prefix}open"}}"#),
                format!(r#"{{"type":"ref/prompt","name":"{prefix}open","Name":"secret"}}"#),
                format!(r#"{{"type":"ref/prompt","name":"{prefix}open","name":"secret"}}"#),
            ] {
                let id = json!(format!("r{}", w.clients[c].requests.len()));
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"completion/complete","params":{{"ref":{reference}}}}}"#
                );
                let req = w.start_raw(c, &[id], &body)[0];
                assert!(w.outcome(req)["error"].is_object(), "{reference}");
            }
            assert_eq!(w.heard("fs", "completion/complete").len(), before, "none of this is for a server");
            for reference in [
                json!({"type": "ref/prompt", "name": format!("{prefix}open"), "title": "t"}),
                json!({"type": "ref/resource", "uri": "sim://fs/t/{x}"}),
            ] {
                let answer = w.ask(c, "completion/complete", json!({"ref": reference}));
                assert_eq!(answer["result"]["completion"]["values"][0], "fs-value", "{answer}");
            }
        }
    });
}

#[test]
fn no_spelling_of_a_uri_passes_a_filter() {
    // FT-506
    let uris = ["file:///notes/private", "file:///notes/public"];
    let cast = three().named("fs", "resources", &uris);
    let cast = cast.named(
        "fs",
        "resourceTemplates",
        &["file:///{+path}", "FILE:///{+path}", "file:///notes/%70{x}"],
    );
    let blocked = [
        "file:///notes/private",
        "FILE:///notes/private",
        "file:///notes/%70rivate",
        "file:///notes/./private",
        "file:///x/../notes/private",
        "file:///notes%2Fprivate",
    ];
    for (mode, list) in [
        ("block", json!(["file:///notes/p{x}", "file:///notes/private"])),
        ("allow", json!(["file:///{+path}", "file:///notes/public"])),
    ] {
        let filter = json!({"resourceFilter": {"mode": mode, "list": list}});
        story(cast.clone().options("fs", filter), |w| {
            w.until_all_tried();
            for (kind, endpoint) in
                KINDS.into_iter().flat_map(|kind| ["fs", MERGED].map(|place| (kind, place)))
            {
                let c = w.client(endpoint, kind);
                let mut listed = w.listed(c, "resources/list");
                listed.retain(|uri| uri.starts_with("file:"));
                assert_eq!(listed, ["file:///notes/public"]);
                let before = w.all_heard();
                for uri in blocked {
                    for method in ["resources/read", "resources/subscribe", "resources/unsubscribe"] {
                        assert_eq!(w.error_of(c, method, json!({"uri": uri})), -32002, "{method} {uri}");
                    }
                }
                for uri in blocked.into_iter().chain(["file:///notes/%70{x}", "file:///notes/p%7Bx}"]) {
                    let reference = json!({"ref": {"type": "ref/resource", "uri": uri}});
                    let answer = w.ask(c, "completion/complete", reference);
                    assert!(answer["error"].is_object(), "{uri}: {answer}");
                }
                assert_eq!(w.all_heard(), before);
                let read = w.ask(c, "resources/read", json!({"uri": "file:///notes/public"}));
                assert!(read["result"].is_object(), "{read}");
                for uri in blocked {
                    let update = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
                        "params": {"uri": uri}});
                    w.say("fs", &update.to_string());
                }
                w.run_ms(1_000);
                assert!(w.inbox(c, "notifications/resources/updated").is_empty());
            }
        });
    }
}

#[test]
fn a_mention_or_an_update_does_not_open_what_is_not_served() {
    // BR-04, SEED-031
    story(secretive(), |w| {
        w.until_all_tried();
        for (endpoint, prefix) in PLACES {
            let c = w.client(endpoint, Kind::Sse);
            w.call(c, &format!("{prefix}link"), json!({"uri": "sim://fs/secret/2"}));
            for method in ["resources/read", "resources/subscribe"] {
                assert_eq!(w.error_of(c, method, json!({"uri": "sim://fs/secret/2"})), -32002);
            }
            w.ask(c, "resources/subscribe", json!({"uri": "sim://fs/open"}));
            for uri in ["sim://fs/secret/3", "sim://fs/open/part"] {
                let update = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
                    "params": {"uri": uri}});
                w.say("fs", &update.to_string());
            }
            w.run_ms(1_000);
            let told = w.inbox(c, "notifications/resources/updated");
            let told: Vec<&Value> = told.into_iter().map(|note| &note["params"]["uri"]).collect();
            assert_eq!(told, ["sim://fs/open/part"]);
        }
    });
}

#[test]
fn changes_of_what_is_not_served_are_not_told() {
    // BR-51
    story(secretive(), |w| {
        w.until_all_tried();
        let clients = PLACES.map(|(endpoint, _)| w.client(endpoint, Kind::Sse));
        w.run_ms(500);
        for (name, count) in [("secret2", 0), ("open2", 1)] {
            w.child("fs").mind().tools.push(name.to_owned());
            for kind in ["tools", "prompts", "resources"] {
                w.say_changed("fs", kind);
            }
            w.run_ms(1_000);
            for c in clients {
                assert_eq!(w.notices(c), [count, 0, 0]);
            }
        }
    });
}

#[test]
fn tools_can_be_hidden_renamed_and_described_anew() {
    let overrides = json!({
        "echo": {"name": "say.it", "title": "Say", "description": "says \"it\"\n"},
        "slow": {"hidden": true},
        "fail": {"description": "fails"},
        "big": {"name": "log"},
        "never": {"name": "no_longer", "hidden": true},
        "nothing there": {"name": "ghost"},
    });
    story(three().options("fs", json!({"toolOverrides": overrides})), |w| {
        w.until_all_tried();
        for (kind, (endpoint, prefix)) in KINDS.into_iter().flat_map(|kind| PLACES.map(|place| (kind, place)))
        {
            let c = w.client(endpoint, kind);
            let say =
                if prefix.is_empty() { "say.it".to_owned() } else { w.listed(c, "tools/list")[0].clone() };
            let items = w.items(c, "tools/list");
            let own: Vec<&Value> =
                items.iter().filter(|item| item["name"].as_str().unwrap().starts_with(prefix)).collect();
            let first = &own[0];
            assert_eq!(
                **first,
                json!({"name": say, "title": "Say", "description": "says \"it\"\n",
                "x-unknown": [0, 1.0], "inputSchema": {"type": "object"}})
            );
            let names: Vec<&str> = own.iter().map(|item| item["name"].as_str().unwrap()).take(11).collect();
            let rest =
                ["stubborn", "progress", "fail", "log", "twice", "foreign", "crash", "cut", "change", "ask"];
            assert_eq!(names[1..], rest.map(|name| format!("{prefix}{name}")));
            let described = own.iter().find(|item| item["name"] == format!("{prefix}fail")).unwrap();
            assert_eq!((&described["description"], described.get("title")), (&json!("fails"), None));

            assert_eq!(w.call(c, &say, json!({"text": "hi"})), "hi");
            assert_eq!(w.names_heard("fs", "tools/call").pop().as_deref(), Some("echo"));
            assert_eq!(
                w.call(c, &format!("{prefix}log"), json!({"bytes": 3})),
                "xxx",
                "the given name counts more"
            );
            assert_eq!(w.names_heard("fs", "tools/call").pop().as_deref(), Some("big"));
            let before = w.heard("fs", "tools/call").len();
            for name in ["echo", "slow", "big", "never"] {
                assert_eq!(
                    w.error_of(c, "tools/call", json!({"name": format!("{prefix}{name}")})),
                    -32602,
                    "{name}"
                );
            }
            assert_eq!(w.heard("fs", "tools/call").len(), before);
            // A name that only what is hidden would have had is any unknown name.
            let name = format!("{prefix}no_longer");
            assert_eq!(w.error_of(c, "tools/call", json!({"name": name})), -32602);
        }
        assert!(
            w.watch.logged("the tool `log`") && w.watch.logged("is hidden: the name `log` is given to `big`")
        );
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
    });
}

#[test]
fn filters_know_tools_by_their_own_names_and_renamed_ones_clash_by_the_new() {
    let options = json!({"toolFilter": {"mode": "allow", "list": ["echo", "slow"]},
        "toolOverrides": {"echo": {"name": "search"}, "fail": {"name": "slow2"}}});
    let cast = three().options("fs", options).tools("web", &["search", "echo"]).tools("old", &["other"]);
    story(cast.merged("prefix", json!("on-clash")), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            assert_eq!(w.listed(c, "tools/list"), ["fs__search", "slow", "web__search", "echo", "other"]);
            for (name, server, own) in
                [("fs__search", "fs", "echo"), ("web__search", "web", "search"), ("echo", "web", "echo")]
            {
                w.call(c, name, json!({}));
                assert_eq!(w.names_heard(server, "tools/call").pop().as_deref(), Some(own));
            }
            assert_eq!(w.error_of(c, "tools/call", json!({"name": "slow2"})), -32602);
        }
    });
}

#[test]
fn a_name_in_disguise_does_not_pass_a_filter() {
    // SEED-031: Go matches member names without regard to case
    story(secretive(), |w| {
        w.until_all_tried();
        for (endpoint, prefix) in PLACES {
            let c = w.client(endpoint, Kind::Streamable);
            let before = w.all_heard();
            for params in [
                format!(r#"{{"name":"{prefix}echo","name":"secret"}}"#),
                format!(r#"{{"name":"{prefix}echo","Name":"secret"}}"#),
                format!(r#"{{"name":"{prefix}echo","n\u0061me":"secret"}}"#),
                format!(r#"{{"name":"{prefix}s\u0065cret"}}"#),
                r#"{"name":["secret"]}"#.to_owned(),
            ] {
                let id = json!(format!("d{}", w.clients[c].requests.len()));
                let body =
                    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
                let req = w.start_raw(c, &[id], &body)[0];
                assert!(w.outcome(req)["error"].is_object(), "{params}");
            }
            assert_eq!(w.all_heard(), before);
        }
    });
}
