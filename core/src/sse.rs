//! Event streams, both ways (HTML Standard § 9.2, "Server-sent events").
//!
//! Invariants: no byte is searched twice; the data of an event is lent from the receive buffer, where the
//! `data` lines of an event are moved together, so that one line (the common case) is never copied and many
//! are copied once; what one event may make us hold is bounded.
//! Deliberately absent: reconnecting, and UTF-8 checks of data (its reader parses JSON and checks then).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;
use std::io::Write;
use std::ops::Range;

use crate::buf::{RecvBuf, position};
use crate::fault::{Code, Fault};
use crate::line::blank_newlines;

/// May stand at the start of a stream and means nothing.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One event, lent until the decoder is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event` field; empty when there is none, which means `message`.
    pub name: &'a str,
    /// The `data` lines, joined by LF. Empty in an event that only sets [`Event::id`] or [`Event::retry_ms`].
    pub data: &'a [u8],
    /// The `id` field of this event.
    pub id: Option<&'a str>,
    /// The `retry` field of this event, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// A longer id is taken for an empty one: it is kept as long as its stream, and sent in a head.
pub const ID_BYTES_MAX: usize = 1_024;

/// Takes an event stream apart.
///
/// The receive buffer holds the event under construction: its data, the remains of lines that were read, and
/// from `line` on what was not.
///
/// ```text
/// | …"data: " | data \n data \n data | remains | unread line …
///             └──── data (range) ────┘         └ line
/// ```
pub struct Decoder {
    recv: RecvBuf,
    event_bytes_max: usize,
    line: usize,
    data: Option<Range<usize>>,
    name: String,
    id: String,
    has_id: bool,
    retry_ms: Option<u64>,
    last_id: String,
    stage: Stage,
    after_cr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A byte order mark may come.
    Start,
    /// Within an event or between two.
    Lines,
    /// An event is lent.
    Lent,
    /// A bound was broken.
    Failed,
}

