//! One connection to a configured server, from its start to its end: where it stands, what waits for it, what it is
//! waited for.
//!
//! Invariants: it is in one phase; a phase in which something is waited for has a timer; stopped is stopped. Deliberately
//! absent: who made a call, which only the call knows.

use super::child::line_rate::LineRate;
use super::health::Health;
use super::http::exchange::Job;
use super::link::Link;
use super::peer::Peer;
use super::pulse::Pulse;
use super::queue::{self, Queue};
use super::running::Running;
use super::usage::{Usage, UsageKind};
use crate::catalog::{Catalog, Reading};
use crate::config::{self, HttpKind};
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::health::Standing;
use crate::id::{Key, ServerId, UpstreamId};
use crate::json::Pieces;
use crate::ledger::Held;
use crate::ledger::NO_MEMORY;
use crate::limits::Limits;
use crate::log::Level;
use crate::mcp::ListKind;
use crate::time::Mono;
use crate::timer::{ServerTimer, Timer};
use std::sync::Arc;

/// One connection to a configured server.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) id: UpstreamId,
    pub(super) server: ServerId,
    pub(super) usage: Usage,
    pub(super) running: Running,
    /// What the proxy itself asked and waits for.
    pub(super) own_calls: Vec<Key>,
    /// When a session last wanted something of it, and whether one has called since it was connected.
    pub(super) used_at: Mono,
    pub(super) has_served: bool,
    /// Its key in the configuration.
    pub(super) name: Arc<str>,
    /// The key as logs may show it.
    pub(super) label: Arc<str>,
    pub(super) config: Arc<config::Server>,
    pub(super) phase: Phase,
    pub(super) peer: Peer,
    pub(super) health: Health,
    pub(super) catalog: Catalog,
    pub(super) link: Link,
    /// It was ready once: from then on calls wait for it instead of being refused.
    pub(super) was_ready: bool,
    /// Its first start has succeeded or failed.
    pub(super) was_tried: bool,
    /// Lists being read, each with the call that asks for the next page.
    pub(super) readings: [Option<(Key, Reading)>; ListKind::COUNT],
    /// Lists that changed while they were being read.
    pub(super) stale: [bool; ListKind::COUNT],
    /// Why it refused the handshake, while it is asked which revisions it speaks.
    pub(super) refusal: Option<Fault>,
    pub(super) refresh: Option<Timer>,
    /// Of a connection beside the shared one: its next look at whether it is needed.
    pub(super) idle: Option<Timer>,
    pub(super) pulse: Pulse,
    pub(super) line_rate: LineRate,
    queue: Queue,
    timer: Option<Timer>,
    /// Tries one after the other after which it was not in use for long.
    attempts: u32,
    /// A lost session was made anew at once, and the server was not in use for long since.
    renewed: bool,
    ready_at: Mono,
    lost_at: Mono,
    /// When it must be ready.
    start_by: Mono,
    /// When it began to be brought up.
    began_at: Mono,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not connected; a timer or the exit of the old child starts it.
    Down,
    /// The child is being spawned, or the event stream opened.
    Starting,
    /// `initialize` is under way.
    Handshake,
    /// The lists are being read for the first time.
    Listing,
    /// In use.
    Ready,
    /// Not connected, because nobody needs it; the next call starts it.
    Asleep,
    /// Stopped for good.
    Stopped,
}

impl Connection {
    pub(crate) fn new(id: UpstreamId, server: ServerId, config: Arc<config::Server>, usage: Usage) -> Self {
        Self {
            id,
            server,
            // Who opens a connection for a session has calls waiting already.
            was_ready: usage.kind != UsageKind::Shared,
            usage,
            running: Running::default(),
            own_calls: Vec::new(),
            used_at: Mono::default(),
            has_served: false,
            name: config.name.as_str().into(),
            label: config.label().into(),
            phase: Phase::Down,
            peer: Peer::default(),
            health: Health::default(),
            catalog: Catalog::default(),
            link: Link::new(id, &config.transport),
            was_tried: false,
            readings: [const { None }; ListKind::COUNT],
            stale: [false; ListKind::COUNT],
            refusal: None,
            refresh: None,
            idle: None,
            pulse: Pulse::default(),
            line_rate: LineRate::default(),
            queue: Queue::default(),
            timer: None,
            attempts: 0,
            renewed: false,
            ready_at: Mono::default(),
            lost_at: Mono::default(),
            start_by: Mono::default(),
            began_at: Mono::default(),
            config,
        }
    }

