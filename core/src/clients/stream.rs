//! One stream of messages to one client: the answer to a POST, or what a GET opened.
//!
//! ```text
//!              a note, or slow            last answer
//! Plain ──────────────────────▶ Events ──────────────▶ finished (kept a while for a client that lost it)
//!   └── last answer ──▶ one JSON body, gone
//! ```
//!
//! Event ids are `<stream>-<sequence>`; stream numbers are never reused in a session, so an id names its stream
//! (2025-11-25 basic/transports § Resumability). What is kept for replay is bounded; from the oldest on, it is
//! forgotten. On HTTP+SSE there are no ids and nothing is kept.

use super::conn::ClientConn;
use super::event::Role;
use crate::effects::Effects;
use crate::id::ConnId;
use crate::json::Pieces;
use crate::ledger::Charge;
use crate::mcp::Revision;
use crate::sse::encode_event;
use crate::time::Mono;
use std::collections::VecDeque;

/// How the messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing was sent yet; the answer will be a JSON body unless something has to come before it.
    Plain {
        /// Whether the client takes an event stream.
        may_stream: bool,
    },
    /// As server-sent events.
    Events,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    /// The connection it is attached to.
    pub(super) conn: Option<ConnId>,
    pub(super) mode: Mode,
    /// Answers that are still to come. A standalone stream owes none and never finishes.
    pub(super) owed: u32,
    /// Whether it was opened by a GET.
    pub(super) standalone: bool,
    /// Whether messages are numbered and kept (Streamable HTTP).
    resumable: bool,
    /// When it lost its connection or finished.
    pub(super) detached: Option<Mono>,
    sequence: u32,
    kept: VecDeque<Vec<u8>>,
    kept_bytes: usize,
    /// Whether a plain answer is an array (a batch).
    batch: bool,
    gathered: Vec<u8>,
    charge: Charge,
}

impl Stream {
    /// The stream of a POST that owes `owed` answers.
    pub(super) fn for_request(fx: &Effects, may_stream: bool, owed: u32, batch: bool) -> Self {
        Self { owed, batch, ..Self::blank(fx, Mode::Plain { may_stream }) }
    }

    /// The stream of a GET.
    pub(super) fn standalone(fx: &Effects, resumable: bool) -> Self {
        Self { standalone: true, resumable, ..Self::blank(fx, Mode::Plain { may_stream: true }) }
    }

    fn blank(fx: &Effects, mode: Mode) -> Self {
        Self {
            conn: None,
            mode,
            owed: 0,
            standalone: false,
            resumable: true,
            detached: None,
            sequence: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            batch: false,
            gathered: Vec::new(),
            charge: fx.ledger.open(),
        }
    }

    /// Everything owed has been sent.
    pub(super) fn is_finished(&self) -> bool {
        !self.standalone && self.owed == 0
    }

    pub(super) fn detach(&mut self, fx: &Effects) {
        self.conn = None;
        self.detached = Some(fx.mono());
    }

    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Takes an answer for a plain body. Returns whether that was the last one owed.
    pub(super) fn gather(&mut self, message: &Pieces<'_>) -> bool {
        self.owed = self.owed.saturating_sub(1);
        if self.batch {
            self.gathered.push(if self.gathered.is_empty() { b'[' } else { b',' });
        }
        message.write(&mut self.gathered);
        self.update_charge();
        self.owed == 0
    }

    pub(super) fn has_gathered(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// The plain body of all answers gathered.
    pub(super) fn plain_body(&self) -> Pieces<'_> {
        if self.batch { Pieces::of(&[&self.gathered, b"]"]) } else { Pieces::of(&[&self.gathered]) }
    }

    /// Starts the event stream on the connection. Returns whether an event is on it already.
    pub(super) fn start(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        revision: Revision,
        number: u32,
    ) -> bool {
        self.mode = Mode::Events;
        client.start_stream(fx);
        let is_primed = self.resumable && revision.primes_streams();
        if is_primed {
            let retry = fx.limits.retry_ms;
            client.write_stream(fx, 32, |out| {
                encode_event(out, Some(format_args!("{number}-0")), None, Some(retry), &[]);
            });
        }
        let has_answers = self.has_gathered();
        if has_answers {
            // Answers of a batch that came before the stream began.
            let gathered = std::mem::take(&mut self.gathered);
            let text = gathered.strip_prefix(b"[").unwrap_or(&gathered).to_vec();
            self.sequence += 1;
            let array: &[u8] = if self.batch { b"[" } else { b"" };
            let end: &[u8] = if self.batch { b"]" } else { b"" };
            self.write_event(fx, Some(client), number, &Pieces::of(&[array, &text, end]));
            self.update_charge();
        }
        is_primed || has_answers
    }

