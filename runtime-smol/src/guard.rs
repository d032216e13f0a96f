//! Keeps the guard: it is started with the first child, and again whenever it ends.

use std::io::PipeReader;
use std::rc::Rc;
use std::time::Duration;

use mcp_proxy_core::log::Level;
use mcp_proxy_os::Care;
use smol::{Async, Timer};

use crate::Runtime;

/// Starts it, unless it runs. To be called before each child is started.
pub(crate) fn start(runtime: &Rc<Runtime>) {
    let started = runtime.with_host(|host| host.guard.start());
    tell(runtime, started.news);
    if started.wants_keeper {
        let keeper = runtime.executor().spawn(keep(runtime.clone()));
        runtime.with_host(|host| host.keeper = Some(keeper));
    }
}

/// The life of whoever looks after it.
async fn keep(runtime: Rc<Runtime>) {
    loop {
        let (news, care) = runtime.with_host(|host| host.guard.keep());
        tell(&runtime, news);
        match care {
            Care::Watch(lifeline) => closed(lifeline).await,
            Care::Look(pause) => sleep(pause).await,
            Care::Never => return,
        }
    }
}

fn tell(runtime: &Runtime, news: Option<String>) {
    if let Some(news) = news {
        runtime.log(Level::Warn, news);
    }
}

/// Waits until nobody holds the other end. One that cannot be waited for is looked at later.
async fn closed(lifeline: PipeReader) {
    match Async::new(lifeline) {
        Ok(lifeline) => drop(lifeline.readable().await),
        Err(_) => sleep(LOOK_PAUSE).await,
    }
}

async fn sleep(pause: Duration) {
    Timer::after(pause).await;
}

/// Until a lifeline that cannot be waited for is looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
