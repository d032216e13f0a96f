//! Cookies that a server, or a balancer before it, sets: kept in memory, and sent back where they came from (RFC 6265).
//!
//! One jar belongs to one connection to one host and goes with it, so no cookie meets another server or survives a
//! loss. What a user agent needs of RFC 6265 is here: §5.1 dates, domains and paths, §5.2 `Set-Cookie`, §5.3 storage,
//! §5.4 `Cookie`.
//!
//! Invariants: a cookie goes to the host that set it alone, `Secure` ones only over TLS; the jar is bounded, the oldest
//! goes first; no value is ever shown. Deliberately absent: `HttpOnly` and `SameSite`, which are about pages; lists of
//! public suffixes, since no other host is ever asked.

use crate::limits::{COOKIE_BYTES_MAX, COOKIES_MAX, JAR_BYTES_MAX};
use crate::redacted::Redacted;
use crate::time::{Mono, Now};
use crate::url::Url;

/// The cookies of one host.
#[derive(Debug, Default)]
pub(crate) struct Jar {
    /// In order of their creation.
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: Redacted<String>,
    /// The `Domain` it was set for, or the host itself.
    domain: String,
    path: String,
    secure: bool,
    /// When it expires, if ever.
    until: Option<Mono>,
}

/// What the attributes of a cookie say.
#[derive(Debug, Default)]
struct Attributes {
    max_age_s: Option<i64>,
    /// Seconds since 1970.
    expires_s: Option<i64>,
    domain: Option<String>,
    path: Option<String>,
    secure: bool,
}

impl Jar {
    /// Takes the value of a `Set-Cookie` field of a response from this URL. Whatever is wrong with it, it is ignored.
    pub(crate) fn take(&mut self, from: &Url, field: &str, now: Now) {
        if let Some(cookie) = Cookie::parse(from, field, now) {
            self.keep(cookie, now.mono);
        }
    }

    fn keep(&mut self, cookie: Cookie, now: Mono) {
        self.cookies.retain(|known| !known.is_over(now));
        let same = |known: &Cookie| {
            known.name == cookie.name && known.domain == cookie.domain && known.path == cookie.path
        };
        let place = self.cookies.iter().position(same);
        match place {
            Some(place) if cookie.is_over(now) => _ = self.cookies.remove(place),
            // It keeps its place in the order.
            Some(place) => {
                if let Some(known) = self.cookies.get_mut(place) {
                    *known = cookie;
                }
            }
            None if cookie.is_over(now) => {}
            None => self.cookies.push(cookie),
        }
        while self.cookies.len() > COOKIES_MAX || self.size() > JAR_BYTES_MAX {
            self.cookies.remove(0);
        }
    }

    fn size(&self) -> usize {
        self.cookies.iter().map(Cookie::size).fold(0, usize::saturating_add)
    }

    /// The value of the `Cookie` field for a request to this URL, `None` when there is none. `configured` is the value
    /// of the configuration, whose cookies win.
    pub(crate) fn field(&self, to: &Url, configured: Option<&str>, now: Mono) -> Option<String> {
        let own = |cookie: &Cookie| {
            let names = configured.unwrap_or_default().split(';');
            let mut names = names.filter_map(|pair| pair.split('=').next());
            names.any(|name| name.trim() == cookie.name)
        };
        let goes = |cookie: &&Cookie| cookie.goes_to(to) && !cookie.is_over(now) && !own(cookie);
        let mut cookies: Vec<&Cookie> = self.cookies.iter().filter(goes).collect();
        // Longer paths first, the older first among equals: the sort is stable.
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs = cookies.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value.expose()));
        let all: Vec<String> =
            configured.map(|text| text.trim().to_owned()).into_iter().chain(pairs).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Cookie {
    /// RFC 6265 §5.2 and §5.3.
    fn parse(from: &Url, field: &str, now: Now) -> Option<Self> {
        if field.len() > COOKIE_BYTES_MAX
            || field.chars().any(|c| (c.is_control() && c != '\t') || !c.is_ascii())
        {
            return None;
        }
        let (pair, rest) = field.split_once(';').unwrap_or((field, ""));
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return None;
        }
        let attributes = Attributes::parse(rest);
        let domain = match attributes.domain {
            Some(domain) if !is_within(from.host(), &domain) => return None,
            Some(domain) => domain,
            None => from.host().to_owned(),
        };
        if attributes.secure && !from.is_secure() {
            return None;
        }
        let now_s = i64::try_from(now.unix.0 / 1_000).unwrap_or(i64::MAX);
        let left_s = match (attributes.max_age_s, attributes.expires_s) {
            (Some(left), _) => Some(left),
            (None, expires) => expires.map(|at| at.saturating_sub(now_s)),
        };
        let until =
            left_s.map(|left| now.mono.plus_ms(u64::try_from(left).unwrap_or(0).saturating_mul(1_000)));
        Some(Self {
            name: name.to_owned(),
            value: value.to_owned().into(),
            domain,
            path: attributes.path.unwrap_or_else(|| default_path(from.path())),
            secure: attributes.secure,
            until,
        })
    }

    fn is_over(&self, now: Mono) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The host is always the one that set it: see [`Jar`].
    fn goes_to(&self, to: &Url) -> bool {
        is_within(to.host(), &self.domain)
            && path_matches(to.path(), &self.path)
            && (!self.secure || to.is_secure())
    }

    fn size(&self) -> usize {
        self.name.len().saturating_add(self.value.expose().len()).saturating_add(4)
    }
}

