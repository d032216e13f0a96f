//! How long a body is, and how to take it apart (RFC 9112 §6 and §7).
//!
//! [`request_body`] and [`response_body`] are the only places that decide framing; [`BodyReader`] then walks
//! through the bytes. `httparse`'s chunk sizes are not used: they accept an empty size and bare line feeds.
//!
//! Invariants: a message with contradictory framing is refused; the line end after every chunk is verified;
//! size lines, extensions and trailers are bounded; no more than the body is ever consumed.
//! Deliberately absent: transfer codings other than `chunked`, and the content of extensions and trailers.

use super::fields::Fields;
use super::head::{Method, RequestHead, ResponseHead};
use crate::buf::RecvBuf;
use crate::fault::{Code, Fault};
use crate::limits::{TRAILER_BYTES_MAX, TRAILERS_MAX};

/// Longest line of a chunk size with its extensions, up to the line feed. Real ones have under 20 bytes.
const SIZE_LINE_BYTES_MAX: usize = 1024;

/// Most digits of a chunk size: what a `u64` can hold.
const SIZE_DIGITS_MAX: usize = 16;

/// The rest of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyReader {
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked(ChunkReader),
    /// Everything until the peer closes; responses only.
    UntilClose,
}

/// What stands at the front of the receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing useful yet.
    Pending,
    /// This many bytes of body (never 0). The caller consumes them before it asks again.
    Data(usize),
    /// The body is complete; what follows is not part of it.
    End,
}

/// The framing of a request (RFC 9112 §6.3, steps 3 to 7).
pub(crate) fn request_body(head: &RequestHead) -> Result<BodyReader, Fault> {
    declared(head.fields(), head.version_minor()).map(|body| body.unwrap_or(BodyReader::Length(0)))
}

/// The framing of a response to a request with this method (RFC 9112 §6.3, steps 1 to 8).
pub(crate) fn response_body(method: Method, head: &ResponseHead) -> Result<BodyReader, Fault> {
    let declared = declared(head.fields(), head.version_minor())?;
    if method == Method::Head || matches!(head.status(), 100..200 | 204 | 304) {
        return Ok(BodyReader::Length(0));
    }
    Ok(declared.unwrap_or(BodyReader::UntilClose))
}

impl BodyReader {
    /// Reads on. Size lines, line ends and trailers are consumed, data is left to the caller.
    ///
    /// # Errors
    /// `BadFraming` for anything RFC 9112 §7.1 does not allow, and for an end in the middle.
    pub(crate) fn next(&mut self, recv: &mut RecvBuf, read_closed: bool) -> Result<Step, Fault> {
        let step = match self {
            Self::Length(0) => Step::End,
            Self::Length(left) => take(left, recv),
            Self::Chunked(reader) => reader.next(recv)?,
            Self::UntilClose if read_closed && recv.is_empty() => Step::End,
            Self::UntilClose => {
                let mut endless = u64::MAX;
                take(&mut endless, recv)
            }
        };
        if step == Step::Pending && read_closed {
            return Err(Fault::peer(Code::BadFraming, "connection closed in the middle of a body"));
        }
        Ok(step)
    }
}

/// Where a chunked body is.
///
/// ```text
/// Size ─ n > 0 ─▶ Data ─▶ DataEnd ─▶ Size
///   └─── 0 ────▶ Trailers ─▶ Done
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkReader {
    /// Before the line with a size.
    Size,
    /// Within a chunk; so many bytes are to come.
    Data(u64),
    /// Before the line end after a chunk.
    DataEnd,
    /// After the last chunk.
    Trailers {
        /// So many bytes of trailers may come.
        room: usize,
        /// So many trailers may come.
        left: usize,
    },
    /// After the blank line that ends the body.
    Done,
}

impl ChunkReader {
    /// How much of the present chunk is still to come.
    pub(crate) fn left_in_chunk(self) -> u64 {
        match self {
            Self::Data(left) => left,
            Self::Size | Self::DataEnd | Self::Trailers { .. } | Self::Done => 0,
        }
    }

    /// Whether all of the body has come, though not its end.
    pub(crate) fn is_complete(self) -> bool {
        matches!(self, Self::Trailers { .. } | Self::Done)
    }

    fn next(&mut self, recv: &mut RecvBuf) -> Result<Step, Fault> {
        loop {
            *self = match self {
                Self::Size => match take_line(recv, SIZE_LINE_BYTES_MAX, chunk_size)? {
                    None => return Ok(Step::Pending),
                    Some((0, _)) => Self::Trailers { room: TRAILER_BYTES_MAX, left: TRAILERS_MAX },
                    Some((size, _)) => Self::Data(size),
                },
                Self::Data(0) => Self::DataEnd,
                Self::Data(left) => return Ok(take(left, recv)),
                Self::DataEnd => match recv.as_slice() {
                    [b'\r', b'\n', ..] => {
                        recv.consume(2);
                        Self::Size
                    }
                    [] | [b'\r'] => return Ok(Step::Pending),
                    _ => return Err(Fault::peer(Code::BadFraming, "chunk does not end where its size says")),
                },
                Self::Trailers { room, left } => match take_line(recv, *room, trailer)? {
                    None => return Ok(Step::Pending),
                    Some((true, _)) => Self::Done,
                    Some((false, _)) if *left == 0 => {
                        return Err(Fault::peer(Code::BadFraming, "too many trailers"));
                    }
                    Some((false, len)) => {
                        Self::Trailers { room: room.saturating_sub(len), left: left.saturating_sub(1) }
                    }
                },
                Self::Done => return Ok(Step::End),
            };
        }
    }
}

