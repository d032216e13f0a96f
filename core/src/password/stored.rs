//! Hash strings, read.
//!
//! ```text
//!  $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>      without `v` it is version 16, as in the reference implementation
//!  $scrypt$ln=17,r=8,p=1$<salt>$<hash>
//!  $pbkdf2-sha256$i=600000,l=32$<salt>$<hash>        `l` may be missing
//!  $pbkdf2-sha256$600000$<salt>$<hash>               passlib, which also writes `.` for `+`
//!  $2b$12$<salt, 22 characters><hash, 31 characters>
//! ```
//! Salt and hash are Base64 without padding, those of bcrypt in an alphabet of its own.
//!
//! Invariant: numbers are decimal without leading zeros and within [`Scheme::admit`], so no work follows from a
//! string that was read that takes longer than a few seconds or more than one GiB.
//! Deliberately absent: parameters of the PHC format that no common tool writes (`keyid`, `data`), and other orders.

use base64ct::{Base64Bcrypt, Base64Unpadded, Encoding};

/// A hash and how it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) scheme: Scheme,
    pub(super) salt: Vec<u8>,
    pub(super) hash: Vec<u8>,
}

/// A function with its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `m` KiB of memory, `t` passes, `p` lanes; `old` is version 16.
    Argon2id { old: bool, m: u32, t: u32, p: u32 },
    /// `N` is two to the power of `ln`.
    Scrypt { ln: u32, r: u32, p: u32 },
    /// With HMAC-SHA-256.
    Pbkdf2 { rounds: u32 },
    /// Two to the power of this.
    Bcrypt { cost: u32 },
}

impl Stored {
    /// Reads a hash string.
    ///
    /// # Errors
    /// What is wrong with it, without any of it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('$').collect();
        let stored = match *parts.as_slice() {
            ["", "argon2id", version, parameters, salt, hash] => {
                let old = match version {
                    "v=19" => false,
                    "v=16" => true,
                    _ => return Err("its version is neither `v=19` nor `v=16`".to_owned()),
                };
                Self::argon2id(old, parameters, salt, hash)?
            }
            ["", "argon2id", parameters, salt, hash] => Self::argon2id(true, parameters, salt, hash)?,
            ["", "scrypt", parameters, salt, hash] => {
                let [ln, r, p] = numbers(parameters, ["ln", "r", "p"])?;
                Self { scheme: Scheme::Scrypt { ln, r, p }, salt: bytes(salt)?, hash: bytes(hash)? }
            }
            ["", "pbkdf2-sha256", parameters, salt, hash] => Self::pbkdf2(parameters, salt, hash)?,
            ["", "2a" | "2b" | "2y", cost, rest] => Self::bcrypt(cost, rest)?,
            _ => return Err("it has too few or too many parts".to_owned()),
        };
        stored.admit_lengths()?;
        stored.scheme.admit()?;
        Ok(stored)
    }

    fn argon2id(old: bool, parameters: &str, salt: &str, hash: &str) -> Result<Self, String> {
        let [m, t, p] = numbers(parameters, ["m", "t", "p"])?;
        Ok(Self { scheme: Scheme::Argon2id { old, m, t, p }, salt: bytes(salt)?, hash: bytes(hash)? })
    }

    fn pbkdf2(parameters: &str, salt: &str, hash: &str) -> Result<Self, String> {
        let (salt, hash) = (bytes(&salt.replace('.', "+"))?, bytes(&hash.replace('.', "+"))?);
        let (rounds, length) = if let Some(rounds) = number(parameters) {
            (rounds, None)
        } else if parameters.contains(',') {
            let [rounds, length] = numbers(parameters, ["i", "l"])?;
            (rounds, Some(length))
        } else {
            let [rounds] = numbers(parameters, ["i"])?;
            (rounds, None)
        };
        if length.is_some_and(|length| usize::try_from(length) != Ok(hash.len())) {
            return Err("its hash is not as long as `l` says".to_owned());
        }
        Ok(Self { scheme: Scheme::Pbkdf2 { rounds }, salt, hash })
    }

    fn bcrypt(cost: &str, rest: &str) -> Result<Self, String> {
        let two_digits = |text: &&str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let cost = Some(cost).filter(two_digits).and_then(|cost| cost.parse().ok());
        let cost = cost.ok_or_else(|| "its cost is not a number of two digits".to_owned())?;
        let split = rest.split_at_checked(BCRYPT_SALT_CHARS);
        let (salt, hash) = split.filter(|(_, hash)| hash.len() == BCRYPT_HASH_CHARS).ok_or_else(|| {
            format!(
                "salt and hash together have {} characters rather than {BCRYPT_SALT_CHARS} and \
                 {BCRYPT_HASH_CHARS}",
                rest.len()
            )
        })?;
        let decoded = bcrypt_salt(salt).zip(Base64Bcrypt::decode_vec(hash).ok());
        let (salt, hash) =
            decoded.ok_or_else(|| "salt or hash holds something that is not Base64 of bcrypt".to_owned())?;
        Ok(Self { scheme: Scheme::Bcrypt { cost }, salt, hash })
    }

    /// A salt of a known function is never longer than 64 bytes; fewer than 8 argon2 does not take. Of a hash shorter
    /// than 10 bytes (the least of the PHC format) guesses would match by chance.
    fn admit_lengths(&self) -> Result<(), String> {
        let salt_min = match self.scheme {
            Scheme::Argon2id { .. } => 8,
            Scheme::Scrypt { .. } | Scheme::Pbkdf2 { .. } | Scheme::Bcrypt { .. } => 1,
        };
        within("the salt's length", self.salt.len() as u64, salt_min, 64)?;
        within("the hash's length", self.hash.len() as u64, 10, 64)
    }
}

