//! The whole proxy in the simulator's world, with all its checkers on: bytes choose who comes, what is asked, what breaks.
//!
//! Byte 0: the servers and how sessions share them; byte 1: the weather of the network, and with it the seed; each
//! further byte an act, followed by what the act needs. At most [`ACTS_MAX`] acts.
//!
//! Properties: those of the simulator (every request answered once and by the right server, nothing of one client at
//! another, no secret in a log, outputs only about what the engine has); and when everybody has gone nothing is left of
//! them and the engine stops in order, leaving no process behind.

use crate::tape::Tape;
use mcp_proxy_core::event::{Command, ExitStatus};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Client, Kind, Progress, Req, State, Xid};
use mcp_proxy_tests::mind::LEVELS;
use mcp_proxy_tests::net::Who;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

/// More would only make a run slow.
const ACTS_MAX: usize = 80;

const METHODS: [&str; 3] = ["roots/list", "sampling/createMessage", "elicitation/create"];
const TOOLS: [&str; 10] = ["echo", "slow", "log", "stubborn", "never", "url", "task", "progress", "big", "fail"];

/// See the module.
pub fn proxy(data: &[u8]) {
    let mut tape = Tape::new(data);
    let (cast, servers) = cast(&mut tape);
    // The seed says the weather; its drizzle of single bytes is for the simulator's own stories, where time is no matter.
    let seed = u64::from(tape.byte());
    let mut w = World::new(if seed % 4 == 1 { seed + 1 } else { seed }, cast);
    arrive(&mut w, &mut tape, &servers);
    for _ in 0..ACTS_MAX {
        if tape.is_over() || w.stopped.is_some() {
            break;
        }
        act(&mut w, &mut tape, &servers);
        let ms = tape.pick(&[0, 1, 7, 30, 60, 250]);
        w.run_ms(ms);
    }
    part(&mut w);
    w.finish();
}

/// The servers, and times that pass soon.
fn cast(tape: &mut Tape<'_>) -> (Cast, Vec<&'static str>) {
    let choice = tape.byte();
    let (cast, servers) = match choice & 3 {
        0 => (Cast::default().stdio("fs"), vec!["fs"]),
        1 => (Cast::default().streamable("web"), vec!["web"]),
        2 => (Cast::default().sse("old"), vec!["old"]),
        _ => (Cast::default().stdio("fs").streamable("web").sse("old"), vec!["fs", "web", "old"]),
    };
    let sharing = ["auto", "shared", "dedicated", "auto"][usize::from(choice >> 2 & 3)];
    let mut options = json!({"sessions": sharing});
    if choice >> 4 & 1 == 1 {
        options["maxSessions"] = json!(1 + (choice >> 5 & 3));
    }
    if choice >> 7 == 1 {
        options["idleSeconds"] = json!(1);
    }
    let cast = servers.iter().fold(cast, |cast, server| cast.options(server, options.clone()));
    let cast = servers.iter().fold(cast, |cast, server| {
        cast.change_site(server, |site| {
            site.json = choice & 0x24 == 0x24;
            site.mind.tools.push("task".to_owned());
        })
    });
    let cast = if servers[0] == "fs" { cast.program("fs", |it| it.mind.tools.push("task".to_owned())) } else { cast };
    let cast = cast.limits(|l| {
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
    (cast, servers)
}

/// Somebody comes, who can be asked this or that and answers so or so.
fn arrive(w: &mut World, tape: &mut Tape<'_>, servers: &[&str]) {
    let server = tape.pick(servers);
    let kind = tape.pick(&[Kind::Streamable, Kind::Sse]);
    let (can, revision) = (tape.byte(), tape.pick(&["2025-11-25", "2025-06-18"]));
    let replies = [0; 3].map(|_| tape.below(6));
    let c = w.client_with(server, kind, |client| be(client, can, revision, replies));
    if can >> 4 & 1 == 1 && w.clients[c].session.is_some() {
        w.clients[c].listen(&mut w.net, None);
    }
}

fn be(client: &mut Client, can: u8, revision: &str, replies: [usize; 3]) {
    for (bit, name) in ["roots", "sampling", "elicitation"].into_iter().enumerate() {
        if can >> bit & 1 == 1 {
            client.capabilities[name] = json!({});
        }
    }
    if can & 9 == 9 {
        client.capabilities["roots"]["listChanged"] = json!(true);
    }
    revision.clone_into(&mut client.revision);
    let results = [
        json!({"roots": []}),
        json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "t"}}),
        json!({"action": "accept", "content": {}}),
    ];
    for ((method, result), manner) in METHODS.iter().zip(results).zip(replies) {
        let reply = match manner {
            0 => Value::Null,
            1 => json!({"within_ms": 500, "error": {"code": -1, "message": "no"}}),
            2 => json!({"within_ms": 3_000, "reports": 2, "result": result}),
            _ => json!({"within_ms": 400, "result": result}),
        };
        client.replies.insert((*method).to_owned(), reply);
    }
}

