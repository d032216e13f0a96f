//! `options` of the proxy and of each server, and how a server's inherit the proxy's (SEED-025 to SEED-034).
//!
//! Invariants: a list of tokens that was written with entries never becomes empty, because an empty list
//! means that nobody is asked for a token; what is about the tools, prompts, resources and users of one server,
//! and `disabled`, is never inherited.
//! Deliberately absent: checking credentials, which only asks [`Options::auth_tokens`].

use std::collections::BTreeMap;

use super::duration;
use super::fields::{At, Fields, shown};
use super::filter::{self, Filter, Filters};
use super::notice::Report;
use super::oauth2;
use super::overrides::{self, ToolOverride};
use crate::policy::bare_token;
use crate::redacted::Redacted;

/// What applies to one server after inheritance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The process ends with status 1 when this server cannot be connected.
    pub panic_if_invalid: bool,
    /// Each request for this server is logged.
    pub log_enabled: bool,
    /// Without surrounding blanks and `Bearer `; empty means that no token is asked for.
    pub auth_tokens: Vec<Redacted<String>>,
    /// `"oauth2": {"enabled": false}` on the server: the OAuth server does not protect it.
    pub oauth2_exempt: bool,
    /// Which users of the OAuth server may use this one.
    pub users: Filter,
    /// How sessions share upstream connections.
    pub sessions: Sharing,
    /// Most connections (children) of this server that serve sessions of their own, beside the one that all
    /// share; `None` leaves it to [`Limits`](crate::limits::Limits).
    pub sessions_max: Option<u32>,
    /// Such a connection that nobody used for this time, in milliseconds, is stopped, and started again when it is
    /// needed; `None` leaves it to [`Limits`](crate::limits::Limits).
    pub idle_ms: Option<u64>,
    /// How long its connections may take.
    pub times: Times,
}

/// Time limits of one server; `None` leaves one to [`Limits`](crate::limits::Limits). All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// `startupTimeout`: from starting or dialling it until it is ready. At most an hour.
    pub startup_ms: Option<u64>,
    /// `callTimeout`: one call altogether, whatever the server tells meanwhile. At most a day.
    pub call_ms: Option<u64>,
    /// `silenceTimeout`: one call without a sign of life; progress starts it anew. At most a day.
    pub silence_ms: Option<u64>,
    /// `listWait`: how long the first list of a session waits for its first start. At most a minute; 0 does not wait.
    pub list_wait_ms: Option<u64>,
}

/// `options.sessions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// As the server's features allow.
    #[default]
    Auto,
    /// One upstream connection for all sessions.
    Shared,
    /// One upstream connection for each session.
    Dedicated,
}

/// The fields that a server inherits when it leaves them out.
#[derive(Default)]
pub(super) struct Inheritable {
    pub(super) panic_if_invalid: Option<bool>,
    pub(super) log_enabled: Option<bool>,
    pub(super) auth_tokens: Option<Vec<Redacted<String>>>,
    sessions: Option<Sharing>,
    sessions_max: Option<u32>,
    idle_ms: Option<u64>,
    pub(super) times: Times,
}

