use super::*;

#[test]
fn revision_asked_for_is_spoken_and_an_unknown_one_gets_the_newest() {
    for (asked, spoken) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let mut client = Client::connect(asked, json!({}));
        assert_eq!(client.greeting["protocolVersion"], spoken);
        assert_eq!(client.request("ping", json!({})), json!({}));
    }
}

#[test]
fn lists_hold_only_members_the_revision_knows() {
    let tool = |revision: &str, name: &str| {
        let list = Client::connect(revision, json!({})).request("tools/list", json!({}));
        list["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap().clone()
    };
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&tool("2024-11-05", "clock")), ["description", "inputSchema", "name"]);
    assert_eq!(keys(&tool("2025-03-26", "clock")), ["annotations", "description", "inputSchema", "name"]);
    let newer = ["annotations", "description", "inputSchema", "name", "outputSchema", "title"];
    assert_eq!(keys(&tool("2025-06-18", "clock")), newer);
    assert_eq!(keys(&tool("2025-11-25", "clock")), newer);
    let capabilities = |revision: &str| keys(&Client::connect(revision, json!({})).greeting["capabilities"]);
    assert_eq!(capabilities("2024-11-05"), ["prompts", "resources", "tools"]);
    assert_eq!(capabilities("2025-11-25"), ["completions", "prompts", "resources", "tools"], "no logging");
}

#[test]
fn echo_returns_the_text() {
    let mut client = Client::new();
    for text in ["hello", "", "a\nb\u{2028}\"c\\", "grüße"] {
        let result = client.call("echo", json!({"text": text}));
        assert_eq!(result, json!({"content": [{"type": "text", "text": text}], "isError": false}));
    }
}

#[test]
fn clock_is_structured_where_the_revision_has_that() {
    let result = Client::connect("2025-06-18", json!({})).call("clock", json!({}));
    assert_eq!(
        result["structuredContent"],
        json!({"utc": "2001-09-09T01:46:40Z", "unixSeconds": 1_000_000_000})
    );
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), result["structuredContent"]);
    let result = Client::connect("2025-03-26", json!({})).call("clock", Value::Null);
    assert_eq!(result["content"][0]["text"], "2001-09-09T01:46:40Z");
    assert!(result.get("structuredContent").is_none());
}

// DL-21, DL-22
#[test]
fn countdown_reports_each_step_with_the_token_as_given_then_the_result() {
    for token in [json!("t"), json!(7), json!(-7)] {
        let mut client = Client::new();
        client.begin(1, "countdown", json!({"steps": 3, "delayMs": 100}), Some(&token));
        assert_eq!(client.drain(), [] as [Value; 0]);
        for done in 1..=3 {
            assert_eq!(client.server.deadline(), Some(client.now + Duration::from_millis(100)));
            client.pass(99);
            assert_eq!(client.drain(), [] as [Value; 0]);
            client.pass(1);
            let sent = client.drain();
            let params = &sent[0]["params"];
            assert_eq!(sent[0]["method"], "notifications/progress");
            assert_eq!((&params["progressToken"], &params["progress"]), (&token, &json!(done)));
            assert_eq!(params["total"], 3);
            assert_eq!(sent.len(), if done == 3 { 2 } else { 1 });
            if done == 3 {
                assert_eq!((&sent[1]["id"], &sent[1]["result"]["isError"]), (&json!(1), &json!(false)));
            }
        }
        assert_eq!(client.server.deadline(), None);
    }
}

// DL-22
#[test]
fn countdown_without_token_sends_only_the_result() {
    let mut client = Client::new();
    client.begin(1, "countdown", json!({"steps": 20.0, "delayMs": 0}), None);
    client.pass(0);
    let sent = client.drain();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["result"]["content"][0]["text"], "Counted down 20 steps.");
}

// GN-10, GN-11
#[test]
fn cancelled_countdown_is_never_answered_and_late_or_unknown_cancels_do_nothing() {
    let mut client = Client::new();
    client.begin(1, "countdown", json!({"steps": 2, "delayMs": 10}), Some(&json!("a")));
    client.begin(2, "countdown", json!({"steps": 2, "delayMs": 10}), Some(&json!("b")));
    client.pass(10);
    assert_eq!(client.drain().len(), 2);
    client.cancel(json!(1));
    client.cancel(json!("2"));
    client.cancel(json!(99));
    client.cancel(Value::Null);
    client.pass(1000);
    let sent = client.drain();
    assert_eq!(sent.len(), 2);
    assert_eq!((&sent[0]["params"]["progressToken"], &sent[1]["id"]), (&json!("b"), &json!(2)));
    client.cancel(json!(2));
    client.pass(1000);
    assert_eq!(client.drain(), [] as [Value; 0]);
}

