//! What servers ask of clients: it reaches the right one, on the right stream, and every question is answered once.

use super::{KINDS, one, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Client, Kind, Stand, State};
use mcp_proxy_tests::mind::asking::Asked;
use mcp_proxy_tests::story::{story, story_of};
use serde_json::{Value, json};

/// A client that can be asked everything, and answers after up to 300 ms.
pub(super) fn able(client: &mut Client) {
    client.capabilities = json!({"roots": {}, "sampling": {}, "elicitation": {}});
    let sampled = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "said"}});
    for (method, result) in [
        ("roots/list", json!({"roots": [{"uri": "file:///home"}]})),
        ("sampling/createMessage", sampled),
        ("elicitation/create", json!({"action": "accept", "content": {"name": "Ada"}})),
    ] {
        client.replies.insert(method.to_owned(), json!({"within_ms": 300, "result": result}));
    }
}

/// The same, but it leaves its questions to be answered by hand.
pub(super) fn able_but_silent(client: &mut Client) {
    able(client);
    client.replies.values_mut().for_each(|reply| *reply = Value::Null);
}

/// Arguments of the tool `ask` for each kind of question, and what the answer of [`able`] says.
const QUESTIONS: [(&str, &str); 3] =
    [("roots/list", "file:///home"), ("sampling/createMessage", "said"), ("elicitation/create", "Ada")];

pub(super) fn asking(method: &str) -> Value {
    let params = match method {
        "sampling/createMessage" => json!({"messages": [], "maxTokens": 9}),
        "elicitation/create" => {
            json!({"message": "Who?", "requestedSchema": {"type": "object", "properties": {}}})
        }
        _ => Value::Null,
    };
    json!({"method": method, "params": params})
}

#[test]
fn every_question_passes_over_every_pair_of_transports() {
    // BR-38, BR-43, DL-69, DL-70, UP-43
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let (asked, other) = (w.client_with(server, kind, able), w.client_with(server, kind, able));
            for (method, said) in QUESTIONS {
                let req = w.start_call(asked, "ask", asking(method));
                let text = w.text(req);
                assert!(
                    text.contains(said) && text.contains(&format!("\"c{asked}\"")),
                    "{server} {kind:?}: {text}"
                );
                let question = w.clients[asked].questions.last().unwrap();
                assert_eq!(question.method, method);
                if kind == Kind::Streamable {
                    assert_eq!(
                        question.exchange,
                        w.exchange_of(req).index,
                        "{server}: on the stream of its call"
                    );
                    assert!(w.exchange(w.exchange_of(req)).is_stream());
                }
            }
            assert!(w.clients[other].questions.is_empty(), "{server} {kind:?}");
            w.check_echo(other);
        }
    });
}

#[test]
fn a_question_makes_a_stream_of_the_answer_to_its_call() {
    // DL-70: before anything was written a plain answer can still become a stream
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let c = w.client_with(server, Kind::Streamable, able);
            w.check_echo(c);
            for (ms, method) in [(0, "roots/list"), (1_000, "elicitation/create")] {
                let mut arguments = asking(method);
                arguments["ms"] = json!(ms);
                let req = w.start_call(c, "ask", arguments);
                w.text(req);
                let xid = w.exchange_of(req);
                assert!(w.exchange(xid).is_stream(), "{server} {ms}");
                assert_eq!(w.clients[c].questions.last().unwrap().exchange, xid.index, "{server} {ms}");
            }
        }
    });
}

#[test]
fn several_questions_of_one_call_are_answered_in_any_order() {
    // BR-38
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, able_but_silent);
            let mut arguments = asking("elicitation/create");
            arguments["n"] = json!(4);
            let req = w.start_call(c, "ask", arguments);
            w.asked(c, 4);
            for place in (0..4).rev() {
                w.run_ms(50);
                let content = json!({"place": place});
                w.answer(c, place, &json!({"result": {"action": "accept", "content": content}}));
            }
            let told: Value = serde_json::from_str(&w.text(req)).unwrap();
            let places: Vec<&Value> =
                told.as_array().unwrap().iter().map(|t| &t["content"]["place"]).collect();
            // Over Streamable HTTP an answer is a POST, and POSTs may overtake each other: each finds its question.
            let questions =
                w.clients[c].questions.iter().map(|asked| asked.params["_meta"]["sim/uid"].clone());
            assert_eq!(questions.count(), 4);
            assert_eq!(places, [&json!(0), &json!(1), &json!(2), &json!(3)], "{server} {kind:?}");
        }
    });
}

