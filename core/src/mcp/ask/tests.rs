use super::*;
use serde_json::Value;

mod authored;

const OLD: [Revision; 3] = [Revision::V2024_11_05, Revision::V2025_03_26, Revision::V2025_06_18];
const NEW: Revision = Revision::V2025_11_25;
const FULL: &str = r#"{"roots":{},"sampling":{"tools":{},"context":{}},"elicitation":{"form":{},"url":{}}}"#;
const ALL: [Ask; 3] = [Ask::Sampling, Ask::Elicitation, Ask::Roots];

fn whole(text: &str) -> Span {
    Span { start: 0, end: text.len() }
}

fn profile(capabilities: &str) -> Profile {
    Profile::parse(capabilities.as_bytes(), whole(capabilities)).unwrap()
}

/// Asks with params that stand inside a message, a token of the proxy's at hand.
fn put(ask: Ask, params: &str, to: Revision, capabilities: &str) -> Result<String, Refusal> {
    let text = format!("{{\"params\":{params}}}");
    let span = Span { start: 10, end: 10 + params.len() };
    let out = question(ask, text.as_bytes(), Some(span), Some(b"4711"), to, profile(capabilities));
    out.map(|out| String::from_utf8(out).unwrap())
}

#[track_caller]
fn passes(ask: Ask, params: &str, to: Revision, capabilities: &str) {
    assert_eq!(put(ask, params, to, capabilities).as_deref(), Ok(params));
}

#[track_caller]
fn becomes(ask: Ask, params: &str, to: Revision, capabilities: &str, expected: &str) {
    assert_eq!(put(ask, params, to, capabilities).as_deref(), Ok(expected));
}

#[track_caller]
fn refused(ask: Ask, params: &str, to: Revision, capabilities: &str, code: i32) {
    match put(ask, params, to, capabilities) {
        Err(Refusal::Error { code: seen, .. }) => assert_eq!(seen, code, "{params}"),
        other => panic!("{params}: {other:?}"),
    }
}

#[test]
fn methods_read_back() {
    for ask in ALL {
        assert_eq!(Ask::from_method(ask.method()), Some(ask));
    }
    assert_eq!(Ask::from_method("elicitation/Create"), None);
}

