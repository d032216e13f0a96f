//! The two HTTP transports. Sessions live as long as the process: whoever names one of its predecessor gets 404.

use crate::mcp::{Incoming, Mcp};
use mcp_proxy_bench::http::{Body, Head};
use mcp_proxy_soak::http::Conn;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Which transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Streamable,
    Sse,
}

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, mcp: Mcp, kind: Kind) -> io::Result<()> {
    let site = Site { mcp, kind, sessions: Arc::default(), opened: Arc::default() };
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let site = site.clone();
        tokio::spawn(async move {
            let mut conn = Conn::accepted(stream);
            // A connection that breaks off is none of our business.
            let _ = site.serve(&mut conn).await;
        });
    }
}

#[derive(Debug, Clone)]
struct Site {
    mcp: Mcp,
    kind: Kind,
    /// Where the answers of a session go, if not into the response.
    sessions: Arc<Mutex<BTreeMap<String, Option<UnboundedSender<String>>>>>,
    /// Sessions so far.
    opened: Arc<AtomicU64>,
}

impl Site {
    async fn serve(&self, conn: &mut Conn) -> io::Result<()> {
        let mut count = 0_u64;
        while let Some(head) = conn.head().await? {
            let body = conn.body(Body::of_request(&head)).await?;
            count += 1;
            match (self.kind, head.method.as_str()) {
                (Kind::Sse, "GET") => return self.stream(conn).await,
                (Kind::Sse, "POST") => self.message(conn, &head, &body).await?,
                (Kind::Streamable, "POST") => self.post(conn, &head, &body, count.is_multiple_of(2)).await?,
                (Kind::Streamable, "DELETE") => {
                    if let Some(session) = &head.session {
                        self.close(session);
                    }
                    conn.write(&plain("200 OK", "", "")).await?;
                }
                _ => conn.write(&plain("405 Method Not Allowed", "", "")).await?,
            }
        }
        Ok(())
    }

    /// Streamable HTTP: the answer is the response, now a document and now an event stream.
    async fn post(&self, conn: &mut Conn, head: &Head, body: &[u8], streams: bool) -> io::Result<()> {
        let incoming = self.mcp.read(body);
        let opens = matches!(incoming, Incoming::Request { opens: true, .. });
        if !opens && !head.session.as_ref().is_some_and(|session| self.knows(session)) {
            return conn.write(&plain("404 Not Found", "", "")).await;
        }
        let (answer, takes) = match incoming {
            Incoming::Note => return conn.write(&plain("202 Accepted", "", "")).await,
            // Whoever asked sees it end when it gives up.
            Incoming::Endless => return conn.head().await.map(drop),
            Incoming::Request { answer, takes, .. } => (answer, takes),
        };
        self.mcp.think(takes).await;
        let session = if opens { format!("Mcp-Session-Id: {}\r\n", self.open(None)) } else { String::new() };
        if !streams {
            return conn
                .write(&plain("200 OK", &(session + "Content-Type: application/json\r\n"), &answer))
                .await;
        }
        let event = format!("event: message\ndata: {answer}\n\n");
        let text = format!("{}{:x}\r\n{event}\r\n0\r\n\r\n", stream_head(&session), event.len());
        conn.write(text.as_bytes()).await
    }

    /// HTTP+SSE: the answer comes on the stream of the session.
    async fn message(&self, conn: &mut Conn, head: &Head, body: &[u8]) -> io::Result<()> {
        let session = head.target.rsplit("s=").next().unwrap_or_default();
        let stream = self.sessions.lock().ok().and_then(|sessions| sessions.get(session).cloned()).flatten();
        let Some(stream) = stream else { return conn.write(&plain("404 Not Found", "", "")).await };
        conn.write(&plain("202 Accepted", "", "")).await?;
        if let Incoming::Request { answer, takes, .. } = self.mcp.read(body) {
            let mcp = self.mcp.clone();
            tokio::spawn(async move {
                mcp.think(takes).await;
                // The stream may be gone, and the answer with it.
                let _ = stream.send(answer);
            });
        }
        Ok(())
    }

    async fn stream(&self, conn: &mut Conn) -> io::Result<()> {
        let (sender, mut answers) = mpsc::unbounded_channel();
        let session = self.open(Some(sender));
        let done = self.pour(conn, &session, &mut answers).await;
        self.close(&session);
        done
    }

    async fn pour(
        &self,
        conn: &mut Conn,
        session: &str,
        answers: &mut UnboundedReceiver<String>,
    ) -> io::Result<()> {
        let first = format!("event: endpoint\ndata: /message?s={session}\n\n");
        conn.write(format!("{}{:x}\r\n{first}\r\n", stream_head(""), first.len()).as_bytes()).await?;
        loop {
            let answer = tokio::select! {
                answer = answers.recv() => answer,
                // Nothing is sent on this connection any more, so this is its end.
                _end = conn.head() => None,
            };
            let Some(answer) = answer else { return Ok(()) };
            let event = format!("event: message\ndata: {answer}\n\n");
            conn.write(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await?;
        }
    }

    fn open(&self, stream: Option<UnboundedSender<String>>) -> String {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        if let Ok(mut sessions) = self.sessions.lock() {
            sessions.insert(name.clone(), stream);
        }
        name
    }

    fn knows(&self, session: &str) -> bool {
        self.sessions.lock().is_ok_and(|sessions| sessions.contains_key(session))
    }

    fn close(&self, session: &str) {
        if let Ok(mut sessions) = self.sessions.lock() {
            sessions.remove(session);
        }
    }
}

fn plain(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn stream_head(headers: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
}
