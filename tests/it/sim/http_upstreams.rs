//! Servers over Streamable HTTP and HTTP+SSE and the many ways in which they fail.

use mcp_proxy_core::log::Level;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::net::MS;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::json;

fn web() -> Cast {
    Cast::default().streamable("web")
}

fn old() -> Cast {
    Cast::default().sse("old")
}

#[test]
fn configured_headers_are_sent_with_every_request() {
    // SEED-040, SEED-041, UP-18
    story(web().sse("old"), |w| {
        for server in ["web", "old"] {
            let c = w.client_with(server, Kind::Streamable, |c| {
                c.fields = vec![
                    ("authorization".to_owned(), "Bearer of-the-client".to_owned()),
                    ("cookie".to_owned(), "a=b".to_owned()),
                ];
            });
            w.check_echo(c);
            for hit in &w.site(server).hits {
                assert_eq!(hit.head.get("x-api-key"), Some(format!("header-secret-of-{server}").as_str()));
                assert_eq!((hit.head.get("authorization"), hit.head.get("cookie")), (None, None));
                assert_eq!(hit.head.get("host"), Some(format!("{server}.test").as_str()));
            }
        }
    });
}

#[test]
fn a_server_without_sessions_ids_or_standalone_stream_is_served() {
    // UP-38
    let cast = web().change_site("web", |s| {
        s.sessions = false;
        s.offers_get = false;
        s.event_ids = false;
    });
    story(cast, |w| {
        for json in [true, false] {
            w.site("web").json = json;
            let c = w.client("web", Kind::Streamable);
            w.check_echo(c);
        }
        assert!(w.site("web").count("GET") <= 2, "405 is not asked again and again");
    });
}

#[test]
fn a_lost_session_is_made_anew_once_and_the_calls_repeated() {
    // UP-40, UP-41, UP-42
    story(web(), |w| {
        let (a, b) = (w.client("web", Kind::Streamable), w.client("web", Kind::Sse));
        w.with_site("web", |site, net| site.restart(net));
        w.run_ms(50);
        let reqs: Vec<_> =
            [a, b, a, b].iter().map(|c| w.start_call(*c, "echo", json!({"text": "again"}))).collect();
        for req in reqs {
            assert_eq!(w.text(req), "again");
        }
        let mind = &w.site("web").mind;
        assert_eq!(mind.count("initialize"), 2);
        assert_eq!(mind.count("notifications/initialized"), 2);
        w.run_ms(1_000);
        assert_eq!(w.site("web").mind.count("tools/list"), 2, "lists are read again");
    });
}

#[test]
fn a_late_refusal_of_the_old_session_does_not_cost_the_new_one() {
    // UP-41
    story(web(), |w| {
        let c = w.client("web", Kind::Streamable);
        w.site("web").live.clear();
        w.site("web").refusals_ms = vec![1_000, 0];
        let reqs = [(); 2].map(|()| w.start_call(c, "echo", json!({"text": "again"})));
        for req in reqs {
            assert_eq!(w.text(req), "again");
        }
        assert_eq!(w.site("web").mind.count("initialize"), 2);
        assert_eq!(w.site("web").mind.calls("echo"), 2, "each was refused once and done once");
    });
}

#[test]
fn nothing_else_is_sent_while_a_session_is_made_anew() {
    // UP-37, UP-38: the site refuses whatever comes without a session id
    story(web(), |w| {
        let c = w.client("web", Kind::Streamable);
        let slow = w.start_call(c, "stubborn", json!({"ms": 10_000}));
        w.until_heard(slow);
        w.site("web").live.clear();
        w.site("web").mind.delay_ms = 1_000;
        let req = w.start_call(c, "echo", json!({"text": "again"}));
        w.run_until("a new handshake", |w| w.sites[0].mind.count("initialize") == 2);
        w.cancel(slow);
        w.notify(c, "notifications/cancelled", json!({"requestId": 4711}));
        assert_eq!(w.text(req), "again");
    });
}

#[test]
fn a_cut_answer_is_resumed_after_the_time_the_server_asked_for() {
    // UP-44, UP-45, UP-46, UP-47
    for rude in [false, true] {
        let cast = web().change_site("web", move |s| {
            s.retry_ms = Some(1_500);
            s.cuts_rudely = rude;
            s.json = false;
        });
        story(cast, |w| {
            let c = w.client("web", Kind::Streamable);
            let gets = w.site("web").count("GET");
            let req = w.start_call(c, "cut", json!({"ms": 4_000, "text": "resumed"}));
            assert_eq!(w.text(req), "resumed");
            let site = w.site("web");
            assert_eq!(site.mind.calls("cut"), 1, "the call is not repeated");
            let call = site.hits.iter().find(|hit| hit.body.contains("\"cut\"")).unwrap().at;
            let resumes: Vec<_> =
                site.hits.iter().filter(|hit| hit.head.get("last-event-id").is_some()).collect();
            assert!(!resumes.is_empty() && site.count("GET") > gets);
            assert!(resumes[0].at - call >= 1_500 * MS, "retry is waited for");
        });
    }
}

