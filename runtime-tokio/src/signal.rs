//! SIGINT, SIGTERM, SIGHUP and [`Stop`] become commands to stop; at SIGCHLD others' children are collected.
//!
//! SIGPIPE is ignored by Rust's runtime already. SIGHUP stays ignored where it was at the start (`nohup`).

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use mcp_proxy_core::Input;
use mcp_proxy_core::event::Command;
use mcp_proxy_os::{Stop, heir};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Runtime;

/// Takes the signals over.
///
/// # Errors
/// The system refuses the handlers.
pub(crate) fn handler() -> io::Result<Vec<(Signal, Command)>> {
    let mut wanted = vec![(SignalKind::interrupt(), Command::Stop), (SignalKind::terminate(), Command::Stop)];
    if heir::hears_hangup() {
        wanted.push((SignalKind::hangup(), Command::Hangup));
    }
    wanted.into_iter().map(|(kind, command)| Ok((signal(kind)?, command))).collect()
}

/// Hands every one of them to the engine: the second stops at once.
pub(crate) async fn stop_on_signals(runtime: Rc<Runtime>, mut signals: Vec<(Signal, Command)>) {
    loop {
        let command = poll_fn(|cx| {
            let came = |(signal, command): &mut (Signal, Command)| {
                signal.poll_recv(cx).is_ready().then_some(*command)
            };
            signals.iter_mut().find_map(came).map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        runtime.turn(Input::Command(command));
    }
}

/// Hears of each end of a child.
///
/// # Errors
/// As of [`handler`].
pub(crate) fn children() -> io::Result<Signal> {
    signal(SignalKind::child())
}

/// Collects whom others have left to us, now and as often as somebody ends.
pub(crate) async fn reap(runtime: Rc<Runtime>, mut ends: Signal) {
    loop {
        heir::reap(|pid| runtime.with_host(|host| host.has(pid)));
        if ends.recv().await.is_none() {
            return;
        }
    }
}

/// Does the same when another part of the program asks for it.
pub(crate) async fn stop_on_request(runtime: Rc<Runtime>, stop: Stop) {
    loop {
        poll_fn(|cx| stop.poll(cx)).await;
        runtime.turn(Input::Command(Command::Stop));
    }
}
