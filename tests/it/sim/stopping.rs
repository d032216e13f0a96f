//! The end of the process, and quiet in between.

use super::{KINDS, one, three};
use mcp_proxy_core::event::{Command, ExitStatus};
use mcp_proxy_core::timer::{ClientTimer, ServerTimer, TimerKind};
use mcp_proxy_tests::client::{Kind, State};
use mcp_proxy_tests::net::Who;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::json;

#[test]
fn a_running_call_may_finish_within_the_grace_period() {
    // SEED-068
    story(three(), |w| {
        let reqs: Vec<_> = ["fs", "web", "old"]
            .into_iter()
            .flat_map(|s| KINDS.map(|k| (s, k)))
            .map(|(server, kind)| {
                let c = w.client(server, kind);
                w.start_call(c, "slow", json!({"ms": 2_000, "text": "in time"}))
            })
            .collect();
        reqs.iter().for_each(|req| w.until_heard(*req));
        w.command(Command::Stop);
        for req in reqs {
            assert_eq!(w.text(req), "in time");
        }
        w.run_until("the end", |w| w.stopped.is_some());
        assert_eq!(w.stopped, Some(0));
        assert!(w.now_ms() < 8_000, "no longer than needed: {}", w.now_ms());
    });
}

#[test]
fn a_call_that_takes_too_long_ends_with_the_grace_period() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 900_000}));
        w.run_ms(1_000);
        let before = w.now_ms();
        w.command(Command::Stop);
        w.run_until("the end", |w| w.stopped.is_some());
        assert!((4_000..12_000).contains(&(w.now_ms() - before)), "{}", w.now_ms() - before);
        w.run_ms(100);
        assert!(matches!(w.state(req), State::Lost | State::Answered(_)));
    });
}

#[test]
fn nobody_new_is_served_while_stopping() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 3_000}));
        w.until_heard(req);
        w.command(Command::Stop);
        w.run_ms(10);
        assert!(!w.is_listening());
        let late = w.stranger_with("fs", Kind::Streamable, |_| {});
        assert!(w.greet(late).is_null());
    });
}

#[test]
fn an_idle_proxy_stops_at_once() {
    story(three(), |w| {
        let c = w.client("fs", Kind::Streamable);
        w.listen(c);
        w.client("web", Kind::Sse);
        w.client("old", Kind::Streamable);
        let before = w.now_ms();
        w.command(Command::Stop);
        w.run_until("the end", |w| w.stopped.is_some());
        assert_eq!(w.stopped, Some(0));
        assert!(w.now_ms() - before < 2_500, "{} ms", w.now_ms() - before);
    });
}

#[test]
fn a_second_stop_does_not_wait() {
    story(
        one().program("fs", |p| {
            p.ignores_eof = true;
            p.ignores_term = true;
        }),
        |w| {
            let c = w.client("fs", Kind::Streamable);
            let req = w.start_call(c, "slow", json!({"ms": 900_000}));
            w.run_ms(1_000);
            let before = w.now_ms();
            w.command(Command::Stop);
            w.run_ms(500);
            w.command(Command::Stop);
            w.run_until("the end", |w| w.stopped.is_some());
            assert!(w.now_ms() - before < 1_500, "{} ms", w.now_ms() - before);
            assert!(w.children_of("fs").iter().all(|child| !child.alive), "no child is left behind");
            assert!(!matches!(w.state(req), State::Answered(_)));
        },
    );
}

#[test]
fn a_connection_that_dies_with_the_last_call_does_not_delay_the_end() {
    // Found by fuzzing: the last call ended, and with it everything, while its connection was being given up.
    for can in [json!({}), json!({"roots": {}})] {
        story(one(), |w| {
            let c = w.client_with("fs", Kind::Streamable, |c| c.capabilities = can.clone());
            let req = w.start_call(c, "slow", json!({"ms": 900_000}));
            w.until_heard(req);
            w.command(Command::Stop);
            w.run_ms(100);
            let before = w.now_ms();
            w.with_child("fs", |child, net| child.exit(net, ExitStatus::Signal(15)));
            w.run_until("the end", |w| w.stopped.is_some());
            assert!(w.now_ms() - before < 2_500, "{} ms", w.now_ms() - before);
            assert!(w.outcome(req)["error"]["message"].as_str().unwrap().contains("server fs was lost"));
        });
    }
}

#[test]
fn stopping_while_servers_still_come_up_leaves_nothing_behind() {
    for ms in [0, 1, 2, 5, 20, 100, 700] {
        let cast = three().stdio("bad").program("bad", |p| p.exits_at_once = Some(1));
        story(cast.stdio("mute").program("mute", |p| p.mind.mute = true), |w| w.run_ms(ms));
    }
}

