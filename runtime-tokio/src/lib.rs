//! Runs the `mcp-proxy` engine on tokio: sockets, child processes, signals and the clock.
//!
//! The twin of `mcp-proxy-smol`, file by file: the same function, the same options, the same behaviour. What has nothing
//! to do with tokio stands in `mcp-proxy-os` for both. [`run`] brings a tokio of its own, [`serve`] takes one that is
//! there already.
//!
//! # How to embed it
//!
//! ```
//! use mcp_proxy_core::Proxy;
//! use mcp_proxy_core::config::{Source, parse};
//! use mcp_proxy_core::log::Record;
//! use mcp_proxy_tokio::{Options, Stop, seed, serve};
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
//! // With `#[tokio::main]` this is `serve(proxy, options).await`. Without a tokio of your own call `run`.
//! let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! assert_eq!(tokio.block_on(serve(proxy, options))?, 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//! Signals, a guard for the children, further root certificates and a place for logins are fields of [`Options`].
//!
//! # How it works
//!
//! ```text
//!   run ── Runtime ─┬─ Shard<TokioHost>  the engine; every input goes through Runtime::turn
//!                   ├─ LocalSet          one task per listener, connection, child; one timer, two for stopping
//!                   └─ buffers           one read buffer for everybody
//! ```
//!
//! Invariants:
//! - One thread, but for what blocks (names, files, passwords). [`serve`] brings its own `LocalSet`, so any runtime of
//!   tokio can poll it.
//! - A borrow of the shard never spans an await, and [`Host::perform`](mcp_proxy_core::Host::perform) never
//!   calls back: it spawns a task, drops one, or sets a flag and wakes.
//! - A connection or child is one task with one poll function that tries all directions each time, so that
//!   no direction can starve or block another.
//! - The fewest system calls: tokio tries only what its poller has found ready, and takes a short read or write for the
//!   end of that; no message crosses a channel.
//! - A panic in a task ends the proxy.
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
use tokio::task::{LocalSet, yield_now};

use crate::host::TokioHost;
use crate::task::Tasks;

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

pub use mcp_proxy_os::{GuardCommand, Log, Options, Stop, StoreOptions, seed};

/// Drives the engine until it has stopped, and returns the exit code it asks for.
///
/// # Errors
/// The operating system refuses what nothing works without, such as signal handlers.
pub fn run(proxy: Proxy, options: Options) -> io::Result<u8> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    tokio.block_on(serve(proxy, options))
}

/// Does the same within a tokio that is there already, with its IO and its time. The future stays on its thread;
/// whoever drops it before its end drops all connections and kills all children.
///
/// # Errors
/// As of [`run`].
pub async fn serve(proxy: Proxy, options: Options) -> io::Result<u8> {
    let (signals, stop) = ((options.stop_signals, options.reap_orphans), options.stop.clone());
    let local = LocalSet::new();
    let ending = Ending(Runtime::new(proxy, options));
    local.run_until(drive(&ending.0, signals, stop)).await
}

async fn drive(runtime: &Rc<Runtime>, signals: (bool, bool), stop: Stop) -> io::Result<u8> {
    let mut tasks = vec![
        runtime.tasks.spawn(timer::fire(runtime.clone())),
        runtime.tasks.spawn(signal::stop_on_request(runtime.clone(), stop)),
    ];
    let (stop_signals, reap_orphans) = signals;
    if stop_signals {
        let signals = signal::handler()?;
        tasks.push(runtime.tasks.spawn(signal::stop_on_signals(runtime.clone(), signals)));
    }
    if reap_orphans {
        let ends = signal::children()?;
        tasks.push(runtime.tasks.spawn(signal::reap(runtime.clone(), ends)));
    }
    runtime.start();
    let code = poll_fn(|cx| {
        assert!(!runtime.tasks.poll_crash(cx), "a task has panicked");
        match runtime.with_host(|host| host.poll_stopped(cx)) {
            Some(code) => Poll::Ready(code),
            None => Poll::Pending,
        }
    })
    .await;
    // Connections that were given last words write them in their next poll.
    for _ in 0..LAST_WORDS_PASSES {
        yield_now().await;
    }
    let (guard, writes) = runtime.with_host(TokioHost::end);
    for write in writes {
        write.ended().await;
    }
    match runtime.works.run(guard, Guard::dismiss) {
        Ok(dismissed) => dismissed.await,
        // It is over: nobody else is kept waiting.
        Err(refused) => refused.input.dismiss(),
    }
    drop(tasks);
    Ok(code)
}

/// Ends what the engine has started when the proxy is dropped in the middle of its life. The `LocalSet` drops the
/// futures, which hold the runtime.
struct Ending(Rc<Runtime>);

impl Drop for Ending {
    fn drop(&mut self) {
        drop(self.0.with_host(TokioHost::end));
    }
}

/// What all tasks share.
pub(crate) struct Runtime {
    tasks: Tasks,
    shard: RefCell<Shard<TokioHost>>,
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
            tasks: Tasks::default(),
            shard: RefCell::new(Shard::new(proxy, TokioHost::new(runtime.clone(), options))),
            buffers: RefCell::new(Buffers {
                chunk: vec![0; READ_BYTES].into_boxed_slice(),
                plain: Vec::new(),
            }),
            names: Pool::new("names", NAME_THREADS_MAX),
            works: Pool::new("works", WORK_THREADS_MAX),
        })
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
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
    pub(crate) fn with_host<T>(&self, change: impl FnOnce(&mut TokioHost) -> T) -> T {
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

/// A pass of a `LocalSet` runs 61 tasks; this is for a thousand clients that hear goodbye at once.
const LAST_WORDS_PASSES: usize = 20;

/// Names that are asked for at once; a resolver that is not there blocks each for half a minute.
const NAME_THREADS_MAX: usize = 64;

/// Files and passwords at once. Of passwords there are no more than processors.
const WORK_THREADS_MAX: usize = 16;

/// One read from a socket or pipe: what a pipe of the usual size holds.
const READ_BYTES: usize = 64 * 1024;
