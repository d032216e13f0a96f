//! stdio servers and the many ways in which they fail.

use super::one;
use mcp_proxy_core::event::{ExitStatus, Signal};
use mcp_proxy_tests::client::{Kind, State};
use mcp_proxy_tests::net::MS;
use mcp_proxy_tests::story::{story, story_of};
use serde_json::json;

#[test]
fn noise_on_stdout_and_carriage_returns_are_tolerated() {
    // ST-03
    let cast = one().program("fs", |p| {
        p.banner = "Starting…\n\n\r\n[1,2]\nnull\n{\"level\":\"info\"}\n{broken\n".to_owned();
        p.crlf = true;
    });
    story(cast, |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        w.with_child("fs", |child, net| net.send(child.conn, b"\xff\xfe not utf-8\n\0\n"));
        w.check_echo(c);
        assert_eq!(w.children_of("fs").len(), 1);
    });
}

#[test]
fn megabytes_on_stderr_do_not_disturb() {
    // ST-04
    story(one().calm().program("fs", |p| p.stderr_bytes = 1 << 20), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        w.check_echo(c);
    });
}

#[test]
fn a_child_that_floods_stdout_delays_nobody_for_ever() {
    // DL-20
    story_of([0, 2, 3], one().stdio("db"), |w| {
        let (flooded, other) = (w.client("fs", Kind::Streamable), w.client("db", Kind::Streamable));
        w.listen(flooded);
        let note =
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"debug","data":"flood"}}"#;
        for _ in 0..5_000 {
            w.say("fs", note);
        }
        w.check_echo(other);
        w.check_echo(flooded);
        assert!(w.inbox(other, "notifications/message").is_empty());
    });
}

#[test]
fn foreign_ids_and_second_answers_are_dropped() {
    story(one(), |w| {
        for kind in [Kind::Streamable, Kind::Sse] {
            let c = w.client("fs", kind);
            assert_eq!(w.call(c, "foreign", json!({})), "done");
            assert_eq!(w.call(c, "twice", json!({"ms": 100})), "done");
            let req = w.start_call(c, "slow", json!({"ms": 300, "text": "mine"}));
            w.run_ms(150);
            assert_eq!(w.text(req), "mine");
        }
    });
}

#[test]
fn an_answer_after_cancellation_cannot_hit_a_successor() {
    // GN-11
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        for n in 0..20 {
            let req = w.start_call(c, "stubborn", json!({"ms": 100, "text": "old"}));
            w.until_heard(req);
            w.cancel(req);
            let next = w.start_call(c, "slow", json!({"ms": 150, "text": n.to_string()}));
            assert_eq!(w.text(next), n.to_string());
        }
    });
}

#[test]
fn pretty_printed_output_is_no_message_but_does_no_harm() {
    let cast = one().first_program("fs", |p| p.pretty = true).limits(|l| l.handshake_ms = 3_000);
    story(cast, |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        assert_eq!(w.children_of("fs").len(), 2);
    });
}

#[test]
fn a_crash_fails_calls_in_flight_once_and_the_child_is_replaced() {
    // ST-18, UP-42
    story(one(), |w| {
        let (a, b) = (w.client("fs", Kind::Streamable), w.client("fs", Kind::Sse));
        w.listen(a);
        let waiting: Vec<_> =
            [a, b, a].iter().map(|c| w.start_call(*c, "slow", json!({"ms": 60_000}))).collect();
        waiting.iter().for_each(|req| w.until_heard(*req));
        let crash = w.start_call(b, "crash", json!({}));
        for req in waiting.into_iter().chain([crash]) {
            assert_eq!(w.outcome(req)["error"]["code"], -32603);
        }
        w.check_echo(a);
        w.check_echo(b);
        assert_eq!(w.children_of("fs").len(), 2);
        assert_eq!(w.child("fs").mind().count("tools/list"), 1, "lists are read again");
    });
}

