//! One client-side HTTP/1.1 connection: bytes out, response heads and messages in.

use std::net::TcpStream;

use mcp_proxy_bench::http::{self, Body};
use mcp_proxy_bench::net::{self, Poller, ReadOutcome};
use mcp_proxy_bench::sse::SseParser;

use crate::Config;

const READ_CHUNK: usize = 256 * 1024;

/// See the module.
pub(crate) struct Sock {
    tcp: TcpStream,
    pub(crate) out: Vec<u8>,
    out_pos: usize,
    want_out: bool,
    pub(crate) inbuf: Vec<u8>,
    pub(crate) in_pos: usize,
    pub(crate) head: Option<http::Head>,
    pub(crate) body: Body,
    pub(crate) body_buf: Vec<u8>,
    sse: SseParser,
}

/// What happened on a socket.
pub(crate) enum Input {
    Head,
    /// One JSON-RPC message, or one SSE event with its name.
    Message(Option<String>, Vec<u8>),
    /// The response body ended.
    End,
}

impl Sock {
    pub(crate) fn open(cfg: &Config, poller: &Poller, token: u64) -> std::io::Result<Sock> {
        let tcp = TcpStream::connect(cfg.addr)?;
        tcp.set_nodelay(true)?;
        tcp.set_nonblocking(true)?;
        poller.add(&tcp, token, net::IN)?;
        Ok(Sock {
            tcp,
            out: Vec::new(),
            out_pos: 0,
            want_out: false,
            inbuf: Vec::new(),
            in_pos: 0,
            head: None,
            body: Body::Done,
            body_buf: Vec::new(),
            sse: SseParser::new(),
        })
    }

    pub(crate) fn flush(&mut self, poller: &Poller, token: u64) -> std::io::Result<()> {
        let done = net::write_some(&self.tcp, &mut self.out, &mut self.out_pos)?;
        if done == self.want_out {
            self.want_out = !done;
            poller.modify(&self.tcp, token, if done { net::IN } else { net::IN | net::OUT })?;
        }
        Ok(())
    }

    /// Reads what is there; false when the peer closed.
    pub(crate) fn fill(&mut self) -> bool {
        if self.in_pos == self.inbuf.len() {
            self.inbuf.clear();
            self.in_pos = 0;
        }
        loop {
            match net::read_some(&self.tcp, &mut self.inbuf, READ_CHUNK) {
                ReadOutcome::Data(true) if self.inbuf.len() < 8 << 20 => {}
                ReadOutcome::Data(_) | ReadOutcome::WouldBlock => return true,
                ReadOutcome::Closed => return false,
            }
        }
    }

    /// The next piece of input in the buffer, or `None` if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Input>, &'static str> {
        let Some(head) = &self.head else {
            let rest = &self.inbuf[self.in_pos..];
            let Some(n) = http::head_len(rest) else { return Ok(None) };
            let head = http::parse_head(&rest[..n]).ok_or("bad response head")?;
            self.in_pos += n;
            self.body = Body::of_response(&head);
            self.body_buf.clear();
            self.sse.clear();
            self.head = Some(head);
            return Ok(Some(Input::Head));
        };
        if head.event_stream {
            if let Some((name, data)) = self.sse.next_event() {
                return Ok(Some(Input::Message(Some(name), data)));
            }
            let used = self.body.feed(&self.inbuf[self.in_pos..], self.sse.input()).ok_or("bad chunking")?;
            self.in_pos += used;
            if let Some((name, data)) = self.sse.next_event() {
                return Ok(Some(Input::Message(Some(name), data)));
            }
        } else {
            let used =
                self.body.feed(&self.inbuf[self.in_pos..], &mut self.body_buf).ok_or("bad chunking")?;
            self.in_pos += used;
            if self.body == Body::Done && !self.body_buf.is_empty() {
                return Ok(Some(Input::Message(None, std::mem::take(&mut self.body_buf))));
            }
        }
        if self.body == Body::Done {
            self.head = None;
            return Ok(Some(Input::End));
        }
        Ok(None)
    }
}
