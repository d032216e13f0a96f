//! After the storm: what must be over, what must be gone, and who must be served.

use super::Storm;
use super::tally::Tally;
use crate::client::{Kind, MERGED, State};
use crate::net::{Phase, Who};
use mcp_proxy_core::id::ConnId;
use serde_json::{Value, json};

/// Timers that a server with nothing to do may keep: a ping, a look at its pool, a list to be read, and the like.
const TIMERS_OF_SERVER: usize = 8;
/// The same for everything else.
const TIMERS_OF_PROXY: usize = 4;
/// Connections to one HTTP server that an engine at rest may keep.
const CONNS_AT_REST: usize = 8;
/// How long it may take until everything works again once nothing is broken any more: a handshake that was about to
/// fail, the longest wait before the next try, and that try.
const HEAL_MS: u64 = 15_000;
/// More than any request may wait: for its server, then for its answer, and for what is asked meanwhile.
const ANSWER_MS: u64 = 60_000;
/// How long a client waits for its connection.
const CONNECT_MS: u64 = 10_000;
/// More than any session, stream, connection or process may idle.
const IDLE_MS: u64 = 60_000;
/// How often the authorization server clears away what is over.
const UPKEEP_MS: u64 = 60_000;
/// What framing, and a head, may add to the messages in a queue.
const QUEUE_SLACK: usize = 4_096;

impl Storm {
    /// No queue is longer than its bound and one message more, which is what it takes to notice.
    /// The sum of bytes that the engine keeps is what it holds.
    pub(super) fn check_queues(&self) {
        let proxy = self.world.shard.proxy();
        assert_eq!(proxy.held(), proxy.recount(), "bytes held, and counted anew");
        let limits = &self.world.cast.limits;
        let whole =
            limits.message_bytes_max.max(limits.replay_bytes_max).max(limits.list_bytes_max.min(64 * 1024));
        for (conn, link) in &self.world.net.links {
            if link.phase != Phase::Open {
                continue;
            }
            let cap = match link.peer {
                Who::Client(_) => limits.send_cap_bytes,
                Who::Child(_) | Who::Site(_) | Who::Publisher(_) | Who::Nobody => {
                    limits.upstream_send_cap_bytes
                }
            };
            let queued = self.world.shard.proxy().outgoing(*conn).len();
            let most = cap.saturating_add(whole).saturating_add(QUEUE_SLACK);
            assert!(queued <= most, "{queued} bytes are queued for {:?}, at most {most}", link.peer);
        }
    }

    /// The faults end, and everything that was asked is over within the limits.
    pub(super) fn calm(&mut self) {
        self.undo_all();
        self.world.net.weather = Some(crate::net::Weather::CALM);
        let until = self.world.now_ms() + ANSWER_MS;
        while self.world.open_requests() > 0 && self.world.now_ms() < until {
            self.pass(500);
            if self.world.now_ms() + ANSWER_MS > until + CONNECT_MS {
                self.give_up_connecting();
            }
        }
        let open: Vec<String> = self
            .world
            .clients
            .iter()
            .flat_map(|client| client.requests.iter().map(move |request| (client, request)))
            .filter(|(_, request)| request.state == State::Waiting && !request.cancelled)
            .map(|(client, request)| format!("client {} ({:?}) {request:?}", client.index, client.kind))
            .collect();
        assert!(open.is_empty(), "requests without an answer: {open:#?}");
        self.judge();
    }

    /// Whom the proxy has no room for does not wait for ever to be let in.
    fn give_up_connecting(&mut self) {
        let links = self.world.net.links.iter().filter(|(_, link)| link.phase == Phase::Opening);
        let links: Vec<(ConnId, Who)> = links.map(|(conn, link)| (*conn, link.peer)).collect();
        for (conn, peer) in links {
            if let Who::Client(index) = peer {
                self.world.clients[index].on_end(conn, &mut self.world.net);
            }
        }
    }

    /// Looks at every answer once.
    pub(super) fn judge(&mut self) {
        for place in 0..self.asked.len() {
            let asked = self.asked[place].clone();
            if asked.judged {
                continue;
            }
            let request = &self.world.clients[asked.req.client].requests[asked.req.index];
            let status = self.world.exchange(self.world.exchange_of(asked.req)).status();
            let kind = match &request.state {
                State::Waiting if request.cancelled => "cancelled".to_owned(),
                State::Waiting => "open when the proxy was killed".to_owned(),
                State::Lost if request.cancelled => "cancelled".to_owned(),
                State::Lost if status >= 400 => format!("refused with status {status}"),
                State::Lost => "connection or session ended".to_owned(),
                State::Answered(raw) => verdict(raw, asked.text.as_deref()),
            };
            self.tally.answer(&kind);
            self.asked[place].judged = true;
        }
    }

    /// Counts what this world has come to so far.
    pub(super) fn count(&mut self) {
        self.judge();
        self.tally.inputs += self.world.watch.inputs;
    }

