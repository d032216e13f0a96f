//! Reads and writes that wait for readiness only when they must.
//!
//! `smol`'s `AsyncRead` asks the system for every read and arms the poller when that says "not now": two calls
//! where one does. Here a flag remembers what the system last said. Arming goes through `Async`'s own waker
//! slot, so arming twice is free.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use smol::Async;

/// A socket or one end of a pipe, and whether it is worth trying.
#[derive(Debug)]
pub(crate) struct Ready<T> {
    io: Async<T>,
    readable: bool,
    writable: bool,
}

impl<T: AsFd> Ready<T> {
    /// Wraps it and makes it non-blocking. Both directions are tried at once.
    pub(crate) fn new(io: T) -> io::Result<Self> {
        Async::new(io).map(Self::from)
    }
}

impl<T> From<Async<T>> for Ready<T> {
    fn from(io: Async<T>) -> Self {
        Self { io, readable: true, writable: true }
    }
}

impl<T> Ready<T> {
    /// The thing itself.
    pub(crate) fn get_ref(&self) -> &T {
        self.io.get_ref()
    }

    /// Reads once. Pending means that the task is woken when there is something, 0 that there never will be.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>
    where
        for<'a> &'a T: Read,
    {
        loop {
            if !self.readable {
                ready!(self.io.poll_readable(cx))?;
                self.readable = true;
            }
            match self.io.get_ref().read(buf) {
                Ok(len) => {
                    // A short read has emptied it.
                    self.readable = len == buf.len();
                    return Poll::Ready(Ok(len));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes once. Pending means that the task is woken when there is room.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>
    where
        for<'a> &'a T: Write,
    {
        loop {
            if !self.writable {
                ready!(self.io.poll_writable(cx))?;
                self.writable = true;
            }
            match self.io.get_ref().write(bytes) {
                Ok(len) => {
                    // A short write has filled it.
                    self.writable = len == bytes.len();
                    return Poll::Ready(Ok(len));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Reads once, now or never: `None` when there is nothing at the moment.
    pub(crate) fn read_now(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>>
    where
        for<'a> &'a T: Read,
    {
        loop {
            match self.io.get_ref().read(buf) {
                Ok(len) => return Ok(Some(len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
