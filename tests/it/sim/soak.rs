//! Many clients, many servers, all faults, chance: only the checkers of the simulator judge.

use super::{KINDS, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::client::{MERGED, Xid};
use mcp_proxy_tests::dice::Dice;
use mcp_proxy_tests::lists::with_roots;
use mcp_proxy_tests::net::Who;
use mcp_proxy_tests::story::story_of;
use mcp_proxy_tests::world::World;
use serde_json::json;

const SERVERS: [&str; 5] = ["fs", "db", "web", "json", "old"];
const METHODS: [&str; 5] = ["tools/list", "prompts/list", "ping", "resources/templates/list", "nonsense"];
const BROKEN: [&str; 4] = ["{", "[]", "{}", r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#];

#[test]
fn everything_at_once_breaks_no_promise() {
    let cast = three().stdio("db").streamable("json").change_site("web", |s| s.json = false);
    let cast = cast.change_site("json", |s| s.offers_get = false).program("db", |p| {
        p.ignores_eof = true;
        p.crlf = true;
    });
    story_of(
        100..116,
        cast.limits(|l| {
            l.call_ms = 20_000;
            l.stream_retention_ms = 10_000;
        }),
        |w| {
            let mut dice = Dice::new(w.seed);
            everybody_comes(w);
            for _ in 0..300 {
                act(w, &mut dice);
                w.run_ms(dice.below(40));
            }
            settle(w);
        },
    );
}

#[test]
fn everything_at_once_within_tight_limits() {
    let cast = three().stdio("db").streamable("json").change_site("web", |s| s.json = false);
    let cast = cast.limits(|l| {
        l.sessions_max = 18;
        l.session_calls_max = 4;
        l.downstream_conns_max = 40;
        l.upstream_queue_max = 3;
        l.message_bytes_max = 6_000;
        l.send_high_bytes = 2_000;
        l.send_cap_bytes = 12_000;
        l.upstream_send_cap_bytes = 12_000;
        l.replay_events_max = 3;
        l.session_streams_max = 6;
        l.call_ms = 5_000;
        l.session_idle_ms = 3_000;
        l.stream_retention_ms = 2_000;
    });
    story_of(200..206, cast, |w| {
        let mut dice = Dice::new(w.seed);
        everybody_comes(w);
        for _ in 0..300 {
            if dice.chance(850) {
                act(w, &mut dice);
            } else {
                stall_somebody(w, &mut dice);
            }
            w.run_ms(dice.below(40));
        }
        leave_all(w);
        settle(w);
    });
}

/// Clients of every endpoint; those of all servers also as ones that can be asked something.
fn everybody_comes(w: &mut World) {
    for kind in KINDS {
        for server in SERVERS.into_iter().chain([MERGED]) {
            w.client(server, kind);
        }
        w.client_with(MERGED, kind, with_roots);
    }
}

/// A tool as a client has to call it.
fn called(w: &World, client: usize, server: &str, tool: &str) -> String {
    if w.clients[client].server == MERGED { format!("{server}__{tool}") } else { tool.to_owned() }
}

/// One random deed of somebody.
fn act(w: &mut World, dice: &mut Dice) {
    let c = dice.below(w.clients.len() as u64) as usize;
    let server = *dice.pick(&SERVERS);
    match dice.below(100) {
        0..40 => {
            let tool = *dice.pick(&[
                "echo", "slow", "slow", "stubborn", "log", "fail", "twice", "foreign", "big", "cut",
                "change", "ask",
            ]);
            w.start_call(
                c,
                &called(w, c, server, tool),
                json!({"ms": dice.below(500), "bytes": dice.below(5_000)}),
            );
        }
        40..55 => {
            w.start_watched(
                c,
                &called(w, c, server, "progress"),
                json!({"n": 5, "ms": dice.below(100)}),
                json!(dice.below(1_000_000)),
            );
        }
        55..60 => {
            w.start(c, METHODS[dice.below(5) as usize], json!({}));
        }
        60..70 => cancel_something(w, c, dice),
        70..74 => {
            if let Some(index) = w.clients[c].exchanges.len().checked_sub(1) {
                let xid = Xid { client: c, index };
                if dice.chance(500) { w.hang_up(xid) } else { w.reset(xid) }
            }
        }
        74..78 if w.clients[c].session.is_some() => {
            w.clients[c].listen(&mut w.net, None);
        }
        78..80 => {
            w.start_call(c, &called(w, c, server, "crash"), json!({}));
        }
        80..84 => break_link_to_a_site(w, dice),
        84..86 if server.len() == 2 => {
            w.with_child(server, |child, net| child.exit(net, ExitStatus::Code(1)))
        }
        86..88 if server.len() == 2 => w.with_child(server, |child, net| child.print("noise", net)),
        88..90 if server.len() > 2 => w.with_site(server, |site, net| site.restart(net)),
        90..93 => {
            w.post(c, BROKEN[dice.below(4) as usize]);
        }
        93..95 => {
            w.clients[c].delete(&mut w.net);
        }
        95..100 => {
            // Others take the place of those whose sessions are gone. Whether there is room is not their affair.
            let server = if dice.chance(300) { MERGED } else { server };
            let c = w.stranger_with(server, KINDS[0], |_| {});
            w.greet(c);
        }
        _ => {}
    }
}

fn cancel_something(w: &mut World, client: usize, dice: &mut Dice) {
    let count = w.clients[client].requests.len() as u64;
    if count > 0 {
        let index = dice.below(count) as usize;
        w.cancel(mcp_proxy_tests::client::Req { client, index });
    }
}

fn break_link_to_a_site(w: &mut World, dice: &mut Dice) {
    let links: Vec<_> = w
        .net
        .links
        .iter()
        .filter(|(_, link)| matches!(link.peer, Who::Site(_)))
        .map(|(conn, _)| *conn)
        .collect();
    if !links.is_empty() {
        w.net.reset(*dice.pick(&links));
    }
}

fn stall_somebody(w: &mut World, dice: &mut Dice) {
    let links: Vec<_> = w.net.links.keys().copied().collect();
    if !links.is_empty() {
        let (conn, stalled) = (*dice.pick(&links), dice.chance(400));
        w.net.stall(conn, stalled);
    }
}

/// Everybody reads again, and all clients go home.
fn leave_all(w: &mut World) {
    let links: Vec<_> = w.net.links.iter().map(|(conn, link)| (*conn, link.peer)).collect();
    for (conn, peer) in links {
        w.net.stall(conn, false);
        if let Who::Client(_) = peer {
            w.net.reset(conn);
        }
    }
}

/// With the faults over, every server serves again.
fn settle(w: &mut World) {
    w.run_ms(60_000);
    for server in SERVERS {
        for kind in KINDS {
            let c = w.client(server, kind);
            w.check_echo(c);
        }
    }
    for kind in KINDS {
        let c = w.client_with(MERGED, kind, with_roots);
        assert_eq!(w.listed(c, "prompts/list").len(), 2 * SERVERS.len());
        for server in SERVERS {
            assert_eq!(w.call(c, &format!("{server}__echo"), json!({"text": "hello"})), "hello");
        }
    }
}
