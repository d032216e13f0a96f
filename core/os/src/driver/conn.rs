//! One socket, accepted or dialled, with or without TLS: bytes between the system and the engine.
//!
//! ```text
//!   dialled with TLS: handshake ──▶ open ──▶ write closed ──▶ both closed (Closed{Done}) or dropped
//!   all others:                      open …                    by the engine's Close at any time
//! ```
//!
//! Invariants: every poll tries to write and to read, so two peers that wait for each other cannot lock up;
//! a poll does a bounded number of rounds; the sending side is closed only after everything was written.
//! After that, what the engine no longer wants is read and dropped until the peer ends too, since closing a
//! socket with unread bytes would reset it and could destroy the answer on its way.
//! Deliberately absent: time limits (the engine's), and noticing that a peer is gone while nothing is
//! wanted from it or sent to it.

use std::future::Future;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use mcp_proxy_core::Input;
use mcp_proxy_core::event::CloseCause;
use mcp_proxy_core::id::ConnId;
use mcp_proxy_core::tls::TlsStream;

use super::transfer::{poll_read, poll_write};
use super::{Buffers, Driver};
use crate::net::nonzero;
use crate::{Broken, Io, Link, Runtime};

/// The task of a connection.
pub(super) struct Conn<R: Runtime> {
    driver: Rc<Driver<R>>,
    id: ConnId,
    link: Rc<Link>,
    io: R::Io<TcpStream>,
    tls: Option<Box<TlsStream>>,
    /// The engine knows about it. Not before the end of a TLS handshake.
    connected: bool,
    read_closed: bool,
    write_closed: bool,
}

impl<R: Runtime> Conn<R> {
    /// A connection that came in.
    pub(super) fn accepted(driver: Rc<Driver<R>>, id: ConnId, link: Rc<Link>, io: R::Io<TcpStream>) -> Self {
        Self { driver, id, link, io, tls: None, connected: true, read_closed: false, write_closed: false }
    }

    /// A connection that went out. Reports `Connected`, after the handshake if there is one.
    pub(super) fn dialled(
        driver: Rc<Driver<R>>,
        id: ConnId,
        link: Rc<Link>,
        io: R::Io<TcpStream>,
        tls: Option<TlsStream>,
    ) -> Self {
        let mut conn = Self::accepted(driver, id, link, io);
        conn.tls = tls.map(Box::new);
        conn.connected = false;
        conn
    }

    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS_MAX {
            self.link.take_dirty();
            let progress = match self.round(cx) {
                Ok(progress) => progress,
                Err(broken) => {
                    self.break_off(&broken);
                    return Poll::Ready(());
                }
            };
            if self.link.is_closed() {
                return Poll::Ready(());
            }
            if self.read_closed && self.write_closed {
                self.finish(Input::Closed { conn: self.id, cause: CloseCause::Done });
                return Poll::Ready(());
            }
            if !progress && !self.link.take_dirty() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One write and one read, whichever are possible. Tells whether anything happened.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        if !self.connected && self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking()) {
            self.connected = true;
            self.driver.turn(Input::Connected { conn: self.id });
        }
        let wrote = match self.tls {
            None => self.write_plain(cx)?,
            Some(_) => self.write_tls(cx)?,
        };
        let ended = !wrote && self.end_writing();
        let read = !self.link.is_closed() && self.read(cx)?;
        Ok(wrote || ended || read)
    }

    fn write_plain(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        let written = {
            let proxy = self.driver.proxy();
            let bytes = proxy.outgoing(self.id);
            if bytes.is_empty() || self.write_closed {
                return Ok(false);
            }
            poll_write(&mut self.io, cx, bytes)
        };
        let Poll::Ready(len) = written else { return Ok(false) };
        self.driver.turn(Input::Sent { conn: self.id, len: nonzero(len?)? });
        Ok(true)
    }

    fn write_tls(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        let Some(tls) = &mut self.tls else { return Ok(false) };
        if self.write_closed {
            return Ok(false);
        }
        if tls.pending().is_empty() && self.connected {
            let proxy = self.driver.proxy();
            let bytes = proxy.outgoing(self.id);
            if !bytes.is_empty() {
                tls.encrypt(bytes)?;
            } else if self.link.is_shut_down() {
                tls.close_notify();
            }
        }
        if tls.pending().is_empty() {
            return Ok(false);
        }
        let Poll::Ready(len) = poll_write(&mut self.io, cx, tls.pending()) else { return Ok(false) };
        if let Some(len) = tls.sent(nonzero(len?)?) {
            self.driver.turn(Input::Sent { conn: self.id, len });
        }
        Ok(true)
    }

    /// Closes the sending side when that was asked for and nothing waits.
    fn end_writing(&mut self) -> bool {
        let ripe = self.link.is_shut_down()
            && !self.write_closed
            && self.tls.as_ref().is_none_or(|tls| tls.pending().is_empty())
            && self.driver.proxy().outgoing(self.id).is_empty();
        if ripe {
            // Fails only when the peer is gone, which the next read tells better.
            let _ = self.io.get_ref().shutdown(Shutdown::Write);
            self.write_closed = true;
        }
        ripe
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        let wanted = !self.connected || self.driver.proxy().wants_read(self.id);
        if self.read_closed || !(wanted || self.write_closed) {
            return Ok(false);
        }
        let driver = self.driver.clone();
        let mut buffers = driver.buffers().borrow_mut();
        let Buffers { chunk, plain } = &mut *buffers;
        let Poll::Ready(len) = poll_read(&mut self.io, cx, chunk) else { return Ok(false) };
        let bytes = chunk.get(..len?).unwrap_or_default();
        plain.clear();
        let received = match &mut self.tls {
            None => bytes,
            Some(tls) if bytes.is_empty() => return Err(tls.cut_off().into()),
            Some(tls) => {
                tls.decrypt(bytes, plain)?;
                plain.as_slice()
            }
        };
        if wanted && !received.is_empty() {
            self.driver.turn(Input::Received { conn: self.id, bytes: received });
        }
        let ended = self.tls.as_ref().map_or(bytes.is_empty(), |tls| tls.is_read_closed());
        if ended {
            self.read_closed = true;
            self.driver.turn(Input::Eof { conn: self.id });
        }
        if plain.capacity() > PLAIN_BYTES_MAX {
            *plain = Vec::new();
        }
        Ok(true)
    }

    /// Tells the engine that this is the end.
    fn finish(&self, input: Input<'_>) {
        self.driver.with_host(|host| host.forget(self.id));
        self.driver.turn(input);
    }

    fn break_off(&mut self, broken: &Broken) {
        if let Some(tls) = &self.tls {
            // The alert that tells the peer what was wrong; if it does not fit, nothing is lost.
            let _ = self.io.get_ref().write(tls.pending());
        }
        match self.connected {
            true => self.finish(Input::Closed { conn: self.id, cause: broken.cause }),
            false => self.finish(Input::Failed { conn: self.id, reason: &broken.reason }),
        }
    }
}

impl<R: Runtime> Future for Conn<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.link.enter(cx);
        let done = self.poll_rounds(cx);
        self.link.leave();
        done
    }
}

/// Rounds in one poll before other tasks get their turn: 512 KiB in, a socket buffer out each.
const ROUNDS_MAX: usize = 8;

/// Decrypted bytes never exceed what was read, but a vector may have grown beyond it.
const PLAIN_BYTES_MAX: usize = 128 * 1024;
