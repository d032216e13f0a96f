//! Newline framing of a child's stdio: one message, one line (MCP, transports § stdio).
//!
//! Invariants: a line is lent from the receive buffer without a copy and forgotten at the next call; no byte
//! is searched twice; a line over the limit costs one fault and its own text, the lines after it are
//! unharmed; an encoded line holds exactly one line feed, at its end.
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
}

impl LineDecoder {
    /// A decoder for lines of at most `line_bytes_max` bytes, not counting the line feed.
    pub fn new(line_bytes_max: usize) -> Self {
        Self { recv: RecvBuf::default(), line_bytes_max, lent: 0, skipping: false }
    }

    /// Takes what the pipe gave.
    pub fn push(&mut self, bytes: &[u8]) {
        self.forget_lent();
        self.recv.push(bytes);
    }

    /// The next line without its LF or CRLF; blank lines are passed over.
    ///
    /// # Errors
    /// `BodyTooLarge`, once for each line over the limit. Go on: the next call is about the line after it.
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

    /// True when part of a line waits for the rest.
    pub fn is_mid_line(&self) -> bool {
        self.skipping || self.recv.len() > self.lent
    }

    /// Where the line at the front ends. What is left of an overlong line is dropped on the way.
    fn find_end(&mut self) -> Result<Option<usize>, Fault> {
        let mut found = self.recv.find(b'\n');
        if self.skipping {
            self.recv.consume(found.map_or(usize::MAX, |end| end.saturating_add(1)));
            self.skipping = found.is_none();
            found = self.recv.find(b'\n');
        }
        if found.unwrap_or_else(|| self.recv.len()) <= self.line_bytes_max {
            return Ok(found);
        }
        self.recv.consume(found.map_or(usize::MAX, |end| end.saturating_add(1)));
        self.skipping = found.is_none();
        let max = self.line_bytes_max;
        Err(Fault::peer(Code::BodyTooLarge, format!("line of more than {max} bytes")))
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

/// Appends the pieces, which together are one JSON text, as one line.
pub fn encode_line(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    let start = out.len();
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    blank_newlines(out.get_mut(start..).unwrap_or_default());
    out.push(b'\n');
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
