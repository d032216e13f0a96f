//! Runs the `mcp-proxy` engine on smol: sockets, child processes, signals and the clock.
//!
//! [`run`] does it on the thread that calls it, [`serve`] within an executor that is there already.
//!
//! # How to embed it
//!
//! ```
//! use mcp_proxy_core::Proxy;
//! use mcp_proxy_core::config::{Source, parse};
//! use mcp_proxy_core::log::Record;
//! use mcp_proxy_smol::{Options, Stop, run, seed};
//! use std::sync::Arc;
//!
//! let text = r#"{"mcpProxy": {"addr": "127.0.0.1:0", "type": "streamable-http"}, "mcpServers": {}}"#;
//! let loaded = parse(&Source { text, name: "config.json", strict: true, env: None }).expect("a good configuration");
//! let proxy = Proxy::new(Arc::new(loaded.config), mcp_proxy_core::Options::default(), seed()?);
//!
//! // A program keeps a clone of the handle. This one stops as soon as it reads that it listens.
//! let stop = Stop::default();
//! let handle = stop.clone();
//! let log = move |record: &Record, _| {
//!     println!("{}", record.message);
//!     if record.message.contains("listening on") {
//!         handle.stop();
//!     }
//! };
//! let options = Options { log: Box::new(log), stop, ..Options::default() };
//! assert_eq!(run(proxy, options)?, 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//! Signals, a guard for the children, further root certificates and a place for logins are fields of [`Options`].
//!
//! # How it works
//!
//! ```text
//!   run ── Runtime ─┬─ Shard<SmolHost>   the engine; every input goes through Runtime::turn
//!                   ├─ LocalExecutor     one task per listener, connection, child; one timer, two for stopping
//!                   └─ buffers           one read buffer for everybody
//! ```
//!
//! Invariants:
//! - One thread. `smol::block_on` polls the executor and, when there is nothing to do, the operating system.
//! - A borrow of the shard never spans an await, and [`Host::perform`](mcp_proxy_core::Host::perform) never
//!   calls back: it spawns a task, drops one, or sets a flag and wakes.
//! - A connection or child is one task with one poll function that tries all directions each time, so that
//!   no direction can starve or block another.
//! - The fewest system calls: a write is tried before anybody waits for writability, a short read means that
//!   there is nothing more until the system says so, and no message crosses a channel.
//! - A panic in a task ends the process.
//!
//! Deliberately absent: policy, protocols, retries and time limits, all of which are the engine's; several
//! shards; reading the environment, or any file but those of [`StoreOptions`].

