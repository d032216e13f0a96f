//! SIGINT, SIGTERM and [`Stop`] become the command to stop.
//!
//! SIGPIPE is ignored by Rust's runtime already. SIGHUP keeps its default: whoever closes the terminal of a
//! proxy in the foreground wants it to end, and the guard ends its children.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use mcp_proxy_core::Input;
use mcp_proxy_core::event::Command;
use mcp_proxy_os::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Runtime;

/// Takes the signals over.
///
/// # Errors
/// The system refuses the handlers.
pub(crate) fn handler() -> io::Result<[Signal; 2]> {
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?])
}

/// Hands every one of them to the engine: the second stops at once.
pub(crate) async fn stop_on_signals(runtime: Rc<Runtime>, mut signals: [Signal; 2]) {
    loop {
        poll_fn(|cx| {
            let came = |signal: &mut Signal| signal.poll_recv(cx).is_ready();
            if signals.iter_mut().any(came) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        runtime.turn(Input::Command(Command::Stop));
    }
}

/// Does the same when another part of the program asks for it.
pub(crate) async fn stop_on_request(runtime: Rc<Runtime>, stop: Stop) {
    loop {
        poll_fn(|cx| stop.poll(cx)).await;
        runtime.turn(Input::Command(Command::Stop));
    }
}
