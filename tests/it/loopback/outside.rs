//! What reaches the proxy, or is left of it, outside of its process.

use super::stage::{Client, PATIENCE, Plan, Run, Scratch, gone, number, server_after, spawn};
use mcp_proxy_os::{GuardCommand, heir};
use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};

pub(super) fn signals_stop_it_with_all_children(run: Run) {
    // A signal reaches every proxy of this process that listens for it, so there must be one.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // FT-406: whoever runs these tests with `nohup` makes them deaf to the last one.
    let hangup = heir::hears_hangup().then_some(Signal::HUP);
    for signal in [Signal::TERM, Signal::INT].into_iter().chain(hangup) {
        let plan = Plan { stop_signals: true, ..Plan::of(json!({"sh": server_after("")})) };
        let mut proxy = plan.start(run);
        let (server, helper) = (number(&proxy.line("server ")), number(&proxy.line("helper ")));
        drop(Client::at_the_shell(&proxy));
        kill_process(getpid(), signal).unwrap();
        assert_eq!(proxy.code(), 0);
        gone(server);
        gone(helper);
    }
}

pub(super) fn the_guard_is_told_about_every_group_and_the_orderly_end(run: Run) {
    let scratch = Scratch::new();
    let told = scratch.path().join("told");
    let script = format!("cat > '{}'", told.display());
    let guard = Some(GuardCommand { program: "sh".into(), args: vec!["-c".into(), script.into()] });
    let proxy = Plan { guard, ..Plan::of(json!({"sh": server_after("")})) }.start(run);
    let server = number(&proxy.line("server "));
    drop(Client::at_the_shell(&proxy));
    proxy.log_to_the_end();
    assert_eq!(std::fs::read_to_string(told).unwrap(), format!("+{server}\n-{server}\nbye\n"));
}

pub(super) fn a_guard_that_was_killed_is_replaced_and_told_what_lives(run: Run) {
    // FT-509
    let scratch = Scratch::new();
    let (pids, told) = (scratch.path().join("pids"), scratch.path().join("told"));
    assert!(Command::new("mkfifo").arg(&pids).status().unwrap().success());
    let script = format!("echo $$ > '{}'; cat > '{}'", pids.display(), told.display());
    let guard = Some(GuardCommand { program: "sh".into(), args: vec!["-c".into(), script.into()] });
    let proxy = Plan { guard, ..Plan::of(json!({"sh": server_after("")})) }.start(run);
    let server = number(&proxy.line("server "));
    drop(Client::at_the_shell(&proxy));
    let first = told_by(&pids);
    kill_process_group(first, Signal::KILL).unwrap();
    proxy.line("the guard process has ended, and is started again");
    assert_ne!(told_by(&pids), first);
    proxy.log_to_the_end();
    assert_eq!(std::fs::read_to_string(told).unwrap(), format!("+{server}\n-{server}\nbye\n"));
}

/// Waits for the number of a process that writes it to a pipe with a name.
#[track_caller]
fn told_by(pipe: &Path) -> Pid {
    let pipe = pipe.to_owned();
    let (text_to, text) = channel();
    spawn(move || drop(text_to.send(std::fs::read_to_string(pipe).unwrap())));
    let text = text.recv_timeout(PATIENCE).expect("it writes its number");
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

pub(super) fn a_missing_guard_is_told_and_keeps_nobody(run: Run) {
    let guard = Some(GuardCommand { program: "/nowhere/guard".into(), args: Vec::new() });
    let proxy = Plan { guard, ..Plan::of(json!({"sh": server_after("")})) }.start(run);
    proxy.line("cannot start the guard process `/nowhere/guard`: No such file or directory");
    Client::at_the_shell(&proxy);
}
