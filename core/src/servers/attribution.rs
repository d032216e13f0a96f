//! Whom something concerns that a server says: the call on whose answer stream it came, the one whose task it names, the
//! only one that runs, or the session that a connection is kept for.
//!
//! Invariant: what could concern two sessions concerns none (`bridging` §8.4).

use super::ServersMut;
use super::calls::{Origin, Own};
use super::usage::UsageKind;
use crate::id::{Key, UpstreamId};

/// Whom something concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) session: Key,
    /// The call that led to it, if it is known, and the stream that its answer belongs on.
    pub(crate) call: Option<(Key, u32)>,
}

impl ServersMut<'_> {
    /// Whom something concerns that came on a connection, on the answer stream of `call` if it had one, about a task
    /// (raw id) if it says so.
    pub(super) fn cause(&self, id: UpstreamId, call: Option<Key>, task: Option<&[u8]>) -> Option<Cause> {
        let connection = self.conns.get(id)?;
        let (kind, one_channel) = (connection.usage.kind, connection.has_one_channel());
        // Where everybody's calls run, those that lead to no question count too.
        let only = match kind {
            UsageKind::Shared | UsageKind::Alike => self.alone(id),
            UsageKind::Interactive | UsageKind::Dedicated(_) => connection.running.only(),
        };
        let of_task = task.and_then(|task| self.call_of_task(id, task));
        let call = call.and_then(|call| self.parent(call)).or(of_task);
        if let Some(call) = call.or_else(|| only.filter(|_| one_channel)) {
            let origin = self.calls.get(call)?.origin.client()?;
            return Some(Cause { session: origin.session, call: Some((call, origin.stream)) });
        }
        let session = match kind {
            UsageKind::Dedicated(session) => session,
            UsageKind::Interactive if one_channel => connection.running.session()?,
            UsageKind::Interactive | UsageKind::Alike | UsageKind::Shared => return None,
        };
        Some(Cause { session, call: None })
    }

    /// The one call that runs on a connection at all, if no cancelled one of another session may run on.
    fn alone(&self, id: UpstreamId) -> Option<Key> {
        let running = &self.conns.get(id)?.running;
        let call = running.alone()?;
        let session = self.calls.get(call)?.origin.client()?.session;
        running.is_sole(session).then_some(call)
    }

    /// The client's call that a call serves: itself, or the one whose task it is about.
    fn parent(&self, key: Key) -> Option<Key> {
        match &self.calls.get(key)?.origin {
            Origin::Client(_) => Some(key),
            Origin::Own(Own::TaskState(parent) | Own::TaskResult(parent)) => Some(*parent),
            Origin::Own(
                Own::Initialize
                | Own::Discover
                | Own::List(_)
                | Own::Ping
                | Own::SetLevel
                | Own::Watch
                | Own::TaskCancel,
            ) => None,
        }
    }
}
