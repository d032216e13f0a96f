//! Tokens, codes and secrets: how they are made, and the only form in which they are kept.
//!
//! A secret is 256 bits of the engine's generator, so its SHA-256 can stand for it wherever it is kept or looked up: no
//! slow hash is needed, and a look-up by hash leaks nothing about where two secrets begin to differ. The prefixes stop one
//! kind from being taken for another and let secret scanners find leaks.
//!
//! Deliberately absent: passwords, which are not random (see [`crate::password`]).

use crate::digest;
use crate::redacted::Redacted;
use crate::rng::Rng;
use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

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
        digest::from_hex(text).map(Self)
    }

    pub(crate) fn to_hex(&self) -> String {
        digest::to_hex(&self.0)
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
    fn sealed_parts_cannot_be_shifted_into_each_other() {
        let key = Key::new(&mut Rng::new([1; 32]));
        assert_ne!(key.seal(["ab", "c"]), key.seal(["a", "bc"]));
        assert_ne!(key.seal(["a"]), key.seal(["a", ""]));
        assert_eq!(key.seal(["a", "b"]), key.seal(["a", "b"]));
        assert_ne!(key.seal(["a"]), Key::new(&mut Rng::new([2; 32])).seal(["a"]));
    }
}
