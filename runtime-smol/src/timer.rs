//! The one timer of the system, set for what [`Alarm`](mcp_proxy_os::Alarm) wants.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use mcp_proxy_core::Input;
use mcp_proxy_os::Look;
use smol::Timer;

use crate::Runtime;

/// Sends [`Input::Timeout`] whenever a deadline has come.
pub(crate) async fn fire(runtime: Rc<Runtime>) {
    let mut timer = Timer::never();
    loop {
        poll_fn(|cx| {
            loop {
                match runtime.with_host(|host| host.alarm.look(host.clock.mono(), cx)) {
                    Look::Due => return Poll::Ready(()),
                    Look::Set(at) => timer.set_at(runtime.with_host(|host| host.clock.instant(at))),
                    Look::Wait => {}
                }
                match Pin::new(&mut timer).poll(cx) {
                    Poll::Ready(Instant { .. }) => runtime.with_host(|host| host.alarm.fired()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
        runtime.turn(Input::Timeout);
        smol::future::yield_now().await;
    }
}
