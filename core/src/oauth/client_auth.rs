//! Who calls the token and revocation endpoints (RFC 6749 §2.3).

use super::Server;
use super::client::Known;
use super::form::decode_component;
use super::params::Params;
use super::store::AuthMethod;
use crate::http::Reply;
use crate::http::RequestHead;
use crate::redacted::Redacted;
use base64ct::{Base64, Encoding};

/// What a request says about its client.
struct Claim {
    id: String,
    secret: Option<Redacted<String>>,
    basic: bool,
}

impl Server {
    /// The client of a request, if it proves to be it.
    ///
    /// # Errors
    /// The answer: 401 `invalid_client`, which makes clients register anew, or 400 for a request that contradicts itself.
    pub(super) fn authenticate(&self, head: &RequestHead, params: &Params) -> Result<Known, Reply> {
        let claim = claim(head, params)?;
        let refused = || refused(claim.basic);
        let client = self.known_client(&claim.id).ok_or_else(refused)?;
        let right =
            |secret: &Redacted<String>| client.secret.is_some_and(|hash| hash.matches(secret.expose()));
        let proven = match (client.method, &claim.secret) {
            // What a public client sends as a secret means nothing.
            (AuthMethod::None, _) | (AuthMethod::Any, None) => true,
            (AuthMethod::Post | AuthMethod::Basic, None) => false,
            (AuthMethod::Post | AuthMethod::Basic | AuthMethod::Any, Some(secret)) => right(secret),
        };
        if proven { Ok(client) } else { Err(refused()) }
    }
}

fn claim(head: &RequestHead, params: &Params) -> Result<Claim, Reply> {
    let invalid = |text| Reply::error(400, "invalid_request", text);
    let in_body = params.get("client_secret");
    let basic = head.header("authorization").and_then(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("basic").then(|| rest.trim())
    });
    let Some(basic) = basic else {
        let id = params.get("client_id").ok_or_else(|| invalid("client_id is required"))?.to_owned();
        return Ok(Claim {
            id,
            secret: in_body.map(|secret| Redacted::new(secret.to_owned())),
            basic: false,
        });
    };
    if in_body.is_some() {
        return Err(invalid("the client authenticates in two ways at once"));
    }
    let (id, secret) = read_basic(basic).ok_or_else(|| refused(true))?;
    if params.get("client_id").is_some_and(|named| named != id) {
        return Err(invalid("client_id differs from the authenticated client"));
    }
    let secret = Some(secret).filter(|secret| !secret.is_empty()).map(Redacted::new);
    Ok(Claim { id, secret, basic: true })
}

/// Both parts are form-encoded inside (RFC 6749 §2.3.1).
fn read_basic(text: &str) -> Option<(String, String)> {
    let bytes = Base64::decode_vec(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((decode_component(id)?, decode_component(secret)?))
}

fn refused(basic: bool) -> Reply {
    let reply = Reply::error(401, "invalid_client", "the client is unknown or did not prove who it is");
    if basic { reply.with("www-authenticate", "Basic realm=\"oauth\"") } else { reply }
}