#[test]
fn a_client_is_asked_only_what_it_declared() {
    // DL-09
    let params = r#"{"mode":"url","url":"https://a.example/"}"#;
    for to in Revision::ALL {
        for ask in ALL {
            refused(ask, params, to, "{}", -32601);
        }
        refused(Ask::Roots, "{}", to, r#"{"sampling":{},"elicitation":{"url":{},"form":{}}}"#, -32601);
        refused(Ask::Sampling, "{}", to, r#"{"roots":{},"elicitation":{}}"#, -32601);
        refused(Ask::Elicitation, "{}", to, r#"{"roots":{},"sampling":{}}"#, -32601);
    }
    for to in [Revision::V2024_11_05, Revision::V2025_03_26] {
        refused(Ask::Elicitation, r#"{"message":"m"}"#, to, FULL, -32601);
    }
}

#[test]
fn a_url_is_only_shown_by_clients_that_can() {
    // DL-10
    let url = r#"{"mode":"url","elicitationId":"e","message":"m","url":"https://a.example/"}"#;
    passes(Ask::Elicitation, url, NEW, r#"{"elicitation":{"url":{}}}"#);
    refused(Ask::Elicitation, url, NEW, r#"{"elicitation":{}}"#, -32602);
    refused(Ask::Elicitation, r#"{"\u006dode":"\u0075rl"}"#, NEW, r#"{"elicitation":{"form":{}}}"#, -32602);
    refused(Ask::Elicitation, url, Revision::V2025_06_18, FULL, -32602);
    refused(Ask::Elicitation, url, Revision::V2025_06_18, r#"{"elicitation":{"url":{}}}"#, -32601);
}

#[test]
fn a_form_is_only_shown_by_clients_that_can() {
    // DL-11
    for form in [r#"{"message":"m"}"#, r#"{"mode":"form","message":"m"}"#] {
        passes(Ask::Elicitation, form, NEW, r#"{"elicitation":{}}"#);
        passes(Ask::Elicitation, form, NEW, r#"{"elicitation":{"form":{}}}"#);
        refused(Ask::Elicitation, form, NEW, r#"{"elicitation":{"url":{}}}"#, -32602);
    }
}

#[test]
fn a_mode_that_is_unknown_or_unclear_is_refused() {
    // DL-10, DL-11
    for params in [
        r#"{"mode":"voice"}"#,
        r#"{"mode":"Form"}"#,
        r#"{"mode":null}"#,
        r#"{"mode":["form"]}"#,
        r#"{"mode":"form","mode":"url"}"#,
        r#"{"mode":"form","\u006dode":"url"}"#,
        r#"{"mode":"form","Mode":"url"}"#,
    ] {
        for to in [Revision::V2025_06_18, NEW] {
            refused(Ask::Elicitation, params, to, FULL, -32602);
        }
    }
    let Err(Refusal::Error { message, .. }) = put(Ask::Elicitation, "{\"mode\":\"a\\nb\"}", NEW, FULL) else {
        panic!()
    };
    assert_eq!(message, r#"there is no elicitation mode \"a\\nb\""#);
}

#[test]
fn tools_are_offered_only_to_clients_that_declared_them() {
    // DL-12
    for params in
        [r#"{"tools":[]}"#, r#"{"toolChoice":{"mode":"none"}}"#, r#"{"tools":[{}],"toolChoice":null}"#]
    {
        passes(Ask::Sampling, params, NEW, FULL);
        refused(Ask::Sampling, params, NEW, r#"{"sampling":{}}"#, -32602);
        refused(Ask::Sampling, params, NEW, r#"{"sampling":{"context":{}}}"#, -32602);
        for to in OLD {
            refused(Ask::Sampling, params, to, FULL, -32602);
        }
    }
    refused(Ask::Sampling, r#"{"Tools":[]}"#, NEW, r#"{"sampling":{}}"#, -32602);
    refused(Ask::Sampling, r#"{"tools":null,"tools":[]}"#, NEW, FULL, -32602);
    passes(Ask::Sampling, r#"{"tools":null}"#, NEW, FULL);
    becomes(
        Ask::Sampling,
        r#"{"tools":null,"x":1,"toolChoice":null}"#,
        NEW,
        r#"{"sampling":{}}"#,
        r#"{"x":1}"#,
    );
}

#[test]
fn context_is_asked_for_only_where_it_was_declared() {
    let plain = r#"{"sampling":{"tools":{}}}"#;
    for to in Revision::ALL {
        passes(Ask::Sampling, r#"{"includeContext":"thisServer"}"#, to, r#"{"sampling":{"context":{}}}"#);
        passes(Ask::Sampling, r#"{"includeContext":"none"}"#, to, plain);
    }
    becomes(Ask::Sampling, r#"{"x":1.0,"includeContext":"allServers"}"#, NEW, plain, r#"{"x":1.0}"#);
    // Before, it was part of sampling.
    passes(Ask::Sampling, r#"{"includeContext":"allServers"}"#, Revision::V2025_06_18, plain);
}

#[test]
fn questions_without_parameters() {
    let ask = |ask| question(ask, b"{}", None, None, NEW, profile(FULL));
    assert_eq!(ask(Ask::Roots).as_deref(), Ok(b"{}".as_slice()));
    assert!(matches!(ask(Ask::Sampling), Err(Refusal::Error { code: -32602, .. })));
    assert!(matches!(ask(Ask::Elicitation), Err(Refusal::Error { code: -32602, .. })));
}

#[test]
fn tokens_are_replaced_and_tasks_removed() {
    // BR-38, DL-14
    for (params, expected) in [
        (r#"{"_meta":{"progressToken":"s 1","x":1e3}}"#, r#"{"_meta":{"progressToken":4711,"x":1e3}}"#),
        (r#"{ "a" : 1, "task": {"ttl":1} }"#, r#"{ "a" : 1 }"#),
        (r#"{"task":null,"_meta":{"progressToken":-1}}"#, r#"{"_meta":{"progressToken":4711}}"#),
        (r#"{"_meta":{"x":1,"progressToken":null}}"#, r#"{"_meta":{"x":1}}"#),
        (r#"{"_meta":{"progressToken":{}},"a":1}"#, r#"{"a":1}"#),
        (r#"{"_meta":{}}"#, r#"{"_meta":{}}"#),
        (
            r#"{"_meta":null,"a":{"task":1,"progressToken":2}}"#,
            r#"{"_meta":null,"a":{"task":1,"progressToken":2}}"#,
        ),
    ] {
        becomes(Ask::Roots, params, NEW, FULL, expected);
    }
    refused(Ask::Roots, r#"{"_meta":{"progressToken":1,"progressToken":2}}"#, NEW, FULL, -32602);
    refused(Ask::Roots, r#"{"_meta":{},"_meta":{}}"#, NEW, FULL, -32602);
    let alone = r#"{"_meta":{"progressToken":1},"task":{},"a":2}"#;
    let out = question(Ask::Roots, alone.as_bytes(), Some(whole(alone)), None, NEW, profile(FULL));
    assert_eq!(out.as_deref(), Ok(br#"{"a":2}"#.as_slice()), "no token of another hop passes");
}

#[test]
fn tokens_and_ids_of_a_question_are_found() {
    let found = |find: fn(&[u8], Option<Span>) -> Option<Span>, text: &'static str| {
        find(text.as_bytes(), Some(whole(text))).map(|span| &text[span.start..span.end])
    };
    assert_eq!(found(progress_token, r#"{"_meta":{"progressToken":"a"}}"#), Some("\"a\""));
    assert_eq!(found(progress_token, r#"{"_meta":{"progressToken":-7}}"#), Some("-7"));
    for none in [r#"{"_meta":{"progressToken":null}}"#, r#"{"_meta":1}"#, r#"{"progressToken":1}"#] {
        assert_eq!(found(progress_token, none), None);
    }
    assert_eq!(found(elicitation_id, r#"{"mode":"url","elicitationId":"a\u0062"}"#), Some(r#""a\u0062""#));
    for none in [
        r#"{"mode":"form","elicitationId":"a"}"#,
        r#"{"elicitationId":"a"}"#,
        r#"{"mode":"url","elicitationId":1}"#,
        r#"{"mode":"url"}"#,
    ] {
        assert_eq!(found(elicitation_id, none), None);
    }
    assert_eq!((progress_token(b"{}", None), elicitation_id(b"{}", None)), (None, None));
}

/// A form with these fields, and around them what a form has besides.
fn form(mode: &str, fields: &str) -> String {
    format!(
        "{{{mode}\"message\":\"m\",\"requestedSchema\":{{\"type\":\"object\",\"properties\":{fields},\"required\":[\"a\"]}}}}"
    )
}

#[test]
fn titled_choices_become_two_lists_for_an_older_client() {
    // BR-40
    let to = Revision::V2025_06_18;
    let capabilities = r#"{"elicitation":{}}"#;
    for (fields, expected) in [
        (
            r#"{"a":{"type":"string","title":"A","oneOf":[{"const":"r","title":"Red"},{"title":"Gr\u00fcn", "const":"g"}],"default":"g"},"b":{"type":"boolean"}}"#,
            r#"{"a":{"type":"string","title":"A","enum":["r","g"],"enumNames":["Red","Gr\u00fcn"],"default":"g"},"b":{"type":"boolean"}}"#,
        ),
        (r#"{"a":{"one\u004ff":[{"const":"r"}]}}"#, r#"{"a":{"enum":["r"],"enumNames":["r"]}}"#),
        (
            r#"{"a":{"oneOf":[]},"b":{"oneOf":[]}}"#,
            r#"{"a":{"enum":[],"enumNames":[]},"b":{"enum":[],"enumNames":[]}}"#,
        ),
        (
            r#"{"a":{"enum":["r"],"oneOf":[{"const":"r","title":"Red"}],"enumNames":["Red"]}}"#,
            r#"{"a":{"enum":["r"],"enumNames":["Red"]}}"#,
        ),
        (r#"{"a":{"type":"string","enum":["r"]}}"#, r#"{"a":{"type":"string","enum":["r"]}}"#),
        (r#"{"oneOf":{"type":"number","default":1.50}}"#, r#"{"oneOf":{"type":"number","default":1.50}}"#),
        ("{}", "{}"),
    ] {
        for mode in ["", r#""mode":"form","#] {
            becomes(Ask::Elicitation, &form(mode, fields), to, capabilities, &form("", expected));
            passes(Ask::Elicitation, &form(mode, fields), NEW, capabilities);
        }
    }
    for fields in [
        r#"{"a":{"oneOf":[{"type":"string"}]}}"#,
        r#"{"a":{"oneOf":[{"const":1}]}}"#,
        r#"{"a":{"oneOf":{}}}"#,
        r#"{"a":{"oneOf":[],"enumNames":[]}}"#,
        r#"{"a":{"oneOf":[],"oneOf":[]}}"#,
    ] {
        refused(Ask::Elicitation, &form("", fields), to, capabilities, -32602);
    }
}

#[test]
fn several_choices_at_once_are_cancelled_for_an_older_client() {
    // BR-40
    let fields = r#"{"a":{"type":"array","items":{"type":"string","enum":["r"]}}}"#;
    let capabilities = r#"{"elicitation":{}}"#;
    let cancelled = put(Ask::Elicitation, &form("", fields), Revision::V2025_06_18, capabilities);
    assert_eq!(cancelled, Err(CANCEL));
    passes(Ask::Elicitation, &form("", fields), NEW, capabilities);
}

#[test]
fn content_arrays_become_messages_for_an_older_client() {
    // BR-41
    let capabilities = r#"{"sampling":{}}"#;
    let one = r#"{"type":"text","text":"a","n":1.0}"#;
    let two = r#"{"type":"image","data":"","mimeType":"image/png"}"#;
    for (content, expected) in [
        (one.to_owned(), format!(r#"[{{"x":[1],"role":"user","content":{one},"y":2}}]"#)),
        (format!("[{one}]"), format!(r#"[{{"x":[1],"role":"user","content":{one},"y":2}}]"#)),
        (
            format!("[{one} , {two},{one}]"),
            format!(
                r#"[{{"x":[1],"role":"user","content":{one},"y":2}},{{"role":"user","content":{two}}},{{"role":"user","content":{one}}}]"#
            ),
        ),
        (
            "[]".to_owned(),
            r#"[{"x":[1],"role":"user","content":{"type":"text","text":""},"y":2}]"#.to_owned(),
        ),
    ] {
        let params = format!(
            r#"{{"maxTokens":1e2,"messages":[{{"x":[1],"role":"user","content":{content},"y":2}}]}}"#
        );
        for to in OLD {
            let expected = format!(r#"{{"maxTokens":1e2,"messages":{expected}}}"#);
            becomes(Ask::Sampling, &params, to, capabilities, &expected);
        }
        passes(Ask::Sampling, &params, NEW, capabilities);
    }
    let both = format!(
        r#"{{"messages":[{{"role":"user","content":[{one},{two}]}},{{"role":"assistant","content":[{two},{one}]}}]}}"#
    );
    let expected = format!(
        r#"{{"messages":[{{"role":"user","content":{one}}},{{"role":"user","content":{two}}},{{"role":"assistant","content":{two}}},{{"role":"assistant","content":{one}}}]}}"#
    );
    becomes(Ask::Sampling, &both, OLD[2], capabilities, &expected);
}

#[test]
fn content_an_older_client_does_not_know_is_refused() {
    // BR-41
    let params = |content: &str| format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#);
    let text = r#"{"type":"text","text":""}"#;
    for kind in ["tool_use", "tool_result"] {
        let block = format!(r#"{{"type":"{kind}"}}"#);
        for content in [block.clone(), format!("[{block}]"), format!("[{text},{block}]")] {
            for to in OLD {
                refused(Ask::Sampling, &params(&content), to, FULL, -32602);
            }
            passes(Ask::Sampling, &params(&content), NEW, FULL);
        }
    }
    let audio = r#"{"type":"\u0061udio","data":"","mimeType":"audio/wav"}"#;
    refused(Ask::Sampling, &params(audio), Revision::V2024_11_05, FULL, -32602);
    passes(Ask::Sampling, &params(audio), Revision::V2025_03_26, FULL);
    for content in ["[1,2]", "[{}]", "7", &format!(r#"[{text},{{"type":5}}]"#)] {
        refused(Ask::Sampling, &params(content), OLD[2], FULL, -32602);
    }
    let strange = format!(r#"{{"messages":[{{"role":"system","content":[{text},{text}]}}]}}"#);
    refused(Ask::Sampling, &strange, OLD[2], FULL, -32602);
}

#[test]
fn splitting_a_message_repeats_nothing_long() {
    let blocks = vec![r#"{"type":"text"}"#; 1000].join(",");
    let long = "x".repeat(100_000);
    let params = format!(r#"{{"messages":[{{"role":"user","_meta":"{long}","content":[{blocks}]}}]}}"#);
    let out = put(Ask::Sampling, &params, OLD[0], FULL).unwrap();
    assert!(out.len() < 3 * params.len());
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["messages"].as_array().unwrap().len(), 1000);
}

fn reply(ask: Ask, result: &str, from: Revision) -> Result<String, Refusal> {
    answer(ask, result.as_bytes(), whole(result), from)
        .map(|out| String::from_utf8(out.into_owned()).unwrap())
}

#[test]
fn answers_pass_unless_a_server_cannot_read_them() {
    // BR-41, BR-38
    let text = |words: &str| format!(r#"{{"type":"text","text":"{words}"}}"#);
    let result = |content: &str| {
        format!(r#"{{"role":"assistant", "content":{content},"model":"m","_meta":{{"n":1.0}}}}"#)
    };
    let (a, b) = (text("a\\\"\\u00e4"), text("b"));
    let tool = r#"{"type":"tool_use","id":"1","name":"t","input":{}}"#;
    for (content, expected) in [
        (a.clone(), Some(a.clone())),
        (format!("[{a}]"), Some(a.clone())),
        (format!("[{a} , {b},{b}]"), Some(text("a\\\"\\u00e4\\nb\\nb"))),
        ("[]".to_owned(), Some(text(""))),
        (format!("[{a},{tool}]"), None),
        (format!("[{tool}]"), None),
        (tool.to_owned(), None),
        (format!(r#"[{a},{{"type":"image","text":"x"}}]"#), None),
        (format!(r#"[{a},{{"type":"text","text":7}}]"#), None),
    ] {
        let whole = result(&content);
        assert_eq!(reply(Ask::Sampling, &whole, NEW).as_deref(), Ok(whole.as_str()));
        for from in OLD {
            match (reply(Ask::Sampling, &whole, from), &expected) {
                (Ok(out), Some(expected)) => assert_eq!(out, result(expected)),
                (Err(Refusal::Error { code: -32603, .. }), None) => {}
                (other, _) => panic!("{whole}: {other:?}"),
            }
        }
    }
    let audio = result(r#"{"type":"audio","data":"","mimeType":"audio/wav"}"#);
    assert!(reply(Ask::Sampling, &audio, Revision::V2024_11_05).is_err());
    assert_eq!(reply(Ask::Sampling, &audio, Revision::V2025_03_26), Ok(audio));
    for ask in ALL {
        assert!(matches!(reply(ask, "[]", NEW), Err(Refusal::Error { code: -32603, .. })));
        assert_eq!(reply(ask, "{\n\"a\":[\r\n1.0]}", NEW).as_deref(), Ok("{ \"a\":[  1.0]}"));
        let text = br#"{"action":"accept","content":{"a":["x"]}}"#;
        let span = Span { start: 0, end: text.len() };
        assert!(matches!(answer(ask, text, span, NEW), Ok(Cow::Borrowed(_))));
    }
}

#[test]
fn a_silent_client_is_answered_for() {
    // BR-30
    assert_eq!(fallback(Ask::Elicitation).encode(), r#""result":{"action":"cancel"}"#);
    for ask in [Ask::Sampling, Ask::Roots] {
        assert_eq!(
            fallback(ask).encode(),
            r#""error":{"code":-32603,"message":"the client did not answer"}"#
        );
    }
}

#[test]
fn a_question_outside_any_call_is_answered_without_a_client() {
    // BR-42, UP-52
    assert_eq!(unattributed(Ask::Roots).encode(), r#""result":{"roots":[]}"#);
    for ask in [Ask::Sampling, Ask::Elicitation] {
        let expected = r#""error":{"code":-32602,"message":"there is no call to attach it to"}"#;
        assert_eq!(unattributed(ask).encode(), expected);
    }
}
