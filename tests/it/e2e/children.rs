//! Children: one that crashes, an orderly stop, the proxy's sudden death.

use super::client::{Client, Down, initialize, post, send, text};
use super::meeting::{Meeting, begin};
use super::process::{gone, members};
use super::program;
use super::proxy::{Proxy, Scratch, config, run_with};
use super::upstream::stdio;
use super::within;
use rustix::process::Signal;
use serde_json::{Value, json};

/// The stdio server as the leader of a group in which a grandchild sleeps.
fn with_a_grandchild() -> Value {
    sh(&format!("sleep 1000 & exec '{}'", program::everything().display()))
}

/// A server that is a script.
fn sh(script: &str) -> Value {
    json!({"command": "sh", "args": ["-c", script]})
}

async fn a_session_survives_a_crash(down: Down) {
    let proxy = Proxy::in_front_of(json!({"everything": stdio()})).await;
    let client = Client::connect(&proxy.url(&down.path("everything")), None).await;
    let before = client.pid().await;
    client.call("crash", json!({})).await.unwrap_err();
    let after = client.pid().await;
    assert_ne!(before, after);
    gone(before).await;
}

#[tokio::test]
async fn a_session_over_mcp_survives_a_crash_of_the_server() {
    a_session_survives_a_crash(Down::Mcp).await;
}

#[tokio::test]
async fn a_session_over_sse_survives_a_crash_of_the_server() {
    a_session_survives_a_crash(Down::Sse).await;
}

#[tokio::test]
async fn a_crash_takes_the_grandchildren_with_it() {
    let proxy = Proxy::in_front_of(json!({"everything": with_a_grandchild()})).await;
    let client = Client::connect(&proxy.url("/everything/mcp"), None).await;
    let group = client.pid().await;
    assert_eq!(members(group).await.len(), 2);
    client.call("crash", json!({})).await.unwrap_err();
    gone(group).await; // ST-17
    assert_ne!(client.pid().await, group);
}

async fn a_running_call_ends_before_the_proxy(down: Down) {
    let mut proxy = Proxy::in_front_of(json!({"everything": with_a_grandchild()})).await; // SEED-068
    let client = Client::connect(&proxy.url(&down.path("everything")), None).await;
    let group = client.pid().await;
    assert_eq!(members(group).await.len(), 2);
    let meeting = Meeting::new().await;
    let call = client.service.call_tool(meeting.call("last"));
    let rest = async {
        let held = meeting.held("last").await;
        proxy.signal(Signal::TERM);
        proxy.logged("Shutdown signal received").await;
        held.release().await;
    };
    let (result, ()) = within("the last answer", futures::future::join(call, rest)).await;
    assert_eq!(text(&result.unwrap()), "met last");
    assert_eq!(proxy.ended().await.code(), Some(0));
    gone(group).await;
}

#[tokio::test]
async fn a_running_call_over_mcp_ends_before_the_proxy() {
    a_running_call_ends_before_the_proxy(Down::Mcp).await;
}

#[tokio::test]
async fn a_running_call_over_sse_ends_before_the_proxy() {
    a_running_call_ends_before_the_proxy(Down::Sse).await;
}

#[tokio::test]
async fn a_call_that_never_ends_does_not_keep_the_proxy() {
    let mut proxy = Proxy::in_front_of(json!({"everything": stdio()})).await; // SEED-068
    let client = Client::connect(&proxy.url("/everything/mcp"), None).await;
    let group = client.pid().await;
    let meeting = Meeting::new().await;
    let _call = begin(&client, &meeting, "endless").await;
    let _held = meeting.held("endless").await;
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().await.code(), Some(0));
    gone(group).await;
}

#[tokio::test]
async fn a_call_that_outlasts_the_grace_gets_an_error() {
    let mut proxy = Proxy::in_front_of(json!({"everything": stdio()})).await;
    let url = proxy.url("/everything/mcp");
    let session = send(post(&url, &initialize())).await.headers()["mcp-session-id"].clone();
    let meeting = Meeting::new().await;
    // DL-05: nobody said that the client is initialized
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": meeting.call("endless")});
    let call = async {
        let response = send(post(&url, &call).header("mcp-session-id", session)).await;
        within("the body", response.text()).await.unwrap()
    };
    let rest = async {
        let _held = meeting.held("endless").await;
        proxy.signal(Signal::TERM);
        proxy.ended().await
    };
    let (body, status) = futures::future::join(call, rest).await;
    assert_eq!(status.code(), Some(0));
    assert!(body.contains("\"id\":7") && body.contains("\"error\""), "no answer to the call: {body:?}");
}

