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
use mcp_proxy_os::{Gate, Link, net, reason};
use smol::{Async, Timer};

use crate::Runtime;
use crate::conn::Conn;

/// The life of a listener. It ends by being dropped.
pub(crate) async fn serve(runtime: Rc<Runtime>, id: ListenerId, addr: Arc<ListenAddr>, gate: Rc<Gate>) {
    let bound = match bind(&runtime, addr).await {
        Ok(socket) => socket.get_ref().local_addr().map(|addr| (socket, addr)),
        Err(error) => Err(error),
    };
    let socket = match bound {
        Ok((socket, addr)) => {
            runtime.turn(Input::Listening { listener: id, result: Ok(addr) });
            socket
        }
        Err(error) => {
            return runtime.turn(Input::Listening { listener: id, result: Err(&reason(&error)) });
        }
    };
    let mut troubled = false;
    loop {
        poll_fn(|cx| {
            if runtime.proxy().wants_accept(id) {
                return Poll::Ready(());
            }
            gate.wait(cx);
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
                    let text = format!("cannot accept connections for the moment: {}", reason(&error));
                    runtime.log(Level::Warn, text);
                }
                Timer::after(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(runtime: &Rc<Runtime>, listener: ListenerId, stream: Async<TcpStream>, peer: SocketAddr) {
    net::tune(stream.get_ref());
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

async fn bind(runtime: &Runtime, addr: Arc<ListenAddr>) -> io::Result<Async<TcpListener>> {
    let socket = match net::has_name(&addr) {
        true => {
            let bound = runtime.names().run(addr, |addr| net::listen(&addr));
            bound.map_err(|refused| io::Error::other(refused.reason))?.await
        }
        false => net::listen(&addr),
    };
    Async::new(socket?)
}

/// How long to wait after a failed accept. Long enough for others to close something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
