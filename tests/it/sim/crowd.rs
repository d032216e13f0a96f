//! A crowd at one server: clients that come, ask, are asked, cancel and leave, by chance. Judged by the checkers of the
//! simulator, and by what is left when everybody has gone.
//!
//! `SIM_SEEDS=2000 cargo test -p mcp-proxy-tests sim::crowd` plays it for longer.

use super::KINDS;
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Client, Req, State, Xid};
use mcp_proxy_tests::dice::Dice;
use mcp_proxy_tests::mind::LEVELS;
use mcp_proxy_tests::net::Who;
use mcp_proxy_tests::story::{seeds, story_by};
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const METHODS: [&str; 3] = ["roots/list", "sampling/createMessage", "elicitation/create"];
const SHARING: [&str; 3] = ["auto", "shared", "dedicated"];

/// Timers that an engine with nothing to do may keep: a ping for each server, a look at each pool, and the like.
const TIMERS_AT_REST: usize = 10;

#[test]
fn a_crowd_at_a_child_breaks_no_promise() {
    story_by(seeds(1_000, 24), |seed| cast(seed, Cast::default().stdio("fs"), "fs"), |w| tell(w, "fs"));
}

#[test]
fn a_crowd_at_an_http_server_breaks_no_promise() {
    story_by(
        seeds(2_000, 24),
        |seed| cast(seed, Cast::default().streamable("web"), "web"),
        |w| tell(w, "web"),
    );
}

#[test]
fn a_crowd_at_a_server_of_http_and_sse_breaks_no_promise() {
    story_by(seeds(3_000, 12), |seed| cast(seed, Cast::default().sse("old"), "old"), |w| tell(w, "old"));
}

fn sharing(seed: u64) -> &'static str {
    SHARING[(seed / 4 % 3) as usize]
}

/// The server shares its connections in a manner that the seed says, and time is short.
fn cast(seed: u64, cast: Cast, server: &str) -> Cast {
    let mut dice = Dice::new(seed ^ 0xc0ffee);
    let mut options = json!({"sessions": sharing(seed)});
    if let Some(max) = dice.pick(&[None, Some(1), Some(3), Some(64)]) {
        options["maxSessions"] = json!(max);
    }
    if dice.chance(400) {
        options["idleSeconds"] = json!(dice.range(1, 3));
    }
    let plain = dice.chance(500);
    let mut cast = cast.options(server, options).limits(|l| {
        l.input_ms = 5_000;
        l.ask_wait_ms = 1_000;
        l.call_ms = 8_000;
        l.call_total_ms = 30_000;
        l.queue_ms = 5_000;
        l.stream_retention_ms = 2_000;
        l.server_conn_idle_ms = 3_000;
        l.lists_ms = 2_000;
        l.backoff_max_ms = 2_000;
    });
    cast = cast.change_site(server, |s| {
        s.json = plain;
        s.mind.tools.push("task".to_owned());
    });
    if cast.sites.is_empty() {
        cast = cast.program(server, |p| p.mind.tools.push("task".to_owned()));
    }
    cast
}

fn tell(w: &mut World, server: &str) {
    let mut dice = Dice::new(w.seed);
    let most = if dice.chance(100) && w.seed % 4 != 1 { 50 } else { 8 };
    let crowd = dice.range(2, most);
    for _ in 0..crowd {
        arrive(w, &mut dice, server);
    }
    for _ in 0..40 + 3 * crowd {
        act(w, &mut dice, server);
        w.run_ms(dice.below(60));
    }
    for client in 0..w.clients.len() {
        leave(w, client, dice.chance(500));
    }
    // A connection may have broken under what somebody said.
    w.run_ms(2_000);
    for client in 0..w.clients.len() {
        leave(w, client, false);
    }
    w.run_ms(100_000);
    check_nobody_mixed(w);
    check_rest(w, server);
    let late = w.client_with(server, KINDS[0], |c| be(c, &mut Dice::new(7)));
    w.check_echo(late);
}