impl Scheme {
    /// Bounds for what one comparison may cost: memory 1 GiB, work about five seconds. The strongest parameters that
    /// are recommended anywhere (argon2 "sensitive" of libsodium, 1 GiB and four passes) are within.
    fn admit(self) -> Result<(), String> {
        match self {
            Self::Argon2id { old: _, m, t, p } => {
                let (m, t, p) = (m.into(), t.into(), p.into());
                within("p", p, 1, 64)?;
                within("m", m, p.saturating_mul(8), MEMORY_KIB_MAX)?;
                within("t", t, 1, 1000)?;
                within("m times t", m.saturating_mul(t), 1, 4 * MEMORY_KIB_MAX)
            }
            Self::Scrypt { ln, r, p } => {
                within("ln", ln.into(), 1, 20)?;
                within("r", r.into(), 1, 64)?;
                within("p", p.into(), 1, 64)?;
                let kib = blocks(ln, r).div_ceil(8);
                within("the memory in KiB", kib, 1, MEMORY_KIB_MAX)?;
                within("memory in KiB times p", kib.saturating_mul(p.into()), 1, 2 * MEMORY_KIB_MAX)
            }
            Self::Pbkdf2 { rounds } => within("the number of rounds", rounds.into(), 1, 10_000_000),
            Self::Bcrypt { cost } => within("the cost", cost.into(), 4, 16),
        }
    }

    /// About the time of one comparison on a processor of these years.
    pub(super) fn nanoseconds(self, hash_len: usize) -> u64 {
        let (unit, count) = match self {
            Self::Argon2id { old: _, m, t, .. } => (800, u64::from(m).saturating_mul(t.into())),
            Self::Scrypt { ln, r, p } => (350, blocks(ln, r).saturating_mul(p.into())),
            Self::Pbkdf2 { rounds } => (500, u64::from(rounds).saturating_mul(hash_len.div_ceil(32) as u64)),
            Self::Bcrypt { cost } => (50_000, 1u64.checked_shl(cost).unwrap_or(u64::MAX)),
        };
        count.saturating_mul(unit)
    }
}

/// The blocks of 128 bytes that scrypt keeps.
fn blocks(ln: u32, r: u32) -> u64 {
    1u64.checked_shl(ln).unwrap_or(u64::MAX).saturating_mul(r.into())
}

fn within(what: &str, value: u64, min: u64, max: u64) -> Result<(), String> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(format!("{what} is {value}, which is not from {min} to {max}"))
}

/// `a=1,b=2` for the names `a` and `b`, in this order.
fn numbers<const N: usize>(text: &str, names: [&str; N]) -> Result<[u32; N], String> {
    let mut values = [0; N];
    let mut given = text.split(',');
    for (name, value) in names.iter().zip(&mut values) {
        let field = given.next().and_then(|it| it.strip_prefix(name)).and_then(|it| it.strip_prefix('='));
        *value = field
            .and_then(number)
            .ok_or_else(|| format!("its parameters are not numbers for {}", names.join(", ")))?;
    }
    match given.next() {
        None => Ok(values),
        Some(_) => Err(format!("it has more parameters than {}", names.join(", "))),
    }
}

fn number(text: &str) -> Option<u32> {
    let is_decimal = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_decimal)
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    Base64Unpadded::decode_vec(text)
        .map_err(|_| "salt or hash holds something that is not Base64 without padding".to_owned())
}

/// The last of 22 characters has four bits that mean nothing. Salts that people wrote themselves have them set, and
/// every implementation ignores that.
fn bcrypt_salt(text: &str) -> Option<Vec<u8>> {
    let (head, last) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let place = BCRYPT_ALPHABET.find(last)?;
    let canonical = BCRYPT_ALPHABET.get(place & !0xf..)?.chars().next()?;
    Base64Bcrypt::decode_vec(&format!("{head}{canonical}")).ok()
}

/// 128 bits.
const BCRYPT_SALT_CHARS: usize = 22;

/// 184 bits.
pub(super) const BCRYPT_HASH_CHARS: usize = 31;

const BCRYPT_ALPHABET: &str = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const MEMORY_KIB_MAX: u64 = 1 << 20;