    /// The time limit of one call without a sign of life.
    pub(crate) fn silence_ms(&self, fx: &Effects) -> u64 {
        self.config.options.times.silence_ms.unwrap_or(fx.limits.call_ms)
    }

    /// The time limit of one call altogether.
    pub(crate) fn call_ms(&self, fx: &Effects) -> u64 {
        self.config.options.times.call_ms.unwrap_or(fx.limits.call_total_ms)
    }

    /// How long it may take from its start until it is ready.
    pub(crate) fn startup_ms(&self, fx: &Effects) -> u64 {
        self.config.options.times.startup_ms.unwrap_or(fx.limits.handshake_ms)
    }

    /// Its next phase.
    pub(crate) fn enter(&mut self, fx: &Effects, phase: Phase) {
        debug_assert!(self.phase != Phase::Stopped || phase == Phase::Stopped, "stopped is stopped");
        self.phase = phase;
        self.note(fx);
    }

    /// Notes how it stands now.
    pub(crate) fn note(&mut self, fx: &Effects) {
        let standing = match self.phase {
            Phase::Stopped => Standing::Stopped,
            Phase::Ready if self.pulse.missed() > 0 => Standing::Unresponsive,
            // One that sleeps is there when it is called.
            Phase::Ready | Phase::Asleep => Standing::Ready,
            Phase::Down if self.is_suspended(fx) => Standing::Suspended,
            Phase::Down | Phase::Starting | Phase::Handshake | Phase::Listing => {
                match (self.was_ready, self.attempts) {
                    (true, _) => Standing::Reconnecting,
                    (false, 0) => Standing::Starting,
                    (false, _) => Standing::Failing,
                }
            }
        };
        self.health.note(standing, fx.now.unix);
    }

    /// It is about to be brought up: the time for that begins. A handshake that follows is part of it.
    pub(crate) fn begin(&mut self, fx: &Effects) {
        self.start_by = fx.mono().plus_ms(self.startup_ms(fx));
        self.began_at = fx.mono();
    }

    /// Milliseconds since it began to be brought up.
    pub(crate) fn startup_took_ms(&self, fx: &Effects) -> u64 {
        fx.mono().ms_since(self.began_at)
    }

    /// Milliseconds that are left of the time to come up.
    pub(crate) fn startup_left_ms(&self, fx: &Effects) -> u64 {
        self.start_by.ms_since(fx.mono())
    }

    /// Trying again soon is of no use.
    pub(crate) fn despair(&mut self, fx: &Effects) {
        self.attempts = self.attempts.max(fx.limits.suspend_failures);
    }

    /// Whether so many tries have failed one after the other that it is left alone for a while.
    pub(crate) fn is_suspended(&self, fx: &Effects) -> bool {
        self.attempts >= fx.limits.suspend_failures
    }

    /// Whether nobody waits for it, not even for the next try: it is suspended, and the last try was a moment ago.
    pub(crate) fn is_hopeless(&self, fx: &Effects) -> bool {
        self.phase == Phase::Down && self.is_suspended(fx) && !self.may_be_tried(fx)
    }

    /// Whether somebody who needs it now is reason enough to try again.
    pub(crate) fn may_be_tried(&self, fx: &Effects) -> bool {
        fx.mono().ms_since(self.lost_at) >= fx.limits.backoff_max_ms
    }

