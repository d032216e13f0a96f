//! Newline framing of a child's stdio: one message, one line (MCP, transports § stdio).
//!
//! Invariants: a line is lent from the receive buffer without a copy and forgotten at the next call; no byte
//! is searched twice; a line over the limit costs one fault and its own text, the lines after it are
//! unharmed.
//! Deliberately absent: what is in a line. Bad UTF-8 and text that is no JSON are the caller's to log and skip.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;

use crate::buf::RecvBuf;
use crate::fault::{Code, Fault};

/// Takes a byte stream apart into lines.
pub struct LineDecoder {
    recv: RecvBuf,
    line_bytes_max: usize,
    lent: usize,
    skipping: bool,
    refused: bool,
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// How much is remembered of either end of a skipped line.
const REMEMBERED: usize = 128;

impl LineDecoder {
    /// A decoder for lines of at most `line_bytes_max` bytes, not counting the line feed.
    pub fn new(line_bytes_max: usize) -> Self {
        Self {
            recv: RecvBuf::default(),
            line_bytes_max,
            lent: 0,
            skipping: false,
            refused: false,
            head: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Takes what the pipe gave.
    pub fn push(&mut self, bytes: &[u8]) {
        self.forget_lent();
        self.recv.push(bytes);
    }

    /// The next line without its LF or CRLF; blank lines are passed over.
    ///
    /// # Errors
    /// `BodyTooLarge`, once for each line over the limit, when its end was seen (`Overloaded` for a refused one); [`Self::skipped`] tells how it began
    /// and ended. Go on: the next call is about the line after it.
    #[expect(
        clippy::should_implement_trait,
        reason = "a decoder is no iterator: nothing now may be something later"
    )]
    pub fn next(&mut self) -> Result<Option<&mut [u8]>, Fault> {
        self.forget_lent();
        while let Some(end) = self.find_end()? {
            let after = end.saturating_add(1);
            if !self.recv.as_slice().get(..end).unwrap_or_default().trim_ascii().is_empty() {
                self.lent = after;
                return Ok(Some(self.line(end)));
            }
            self.recv.consume(after);
        }
        Ok(None)
    }

    /// The line that the end of the stream left unfinished. Call when [`Self::next`] gave nothing more.
    pub fn finish(&mut self) -> Option<&mut [u8]> {
        self.forget_lent();
        if self.recv.as_slice().trim_ascii().is_empty() {
            return None;
        }
        self.lent = self.recv.len();
        Some(self.line(self.lent))
    }

    /// Lets go of the line that is coming in, as if it were over the limit; its fault is `Overloaded`. Nothing happens
    /// between two lines.
    pub fn refuse_line(&mut self) {
        self.forget_lent();
        if !self.skipping && !self.recv.is_empty() {
            self.refused = true;
            self.start_skipping();
            self.skip(None);
        }
    }

    /// Bytes of the line that is coming in.
    pub fn pending(&self) -> usize {
        self.recv.len()
    }

    /// Storage it takes, used or not.
    pub fn capacity(&self) -> usize {
        self.recv.capacity()
    }

    /// The first and the last bytes of the line that was skipped last: enough to find out which message it was.
    pub fn skipped(&self) -> (&[u8], &[u8]) {
        (&self.head, &self.tail)
    }

    /// Where the line at the front ends. What is left of an overlong line is dropped on the way.
    fn find_end(&mut self) -> Result<Option<usize>, Fault> {
        let found = self.recv.find(b'\n');
        if !self.skipping {
            if found.unwrap_or_else(|| self.recv.len()) <= self.line_bytes_max {
                return Ok(found);
            }
            self.start_skipping();
        }
        self.skip(found);
        if found.is_none() {
            return Ok(None);
        }
        self.skipping = false;
        if std::mem::take(&mut self.refused) {
            return Err(Fault::local(Code::Overloaded, "no memory was left for a line"));
        }
        let max = self.line_bytes_max;
        Err(Fault::peer(Code::BodyTooLarge, format!("line of more than {max} bytes")))
    }

    fn start_skipping(&mut self) {
        self.skipping = true;
        self.head.clear();
        self.tail.clear();
    }

    /// Drops what is here of an overlong line, remembering its ends.
    fn skip(&mut self, end: Option<usize>) {
        let here = self.recv.as_slice();
        let part = here.get(..end.unwrap_or(here.len())).unwrap_or_default();
        let room = REMEMBERED.saturating_sub(self.head.len());
        self.head.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
        self.tail.extend_from_slice(part.get(part.len().saturating_sub(REMEMBERED)..).unwrap_or_default());
        let old = self.tail.len().saturating_sub(REMEMBERED);
        self.tail.drain(..old);
        self.recv.consume(end.map_or(usize::MAX, |end| end.saturating_add(1)));
    }

    /// The first `end` bytes without a carriage return at their end.
    fn line(&mut self, end: usize) -> &mut [u8] {
        let line = self.recv.as_mut_slice().get_mut(..end).unwrap_or_default();
        let len = line.strip_suffix(b"\r").map_or(line.len(), <[u8]>::len);
        line.get_mut(..len).unwrap_or_default()
    }

    fn forget_lent(&mut self) {
        let lent = std::mem::take(&mut self.lent);
        if lent > 0 {
            self.recv.consume(lent);
        }
    }
}

impl fmt::Debug for LineDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineDecoder")
            .field("buffered", &self.recv.len())
            .field("skipping", &self.skipping)
            .finish_non_exhaustive()
    }
}

/// Replaces CR and LF by spaces. In valid JSON they can only be white space between tokens (RFC 8259 §2), so
/// that meaning and length stay; without this a pretty-printed message would become several lines.
pub fn blank_newlines(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = if matches!(*byte, b'\r' | b'\n') { b' ' } else { *byte };
    }
}

#[cfg(test)]
mod tests;
