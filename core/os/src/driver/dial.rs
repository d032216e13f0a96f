//! Names to addresses, and addresses to connections.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use mcp_proxy_core::Input;
use mcp_proxy_core::id::ConnId;
use mcp_proxy_core::tls::TlsStream;

use super::Driver;
use super::conn::Conn;
use crate::{Direction, Io, Link, Readiness, Runtime, net, reason};

/// Answers one `Resolve`.
pub(super) async fn resolve<R: Runtime>(driver: Rc<Driver<R>>, conn: ConnId, name: Arc<str>, port: u16) {
    let result = lookup(&driver, &name, port).await;
    driver.with_host(|host| host.forget(conn));
    match result {
        Ok(addrs) => driver.turn(Input::Resolved { conn, result: Ok(&addrs) }),
        Err(reason) => {
            let text = format!("cannot resolve {name}: {reason}");
            driver.turn(Input::Resolved { conn, result: Err(&text) });
        }
    }
}

/// Connects, shakes hands, and stays for the life of the connection.
pub(super) async fn connect<R: Runtime>(
    driver: Rc<Driver<R>>,
    conn: ConnId,
    addr: SocketAddr,
    tls: Option<Arc<str>>,
    link: Rc<Link>,
) {
    match open(&driver, addr, tls).await {
        Ok((stream, codec)) => Conn::dialled(driver, conn, link, stream, codec).await,
        Err(reason) => {
            driver.with_host(|host| host.forget(conn));
            driver.turn(Input::Failed { conn, reason: &reason });
        }
    }
}

async fn open<R: Runtime>(
    driver: &Driver<R>,
    addr: SocketAddr,
    tls: Option<Arc<str>>,
) -> Result<(R::Io<TcpStream>, Option<TlsStream>), String> {
    // A bad certificate store is told before the network is asked.
    let codec = match tls {
        Some(name) => Some(driver.with_host(|host| host.trust.client(&name))?),
        None => None,
    };
    let stream =
        dial(driver, addr).await.map_err(|error| format!("cannot connect to {addr}: {}", reason(&error)))?;
    net::tune(stream.get_ref());
    Ok((stream, codec))
}

async fn dial<R: Runtime>(driver: &Driver<R>, addr: SocketAddr) -> io::Result<R::Io<TcpStream>> {
    let mut stream = driver.runtime().watch(net::dial(addr)?)?;
    let connected = |stream: &TcpStream| net::dialled(stream).map(|()| ((), Readiness::Kept));
    poll_fn(|cx| stream.poll_io(cx, Direction::Write, connected)).await?;
    Ok(stream)
}

/// Only a real name costs a thread.
async fn lookup<R: Runtime>(driver: &Driver<R>, name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Some(addr) = net::literal(name, port) {
        return Ok(vec![addr]);
    }
    let found = driver.names().run(name.to_owned(), move |name| net::lookup(&name, port));
    found.map_err(|refused| refused.reason)?.await.map_err(|error| reason(&error))
}