    /// Sends a call, or keeps it until the server is back or the session before has finished. Returns whether it
    /// was sent. `asks` is the session of a call that may lead to questions.
    ///
    /// # Errors
    /// [`Code::NotReady`] when it never was there, [`Code::Overloaded`] when too much waits already.
    pub(crate) fn submit(
        &mut self,
        fx: &mut Effects,
        call: Key,
        asks: Option<Key>,
        message: &Pieces<'_>,
    ) -> Result<bool, Fault> {
        self.used_at = fx.mono();
        if self.phase == Phase::Ready && self.link.is_open() && self.admits(asks) {
            self.link.send_call(fx, call, message)?;
            self.entered(call, asks);
            return Ok(true);
        }
        if !self.was_ready || self.phase == Phase::Stopped || self.is_hopeless(fx) {
            return Err(self.not_ready());
        }
        if !self.queue.admits_call(fx, message.len()) {
            let detail = format!("server {} is away or busy and too many calls wait for it", self.label);
            return Err(Fault::local(Code::Overloaded, detail));
        }
        if !fx.ledger.has_room(0, message.len()) {
            return Err(Fault::local(Code::Overloaded, NO_MEMORY));
        }
        self.queue.push_call(call, asks, queue::hold(fx, message));
        Ok(false)
    }

    /// Sends a notification of a client, or keeps it while the server starts. One that comes while it is away, or for
    /// which there is no room, is lost, as notifications may be.
    pub(crate) fn submit_note(&mut self, fx: &mut Effects, message: &Pieces<'_>) {
        self.used_at = fx.mono();
        match self.phase {
            Phase::Ready => return self.link.send_note(fx, Job::Note, message),
            Phase::Starting | Phase::Handshake | Phase::Listing | Phase::Asleep => {}
            Phase::Down | Phase::Stopped => return,
        }
        if self.queue.admits_note(fx, message.len()) {
            self.queue.push_note(fx, message);
        }
    }

    /// It has started: what was to be told is told.
    pub(crate) fn send_notes(&mut self, fx: &mut Effects) {
        while let Some(body) = self.queue.pop_note() {
            self.link.send_note(fx, Job::Note, &Pieces::of(&[&body]));
        }
    }

    /// Keeps a call that was refused unexecuted, ahead of nothing: order among waiting calls does not matter.
    pub(crate) fn wait(&mut self, call: Key, asks: Option<Key>, body: Held) {
        self.queue.push_call(call, asks, body);
    }

    /// The next waiting call that may be sent now.
    pub(crate) fn next_waiting(&mut self) -> Option<(Key, Option<Key>, Vec<u8>)> {
        let gated = self.is_gated();
        let next = self.queue.pop_call_if(
            |call| !gated || call.asks.is_none(),
            |call| call.asks.is_none_or(|session| self.running.admits(session)),
        )?;
        Some((next.key, next.asks, next.into_body()))
    }

    /// Takes a waiting call, whether it could be sent or not.
    pub(crate) fn take_waiting(&mut self) -> Option<(Key, Vec<u8>)> {
        self.queue.pop_call().map(|next| (next.key, next.into_body()))
    }

    /// Storage of what waits for it and of what is coming from it. For tests and rare events only.
    pub(crate) fn recount(&self) -> usize {
        self.queue.size().saturating_add(match &self.link {
            Link::Child(link) => link.pipes.as_ref().map_or(0, |pipes| pipes.capacity()),
            Link::Http(link) => link.recount(),
        })
    }

    /// Number of calls that wait.
    pub(crate) fn waiting_len(&self) -> usize {
        self.queue.calls_len()
    }

    /// Whether calls that may lead to questions are those of one session at a time (BR-44): on a connection that
    /// several sessions share and that has one channel for everything.
    pub(crate) fn is_gated(&self) -> bool {
        self.usage.kind == UsageKind::Interactive && self.has_one_channel()
    }

