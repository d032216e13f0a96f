//! What the driver needs of an async runtime: tasks, time, readiness, and the end of children.
//!
//! [`serve`](crate::serve()) is generic over [`Runtime`] and compiled for each runtime: no dynamic dispatch, no boxes. It
//! stays on one thread, so neither its futures nor a runtime have to be [`Send`].
//!
//! # What all methods promise
//!
//! - They do not block.
//! - They neither poll nor drop a future of the driver: the driver calls them while the engine is borrowed, and its futures
//!   borrow the engine.
//! - They make no system calls but those that register a descriptor or a timer.
//!
//! The driver calls them only while the future of [`serve`](crate::serve()) or of one of its tasks is polled or dropped.
//!
//! # Bounds
//!
//! Each connection and each listener is one task and one [`Io`]; each child two tasks and three [`Io`]s. The engine bounds
//! their number. In addition there are at most six tasks and four [`Io`]s for timer, signals and guard, one task per
//! [`StoreKey`](mcp_proxy_core::event::StoreKey), and one per processor while passwords are compared.

use std::future::Future;
use std::io::{self, PipeReader, PipeWriter};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitStatus, Stdio};
use std::task::{Context, Poll};
use std::time::Instant;

/// An async runtime, as the driver needs it.
pub trait Runtime: 'static {
    /// A spawned task. Dropping the value cancels the task.
    ///
    /// A cancelled task is not polled again, and its future is dropped soon, without being woken. A task may cancel itself
    /// while it is polled: it then runs to its next await. Cancelling a task that has ended has no effect.
    type Task: Unpin + 'static;

    /// A watched descriptor. Dropping the value ends the watch and closes the descriptor.
    type Io<T: Source>: Io<T>;

    /// Starts a task on this thread. The executor polls it for the first time after the present poll.
    ///
    /// Several wakes before a poll are one poll. A task that wakes itself while it is polled is polled again after the tasks
    /// that were woken before it. The executor may catch a panic of a task or let it pass: the driver notices it itself.
    fn spawn(&self, work: impl Future<Output = ()> + 'static) -> Self::Task;

    /// Is ready at this time or shortly after it, never before. Dropping the future removes the timer.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static + use<Self>;

    /// Watches a descriptor, which is non-blocking already.
    ///
    /// # Errors
    /// The system's, for instance that no descriptors or memory are left. The descriptor is closed then.
    fn watch<T: Source>(&self, io: T) -> io::Result<Self::Io<T>>;

    /// Starts a process with this stdin, stdout and stderr, and closes our copies of them. Returns its id and a future that
    /// waits for its end and collects it.
    ///
    /// Dropping the future does not kill the process. The runtime still collects it, so that no zombie stays.
    ///
    /// # Errors
    /// The system's. No process was started then.
    fn start(
        &self,
        command: Command,
        stdio: [Stdio; 3],
    ) -> io::Result<(u32, impl Future<Output = io::Result<ExitStatus>> + 'static + use<Self>)>;
}

/// What can be watched. Such a type owns one descriptor and never replaces it.
pub trait Source: AsFd + AsRawFd + Unpin + 'static {}

impl Source for TcpListener {}
impl Source for TcpStream {}
impl Source for UnixStream {}
impl Source for PipeReader {}
impl Source for PipeWriter {}

/// A descriptor that a [`Runtime`] watches. One task uses it at a time.
pub trait Io<T>: Unpin + 'static {
    /// The descriptor, for calls that need no readiness.
    fn get_ref(&self) -> &T;

    /// Calls `attempt` while the descriptor may be ready, and returns its result.
    ///
    /// | `attempt` returns | the runtime |
    /// |---|---|
    /// | a result and [`Readiness::Kept`] | returns the result; the next call attempts at once |
    /// | a result and [`Readiness::Exhausted`] | returns the result; the next call waits for readiness first |
    /// | [`WouldBlock`](io::ErrorKind::WouldBlock) | waits for readiness, then attempts again |
    /// | another error | returns the error |
    ///
    /// Readiness that the system reports during an attempt is not lost. The very first call may attempt at once or wait.
    ///
    /// Pending means that the next readiness wakes the task of `cx`. The two directions are independent. Each remembers one
    /// waker, the last.
    ///
    /// # Errors
    /// As in the table, or the system's when the runtime waits.
    fn poll_io<R>(
        &mut self,
        cx: &mut Context<'_>,
        direction: Direction,
        attempt: impl FnMut(&T) -> io::Result<(R, Readiness)>,
    ) -> Poll<io::Result<R>>;
}

/// What an attempt needs the descriptor to be ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Reading or accepting.
    Read,
    /// Writing or connecting.
    Write,
}

/// Whether the descriptor may still be ready after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It may.
    Kept,
    /// It is not, since a read or write was short. Another attempt would be a wasted system call.
    Exhausted,
}

impl Readiness {
    /// After a read or write of `len` bytes, of `wanted`.
    pub(crate) fn after(len: usize, wanted: usize) -> Self {
        if len < wanted { Self::Exhausted } else { Self::Kept }
    }
}
