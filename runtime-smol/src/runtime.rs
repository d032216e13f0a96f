//! What smol brings: a local executor, its timers, its poller, and its children.

use std::io::{self, ErrorKind};
use std::process::{Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use mcp_proxy_os::{Direction, Io, Readiness, Runtime, Source};
use smol::{Async, LocalExecutor, Task, Timer};

/// The executor that the tasks of a proxy run on.
pub(crate) struct Smol(pub(crate) Rc<LocalExecutor<'static>>);

impl Runtime for Smol {
    type Task = Task<()>;
    type Io<T: Source> = Ready<T>;

    fn spawn(&self, work: impl Future<Output = ()> + 'static) -> Task<()> {
        self.0.spawn(work)
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static + use<> {
        let timer = Timer::at(at);
        async {
            timer.await;
        }
    }

    fn watch<T: Source>(&self, io: T) -> io::Result<Ready<T>> {
        Ok(Ready { io: Async::new_nonblocking(io)?, readable: true, writable: true })
    }

    fn start(
        &self,
        command: Command,
        stdio: [Stdio; 3],
    ) -> io::Result<(u32, impl Future<Output = io::Result<ExitStatus>> + 'static + use<>)> {
        // A shortage of files must show before there is a child: one that runs already would be dropped and not ended
        // if no file were left to wait for it with.
        drop(io::pipe()?);
        let [stdin, stdout, stderr] = stdio;
        let mut command = smol::process::Command::from(command);
        let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn()?;
        Ok((child.id(), child.status()))
    }
}

/// A descriptor, and whether an attempt is worth it: both ways are tried at once.
///
/// `smol`'s own reads ask the system each time and arm the poller when that says "not now": two calls where one does.
/// Here a flag remembers what the system last said. Arming goes through `Async`'s own waker slots, so arming twice is
/// free.
#[derive(Debug)]
pub(crate) struct Ready<T> {
    io: Async<T>,
    readable: bool,
    writable: bool,
}

impl<T: Source> Io<T> for Ready<T> {
    fn get_ref(&self) -> &T {
        self.io.get_ref()
    }

    fn poll_io<R>(
        &mut self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut attempt: impl FnMut(&T) -> io::Result<(R, Readiness)>,
    ) -> Poll<io::Result<R>> {
        let Self { io, readable, writable } = self;
        let is_open = match direction {
            Direction::Read => readable,
            Direction::Write => writable,
        };
        loop {
            if !*is_open {
                ready!(match direction {
                    Direction::Read => io.poll_readable(cx),
                    Direction::Write => io.poll_writable(cx),
                })?;
                *is_open = true;
            }
            match attempt(io.get_ref()) {
                Ok((result, readiness)) => {
                    *is_open = readiness == Readiness::Kept;
                    return Poll::Ready(Ok(result));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => *is_open = false,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
