//! Every client transport with every server transport.

use super::client::{Client, Down, end, wire};
use super::everything::TOOLS;
use super::meeting::{Meeting, begin};
use super::pair::Pair;
use super::proxy::Proxy;
use super::upstream::{Up, Upstream};
use super::within;
use rmcp::model::{
    ArgumentInfo, CompleteRequestParams, GetPromptRequestParams, ReadResourceRequestParams, Reference,
};
use rmcp::service::ServiceError;
use serde_json::json;

pairings! {
    the_handshake_tells_of_the_server
    tools_are_listed_and_called
    prompts_are_listed_and_got
    resources_and_templates_are_listed_and_read
    arguments_are_completed
    progress_reaches_the_client
    a_cancellation_reaches_the_server
    an_error_arrives_with_its_data
    clients_with_equal_ids_get_their_own_answers
    a_changed_list_is_announced_and_served
    five_megabytes_pass_both_ways
    many_calls_of_one_client_run_at_once
    a_client_that_leaves_cancels_its_calls
}

async fn the_handshake_tells_of_the_server(pair: Pair) {
    // SEED-023
    let client = pair.client().await;
    let told = wire(&*client.service.peer_info().unwrap());
    assert_eq!(told["serverInfo"]["name"], "everything");
    assert_eq!(told["instructions"], "Call \"echo\" first.");
    for capability in ["tools", "prompts", "resources", "completions"] {
        assert!(told["capabilities"][capability].is_object(), "no {capability} in {told}");
    }
}

async fn tools_are_listed_and_called(pair: Pair) {
    let client = pair.client().await;
    assert_eq!(client.tools().await, TOOLS);
    assert_eq!(
        client.text("echo", json!({"text": "hällo \u{1f980}\n\u{2028}"})).await,
        "hällo \u{1f980}\n\u{2028}"
    );
}

async fn prompts_are_listed_and_got(pair: Pair) {
    let client = pair.client().await;
    let prompts = within("prompts/list", client.service.list_all_prompts()).await.unwrap();
    assert_eq!(wire(&prompts), json!([{"name": "greet", "arguments": [{"name": "whom", "required": true}]}]));
    let arguments = json!({"whom": "Ada"});
    let request = GetPromptRequestParams::new("greet").with_arguments(arguments.as_object().unwrap().clone());
    let prompt = within("prompts/get", client.service.get_prompt(request)).await.unwrap();
    assert_eq!(wire(&prompt)["messages"][0]["content"]["text"], "Say hello to Ada.");
}

async fn resources_and_templates_are_listed_and_read(pair: Pair) {
    let client = pair.client().await;
    let resources = within("resources/list", client.service.list_all_resources()).await.unwrap();
    assert_eq!(wire(&resources), json!([{"uri": "test://one", "name": "one"}]));
    let templates = client.service.list_all_resource_templates();
    let templates = within("resources/templates/list", templates).await.unwrap();
    assert_eq!(wire(&templates), json!([{"uriTemplate": "test://item/{id}", "name": "item"}]));
    let request = ReadResourceRequestParams::new("test://item/7");
    let read = within("resources/read", client.service.read_resource(request)).await.unwrap();
    assert_eq!(wire(&read)["contents"][0]["text"], "what is at test://item/7");
}

async fn arguments_are_completed(pair: Pair) {
    let client = pair.client().await;
    let argument = ArgumentInfo::new("whom", "Ad");
    let request = CompleteRequestParams::new(Reference::for_prompt("greet"), argument);
    let completed = within("completion/complete", client.service.complete(request)).await.unwrap();
    assert_eq!(wire(&completed)["completion"]["values"], json!(["Adx", "Ady"]));
}

async fn progress_reaches_the_client(pair: Pair) {
    let mut client = pair.client().await;
    assert_eq!(client.text("steps", json!({})).await, "three steps");
    for step in 1..=3 {
        let note = wire(&within("progress", client.heard.progress.recv()).await.unwrap());
        assert_eq!(note["progress"].as_f64(), Some(f64::from(step)));
        assert_eq!(note["total"].as_f64(), Some(3.0));
        assert_eq!(note["message"], format!("step {step}"));
    }
}

