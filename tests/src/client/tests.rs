use super::*;

/// A client with one request, and what it makes of this response body.
fn receive(body: &str) -> Client {
    let mut net = Net::new(0);
    let mut client = Client::new(3, "fs", Kind::Streamable);
    client.request(&mut net, json!(1), "tools/call", json!({"name": "x", "_meta": {"progressToken": 9}}));
    let conn = client.exchanges[0].conn;
    let stream = body.starts_with("event:");
    let kind = if stream { "text/event-stream" } else { "application/json" };
    let text = crate::http::message("HTTP/1.1 200 OK", &[("content-type", kind)], body);
    for byte in text.as_bytes() {
        client.on_bytes(conn, &[*byte], &mut net);
    }
    client
}

/// The event of a message.
fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

#[test]
fn an_answer_is_matched_and_the_connection_kept() {
    let client = receive(r#"{"jsonrpc":"2.0","id":1,"result":{"t":"@c3.0@"}}"#);
    assert!(matches!(client.requests[0].state, State::Answered(_)));
    assert_eq!(client.idle.len(), 1);
}

#[test]
fn a_response_without_an_answer_loses_the_request() {
    assert_eq!(receive(&event(r#"{"jsonrpc":"2.0","method":"x"}"#)).requests[0].state, State::Lost);
}

#[test]
#[should_panic(expected = "message of another")]
fn a_foreign_tag_is_noticed() {
    receive(r#"{"jsonrpc":"2.0","id":1,"result":{"t":"@c4.0@"}}"#);
}

#[test]
#[should_panic(expected = "answered twice")]
fn a_second_answer_is_noticed() {
    let answer = event(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    receive(&format!("{answer}{answer}"));
}

#[test]
#[should_panic(expected = "answer to nobody")]
fn an_answer_to_nobody_is_noticed() {
    receive(r#"{"jsonrpc":"2.0","id":"1","result":{}}"#);
}

#[test]
#[should_panic(expected = "progress must grow")]
fn progress_that_does_not_grow_is_noticed() {
    let step = event(
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":9,"progress":1}}"#,
    );
    receive(&format!("{step}{step}"));
}

#[test]
#[should_panic(expected = "came twice")]
fn a_message_on_two_streams_is_noticed() {
    let note = event(r##"{"jsonrpc":"2.0","method":"n","params":{"u":"#fs.1#"}}"##);
    receive(&format!("{note}{note}"));
}

#[test]
#[should_panic(expected = "without a name")]
fn a_message_whose_event_has_no_name_is_noticed() {
    receive("event:\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\n");
}
