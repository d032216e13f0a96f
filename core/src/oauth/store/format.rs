//! The text of `oauth_clients.json`.
//!
//! Members that are not known here are kept as they are, so that going back to an older version loses nothing that a
//! newer one added. A newer *format* is not touched at all (T-42).

use super::fork;
use super::{Client, Document, Grant, State};
use crate::limits::STORE_JSON_DEPTH_MAX;
use crate::oauth::object::{ObjectError, read_object};
use crate::oauth::secret::Key;
use crate::rng::Rng;
use crate::time::Now;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The format that is written.
const FORMAT: u64 = 2;

/// Why a text is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FormatError {
    /// A newer program wrote it: it must not be overwritten.
    Newer(u64),
    /// It is not what any version wrote. The words hold nothing of the text.
    Corrupt(String),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(format) => {
                write!(f, "it has format {format} of a newer version, this version knows up to {FORMAT}")
            }
            Self::Corrupt(reason) => write!(f, "it cannot be read ({reason})"),
        }
    }
}

/// What a stored expiry is clamped to, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetimes {
    pub(crate) access: u64,
    pub(crate) idle: u64,
    pub(crate) absolute: u64,
    /// How long a refresh token that was used may be used again.
    pub(crate) grace: u64,
}

/// A state that was read.
pub(crate) struct Read {
    pub(crate) state: State,
    /// It was not in the present format: write it at once.
    pub(crate) rewrite: bool,
    /// What an operator should know about it.
    pub(crate) remarks: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    format: u64,
    #[serde(default)]
    saved_at: u64,
    #[serde(default)]
    issuer: String,
    hmac_key: String,
    #[serde(default)]
    clients: BTreeMap<Arc<str>, Arc<Client>>,
    #[serde(default)]
    grants: BTreeMap<Arc<str>, Arc<Grant>>,
    #[serde(default)]
    documents: BTreeMap<Arc<str>, Arc<Document>>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Reads a stored state, of this program or of the original.
///
/// # Errors
/// See [`FormatError`].
pub(crate) fn read(
    bytes: &[u8],
    now: Now,
    lifetimes: Lifetimes,
    import: &fork::Import<'_>,
    rng: &mut Rng,
) -> Result<Read, FormatError> {
    let corrupt = |error: serde_json::Error| {
        FormatError::Corrupt(format!("{:?} error in line {}", error.classify(), error.line()))
    };
    let members = read_object(bytes, STORE_JSON_DEPTH_MAX).map_err(|error| match error {
        ObjectError::Deep(_) => FormatError::Corrupt(error.to_string()),
        ObjectError::Json(error) => corrupt(error),
    })?;
    let Some(format) = members.get("format") else { return fork::read(members, now, lifetimes, import, rng) };
    let format = format.as_u64().ok_or_else(|| FormatError::Corrupt("no format number".into()))?;
    if format > FORMAT {
        return Err(FormatError::Newer(format));
    }
    let file: File = serde_json::from_value(Value::Object(members)).map_err(corrupt)?;
    let key = Key::from_hex(&file.hmac_key).ok_or_else(|| FormatError::Corrupt("no usable key".into()))?;
    let mut state = State::new(key);
    state.issuer = file.issuer;
    state.clients = file.clients;
    state.documents = file.documents;
    state.extra = file.extra;
    for (id, grant) in file.grants {
        let mut grant = Arc::unwrap_or_clone(grant);
        grant.idle_expires_at.settle(now, lifetimes.idle);
        grant.absolute_expires_at.settle(now, lifetimes.absolute);
        for access in &mut grant.access {
            access.expires_at.settle(now, lifetimes.access);
        }
        for refresh in &mut grant.refresh {
            refresh.settle(now, lifetimes.grace);
        }
        state.put_grant(&id, grant);
    }
    Ok(Read { state, rewrite: false, remarks: Vec::new() })
}

/// The text of a state.
pub(crate) fn write(state: &State, now: Now) -> Vec<u8> {
    let file = File {
        format: FORMAT,
        saved_at: super::unix(now),
        issuer: state.issuer.clone(),
        hmac_key: state.key.to_hex(),
        clients: state.clients.clone(),
        grants: state.grants.clone(),
        documents: state.documents.clone(),
        extra: state.extra.clone(),
    };
    // Fails only for maps whose keys are no strings.
    serde_json::to_vec(&file).unwrap_or_default()
}
