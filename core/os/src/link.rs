//! How a host reaches the task of a connection, child or listener: a waker and a few flags.
//!
//! Invariants: waking a task while it is being polled costs nothing and makes it look once more; waking it a
//! hundred times before it is polled is one poll.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

/// Shared between the host's table and one task.
#[derive(Debug, Default)]
pub struct Link {
    waker: RefCell<Option<Waker>>,
    polling: Cell<bool>,
    dirty: Cell<bool>,
    shutdown: Cell<bool>,
    closed: Cell<bool>,
}

impl Link {
    /// Makes the task look at the engine again.
    pub fn wake(&self) {
        if self.polling.get() {
            self.dirty.set(true);
        } else if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Asks the task to end its sending side after what is queued.
    pub fn shut_down(&self) {
        self.shutdown.set(true);
        self.wake();
    }

    /// Whether that was asked for.
    pub fn is_shut_down(&self) -> bool {
        self.shutdown.get()
    }

    /// Tells the task that the engine has forgotten its connection.
    pub fn close(&self) {
        self.closed.set(true);
    }

    /// Whether it was told so.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// The task is being polled.
    pub fn enter(&self, cx: &Context<'_>) {
        self.polling.set(true);
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// The poll is over.
    pub fn leave(&self) {
        self.polling.set(false);
    }

    /// Whether something woke the task since this was asked last.
    pub fn take_dirty(&self) -> bool {
        self.dirty.replace(false)
    }
}

/// Where a listener waits while the engine wants no connections.
#[derive(Debug, Default)]
pub struct Gate(RefCell<Option<Waker>>);

impl Gate {
    /// Waits here from now on. Whoever polls has found that the engine wants nobody.
    pub fn wait(&self, cx: &Context<'_>) {
        self.0.replace(Some(cx.waker().clone()));
    }

    /// Whether somebody waits.
    pub fn is_waiting(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Wakes whoever waits.
    pub fn open(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}