#[test]
fn a_resumption_refused_with_the_session_fails_the_call_and_does_not_repeat_it() {
    // UP-40, UP-44: the call was executed, only its answer is gone
    story(
        web().change_site("web", |s| {
            s.retry_ms = Some(1_000);
            s.json = false;
        }),
        |w| {
            let c = w.client("web", Kind::Streamable);
            let req = w.start_call(c, "cut", json!({"ms": 60_000}));
            w.until_heard(req);
            w.run_ms(100);
            w.with_site("web", |site, net| site.restart(net));
            assert_eq!(w.outcome(req)["error"]["code"], -32603);
            assert_eq!(w.site("web").mind.calls("cut"), 1);
            w.check_echo(c);
        },
    );
}

#[test]
fn a_broken_answer_is_not_asked_for_in_another_session() {
    // UP-37, UP-38, UP-44: the time to resume comes while the session is made anew
    let cast = web().change_site("web", |s| {
        s.retry_ms = Some(1_000);
        s.json = false;
    });
    story(cast, |w| {
        let c = w.client("web", Kind::Streamable);
        let cut = w.start_call(c, "cut", json!({"ms": 60_000}));
        w.until_heard(cut);
        w.run_ms(100);
        w.site("web").live.clear();
        w.site("web").mind.delay_ms = 3_000;
        let echo = w.start_call(c, "echo", json!({"text": "again"}));
        assert_eq!(w.outcome(cut)["error"]["code"], -32603);
        assert_eq!(w.text(echo), "again");
        assert!(w.site("web").hits.iter().all(|hit| hit.head.get("last-event-id").is_none()));
    });
}

#[test]
fn the_next_address_is_tried_when_one_does_not_answer() {
    story(web().change_site("web", |s| s.decoy = true), |w| {
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
    });
}

#[test]
fn a_cut_answer_without_event_ids_fails_the_call_and_cancels_it() {
    // UP-44
    let cast = web().change_site("web", |s| {
        s.event_ids = false;
        s.json = false;
    });
    story(cast, |w| {
        let c = w.client("web", Kind::Streamable);
        let answer = w.ask(c, "tools/call", json!({"name": "cut", "arguments": {"ms": 900_000}}));
        assert_eq!(answer["error"]["code"], -32603);
        w.run_ms(100);
        assert_eq!(w.site("web").mind.count("notifications/cancelled"), 1);
        w.check_echo(c);
    });
}

#[test]
fn a_connection_lost_while_waiting_fails_the_call() {
    story(web(), |w| {
        let c = w.client("web", Kind::Streamable);
        let req = w.start_call(c, "crash", json!({}));
        assert_eq!(w.outcome(req)["error"]["code"], -32603);
        w.check_echo(c);
    });
}

#[test]
fn the_session_is_deleted_at_the_end() {
    // UP-49
    story(web(), |w| {
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
        w.finish();
        assert_eq!(w.site("web").count("DELETE"), 1);
        assert!(w.site("web").live.is_empty());
    });
}

#[test]
fn a_url_of_unknown_kind_falls_back_to_streamable_http() {
    // DESIGN: url alone means HTTP+SSE unless the server does not speak it
    for get in [true, false] {
        let cast = web().unknown_transport("web").change_site("web", move |s| s.offers_get = get);
        story(cast, |w| {
            let c = w.client("web", Kind::Streamable);
            w.check_echo(c);
        });
    }
}

#[test]
fn an_endpoint_of_another_origin_is_refused() {
    // UP-54
    for endpoint in [
        "http://evil.test/messages",
        "//evil.test/messages",
        "http://old.test:81/messages",
        "https://old.test/messages",
    ] {
        let cast = old().change_site("old", move |s| s.endpoint = endpoint.to_owned());
        let cast = cast.streamable("evil");
        story(cast, |w| {
            w.run_ms(15_000);
            let stranger = w.stranger_with("old", Kind::Streamable, |_| {});
            w.greet(stranger);
            assert_eq!(w.clients[stranger].exchanges[0].status(), 503, "{endpoint}");
            assert!(w.site("evil").hits.iter().all(|hit| hit.head.target() == "/mcp"));
            assert_eq!(w.site("old").count("POST"), 0);
        });
    }
}

#[test]
fn an_absolute_endpoint_of_the_same_origin_is_taken() {
    // UP-53
    let cast = old().change_site("old", |s| s.endpoint = "http://old.test/messages".to_owned());
    story(cast, |w| {
        let c = w.client("old", Kind::Sse);
        w.check_echo(c);
    });
}

#[test]
fn losing_the_event_stream_of_an_http_sse_server_reconnects() {
    // UP-56
    story(old(), |w| {
        let c = w.client("old", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 60_000}));
        w.until_heard(req);
        w.with_site("old", |site, net| site.restart(net));
        assert_eq!(w.outcome(req)["error"]["code"], -32603);
        w.check_echo(c);
        assert_eq!(w.site("old").mind.count("initialize"), 2);
    });
}

#[test]
fn a_server_that_is_down_at_first_is_served_as_soon_as_it_is_up() {
    story(web().change_site("web", |s| s.down = true), |w| {
        w.run_ms(20_000);
        w.site("web").down = false;
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
    });
}

