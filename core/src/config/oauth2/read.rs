//! Every key of the section, by itself.

use super::super::fields::{At, Entry, Fields, shown};
use super::super::notice::Report;
use super::{
    DefaultResource, DocumentHosts, IpRange, LoginRate, OAuth2, Policy, RefreshReuse, Section, Trust, clients,
};
use crate::password;

/// Reads the section and checks what does not depend on the rest.
pub(in super::super) fn read(report: &mut Report<'_>, options: &mut Fields<'_>) -> Option<Section> {
    let mut section = options.object(report, "oauth2")?;
    let fields = &mut section;
    let enabled = fields.bool(report, "enabled");
    let users = read_users(report, fields);
    let redirects = read_redirects(report, fields);
    let (refresh_idle_days, refresh_max_days) = read_refresh_days(report, fields);
    let oauth2 = OAuth2 {
        enabled: enabled.is_some_and(|it| it.value),
        users: users
            .iter()
            .map(|user| (user.key.value.to_owned(), user.value.value.to_owned().into()))
            .collect(),
        users_file: not_empty(fields.string(report, "usersFile")),
        persistence_dir: not_empty(fields.string(report, "persistenceDir")),
        allowed_ips: read_allowed_ips(report, fields),
        token_minutes: read_minutes(report, fields),
        refresh_idle_days,
        refresh_max_days,
        refresh_grace_seconds: fields.bounded(report, "refreshGraceSeconds", 0, 3600).unwrap_or(120),
        refresh_reuse: choice(report, fields, "refreshReuse", &REUSES),
        code_seconds: fields.bounded(report, "codeExpirationSeconds", 1, 600).unwrap_or(120),
        template_dir: not_empty(fields.string(report, "templateDir"))
            .unwrap_or_else(|| "templates".to_owned()),
        document_hosts: read_document_hosts(report, fields, &redirects),
        redirects,
        clients: clients::read(report, fields),
        registration: switch(report, fields, "registration", true),
        clients_max: fields.bounded(report, "maxClients", 1, 100_000).unwrap_or(500),
        trust: read_trust(report, fields),
        default_resource: choice(report, fields, "defaultResource", &RESOURCES),
        static_tokens: switch(report, fields, "staticTokens", true),
        login_rate: read_login_rate(report, fields),
        success_page: switch(report, fields, "successPage", true),
        import_legacy_tokens: switch(report, fields, "importLegacyTokens", true),
        strict_application_type: switch(report, fields, "strictApplicationType", false),
        strict_discovery: switch(report, fields, "strictDiscovery", false),
    };
    let insecure_allowed = switch(report, fields, "allowInsecureBaseURL", false);
    if oauth2.enabled {
        check_users(report, fields, &users, oauth2.users_file.is_some());
    }
    let at = enabled.map_or(fields.at, |it| it.at);
    section.finish(report, &HINTS);
    Some(Section { at, oauth2, insecure_allowed })
}

fn read_users<'a>(report: &mut Report<'_>, fields: &mut Fields<'a>) -> Vec<Entry<'a>> {
    if let Some(users) = fields.node(report, "users") {
        report.hide(users.span.clone());
    }
    fields.string_map(report, "users").unwrap_or_default()
}

