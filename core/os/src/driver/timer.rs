//! The one timer of the system, set for what [`Alarm`](crate::Alarm) wants.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use mcp_proxy_core::Input;

use super::Driver;
use super::task::yield_now;
use crate::{Look, Runtime};

/// Sends [`Input::Timeout`] whenever a deadline has come.
pub(super) async fn fire<R: Runtime>(driver: Rc<Driver<R>>) {
    let mut timer = pin!(None);
    loop {
        poll_fn(|cx| {
            loop {
                match driver.with_host(|host| host.alarm.look(host.clock.mono(), cx)) {
                    Look::Due => return Poll::Ready(()),
                    Look::Set(at) => {
                        let at = driver.with_host(|host| host.clock.instant(at));
                        timer.set(Some(driver.runtime().sleep_until(at)));
                    }
                    Look::Wait => {}
                }
                match timer.as_mut().as_pin_mut().map(|timer| timer.poll(cx)) {
                    Some(Poll::Ready(())) => timer.set(None),
                    Some(Poll::Pending) | None => return Poll::Pending,
                }
                driver.with_host(|host| host.alarm.fired());
            }
        })
        .await;
        driver.turn(Input::Timeout);
        yield_now().await;
    }
}