    /// Starts the event stream for a client that may have to wait for its first event: fronts are known to hold a head
    /// back until something follows it. A stream of HTTP+SSE begins with an event that its transport writes.
    pub(super) fn start_to_wait(
        &mut self,
        fx: &mut Effects,
        client: &mut ClientConn,
        revision: Revision,
        number: u32,
    ) {
        if !self.start(fx, client, revision, number) && self.resumable {
            client.show_head(fx);
        }
    }

    /// Sends one message as an event, and keeps it.
    pub(super) fn event(
        &mut self,
        fx: &mut Effects,
        client: Option<&mut ClientConn>,
        number: u32,
        message: &Pieces<'_>,
        role: Role,
    ) {
        if role == Role::Answer {
            self.owed = self.owed.saturating_sub(1);
        }
        if !self.resumable {
            if let Some(client) = client {
                client.write_stream(fx, message.len().saturating_add(32), |out| {
                    encode_event(out, None, Some(MESSAGE), None, message.parts());
                });
            }
            return;
        }
        self.sequence += 1;
        self.write_event(fx, client, number, message);
    }

    fn write_event(
        &mut self,
        fx: &mut Effects,
        client: Option<&mut ClientConn>,
        number: u32,
        message: &Pieces<'_>,
    ) {
        let mut text = Vec::with_capacity(message.len());
        message.write(&mut text);
        if let Some(client) = client {
            let sequence = self.sequence;
            client.write_stream(fx, text.len().saturating_add(EVENT_EXTRA), |out| {
                encode(out, number, sequence, &text)
            });
        }
        self.kept_bytes += text.len();
        self.kept.push_back(text);
        while self.kept.len() > fx.limits.replay_events_max
            || (self.kept_bytes > fx.limits.replay_bytes_max && self.kept.len() > 1)
        {
            let dropped = self.kept.pop_front().map_or(0, |text| text.len());
            self.kept_bytes -= dropped;
        }
        if fx.ledger.is_short() {
            self.forget_kept();
        }
        self.update_charge();
    }

    /// Gives up what it keeps for a client that comes back: who does has to ask again.
    pub(super) fn forget_kept(&mut self) {
        self.kept = VecDeque::new();
        self.kept_bytes = 0;
        self.update_charge();
    }

    /// Whether something is kept.
    pub(super) fn keeps(&self) -> bool {
        !self.kept.is_empty()
    }

    fn update_charge(&mut self) {
        self.charge.set(self.size());
    }

    /// Storage of what it keeps and gathers.
    pub(super) fn size(&self) -> usize {
        let events = self.kept.capacity().saturating_mul(size_of::<Vec<u8>>());
        self.kept_bytes.saturating_add(events).saturating_add(self.gathered.capacity())
    }

    /// Whether every event after this one is still here.
    pub(super) fn can_replay_after(&self, sequence: u32) -> bool {
        let oldest = self.sequence.saturating_sub(self.kept.len() as u32);
        (oldest..=self.sequence).contains(&sequence)
    }

    /// Sends again what came after `after`.
    pub(super) fn replay(&mut self, fx: &mut Effects, client: &mut ClientConn, number: u32, after: u32) {
        let oldest = self.sequence.saturating_sub(self.kept.len() as u32);
        let missed = (oldest + 1..).zip(&self.kept).filter(|(sequence, _)| *sequence > after);
        let mut is_empty = true;
        for (sequence, text) in missed {
            is_empty = false;
            client.write_stream(fx, text.len().saturating_add(EVENT_EXTRA), |out| {
                encode(out, number, sequence, text)
            });
        }
        if is_empty {
            client.show_head(fx);
        }
    }
}

/// The name of every event that carries a message, on either transport. Without it an event means the same (HTML
/// Standard § 9.2), but there are clients that drop it.
pub(super) const MESSAGE: &str = "message";

/// What an event has beside its message, about.
const EVENT_EXTRA: usize = 64;

fn encode(out: &mut Vec<u8>, number: u32, sequence: u32, text: &[u8]) {
    encode_event(out, Some(format_args!("{number}-{sequence}")), Some(MESSAGE), None, &[text]);
}

/// Stream and sequence of an event id of ours.
pub(super) fn parse_event_id(id: &str) -> Option<(u32, u32)> {
    let (stream, sequence) = id.split_once('-')?;
    Some((stream.parse().ok()?, sequence.parse().ok()?))
}