#[test]
fn an_error_of_a_client_is_the_answer() {
    // DL-25
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, |c| {
                able(c);
                let refusal =
                    json!({"error": {"code": -1, "message": "User rejected", "data": {"why": [1.0]}}});
                c.replies.insert("sampling/createMessage".to_owned(), refusal);
            });
            let text = w.call(c, "ask", asking("sampling/createMessage"));
            let told: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (&told["code"], &told["data"]["why"]),
                (&json!(-1), &json!([1.0])),
                "{server} {kind:?}"
            );
            w.check_echo(c);
        }
    });
}

#[test]
fn answers_without_sense_end_the_question_and_nothing_else() {
    // DL-25, DL-26
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client_with("fs", kind, able_but_silent);
            for (place, result) in ["7", "[]", "null", "\"x\""].into_iter().enumerate() {
                let req = w.start_call(c, "ask", asking("sampling/createMessage"));
                w.asked(c, place + 1);
                let id = w.clients[c].questions[place].id.clone();
                w.clients[c].questions[place].stand = Stand::Answered;
                for id in [json!(424_242), json!("x"), Value::Null] {
                    w.post(c, &json!({"jsonrpc": "2.0", "id": id, "result": {}}).to_string());
                }
                w.run_ms(100);
                assert_eq!(*w.state(req), State::Waiting);
                w.post(c, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#));
                assert!(w.text(req).contains("-326"), "{result}");
                // A second answer answers nothing.
                w.post(c, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
                w.run_ms(100);
                w.check_echo(c);
            }
        }
    });
}

#[test]
fn a_question_that_is_taken_back_is_taken_back_from_its_client() {
    // BR-38
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, able_but_silent);
            let mut arguments = asking("elicitation/create");
            arguments["withdraw_ms"] = json!(700);
            arguments["pause_ms"] = json!(200);
            let req = w.start_call(c, "ask", arguments);
            assert_eq!(w.text(req), "null", "{server} {kind:?}");
            let asked = &w.clients[c].questions[0];
            assert_eq!(asked.stand, Stand::Withdrawn);
            let note = w.inbox(c, "notifications/cancelled")[0].clone();
            assert_eq!(note["params"], json!({"requestId": asked.id, "reason": "changed my mind"}));
            w.clients[c].questions[0].stand = Stand::Open;
            w.answer(c, 0, &json!({"result": {"action": "accept"}}));
            w.run_ms(500);
            let mind = if server == "fs" { w.child("fs").mind() } else { w.mind(server) };
            assert!(mind.questions.last().unwrap().answer.is_null(), "a late answer is nobody's");
            w.check_echo(c);
        }
    });
}

#[test]
fn a_client_may_tell_how_its_answer_is_coming_along() {
    // BR-38
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, |c| {
                able(c);
                let roots = json!({"reports": 3, "after_ms": 800, "result": {"roots": []}});
                c.replies.insert("roots/list".to_owned(), roots);
            });
            let req = w.start_call(c, "ask", json!({"token": true}));
            w.text(req);
            let token = &w.clients[c].questions[0].params["_meta"]["progressToken"];
            assert!(token.is_u64(), "a token of this hop: {token}");
            let question = w.mind(server).questions.last().unwrap().clone();
            assert_eq!((question.reports, question.is_signed()), (3, true), "{server} {kind:?}");
        }
    });
}