impl Times {
    fn read(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Self {
        let mut read = |key, max| {
            let it = duration::read_ms(report, fields, key)?;
            if it.value > max {
                let (name, hours) = (fields.name_of(key), max / HOUR_MS);
                report.error(it.at, format!("`{name}`: at most {hours}h"));
            }
            Some(it.value.min(max))
        };
        let (startup_ms, call_ms, silence_ms) = (
            read("startupTimeout", HOUR_MS),
            read("callTimeout", 24 * HOUR_MS),
            read("silenceTimeout", 24 * HOUR_MS),
        );
        let list_wait = duration::read_ms_or_zero(report, fields, "listWait");
        if let Some(wait) = list_wait.as_ref().filter(|wait| wait.value > LIST_WAIT_MS_MAX) {
            let name = fields.name_of("listWait");
            report.error(wait.at, format!("`{name}`: at most 1m"));
        }
        let list_wait_ms = list_wait.map(|wait| wait.value.min(LIST_WAIT_MS_MAX));
        Self { startup_ms, call_ms, silence_ms, list_wait_ms }
    }

    fn over(self, defaults: Self) -> Self {
        Self {
            startup_ms: self.startup_ms.or(defaults.startup_ms),
            call_ms: self.call_ms.or(defaults.call_ms),
            silence_ms: self.silence_ms.or(defaults.silence_ms),
            list_wait_ms: self.list_wait_ms.or(defaults.list_wait_ms),
        }
    }
}

impl Inheritable {
    /// The three fields that the first format has as well, there beside the others (SEED-052).
    pub(super) fn read_v1(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Self {
        Self {
            panic_if_invalid: fields.bool(report, "panicIfInvalid").map(|it| it.value),
            log_enabled: fields.bool(report, "logEnabled").map(|it| it.value),
            auth_tokens: read_tokens(report, fields, "authTokens"),
            ..Self::default()
        }
    }

    /// Nothing but a time.
    pub(super) fn silent_for(silence_ms: Option<u64>) -> Self {
        Self { times: Times { silence_ms, ..Times::default() }, ..Self::default() }
    }

    fn read(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Self {
        // Of the original: here a lost server is always connected again.
        for key in ["autoReconnect", "reconnectInterval"] {
            let _known = fields.node(report, key);
        }
        Self {
            sessions: read_sharing(report, fields),
            sessions_max: fields.bounded(report, "maxSessions", 1, 100_000),
            idle_ms: fields
                .bounded(report, "idleSeconds", 1, SECONDS_MAX)
                .map(|s| u64::from(s).saturating_mul(1000)),
            times: Times::read(report, fields),
            ..Self::read_v1(report, fields)
        }
    }

    /// A server's options: its own fields, then those of the proxy (SEED-026).
    pub(super) fn over(self, defaults: &Options) -> Options {
        Options {
            panic_if_invalid: self.panic_if_invalid.unwrap_or(defaults.panic_if_invalid),
            log_enabled: self.log_enabled.unwrap_or(defaults.log_enabled),
            auth_tokens: self.auth_tokens.unwrap_or_else(|| defaults.auth_tokens.clone()),
            oauth2_exempt: false,
            users: Filter::None,
            sessions: self.sessions.unwrap_or(defaults.sessions),
            sessions_max: self.sessions_max.or(defaults.sessions_max),
            idle_ms: self.idle_ms.or(defaults.idle_ms),
            times: self.times.over(defaults.times),
        }
    }
}

/// `mcpProxy.options`: the defaults, and the OAuth server.
pub(super) fn read_defaults(
    report: &mut Report<'_>,
    fields: &mut Fields<'_>,
) -> (Options, Option<oauth2::Section>) {
    let Some(mut fields) = fields.object(report, "options") else { return (Options::default(), None) };
    let options = Inheritable::read(report, &mut fields).over(&Options::default());
    let oauth2 = oauth2::read(report, &mut fields);
    for key in filter::KEYS.into_iter().chain([overrides::KEY, "disabled"]) {
        if let Some(node) = fields.node(report, key) {
            let name = fields.name_of(key);
            report
                .warn(node.span.start, format!("`{name}` is only effective in `mcpServers`, it is ignored"));
        }
    }
    if let Some(node) = fields.node(report, filter::USERS_KEY) {
        let name = fields.name_of(filter::USERS_KEY);
        // Ignored, it would leave open what it was meant to close.
        report.error(node.span.start, format!("`{name}` is only effective in `mcpServers`, move it there"));
    }
    fields.finish(report, &[]);
    (options, oauth2)
}

/// `options` of one server.
#[derive(Default)]
pub(super) struct ServerOptions {
    pub(super) options: Options,
    pub(super) filters: Filters,
    pub(super) tools: BTreeMap<String, ToolOverride>,
    pub(super) disabled: bool,
}

impl ServerOptions {
    /// `silence_ms` is what the server says beside its options: less than in them, more than the default.
    pub(super) fn read(
        report: &mut Report<'_>,
        server: &mut Fields<'_>,
        defaults: &Options,
        silence_ms: Option<u64>,
    ) -> Self {
        let Some(mut fields) = server.object(report, "options") else {
            return Self { options: Inheritable::silent_for(silence_ms).over(defaults), ..Self::default() };
        };
        let mut own = Inheritable::read(report, &mut fields);
        own.times.silence_ms = own.times.silence_ms.or(silence_ms);
        let mut options = own.over(defaults);
        options.oauth2_exempt = read_exemption(report, &mut fields);
        options.users = filter::read_users(report, &mut fields);
        let filters = Filters::read(report, &mut fields);
        let tools = overrides::read(report, &mut fields);
        let disabled = fields.bool(report, "disabled").is_some_and(|it| it.value);
        fields.finish(report, &[]);
        Self { options, filters, tools, disabled }
    }
}

/// A list of tokens, each without surrounding blanks and `Bearer `, as they are compared (SEED-029).
pub(super) fn read_tokens(
    report: &mut Report<'_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<Vec<Redacted<String>>> {
    let node = fields.node(report, key)?;
    report.hide(node.span.clone());
    let name = fields.name_of(key);
    let written = fields.strings(report, key)?;
    let mut tokens = Vec::with_capacity(written.len());
    for At { at, value } in &written {
        let token = bare_token(value);
        if token.is_empty() || token.eq_ignore_ascii_case("Bearer") {
            report.warn(*at, format!("`{name}`: an empty token opens nothing, it is ignored"));
        } else if !token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            report.error(
                *at,
                format!("`{name}`: a token must be printable ASCII, no client could send this one"),
            );
        } else {
            tokens.push(Redacted::new(token.to_owned()));
        }
    }
    if tokens.is_empty() && !written.is_empty() {
        report.error(
            node.span.start,
            format!("`{name}`: no usable token in this list (to ask for no token on purpose, write [])"),
        );
    }
    Some(tokens)
}

fn read_sharing(report: &mut Report<'_>, fields: &mut Fields<'_>) -> Option<Sharing> {
    let At { at, value } = fields.string(report, "sessions")?;
    match value {
        "auto" => Some(Sharing::Auto),
        "shared" => Some(Sharing::Shared),
        "dedicated" => Some(Sharing::Dedicated),
        other => {
            let name = fields.name_of("sessions");
            let known = "`auto`, `shared` or `dedicated`";
            report.error(at, format!("`{name}`: expected {known}, found `{}`", shown(other)));
            None
        }
    }
}

/// Of a server's `oauth2` only `"enabled": false` means something: there is one authorization server.
fn read_exemption(report: &mut Report<'_>, options: &mut Fields<'_>) -> bool {
    let Some(mut fields) = options.object(report, "oauth2") else { return false };
    let exempt = fields.bool(report, "enabled").is_some_and(|it| !it.value);
    for member in fields.entries().filter(|member| !member.key.eq_ignore_ascii_case("enabled")) {
        let name = fields.name_of(&member.key);
        report.warn(
            member.at,
            format!("`{name}` is only effective in `mcpProxy.options.oauth2`, it is ignored"),
        );
    }
    exempt
}

/// 30 days; longer is as good as never.
pub(super) const SECONDS_MAX: u32 = 30 * 24 * 60 * 60;

const HOUR_MS: u64 = 60 * 60 * 1000;

/// Hosts give up on a list after a minute as a rule.
const LIST_WAIT_MS_MAX: u64 = 60_000;