impl Attributes {
    fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for attribute in text.split(';') {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            // The last one of a name counts.
            match name.trim().to_ascii_lowercase().as_str() {
                "max-age" => all.max_age_s = max_age(value).or(all.max_age_s),
                "expires" => all.expires_s = date(value).or(all.expires_s),
                "domain" if !value.is_empty() => {
                    all.domain = Some(value.strip_prefix('.').unwrap_or(value).to_ascii_lowercase());
                }
                "path" => all.path = value.starts_with('/').then(|| value.to_owned()),
                "secure" => all.secure = true,
                _ => {}
            }
        }
        all
    }
}

/// Seconds; a number beyond all bounds is the bound.
fn max_age(value: &str) -> Option<i64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let beyond = if value.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(value.parse().unwrap_or(beyond))
}

/// RFC 6265 §5.1.3: the domain itself or a host below it; never part of an address.
fn is_within(host: &str, domain: &str) -> bool {
    host == domain
        || (host.parse::<std::net::IpAddr>().is_err()
            && host.strip_suffix(domain).is_some_and(|front| front.ends_with('.')))
}

/// RFC 6265 §5.1.4: the folder of the request.
fn default_path(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        Some(_) | None => "/".to_owned(),
    }
}

/// RFC 6265 §5.1.4.
fn path_matches(path: &str, of_cookie: &str) -> bool {
    path.strip_prefix(of_cookie)
        .is_some_and(|rest| rest.is_empty() || of_cookie.ends_with('/') || rest.starts_with('/'))
}

/// RFC 6265 §5.1.1: seconds since 1970 of a date in any of the usual forms.
fn date(text: &str) -> Option<i64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    let is_delimiter = |c: char| !(c.is_ascii_alphanumeric() || c == ':');
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        let number = || leading_number(token);
        if time.is_none() && token.contains(':') {
            time = clock(token);
        } else if let (None, Some((n, 1 | 2))) = (day, number()) {
            day = Some(n);
        } else if let (None, Some(n)) = (month, month_of(token)) {
            month = Some(n);
        } else if let (None, Some((n, 2 | 4))) = (year, number()) {
            year = Some(match n {
                70..=99 => 1_900 + n,
                0..=69 => 2_000 + n,
                _ => n,
            });
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    let fits = (1..=31).contains(&day) && year >= 1_601 && hour <= 23 && minute <= 59 && second <= 59;
    fits.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// The digits with which a token begins, as a number of at most four, and how many they are.
fn leading_number(token: &str) -> Option<(i64, usize)> {
    let len = token.bytes().take_while(u8::is_ascii_digit).count();
    let digits = token.get(..len).filter(|_| (1..=4).contains(&len))?;
    Some((digits.parse().ok()?, len))
}

fn clock(token: &str) -> Option<(i64, i64, i64)> {
    let mut parts = token.split(':').map(|part| leading_number(part).filter(|(_, len)| *len <= 2));
    Some((parts.next()??.0, parts.next()??.0, parts.next()??.0))
}

fn month_of(token: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let name = token.get(..3)?.to_ascii_lowercase();
    let place = MONTHS.iter().position(|month| *month == name)?;
    i64::try_from(place).ok().map(|place| place + 1)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar (H. Hinnant, `days_from_civil`): years begin in March, so
/// that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests;