#[test]
fn no_question_comes_before_the_client_is_ready() {
    // DL-04
    story(one().options("fs", json!({"sessions": "dedicated"})), |w| {
        for kind in KINDS {
            w.client("fs", kind);
            let c = w.stranger_with("fs", kind, able);
            if kind == Kind::Sse {
                w.listen(c);
                w.run_until("an endpoint", |w| w.clients[c].endpoint.is_some());
            }
            w.greet(c);
            if kind == Kind::Streamable {
                w.listen(c);
            }
            w.start(c, "tools/list", json!({}));
            let before = w.children.len();
            let req = w.start_call(c, "ask", json!({}));
            w.until_heard(req);
            assert!(w.children.len() > before || w.alive("fs") > 1);
            w.run_ms(3_000);
            assert!(w.clients[c].questions.is_empty(), "{kind:?}");
            w.notify(c, "notifications/initialized", json!({}));
            assert!(w.text(req).contains("file:///home"));
        }
    });
}

#[test]
fn only_what_a_client_declared_is_asked() {
    // DL-09, DL-10, DL-11, DL-12
    let url = || json!({"mode": "url", "elicitationId": "e", "url": "https://example.com", "message": "Go"});
    let tools = || json!({"messages": [], "maxTokens": 1, "tools": [{"name": "t", "inputSchema": {}}]});
    let rows = [
        (json!({"elicitation": {}}), "elicitation/create", url(), false),
        (json!({"elicitation": {"form": {}}}), "elicitation/create", url(), false),
        (json!({"elicitation": {"url": {}}}), "elicitation/create", url(), true),
        (
            json!({"elicitation": {"url": {}}}),
            "elicitation/create",
            asking("elicitation/create")["params"].clone(),
            false,
        ),
        (
            json!({"elicitation": {}}),
            "elicitation/create",
            asking("elicitation/create")["params"].clone(),
            true,
        ),
        (json!({"sampling": {}}), "sampling/createMessage", tools(), false),
        (
            json!({"sampling": {}}),
            "sampling/createMessage",
            json!({"messages": [], "toolChoice": {"mode": "auto"}}),
            false,
        ),
        (json!({"sampling": {"tools": {}}}), "sampling/createMessage", tools(), true),
        (json!({"sampling": {}}), "roots/list", json!({}), false),
        (json!({"roots": {}}), "sampling/createMessage", json!({"messages": []}), false),
    ];
    story_of([0, 3], three(), |w| {
        for server in ["fs", "web", "old"] {
            for (capabilities, method, params, passes) in &rows {
                let c = w.client_with(server, Kind::Streamable, |c| {
                    able(c);
                    c.revision = "2025-11-25".to_owned();
                    c.capabilities = capabilities.clone();
                });
                let text = w.call(c, "ask", json!({"method": method, "params": params}));
                let row = format!("{server} {capabilities} {method} {params}: {text}");
                assert_eq!(w.clients[c].questions.len(), usize::from(*passes), "{row}");
                assert_eq!(text.contains("-3260"), !*passes, "{row}");
                w.end_session(c);
            }
        }
    });
}

#[test]
fn a_question_outside_any_call_finds_the_session_its_connection_belongs_to() {
    // BR-42, BR-55, UP-52
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, able);
            if kind == Kind::Streamable {
                w.listen(c);
            }
            w.check_echo(c);
            w.run_ms(500);
            let before = w.clients[c].questions.len();
            for (method, said) in QUESTIONS {
                let place = w.ask_outside(server, method, &asking(method)["params"]);
                w.run_until("an answer", |w| w.open_questions() == 0);
                let question = w.mind(server).questions[place].clone();
                assert!(question.answer.to_string().contains(said), "{server} {kind:?}: {}", question.answer);
            }
            assert_eq!(w.clients[c].questions.len(), before + 3);
            w.end_session(c);
            w.run_ms(5_000);
        }
    });
}

