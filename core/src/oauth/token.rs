//! The token endpoint: tokens for a code, new tokens for a refresh token (RFC 6749 §4.1.3, §6; OAuth 2.1 §4.3.1).
//!
//! The `redirect_uri` of the authorization request need not be said again: PKCE, which every code has, binds it to who
//! asked, and OAuth 2.1 (§10.2) has dropped the parameter. One that is said must be the same.
//!
//! Invariants: an answer goes out only after what it says is on disk; the error codes are those that clients rely on: a
//! dead refresh token is `invalid_grant` with 400, whatever the reason, an unknown client `invalid_client` with 401.

use super::authorize::{Code, Presented};
use super::client::Known;
use super::issuer::Issuer;
use super::params::Params;
use super::resource::Audience;
use super::scope::Scopes;
use super::secret::{Purpose, mint, mint_id};
use super::store::{Access, Expiry, Grant, GrantId, Refresh, unix};
use super::{Request, RequestId, Server};
use crate::digest::Hash;
use crate::http::Reply;
use crate::log::Level;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Access tokens of one grant that have not expired; of more the oldest end.
const ACCESS_MAX: usize = 64;
/// Used refresh tokens that a family remembers, to notice when one comes again.
const RETIRED_MAX: usize = 32;
/// Grants of one user through one client. A new login ends the oldest beyond it.
const GRANTS_MAX: usize = 20;

/// Why nothing is given: the answer, which tells a stranger little, and the reason, for the log.
pub(super) struct Denied {
    reply: Reply,
    reason: &'static str,
}

impl Denied {
    /// What is wrong is no secret.
    pub(super) fn openly(code: &str, reason: &'static str) -> Self {
        Self { reply: Reply::error(400, code, reason), reason }
    }

    /// `invalid_grant`, in the same words whatever the reason (T-08).
    pub(super) fn grant(words: &str, reason: &'static str) -> Self {
        Self { reply: Reply::error(400, "invalid_grant", words), reason }
    }
}

/// What a request narrows a grant to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Narrowed {
    pub(super) audience: Audience,
    pub(super) scope: Scopes,
}

impl Server {
    /// `POST /oauth/token`
    pub(super) fn token(&mut self, id: RequestId, request: &Request<'_>, issuer: &Issuer, params: &Params) {
        let address = self.address(request).shown.to_string();
        let client = match self.authenticate(request.head, params) {
            Ok(client) => client,
            Err(reply) => {
                let claimed = params.get("client_id").unwrap_or_default();
                self.event(Level::Warn, "invalid_client", &[("client", claimed), ("ip", &address)]);
                return self.reply(id, reply.open());
            }
        };
        let reply = match params.get("grant_type") {
            Some("authorization_code") => self.redeem(&client, issuer, params),
            Some("refresh_token") => self.refresh(&client, issuer, params),
            Some(_) => Err(Denied::openly("unsupported_grant_type", "this grant type is not supported")),
            None => Err(Denied::openly("invalid_request", "grant_type is required")),
        };
        match reply {
            Ok(body) => self.reply_after_save(id, Reply::json(200, body).open()),
            Err(Denied { reply, reason }) => {
                let facts = [("client", client.id.as_str()), ("reason", reason), ("ip", address.as_str())];
                self.event(Level::Info, "token_denied", &facts);
                // What was revoked on the way must stay so.
                self.reply_after_save(id, reply.open());
            }
        }
    }

    /// A code becomes a grant.
    fn redeem(&mut self, client: &Known, issuer: &Issuer, params: &Params) -> Result<String, Denied> {
        let Some(code) = params.get("code") else {
            return Err(Denied::openly("invalid_request", "code is required"));
        };
        let hash = Hash::of(code);
        let code = match self.codes.present(&hash, self.now.mono) {
            Presented::Fresh(code) => code,
            Presented::Unknown => return Err(bad_code("the code is unknown or has expired")),
            Presented::Replayed(grant) => {
                self.event(
                    Level::Warn,
                    "code_replay",
                    &[("client", &client.id), ("code", &hash.to_string())],
                );
                if let Some(grant) = grant {
                    self.revoke_grant(&grant, "code_replay");
                }
                return Err(bad_code("the code was used before"));
            }
        };
        let Some(verifier) = params.get("code_verifier") else {
            return Err(Denied::openly("invalid_request", "code_verifier is required"));
        };
        if code.client_id != client.id {
            return Err(bad_code("the code was issued to another client"));
        }
        if !is_met(&code.challenge, verifier) {
            return Err(bad_code("the code_verifier does not meet the challenge"));
        }
        // OAuth 2.1 dropped it, since PKCE binds the code; clients of before send it.
        if params.get("redirect_uri").is_some_and(|uri| uri != code.redirect_uri) {
            return Err(bad_code("the redirect_uri is not that of the authorization"));
        }
        let granted = Narrowed { audience: code.audience.clone(), scope: code.scope };
        let narrowed = self.narrow(issuer, params, &granted)?;
        if self.users.fingerprint(&code.user) != Some(code.cred_fp.as_str()) {
            return Err(bad_code("the user is gone or has another password"));
        }
        Ok(self.grant(client, code, &hash, narrowed))
    }

