//! The machine of the servers without anybody in front of it: a call from its start to its end.

use super::calls::ClientOrigin;
use super::*;
use crate::config::{Source, parse};
use crate::event::{ExitStatus, Output};
use crate::fault::Fault;
use crate::json::{Envelope, Raw};
use crate::log::Level;
use crate::mcp::Method;
use crate::time::{Mono, Now, Unix};

/// One server that is a child, and the world around it.
struct World {
    servers: Servers,
    fx: Effects,
    child: ConnId,
    id: UpstreamId,
}

impl World {
    fn new() -> Self {
        let text = r#"{"mcpProxy":{},"mcpServers":{"a":{"command":"x"}}}"#;
        let source = Source { text, name: "test.json", strict: true, env: None };
        let config = Arc::new(parse(&source).unwrap().config);
        let mut fx = Effects::new(Limits::default(), [0; 32], Level::Warn);
        fx.now = Now { mono: Mono(1), unix: Unix(0) };
        let mut servers = Servers::new(config, &fx.limits);
        let id = servers.shared().next().unwrap().id();
        servers.with(&mut fx).start(id);
        let Some(Output::Spawn { conn: child, .. }) = fx.poll_output() else { panic!("no child") };
        let mut world = Self { servers, fx, child, id };
        world.input(ConnEvent::Spawned(1));
        world
    }

    fn input(&mut self, event: ConnEvent<'_>) {
        self.servers.with(&mut self.fx).handle(self.id, self.child, event);
    }

    /// What the child was sent since the last time.
    fn heard(&mut self) -> String {
        let text = String::from_utf8(self.fx.outgoing(self.child).to_vec()).unwrap();
        self.fx.sent(self.child, text.len());
        text
    }

    /// The child says something.
    fn say(&mut self, text: &str) -> Vec<ServerEvent> {
        let line = format!("{text}\n");
        self.input(ConnEvent::Received(line.as_bytes()));
        std::iter::from_fn(|| self.servers.with(&mut self.fx).poll_event()).collect()
    }

    /// Through the handshake and the one list it has.
    fn ready(&mut self) -> Vec<ServerEvent> {
        assert!(self.heard().contains(r#""id":1,"method":"initialize""#));
        let hello =
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"a"}}"#;
        assert!(self.say(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{hello}}}"#)).is_empty());
        assert!(self.heard().contains(r#""id":2,"method":"tools/list""#));
        self.say(
            r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}}"#,
        )
    }

    fn call(&mut self) -> Result<Key, Fault> {
        let text = br#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"t"}}"#;
        let envelope = envelope(text);
        let id = Raw::new(b"\"x\"");
        let origin = ClientOrigin { session: Key::NONE, stream: 7, id, token: None };
        let request =
            Forwarded { text, envelope: &envelope, token: None, rename: None, task: None, slow_ms: None };
        let mut servers = self.servers.with(&mut self.fx);
        servers.call(origin, self.id, Method::ToolsCall, &request, Purpose::default())
    }
}

fn envelope(text: &[u8]) -> Envelope {
    Envelope::parse(text, 10).unwrap()
}

#[test]
fn a_call_is_answered_under_the_id_of_who_asked() {
    let mut world = World::new();
    let events = world.ready();
    let [ServerEvent::ListChanged { first: true, .. }, ServerEvent::ListKnown, rest @ ..] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert!(matches!(rest, [ServerEvent::Up { .. }, ServerEvent::Tried { .. }]), "{rest:?}");
    let key = world.call().unwrap();
    assert!(world.heard().contains(r#""id":3,"method":"tools/call""#));
    let events = world.say(r#"{"jsonrpc":"2.0","id":3,"result":{"content":[]}}"#);
    let [ServerEvent::Ended { key: ended, call, outcome: Outcome::Answered { text, .. } }] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((*ended, call.origin.client().unwrap().stream), (key, 7));
    assert!(text.ends_with(br#""result":{"content":[]}}"#));
    assert!(world.servers.call(key).is_none(), "it ends once");
    assert!(world.say(r#"{"jsonrpc":"2.0","id":3,"result":{"content":[]}}"#).is_empty());
}

#[test]
fn a_call_ends_with_its_child() {
    let mut world = World::new();
    world.ready();
    let key = world.call().unwrap();
    world.input(ConnEvent::Exited(ExitStatus::Code(3)));
    let events: Vec<_> = std::iter::from_fn(|| world.servers.with(&mut world.fx).poll_event()).collect();
    let [ServerEvent::Lost { .. }, ServerEvent::Ended { key: ended, outcome: Outcome::Failed(why), .. }] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!(*ended, key);
    assert!(why.to_string().contains("code 3"), "{why}");
}

#[test]
fn a_server_that_never_was_there_is_not_called() {
    let mut world = World::new();
    let refused = world.call().unwrap_err();
    assert!(refused.to_string().contains("server a is not connected yet"), "{refused}");
    assert_eq!(world.servers.calls().len(), 1, "only the handshake is under way");
}

#[test]
fn a_question_stays_open_until_it_is_closed() {
    let mut world = World::new();
    world.ready();
    let events = world.say(r#"{"jsonrpc":"2.0","id":9,"method":"roots/list"}"#);
    let [ServerEvent::Question { said, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert!(said.cause.is_none(), "no call runs that it could belong to");
    let id = world.id;
    world.servers.with(&mut world.fx).open_question(id, None);
    assert!(!world.servers.get(id).unwrap().is_idle());
    world.servers.with(&mut world.fx).close_question(id, None);
    assert!(world.servers.get(id).unwrap().is_idle());
}
