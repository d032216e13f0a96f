//! HTTP servers that lose their sessions, and streams that die unnoticed: nothing is said in a session it is not about.

use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::net::{Link, Phase, Who};
use mcp_proxy_tests::story::story;
use serde_json::json;

#[test]
fn an_event_stream_that_died_unnoticed_is_opened_again() {
    // Found by a storm: every POST was answered with 404, and so was the ping that should have told.
    for by_ping in [false, true] {
        story(Cast::default().sse("old"), |w| {
            let c = w.client("old", Kind::Streamable);
            w.check_echo(c);
            // By then connections of the pool are closed, and the stream is the only one.
            w.run_ms(20_000);
            let of_site = |link: &Link| matches!(link.peer, Who::Site(_)) && link.phase == Phase::Open;
            let open: Vec<_> =
                w.net.links.iter().filter(|(_, link)| of_site(link)).map(|(conn, _)| *conn).collect();
            let [stream] = open.as_slice() else { panic!("{open:?}") };
            w.vanish(*stream);
            if by_ping {
                w.run_ms(40_000);
                assert_eq!(w.site("old").count("GET"), 2);
            }
            w.check_echo(c);
            assert_eq!(w.site("old").count("GET"), 2);
        });
    }
}

#[test]
fn nothing_is_said_between_two_sessions_but_the_greeting() {
    // UP-38. Found by a storm: cancellations that waited for a connection went out without a session.
    for pool in [2, 3, 1_024] {
        story(Cast::default().streamable("web").limits(|l| l.pool_conns_max = pool), |w| {
            let c = w.client("web", Kind::Streamable);
            let calls = [(); 3].map(|()| w.start_call(c, "slow", json!({"ms": 500})));
            w.until_heard(calls[0]);
            w.run_ms(100);
            let site = w.site("web");
            (site.live, site.refusals_ms) = (Default::default(), vec![300, 300, 300]);
            calls.into_iter().for_each(|call| _ = w.cancel(call));
            let echo = w.start_call(c, "echo", json!({"text": "after"}));
            w.run_ms(400);
            let late = w.start_call(c, "slow", json!({"ms": 900}));
            w.run_ms(50);
            w.cancel(late);
            assert_eq!(w.text(echo), "after");
            w.check_echo(c);
        });
    }
}

#[test]
fn what_is_sent_again_is_sent_in_its_session() {
    // UP-38. Found by storms: a call whose connection broke unread went out between two sessions, and the answer to a
    // question went into the next one.
    story(Cast::default().streamable("web"), |w| {
        let c = w.client("web", Kind::Streamable);
        let before = [(); 3].map(|()| w.start_call(c, "slow", json!({"ms": 100, "text": "before"})));
        before.into_iter().for_each(|call| assert_eq!(w.text(call), "before"));
        let of_site = |link: &Link| matches!(link.peer, Who::Site(_)) && link.phase == Phase::Open;
        let pooled: Vec<_> =
            w.net.links.iter().filter(|(_, link)| of_site(link)).map(|(conn, _)| *conn).collect();
        // The first refusal comes at once, the handshake takes a while, and the others would come within it.
        w.teach("web", |mind| mind.delay_ms = 400);
        w.with_site("web", |site, _| {
            site.live.clear();
            site.refusals_ms = vec![200, 200, 0];
        });
        let calls = [(); 3].map(|()| w.start(c, "prompts/get", json!({"name": "prompt0"})));
        w.run_until("the session is found to be lost", |w| w.watch.logged("initializing again"));
        w.run_ms(100);
        pooled.into_iter().for_each(|conn| w.net.reset(conn));
        calls.into_iter().for_each(|call| _ = w.outcome(call));
        w.run_ms(2_000);
        w.check_echo(c);
    });
}

#[test]
fn a_task_made_in_a_session_that_is_over_is_not_asked_for_in_none() {
    // UP-38. Found by a storm: the result was asked for between the sessions.
    let cast = Cast::default().streamable("web").change_site("web", |site| {
        site.mind.tools.push("task".to_owned());
        site.json = false;
    });
    story(cast.calm(), |w| {
        let c = w.client("web", Kind::Streamable);
        w.teach("web", |mind| mind.delay_ms = 300);
        let task = w.start_call(c, "task", json!({"ms": 10}));
        w.until_heard(task);
        w.run_ms(200);
        w.with_site("web", |site, _| site.live.clear());
        let echo = w.start_call(c, "echo", json!({"text": "after"}));
        assert!(w.outcome(task)["error"].is_object());
        assert_eq!(w.text(echo), "after");
    });
}

#[test]
fn a_question_of_a_session_that_is_over_is_not_answered_in_the_next() {
    // BR-43. Found by a storm: the standalone stream of the lost session went on beside that of the next.
    story(Cast::default().streamable("web").calm(), |w| {
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
        w.run_ms(20_000);
        let of_site = |link: &Link| matches!(link.peer, Who::Site(_)) && link.phase == Phase::Open;
        let stream = w.net.links.iter().find(|(_, link)| of_site(link)).map(|(conn, _)| *conn);
        w.net.freeze(stream.expect("a standalone stream"), true);
        w.ask_outside("web", "roots/list", &json!({}));
        w.with_site("web", |site, _| site.live.clear());
        w.check_echo(c);
        stream.into_iter().for_each(|conn| w.net.freeze(conn, false));
        w.run_ms(1_000);
        let mind = w.mind("web");
        assert!(mind.heard.iter().all(|heard| heard.value["error"].is_null()));
        mind.questions.clear();
    });
}

#[test]
fn a_question_on_the_stream_of_a_call_of_a_lost_session_is_not_answered_in_the_next() {
    // BR-43
    let cast = Cast::default().streamable("web").change_site("web", |site| site.json = false);
    story(cast.calm(), |w| {
        let c = w.client_with("web", Kind::Streamable, |client| {
            client.capabilities = json!({"roots": {}});
            client.replies.insert("roots/list".to_owned(), json!({"result": {"roots": []}}));
        });
        w.check_echo(c);
        // By then connections of the pool are closed.
        w.run_ms(20_000);
        w.teach("web", |mind| mind.delay_ms = 300);
        let asking = w.start_call(c, "ask", json!({"method": "roots/list"}));
        w.until_heard(asking);
        let of_site = |link: &Link| matches!(link.peer, Who::Site(_)) && link.phase == Phase::Open;
        let newest = w.net.links.iter().filter(|(_, link)| of_site(link)).map(|(conn, _)| *conn).max();
        w.run_ms(100);
        newest.into_iter().for_each(|conn| w.net.freeze(conn, true));
        w.with_site("web", |site, _| site.live.clear());
        w.check_echo(c);
        newest.into_iter().for_each(|conn| w.net.freeze(conn, false));
        w.run_ms(2_000);
        assert_eq!(w.clients[c].questions.len(), 0, "nobody can answer it");
        let mind = w.mind("web");
        assert!(
            mind.heard.iter().all(|heard| heard.value["result"].is_null() && heard.value["error"].is_null())
        );
        mind.questions.clear();
        w.cancel(asking);
    });
}
