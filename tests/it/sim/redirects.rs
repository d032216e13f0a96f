//! Servers that are somewhere else than their URL says.

use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::http::Head;
use mcp_proxy_tests::net::MS;
use mcp_proxy_tests::site::odd::Reply;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

fn web() -> Cast {
    Cast::default().streamable("web")
}

fn to(status: u16, location: &str) -> Reply {
    Reply::bare(status).with("location", location).body("moved")
}

/// A site that serves another path and redirects to it.
fn moved(
    cast: Cast,
    name: &str,
    old: &'static str,
    new: &'static str,
    status: u16,
    location: &'static str,
) -> Cast {
    cast.change_site(name, move |site| {
        site.path = new.to_owned();
        site.set_odd(move |_, head, _| (head.target() == old).then(|| to(status, location)));
    })
}

fn last_error(w: &mut World) -> String {
    let body = w.http("GET", "/health/servers", &[], "").body.clone();
    let health: Value = serde_json::from_str(&body).expect("health is JSON");
    health["servers"][0]["lastError"]["message"].as_str().unwrap_or_default().to_owned()
}

fn at(hits: &[mcp_proxy_tests::site::Hit], test: impl Fn(&Head) -> bool) -> usize {
    hits.iter().filter(|hit| test(&hit.head)).count()
}

#[test]
fn a_server_that_redirects_within_its_origin_is_followed_and_the_place_remembered() {
    // FT-103
    for (status, location) in [
        (307, "/mcp/"),
        (308, "/mcp/"),
        (307, "http://web.test/mcp/"),
        (308, "http://web.test:80/mcp/#x"),
        (307, "mcp/"),
    ] {
        story(moved(web(), "web", "/mcp", "/mcp/", status, location), |w| {
            let c = w.client("web", Kind::Streamable);
            for _ in 0..3 {
                w.check_echo(c);
            }
            w.run_ms(40_000);
            let told = w.watch.records.iter().filter(|(_, r)| r.message.contains("the server redirects to"));
            assert_eq!(told.count(), 1);
            assert!(w.watch.logged("http://web.test/mcp/: write that into `url`"));
            let site = w.site("web");
            assert_eq!(at(&site.hits, |head| head.target() == "/mcp"), 1, "{status} {location}");
            assert!(site.newest_session().is_some(), "the stream is there as well");
            let all = site.hits.iter().all(|hit| hit.head.get("x-api-key").is_some());
            assert!(all, "headers are for the whole origin");
            w.finish();
            assert!(w.site("web").live.is_empty(), "the session is deleted where it is");
        });
    }
}

#[test]
fn every_kind_of_request_is_followed() {
    // FT-103: the server moves while it is in use.
    let cast = web().change_site("web", |site| {
        site.set_odd(|_, head, _| (head.target() == "/mcp/").then(|| Reply::bare(404)));
    });
    for what in ["call", "note", "answer"] {
        story(cast.clone(), |w| {
            let c = w.client_with("web", Kind::Streamable, |client| {
                client.capabilities = json!({"roots": {}});
                client.replies.insert("roots/list".to_owned(), json!({"result": {"roots": []}}));
            });
            w.check_echo(c);
            let before = w.start_call(c, "slow", json!({"ms": 300, "text": "slow"}));
            w.until_heard(before);
            let before_it_moved = w.site("web").mind.count("initialize");
            w.site("web").path = "/v2".to_owned();
            w.site("web").set_odd(|_, head, _| (head.target() == "/mcp").then(|| to(307, "/v2")));
            match what {
                "call" => w.check_echo(c),
                "note" => _ = w.cancel(before),
                _ => {
                    let ask = w.start_call(c, "ask", json!({"method": "roots/list"}));
                    assert!(w.outcome(ask)["result"].is_object());
                }
            }
            w.run_ms(5_000);
            w.check_echo(c);
            let site = w.site("web");
            assert!(at(&site.hits, |head| head.target() == "/v2") > 0);
            assert_eq!(site.mind.count("initialize"), before_it_moved, "{what}");
            if what == "note" {
                assert_eq!(site.mind.count("notifications/cancelled"), 1);
            }
        });
    }
}

#[test]
fn a_stream_with_an_address_of_its_own_leaves_the_rest_where_it_is() {
    // FT-103: GET also follows what a POST cannot.
    for status in [301, 302, 303, 307, 308] {
        let cast = web().change_site("web", move |site| {
            site.get_path = Some("/events".to_owned());
            site.set_odd(move |_, head, _| {
                (head.method() == "GET" && head.target() == "/mcp").then(|| to(status, "/events"))
            });
        });
        story(cast, |w| {
            let c = w.client("web", Kind::Streamable);
            w.check_echo(c);
            w.run_ms(1_000);
            let site = w.site("web");
            assert!(site.newest_session().is_some(), "{status}");
            assert_eq!(at(&site.hits, |head| head.method() == "POST" && head.target() != "/mcp"), 0);
        });
    }
}

