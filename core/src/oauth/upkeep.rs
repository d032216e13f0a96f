//! Start and upkeep: what is read before the first request, and what is cleared away from time to time.
//!
//! ```text
//! start ─▶ Load(OAuth) ─▶ good ──────────────────────────┬─▶ Load(Users)? ─▶ ready
//!               │  ├──▶ nothing there ─▶ Save ───────────┤
//!               │  └──▶ broken ─▶ SetAside ─▶ Save ──────┘
//!               └─ unusable directory, lock, newer format ─▶ failed
//! ```

use super::authorize::Job;
use super::secret::Key;
use super::store::{Book, Client, FormatError, Grant, GrantId, Import, Lifetimes, Read, State, read, unix};
use super::{Effect, Server, registration, users};
use crate::event::{Content, StoreKey};
use crate::http::RequestHead;
use crate::log::Level;
use crate::net::ClientAddress;
use crate::redacted::Redacted;
use crate::time::Mono;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Between two looks at what is over.
const TICK_MS: u64 = 60_000;
/// Ticks between two looks at the whole store.
const COLLECT_TICKS: u32 = 5;
/// Hosts that a hint was given about.
const HOSTS_MAX: usize = 16;

/// How far the start is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// Something is still to be read.
    #[default]
    Pending,
    /// Requests may come.
    Ready,
    /// It cannot start; in words.
    Failed(String),
}

/// State of the upkeep.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    start: Start,
    /// The first save decides whether the directory can be used.
    proving: bool,
    /// All users are known.
    settled: bool,
    /// The store is still in the format of the original program.
    rewrite: bool,
    /// Grants that ended with their user and that may still be on disk, in case a save fails. A grant is known by its
    /// name only, so these are no more than there are grants.
    ended: BTreeSet<GrantId>,
    users: Vec<(String, Redacted<String>)>,
    next: Option<Mono>,
    ticks: u32,
    hosts: BTreeSet<String>,
    /// That claims about an address differ was said.
    told_doubt: bool,
    complained: Option<Mono>,
    /// It was told that the reverse proxy adds no address.
    told_silence: bool,
}

impl Upkeep {
    /// A save was good; this is on disk now.
    pub(super) fn saved(&mut self, durable: &State) {
        self.rewrite = false;
        self.complained = None;
        self.ended.retain(|id| durable.grant(id).is_some());
    }

    /// Whether a grant ended with its user, on disk or not.
    pub(super) fn has_ended(&self, id: &GrantId) -> bool {
        self.ended.contains(id)
    }
}

impl Server {
    /// Reads what was stored. Until [`Server::progress`] is ready no request may come.
    pub fn start(&mut self) {
        self.upkeep.next = Some(self.now.mono.plus_ms(TICK_MS));
        self.effect(Effect::Load(StoreKey::OAuth));
    }

    /// How far the start is.
    pub fn progress(&self) -> &Start {
        &self.upkeep.start
    }

    /// When to call [`Server::tick`].
    pub fn deadline(&self) -> Option<Mono> {
        self.upkeep.next
    }

    /// The host has read something.
    pub fn on_loaded(&mut self, key: StoreKey, result: Result<Content<'_>, &str>) {
        match key {
            StoreKey::OAuth => self.on_store(result),
            StoreKey::Users => self.on_users(result),
            StoreKey::Page(kind) => self.on_page(kind, result),
        }
        self.save();
    }

    fn on_store(&mut self, result: Result<Content<'_>, &str>) {
        if self.upkeep.start != Start::Pending {
            return;
        }
        match result {
            Err(reason) => self.upkeep.start = Start::Failed(reason.to_owned()),
            Ok(Content::Absent | Content::Same) => self.begin_empty(),
            Ok(Content::Bytes(bytes)) => match self.read_store(bytes) {
                Ok(read) => self.begin(read),
                Err(error @ FormatError::Newer(_)) => {
                    self.upkeep.start = Start::Failed(format!("the stored logins cannot be used: {error}"));
                }
                Err(error @ FormatError::Corrupt(_)) => {
                    let reason = error.to_string();
                    self.event(
                        Level::Error,
                        "store_error",
                        &[("reason", &reason), ("so", "it is set aside")],
                    );
                    self.effect(Effect::SetAside);
                }
            },
        }
    }