    /// Whether a call may begin. Whoever is in lets others have their turn, unless it has a question to answer, which
    /// may take another call.
    pub(crate) fn admits(&self, asks: Option<Key>) -> bool {
        let Some(session) = asks.filter(|_| self.is_gated()) else { return true };
        let is_turn = self.queue.calls().all(|call| call.asks.is_none_or(|other| other == session));
        self.running.admits(session) && (is_turn || self.usage.questions > 0)
    }

    /// Whether a call of a session that may lead to questions need not wait for another session: not even for one
    /// whose calls wait themselves, until the connection is there.
    pub(crate) fn is_free_for(&self, session: Key) -> bool {
        let other = |call: &queue::Call| call.asks.is_some_and(|asks| asks != session);
        !self.is_gated() || (self.admits(Some(session)) && !self.queue.calls().any(other))
    }

    /// A call was handed over.
    pub(crate) fn entered(&mut self, call: Key, asks: Option<Key>) {
        self.running.enter(call, asks);
        self.has_served = true;
    }

    /// A call that was handed over has ended.
    pub(crate) fn left(&mut self, call: Key, asks: bool) {
        self.running.leave(call, asks);
    }

    /// The calls that wait.
    pub(crate) fn waiting_calls(&self) -> Vec<Key> {
        self.queue.calls().map(|call| call.key).collect()
    }

    /// Whether calls of other sessions wait than the one it is kept for.
    pub(crate) fn keeps_others_waiting(&self) -> bool {
        let present = self.running.session();
        self.queue.calls().any(|call| call.asks.is_some() && call.asks != present)
    }

    /// Whether what the server says on its own cannot be told apart by the channel it comes on.
    pub(crate) fn has_one_channel(&self) -> bool {
        match &self.link {
            Link::Child(_) => true,
            Link::Http(link) => link.kind == HttpKind::Sse,
        }
    }

    /// Whether it should be there even if nobody calls: everybody's connection, and one that has something to tell.
    pub(crate) fn is_wanted(&self) -> bool {
        self.usage.kind == UsageKind::Shared || !self.queue.has_no_call() || self.usage.has_watches()
    }

    /// Whether it has not been ready yet: what waits for it waits as long as a server may take to start.
    pub(crate) fn is_new(&self) -> bool {
        !self.was_tried && self.usage.kind != UsageKind::Shared
    }

    /// How much its comings and goings matter to an operator.
    pub(crate) fn level(&self) -> Level {
        if self.usage.kind == UsageKind::Shared { Level::Info } else { Level::Debug }
    }

    /// Whether it must be dead, or cannot be heard, as it has answered no ping for so long.
    pub(crate) fn is_dead(&self, fx: &Effects) -> bool {
        let rests = self.running.is_idle() && self.queue.has_no_call() && self.usage.questions == 0;
        let streams = matches!(&self.link, Link::Http(link) if link.kind == HttpKind::Sse);
        self.pulse.missed() >= fx.limits.ping_failures_max && self.pulse.is_telling(!rests, streams)
    }

