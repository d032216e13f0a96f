//! What one upstream connection answers: responses, one at a time (RFC 9112).
//!
//! ```text
//!         begin()        Head event           End event
//!   Idle ────────▶ Head ───────────▶ Body ──────────────▶ Idle, or Closed when it cannot be reused
//!                   ↺ 1xx skipped     ↺ Data events
//! ```
//!
//! The owner queues a request ([`encode_request_head`](super::encode_request_head)), calls
//! [`Client::begin`], then [`Client::push`] and [`Client::next`] until it gives nothing.
//!
//! Invariants: body bytes are lent from the receive buffer without a copy and forgotten at the next call;
//! a byte that no request asked for is a fault; a connection is reusable only after a complete response
//! that does not end it.
//! Deliberately absent: a limit on bodies (an event stream has no end; who gathers one counts), retries,
//! redirects, and the question whether the request was completely written.

use std::fmt;

use super::Limits;
use super::body::{BodyReader, Step, response_body};
use super::fields::find_end;
use super::head::{Method, ResponseHead};
use crate::buf::RecvBuf;
use crate::fault::{Code, Fault};

/// Most interim (1xx) responses before a final one.
const INTERIM_MAX: u8 = 16;

/// What happened on an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEvent<'a> {
    /// The final head is complete: see [`Client::head`].
    Head,
    /// A piece of the body, never empty.
    Data(&'a [u8]),
    /// The response is complete.
    End,
}

/// The receiving half of one upstream connection.
pub struct Client {
    limits: Limits,
    recv: RecvBuf,
    head: ResponseHead,
    method: Method,
    state: State,
    interim: u8,
    lent: usize,
    started: bool,
    read_closed: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No request is out.
    Idle,
    /// Before or within a head.
    Head,
    /// The head is handed out, the body is coming.
    Body(BodyReader),
    /// Nothing is read any more.
    Closed,
}

impl Client {
    /// A connection on which nothing was sent yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            recv: RecvBuf::default(),
            head: ResponseHead::default(),
            method: Method::Other,
            state: State::Idle,
            interim: 0,
            lent: 0,
            started: false,
            read_closed: false,
        }
    }

    /// A request with this method was queued. Only for a connection that [`Client::is_reusable`].
    pub fn begin(&mut self, method: Method) {
        debug_assert!(self.is_idle(), "a request before the response to the last one was complete");
        // Otherwise `next` reports the bytes that nobody asked for.
        if self.is_idle() && self.recv.is_empty() {
            self.head.clear();
            self.method = method;
            self.interim = 0;
            self.started = false;
            self.state = State::Head;
        }
    }

    /// Takes what the socket gave. After a fault or the last response it is thrown away.
    pub fn push(&mut self, bytes: &[u8]) {
        self.forget_lent();
        if !matches!(self.state, State::Closed) {
            self.started |= matches!(self.state, State::Head) && !bytes.is_empty();
            self.recv.push(bytes);
        }
    }

    /// The upstream will send nothing more.
    pub fn close_read(&mut self) {
        self.read_closed = true;
    }

    /// The next event, if the bytes so far make one.
    ///
    /// # Errors
    /// The response is broken and the connection ends. `UpstreamLost` means that it ended before the first
    /// byte of a response, as a server does that was tired of waiting.
    #[expect(
        clippy::should_implement_trait,
        reason = "a decoder is no iterator: nothing now may be something later"
    )]
    pub fn next(&mut self) -> Result<Option<ClientEvent<'_>>, Fault> {
        self.forget_lent();
        let step = match self.state {
            State::Idle => self.check_silence().map(|()| None),
            State::Head => self.read_head().map(|done| done.then_some(ClientEvent::Head)),
            State::Body(body) => match self.read_body(body) {
                Ok(Step::Pending) => Ok(None),
                Ok(Step::Data(len)) => return Ok(self.lend(len)),
                Ok(Step::End) => Ok(Some(ClientEvent::End)),
                Err(fault) => Err(fault),
            },
            State::Closed => Ok(None),
        };
        if step.is_err() {
            self.state = State::Closed;
            self.recv = RecvBuf::default();
        }
        step
    }

    /// The head of the latest final response.
    pub fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// True when no response is awaited. The connection may still be unfit for another request.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// True when another request may be sent: every response was complete and keeps the connection, and
    /// nothing came since.
    pub fn is_reusable(&self) -> bool {
        self.is_idle() && self.recv.is_empty() && !self.read_closed
    }

    /// True when a byte of the response to the present request has come.
    pub fn started(&self) -> bool {
        self.started
    }

    /// Bytes that have come and were not handed out.
    pub fn pending(&self) -> usize {
        self.recv.len()
    }

    /// Storage it takes, used or not.
    pub fn capacity(&self) -> usize {
        self.recv.capacity().saturating_add(self.head.fields().capacity())
    }

    fn check_silence(&self) -> Result<(), Fault> {
        match self.recv.is_empty() {
            true => Ok(()),
            false => Err(Fault::peer(Code::BadFraming, "bytes that no request asked for")),
        }
    }

    /// Reads heads until there is a final one.
    fn read_head(&mut self) -> Result<bool, Fault> {
        loop {
            // Tells other protocols apart before a line end would.
            if self.recv.as_slice().first().is_some_and(|&byte| byte != b'H') {
                return Err(Fault::peer(Code::BadHead, "no HTTP response"));
            }
            let Some(len) = find_end(&mut self.recv, self.limits.head_bytes_max)? else {
                return match (self.read_closed, self.started) {
                    (false, _) => Ok(false),
                    (true, false) => {
                        Err(Fault::peer(Code::UpstreamLost, "connection closed without a response"))
                    }
                    (true, true) => {
                        Err(Fault::peer(Code::BadHead, "connection closed in the middle of a head"))
                    }
                };
            };
            let bytes = self.recv.as_slice().get(..len).unwrap_or_default();
            self.head.parse(bytes, self.limits.headers_max)?;
            self.recv.consume(len);
            match self.head.status() {
                101 => return Err(Fault::peer(Code::BadHead, "upgrade that nobody asked for")),
                100..200 if self.interim < INTERIM_MAX => self.interim = self.interim.saturating_add(1),
                100..200 => return Err(Fault::peer(Code::BadHead, "too many interim responses")),
                _ => {
                    self.state = State::Body(response_body(self.method, &self.head)?);
                    return Ok(true);
                }
            }
        }
    }

    fn read_body(&mut self, mut body: BodyReader) -> Result<Step, Fault> {
        let step = match body.next(&mut self.recv, self.read_closed) {
            // Broken trailers cost the connection, not the response, of which nothing is missing.
            Err(_) if matches!(body, BodyReader::Chunked(chunks) if chunks.is_complete()) => {
                self.state = State::Closed;
                self.recv = RecvBuf::default();
                return Ok(Step::End);
            }
            step => step?,
        };
        self.state = match step {
            Step::Pending | Step::Data(_) => State::Body(body),
            Step::End if self.head.keep_alive() => State::Idle,
            Step::End => State::Closed,
        };
        Ok(step)
    }

    fn lend(&mut self, len: usize) -> Option<ClientEvent<'_>> {
        self.lent = len;
        self.recv.as_slice().get(..len).map(ClientEvent::Data)
    }

    /// Drops the piece that the last event lent.
    fn forget_lent(&mut self) {
        let lent = std::mem::take(&mut self.lent);
        if lent > 0 {
            self.recv.consume(lent);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("state", &self.state)
            .field("buffered", &self.recv.len())
            .field("read_closed", &self.read_closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