    fn read_store(&mut self, bytes: &[u8]) -> Result<Read, FormatError> {
        let options = &self.settings.options;
        let days = |days: u32| u64::from(days).saturating_mul(24 * 3600);
        let lifetimes = Lifetimes {
            access: u64::from(options.token_minutes).saturating_mul(60),
            idle: days(options.refresh_idle_days),
            absolute: days(options.refresh_max_days),
            grace: u64::from(options.refresh_grace_seconds),
        };
        let import = Import { policy: &options.redirects, tokens: options.import_legacy_tokens };
        read(bytes, self.now, lifetimes, &import, &mut self.rng)
    }

    /// A stored state that could not be read was moved away, or not.
    pub fn on_set_aside(&mut self, result: Result<&str, &str>) {
        match result {
            Ok(name) => {
                self.event(
                    Level::Error,
                    "store_error",
                    &[("set_aside_as", name), ("so", "everybody logs in anew")],
                );
                self.begin_empty();
            }
            Err(reason) => {
                let reason = format!("the stored logins cannot be read, nor set aside: {reason}");
                self.upkeep.start = Start::Failed(reason);
            }
        }
        self.save();
    }

    /// Nothing was stored. Writing it down at once shows whether that can be done.
    fn begin_empty(&mut self) {
        let state = State::new(Key::new(&mut self.rng));
        self.upkeep.proving = true;
        self.begin(Read { state, rewrite: true, remarks: Vec::new() });
    }

    fn begin(&mut self, read: Read) {
        for remark in read.remarks {
            self.effect(Effect::Log(Level::Info, remark));
        }
        self.book = Book::new(read.state);
        self.upkeep.rewrite = read.rewrite;
        let issuer = self.issuer.as_ref().map(|issuer| issuer.text()).unwrap_or_default();
        if let Some(before) = self.book.change().set_issuer(&issuer) {
            let hint = "clients find the new one by themselves";
            self.event(Level::Warn, "issuer_changed", &[("from", &before), ("to", &issuer), ("hint", hint)]);
        }
        self.collect();
        if self.settings.options.users_file.is_some() {
            self.effect(Effect::Load(StoreKey::Users));
        } else {
            self.settle_users();
            self.check_ready();
        }
    }

    /// The file of users was looked at: at the start, before a login, and now and then.
    fn on_users(&mut self, result: Result<Content<'_>, &str>) {
        let read = match result {
            Ok(Content::Same) => None,
            Ok(Content::Absent) => Some(Err("it is not there".to_owned())),
            Ok(Content::Bytes(bytes)) => Some(users::read_file(bytes)),
            Err(reason) => Some(Err(reason.to_owned())),
        };
        let starting = self.upkeep.start == Start::Pending;
        match read {
            None => {}
            Some(Ok(users)) => {
                self.upkeep.users = users;
                self.settle_users();
                self.event(Level::Info, "users_file", &[("users", &self.users.len().to_string())]);
            }
            Some(Err(reason)) if starting => {
                self.upkeep.start = Start::Failed(format!("usersFile cannot be used: {reason}"));
            }
            Some(Err(reason)) => {
                let so = "the users before stay";
                self.event(Level::Error, "users_file", &[("reason", &reason), ("so", so)]);
            }
        }
        if starting {
            self.check_ready();
        }
        for (visit, ask, form) in std::mem::take(&mut self.logins.waiting) {
            self.log_in(visit, ask, form);
        }
    }

