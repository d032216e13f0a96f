//! What the log says. That it never says a secret is checked in every scenario.

use super::one;
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_core::log::Level;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::json;

/// Messages about a server, or about the proxy itself for an empty name.
fn lines<'a>(w: &'a World, server: &'a str) -> impl Iterator<Item = &'a str> {
    let about = move |of: Option<&str>| of.unwrap_or_default() == server;
    let records = w.watch.records.iter().map(|(_, record)| record);
    records.filter(move |r| r.level <= Level::Info && about(r.server.as_deref())).map(|r| r.message.as_ref())
}

/// Checks that these lines stand in the log in this order.
#[track_caller]
fn in_order(w: &World, server: &str, expected: &[&str]) {
    let mut rest = lines(w, server);
    for line in expected {
        assert!(rest.any(|said| said == *line), "no {line:?} in its place");
    }
}

#[test]
fn the_life_of_a_server_is_told_as_the_original_does() {
    // SEED-067
    let cast = one().stdio("bad").program("bad", |p| p.exits_at_once = Some(1));
    story(cast.with_proxy("type", json!("streamable-http")), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        w.finish();
        in_order(w, "fs", &["Adding tool echo", "Shutting down"]);
        // FT-407: one line when it is ready.
        let ready: Vec<&str> = lines(w, "fs").filter(|line| !line.starts_with("Adding ")).collect();
        let [ready, "Shutting down"] = ready.as_slice() else { panic!("{ready:?}") };
        assert!(ready.starts_with("Ready: 14 tools, "), "{ready}");
        assert!(ready.ends_with(" s, handling requests at /fs/mcp"), "{ready}");
        let started =
            ["Starting streamable-http server", "streamable-http server listening on 127.0.0.1:9090"];
        in_order(w, "", &[started[0], started[1], "1 of 2 servers are ready", "Shutdown signal received"]);
        assert!(lines(w, "bad").any(|line| line.starts_with("Failed to connect: ")));
    });
}

#[test]
fn each_tool_is_named_once_whatever_becomes_of_its_server() {
    // FT-407
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        w.change_program("fs", |p| p.mind.tools.push("late".to_owned()));
        for _ in 0..3 {
            w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(1)));
            w.run_ms(30_000);
        }
        for tool in ["echo", "late"] {
            let named = lines(w, "fs").filter(|line| *line == format!("Adding tool {tool}"));
            assert_eq!(named.count(), 1, "{tool}");
        }
        assert!(lines(w, "fs").any(|line| line.starts_with("Ready again: 15 tools, ")));
    });
}

#[test]
fn what_is_not_there_is_not_said_to_be() {
    // FT-407
    let cast =
        one().stdio("bad").program("fs", |p| p.exits_at_once = Some(1)).program("bad", |p| p.missing = true);
    story(cast, |w| {
        w.run_ms(10_000);
        in_order(w, "", &["0 of 2 servers are ready"]);
        for server in ["fs", "bad"] {
            assert!(lines(w, server).any(|line| line.starts_with("Failed to connect: ")));
            assert!(!lines(w, server).any(|line| line.starts_with("Ready")));
        }
    });
}

#[test]
fn tools_are_named_and_so_are_the_ignored_ones() {
    // SEED-033
    for (mode, why) in [("allow", "not in allow list"), ("block", "in block list")] {
        let list = if mode == "allow" { json!(["echo"]) } else { json!(["slow", "log"]) };
        let cast = one().options("fs", json!({"toolFilter": {"mode": mode, "list": list}}));
        story(cast, |w| {
            w.client("fs", Kind::Streamable);
            let ignored = format!("Ignoring tool slow as it is {why}");
            in_order(w, "fs", &["Adding tool echo", &ignored]);
            assert!(!lines(w, "fs").any(|line| line == "Adding tool slow"));
        });
    }
}

#[test]
fn requests_are_logged_where_that_is_enabled_without_their_secrets() {
    // SEED-028
    let options = json!({"logEnabled": true, "authTokens": ["token-secret"]});
    let cast = one().stdio("db").options("fs", options).secret("token-secret").secret("query-secret");
    story(cast, |w| {
        let token = ("authorization", "Bearer token-secret");
        for kind in [Kind::Streamable, Kind::Sse] {
            let c = w.client_with("fs", kind, |c| c.fields = vec![(token.0.to_owned(), token.1.to_owned())]);
            w.check_echo(c);
            let c = w.client("db", kind);
            w.check_echo(c);
        }
        w.http("DELETE", "/fs/mcp?key=query-secret", &[token], "");
        for line in ["POST /fs/mcp", "GET /fs/sse", "POST /fs/message", "DELETE /fs/mcp"] {
            assert!(lines(w, "fs").any(|said| said == line), "no {line:?}");
            assert!(!lines(w, "db").any(|said| said.starts_with(&line[..4])), "of another server: {line:?}");
        }
    });
}

#[test]
fn pings_without_an_answer_are_counted() {
    // limit: own_call_ms
    // SEED-070
    let cast = Cast::default().streamable("web").sse("old");
    story(cast, |w| {
        for server in ["web", "old"] {
            let c = w.client(server, Kind::Streamable);
            w.check_echo(c);
            w.site(server).mind.ping_mute = true;
        }
        w.run_ms(80_000);
        for server in ["web", "old"] {
            in_order(w, server, &["MCP Ping failed: no answer (count=1)"]);
            w.site(server).mind.ping_mute = false;
        }
        w.run_ms(30_000);
        for server in ["web", "old"] {
            let failed = "MCP Ping failed: no answer (count=2)";
            in_order(w, server, &[failed, "MCP Ping recovered after 2 failures"]);
            assert_eq!(w.site(server).mind.count("initialize"), 1, "{server} was not given up");
        }
    });
}

#[test]
fn the_end_of_the_start_is_told_whatever_connections_sessions_have_opened_meanwhile() {
    // Found by a storm: with a connection of a session on its way it was never told.
    let cast = Cast::default().stdio("fs").stdio("db").options("fs", json!({"sessions": "dedicated"}));
    let cast = cast.program("db", |p| p.mind.delay_ms = 500).program("fs", |p| p.mind.delay_ms = 3_000);
    story(cast.first_program("fs", |_| {}), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.start_call(c, "echo", json!({}));
        assert!(!w.watch.logged("servers are ready"));
        w.until_all_tried();
    });
}

#[test]
fn the_start_says_who_may_in() {
    // FT-508
    let one = || one().with_proxy("addr", json!(":9090"));
    let token = |cast: Cast| cast.options("fs", json!({"authTokens": ["kept-secret"]})).secret("kept-secret");
    let open = "Servers open to everybody are open to every machine that reaches this address (0.0.0.0:9090)";
    story(token(one()).stdio("db").stdio("web"), |w| {
        w.client("db", Kind::Streamable);
        in_order(
            w,
            "",
            &["Access to fs: 1 token", "Access to db, web: open to everybody who can reach it", open],
        );
    });
    story(token(one()), |w| {
        w.run_ms(1_000);
        in_order(w, "", &["Access to fs: 1 token"]);
        assert!(!lines(w, "").any(|line| line.contains("everybody")));
    });
    story(super::one(), |w| {
        w.run_ms(1_000);
        let here = "Servers open to everybody are open to every program on this machine (127.0.0.1:9090)";
        in_order(w, "", &["Access to fs: open to everybody who can reach it", here]);
    });
}
