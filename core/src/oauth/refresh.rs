//! Refresh tokens (RFC 6749 §6; OAuth 2.1 §4.3.1): each is used once, and its successor is used next.
//!
//! ```text
//!              used                            grace over, used again
//!   leaf ───────────────▶ retired ─────────────────────────────────▶ the whole family ends
//!     ▲                     │ used again within the grace
//!     └── new leaf ◀────────┴──▶ the same answer, or (after a restart) a sibling
//! ```
//! Hosted clients fire several refreshes at once and from several addresses, and whoever crashed before an answer came
//! has only the old token. Without the grace they would lose their login; with it a thief gains nothing that the
//! rightful client does not see.
//!
//! Invariant: a dead refresh token is `invalid_grant` with 400, whatever the reason; clients rely on it.

use super::Server;
use super::client::Known;
use super::issuer::Issuer;
use super::params::Params;
use super::store::{Expiry, Grant, GrantId, Refresh, State, unix};
use super::token::{Denied, Narrowed};
use crate::config::RefreshReuse;
use crate::digest::Hash;
use crate::log::Level;
use crate::time::Mono;
use std::collections::BTreeMap;

/// Leaves of one family: what a crowd of parallel refreshes can make after a restart.
const LEAVES_MAX: usize = 4;
/// Answers that are kept for a grace.
const SUCCESSORS_MAX: usize = 10_000;

/// Answers to refresh tokens that were used a moment ago. In memory only: they hold tokens.
#[derive(Debug, Default)]
pub(super) struct Successors(BTreeMap<Hash, Successor>);

#[derive(Clone)]
struct Successor {
    body: String,
    /// The refresh token in it.
    leaf: Hash,
    /// What its access token is for.
    narrowed: Narrowed,
    until: Mono,
}

impl std::fmt::Debug for Successor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Successor").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

impl Successors {
    pub(super) fn sweep(&mut self, now: Mono) {
        self.0.retain(|_, successor| now < successor.until);
    }

    /// Forgets answers that were never given because they could not be stored.
    pub(super) fn restore(&mut self, durable: &State) {
        self.0.retain(|_, successor| durable.refresh(&successor.leaf).is_some());
    }
}

impl Server {
    /// A refresh token becomes new tokens.
    pub(super) fn refresh(
        &mut self,
        client: &Known,
        issuer: &Issuer,
        params: &Params,
    ) -> Result<String, Denied> {
        let Some(token) = params.get("refresh_token") else {
            return Err(Denied::openly("invalid_request", "refresh_token is required"));
        };
        let hash = Hash::of(token);
        let Some((id, grant, refresh)) = self.book.staged().refresh(&hash) else {
            return Err(bad_refresh("the refresh token is unknown"));
        };
        let (id, mut grant, used) = (id.clone(), Grant::clone(grant), refresh.clone());
        if grant.client_id != client.id {
            // Somebody else's: it stays unharmed.
            return Err(bad_refresh("the refresh token was issued to another client"));
        }
        if grant.lifetime().is_over(self.now) {
            self.revoke_grant(&id, "expired");
            return Err(bad_refresh("the login has expired"));
        }
        if self.upkeep.has_ended(&id) || !self.is_user_same(&grant) {
            self.revoke_grant(&id, "user");
            return Err(bad_refresh("the user is gone or has another password"));
        }
        if used.retired_at.is_some() {
            self.check_grace(&id, &grant, &used, client)?;
        }
        let granted = Narrowed { audience: grant.aud.clone(), scope: grant.scope };
        let narrowed = self.narrow(issuer, params, &granted)?;
        let is_unused = |known: &&Successor| {
            self.now.mono < known.until
                && grant.refresh.iter().any(|leaf| leaf.hash == known.leaf && leaf.retired_at.is_none())
        };
        let known = self.successors.0.get(&hash).filter(is_unused);
        if let Some(known) = known.filter(|known| known.narrowed == narrowed) {
            return Ok(known.body.clone());
        }
        let is_first = known.is_none();
        if used.retired_at.is_some() && grant.leaves() >= LEAVES_MAX {
            return Err(bad_refresh("too many refresh tokens of this login are unused"));
        }
        let (now, grace) = (self.now, u64::from(self.settings.options.refresh_grace_seconds));
        for used in grant.refresh.iter_mut().filter(|used| used.hash == hash && used.retired_at.is_none()) {
            used.retire(now, grace);
        }
        let idle = u64::from(self.settings.options.refresh_idle_days).saturating_mul(24 * 3600);
        grant.idle_expires_at = Expiry::after(self.now, idle);
        let issued = self.issue(&mut grant, true, narrowed.clone());
        if let Some(leaf) = issued.leaf.filter(|_| is_first) {
            self.remember(hash, &issued.body, leaf, narrowed);
        }
        let user = grant.user.clone().unwrap_or_default();
        let facts =
            [("client", client.id.as_str()), ("user", user.as_str()), ("token", issued.name.as_str())];
        self.event(Level::Info, "refreshed", &facts);
        let state = self.book.change();
        state.put_grant(&id, grant);
        if let Some(client) = state.client_mut(&client.id) {
            client.last_used_at = unix(now);
        }
        Ok(issued.body)
    }

    /// A refresh token that was used before: all right for a while, then the sign of a thief. Within one run the
    /// monotonic clock decides, so that setting the other one makes no thief of a client that asks twice.
    fn check_grace(
        &mut self,
        id: &GrantId,
        grant: &Grant,
        used: &Refresh,
        client: &Known,
    ) -> Result<(), Denied> {
        let token = used.hash.to_string();
        let user = grant.user.as_deref().unwrap_or_default().to_owned();
        let facts = [("client", client.id.as_str()), ("user", user.as_str()), ("token", token.as_str())];
        let remembered = self.successors.0.get(&used.hash).is_some_and(|known| self.now.mono < known.until);
        if remembered || used.grace.is_some_and(|grace| !grace.is_over(self.now)) {
            self.event(Level::Info, "refresh_grace", &facts);
            return Ok(());
        }
        self.event(Level::Warn, "refresh_reuse", &facts);
        if self.settings.options.refresh_reuse == RefreshReuse::Revoke {
            self.revoke_grant(id, "refresh_reuse");
        }
        Err(bad_refresh("the refresh token was used before"))
    }

    fn remember(&mut self, used: Hash, body: &str, leaf: Hash, narrowed: Narrowed) {
        let grace = u64::from(self.settings.options.refresh_grace_seconds);
        if grace == 0 {
            return;
        }
        let until = self.now.mono.plus_ms(grace.saturating_mul(1000));
        if self.successors.0.len() >= SUCCESSORS_MAX {
            self.successors.sweep(self.now.mono);
        }
        if self.successors.0.len() < SUCCESSORS_MAX {
            self.successors.0.insert(used, Successor { body: body.to_owned(), leaf, narrowed, until });
        }
    }
}

/// One answer for everything that can be wrong with a refresh token.
fn bad_refresh(reason: &'static str) -> Denied {
    Denied::grant("the refresh token is unknown, expired, revoked or was issued to another client", reason)
}
