//! One child process: its three pipes, its end, and its process group.
//!
//! Invariants: all three pipes are served in every poll, so a child that fills one while it waits for another
//! is never locked up; only stdout obeys the engine's `wants_read`. `Exited` comes after everything the child
//! wrote, but never waits for grandchildren that hold the pipes: the group is killed with its leader.
//! Deliberately absent: restarts and the steps of stopping, which are the engine's.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use mcp_proxy_core::Input;
use mcp_proxy_core::event::{ChildSpec, CloseCause, ExitStatus};
use mcp_proxy_core::id::ConnId;
use mcp_proxy_os::Link;
use mcp_proxy_os::child::{Process, command, exit_status, explain};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::task::Task;
use crate::{Runtime, guard};

/// The life of a child.
pub(crate) async fn run(
    runtime: Rc<Runtime>,
    id: ConnId,
    spec: Arc<ChildSpec>,
    link: Rc<Link>,
    process: Rc<Process>,
) {
    guard::start(&runtime);
    match Child::start(&runtime, id, &spec, link, process) {
        Ok((pid, child)) => {
            runtime.with_host(|host| host.guard.add(pid));
            runtime.turn(Input::Spawned { conn: id, pid });
            child.await;
        }
        Err(error) => {
            let reason = explain(&spec, &error);
            runtime.with_host(|host| host.forget(id));
            runtime.turn(Input::Failed { conn: id, reason: &reason });
        }
    }
}

struct Child {
    runtime: Rc<Runtime>,
    id: ConnId,
    link: Rc<Link>,
    process: Rc<Process>,
    stdin: Option<Sender>,
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
    /// Asking for the exit status costs a system call, so it is not done in the poll of the pipes.
    _waiter: Task,
}

impl Child {
    fn start(
        runtime: &Rc<Runtime>,
        id: ConnId,
        spec: &ChildSpec,
        link: Rc<Link>,
        process: Rc<Process>,
    ) -> io::Result<(u32, Self)> {
        let (stdin_theirs, stdin) = io::pipe()?;
        let (stdout, stdout_theirs) = io::pipe()?;
        let (stderr, stderr_theirs) = io::pipe()?;
        let stdin = Sender::from_owned_fd(OwnedFd::from(stdin))?;
        let stdout = Receiver::from_owned_fd(OwnedFd::from(stdout))?;
        let stderr = Receiver::from_owned_fd(OwnedFd::from(stderr))?;
        let mut command = command(spec);
        runtime.with_host(|host| command.envs(host.guard.mark()));
        let mut child = tokio::process::Command::from(command)
            .stdin(stdin_theirs)
            .stdout(stdout_theirs)
            .stderr(stderr_theirs)
            .spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        process.started(pid);
        let waiter = runtime.tasks().spawn({
            let (runtime, link, process) = (runtime.clone(), link.clone(), process.clone());
            async move {
                let status = child.wait().await.map_or(ExitStatus::Unknown, exit_status);
                process.ended(status);
                runtime.with_host(|host| host.guard.remove(pid));
                link.wake();
            }
        });
        let child = Self {
            runtime: runtime.clone(),
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
            let proxy = self.runtime.proxy();
            let bytes = proxy.outgoing(self.id);
            if bytes.is_empty() {
                if self.link.is_shut_down() {
                    self.stdin = None;
                }
                return false;
            }
            Pin::new(stdin).poll_write(cx, bytes)
        };
        match written {
            Poll::Pending => return false,
            Poll::Ready(Ok(len)) if len > 0 => self.runtime.turn(Input::Sent { conn: self.id, len }),
            Poll::Ready(Ok(_) | Err(_)) => {
                self.stdin = None;
                self.runtime.turn(Input::Closed { conn: self.id, cause: CloseCause::Reset });
            }
        }
        true
    }

    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.runtime.proxy().wants_read(self.id) {
            return false;
        }
        let Some(stdout) = &mut self.stdout else { return false };
        let mut buffers = self.runtime.buffers().borrow_mut();
        let mut chunk = ReadBuf::new(&mut buffers.chunk);
        let Poll::Ready(result) = Pin::new(stdout).poll_read(cx, &mut chunk) else { return false };
        match received(&chunk, result) {
            Some(bytes) => self.runtime.turn(Input::Received { conn: self.id, bytes }),
            None => {
                self.stdout = None;
                self.runtime.turn(Input::Eof { conn: self.id });
            }
        }
        true
    }

    fn read_stderr(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(stderr) = &mut self.stderr else { return false };
        let mut buffers = self.runtime.buffers().borrow_mut();
        let mut chunk = ReadBuf::new(&mut buffers.chunk);
        let Poll::Ready(result) = Pin::new(stderr).poll_read(cx, &mut chunk) else { return false };
        match received(&chunk, result) {
            Some(bytes) => self.runtime.turn(Input::Stderr { conn: self.id, bytes }),
            None => self.stderr = None,
        }
        true
    }

    /// Reports what still lies in the pipes, and says goodbye.
    fn end(&mut self, status: ExitStatus) {
        let conn = self.id;
        if let Some(stdout) = self.stdout.take() {
            self.drain(&stdout, |bytes| Input::Received { conn, bytes });
        }
        if let Some(stderr) = self.stderr.take() {
            self.drain(&stderr, |bytes| Input::Stderr { conn, bytes });
        }
        self.runtime.with_host(|host| host.forget(conn));
        self.runtime.turn(Input::Exited { conn, status });
    }

    /// Asks the system and not tokio, which has not heard yet of what came last.
    fn drain(&self, pipe: &Receiver, input: impl Fn(&[u8]) -> Input<'_>) {
        let mut buffers = self.runtime.buffers().borrow_mut();
        for _ in 0..DRAINS_MAX {
            let Ok(len) = rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut *buffers.chunk)) else {
                break;
            };
            let Some(bytes) = buffers.chunk.get(..len).filter(|bytes| !bytes.is_empty()) else { break };
            self.runtime.turn(input(bytes));
        }
    }
}

impl Future for Child {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.link.enter(cx);
        let done = self.poll_rounds(cx);
        self.link.leave();
        done
    }
}

/// What was read, or `None` at the end. A pipe has no other errors than its end.
fn received<'a>(chunk: &'a ReadBuf<'_>, result: io::Result<()>) -> Option<&'a [u8]> {
    result.ok().map(|()| chunk.filled()).filter(|bytes| !bytes.is_empty())
}

/// Rounds in one poll before other tasks get their turn.
const ROUNDS_MAX: usize = 2;

/// Reads after the end of a child. A pipe holds 64 KiB unless somebody made it larger, at most 1 MiB.
const DRAINS_MAX: usize = 16;
