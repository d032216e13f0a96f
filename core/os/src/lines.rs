//! Log lines on a descriptor that may take nothing for a while: whoever reads a log and stops must not stop the proxy.
//!
//! ```text
//!   push ──▶ the descriptor, as long as it has room
//!     └▶ queue, bounded ──▶ a thread that may block ──▶ the descriptor
//!          └ full: counted, and told in its place as "n lines lost" once the descriptor takes something again
//! ```
//! A terminal does not say how much room it has, so its lines all go by the thread.
//!
//! Invariants: [`Lines::push`] never waits for the descriptor. What waits and what is being written are together never
//! more than [`BYTES_MAX`]. A line that the system refuses (a reader that is gone, a full disk) is counted like one
//! that found no room. Where no thread can be started, the next push writes what the descriptor takes by then.
//!
//! Known limit: where no thread can be started, a terminal that stops in the middle of a line blocks us.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::isatty;

use crate::clock::instant_now;

/// The queue of one descriptor.
pub struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    target: Box<dyn AsFd + Send + Sync>,
    is_terminal: bool,
    /// Makes the line that tells how many are missing.
    lost: Box<dyn Fn(u64) -> String + Send + Sync>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// What the queue and `present` take.
    bytes: usize,
    /// Lines that the system refused, not told of yet.
    refused: u64,
    thread: Thread,
    /// Begun by whoever pushed.
    present: Option<Text>,
    /// The thread is busy with a text.
    writing: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Thread {
    #[default]
    None,
    Running,
    /// None could be started; not tried again before then.
    Refused(Instant),
}

enum Entry {
    Line(String),
    Lost(u64),
}

/// What is written next.
struct Text {
    text: String,
    /// How much of it is written.
    begun: usize,
    /// How many lines are lost if it is not.
    lines: u64,
    /// What it gives back.
    cost: usize,
}

impl Lines {
    /// Writes there. `lost` makes the line that tells how many are missing, with its line feed.
    pub fn new(
        target: impl AsFd + Send + Sync + 'static,
        lost: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            is_terminal: isatty(&target),
            target: Box::new(target),
            lost: Box::new(lost),
        }))
    }

    /// Takes a line, with its line feed, or counts it. Returns at once.
    pub fn push(&self, line: String) {
        let shared = &self.0;
        let mut state = shared.lock();
        state.push(line);
        if state.thread != Thread::Running && !(shared.is_terminal && state.has_thread(shared)) {
            shared.write_at_once(&mut state);
            if state.is_empty() || !state.has_thread(shared) {
                return;
            }
        }
        shared.changed.notify_all();
    }

    /// Waits until everything is written, but not longer than this. Blocks.
    pub fn flush(&self, patience: Duration) {
        let shared = &self.0;
        let mut state = shared.lock();
        if state.is_empty() && !state.writing {
            return;
        }
        if state.has_thread(shared) {
            let is_busy = |state: &mut State| state.writing || !state.is_empty();
            drop(shared.changed.wait_timeout_while(state, patience, is_busy));
        } else {
            shared.write_at_once(&mut state);
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl State {
    fn push(&mut self, line: String) {
        let entry = Entry::Line(line);
        if self.bytes + entry.cost() <= BYTES_MAX {
            self.bytes += entry.cost();
            self.queue.push_back(entry);
        } else if let Some(Entry::Lost(lost)) = self.queue.back_mut() {
            *lost += 1;
        } else {
            self.queue.push_back(Entry::Lost(1));
        }
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.present.is_none()
    }

    /// Whether there is a thread, or one can be started. It lives as long as the process: it may be in the middle of a
    /// write that never ends.
    fn has_thread(&mut self, shared: &Arc<Shared>) -> bool {
        let now = instant_now();
        match self.thread {
            Thread::Running => return true,
            Thread::Refused(until) if now < until => return false,
            Thread::Refused(_) | Thread::None => {}
        }
        let twin = shared.clone();
        let thread = Builder::new().name("log".to_owned()).stack_size(STACK_BYTES);
        self.thread = match thread.spawn(move || twin.work()) {
            Ok(_) => Thread::Running,
            Err(_) => Thread::Refused(now + RETRY_PAUSE),
        };
        self.thread == Thread::Running
    }

    /// What is to be written next, behind word of what was lost before it.
    fn next(&mut self, lost: impl Fn(u64) -> String) -> Option<Text> {
        if let Some(present) = self.present.take() {
            return Some(present);
        }
        let entry = self.queue.pop_front()?;
        let cost = entry.cost();
        let refused = std::mem::take(&mut self.refused);
        let (text, lines) = match entry {
            Entry::Line(line) if refused == 0 => (line, 1),
            Entry::Line(line) => (lost(refused) + &line, refused + 1),
            Entry::Lost(missing) => (lost(refused + missing), refused + missing),
        };
        Some(Text { text, begun: 0, lines, cost })
    }

    fn done(&mut self, text: &Text, is_written: bool) {
        self.bytes = self.bytes.saturating_sub(text.cost);
        if !is_written {
            self.refused += text.lines;
        }
    }
}

impl Entry {
    fn cost(&self) -> usize {
        match self {
            Self::Line(line) => line.len() + ENTRY_BYTES,
            Self::Lost(_) => 0,
        }
    }
}

impl Text {
    fn rest(&self) -> &[u8] {
        self.text.as_bytes().get(self.begun..).unwrap_or_default()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            let Some(text) = state.next(&self.lost) else {
                state.writing = false;
                self.changed.notify_all();
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.writing = true;
            drop(state);
            let is_written = self.write_all(text.rest()).is_ok();
            state = self.lock();
            state.done(&text, is_written);
        }
    }

    /// Blocks as long as the reader likes.
    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        let target = (*self.target).as_fd();
        while !bytes.is_empty() {
            match rustix::io::write(target, bytes).map_err(io::Error::from) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody who shares it with us does not want to wait.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&target, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes what the descriptor takes without waiting.
    fn write_at_once(&self, state: &mut State) {
        let target = (*self.target).as_fd();
        while let Some(mut text) = state.next(&self.lost) {
            let is_written = loop {
                let rest = text.rest();
                if rest.is_empty() {
                    break true;
                }
                if !has_room(target) {
                    state.present = Some(text);
                    return;
                }
                match rustix::io::write(target, rest.get(..PIECE_BYTES).unwrap_or(rest)) {
                    Ok(0) => break false,
                    Ok(written) => text.begun += written,
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => {
                        state.present = Some(text);
                        return;
                    }
                    Err(_) => break false,
                }
            };
            state.done(&text, is_written);
        }
    }
}

/// Whether a write of [`PIECE_BYTES`] returns at once, be it with an error.
fn has_room(target: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(&target, PollFlags::OUT)];
    poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// Lines that wait: some seconds of servers that print as fast as they may, for a reader that pauses.
const BYTES_MAX: usize = 256 * 1024;

/// What a line takes beside its text.
const ENTRY_BYTES: usize = 64;

/// What a pipe with any room takes as a whole (`PIPE_BUF`).
const PIECE_BYTES: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

/// It only writes.
const STACK_BYTES: usize = 64 * 1024;

/// Between two attempts to start a thread.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
