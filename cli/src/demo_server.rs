//! The demo server: a small real MCP server over stdio, so that `mcp-proxy --demo` shows a working proxy on a machine
//! with neither Node nor Python.
//!
//! It speaks the revisions 2024-11-05 to 2025-11-25 and offers a bit of everything a proxy must carry: tools that
//! answer at once, that report progress and can be cancelled, that ask the user; a prompt, resources, a template,
//! completion.
//!
//! ```text
//! stdin ──▶ reader thread ──(bounded channel)──▶ run ──▶ Server::handle / Server::tick ──▶ stdout
//! ```
//!
//! [`Server`] is a state machine without IO, clock or threads; [`run`] is its only driver. One thread writes, whole
//! lines at a time, so nothing interleaves; input is read while a countdown runs, so that it can be cancelled.
//!
//! Invariants: a line has at most [`LINE_BYTES_MAX`] bytes, a longer one is answered as unreadable and skipped; the
//! process ends when its input ends, whatever is still running (MCP 2025-11-25, basic/lifecycle § Shutdown).
//!
//! Left out on purpose: JSON-RPC batches (only 2025-03-26 has them, and no client sends any), logging, subscriptions,
//! the stateless revision 2026-07-28 (the proxy translates).

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use self::server::{Now, Server};

mod catalog;
mod server;

/// Serves until the input ends. A reader who went away (`BrokenPipe`) is an orderly end too.
///
/// The input is read on a thread of its own. It outlives this call only when the output fails first, and then until
/// its next line or the end of the process.
///
/// # Errors
/// If the reader thread cannot be started, or reading or writing fails.
pub(crate) fn run(input: impl BufRead + Send + 'static, output: impl Write) -> io::Result<()> {
    let (sender, lines) = mpsc::sync_channel(LINES_QUEUED_MAX);
    thread::Builder::new().name("demo-reader".to_owned()).spawn(move || read_lines(input, &sender))?;
    match serve(&lines, output) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn serve(lines: &Receiver<io::Result<Line>>, mut output: impl Write) -> io::Result<()> {
    let clock = Clock::start();
    let mut server = Server::new();
    loop {
        server.tick(clock.now());
        while let Some(mut line) = server.poll_output() {
            line.push('\n');
            output.write_all(line.as_bytes())?;
        }
        output.flush()?;
        let line = match server.deadline() {
            None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => lines.recv_timeout(due.saturating_sub(clock.now().since_start)),
        };
        match line {
            Ok(Ok(Line::Whole(line))) => server.handle(clock.now(), &line),
            Ok(Ok(Line::TooLong)) => server.handle_unreadable("message too long"),
            Ok(Err(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// What the reader thread found.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// A line, with its line feed if the input had one there.
    Whole(Vec<u8>),
    /// A line above the limit; all of it was skipped.
    TooLong,
}

fn read_lines(mut input: impl BufRead, lines: &SyncSender<io::Result<Line>>) {
    while let Some(line) = read_line(&mut input, LINE_BYTES_MAX).transpose() {
        let failed = line.is_err();
        if lines.send(line).is_err() || failed {
            return;
        }
    }
}

/// The next line, `None` at the end of the input. `bytes_max` counts the line feed.
fn read_line(input: &mut impl BufRead, bytes_max: u64) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    input.by_ref().take(bytes_max).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.ends_with(b"\n") || (line.len() as u64) < bytes_max {
        return Ok(Some(Line::Whole(line)));
    }
    input.skip_until(b'\n')?;
    Ok(Some(Line::TooLong))
}

/// The only place here that reads a clock.
struct Clock(Instant);

#[expect(clippy::disallowed_methods, reason = "the driver of a state machine is what reads the clock for it")]
impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { since_start: self.0.elapsed(), unix_seconds: unix.as_secs() }
    }
}

/// As much as anybody will want to see echoed, and little memory even with the queue full.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// Lines read ahead; when full, the pipe and then the client wait.
const LINES_QUEUED_MAX: usize = 16;

#[cfg(test)]
mod tests;
