//! Names to addresses, listening sockets, how sockets behave, and what an error means for a connection.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use mcp_proxy_core::event::{CloseCause, ListenAddr};
use mcp_proxy_core::tls::TlsFault;
use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::io::retry_on_intr;
use rustix::net::{AddressFamily, SocketType, sockopt};
#[cfg(target_os = "linux")]
use rustix::net::{SocketFlags, acceptfrom_with};

use crate::reason;

/// The address that a text is, in brackets or not, if it is one. Needs no look-up.
pub fn literal(name: &str, port: u16) -> Option<SocketAddr> {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
}

/// All addresses of a name. Blocks, unless it is a [`literal`].
///
/// # Errors
/// There is none, or the resolver does not work.
pub fn lookup(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Some(addr) = literal(name, port) {
        return Ok(vec![addr]);
    }
    let addrs: Vec<SocketAddr> = (name, port).to_socket_addrs()?.collect();
    match addrs.is_empty() {
        true => Err(no_address()),
        false => Ok(addrs),
    }
}

/// Whether [`listen`] has to ask for a name, and so blocks.
pub fn has_name(addr: &ListenAddr) -> bool {
    addr.host.as_ref().is_some_and(|host| literal(host, addr.port).is_none())
}

/// Opens a listening socket that does not block. No host means all interfaces of both families, or of IPv4 where there
/// is no IPv6.
///
/// # Errors
/// The system's, for the last of the addresses.
pub fn listen(addr: &ListenAddr) -> io::Result<TcpListener> {
    let Some(host) = &addr.host else {
        return open((Ipv6Addr::UNSPECIFIED, addr.port).into())
            .or_else(|_| open((Ipv4Addr::UNSPECIFIED, addr.port).into()));
    };
    let mut addrs = lookup(host, addr.port)?;
    // Whoever says "localhost" means the address that every client tries.
    addrs.sort_by_key(SocketAddr::is_ipv6);
    let mut result = Err(no_address());
    for addr in addrs {
        result = open(addr);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn open(addr: SocketAddr) -> io::Result<TcpListener> {
    // Sets SO_REUSEADDR, and a backlog of 128 that the second call raises.
    let socket = TcpListener::bind(addr)?;
    rustix::net::listen(&socket, BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Accepts a connection, which does not block.
///
/// # Errors
/// The system's; [`WouldBlock`](ErrorKind::WouldBlock) if nobody wants one.
pub fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    #[cfg(target_os = "linux")]
    {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (socket, peer) = retry_on_intr(|| acceptfrom_with(listener, flags))?;
        let peer = peer.and_then(|peer| peer.try_into().ok()).ok_or(ErrorKind::InvalidData)?;
        Ok((socket.into(), peer))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let (socket, peer) = listener.accept()?;
        socket.set_nonblocking(true)?;
        Ok((socket, peer))
    }
}

/// Begins to connect, with a socket that does not block. [`dialled`] tells what came of it.
///
/// # Errors
/// The system's, if it can be told at once.
pub fn dial(addr: SocketAddr) -> io::Result<TcpStream> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family)?;
    match rustix::net::connect(&socket, &addr) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket.into()),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether it is connected.
///
/// # Errors
/// [`WouldBlock`](ErrorKind::WouldBlock) as long as it is not known, then why it is not.
pub fn dialled(stream: &TcpStream) -> io::Result<()> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Err(error) if error.kind() == ErrorKind::NotConnected => Err(ErrorKind::WouldBlock.into()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}

#[cfg(not(target_os = "linux"))]
fn socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    #[cfg(target_vendor = "apple")]
    sockopt::set_socket_nosigpipe(&socket, true)?;
    Ok(socket)
}

/// Prepares a connection: small messages go out at once, and a peer that vanished without a word is noticed within about
/// a minute, whether something is on its way to it or not. Whatever the system does not know is left out.
pub fn tune(socket: impl AsFd) {
    // Without it an answer may wait 40 ms for the acknowledgement of the one before.
    let _ = sockopt::set_tcp_nodelay(&socket, true);
    if sockopt::set_socket_keepalive(&socket, true).is_ok() {
        let _ = sockopt::set_tcp_keepidle(&socket, PROBE_AFTER);
        let _ = sockopt::set_tcp_keepintvl(&socket, PROBE_EVERY);
        let _ = sockopt::set_tcp_keepcnt(&socket, PROBES);
    }
    #[cfg(target_os = "linux")]
    let _ = sockopt::set_tcp_user_timeout(&socket, UNACKNOWLEDGED_MS_MAX);
}

