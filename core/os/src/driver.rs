//! Drives the engine on any [`Runtime`]: what its outputs ask for becomes tasks, what happens to them its inputs.
//!
//! ```text
//!   serve ── Driver ─┬─ Shard<DriverHost>  the engine; every input goes through Driver::turn
//!                    ├─ Runtime            one task per listener, connection, child; one timer, two for stopping
//!                    └─ buffers            one read buffer for everybody
//!
//!   host             outputs ──▶ tasks, flags, wakes
//!   listen · dial    connections that come in and go out ──▶ conn
//!   conn · child     bytes between the system and the engine
//!   store            files and passwords, on threads
//!   timer · signal   the engine's deadline; signals and requests to stop
//!   guard · task     restarts of the guard; panics of tasks
//! ```
//!
//! Invariants:
//! - One thread, except for what blocks (names, files, passwords).
//! - A borrow of the shard never spans an await, and [`Host::perform`](mcp_proxy_core::Host::perform) never calls back: it
//!   spawns a task, drops one, or sets a flag and wakes.
//! - A connection or child is one task with one poll function that tries all directions each time, so that no direction
//!   can starve or block another.
//! - The fewest system calls: a short read or write means that there is nothing more until the system says so, one turn
//!   follows each read, and no message crosses a channel.
//! - A panic in a task ends the proxy.
//!
//! Deliberately absent: policy, protocols, retries and time limits, all of which are the engine's; several shards.