    /// Whether nobody wants anything of it and it could be stopped without a loss.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Ready
            && self.running.is_idle()
            && self.queue.has_no_call()
            && self.usage.questions == 0
            && !self.usage.has_watches()
    }

    /// Forgets a waiting call. Returns whether it was waiting.
    pub(crate) fn forget_waiting(&mut self, call: Key) -> bool {
        self.queue.forget_call(call)
    }

    /// Whether a child of it still lives, or the end of its HTTP session is under way.
    pub(crate) fn is_ending(&self) -> bool {
        match &self.link {
            Link::Child(link) => link.child.is_some(),
            Link::Http(link) => link.is_finishing(),
        }
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.timer.is_some()
    }

    pub(crate) fn not_ready(&self) -> Fault {
        let detail = match (self.health.reason(), self.was_ready) {
            (None, _) => format!("server {} is not connected yet", self.label),
            (Some(reason), false) => format!("server {} is not connected yet: {reason}", self.label),
            (Some(reason), true) => format!("server {} is not connected: {reason}", self.label),
        };
        Fault::environment(Code::NotReady, detail)
    }

    pub(crate) fn busy(&self) -> Fault {
        let detail =
            format!("server {} is busy with the calls of another session (see maxSessions)", self.label);
        Fault::environment(Code::Overloaded, detail)
    }

    /// Arms the one timer of the present phase; the one before is disarmed.
    pub(crate) fn arm(&mut self, fx: &mut Effects, ms: impl Fn(&Limits) -> u64, kind: ServerTimer) {
        self.disarm(fx);
        self.timer = Some(fx.after(ms(&fx.limits), kind, self.id.0));
    }

    pub(crate) fn disarm(&mut self, fx: &mut Effects) {
        if let Some(timer) = self.timer.take() {
            fx.timers.cancel(timer);
        }
    }

    /// It came up.
    pub(crate) fn mark_ready(&mut self, fx: &mut Effects) {
        self.was_ready = true;
        self.usage.level = None;
        self.ready_at = fx.mono();
        self.pulse.begin();
        self.enter(fx, Phase::Ready);
        self.arm(fx, |limits| limits.ping_ms, ServerTimer::Ping);
    }

    /// It is gone, with all it knew.
    pub(crate) fn lost(&mut self, fx: &Effects) {
        self.lost_at = fx.mono();
        self.enter(fx, Phase::Down);
        self.readings = [const { None }; ListKind::COUNT];
        self.pulse.forget();
        self.has_served = false;
        self.usage.level = None;
        self.running.forget_abandoned();
        self.queue.forget_notes();
    }

    /// After a good while of service it has no record of failures any more.
    fn forgive(&mut self, fx: &Effects) {
        if self.phase == Phase::Ready && fx.mono().ms_since(self.ready_at) >= fx.limits.backoff_reset_ms {
            self.attempts = 0;
            self.renewed = false;
        }
    }

    /// Its session is lost. Returns whether the next one is made at once: the first loss costs nobody time, the
    /// second in a row is a failure like any other.
    pub(crate) fn renews_at_once(&mut self, fx: &Effects) -> bool {
        self.forgive(fx);
        self.attempts == 0 && !std::mem::replace(&mut self.renewed, true)
    }

    /// It went down: how long to wait before the next attempt. Doubles from try to try, with jitter of a quarter,
    /// and starts small again after a good while of service. Where nothing helps it becomes long.
    pub(crate) fn next_backoff(&mut self, fx: &mut Effects) -> u64 {
        self.forgive(fx);
        let factor = 1u64.checked_shl(self.attempts.min(16)).unwrap_or(u64::MAX);
        self.attempts = self.attempts.saturating_add(1);
        let ms = match self.is_suspended(fx) {
            true => fx.limits.suspend_ms,
            false => fx.limits.backoff_ms.saturating_mul(factor).min(fx.limits.backoff_max_ms),
        };
        (ms - ms / 4).saturating_add(fx.rng.below(ms / 2 + 1))
    }

    /// Whether it may have been restarted without a sign: a server of Streamable HTTP that has no sessions to lose.
    pub(crate) fn is_forgetful(&self) -> bool {
        matches!(&self.link, Link::Http(link) if link.kind == HttpKind::Streamable && link.session.is_none())
            && self.phase == Phase::Ready
    }

    /// Whether it can say that its lists changed: it announces that, and there is a channel to say it on.
    fn can_tell(&self, kind: ListKind) -> bool {
        self.peer.announces(kind)
            && match &self.link {
                Link::Child(_) => true,
                Link::Http(link) => link.kind == HttpKind::Sse || link.listens(),
            }
    }

    /// Whether a list may be out of date without the server having said so.
    pub(crate) fn is_aged(&self, fx: &Effects, kind: ListKind) -> bool {
        let read_at = self.catalog.list(kind).read_at;
        !self.can_tell(kind)
            && self.peer.has(kind)
            && read_at.is_some_and(|at| fx.mono().ms_since(at) >= fx.limits.list_age_ms)
    }
}
