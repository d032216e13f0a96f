//! Whom a connection serves, and what they want of it: watched resources, a log level, open questions.
//!
//! Everything here is the sum over sessions of what one session wants, so that the server is told once (2025-11-25
//! server/resources § Subscriptions, server/utilities/logging). Invariants: a URI is watched at the server exactly
//! while somebody here holds it; what is remembered for sessions is bounded.

use crate::id::Key;
use crate::json::Raw;
use crate::mcp::{Declared, LogLevel, Profile};
use std::collections::{BTreeMap, VecDeque};

/// Whom a connection serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsageKind {
    /// Everybody. The server is told of no client capability, so it cannot ask anything.
    Shared,
    /// Sessions that declared the same and cannot be asked anything.
    Alike,
    /// Sessions with the same capabilities, one at a time where the server has one channel for everything.
    Interactive,
    /// One session, with which it ends.
    Dedicated(Key),
}

/// What those who use a connection want.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) kind: UsageKind,
    /// The client capabilities that the server is told.
    pub(crate) profile: Profile,
    /// What else the server is told that they declare.
    pub(super) declared: Declared,
    /// Sessions that hold on to it, if they can let go.
    pub(super) users: u32,
    /// The log level the server was told.
    pub(crate) level: Option<LogLevel>,
    /// Number of questions of the server that are not answered yet.
    pub(crate) questions: u32,
    watches: BTreeMap<Box<str>, Vec<Key>>,
    /// Requests to watch that are not answered yet.
    asked: BTreeMap<Box<str>, u32>,
    /// Which session was sent to which URL: raw elicitation ids, the oldest first.
    visits: VecDeque<(Raw, Key)>,
}

/// Visits remembered; whoever comes back later than 64 others is told nothing.
const VISITS_MAX: usize = 64;

impl Usage {
    pub(crate) fn new(kind: UsageKind, profile: Profile, declared: Declared) -> Self {
        Self {
            kind,
            profile,
            declared,
            users: 0,
            level: None,
            questions: 0,
            watches: BTreeMap::new(),
            asked: BTreeMap::new(),
            visits: VecDeque::new(),
        }
    }

    /// For another connection of the same kind.
    pub(crate) fn like(&self) -> Self {
        Self::new(self.kind, self.profile, self.declared.clone())
    }

    /// Whether somebody holds this URI.
    pub(crate) fn is_watched(&self, uri: &str) -> bool {
        self.watches.contains_key(uri)
    }

    /// A session watches a URI from now on.
    pub(crate) fn watch(&mut self, uri: &str, session: Key) {
        let holders = self.watches.entry(uri.into()).or_default();
        if !holders.contains(&session) {
            holders.push(session);
        }
    }

    /// A session lets go of a URI. Returns whether nobody holds it any more.
    pub(crate) fn unwatch(&mut self, uri: &str, session: Key) -> bool {
        if let Some(holders) = self.watches.get_mut(uri) {
            holders.retain(|holder| *holder != session);
            if holders.is_empty() {
                self.watches.remove(uri);
            }
        }
        !self.wants(uri)
    }

    pub(crate) fn has_watches(&self) -> bool {
        !self.watches.is_empty()
    }

    /// A session asked the server to watch a URI.
    pub(crate) fn asked(&mut self, uri: &str) {
        *self.asked.entry(uri.into()).or_default() += 1;
    }

    /// Such a request has ended.
    pub(crate) fn asked_no_more(&mut self, uri: &str) {
        if let Some(count) = self.asked.get_mut(uri) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.asked.remove(uri);
            }
        }
    }

    /// Whether somebody watches a URI or is about to.
    pub(crate) fn wants(&self, uri: &str) -> bool {
        self.watches.contains_key(uri) || self.asked.contains_key(uri)
    }

    /// All URIs that are watched.
    pub(crate) fn watched(&self) -> Vec<Box<str>> {
        self.watches.keys().cloned().collect()
    }

    /// Whom an update of this URI concerns: those who watch it, else those who watch something it lies below (the
    /// schema lets an update name a part of what was subscribed to), else the one session that watches anything here.
    /// With several, a URI that none of them named could be none of their business.
    pub(crate) fn watchers(&self, uri: &str) -> Vec<Key> {
        if let Some(holders) = self.watches.get(uri) {
            return holders.clone();
        }
        let above = self.watches.iter().filter(|(watched, _)| uri.starts_with(&***watched));
        let mut found: Vec<Key> = above.flat_map(|(_, holders)| holders.iter().copied()).collect();
        let above_none = found.is_empty();
        if above_none {
            found = self.watches.values().flatten().copied().collect();
        }
        found.sort_unstable();
        found.dedup();
        if above_none && found.len() > 1 {
            found.clear();
        }
        found
    }

    /// A session was sent to a URL.
    pub(crate) fn sent_away(&mut self, elicitation: Raw, session: Key) {
        if self.visits.len() >= VISITS_MAX {
            self.visits.pop_front();
        }
        self.visits.push_back((elicitation, session));
    }

    /// The session that was sent to the URL of this elicitation; told once.
    pub(crate) fn came_back(&mut self, elicitation: &[u8]) -> Option<Key> {
        let place = self.visits.iter().position(|(id, _)| id.as_bytes() == elicitation)?;
        self.visits.remove(place).map(|(_, session)| session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Key {
        Key::from_u64((1 << 24) | n).unwrap()
    }

    fn usage() -> Usage {
        Usage::new(UsageKind::Shared, Profile::default(), Declared::default())
    }

    #[test]
    fn a_uri_is_let_go_with_its_last_holder() {
        let mut all = usage(); // BR-52
        all.watch("a://1", key(1));
        all.watch("a://1", key(1));
        all.watch("a://1", key(2));
        assert!(!all.unwatch("a://1", key(1)));
        assert!(all.is_watched("a://1"));
        assert!(all.unwatch("a://1", key(2)));
        assert!(!all.is_watched("a://1") && all.watched().is_empty());
    }

    #[test]
    fn an_update_goes_to_who_watches_it_or_what_it_lies_below() {
        let mut all = usage();
        all.watch("a://dir", key(1));
        all.watch("a://dir/file", key(2));
        all.watch("b://", key(3));
        assert_eq!(all.watchers("a://dir/file"), [key(2)]);
        assert_eq!(all.watchers("a://dir/other"), [key(1)]);
        assert_eq!(all.watchers("c://"), []);
        let mut one = usage();
        one.watch("a://", key(1));
        assert_eq!(one.watchers("c://"), [key(1)]);
    }

    #[test]
    fn who_was_sent_to_a_url_is_told_once_and_the_memory_is_bounded() {
        let mut all = usage();
        for n in 0..=VISITS_MAX as u64 {
            all.sent_away(Raw::new(n.to_string().as_bytes()), key(n));
        }
        assert_eq!(all.came_back(b"0"), None);
        assert_eq!(all.came_back(b"1"), Some(key(1)));
        assert_eq!(all.came_back(b"1"), None);
    }
}
