//! Life of a downstream session, and what a client may do to it.

use super::{KINDS, one};
use mcp_proxy_tests::client::{Kind, State};
use mcp_proxy_tests::story::story;
use serde_json::json;

const PING: &str = r#"{"jsonrpc":"2.0","id":999,"method":"ping"}"#;

#[test]
fn session_ids_are_long_unique_and_visible_ascii() {
    // DL-36, DL-37
    story(one(), |w| {
        let mut ids: Vec<String> = (0..20)
            .map(|_| {
                let c = w.client("fs", Kind::Streamable);
                w.clients[c].session.clone().expect("a session id")
            })
            .collect();
        assert!(
            ids.iter().all(|id| id.len() >= 22 && id.bytes().all(|b| (0x21..=0x7e).contains(&b))),
            "{ids:?}"
        );
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 20);
    });
}

#[test]
fn a_request_without_a_session_is_400_and_with_an_unknown_one_404() {
    // DL-38, DL-39
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.clients[c].session = None;
        assert_eq!(w.post_wait(c, PING).status(), 400);
        w.clients[c].session = Some("0123456789abcdef0123456789abcdef".to_owned());
        assert_eq!(w.post_wait(c, PING).status(), 404);
        let get = w.listen(c);
        assert_eq!(w.exchange(get).status(), 404);
        let index = w.clients[c].delete(&mut w.net);
        assert_eq!(w.response(mcp_proxy_tests::client::Xid { client: c, index }).status(), 404);
    });
}

#[test]
fn a_deleted_session_is_gone_for_every_method_and_its_calls_are_cancelled() {
    // DL-40, DL-33
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let stream = w.listen(c);
        let req = w.start_call(c, "slow", json!({"ms": 900_000}));
        w.run_ms(400);
        let index = w.clients[c].delete(&mut w.net);
        let deleted = w.response(mcp_proxy_tests::client::Xid { client: c, index });
        assert_eq!(deleted.status(), 204);
        w.response(stream);
        assert!(w.outcome(req).is_null() || w.outcome(req)["error"].is_object());
        w.run_ms(100);
        assert_eq!(w.child("fs").mind().count("notifications/cancelled"), 1);
        assert_eq!(w.post_wait(c, PING).status(), 404);
        let get = w.listen(c);
        assert_eq!(w.exchange(get).status(), 404);
        let index = w.clients[c].delete(&mut w.net);
        assert_eq!(w.response(mcp_proxy_tests::client::Xid { client: c, index }).status(), 404);
    });
}

#[test]
fn an_idle_session_expires_and_an_active_one_does_not() {
    // limit: session_idle_ms
    // DL-42
    story(one().limits(|l| l.session_idle_ms = 60_000), |w| {
        let (idle, active, listening) = (
            w.client("fs", Kind::Streamable),
            w.client("fs", Kind::Streamable),
            w.client("fs", Kind::Streamable),
        );
        w.listen(listening);
        for _ in 0..5 {
            w.run_ms(30_000);
            w.check_echo(active);
        }
        assert_eq!(w.post_wait(idle, PING).status(), 404);
        w.check_echo(listening);
        w.check_echo(active);
    });
}

#[test]
fn sessions_in_use_are_bounded_and_idle_ones_make_room() {
    // limit: sessions_max
    story(one().limits(|l| l.sessions_max = 3), |w| {
        let first = w.client("fs", Kind::Streamable);
        let busy: Vec<usize> = KINDS.map(|kind| w.client("fs", kind)).to_vec();
        w.listen(busy[0]);
        let stream = w.listen(first);
        let refused = w.stranger_with("fs", Kind::Streamable, |_| {});
        w.greet(refused);
        assert_eq!(w.clients[refused].exchanges[0].status(), 503);
        w.hang_up(stream);
        w.run_ms(100);
        let late = w.client("fs", Kind::Streamable);
        assert_eq!(w.post_wait(first, PING).status(), 404, "the idle one made room");
        for c in [late, busy[0], busy[1]] {
            w.check_echo(c);
        }
    });
}

#[test]
fn a_session_of_one_server_is_unknown_to_another() {
    story(one().stdio("db"), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.client("db", Kind::Streamable);
        w.clients[c].server = "db".to_owned();
        assert_eq!(w.post_wait(c, PING).status(), 404);
    });
}

#[test]
fn closing_the_event_stream_ends_an_http_sse_session() {
    // DL-31, DL-33
    story(one(), |w| {
        for rude in [false, true] {
            let c = w.client("fs", Kind::Sse);
            let req = w.start_call(c, "slow", json!({"ms": 900_000}));
            w.until_heard(req);
            let before = w.child("fs").mind().count("notifications/cancelled");
            let stream = mcp_proxy_tests::client::Xid { client: c, index: w.clients[c].stream.unwrap() };
            if rude {
                w.reset(stream)
            } else {
                w.hang_up(stream)
            }
            w.run_ms(100);
            assert_eq!(*w.state(req), State::Lost);
            assert_eq!(w.child("fs").mind().count("notifications/cancelled"), before + 1);
            assert_eq!(w.post_wait(c, PING).status(), 404);
        }
    });
}

#[test]
fn posts_to_an_http_sse_session_are_accepted_at_once() {
    // DL-27, DL-28, DL-29, DL-30, DL-31
    story(one(), |w| {
        let c = w.client("fs", Kind::Sse);
        let stream = mcp_proxy_tests::client::Xid { client: c, index: w.clients[c].stream.unwrap() };
        let first = &w.exchange(stream).events[0];
        assert_eq!(first.name, "endpoint");
        assert!(first.data.len() > 30, "{first:?}");
        let req = w.start_call(c, "slow", json!({"ms": 5_000}));
        let xid = w.exchange_of(req);
        assert_eq!(w.response(xid).status(), 202);
        assert_eq!(*w.state(req), State::Waiting);
        assert_eq!(w.text(req), "done");
        assert!(w.exchange(stream).events[1..].iter().all(|event| event.name == "message"));
        assert_eq!(w.post_wait(c, "{").status(), 400);
        w.clients[c].endpoint = Some("/fs/message?sessionId=0123456789abcdef0123456789abcdef".to_owned());
        assert_eq!(w.post_wait(c, PING).status(), 404);
    });
}

#[test]
fn a_lost_connection_does_not_cancel_a_call_within_the_window() {
    // DL-56
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 3_000}));
        w.run_ms(500);
        w.hang_up(w.exchange_of(req));
        w.run_ms(5_000);
        assert_eq!(w.child("fs").mind().count("notifications/cancelled"), 0);
        w.check_echo(c);
    });
}

#[test]
fn a_session_whose_client_vanished_leaves_nothing_behind() {
    story(
        one().limits(|l| {
            l.session_idle_ms = 60_000;
            l.stream_retention_ms = 30_000;
        }),
        |w| {
            let c = w.client("fs", Kind::Streamable);
            let stream = w.listen(c);
            let req = w.start_call(c, "slow", json!({"ms": 900_000}));
            w.run_ms(500);
            w.reset(stream);
            w.reset(w.exchange_of(req));
            w.run_ms(200_000);
            assert_eq!(
                w.child("fs").mind().count("notifications/cancelled"),
                1,
                "the call nobody can collect is cancelled"
            );
            assert_eq!(w.post_wait(c, PING).status(), 404);
        },
    );
}