#[test]
fn the_last_words_of_a_child_count_even_when_its_stdin_broke_first() {
    // ST-22: byte by byte, so that the broken pipe is noticed in the middle of the answer
    story_of([1, 5], one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 60_000}));
        w.until_heard(req);
        let id = w.child("fs").mind().last("tools/call").unwrap().value["id"].clone();
        let conn = w.child("fs").conn;
        w.net.stall(conn, true);
        let unread = w.start_call(c, "echo", json!({"text": "z".repeat(20_000)}));
        w.run_ms(500);
        let result = json!({"content": [{"type": "text", "text": "last words"}]});
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
        w.with_child("fs", |child, net| {
            child.print(&answer, net);
            child.exit(net, ExitStatus::Code(0));
        });
        assert_eq!(w.text(req), "last words");
        assert_eq!(w.outcome(unread)["error"]["code"], -32603);
    });
}

#[test]
fn a_call_during_the_restart_waits_for_the_new_child() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Signal(11)));
        w.run_until("the exit", |w| w.children_of("fs").iter().all(|child| !child.alive));
        w.run_ms(20);
        let req = w.start_call(c, "echo", json!({"text": "patience"}));
        assert_eq!(w.text(req), "patience");
    });
}

#[test]
fn restarts_back_off_exponentially_and_stay_bounded() {
    // ST-18
    story(one().program("fs", |p| p.exits_at_once = Some(1)), |w| {
        w.run_ms(600_000);
        let starts = w.children_of("fs").len();
        assert!((10..15).contains(&starts), "{starts} starts in ten minutes");
        let fired = w.fired.len();
        assert!(fired < 10 * starts, "{fired} timers for {starts} starts");
    });
}

#[test]
fn a_child_that_exits_at_once_a_few_times_is_served_in_the_end() {
    let cast =
        one().first_program("fs", |p| p.exits_at_once = Some(1)).first_program("fs", |p| p.missing = true);
    story(cast, |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        assert_eq!(w.children_of("fs").len(), 2, "one could not even be started");
    });
}

#[test]
fn a_child_that_never_answers_the_handshake_is_replaced() {
    let cast = one().first_program("fs", |p| {
        p.mind.mute = true;
        p.ignores_eof = true;
        p.ignores_term = true;
    });
    story(cast.limits(|l| l.handshake_ms = 3_000), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        let children = w.children_of("fs");
        assert_eq!((children.len(), children[0].alive), (2, false));
    });
}

#[test]
fn a_child_that_refuses_the_handshake_is_tried_again() {
    story(one().first_program("fs", |p| p.mind.refuses = true), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
        assert_eq!(w.children_of("fs").len(), 2);
    });
}

#[test]
fn a_child_that_closes_stdout_but_lives_on_is_replaced() {
    // ST-18
    story(one().first_program("fs", |p| p.ignores_eof = true), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 60_000}));
        w.until_heard(req);
        w.with_child("fs", |child, net| child.close_stdout(net));
        assert_eq!(w.outcome(req)["error"]["code"], -32603);
        w.check_echo(c);
        w.run_ms(10_000);
        let children = w.children_of("fs");
        assert_eq!((children.len(), children[0].alive), (2, false));
    });
}

#[test]
fn a_child_that_does_not_read_does_not_block_what_it_says() {
    // ST-22
    story_of([0, 2, 3], one().stdio("db"), |w| {
        let (c, other) = (w.client("fs", Kind::Streamable), w.client("db", Kind::Streamable));
        let early = w.start_call(c, "slow", json!({"ms": 500, "text": "early"}));
        w.until_heard(early);
        let conn = w.child("fs").conn;
        w.net.stall(conn, true);
        let stuck: Vec<_> =
            (0..5).map(|_| w.start_call(c, "echo", json!({"text": "z".repeat(12_500)}))).collect();
        assert_eq!(w.text(early), "early");
        w.check_echo(other);
        w.net.stall(conn, false);
        for req in stuck {
            assert_eq!(w.text(req).len(), 12_500);
        }
    });
}

#[test]
fn an_overloaded_child_is_refused_more_calls() {
    let cast = one().limits(|l| l.upstream_send_cap_bytes = 50_000);
    story_of([0, 2, 3], cast, |w| {
        let c = w.client("fs", Kind::Streamable);
        let conn = w.child("fs").conn;
        w.net.stall(conn, true);
        let reqs: Vec<_> =
            (0..10).map(|_| w.start_call(c, "echo", json!({"text": "z".repeat(12_500)}))).collect();
        w.run_ms(5_000);
        let refused = reqs
            .iter()
            .filter(|req| matches!(w.state(**req), State::Answered(raw) if raw.contains("error")))
            .count();
        assert!((4..=8).contains(&refused), "{refused} refused");
        w.net.stall(conn, false);
        w.check_echo(c);
    });
}

