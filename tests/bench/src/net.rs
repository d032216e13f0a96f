//! Epoll, non-blocking reads and writes, CPU affinity, clocks and limits. Linux only.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::process::{Resource, Rlimit};
use rustix::thread::CpuSet;
use rustix::time::ClockId;

/// There is something to read, or the peer has closed.
pub const IN: EventFlags = EventFlags::IN.union(EventFlags::RDHUP);
/// There is room to write.
pub const OUT: EventFlags = EventFlags::OUT;

/// What epoll says about one file descriptor.
pub type Ready = EventFlags;

/// Level-triggered epoll set.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(256) })
    }

    pub fn add(&self, fd: impl AsFd, token: u64, ready: Ready) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), ready)?)
    }

    pub fn modify(&self, fd: impl AsFd, token: u64, ready: Ready) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(token), ready)?)
    }

    /// Waits at most `timeout_ms` (`None`: forever) and puts `(token, what is ready)` in `out`.
    pub fn wait(&mut self, timeout_ms: Option<u64>, out: &mut Vec<(u64, Ready)>) -> io::Result<()> {
        out.clear();
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout_ms.map(timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        out.extend(self.events.iter().map(|event| (event.data.u64(), event.flags)));
        Ok(())
    }
}

/// Waits at most `timeout_ms` (`None`: forever) until `fd` is ready; false when it is not.
pub fn wait_for(fd: impl AsFd, flags: PollFlags, timeout_ms: Option<u64>) -> bool {
    let mut fds = [PollFd::new(&fd, flags)];
    rustix::event::poll(&mut fds, timeout_ms.map(timespec).as_ref()).is_ok_and(|n| n > 0)
}

fn timespec(ms: u64) -> Timespec {
    Timespec { tv_sec: (ms / 1000) as i64, tv_nsec: (ms % 1000 * 1_000_000) as _ }
}

/// Pins the calling process to one CPU.
pub fn pin_to_cpu(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        eprintln!("cannot pin to cpu {cpu}: {error}");
    }
}

/// Raises the soft limit of open files to the hard limit.
pub fn raise_fd_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Where this is refused the load shows it as failed connections.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// CLOCK_MONOTONIC in nanoseconds (comparable with Python's `time.monotonic_ns`).
pub fn now_ns() -> u64 {
    clock(ClockId::Monotonic)
}

/// CPU time of this process in nanoseconds.
pub fn cpu_ns() -> u64 {
    clock(ClockId::ProcessCPUTime)
}

fn clock(id: ClockId) -> u64 {
    let time = rustix::time::clock_gettime(id);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Result of one read into the tail of a vector.
pub enum ReadOutcome {
    /// Bytes were read; `true` when the socket may hold more.
    Data(bool),
    WouldBlock,
    Closed,
}

/// Reads once from `fd` to the end of `buf`, at least up to `chunk` bytes.
pub fn read_some(fd: impl AsFd, buf: &mut Vec<u8>, chunk: usize) -> ReadOutcome {
    buf.reserve(chunk);
    let room = buf.capacity() - buf.len();
    match rustix::io::read(fd, spare_capacity(buf)) {
        Ok(0) => ReadOutcome::Closed,
        Ok(n) => ReadOutcome::Data(n == room),
        Err(Errno::AGAIN | Errno::INTR) => ReadOutcome::WouldBlock,
        Err(_) => ReadOutcome::Closed,
    }
}

/// Writes `buf[*pos..]` to a socket; `Ok(true)` once all of it is written (both are reset).
pub fn write_some(fd: impl AsFd, buf: &mut Vec<u8>, pos: &mut usize) -> io::Result<bool> {
    while *pos < buf.len() {
        match rustix::net::send(&fd, &buf[*pos..], SendFlags::NOSIGNAL) {
            Ok(n) => *pos += n,
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    buf.clear();
    *pos = 0;
    Ok(true)
}