async fn a_cancellation_reaches_the_server(pair: Pair) {
    let client = pair.client().await;
    let meeting = Meeting::new().await;
    let call = begin(&client, &meeting, "to be cancelled").await;
    let held = meeting.held("to be cancelled").await;
    within("the cancellation", call.cancel(Some("changed my mind".to_owned()))).await.unwrap();
    held.cancelled().await;
    assert_eq!(client.text("echo", json!({"text": "still here"})).await, "still here");
}

async fn an_error_arrives_with_its_data(pair: Pair) {
    let client = pair.client().await;
    let error = client.call("fail", json!({})).await.unwrap_err();
    let ServiceError::McpError(error) = error else { panic!("not an answer of the server: {error}") };
    let data = json!({"tries": 3, "why": ["a \"quoted\" reason", null, 9007199254740993_u64]});
    assert_eq!(wire(&error), json!({"code": -32042, "message": "no such luck", "data": data}));
}

async fn clients_with_equal_ids_get_their_own_answers(pair: Pair) {
    let (one, other) = (pair.client().await, pair.client().await);
    let (first, second) = (Meeting::new().await, Meeting::new().await);
    let one_call = begin(&one, &first, "one").await;
    let other_call = begin(&other, &second, "other").await;
    assert_eq!(one_call.id, other_call.id);
    let (one_held, other_held) = (first.held("one").await, second.held("other").await);
    other_held.release().await;
    assert_eq!(end(other_call).await, "met other");
    one_held.release().await;
    assert_eq!(end(one_call).await, "met one");
}

async fn a_changed_list_is_announced_and_served(pair: Pair) {
    let mut client = pair.client().await;
    let mut watcher = pair.client().await;
    assert_eq!(client.tools().await, TOOLS);
    assert_eq!(client.text("grow", json!({})).await, "grown");
    within("the news", client.heard.tools_changed.recv()).await.unwrap();
    assert!(client.tools().await.contains(&"grown".to_owned()));
    within("the news for the other client", watcher.heard.tools_changed.recv()).await.unwrap();
    assert!(watcher.tools().await.contains(&"grown".to_owned()));
}

async fn five_megabytes_pass_both_ways(pair: Pair) {
    let client = pair.client().await;
    let large = "0123456789abcdef".repeat(5 * 1024 * 1024 / 16);
    let echoed = client.text("echo", json!({"text": large})).await;
    assert!(echoed == large, "{} of {} bytes came back, or others", echoed.len(), large.len());
}

async fn many_calls_of_one_client_run_at_once(pair: Pair) {
    let client = pair.client().await;
    let mut calls = Vec::new();
    for number in 0..10 {
        let meeting = Meeting::new().await;
        let label = format!("call {number}");
        let call = begin(&client, &meeting, &label).await;
        calls.push((call, meeting.held(&label).await, label));
    }
    // The last first, each while all before it still run.
    while let Some((call, held, label)) = calls.pop() {
        held.release().await;
        assert_eq!(end(call).await, format!("met {label}"));
    }
}

async fn a_client_that_leaves_cancels_its_calls(pair: Pair) {
    let (leaver, other) = (pair.client().await, pair.client().await);
    let meeting = Meeting::new().await;
    let _call = begin(&leaver, &meeting, "left alone").await;
    let held = meeting.held("left alone").await;
    within("leaving", leaver.service.cancel()).await.unwrap();
    held.cancelled().await; // DL-33
    assert_eq!(other.text("echo", json!({"text": "still here"})).await, "still here");
}

#[tokio::test]
async fn a_url_without_a_transport_type_may_be_either() {
    let (sse, streamable) = (Upstream::start(Up::Sse).await, Upstream::start(Up::Streamable).await);
    let untyped = json!({"url": streamable.config["url"]});
    let proxy = Proxy::in_front_of(json!({"sse": sse.config, "streamable": untyped})).await;
    for server in ["sse", "streamable"] {
        let client = Client::connect(&proxy.url(&Down::Mcp.path(server)), None).await;
        assert_eq!(client.text("echo", json!({"text": server})).await, server);
    }
}
