//! Keys that restrict access, and what a typing error in one of them is: an error, not a warning (FT-401).
//!
//! An unknown key is otherwise skipped with a warning, because a newer file should still load. Skipped, `authToken`
//! or `adr` would leave open what it was meant to close. So an unknown key is an error if it is within two letters of
//! a guard that can stand in the same object, if it is a guard that stands in the wrong object, or if it is what
//! other programs call a guard.
//!
//! Deliberately absent: the values of these keys, which their readers check.

use super::fields::edit_distance;

/// The guard that was surely meant by an unknown key. `known` are the keys of the object it stands in; `in_login`
/// says that the object configures the login, where every key counts.
pub(super) fn meant(key: &str, known: &[&'static str], in_login: bool) -> Option<&'static str> {
    if key.len() > KEY_BYTES_MAX {
        return None;
    }
    let key = plain(key);
    let here = known.iter().copied().filter(|known| in_login || is_guard(known));
    let here = here.map(|guard| (edit_distance(&key, &plain(guard)), guard));
    if let Some((_, guard)) = here.filter(|(letters, _)| *letters <= LETTERS_MAX).min() {
        return Some(guard);
    }
    // In the wrong object: short words mean something else there.
    let misplaced = |guard: &&&str| match guard.len() {
        ..LONG_BYTES_MIN => false,
        _ => edit_distance(&key, &plain(guard)) <= LETTERS_MAX,
    };
    let synonym = SYNONYMS.iter().find(|(synonym, guard)| key == *synonym && known.contains(guard));
    GUARDS.iter().find(misplaced).copied().or_else(|| synonym.map(|(_, guard)| *guard))
}

/// Whether a key restricts access, by its last part: `options.authTokens`.
pub(super) fn is_guard(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    GUARDS.contains(&last)
}

/// Lower case without the joints of other spellings: `auth_tokens`, `auth-tokens`.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

/// What counts as a typing error.
const LETTERS_MAX: usize = 2;

/// From here on a key is long enough to be recognised in the wrong object: `addrs` may be anything there.
const LONG_BYTES_MIN: usize = 8;

/// Longer keys are no typing error.
const KEY_BYTES_MAX: usize = 40;

/// All of them, outside the login. Without `type` and `options` a login or a list of tokens would not be in effect;
/// without `mode` or `list` a filter would not.
const GUARDS: [&str; 24] = [
    "mcpProxy",
    "addr",
    "type",
    "options",
    "allowedHosts",
    "allowedOrigins",
    "authTokens",
    "globalAuthTokens",
    "oauth2",
    "toolFilter",
    "promptFilter",
    "resourceFilter",
    "userFilter",
    "toolOverrides",
    "mode",
    "list",
    "hidden",
    "enabled",
    "disabled",
    "users",
    "usersFile",
    "allowedIPs",
    "allowedRedirectURIs",
    "secret",
];

/// Other words for a guard, in lower case, where that guard can stand.
const SYNONYMS: [(&str, &str); 13] = [
    ("address", "addr"),
    ("listen", "addr"),
    ("bind", "addr"),
    ("host", "addr"),
    ("port", "addr"),
    ("token", "authTokens"),
    ("tokens", "authTokens"),
    ("bearertoken", "authTokens"),
    ("bearertokens", "authTokens"),
    ("apikey", "authTokens"),
    ("apikeys", "authTokens"),
    ("names", "list"),
    ("tools", "list"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_recognised_within_two_letters_in_its_own_object() {
        let options = ["authTokens", "oauth2", "toolFilter", "sessions", "disabled"];
        let table = [
            ("authToken", Some("authTokens")),
            ("auth_tokens", Some("authTokens")),
            ("AUTH-TOKEN", Some("authTokens")),
            ("athTokns", Some("authTokens")),
            ("athTokn", None),
            ("oauth", Some("oauth2")),
            ("oAuth", Some("oauth2")),
            ("auth", Some("oauth2")),
            ("toolsFilter", Some("toolFilter")),
            ("toolFiltre", Some("toolFilter")),
            ("disable", Some("disabled")),
            ("tokens", Some("authTokens")),
            ("sesions", None),
            ("zebra", None),
            ("", None),
            // In the wrong object.
            ("allowedIPs", Some("allowedIPs")),
            ("allowedHost", Some("allowedHosts")),
            ("adr", None),
        ];
        for (key, guard) in table {
            assert_eq!(meant(key, &options, false), guard, "{key}");
        }
        assert_eq!(meant("adr", &["addr"], false), Some("addr"));
        assert_eq!(meant("lst", &["mode", "list"], false), Some("list"));
        assert_eq!(meant("host", &["addr"], false), Some("addr"));
        assert_eq!(meant("registrations", &["registration"], true), Some("registration"));
        assert_eq!(meant("registrations", &["registration"], false), None);
        assert_eq!(meant(&"x".repeat(KEY_BYTES_MAX + 1), &options, false), None);
    }
}
