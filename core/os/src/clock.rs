//! The clocks of a runtime, and the one alarm that the engine needs: it wakes, the clock decides.
//!
//! Most deadlines move later before they come. So the system's timer is only set anew for an earlier one; when it fires
//! for one that has moved, it is set for what is then the earliest.

use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mcp_proxy_core::time::{Mono, Now, Unix};

/// Both clocks of the system as the engine counts them.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    unix: Unix,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self { origin: instant_now(), unix: Unix::default() }
    }

    /// Reads both, for a turn.
    pub fn now(&mut self) -> Now {
        self.unix = unix_now();
        Now { mono: self.mono(), unix: self.unix }
    }

    /// The engine's clock, now.
    pub fn mono(&self) -> Mono {
        Mono(u64::try_from(instant_now().duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX))
    }

    /// The wall clock of the present turn.
    pub fn unix(&self) -> Unix {
        self.unix
    }

    /// A point of the engine's clock on the system's.
    pub fn instant(&self, at: Mono) -> Instant {
        let far = Duration::from_secs(365 * 24 * 3600);
        self.origin.checked_add(Duration::from_nanos(at.0)).unwrap_or_else(|| self.origin + far)
    }
}

/// What the engine wants and what the system was told.
#[derive(Debug, Default)]
pub struct Alarm {
    wanted: Option<Mono>,
    armed: Option<Mono>,
    waker: Option<Waker>,
}

/// What is to be done about the alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It is time: tell the engine.
    Due,
    /// Set the system's timer for then.
    Set(Mono),
    /// Wait for the timer, if one is set.
    Wait,
}

impl Alarm {
    /// Replaces the wish before.
    pub fn want(&mut self, at: Option<Mono>) {
        self.wanted = at;
        if at.is_some_and(|at| self.armed.is_none_or(|armed| at < armed))
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    /// The task of the timer looks, and is woken when something earlier is wanted.
    pub fn look(&mut self, now: Mono, cx: &Context<'_>) -> Look {
        self.waker = Some(cx.waker().clone());
        match self.wanted {
            Some(at) if at <= now => Look::Due,
            Some(at) if self.armed.is_none_or(|armed| at < armed) => {
                self.armed = Some(at);
                Look::Set(at)
            }
            Some(_) | None => Look::Wait,
        }
    }

    /// The system's timer has fired.
    pub fn fired(&mut self) {
        self.armed = None;
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the host's clock")]
pub(crate) fn instant_now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the host's clock")]
fn unix_now() -> Unix {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Unix(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_only_set_for_an_earlier_time() {
        let cx = Context::from_waker(Waker::noop());
        let mut alarm = Alarm::default();
        assert_eq!(alarm.look(Mono(0), &cx), Look::Wait);
        alarm.want(Some(Mono(10)));
        assert_eq!(alarm.look(Mono(0), &cx), Look::Set(Mono(10)));
        alarm.want(Some(Mono(20)));
        assert_eq!(alarm.look(Mono(0), &cx), Look::Wait);
        alarm.want(Some(Mono(5)));
        assert_eq!(alarm.look(Mono(0), &cx), Look::Set(Mono(5)));
        alarm.want(Some(Mono(20)));
        // It fires for a deadline that has moved.
        alarm.fired();
        assert_eq!(alarm.look(Mono(5), &cx), Look::Set(Mono(20)));
        alarm.fired();
        assert_eq!(alarm.look(Mono(20), &cx), Look::Due);
    }
}
