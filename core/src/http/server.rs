//! What one downstream connection sends: requests, one at a time (RFC 9112).
//!
//! ```text
//!            Head event        Request event
//!   Head ───────────────▶ Body ─────────────▶ Complete
//!    ▲ │                   │ finish()            │ finish()
//!    │ │ fault, Eof        ▼                     │
//!    │ └──▶ Closed ◀── too much left to read     │
//!    │                     │ a small rest        │
//!    └──────── Drain ◀─────┘                     │
//!    └───────────────────────────────────────────┘
//! ```
//!
//! The owner calls [`Server::push`], then [`Server::next`] until it gives nothing. After a request it queues
//! the response, asks [`Server::will_close`], and calls [`Server::finish`]; requests that came meanwhile
//! (pipelining) wait in the buffer and follow from `next`.
//!
//! Invariants: one head parse per request; a body with a length is lent from the receive buffer without a
//! copy; what a peer can make us hold is bounded by a head, a body, and a backlog of one head; nothing is
//! read from a connection after a fault.
//! Deliberately absent: timers, responses (see [`super::encode`]), and what to do when the peer half-closes
//! while its request is answered.

use std::fmt;

use super::Limits;
use super::body::{BodyReader, Step, request_body};
use super::fields::find_end;
use super::head::{Method, RequestHead};
use crate::buf::RecvBuf;
use crate::fault::{Code, Fault};

/// Most bytes of an unwanted body that are read to keep the connection; with more a new one is cheaper.
const DRAIN_BYTES_MAX: u64 = 64 * 1024;

/// Blank lines ignored before a request; RFC 9112 §2.2 asks for at least one.
const BLANK_LINES_MAX: u8 = 2;

/// Storage that is made ready for a body on the word of its sender.
const RESERVE_BYTES_MAX: usize = 64 * 1024;

/// Storage kept for the next chunked body.
const KEEP_BYTES: usize = 16 * 1024;

/// What happened on a downstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerEvent {
    /// A head is complete: see [`Server::head`]. The request may be answered already.
    Head,
    /// The request is complete: see [`Server::body`].
    Request,
    /// The client closed between two requests.
    Eof,
}

/// The receiving half of one downstream connection.
pub struct Server {
    limits: Limits,
    recv: RecvBuf,
    head: RequestHead,
    gathered: Vec<u8>,
    state: State,
    /// Of the request in progress.
    body_bytes_max: usize,
    blank_lines: u8,
    read_closed: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before or within a head.
    Head,
    /// The head is handed out, the body is coming.
    Body(BodyReader),
    /// The request is handed out.
    Complete(BodyReader),
    /// Answered early; so much of the body is thrown away.
    Drain(u64),
    /// Nothing is read any more.
    Closed,
}