    fn settle_users(&mut self) {
        self.users.settle(&self.book.durable().key, &self.upkeep.users);
        self.upkeep.settled = true;
        // A file without anybody may be one that is being written: nobody may in, and the next look at the whole store
        // ends their logins.
        if self.users.len() > 0 {
            self.end_with_users();
        }
    }

    /// Ends what users allowed who are gone or have another password, for good: should they come back with the same
    /// password, they log in anew.
    fn end_with_users(&mut self) {
        let users = &self.users;
        self.codes.burn(|code| users.fingerprint(&code.user) != Some(code.cred_fp.as_str()));
        let is_gone = |(_, grant): &(&GrantId, &Arc<Grant>)| !self.is_user_same(grant);
        // What is being saved may be undone, so what is on disk counts as well.
        let stored = self.book.durable().grants().chain(self.book.staged().grants());
        let gone: BTreeSet<GrantId> = stored.filter(is_gone).map(|(id, _)| id.clone()).collect();
        if !gone.is_empty() {
            let count = gone.len().to_string();
            self.event(Level::Info, "logins_ended", &[("count", &count), ("reason", "user")]);
        }
        self.upkeep.ended.extend(gone);
        self.end_again();
    }

    /// Removes the grants that ended from what is wanted on disk.
    fn end_again(&mut self) {
        let staged = self.book.staged();
        let left: Vec<GrantId> =
            self.upkeep.ended.iter().filter(|id| staged.grant(id).is_some()).cloned().collect();
        for id in left {
            self.book.change().remove_grant(&id);
        }
    }

    fn check_ready(&mut self) {
        if self.upkeep.start != Start::Pending || self.upkeep.proving || !self.upkeep.settled {
            return;
        }
        self.upkeep.start = match self.users.len() {
            0 => Start::Failed("there is no user who could sign in".to_owned()),
            _ => Start::Ready,
        };
    }

    /// The first save has ended.
    pub(super) fn on_proof(&mut self, result: Result<(), &str>) {
        if !std::mem::take(&mut self.upkeep.proving) {
            return;
        }
        match result {
            Err(reason) => self.upkeep.start = Start::Failed(format!("logins cannot be stored: {reason}")),
            Ok(()) => self.check_ready(),
        }
    }

    /// Clears away what is over. Call it when the [deadline](Server::deadline) has come.
    pub fn tick(&mut self) {
        if self.upkeep.next.is_none_or(|next| self.now.mono < next) {
            return;
        }
        self.upkeep.next = Some(self.now.mono.plus_ms(TICK_MS));
        self.end_waits();
        self.codes.sweep(self.now.mono);
        self.successors.sweep(self.now.mono);
        self.upkeep.ticks = self.upkeep.ticks.wrapping_add(1);
        if self.upkeep.start == Start::Ready {
            if self.settings.options.users_file.is_some() {
                self.effect(Effect::Load(StoreKey::Users));
            }
            if self.upkeep.rewrite {
                self.book.change();
            }
            self.end_again();
            if self.upkeep.ticks.is_multiple_of(COLLECT_TICKS) {
                self.end_with_users();
                self.collect();
            }
        }
        self.save();
    }

    /// Forgets expired tokens, grants that are over, and clients that nobody uses.
    fn collect(&mut self) {
        self.sweep_documents();
        let now = self.now;
        let state = self.book.staged();
        let is_stale = |(_, grant): &(&GrantId, &Arc<Grant>)| {
            grant.is_over(now) || grant.access.iter().any(|access| access.expires_at.is_over(now))
        };
        let stale: Vec<GrantId> = state.grants().filter(is_stale).map(|(id, _)| id.clone()).collect();
        let used: BTreeSet<&str> = state
            .grants()
            .filter(|(_, grant)| !grant.is_over(now))
            .map(|(_, grant)| grant.client_id.as_str())
            .collect();
        let is_idle = |client: &Client| {
            let since = |at: u64| unix(now).saturating_sub(at);
            match client.last_used_at {
                0 => since(client.created_at) > registration::UNUSED_SECONDS,
                at => since(at.max(client.created_at)) > registration::IDLE_SECONDS,
            }
        };
        let idle: Vec<Arc<str>> = state
            .clients()
            .filter(|(id, client)| !used.contains(&***id) && is_idle(client))
            .map(|(id, _)| id.clone())
            .collect();
        for id in stale {
            let Some(mut grant) = self.book.staged().grant(&id).map(|grant| Grant::clone(grant)) else {
                continue;
            };
            if grant.is_over(now) {
                self.book.change().remove_grant(&id);
            } else {
                grant.access.retain(|access| !access.expires_at.is_over(now));
                self.book.change().put_grant(&id, grant);
            }
        }
        for id in idle {
            self.book.change().remove_client(&id);
        }
    }

