//! What survives a restart: clients, grants and copies of client metadata documents (README §8 of the file format).
//!
//! ```text
//! State   the records and their indexes, a plain value
//! format  State ⇄ the text of `oauth_clients.json`
//! fork    files of the original program
//! book    which State is safely on disk, which one is wanted, and who waits
//! ```
//! Invariants: nothing in here can be turned back into a token, secret or password; a token's hash names one grant;
//! what is over is never found.

mod book;
mod fork;
mod format;
#[cfg(test)]
mod tests;

pub(super) use book::{Book, Outcome};
pub(super) use fork::Import;
pub(super) use format::{FormatError, Lifetimes, Read, read};

use super::resource::Audience;
use super::scope::Scopes;
use super::secret::Key;
use crate::digest::Hash;
use crate::time::{Mono, Now};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// When something is over. The wall clock decides, and the monotonic clock as well: whichever says so first, so that
/// turning the wall clock back revives nothing (T-46).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub(crate) struct Expiry {
    /// Seconds since 1970.
    at: u64,
    until: Mono,
}

impl Expiry {
    /// So many seconds from now.
    pub(crate) fn after(now: Now, seconds: u64) -> Self {
        Self { at: unix(now).saturating_add(seconds), until: now.mono.plus_ms(seconds.saturating_mul(1000)) }
    }

    pub(crate) fn is_over(self, now: Now) -> bool {
        unix(now) >= self.at || now.mono >= self.until
    }

    /// The earlier of both.
    pub(crate) fn min(self, other: Self) -> Self {
        Self { at: self.at.min(other.at), until: self.until.min(other.until) }
    }

    /// An expiry that was stored: at most `seconds_max` from now, whatever the clock said when it was written.
    fn settle(&mut self, now: Now, seconds_max: u64) {
        let left = self.at.saturating_sub(unix(now)).min(seconds_max);
        *self = Self::after(now, left);
    }
}

impl From<u64> for Expiry {
    fn from(at: u64) -> Self {
        Self { at, until: Mono::NEVER }
    }
}

impl From<Expiry> for u64 {
    fn from(expiry: Expiry) -> Self {
        expiry.at
    }
}

/// The wall clock in seconds.
pub(crate) fn unix(now: Now) -> u64 {
    now.unix.0 / 1000
}

/// How a client shows who it is (RFC 6749 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AuthMethod {
    /// Not at all.
    #[serde(rename = "none")]
    None,
    /// A secret in the body.
    #[serde(rename = "client_secret_post")]
    Post,
    /// A secret in `Authorization`.
    #[serde(rename = "client_secret_basic")]
    Basic,
    /// Clients of the original program, which never looked at secrets: checked if one comes.
    #[serde(rename = "any")]
    Any,
}

impl AuthMethod {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Post => "client_secret_post",
            Self::Basic => "client_secret_basic",
            Self::Any => "any",
        }
    }
}

/// A client that registered itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Client {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) method: AuthMethod,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_hash: Option<Hash>,
    /// Whether it is given refresh tokens.
    #[serde(default = "yes")]
    pub(crate) refresh: bool,
    /// Seconds since 1970.
    pub(crate) created_at: u64,
    /// Seconds since 1970; 0 as long as nobody has logged in through it.
    #[serde(default)]
    pub(crate) last_used_at: u64,
    #[serde(flatten)]
    pub(crate) extra: Map<String, Value>,
}

const fn yes() -> bool {
    true
}

/// What a user allowed a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    /// `None` for those of the original program, which did not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// A fingerprint of the password that was configured then: another password ends the grant.
    #[serde(default)]
    pub(crate) cred_fp: String,
    pub(crate) aud: Audience,
    pub(crate) scope: Scopes,
    pub(crate) created_at: u64,
    pub(crate) idle_expires_at: Expiry,
    pub(crate) absolute_expires_at: Expiry,
    #[serde(default)]
    pub(crate) refresh: Vec<Refresh>,
    #[serde(default)]
    pub(crate) access: Vec<Access>,
    #[serde(flatten)]
    pub(crate) extra: Map<String, Value>,
}

impl Grant {
    /// Whether nothing of it can be used any more.
    pub(crate) fn is_over(&self, now: Now) -> bool {
        let refreshable = !self.refresh.is_empty() && !self.lifetime().is_over(now);
        !refreshable && self.access.iter().all(|access| access.expires_at.is_over(now))
    }

    /// How long it can be refreshed.
    pub(crate) fn lifetime(&self) -> Expiry {
        self.idle_expires_at.min(self.absolute_expires_at)
    }

    /// Refresh tokens that were not used yet.
    pub(crate) fn leaves(&self) -> usize {
        self.refresh.iter().filter(|refresh| refresh.retired_at.is_none()).count()
    }
}

/// A refresh token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refresh {
    pub(crate) hash: Hash,
    pub(crate) created_at: u64,
    /// When it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retired_at: Option<u64>,
    /// Until when it may be used again.
    #[serde(skip)]
    pub(crate) grace: Option<Expiry>,
}

impl Refresh {
    /// A new one.
    pub(crate) fn new(hash: Hash, now: Now) -> Self {
        Self { hash, created_at: unix(now), retired_at: None, grace: None }
    }

    /// It is used; for so many seconds it may be used again.
    pub(crate) fn retire(&mut self, now: Now, grace_seconds: u64) {
        self.retired_at = Some(unix(now));
        self.grace = Some(Expiry::after(now, grace_seconds));
    }

