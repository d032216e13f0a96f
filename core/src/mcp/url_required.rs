//! The error -32042 of 2025-11-25: a URL has to be opened before the request can succeed.
//!
//! A client with URL elicitation gets it as it is. For any other the URL becomes text that a model or a user can read.
//! Strings are copied as they are escaped. Deliberately absent: a check of the URLs, which nobody opens here.

use super::ask::elicitation_id_of;
use super::patch::{Patch, is_named};
use crate::fault::Code;
use crate::json::scan::each_member;
use crate::json::{self, Span};

/// Most elicitations of one error whose completion is told of. More at once cannot be meant for a human.
const IDS_MAX: usize = 16;

/// Whether this `error` is the one. Any of several `code`s counts, however it is spelled: a reader could take that one.
pub(crate) fn is_url_required(text: &[u8], error: Span) -> bool {
    let coded = each_member(text, error).filter(|member| is_named(text, *member, "code")).any(|member| {
        let number = std::str::from_utf8(member.value.of(text)).ok().and_then(|raw| raw.parse::<f64>().ok());
        number == Some(-32042.0)
    });
    let data = json::member(text, error, "data").unwrap_or_default();
    coded && data.is_some_and(|data| elicitations(text, data).of(text).first() == Some(&b'['))
}

/// The ids of its elicitations, raw strings: the server may tell later that they are complete.
pub(crate) fn elicitation_ids(text: &[u8], error: Span) -> Vec<Span> {
    let list = json::member(text, error, "data").unwrap_or_default().map(|data| elicitations(text, data));
    json::elements(text, list.unwrap_or_default())
        .filter_map(|elicitation| elicitation_id_of(text, elicitation))
        .take(IDS_MAX)
        .collect()
}

/// The `result` or `error` member of a response, name and all, for a client that cannot be asked by URL: a failed
/// result for tool calls, which a model reads, and -32603 otherwise.
pub(crate) fn for_client_without_url(text: &[u8], error: Span, is_tool_call: bool) -> Vec<u8> {
    let [message, data] = json::members(text, error, ["message", "data"]).unwrap_or_default();
    let words = words(text, message, data.map(|data| elicitations(text, data)).unwrap_or_default());
    if is_tool_call {
        let (before, after) =
            (b"\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"", b"\"}],\"isError\":true}");
        return [before.as_slice(), &*words, after].concat();
    }
    let head = format!("\"error\":{{\"code\":{},\"message\":\"", Code::Internal.json_rpc());
    let data = data.map(|data| Patch::new(text, data).finish()).unwrap_or_default();
    let name: &[u8] = if data.is_empty() { b"" } else { b",\"data\":" };
    [head.as_bytes(), &*words, b"\"", name, &*data, b"}"].concat()
}

fn elicitations(text: &[u8], data: Span) -> Span {
    json::member(text, data, "elicitations").unwrap_or_default().unwrap_or_default()
}

/// The inside of a JSON string: the message of the error, then a line for each URL.
fn words(text: &[u8], message: Option<Span>, elicitations: Span) -> Vec<u8> {
    let message = message.and_then(|span| inner(text, span)).filter(|inner| !inner.is_empty());
    let mut out = message.unwrap_or(b"a URL has to be opened first").to_vec();
    for elicitation in json::elements(text, elicitations) {
        let [message, url] = json::members(text, elicitation, ["message", "url"]).unwrap_or_default();
        let Some(url) = url.and_then(|span| inner(text, span)) else { continue };
        out.extend_from_slice(b"\\n");
        if let Some(message) = message.and_then(|span| inner(text, span)).filter(|inner| !inner.is_empty()) {
            out.extend_from_slice(message);
            out.extend_from_slice(b": ");
        }
        out.extend_from_slice(url);
    }
    out
}

