//! The bridge: the only part that knows clients and servers, and brings what one wants to the other.
//!
//! ```text
//! ClientEvent ─▶ whose view, which server, which connection, under which id ─▶ servers
//! ServerEvent ─▶ whom it concerns, in which shape for their revision ─▶ clients
//! ```
//!
//! | module | what it decides |
//! |---|---|
//! | `views` | what each caller sees |
//! | `client` | what is known of one client |
//! | `requests` | what a client's request is: answered here, or a call |
//! | `handshake`, `greetings` | `initialize`; one that waits for the first start of a server |
//! | `targets` | which server a name or URI belongs to |
//! | `connections` | which connection serves a client at a server |
//! | `calls` | calls that their clients want no more |
//! | `answers` | what who asked is told when a call ends |
//! | `events` | what follows from what happens at servers |
//! | `asking`, `questions` | what a server asks a client, and the answer |
//! | `notices` | log messages, updates and other news, each to whom it concerns |
//! | `watches` | watched resources |
//! | `shown`, `listing`, `offers` | lists: made of what servers offer; answered, awaited or refused |
//! | `sound` | what must hold, for tests |
//! | `ending` | clients that leave, and the end of everything |
//!
//! Invariants: of each session at the clients there is one [`ClientState`] here; each call and each question belongs to one
//! of them; what a session is shown changes only after it could be told.

mod answers;
mod asking;
mod calls;
mod client;
mod connections;
mod ending;
mod events;
mod greetings;
mod handshake;
mod listing;
mod notices;
mod offers;
mod questions;
mod requests;
mod shown;
mod sound;
mod targets;
mod views;
mod watches;

pub(crate) use views::Views;

use crate::clients::{Clients, McpEvent, Message, Role, Served};
use crate::config::Config;
use crate::effects::Effects;
use crate::fault::{Code, Fault};
use crate::id::{Key, Requester, ServerId, SideTable, ViewId};
use crate::json::{Pieces, quote};
use crate::jsonrpc;
use crate::limits::Limits;
use crate::policy::Keyring;
use crate::servers::{Servers, ServersMut};
use crate::timer::BridgeTimer;
use client::ClientState;
use offers::Offers;
use questions::Questions;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What stands between clients and servers.
#[derive(Debug)]
pub(crate) struct Bridge {
    config: Arc<Config>,
    views: Views,
    /// What views are made of.
    offers: Offers,
    questions: Questions,
    sessions: SideTable<ClientState>,
    /// Sessions that may have something to be told.
    changed: VecDeque<Key>,
    /// A server could not be brought up without which nothing is to run.
    failed: bool,
}

/// The bridge with both sides at hand: what may be done in one turn of the engine.
pub(crate) struct BridgeMut<'a> {
    fx: &'a mut Effects,
    clients: &'a mut Clients,
    servers: &'a mut Servers,
    config: &'a Config,
    views: &'a mut Views,
    offers: &'a mut Offers,
    questions: &'a mut Questions,
    sessions: &'a mut SideTable<ClientState>,
    changed: &'a mut VecDeque<Key>,
    failed: &'a mut bool,
}

impl Bridge {
    /// Between these servers and no clients yet.
    pub(crate) fn new(config: Arc<Config>, servers: &Servers, keyring: &Keyring, limits: &Limits) -> Self {
        Self {
            views: Views::new(&config, servers, keyring),
            offers: Offers::default(),
            questions: Questions::new(limits),
            sessions: SideTable::default(),
            changed: VecDeque::new(),
            failed: false,
            config,
        }
    }

    /// To do something with it.
    pub(crate) fn with<'a>(
        &'a mut self,
        fx: &'a mut Effects,
        clients: &'a mut Clients,
        servers: &'a mut Servers,
    ) -> BridgeMut<'a> {
        let Self { config, views, offers, questions, sessions, changed, failed } = self;
        BridgeMut { fx, clients, servers, config, views, offers, questions, sessions, changed, failed }
    }

    /// What callers see.
    pub(crate) fn views(&self) -> &Views {
        &self.views
    }

    /// The merged view of somebody who logged in, made if nobody saw the same servers yet.
    ///
    /// # Errors
    /// [`Code::Overloaded`](crate::fault::Code) if it had to be made and there are `max` already.
    pub(crate) fn merged_view(
        &mut self,
        opens: impl Fn(ServerId) -> bool,
        servers: &Servers,
        max: usize,
    ) -> Result<ViewId, Fault> {
        self.views.merged_of_login(opens, &self.config, servers, max)
    }

    /// A server could not be brought up without which the configuration wants nothing to run.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Number of questions of servers that are not answered yet.
    pub(crate) fn questions_len(&self) -> usize {
        self.questions.len()
    }

    /// Number of sessions of each view that has some.
    pub(crate) fn sessions_of_views(&self) -> BTreeMap<ViewId, usize> {
        let mut sessions: BTreeMap<ViewId, usize> = BTreeMap::new();
        for (_, client) in self.sessions.iter() {
            *sessions.entry(client.view).or_default() += 1;
        }
        sessions
    }

    /// Storage of what clients are remembered by, and of questions. For tests and rare events only.
    pub(crate) fn recount(&self) -> usize {
        let clients: usize = self.sessions.iter().map(|(_, client)| client.size()).sum();
        clients.saturating_add(self.questions.recount())
    }
}