    /// What is left of its grace after it was stored.
    fn settle(&mut self, now: Now, grace_seconds: u64) {
        let since = self.retired_at.map(|at| unix(now).abs_diff(at));
        self.grace = since.map(|since| Expiry::after(now, grace_seconds.saturating_sub(since)));
    }
}

/// An access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Access {
    pub(crate) hash: Hash,
    pub(crate) expires_at: Expiry,
    pub(crate) aud: Audience,
    pub(crate) scope: Scopes,
}

/// The last good copy of a client metadata document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
    /// Seconds since 1970.
    pub(crate) fetched_at: u64,
}

/// The name of a grant.
pub(crate) type GrantId = Arc<str>;

/// All records.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) key: Key,
    issuer: String,
    clients: BTreeMap<Arc<str>, Arc<Client>>,
    grants: BTreeMap<GrantId, Arc<Grant>>,
    documents: BTreeMap<Arc<str>, Arc<Document>>,
    extra: Map<String, Value>,
    by_access: BTreeMap<Hash, GrantId>,
    by_refresh: BTreeMap<Hash, GrantId>,
}

impl State {
    /// No records.
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            issuer: String::new(),
            clients: BTreeMap::new(),
            grants: BTreeMap::new(),
            documents: BTreeMap::new(),
            extra: Map::new(),
            by_access: BTreeMap::new(),
            by_refresh: BTreeMap::new(),
        }
    }

    /// Notes the issuer; gives the one before if it was another.
    pub(crate) fn set_issuer(&mut self, issuer: &str) -> Option<String> {
        let before = std::mem::replace(&mut self.issuer, issuer.to_owned());
        (!before.is_empty() && before != issuer).then_some(before)
    }

    pub(crate) fn client(&self, id: &str) -> Option<&Arc<Client>> {
        self.clients.get(id)
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Client>)> {
        self.clients.iter()
    }

    pub(crate) fn clients_len(&self) -> usize {
        self.clients.len()
    }

    pub(crate) fn insert_client(&mut self, id: Arc<str>, client: Client) {
        self.clients.insert(id, Arc::new(client));
    }

    pub(crate) fn client_mut(&mut self, id: &str) -> Option<&mut Client> {
        self.clients.get_mut(id).map(Arc::make_mut)
    }

    /// Removes a client and everything that was granted to it.
    pub(crate) fn remove_client(&mut self, id: &str) {
        self.clients.remove(id);
        let grants: Vec<GrantId> = self.grants_of(id).map(|(id, _)| id.clone()).collect();
        for grant in grants {
            self.remove_grant(&grant);
        }
    }

    pub(crate) fn grant(&self, id: &str) -> Option<&Arc<Grant>> {
        self.grants.get(id)
    }

    pub(crate) fn grants(&self) -> impl Iterator<Item = (&GrantId, &Arc<Grant>)> {
        self.grants.iter()
    }

    pub(crate) fn grants_of<'a>(
        &'a self,
        client: &'a str,
    ) -> impl Iterator<Item = (&'a GrantId, &'a Arc<Grant>)> {
        self.grants.iter().filter(move |(_, grant)| grant.client_id == client)
    }

    /// Enters a grant, or what has become of it.
    pub(crate) fn put_grant(&mut self, id: &GrantId, grant: Grant) {
        self.unindex(id);
        for access in &grant.access {
            self.by_access.insert(access.hash, id.clone());
        }
        for refresh in &grant.refresh {
            self.by_refresh.insert(refresh.hash, id.clone());
        }
        self.grants.insert(id.clone(), Arc::new(grant));
    }

    pub(crate) fn remove_grant(&mut self, id: &GrantId) {
        self.unindex(id);
        self.grants.remove(id);
    }

    fn unindex(&mut self, id: &GrantId) {
        let Some(grant) = self.grants.get(id) else { return };
        for access in &grant.access {
            self.by_access.remove(&access.hash);
        }
        for refresh in &grant.refresh {
            self.by_refresh.remove(&refresh.hash);
        }
    }

    /// The grant and the access token of this hash, expired or not.
    pub(crate) fn access(&self, hash: &Hash) -> Option<(&GrantId, &Arc<Grant>, &Access)> {
        let id = self.by_access.get(hash)?;
        let grant = self.grants.get(id)?;
        let access = grant.access.iter().find(|access| access.hash == *hash)?;
        Some((id, grant, access))
    }

    /// The grant that a refresh token is of, used or not.
    pub(crate) fn refresh(&self, hash: &Hash) -> Option<(&GrantId, &Arc<Grant>, &Refresh)> {
        let id = self.by_refresh.get(hash)?;
        let grant = self.grants.get(id)?;
        let refresh = grant.refresh.iter().find(|refresh| refresh.hash == *hash)?;
        Some((id, grant, refresh))
    }

    pub(crate) fn document(&self, url: &str) -> Option<&Arc<Document>> {
        self.documents.get(url)
    }

    /// Keeps a document, at the price of the oldest when there are too many.
    pub(crate) fn put_document(&mut self, url: &str, document: Document) {
        self.documents.insert(url.into(), Arc::new(document));
        while self.documents.len() > DOCUMENTS_MAX {
            let oldest = self.documents.iter().min_by_key(|(_, document)| document.fetched_at);
            let Some(oldest) = oldest.map(|(url, _)| url.clone()) else { return };
            self.documents.remove(&oldest);
        }
    }

    pub(crate) fn remove_document(&mut self, url: &str) {
        self.documents.remove(url);
    }

    pub(crate) fn documents(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Document>)> {
        self.documents.iter()
    }
}

/// Copies of client metadata documents that are kept.
const DOCUMENTS_MAX: usize = 100;
