//! Reads and writes of watched descriptors.

use std::io::{self, ErrorKind, Read, Write};
use std::task::{Context, Poll};

use crate::{Direction, Io, Readiness};

/// Reads once. Pending means that the task is woken when there is something, 0 that there never will be.
pub(super) fn poll_read<T>(
    io: &mut impl Io<T>,
    cx: &mut Context<'_>,
    buf: &mut [u8],
) -> Poll<io::Result<usize>>
where
    for<'a> &'a T: Read,
{
    io.poll_io(cx, Direction::Read, |source| {
        let len = read_now(source, buf)?;
        Ok((len, Readiness::after(len, buf.len())))
    })
}

/// Writes once. Pending means that the task is woken when there is room.
pub(super) fn poll_write<T>(
    io: &mut impl Io<T>,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>>
where
    for<'a> &'a T: Write,
{
    io.poll_io(cx, Direction::Write, |mut sink| {
        let len = uninterrupted(|| sink.write(bytes))?;
        Ok((len, Readiness::after(len, bytes.len())))
    })
}

/// Reads once, now or never.
pub(super) fn read_now<T>(mut source: &T, buf: &mut [u8]) -> io::Result<usize>
where
    for<'a> &'a T: Read,
{
    uninterrupted(|| source.read(buf))
}

fn uninterrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