#[tokio::test]
async fn a_server_that_also_prints_other_things_works() {
    let everything = program::everything().display();
    let chatty = sh(&format!("echo 'starting up ...'; echo '{{\"level\": \"info\"}}'; exec '{everything}'"));
    let proxy = Proxy::in_front_of(json!({"chatty": chatty})).await;
    let client = Client::connect(&proxy.url("/chatty/mcp"), None).await;
    assert_eq!(client.text("echo", json!({"text": "to the point"})).await, "to the point");
}

#[tokio::test]
async fn an_interrupt_stops_a_proxy_without_calls() {
    let mut proxy = Proxy::in_front_of(json!({"everything": stdio()})).await;
    let group = Client::connect(&proxy.url("/everything/mcp"), None).await.pid().await;
    proxy.signal(Signal::INT);
    assert_eq!(proxy.ended().await.code(), Some(0));
    gone(group).await;
}

#[tokio::test]
async fn a_server_that_ignores_its_stdin_and_sigterm_is_killed() {
    let everything = program::everything().display();
    let stubborn = sh(&format!("trap '' TERM; '{everything}'; while :; do sleep 1000; done"));
    let mut proxy = Proxy::in_front_of(json!({"stubborn": stubborn})).await;
    let server = Client::connect(&proxy.url("/stubborn/mcp"), None).await.pid().await;
    let group = rustix::process::getpgid(rustix::process::Pid::from_raw(i32::try_from(server).unwrap()));
    let group = u32::try_from(group.unwrap().as_raw_nonzero().get()).unwrap();
    assert!(members(group).await.contains(&server));
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().await.code(), Some(0));
    gone(group).await;
}

async fn a_proxy_that_dies_of(signal: Signal) {
    let servers = json!({"one": with_a_grandchild(), "two": with_a_grandchild()});
    let mut proxy = Proxy::in_front_of(servers).await;
    let one = Client::connect(&proxy.url("/one/mcp"), None).await.pid().await;
    let two = Client::connect(&proxy.url("/two/sse"), None).await.pid().await;
    assert_eq!(members(one).await.len(), 2);
    assert_eq!(members(two).await.len(), 2);
    proxy.signal(signal);
    assert_eq!(proxy.ended().await.code(), None);
    gone(one).await; // ST-17
    gone(two).await;
}

#[tokio::test]
async fn a_killed_proxy_leaves_no_process() {
    a_proxy_that_dies_of(Signal::KILL).await;
}

#[tokio::test]
async fn a_proxy_that_panics_leaves_no_process() {
    // A panic of the release build ends in this signal.
    a_proxy_that_dies_of(Signal::ABORT).await;
}

#[tokio::test]
async fn a_second_interrupt_does_not_wait_for_calls() {
    let mut proxy = Proxy::in_front_of(json!({"everything": with_a_grandchild()})).await;
    let client = Client::connect(&proxy.url("/everything/mcp"), None).await;
    let group = client.pid().await;
    let meeting = Meeting::new().await;
    let _call = begin(&client, &meeting, "endless").await;
    let _held = meeting.held("endless").await;
    proxy.signal(Signal::INT);
    proxy.logged("Shutdown signal received").await;
    proxy.signal(Signal::INT);
    proxy.ended().await;
    gone(group).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_ends_with_the_proxy() {
    let mute = sh("echo up >&2; trap '' TERM; while :; do sleep 1000; done");
    let mut proxy = Proxy::start(config(json!({"mute": mute})), &["-log-level", "debug"]).await;
    let line = proxy.logged("started as process ").await;
    let group = line.rsplit(' ').next().unwrap().parse().unwrap();
    proxy.logged("up").await;
    assert!(!members(group).await.is_empty());
    proxy.signal(Signal::TERM);
    proxy.ended().await;
    gone(group).await;
}

#[tokio::test]
async fn a_proxy_that_gives_up_takes_its_servers_along() {
    let scratch = Scratch::empty();
    let file = scratch.path().join("group");
    let (file, everything) = (file.display(), program::everything().display());
    let fine = sh(&format!("sleep 1000 & echo $$ > '{file}'; exec '{everything}'"));
    let mut broken = sh(&format!("until [ -s '{file}' ]; do :; done; exit 3"));
    broken["options"] = json!({"panicIfInvalid": true});
    let config = config(json!({"fine": fine, "broken": broken}));
    // `$$` is for the shell.
    let run = run_with(&config.to_string(), &["-expand-env=false"]).await;
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let group = std::fs::read_to_string(scratch.path().join("group")).unwrap();
    gone(group.trim().parse().unwrap()).await;
}

#[tokio::test]
async fn an_indispensable_server_that_cannot_be_started_ends_the_proxy() {
    let missing = json!({"command": "/no/such/program", "options": {"panicIfInvalid": true}});
    let config = config(json!({"missing": missing, "everything": stdio()}));
    let run = run_with(&config.to_string(), &[]).await; // SEED-027
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("missing"), "{}", run.stderr);
}