    /// The store cannot be written: said loudly, once a minute.
    pub(super) fn complain(&mut self, reason: &str) {
        let now = self.now.mono;
        if self.upkeep.complained.is_none_or(|at| now >= at.plus_ms(TICK_MS)) {
            self.upkeep.complained = Some(now);
            let so = "logins, registrations and refreshes are refused until it can be written again";
            self.event(Level::Error, "store_error", &[("reason", reason), ("so", so)]);
        }
    }

    /// What a reverse proxy says of addresses contradicts itself: said once.
    pub(super) fn tell_doubt(&mut self, address: &ClientAddress) {
        if std::mem::replace(&mut self.upkeep.told_doubt, true) {
            return;
        }
        let claim = |claim: &Option<IpAddr>| claim.map_or("unreadable".to_owned(), |ip| ip.to_string());
        let claims: Vec<String> = address.claims().iter().map(claim).collect();
        let so = "limits count all of them and the reverse proxy itself";
        let hint = "name the header that your reverse proxy sets in oauth2.clientIPHeader";
        let claims = claims.join(", ");
        self.event(Level::Warn, "addresses_differ", &[("claims", &claims), ("so", so), ("hint", hint)]);
    }

    /// Some clients ignore metadata of another origin than the one they asked.
    pub(super) fn hint_about_host(&mut self, head: &RequestHead) {
        let Some(issuer) = &self.issuer else { return };
        let host = head.host().unwrap_or_default().to_ascii_lowercase();
        let own = issuer.origin().split_once("://").is_some_and(|(_, own)| own == host);
        let known = self.upkeep.hosts.contains(&host) || self.upkeep.hosts.len() >= HOSTS_MAX;
        if own || known {
            return;
        }
        let base = issuer.text();
        self.upkeep.hosts.insert(host.clone());
        let hint = "some clients cannot log in unless they use the host of baseURL";
        self.event(Level::Info, "other_host", &[("host", &host), ("baseURL", &base), ("hint", hint)]);
    }

    /// Behind a front that says nothing about the address of clients, they can say what they like (FT-602). Only with an
    /// https address there must be a front: the proxy itself speaks plain HTTP.
    pub(super) fn hint_about_address(&mut self, head: &RequestHead, peer: IpAddr) {
        let trust = &self.settings.options.trust;
        let has_front = self.issuer.as_ref().is_some_and(|issuer| issuer.origin().starts_with("https://"));
        if self.upkeep.told_silence || !has_front || !trust.is_silent(peer, head) {
            return;
        }
        let header = trust.header.clone().unwrap_or_else(|| "X-Forwarded-For".to_owned());
        self.upkeep.told_silence = true;
        let so = "allowedIPs, limits of logins and this log take all clients for one, or for whom they say they are";
        let hint = format!(
            "the reverse proxy has to set {header}, see templates/fronts; where it cannot: \"trustedProxies\": [\"none\"]"
        );
        let peer = peer.to_canonical().to_string();
        self.event(Level::Warn, "no_client_address", &[("peer", &peer), ("so", so), ("hint", &hint)]);
    }

    /// A password was compared.
    pub fn on_compared(&mut self, job: Job, matches: bool) {
        self.on_derived(job, matches);
        self.save();
    }
}
