//! Servers whose sessions do not last, and servers that only seem to lose them: the proxy never hurries.

use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::net::{Link, MS, Phase, Who};
use mcp_proxy_tests::site::odd::Reply;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

const UNKNOWN: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#;

fn web() -> Cast {
    Cast::default().streamable("web")
}

/// What health says of the server.
fn health(w: &mut World) -> Value {
    let answer = w.http("GET", "/health/servers", &[], "");
    serde_json::from_str::<Value>(&answer.body).expect("health is JSON")["servers"][0].clone()
}

/// Times of the requests with this method, in milliseconds.
fn times(w: &mut World, method: &str) -> Vec<u64> {
    let heard = w.site("web").hits.iter().filter(|hit| hit.body.contains(method));
    heard.map(|hit| hit.at / MS).collect()
}

#[test]
fn a_refused_standalone_stream_is_no_lost_session() {
    // FT-101
    for (status, body) in [
        (404, "Cannot GET /mcp"),
        (404, UNKNOWN),
        (400, UNKNOWN),
        (401, ""),
        (403, "no"),
        (406, ""),
        (410, ""),
        (500, ""),
        (503, UNKNOWN),
        (204, ""),
    ] {
        let cast = web().change_site("web", |site| {
            site.set_odd(move |_, head, _| (head.method() == "GET").then(|| Reply::bare(status).body(body)));
        });
        story(cast, |w| {
            let c = w.client("web", Kind::Streamable);
            for _ in 0..3 {
                w.check_echo(c);
                w.run_ms(40_000);
            }
            let site = w.site("web");
            assert_eq!(site.mind.count("initialize"), 1, "{status}");
            assert_eq!(site.count("GET"), 1, "{status}");
            assert_eq!(health(w)["state"], "ready", "{status}");
        });
    }
}

#[test]
fn a_stream_that_was_offered_tells_that_the_session_is_gone() {
    // FT-101, UP-40
    story(web().change_site("web", |site| site.json = false), |w| {
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
        w.with_site("web", |site, net| site.restart(net));
        w.run_ms(10_000);
        assert_eq!(w.site("web").mind.count("initialize"), 2, "nobody had to call");
        w.check_echo(c);
    });
}

#[test]
fn a_stream_that_is_refused_for_a_while_is_asked_for_again() {
    // FT-101
    for status in [429, 502, 503] {
        story(web(), |w| {
            let c = w.client("web", Kind::Streamable);
            w.check_echo(c);
            let site = w.site("web");
            site.set_odd(move |site, head, _| {
                (head.method() == "GET" && site.count("GET") < 5).then(|| Reply::bare(status))
            });
            let of_site = |link: &Link| matches!(link.peer, Who::Site(_)) && link.phase == Phase::Open;
            let links = w.net.links.iter().filter(|(_, link)| of_site(link)).map(|(conn, _)| *conn);
            links.collect::<Vec<_>>().into_iter().for_each(|conn| w.net.reset(conn));
            w.run_ms(60_000);
            let site = w.site("web");
            assert_eq!(site.count("GET"), 5, "{status}");
            assert_eq!(site.mind.count("initialize"), 1, "{status}");
            assert!(site.newest_session().is_some(), "there is a stream again");
        });
    }
}

#[test]
fn sessions_that_are_lost_at_once_are_made_anew_with_pauses() {
    // FT-101: the first own request of each session is refused, whatever its method.
    for method in ["tools/list", "resources/list", "notifications/initialized", "prompts/list"] {
        for body in [UNKNOWN, "", "not here"] {
            let cast = web().change_site("web", |site| {
                site.set_odd(move |_, _, text| {
                    text.contains(&format!("\"{method}\"")).then(|| Reply::bare(404).body(body))
                });
            });
            story(cast.calm(), |w| {
                w.run_ms(70_000);
                let starts = times(w, "\"initialize\"");
                let gaps: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
                let gaps = if method.starts_with("notif") { &gaps[..] } else { &gaps[1..] };
                assert!(gaps[0] >= 375 && gaps[1] >= 750 && gaps[2] >= 1_500, "{method}: {gaps:?}");
                assert!((6..=10).contains(&starts.len()), "{method}: {starts:?}");
                let health = health(w);
                assert_eq!(health["state"], "failing", "{health}");
                assert!(health["lastError"]["message"].as_str().unwrap().contains("HTTP 404"), "{health}");
                assert!(w.watch.records.len() < 400, "the log tells each once");
            });
        }
    }
}

#[test]
fn a_server_whose_sessions_never_last_is_left_alone_after_ten_losses() {
    // FT-101
    let cast = web().change_site("web", |site| {
        site.set_odd(|_, _, text| text.contains("\"tools/list\"").then(|| Reply::json(404, UNKNOWN)));
    });
    story(cast.calm(), |w| {
        w.run_ms(10 * 60_000);
        let health = health(w);
        assert_eq!(health["state"], "suspended", "{health}");
        let starts = times(w, "\"initialize\"").len();
        assert!((12..=13).contains(&starts), "{starts}");
    });
}

#[test]
fn a_call_that_finds_its_session_lost_twice_waits_for_the_third() {
    // FT-101: the first loss costs nothing, the second waits, and what runs on a stream of its own goes on.
    let cast = web().change_site("web", |site| site.json = false);
    story(cast.calm(), |w| {
        let c = w.client("web", Kind::Streamable);
        let slow = w.start_call(c, "slow", json!({"ms": 5_000, "text": "slow"}));
        w.until_heard(slow);
        w.run_ms(100);
        for round in 0..2 {
            w.with_site("web", |site, _| site.live.clear());
            let at = w.now_ms();
            w.check_echo(c);
            let waited = w.now_ms() - at;
            assert!(if round == 0 { waited < 100 } else { (375..1_000).contains(&waited) }, "{waited}");
        }
        assert_eq!(w.text(slow), "slow");
        assert_eq!(w.site("web").mind.calls("slow"), 1);
    });
}

#[test]
fn after_a_good_while_a_lost_session_is_made_anew_at_once_again() {
    // FT-101
    story(web().calm(), |w| {
        let c = w.client("web", Kind::Streamable);
        for _ in 0..12 {
            w.with_site("web", |site, _| site.live.clear());
            let at = w.now_ms();
            w.check_echo(c);
            assert!(w.now_ms() - at < 100);
            w.run_ms(70_000);
        }
        let health = health(w);
        assert_eq!(health["state"], "ready", "{health}");
        assert!(health["lastError"]["message"].as_str().unwrap().contains("lost its session"), "{health}");
    });
}