#[test]
fn other_requests_are_answered_while_a_countdown_runs() {
    let mut client = Client::new();
    client.begin(1, "countdown", json!({}), None);
    assert_eq!(client.request("ping", json!({})), json!({}));
    assert!(client.server.deadline().is_some());
}

#[test]
fn ask_returns_what_the_user_said() {
    for (result, text, is_error) in [
        (json!({"action": "accept", "content": {"answer": "42"}}), "The user answered: 42", false),
        (json!({"action": "accept"}), "The client accepted without an answer.", true),
        (json!({"action": "decline"}), "The user declined to answer.", false),
        (json!({"action": "cancel"}), "The user dismissed the question.", false),
        (json!({}), "The client could not ask the user.", true),
    ] {
        let mut client = Client::connect("2025-06-18", json!({"elicitation": {}}));
        client.begin(1, "ask", json!({"question": "How many?"}), None);
        let question = client.drain().remove(0);
        assert_eq!(question["method"], "elicitation/create");
        assert_eq!(question["params"]["message"], "How many?");
        client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}));
        let answer = client.drain().remove(0);
        assert_eq!(answer["id"], 1);
        assert_eq!(answer["result"]["content"][0]["text"], text);
        assert_eq!(answer["result"]["isError"], is_error);
        assert_eq!(client.server.deadline(), None);
    }
}

#[test]
fn error_to_a_question_ends_the_call_and_strange_responses_do_nothing() {
    let mut client = Client::connect("2025-11-25", json!({"elicitation": {"form": {}}}));
    client.begin(1, "ask", json!({"question": "a"}), None);
    client.begin(2, "ask", json!({"question": "b"}), None);
    let asked = client.drain();
    assert_ne!(asked[0]["id"], asked[1]["id"]);
    client.send(&json!({"jsonrpc": "2.0", "id": "ask-7", "result": {"action": "decline"}}));
    client.send(&json!({"jsonrpc": "2.0", "id": 1, "result": {"action": "decline"}}));
    assert_eq!(client.drain(), [] as [Value; 0]);
    client.send(&json!({"jsonrpc": "2.0", "id": asked[1]["id"], "error": {"code": -1, "message": "no"}}));
    let sent = client.drain();
    assert_eq!((&sent[0]["id"], &sent[0]["result"]["isError"]), (&json!(2), &json!(true)));
}

// DL-09, DL-11
#[test]
fn client_without_form_elicitation_is_not_asked() {
    for (revision, capabilities) in [
        ("2025-11-25", json!({})),
        ("2025-11-25", json!({"elicitation": {"url": {}}})),
        ("2025-11-25", json!({"elicitation": true})),
        ("2025-03-26", json!({"elicitation": {}})),
    ] {
        let result = Client::connect(revision, capabilities).call("ask", json!({"question": "?"}));
        assert_eq!(result["isError"], true);
        assert!(result["content"][0]["text"].as_str().unwrap().contains("did not declare the elicitation"));
    }
}

// GN-09
#[test]
fn question_is_withdrawn_when_its_call_is_cancelled_or_nobody_answers() {
    let mut client = Client::connect("2025-11-25", json!({"elicitation": {}}));
    client.begin(1, "ask", json!({"question": "a"}), None);
    client.begin(2, "ask", json!({"question": "b"}), None);
    let asked = client.drain();
    client.cancel(json!(1));
    let sent = client.drain();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["params"]["requestId"], asked[0]["id"]);
    client.pass(300_000);
    let sent = client.drain();
    assert_eq!(sent[0]["params"]["requestId"], asked[1]["id"]);
    assert_eq!((&sent[1]["id"], &sent[1]["result"]["isError"]), (&json!(2), &json!(true)));
}

