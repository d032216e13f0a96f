//! An HTTP client for one connection, as small as the two programs need it, and event streams on it.
//!
//! Whole bodies are read to their end, so that a second answer behind the first is seen.

use mcp_proxy_bench::http::{Body, Head, head_len, parse_head};
use mcp_proxy_bench::sse::SseParser;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    buf: Vec<u8>,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its target.
    pub path: &'a str,
    /// The session it belongs to, once there is one.
    pub session: Option<&'a str>,
    /// Its body.
    pub body: Option<&'a str>,
}

/// A whole response.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// The session it names.
    pub session: Option<String>,
    /// The messages in it: the one that is the body, or those of the event stream.
    pub messages: Vec<Vec<u8>>,
}

impl Conn {
    /// Connects to loopback.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buf: Vec::new() })
    }

    /// Takes a connection that was accepted.
    pub const fn accepted(stream: TcpStream) -> Self {
        Self { stream, buf: Vec::new() }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, request: &Request<'_>) -> io::Result<()> {
        let text = request.encode();
        self.write(text.as_bytes()).await
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Closes with a reset in place of an orderly end.
    pub fn reset(self) {
        // Where the system refuses, the drop is an ordinary close.
        let _ = self.stream.set_zero_linger();
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// The connection ends before, or what comes is no HTTP.
    pub async fn exchange(&mut self, request: &Request<'_>) -> io::Result<Reply> {
        self.send(request).await?;
        self.reply().await
    }

    /// Reads a whole response.
    ///
    /// # Errors
    /// The connection ends before, or what comes is no HTTP.
    pub async fn reply(&mut self) -> io::Result<Reply> {
        let head = self.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let text = self.body(Body::of_response(&head)).await?;
        let messages = match head.event_stream {
            true => events_in(&text),
            false if text.is_empty() => Vec::new(),
            false => vec![text],
        };
        Ok(Reply { status: head.status, session: head.session, messages })
    }

    /// Reads the next head; `None` when the connection ends in order before it.
    ///
    /// # Errors
    /// The connection ends within, or what comes is no HTTP.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(len) = head_len(&self.buf) {
                let head = parse_head(&self.buf[..len]).ok_or(io::ErrorKind::InvalidData)?;
                self.buf.drain(..len);
                return Ok(Some(head));
            }
            if !self.fill().await? {
                return if self.buf.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// The connection ends before it.
    pub async fn body(&mut self, mut body: Body) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            self.decode(&mut body, &mut text)?;
            if body == Body::Done {
                return Ok(text);
            }
            if !self.fill().await? {
                return match body {
                    Body::UntilClose => Ok(text),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Asks for an event stream.
    ///
    /// # Errors
    /// There is none: the connection ends, or the answer is another.
    pub async fn events(mut self, request: &Request<'_>) -> io::Result<Events> {
        self.send(request).await?;
        let head = self.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if head.status != 200 || !head.event_stream {
            return Err(io::Error::other(format!("status {} in place of an event stream", head.status)));
        }
        let body = Body::of_response(&head);
        Ok(Events { conn: self, body, parser: SseParser::new() })
    }

    fn decode(&mut self, body: &mut Body, to: &mut Vec<u8>) -> io::Result<()> {
        let used = body.feed(&self.buf, to).ok_or(io::ErrorKind::InvalidData)?;
        self.buf.drain(..used);
        Ok(())
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.buf).await? > 0)
    }
}

/// An event stream.
pub struct Events {
    conn: Conn,
    body: Body,
    parser: SseParser,
}

impl Events {
    /// The next event, as its name and data; `None` when the stream is over.
    ///
    /// # Errors
    /// The connection breaks off.
    pub async fn next(&mut self) -> io::Result<Option<(String, Vec<u8>)>> {
        loop {
            if let Some(event) = self.parser.next_event() {
                if event.1.is_empty() {
                    continue;
                }
                return Ok(Some(event));
            }
            if self.body == Body::Done {
                return Ok(None);
            }
            if !self.conn.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.conn.decode(&mut self.body, self.parser.input())?;
        }
    }

    /// Closes with a reset in place of an orderly end.
    pub fn reset(self) {
        self.conn.reset();
    }
}

impl Request<'_> {
    /// Its bytes.
    pub fn encode(&self) -> String {
        let Self { method, path, session, body } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        text += match *method {
            "GET" => "Accept: text/event-stream\r\n",
            _ => "Accept: application/json, text/event-stream\r\n",
        };
        if let Some(session) = session {
            text += &format!("Mcp-Session-Id: {session}\r\nMcp-Protocol-Version: 2025-11-25\r\n");
        }
        if let Some(body) = body {
            text +=
                &format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        } else {
            text += "\r\n";
        }
        text
    }
}

fn events_in(text: &[u8]) -> Vec<Vec<u8>> {
    let mut parser = SseParser::new();
    parser.input().extend_from_slice(text);
    let events = std::iter::from_fn(|| parser.next_event());
    events.map(|(_, data)| data).filter(|data| !data.is_empty()).collect()
}
