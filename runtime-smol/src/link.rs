//! How the host reaches the task of a connection or child: a waker and a few flags.
//!
//! Invariants: waking a task while it is being polled costs nothing and makes it look once more; waking it a
//! hundred times before it is polled is one poll.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

/// Shared between the host's table and one task.
#[derive(Debug, Default)]
pub(crate) struct Link {
    waker: RefCell<Option<Waker>>,
    polling: Cell<bool>,
    dirty: Cell<bool>,
    shutdown: Cell<bool>,
    closed: Cell<bool>,
}

impl Link {
    /// Makes the task look at the engine again.
    pub(crate) fn wake(&self) {
        if self.polling.get() {
            self.dirty.set(true);
        } else if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Asks the task to end its sending side after what is queued.
    pub(crate) fn shut_down(&self) {
        self.shutdown.set(true);
        self.wake();
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shutdown.get()
    }

    /// Tells the task that the engine has forgotten its connection.
    pub(crate) fn close(&self) {
        self.closed.set(true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// The task is being polled.
    pub(crate) fn enter(&self, cx: &Context<'_>) {
        self.polling.set(true);
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// The poll is over.
    pub(crate) fn leave(&self) {
        self.polling.set(false);
    }

    /// Whether something woke the task since this was asked last.
    pub(crate) fn take_dirty(&self) -> bool {
        self.dirty.replace(false)
    }
}
