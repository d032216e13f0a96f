//! What a client sends: the handshake, calls, and the request for an event stream.

use std::io::Write as _;

use mcp_proxy_bench::net;

use super::{Load, Phase, marker};
use crate::sock::Sock;

const LEGACY: &str = "2025-06-18";
const MODERN: &str = "2026-07-28";

impl Load {
    /// Opens the client's connection(s) and sends the first message.
    pub(super) fn start(&mut self, i: usize) {
        let token = i as u64 * 2;
        let cfg = &self.cfg;
        let c = &mut self.clients[i];
        c.session = None;
        c.endpoint = cfg.path.clone();
        if cfg.sse {
            match Sock::open(cfg, &self.poller, token + 1) {
                Err(e) => self.fail(i, format!("connect: {e}")),
                Ok(mut s) => {
                    let _ = write!(
                        s.out,
                        "GET {} HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n",
                        cfg.path, cfg.host
                    );
                    if let Some(t) = &cfg.token {
                        let _ = write!(s.out, "authorization: Bearer {t}\r\n");
                    }
                    s.out.extend_from_slice(b"\r\n");
                    let r = s.flush(&self.poller, token + 1);
                    c.stream = Some(s);
                    c.phase = Phase::Endpoint;
                    c.sent_at = net::now_ns();
                    if let Err(e) = r {
                        self.fail(i, format!("write: {e}"));
                    }
                }
            }
        } else if cfg.modern {
            c.phase = Phase::Ready;
        } else {
            self.send_initialize(i);
        }
    }

    pub(super) fn send_initialize(&mut self, i: usize) {
        self.clients[i].phase = Phase::Initialize;
        let mut body = std::mem::take(&mut self.scratch);
        body.clear();
        let id = self.next_id(i);
        let version = if self.cfg.sse { "2024-11-05" } else { LEGACY };
        let _ = write!(
            body,
            r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"loadgen","version":"{}"}}}}}}"#,
            env!("CARGO_PKG_VERSION")
        );
        self.post(i, &body, "initialize");
        self.scratch = body;
    }

    pub(super) fn next_id(&mut self, i: usize) -> u64 {
        let c = &mut self.clients[i];
        c.seq += 1;
        c.id = c.index as u64 * 10_000_000 + c.seq;
        c.id
    }

    pub(super) fn post(&mut self, i: usize, body: &[u8], method: &str) {
        let token = i as u64 * 2;
        if self.clients[i].rpc.is_none() {
            match Sock::open(&self.cfg, &self.poller, token) {
                Ok(s) => self.clients[i].rpc = Some(s),
                Err(e) => return self.fail(i, format!("connect: {e}")),
            }
        }
        let cfg = &self.cfg;
        let c = &mut self.clients[i];
        c.got_reply = false;
        c.got_http_end = false;
        c.sent_at = net::now_ns();
        let s = c.rpc.as_mut().expect("just opened");
        let out = &mut s.out;
        let _ = write!(
            out,
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\ncontent-length: {}\r\n",
            c.endpoint,
            cfg.host,
            body.len()
        );
        if let Some(t) = &cfg.token {
            let _ = write!(out, "authorization: Bearer {t}\r\n");
        }
        if cfg.modern {
            let _ = write!(out, "mcp-protocol-version: {MODERN}\r\nmcp-method: {method}\r\n");
            if method == "tools/call" {
                let _ = write!(out, "mcp-name: {}\r\n", cfg.tool);
            }
        } else if !cfg.sse && method != "initialize" {
            let _ = write!(out, "mcp-protocol-version: {LEGACY}\r\n");
        }
        if let Some(sid) = &c.session {
            let _ = write!(out, "mcp-session-id: {sid}\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        if let Err(e) = s.flush(&self.poller, token) {
            self.fail(i, format!("write: {e}"));
        }
    }

    pub(super) fn send_call(&mut self, i: usize) {
        self.clients[i].phase = Phase::Calling;
        let id = self.next_id(i);
        let mut body = std::mem::take(&mut self.scratch);
        body.clear();
        let cfg = &self.cfg;
        let c = &self.clients[i];
        let meta = if cfg.modern {
            concat!(
                r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
                r#""io.modelcontextprotocol/clientInfo":{"name":"loadgen","version":"0"},"#,
                r#""io.modelcontextprotocol/clientCapabilities":{}}"#
            )
        } else {
            ""
        };
        let _ = write!(body, r#"{{"jsonrpc":"2.0","id":{id},"method":"{}","params":{{{meta}"#, cfg.method);
        if cfg.method == "tools/call" {
            if cfg.modern {
                body.push(b',');
            }
            let _ = write!(body, r#""name":"{}","arguments":{{"#, cfg.tool);
            match cfg.tool.as_str() {
                "blob" => {
                    let _ = write!(body, r#""bytes":{}"#, cfg.payload);
                }
                "sleep" => {
                    let _ = write!(body, r#""ms":{}"#, cfg.payload);
                }
                _ => {
                    let mark = marker(c);
                    let _ = write!(body, r#""text":"{mark}"#);
                    body.extend_from_slice(&self.filler[..cfg.payload.saturating_sub(mark.len())]);
                    body.push(b'"');
                }
            }
            body.push(b'}');
        }
        body.extend_from_slice(b"}}");
        let method = self.cfg.method.clone();
        self.post(i, &body, &method);
        self.scratch = body;
    }

    pub(super) fn open_idle_stream(&mut self, i: usize) {
        let c = &mut self.clients[i];
        c.rpc = None;
        if self.cfg.sse {
            c.phase = Phase::Holding;
            return;
        }
        let token = i as u64 * 2 + 1;
        match Sock::open(&self.cfg, &self.poller, token) {
            Err(e) => self.fail(i, format!("connect: {e}")),
            Ok(mut s) => {
                let _ = write!(
                    s.out,
                    "GET {} HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\nmcp-protocol-version: {LEGACY}\r\n",
                    self.cfg.path, self.cfg.host
                );
                if let Some(t) = &self.cfg.token {
                    let _ = write!(s.out, "authorization: Bearer {t}\r\n");
                }
                if let Some(sid) = &c.session {
                    let _ = write!(s.out, "mcp-session-id: {sid}\r\n");
                }
                s.out.extend_from_slice(b"\r\n");
                let r = s.flush(&self.poller, token);
                c.stream = Some(s);
                c.sent_at = net::now_ns();
                c.phase = Phase::Stream;
                if let Err(e) = r {
                    self.fail(i, format!("write: {e}"));
                }
            }
        }
    }
}
