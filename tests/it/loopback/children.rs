//! Child processes.

use super::stage::{Client, Plan, Run, Scratch, gone, number, server_after};
use serde_json::json;

pub(super) fn calls_cross_the_proxy_however_long(run: Run) {
    let proxy = Plan::of(json!({"sh": server_after("")})).start(run);
    let mut client = Client::at_the_shell(&proxy);
    // The second is more than the pipe to the child holds.
    for len in [1, 300_000, 10] {
        client.call("length", &"x".repeat(len));
        assert!(client.text().parse::<usize>().unwrap() > len);
    }
}

pub(super) fn a_child_that_floods_stderr_is_not_locked_up(run: Run) {
    // More than all pipes hold, before and after the child is asked something.
    let flood = "head -c 3000000 /dev/zero | tr '\\0' '\\n' >&2";
    let proxy = Plan::of(json!({"sh": server_after(flood)})).start(run);
    let mut client = Client::at_the_shell(&proxy);
    client.call("length", "");
    client.text();
}

pub(super) fn the_last_words_of_a_child_are_heard(run: Run) {
    let proxy = Plan::of(json!({"sh": server_after("")})).start(run);
    let mut client = Client::at_the_shell(&proxy);
    client.call("last", "");
    assert_eq!(client.text().len(), 200_000);
    proxy.line("it exited with code 7");
}

pub(super) fn how_a_child_ended_is_told(run: Run) {
    // Somebody else holds the pipes, so that their end does not come first and is the reason that is told.
    for (script, words) in [
        ("sleep 1000 & exit 3", "it exited with code 3"),
        ("sleep 1000 & kill -9 $$", "it was ended by signal 9"),
    ] {
        let proxy = Plan::of(json!({"sh": {"command": "sh", "args": ["-c", script]}})).start(run);
        proxy.line(words);
    }
}

pub(super) fn whoever_ignores_term_is_killed_with_its_group(run: Run) {
    // It neither ends with its stdin nor with SIGTERM, and nor does its helper.
    let stubborn = "trap '' TERM; exec 3<&0; (while :; do read -r x || sleep 1; done) &";
    let mut plan = Plan::of(json!({"sh": server_after(stubborn)}));
    let server = plan.servers["sh"]["args"][1].as_str().unwrap().replace("\ndone\n", "\ndone\nwait\n");
    plan.servers["sh"]["args"][1] = json!(server);
    plan.limits.child_stop_ms = 100;
    let mut proxy = plan.start(run);
    let (server, helper) = (number(&proxy.line("server ")), number(&proxy.line("helper ")));
    drop(Client::at_the_shell(&proxy));
    proxy.stop();
    assert_eq!(proxy.code(), 0);
    gone(server);
    gone(helper);
}

pub(super) fn a_start_that_fails_names_what_is_missing(run: Run) {
    for (server, words) in [
        (json!({"command": "/nowhere/server"}), "cannot start `/nowhere/server`: No such file or directory"),
        (json!({"command": "sh", "cwd": "/nowhere"}), "cannot start `sh`: no working directory `/nowhere`"),
        (json!({"command": "/dev/null"}), "cannot start `/dev/null`: Permission denied"),
    ] {
        Plan::of(json!({"sh": server})).start(run).line(words);
    }
}

pub(super) fn the_environment_and_the_directory_are_as_configured(run: Run) {
    // SEED-039
    let scratch = Scratch::new();
    let script = "echo \"told $WORD in $(pwd -P) with ${PATH:+a path}\" >&2";
    let server =
        json!({"command": "sh", "args": ["-c", script], "env": {"WORD": "hello"}, "cwd": scratch.path()});
    let proxy = Plan::of(json!({"sh": server})).start(run);
    let dir = scratch.path().canonicalize().unwrap();
    proxy.line(&format!("told hello in {} with a path", dir.display()));
}
