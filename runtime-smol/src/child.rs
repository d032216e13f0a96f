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
use mcp_proxy_os::Link;
use mcp_proxy_os::child::{Process, command, exit_status, explain};
use smol::Task;

use crate::ready::Ready;
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
    stdin: Option<Ready<PipeWriter>>,
    stdout: Option<Ready<PipeReader>>,
    stderr: Option<Ready<PipeReader>>,
    /// Asking for the exit status costs a system call, so it is not done in the poll of the pipes.
    _waiter: Task<()>,
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
        let (stdin, stdout, stderr) = (Ready::new(stdin)?, Ready::new(stdout)?, Ready::new(stderr)?);
        let mut command = command(spec);
        runtime.with_host(|host| command.envs(host.guard.mark()));
        // A shortage of files must show before there is a child: one that runs already would be dropped and not ended
        // if no file were left to wait for it with.
        drop(io::pipe()?);
        let mut child = async_process::Command::from(command)
            .stdin(stdin_theirs)
            .stdout(stdout_theirs)
            .stderr(stderr_theirs)
            .spawn()?;
        let pid = child.id();
        process.started(pid);
        let status = child.status();
        let waiter = runtime.executor().spawn({
            let (runtime, link, process) = (runtime.clone(), link.clone(), process.clone());
            async move {
                let status = status.await.map_or(ExitStatus::Unknown, exit_status);
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
            stdin.poll_write(cx, bytes)
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
        let Poll::Ready(result) = stdout.poll_read(cx, &mut buffers.chunk) else { return false };
        match received(&buffers.chunk, result) {
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
        let Poll::Ready(result) = stderr.poll_read(cx, &mut buffers.chunk) else { return false };
        match received(&buffers.chunk, result) {
            Some(bytes) => self.runtime.turn(Input::Stderr { conn: self.id, bytes }),
            None => self.stderr = None,
        }
        true
    }

    /// Reports what still lies in the pipes, and says goodbye.
    fn end(&mut self, status: ExitStatus) {
        let conn = self.id;
        if let Some(mut stdout) = self.stdout.take() {
            self.drain(&mut stdout, |bytes| Input::Received { conn, bytes });
        }
        if let Some(mut stderr) = self.stderr.take() {
            self.drain(&mut stderr, |bytes| Input::Stderr { conn, bytes });
        }
        self.runtime.with_host(|host| host.forget(conn));
        self.runtime.turn(Input::Exited { conn, status });
    }

    fn drain(&self, pipe: &mut Ready<PipeReader>, input: impl Fn(&[u8]) -> Input<'_>) {
        let mut buffers = self.runtime.buffers().borrow_mut();
        for _ in 0..DRAINS_MAX {
            let Ok(Some(len)) = pipe.read_now(&mut buffers.chunk) else { break };
            let Some(bytes) = received(&buffers.chunk, Ok(len)) else { break };
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
fn received(chunk: &[u8], result: io::Result<usize>) -> Option<&[u8]> {
    chunk.get(..result.ok()?).filter(|bytes| !bytes.is_empty())
}

/// Rounds in one poll before other tasks get their turn.
const ROUNDS_MAX: usize = 2;

/// Reads after the end of a child. A pipe holds 64 KiB unless somebody made it larger, at most 1 MiB.
const DRAINS_MAX: usize = 16;