#[test]
fn a_question_without_a_call_on_a_connection_of_several_is_answered_by_the_proxy() {
    // BR-42, BR-43, UP-52: the connection knows no capability, or several sessions have it
    let shared = json!({"sessions": "shared"});
    let mut cast = three();
    for server in ["fs", "web", "old"] {
        cast = cast.options(server, shared.clone());
    }
    story(cast, |w| {
        for server in ["fs", "web", "old"] {
            let (a, b) = (w.client_with(server, Kind::Sse, able), w.client_with(server, Kind::Sse, able));
            w.check_echo(a);
            w.check_echo(b);
            w.run_ms(500);
            let roots = w.ask_outside(server, "roots/list", &Value::Null);
            let sampling = w.ask_outside(server, "sampling/createMessage", &json!({"messages": []}));
            w.run_until("answers", |w| w.open_questions() == 0);
            let mind = w.mind(server);
            assert_eq!(mind.questions[roots].answer["result"]["roots"], json!([]), "{server}");
            assert_eq!(mind.questions[sampling].answer["error"]["code"], -32602, "{server}");
            for c in [a, b] {
                assert!(w.clients[c].questions.is_empty());
            }
        }
    });
}

#[test]
fn a_server_may_ask_for_roots_before_anybody_is_there() {
    // BR-42
    story(three(), |w| {
        w.run_ms(2_000);
        for server in ["fs", "web", "old"] {
            let place = w.ask_outside(server, "roots/list", &Value::Null);
            w.run_until("an answer", |w| w.open_questions() == 0);
            let answer = w.mind(server).questions[place].answer.clone();
            assert!(
                answer["error"]["code"] == -32601 || answer["result"]["roots"].is_array(),
                "{server}: {answer}"
            );
            let c = w.client(server, Kind::Sse);
            w.check_echo(c);
        }
    });
}

#[test]
fn a_question_waits_for_a_stream_to_be_put_on() {
    // limit: ask_wait_ms
    // BR-43: at first there is no stream at all, then one comes; without one the server is answered in the end
    let cast = one().streamable("web");
    story(cast, |w| {
        for server in ["fs", "web"] {
            let c = w.client_with(server, Kind::Streamable, able);
            w.check_echo(c);
            w.run_ms(500);
            let place = w.ask_outside(server, "roots/list", &Value::Null);
            w.run_ms(3_000);
            assert!(w.clients[c].questions.is_empty());
            w.listen(c);
            w.run_until("an answer", |w| w.open_questions() == 0);
            assert!(w.mind(server).questions[place].is_signed(), "{server}");
            let late = w.client_with(server, Kind::Streamable, able);
            w.check_echo(late);
            w.run_ms(500);
            let from = w.now_ms();
            let place = w.ask_outside(server, "sampling/createMessage", &json!({"messages": []}));
            w.run_until("an answer", |w| w.open_questions() == 0);
            assert!((10_000..11_500).contains(&(w.now_ms() - from)), "{server}: {} ms", w.now_ms() - from);
            assert_eq!(w.mind(server).questions[place].answer["error"]["code"], -32603, "{server}");
        }
    });
}

#[test]
fn a_cancelled_call_takes_its_questions_with_it() {
    // BR-38, GN-10
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, able_but_silent);
            let req = w.start_call(c, "ask", asking("elicitation/create"));
            w.asked(c, 1);
            w.cancel(req);
            w.run_ms(1_000);
            let question = w.mind(server).questions.last().unwrap().clone();
            assert_eq!(question.answer["result"]["action"], "cancel", "{server} {kind:?}");
            assert_eq!(w.clients[c].questions[0].stand, Stand::Withdrawn, "{server} {kind:?}");
            assert_eq!(*w.state(req) == State::Lost, kind == Kind::Streamable, "{server} {kind:?}");
            assert!(w.mind(server).count("notifications/cancelled") > 0, "{server} {kind:?}");
            w.check_echo(c);
        }
    });
}