#[test]
fn a_server_that_only_answers_errors_stays_unavailable_without_a_storm() {
    for status in [401, 403, 404, 500, 503] {
        story(
            web()
                .sse("old")
                .change_site("web", move |s| s.fails_with = Some(status))
                .change_site("old", move |s| s.fails_with = Some(status)),
            |w| {
                w.run_ms(300_000);
                for server in ["web", "old"] {
                    let hits = w.site(server).hits.len();
                    assert!((3..150).contains(&hits), "{server} {status}: {hits} requests in five minutes");
                    let stranger = w.stranger_with(server, Kind::Streamable, |_| {});
                    w.greet(stranger);
                    assert_eq!(w.clients[stranger].exchanges[0].status(), 503);
                }
            },
        );
    }
}

#[test]
fn an_error_status_for_a_call_is_an_error_for_its_client_only() {
    story(web(), |w| {
        let c = w.client("web", Kind::Streamable);
        for status in [400, 401, 500, 502] {
            w.site("web").fails_with = Some(status);
            let answer = w.ask(c, "tools/call", json!({"name": "echo"}));
            assert_eq!(answer["error"]["code"], -32603, "{status}: {answer}");
            w.site("web").fails_with = None;
            w.run_ms(5_000);
            w.check_echo(c);
        }
    });
}

#[test]
fn http_servers_are_pinged_every_30_seconds() {
    // UP-50, SEED-070
    story(web().sse("old"), |w| {
        for server in ["web", "old"] {
            w.client(server, Kind::Streamable);
        }
        w.run_ms(125_000);
        for server in ["web", "old"] {
            let pings = w.site(server).mind.count("ping");
            assert!((3..=5).contains(&pings), "{server}: {pings} pings");
        }
    });
}

#[test]
fn connections_are_reused() {
    story(web(), |w| {
        let c = w.client("web", Kind::Streamable);
        let before = w.net.links.len();
        for _ in 0..50 {
            w.check_echo(c);
        }
        assert!(w.net.links.len() <= before + 2, "{} links", w.net.links.len());
    });
}

#[test]
fn a_flood_of_events_delays_nobody_for_ever() {
    // rmcp #1146: recursion while events are skipped
    story(web().sse("old").calm(), |w| {
        for server in ["web", "old"] {
            let c = w.client(server, Kind::Streamable);
            w.run_ms(100);
            for _ in 0..5_000 {
                w.say(server, r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"debug","data":"x"}}"#);
            }
            w.check_echo(c);
        }
    });
}

#[test]
fn the_standalone_stream_is_opened_again_in_a_new_session() {
    // UP-42: whether the old one broke or just belongs to a session that is forgotten
    for broken in [true, false] {
        story(web(), |w| {
            let c = w.client("web", Kind::Sse);
            w.run_ms(1_000);
            w.with_site("web", |site, net| if broken { site.restart(net) } else { site.live.clear() });
            w.run_ms(50);
            w.check_echo(c);
            w.run_ms(10_000);
            let site = w.site("web");
            let listened = site.hits.iter().rev().find(|hit| hit.head.method() == "GET").unwrap();
            assert_eq!(listened.head.get("mcp-session-id"), site.live.keys().next().map(String::as_str));
            site.mind.tools.push("fresh".to_owned());
            w.say("web", r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
            w.run_ms(1_000);
            assert_eq!(w.inbox(c, "notifications/tools/list_changed").len(), 1);
        });
    }
}

#[test]
fn a_session_that_cannot_be_deleted_does_not_delay_the_end() {
    // UP-49
    story(web().change_site("web", |s| s.keeps_sessions = true), |w| {
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
        let (from, records) = (w.now_ms(), w.watch.records.len());
        w.finish();
        assert_eq!(w.site("web").count("DELETE"), 1);
        assert!(w.now_ms() - from < 3_000, "{} ms", w.now_ms() - from);
        let complaints = w.watch.records[records..].iter().filter(|(_, record)| record.level < Level::Info);
        assert_eq!(complaints.count(), 0);
    });
}

#[test]
fn a_server_that_wants_to_be_polled_delivers_its_answer_in_the_end() {
    // UP-45, UP-46, UP-47; SEP-1699
    let cast = web().change_site("web", |s| {
        s.json = false;
        s.polls = true;
        s.retry_ms = Some(500);
    });
    story(cast, |w| {
        for kind in [Kind::Streamable, Kind::Sse] {
            let c = w.client("web", kind);
            let polls = |w: &World| {
                w.sites[0].hits.iter().filter(|hit| hit.head.get("last-event-id").is_some()).count()
            };
            let (before, calls) = (polls(w), w.site("web").mind.calls("slow"));
            assert_eq!(w.call(c, "slow", json!({"ms": 10_000, "text": "polled"})), "polled");
            assert!((10..=21).contains(&(polls(w) - before)), "{} polls", polls(w) - before);
            assert_eq!(w.site("web").mind.calls("slow"), calls + 1, "the call is not repeated");
        }
    });
}
