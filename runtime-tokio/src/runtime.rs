//! What tokio brings: the tasks of a `LocalSet`, its timers, its poller, and its children.

use std::io::{self, ErrorKind};
use std::process::{Command, ExitStatus, Stdio};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use mcp_proxy_os::{Direction, Io, Readiness, Runtime, Source};
use tokio::io::unix::AsyncFd;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep_until;

/// The tokio and the `LocalSet` that are entered while the proxy is polled.
pub(crate) struct Tokio;

impl Runtime for Tokio {
    type Task = Task;
    type Io<T: Source> = Watched<T>;

    fn spawn(&self, work: impl Future<Output = ()> + 'static) -> Task {
        Task(spawn_local(work).abort_handle())
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static + use<> {
        sleep_until(at.into())
    }

    fn watch<T: Source>(&self, io: T) -> io::Result<Watched<T>> {
        #[allow(
            deprecated,
            reason = "its successor asks, by `unsafe`, for what a `Source` promises by its type"
        )]
        AsyncFd::new(io).map(Watched)
    }

    fn start(
        &self,
        command: Command,
        stdio: [Stdio; 3],
    ) -> io::Result<(u32, impl Future<Output = io::Result<ExitStatus>> + 'static + use<>)> {
        let [stdin, stdout, stderr] = stdio;
        let mut command = tokio::process::Command::from(command);
        let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn()?;
        let pid = child.id().ok_or(ErrorKind::NotFound)?;
        Ok((pid, async move { child.wait().await }))
    }
}

/// A task that ends when it is dropped.
pub(crate) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A descriptor, and what tokio has heard of it. The first attempt waits until it has heard something.
pub(crate) struct Watched<T: Source>(AsyncFd<T>);

impl<T: Source> Io<T> for Watched<T> {
    fn get_ref(&self) -> &T {
        self.0.get_ref()
    }

    fn poll_io<R>(
        &mut self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut attempt: impl FnMut(&T) -> io::Result<(R, Readiness)>,
    ) -> Poll<io::Result<R>> {
        loop {
            let mut ready = ready!(match direction {
                Direction::Read => self.0.poll_read_ready(cx),
                Direction::Write => self.0.poll_write_ready(cx),
            })?;
            // What is cleared is what was heard before the attempt: what came since then stays.
            match attempt(self.0.get_ref()) {
                Ok((result, readiness)) => {
                    if readiness == Readiness::Exhausted {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(result));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn a_dropped_task_is_not_run() {
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio::task::LocalSet::new().block_on(&tokio, async {
            let ran = Rc::new(Cell::new(0));
            let add = |count: u32| {
                let ran = ran.clone();
                Tokio.spawn(async move { ran.set(ran.get() + count) })
            };
            drop(add(1));
            let _kept = add(10);
            tokio::task::yield_now().await;
            assert_eq!(ran.get(), 10);
        });
    }
}
