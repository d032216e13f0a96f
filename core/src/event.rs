//! The whole boundary between the engine and the world: what a host tells it and what it asks for.
//!
//! Every change of the engine is an [`Input`] value, everything it wants done is an [`Output`] value; a log of
//! inputs is therefore a reproduction. Life of a connection, as the host must play it:
//!
//! ```text
//! accepted:  Accepted → (Received | Sent)* → Eof? → Closed          or the engine says Close at any time
//! dialled:   Resolve → Resolved → Connect → Connected → …same…      or Failed instead of Resolved/Connected
//! child:     Spawn → Spawned → (Received | Stderr | Sent)* → Eof? → Exited      or Failed instead of Spawned
//! stored:    Load → Loaded, Save → Saved, SetAside → SetAside        each exactly once, of one key in order
//! password:  Derive → Derived
//! ```
//!
//! After `Output::Close` the host forgets the connection and reports nothing more about it; after `Closed`,
//! `Failed` or `Exited` the engine does. A host may report things about a connection the engine has just
//! closed (they crossed): such inputs are ignored.

use crate::id::{ConnId, ListenerId};
use crate::log::Record;
use crate::redacted::Redacted;
use std::net::SocketAddr;
use std::sync::Arc;

/// What happened to one connection or child: the inputs that have one, for the machine that it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConnEvent<'a> {
    /// [`Input::Received`].
    Received(&'a [u8]),
    /// [`Input::Stderr`].
    Stderr(&'a [u8]),
    /// [`Input::Eof`].
    Eof,
    /// [`Input::Closed`].
    Closed(CloseCause),
    /// [`Input::Resolved`].
    Resolved(Result<&'a [SocketAddr], &'a str>),
    /// [`Input::Connected`].
    Connected,
    /// [`Input::Failed`].
    Failed(&'a str),
    /// [`Input::Spawned`], with the process id.
    Spawned(u32),
    /// [`Input::Exited`].
    Exited(ExitStatus),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// Answer to [`Output::Listen`]: the address really bound, or why not.
    Listening {
        /// Which listener.
        listener: ListenerId,
        /// The bound address (port 0 resolved), or the reason.
        result: Result<SocketAddr, &'a str>,
    },
    /// A client connected. The host mints the id with [`ConnId::accepted`].
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// Where it came in.
        listener: ListenerId,
        /// The other end.
        peer: SocketAddr,
    },
    /// Answer to [`Output::Resolve`].
    Resolved {
        /// Which connection.
        conn: ConnId,
        /// All addresses in order of preference, or the reason.
        result: Result<&'a [SocketAddr], &'a str>,
    },
    /// Answer to [`Output::Connect`], after the TLS handshake if one was asked for.
    Connected {
        /// Which connection.
        conn: ConnId,
    },
    /// A [`Output::Connect`] or [`Output::Spawn`] did not work. The last word about a spawned child; a
    /// dialled connection may be asked to connect to another address.
    Failed {
        /// Which connection.
        conn: ConnId,
        /// The operating system's or the TLS library's words.
        reason: &'a str,
    },
    /// Answer to [`Output::Spawn`].
    Spawned {
        /// Which child.
        conn: ConnId,
        /// Its process id.
        pid: u32,
    },
    /// Bytes from a socket or from a child's stdout.
    Received {
        /// From whom.
        conn: ConnId,
        /// At least one byte.
        bytes: &'a [u8],
    },
    /// Bytes from a child's stderr.
    Stderr {
        /// From whom.
        conn: ConnId,
        /// At least one byte.
        bytes: &'a [u8],
    },
    /// The first `len` bytes of [`Proxy::outgoing`](crate::Proxy::outgoing) were taken by the peer's kernel.
    Sent {
        /// To whom.
        conn: ConnId,
        /// How many; never more than were offered.
        len: usize,
    },
    /// The other end will send nothing more (half-close, or a child closed its stdout).
    Eof {
        /// Who.
        conn: ConnId,
    },
    /// The connection is gone. For a child: its stdin is broken (it may live on).
    Closed {
        /// Which.
        conn: ConnId,
        /// Why.
        cause: CloseCause,
    },
    /// The child has ended and everything it wrote before has been reported.
    Exited {
        /// Which.
        conn: ConnId,
        /// How.
        status: ExitStatus,
    },
    /// Answer to [`Output::Load`].
    Loaded {
        /// What was asked for.
        key: StoreKey,
        /// What is there, or why that cannot be told.
        result: Result<Content<'a>, &'a str>,
    },
    /// Answer to [`Output::Save`].
    Saved {
        /// What was to be replaced.
        key: StoreKey,
        /// As given.
        ticket: u64,
        /// After `Ok` the new bytes survive any crash; after an error the old ones are still there.
        result: Result<(), &'a str>,
    },
    /// Answer to [`Output::SetAside`]: the name it has now, or why it is still where it was.
    SetAside {
        /// What was to be moved.
        key: StoreKey,
        /// The new name for the log.
        result: Result<&'a str, &'a str>,
    },
    /// Answer to [`Output::Derive`].
    Derived {
        /// As given.
        job: u64,
        /// Whether the password is the one that was stored.
        matches: bool,
    },
    /// The operator wants something.
    Command(Command),
    /// The engine's [deadline](crate::Proxy::deadline) has come. Harmless when it has not.
    Timeout,
}

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageKind {
    /// The login form, `authorize.html`.
    Authorize,
    /// After the login, `success.html`.
    Success,
    /// When a request cannot be served, `error.html`.
    Error,
}

impl PageKind {
    /// All pages.
    pub const ALL: [Self; 3] = [Self::Authorize, Self::Success, Self::Error];

    /// The name of its template, below `oauth/` of the directory of templates.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Authorize => "authorize.html",
            Self::Success => "success.html",
            Self::Error => "error.html",
        }
    }
}

