//! Answers that are not quite what they should be: taken where it is clear what they mean, and otherwise the end of the
//! call that they name. Nobody waits for what was said already.

use super::{one, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, Req};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

/// What comes after the wait for an answer, virtual milliseconds.
const AT_ONCE_MS: u64 = 1_000;

/// Texts for a call with this id that mean the answer `fine`.
const TAKEN: [(&str, &str); 15] = [
    ("a whole number as a fraction", r#"{"jsonrpc":"2.0","id":ID.0,"result":RESULT}"#),
    ("a whole number with an exponent", r#"{"jsonrpc":"2.0","id":IDe0,"result":RESULT}"#),
    ("a number as a string", r#"{"jsonrpc":"2.0","id":"ID","result":RESULT}"#),
    ("a fraction as a string", r#"{"jsonrpc":"2.0","id":"ID.0","result":RESULT}"#),
    ("an error that is null", r#"{"jsonrpc":"2.0","id":ID,"result":RESULT,"error":null}"#),
    (
        "all members there are",
        r#"{"jsonrpc":"2.0","method":null,"params":null,"error":null,"result":RESULT,"id":ID}"#,
    ),
    ("no version", r#"{"id":ID,"result":RESULT}"#),
    ("another version", r#"{"jsonrpc":"1.0","id":ID,"result":RESULT,"error":null}"#),
    ("an array of one", r#"[{"jsonrpc":"2.0","id":ID,"result":RESULT}]"#),
    ("an array of one, sloppily", r#" [ {"id":ID.0,"result":RESULT,"error":null} ] "#),
    ("a byte order mark", "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":RESULT}"),
    ("several byte order marks", "\u{feff}\u{feff} {\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":RESULT}"),
    ("a second message behind", r#"{"jsonrpc":"2.0","id":ID,"result":RESULT}{"jsonrpc":"2.0","method":"x"}"#),
    (
        "a second message before",
        r#"{"jsonrpc":"2.0","method":"x"} {"jsonrpc":"2.0","id":ID,"result":RESULT}"#,
    ),
    ("something behind", r#"{"jsonrpc":"2.0","id":ID,"result":RESULT} done."#),
];

/// Texts that name a call and give it no answer.
const BROKEN: [(&str, &str); 19] = [
    ("neither", r#"{"jsonrpc":"2.0","id":ID}"#),
    ("both", r#"{"jsonrpc":"2.0","id":ID,"result":{},"error":{"code":1,"message":"m"}}"#),
    ("an error that is null", r#"{"jsonrpc":"2.0","id":ID,"error":null}"#),
    ("an error that is a string", r#"{"jsonrpc":"2.0","id":ID,"error":"no"}"#),
    ("an error without a code", r#"{"jsonrpc":"2.0","id":ID,"error":{"message":"no"}}"#),
    ("an error with half a code", r#"{"jsonrpc":"2.0","id":ID,"error":{"code":1.5,"message":"no"}}"#),
    ("an error without a message", r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-1}}"#),
    ("a result that is null", r#"{"jsonrpc":"2.0","id":ID,"result":null}"#),
    ("two nulls", r#"{"jsonrpc":"2.0","id":ID,"result":null,"error":null}"#),
    ("a result that is a list", r#"{"jsonrpc":"2.0","id":ID,"result":[1]}"#),
    ("no number of JSON", r#"{"jsonrpc":"2.0","id":ID,"result":{"x":NaN}}"#),
    ("the id last", r#"{"result":{"id":1,"x":-Infinity},"jsonrpc":"2.0","id":ID}"#),
    ("cut off", r#"{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"te"#),
    ("an escape that is none", r#"{"jsonrpc":"2.0","id":ID,"result":{"x":"\x"}}"#),
    ("two results", r#"{"jsonrpc":"2.0","id":ID,"result":{},"result":{}}"#),
    ("a comma too many", r#"{"jsonrpc":"2.0","id":ID,"result":{"a":1,}}"#),
    ("one bracket too few", r#"{"jsonrpc":"2.0","id":ID,"result":{"a":[1}}"#),
    ("deep", "{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":DEEP}"),
    ("in an array", r#"[{"jsonrpc":"2.0","id":ID}]"#),
];

fn text(form: &str, id: &Value) -> String {
    let result = r#"{"content":[{"type":"text","text":"fine"}],"structuredContent":{"a":1.0,"id":4}}"#;
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    form.replace("ID", &id.to_string()).replace("RESULT", result).replace("DEEP", &deep)
}

/// A call that nobody answers, and its id at the server.
fn call(w: &mut World, server: &str, client: usize) -> (Req, Value) {
    let req = w.start_watched(client, "never", json!({}), json!("token"));
    w.until_heard(req);
    (req, w.mind(server).last("tools/call").expect("a call").value["id"].clone())
}

#[track_caller]
fn answered_at_once(w: &mut World, req: Req, since: u64, what: &str) -> Value {
    let answer = w.outcome(req);
    assert!(w.now_ms() - since < AT_ONCE_MS, "{what}: it waited");
    answer
}

#[test]
fn an_answer_is_taken_however_sloppily_it_is_written() {
    // FT-105
    story_of([0, 3], one(), |w| {
        for kind in [Kind::Streamable, Kind::Sse] {
            let c = w.client("fs", kind);
            for (what, form) in TAKEN {
                let (other, _) = call(w, "fs", c);
                let (req, id) = call(w, "fs", c);
                let since = w.now_ms();
                let line = text(form, &id) + "\n";
                w.with_child("fs", |child, net| net.send(child.conn, line.as_bytes()));
                let answer = answered_at_once(w, req, since, what);
                assert_eq!(answer["result"]["content"][0]["text"], "fine", "{what}: {answer}");
                assert_eq!(answer["jsonrpc"], "2.0", "{what}");
                let members = answer.as_object().unwrap();
                assert_eq!(members.len(), 3, "{what}: {answer}");
                w.cancel(other);
            }
            let (req, id) = call(w, "fs", c);
            let since = w.now_ms();
            let [head, tail] = [
                "{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"gr",
                "n\"}]}}\n",
            ];
            let line = [head.replace("ID", &id.to_string()).as_bytes(), b"\xfc", tail.as_bytes()].concat();
            w.with_child("fs", |child, net| net.send(child.conn, &line));
            let answer = answered_at_once(w, req, since, "Latin-1");
            assert_eq!(answer["result"]["content"][0]["text"], "gr\u{fffd}n", "{answer}");
            w.check_echo(c);
        }
        assert_eq!(w.children_of("fs").len(), 1);
    });
}

#[test]
fn a_broken_answer_ends_the_call_that_it_names_at_once() {
    // FT-105
    story_of([0, 3], one(), |w| {
        for kind in [Kind::Streamable, Kind::Sse] {
            let c = w.client("fs", kind);
            for (what, form) in BROKEN {
                let (other, _) = call(w, "fs", c);
                let (req, id) = call(w, "fs", c);
                let since = w.now_ms();
                let line = text(form, &id) + "\n";
                w.with_child("fs", |child, net| net.send(child.conn, line.as_bytes()));
                let answer = answered_at_once(w, req, since, what);
                assert_eq!(answer["error"]["code"], -32603, "{what}: {answer}");
                let said = answer["error"]["message"].as_str().unwrap();
                assert!(said.contains("the server"), "{what}: {said}");
                // The other one goes on.
                let rest = "{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n";
                w.with_child("fs", |child, net| net.send(child.conn, rest.as_bytes()));
                w.run_ms(50);
                assert_eq!(*w.state(other), mcp_proxy_tests::client::State::Waiting, "{what}");
                w.cancel(other);
            }
            w.check_echo(c);
        }
        assert!(w.watch.logged("an answer cannot be used"));
        assert_eq!(w.children_of("fs").len(), 1);
    });
}

#[test]
fn over_http_the_same_is_taken_and_the_same_ends_at_once() {
    // FT-105
    for (server, json) in [("web", true), ("web", false), ("old", false)] {
        let cast = Cast::default().streamable("web").sse("old").change_site(server, |s| s.json = json);
        story_of([1], cast, |w| {
            let c = w.client(server, Kind::Streamable);
            for (what, form) in TAKEN.into_iter().chain(BROKEN) {
                let fine = form.contains("RESULT");
                let (req, id) = call(w, server, c);
                let since = w.now_ms();
                w.say_as_answer(server, &id, &text(form, &id));
                let answer = answered_at_once(w, req, since, what);
                match fine {
                    true => assert_eq!(answer["result"]["content"][0]["text"], "fine", "{what}: {answer}"),
                    false => assert_eq!(answer["error"]["code"], -32603, "{what}: {answer}"),
                }
            }
            w.check_echo(c);
        });
    }
}

#[test]
fn an_answer_without_an_id_ends_the_call_whose_stream_it_came_on() {
    // FT-105
    story(Cast::default().streamable("web").change_site("web", |s| s.json = false), |w| {
        let c = w.client("web", Kind::Streamable);
        for form in [
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
            r#"{"jsonrpc":"2.0","error":{"#,
        ] {
            let (req, id) = call(w, "web", c);
            let since = w.now_ms();
            w.say_as_answer("web", &id, form);
            assert_eq!(answered_at_once(w, req, since, form)["error"]["code"], -32603, "{form}");
        }
    });
}

#[test]
fn a_request_or_notification_with_null_for_params_has_none() {
    // FT-105
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let c = w.client(server, Kind::Streamable);
            w.listen(c);
            w.run_ms(1_000);
            w.say(server, r#"{"jsonrpc":"2.0","id":"p","method":"ping","params":null}"#);
            w.run_until("the answer to a ping", |w| heard(w, server, r#""id":"p","result":{}"#));
            w.say(server, r#"{"jsonrpc":"2.0","id":7.0,"method":"ping","params":null,"error":null}"#);
            w.run_until("the answer to a ping", |w| heard(w, server, r#""id":7.0,"result":{}"#));
            w.mind(server).tools.push("fresh".to_owned());
            w.say(server, r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":null}"#);
            w.run_until("the news", |w| !w.inbox(c, "notifications/tools/list_changed").is_empty());
            let tools = w.ask(c, "tools/list", json!({}))["result"]["tools"].to_string();
            assert!(tools.contains("fresh"), "{server}");
        }
    });
}

#[test]
fn a_question_with_null_for_params_reaches_its_client() {
    // FT-105
    story(one(), |w| {
        let c = w.client_with("fs", Kind::Streamable, |c| c.capabilities = json!({"roots": {}}));
        let (req, _) = call(w, "fs", c);
        w.say("fs", r#"{"jsonrpc":"2.0","id":"r","method":"roots/list","params":null}"#);
        w.run_until("the question", |w| !w.inbox(c, "roots/list").is_empty());
        w.cancel(req);
    });
}

#[test]
fn a_request_that_nobody_can_read_is_refused() {
    // FT-105: and its id, which is a small number as well, is none of ours
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let (req, id) = call(w, "fs", c);
        for (n, form) in [
            r#"{"jsonrpc":"2.0","id":ID,"method":"ping","params":[1]}"#,
            r#"{"jsonrpc":"2.0","id":ID,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":ID,"method":"ping","params":{"x":NaN}}"#,
        ]
        .into_iter()
        .enumerate()
        {
            w.say("fs", &form.replace("ID", &id.to_string()));
            w.run_until("the refusal", |w| {
                let child = w.children.last().unwrap();
                let refused = |value: &&Value| value["id"] == id && value["error"]["code"] == -32600;
                child.program.mind.heard.iter().map(|heard| &heard.value).filter(refused).count() == n + 1
            });
        }
        assert_eq!(*w.state(req), mcp_proxy_tests::client::State::Waiting);
        w.cancel(req);
        w.check_echo(c);
    });
}

#[test]
fn lines_of_a_log_end_no_call() {
    // FT-105
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let (req, id) = call(w, "fs", c);
        for form in [
            r#"{"level":"error","id":ID,"error":"disk full"}"#,
            r#"{"id":ID,"result":"stored"}"#,
            r#"{"id":ID}"#,
            r#"sending {"jsonrpc":"2.0","id":ID,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"#,
            r#"{"jsonrpc":"2.0","result":{"id":ID},"x":NaN}"#,
            r#"["jsonrpc",ID]"#,
            "\"id\": ID,",
        ] {
            let line = text(form, &id) + "\n";
            w.with_child("fs", |child, net| net.send(child.conn, line.as_bytes()));
            w.run_ms(200);
            assert_eq!(*w.state(req), mcp_proxy_tests::client::State::Waiting, "{form}");
        }
        let line = text(r#"{"jsonrpc":"2.0","id":ID,"result":RESULT}"#, &id);
        w.say("fs", &line);
        assert_eq!(w.text(req), "fine");
    });
}

#[test]
fn a_handshake_that_cannot_be_read_fails_at_once() {
    // FT-105
    story_of([0, 1], one().first_program("fs", |p| p.mind.mute = true), |w| {
        w.run_until("the handshake", |w| heard(w, "fs", "initialize"));
        let id = w.mind("fs").last("initialize").unwrap().value["id"].clone();
        let since = w.now_ms();
        w.say("fs", &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":NaN}}}}"#));
        w.run_until("the end of the try", |w| w.watch.logged("the answer of the server cannot be used"));
        assert!(w.now_ms() - since < AT_ONCE_MS);
        let c = w.client("fs", Kind::Streamable);
        w.check_echo(c);
    });
}

fn heard(w: &World, server: &str, text: &str) -> bool {
    let child = w
        .children_of(server)
        .last()
        .is_some_and(|child| child.program.mind.heard.iter().any(|heard| heard.raw.contains(text)));
    let host = format!("{server}.test");
    let mut sites = w.sites.iter().filter(|site| site.host == host);
    child || sites.any(|site| site.mind.heard.iter().any(|heard| heard.raw.contains(text)))
}