#[test]
fn after_quiet_time_only_idle_timers_are_left() {
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            w.check_echo(c);
            w.start_watched(c, "progress", json!({"n": 3, "ms": 300}), json!("t"));
        }
        w.run_ms(20_000);
        let (from, inputs) = (w.fired.len(), w.watch.inputs);
        w.run_ms(120_000);
        let busy = |kind: &TimerKind| {
            !matches!(
                kind,
                TimerKind::Client(ClientTimer::Conn | ClientTimer::KeepAlive | ClientTimer::SessionIdle)
                    | TimerKind::Server(ServerTimer::PoolIdle | ServerTimer::Ping | ServerTimer::Exchange)
                    | TimerKind::Stall
            )
        };
        let left: Vec<_> = w.fired[from..].iter().filter(|(_, kind)| busy(kind)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(w.fired.len() - from < 250, "{} timers in two quiet minutes", w.fired.len() - from);
        let pieces = w.watch.inputs - inputs;
        assert!(pieces < 40_000, "{pieces} inputs in two quiet minutes");
    });
}

#[test]
fn stopped_is_the_last_word() {
    for gives_up in [false, true] {
        let cast = three().stdio("bad").options("bad", json!({"panicIfInvalid": gives_up}));
        story(cast.program("bad", move |p| p.missing = gives_up), |w| {
            if !gives_up {
                for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
                    let c = w.client(server, kind);
                    w.check_echo(c);
                }
                w.command(Command::Stop);
            }
            w.run_until("the end", |w| w.stopped.is_some());
            assert_eq!(w.afterthoughts, 0, "outputs after Stopped");
            assert_eq!(w.unfinished, 0, "connections with bytes queued");
            assert!(!w.is_listening(), "a listener is left open");
            assert_eq!(w.shard.host().deadline, None, "a timer is left armed");
        });
    }
}

#[test]
fn nothing_is_asked_of_a_connection_that_is_over() {
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            let req = w.start_call(c, "slow", json!({"ms": 500}));
            w.run_ms(100);
            w.reset(w.exchange_of(req));
        }
        w.with_child("fs", |child, net| child.exit(net, ExitStatus::Code(1)));
        w.with_site("web", |site, net| site.restart(net));
        w.run_ms(5_000);
        assert_eq!(w.needless_closes, 0);
    });
}

#[test]
fn a_large_answer_that_came_in_time_is_written_out_before_the_end() {
    // SEED-068
    story(one().calm(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "big", json!({"bytes": 500_000}));
        w.until_heard(req);
        w.command(Command::Stop);
        assert_eq!(w.text(req).len(), 500_000);
    });
}

#[test]
fn a_taken_port_ends_the_process_with_1() {
    // SEED-069, FT-406: and nobody was started for it.
    let mut cast = three();
    cast.port_taken = true;
    story(cast, |w| {
        w.run_until("the end", |w| w.stopped.is_some());
        assert_eq!(w.stopped, Some(1));
        assert!(w.children_of("fs").is_empty());
        assert!(said(w, "Failed to listen on 127.0.0.1:9090: address already in use"));
    });
}

fn said(w: &World, line: &str) -> bool {
    w.watch.records.iter().any(|(_, record)| record.message == line)
}

#[test]
fn a_hangup_ends_in_order_and_never_hurries() {
    // FT-406
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 2_000, "text": "in time"}));
        w.until_heard(req);
        for _ in 0..3 {
            w.command(Command::Hangup);
            w.run_ms(100);
        }
        assert_eq!(w.text(req), "in time");
        w.command(Command::Hangup);
        w.run_until("the end", |w| w.stopped.is_some());
        assert_eq!(w.stopped, Some(0));
    });
}

#[test]
fn a_stop_says_what_it_waits_for() {
    // FT-406
    story(one().program("fs", |p| p.ignores_eof = true), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 2_000, "text": "in time"}));
        w.until_heard(req);
        w.command(Command::Stop);
        assert!(said(
            w,
            "Waiting up to 5 s for 1 running call to fs; a second Ctrl-C or SIGTERM does not wait"
        ));
        let ending = "Waiting for fs to end; a second Ctrl-C or SIGTERM does not wait";
        assert!(!said(w, ending));
        assert_eq!(w.text(req), "in time");
        w.run_until("the end", |w| w.stopped.is_some());
        assert!(said(w, ending));
    });
}

#[test]
fn whoever_hurries_is_not_told_to_wait() {
    // FT-406
    story(one().program("fs", |p| p.ignores_eof = true), |w| {
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "slow", json!({"ms": 900_000}));
        w.until_heard(req);
        w.command(Command::Stop);
        w.command(Command::Stop);
        w.run_until("the end", |w| w.stopped.is_some());
        assert!(!w.watch.records.iter().any(|(_, record)| record.message.starts_with("Waiting for ")));
    });
}

#[test]
fn servers_that_do_not_react_cannot_delay_the_end() {
    // ST-16, UP-49
    story(three().program("fs", |p| p.ignores_eof = true), |w| {
        for server in ["fs", "web", "old"] {
            let c = w.client(server, Kind::Streamable);
            w.check_echo(c);
        }
        let conns: Vec<_> = w
            .net
            .links
            .iter()
            .filter(|(_, link)| !matches!(link.peer, Who::Client(_)))
            .map(|(c, _)| *c)
            .collect();
        conns.into_iter().for_each(|conn| w.net.stall(conn, true));
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "echo", json!({"text": "z".repeat(40_000)}));
        w.run_ms(1_000);
        w.command(Command::Stop);
        w.run_until("the end", |w| w.stopped.is_some());
        assert!(!matches!(w.state(req), State::Waiting));
    });
}
