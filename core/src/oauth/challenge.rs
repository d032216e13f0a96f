//! The answer to a request that may not in: where to get a token, and what was wrong with the one that came
//! (RFC 6750 §3, RFC 9728 §5.1).
//!
//! Invariants: bad, expired, revoked and foreign tokens are told apart by nobody; a user who may not use a server is not
//! told to ask for more scopes, since clients would do so for ever.

use super::issuer::Issuer;
use super::scope;
use crate::http::Reply;

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No credential came.
    Missing,
    /// The token is not good here (any more).
    Invalid,
    /// More than one credential, or none where one was announced.
    Malformed,
    /// The token is good, its user may not use this server.
    Forbidden,
    /// The token is good, its scope is too small.
    Narrow,
}

impl Refusal {
    /// The answer at `path` (as requested).
    pub(crate) fn reply(self, issuer: Option<&Issuer>, path: &str) -> Reply {
        let (status, code, text) = match self {
            Self::Missing => (401, "unauthorized", "authorization is required"),
            Self::Invalid => (401, "invalid_token", "the access token is expired, revoked or not valid here"),
            Self::Malformed => {
                (400, "invalid_request", "exactly one authorization header with one token is expected")
            }
            Self::Forbidden => (403, "access_denied", "this user may not use this server"),
            Self::Narrow => (403, "insufficient_scope", "the access token was not issued for this"),
        };
        let reply = Reply::error(status, code, text);
        let mut parts = Vec::new();
        match self {
            Self::Malformed | Self::Forbidden => return reply,
            Self::Missing => {}
            Self::Invalid | Self::Narrow => {
                parts.push(format!("error=\"{code}\""));
                parts.push(format!("error_description=\"{text}\""));
            }
        }
        if let Some(issuer) = issuer {
            let path = escape(path);
            let metadata = format!("{}/.well-known/oauth-protected-resource{path}", issuer.origin());
            parts.insert(0, format!("resource_metadata=\"{metadata}\""));
        }
        parts.push(format!("scope=\"{}\"", scope::MCP));
        reply.with("www-authenticate", format!("Bearer {}", parts.join(", ")))
    }
}

/// A path inside a quoted string: everything that could end it is percent-encoded.
fn escape(path: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>');
    let encode = |byte: u8| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::Url;

    #[test]
    fn a_challenge_names_the_metadata_of_the_path_and_what_was_wrong() {
        let issuer = Issuer::of_url(&Url::parse("https://mcp.example.com/deep").unwrap());
        let missing = Refusal::Missing.reply(Some(&issuer), "/deep/fs/mcp"); // OA-50, OA-51
        assert_eq!(missing.status, 401);
        assert_eq!(
            missing.header("www-authenticate"),
            Some(
                "Bearer resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/deep/fs/mcp\", \
                 scope=\"mcp\""
            )
        );
        let invalid = Refusal::Invalid.reply(Some(&issuer), "/deep/\"x\\");
        let challenge = invalid.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("error=\"invalid_token\"") && challenge.contains("/deep/%22x%5C\""),
            "{challenge}"
        );
        let forbidden = Refusal::Forbidden.reply(Some(&issuer), "/deep/fs"); // OA-59
        assert_eq!((forbidden.status, forbidden.header("www-authenticate")), (403, None));
        let narrow = Refusal::Narrow.reply(Some(&issuer), "/deep/fs"); // OA-65
        let challenge = narrow.header("www-authenticate").unwrap();
        assert!(
            narrow.status == 403
                && challenge.contains("insufficient_scope")
                && challenge.contains("scope=\"mcp\"")
        );
    }
}
