//! What passes through, over every pair of transports, and that it passes unharmed.

use super::{KINDS, one, three};
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::story::story;
use serde_json::json;

#[test]
fn every_feature_passes_over_every_pair_of_transports() {
    // SEED-001, SEED-002, SEED-004, UP-55
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            w.check_echo(c);
            let count =
                |answer: serde_json::Value, what: &str| answer["result"][what].as_array().map_or(0, Vec::len);
            assert_eq!(count(w.ask(c, "tools/list", json!({})), "tools"), 14);
            assert_eq!(count(w.ask(c, "prompts/list", json!({})), "prompts"), 2);
            assert_eq!(count(w.ask(c, "resources/list", json!({})), "resources"), 2);
            assert_eq!(count(w.ask(c, "resources/templates/list", json!({})), "resourceTemplates"), 2);
            let prompt = w.ask(c, "prompts/get", json!({"name": "prompt1"}));
            assert_eq!(prompt["result"]["messages"][0]["content"]["text"], format!("{server}:prompt1"));
            let resource = w.ask(c, "resources/read", json!({"uri": format!("sim://{server}/0")}));
            assert_eq!(resource["result"]["contents"][0]["text"], format!("of {server}"));
            let reference = json!({"type": "ref/prompt", "name": "prompt0"});
            let argument = json!({"name": "a", "value": "v"});
            let completion = w.ask(c, "completion/complete", json!({"ref": reference, "argument": argument}));
            assert_eq!(completion["result"]["completion"]["values"][0], format!("{server}-value"));
        }
    });
}

#[test]
fn an_error_of_the_server_arrives_as_it_is() {
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let c = w.client(server, Kind::Streamable);
            let answer = w.ask(c, "tools/call", json!({"name": "fail"}));
            assert_eq!(answer["error"], json!({"code": -5, "message": "as you wish", "data": {"n": 1}}));
        }
    });
}

#[test]
fn numbers_escapes_and_unknown_members_arrive_byte_for_byte() {
    // GN-06, GN-07, GN-13
    const ARGUMENTS: &str =
        r#"{"big":123456789012345678901234567890,"f":1.0,"e":1E5,"n":-0.0,"u":"\u00e9\/","z":null}"#;
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{{"name":"echo","arguments":{ARGUMENTS},"_meta":{{"traceparent":"00-ab-cd-01"}},"novel":[1e0]}}}}"#
            );
            let req = w.start_raw(c, &[json!(77)], &body)[0];
            let answer = w.raw_answer(req);
            assert!(answer.contains(&format!("\"structuredContent\":{ARGUMENTS}")), "{answer}");
            let mind = if server == "fs" { w.child("fs").mind() } else { &mut w.site(server).mind };
            let heard = &mind.last("tools/call").unwrap().raw;
            assert!(heard.contains(ARGUMENTS) && heard.contains(r#""novel":[1e0]"#), "{heard}");
            assert!(heard.contains(r#""traceparent":"00-ab-cd-01""#), "{heard}");
        }
    });
}

#[test]
fn a_pretty_printed_body_cannot_smuggle_a_second_line_to_a_child() {
    // ST-01, ST-02
    const BODY: &str = "{\"jsonrpc\":\"2.0\",\"id\":5,\r\n\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"x\":\n\
        {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"never\",\"arguments\":{}}}\n}}}\n";
    story(one(), |w| {
        for kind in KINDS {
            let c = w.client("fs", kind);
            let req = w.start_raw(c, &[json!(5)], BODY)[0];
            assert_eq!(w.text(req), "done");
            assert_eq!(w.child("fs").mind().calls("never"), 0);
        }
        assert_eq!(w.child("fs").mind().calls("echo"), 2);
    });
}

#[test]
fn large_arguments_and_results_pass() {
    story(three(), |w| {
        for server in ["fs", "web", "old"] {
            let c = w.client(server, Kind::Streamable);
            let text = "y".repeat(5_000);
            assert_eq!(w.call(c, "echo", json!({"text": text})), text);
            assert_eq!(w.call(c, "big", json!({"bytes": 20_000})).len(), 20_000);
        }
    });
}

#[test]
fn nothing_is_added_to_meta_and_nothing_else_is_touched() {
    // GN-08
    const META: &str = r#"{ "a.b\/c" : [1e0,null] ,"progressToken":TOKEN,"io.example/x":{"y":1.0}}"#;
    story(three(), |w| {
        for (server, kind) in ["fs", "web", "old"].into_iter().flat_map(|s| KINDS.map(|k| (s, k))) {
            let c = w.client(server, kind);
            for token in [r#""of the client""#, "77"] {
                let params = |token: &str| {
                    let meta = META.replace("TOKEN", token);
                    format!(r#"{{"name":"echo" ,"_meta":{meta},"arguments":{{"text":"as it is"}}, "new":1}}"#)
                };
                let body = format!(
                    r#"{{"jsonrpc":"2.0","id":{token},"method":"tools/call","params":{}}}"#,
                    params(token)
                );
                let req = w.start_raw(c, &[serde_json::from_str(token).unwrap()], &body)[0];
                let answer = w.outcome(req);
                let keys: Vec<&String> = answer["result"]["_meta"].as_object().unwrap().keys().collect();
                assert_eq!(keys, ["sim/tag", "sim/uid"], "those of the server");
                let mind = if server == "fs" { w.child("fs").mind() } else { &mut w.site(server).mind };
                let heard = mind.last("tools/call").unwrap();
                let own = heard.value["params"]["_meta"]["progressToken"].to_string();
                assert!(heard.raw.contains(&params(&own)), "{}", heard.raw);
            }
        }
    });
}