#[test]
fn prompt_resources_and_completion_answer() {
    let mut client = Client::new();
    assert_eq!(client.request("prompts/list", json!({}))["prompts"][0]["name"], "greeting");
    let prompt = client.request("prompts/get", json!({"name": "greeting", "arguments": {"name": "Ada"}}));
    assert_eq!(prompt["messages"][0]["content"]["text"], "Please greet Ada warmly, in one sentence.");
    assert_eq!(client.request("resources/list", json!({}))["resources"][0]["uri"], "demo://about");
    let templates = client.request("resources/templates/list", json!({"cursor": null}));
    assert_eq!(templates["resourceTemplates"][0]["uriTemplate"], "demo://number/{n}");
    let about = client.request("resources/read", json!({"uri": "demo://about"}));
    assert_eq!(
        (&about["contents"][0]["uri"], about["contents"][0]["text"].is_string()),
        (&json!("demo://about"), true)
    );
    let number = client.request("resources/read", json!({"uri": "demo://number/10"}));
    assert_eq!(number["contents"][0]["text"], "10 is even. In binary it is 1010, in hexadecimal a.");
    let complete = |kind: Value, argument: &str, value: &str| json!({"ref": kind, "argument": {"name": argument, "value": value}});
    let greeting = json!({"type": "ref/prompt", "name": "greeting"});
    for (value, expected) in [("a", json!(["Ada", "Alan"])), ("GR", json!(["Grace"])), ("x", json!([]))] {
        let found = client.request("completion/complete", complete(greeting.clone(), "name", value));
        assert_eq!(found["completion"]["values"], expected);
        assert_eq!(found["completion"]["total"], expected.as_array().unwrap().len());
    }
    let number = json!({"type": "ref/resource", "uri": "demo://number/{n}"});
    assert_eq!(
        client.request("completion/complete", complete(number, "n", "1"))["completion"]["values"],
        json!([])
    );
    assert_eq!(client.refused("completion/complete", complete(greeting, "other", "")), -32602);
}

#[test]
fn wrong_requests_get_the_standard_errors() {
    let mut client = Client::connect("2025-06-18", json!({}));
    for (method, params, code) in [
        ("logging/setLevel", json!({"level": "info"}), -32601),
        ("resources/subscribe", json!({"uri": "demo://about"}), -32601),
        ("server/discover", json!({}), -32601),
        ("initialize", json!({"protocolVersion": "2025-06-18"}), -32600),
        ("tools/list", json!({"cursor": "x"}), -32602),
        ("tools/list", json!([]), -32602),
        ("tools/call", json!({}), -32602),
        ("tools/call", json!({"name": "nope"}), -32602),
        ("tools/call", json!({"name": "echo"}), -32602),
        ("tools/call", json!({"name": "echo", "arguments": []}), -32602),
        ("tools/call", json!({"name": "countdown", "arguments": {"steps": 0}}), -32602),
        ("tools/call", json!({"name": "countdown", "arguments": {"steps": 21}}), -32602),
        ("tools/call", json!({"name": "countdown", "arguments": {"steps": 1.5}}), -32602),
        ("tools/call", json!({"name": "countdown", "arguments": {"steps": "3"}}), -32602),
        ("tools/call", json!({"name": "countdown", "arguments": {"delayMs": -1}}), -32602),
        ("tools/call", json!({"name": "countdown", "arguments": {"delayMs": 1001}}), -32602),
        ("tools/call", json!({"name": "countdown", "_meta": {"progressToken": 1.5}}), -32602),
        ("prompts/get", json!({"name": "nope"}), -32602),
        ("prompts/get", json!({"name": "greeting"}), -32602),
        ("resources/read", json!({}), -32602),
        ("resources/read", json!({"uri": "demo://number/x"}), -32002),
        ("resources/read", json!({"uri": "file:///etc/passwd"}), -32002),
        ("completion/complete", json!({}), -32602),
    ] {
        assert_eq!(client.refused(method, params.clone()), code, "{method} {params}");
    }
    assert_eq!(client.server.deadline(), None);
}

#[test]
fn newest_revision_tells_the_model_about_wrong_arguments() {
    let result = Client::connect("2025-11-25", json!({})).call("countdown", json!({"steps": 99}));
    assert_eq!(result["isError"], true);
    assert_eq!(result["content"][0]["text"], "steps must be an integer from 1 to 20");
}

