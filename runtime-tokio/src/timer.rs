//! The one timer of the system, set for what [`Alarm`](mcp_proxy_os::Alarm) wants.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use mcp_proxy_core::Input;
use mcp_proxy_os::Look;
use tokio::time::{Instant, sleep_until};

use crate::Runtime;

/// Sends [`Input::Timeout`] whenever a deadline has come.
pub(crate) async fn fire(runtime: Rc<Runtime>) {
    let start = runtime.with_host(|host| host.clock.instant(host.clock.mono()));
    let mut timer = pin!(sleep_until(Instant::from_std(start)));
    // One that has fired would fire again and again.
    let mut is_set = false;
    loop {
        poll_fn(|cx| {
            loop {
                match runtime.with_host(|host| host.alarm.look(host.clock.mono(), cx)) {
                    Look::Due => return Poll::Ready(()),
                    Look::Set(at) => {
                        let at = runtime.with_host(|host| host.clock.instant(at));
                        timer.as_mut().reset(Instant::from_std(at));
                        is_set = true;
                    }
                    Look::Wait => {}
                }
                if !is_set || timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                is_set = false;
                runtime.with_host(|host| host.alarm.fired());
            }
        })
        .await;
        runtime.turn(Input::Timeout);
        tokio::task::yield_now().await;
    }
}
