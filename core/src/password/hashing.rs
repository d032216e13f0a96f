//! The slow half: matching a password with a hash, and making a new one. Call it off the thread of the engine.

use super::stored::{Scheme, Stored};
use super::{Kind, PASSWORD_BYTES_MAX, plain_matches};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64ct::{Base64Unpadded, Encoding};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Whether a password is the stored one, of whatever kind. A broken hash and a password of more than 1024 bytes match
/// nothing, and a password with a zero byte matches no hash.
pub fn verify(password: &str, stored: &str) -> bool {
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    if !Kind::of(stored).is_hash() {
        return plain_matches(password, stored);
    }
    let Ok(stored) = Stored::parse(stored) else { return false };
    if password.contains('\0') {
        return false;
    }
    derive(&stored, password).is_some_and(|made| bool::from(made.ct_eq(&stored.hash)))
}

/// Hashes a password for storing: argon2id with the parameters that OWASP recommends for it (19 MiB, two passes).
///
/// # Errors
/// The password is empty, longer than 1024 bytes or holds a zero byte, or there is not enough memory.
pub fn hash(password: &str, salt: [u8; 16]) -> Result<String, String> {
    if password.is_empty() {
        return Err("the password is empty".to_owned());
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(format!("the password has more than {PASSWORD_BYTES_MAX} bytes"));
    }
    if password.contains('\0') {
        return Err("the password holds a zero byte".to_owned());
    }
    let mut hash = [0; 32];
    argon2id(Version::V0x13, [M, T, P], password.as_bytes(), &salt, &mut hash)
        .map_err(|error| format!("cannot hash the password: {error}"))?;
    let [salt, hash] = [&salt[..], &hash].map(Base64Unpadded::encode_string);
    Ok(format!("$argon2id$v=19$m={M},t={T},p={P}${salt}${hash}"))
}

/// The hash of a password under the parameters of another; `None` where they cannot be used.
fn derive(stored: &Stored, password: &str) -> Option<Vec<u8>> {
    let Stored { scheme, salt, hash } = stored;
    let bytes = password.as_bytes();
    let mut out = vec![0; hash.len()];
    match *scheme {
        Scheme::Argon2id { old, m, t, p } => {
            let version = if old { Version::V0x10 } else { Version::V0x13 };
            argon2id(version, [m, t, p], bytes, salt, &mut out).ok()?;
        }
        Scheme::Scrypt { ln, r, p } => {
            let params = scrypt::Params::new(u8::try_from(ln).ok()?, r, p).ok()?;
            scrypt::scrypt(bytes, salt, &params, &mut out).ok()?;
        }
        Scheme::Pbkdf2 { rounds } => pbkdf2::pbkdf2_hmac::<Sha256>(bytes, salt, rounds, &mut out),
        Scheme::Bcrypt { cost } => {
            let made = bcrypt::bcrypt(cost, salt.as_slice().try_into().ok()?, &bcrypt_key(bytes));
            out.copy_from_slice(made.get(..hash.len())?);
        }
    }
    Some(out)
}

fn argon2id(
    version: Version,
    [m, t, p]: [u32; 3],
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
) -> Result<(), argon2::Error> {
    let params = Params::new(m, t, p, Some(out.len()))?;
    let mut memory = blocks(params.block_count()).ok_or(argon2::Error::OutOfMemory)?;
    Argon2::new(Algorithm::Argon2id, version, params).hash_password_into_with_memory(
        password,
        salt,
        out,
        memory.as_mut_slice(),
    )
}

/// Memory for a hash that goes back to the system with the hash. The allocator of glibc keeps what is freed for the
/// thread unless it is longer than 32 MiB, so more than that is reserved; what is not written takes no memory.
fn blocks(count: usize) -> Option<Vec<Block>> {
    let mut blocks = Vec::new();
    let reserved = blocks.try_reserve_exact(count.max(MAPPED_BLOCKS));
    reserved.or_else(|_| blocks.try_reserve_exact(count)).ok()?;
    blocks.resize(count, Block::new());
    Some(blocks)
}

/// Blocks of 1 KiB that are mapped on their own by every allocator.
const MAPPED_BLOCKS: usize = 33 * 1024;

/// A password with the zero that ends it, or its first 72 bytes.
fn bcrypt_key(password: &[u8]) -> Vec<u8> {
    password.iter().copied().chain([0]).take(72).collect()
}

/// Memory in KiB, passes and lanes of new hashes.
const M: u32 = 19_456;
const T: u32 = 2;
const P: u32 = 1;