/// What the fields say about the length, `None` when they say nothing.
fn declared(fields: &Fields, version_minor: u8) -> Result<Option<BodyReader>, Fault> {
    let bad = |detail| Err(Fault::peer(Code::BadFraming, detail));
    let mut lengths = fields.values("content-length");
    let length = lengths.next();
    let coded = fields.values("transfer-encoding").next().is_some();
    match (length, coded) {
        (Some(_), true) => bad("both content-length and transfer-encoding"),
        (Some(_), false) if lengths.next().is_some() => bad("more than one content-length"),
        (Some(value), false) => content_length(value).map(|len| Some(BodyReader::Length(len))),
        (None, true) if version_minor == 0 => bad("transfer-encoding in an HTTP/1.0 message"),
        (None, true) => {
            check_codings(fields)?;
            Ok(Some(BodyReader::Chunked(ChunkReader::Size)))
        }
        (None, false) => Ok(None),
    }
}

/// Digits and nothing else: no sign, no blanks, no list.
fn content_length(value: &str) -> Result<u64, Fault> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(len) if digits => Ok(len),
        _ => Err(Fault::peer(Code::BadFraming, "content-length is not a number in range")),
    }
}

/// Accepts exactly `chunked`.
fn check_codings(fields: &Fields) -> Result<(), Fault> {
    let is_chunked = |coding: &str| coding.eq_ignore_ascii_case("chunked");
    let codings = || fields.items("transfer-encoding");
    let chunked = codings().filter(|coding| is_chunked(coding)).count();
    let last = codings().last().is_some_and(is_chunked);
    if codings().any(str::is_empty) || chunked > 1 || (chunked == 1 && !last) {
        return Err(Fault::peer(Code::BadFraming, "chunked is not the last transfer coding"));
    }
    if codings().count() > 1 || !last {
        return Err(Fault::peer(Code::UnknownCoding, "transfer coding other than chunked"));
    }
    Ok(())
}

/// As much of `left` as there is.
fn take(left: &mut u64, recv: &RecvBuf) -> Step {
    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(recv.len());
    *left = left.saturating_sub(len as u64);
    if len == 0 { Step::Pending } else { Step::Data(len) }
}

/// Consumes one line that ends with CRLF and gives what `read` makes of it, with its length on the wire.
fn take_line<T>(
    recv: &mut RecvBuf,
    bytes_max: usize,
    read: impl Fn(&[u8]) -> Result<T, Fault>,
) -> Result<Option<(T, usize)>, Fault> {
    let newline = recv.find(b'\n');
    if newline.unwrap_or_else(|| recv.len()) > bytes_max {
        return Err(Fault::peer(Code::BadFraming, "line of a chunked body is too long"));
    }
    let Some(newline) = newline else { return Ok(None) };
    let line = recv.as_slice().get(..newline).and_then(|line| line.strip_suffix(b"\r"));
    let Some(line) = line.filter(|line| !line.contains(&b'\r')) else {
        return Err(Fault::peer(Code::BadFraming, "line of a chunked body ends without CRLF"));
    };
    let value = read(line)?;
    let len = newline.saturating_add(1);
    recv.consume(len);
    Ok(Some((value, len)))
}

/// A trailer field (RFC 9112 §5), whose content means nothing here. Returns whether it is the blank line that ends them.
fn trailer(line: &[u8]) -> Result<bool, Fault> {
    let bad = || Fault::peer(Code::BadFraming, "invalid trailer");
    if line.is_empty() {
        return Ok(true);
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or_else(bad)?;
    let (name, value) = line.split_at_checked(colon).ok_or_else(bad)?;
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    match !name.is_empty() && name.iter().all(is_token) && value.iter().all(is_text) {
        true => Ok(false),
        false => Err(bad()),
    }
}

/// `chunk-size [ chunk-ext ]`: hexadecimal digits, then nothing, blanks, or an extension after `;`.
fn chunk_size(line: &[u8]) -> Result<u64, Fault> {
    let bad = || Fault::peer(Code::BadFraming, "invalid chunk size");
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at_checked(digits).ok_or_else(bad)?;
    let extension = rest.trim_ascii_start();
    let printable = rest.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control());
    if !(1..=SIZE_DIGITS_MAX).contains(&digits) || !matches!(extension, [] | [b';', ..]) || !printable {
        return Err(bad());
    }
    let text = std::str::from_utf8(size).map_err(|_| bad())?;
    u64::from_str_radix(text, 16).map_err(|_| bad())
}

#[cfg(test)]
mod tests;