use std::cell::{Ref, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use mcp_proxy_core::log::{Level, Record};
use mcp_proxy_core::{Input, Proxy, Shard};
use mcp_proxy_os::{Guard, Pool};
use smol::LocalExecutor;

use crate::host::SmolHost;

mod child;
mod conn;
mod dial;
mod guard;
mod host;
mod listen;
mod ready;
mod signal;
mod store;
mod timer;

pub use mcp_proxy_os::{GuardCommand, Log, Options, Stop, StoreOptions, seed};

/// Drives the engine until it has stopped, and returns the exit code it asks for.
///
/// # Errors
/// The operating system refuses what nothing works without, such as signal handlers.
pub fn run(proxy: Proxy, options: Options) -> io::Result<u8> {
    // smol needs one, and panics without.
    mcp_proxy_os::try_thread()?;
    smol::block_on(serve(proxy, options))
}

/// Does the same within an executor that is there already. The future stays on its thread; whoever drops it before its
/// end drops all connections and kills all children.
///
/// # Errors
/// As of [`run`].
pub async fn serve(proxy: Proxy, options: Options) -> io::Result<u8> {
    let (signals, stop) = ((options.stop_signals, options.reap_orphans), options.stop.clone());
    let ending = Ending(Runtime::new(proxy, options));
    let runtime = &ending.0;
    runtime.executor.run(drive(runtime, signals, stop)).await
}

async fn drive(runtime: &Rc<Runtime>, signals: (bool, bool), stop: Stop) -> io::Result<u8> {
    let mut tasks = vec![
        runtime.executor.spawn(timer::fire(runtime.clone())),
        runtime.executor.spawn(signal::stop_on_request(runtime.clone(), stop)),
        runtime.executor.spawn(async { match async_process::driver().await {} }),
    ];
    let (stop_signals, reap_orphans) = signals;
    if stop_signals {
        let signals = signal::handler()?;
        tasks.push(runtime.executor.spawn(signal::stop_on_signals(runtime.clone(), signals)));
    }
    if reap_orphans {
        let ends = signal::children()?;
        tasks.push(runtime.executor.spawn(signal::reap(runtime.clone(), ends)));
    }
    runtime.start();
    let code = poll_fn(|cx| match runtime.with_host(|host| host.poll_stopped(cx)) {
        Some(code) => Poll::Ready(code),
        None => Poll::Pending,
    })
    .await;
    // Connections that were given last words write them in their next poll.
    for _ in 0..LAST_WORDS_PASSES {
        smol::future::yield_now().await;
    }
    let (guard, writes) = runtime.with_host(SmolHost::end);
    for write in writes {
        write.await;
    }
    match runtime.works.run(guard, Guard::dismiss) {
        Ok(dismissed) => dismissed.await,
        // It is over: nobody else is kept waiting.
        Err(refused) => refused.input.dismiss(),
    }
    drop(tasks);
    Ok(code)
}

/// The futures of tasks hold the runtime that holds their tasks: this ends them, also when the proxy is dropped in the
/// middle of its life.
struct Ending(Rc<Runtime>);

impl Drop for Ending {
    fn drop(&mut self) {
        drop(self.0.with_host(SmolHost::end));
        // What was cancelled is dropped when it is run.
        while self.0.executor.try_tick() {}
    }
}

/// What all tasks share.
pub(crate) struct Runtime {
    executor: LocalExecutor<'static>,
    shard: RefCell<Shard<SmolHost>>,
    buffers: RefCell<Buffers>,
    names: Pool,
    works: Pool,
}

/// Storage that is only used within one poll, so that an idle connection needs none.
pub(crate) struct Buffers {
    /// What one read may give.
    pub(crate) chunk: Box<[u8]>,
    /// What was decrypted of it.
    pub(crate) plain: Vec<u8>,
}

impl Runtime {
    fn new(proxy: Proxy, options: Options) -> Rc<Self> {
        Rc::new_cyclic(|runtime| Self {
            executor: LocalExecutor::new(),
            shard: RefCell::new(Shard::new(proxy, SmolHost::new(runtime.clone(), options))),
            buffers: RefCell::new(Buffers {
                chunk: vec![0; READ_BYTES].into_boxed_slice(),
                plain: Vec::new(),
            }),
            names: Pool::new("names", NAME_THREADS_MAX),
            works: Pool::new("works", WORK_THREADS_MAX),
        })
    }

    pub(crate) fn executor(&self) -> &LocalExecutor<'static> {
        &self.executor
    }

    pub(crate) fn buffers(&self) -> &RefCell<Buffers> {
        &self.buffers
    }

    /// Threads that ask for names.
    pub(crate) fn names(&self) -> &Pool {
        &self.names
    }

    /// Threads for files and passwords, which must not wait for names.
    pub(crate) fn works(&self) -> &Pool {
        &self.works
    }

    /// Hands an input to the engine and starts everything that follows from it.
    pub(crate) fn turn(&self, input: Input<'_>) {
        let mut shard = self.shard.borrow_mut();
        shard.turn(input);
        let (proxy, host) = (shard.proxy(), shard.host());
        host.resume_listeners(|listener| proxy.wants_accept(listener));
    }

    /// The engine, for its getters. Not to be held across [`Runtime::turn`].
    pub(crate) fn proxy(&self) -> Ref<'_, Proxy> {
        Ref::map(self.shard.borrow(), Shard::proxy)
    }

    /// Lets the host be changed. The closure must not take a turn.
    pub(crate) fn with_host<T>(&self, change: impl FnOnce(&mut SmolHost) -> T) -> T {
        change(self.shard.borrow_mut().host_mut())
    }

    /// Writes a log line of the adapter's own.
    pub(crate) fn log(&self, level: Level, message: String) {
        self.with_host(|host| host.log(&Record { level, server: None, message }));
    }

    fn start(&self) {
        self.shard.borrow_mut().start();
    }
}

/// A pass of the executor runs 200 tasks; this is for a thousand clients that hear goodbye at once.
const LAST_WORDS_PASSES: usize = 5;

/// Names that are asked for at once; a resolver that is not there blocks each for half a minute.
const NAME_THREADS_MAX: usize = 64;

/// Files and passwords at once. Of passwords there are no more than processors.
const WORK_THREADS_MAX: usize = 16;

/// One read from a socket or pipe: what a pipe of the usual size holds.
const READ_BYTES: usize = 64 * 1024;
