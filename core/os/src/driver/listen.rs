//! A listening socket: bind, then accept as long as the engine wants connections.
//!
//! Invariants: no accept while [`Proxy::wants_accept`](mcp_proxy_core::Proxy::wants_accept) says no (clients
//! wait in the backlog), and no spinning when the process has run out of file descriptors.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mcp_proxy_core::Input;
use mcp_proxy_core::event::ListenAddr;
use mcp_proxy_core::id::ListenerId;
use mcp_proxy_core::log::Level;

use super::Driver;
use super::conn::Conn;
use crate::{Direction, Gate, Io, Link, Readiness, Runtime, net, reason};

/// The life of a listener. It ends by being dropped.
pub(super) async fn serve<R: Runtime>(
    driver: Rc<Driver<R>>,
    id: ListenerId,
    addr: Arc<ListenAddr>,
    gate: Rc<Gate>,
) {
    let bound = match bind(&driver, addr).await {
        Ok(socket) => socket.get_ref().local_addr().map(|addr| (socket, addr)),
        Err(error) => Err(error),
    };
    let mut socket = match bound {
        Ok((socket, addr)) => {
            driver.turn(Input::Listening { listener: id, result: Ok(addr) });
            socket
        }
        Err(error) => {
            return driver.turn(Input::Listening { listener: id, result: Err(&reason(&error)) });
        }
    };
    let mut troubled = false;
    loop {
        let accepted = poll_fn(|cx| {
            if !driver.proxy().wants_accept(id) {
                gate.wait(cx);
                return Poll::Pending;
            }
            socket.poll_io(cx, Direction::Read, |socket| Ok((net::accept(socket)?, Readiness::Kept)))
        });
        // It is watched before it is admitted: without room for a watch there is no connection.
        let accepted = accepted.await.and_then(|(stream, peer)| Ok((driver.runtime().watch(stream)?, peer)));
        match accepted {
            Ok((stream, peer)) => {
                troubled = false;
                admit(&driver, id, stream, peer);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !std::mem::replace(&mut troubled, true) {
                    let text = format!("cannot accept connections for the moment: {}", reason(&error));
                    driver.log(Level::Warn, text);
                }
                driver.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit<R: Runtime>(
    driver: &Rc<Driver<R>>,
    listener: ListenerId,
    stream: R::Io<TcpStream>,
    peer: SocketAddr,
) {
    net::tune(stream.get_ref());
    let link: Rc<Link> = Rc::default();
    let id = driver.with_host(|host| {
        let id = host.next_accepted();
        let conn = Conn::accepted(driver.clone(), id, link.clone(), stream);
        let task = driver.spawn(conn);
        host.insert(id, link, task);
        id
    });
    driver.turn(Input::Accepted { conn: id, listener, peer });
}

async fn bind<R: Runtime>(driver: &Driver<R>, addr: Arc<ListenAddr>) -> io::Result<R::Io<TcpListener>> {
    let socket = match net::has_name(&addr) {
        true => {
            let bound = driver.names().run(addr, |addr| net::listen(&addr));
            bound.map_err(|refused| io::Error::other(refused.reason))?.await
        }
        false => net::listen(&addr),
    };
    driver.runtime().watch(socket?)
}

/// How long to wait after a failed accept. Long enough for others to close something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
