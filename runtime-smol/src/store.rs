//! What blocks: the work of the [`os::Store`](mcp_proxy_os::store::Store), and the comparing of passwords.
//!
//! ```text
//!   Load, Save, SetAside ── one task per key ── one request at a time ─┐
//!   Derive ──────────────── semaphore ──────── one per processor ──────┴─ threads of the [`Pool`](mcp_proxy_os::Pool)
//! ```
//!
//! Invariants:
//! - No file is touched on the thread of the engine.
//! - A write that was asked for is done before the runtime ends. Whatever else is under way then is given up.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::thread::available_parallelism;

use mcp_proxy_core::Input;
use mcp_proxy_core::event::{Candidate, StoreKey};
use mcp_proxy_core::log::Level;
use mcp_proxy_core::oauth::password;
use mcp_proxy_os::StoreOptions;
use mcp_proxy_os::store::{self as os, Request};
use smol::Task;
use smol::lock::Semaphore;

use crate::Runtime;

/// The requests of the engine that block, and the tasks that see to them.
pub(crate) struct Store {
    requests: os::Store,
    tasks: BTreeMap<StoreKey, Task<()>>,
    /// More at a time would only make each of them later.
    processors: Rc<Semaphore>,
    derivations: BTreeMap<u64, Task<()>>,
}

impl Store {
    pub(crate) fn new(options: Option<StoreOptions>) -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            requests: os::Store::new(options),
            tasks: BTreeMap::new(),
            processors: Rc::new(Semaphore::new(processors)),
            derivations: BTreeMap::new(),
        }
    }

    /// Takes a request. It is done when those for the same key before it are.
    pub(crate) fn ask(&mut self, runtime: &Rc<Runtime>, key: StoreKey, request: Request) {
        if self.requests.ask(key, request) {
            let task = runtime.executor().spawn(serve(runtime.clone(), key));
            // The one before has nothing left to do but to return.
            if let Some(before) = self.tasks.insert(key, task) {
                before.detach();
            }
        }
    }

    /// Takes a password to compare.
    pub(crate) fn derive(&mut self, runtime: &Rc<Runtime>, job: u64, candidate: Box<Candidate>) {
        let task = derive(runtime.clone(), job, candidate, self.processors.clone());
        self.derivations.insert(job, runtime.executor().spawn(task));
    }

    /// Reports nothing more, and gives up everything but the writes that were asked for. Their tasks are to be
    /// awaited.
    pub(crate) fn end(&mut self) -> Vec<Task<()>> {
        self.derivations.clear();
        let writing = self.requests.end();
        let mut tasks = std::mem::take(&mut self.tasks);
        writing.iter().filter_map(|key| tasks.remove(key)).collect()
    }

    fn forget(&mut self, job: u64) {
        if let Some(task) = self.derivations.remove(&job) {
            task.detach();
        }
    }
}

/// Works off the line of a key, and ends when it is empty.
async fn serve(runtime: Rc<Runtime>, key: StoreKey) {
    while let Some(work) = runtime.with_host(|host| host.store.requests.begin(key)) {
        let done = match runtime.works().run(work, os::Work::perform) {
            Ok(done) => done.await,
            Err(refused) => refused.input.refuse(refused.reason),
        };
        let (warnings, answer) = runtime.with_host(|host| host.store.requests.finish(done));
        for warning in warnings {
            runtime.log(Level::Warn, warning);
        }
        if let Some(answer) = answer {
            runtime.turn(answer.input());
        }
    }
}

async fn derive(runtime: Rc<Runtime>, job: u64, candidate: Box<Candidate>, processors: Rc<Semaphore>) {
    let matches = {
        let _processor = processors.acquire().await;
        let work = |candidate: Box<Candidate>| {
            password::verify(candidate.password.expose(), candidate.stored.expose())
        };
        match runtime.works().run(candidate, work) {
            Ok(matches) => matches.await,
            // Slow for all, but true. There is a thread wherever the store was read.
            Err(refused) => work(refused.input),
        }
    };
    runtime.with_host(|host| host.store.forget(job));
    runtime.turn(Input::Derived { job, matches });
}

#[cfg(test)]
mod tests;
