//! What passes through the engine between a client and a server that keep the rules, except in what they say: params and
//! results of calls, questions and their answers, lists as one.
//!
//! Byte 0: which; byte 1: the client's revision; the rest: pieces of JSON with line ends between, put into messages.
//!
//! Properties: whatever the pieces are, a request that reached the other side is answered exactly once, in time; what is
//! passed on says what was said, member by member, but for what belongs to a hop (ids, progress tokens, tasks) and what an
//! older revision has no words for; `arguments` leave byte for byte; merged names are unique, of the alphabet of hosts, and
//! lead back to the server and the name they stand for.

use crate::rig::peer::{Asked, Side};
use crate::rig::{Rig, tells_secret, tight, words};
use crate::tape::Tape;
use mcp_proxy_core::id::ConnId;
use mcp_proxy_core::limits::Limits;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const REVISIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
const ASKS: [&str; 3] = ["elicitation/create", "sampling/createMessage", "roots/list"];

/// See the module.
pub fn passage(data: &[u8]) {
    if tells_secret(data) {
        return;
    }
    let mut tape = Tape::new(data);
    let (which, revision) = (tape.below(5), tape.pick(&REVISIONS));
    match which {
        0 => check_call(&mut tape, revision),
        1..=3 => check_question(&mut tape, revision, ASKS[which - 1]),
        _ => check_lists(&mut tape, revision),
    }
}

/// An engine with a client that has shaken hands at `path`.
fn session(config: &str, path: &str, revision: &str, members: impl Fn(&Asked) -> String) -> Rig {
    let limits = Limits { session_idle_ms: 15_000, ..tight() };
    let mut rig = Rig::new(config, limits);
    for _ in 0..4 {
        rig.go_on(&members);
    }
    // Lists that are not answered are not waited for any longer.
    rig.pass(2_500);
    rig.go_on(&members);
    let capabilities = json!({"roots": {}, "sampling": {"tools": {}}, "elicitation": {"form": {}, "url": {}}});
    let params = json!({"protocolVersion": revision, "capabilities": capabilities,
        "clientInfo": {"name": "c", "version": "1"}});
    post(&mut rig, path, json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string().as_bytes());
    rig.go_on(&members);
    post(&mut rig, path, br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    rig.go_on(&members);
    rig.go_on(&members);
    let is_served = rig.peers.values().any(|peer| !peer.session.is_empty());
    assert!(is_served, "a server whose handshake was good is not served");
    rig
}

/// Each message over a connection of its own: idle ones are closed.
fn post(rig: &mut Rig, path: &str, body: &[u8]) {
    let conn = rig.accept().expect("a connection");
    let sessions: Vec<&str> = rig.peers.values().map(|peer| peer.session.as_str()).filter(|it| !it.is_empty()).collect();
    let session = sessions.first().map_or(String::new(), |session| format!("Mcp-Session-Id: {session}\r\n"));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, text/event-stream\r\n\
         Content-Type: application/json\r\n{session}Content-Length: {}\r\n\r\n",
        body.len()
    );
    rig.say(conn, &[head.as_bytes(), body].concat());
    rig.pump_all();
}

fn usual(asked: &Asked) -> String {
    words::result_of(&asked.method).to_owned()
}

/// The messages to one side that have this id and no method.
fn answers(rig: &Rig, side: Side, id: &str) -> Vec<Vec<u8>> {
    let is_answer = |text: &&Vec<u8>| {
        let members = members(text);
        members.get("id").is_some_and(|raw| raw.get() == id) && !members.contains_key("method")
    };
    let inboxes = rig.peers.values().filter(|peer| peer.side == side).flat_map(|peer| &peer.inbox);
    inboxes.filter(is_answer).cloned().collect()
}

/// The members of a message, raw.
fn members(text: &[u8]) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_slice(text).unwrap_or_default()
}

/// The request of this method that waits at a child.
fn request(rig: &mut Rig, method: &str) -> Option<(ConnId, Asked)> {
    for conn in rig.conns(|peer| peer.side == Side::Child) {
        let peer = rig.peers.get_mut(&conn)?;
        if let Some(place) = peer.asked.iter().position(|asked| asked.method == method) {
            return peer.asked.remove(place).map(|asked| (conn, asked));
        }
    }
    None
}

