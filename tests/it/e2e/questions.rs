//! What servers ask of their clients and tell them unasked, for every client transport with every server transport,
//! at the endpoint of one server and at the merged one.

use super::client::{Client, Down, end};
use super::ears::{self, Question};
use super::meeting::Meeting;
use super::pair::Pair;
use super::upstream::Up;
use super::within;
use rmcp::model::{LoggingLevel, SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams};
use serde_json::{Value, json};

pairings! {
    a_message_is_sampled
    a_form_is_filled_in_or_not
    a_url_is_offered
    a_refusal_reaches_the_server
    roots_are_listed_and_their_change_is_told
    the_server_is_told_what_each_client_can
    a_client_that_cannot_is_not_asked
    a_megabyte_is_asked_and_answered
    questions_of_one_client_get_their_own_answers
    questions_of_two_clients_get_their_own_answers
    a_withdrawn_question_is_withdrawn_at_the_client
    a_cancelled_call_takes_its_question_with_it
    a_client_that_leaves_answers_no_more
    log_messages_reach_the_client
    a_watched_resource_is_announced
}

merged_pairings! {
    a_message_is_sampled
    a_form_is_filled_in_or_not
    a_url_is_offered
    a_refusal_reaches_the_server
    roots_are_listed_and_their_change_is_told
    a_client_that_cannot_is_not_asked
    questions_of_two_clients_get_their_own_answers
    two_servers_get_the_answers_to_their_own_questions
    a_cancelled_call_takes_its_question_with_it
    log_messages_reach_the_client
    a_watched_resource_is_announced
}

/// The arguments of `ask`.
fn sampling(words: &str) -> Value {
    let message = json!({"role": "user", "content": {"type": "text", "text": words}});
    let params = json!({"messages": [message], "systemPrompt": "Be brief.", "maxTokens": 7});
    json!({"method": "sampling/createMessage", "params": params})
}

fn form(message: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]});
    let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
    json!({"method": "elicitation/create", "params": params})
}

fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

fn sampled(words: &str) -> Value {
    json!({"role": "assistant", "content": {"type": "text", "text": words}, "model": "m", "stopReason": "endTurn"})
}

