//! With a shell as guard that writes down what it is told.

use super::*;

/// A guard that copies its input to a file.
fn scribe(path: &std::path::Path) -> GuardCommand {
    let script = OsString::from(format!("cat > '{}'", path.display()));
    GuardCommand { program: "/bin/sh".into(), args: vec!["-c".into(), script] }
}

#[test]
fn it_is_told_about_every_group_and_the_orderly_end() {
    let path = std::env::temp_dir().join(format!("mcp-proxy-guard-{}", std::process::id()));
    let mut guard = Guard::new(Some(scribe(&path)));
    guard.add(1);
    guard.start().unwrap();
    guard.start().unwrap();
    guard.add(41);
    guard.remove(41);
    guard.dismiss();
    let told = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(told, "+41\n-41\nbye\n");
}

#[test]
fn it_has_a_process_group_of_its_own() {
    let mut guard = Guard::new(Some(GuardCommand { program: "cat".into(), args: Vec::new() }));
    guard.start().unwrap();
    let pid = guard.child.as_ref().unwrap().id().cast_signed();
    let group = rustix::process::getpgid(rustix::process::Pid::from_raw(pid)).unwrap();
    assert_eq!(group.as_raw_pid(), pid);
    assert_eq!(guard.mark(), Some(("MCP_PROXY_GUARD", pid.to_string())));
    guard.dismiss();
}

#[test]
fn a_missing_guard_is_told_once() {
    let mut guard = Guard::new(Some(GuardCommand { program: "/nowhere/guard".into(), args: Vec::new() }));
    let reason = guard.start().unwrap_err();
    assert!(reason.contains("/nowhere/guard") && reason.contains("No such file"), "{reason}");
    guard.start().unwrap();
    guard.add(1);
    guard.dismiss();
}

#[test]
fn a_dead_guard_is_given_up() {
    let mut guard = Guard::new(Some(GuardCommand { program: "true".into(), args: Vec::new() }));
    guard.start().unwrap();
    guard.child.as_mut().unwrap().wait().unwrap();
    guard.add(1);
    assert!(guard.pipe.is_none() && guard.mark().is_none());
    guard.dismiss();
}
