//! One child process: its three pipes, its end, and its process group.
//!
//! Invariants: all three pipes are served in every poll, so a child that fills one while it waits for another
//! is never locked up; only stdout obeys the engine's `wants_read`. `Exited` comes after everything the child
//! wrote, but never waits for grandchildren that hold the pipes: the group is killed with its leader.
//! Deliberately absent: restarts and the steps of stopping, which are the engine's.

use std::future::Future;
use std::io::{self, PipeReader, PipeWriter};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use mcp_proxy_core::Input;
use mcp_proxy_core::event::{ChildSpec, CloseCause, ExitStatus};
use mcp_proxy_core::id::ConnId;

use super::transfer::{poll_read, poll_write, read_now};
use super::{Driver, guard};
use crate::child::{Process, command, exit_status, explain};
use crate::{Io, Link, Runtime};

/// The life of a child.
pub(super) async fn run<R: Runtime>(
    driver: Rc<Driver<R>>,
    id: ConnId,
    spec: Arc<ChildSpec>,
    link: Rc<Link>,
    process: Rc<Process>,
) {
    guard::start(&driver);
    match Child::start(&driver, id, &spec, link, process) {
        Ok((pid, child)) => {
            driver.with_host(|host| host.guard.add(pid));
            driver.turn(Input::Spawned { conn: id, pid });
            child.await;
        }
        Err(error) => {
            let reason = explain(&spec, &error);
            driver.with_host(|host| host.forget(id));
            driver.turn(Input::Failed { conn: id, reason: &reason });
        }
    }
}

struct Child<R: Runtime> {
    driver: Rc<Driver<R>>,
    id: ConnId,
    link: Rc<Link>,
    process: Rc<Process>,
    stdin: Option<R::Io<PipeWriter>>,
    stdout: Option<R::Io<PipeReader>>,
    stderr: Option<R::Io<PipeReader>>,
    /// Asking for the exit status costs a system call, so it is not done in the poll of the pipes.
    _waiter: R::Task,
}

impl<R: Runtime> Child<R> {
    fn start(
        driver: &Rc<Driver<R>>,
        id: ConnId,
        spec: &ChildSpec,
        link: Rc<Link>,
        process: Rc<Process>,
    ) -> io::Result<(u32, Self)> {
        let (stdin_theirs, stdin) = io::pipe()?;
        let (stdout, stdout_theirs) = io::pipe()?;
        let (stderr, stderr_theirs) = io::pipe()?;
        let (stdin, stdout, stderr) = (driver.watch(stdin)?, driver.watch(stdout)?, driver.watch(stderr)?);
        let mut command = command(spec);
        driver.with_host(|host| command.envs(host.guard.mark()));
        let theirs = [stdin_theirs.into(), stdout_theirs.into(), stderr_theirs.into()];
        let (pid, ended) = driver.runtime().start(command, theirs)?;
        process.started(pid);
        let waiter = driver.spawn({
            let (driver, link, process) = (driver.clone(), link.clone(), process.clone());
            async move {
                let status = ended.await.map_or(ExitStatus::Unknown, exit_status);
                process.ended(status);
                driver.with_host(|host| host.guard.remove(pid));
                link.wake();
            }
        });
        let child = Self {
            driver: driver.clone(),
            id,
            link,
            process,
            stdin: Some(stdin),
            stdout: Some(stdout),
            stderr: Some(stderr),
            _waiter: waiter,
        };
        Ok((pid, child))
    }

    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS_MAX {
            self.link.take_dirty();
            if let Some(status) = self.process.take_exit() {
                self.end(status);
                return Poll::Ready(());
            }
            let wrote = self.write(cx);
            let read = self.read(cx);
            let complained = self.read_stderr(cx);
            if !(wrote || read || complained || self.link.take_dirty()) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(stdin) = &mut self.stdin else { return false };
        let written = {
            let proxy = self.driver.proxy();
            let bytes = proxy.outgoing(self.id);
            if bytes.is_empty() {
                if self.link.is_shut_down() {
                    self.stdin = None;
                }
                return false;
            }
            poll_write(stdin, cx, bytes)
        };
        match written {
            Poll::Pending => return false,
            Poll::Ready(Ok(len)) if len > 0 => self.driver.turn(Input::Sent { conn: self.id, len }),
            Poll::Ready(Ok(_) | Err(_)) => {
                self.stdin = None;
                self.driver.turn(Input::Closed { conn: self.id, cause: CloseCause::Reset });
            }
        }
        true
    }

    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.driver.proxy().wants_read(self.id) {
            return false;
        }
        let Some(stdout) = &mut self.stdout else { return false };
        let mut buffers = self.driver.buffers().borrow_mut();
        let Poll::Ready(result) = poll_read(stdout, cx, &mut buffers.chunk) else { return false };
        match received(&buffers.chunk, result) {
            Some(bytes) => self.driver.turn(Input::Received { conn: self.id, bytes }),
            None => {
                self.stdout = None;
                self.driver.turn(Input::Eof { conn: self.id });
            }
        }
        true
    }

    fn read_stderr(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(stderr) = &mut self.stderr else { return false };
        let mut buffers = self.driver.buffers().borrow_mut();
        let Poll::Ready(result) = poll_read(stderr, cx, &mut buffers.chunk) else { return false };
        match received(&buffers.chunk, result) {
            Some(bytes) => self.driver.turn(Input::Stderr { conn: self.id, bytes }),
            None => self.stderr = None,
        }
        true
    }

    /// Reports what still lies in the pipes, and says goodbye.
    fn end(&mut self, status: ExitStatus) {
        let conn = self.id;
        if let Some(stdout) = self.stdout.take() {
            self.drain(stdout.get_ref(), |bytes| Input::Received { conn, bytes });
        }
        if let Some(stderr) = self.stderr.take() {
            self.drain(stderr.get_ref(), |bytes| Input::Stderr { conn, bytes });
        }
        self.driver.with_host(|host| host.forget(conn));
        self.driver.turn(Input::Exited { conn, status });
    }

    /// Asks the system and not the runtime, which may not have heard yet of what came last.
    fn drain(&self, pipe: &PipeReader, input: impl Fn(&[u8]) -> Input<'_>) {
        let mut buffers = self.driver.buffers().borrow_mut();
        for _ in 0..DRAINS_MAX {
            let result = read_now(pipe, &mut buffers.chunk);
            let Some(bytes) = received(&buffers.chunk, result) else { break };
            self.driver.turn(input(bytes));
        }
    }
}

impl<R: Runtime> Future for Child<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.link.enter(cx);
        let done = self.poll_rounds(cx);
        self.link.leave();
        done
    }
}

/// What was read, or `None` at the end. Of a pipe that was waited for, an error is no more than that.
fn received(chunk: &[u8], result: io::Result<usize>) -> Option<&[u8]> {
    chunk.get(..result.ok()?).filter(|bytes| !bytes.is_empty())
}

/// Rounds in one poll before other tasks get their turn.
const ROUNDS_MAX: usize = 2;

/// Reads after the end of a child. A pipe holds 64 KiB unless somebody made it larger, at most 1 MiB.
const DRAINS_MAX: usize = 16;
