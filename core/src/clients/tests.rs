//! The machine alone: no server, no bridge, no authorization server.

use super::*;
use crate::config::{self, Source};
use crate::fault::{Code, Fault};
use crate::limits::Limits;
use crate::policy::Principal;

const CONN: ConnId = ConnId::accepted(1);

struct Stage {
    clients: Clients,
    fx: Effects,
}

impl Stage {
    fn new() -> Self {
        let text = r#"{"mcpProxy":{"type":"streamable-http"},"mcpServers":{"a":{"command":"x"}}}"#;
        let source = Source { text, name: "test.json", strict: true, env: None };
        let config = config::parse(&source).unwrap().config;
        let fx = Effects::new(Limits::default(), [1; 32], Level::Info);
        let mut stage = Self { clients: Clients::new(&config, Gate::default(), 2), fx };
        stage.clients.accept(&mut stage.fx, CONN, ([127, 0, 0, 1], 9).into(), true);
        stage
    }

    /// Sends a request and lets it in; gives what it is.
    fn sends(&mut self, method: &str, session: Option<&str>, body: &str) -> ClientEvent {
        let session = session.map(|id| format!("mcp-session-id: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "{method} /a/mcp HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{session}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.clients.handle(&mut self.fx, CONN, ConnEvent::Received(request.as_bytes()));
        let Some(ClientEvent::Entry { exchange, route }) = self.poll() else { panic!("a head comes first") };
        let seen = (crate::id::ViewId(0), Principal::Anonymous);
        self.clients.admit(&mut self.fx, exchange, route.endpoint, seen, None);
        self.poll().expect("a request is an event")
    }

    fn poll(&mut self) -> Option<ClientEvent> {
        self.clients.poll_event(&mut self.fx)
    }

    /// What was written to the client.
    fn written(&mut self) -> String {
        let text = String::from_utf8(self.fx.outgoing(CONN).to_vec()).unwrap();
        self.fx.sent(CONN, text.len());
        text
    }

    /// Opens a session; gives its key and its name on the wire.
    fn opens_session(&mut self) -> (Key, String) {
        let event = self.sends("POST", None, r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#);
        let ClientEvent::Mcp(McpEvent::Request { mut message }) = event else { panic!("{event:?}") };
        assert!(message.is_opening());
        let key = self.clients.open_session(&mut self.fx, &mut message).unwrap();
        self.clients.serve(&mut self.fx, message, Served::nothing());
        assert!(self.poll().is_none());
        let answer = self.written();
        let name = answer.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
        (key, name.expect("the answer names the session").to_owned())
    }
}

#[test]
fn an_answer_that_comes_later_goes_to_its_request_and_a_session_that_ends_is_told() {
    let mut stage = Stage::new();
    let (key, name) = stage.opens_session();

    let event = stage.sends("POST", Some(&name), r#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#);
    let ClientEvent::Mcp(McpEvent::Request { message }) = event else { panic!("{event:?}") };
    let requester = message.requester();
    assert_eq!((requester.session, message.id()), (key, b"7".as_slice()));
    stage.clients.serve(&mut stage.fx, message, Served::Later);
    assert!(stage.poll().is_none() && stage.written().is_empty());
    let answer = br#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    stage.clients.deliver(&mut stage.fx, requester, &Pieces::of(&[answer]), Role::Answer);
    assert!(stage.poll().is_none());
    assert!(stage.written().ends_with(std::str::from_utf8(answer).unwrap()));

    let event = stage.sends("DELETE", Some(&name), "");
    assert!(matches!(event, ClientEvent::Mcp(McpEvent::Ended { session }) if session == key), "{event:?}");
    assert!(stage.written().starts_with("HTTP/1.1 204 "));
    assert_eq!((stage.clients.sessions_len(), stage.clients.conns_len()), (0, 1));
}

#[test]
fn a_request_without_a_session_is_for_others_to_refuse() {
    let mut stage = Stage::new();
    let event = stage.sends("POST", None, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let ClientEvent::Mcp(McpEvent::Sessionless { exchange, .. }) = event else { panic!("{event:?}") };
    stage.clients.refuse(&mut stage.fx, exchange, Fault::local(Code::NotReady, "not yet"));
    assert!(stage.poll().is_none());
    let refusal = stage.written();
    assert!(refusal.starts_with("HTTP/1.1 503 ") && refusal.contains("retry-after: 2"), "{refusal}");
}

#[test]
fn a_session_makes_room_for_the_next_and_is_told_before_its_place_is_taken() {
    // limit: sessions_max
    let mut stage = Stage::new();
    let (first, _) = stage.opens_session();
    stage.opens_session();
    let event = stage.sends("POST", None, r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#);
    let ClientEvent::Mcp(McpEvent::Request { mut message }) = event else { panic!("{event:?}") };
    let third = stage.clients.open_session(&mut stage.fx, &mut message).unwrap();
    assert_eq!(stage.clients.next_ended(), Some(first));
    assert_ne!(third, first);
    stage.clients.serve(&mut stage.fx, message, Served::nothing());
}
