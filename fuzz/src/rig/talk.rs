//! How peers speak: a message in the framing of its side, and a round in which everybody does what is expected.

use super::peer::{Asked, Side};
use super::{Rig, words};
use mcp_proxy_core::id::ConnId;

impl Rig {
    /// A message of a server on its way to the engine, framed as its side frames it. `verb` is that of the request it
    /// answers; `style` picks one of the ways to answer over HTTP.
    pub fn reply(&mut self, conn: ConnId, side: Side, verb: &str, message: &[u8], style: u8) {
        match side {
            Side::Client => {}
            Side::Child => self.say(conn, &[message, b"\n"].concat()),
            Side::Server(true) if verb == "GET" => {
                self.say(conn, words::STREAM.as_bytes());
                self.say(conn, b"event: endpoint\ndata: /message?s=1\n\n");
            }
            Side::Server(true) => {
                self.say(conn, b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
                let stream = self.conns(|peer| peer.side == Side::Server(true)).into_iter().next();
                self.say(stream.unwrap_or(conn), words::event(message).as_bytes());
            }
            Side::Server(false) if style & 1 == 1 => {
                let session = if style & 2 == 2 { "Mcp-Session-Id: s-1\r\n" } else { "" };
                let head = words::STREAM.replace("\r\n\r\n", &format!("\r\n{session}\r\n"));
                self.say(conn, head.as_bytes());
                self.say(conn, words::event(message).as_bytes());
                if style & 4 == 4 {
                    self.end(conn);
                }
            }
            Side::Server(false) => {
                let status = ["200 OK", "202 Accepted", "404 Not Found", "401 Unauthorized"]
                    [usize::from(style >> 1 & 3)];
                let kind = "Content-Type: application/json\r\nMcp-Session-Id: s-1\r\n";
                let head = format!("HTTP/1.1 {status}\r\n{kind}Content-Length: {}\r\n\r\n", message.len());
                self.say(conn, &[head.as_bytes(), message].concat());
            }
        }
    }

    /// Everybody does what is expected: the disk works, servers start and answer with these members.
    pub fn go_on(&mut self, members: impl Fn(&Asked) -> String) {
        self.grant_all(true);
        self.pump_all();
        for conn in self.conns(|peer| !peer.asked.is_empty()) {
            let Some(peer) = self.peers.get_mut(&conn) else { continue };
            let (side, all) = (peer.side, std::mem::take(&mut peer.asked));
            for asked in all {
                let id = if asked.id.is_empty() { "1" } else { &asked.id };
                let message = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{}}}", members(&asked));
                let style = if asked.id.is_empty() && asked.verb == "POST" {
                    2
                } else {
                    u8::from(asked.verb == "GET")
                };
                self.reply(conn, side, &asked.verb, message.as_bytes(), style);
            }
        }
        self.pump_all();
    }
}
