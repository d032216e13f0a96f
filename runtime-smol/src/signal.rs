//! SIGINT, SIGTERM, SIGHUP and [`Stop`] become commands to stop; at SIGCHLD others' children are collected.
//!
//! SIGPIPE is ignored by Rust's runtime already. SIGHUP stays ignored where it was at the start (`nohup`).

use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use async_signal::{Signal, Signals};
use mcp_proxy_core::Input;
use mcp_proxy_core::event::Command;
use mcp_proxy_os::{Stop, heir};
use smol::stream::StreamExt;

use crate::Runtime;

/// Takes the signals over.
///
/// # Errors
/// The system refuses the handlers.
pub(crate) fn handler() -> io::Result<Signals> {
    let hangup = heir::hears_hangup().then_some(Signal::Hup);
    Signals::new([Signal::Int, Signal::Term].into_iter().chain(hangup))
}

/// Hands every one of them to the engine: the second stops at once.
pub(crate) async fn stop_on_signals(runtime: Rc<Runtime>, mut signals: Signals) {
    while let Some(signal) = signals.next().await {
        match signal {
            Ok(Signal::Hup) => runtime.turn(Input::Command(Command::Hangup)),
            Ok(_) => runtime.turn(Input::Command(Command::Stop)),
            Err(_) => {}
        }
    }
}

/// Hears of each end of a child.
///
/// # Errors
/// As of [`handler`].
pub(crate) fn children() -> io::Result<Signals> {
    Signals::new([Signal::Child])
}

/// Collects whom others have left to us, now and as often as somebody ends.
pub(crate) async fn reap(runtime: Rc<Runtime>, mut ends: Signals) {
    loop {
        heir::reap(|pid| runtime.with_host(|host| host.has(pid)));
        if ends.next().await.is_none() {
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
