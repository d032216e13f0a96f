//! A time limit for things that block one after the other.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::{ExchangeError, ExchangeErrorKind};
use crate::net;

/// When it must be over; without a time we wait as long as the system does.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| now().checked_add(timeout)))
    }

    /// What is left, never nothing.
    ///
    /// # Errors
    /// Nothing is left.
    pub(super) fn left(self) -> io::Result<Option<Duration>> {
        let Some(at) = self.0 else { return Ok(None) };
        match at.saturating_duration_since(now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }

    /// [`net::lookup`], which knows no limit itself: when it is late its thread is left alone.
    pub(super) fn lookup(self, name: &str, port: u16) -> Result<io::Result<Vec<SocketAddr>>, ExchangeError> {
        let late = |_| ExchangeError::new(ExchangeErrorKind::Timeout, String::new());
        let left = match self.left().map_err(late)? {
            Some(left) if net::literal(name, port).is_none() => left,
            Some(_) | None => return Ok(net::lookup(name, port)),
        };
        let (found_to, found) = channel();
        let name = name.to_owned();
        spawn(move || drop(found_to.send(net::lookup(&name, port))));
        found.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected => {
                late(io::ErrorKind::TimedOut.into())
            }
        })
    }

    /// Says in an error that this was the time.
    pub(super) fn explain(self, error: ExchangeError, timeout: Option<Duration>) -> ExchangeError {
        match (error.kind, timeout) {
            (ExchangeErrorKind::Timeout, Some(timeout)) => {
                ExchangeError::new(error.kind, format!("no answer within {timeout:?}"))
            }
            _ => error,
        }
    }
}

/// Whether a socket gave up because of its time limit. Systems have two names for that.
pub(super) fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

#[expect(clippy::disallowed_methods, reason = "the command line waits, not the engine")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the resolver of the system blocks")]
fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}
