//! Names to addresses, and addresses to connections.

use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use mcp_proxy_core::Input;
use mcp_proxy_core::id::ConnId;
use mcp_proxy_core::tls::TlsStream;
use mcp_proxy_os::{Link, net, reason};
use smol::Async;

use crate::Runtime;
use crate::conn::Conn;

/// Answers one `Resolve`.
pub(crate) async fn resolve(runtime: Rc<Runtime>, conn: ConnId, name: Arc<str>, port: u16) {
    let result = lookup(&runtime, &name, port).await;
    runtime.with_host(|host| host.forget(conn));
    match result {
        Ok(addrs) => runtime.turn(Input::Resolved { conn, result: Ok(&addrs) }),
        Err(reason) => {
            let text = format!("cannot resolve {name}: {reason}");
            runtime.turn(Input::Resolved { conn, result: Err(&text) });
        }
    }
}

/// Connects, shakes hands, and stays for the life of the connection.
pub(crate) async fn connect(
    runtime: Rc<Runtime>,
    conn: ConnId,
    addr: SocketAddr,
    tls: Option<Arc<str>>,
    link: Rc<Link>,
) {
    match open(&runtime, addr, tls).await {
        Ok((stream, codec)) => Conn::dialled(runtime, conn, link, stream, codec).await,
        Err(reason) => {
            runtime.with_host(|host| host.forget(conn));
            runtime.turn(Input::Failed { conn, reason: &reason });
        }
    }
}

async fn open(
    runtime: &Runtime,
    addr: SocketAddr,
    tls: Option<Arc<str>>,
) -> Result<(Async<TcpStream>, Option<TlsStream>), String> {
    // A bad certificate store is told before the network is asked.
    let codec = match tls {
        Some(name) => Some(runtime.with_host(|host| host.trust.client(&name))?),
        None => None,
    };
    let stream = Async::<TcpStream>::connect(addr)
        .await
        .map_err(|error| format!("cannot connect to {addr}: {}", reason(&error)))?;
    net::tune(stream.get_ref());
    Ok((stream, codec))
}

/// Only a real name costs a thread.
async fn lookup(runtime: &Runtime, name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Some(addr) = net::literal(name, port) {
        return Ok(vec![addr]);
    }
    let found = runtime.names().run(name.to_owned(), move |name| net::lookup(&name, port));
    found.map_err(|refused| refused.reason)?.await.map_err(|error| reason(&error))
}