impl BridgeMut<'_> {
    /// Acts on an event of the clients.
    pub(crate) fn on_client_event(&mut self, event: McpEvent) {
        match event {
            McpEvent::Sessionless { exchange, entry } => self.refuse_sessionless(exchange, entry),
            McpEvent::Connect { exchange, entry } => self.on_connect(exchange, entry),
            McpEvent::Request { message } => self.on_request(message),
            McpEvent::Answer { message } => self.note(message, Self::on_client_answer),
            McpEvent::Initialized { message } => self.note(message, Self::on_initialized),
            McpEvent::Cancel { message } => self.note(message, Self::on_client_cancelled),
            McpEvent::Progress { message } => self.note(message, Self::on_client_progress),
            McpEvent::RootsChanged { message } => self.note(message, Self::on_roots_changed),
            McpEvent::Foreign { message } => self.note(message, Self::on_client_foreign_note),
            McpEvent::Idle { message } => self.note(message, |_, _| {}),
            McpEvent::Reachable { session } => self.changed.push_back(session),
            McpEvent::StreamLost { session, stream } => self.cancel_stream_calls(session, stream),
            McpEvent::Ended { session } => self.forget_client(session),
        }
    }

    /// A message that gets no answer.
    fn note(&mut self, message: Message, take: impl FnOnce(&mut Self, &Message)) {
        take(self, &message);
        self.clients.serve(self.fx, message, Served::Noted);
    }

    /// A timer of a session or of a question is due.
    pub(crate) fn on_timer(&mut self, timer: BridgeTimer, owner: u64) {
        let key = Key::from_u64(owner).unwrap_or(Key::NONE);
        match timer {
            BridgeTimer::Question => self.on_question_timer(key),
            BridgeTimer::Lists => self.answer_lists(key, true),
            BridgeTimer::Greeting => self.on_greeting_timer(key),
        }
    }

    /// Tells a session what has changed for it. False when nobody is to be told anything.
    pub(crate) fn tell_next(&mut self) -> bool {
        let Some(session) = self.changed.pop_front() else { return false };
        self.tell_changes(session);
        self.send_held_questions(session);
        true
    }

    /// Tells a session that lists and resources changed, if it has a stream for that.
    fn tell_changes(&mut self, session: Key) {
        let Some(requester) = self.clients.standalone(self.fx, session) else { return };
        let Some(client) = self.sessions.get_mut(session) else { return };
        let (changes, updates) = (client.take_changes(), client.take_updates());
        for method in changes {
            self.tell_note(requester, method, "");
        }
        for uri in updates {
            let params = format!("{{\"uri\":{}}}", quote(&uri));
            self.tell_note(requester, "notifications/resources/updated", &params);
        }
    }

    fn tell_note(&mut self, requester: Requester, method: &str, params: &str) {
        let text = jsonrpc::notification(method, params);
        self.clients.deliver(self.fx, requester, &Pieces::of(&[text.as_bytes()]), Role::Note);
    }

    /// What is known of a client that has just sent something.
    ///
    /// # Errors
    /// [`Code::UnknownSession`] never: a message comes from a session that is there.
    fn client(&self, session: Key) -> Result<&ClientState, Fault> {
        let client = self.sessions.get(session);
        debug_assert!(client.is_some(), "each session at the clients is known here");
        client.ok_or_else(|| Fault::peer(Code::UnknownSession, "the session is over"))
    }

    /// The servers, to do something with them.
    fn servers(&mut self) -> ServersMut<'_> {
        self.servers.with(self.fx)
    }

    /// All sessions, in the order of their slots. For rare events only.
    fn session_keys(&self) -> Vec<Key> {
        self.sessions.iter().map(|(key, _)| key).collect()
    }
}
