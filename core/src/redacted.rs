//! Values that must not be printed: tokens, passwords, header and environment values.
//!
//! Invariant: neither `Debug` nor `Display` shows the value; [`Redacted::expose`] is the only way to it, so a
//! search for that word finds every place where a secret leaves its wrapper.
//! Deliberately absent: wiping memory on drop (the configuration text itself stays readable anyway), and a
//! comparison in constant time (that belongs to the place that checks credentials).

use std::fmt;

/// A value whose `Debug` and `Display` are `***`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Call it where the secret is used, never where something is logged.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself, owned.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_debug_nor_display_shows_the_value() {
        let secret = Redacted::new(String::from("hunter2"));
        assert_eq!(format!("{secret} {secret:?} {:?}", [&secret]), "*** *** [***]");
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(secret.into_exposed(), "hunter2");
    }
}
