//! How servers are started and reached: by which transport, with what words, and what happens to those who wait.

use super::{KINDS, one, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, State};
use mcp_proxy_tests::net::MS;
use mcp_proxy_tests::site::Style;
use mcp_proxy_tests::story::story;
use serde_json::{Value, json};

#[test]
fn a_server_that_is_not_streamable_after_all_is_served_over_http_sse() {
    // UP-03
    for status in [400, 404, 405] {
        let cast = Cast::default().streamable("web").server("web", "url", json!("http://web.test/sse"));
        let cast = cast.change_site("web", move |s| {
            (s.style, s.path) = (Style::Sse, "/sse".to_owned());
            s.misdirected = status;
        });
        story(cast, |w| {
            for kind in KINDS {
                let c = w.client("web", kind);
                w.check_echo(c);
            }
            let site = w.site("web");
            let order: Vec<&str> = site.hits.iter().take(2).map(|hit| hit.head.method()).collect();
            assert_eq!(order, ["POST", "GET"], "{status}");
            assert_eq!(site.mind.count("initialize"), 1, "{status}");
        });
    }
}

#[test]
fn an_event_stream_without_an_endpoint_is_given_up_and_tried_again_later() {
    // limit: endpoint_ms
    // UP-05
    story(Cast::default().sse("old").change_site("old", |s| s.endpoint.clear()), |w| {
        w.run_ms(60_000);
        let site = w.site("old");
        let other = site.hits.iter().find(|hit| hit.head.method() == "POST").expect("the other transport");
        assert!((9_900..10_500).contains(&((other.at - site.hits[0].at) / MS)), "after ten seconds");
        assert!((2..10).contains(&site.count("GET")), "{} times", site.count("GET"));
        site.endpoint = "/messages".to_owned();
        let c = w.client("old", Kind::Streamable);
        w.check_echo(c);
    });
}

#[test]
fn a_handshake_tells_who_the_proxy_is_and_promises_nothing() {
    // UP-27, SEED-023
    let cast = three().with_proxy("name", json!("hub")).with_proxy("version", json!("7.3"));
    story(cast, |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, |c| {
                c.capabilities = json!({"roots": {"listChanged": true}, "sampling": {}, "elicitation": {}});
            });
            let State::Answered(raw) = &w.clients[c].requests.last().unwrap().state else { panic!() };
            let greeting: Value = serde_json::from_str(raw).unwrap();
            assert_eq!(greeting["result"]["serverInfo"], json!({"name": server, "version": "1"}));
            let mind = if server == "fs" { w.child("fs").mind() } else { &mut w.site(server).mind };
            let params = &mind.last("initialize").unwrap().value["params"];
            assert_eq!(params["capabilities"], json!({}), "{server}");
            assert_eq!(params["clientInfo"], json!({"name": "hub", "version": "7.3"}), "{server}");
        }
    });
}

#[test]
fn a_command_and_its_environment_come_from_the_configuration_only() {
    // ST-21
    let cast = one().server("fs", "args", json!(["--root", "a b; rm -rf $HOME"])).server(
        "fs",
        "env",
        json!({"B": "2", "TOKEN": "env-secret-of-fs"}),
    );
    story(cast, |w| {
        let c = w.client_with("fs", Kind::Streamable, |c| {
            c.fields = vec![("x-command".to_owned(), "evil".to_owned())];
            c.capabilities = json!({"experimental": {"command": "evil", "env": {"PATH": "/evil"}}});
        });
        w.call(c, "echo", json!({"command": "evil", "args": ["evil"], "env": {"PATH": "/evil"}}));
        w.ask(c, "tools/call", json!({"name": "crash", "command": "evil", "env": {"PATH": "/evil"}}));
        w.check_echo(c);
        assert_eq!(
            w.spawned.len(),
            3,
            "everybody's, and that of what it declares before and after the crash"
        );
        for spec in &w.spawned {
            assert_eq!((spec.command.as_str(), spec.cwd.as_deref()), ("sim-fs", None));
            assert_eq!(spec.args, ["--root", "a b; rm -rf $HOME"]);
            let mut env: Vec<_> =
                spec.env.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())).collect();
            env.sort_unstable();
            assert_eq!(env, [("B", "2"), ("TOKEN", "env-secret-of-fs")]);
        }
    });
}

#[test]
fn a_call_to_a_server_that_refuses_connections_waits_half_a_minute_and_not_longer() {
    // limit: queue_ms
    for (server, kind) in ["web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
        story(Cast::default().streamable("web").sse("old"), |w| {
            let c = w.client(server, kind);
            w.check_echo(c);
            w.site(server).down = true;
            w.with_site(server, |site, net| site.restart(net));
            w.run_ms(2_000);
            let from = w.now_ms();
            let reqs = [(); 3].map(|()| w.start_call(c, "echo", json!({})));
            for req in reqs {
                assert_eq!(w.outcome(req)["error"]["code"], -32603);
            }
            let waited = w.now_ms() - from;
            assert!((29_900..31_000).contains(&waited), "{server} {kind:?}: {waited} ms");
            assert_eq!(w.site(server).mind.calls("echo"), 1, "it never heard of them");
        });
    }
}