/// One deed of somebody.
fn act(w: &mut World, tape: &mut Tape<'_>, servers: &[&str]) {
    let deed = tape.below(18);
    let c = tape.below(w.clients.len());
    if deed <= 11 && is_gone(&w.clients[c]) {
        return;
    }
    match deed {
        0..=2 => ask(w, c, tape),
        3..=5 => call(w, c, tape),
        6 => {
            let token = json!(w.clients[c].requests.len());
            w.start_watched(c, "progress", json!({"n": 5, "ms": tape.below(100)}), token);
        }
        7 => cancel(w, c, tape),
        8 => {
            w.start(c, "logging/setLevel", json!({"level": tape.pick(&LEVELS)}));
        }
        9 => {
            let method = tape.pick(&["resources/subscribe", "resources/unsubscribe"]);
            let server = w.clients[c].server.clone();
            w.start(c, method, json!({"uri": format!("sim://{server}/0")}));
        }
        10 => {
            let method = tape.pick(&["tools/list", "resources/list", "prompts/list", "ping"]);
            w.start(c, method, json!({}));
        }
        11 => {
            w.notify(c, "notifications/roots/list_changed", json!({}));
        }
        12 => {
            if let Some(index) = w.clients[c].exchanges.len().checked_sub(1) {
                let xid = Xid { client: c, index };
                if tape.one_in(2) { w.hang_up(xid) } else { w.reset(xid) }
            }
        }
        13 if w.clients[c].session.is_some() => {
            w.clients[c].listen(&mut w.net, None);
        }
        14 => ask_outside(w, tape),
        15 => break_something(w, tape, servers),
        16 => leave(w, c, tape.one_in(2)),
        17 if tape.byte() == 0xff => w.command(Command::Stop),
        _ if w.clients.len() < CLIENTS_MAX && w.is_listening() => arrive(w, tape, servers),
        _ => {}
    }
}

const CLIENTS_MAX: usize = 12;

/// Whoever has left the stream that all answers come on asks nothing more.
fn is_gone(client: &Client) -> bool {
    let stream = client.stream.and_then(|index| client.exchanges.get(index));
    client.kind == Kind::Sse && stream.is_some_and(|stream| stream.progress != Progress::Running)
}

fn call(w: &mut World, c: usize, tape: &mut Tape<'_>) {
    let tool = tape.pick(&TOOLS);
    let id = format!("visit-{}", tape.byte());
    let arguments = json!({"ms": u64::from(tape.byte()) * 4, "n": 2, "level": "alert", "id": id, "text": "t", "bytes": 9_000});
    w.start_call(c, tool, arguments);
}

/// A call in which the server asks its client.
fn ask(w: &mut World, c: usize, tape: &mut Tape<'_>) {
    let method = tape.pick(&METHODS);
    let mut arguments = json!({"method": method, "ms": u64::from(tape.byte()) * 2, "gap_ms": tape.below(50),
        "n": 1 + tape.below(3), "token": tape.one_in(3), "pause_ms": tape.below(100)});
    if tape.one_in(4) {
        arguments["withdraw_ms"] = json!(1 + u64::from(tape.byte()) * 2);
    }
    match method {
        "sampling/createMessage" => arguments["params"] = json!({"messages": [], "maxTokens": 1}),
        "elicitation/create" => {
            let schema = json!({"type": "object", "properties": {}});
            arguments["params"] = json!({"message": "?", "requestedSchema": schema});
        }
        _ => {}
    }
    let tool = tape.pick(&["ask", "ask", "task"]);
    w.start_call(c, tool, arguments);
}

fn cancel(w: &mut World, client: usize, tape: &mut Tape<'_>) {
    let open: Vec<usize> = w.clients[client]
        .requests
        .iter()
        .filter(|request| request.state == State::Waiting)
        .map(|request| request.tag)
        .collect();
    if !open.is_empty() {
        let index = tape.pick(&open);
        w.cancel(Req { client, index });
    }
}

/// A living process asks outside any call.
fn ask_outside(w: &mut World, tape: &mut Tape<'_>) {
    let method = tape.pick(&METHODS);
    let params = json!({"messages": [], "maxTokens": 1, "message": "?", "requestedSchema": {"type": "object", "properties": {}}});
    if let Some(place) = living(w, tape) {
        let child = &mut w.children[place];
        let (deed, _) = child.mind().ask_outside(method, &params, None);
        child.on_deed(&deed, &mut w.net);
    }
}

fn living(w: &World, tape: &mut Tape<'_>) -> Option<usize> {
    let alive: Vec<usize> = (0..w.children.len()).filter(|place| w.children[*place].alive).collect();
    (!alive.is_empty()).then(|| tape.pick(&alive))
}

fn break_something(w: &mut World, tape: &mut Tape<'_>, servers: &[&str]) {
    let server = tape.pick(servers);
    if server == "fs" {
        if let Some(place) = living(w, tape) {
            w.children[place].exit(&mut w.net, ExitStatus::Code(1));
        }
    } else if tape.one_in(3) {
        w.with_site(server, |site, net| site.restart(net));
    } else {
        let of_site = w.net.links.iter().filter(|(_, link)| matches!(link.peer, Who::Site(_)));
        let links: Vec<_> = of_site.map(|(conn, _)| *conn).collect();
        if !links.is_empty() {
            w.net.reset(links[tape.below(links.len())]);
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

/// Everybody goes, and what is left is what was there in the beginning.
fn part(w: &mut World) {
    for _ in 0..2 {
        for client in 0..w.clients.len() {
            leave(w, client, false);
        }
        // A connection may have broken under what somebody said.
        w.run_ms(2_000);
    }
    if w.stopped.is_some() {
        return;
    }
    w.run_ms(45_000);
    if w.stopped.is_none() {
        assert!(w.unanswered().is_empty(), "questions without an answer: {:?}", w.unanswered());
        let census = w.shard.proxy().census();
        assert_eq!((census.sessions, census.questions), (0, 0), "{census:?}");
    }
}
