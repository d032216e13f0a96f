//! Who sees what on the merged endpoint: a token opens its servers and those open to everybody, and nothing more.

use super::KINDS;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Client, Kind, MERGED, Xid};
use mcp_proxy_tests::lists::{with_roots, with_token};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;

const ANN: &str = "token-of-ann";
const BEN: &str = "token-of-ben";
const CAT: &str = "token-of-cat";
const DAN: &str = "token-of-dan";

const SERVERS: [&str; 4] = ["ours", "all", "bens", "anns"];

/// Four callers and what each may use. `ours` is for Ann, Ben and Cat, who has nothing else, as Dan, who may use
/// `bens` like Ben.
fn cast() -> Cast {
    let cast = Cast::default().stdio("ours").streamable("all").sse("bens").stdio("anns");
    let cast = cast.options("ours", json!({"authTokens": [ANN, format!("Bearer {BEN}"), CAT]}));
    let cast =
        cast.options("bens", json!({"authTokens": [BEN]})).options("anns", json!({"authTokens": [ANN]}));
    [ANN, BEN, CAT, DAN].into_iter().fold(cast, Cast::secret)
}

/// What each caller sees, in the order of the configuration.
const SEEN: [(&str, &[&str]); 4] = [
    (ANN, &["ours", "all", "anns"]),
    (BEN, &["ours", "all", "bens"]),
    (CAT, &["ours", "all"]),
    ("", &["all"]),
];

fn caller(token: &str) -> impl Fn(&mut Client) {
    let with = with_token(token);
    let nobody = token.is_empty();
    move |client| {
        if !nobody {
            with(client);
        }
    }
}

#[test]
fn each_caller_sees_what_its_token_opens_and_what_is_open() {
    // SEED-029, BR-55
    story(cast(), |w| {
        w.until_all_tried();
        for (kind, (token, servers)) in KINDS.into_iter().flat_map(|kind| SEEN.map(|seen| (kind, seen))) {
            let c = w.client_with(MERGED, kind, caller(token));
            let expected = |start: &str, ends: [&str; 2]| -> Vec<String> {
                servers.iter().flat_map(|s| ends.map(|end| format!("{start}{s}{end}"))).collect()
            };
            assert_eq!(w.listed(c, "prompts/list"), expected("", ["__prompt0", "__prompt1"]));
            assert_eq!(w.listed(c, "resources/list"), expected("sim://", ["/0", "/1"]));
            assert_eq!(w.listed(c, "resources/templates/list"), expected("sim://", ["/t0/{x}", "/t1/{x}"]));
            let tools = w.listed(c, "tools/list");
            assert_eq!(tools.len(), 14 * servers.len());
            for server in SERVERS {
                let name = format!("{server}__echo");
                assert_eq!(tools.contains(&name), servers.contains(&server));
                if servers.contains(&server) {
                    assert_eq!(w.call(c, &name, json!({"text": token})), token);
                }
            }
            let greeting = w.greeting(c)["instructions"].to_string();
            for server in SERVERS {
                assert_eq!(
                    greeting.contains(&format!("use {server}")),
                    servers.contains(&server),
                    "{greeting}"
                );
            }
        }
    });
}

#[test]
fn nothing_of_other_servers_can_be_reached() {
    // BR-55
    for (kind, (token, servers)) in KINDS.into_iter().flat_map(|kind| SEEN.map(|seen| (kind, seen))) {
        story_of(0..2, cast(), |w| {
            w.until_all_tried();
            let c = w.client_with(MERGED, kind, |client| {
                caller(token)(client);
                with_roots(client);
            });
            if kind == Kind::Streamable {
                w.listen(c);
            }
            w.listed(c, "tools/list");
            w.ask(c, "logging/setLevel", json!({"level": "debug"}));
            for server in SERVERS.into_iter().filter(|server| !servers.contains(server)) {
                try_to_reach(w, c, server);
                let heard = w.minds(server).into_iter().flat_map(|mind| &mind.heard);
                let wrong = heard.filter_map(|heard| heard.value["method"].as_str()).find(|method| {
                    !method.ends_with("/list")
                        && !["initialize", "notifications/initialized", "ping"].contains(method)
                });
                assert_eq!(wrong, None, "{server} heard of {token}");
                assert_eq!(w.heard(server, "initialize").len(), 1, "no connection for this session");
            }
        });
    }
}

/// Asks for everything a server has, and lets the server say what others would be told.
fn try_to_reach(w: &mut World, c: usize, server: &str) {
    for name in ["echo", "ask"].map(|tool| format!("{server}__{tool}")) {
        assert_eq!(w.error_of(c, "tools/call", json!({"name": name})), -32602);
    }
    let prompt = json!({"type": "ref/prompt", "name": format!("{server}__prompt0")});
    assert_eq!(w.error_of(c, "prompts/get", prompt.clone()), -32602);
    assert_eq!(w.error_of(c, "completion/complete", json!({"ref": prompt})), -32602);
    for uri in [format!("sim://{server}/0"), format!("sim://{server}/t0/x")] {
        for method in ["resources/read", "resources/subscribe", "resources/unsubscribe"] {
            assert_eq!(w.error_of(c, method, json!({"uri": uri})), -32002);
        }
        let reference = json!({"type": "ref/resource", "uri": uri});
        assert_eq!(w.error_of(c, "completion/complete", json!({"ref": reference})), -32002);
    }
    w.teach(server, |mind| mind.tools.push("fresh".to_owned()));
    w.say_changed(server, "tools");
    let params = json!({"uri": format!("sim://{server}/0")});
    let update = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params});
    w.say(server, &update.to_string());
    w.run_ms(2_000);
    assert_eq!(w.notices(c), [0; 3]);
    assert!(w.inbox(c, "notifications/resources/updated").is_empty());
}

