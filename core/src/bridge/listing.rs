//! Lists that clients ask for: answered from what is known, awaited while a server is in its first start, refused when
//! nothing is known.
//!
//! | of a list is known | on the server's own endpoint | on the merged endpoint |
//! |---|---|---|
//! | what it holds, or that there is none | that | that |
//! | nothing yet: the server starts, or reads it, for the first time | awaited, then refused | awaited, then left out |
//! | nothing: it could never be read | refused with the server's error | left out |
//! | it, but the server has been away for long | that | left out |
//!
//! Hosts that ignore `list_changed` read a list once, so the first list of a session waits for servers in their first
//! start, up to `listWait` after it was asked for. A merged list of which every part is left out is refused with the
//! reasons, since an empty one would look as if nothing were there (`bridging` §9), but not while a server still starts.

use super::BridgeMut;
use super::client::{ClientState, WaitingList};
use crate::clients::{Body, Message, Role, Served};
use crate::fault::{Code, Fault};
use crate::id::{Key, Requester, ServerId};
use crate::json;
use crate::jsonrpc;
use crate::mcp::ListKind;
use crate::servers::{Connection, Server, Servers};
use crate::time::Mono;
use crate::timer::BridgeTimer;
use std::sync::Arc;

/// What is known of one list of a server.
pub(super) enum Known {
    /// What it holds, or that there is none.
    All,
    /// Nothing yet.
    Coming,
    /// Nothing, for this reason.
    Nothing(Fault),
}

