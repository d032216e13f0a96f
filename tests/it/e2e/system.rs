//! What the system does to the proxy, and withholds from it: signals, orphans, a guard that is killed, limits of
//! processes, files and their sizes.

use super::browser::{CALLBACK, guarded, registration};
use super::client::{Client, Down, send};
use super::meeting::Meeting;
use super::process::{child_beside, collected, gone, members};
use super::proxy::{Proxy, Scratch, config};
use super::upstream::stdio;
use super::{program, within};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

/// Says why a test shows nothing here. Not `eprintln!`, which is kept back while a test passes.
fn skipped(why: &str) {
    let line = format!("SKIPPED: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_closed_terminal_ends_it_in_order() {
    // FT-406. Run in the background (`nohup`), these tests are deaf to it, and the proxy that they start with them.
    if !mcp_proxy_os::heir::hears_hangup() {
        skipped("hangups are ignored here, as by nohup");
        return;
    }
    let mut proxy = Proxy::in_front_of(json!({"everything": stdio()})).await;
    let client = Client::connect(&proxy.url(&Down::Mcp.path("everything")), None).await;
    let group = client.pid().await;
    let meeting = Meeting::new().await;
    let call = client.service.call_tool(meeting.call("last"));
    let rest = async {
        let held = meeting.held("last").await;
        // Systems tell of it more than once.
        proxy.signal(Signal::HUP);
        proxy.logged("a second Ctrl-C or SIGTERM does not wait").await;
        proxy.signal(Signal::HUP);
        held.release().await;
    };
    let (result, ()) = within("the last answer", futures::future::join(call, rest)).await;
    assert_eq!(super::client::text(&result.unwrap()), "met last");
    assert_eq!(proxy.ended().await.code(), Some(0));
    gone(group).await;
}

#[tokio::test]
async fn whoever_ignores_hangups_goes_on() {
    // FT-406
    let home = Scratch::empty();
    let proxy = Proxy::start_after("trap '' HUP", config(json!({"everything": stdio()})), home.path()).await;
    proxy.logged("handling requests at").await;
    proxy.signal(Signal::HUP);
    Client::connect(&proxy.url("/everything/mcp"), None).await.pid().await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn children_that_others_left_are_collected() {
    // FT-406: a shell that becomes the proxy leaves it its children, as everybody does to process 1 of a container.
    let home = Scratch::empty();
    let words = "sleep 0 & echo $! > orphans; sleep 2 & echo $! >> orphans";
    let proxy = Proxy::start_after(words, config(json!({"everything": stdio()})), home.path()).await;
    proxy.logged("handling requests at").await;
    let orphans = std::fs::read_to_string(home.path().join("orphans")).unwrap();
    for orphan in orphans.lines() {
        collected(orphan.parse().unwrap()).await;
    }
    // Our own are left to who waits for them: their end is told, and they are replaced.
    let client = Client::connect(&proxy.url("/everything/mcp"), None).await;
    let before = client.pid().await;
    client.call("crash", json!({})).await.unwrap_err();
    assert_ne!(client.pid().await, before);
    collected(before).await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn after_the_guard_was_killed_a_killed_proxy_leaves_nobody() {
    // FT-509: not even whoever has left the group of its child.
    let strays = Scratch::empty();
    let pid = strays.path().join("pid");
    let everything = program::everything().display();
    let script = format!("set -m; sleep 1000 & echo $! > '{}'; exec '{everything}'", pid.display());
    // Some shells give no job a group of its own without a terminal.
    let server = json!({"command": "bash", "args": ["-c", script]});
    let mut proxy = Proxy::start(config(json!({"everything": server})), &["-expand-env=false"]).await;
    proxy.logged("handling requests at").await;
    let group = Client::connect(&proxy.url("/everything/mcp"), None).await.pid().await;
    let stray: u32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    assert_eq!(members(stray).await, [stray]);
    let mut guard = child_beside(proxy.pid(), &[group]).await;
    for _ in 0..2 {
        super::process::signal(guard, Signal::KILL);
        proxy.logged("the guard process has ended, and is started again").await;
        collected(guard).await;
        // The line comes first.
        guard = child_beside(proxy.pid(), &[group, guard]).await;
    }
    proxy.signal(Signal::KILL);
    assert_eq!(proxy.ended().await.code(), None);
    gone(group).await;
    gone(stray).await;
}

/// Runs the program in a shell that has set a limit, until it ends or the test stops it.
async fn run_limited(limit: &str, servers: Value) -> Output {
    let home = Scratch::empty();
    let file = home.path().join("config.json");
    std::fs::write(&file, config(servers).to_string()).unwrap();
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]).arg(program::proxy());
    command.args(program::flags()).arg("-config").arg(&file).env_remove("RUST_BACKTRACE");
    within("the end of the program", command.kill_on_drop(true).output()).await.unwrap()
}

#[tokio::test]
async fn too_few_open_files_are_said_at_the_start() {
    // FT-510
    for files in 5..30 {
        let output = run_limited(&format!("-n {files}"), json!({"everything": stdio()})).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        // With fewer than five the loader finds no libraries.
        assert_eq!(output.status.code(), Some(1), "{files}: {stderr}");
        assert!(stderr.contains(&format!("allows {files} open files")), "{files}: {stderr}");
    }
}

#[tokio::test]
async fn beyond_a_limit_of_file_sizes_logins_are_refused_and_calls_go_on() {
    // FT-510
    let home = Scratch::empty();
    let mut open = stdio();
    open["options"] = json!({"oauth2": {"enabled": false}});
    let config = guarded(home.path(), json!({"open": open}), &json!({}));
    let proxy = Proxy::start_after("ulimit -f 8", config, home.path()).await;
    let mut statuses = Vec::new();
    while statuses.last() != Some(&503) && statuses.len() < 100 {
        let name = format!("{} {}", statuses.len(), "n".repeat(90));
        let metadata = json!({"redirect_uris": [CALLBACK], "client_name": name});
        statuses.push(send(registration(&proxy.url(""), &metadata)).await.status().as_u16());
    }
    assert_eq!((statuses.first(), statuses.last()), (Some(&201), Some(&503)), "{statuses:?}");
    proxy.logged("handling requests at").await;
    Client::connect(&proxy.url("/open/mcp"), None).await.pid().await;
}

/// A proxy of another user, who may have so many processes and threads. `None` where only root could do that and we are
/// not.
async fn with_processes(processes: u32, home: &Scratch) -> Option<Proxy> {
    if !rustix::process::geteuid().is_root() {
        skipped("only root can become a user whose limit of processes counts nobody else");
        return None;
    }
    // Nobody else is this user.
    let user = 50_000 + std::process::id() % 10_000 + processes;
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let own = home.path().join("mcp-proxy");
    std::fs::copy(program::proxy(), &own).unwrap();
    let servers = json!({"cat": {"command": "/bin/cat"}, "gone": {"url": "http://nowhere.invalid:1/mcp"}});
    Some(Proxy::start_as(user, processes, &own, config(servers), home.path()).await)
}

#[tokio::test]
async fn without_processes_starts_and_names_fail_and_nothing_else() {
    // FT-405: one for the program, one for a thread of its runtime.
    for processes in [2, 3, 4] {
        let home = Scratch::empty();
        let Some(mut proxy) = with_processes(processes, &home).await else { return };
        if processes == 2 {
            proxy.logged("cannot start `/bin/cat`: Resource temporarily unavailable").await;
        }
        proxy.logged("cannot resolve nowhere.invalid").await;
        proxy.signal(Signal::TERM);
        assert_eq!(proxy.ended().await.code(), Some(0));
    }
}
