//! Tasks of this thread that end when they are dropped, as those of smol do.
//!
//! Invariant: a panic in a task ends the proxy. tokio would note it and go on without the task.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::task::{JoinHandle, spawn_local};

/// Starts tasks. To be used within a `LocalSet`.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Rc<Crash>);

/// Whether one of them has panicked, and who wants to know.
#[derive(Debug, Default)]
struct Crash {
    happened: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Task(Option<JoinHandle<()>>);

impl Tasks {
    /// Starts one.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + 'static) -> Task {
        let witness = Witness(self.0.clone());
        Task(Some(spawn_local(async move {
            let _witness = witness;
            work.await;
        })))
    }

    /// Whether one has panicked; whoever asks is woken when one does.
    pub(crate) fn poll_crash(&self, cx: &Context<'_>) -> bool {
        self.0.waker.replace(Some(cx.waker().clone()));
        self.0.happened.get()
    }
}

impl Task {
    /// Lets it go on to its end.
    pub(crate) fn detach(mut self) {
        self.0 = None;
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) {
        if let Some(handle) = &mut self.0 {
            // Nobody else ends it, and a panic is told by its witness.
            let _ = handle.await;
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

/// Lives as long as the work of a task.
struct Witness(Rc<Crash>);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.happened.set(true);
            if let Some(waker) = self.0.waker.take() {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio::task::LocalSet::new().block_on(&tokio, work)
    }

    #[test]
    fn a_dropped_task_is_not_run_and_a_detached_one_is() {
        block_on(async {
            let (tasks, ran) = (Tasks::default(), Rc::new(Cell::new(0)));
            let add = |count: u32| {
                let ran = ran.clone();
                tasks.spawn(async move { ran.set(ran.get() + count) })
            };
            drop(add(1));
            add(10).detach();
            add(100).ended().await;
            assert_eq!(ran.get(), 110);
        });
    }

    #[test]
    fn a_panic_is_told_to_whoever_waits() {
        block_on(async {
            let tasks = Tasks::default();
            tasks.spawn(async { assert_eq!(1, 2, "on purpose") }).detach();
            let crashed =
                |cx: &mut Context<'_>| if tasks.poll_crash(cx) { Poll::Ready(()) } else { Poll::Pending };
            poll_fn(crashed).await;
        });
    }
}
