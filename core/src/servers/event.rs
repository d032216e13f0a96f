//! What happens at servers that concerns others.

use super::attribution::Cause;
use super::calls::{Call, ClientOrigin};
use crate::fault::Fault;
use crate::id::{Key, ServerId, UpstreamId};
use crate::json::{Envelope, Span};
use crate::mcp::{Ask, ListKind};

/// Something that happened.
#[derive(Debug)]
pub(crate) enum ServerEvent {
    /// A call of a client has ended. It is forgotten here.
    Ended {
        /// What it was called.
        key: Key,
        call: Box<Call>,
        outcome: Outcome,
    },
    /// News of a call that advance it, whose client wants to hear them; with the place of the progress token.
    Progress { origin: ClientOrigin, said: Said, token: Span },
    /// A call takes longer than an answer that comes at once.
    Slow { key: Key },
    /// A request that a client has to answer. It stays open until [`close_question`](super::ServersMut::close_question).
    Question { ask: Ask, said: Said },
    /// A request of the server is not to be answered any more; what was said names it.
    Withdrawn { said: Said },
    /// `notifications/message`.
    Log { said: Said },
    /// `notifications/resources/updated`.
    Updated { said: Said },
    /// `notifications/elicitation/complete`.
    Elicited { said: Said },
    /// A notification of an extension.
    Foreign { said: Said },
    /// A connection is gone, or its session: what the server asked on it is void.
    Lost { id: UpstreamId },
    /// A connection was made that could not be made before, or was lost: it is in use again.
    Up { id: UpstreamId },
    /// A server that was lost has been away for a while.
    Away { server: ServerId },
    /// The first start of a server has succeeded or failed.
    Tried { server: ServerId },
    /// A list differs from what it was before. `first`: the server was never ready.
    ListChanged { id: UpstreamId, kind: ListKind, first: bool },
    /// It was found out for the first time what a list holds, or that it cannot be read.
    ListKnown,
    /// Another connection to a server could not be made even once, though the shared one could. Its calls, which were
    /// not sent, have to go elsewhere, and then it is to be ended.
    Unmade { id: UpstreamId, calls: Vec<(Key, Vec<u8>)>, fault: Fault },
    /// A connection beside the shared one has ended and is forgotten.
    Gone { id: UpstreamId },
    /// It answers no pings while calls run: see [`judge_silence`](super::ServersMut::judge_silence).
    Silent { id: UpstreamId },
    /// A server could not be brought up without which the configuration wants nothing to run.
    Invalid,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its server answered. `of_task`: by way of a task, of which the answer says so.
    Answered { text: Vec<u8>, envelope: Envelope, of_task: bool },
    /// There will be no answer.
    Failed(Fault),
    /// Nobody waits for it any more; the server was told.
    GivenUp(Fault),
}

/// A message of a server.
#[derive(Debug)]
pub(crate) struct Said {
    /// On which connection.
    pub(crate) id: UpstreamId,
    /// It came on the answer stream of a call, or names a task.
    pub(crate) named: bool,
    /// Whom it concerns, if that is for certain.
    pub(crate) cause: Option<Cause>,
    pub(crate) text: Vec<u8>,
    pub(crate) envelope: Envelope,
}
