//! What a request to a server may do with its credential (RFC 6750, README §7).
//!
//! Asked for each request: one hash and two look-ups, whatever number of tokens there are.

use super::Server;
use super::challenge::Refusal;
use super::resource::Audience;
use super::store::Grant;
use crate::digest::Hash;
use crate::id::ServerId;
use crate::route::Place;

/// Somebody who logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who: the same user through the same client has the same, also after another login.
    pub principal: [u8; 16],
    /// The token that was shown, to see later whether it still holds.
    pub token: Hash,
    /// The servers that are open, in order.
    pub servers: Vec<ServerId>,
}

impl Server {
    /// Whether a login is needed here.
    pub fn protects(&self, place: Place) -> bool {
        match place {
            Place::Server(id) => self.settings.resource(id).is_some_and(|server| server.protected),
            Place::Merged => self.settings.resources.iter().any(|server| server.protected),
        }
    }

    /// Looks at the value of `Authorization` of a request to a protected place.
    ///
    /// # Errors
    /// Why it may not in, as the one who asks is told, and more exactly for the log.
    pub fn check(&self, place: Place, authorization: Option<&str>) -> Result<Login, (Refusal, &'static str)> {
        let value = authorization
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .ok_or((Refusal::Missing, "no token"))?;
        let token = match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            None if value.eq_ignore_ascii_case("bearer") => {
                return Err((Refusal::Malformed, "an empty token"));
            }
            Some(_) | None => return Err((Refusal::Invalid, "no bearer token")),
        };
        if token.contains([' ', ',']) {
            return Err((Refusal::Malformed, "more than one token"));
        }
        let hash = Hash::of(token);
        let (grant, audience, mcp) = self.living(&hash).map_err(|reason| (Refusal::Invalid, reason))?;
        let user = grant.user.as_deref();
        let in_audience = |server: &&super::Resource| server.protected && audience.has(&server.key);
        let opens = |server: &&super::Resource| {
            in_audience(server) && user.is_none_or(|user| server.users.admits(user))
        };
        let servers: Vec<ServerId> = match place {
            Place::Server(id) => {
                let named = self.settings.resource(id).filter(in_audience);
                let named = named.ok_or((Refusal::Invalid, "the token was issued for another server"))?;
                Some(named).filter(opens).map(|server| server.id).into_iter().collect()
            }
            Place::Merged => self.settings.resources.iter().filter(opens).map(|server| server.id).collect(),
        };
        if servers.is_empty() {
            let none =
                place == Place::Merged && !self.settings.resources.iter().any(|server| in_audience(&server));
            return Err(match none {
                true => (Refusal::Invalid, "the token was issued for another server"),
                false => (Refusal::Forbidden, "the user may not use this server"),
            });
        }
        if !mcp {
            return Err((Refusal::Narrow, "the scope of the token is too small"));
        }
        let parts = ["principal", user.unwrap_or_default(), grant.client_id.as_str()];
        let seal = self.book.durable().key.seal(parts);
        let principal = seal.first_chunk().copied().unwrap_or_default();
        Ok(Login { principal, token: hash, servers })
    }

    /// Whether a token that was good is still good.
    pub fn holds(&self, token: &Hash) -> bool {
        self.living(token).is_ok()
    }

    /// The grant of an access token that is good, its audience, and whether its scope opens servers; else why not.
    fn living(&self, hash: &Hash) -> Result<(&Grant, &Audience, bool), &'static str> {
        let (id, grant, access) =
            self.book.durable().access(hash).ok_or("the token is unknown or was revoked")?;
        if access.expires_at.is_over(self.now) {
            return Err("the token has expired");
        }
        if !self.knows_client(&grant.client_id) {
            return Err("the client of the token is gone");
        }
        if self.upkeep.has_ended(id) || !self.is_user_same(grant) {
            return Err("the user is gone or has another password");
        }
        Ok((grant, &access.aud, access.scope.mcp))
    }

    /// Whether the user of a grant is still there with the same password.
    pub(super) fn is_user_same(&self, grant: &Grant) -> bool {
        match &grant.user {
            Some(user) => self.users.fingerprint(user) == Some(grant.cred_fp.as_str()),
            // From the original program, which did not note it; such a grant ends with its token.
            None => true,
        }
    }
}
