//! Authorization codes: made by a login, good for one presentation within two minutes.
//!
//! They live in memory only and by their hash. A code is burnt by its first presentation, whatever comes of it; presented
//! again it ends the grant that was made from it, since one of both presentations was a thief's (RFC 6749 §4.1.2).

use crate::digest::Hash;
use crate::oauth::resource::Audience;
use crate::oauth::scope::Scopes;
use crate::oauth::store::{GrantId, State};
use crate::time::Mono;
use std::collections::BTreeMap;

/// How long a code that was used is remembered, so that it is noticed when it comes again.
const REMEMBER_MS: u64 = 10 * 60_000;
/// Codes at a time. Each took a login; beyond it the oldest goes.
const CODES_MAX: usize = 10_000;

/// What a code stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) user: String,
    pub(crate) cred_fp: String,
    pub(crate) audience: Audience,
    pub(crate) scope: Scopes,
    /// Which form it comes from.
    pub(crate) nonce: String,
    pub(crate) expires: Mono,
}

/// What is left of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Fresh,
    /// Presented, and nothing came of it.
    Burnt,
    /// This grant is being made from it, and is not safely stored yet.
    Pending(GrantId),
    /// This came of it.
    Spent(GrantId),
}

/// What a presentation finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presented {
    /// For the first time, in time.
    Fresh(Code),
    /// Again; this was made from it.
    Replayed(Option<GrantId>),
    Unknown,
}

/// All codes.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    codes: BTreeMap<Hash, (Code, Fate)>,
    /// The code that a form led to.
    forms: BTreeMap<String, Hash>,
}

impl Codes {
    /// Whether the form of this nonce led to a code that was presented already.
    pub(crate) fn is_spent(&self, nonce: &str) -> bool {
        let fate = self.forms.get(nonce).and_then(|hash| self.codes.get(hash)).map(|(_, fate)| fate);
        fate.is_some_and(|fate| *fate != Fate::Fresh)
    }

    /// Enters a code. One that came from the same form before is void: the browser sent it twice.
    pub(crate) fn insert(&mut self, hash: Hash, code: Code) {
        if let Some(before) = self.forms.insert(code.nonce.clone(), hash) {
            self.codes.remove(&before);
        }
        self.codes.insert(hash, (code, Fate::Fresh));
        if self.codes.len() > CODES_MAX {
            let oldest = self.codes.iter().min_by_key(|(_, (code, _))| code.expires).map(|(hash, _)| *hash);
            if let Some((code, _)) = oldest.and_then(|hash| self.codes.remove(&hash)) {
                self.forms.remove(&code.nonce);
            }
        }
    }

    /// Somebody presents a code.
    pub(crate) fn present(&mut self, hash: &Hash, now: Mono) -> Presented {
        let Some((code, fate)) = self.codes.get_mut(hash) else { return Presented::Unknown };
        match std::mem::replace(fate, Fate::Burnt) {
            Fate::Fresh if now < code.expires => Presented::Fresh(code.clone()),
            Fate::Fresh => Presented::Unknown,
            Fate::Burnt => Presented::Replayed(None),
            Fate::Pending(grant) => {
                *fate = Fate::Pending(grant.clone());
                Presented::Replayed(Some(grant))
            }
            Fate::Spent(grant) => {
                *fate = Fate::Spent(grant.clone());
                Presented::Replayed(Some(grant))
            }
        }
    }

    /// A grant is about to be made from a code.
    pub(crate) fn spend(&mut self, hash: &Hash, grant: GrantId) {
        if let Some((_, fate)) = self.codes.get_mut(hash) {
            *fate = Fate::Pending(grant);
        }
    }

    /// What is in `durable` is safely stored, and what is not in `staged` any more was revoked.
    pub(crate) fn settle(&mut self, durable: &State, staged: &State) {
        for (_, fate) in self.codes.values_mut() {
            if let Fate::Pending(grant) = fate
                && (durable.grant(grant).is_some() || staged.grant(grant).is_none())
            {
                *fate = Fate::Spent(grant.clone());
            }
        }
    }

    /// Nothing that was not stored yet has happened: its codes can be used again.
    pub(crate) fn restore(&mut self) {
        for (_, fate) in self.codes.values_mut() {
            if matches!(fate, Fate::Pending(_)) {
                *fate = Fate::Fresh;
            }
        }
    }

    /// Makes codes void whose user is not the same any more.
    pub(crate) fn burn(&mut self, is_void: impl Fn(&Code) -> bool) {
        for (code, fate) in self.codes.values_mut() {
            if matches!(fate, Fate::Fresh | Fate::Pending(_)) && is_void(code) {
                *fate = Fate::Burnt;
            }
        }
    }

    /// Forgets what is long over.
    pub(crate) fn sweep(&mut self, now: Mono) {
        let keep = |code: &Code| now < code.expires.plus_ms(REMEMBER_MS);
        self.codes.retain(|_, (code, _)| keep(code));
        let codes = &self.codes;
        self.forms.retain(|_, hash| codes.contains_key(hash));
    }
}