/// What a host keeps or reads for the engine. Where it lies is the host's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreKey {
    /// Clients and grants of the authorization server. Read once, then replaced as a whole.
    OAuth,
    /// The operator's template of a page. Read only, again and again.
    Page(PageKind),
    /// The operator's list of users. Read only, again and again.
    Users,
}

/// What is stored under a [`StoreKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// Nothing.
    Absent,
    /// What it was when it was last asked for; only of what is read again and again.
    Same,
    /// This. May hold secrets.
    Bytes(&'a [u8]),
}

/// Why a connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// Both directions ended in order.
    Done,
    /// The peer reset it, or a pipe broke.
    Reset,
    /// TLS broke.
    Tls,
    /// Anything else the operating system reports.
    Error,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody knows.
    Unknown,
}

/// What an operator may want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Finish running calls within the grace period, end children, stop. A second one stops at once.
    Stop,
    /// The terminal is gone: the same, but it never hurries, since systems tell of one end more than once.
    Hangup,
}

/// Something the engine wants done. Never answered in place: results come back as inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a listening socket.
    Listen {
        /// Its name from now on.
        listener: ListenerId,
        /// Where.
        addr: Arc<ListenAddr>,
    },
    /// Close a listening socket: no new connections.
    Unlisten {
        /// Which.
        listener: ListenerId,
    },
    /// Look a name up. Minted by the engine with [`ConnId::dialled`].
    Resolve {
        /// The connection it is for.
        conn: ConnId,
        /// Host name, or an IP address in text form.
        name: Arc<str>,
        /// Port for the addresses.
        port: u16,
    },
    /// Connect, and shake hands if TLS is asked for.
    Connect {
        /// The connection it is for.
        conn: ConnId,
        /// One of the resolved addresses.
        addr: SocketAddr,
        /// The name the certificate must be valid for.
        tls: Option<Arc<str>>,
    },
    /// Start a child in a process group of its own, with three pipes.
    Spawn {
        /// Its name from now on.
        conn: ConnId,
        /// What to start.
        spec: Arc<ChildSpec>,
    },
    /// Signal a child's whole process group.
    Signal {
        /// Which child.
        conn: ConnId,
        /// Politely or not.
        signal: Signal,
    },
    /// `outgoing` or `wants_read` of this connection changed: look again.
    Wake {
        /// Which.
        conn: ConnId,
    },
    /// Write what is queued, then half-close. For a child: close its stdin.
    Shutdown {
        /// Which.
        conn: ConnId,
    },
    /// Drop the connection now. Not used for children.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Read what is stored.
    Load {
        /// What.
        key: StoreKey,
    },
    /// Replace what is stored, as a whole or not at all, so that it survives any crash from `Saved` on. At most one of
    /// a key is under way.
    Save {
        /// What.
        key: StoreKey,
        /// To be given back.
        ticket: u64,
        /// The new contents.
        bytes: Redacted<Arc<[u8]>>,
    },
    /// Move what is stored out of the way, under a name that says when, readable by its owner alone.
    SetAside {
        /// What.
        key: StoreKey,
    },
    /// Find out whether a password is the one that was stored, off the thread of the engine: it takes long on
    /// purpose. See `oauth::password::verify`.
    Derive {
        /// To be given back.
        job: u64,
        /// What to compare.
        candidate: Box<Candidate>,
    },
    /// Write a log line.
    Log(Box<Record>),
    /// Everything is closed. The host ends with this exit code.
    Stopped {
        /// 0 after an orderly stop, 1 when the engine gave up.
        code: u8,
    },
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddr {
    /// Host name or address; `None` means all interfaces, both families.
    pub host: Option<String>,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

/// What to start as a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildSpec {
    /// Program, looked up in `PATH`.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Added to the environment of the proxy.
    pub env: Vec<(String, Redacted<String>)>,
    /// Working directory, if another than the proxy's.
    pub cwd: Option<String>,
}

/// A password that somebody gave, and what it is to be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// As it was typed.
    pub password: Redacted<String>,
    /// A hash string, or the password itself.
    pub stored: Redacted<String>,
}

/// How firmly a child is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_stay_small() {
        assert!(size_of::<Output>() <= 64, "{}", size_of::<Output>());
    }
}
