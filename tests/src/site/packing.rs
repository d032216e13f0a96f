//! Bodies that are packed although nobody asked for it.

use super::Site;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write;

/// Packs bytes in these codings, one after the other: `gzip`, `x-gzip`, `deflate`, and `raw` for `deflate` without its
/// frame. Others leave them as they are.
pub fn pack(codings: &str, bytes: &[u8]) -> Vec<u8> {
    codings.split(", ").fold(bytes.to_vec(), |bytes, coding| match coding {
        "gzip" | "x-gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&bytes).and_then(|()| encoder.finish()).unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&bytes).and_then(|()| encoder.finish()).unwrap()
        }
        "raw" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&bytes).and_then(|()| encoder.finish()).unwrap()
        }
        _ => bytes,
    })
}

impl Site {
    /// The field that says how bodies are packed.
    pub(super) fn coding_field(&self) -> Option<String> {
        self.packs.map(|codings| codings.replace("raw", "deflate"))
    }

    /// A part of a body as it goes over the wire. Of `gzip` each part is a member of its own.
    pub(super) fn packed(&self, text: &str) -> Vec<u8> {
        self.packs.map_or_else(|| text.as_bytes().to_vec(), |codings| pack(codings, text.as_bytes()))
    }

    /// The same as a chunk.
    pub(super) fn packed_chunk(&self, text: &str) -> Vec<u8> {
        let body = self.packed(text);
        [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat()
    }
}