    fn grant(&mut self, client: &Known, code: Code, hash: &Hash, narrowed: Narrowed) -> String {
        self.make_room_for_grant(&client.id, &code.user);
        let now = self.now;
        let days = |days: u32| u64::from(days).saturating_mul(24 * 3600);
        let (idle, absolute) =
            (self.settings.options.refresh_idle_days, self.settings.options.refresh_max_days);
        let mut grant = Grant {
            client_id: client.id.clone(),
            user: Some(code.user.clone()),
            cred_fp: code.cred_fp,
            aud: code.audience,
            scope: code.scope,
            created_at: unix(now),
            idle_expires_at: Expiry::after(now, days(idle)),
            absolute_expires_at: Expiry::after(now, days(absolute)),
            refresh: Vec::new(),
            access: Vec::new(),
            extra: Map::new(),
        };
        let issued = self.issue(&mut grant, client.refresh, narrowed);
        let id: GrantId = Arc::from(mint_id(&mut self.rng));
        self.codes.spend(hash, id.clone());
        let facts =
            [("client", client.id.as_str()), ("user", code.user.as_str()), ("token", issued.name.as_str())];
        self.event(Level::Info, "token_issued", &facts);
        let state = self.book.change();
        state.put_grant(&id, grant);
        if let Some(client) = state.client_mut(&client.id) {
            client.last_used_at = unix(now);
        }
        issued.body
    }

    /// What a request asks for, within what was granted.
    pub(super) fn narrow(
        &self,
        issuer: &Issuer,
        params: &Params,
        granted: &Narrowed,
    ) -> Result<Narrowed, Denied> {
        let audience = match params.resources().next() {
            None => granted.audience.clone(),
            Some(_) => {
                let asked = self.audience(issuer, params).filter(|asked| granted.audience.covers(asked));
                asked.ok_or_else(|| {
                    Denied::openly("invalid_target", "resource must be among what was authorized")
                })?
            }
        };
        let too_wide = || Denied::openly("invalid_scope", "scope must be among what was granted");
        let scope = match params.get("scope") {
            None => granted.scope,
            Some(text) => {
                let asked = Scopes::parse(text).map_err(|()| too_wide())?;
                // A client that only knows words of other servers means what it has.
                let asked = if asked.is_empty() { granted.scope } else { asked };
                Some(asked).filter(|asked| granted.scope.covers(*asked)).ok_or_else(too_wide)?
            }
        };
        Ok(Narrowed { audience, scope })
    }

    /// Adds new tokens to a grant.
    pub(super) fn issue(&mut self, grant: &mut Grant, refresh: bool, narrowed: Narrowed) -> Issued {
        let now = self.now;
        let life = u64::from(self.settings.options.token_minutes).saturating_mul(60);
        let access = mint(&mut self.rng, Purpose::Access);
        let hash = Hash::of(access.expose());
        let scope = narrowed.scope;
        grant.access.retain(|access| !access.expires_at.is_over(now));
        let excess = grant.access.len().saturating_sub(ACCESS_MAX.saturating_sub(1));
        grant.access.drain(..excess);
        grant.access.push(Access {
            hash,
            expires_at: Expiry::after(now, life),
            aud: narrowed.audience,
            scope,
        });
        let mut body = Map::new();
        body.insert("access_token".into(), json!(access.expose()));
        body.insert("token_type".into(), json!("Bearer"));
        body.insert("expires_in".into(), json!(life));
        body.insert("scope".into(), json!(scope.to_string()));
        let mut leaf = None;
        if refresh {
            let token = mint(&mut self.rng, Purpose::Refresh);
            let hash = Hash::of(token.expose());
            body.insert("refresh_token".into(), json!(token.expose()));
            grant.refresh.push(Refresh::new(hash, now));
            forget_retired(grant);
            leaf = Some(hash);
        }
        Issued { body: Value::Object(body).to_string(), name: hash.to_string(), leaf }
    }

    /// The newest grants of a user through a client stay.
    fn make_room_for_grant(&mut self, client: &str, user: &str) {
        let mut mine: Vec<(u64, GrantId)> = self
            .book
            .staged()
            .grants_of(client)
            .filter(|(_, grant)| grant.user.as_deref() == Some(user))
            .map(|(id, grant)| (grant.created_at, id.clone()))
            .collect();
        mine.sort();
        let excess = mine.len().saturating_sub(GRANTS_MAX.saturating_sub(1));
        for (_, id) in mine.into_iter().take(excess) {
            self.revoke_grant(&id, "newer logins");
        }
    }

    /// Ends a grant with everything that came of it.
    pub(super) fn revoke_grant(&mut self, id: &GrantId, reason: &str) {
        let Some(grant) = self.book.staged().grant(id) else { return };
        let (client, user) = (grant.client_id.clone(), grant.user.clone().unwrap_or_default());
        self.event(Level::Info, "revoked", &[("client", &client), ("user", &user), ("reason", reason)]);
        self.book.change().remove_grant(id);
    }
}

/// Tokens that were made.
pub(super) struct Issued {
    pub(super) body: String,
    /// The access token as log lines name it.
    pub(super) name: String,
    pub(super) leaf: Option<Hash>,
}

/// Of the used refresh tokens the last ones are remembered.
fn forget_retired(grant: &mut Grant) {
    let retired = grant.refresh.iter().filter(|refresh| refresh.retired_at.is_some()).count();
    let mut excess = retired.saturating_sub(RETIRED_MAX);
    grant.refresh.retain(|refresh| {
        let forget = excess > 0 && refresh.retired_at.is_some();
        excess = excess.saturating_sub(usize::from(forget));
        !forget
    });
}

/// Whether a verifier meets its challenge (RFC 7636 §4.6, S256 only).
fn is_met(challenge: &str, verifier: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && Base64UrlUnpadded::encode_string(&Sha256::digest(verifier.as_bytes())) == challenge
}

/// One answer for everything that can be wrong with a code.
fn bad_code(reason: &'static str) -> Denied {
    Denied::grant("the code is unknown, expired, used or was issued for another request", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_is_met_and_nothing_else() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(is_met(challenge, verifier));
        for bad in ["", "short", &verifier.replace('d', "e"), &format!("{verifier}!"), challenge] {
            assert!(!is_met(challenge, bad), "{bad}"); // T-07
        }
    }
}