/// The inside of a string, still escaped.
fn inner(text: &[u8], span: Span) -> Option<&[u8]> {
    span.of(text).strip_prefix(b"\"")?.strip_suffix(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: &str = r#"{"code":-32042,"message":"sign in \"first\"","data":{"elicitations":[
        {"mode":"url","message":"GitHub","url":"https://a.example/?x=1","elicitationId":"e1"},
        {"mode":"url","message":"","url":"https:\/\/b.example\/","elicitationId":7},
        {"mode":"url","elicitationId":"e\u0033"}, 5]}}"#;

    fn whole(text: &str) -> Span {
        Span { start: 0, end: text.len() }
    }

    fn convert(text: &str, is_tool_call: bool) -> serde_json::Value {
        let member = for_client_without_url(text.as_bytes(), whole(text), is_tool_call);
        assert!(!member.iter().any(|byte| matches!(byte, b'\r' | b'\n')));
        serde_json::from_slice(&[b"{", &*member, b"}"].concat()).unwrap()
    }

    #[test]
    fn the_error_is_known_by_its_code_and_its_data() {
        for (text, is) in [
            (ERROR, true),
            (r#"{"message":"","\u0063ode" : -32042,"data":{"elicitations":[]}}"#, true),
            (r#"{"code":-32042.0,"data":{"elicitations":[]}}"#, true),
            (r#"{"code":-3.2042e4,"data":{"elicitations":[]}}"#, true),
            (r#"{"code":-32603,"code":-32042,"data":{"elicitations":[]}}"#, true),
            // A code of somebody's own, from before it meant this.
            (r#"{"code":-32042,"data":{"elicitations":7}}"#, false),
            (r#"{"code":-32042}"#, false),
            (r#"{"code":-32041}"#, false),
            (r#"{"code":"-32042"}"#, false),
            (r#"{"code":-320420,"data":{"code":-32042}}"#, false),
            ("{}", false),
            ("-32042", false),
        ] {
            assert_eq!(is_url_required(text.as_bytes(), whole(text)), is, "{text}");
        }
    }

    #[test]
    fn ids_are_raw_strings_and_limited() {
        let ids = |text: &str| -> Vec<String> {
            let spans = elicitation_ids(text.as_bytes(), whole(text));
            spans.into_iter().map(|span| text[span.start..span.end].to_owned()).collect()
        };
        assert_eq!(ids(ERROR), [r#""e1""#, r#""e\u0033""#]);
        for none in ["{}", r#"{"data":7}"#, r#"{"data":{"elicitations":{"elicitationId":"x"}}}"#] {
            assert_eq!(ids(none), [""; 0], "{none}");
        }
        let many = |count| {
            let each = vec![r#"{"elicitationId":"x"}"#; count].join(",");
            ids(&format!(r#"{{"data":{{"elicitations":[{each}]}}}}"#)).len()
        };
        assert_eq!((many(16), many(17)), (16, 16));
        let long = |len: usize| {
            let id = "x".repeat(len - 2);
            ids(&format!(r#"{{"data":{{"elicitations":[{{"elicitationId":"{id}"}}]}}}}"#)).len()
        };
        assert_eq!((long(1024), long(1025)), (1, 0));
    }

    #[test]
    fn a_tool_call_fails_with_a_text_that_names_the_urls() {
        // DL-10
        let text = "sign in \"first\"\nGitHub: https://a.example/?x=1\nhttps://b.example/";
        let expected = serde_json::json!({"result":{"content":[{"type":"text","text":text}],"isError":true}});
        assert_eq!(convert(ERROR, true), expected);
        let bare = convert(r#"{"code":-32042}"#, true);
        assert_eq!(bare["result"]["content"][0]["text"], "a URL has to be opened first");
    }

    #[test]
    fn other_requests_fail_with_an_error_of_another_code() {
        // DL-10
        let error = convert(ERROR, false)["error"].take();
        assert_eq!(error["code"], -32603);
        assert!(error["message"].as_str().unwrap().ends_with("https://b.example/"));
        let original: serde_json::Value = serde_json::from_str(ERROR).unwrap();
        assert_eq!(error["data"], original["data"]);
        let bare = convert(r#"{"code":-32042,"message":"m"}"#, false);
        assert_eq!(bare, serde_json::json!({"error":{"code":-32603,"message":"m"}}));
    }
}