#[test]
fn a_link_to_a_resource_of_another_server_leads_to_who_mentioned_it() {
    // BR-04, BR-55
    story(cast().tools("all", &["link"]), |w| {
        w.until_all_tried();
        let c = w.client(MERGED, Kind::Streamable);
        w.call(c, "all__link", json!({"uri": "sim://anns/0"}));
        let answer = w.ask(c, "resources/read", json!({"uri": "sim://anns/0"}));
        assert_eq!(answer["result"]["contents"][0]["text"], "of all");
        let ann = w.client_with(MERGED, Kind::Streamable, with_token(ANN));
        let answer = w.ask(ann, "resources/read", json!({"uri": "sim://anns/0"}));
        assert_eq!(answer["result"]["contents"][0]["text"], "of anns");
    });
}

#[test]
fn what_one_may_not_see_hides_nothing_of_what_one_may() {
    // BR-03
    let cast = ["ours", "bens", "anns"]
        .iter()
        .fold(cast(), |cast, name| cast.named(name, "resources", &["sim://same"]).tools(name, &["same"]));
    let cast = cast.mind("all", |mind| {
        mind.tools.clear();
        mind.others = 0;
    });
    for prefix in ["on-clash", "never"] {
        let cast = cast.clone().options("ours", json!({"authTokens": [CAT]})).merged("prefix", json!(prefix));
        story_of(0..2, cast, |w| {
            w.until_all_tried();
            for (token, server) in [(CAT, "ours"), (BEN, "bens"), (ANN, "anns")] {
                let c = w.client_with(MERGED, Kind::Streamable, with_token(token));
                assert_eq!(w.listed(c, "tools/list"), ["same"]);
                assert_eq!(w.call(c, "same", json!({})), "done");
                assert_eq!(w.heard(server, "tools/call").len(), 1);
                let answer = w.ask(c, "resources/read", json!({"uri": "sim://same"}));
                assert_eq!(answer["result"]["contents"][0]["text"], format!("of {server}"));
            }
        });
    }
}

const HELLO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;

#[test]
fn a_token_that_opens_nothing_is_refused_and_none_sees_what_is_open() {
    // SEED-029, SEED-084
    let closed = cast().options("all", json!({"authTokens": [CAT]}));
    for (cast, without) in [(cast(), 200), (closed, 401)] {
        let cast = cast.stdio("off").options("off", json!({"authTokens": [DAN], "disabled": true}));
        story(cast, |w| {
            w.until_all_tried();
            for value in ["wrong", DAN, "Bearer", "", "token-of-an", "token-of-annn", "Basic token-of-ann"] {
                for (method, path) in [
                    ("POST", "/mcp"),
                    ("GET", "/mcp"),
                    ("DELETE", "/mcp"),
                    ("GET", "/sse"),
                    ("POST", "/message?sessionId=x"),
                ] {
                    let fields = [
                        ("content-type", "application/json"),
                        ("accept", "application/json, text/event-stream"),
                        ("authorization", value),
                    ];
                    let refused = w.http(method, path, &fields, HELLO);
                    assert_eq!(refused.status(), 401, "{method} {path} {value:?}");
                    assert!(refused.field("www-authenticate").is_some());
                }
            }
            let fields =
                [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
            assert_eq!(w.http("POST", "/mcp", &fields, HELLO).status(), without);
        });
    }
}

const PING: &str = r#"{"jsonrpc":"2.0","id":999,"method":"ping"}"#;

/// Tries a session by every method.
fn statuses(w: &mut World, client: usize) -> Vec<u16> {
    let post = w.post_wait(client, PING).status();
    if w.clients[client].kind == Kind::Sse {
        return vec![post];
    }
    let get = w.listen(client);
    let index = w.clients[client].delete(&mut w.net);
    let delete = w.response(Xid { client, index }).status();
    vec![post, w.exchange(get).status(), delete]
}

#[test]
fn a_session_is_of_its_token_alone() {
    // DL-41, also for those who see the same servers
    let all = json!({"authTokens": [ANN, BEN, CAT, DAN]});
    let same = SERVERS.iter().fold(cast(), |cast, name| cast.options(name, all.clone()));
    let same = same.stdio("open");
    for cast in [cast().options("bens", json!({"authTokens": [BEN, DAN]})), same] {
        story(cast, |w| {
            w.until_all_tried();
            for kind in KINDS {
                let owner = w.client_with(MERGED, kind, with_token(BEN));
                let tools = w.listed(owner, "tools/list");
                for (token, endpoint) in
                    [(ANN, MERGED), (CAT, MERGED), (DAN, MERGED), ("", MERGED), (BEN, "bens")]
                {
                    let thief = w.stranger_with(endpoint, kind, caller(token));
                    w.clients[thief].session = w.clients[owner].session.clone();
                    w.clients[thief].endpoint = w.clients[owner]
                        .endpoint
                        .clone()
                        .map(|path| if endpoint == MERGED { path } else { format!("/{endpoint}{path}") });
                    assert!(statuses(w, thief).iter().all(|status| *status == 404), "{token} at {endpoint}");
                }
                assert_eq!(w.listed(owner, "tools/list"), tools, "and still there");
            }
        });
    }
}
