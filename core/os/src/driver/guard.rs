//! Keeps the guard: it is started with the first child, and again whenever it ends.

use std::future::poll_fn;
use std::io::{self, PipeReader};
use std::rc::Rc;
use std::time::Duration;

use mcp_proxy_core::log::Level;

use super::Driver;
use super::transfer::poll_read;
use crate::{Care, Runtime};

/// Starts it, unless it runs. To be called before each child is started.
pub(super) fn start<R: Runtime>(driver: &Rc<Driver<R>>) {
    let started = driver.with_host(|host| host.guard.start());
    tell(driver, started.news);
    if started.wants_keeper {
        let keeper = driver.spawn(keep(driver.clone()));
        driver.with_host(|host| host.keeper = Some(keeper));
    }
}

/// The life of whoever looks after it.
async fn keep<R: Runtime>(driver: Rc<Driver<R>>) {
    loop {
        let (news, care) = driver.with_host(|host| host.guard.keep());
        tell(&driver, news);
        match care {
            Care::Watch(lifeline) => {
                // One that cannot be waited for is looked at later.
                if closed(&driver, lifeline).await.is_err() {
                    driver.sleep(LOOK_PAUSE).await;
                }
            }
            Care::Look(pause) => driver.sleep(pause).await,
            Care::Never => return,
        }
    }
}

fn tell<R: Runtime>(driver: &Driver<R>, news: Option<String>) {
    if let Some(news) = news {
        driver.log(Level::Warn, news);
    }
}

/// Waits until nobody holds the other end.
async fn closed<R: Runtime>(driver: &Driver<R>, lifeline: PipeReader) -> io::Result<()> {
    let mut lifeline = driver.watch(lifeline)?;
    poll_fn(|cx| poll_read(&mut lifeline, cx, &mut [0])).await.map(drop)
}

/// Until a lifeline that cannot be waited for is looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