impl Decoder {
    /// A decoder for one response. An event may have `event_bytes_max` bytes on the wire.
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            recv: RecvBuf::default(),
            event_bytes_max,
            line: 0,
            data: None,
            name: String::new(),
            id: String::new(),
            has_id: false,
            retry_ms: None,
            last_id: String::new(),
            stage: Stage::Start,
            after_cr: false,
        }
    }

    /// Takes a piece of the stream, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.forget_lent();
        if self.stage != Stage::Failed {
            self.recv.push(bytes);
        }
    }

    /// The next event. Those without data are passed over unless they set an id or a retry time.
    ///
    /// At the end of the stream an event without its blank line is dropped with the decoder.
    ///
    /// # Errors
    /// `BadStream` when an event is over the limit; the decoder then yields nothing more.
    #[expect(
        clippy::should_implement_trait,
        reason = "a decoder is no iterator: nothing now may be something later"
    )]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Fault> {
        self.forget_lent();
        if self.stage == Stage::Start {
            self.skip_byte_order_mark();
        }
        if self.stage != Stage::Lines {
            return Ok(None);
        }
        while let Some(line) = self.take_line()? {
            if !line.is_empty() {
                self.read_field(line);
            } else if self.dispatch() {
                return Ok(Some(self.event()));
            }
        }
        Ok(None)
    }

    /// The id to resume after: of the latest event that set one, `None` when it was empty or there was none.
    pub fn last_event_id(&self) -> Option<&str> {
        Some(self.last_id.as_str()).filter(|id| !id.is_empty())
    }

    /// Bytes of the event that is coming in.
    pub fn pending(&self) -> usize {
        self.recv.len()
    }

    /// Storage it takes, used or not.
    pub fn capacity(&self) -> usize {
        let words = [self.name.capacity(), self.id.capacity(), self.last_id.capacity()];
        words.iter().fold(self.recv.capacity(), |sum, word| sum.saturating_add(*word))
    }

    fn skip_byte_order_mark(&mut self) {
        let start = self.recv.as_slice();
        if start.starts_with(BYTE_ORDER_MARK) {
            self.recv.consume(BYTE_ORDER_MARK.len());
        } else if BYTE_ORDER_MARK.starts_with(start) {
            return;
        }
        self.stage = Stage::Lines;
    }

    /// The next complete line without its end, which is LF, CR, or CRLF.
    fn take_line(&mut self) -> Result<Option<Range<usize>>, Fault> {
        let bytes = self.recv.as_slice();
        // The LF of a CRLF whose CR ended a line already.
        if self.after_cr && self.line < bytes.len() {
            self.after_cr = false;
            if bytes.get(self.line) == Some(&b'\n') {
                self.line = self.line.saturating_add(1);
            }
        }
        let from = self.line.max(self.recv.scanned());
        let rest = bytes.get(from..).unwrap_or_default();
        let end = position(rest, *b"\r\n").map(|at| from.saturating_add(at));
        if end.unwrap_or(bytes.len()) > self.event_bytes_max {
            self.stage = Stage::Failed;
            self.recv = RecvBuf::default();
            let max = self.event_bytes_max;
            return Err(Fault::peer(Code::BadStream, format!("event of more than {max} bytes")));
        }
        let Some(end) = end else {
            self.recv.set_scanned(bytes.len());
            return Ok(None);
        };
        self.after_cr = bytes.get(end) == Some(&b'\r');
        let line = self.line..end;
        self.line = end.saturating_add(1);
        Ok(Some(line))
    }

    fn read_field(&mut self, line: Range<usize>) {
        let text = self.recv.as_slice().get(line.clone()).unwrap_or_default();
        let colon = text.iter().take(6).position(|&byte| byte == b':');
        let (name, rest) = text.split_at_checked(colon.unwrap_or(text.len())).unwrap_or_default();
        let rest = rest.strip_prefix(b":").unwrap_or(rest);
        let value = rest.strip_prefix(b" ").unwrap_or(rest);
        match name {
            b"data" => {
                let start = line.end.saturating_sub(value.len());
                self.append_data(start..line.end);
            }
            b"event" => {
                self.name.clear();
                self.name.push_str(&String::from_utf8_lossy(value));
            }
            b"id" if !value.contains(&0) => {
                self.id.clear();
                if value.len() <= ID_BYTES_MAX {
                    self.id.push_str(&String::from_utf8_lossy(value));
                }
                self.has_id = true;
            }
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(value).ok();
                self.retry_ms = digits.and_then(|digits| digits.parse().ok()).or(self.retry_ms);
            }
            // A comment, or a field that means nothing.
            _ => {}
        }
        if self.data.is_none() {
            self.drop_lines();
        }
    }

    /// Joins a `data` value to those before it. There is always room: every line had a name and an end.
    fn append_data(&mut self, value: Range<usize>) {
        let Some(data) = &mut self.data else {
            self.data = Some(value);
            return;
        };
        let bytes = self.recv.as_mut_slice();
        let start = data.end.saturating_add(1);
        debug_assert!(start <= value.start && value.end <= bytes.len(), "data would overtake its source");
        if let Some(joint) = bytes.get_mut(data.end) {
            *joint = b'\n';
        }
        data.end = start.saturating_add(value.len());
        bytes.copy_within(value, start);
    }

    /// At a blank line: true when there is an event to lend.
    fn dispatch(&mut self) -> bool {
        if self.has_id {
            std::mem::swap(&mut self.last_id, &mut self.id);
        }
        let has_data = self.data.as_ref().is_some_and(|data| !data.is_empty());
        self.stage = Stage::Lent;
        if !has_data && !self.has_id && self.retry_ms.is_none() {
            self.forget_lent();
        }
        self.stage == Stage::Lent
    }

    fn event(&self) -> Event<'_> {
        let data = self.data.clone().unwrap_or_default();
        Event {
            name: &self.name,
            data: self.recv.as_slice().get(data).unwrap_or_default(),
            id: self.has_id.then_some(self.last_id.as_str()),
            retry_ms: self.retry_ms,
        }
    }

    /// Starts the next event when one is done.
    fn forget_lent(&mut self) {
        if self.stage == Stage::Lent {
            self.stage = Stage::Lines;
            self.data = None;
            self.name.clear();
            self.has_id = false;
            self.retry_ms = None;
            self.drop_lines();
        }
    }

    fn drop_lines(&mut self) {
        self.recv.consume(self.line);
        self.line = 0;
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("stage", &self.stage)
            .field("buffered", &self.recv.len())
            .finish_non_exhaustive()
    }
}

/// Appends one event. The pieces of `data` together are one JSON text, or nothing; its raw newlines become
/// spaces, so that it always is one `data` line. Newlines in `id` and `event` become spaces too.
pub fn encode_event(
    out: &mut Vec<u8>,
    id: Option<fmt::Arguments<'_>>,
    event: Option<&str>,
    retry_ms: Option<u64>,
    data: &[&[u8]],
) {
    if let Some(event) = event {
        push_line(out, format_args!("event: {event}"));
    }
    if let Some(id) = id {
        push_line(out, format_args!("id: {id}"));
    }
    if let Some(retry_ms) = retry_ms {
        push_line(out, format_args!("retry: {retry_ms}"));
    }
    out.extend_from_slice(b"data: ");
    let start = out.len();
    for piece in data {
        out.extend_from_slice(piece);
    }
    blank_newlines(out.get_mut(start..).unwrap_or_default());
    out.extend_from_slice(b"\n\n");
}

/// Appends a comment, which keeps an idle connection alive and means nothing to the client.
pub fn encode_comment(out: &mut Vec<u8>, text: &str) {
    push_line(out, format_args!(": {text}"));
    out.push(b'\n');
}

fn push_line(out: &mut Vec<u8>, line: fmt::Arguments<'_>) {
    let start = out.len();
    let _ = out.write_fmt(line);
    blank_newlines(out.get_mut(start..).unwrap_or_default());
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
