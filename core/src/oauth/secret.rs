//! Tokens, codes and secrets: how they are made, and the only form in which they are kept.
//!
//! A secret is 256 bits of the engine's generator, so its SHA-256 can stand for it wherever it is kept or looked up: no
//! slow hash is needed, and a look-up by hash leaks nothing about where two secrets begin to differ. The prefixes stop one
//! kind from being taken for another and let secret scanners find leaks.
//!
//! Deliberately absent: passwords, which are not random (see [`super::password`]).

use crate::redacted::Redacted;
use crate::rng::Rng;
use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An access token.
    Access,
    /// A refresh token.
    Refresh,
    /// An authorization code.
    Code,
    /// The secret of a client.
    Client,
}

impl Purpose {
    /// What secrets of this kind begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Access => "mcpx_at_",
            Self::Refresh => "mcpx_rt_",
            Self::Code => "mcpx_ac_",
            Self::Client => "mcpx_cs_",
        }
    }
}

/// A new secret.
pub(crate) fn mint(rng: &mut Rng, purpose: Purpose) -> Redacted<String> {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    Redacted::new(format!("{}{}", purpose.prefix(), Base64UrlUnpadded::encode_string(&bytes)))
}

/// A new name that must be unique and need not be secret: 128 bits.
pub(crate) fn mint_id(rng: &mut Rng) -> String {
    Base64UrlUnpadded::encode_string(&rng.token())
}

/// SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        read_hex(text, &mut bytes)?;
        Some(Self(bytes))
    }

    /// Whether this is the hash of `secret`, in a time that does not depend on where they differ.
    pub fn matches(&self, secret: &str) -> bool {
        self.0.ct_eq(&Self::of(secret).0).into()
    }

    /// 64 hexadecimal digits, for the store.
    fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Hash {
    /// The first six digits: enough to follow a token through a log, of no use to anybody else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(3).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("expected 64 hexadecimal digits"))
    }
}

/// The key of everything here that is authenticated rather than kept. It lives in the store, so that a form that was
/// open survives a restart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut bytes = [0; 32];
        rng.fill(&mut bytes);
        Self(bytes)
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        Hash::from_hex(text).map(|hash| Self(hash.0))
    }

    pub(crate) fn to_hex(&self) -> String {
        Hash(self.0).to_hex()
    }

    /// A code over some parts, which cannot be shifted into each other: each is preceded by its length.
    pub(crate) fn seal<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Hexadecimal digits of either case; `None` unless they are exactly as many as needed.
fn read_hex(text: &str, out: &mut [u8]) -> Option<()> {
    if text.len() != out.len().checked_mul(2)? {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(pair.get(at).copied().unwrap_or_default()).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_a_prefix_and_256_bits_and_do_not_repeat() {
        // T-48
        let mut rng = Rng::new([3; 32]);
        let mut seen = std::collections::BTreeSet::new();
        for purpose in [Purpose::Access, Purpose::Refresh, Purpose::Code, Purpose::Client] {
            for _ in 0..1_000 {
                let secret = mint(&mut rng, purpose).into_exposed();
                let tail = secret.strip_prefix(purpose.prefix()).unwrap();
                assert_eq!(Base64UrlUnpadded::decode_vec(tail).unwrap().len(), 32);
                assert!(seen.insert(secret));
            }
        }
    }

    #[test]
    fn a_hash_survives_the_store_and_shows_little() {
        let hash = Hash::of("abc");
        assert_eq!(Hash::from_hex(&hash.to_hex()), Some(hash));
        assert_eq!(format!("{hash} {hash:?}"), "ba7816 ba7816");
        assert!(hash.matches("abc") && !hash.matches("abd"));
        for bad in ["", "00", "zz", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
            assert_eq!(Hash::from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn sealed_parts_cannot_be_shifted_into_each_other() {
        let key = Key::new(&mut Rng::new([1; 32]));
        assert_ne!(key.seal(["ab", "c"]), key.seal(["a", "bc"]));
        assert_ne!(key.seal(["a"]), key.seal(["a", ""]));
        assert_eq!(key.seal(["a", "b"]), key.seal(["a", "b"]));
        assert_ne!(key.seal(["a"]), Key::new(&mut Rng::new([2; 32])).seal(["a"]));
    }
}