    /// Everybody goes; what is left is what was there in the beginning.
    pub(super) fn rest(&mut self) {
        for client in 0..self.world.clients.len() {
            let rudely = self.dice.chance(400);
            self.leave(client, rudely);
        }
        self.give_up_connecting();
        // A connection may have broken under what somebody said.
        self.pass(2_000);
        for client in 0..self.world.clients.len() {
            self.leave(client, false);
        }
        self.pass(100);
        self.give_up_connecting();
        // The goodbye of some found no seat, since all said it at once.
        for client in &mut self.world.clients {
            client.quit(&mut self.world.net);
        }
        // Whose token was revoked cannot say goodbye; streams of such logins are looked for once a minute.
        self.pass(if self.plan.logins { IDLE_MS + UPKEEP_MS } else { IDLE_MS });
        self.check_questions();
        let census = self.world.shard.proxy().census();
        let servers = self.plan.servers.len();
        assert!(census.calls <= servers, "{census:?}: more than a ping of each server");
        assert_eq!((census.sessions, census.questions, census.clients), (0, 0, 0), "{census:?}");
        assert_eq!(census.upstreams, servers, "{census:?}");
        let timers = TIMERS_OF_PROXY + TIMERS_OF_SERVER * servers;
        assert!(census.timers <= timers, "{census:?}, at most {timers} timers");
        for server in self.children() {
            assert_eq!(self.world.alive(server), 1, "processes of {server}");
        }
        for site in &self.world.sites {
            let of_site = self.world.net.links.values().filter(|link| link.peer == Who::Site(site.index));
            let open = of_site.filter(|link| link.phase == Phase::Open).count();
            assert!(open <= CONNS_AT_REST, "{open} connections to {}", site.host);
        }
    }

    /// Questions of servers whose words all arrived were answered or taken back.
    fn check_questions(&mut self) {
        for server in &self.harmed {
            let minds = self.world.children.iter_mut().map(|child| &mut child.program.mind);
            let minds = minds.chain(self.world.sites.iter_mut().map(|site| &mut site.mind));
            minds.filter(|mind| mind.name == *server).for_each(|mind| mind.questions.clear());
        }
        let open = self.world.unanswered();
        assert!(open.is_empty(), "questions without an answer: {open:?}");
    }

    /// Whoever comes now is served, by every server and on every endpoint, and soon.
    pub(super) fn prove(&mut self) {
        let servers: Vec<String> = self.plan.servers.iter().map(|(name, _)| name.clone()).collect();
        for kind in [Kind::Streamable, Kind::Sse] {
            for server in &servers {
                let client = self.late_client(server, kind);
                self.check_served(client, "echo");
                self.go(client);
            }
            let client = self.late_client(MERGED, kind);
            for server in &servers {
                self.check_served(client, &format!("{server}__echo"));
            }
            self.go(client);
        }
        self.prove_logins();
    }

    /// A call is answered, if not at once then as soon as connections of those who left before have ended.
    fn check_served(&mut self, client: usize, tool: &str) {
        let until = self.world.now_ms() + HEAL_MS;
        loop {
            let answer =
                self.world.ask(client, "tools/call", json!({"name": tool, "arguments": {"text": "late"}}));
            if answer["result"]["content"][0]["text"] == "late" {
                return;
            }
            assert!(self.world.now_ms() < until, "a late client gets {answer} from {tool}");
            self.pass(500);
        }
    }

    /// A client ends its session and leaves all its connections.
    fn go(&mut self, client: usize) {
        self.world.end_session(client);
        self.pass(100);
        self.world.clients[client].go(&mut self.world.net);
        self.pass(20);
    }

    fn late_client(&mut self, server: &str, kind: Kind) -> usize {
        let (token, started) = (self.a_token(server), self.world.now_ms());
        let client = self.world.client_with(server, kind, |client| {
            if let Some(token) = &token {
                client.fields.push(("authorization".to_owned(), format!("Bearer {token}")));
            }
        });
        let took = self.world.now_ms() - started;
        assert!(took <= HEAL_MS, "it took {took} ms until {server} was served again");
        client
    }

    /// Stops the engine, and gives the sum.
    pub(super) fn end(mut self) -> Tally {
        self.world.finish();
        self.count();
        self.tally.virtual_ms = self.world.now_ms();
        self.tally
    }

    /// After the end of a world: its clients are gone.
    pub(super) fn forget_clients(&mut self) {
        self.asked.clear();
        self.newcomers.clear();
        self.resumed.clear();
        self.harmed.clear();
    }
}

/// What an answer is; a text that was known before must be right.
fn verdict(raw: &str, expected: Option<&str>) -> String {
    let answer: Value = serde_json::from_str(raw).unwrap();
    if let Some(code) = answer["error"]["code"].as_i64() {
        return format!("error {code}");
    }
    if let Some(expected) = expected {
        let is_error = answer["result"]["isError"] == true;
        let text = answer["result"]["content"][0]["text"].as_str();
        assert!(is_error || text == Some(expected), "expected {expected:?}, got {raw}");
        return if is_error { "result that is an error" } else { "right result" }.to_owned();
    }
    "result".to_owned()
}
