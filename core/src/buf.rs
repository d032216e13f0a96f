//! The two buffers of a byte stream: what came in and is not a whole frame yet, and what waits to go out.
//!
//! Both are one contiguous `Vec` with a start mark. Bytes are appended at the end and consumed at the front;
//! an emptied buffer gives storage above `KEEP_BYTES` back, so that an idle connection costs next to nothing.
//!
//! Invariants: `start <= bytes.len()`, `scanned <= len()`. Limits are the caller's: a decoder refuses to grow,
//! the engine stops reading (`wants_read`) or closes a stream whose queue passed its cap.
//! Deliberately absent: sharing and vectored pieces. A call is one `memcpy` from the frame it came in to the
//! queue it leaves by; a child's pipe cannot be written in pieces anyway.

/// Storage an empty buffer may keep: one socket read.
const KEEP_BYTES: usize = 16 * 1024;

/// A receive window with a search mark.
#[derive(Debug, Default)]
pub struct RecvBuf {
    bytes: Vec<u8>,
    start: usize,
    scanned: usize,
}

impl RecvBuf {
    /// Appends what a socket or pipe gave.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.is_empty() {
            self.reset();
        } else if self.start > 0 && self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Everything that is not consumed yet.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// The same, to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// Number of bytes that are not consumed yet.
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    /// True when everything is consumed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Storage it takes, used or not.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Drops `count` bytes at the front (all of them when there are fewer) and forgets the search mark.
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
        self.scanned = 0;
        if self.is_empty() {
            self.reset();
        }
    }

    /// Makes room for `more` bytes in one step, for a body whose length is known.
    pub fn reserve(&mut self, more: usize) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.reserve(more);
    }

    /// Finds `byte`, never looking twice at the same place: the search goes on where the last one stopped.
    pub fn find(&mut self, byte: u8) -> Option<usize> {
        let from = self.scanned;
        let found = position(self.as_slice().get(from..)?, [byte]).map(|at| from + at);
        self.scanned = found.unwrap_or_else(|| self.len());
        found
    }

    /// Where the next search starts. Decoders with a search of their own keep their mark here.
    pub fn scanned(&self) -> usize {
        self.scanned
    }

    /// Sets the search mark.
    pub fn set_scanned(&mut self, mark: usize) {
        self.scanned = mark.min(self.len());
    }

    fn reset(&mut self) {
        self.bytes.clear();
        self.start = 0;
        self.scanned = 0;
        if self.bytes.capacity() > KEEP_BYTES {
            self.bytes = Vec::new();
        }
    }
}

/// Bytes that wait to be written to one peer.
#[derive(Debug, Default)]
pub struct SendQueue {
    bytes: Vec<u8>,
    start: usize,
    held: bool,
}

impl SendQueue {
    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// The end of the queue, for encoders that append piecewise. Appending is the only thing to do with it.
    pub fn tail(&mut self, expected: usize) -> &mut Vec<u8> {
        self.make_room(expected);
        &mut self.bytes
    }

    /// What to write next.
    pub fn front(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Number of bytes waiting.
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Storage it takes, used or not.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Drops `count` written bytes at the front.
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
        if self.is_empty() && !self.held {
            self.clear();
        }
    }

    /// Keeps everything queued from now on, written or not, until [`SendQueue::release`]. To be called when
    /// the queue is empty.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Lets go of what was kept; what is not written yet stays queued.
    pub fn release(&mut self) {
        self.held = false;
        if self.is_empty() {
            self.clear();
        }
    }

    /// What is kept, and how much of it was written.
    pub fn held(&self) -> (&[u8], usize) {
        (&self.bytes, self.start)
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
        if self.bytes.capacity() > KEEP_BYTES {
            self.bytes = Vec::new();
        }
    }