#[test]
fn an_event_stream_that_moved_is_followed() {
    // FT-103: HTTP+SSE, both its requests
    for status in [301, 302, 307, 308] {
        let cast = Cast::default().sse("old");
        story(moved(cast, "old", "/sse", "/v2/sse/", status, "/v2/sse/"), |w| {
            let c = w.client("old", Kind::Streamable);
            w.check_echo(c);
        });
    }
    let cast = Cast::default().sse("old").change_site("old", |site| {
        site.set_odd(|_, head, _| {
            let moved = head.method() == "POST" && head.target().starts_with("/messages?");
            moved.then(|| to(307, &head.target().replace("/messages?", "/messages/?")))
        });
    });
    story(cast, |w| {
        let c = w.client("old", Kind::Streamable);
        for _ in 0..3 {
            w.check_echo(c);
        }
        let hits = &w.site("old").hits;
        assert_eq!(at(hits, |head| head.target().starts_with("/messages?")), 1);
    });
}

#[test]
fn from_http_to_https_of_the_same_host_is_followed() {
    // FT-103
    let cast = web().change_site("web", |site| {
        site.second_port = Some(443);
        site.set_odd(|site, head, _| {
            // The first dial goes to port 80.
            site.lapsed |= head.get("host") != Some("web.test") || site.hits.len() > 1;
            (!site.lapsed).then(|| to(308, "https://web.test/mcp"))
        });
    });
    story(cast, |w| {
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
        w.run_ms(40_000);
        w.check_echo(c);
        let ports: Vec<u16> = w.dials.iter().map(|addr| addr.port()).collect();
        assert_eq!(ports.iter().filter(|port| **port == 80).count(), 1, "{ports:?}");
        assert!(ports.iter().all(|port| matches!(port, 80 | 443)));
    });
}

#[test]
fn another_origin_gets_nothing_and_is_named() {
    // FT-103
    for (status, location, said) in [
        (307, "http://evil.test/mcp", "write http://evil.test/mcp into `url`"),
        (308, "//evil.test/mcp", "write http://evil.test/mcp into `url`"),
        (307, "https://evil.test/mcp", "https://evil.test/mcp"),
        (302, "https://evil.test/login?next=header-secret-of-web", "https://evil.test/login?***"),
        (301, "/mcp/", "http://web.test/mcp/, which a POST cannot follow"),
        (303, "/done", "http://web.test/done"),
        (307, "http://web.test:81/mcp", "http://web.test:81/mcp"),
        (307, "http://user:header-secret-of-web@web.test/mcp", "a user name or password"),
        (307, "", "another origin"),
    ] {
        let cast = web().streamable("evil").change_site("web", move |site| {
            site.set_odd(move |_, _, _| {
                Some(if location.is_empty() { to(status, "http://evil.test/") } else { to(status, location) })
            });
        });
        story(cast.calm(), |w| {
            w.run_ms(5_000);
            let why = last_error(w);
            assert!(why.contains(said), "{why}");
            let evil = w
                .site("evil")
                .hits
                .iter()
                .any(|hit| hit.head.get("x-api-key") != Some("header-secret-of-evil"));
            assert!(!evil, "a header went to another origin");
            assert!(w.site("web").hits.len() < 8, "with pauses");
        });
    }
}

#[test]
fn a_circle_ends_after_five_hops() {
    // FT-103
    story(web().calm(), |w| {
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
        w.site("web").set_odd(|_, head, body| {
            let next = if head.target() == "/mcp" { "/a" } else { "/mcp" };
            body.contains("tools/call").then(|| to(307, next))
        });
        let before = w.site("web").hits.len();
        let answer = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {}}));
        assert!(answer["error"]["message"].as_str().unwrap().contains("redirects in a circle"), "{answer}");
        let hits = &w.site("web").hits[before..];
        assert_eq!(at(hits, |_| true) - hits.iter().filter(|hit| hit.body.contains("ping")).count(), 6);
        w.site("web").set_odd(|site, head, _| {
            site.path = head.target().to_owned();
            None
        });
        w.check_echo(c);
    });
}

#[test]
fn a_server_that_is_lost_is_looked_for_at_its_url_again() {
    // FT-103
    story(moved(web(), "web", "/mcp", "/mcp/", 307, "/mcp/").calm(), |w| {
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
        w.with_site("web", |site, net| {
            site.path = "/mcp".to_owned();
            site.set_odd(|_, _, _| None);
            site.restart(net);
            site.down = true;
        });
        w.run_ms(4_000);
        w.site("web").down = false;
        w.run_ms(10_000);
        w.check_echo(c);
        let last = w.site("web").hits.last().unwrap();
        assert!(last.head.target() == "/mcp" && last.at > 4_000 * MS);
    });
}
