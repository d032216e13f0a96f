//! Work that blocks, on threads of its own: names, files, passwords.
//!
//! ```text
//!   Pool::run ──▶ queue ──▶ threads, as many as there is work, up to a bound ──▶ Promise
//!       └ no thread, and none can be started: the input comes back at once
//! ```
//!
//! Invariants: what was taken is done, since the last thread never leaves; nobody tries in a loop to start a thread that
//! the system refuses. The pools of smol and tokio do that, or panic, at a limit of processes, which is why neither is
//! used here.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::Builder;
use std::time::Duration;

use crate::reason;

/// Threads for one kind of work. They end when it is dropped and they are idle; one that blocks is not waited for.
pub struct Pool {
    shared: Arc<Shared>,
    name: &'static str,
    threads_max: usize,
    stack_bytes: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

type Job = Box<dyn FnOnce() + Send>;

/// Work that was not taken.
#[derive(Debug)]
pub struct Refused<I> {
    /// What it was to be done with.
    pub input: I,
    /// Why, in words.
    pub reason: String,
}

/// The result, some time.
pub struct Promise<T>(Arc<Mutex<Outcome<T>>>);

struct Outcome<T> {
    result: Option<T>,
    is_over: bool,
    waker: Option<Waker>,
}

impl Pool {
    /// Starts its threads when there is work for them.
    pub fn new(name: &'static str, threads_max: usize) -> Self {
        Self { shared: Arc::default(), name, threads_max: threads_max.max(1), stack_bytes: STACK_BYTES }
    }

    /// Has this done on another thread, after what was asked for before if there are not enough of them.
    ///
    /// # Errors
    /// There is no thread, and the system refuses to start one.
    pub fn run<I: Send + 'static, T: Send + 'static>(
        &self,
        input: I,
        work: impl FnOnce(I) -> T + Send + 'static,
    ) -> Result<Promise<T>, Refused<I>> {
        let mut state = self.shared.lock();
        if state.idle <= state.jobs.len() && state.threads < self.threads_max {
            match self.start() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    let reason = format!("no thread can be started for it: {}", reason(&error));
                    return Err(Refused { input, reason });
                }
                // It has to wait for those that are there.
                Err(_) => {}
            }
        }
        let outcome = Outcome { result: None, is_over: false, waker: None };
        let promise = Promise(Arc::new(Mutex::new(outcome)));
        let pledge = Pledge(promise.0.clone());
        state.jobs.push_back(Box::new(move || pledge.keep(work(input))));
        drop(state);
        self.shared.changed.notify_one();
        Ok(promise)
    }

    fn start(&self) -> io::Result<()> {
        let shared = self.shared.clone();
        let thread = Builder::new().name(self.name.to_owned()).stack_size(self.stack_bytes);
        // A worker is made by its thread: one that is dropped here would wait for the lock that we hold.
        thread.spawn(move || Worker(shared).work()).map(drop)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let given_up = std::mem::take(&mut state.jobs);
        drop(state);
        self.shared.changed.notify_all();
        drop(given_up);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker(Arc<Shared>);

impl Worker {
    fn work(self) {
        while let Some(job) = self.next() {
            // The thread outlives a panic of the work: who waits is told by the pledge, and whoever comes next must not
            // count a thread that is about to end.
            let _told = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job, or `None` when there are threads enough without this one.
    fn next(&self) -> Option<Job> {
        let mut state = self.0.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            let (woken, wait) =
                self.0.changed.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if wait.timed_out() && state.jobs.is_empty() && state.idle > 0 {
                return None;
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.lock().threads -= 1;
    }
}

/// Who owes the result.
struct Pledge<T>(Arc<Mutex<Outcome<T>>>);

impl<T> Pledge<T> {
    fn keep(self, result: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).result = Some(result);
    }
}

impl<T> Drop for Pledge<T> {
    fn drop(&mut self) {
        let mut outcome = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.is_over = true;
        let waker = outcome.waker.take();
        drop(outcome);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Promise<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut outcome = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = outcome.result.take() {
            return Poll::Ready(result);
        }
        // A panic of the work goes on where it is waited for, as if it had not been handed on.
        assert!(!outcome.is_over, "work on another thread has panicked");
        outcome.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").finish_non_exhaustive()
    }
}

/// What resolvers of the system count on. Only what is used of it takes memory.
const STACK_BYTES: usize = 2 << 20;

/// How long a thread without work stays, if it is not the last one.
const IDLE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