    /// Moves the rest to the front when that is cheaper than growing.
    fn make_room(&mut self, more: usize) {
        if !self.held && self.start > self.bytes.len() / 2 && self.bytes.len() + more > self.bytes.capacity()
        {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.reserve(more);
    }
}

/// The place of the first byte that is one of `needles`.
///
/// Whole blocks are tested for one needle at a time and without an early exit, a loop that compilers turn
/// into vector instructions; only the block with the hit is looked at byte by byte.
pub(crate) fn position<const N: usize>(bytes: &[u8], needles: [u8; N]) -> Option<usize> {
    const BLOCK: usize = 64;
    let holds = |block: &[u8; BLOCK]| {
        needles.iter().any(|needle| block.iter().fold(false, |any, byte| any | (byte == needle)))
    };
    let (blocks, _) = bytes.as_chunks();
    let clean = blocks.iter().take_while(|block| !holds(block)).count();
    let from = clean * BLOCK;
    bytes.get(from..)?.iter().position(|byte| needles.contains(byte)).map(|at| from + at)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Runs a decoder over `input` whole, byte by byte and in every two pieces; all must tell the same story.
    pub(crate) fn every_split<T>(name: &str, input: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T
    where
        T: PartialEq + std::fmt::Debug,
    {
        let whole = run(&[input]);
        let single: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(run(&single), whole, "{name}: byte by byte");
        for at in 0..=input.len() {
            let (head, tail) = input.split_at(at);
            assert_eq!(run(&[head, tail]), whole, "{name}: split at {at}");
        }
        whole
    }

    #[test]
    fn position_agrees_with_the_plain_search() {
        for len in [0, 1, 63, 64, 65, 128, 200] {
            for at in 0..len {
                let mut bytes = vec![b'.'; len];
                bytes[at] = b'x';
                bytes[len - 1] = b'x';
                assert_eq!(position(&bytes, *b"x"), Some(at), "{at} of {len}");
                assert_eq!(position(&bytes, *b"yx"), Some(at), "{at} of {len}");
            }
            assert_eq!(position(&vec![b'.'; len], *b"xy"), None);
        }
    }

    #[test]
    fn find_goes_on_where_it_stopped() {
        let mut buf = RecvBuf::default();
        buf.push(b"abc");
        assert_eq!(buf.find(b'\n'), None);
        assert_eq!(buf.scanned(), 3);
        buf.push(b"d\ne\n");
        assert_eq!(buf.find(b'\n'), Some(4));
        buf.consume(5);
        assert_eq!(buf.find(b'\n'), Some(1));
        assert_eq!(buf.as_slice(), b"e\n");
    }

    #[test]
    fn an_emptied_buffer_gives_large_storage_back() {
        let mut buf = RecvBuf::default();
        buf.push(&[7; 100_000]);
        buf.consume(100_000);
        assert!(buf.bytes.capacity() <= KEEP_BYTES);
        let mut queue = SendQueue::default();
        queue.push(&[7; 100_000]);
        queue.consume(100_000);
        assert!(queue.bytes.capacity() <= KEEP_BYTES);
    }

    #[test]
    fn held_bytes_survive_being_written() {
        let mut queue = SendQueue::default();
        queue.hold();
        queue.push(b"request");
        queue.consume(7);
        assert!(queue.is_empty());
        assert_eq!(queue.held(), (b"request".as_slice(), 7));
        queue.release();
        assert_eq!(queue.held(), (b"".as_slice(), 0));
    }

    #[test]
    fn partial_consumption_keeps_order() {
        let mut queue = SendQueue::default();
        let mut seen = Vec::new();
        for n in 0..1000u32 {
            queue.push(&n.to_be_bytes());
            let part = queue.front().get(..3).unwrap_or_default().to_vec();
            queue.consume(part.len());
            seen.extend(part);
        }
        seen.extend_from_slice(queue.front());
        let expected: Vec<u8> = (0..1000u32).flat_map(u32::to_be_bytes).collect();
        assert_eq!(seen, expected);
    }
}
