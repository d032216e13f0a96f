//! Who a client is: configured, registered, or described by a document under its own URL.

use super::Server;
use super::store::AuthMethod;
use crate::config::FixedClient;
use crate::digest::Hash;
use crate::redirect_uri::{Admission, is_loopback, same_target};
use crate::url::Url;

/// A client as the endpoints see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) method: AuthMethod,
    pub(crate) secret: Option<Hash>,
    /// Whether it is given refresh tokens.
    pub(crate) refresh: bool,
    pub(crate) origin: Origin,
}

/// Where a client comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The configuration.
    Fixed,
    /// It registered itself.
    Registered,
    /// A document at this host.
    Document(String),
}

impl Known {
    fn fixed(client: &FixedClient) -> Self {
        let secret = client.secret.as_ref().map(|secret| {
            let secret = secret.expose();
            secret.strip_prefix("sha256:").and_then(Hash::from_hex).unwrap_or_else(|| Hash::of(secret))
        });
        Self {
            id: client.id.clone(),
            name: client.name.clone(),
            redirect_uris: client.redirect_uris.clone(),
            // Its user typed the secret somewhere; which way it comes is the client's choice.
            method: if secret.is_some() { AuthMethod::Basic } else { AuthMethod::None },
            secret,
            refresh: true,
            origin: Origin::Fixed,
        }
    }
}

/// What a look-up found.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// This.
    Found(Box<Known>),
    /// A document has to be read first.
    Document(Url),
    /// Nothing; in words for the page.
    Unknown(&'static str),
}

impl Server {
    /// The client of this id, without reading any document: what the token endpoint may ask.
    pub(super) fn known_client(&self, id: &str) -> Option<Known> {
        if let Some(client) = self.settings.options.clients.iter().find(|client| client.id == id) {
            return Some(Known::fixed(client));
        }
        if let Some(client) = self.book.durable().client(id) {
            return Some(Known {
                id: id.to_owned(),
                name: client.name.clone(),
                redirect_uris: client.redirect_uris.clone(),
                method: client.method,
                secret: client.secret_hash,
                refresh: client.refresh,
                origin: Origin::Registered,
            });
        }
        self.documents.copy(id, self.book.staged()).filter(|_| self.admits_document(id)).map(
            |(name, redirect_uris)| Known {
                id: id.to_owned(),
                name,
                redirect_uris,
                method: AuthMethod::None,
                secret: None,
                refresh: true,
                origin: Origin::Document(Url::parse(id).map(|url| url.host().to_owned()).unwrap_or_default()),
            },
        )
    }

    /// Whether there is a client of this id.
    pub(super) fn knows_client(&self, id: &str) -> bool {
        self.book.durable().client(id).is_some()
            || self.settings.options.clients.iter().any(|client| client.id == id)
            || (self.documents.has_copy(id, self.book.staged()) && self.admits_document(id))
    }

    /// Where this redirect target of a client may be used, if it may at all (README §4.3). The policy is asked again:
    /// it may be narrower now than when the client registered (T-02).
    pub(super) fn admits_target(&self, client: &Known, given: &str) -> Option<Admission> {
        let policy = &self.settings.options.redirects;
        let loose = policy.loose_loopback();
        if !client.redirect_uris.iter().any(|known| same_target(known, given, loose)) {
            return None;
        }
        match client.origin {
            // The operator wrote it down.
            Origin::Fixed if given.starts_with("https://") => Some(Admission::Exact),
            Origin::Fixed => Some(Admission::Open),
            Origin::Registered | Origin::Document(_) => policy.admits(given).ok(),
        }
    }

    /// The target of a request that names none: the only one, unless its port would be missing.
    pub(super) fn only_target(&self, client: &Known) -> Option<String> {
        match client.redirect_uris.as_slice() {
            [only] if !is_loopback(only) => Some(only.clone()),
            _ => None,
        }
    }
}
