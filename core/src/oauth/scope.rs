//! The scopes there are (RFC 6749 §3.3): `mcp` opens servers; `offline_access` is honoured for clients that ask for it
//! before they believe in refresh tokens, which everybody gets.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(crate) struct Scopes {
    /// Servers may be used.
    pub(crate) mcp: bool,
    /// The client wants to work while its user is away.
    pub(crate) offline: bool,
}

impl Scopes {
    /// What a client is granted that asks for nothing.
    pub(crate) const DEFAULT: Self = Self { mcp: true, offline: false };

    /// Reads a list separated by blanks. Scopes that nobody here knows are dropped: clients send those of other servers.
    ///
    /// # Errors
    /// A character that no scope may have.
    pub(crate) fn parse(text: &str) -> Result<Self, ()> {
        let valid = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        if !text.chars().all(valid) {
            return Err(());
        }
        Ok(Self {
            mcp: text.split(' ').any(|scope| scope == MCP),
            offline: text.split(' ').any(|scope| scope == OFFLINE),
        })
    }

    /// What of `text` is granted to somebody who logs in: `mcp` in any case, since a login is for nothing else.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub(crate) fn granted(text: Option<&str>) -> Result<Self, ()> {
        let asked = text.map(Self::parse).transpose()?.unwrap_or_default();
        Ok(Self { mcp: true, ..asked })
    }

    /// Whether everything in `other` is in here.
    pub(crate) fn covers(self, other: Self) -> bool {
        (self.mcp || !other.mcp) && (self.offline || !other.offline)
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.mcp, self.offline) {
            (true, true) => "mcp offline_access",
            (true, false) => MCP,
            (false, true) => OFFLINE,
            (false, false) => "",
        })
    }
}

impl From<String> for Scopes {
    fn from(text: String) -> Self {
        Self::parse(&text).unwrap_or_default()
    }
}

impl From<Scopes> for String {
    fn from(scopes: Scopes) -> Self {
        scopes.to_string()
    }
}

/// The scope that opens servers.
pub(crate) const MCP: &str = "mcp";
/// The scope of clients that work while their user is away.
pub(crate) const OFFLINE: &str = "offline_access";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_scopes_are_dropped_and_broken_ones_refused() {
        // OA-130
        assert_eq!(
            Scopes::granted(Some("claudeai mcp offline_access")).unwrap().to_string(),
            "mcp offline_access"
        );
        assert_eq!(Scopes::granted(Some("claudeai")).unwrap().to_string(), "mcp");
        assert_eq!(Scopes::granted(None).unwrap(), Scopes::DEFAULT);
        for bad in ["a\"b", "a\\b", "a\nb", "é"] {
            assert!(Scopes::granted(Some(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_set_covers_its_subsets() {
        let (mcp, both) = (Scopes::DEFAULT, Scopes { mcp: true, offline: true });
        assert!(both.covers(mcp) && both.covers(both) && !mcp.covers(both));
    }
}
