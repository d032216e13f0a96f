//! Files of the original program: `{clients, accessTokens, savedAt}`, and the older bare map of clients.
//!
//! Clients are taken over if the policy still admits their targets; it never checked secrets, so they may come with or
//! without. Access tokens stay valid until they expire, on all servers as they were, but nobody knows whose they are, so
//! they cannot be refreshed. The file is written anew at once: the original keeps everything in clear.

use super::format::{FormatError, Lifetimes, Read};
use super::{Access, AuthMethod, Client, Expiry, Grant, State, unix};
use crate::digest::Hash;
use crate::oauth::resource::Audience;
use crate::oauth::scope::Scopes;
use crate::oauth::secret::{Key, mint_id};
use crate::redirect_uri::Policy;
use crate::rng::Rng;
use crate::time::Now;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What decides what is taken over.
pub(crate) struct Import<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) tokens: bool,
}

pub(crate) fn read(
    mut members: Map<String, Value>,
    now: Now,
    lifetimes: Lifetimes,
    import: &Import<'_>,
    rng: &mut Rng,
) -> Result<Read, FormatError> {
    let tokens = members.remove("accessTokens");
    let clients = match (members.remove("clients"), &tokens) {
        (Some(Value::Object(clients)), _) => clients,
        (None, None) if members.values().all(is_client) => members,
        (None | Some(Value::Null), Some(_)) => Map::new(),
        _ => return Err(FormatError::Corrupt("it has neither a format number nor clients".into())),
    };
    let mut read = Read { state: State::new(Key::new(rng)), rewrite: true, remarks: Vec::new() };
    let (mut taken, mut dropped) = (0u32, 0u32);
    for (id, client) in clients {
        match take_client(&client, now, import.policy) {
            Some(client) => {
                taken = taken.saturating_add(1);
                read.state.insert_client(id.into(), client);
            }
            None => dropped = dropped.saturating_add(1),
        }
    }
    let tokens = tokens.filter(|_| import.tokens);
    let tokens = tokens.iter().filter_map(Value::as_object).flat_map(Map::iter);
    let mut kept = 0u32;
    for (name, token) in tokens {
        if let Some(grant) = take_token(name, token, &read.state, now, lifetimes) {
            kept = kept.saturating_add(1);
            read.state.put_grant(&Arc::from(mint_id(rng)), grant);
        }
    }
    read.remarks.push(format!(
        "oauth event=migrated clients={taken} dropped_clients={dropped} access_tokens={kept} (from the original program)"
    ));
    Ok(read)
}

fn is_client(value: &Value) -> bool {
    value.get("redirect_uris").is_some() || value.get("client_id").is_some()
}

fn take_client(client: &Value, now: Now, policy: &Policy) -> Option<Client> {
    let uris = client.get("redirect_uris")?.as_array()?;
    let redirect_uris: Vec<String> =
        uris.iter().map(|uri| uri.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    if redirect_uris.is_empty() || redirect_uris.iter().any(|uri| policy.admits(uri).is_err()) {
        return None;
    }
    let text = |name: &str| client.get(name).and_then(Value::as_str).unwrap_or_default();
    let secret = text("client_secret");
    Some(Client {
        name: text("client_name").chars().take(100).collect(),
        redirect_uris,
        method: AuthMethod::Any,
        secret_hash: (!secret.is_empty()).then(|| Hash::of(secret)),
        refresh: true,
        created_at: parse_time(client.get("client_id_issued_at")).unwrap_or_else(|| unix(now)),
        last_used_at: unix(now),
        extra: Map::new(),
    })
}

fn take_token(name: &str, token: &Value, state: &State, now: Now, lifetimes: Lifetimes) -> Option<Grant> {
    let text = |key: &str| token.get(key).and_then(Value::as_str);
    let secret = text("Token").filter(|token| !token.is_empty()).unwrap_or(name);
    let client_id = text("ClientID").filter(|id| state.client(id).is_some())?;
    let mut expires_at = Expiry::from(parse_time(token.get("ExpiresAt"))?);
    expires_at.settle(now, lifetimes.access);
    if expires_at.is_over(now) {
        return None;
    }
    let access = Access { hash: Hash::of(secret), expires_at, aud: Audience::All, scope: Scopes::DEFAULT };
    Some(Grant {
        client_id: client_id.to_owned(),
        user: None,
        cred_fp: String::new(),
        aud: Audience::All,
        scope: Scopes::DEFAULT,
        created_at: unix(now),
        idle_expires_at: expires_at,
        absolute_expires_at: expires_at,
        refresh: Vec::new(),
        access: vec![access],
        extra: Map::new(),
    })
}

/// Seconds since 1970 from a number, or from a time as Go writes it (RFC 3339).
fn parse_time(value: Option<&Value>) -> Option<u64> {
    let text = match value? {
        Value::Number(number) => return number.as_u64(),
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let fields =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !fields || year < 1970 {
        return None;
    }
    // Days from the civil calendar, with March as the first month so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - zone(text)?;
    u64::try_from(seconds).ok()
}

/// The offset of a time in seconds.
fn zone(text: &str) -> Option<i64> {
    let rest = text.get(19..)?;
    let rest =
        rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    if rest == "Z" || rest == "z" {
        return Some(0);
    }
    let sign = match rest.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let hours: i64 = rest.get(1..3)?.parse().ok()?;
    let minutes: i64 = rest.get(4..6)?.parse().ok()?;
    Some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_of_go_are_read() {
        let table = [
            (json!("1970-01-01T00:00:00Z"), Some(0)),
            (json!("2025-11-25T12:41:15.123456789Z"), Some(1_764_074_475)),
            (json!("2024-02-29T23:59:59+02:00"), Some(1_709_243_999)),
            (json!("2024-02-29T19:59:59-02:30"), Some(1_709_245_799)),
            (json!(1_700_000_000), Some(1_700_000_000)),
            (json!("1969-12-31T23:59:59Z"), None),
            (json!("2024-13-01T00:00:00Z"), None),
            (json!("2024-01-01"), None),
            (json!("2024-01-01T00:00:00"), None),
            (json!(""), None),
            (json!(null), None),
        ];
        for (value, seconds) in table {
            assert_eq!(parse_time(Some(&value)), seconds, "{value}");
        }
    }
}
