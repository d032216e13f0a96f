//! The one timer: it wakes, the clock decides.
//!
//! Most deadlines move later before they come. So the system's timer is only set anew for an earlier one;
//! when it fires for one that has moved, it is set for what is then the earliest.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use mcp_proxy_core::Input;
use mcp_proxy_core::time::Mono;
use smol::Timer;

use crate::Runtime;

/// What the engine wants and what the system was told.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    wanted: Option<Mono>,
    armed: Option<Mono>,
    waker: Option<Waker>,
}

impl Alarm {
    /// Replaces the wish before.
    pub(crate) fn want(&mut self, at: Option<Mono>) {
        self.wanted = at;
        if at.is_some_and(|at| self.armed.is_none_or(|armed| at < armed))
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }
}

/// Sends [`Input::Timeout`] whenever a deadline has come.
pub(crate) async fn fire(runtime: Rc<Runtime>) {
    let mut timer = Timer::never();
    loop {
        poll_fn(|cx| {
            loop {
                let due = runtime.with_host(|host| {
                    host.alarm.waker = Some(cx.waker().clone());
                    let now = host.mono();
                    match host.alarm.wanted {
                        Some(at) if at <= now => return true,
                        Some(at) if host.alarm.armed.is_none_or(|armed| at < armed) => {
                            timer.set_at(host.instant(at));
                            host.alarm.armed = Some(at);
                        }
                        Some(_) | None => {}
                    }
                    false
                });
                if due {
                    return Poll::Ready(());
                }
                match Pin::new(&mut timer).poll(cx) {
                    Poll::Ready(Instant { .. }) => runtime.with_host(|host| host.alarm.armed = None),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
        runtime.turn(Input::Timeout);
        smol::future::yield_now().await;
    }
}
