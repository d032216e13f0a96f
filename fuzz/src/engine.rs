//! The whole engine under arbitrary inputs: bytes from clients, children and servers in any state, names that do not
//! resolve, disks that fail, time that passes, everybody leaving at any moment.
//!
//! Byte 0: the configuration; each further byte an act, followed by what the act needs. Among the acts are whole
//! messages of a session, so that deep states are near.
//!
//! Properties: those of [`Rig`]; and at the end, when all clients have gone, nothing of them is left and the engine stops.

use crate::rig::peer::{Peer, Side};
use crate::rig::{Rig, tells_secret, tight, words};
use crate::tape::Tape;
use mcp_proxy_core::event::{CloseCause, Command, Input};
use mcp_proxy_core::id::ConnId;

/// See the module.
pub fn engine(data: &[u8]) {
    if tells_secret(data) {
        return;
    }
    let mut tape = Tape::new(data);
    let mut rig = Rig::new(tape.pick(&words::CONFIGS), tight());
    while !tape.is_over() && !rig.stopped {
        act(&mut rig, &mut tape);
    }
    rig.finish();
}

fn act(rig: &mut Rig, tape: &mut Tape<'_>) {
    match tape.below(24) {
        0 => {
            rig.accept();
        }
        1 | 2 => {
            let message = tape.pick(&words::MESSAGES);
            post(rig, tape, message.as_bytes());
        }
        3 => {
            let len = tape.byte().into();
            let message = tape.take(len);
            post(rig, tape, message);
        }
        4 => {
            let verb = tape.pick(&["GET", "DELETE", "OPTIONS", "PUT"]);
            request(rig, tape, verb, b"");
        }
        5 => {
            let request = tape.pick(&words::REQUESTS);
            if let Some(conn) = some(rig, tape, is_client) {
                rig.say(conn, request.as_bytes());
            }
        }
        6 => {
            if let Some(conn) = some(rig, tape, |_| true) {
                let len = tape.byte().into();
                rig.say(conn, tape.take(len));
            }
        }
        7 => rig.pump_all(),
        8 => {
            if let Some(conn) = some(rig, tape, |_| true) {
                rig.pump(conn, tape.byte().into());
            }
        }
        9 => rig.grant(tape.byte().into(), true, None),
        10 => rig.grant(tape.byte().into(), false, None),
        11 => {
            let len = tape.byte().into();
            let stored = tape.take(len);
            rig.grant(0, true, Some(stored));
        }
        12 | 13 => {
            if let Some(conn) = some(rig, tape, |peer| !peer.asked.is_empty()) {
                let result = tape.pick(&words::RESULTS);
                answer(rig, tape, conn, result.as_bytes());
            }
        }
        14 => {
            if let Some(conn) = some(rig, tape, |peer| !peer.asked.is_empty()) {
                let len = tape.byte().into();
                let result = tape.take(len);
                answer(rig, tape, conn, result);
            }
        }
        15 => {
            let note = tape.pick(&words::NOTES);
            let line = format!("{note}\n");
            if let Some(conn) = some(rig, tape, |peer| peer.side == Side::Child) {
                rig.say(conn, line.as_bytes());
            } else if let Some(conn) = some(rig, tape, |peer| !is_client(peer)) {
                rig.say(conn, words::event(note.as_bytes()).as_bytes());
            }
        }
        16 => {
            if let Some(conn) = some(rig, tape, |peer| peer.side == Side::Child) {
                let len = tape.byte();
                let bytes = tape.take(len.into());
                if !bytes.is_empty() {
                    rig.turn(Input::Stderr { conn, bytes });
                }
            }
        }
        17 => {
            if let Some(conn) = some(rig, tape, |_| true) {
                rig.end(conn);
            }
        }
        18 => {
            if let Some(conn) = some(rig, tape, |_| true) {
                rig.close(conn, tape.pick(&[CloseCause::Done, CloseCause::Reset, CloseCause::Tls, CloseCause::Error]));
            }
        }
        19 => {
            if let Some(conn) = some(rig, tape, |peer| peer.side == Side::Child) {
                rig.exit(conn, tape.byte().into());
            }
        }
        20 => rig.pass(tape.pick(&[1, 60, 250, 1_100, 2_500, 16_000])),
        21 => rig.turn(Input::Timeout),
        22 if tape.byte() == 0xff => rig.turn(Input::Command(Command::Stop)),
        _ => rig.go_on(|asked| words::result_of(&asked.method).to_owned()),
    }
}

fn is_client(peer: &Peer) -> bool {
    peer.side == Side::Client
}

/// One of the open connections of a kind.
fn some(rig: &Rig, tape: &mut Tape<'_>, which: impl Fn(&Peer) -> bool) -> Option<ConnId> {
    let conns = rig.conns(which);
    conns.get(tape.below(conns.len())).copied()
}

fn post(rig: &mut Rig, tape: &mut Tape<'_>, message: &[u8]) {
    request(rig, tape, "POST", message);
}

/// A request of a client as SDKs send it, to one of the endpoints, in a session that somebody has or in none.
fn request(rig: &mut Rig, tape: &mut Tape<'_>, verb: &str, body: &[u8]) {
    let Some(conn) = some(rig, tape, is_client).or_else(|| rig.accept()) else { return };
    let clients: Vec<&Peer> = rig.peers.values().filter(|peer| is_client(peer)).collect();
    let speaker = clients[tape.below(clients.len())];
    let choice = tape.byte();
    let path = words::PATHS[usize::from(choice & 7)];
    let path = if path.is_empty() { speaker.endpoint.as_str() } else { path };
    let mut head = format!("{verb} {path} HTTP/1.1\r\nHost: localhost\r\n");
    head += ["Accept: application/json, text/event-stream\r\n", "Accept: text/event-stream\r\n", "Accept: */*\r\n", ""]
        [usize::from(choice >> 3 & 3)];
    head += ["", "Authorization: Bearer planted-secret\r\n"][usize::from(choice >> 5 & 1)];
    if choice >> 6 & 1 == 0 && !speaker.session.is_empty() {
        head += &format!("Mcp-Session-Id: {}\r\nMcp-Protocol-Version: 2025-11-25\r\n", speaker.session);
    }
    head += ["", "Last-Event-ID: 1-1\r\n"][usize::from(choice >> 7)];
    if verb == "POST" {
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    let text = [head.as_bytes(), b"\r\n", body].concat();
    rig.say(conn, &text);
}

/// The oldest request to this peer is answered with these members.
fn answer(rig: &mut Rig, tape: &mut Tape<'_>, conn: ConnId, members: &[u8]) {
    let style = tape.byte();
    let Some(peer) = rig.peers.get_mut(&conn) else { return };
    let Some(asked) = peer.asked.pop_front() else { return };
    let side = peer.side;
    let id = if asked.id.is_empty() { "1" } else { &asked.id };
    let message = [b"{\"jsonrpc\":\"2.0\",\"id\":", id.as_bytes(), b",", members, b"}"].concat();
    rig.reply(conn, side, &asked.verb, &message, style);
}
