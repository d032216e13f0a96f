//! MCP Apps on the merged endpoint: tools that an app calls by the name its server gave them, and pages (`ui://…`).

use super::{KINDS, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, MERGED};
use mcp_proxy_tests::lists::with_roots;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

const PAGE: &str = "ui://clock/view.html";

/// A server with a tool `show` that names its page in one of the spellings there are.
fn app(cast: Cast, server: &str, meta: Value) -> Cast {
    cast.tools(server, &["show", "link"]).mind(server, move |mind| {
        mind.metas.insert("show".to_owned(), meta.clone());
    })
}

fn ui(uri: &str) -> Value {
    json!({"ui": {"resourceUri": uri, "visibility": ["model", "app"]}})
}

/// Whose page is read by this URI.
#[track_caller]
fn read(w: &mut World, c: usize, uri: &str) -> String {
    let answer = w.ask(c, "resources/read", json!({"uri": uri}));
    let text = answer["result"]["contents"][0]["text"].as_str();
    text.map_or_else(|| answer["error"]["code"].to_string(), str::to_owned)
}

/// The tools of the merged endpoint that show a page, and its URI.
#[track_caller]
fn shown(w: &mut World, c: usize) -> Vec<(String, String)> {
    let page = |tool: &Value| {
        let meta = &tool["_meta"];
        let all = [&meta["ui"]["resourceUri"], &meta["ui/resourceUri"], &meta["openai/outputTemplate"]];
        all.into_iter().find_map(Value::as_str).map(str::to_owned)
    };
    let tools = w.items(c, "tools/list").into_iter();
    tools.filter_map(|tool| Some((tool["name"].as_str()?.to_owned(), page(&tool)?))).collect()
}

#[test]
fn an_app_calls_the_tools_of_its_server_by_their_own_names() {
    // FT-303
    let cast = three().tools("fs", &["show", "refresh"]).tools("web", &["show", "hidden", "renamed"]);
    let cast = cast
        .tools("old", &["show", "secret"])
        .options("web", json!({"toolOverrides": {"hidden": {"hidden": true}, "renamed": {"name": "other"}}}));
    let cast = cast.options("old", json!({"toolFilter": {"mode": "block", "list": ["secret"]}}));
    story(cast, |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            assert_eq!(w.call(c, "refresh", json!({"text": "a"})), "a");
            assert_eq!(w.names_heard("fs", "tools/call").last().map(String::as_str), Some("refresh"));
            assert_eq!(w.call(c, "renamed", json!({"text": "b"})), "b");
            for name in ["show", "hidden", "secret", "nobodys"] {
                assert_eq!(w.error_of(c, "tools/call", json!({"name": name})), -32602, "{name}");
            }
        }
    });
}

#[test]
fn a_page_that_only_a_tool_names_is_read_from_its_server() {
    // FT-303
    for meta in [
        ui("ui://web/x"),
        json!({"ui/resourceUri": "ui://web/x"}),
        json!({"openai/outputTemplate": "ui://web/x"}),
    ] {
        story(app(three(), "web", meta), |w| {
            w.until_all_tried();
            for kind in KINDS {
                let c = w.client(MERGED, kind);
                assert_eq!(read(w, c, "ui://web/x"), "of web", "asked before any list");
                assert_eq!(shown(w, c), [("web__show".to_owned(), "ui://web/x".to_owned())]);
                assert_eq!(read(w, c, "ui://nobodys/x"), "-32002");
            }
        });
    }
}

#[test]
fn a_page_that_only_a_result_names_is_read_from_its_server() {
    // FT-303
    story(app(three(), "web", json!({})), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            for (arguments, uri) in
                [(json!({"uri": "ui://web/1"}), "ui://web/1"), (json!({"page": "ui://web/2"}), "ui://web/2")]
            {
                assert_eq!(read(w, c, uri), "-32002");
                w.call(c, "web__link", arguments);
                assert_eq!(read(w, c, uri), "of web");
            }
        }
    });
}

#[test]
fn of_one_uri_of_several_servers_each_tool_shows_its_own_servers_page() {
    // FT-303
    let listed = |cast: Cast, server: &str| cast.named(server, "resources", &[PAGE]);
    let all = [
        three(),
        listed(listed(listed(three(), "fs"), "web"), "old"),
        listed(three(), "old"),
        listed(three(), "fs"),
    ];
    for cast in all {
        let cast =
            app(app(app(cast, "fs", ui(PAGE)), "web", json!({"ui/resourceUri": PAGE})), "old", ui(PAGE));
        story(cast, |w| {
            w.until_all_tried();
            for kind in KINDS {
                let c = w.client(MERGED, kind);
                let tools = shown(w, c);
                assert_eq!(tools[0], ("fs__show".to_owned(), PAGE.to_owned()), "the first keeps its URI");
                assert_eq!(tools.len(), 3);
                for (tool, uri) in &tools {
                    let server = tool.split("__").next().unwrap();
                    assert_eq!(read(w, c, uri), format!("of {server}"), "{tool}: {uri}");
                    assert_eq!(w.names_heard(server, "resources/read").last().unwrap(), PAGE);
                }
                // What is listed goes by the same URIs.
                for uri in w.listed(c, "resources/list").iter().filter(|uri| uri.starts_with("ui:")) {
                    assert!(tools.iter().any(|(_, known)| known == uri), "{uri}");
                }
                // On its own endpoint everything is as the server says it.
                let c = w.client("web", kind);
                assert_eq!(w.items(c, "tools/list")[0]["_meta"], json!({"ui/resourceUri": PAGE}));
                assert_eq!(read(w, c, PAGE), "of web");
            }
        });
    }
}

#[test]
fn pages_follow_the_lists_that_name_them() {
    // FT-303
    story(app(app(three(), "fs", json!({})), "web", ui(PAGE)), |w| {
        w.until_all_tried();
        let c = w.client_with(MERGED, Kind::Streamable, with_roots);
        w.listen(c);
        let before = shown(w, c);
        assert_eq!(before, [("web__show".to_owned(), PAGE.to_owned())]);
        // A server before it begins to list a page of that URI, which changes the list of tools.
        w.change_program("fs", |program| {
            program.mind.named.insert("resources", vec![PAGE.to_owned()]);
        });
        w.teach("fs", |mind| _ = mind.named.insert("resources", vec![PAGE.to_owned()]));
        let told = w.notices(c)[0];
        w.say_changed("fs", "resources");
        w.run_until("the client is told that tools changed", |w| w.notices(c)[0] > told);
        let after = shown(w, c);
        assert_eq!(after.len(), 1);
        assert_ne!(after, before);
        assert_eq!(read(w, c, &after[0].1), "of web");
        assert_eq!(read(w, c, PAGE), "of fs");
    });
}

#[test]
fn a_page_that_a_filter_blocks_stays_unknown() {
    // FT-303
    let block = json!({"resourceFilter": {"mode": "block", "list": ["ui://*"]}});
    let cast = app(app(three(), "fs", ui(PAGE)), "web", ui(PAGE)).options("fs", block);
    story(cast, |w| {
        w.until_all_tried();
        let c = w.client(MERGED, Kind::Streamable);
        assert_eq!(shown(w, c).len(), 2);
        assert_eq!(read(w, c, PAGE), "of web", "what may not be read holds no name");
        w.call(c, "fs__link", json!({"uri": "ui://fs/only", "page": "ui://fs/other"}));
        assert_eq!(read(w, c, "ui://fs/only"), "-32002");
        assert_eq!(read(w, c, "ui://fs/other"), "-32002");
    });
}
