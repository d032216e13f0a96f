//! SIGINT, SIGTERM, SIGHUP and [`Stop`] become commands to stop; at SIGCHLD others' children are collected.
//!
//! SIGPIPE is ignored by Rust's runtime already. SIGHUP stays ignored where it was at the start (`nohup`).

use std::ffi::c_int;
use std::future::poll_fn;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use mcp_proxy_core::Input;
use mcp_proxy_core::event::Command;
use signal_hook::SigId;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};

use super::Driver;
use super::transfer::poll_read;
use crate::{Runtime, Stop, heir};

/// Signals of this process: the handler writes a byte for each.
struct Signals<R: Runtime> {
    bytes: R::Io<UnixStream>,
    handlers: Vec<SigId>,
}

impl<R: Runtime> Signals<R> {
    fn hear(driver: &Driver<R>, signals: &[c_int]) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut heard = Self { bytes: driver.watch(ours)?, handlers: Vec::new() };
        for signal in signals {
            heard.handlers.push(pipe::register(*signal, theirs.try_clone()?)?);
        }
        Ok(heard)
    }

    /// Waits for one, and takes along those that have come meanwhile, as many as there is room for.
    async fn next(&mut self, room: &mut [u8]) -> io::Result<()> {
        poll_fn(|cx| poll_read(&mut self.bytes, cx, room)).await.map(drop)
    }
}

impl<R: Runtime> Drop for Signals<R> {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            unregister(handler);
        }
    }
}

/// Takes over the signals that mean the end, and starts the tasks that hand every one of them to the engine: the second
/// stops at once.
///
/// # Errors
/// The system refuses the handlers.
pub(super) fn stop_on_signals<R: Runtime>(driver: &Rc<Driver<R>>) -> io::Result<Vec<R::Task>> {
    let hangup = heir::hears_hangup().then_some((&[SIGHUP][..], Command::Hangup));
    let wanted = [(&[SIGINT, SIGTERM][..], Command::Stop)].into_iter().chain(hangup);
    wanted
        .map(|(signals, command)| {
            let mut signals = Signals::hear(driver, signals)?;
            let twin = driver.clone();
            Ok(driver.spawn(async move {
                while signals.next(&mut [0]).await.is_ok() {
                    twin.turn(Input::Command(command));
                }
            }))
        })
        .collect()
}

/// Starts the task that collects whom others have left to us, now and as often as somebody ends.
///
/// # Errors
/// As of [`stop_on_signals`].
pub(super) fn reap<R: Runtime>(driver: &Rc<Driver<R>>) -> io::Result<R::Task> {
    let mut ends = Signals::hear(driver, &[SIGCHLD])?;
    let twin = driver.clone();
    Ok(driver.spawn(async move {
        loop {
            heir::reap(|pid| twin.with_host(|host| host.has(pid)));
            if ends.next(&mut [0; 64]).await.is_err() {
                return;
            }
        }
    }))
}

/// Hands every request of another part of the program to the engine.
pub(super) async fn stop_on_request<R: Runtime>(driver: Rc<Driver<R>>, stop: Stop) {
    loop {
        poll_fn(|cx| stop.poll(cx)).await;
        driver.turn(Input::Command(Command::Stop));
    }
}