impl Server {
    /// A connection on which nothing was received yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            body_bytes_max: limits.body_bytes_max,
            limits,
            recv: RecvBuf::default(),
            head: RequestHead::default(),
            gathered: Vec::new(),
            state: State::Head,
            blank_lines: 0,
            read_closed: false,
        }
    }

    /// Takes what the socket gave. After a fault or the last request it is thrown away.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Closed) {
            self.recv.push(bytes);
        }
    }

    /// The client will send nothing more.
    pub fn close_read(&mut self) {
        self.read_closed = true;
    }

    /// The next event, if the bytes so far make one.
    ///
    /// # Errors
    /// The request cannot be served and the connection ends: answer with the status of the fault's code and
    /// close. [`Server::head`] tells whether a head had been understood before.
    #[expect(
        clippy::should_implement_trait,
        reason = "a decoder is no iterator: nothing now may be something later"
    )]
    pub fn next(&mut self) -> Result<Option<ServerEvent>, Fault> {
        let event = self.step();
        if event.is_err() {
            self.close();
        }
        event
    }

    /// The head of the request in progress; empty between requests.
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// The body, whole after [`ServerEvent::Request`] and empty before.
    pub fn body(&self) -> &[u8] {
        match self.state {
            State::Complete(BodyReader::Length(len)) => self.recv.as_slice().get(..to_usize(len)),
            State::Complete(_) => Some(self.gathered.as_slice()),
            State::Head | State::Body(_) | State::Drain(_) | State::Closed => None,
        }
        .unwrap_or_default()
    }

    /// True when the client waits for [`CONTINUE`](super::CONTINUE) and none of the body has come. Ask once,
    /// right after [`ServerEvent::Head`]; no need to write it when the request is answered at once.
    pub fn wants_continue(&self) -> bool {
        match self.state {
            State::Body(body) => {
                body != BodyReader::Length(0) && self.head.expects_continue() && !self.has_body_bytes()
            }
            State::Head | State::Complete(_) | State::Drain(_) | State::Closed => false,
        }
    }

    /// Lets the body of the request in progress be at most this long; less than the limits say, never more. To be
    /// called right after [`ServerEvent::Head`].
    ///
    /// # Errors
    /// The body is known to be longer.
    pub fn limit_body(&mut self, bytes_max: usize) -> Result<(), Fault> {
        self.body_bytes_max = bytes_max.min(self.limits.body_bytes_max);
        match self.state {
            State::Body(BodyReader::Length(len)) => self.admit(len),
            State::Head | State::Body(_) | State::Complete(_) | State::Drain(_) | State::Closed => Ok(()),
        }
    }

    /// The response to the request in progress is completely queued. Forgets the request; the next one
    /// follows from [`Server::next`] unless [`Server::will_close`].
    pub fn finish(&mut self) {
        let next = match self.state {
            _ if self.will_close() => State::Closed,
            State::Body(BodyReader::Length(len)) | State::Complete(BodyReader::Length(len)) => {
                self.drain(len)
            }
            State::Complete(_) => State::Head,
            state @ (State::Head | State::Body(_) | State::Drain(_) | State::Closed) => state,
        };
        self.head.clear();
        self.gathered.clear();
        self.gathered.shrink_to(KEEP_BYTES);
        self.blank_lines = 0;
        self.body_bytes_max = self.limits.body_bytes_max;
        self.state = next;
        if matches!(next, State::Closed) {
            self.close();
        }
    }

    /// Gives up on the request in progress: nothing more is read, and the response to it, if there still is one, is the
    /// last.
    pub fn abort(&mut self) {
        self.close();
    }

    /// True when the connection ends with the response to the request in progress: the client asked for it
    /// or speaks HTTP/1.0, nothing can follow, a fault occurred, or too much of the body is unread.
    pub fn will_close(&self) -> bool {
        match self.state {
            State::Head | State::Drain(_) => false,
            State::Body(BodyReader::Length(len)) => {
                let left = len.saturating_sub(self.recv.len() as u64);
                let unclear = left > 0 && (self.read_closed || self.wants_continue());
                !self.head.keep_alive() || unclear || left > DRAIN_BYTES_MAX
            }
            State::Complete(_) => {
                !self.head.keep_alive() || (self.read_closed && self.recv.len() == self.body_in_place())
            }
            State::Body(_) | State::Closed => true,
        }
    }

    /// True when the request in progress is `HEAD`: the answer has the head of one to `GET`, and no body.
    pub fn is_head_request(&self) -> bool {
        self.head.method() == Method::Head
    }

    /// True between two requests when nothing of the next one is here.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && self.recv.is_empty()
    }

    /// True when a head has begun and is not completely here.
    pub fn is_mid_head(&self) -> bool {
        matches!(self.state, State::Head) && !self.recv.is_empty()
    }

    /// True when a request has begun and is not completely here: the time for a timeout on a slow client.
    pub fn is_mid_request(&self) -> bool {
        match self.state {
            State::Head => !self.recv.is_empty(),
            State::Body(_) | State::Drain(_) => true,
            State::Complete(_) | State::Closed => false,
        }
    }

    /// Bytes of requests that are here and not done with.
    pub fn pending(&self) -> usize {
        self.recv.len().saturating_add(self.gathered.len())
    }

    /// Storage it takes, used or not.
    pub fn capacity(&self) -> usize {
        let buffers = self.recv.capacity().saturating_add(self.gathered.capacity());
        buffers.saturating_add(self.head.fields().capacity())
    }

    /// False when a backlog of more than one head piled up behind the request that is being answered.
    /// Otherwise the socket is read all the time, so that a disconnect is noticed.
    pub fn wants_read(&self) -> bool {
        let backlog = match self.state {
            State::Complete(_) => self.recv.len().saturating_sub(self.body_in_place()),
            State::Head | State::Body(_) | State::Drain(_) | State::Closed => 0,
        };
        !self.read_closed && backlog <= self.limits.head_bytes_max
    }

    fn step(&mut self) -> Result<Option<ServerEvent>, Fault> {
        if let State::Drain(left) = self.state {
            self.state = self.drain(left);
        }
        match self.state {
            State::Head => self.read_head(),
            State::Body(body) => self.read_body(body),
            State::Drain(_) if self.read_closed => Ok(self.eof()),
            State::Complete(_) | State::Drain(_) | State::Closed => Ok(None),
        }
    }

    fn read_head(&mut self) -> Result<Option<ServerEvent>, Fault> {
        self.skip_blank_lines()?;
        match self.recv.as_slice().first() {
            None if self.read_closed => return Ok(self.eof()),
            // Tells TLS and other protocols apart before a line end would.
            Some(byte) if !byte.is_ascii_graphic() && *byte != b'\r' => {
                return Err(Fault::peer(Code::BadHead, "no HTTP request"));
            }
            None | Some(_) => {}
        }
        let Some(len) = find_end(&mut self.recv, self.limits.head_bytes_max)? else {
            return match self.read_closed {
                true => Err(Fault::peer(Code::BadHead, "connection closed in the middle of a head")),
                false => Ok(None),
            };
        };
        let bytes = self.recv.as_slice().get(..len).unwrap_or_default();
        self.head.parse(bytes, self.limits.headers_max)?;
        self.recv.consume(len);
        let body = request_body(&self.head)?;
        if let BodyReader::Length(len) = body {
            self.admit(len)?;
            let missing = to_usize(len).saturating_sub(self.recv.len());
            if missing > 0 {
                self.recv.reserve(missing.min(RESERVE_BYTES_MAX));
            }
        }
        self.state = State::Body(body);
        Ok(Some(ServerEvent::Head))
    }

    /// Drops what old clients send after a body that has none (RFC 9112 §2.2).
    fn skip_blank_lines(&mut self) -> Result<(), Fault> {
        while self.recv.as_slice().starts_with(b"\r\n") {
            self.blank_lines = self.blank_lines.saturating_add(1);
            if self.blank_lines > BLANK_LINES_MAX {
                return Err(Fault::peer(Code::BadHead, "blank lines instead of a request"));
            }
            self.recv.consume(2);
        }
        match self.recv.as_slice() {
            [b'\r', other, ..] if *other != b'\n' => {
                Err(Fault::peer(Code::BadHead, "carriage return without line feed"))
            }
            _ => Ok(()),
        }
    }

    fn read_body(&mut self, mut body: BodyReader) -> Result<Option<ServerEvent>, Fault> {
        if let BodyReader::Length(len) = body {
            if to_usize(len) <= self.recv.len() {
                self.state = State::Complete(body);
                return Ok(Some(ServerEvent::Request));
            }
            return match self.read_closed {
                true => Err(Fault::peer(Code::BadFraming, "connection closed in the middle of a body")),
                false => Ok(None),
            };
        }
        loop {
            let step = body.next(&mut self.recv, self.read_closed)?;
            self.state = State::Body(body);
            match step {
                Step::Pending => return Ok(None),
                Step::Data(len) => self.gather(len, body)?,
                Step::End => {
                    self.state = State::Complete(body);
                    return Ok(Some(ServerEvent::Request));
                }
            }
        }
    }

    /// Moves a piece of a chunked body out of the receive buffer.
    fn gather(&mut self, len: usize, body: BodyReader) -> Result<(), Fault> {
        let rest = match body {
            BodyReader::Chunked(reader) => reader.left_in_chunk(),
            BodyReader::Length(_) | BodyReader::UntilClose => 0,
        };
        let total = (self.gathered.len() as u64).saturating_add(len as u64).saturating_add(rest);
        self.admit(total)?;
        self.gathered.extend_from_slice(self.recv.as_slice().get(..len).unwrap_or_default());
        self.recv.consume(len);
        Ok(())
    }

    /// Refuses a body of `len` bytes when it is too long.
    fn admit(&self, len: u64) -> Result<(), Fault> {
        let max = self.body_bytes_max;
        match len > max as u64 {
            true => Err(Fault::local(Code::BodyTooLarge, format!("body of more than {max} bytes"))),
            false => Ok(()),
        }
    }

    /// Throws away what is here of `left` bytes; gives the state after that.
    fn drain(&mut self, left: u64) -> State {
        let here = left.min(self.recv.len() as u64);
        self.recv.consume(to_usize(here));
        match left.saturating_sub(here) {
            0 => State::Head,
            left => State::Drain(left),
        }
    }

    fn eof(&mut self) -> Option<ServerEvent> {
        self.close();
        Some(ServerEvent::Eof)
    }

    /// Ends reading. The head stays: whoever answers a fault may want to look at it.
    fn close(&mut self) {
        self.state = State::Closed;
        self.recv = RecvBuf::default();
        self.gathered = Vec::new();
    }

    fn has_body_bytes(&self) -> bool {
        !self.recv.is_empty() || !self.gathered.is_empty()
    }

    /// How much of the receive buffer is the body of the complete request.
    fn body_in_place(&self) -> usize {
        match self.state {
            State::Complete(BodyReader::Length(len)) => to_usize(len),
            State::Head | State::Body(_) | State::Complete(_) | State::Drain(_) | State::Closed => 0,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("state", &self.state)
            .field("buffered", &self.recv.len())
            .field("read_closed", &self.read_closed)
            .finish_non_exhaustive()
    }
}

/// Lengths here were compared with a limit that is a `usize`.
fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
