//! Names to addresses, and addresses to connections.
//!
//! An address in text form is parsed here; only real names cost a thread of the `blocking` pool.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;

use mcp_proxy_core::Input;
use mcp_proxy_core::id::ConnId;
use smol::Async;

use crate::Runtime;
use crate::conn::Conn;
use crate::link::Link;

/// Answers one `Resolve`.
pub(crate) async fn resolve(runtime: Rc<Runtime>, conn: ConnId, name: Arc<str>, port: u16) {
    let result = lookup(&name, port).await;
    runtime.with_host(|host| host.forget(conn));
    match result {
        Ok(addrs) => runtime.turn(Input::Resolved { conn, result: Ok(&addrs) }),
        Err(error) => {
            let reason = format!("cannot resolve {name}: {}", reason(&error));
            runtime.turn(Input::Resolved { conn, result: Err(&reason) });
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
) -> Result<(Async<TcpStream>, Option<crate::tls::TlsStream>), String> {
    // A bad certificate store is told before the network is asked.
    let codec = match tls {
        Some(name) => Some(runtime.with_host(|host| host.trust.client(&name))?),
        None => None,
    };
    let stream = Async::<TcpStream>::connect(addr)
        .await
        .map_err(|error| format!("cannot connect to {addr}: {}", reason(&error)))?;
    let _ = stream.get_ref().set_nodelay(true);
    Ok((stream, codec))
}

/// All addresses of a name. IP addresses, with or without brackets, need no look-up.
///
/// # Errors
/// There is none, or the resolver does not work.
pub(crate) async fn lookup(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    if let Ok(ip) = literal.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let name = name.to_owned();
    let addrs: Vec<SocketAddr> =
        smol::unblock(move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect)).await?;
    match addrs.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
        false => Ok(addrs),
    }
}

/// What the system says, without Rust's error number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(at) => text.get(..at).unwrap_or(&text).to_owned(),
        None => text,
    }
}
