//! What a token is for (RFC 8707): one server, several, or all that its user may use.
//!
//! A resource is resolved by the table that routes requests, so what a token is for and where it leads cannot disagree
//! (T-11). What is stored is the key of the server, so renaming a server ends its tokens.

use super::issuer::Issuer;
use crate::route::{Endpoint, Place, Routes};
use crate::url::Url;
use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The servers that a grant or a token opens, by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Audience {
    /// All that the user may use, also those that are configured later.
    All,
    /// These.
    Servers(BTreeSet<String>),
}

impl Audience {
    /// Of one server.
    pub(crate) fn one(key: &str) -> Self {
        Self::Servers([key.to_owned()].into())
    }

    /// Whether it opens a server.
    pub(crate) fn has(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Servers(keys) => keys.contains(key),
        }
    }

    /// Whether everything that `other` opens is opened by this one.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Servers(_), Self::All) => false,
            (Self::Servers(keys), Self::Servers(others)) => keys.is_superset(others),
        }
    }

    /// Both together.
    pub(crate) fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Servers(mut keys), Self::Servers(others)) => {
                keys.extend(others);
                Self::Servers(keys)
            }
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }
}

/// `"*"`, or a list of keys.
impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("*"),
            Self::Servers(keys) => serializer.collect_seq(keys),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if value == "*" {
            return Ok(Self::All);
        }
        serde_json::from_value(value).map(Self::Servers).map_err(D::Error::custom)
    }
}

/// Where the `resource` of a request leads. `None` if it is no URL of ours, or one that could mean several things.
pub(crate) fn find(routes: &Routes, issuer: &Issuer, resource: &str) -> Option<Place> {
    if resource.contains(['#', '?']) || is_tricky(resource) {
        return None;
    }
    let url = Url::parse(resource).ok()?;
    if url.origin() != issuer.origin() {
        return None;
    }
    let path = url.path().strip_suffix('/').unwrap_or_else(|| url.path());
    if path == issuer.path() {
        return Some(Place::Merged);
    }
    routes.find(path).filter(|route| route.endpoint != Endpoint::Message).map(|route| route.place)
}

/// Dot segments and encoded separators, which some hop may resolve and another not.
fn is_tricky(resource: &str) -> bool {
    let lower = resource.to_ascii_lowercase();
    let rest = lower.split_once("://").map_or("", |(_, rest)| rest);
    ["%2f", "%5c", "%2e", "%00", "//"].iter().any(|part| rest.contains(part))
        || rest.split('/').any(|segment| matches!(segment, "." | ".."))
}
