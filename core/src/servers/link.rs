//! How messages get to a server: the pipes of a child, or HTTP in one of its two shapes.
//!
//! A [`Link`] sends; what comes back is taken apart by whoever drives it (`proxy`), which takes the
//! reading part out, works on it, and puts it back.

use super::child::Child;
use super::http::HttpLink;
use super::http::escape::Escapes;
use super::http::exchange::Job;
use crate::config::Transport;
use crate::effects::Effects;
use crate::event::ChildSpec;
use crate::fault::{Code, Fault};
use crate::id::{Key, UpstreamId};
use crate::json::Pieces;
use crate::ledger::{Charge, NO_MEMORY};
use crate::line::LineDecoder;
use std::sync::Arc;

/// One of the two.
#[derive(Debug)]
pub(crate) enum Link {
    /// Over the pipes of a child.
    Child(ChildLink),
    /// Over HTTP.
    Http(Box<HttpLink>),
}

/// A child and the reading side of its pipes.
#[derive(Debug)]
pub(crate) struct ChildLink {
    pub(super) spec: Arc<ChildSpec>,
    pub(super) child: Option<Child>,
    /// Taken out while its lines are worked on.
    pub(super) pipes: Option<Box<Pipes>>,
}

/// What a child writes.
pub(crate) struct Pipes {
    pub(super) stdout: LineDecoder,
    pub(super) stderr: LineDecoder,
    escapes: Escapes,
    charge: Charge,
}

impl Pipes {
    /// Counts what is here, and lets go of a line for which there is no memory.
    pub(crate) fn update_charge(&mut self, fx: &Effects) {
        self.charge.set(self.capacity());
        if !fx.ledger.allows(self.stdout.pending()) {
            self.stdout.refuse_line();
            self.charge.set(self.capacity());
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        let stderr = self.stderr.capacity().saturating_add(self.escapes.capacity());
        self.stdout.capacity().saturating_add(stderr)
    }

    /// Takes what came from stderr, without escape sequences.
    pub(crate) fn push_stderr(&mut self, bytes: &[u8]) {
        let mut text = Vec::with_capacity(bytes.len());
        self.escapes.strip(bytes, &mut text);
        self.stderr.push(&text);
    }

    /// Nothing more will come from stderr.
    pub(crate) fn end_stderr(&mut self) {
        let mut text = Vec::new();
        self.escapes.finish(&mut text);
        self.stderr.push(&text);
    }
}

impl std::fmt::Debug for Pipes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pipes")
    }
}

impl Link {
    pub(crate) fn new(upstream: UpstreamId, transport: &Transport) -> Self {
        match transport {
            Transport::Stdio { command, args, env, cwd } => {
                let (command, args) = (command.clone(), args.clone());
                let spec = ChildSpec { command, args, env: env.clone(), cwd: cwd.clone() };
                Self::Child(ChildLink { spec: Arc::new(spec), child: None, pipes: None })
            }
            Transport::Http { url, headers, first, .. } => {
                Self::Http(Box::new(HttpLink::new(upstream, url.clone(), headers.clone(), *first)))
            }
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`Code::Overloaded`] when too much is queued already, [`Code::UpstreamLost`] when the child is gone.
    pub(crate) fn send_call(
        &mut self,
        fx: &mut Effects,
        call: Key,
        message: &Pieces<'_>,
    ) -> Result<(), Fault> {
        match self {
            Self::Child(link) => link.send(fx, message),
            Self::Http(link) => link.post(fx, Job::Call(call), message),
        }
    }

    /// Sends a notification or a response of ours. What cannot be sent is lost, as notifications may be.
    pub(crate) fn send_note(&mut self, fx: &mut Effects, job: Job, message: &Pieces<'_>) {
        let _lost = match self {
            Self::Child(link) => link.send(fx, message),
            // It is about a session that is over.
            Self::Http(link) if link.is_between_sessions() => Ok(()),
            Self::Http(link) => link.post(fx, job, message),
        };
    }

    /// Whether something can be sent: not to a child that ends.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Child(link) => link.child.as_ref().is_some_and(Child::is_running),
            Self::Http(_) => true,
        }
    }

    pub(crate) fn http(&mut self) -> Option<&mut HttpLink> {
        match self {
            Self::Http(link) => Some(link),
            Self::Child(_) => None,
        }
    }

    pub(crate) fn child(&mut self) -> Option<&mut ChildLink> {
        match self {
            Self::Child(link) => Some(link),
            Self::Http(_) => None,
        }
    }
}

impl ChildLink {
    /// Starts a child, unless the one before has not ended yet.
    pub(crate) fn start(&mut self, fx: &mut Effects, upstream: UpstreamId) -> bool {
        if self.child.is_some() {
            return false;
        }
        let child = Child::spawn(fx, self.spec.clone());
        fx.own(child.conn, upstream);
        self.child = Some(child);
        self.pipes = Some(Box::new(Pipes {
            stdout: LineDecoder::new(fx.limits.message_bytes_max),
            stderr: LineDecoder::new(fx.limits.stderr_line_bytes_max),
            escapes: Escapes::default(),
            charge: fx.ledger.open(),
        }));
        true
    }

    fn send(&mut self, fx: &mut Effects, message: &Pieces<'_>) -> Result<(), Fault> {
        let Some(child) = self.child.as_ref().filter(|child| child.is_running()) else {
            return Err(Fault::environment(Code::UpstreamLost, "the server has ended"));
        };
        if fx.queued(child.conn).saturating_add(message.len()) > fx.limits.upstream_send_cap_bytes {
            return Err(Fault::environment(Code::Overloaded, "the server does not read its input"));
        }
        if !fx.has_room(child.conn, message.len()) {
            return Err(Fault::local(Code::Overloaded, NO_MEMORY));
        }
        fx.send(child.conn, message.len().saturating_add(1), |out| {
            message.write(out);
            out.push(b'\n');
        });
        Ok(())
    }
}