#[test]
fn a_session_that_ends_leaves_no_question_open() {
    // BR-38
    let cast =
        three().options("fs", json!({"sessions": "shared"})).options("web", json!({"sessions": "shared"}));
    story(cast.options("old", json!({"sessions": "shared"})), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, able_but_silent);
            let requests = ["elicitation/create", "sampling/createMessage"].map(|method| {
                let req = w.start_call(c, "ask", asking(method));
                w.until_heard(req);
                req
            });
            w.asked(c, 2);
            w.end_session(c);
            w.run_ms(1_000);
            let questions = w.mind(server).questions.clone();
            let [.., form, sample] = questions.as_slice() else { panic!("two questions") };
            assert_eq!(form.answer["result"]["action"], "cancel", "{server} {kind:?}");
            assert_eq!(sample.answer["error"]["code"], -32603, "{server} {kind:?}");
            w.run_ms(100);
            assert!(requests.iter().all(|req| *w.state(*req) == State::Lost), "{server} {kind:?}");
        }
    });
}

#[test]
fn a_server_that_dies_takes_its_questions_back() {
    // BR-38
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client_with("fs", kind, able_but_silent);
            if kind == Kind::Streamable {
                w.listen(c);
            }
            let req = w.start_call(c, "ask", asking("elicitation/create"));
            w.asked(c, 1);
            w.with_child("fs", |child, net| child.exit(net, ExitStatus::Signal(9)));
            assert_eq!(w.outcome(req)["error"]["code"], -32603);
            w.run_ms(500);
            assert_eq!(w.clients[c].questions[0].stand, Stand::Withdrawn, "{kind:?}");
            w.check_echo(c);
        }
    });
}

#[test]
fn a_server_that_forgets_its_session_has_forgotten_its_questions() {
    // BR-38, UP-37, UP-38: an answer is not sent in another session, nor in none
    story(Cast::default().streamable("web"), |w| {
        for kind in KINDS {
            let c = w.client_with("web", kind, able_but_silent);
            if kind == Kind::Streamable {
                w.listen(c);
            }
            let req = w.start_call(c, "ask", asking("elicitation/create"));
            w.asked(c, 1);
            let place = w.site("web").mind.questions.len() - 1;
            w.site("web").live.clear();
            w.check_echo(c);
            w.run_ms(500);
            assert_eq!(w.clients[c].questions[0].stand, Stand::Withdrawn, "{kind:?}");
            let question = w.site("web").mind.questions.remove(place);
            assert!(question.answer.is_null(), "{kind:?}");
            w.cancel(req);
            w.check_echo(c);
        }
    });
}

#[test]
fn a_question_has_a_time_limit_and_until_then_its_call_lives() {
    // limit: input_ms
    // DL-25, GN-09
    story(three().limits(|l| l.call_ms = 60_000), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client_with(server, kind, able_but_silent);
            let req = w.start_call(c, "ask", asking("elicitation/create"));
            w.asked(c, 1);
            w.run_ms(9 * 60_000 + 30_000);
            assert_eq!(*w.state(req), State::Waiting, "a human may think: {server} {kind:?}");
            assert!(w.text(req).contains("cancel"), "{server} {kind:?}");
            assert_eq!(w.clients[c].questions[0].stand, Stand::Withdrawn, "{server} {kind:?}");
            assert_eq!(w.mind(server).questions.last().unwrap().state, Asked::Answered);
        }
    });
}

#[test]
fn a_question_survives_a_broken_stream_of_its_call() {
    // DL-58, BR-38
    story(Cast::default().stdio("fs").streamable("web"), |w| {
        for server in ["fs", "web"] {
            let c = w.client_with(server, Kind::Streamable, |c| {
                able_but_silent(c);
                c.revision = "2025-11-25".to_owned();
            });
            let mut arguments = asking("elicitation/create");
            arguments["ms"] = json!(2_000);
            let req = w.start_call(c, "ask", arguments);
            let xid = w.exchange_of(req);
            w.run_until("an event", |w| w.exchange(xid).last_event_id().is_some());
            let last = w.exchange(xid).last_event_id().unwrap().to_owned();
            w.reset(xid);
            w.run_ms(4_000);
            assert!(w.clients[c].questions.is_empty());
            w.resume(xid, &last);
            w.asked(c, 1);
            w.answer(c, 0, &json!({"result": {"action": "decline"}}));
            w.run_until("the answer", |w| matches!(w.state(req), State::Answered(_)));
            assert!(w.text(req).contains("decline"), "{server}");
        }
    });
}
