//! What blocks: the work of the [`Store`](crate::store::Store), and the comparing of passwords.
//!
//! ```text
//!   Load, Save, SetAside ── one task per key ── one request at a time ─┐
//!   Derive ── queue ─────── one task per job ── one per processor ─────┴─ threads of the [`Pool`](crate::Pool)
//! ```
//!
//! Invariants:
//! - No file is touched on the thread of the engine.
//! - A write that was asked for is done before the driver ends. Whatever else is under way then is given up.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread::available_parallelism;

use mcp_proxy_core::Input;
use mcp_proxy_core::event::{Candidate, StoreKey};
use mcp_proxy_core::log::Level;
use mcp_proxy_core::password;

use super::Driver;
use crate::store::{self, Request, StoreOptions};
use crate::{Pool, Runtime};

/// The requests of the engine that block, and the tasks that see to them.
pub(super) struct Store<R: Runtime> {
    requests: store::Store,
    tasks: BTreeMap<StoreKey, R::Task>,
    /// Waits for the last write.
    waker: Option<Waker>,
    /// Passwords that are compared at a time. More would only make each of them later.
    processors: usize,
    waiting: VecDeque<(u64, Box<Candidate>)>,
    derivations: BTreeMap<u64, R::Task>,
}

impl<R: Runtime> Store<R> {
    pub(super) fn new(options: Option<StoreOptions>) -> Self {
        Self {
            requests: store::Store::new(options),
            tasks: BTreeMap::new(),
            waker: None,
            processors: available_parallelism().map_or(1, usize::from),
            waiting: VecDeque::new(),
            derivations: BTreeMap::new(),
        }
    }

    /// Takes a request. It is done when those for the same key before it are.
    pub(super) fn ask(&mut self, driver: &Rc<Driver<R>>, key: StoreKey, request: Request) {
        if self.requests.ask(key, request) {
            // A task before it has ended.
            self.tasks.insert(key, driver.spawn(serve(driver.clone(), key)));
        }
    }

    /// Takes a password to compare.
    pub(super) fn derive(&mut self, driver: &Rc<Driver<R>>, job: u64, candidate: Box<Candidate>) {
        self.waiting.push_back((job, candidate));
        self.derive_next(driver);
    }

    fn derive_next(&mut self, driver: &Rc<Driver<R>>) {
        if self.derivations.len() < self.processors
            && let Some((job, candidate)) = self.waiting.pop_front()
        {
            self.derivations.insert(job, driver.spawn(derive(driver.clone(), job, candidate)));
        }
    }

    /// Reports nothing more, and gives up everything but the writes that were asked for.
    pub(super) fn end(&mut self) {
        self.waiting.clear();
        self.derivations.clear();
        let writing = self.requests.end();
        self.tasks.retain(|key, _| writing.contains(key));
    }

    /// Whether all writes are done, after the end.
    pub(super) fn poll_written(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.requests.is_writing() {
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

/// Works off the line of a key, and ends when it is empty.
async fn serve<R: Runtime>(driver: Rc<Driver<R>>, key: StoreKey) {
    while let Some(work) = driver.with_host(|host| host.store.requests.begin(key)) {
        let done = match driver.works().run(work, store::Work::perform) {
            Ok(done) => done.await,
            Err(refused) => refused.input.refuse(refused.reason),
        };
        let (warnings, answer) = driver.with_host(|host| {
            if let Some(waker) = host.store.waker.take() {
                waker.wake();
            }
            host.store.requests.finish(done)
        });
        for warning in warnings {
            driver.log(Level::Warn, warning);
        }
        if let Some(answer) = answer {
            driver.turn(answer.input());
        }
    }
}

async fn derive<R: Runtime>(driver: Rc<Driver<R>>, job: u64, candidate: Box<Candidate>) {
    let matches = compare(driver.works(), candidate).await;
    driver.with_host(|host| {
        host.store.derivations.remove(&job);
        host.store.derive_next(&driver);
    });
    driver.turn(Input::Derived { job, matches });
}

async fn compare(works: &Pool, candidate: Box<Candidate>) -> bool {
    let work =
        |candidate: Box<Candidate>| password::verify(candidate.password.expose(), candidate.stored.expose());
    match works.run(candidate, work) {
        Ok(matches) => matches.await,
        // Slow for all, but true. There is a thread wherever the store was read.
        Err(refused) => work(refused.input),
    }
}

#[cfg(test)]
mod tests;