/// Somebody comes, who can be asked this or that and answers so or so.
fn arrive(w: &mut World, dice: &mut Dice, server: &str) {
    let kind = *dice.pick(&KINDS);
    let own = dice.roll();
    let c = w.client_with(server, kind, |c| be(c, &mut Dice::new(own)));
    if dice.chance(600) && w.clients[c].session.is_some() {
        w.clients[c].listen(&mut w.net, None);
    }
}

fn be(client: &mut Client, dice: &mut Dice) {
    let names = ["roots", "sampling", "elicitation"];
    let can = *dice.pick(&[0, 1, 2, 3, 4, 7, 7, 7]);
    for bit in (0..3).filter(|bit| can >> bit & 1 == 1) {
        client.capabilities[names[bit]] = json!({});
    }
    if dice.chance(300) && client.capabilities["roots"].is_object() {
        client.capabilities["roots"]["listChanged"] = json!(true);
    }
    client.revision = (*dice.pick(&["2025-06-18", "2025-11-25"])).to_owned();
    let results = [
        json!({"roots": []}),
        json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "t"}}),
        json!({"action": "accept", "content": {}}),
    ];
    for (method, result) in METHODS.iter().zip(results) {
        let reply = match dice.below(10) {
            0 => Value::Null,
            1 => json!({"within_ms": 500, "error": {"code": -1, "message": "no"}}),
            2 => json!({"within_ms": 3_000, "reports": 2, "result": result}),
            _ => json!({"within_ms": 400, "result": result}),
        };
        client.replies.insert((*method).to_owned(), reply);
    }
}

/// One random deed of somebody.
fn act(w: &mut World, dice: &mut Dice, server: &str) {
    let c = dice.below(w.clients.len() as u64) as usize;
    match dice.below(100) {
        0..35 => ask(w, c, dice, "ask"),
        35..40 => ask(w, c, dice, "task"),
        40..52 => {
            let tool = *dice.pick(&["echo", "slow", "log", "stubborn", "never", "url", "task"]);
            let id = format!("visit-{}", dice.roll());
            w.start_call(c, tool, json!({"ms": dice.below(800), "n": 2, "level": "alert", "id": id}));
        }
        52..58 => {
            w.start_watched(c, "progress", json!({"n": 5, "ms": dice.below(100)}), json!(dice.roll()));
        }
        58..70 => cancel_something(w, c, dice),
        70..73 => {
            w.start(c, "logging/setLevel", json!({"level": *dice.pick(&LEVELS)}));
        }
        73..77 => {
            let method = *dice.pick(&["resources/subscribe", "resources/unsubscribe"]);
            w.start(c, method, json!({"uri": format!("sim://{server}/0")}));
        }
        77..79 => {
            w.notify(c, "notifications/roots/list_changed", json!({}));
        }
        79..83 => {
            if let Some(index) = w.clients[c].exchanges.len().checked_sub(1) {
                let xid = Xid { client: c, index };
                if dice.chance(500) { w.hang_up(xid) } else { w.reset(xid) }
            }
        }
        83..86 if w.clients[c].session.is_some() => {
            w.clients[c].listen(&mut w.net, None);
        }
        86..90 => ask_outside(w, dice, server),
        90..92 => break_something(w, dice, server),
        92..96 => leave(w, c, dice.chance(500)),
        96..100 => arrive(w, dice, server),
        _ => {}
    }
}

fn ask(w: &mut World, c: usize, dice: &mut Dice, tool: &str) {
    let method = *dice.pick(&METHODS);
    let mut arguments = json!({"method": method, "ms": dice.below(300), "gap_ms": dice.below(50),
        "n": dice.range(1, 3), "token": dice.chance(300), "pause_ms": dice.below(100)});
    if dice.chance(200) {
        arguments["withdraw_ms"] = json!(dice.range(1, 600));
    }
    match method {
        "sampling/createMessage" => arguments["params"] = json!({"messages": [], "maxTokens": 1}),
        "elicitation/create" => {
            let schema = json!({"type": "object", "properties": {}});
            arguments["params"] = json!({"message": "?", "requestedSchema": schema});
        }
        _ => {}
    }
    w.start_call(c, tool, arguments);
}