fn no_address() -> io::Error {
    io::Error::new(ErrorKind::NotFound, "the name has no address")
}

/// Why a connection ends early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// For a connection that the engine knows.
    pub cause: CloseCause,
    /// For one that it waits for, and for the log.
    pub reason: String,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        let reset = matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
        );
        let cause = if reset { CloseCause::Reset } else { CloseCause::Error };
        Self { cause, reason: reason(&error) }
    }
}

impl From<TlsFault> for Broken {
    fn from(fault: TlsFault) -> Self {
        Self { cause: CloseCause::Tls, reason: fault.to_string() }
    }
}

/// Refuses that a write took nothing: it would keep us busy for ever.
///
/// # Errors
/// It took nothing.
pub fn nonzero(len: usize) -> Result<usize, Broken> {
    match len {
        0 => Err(io::Error::from(ErrorKind::WriteZero).into()),
        len => Ok(len),
    }
}

/// Connections the system keeps for us; it may allow fewer. Agents open dozens at once.
const BACKLOG: i32 = 1024;

/// Silence before a peer is asked whether it is there. The peer's system answers, however busy its program is.
const PROBE_AFTER: Duration = Duration::from_secs(30);

/// Between such questions.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// Unanswered ones after which the connection is reset.
const PROBES: u32 = 3;

/// The same for what was sent and is not acknowledged; otherwise the system tries for a quarter of an hour.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MS_MAX: u32 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(host: Option<&str>) -> io::Result<SocketAddr> {
        listen(&ListenAddr { host: host.map(str::to_owned), port: 0 })?.local_addr()
    }

    #[test]
    fn no_host_means_every_interface_and_both_families() {
        let addr = bound(None).unwrap();
        assert!(addr.ip().is_unspecified());
        let listener = listen(&ListenAddr { host: None, port: 0 }).unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn localhost_is_the_ipv4_address() {
        assert_eq!(bound(Some("localhost")).unwrap().ip(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn a_foreign_address_is_refused_with_the_reason() {
        let error = bound(Some("192.0.2.1")).unwrap_err();
        assert!(!reason(&error).contains("os error"), "{error}");
    }

    #[test]
    fn a_dial_and_an_accept_meet_and_neither_blocks() {
        let listener = listen(&ListenAddr { host: Some("127.0.0.1".to_owned()), port: 0 }).unwrap();
        assert_eq!(accept(&listener).unwrap_err().kind(), ErrorKind::WouldBlock);
        let near = dial(listener.local_addr().unwrap()).unwrap();
        let (far, peer) = loop {
            match accept(&listener) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                accepted => break accepted.unwrap(),
            }
        };
        dialled(&near).unwrap();
        assert_eq!(peer, near.local_addr().unwrap());
        for mut stream in [&near, &far] {
            let would_block = io::Read::read(&mut stream, &mut [0]).unwrap_err();
            assert_eq!(would_block.kind(), ErrorKind::WouldBlock);
            assert!(rustix::io::fcntl_getfd(stream).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn a_dial_without_a_listener_is_told() {
        let addr = bound(Some("127.0.0.1")).unwrap();
        let result = dial(addr).and_then(|stream| {
            loop {
                match dialled(&stream) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => break result,
                }
            }
        });
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_peer_that_vanishes_is_noticed_within_a_minute() {
        let listener = listen(&ListenAddr { host: Some("127.0.0.1".to_owned()), port: 0 }).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        tune(&stream);
        assert!(stream.nodelay().unwrap() && sockopt::socket_keepalive(&stream).unwrap());
        let idle = sockopt::tcp_keepidle(&stream).unwrap() + sockopt::tcp_keepintvl(&stream).unwrap() * 3;
        assert_eq!(idle, Duration::from_secs(60));
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), 3);
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 60_000);
    }

    #[test]
    fn addresses_in_text_form_need_no_resolver() {
        for (text, expected) in [("[::1]", "[::1]:7"), ("::1", "[::1]:7"), ("127.0.0.1", "127.0.0.1:7")] {
            assert_eq!(lookup(text, 7).unwrap(), [expected.parse().unwrap()], "{text}");
            assert!(!has_name(&ListenAddr { host: Some(text.to_owned()), port: 7 }), "{text}");
        }
        assert!(has_name(&ListenAddr { host: Some("localhost".to_owned()), port: 7 }));
        assert!(!has_name(&ListenAddr { host: None, port: 7 }));
    }
}