/// The same, once the connection it takes has been made: a client with capabilities of its own gets one of its own.
fn until_request(rig: &mut Rig, method: &str, members: impl Fn(&Asked) -> String) -> Option<(ConnId, Asked)> {
    for _ in 0..5 {
        rig.grant_all(true);
        rig.pump_all();
        if let Some(found) = request(rig, method) {
            return Some(found);
        }
        rig.go_on(&members);
    }
    request(rig, method)
}

/// Takes out what belongs to one hop.
fn without_hop(mut params: Value) -> Value {
    if let Some(all) = params.as_object_mut() {
        all.remove("task");
        if let Some(meta) = all.get_mut("_meta").and_then(Value::as_object_mut) {
            meta.remove("progressToken");
            if meta.is_empty() {
                all.remove("_meta");
            }
        }
    }
    params
}

fn in_one_line(raw: &str) -> String {
    raw.replace(['\r', '\n'], " ")
}

fn check_call(tape: &mut Tape<'_>, revision: &str) {
    let (params, result) = (tape.until(0), tape.until(0));
    let mut rig = session(words::CONFIGS[0], "/fs/mcp", revision, usual);
    let body = [br#"{"jsonrpc":"2.0","id":"call","method":"tools/call","params":"#, params, b"}"].concat();
    post(&mut rig, "/fs/mcp", &body);
    let Some((child, asked)) = until_request(&mut rig, "tools/call", usual) else {
        rig.pass(8_000);
        rig.pump_all();
        assert!(answers(&rig, Side::Client, "\"call\"").len() <= 1, "more than one answer");
        return rig.finish();
    };
    let (sent, heard) = (members(&body), members(&asked.text));
    if let (Ok(sent), Ok(heard)) = (serde_json::from_slice::<Value>(&body), serde_json::from_slice::<Value>(&asked.text)) {
        assert_eq!(without_hop(sent["params"].clone()), without_hop(heard["params"].clone()));
    }
    let arguments = |members: &BTreeMap<String, Box<RawValue>>| {
        let raw = members.get("params").map(|raw| members_of(raw));
        raw.and_then(|all| all.get("arguments").map(|raw| in_one_line(raw.get())))
    };
    assert_eq!(arguments(&sent), arguments(&heard), "arguments have changed");

    let message = [b"{\"jsonrpc\":\"2.0\",\"id\":", asked.id.as_bytes(), b",", result, b"}"].concat();
    rig.reply(child, Side::Child, "", &message, 0);
    rig.pump_all();
    for _ in 0..10 {
        rig.pass(1_000);
        rig.pump_all();
    }
    let found = answers(&rig, Side::Client, "\"call\"");
    assert_eq!(found.len(), 1, "{}", String::from_utf8_lossy(&found.concat()));
    let said = members(&message);
    if let (Some(own), Some(gone)) = (members(&found[0]).get("result"), said.get("result")) {
        let is_own = members_of(gone).contains_key("task") || said.contains_key("error");
        assert!(is_own || in_one_line(gone.get()) == own.get(), "a result has changed: {own} {gone}");
    }
    rig.finish();
}

fn members_of(raw: &RawValue) -> BTreeMap<String, Box<RawValue>> {
    members(raw.get().as_bytes())
}

/// Members of a question that an older revision may see in another form, or not at all.
const REWORDED: [&str; 6] = ["mode", "requestedSchema", "tools", "toolChoice", "includeContext", "messages"];

fn check_question(tape: &mut Tape<'_>, revision: &str, method: &str) {
    let (params, result) = (tape.until(0), tape.until(0));
    let mut rig = session(words::CONFIGS[0], "/fs/mcp", revision, usual);
    post(&mut rig, "/fs/mcp", br#"{"jsonrpc":"2.0","id":"call","method":"tools/call","params":{"name":"a"}}"#);
    let Some((child, _)) = until_request(&mut rig, "tools/call", usual) else { panic!("the call is not passed on") };
    let text = [b"{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"", method.as_bytes(), b"\",\"params\":", params, b"}"].concat();
    rig.reply(child, Side::Child, "", &text, 0);
    rig.pump_all();

    let clients = rig.peers.values().filter(|peer| peer.side == Side::Client);
    let inbox = clients.flat_map(|peer| &peer.inbox);
    let asked = inbox.map(|text| (members(text), text.clone())).find(|(all, _)| {
        all.get("method").is_some_and(|raw| raw.get().trim_matches('"') == method)
    });
    let mut sent_answer = Vec::new();
    if let Some((all, heard)) = asked {
        if let (Ok(sent), Ok(heard)) = (serde_json::from_slice::<Value>(&text), serde_json::from_slice::<Value>(&heard)) {
            check_reworded(revision, &sent["params"], &heard["params"]);
        }
        let id = all.get("id").map_or("0", |raw| raw.get());
        sent_answer = [b"{\"jsonrpc\":\"2.0\",\"id\":", id.as_bytes(), b",", result, b"}"].concat();
        post(&mut rig, "/fs/mcp", &sent_answer);
    }
    let answered: Vec<Vec<u8>> = answers(&rig, Side::Child, "\"q\"");
    if let (Some(own), Some(gone)) =
        (answered.first().and_then(|text| members(text).remove("result")), members(&sent_answer).get("result"))
    {
        assert_eq!(in_one_line(gone.get()), own.get(), "an answer has changed");
    }
    for _ in 0..8 {
        rig.pass(1_000);
        rig.pump_all();
    }
    let is_question = members(&text).get("id").is_some_and(|raw| raw.get() == "\"q\"");
    let count = answers(&rig, Side::Child, "\"q\"").len();
    assert!(count <= 1 && (count == 1 || !is_question || !fits(&text)), "{count} answers to a question");
    rig.finish();
}

/// Whether this is a request that the engine must take for one.
fn fits(text: &[u8]) -> bool {
    mcp_proxy_core::json::Envelope::parse(text, tight().json_depth_max).is_ok() && !text.contains(&b'\n')
}

fn check_reworded(revision: &str, sent: &Value, heard: &Value) {
    let strip = |params: &Value| {
        let mut params = without_hop(params.clone());
        if let Some(all) = params.as_object_mut() {
            let gone = if revision == REVISIONS[0] { &["includeContext", "tools", "toolChoice"][..] } else { &REWORDED[..] };
            gone.iter().for_each(|name| {
                all.remove(*name);
            });
        }
        params
    };
    let none = json!({});
    let sent = if sent.is_null() { &none } else { sent };
    assert_eq!(strip(sent), strip(heard), "a question has changed");
}

/// Two servers as one, each with lists of its own.
fn check_lists(tape: &mut Tape<'_>, revision: &str) {
    const TWO: &str = r#"{"mcpProxy":{"type":"both"},"mcpServers":{"fs":{"command":"fs"},"web":{"command":"web"}}}"#;
    let lists: Vec<String> = (0..2).map(|_| String::from_utf8_lossy(tape.until(0)).into_owned()).collect();
    let members = |asked: &Asked| {
        if !asked.method.ends_with("/list") {
            return usual(asked);
        }
        format!("\"result\":{{{}}}", lists[usize::from(asked.to == "web")])
    };
    let mut rig = session(TWO, "/mcp", revision, members);
    for (n, kind) in ["tools", "prompts", "resources", "resources/templates"].iter().enumerate() {
        post(&mut rig, "/mcp", format!(r#"{{"jsonrpc":"2.0","id":{},"method":"{kind}/list"}}"#, 100 + n).as_bytes());
        rig.go_on(members);
        for _ in 0..8 {
            rig.pass(1_000);
            rig.pump_all();
        }
        let answer = answers(&rig, Side::Client, &(100 + n).to_string());
        assert_eq!(answer.len(), 1, "no answer to {kind}/list");
        if let Ok(list) = serde_json::from_slice::<Value>(&answer[0]) {
            check_names(&mut rig, kind, &list["result"][*kind], members);
        }
    }
    rig.finish();
}

fn check_names(rig: &mut Rig, kind: &str, list: &Value, said: impl Fn(&Asked) -> String) {
    if !matches!(kind, "tools" | "prompts") {
        return;
    }
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> = items.iter().map(|item| item["name"].as_str().expect("a published item has a name")).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name is published twice: {names:?}");
    let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    assert!(names.iter().all(|name| plain(name) && (1..=64).contains(&name.len())), "{names:?}");
    let method = if kind == "tools" { "tools/call" } else { "prompts/get" };
    for (n, name) in names.iter().take(3).enumerate() {
        let id = format!("{kind}-{n}");
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"name": name}});
        post(rig, "/mcp", body.to_string().as_bytes());
        let Some((child, asked)) = until_request(rig, method, &said) else { panic!("{name} leads nowhere") };
        assert!(members_of(&members(&asked.text)["params"]).contains_key("name"), "{name}");
        let message = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{}}}}", asked.id);
        rig.reply(child, Side::Child, "", message.as_bytes(), 0);
        rig.pump_all();
        assert_eq!(answers(rig, Side::Client, &json!(id).to_string()).len(), 1, "{name} is not answered");
    }
}