#[test]
fn unreadable_and_invalid_messages_are_answered_without_losing_the_next() {
    let mut client = Client::new();
    let deep = "[".repeat(100_000);
    for (line, id, code) in [
        ("{", Value::Null, -32700),
        ("\u{7f}", Value::Null, -32700),
        (deep.as_str(), Value::Null, -32700),
        ("[]", Value::Null, -32600),
        ("7", Value::Null, -32600),
        ("{}", Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":5}"#, json!(5), -32600),
        (r#"{"jsonrpc":"2.0","id":5,"method":7}"#, json!(5), -32600),
        (r#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#, json!(5), -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"ping"}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":5,"method":"ping","params":[]}"#, json!(5), -32602),
    ] {
        client.server.handle(client.reading(), line.as_bytes());
        let sent = client.drain();
        assert_eq!(sent.len(), 1, "{line:.80}");
        assert_eq!((&sent[0]["id"], &sent[0]["error"]["code"]), (&id, &json!(code)), "{line:.80}");
    }
    client.server.handle(client.reading(), b"\xff\n");
    assert_eq!(client.drain()[0]["error"]["code"], -32700);
    for silent in ["", "\r\n", r#"{"jsonrpc":"2.0","method":"notifications/nope","params":[]}"#] {
        client.server.handle(client.reading(), silent.as_bytes());
        assert_eq!(client.drain(), [] as [Value; 0], "{silent}");
    }
    assert_eq!(client.request("ping", json!({})), json!({}));
}

#[test]
fn before_initialize_only_ping_is_answered() {
    let mut client = Client::unconnected();
    assert_eq!(client.request("ping", json!({})), json!({}));
    assert_eq!(client.refused("tools/list", json!({})), -32600);
    assert_eq!(client.refused("tools/call", json!({"name": "clock"})), -32600);
    assert_eq!(
        client.refused("server/discover", json!({})),
        -32601,
        "a probe for the newer era sees what we are"
    );
    assert_eq!(client.refused("initialize", json!({})), -32602);
}

#[test]
fn open_calls_are_bounded_and_their_ids_unique() {
    let mut client = Client::new();
    let slow = json!({"steps": 1, "delayMs": 1000});
    for id in 0..JOBS_MAX {
        client.begin(id, "countdown", slow.clone(), None);
    }
    assert_eq!(client.drain(), [] as [Value; 0]);
    client.begin(0, "countdown", slow.clone(), None);
    assert_eq!(client.drain()[0]["error"]["code"], -32600);
    client.begin(JOBS_MAX, "countdown", slow.clone(), None);
    assert_eq!(client.drain()[0]["result"]["isError"], true);
    client.cancel(json!(0));
    client.begin(0, "countdown", slow, None);
    assert_eq!(client.drain(), [] as [Value; 0]);
    client.pass(1000);
    assert_eq!(client.drain().len(), JOBS_MAX);
}

/// A client with a clock of its own. Ids of [`Client::request`] are strings, so they never meet those of a test.
struct Client {
    server: Server,
    now: Duration,
    requests: u32,
    greeting: Value,
}

impl Client {
    fn unconnected() -> Self {
        Self { server: Server::new(), now: Duration::ZERO, requests: 0, greeting: Value::Null }
    }

    fn connect(revision: &str, capabilities: Value) -> Self {
        let mut client = Self::unconnected();
        client.greeting =
            client.request("initialize", json!({"protocolVersion": revision, "capabilities": capabilities}));
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        client
    }

    fn new() -> Self {
        Self::connect("2025-11-25", json!({}))
    }

    fn reading(&self) -> Now {
        Now { since_start: self.now, unix_seconds: 1_000_000_000 }
    }

    fn send(&mut self, message: &Value) {
        self.server.handle(self.reading(), message.to_string().as_bytes());
    }

    fn drain(&mut self) -> Vec<Value> {
        let lines = std::iter::from_fn(|| self.server.poll_output());
        lines
            .map(|line| {
                assert!(!line.contains(['\n', '\r']), "{line}");
                serde_json::from_str(&line).unwrap()
            })
            .collect()
    }

    fn answer(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = format!("r{}", self.requests);
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        let mut sent = self.drain();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!((&sent[0]["jsonrpc"], &sent[0]["id"]), (&json!("2.0"), &json!(id)));
        sent.remove(0)
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        self.answer(method, params)["result"].take()
    }

    fn refused(&mut self, method: &str, params: Value) -> i64 {
        self.answer(method, params)["error"]["code"].as_i64().expect("an error")
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    fn begin(&mut self, id: usize, tool: &str, arguments: Value, token: Option<&Value>) {
        let mut params = json!({"name": tool, "arguments": arguments});
        if let Some(token) = token {
            params["_meta"] = json!({"progressToken": token});
        }
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}));
    }

    fn cancel(&mut self, id: Value) {
        self.send(
            &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}),
        );
    }

    /// Milliseconds pass; the server is woken at each of its deadlines on the way.
    fn pass(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(due) = self.server.deadline().filter(|&due| due <= until) {
            self.now = due.max(self.now);
            self.server.tick(self.reading());
        }
        self.now = until;
    }
}
