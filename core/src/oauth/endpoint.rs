//! Which path is which endpoint of the authorization server.
//!
//! All are mounted under the path of `baseURL` and, since some reverse proxies strip it and pages of the original post
//! to a fixed path, at the root too. Every other path below `/.well-known/` is [`Endpoint::Unknown`]: clients probe
//! many of them, and whatever is not a 404 in JSON makes some give up.

/// An endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    /// Authorization server metadata (RFC 8414).
    Metadata,
    /// The same under the name of OpenID.
    OpenId,
    /// An empty set of keys, for clients that insist on one.
    Keys,
    /// Protected resource metadata (RFC 9728) of what is at this path; empty for the proxy as a whole.
    Resource(&'a str),
    /// Dynamic client registration (RFC 7591).
    Register,
    /// The login page.
    Authorize,
    /// Tokens for codes and refresh tokens.
    Token,
    /// The end of a token (RFC 7009).
    Revoke,
    /// There is nothing, and whoever asks is an OAuth client.
    Unknown,
}

/// What is at a path; `None` when it is none of the authorization server's. `base` is the path of `baseURL`.
pub(crate) fn find<'a>(base: &str, strict_discovery: bool, path: &'a str) -> Option<Endpoint<'a>> {
    let below = path.strip_prefix(base).filter(|rest| rest.starts_with('/')).unwrap_or(path);
    match below {
        "/oauth/register" | "/register" => return Some(Endpoint::Register),
        "/oauth/authorize" | "/authorize" => return Some(Endpoint::Authorize),
        "/oauth/token" | "/token" => return Some(Endpoint::Token),
        "/oauth/revoke" => return Some(Endpoint::Revoke),
        "/oauth/jwks" => return Some(Endpoint::Keys),
        _ if below.starts_with("/oauth/") => return Some(Endpoint::Unknown),
        _ => {}
    }
    let Some(known) = path.strip_prefix("/.well-known/") else {
        return match below {
            "/.well-known/openid-configuration" => Some(Endpoint::OpenId),
            _ if path.contains("/.well-known/") => Some(Endpoint::Unknown),
            _ => None,
        };
    };
    // A document at another place than the one that follows from its issuer is wrong, but clients of 2025-03-26 look
    // only at the root.
    let is_ours = |rest: &str| rest == base || (rest.is_empty() && !strict_discovery);
    let strip = |name: &str| known.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(rest) = strip("oauth-authorization-server") {
        return Some(if is_ours(rest) { Endpoint::Metadata } else { Endpoint::Unknown });
    }
    if let Some(rest) = strip("openid-configuration") {
        return Some(if is_ours(rest) { Endpoint::OpenId } else { Endpoint::Unknown });
    }
    Some(strip("oauth-protected-resource").map_or(Endpoint::Unknown, Endpoint::Resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_found_with_and_without_the_path_of_the_base_url() {
        // OA-30, OA-32, OA-39
        let table = [
            ("/.well-known/oauth-authorization-server", Some(Endpoint::Metadata)),
            ("/.well-known/oauth-authorization-server/deep", Some(Endpoint::Metadata)),
            ("/.well-known/oauth-authorization-server/deep/fs/mcp", Some(Endpoint::Unknown)),
            ("/.well-known/oauth-authorization-serverx", Some(Endpoint::Unknown)),
            ("/.well-known/openid-configuration/deep", Some(Endpoint::OpenId)),
            ("/deep/.well-known/openid-configuration", Some(Endpoint::OpenId)),
            ("/deep/fs/mcp/.well-known/openid-configuration", Some(Endpoint::Unknown)),
            ("/.well-known/oauth-protected-resource", Some(Endpoint::Resource(""))),
            ("/.well-known/oauth-protected-resource/deep/fs/mcp", Some(Endpoint::Resource("/deep/fs/mcp"))),
            ("/.well-known/anything", Some(Endpoint::Unknown)),
            ("/deep/oauth/token", Some(Endpoint::Token)),
            ("/oauth/token", Some(Endpoint::Token)),
            ("/token", Some(Endpoint::Token)),
            ("/deep/authorize", Some(Endpoint::Authorize)),
            ("/oauth/introspect", Some(Endpoint::Unknown)),
            ("/deepoauth/token", None),
            ("/fs/oauth/token", None),
            ("/", None),
        ];
        for (path, endpoint) in table {
            assert_eq!(find("/deep", false, path), endpoint, "{path}");
        }
        assert_eq!(find("/deep", true, "/.well-known/oauth-authorization-server"), Some(Endpoint::Unknown));
        assert_eq!(find("", true, "/.well-known/oauth-authorization-server"), Some(Endpoint::Metadata));
    }
}
