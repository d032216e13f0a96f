//! One handshake of one client, and the streams on which it is spoken to.
//!
//! A session is found by its unguessable token, used only by the principal and on the view it was opened with,
//! and ends by DELETE, by idling, by making room for another, or (HTTP+SSE) with its connection.

use super::conn::Entry;
use super::stream::Stream;
use crate::effects::Effects;
use crate::mcp::Revision;
use crate::time::Mono;
use crate::timer::Timer;
use std::collections::BTreeMap;

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP+SSE: stream 0 is the connection that is the session.
    Sse,
    /// Streamable HTTP.
    Streamable,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    /// Its name on the wire: 128 random bits.
    pub(super) token: Box<str>,
    pub(super) transport: Transport,
    /// Where it was opened, and by whom.
    pub(super) entry: Entry,
    /// What was negotiated; the newest before.
    pub(super) revision: Revision,
    pub(super) streams: BTreeMap<u32, Stream>,
    pub(super) next_stream: u32,
    pub(super) last_used: Mono,
    /// Its next look at idling and old streams.
    pub(super) timer: Option<Timer>,
}

/// Finished streams kept in case their last bytes were lost with the connection.
const FINISHED_KEPT: usize = 16;

impl Session {
    pub(super) fn new(token: Box<str>, transport: Transport, entry: Entry, now: Mono) -> Self {
        Self {
            token,
            transport,
            entry,
            revision: Revision::NEWEST,
            streams: BTreeMap::new(),
            next_stream: 0,
            last_used: now,
            timer: None,
        }
    }

    /// Storage of what its streams keep.
    pub(super) fn size(&self) -> usize {
        self.streams.values().map(Stream::size).sum()
    }

    /// Nothing is going on: no answer is owed and no stream attached.
    pub(super) fn is_quiet(&self) -> bool {
        self.streams.values().all(|stream| stream.conn.is_none() && stream.owed == 0)
    }

    /// The stream for what belongs to no request: the newest that a GET opened and that is still connected.
    pub(super) fn standalone(&self) -> Option<u32> {
        let open = |stream: &Stream| stream.standalone && stream.conn.is_some();
        self.streams.iter().rev().find(|(_, stream)| open(stream)).map(|(number, _)| *number)
    }

    /// Forgets the oldest finished streams beyond what is kept.
    pub(super) fn trim_finished(&mut self, fx: &Effects) {
        let mut count = 0;
        let mut bytes = 0;
        let mut drop = Vec::new();
        for (number, stream) in self.streams.iter().rev().filter(|(_, stream)| stream.is_finished()) {
            count += 1;
            bytes += stream.kept_bytes();
            if count > FINISHED_KEPT || (bytes > fx.limits.replay_bytes_max && count > 1) {
                drop.push(*number);
            }
        }
        for number in drop {
            self.streams.remove(&number);
        }
    }

    /// Forgets streams that lost their connection too long ago; returns their numbers.
    pub(super) fn sweep(&mut self, fx: &Effects) -> Vec<u32> {
        let now = fx.mono();
        let old = |stream: &Stream| {
            stream.conn.is_none()
                && stream.detached.is_some_and(|at| now.ms_since(at) >= fx.limits.stream_retention_ms)
        };
        let gone: Vec<u32> = self.streams.iter().filter(|(_, s)| old(s)).map(|(number, _)| *number).collect();
        for number in &gone {
            self.streams.remove(number);
        }
        gone
    }
}
