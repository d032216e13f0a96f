//! Bodies that are packed (RFC 9110 §8.4): `gzip` and its old name `x-gzip`, `deflate` with or without the zlib frame.
//!
//! ```text
//! packed piece ─▶ stage of the last coding ─▶ … ─▶ stage of the first ─▶ piece
//! ```
//! [`Coding`] unpacks piece by piece, so that an event stream arrives as it comes.
//!
//! Invariants: nothing is unpacked in one step beyond `piece_bytes_max`, so that few bytes never become many in memory;
//! what has come out altogether stays below that plus [`UNPACKED_RATIO_MAX`] times what went in, so that a stream cannot keep us
//! busy for nothing. Deliberately absent: packing, every other coding, which is refused by its name, and packed requests, which
//! nobody needs and which are refused.

use super::head::ResponseHead;
use crate::fault::{Code, Fault};
use crate::limits::{CODINGS_MAX, UNPACK_STEP_BYTES, UNPACKED_RATIO_MAX};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};

/// Storage of one stage: a window of 32 KiB, tables, and a buffer of 32 KiB.
const STAGE_BYTES: usize = 80 * 1_024;

/// What undoes the codings of one body.
pub(crate) struct Coding {
    /// The coding that was applied last is undone first.
    stages: Vec<Stage>,
    /// What came and is not unpacked yet.
    packed: VecDeque<u8>,
    piece_bytes_max: usize,
    taken: u64,
    given: u64,
}

enum Stage {
    Gzip(MultiGzDecoder<Sink>),
    /// `deflate` before its first two bytes, which tell whether there is a frame.
    Deflate(Vec<u8>, usize),
    Zlib(ZlibDecoder<Sink>),
    Raw(DeflateDecoder<Sink>),
}

/// Takes what a decoder gives, up to a bound.
struct Sink {
    out: Vec<u8>,
    bytes_max: usize,
    is_full: bool,
}

impl Coding {
    /// How the body of this response is packed; `None` if it is not.
    ///
    /// # Errors
    /// [`Code::UpstreamBroken`] for a coding that is not known, or too many of them.
    pub(crate) fn of(head: &ResponseHead, piece_bytes_max: usize) -> Result<Option<Self>, Fault> {
        let mut stages = Vec::new();
        for name in head.fields().items("content-encoding") {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if name.is_empty() || is("identity") {
                continue;
            }
            if stages.len() >= CODINGS_MAX {
                return Err(Fault::peer(
                    Code::UpstreamBroken,
                    "the server packed its answer again and again",
                ));
            }
            stages.push(match () {
                () if is("gzip") || is("x-gzip") => Stage::Gzip(MultiGzDecoder::new(Sink::new(piece_bytes_max))),
                () if is("deflate") => Stage::Deflate(Vec::new(), piece_bytes_max),
                () => {
                    let detail = format!(
                        "the server packed its answer as `{}`, although it was asked not to; only gzip and deflate can be unpacked",
                        Fault::quoted(name.as_bytes())
                    );
                    return Err(Fault::peer(Code::UpstreamBroken, detail));
                }
            });
        }
        stages.reverse();
        Ok((!stages.is_empty()).then_some(Self {
            stages,
            packed: VecDeque::new(),
            piece_bytes_max,
            taken: 0,
            given: 0,
        }))
    }

    /// Takes a piece of the body.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.packed.extend(piece);
    }

    /// Unpacks some of what came; `None` when there is nothing more to unpack.
    ///
    /// # Errors
    /// [`Code::UpstreamBroken`] when it is broken or becomes too much. The rest of the body is lost then.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let mut bytes: Vec<u8> = self.packed.drain(..UNPACK_STEP_BYTES.min(self.packed.len())).collect();
        if bytes.is_empty() {
            return Ok(None);
        }
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        for stage in &mut self.stages {
            bytes = stage.unpack(&bytes)?;
        }
        self.given = self.given.saturating_add(bytes.len() as u64);
        let allowed =
            self.taken.saturating_mul(UNPACKED_RATIO_MAX).saturating_add(self.piece_bytes_max as u64);
        if self.given > allowed {
            return Err(too_much());
        }
        Ok(Some(bytes))
    }

    /// The body is over.
    ///
    /// # Errors
    /// [`Code::UpstreamBroken`] when something of it is missing. A body without a byte is complete.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        if self.taken == 0 {
            return Ok(());
        }
        self.stages.iter_mut().try_for_each(Stage::finish)
    }

    /// Storage it takes.
    pub(crate) fn capacity(&self) -> usize {
        self.stages.len().saturating_mul(STAGE_BYTES).saturating_add(self.packed.capacity())
    }
}

impl fmt::Debug for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coding").field("stages", &self.stages.len()).finish_non_exhaustive()
    }
}

impl Stage {
    fn unpack(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        if let Self::Deflate(begun, bytes_max) = self {
            begun.extend_from_slice(bytes);
            let &[first, second, ..] = begun.as_slice() else { return Ok(Vec::new()) };
            let (begun, sink) = (std::mem::take(begun), Sink::new(*bytes_max));
            *self = match is_zlib(first, second) {
                true => Self::Zlib(ZlibDecoder::new(sink)),
                false => Self::Raw(DeflateDecoder::new(sink)),
            };
            return self.unpack(&begun);
        }
        let written = match self {
            Self::Gzip(decoder) => write(decoder, bytes),
            Self::Zlib(decoder) => write(decoder, bytes),
            Self::Raw(decoder) => write(decoder, bytes),
            Self::Deflate(..) => Ok(()),
        };
        let Some(sink) = self.sink() else { return Ok(Vec::new()) };
        match written {
            Ok(()) => Ok(std::mem::take(&mut sink.out)),
            Err(_) if sink.is_full => Err(too_much()),
            Err(_) => Err(broken()),
        }
    }

    fn finish(&mut self) -> Result<(), Fault> {
        let end = match self {
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zlib(decoder) => decoder.try_finish(),
            Self::Raw(decoder) => decoder.try_finish(),
            Self::Deflate(..) => return Err(broken()),
        };
        end.map_err(|_| broken())
    }

    fn sink(&mut self) -> Option<&mut Sink> {
        match self {
            Self::Gzip(decoder) => Some(decoder.get_mut()),
            Self::Zlib(decoder) => Some(decoder.get_mut()),
            Self::Raw(decoder) => Some(decoder.get_mut()),
            Self::Deflate(..) => None,
        }
    }
}

/// Hands over all bytes and takes all that follows from them. What comes after the end of the packed data is ignored.
fn write(decoder: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let len = decoder.write(bytes)?;
        if len == 0 {
            break;
        }
        bytes = bytes.get(len..).unwrap_or_default();
    }
    decoder.flush()
}

/// Whether these are the first bytes of a zlib frame (RFC 1950 §2.2).
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

impl Sink {
    fn new(bytes_max: usize) -> Self {
        Self { out: Vec::new(), bytes_max, is_full: false }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.out.len().saturating_add(bytes.len()) > self.bytes_max {
            self.is_full = true;
            return Err(io::Error::other("too much"));
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_much() -> Fault {
    Fault::peer(
        Code::UpstreamBroken,
        "the packed answer of the server becomes too large (see limits.messageBytes)",
    )
}

fn broken() -> Fault {
    Fault::peer(
        Code::UpstreamBroken,
        "the packed answer of the server cannot be unpacked: it is cut off or damaged",
    )
}

#[cfg(test)]
mod tests;
