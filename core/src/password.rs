//! Stored passwords: what kind one is, whether it is sound, and whether what somebody typed matches it.
//!
//! A password is stored plain or as the hash string that other programs write: argon2id, scrypt and PBKDF2 in the
//! PHC string format, PBKDF2 also as passlib spells it, and bcrypt (`$2a$`, `$2b$` and `$2y$`, which are one and the
//! same for every password that is UTF-8). The beginning of the string decides; what begins like a hash and is none
//! is an error, never a plain password, and so is a hash of a kind that is not known here.
//!
//! Invariants: a string that [`check`] lets pass costs at most a few seconds and one GiB, so a typing error cannot
//! stall a proxy. Comparing takes the same time wherever two values differ. No error text holds any of the string.
//! Checking and everything plain is always compiled; hashing is behind the feature `password`, because it takes long
//! and belongs on a thread of its own.
//!
//! bcrypt knows 72 bytes of a password, and like other implementations `verify` ignores those that follow. A password
//! that holds a zero byte matches no hash: bcrypt ends there, and to HMAC, which scrypt and PBKDF2 are made of, zeros
//! at the end are nothing.
//!
//! Deliberately absent: randomness (the salt is an argument), and Unicode normalisation: a password is its bytes.
//! References: PHC string format, RFC 9106, RFC 7914, RFC 8018, Provos and Mazières 1999.

use self::stored::{Scheme, Stored};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

#[cfg(feature = "password")]
mod hashing;
mod stored;

#[cfg(feature = "password")]
pub use hashing::{hash, verify};

/// The longest password, stored plain or typed, in bytes. Hashing costs time for every one of them, and a passphrase
/// of twenty words has 150.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// How a password is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Plain,
    /// `$argon2id$`
    Argon2id,
    /// `$scrypt$`
    Scrypt,
    /// `$pbkdf2-sha256$`
    Pbkdf2,
    /// `$2a$`, `$2b$` or `$2y$`
    Bcrypt,
}

impl Kind {
    /// What the beginning of a stored password says. The rest of it may be broken: see [`check`].
    pub fn of(stored: &str) -> Self {
        PREFIXES.iter().find(|(prefix, _)| stored.starts_with(prefix)).map_or(Self::Plain, |(_, kind)| *kind)
    }

    /// Whether to compare takes hashing, which is slow on purpose.
    pub fn is_hash(self) -> bool {
        self != Self::Plain
    }

    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Argon2id => "argon2id",
            Self::Scrypt => "scrypt",
            Self::Pbkdf2 => "pbkdf2-sha256",
            Self::Bcrypt => "bcrypt",
        }
    }
}

/// Says what kind a stored password is, if it is sound: a hash that can be read and does not cost too much, or a plain
/// one of 1 to 1024 bytes.
///
/// # Errors
/// What is wrong, without any of the string.
pub fn check(stored: &str) -> Result<Kind, String> {
    let kind = Kind::of(stored);
    if kind.is_hash() {
        return Stored::parse(stored)
            .map(|_| kind)
            .map_err(|problem| format!("the {} hash is broken: {problem}", kind.name()));
    }
    if stored.is_empty() {
        return Err("the password is empty".to_owned());
    }
    if stored.len() > PASSWORD_BYTES_MAX {
        return Err(format!("the password has more than {PASSWORD_BYTES_MAX} bytes"));
    }
    if is_foreign_hash(stored) {
        return Err(
            "the password is a hash of a kind that is not supported; argon2id, scrypt, pbkdf2-sha256 \
                    and bcrypt are"
                .to_owned(),
        );
    }
    Ok(kind)
}

/// Whether a password is the one that is stored plain. An empty one matches nothing. The time depends on the lengths
/// alone.
pub fn plain_matches(password: &str, stored: &str) -> bool {
    let same = Sha256::digest(password).ct_eq(&Sha256::digest(stored));
    bool::from(same) && !stored.is_empty()
}

/// What one comparison costs: about the nanoseconds it takes. 0 for what is plain or broken. For choosing the costliest
/// of several, which is what an unknown user must cost.
pub fn cost(stored: &str) -> u64 {
    match Stored::parse(stored) {
        Ok(Stored { scheme, hash, .. }) => scheme.nanoseconds(hash.len()),
        Err(_) => 0,
    }
}

/// A stored password that costs as much to compare as this one and that no password matches: it has the same
/// parameters, salt and length, and a hash of zero bits. What is plain or broken becomes an empty string.
pub fn decoy(stored: &str) -> String {
    let Ok(Stored { scheme, .. }) = Stored::parse(stored) else { return String::new() };
    let (zero, kept) = match scheme {
        Scheme::Bcrypt { .. } => (".", stored.len().saturating_sub(stored::BCRYPT_HASH_CHARS)),
        Scheme::Argon2id { .. } | Scheme::Scrypt { .. } | Scheme::Pbkdf2 { .. } => {
            ("A", stored.rfind('$').map_or(0, |at| at.saturating_add(1)))
        }
    };
    let head = stored.get(..kept).unwrap_or_default();
    head.to_owned() + &zero.repeat(stored.len().saturating_sub(kept))
}

/// Whether this can hardly be anything but a hash of a scheme that is not among ours. Somebody who wrote it believes
/// it is read as one; taken for a plain password it would let in whoever sees the file.
fn is_foreign_hash(stored: &str) -> bool {
    let rest = FOREIGN.iter().find_map(|prefix| stored.strip_prefix(prefix));
    rest.is_some_and(|rest| rest.len() >= FOREIGN_REST_MIN && !rest.contains(char::is_whitespace))
}

const PREFIXES: [(&str, Kind); 6] = [
    ("$argon2id$", Kind::Argon2id),
    ("$scrypt$", Kind::Scrypt),
    ("$pbkdf2-sha256$", Kind::Pbkdf2),
    ("$2a$", Kind::Bcrypt),
    ("$2b$", Kind::Bcrypt),
    ("$2y$", Kind::Bcrypt),
];

/// How hashes begin that other programs know (crypt(5), passlib, LDAP).
const FOREIGN: [&str; 18] = [
    "$argon2i$",
    "$argon2d$",
    "$pbkdf2$",
    "$pbkdf2-sha512$",
    "$bcrypt-sha256$",
    "$apr1$",
    "$sha1$",
    "$gy$",
    "$1$",
    "$2$",
    "$2x$",
    "$5$",
    "$6$",
    "$7$",
    "$y$",
    "{SHA}",
    "{SSHA}",
    "{CRYPT}",
];

/// The shortest of them, MD5 with a salt of one letter, has 24 characters after its beginning.
const FOREIGN_REST_MIN: usize = 24;

#[cfg(test)]
mod tests;