/// What the tool `ask` has been told.
fn told(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

async fn a_message_is_sampled(pair: Pair) {
    let mut client = pair.able().await;
    let call = client.begin("ask", sampling("hällo \"\u{1f980}\"\n\u{2028}")).await;
    let question = client.question().await;
    assert_eq!(question.method, "sampling/createMessage");
    let content = &question.params["messages"][0]["content"];
    assert_eq!(content["text"], "hällo \"\u{1f980}\"\n\u{2028}");
    assert_eq!(
        (&question.params["systemPrompt"], &question.params["maxTokens"]),
        (&json!("Be brief."), &json!(7))
    );
    question.answer(sampled("grüß \u{1f980}"));
    assert_eq!(told(&end(call).await)["result"], sampled("grüß \u{1f980}"));
}

async fn a_form_is_filled_in_or_not(pair: Pair) {
    let mut client = pair.able().await;
    let filled_in = json!({"action": "accept", "content": {"age": 42}});
    for answer in [filled_in, json!({"action": "decline"}), json!({"action": "cancel"})] {
        let call = client.begin("ask", form("How old?")).await;
        let question = client.question().await;
        assert_eq!(question.method, "elicitation/create");
        assert_eq!(question.params["message"], "How old?");
        assert_eq!(question.params["requestedSchema"]["properties"]["age"]["type"], "integer");
        question.answer(answer.clone());
        assert_eq!(told(&end(call).await)["result"], answer);
    }
}

async fn a_url_is_offered(pair: Pair) {
    let mut client = pair.able().await;
    let url = "https://example.com/go?a=1&b=%20#c";
    let params = json!({"mode": "url", "message": "Go there.", "url": url, "elicitationId": "e-1"});
    let call = client.begin("ask", json!({"method": "elicitation/create", "params": params})).await;
    let question = client.question().await;
    for member in ["mode", "message", "url", "elicitationId"] {
        assert_eq!(question.params[member], params[member]);
    }
    question.answer(json!({"action": "accept"}));
    assert_eq!(told(&end(call).await)["result"], json!({"action": "accept"}));
}

async fn a_refusal_reaches_the_server(pair: Pair) {
    let mut client = pair.able().await;
    let call = client.begin("ask", sampling("no")).await;
    let refusal = json!({"code": -1, "message": "User rejected it", "data": {"why": [1, null]}});
    client.question().await.refuse(refusal.clone());
    assert_eq!(told(&end(call).await)["error"], refusal);
}

async fn roots_are_listed_and_their_change_is_told(pair: Pair) {
    let client = pair.able().await;
    let (one, two) = (json!([{"uri": "file:///one", "name": "one"}]), json!([{"uri": "file:///tw%C3%B6"}]));
    *client.heard.roots.lock().unwrap() = one.clone();
    assert_eq!(told(&client.text("ask", roots()).await)["result"]["roots"], one);
    *client.heard.roots.lock().unwrap() = two.clone();
    within("the news", client.service.notify_roots_list_changed()).await.unwrap();
    assert_eq!(client.text("heard", json!({"words": "roots changed"})).await, "heard");
    assert_eq!(told(&client.text("ask", roots()).await)["result"]["roots"], two);
}

async fn the_server_is_told_what_each_client_can(pair: Pair) {
    let sampling_only = json!({"sampling": {}});
    for capabilities in [ears::everything(), json!({}), sampling_only] {
        let client = pair.client_with(capabilities.clone()).await;
        assert_eq!(told(&client.text("abilities", json!({})).await), capabilities);
    }
}

async fn a_client_that_cannot_is_not_asked(pair: Pair) {
    let able = pair.able().await;
    let mut plain = pair.client().await;
    for question in [sampling("anyone?"), form("anyone?")] {
        let answer = told(&plain.text("ask", question).await);
        assert_eq!(answer["error"]["code"], -32601, "{answer}"); // bridging § 5.6
    }
    assert!(plain.heard.questions.try_recv().is_err());
    assert_eq!(able.text("echo", json!({"text": "still here"})).await, "still here");
}

async fn a_megabyte_is_asked_and_answered(pair: Pair) {
    let mut client = pair.able().await;
    let large = "0123456789abcdef".repeat(1024 * 1024 / 16);
    let call = client.begin("ask", sampling(&large)).await;
    let question = client.question().await;
    assert!(question.params["messages"][0]["content"]["text"] == large, "another question came");
    question.answer(sampled(&large));
    assert!(told(&end(call).await)["result"]["content"]["text"] == large, "another answer came");
}

async fn questions_of_one_client_get_their_own_answers(pair: Pair) {
    let mut client = pair.able().await;
    let mut calls = Vec::new();
    for number in 0..5 {
        calls.push((number, client.begin("ask", form(&format!("number {number}?"))).await));
    }
    let questions = open_questions(&mut client, 5).await;
    for question in questions.into_iter().rev() {
        let echoed = question.params["message"].clone();
        question.answer(json!({"action": "accept", "content": {"echo": echoed}}));
    }
    for (number, call) in calls {
        assert_eq!(told(&end(call).await)["result"]["content"]["echo"], format!("number {number}?"));
    }
}

async fn open_questions(client: &mut Client, count: usize) -> Vec<Question> {
    let mut questions = Vec::new();
    while questions.len() < count {
        questions.push(client.question().await);
    }
    questions
}

async fn questions_of_two_clients_get_their_own_answers(pair: Pair) {
    let (mut one, mut other) = (pair.able().await, pair.able().await);
    let one_call = one.begin("ask", form("one?")).await;
    let other_call = other.begin("ask", form("other?")).await;
    let (one_question, other_question) = (one.question().await, other.question().await);
    assert_eq!(
        (&one_question.params["message"], &other_question.params["message"]),
        (&json!("one?"), &json!("other?"))
    );
    other_question.answer(json!({"action": "decline"}));
    assert_eq!(told(&end(other_call).await)["result"], json!({"action": "decline"}));
    one_question.answer(json!({"action": "cancel"}));
    assert_eq!(told(&end(one_call).await)["result"], json!({"action": "cancel"}));
}

/// The servers begin to count their questions with the same number.
async fn two_servers_get_the_answers_to_their_own_questions(pair: Pair) {
    let mut client = pair.able().await;
    let first = client.begin("ask", form("first?")).await;
    let first_question = client.question().await;
    client.prefix = "second__";
    let second = client.begin("ask", form("second?")).await;
    let second_question = client.question().await;
    assert_eq!(second_question.params["message"], "second?");
    second_question.answer(json!({"action": "decline"}));
    assert_eq!(told(&end(second).await)["result"], json!({"action": "decline"}));
    first_question.answer(json!({"action": "cancel"}));
    assert_eq!(told(&end(first).await)["result"], json!({"action": "cancel"}));
}

async fn a_withdrawn_question_is_withdrawn_at_the_client(pair: Pair) {
    let mut client = pair.able().await;
    let meeting = Meeting::new().await;
    let call = client.begin("ask", at(&meeting, "to be withdrawn")).await;
    let held = meeting.held("to be withdrawn").await;
    let question = client.question().await;
    held.release().await;
    assert_eq!(end(call).await, "withdrawn");
    question.withdrawn().await;
    let call = client.begin("ask", sampling("again")).await;
    client.question().await.answer(sampled("yes"));
    assert_eq!(told(&end(call).await)["result"], sampled("yes"));
}

async fn a_cancelled_call_takes_its_question_with_it(pair: Pair) {
    let mut client = pair.able().await;
    let meeting = Meeting::new().await;
    let call = client.begin("ask", at(&meeting, "to be cancelled")).await;
    let held = meeting.held("to be cancelled").await;
    let question = client.question().await;
    within("the cancellation", call.cancel(Some("changed my mind".to_owned()))).await.unwrap();
    held.cancelled().await;
    question.withdrawn().await;
    let call = client.begin("ask", sampling("again")).await;
    client.question().await.answer(sampled("yes"));
    assert_eq!(told(&end(call).await)["result"], sampled("yes"));
}

async fn a_client_that_leaves_answers_no_more(pair: Pair) {
    let (mut leaver, mut other) = (pair.able().await, pair.able().await);
    let meeting = Meeting::new().await;
    let _call = leaver.begin("ask", at(&meeting, "left alone")).await;
    let _held = meeting.held("left alone").await;
    let _question = leaver.question().await;
    within("leaving", leaver.service.cancel()).await.unwrap();
    let call = other.begin("ask", sampling("and you?")).await;
    other.question().await.answer(sampled("here"));
    assert_eq!(told(&end(call).await)["result"], sampled("here"));
}

/// A question at which the server meets the test.
fn at(meeting: &Meeting, label: &str) -> Value {
    let mut arguments = sampling(label);
    arguments.as_object_mut().unwrap().append(meeting.place(label).as_object_mut().unwrap());
    arguments
}

async fn log_messages_reach_the_client(pair: Pair) {
    let mut client = pair.able().await;
    let request = SetLevelRequestParams::new(LoggingLevel::Notice);
    within("logging/setLevel", client.service.set_level(request)).await.unwrap();
    assert_eq!(client.text("heard", json!({"words": "level notice"})).await, "heard");
    assert_eq!(client.text("say", json!({"level": "error", "data": {"what": ["é", 1]}})).await, "said");
    let message = within("the message", client.heard.log.recv()).await.unwrap();
    assert_eq!((&message["level"], &message["data"]), (&json!("error"), &json!({"what": ["é", 1]})));
    assert!(message["logger"].as_str().unwrap().ends_with("mouth"), "{message}");
}

async fn a_watched_resource_is_announced(pair: Pair) {
    let mut client = pair.able().await;
    let watch = client.service.subscribe(SubscribeRequestParams::new("test://one"));
    within("resources/subscribe", watch).await.unwrap();
    assert_eq!(client.text("heard", json!({"words": "subscribe test://one"})).await, "heard");
    assert_eq!(client.text("touch", json!({"uri": "test://one"})).await, "touched");
    assert_eq!(within("the news", client.heard.updated.recv()).await.unwrap(), "test://one");
    let unwatch = client.service.unsubscribe(UnsubscribeRequestParams::new("test://one"));
    within("resources/unsubscribe", unwatch).await.unwrap();
    assert_eq!(client.text("heard", json!({"words": "unsubscribe test://one"})).await, "heard");
}

/// Five clients of one configured stdio server, each with a form open; the last is filled in first.
async fn five_forms_are_answered_in_reverse(pair: Pair) {
    let mut clients = Vec::new();
    for number in 0..5 {
        let mut client = pair.able().await;
        let call = client.begin("ask", form(&format!("client {number}?"))).await;
        let question = client.question().await;
        assert_eq!(question.params["message"], format!("client {number}?"));
        clients.push((number, client, call, question));
    }
    while let Some((number, mut client, call, question)) = clients.pop() {
        let answer = json!({"action": "accept", "content": {"age": number}});
        question.answer(answer.clone());
        assert_eq!(told(&end(call).await)["result"], answer);
        assert!(client.heard.questions.try_recv().is_err(), "client {number} was asked twice");
    }
}

#[tokio::test]
async fn five_forms_over_mcp_are_answered_in_reverse() {
    five_forms_are_answered_in_reverse(Pair::single(Up::Stdio, Down::Mcp).await).await;
}

#[tokio::test]
async fn five_forms_over_sse_are_answered_in_reverse() {
    five_forms_are_answered_in_reverse(Pair::single(Up::Stdio, Down::Sse).await).await;
}

#[tokio::test]
async fn five_forms_over_merged_mcp_are_answered_in_reverse() {
    five_forms_are_answered_in_reverse(Pair::merged(Up::Stdio, Down::Mcp).await).await;
}

#[tokio::test]
async fn five_forms_over_merged_sse_are_answered_in_reverse() {
    five_forms_are_answered_in_reverse(Pair::merged(Up::Stdio, Down::Sse).await).await;
}
