//! How it ends.

use super::stage::{Client, Plan, Run, gone, number, server_after};
use futures::channel::mpsc::unbounded;
use futures::{StreamExt, pin_mut, select};
use mcp_proxy_core::Proxy;
use mcp_proxy_os::Options;
use serde_json::json;
use std::io::{self, Read};
use std::net::TcpListener;

pub(super) fn the_handle_stops_it_in_order(run: Run) {
    let mut proxy = Plan::of(json!({"sh": server_after("")})).start(run);
    let (server, helper) = (number(&proxy.line("server ")), number(&proxy.line("helper ")));
    let mut client = Client::at_the_shell(&proxy);
    client.call("length", "");
    client.text();
    proxy.stop();
    assert_eq!(proxy.code(), 0);
    gone(server);
    gone(helper);
    // An orderly end, not a reset.
    let mut rest = Vec::new();
    client.socket.read_to_end(&mut rest).unwrap();
}

pub(super) fn a_second_stop_does_not_wait(run: Run) {
    // A child that nothing but SIGKILL ends, and all the time in the world for it.
    let script = "trap '' TERM; echo \"server $$\" >&2; while :; do read -r x || sleep 1; done";
    let mut plan = Plan::of(json!({"sh": {"command": "sh", "args": ["-c", script]}}));
    plan.limits.child_stop_ms = 3_600_000;
    plan.limits.shutdown_ms = 3_600_000;
    let mut proxy = plan.start(run);
    let server = number(&proxy.line("server "));
    proxy.stop();
    proxy.stop();
    proxy.code();
    gone(server);
}

pub(super) fn a_stop_may_come_before_the_start(run: Run) {
    let plan = Plan::of(json!({"sh": server_after("")}));
    plan.stop.stop();
    assert_eq!(plan.launch(run, "127.0.0.1:0").code(), 0);
}

pub(super) fn a_port_in_use_ends_with_exit_code_1(run: Run) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut proxy = Plan::of(json!({})).launch(run, &addr);
    proxy.line("Address already in use");
    assert_eq!(proxy.code(), 1);
}

/// Serves until the child has said its name, then drops the proxy.
async fn drop_in_the_middle<F>(serve: impl FnOnce(Proxy, Options) -> F)
where
    F: Future<Output = io::Result<u8>>,
{
    let plan = Plan::of(json!({"sh": server_after("")}));
    let (log_to, mut log) = unbounded();
    let proxy = plan.proxy("127.0.0.1:0");
    let options =
        plan.options(Box::new(move |record, _| drop(log_to.unbounded_send(record.message.clone()))));
    let mut pids = Vec::new();
    {
        let served = futures::FutureExt::fuse(serve(proxy, options));
        pin_mut!(served);
        while pids.len() < 2 {
            select! {
                code = served => panic!("it ended with {code:?}"),
                line = log.next() => {
                    let line = line.unwrap();
                    if line.starts_with("server ") || line.starts_with("helper ") {
                        pids.push(number(&line));
                    }
                }
            }
        }
    }
    // The log was dropped with it, and nobody holds the children.
    while log.next().await.is_some() {}
    pids.into_iter().for_each(gone);
}

#[test]
fn whoever_drops_it_on_smol_drops_its_children() {
    smol::block_on(drop_in_the_middle(mcp_proxy_smol::serve));
}

#[test]
fn whoever_drops_it_on_tokio_drops_its_children() {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(drop_in_the_middle(mcp_proxy_tokio::serve));
}