impl BridgeMut<'_> {
    /// A list request of a session.
    ///
    /// # Errors
    /// [`Code::InvalidParams`] for a cursor, [`Code::MethodNotFound`] if the server has no such list, the reason if
    /// nothing is known of it.
    pub(super) fn list(&mut self, message: &Message, kind: ListKind) -> Result<Served, Fault> {
        let Requester { session: key, stream } = message.requester();
        let (envelope, text) = (message.envelope(), message.text());
        if let Some(params) = envelope.params
            && json::member(text, params, "cursor")?.is_some_and(|cursor| cursor.of(text) != b"null")
        {
            return Err(Fault::peer(Code::InvalidParams, "this cursor was not given out here"));
        }
        let view = self.client(key)?.view;
        if !self.lists(view, kind) {
            let detail = format!("the server has no {}", kind.capability());
            return Err(Fault::peer(Code::MethodNotFound, detail));
        }
        for server in self.servers_seen(key) {
            // Too many connections: the list is made of what the shared one offers.
            let shared = self.servers.server(server).map(Server::shared);
            let Some(id) = self.connection(key, server).ok().or(shared) else { continue };
            if self.servers.get(id).is_some_and(|server| server.is_aged(self.fx, kind)) {
                self.servers().refresh(id, kind);
            }
        }
        match self.list_deadline(key, kind) {
            Some(until) => self.await_list(key, WaitingList::new(self.fx, kind, stream, message.id()), until),
            None => Ok(Served::Now(Body::Shared(self.listed(key, kind)?))),
        }
    }

    fn await_list(&mut self, key: Key, list: WaitingList, until: Mono) -> Result<Served, Fault> {
        let Some(session) = self.sessions.get_mut(key) else { return Ok(Served::Later) };
        if session.waiting_lists.len() >= self.fx.limits.session_calls_max {
            return Err(Fault::local(Code::Overloaded, "too many lists of this session are asked for"));
        }
        session.waiting_lists.push(list);
        self.fx.timers.set(until, BridgeTimer::Lists, key.to_u64());
        Ok(Served::Later)
    }

    /// Until when a list of a session waits for servers in their first start; `None` if it need not wait (any more).
    fn list_deadline(&mut self, key: Key, kind: ListKind) -> Option<Mono> {
        let now = self.fx.mono();
        let session = self.sessions.get_mut(key)?;
        let since = *session.lists_since.get_or_insert(now);
        let view = self.views.get(session.view)?;
        let default = self.fx.limits.lists_ms;
        let servers = view.members().iter().filter_map(|member| self.servers.shared_of(member.server));
        let coming = servers
            .filter(|server| matches!(known(self.servers, server, kind, view.is_merged()), Known::Coming));
        let waits = coming.map(|server| server.config().options.times.list_wait_ms.unwrap_or(default));
        waits.max().map(|wait| since.plus_ms(wait)).filter(|until| *until > now)
    }

    /// The list that a session is shown now.
    ///
    /// # Errors
    /// Why nothing is known of it.
    fn listed(&mut self, key: Key, kind: ListKind) -> Result<Arc<[u8]>, Fault> {
        let view = self.sessions.get(key).and_then(|session| self.views.get(session.view));
        let (members, merged) = view.map_or((&[][..], false), |view| (view.members(), view.is_merged()));
        let servers = members.iter().filter_map(|member| self.servers.shared_of(member.server));
        let (mut any, mut coming, mut reasons) = (members.is_empty(), None, Vec::new());
        for server in servers {
            match known(self.servers, server, kind, merged) {
                Known::All => any = true,
                Known::Coming => coming = Some(server),
                Known::Nothing(fault) => reasons.push((server, fault)),
            }
        }
        match (coming, reasons.as_slice()) {
            _ if any => {}
            (Some(_), _) if merged => {}
            (Some(server), _) => return Err(server.not_ready()),
            (None, [(_, fault)]) if !merged => return Err(fault.clone()),
            (None, reasons) => return Err(nothing_there(reasons)),
        }
        Ok(self.shown(key, kind).map(|list| list.encoded.clone()).unwrap_or_default())
    }

    /// Answers the lists of a session that need not wait any more, or all of them `anyway`.
    pub(super) fn answer_lists(&mut self, key: Key, anyway: bool) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        for list in std::mem::take(&mut session.waiting_lists) {
            if !anyway && self.list_deadline(key, list.kind).is_some() {
                if let Some(session) = self.sessions.get_mut(key) {
                    session.waiting_lists.push(list);
                }
                continue;
            }
            let requester = Requester { session: key, stream: list.stream };
            let id = list.id.as_bytes();
            match self.listed(key, list.kind) {
                Ok(shown) => {
                    self.clients.deliver(self.fx, requester, &jsonrpc::result(id, &shown), Role::Answer);
                }
                Err(fault) => self.answer_fault(requester, id, &fault),
            }
        }
    }

    /// Something is known now that lists may have waited for.
    pub(super) fn answer_waiting_lists(&mut self) {
        let waits = |client: &ClientState| !client.waiting_lists.is_empty();
        let sessions: Vec<Key> =
            self.sessions.iter().filter(|(_, client)| waits(client)).map(|(key, _)| key).collect();
        for key in sessions {
            self.answer_lists(key, false);
        }
    }

    /// A list request is not wanted any more. Returns who waited for it.
    pub(super) fn forget_list(&mut self, session: Key, id: &[u8]) -> Option<Requester> {
        let client = self.sessions.get_mut(session)?;
        let place = client.waiting_lists.iter().position(|list| list.id.as_bytes() == id)?;
        Some(Requester { session, stream: client.waiting_lists.remove(place).stream })
    }

    /// The servers a session sees.
    pub(super) fn servers_seen(&self, key: Key) -> Vec<ServerId> {
        let view = self.sessions.get(key).and_then(|session| self.views.get(session.view));
        view.map(|view| view.members().iter().map(|member| member.server).collect()).unwrap_or_default()
    }
}

/// What is known of one list of a server. On the merged endpoint a server that has been away for long does not count.
pub(super) fn known(servers: &Servers, server: &Connection, kind: ListKind, merged: bool) -> Known {
    let is_listed = servers.server(server.server()).is_some_and(Server::is_listed);
    if !server.was_ready() || (merged && !is_listed) {
        return if server.was_tried() { Known::Nothing(server.not_ready()) } else { Known::Coming };
    }
    let list = server.catalog().list(kind);
    if list.is_read() || !server.peer().has(kind) {
        return Known::All;
    }
    list.failure().map_or(Known::Coming, |fault| Known::Nothing(fault.clone()))
}

/// Of no server of the merged endpoint anything can be shown.
fn nothing_there(reasons: &[(&Connection, Fault)]) -> Fault {
    let mut detail = "no server is connected at the moment".to_owned();
    for (place, (server, fault)) in reasons.iter().take(REASONS_MAX).enumerate() {
        let separator = if place == 0 { ": " } else { "; " };
        detail += &format!("{separator}{}: {fault}", server.label());
    }
    Fault::environment(Code::NotReady, detail)
}

/// Servers whose trouble a refused list tells.
const REASONS_MAX: usize = 3;