#[test]
fn one_failing_server_does_not_harm_another() {
    // BR-16
    let cast = one()
        .stdio("bad")
        .program("bad", |p| p.exits_at_once = Some(1))
        .stdio("gone")
        .program("gone", |p| p.missing = true);
    story(cast.streamable("down").change_site("down", |s| s.down = true), |w| {
        let c = w.client("fs", Kind::Streamable);
        for _ in 0..20 {
            w.run_ms(500);
            w.check_echo(c);
        }
        assert!(w.stopped.is_none());
    });
}

#[test]
fn panic_if_invalid_ends_the_process_with_1() {
    // SEED-027
    for breakage in 0..3 {
        let cast = one().stdio("bad").options("bad", json!({"panicIfInvalid": true}));
        let cast = cast.program("bad", move |p| match breakage {
            0 => p.missing = true,
            1 => p.exits_at_once = Some(1),
            _ => p.mind.refuses = true,
        });
        story(cast, |w| {
            w.run_until("the end", |w| w.stopped.is_some());
            assert_eq!(w.stopped, Some(1));
        });
    }
}

#[test]
fn a_failure_after_a_good_start_does_not_end_the_process() {
    story(one().options("fs", json!({"panicIfInvalid": true})), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.start_call(c, "crash", json!({}));
        w.run_ms(5_000);
        assert!(w.stopped.is_none());
        w.check_echo(c);
    });
}

#[test]
fn children_are_pinged_and_their_pings_answered() {
    // limit: ping_ms
    // UP-50, SEED-070
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.say("fs", r#"{"jsonrpc":"2.0","id":"their-ping","method":"ping"}"#);
        w.run_ms(100_000);
        let mind = w.child("fs").mind();
        let answer = mind.heard.iter().find(|heard| heard.value["id"] == "their-ping").expect("an answer");
        assert_eq!(answer.value["result"], json!({}));
        assert!((2..=4).contains(&mind.count("ping")), "{} pings", mind.count("ping"));
        w.check_echo(c);
    });
}

#[test]
fn a_question_outside_any_call_is_answered_without_a_client() {
    // BR-42; -32601, as no capability was declared
    story(one(), |w| {
        w.client_with("fs", Kind::Streamable, |c| c.capabilities = json!({"roots": {}, "sampling": {}}));
        w.say("fs", r#"{"jsonrpc":"2.0","id":"r","method":"roots/list"}"#);
        w.say("fs", r#"{"jsonrpc":"2.0","id":"u","method":"no/such"}"#);
        w.run_ms(500);
        let mind = w.child("fs").mind();
        let answer = |id: &str| {
            mind.heard.iter().find(|heard| heard.value["id"] == id).map(|heard| heard.value.clone())
        };
        assert!(answer("r").is_some_and(|a| a["result"]["roots"].is_array() || a["error"].is_object()));
        assert!(answer("u").is_some_and(|a| a["error"]["code"] == -32601));
    });
}

#[test]
fn a_stopping_child_gets_end_of_file_then_term_then_kill() {
    // limit: child_stop_ms
    // ST-16
    for (ignores_eof, ignores_term, signals) in [
        (false, false, vec![]),
        (true, false, vec![Signal::Terminate]),
        (true, true, vec![Signal::Terminate, Signal::Kill]),
    ] {
        let cast = one().program("fs", move |p| {
            p.ignores_eof = ignores_eof;
            p.ignores_term = ignores_term;
        });
        story(cast, |w| {
            w.client("fs", Kind::Streamable);
            w.finish();
            let child = w.child("fs");
            let seen: Vec<Signal> = child.signals.iter().map(|(_, signal)| *signal).collect();
            assert_eq!(seen, signals);
            let mut before = child.eof_at.expect("its stdin was closed first");
            for (at, _) in &child.signals {
                assert!((1_900..2_200).contains(&((at - before) / MS)), "two seconds apart");
                before = *at;
            }
        });
    }
}
