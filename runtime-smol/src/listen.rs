//! A listening socket: bind, then accept as long as the engine wants connections.
//!
//! Invariants: no accept while [`Proxy::wants_accept`](mcp_proxy_core::Proxy::wants_accept) says no (clients
//! wait in the backlog), and no spinning when the process has run out of file descriptors.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use mcp_proxy_core::Input;
use mcp_proxy_core::event::ListenAddr;
use mcp_proxy_core::id::ListenerId;
use mcp_proxy_core::log::Level;
use smol::{Async, Timer};

use crate::conn::Conn;
use crate::link::Link;
use crate::{Runtime, dial};

/// Where a listener waits while the engine wants no connections.
#[derive(Debug, Default)]
pub(crate) struct Gate(RefCell<Option<Waker>>);

impl Gate {
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) fn open(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

/// The life of a listener. It ends by being dropped.
pub(crate) async fn serve(runtime: Rc<Runtime>, id: ListenerId, addr: Arc<ListenAddr>, gate: Rc<Gate>) {
    let bound = match bind(&addr).await {
        Ok(socket) => socket.get_ref().local_addr().map(|addr| (socket, addr)),
        Err(error) => Err(error),
    };
    let socket = match bound {
        Ok((socket, addr)) => {
            runtime.turn(Input::Listening { listener: id, result: Ok(addr) });
            socket
        }
        Err(error) => {
            let reason = dial::reason(&error);
            return runtime.turn(Input::Listening { listener: id, result: Err(&reason) });
        }
    };
    let mut troubled = false;
    loop {
        poll_fn(|cx| {
            if runtime.proxy().wants_accept(id) {
                return Poll::Ready(());
            }
            gate.0.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        match socket.accept().await {
            Ok((stream, peer)) => {
                troubled = false;
                admit(&runtime, id, stream, peer);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !std::mem::replace(&mut troubled, true) {
                    let text = format!("cannot accept connections for the moment: {}", dial::reason(&error));
                    runtime.log(Level::Warn, text);
                }
                Timer::after(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(runtime: &Rc<Runtime>, listener: ListenerId, stream: Async<TcpStream>, peer: SocketAddr) {
    // Without it an answer may wait 40 ms for the acknowledgement of the one before.
    let _ = stream.get_ref().set_nodelay(true);
    let link: Rc<Link> = Rc::default();
    let id = runtime.with_host(|host| {
        let id = host.next_accepted();
        let conn = Conn::accepted(runtime.clone(), id, link.clone(), stream);
        let task = runtime.executor().spawn(conn);
        host.insert(id, link, task);
        id
    });
    runtime.turn(Input::Accepted { conn: id, listener, peer });
}

/// Opens a listening socket. No host means all interfaces of both families, or of IPv4 where there is no IPv6.
pub(crate) async fn bind(addr: &ListenAddr) -> io::Result<Async<TcpListener>> {
    let Some(host) = &addr.host else {
        return open((Ipv6Addr::UNSPECIFIED, addr.port).into())
            .or_else(|_| open((Ipv4Addr::UNSPECIFIED, addr.port).into()));
    };
    let mut addrs = dial::lookup(host, addr.port).await?;
    // Whoever says "localhost" means the address that every client tries.
    addrs.sort_by_key(SocketAddr::is_ipv6);
    let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for addr in addrs {
        result = open(addr);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn open(addr: SocketAddr) -> io::Result<Async<TcpListener>> {
    // Sets SO_REUSEADDR, and a backlog of 128 that the second call raises.
    let socket = TcpListener::bind(addr)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Async::new(socket)
}

/// Connections the system keeps for us; it may allow fewer. Agents open dozens at once.
const BACKLOG: i32 = 1024;

/// How long to wait after a failed accept. Long enough for others to close something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(host: Option<&str>) -> io::Result<SocketAddr> {
        let addr = ListenAddr { host: host.map(str::to_owned), port: 0 };
        smol::block_on(bind(&addr))?.get_ref().local_addr()
    }

    #[test]
    fn no_host_means_every_interface_and_both_families() {
        let addr = bound(None).unwrap();
        assert!(addr.ip().is_unspecified());
        let listener = smol::block_on(bind(&ListenAddr { host: None, port: 0 })).unwrap();
        let port = listener.get_ref().local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn localhost_is_the_ipv4_address() {
        assert_eq!(bound(Some("localhost")).unwrap().ip(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn a_foreign_address_is_refused_with_the_reason() {
        let error = bound(Some("192.0.2.1")).unwrap_err();
        assert!(!dial::reason(&error).contains("os error"), "{error}");
    }
}
