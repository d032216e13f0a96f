//! What a task does within its executor: it yields, and it tells of a panic.
//!
//! Invariant: a panic in a task ends the proxy. Some executors would catch it and go on without the task.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Whether a task has panicked, and who wants to know.
#[derive(Debug, Default)]
pub(super) struct Crash {
    happened: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Crash {
    /// Does the work, and takes note if it panics.
    pub(super) fn witness<W: Future<Output = ()>>(
        self: &Rc<Self>,
        work: W,
    ) -> impl Future<Output = ()> + use<W> {
        let witness = Witness(self.clone());
        async move {
            let _witness = witness;
            work.await;
        }
    }

    /// Whether one has panicked. The task that asks is woken when one does.
    pub(super) fn poll(&self, cx: &Context<'_>) -> bool {
        self.waker.replace(Some(cx.waker().clone()));
        self.happened.get()
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

/// Lets the other tasks that are ready have their turn.
pub(super) fn yield_now() -> impl Future<Output = ()> {
    let mut has_yielded = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}