/// What the users of a server that is on must be like (SEED-102).
fn check_users(report: &mut Report<'_>, fields: &Fields<'_>, users: &[Entry<'_>], has_file: bool) {
    let name = fields.name_of("users");
    if users.is_empty() && !has_file {
        report.error(
            fields.at,
            format!("`{name}` or `usersFile` is required: without users nobody can sign in"),
        );
    }
    for user in users {
        if user.key.value.is_empty() || user.value.value.is_empty() {
            report.error(user.key.at, format!("`{name}`: neither name nor password may be empty"));
        } else if let Err(problem) = password::check(user.value.value) {
            report.error(user.value.at, format!("`{name}`: {problem}"));
        }
    }
}

fn read_allowed_ips(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Vec<IpRange> {
    let written = fields.strings(report, "allowedIPs").unwrap_or_default();
    let name = fields.name_of("allowedIPs");
    let mut ranges = Vec::with_capacity(written.len());
    for At { at, value } in &written {
        match IpRange::parse(value) {
            Some(range) => ranges.push(range),
            None => {
                let found = shown(value);
                let expected = "an address or a range such as 160.79.104.0/21";
                report.error(*at, format!("`{name}`: expected {expected}, found `{found}`"));
            }
        }
    }
    let retired = |range: &IpRange| RETIRED_IPS.into_iter().any(|ip| IpRange::parse(ip) == Some(*range));
    if let Some(first) = written.first().filter(|_| !ranges.is_empty() && ranges.iter().all(retired)) {
        let message = "Claude no longer uses any of these addresses, its requests come from 160.79.104.0/21";
        report.warn(first.at, format!("`{name}`: {message}"));
    }
    ranges
}

/// 0 and negative numbers are the default (SEED-105).
fn read_minutes(report: &mut Report<'_>, fields: &mut Fields<'_>) -> u32 {
    let Some(At { at, value }) = fields.integer(report, "tokenExpirationMinutes").filter(|it| it.value > 0)
    else {
        return 60;
    };
    match u32::try_from(value).ok().filter(|minutes| *minutes <= MINUTES_MAX) {
        Some(minutes) => minutes,
        None => {
            let name = fields.name_of("tokenExpirationMinutes");
            report.error(at, format!("`{name}`: expected at most {MINUTES_MAX} (a year), found {value}"));
            60
        }
    }
}

/// Idle days, and days in all. A longer idle time prolongs the other, unless that is written too.
fn read_refresh_days(report: &mut Report<'_>, fields: &mut Fields<'_>) -> (u32, u32) {
    let idle = fields.bounded(report, "refreshTokenExpirationDays", 1, DAYS_MAX).unwrap_or(30);
    let Some(all) = fields.bounded(report, "refreshTokenMaxDays", 1, DAYS_MAX) else {
        return (idle, idle.max(180));
    };
    if let Some(node) = fields.node(report, "refreshTokenMaxDays").filter(|_| all < idle) {
        let (all_name, idle_name) = ("refreshTokenMaxDays", "refreshTokenExpirationDays");
        let message = format!("`{idle_name}` is {idle}, but `{all_name}` ends every login after {all} days");
        report.warn(node.span.start, message);
    }
    (idle.min(all), all)
}

fn read_redirects(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Policy {
    let loose = switch(report, fields, "looseLoopbackHost", true);
    let written = fields.strings(report, "allowedRedirectURIs");
    let name = fields.name_of("allowedRedirectURIs");
    let entries = match &written {
        Some(written) => written.iter().map(|entry| entry.value).collect(),
        None => vec!["claude"],
    };
    let written = written.unwrap_or_default();
    if let Some(open) = written.iter().find(|entry| entry.value == "any-https") {
        let message = "with `any-https` every web site can ask for a login and have its code";
        report.warn(open.at, format!("`{name}`: {message}"));
    }
    if let Some(node) = fields.node(report, "allowedRedirectURIs").filter(|_| entries.is_empty()) {
        let message = "the list is empty, so only the clients in `clients` can sign in";
        report.warn(node.span.start, format!("`{name}`: {message}"));
    }
    Policy::parse(entries.into_iter(), loose).unwrap_or_else(|problems| {
        for (place, problem) in problems {
            let at = written.get(place).map_or(fields.at, |entry| entry.at);
            report.error(at, format!("`{name}[{place}]`: {problem}"));
        }
        Policy::default()
    })
}

/// Without a list the documents of those clients are read that the redirect targets are meant for.
fn read_document_hosts(
    report: &mut Report<'_>,
    fields: &mut Fields<'_>,
    redirects: &Policy,
) -> DocumentHosts {
    let of_presets = || redirects.document_hosts().into_iter().map(str::to_owned).collect();
    let Some(mut fields) = fields.object(report, "clientIdMetadata") else {
        return DocumentHosts::These(of_presets());
    };
    let written = fields.strings(report, "allowedHosts");
    let name = fields.name_of("allowedHosts");
    fields.finish(report, &[]);
    let Some(written) = written else { return DocumentHosts::These(of_presets()) };
    if written.iter().any(|host| host.value == "*") {
        return DocumentHosts::Any;
    }
    let mut hosts = Vec::with_capacity(written.len());
    for At { at, value } in written {
        if is_host_name(value) {
            hosts.push(value.to_ascii_lowercase());
        } else {
            let expected = "a host name such as claude.ai (no scheme, port or path), or `*`";
            report.error(at, format!("`{name}`: expected {expected}, found `{}`", shown(value)));
        }
    }
    DocumentHosts::These(hosts)
}

/// Labels with dots between, the last one no number: that would be an address.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_trust(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Trust {
    Trust {
        proxies: read_proxies(report, fields).unwrap_or_else(|| Trust::default().proxies),
        header: read_header(report, fields),
    }
}

fn read_proxies(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Option<Vec<IpRange>> {
    let written = fields.strings(report, "trustedProxies")?;
    let name = fields.name_of("trustedProxies");
    let mut proxies = Vec::new();
    for At { at, value } in &written {
        if *value == "none" && written.len() > 1 {
            report.error(*at, format!("`{name}`: `none` stands alone"));
        } else if let Some(preset) = IpRange::preset(value) {
            proxies.extend(preset);
        } else if let Some(range) = IpRange::parse(value) {
            if range.is_whole() {
                report.warn(*at, format!("`{name}`: anybody can claim any address, because all are trusted"));
            }
            proxies.push(range);
        } else {
            let expected =
                "an address, a range such as 10.0.0.0/8, `loopback`, `private`, `cloudflare` or `none`";
            report.error(*at, format!("`{name}`: expected {expected}, found `{}`", shown(value)));
        }
    }
    Some(proxies)
}

/// In lower case; `auto` is none in particular.
fn read_header(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Option<String> {
    let At { at, value } = fields.string(report, "clientIPHeader")?;
    if value.is_empty() || value == "auto" {
        return None;
    }
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        let name = fields.name_of("clientIPHeader");
        report
            .error(at, format!("`{name}`: expected the name of a header field such as X-Real-IP, or `auto`"));
    }
    Some(value.to_ascii_lowercase())
}

fn read_login_rate(report: &mut Report<'_>, fields: &mut Fields<'_>) -> LoginRate {
    let default = LoginRate::default();
    let Some(mut fields) = fields.object(report, "loginRateLimit") else { return default };
    let mut number = |key, max, default| fields.bounded(report, key, 1, max).unwrap_or(default);
    let rate = LoginRate {
        quick_tries: number("quickTries", 1000, default.quick_tries),
        delay_max_seconds: number("maxDelaySeconds", 3600, default.delay_max_seconds),
        address_per_minute: number("addressPerMinute", 100_000, default.address_per_minute),
        global_per_minute: number("globalPerMinute", 1_000_000, default.global_per_minute),
    };
    fields.finish(report, &[]);
    rate
}

fn switch(report: &mut Report<'_>, fields: &mut Fields<'_>, key: &'static str, default: bool) -> bool {
    fields.bool(report, key).map_or(default, |it| it.value)
}

/// One of a few words.
fn choice<T: Copy + Default>(
    report: &mut Report<'_>,
    fields: &mut Fields<'_>,
    key: &'static str,
    known: &[(&str, T)],
) -> T {
    let Some(At { at, value }) = fields.string(report, key) else { return T::default() };
    if let Some((_, choice)) = known.iter().find(|(word, _)| *word == value) {
        return *choice;
    }
    let words: Vec<String> = known.iter().map(|(word, _)| format!("`{word}`")).collect();
    let (name, words) = (fields.name_of(key), words.join(" or "));
    report.error(at, format!("`{name}`: expected {words}, found `{}`", shown(value)));
    T::default()
}

fn not_empty(text: Option<At<&str>>) -> Option<String> {
    text.map(|text| text.value).filter(|text| !text.is_empty()).map(str::to_owned)
}

const REUSES: [(&str, RefreshReuse); 2] =
    [("revoke", RefreshReuse::Revoke), ("reject", RefreshReuse::Reject)];

const RESOURCES: [(&str, DefaultResource); 3] = [
    ("all", DefaultResource::All),
    ("single", DefaultResource::Single),
    ("require", DefaultResource::Require),
];

/// What other programs call our keys.
const HINTS: [(&str, &str); 4] = [
    ("disableTokenExpiration", "tokenExpirationMinutes"),
    ("redirectURIs", "allowedRedirectURIs"),
    ("allowedHosts", "clientIdMetadata.allowedHosts"),
    ("userFilter", "mcpServers.*.options.userFilter"),
];

/// A year. A token that lives longer is a password.
const MINUTES_MAX: u32 = 365 * 24 * 60;

/// Ten years; longer is as good as for ever.
const DAYS_MAX: u32 = 3650;

/// Claude's addresses in the documentation of the original, out of use since.
const RETIRED_IPS: [&str; 5] =
    ["34.162.46.92", "34.162.102.82", "34.162.136.91", "34.162.142.92", "34.162.183.95"];