fn cancel_something(w: &mut World, client: usize, dice: &mut Dice) {
    let open = |request: &&mcp_proxy_tests::client::Request| request.state == State::Waiting;
    let open: Vec<usize> =
        w.clients[client].requests.iter().filter(open).map(|request| request.tag).collect();
    if !open.is_empty() {
        let index = *dice.pick(&open);
        w.cancel(Req { client, index });
    }
}

/// A living process, or the site, asks outside any call.
fn ask_outside(w: &mut World, dice: &mut Dice, server: &str) {
    let method = *dice.pick(&METHODS);
    let params = json!({"messages": [], "maxTokens": 1, "message": "?", "requestedSchema": {"type": "object", "properties": {}}});
    if w.sites.is_empty() {
        let alive: Vec<usize> = (0..w.children.len()).filter(|place| w.children[*place].alive).collect();
        if !alive.is_empty() {
            let child = &mut w.children[*dice.pick(&alive)];
            let (deed, _) = child.mind().ask_outside(method, &params, None);
            child.on_deed(&deed, &mut w.net);
        }
    } else if w.site(server).newest_session().is_some() {
        w.ask_outside(server, method, &params);
    }
}

fn break_something(w: &mut World, dice: &mut Dice, server: &str) {
    if w.sites.is_empty() {
        let alive: Vec<usize> = (0..w.children.len()).filter(|place| w.children[*place].alive).collect();
        if !alive.is_empty() {
            w.children[*dice.pick(&alive)].exit(&mut w.net, ExitStatus::Code(1));
        }
    } else if dice.chance(300) {
        w.with_site(server, |site, net| site.restart(net));
    } else {
        let of_site = |link: &mcp_proxy_tests::net::Link| matches!(link.peer, Who::Site(_));
        let links: Vec<_> = w.net.links.iter().filter(|(_, l)| of_site(l)).map(|(conn, _)| *conn).collect();
        if !links.is_empty() {
            w.net.reset(*dice.pick(&links));
        }
    }
}

/// Somebody goes: says so, or (HTTP+SSE) is just not there any more.
fn leave(w: &mut World, client: usize, rudely: bool) {
    match w.clients[client].stream {
        Some(index) if rudely && w.clients[client].session.is_none() => w.reset(Xid { client, index }),
        _ => w.end_session(client),
    }
}

/// A process that was told of capabilities has had one client, unless connections are shared.
fn check_nobody_mixed(w: &World) {
    if sharing(w.seed) == "shared" {
        return;
    }
    for child in &w.children {
        let heard = &child.program.mind.heard;
        let told = heard.first().map(|first| &first.value["params"]["capabilities"]);
        if told.is_none_or(|told| *told == json!({})) {
            continue;
        }
        let tags = heard.iter().filter_map(|heard| heard.value["params"]["_meta"]["sim/tag"].as_str());
        let owners: BTreeSet<&str> =
            tags.filter_map(|tag| tag.split_once('.')).map(|(owner, _)| owner).collect();
        assert!(owners.len() <= 1, "clients at one connection: {owners:?}");
    }
}

/// Everybody has gone: what is left is what was there in the beginning.
fn check_rest(w: &mut World, server: &str) {
    assert!(w.unanswered().is_empty(), "questions without an answer: {:?}", w.unanswered());
    w.run_until("pings are answered", |w| w.shard.proxy().census().calls == 0);
    let census = w.shard.proxy().census();
    assert_eq!((census.sessions, census.questions, census.upstreams), (0, 0, 1), "{census:?}");
    assert!(census.timers <= TIMERS_AT_REST, "{census:?}");
    if w.sites.is_empty() {
        assert_eq!(w.alive(server), 1, "processes of sessions that are over");
    } else {
        let open = w.net.links.values().filter(|link| matches!(link.peer, Who::Site(_)) && !link.deaf);
        let open = open.filter(|link| link.phase == mcp_proxy_tests::net::Phase::Open).count();
        assert!(open <= 3, "{open} connections to the server");
    }
}