use std::cell::{Ref, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use mcp_proxy_core::log::{Level, Record};
use mcp_proxy_core::{Input, Proxy, Shard};

use crate::clock::instant_now;
use crate::{Guard, Options, Pool, Runtime, Source, Stop};
use host::DriverHost;
use task::{Crash, yield_now};

mod child;
mod conn;
mod dial;
mod guard;
mod host;
mod listen;
mod signal;
mod store;
mod task;
mod timer;
mod transfer;

/// Drives the engine until it has stopped, and returns the exit code it asks for.
///
/// The future is polled on one thread, within the executor that [`Runtime::spawn`] hands its tasks to. Dropping it before
/// its end drops all connections and kills all children.
///
/// # Errors
/// The operating system refuses what nothing works without, such as signal handlers.
///
/// # Panics
/// A task has panicked.
pub fn serve<R: Runtime>(runtime: R, proxy: Proxy, options: Options) -> impl Future<Output = io::Result<u8>> {
    let handled = Handled {
        stop: options.stop.clone(),
        stop_signals: options.stop_signals,
        reap_orphans: options.reap_orphans,
    };
    // The engine is large and stays out of the future.
    drive(Ending(Driver::new(runtime, proxy, options)), handled)
}

/// What the driver handles in addition to the outputs of the engine.
struct Handled {
    stop: Stop,
    stop_signals: bool,
    reap_orphans: bool,
}

async fn drive<R: Runtime>(ending: Ending<R>, handled: Handled) -> io::Result<u8> {
    let driver = &ending.0;
    let mut tasks = vec![
        driver.spawn(timer::fire(driver.clone())),
        driver.spawn(signal::stop_on_request(driver.clone(), handled.stop)),
    ];
    if handled.stop_signals {
        tasks.extend(signal::stop_on_signals(driver)?);
    }
    if handled.reap_orphans {
        tasks.push(signal::reap(driver)?);
    }
    driver.start();
    let code = driver.stopped().await;
    // Connections that were given last words write them in their next poll.
    for _ in 0..LAST_WORDS_PASSES {
        yield_now().await;
    }
    driver.end().await;
    Ok(code)
}

/// Ends what the engine has started when the proxy is dropped in the middle of its life.
struct Ending<R: Runtime>(Rc<Driver<R>>);

impl<R: Runtime> Drop for Ending<R> {
    fn drop(&mut self) {
        drop(self.0.with_host(DriverHost::end));
    }
}

/// What all tasks share.
struct Driver<R: Runtime> {
    runtime: R,
    crash: Rc<Crash>,
    shard: RefCell<Shard<DriverHost<R>>>,
    buffers: RefCell<Buffers>,
    names: Pool,
    works: Pool,
}

/// Storage that is only used within one poll, so that an idle connection needs none.
struct Buffers {
    /// What one read may give.
    chunk: Box<[u8]>,
    /// What was decrypted of it.
    plain: Vec<u8>,
}

impl<R: Runtime> Driver<R> {
    fn new(runtime: R, proxy: Proxy, options: Options) -> Rc<Self> {
        Rc::new_cyclic(|driver| Self {
            runtime,
            crash: Rc::default(),
            shard: RefCell::new(Shard::new(proxy, DriverHost::new(driver.clone(), options))),
            buffers: RefCell::new(Buffers {
                chunk: vec![0; READ_BYTES].into_boxed_slice(),
                plain: Vec::new(),
            }),
            names: Pool::new("names", NAME_THREADS_MAX),
            works: Pool::new("works", WORK_THREADS_MAX),
        })
    }

    fn runtime(&self) -> &R {
        &self.runtime
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) -> R::Task {
        self.runtime.spawn(self.crash.witness(work))
    }

    fn sleep(&self, pause: Duration) -> impl Future<Output = ()> {
        self.runtime.sleep_until(instant_now() + pause)
    }

    /// Watches what blocks as yet.
    fn watch<T: Source>(&self, io: T) -> io::Result<R::Io<T>> {
        rustix::io::ioctl_fionbio(&io, true)?;
        self.runtime.watch(io)
    }

    fn buffers(&self) -> &RefCell<Buffers> {
        &self.buffers
    }

    /// Threads that ask for names.
    fn names(&self) -> &Pool {
        &self.names
    }

    /// Threads for files and passwords, which must not wait for names.
    fn works(&self) -> &Pool {
        &self.works
    }

    /// Hands an input to the engine and starts everything that follows from it.
    fn turn(&self, input: Input<'_>) {
        let mut shard = self.shard.borrow_mut();
        shard.turn(input);
        let (proxy, host) = (shard.proxy(), shard.host());
        host.resume_listeners(|listener| proxy.wants_accept(listener));
    }

    /// The engine, for its getters. Not to be held across [`Driver::turn`].
    fn proxy(&self) -> Ref<'_, Proxy> {
        Ref::map(self.shard.borrow(), Shard::proxy)
    }

    /// Lets the host be changed. The closure must not take a turn.
    fn with_host<T>(&self, change: impl FnOnce(&mut DriverHost<R>) -> T) -> T {
        change(self.shard.borrow_mut().host_mut())
    }

    /// Writes a log line of the driver's own.
    fn log(&self, level: Level, message: String) {
        self.with_host(|host| host.log(&Record { level, server: None, message }));
    }

    fn start(&self) {
        self.shard.borrow_mut().start();
    }

    /// Waits for the exit code.
    async fn stopped(&self) -> u8 {
        poll_fn(|cx| {
            assert!(!self.crash.poll(cx), "a task has panicked");
            match self.with_host(|host| host.poll_stopped(cx)) {
                Some(code) => Poll::Ready(code),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Ends everything in order: first what is left, then the writes, then the guard.
    async fn end(&self) {
        let guard = self.with_host(DriverHost::end);
        poll_fn(|cx| self.with_host(|host| host.store.poll_written(cx))).await;
        match self.works.run(guard, Guard::dismiss) {
            Ok(dismissed) => dismissed.await,
            // It is over: nobody else is kept waiting.
            Err(refused) => refused.input.dismiss(),
        }
    }
}

/// An executor runs dozens of tasks (tokio 61, smol 200) before it comes back to one that yields; this is for a thousand
/// clients that hear goodbye at once.
const LAST_WORDS_PASSES: usize = 20;

/// Names that are asked for at once; a resolver that is not there blocks each for half a minute.
const NAME_THREADS_MAX: usize = 64;

/// Files and passwords at once. Of passwords there are no more than processors.
const WORK_THREADS_MAX: usize = 16;

/// One read from a socket or pipe: what a pipe of the usual size holds.
const READ_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
