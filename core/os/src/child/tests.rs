//! What needs no engine and no runtime.

use super::*;
use mcp_proxy_core::redacted::Redacted;

fn spec(command: &str, args: &[&str]) -> ChildSpec {
    ChildSpec {
        command: command.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![("MCP_PROXY_TEST".to_owned(), Redacted::new("value".to_owned()))],
        cwd: None,
    }
}

#[test]
fn the_environment_is_added_to_ours() {
    // SEED-039
    let spec = spec("sh", &["-c", "echo \"$MCP_PROXY_TEST ${PATH:+path}\""]);
    let output = command(&spec).output().unwrap();
    assert_eq!(output.stdout, b"value path\n");
}

#[test]
fn a_signal_that_comes_before_the_start_is_not_lost() {
    let process = Process::default();
    process.signal(Signal::Terminate);
    let mut child = command(&spec("sleep", &["1000"])).spawn().unwrap();
    process.started(child.id());
    assert_eq!(exit_status(child.wait().unwrap()), ExitStatus::Signal(15));
}

#[test]
fn whoever_is_left_of_a_group_dies_with_its_leader() {
    let mut command = command(&spec("sh", &["-c", "sleep 1000 & echo $!"]));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let process = Process::default();
    process.started(child.id());
    let mut stdout = child.stdout.take().unwrap();
    let status = exit_status(child.wait().unwrap());
    assert_eq!(status, ExitStatus::Code(0));
    process.ended(status);
    assert_eq!((process.take_exit(), process.take_exit()), (Some(status), None));
    // The grandchild holds the pipe: its end is the end of the grandchild.
    let mut text = String::new();
    io::Read::read_to_string(&mut stdout, &mut text).unwrap();
    assert!(text.trim().parse::<i32>().is_ok(), "{text}");
}

#[test]
fn a_failed_start_names_what_is_missing() {
    let mut spec = spec("/nowhere/server", &[]);
    let error = command(&spec).spawn().unwrap_err();
    assert_eq!(explain(&spec, &error), "cannot start `/nowhere/server`: No such file or directory");
    spec.command = "sh".to_owned();
    // FT-107
    spec.command = "sh -c true".to_owned();
    let error = command(&spec).spawn().unwrap_err();
    let said = explain(&spec, &error);
    assert!(said.starts_with("cannot start `sh …`: ") && said.contains("arguments go into `args`"), "{said}");
    spec.command = "sh".to_owned();
    spec.cwd = Some("/nowhere".to_owned());
    let error = command(&spec).spawn().unwrap_err();
    assert_eq!(explain(&spec, &error), "cannot start `sh`: no working directory `/nowhere`");
}

#[test]
fn a_child_does_not_outlive_whoever_stands_for_it() {
    let mut child = command(&spec("sleep", &["1000"])).spawn().unwrap();
    let process = Process::default();
    process.started(child.id());
    drop(process);
    assert_eq!(exit_status(child.wait().unwrap()), ExitStatus::Signal(9));
}
