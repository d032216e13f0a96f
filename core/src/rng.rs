//! The one source of random bytes in the engine.
//!
//! Construction: a 32-byte key from the host. Each request for bytes gives blocks
//! `SHA-256(key ‖ 0x01 ‖ counter)` and afterwards replaces the key by `SHA-256(key ‖ 0x00 ‖ 0)`. Argument:
//! as long as SHA-256 keyed this way is a pseudo-random function, blocks tell nothing about the key or about each
//! other, and since the key is replaced by a one-way step after every request, a state that leaks later does
//! not reveal earlier output ("fast key erasure"). Fresh entropy may be mixed in at any time.
//!
//! Deliberately absent: any access to the operating system's source, and `Clone`.

use sha2::{Digest, Sha256};

/// A seeded generator.
pub struct Rng {
    key: [u8; 32],
}

impl std::fmt::Debug for Rng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rng(***)")
    }
}

impl Rng {
    /// A generator from 32 bytes of the host's entropy.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { key: seed }
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        for (counter, chunk) in (0u64..).zip(out.chunks_mut(32)) {
            let block = self.block(1, counter);
            chunk.copy_from_slice(block.get(..chunk.len()).unwrap_or_default());
        }
        self.key = self.block(0, 0);
    }

    /// 16 random bytes: enough for anything that must not be guessed.
    pub fn token(&mut self) -> [u8; 16] {
        let mut out = [0; 16];
        self.fill(&mut out);
        out
    }

    /// A number below `bound` (0 when `bound` is 0). For jitter: the tiny bias does not matter there.
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut out = [0; 8];
        self.fill(&mut out);
        u64::from_le_bytes(out).checked_rem(bound).unwrap_or(0)
    }

    /// Mixes more entropy into the state.
    pub fn reseed(&mut self, entropy: &[u8]) {
        self.key =
            Sha256::new().chain_update(self.key).chain_update([2]).chain_update(entropy).finalize().into();
    }

    fn block(&self, domain: u8, counter: u64) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.key)
            .chain_update([domain])
            .chain_update(counter.to_le_bytes())
            .finalize()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn output_is_pinned() {
        let mut rng = Rng::new([7; 32]);
        let first = rng.token();
        let expected: [u8; 32] = Sha256::new()
            .chain_update([7; 32])
            .chain_update([1])
            .chain_update(0u64.to_le_bytes())
            .finalize()
            .into();
        assert_eq!(first, expected[..16]);
        assert_eq!(hex(&first), "7ceea80ef483b5c3de0d829b63fe6e55");
        assert_eq!(hex(&rng.token()), "9ded894b19a6b480a709291e690358ef");
    }

    #[test]
    fn long_requests_do_not_repeat_blocks() {
        let mut out = [0; 100];
        Rng::new([1; 32]).fill(&mut out);
        assert_ne!(out[..32], out[32..64]);
        assert_ne!(out[64..96], out[32..64]);
    }

    #[test]
    fn reseeding_changes_what_follows() {
        let (mut a, mut b) = (Rng::new([1; 32]), Rng::new([1; 32]));
        b.reseed(b"x");
        assert_ne!(a.token(), b.token());
    }
}
