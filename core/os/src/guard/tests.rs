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
    assert_eq!(told, "+1\n+41\n-41\nbye\n");
}

#[test]
fn one_that_ended_is_replaced_and_told_what_lives() {
    let path = std::env::temp_dir().join(format!("mcp-proxy-guard-again-{}", std::process::id()));
    let mut guard = Guard::new(Some(scribe(&path)));
    guard.start().unwrap();
    [41, 42].into_iter().for_each(|group| guard.add(group));
    let child = &mut guard.running.as_mut().unwrap().child;
    child.kill().unwrap();
    child.wait().unwrap();
    guard.remove(41);
    assert!(guard.start().unwrap_err().contains("started again"));
    guard.start().unwrap();
    guard.add(43);
    guard.dismiss();
    let told = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(told, "+42\n+43\nbye\n");
}

#[test]
fn one_that_ends_again_and_again_is_given_up() {
    let mut guard = Guard::new(Some(GuardCommand { program: "true".into(), args: Vec::new() }));
    let mut told = Vec::new();
    for _ in 0..LAUNCHES_MAX + 3 {
        told.extend(guard.start().err());
        if let Some(running) = &mut guard.running {
            running.child.wait().unwrap();
        }
    }
    assert_eq!(told.len() as u32, LAUNCHES_MAX);
    assert!(told.last().unwrap().contains("ended 10 times"), "{told:?}");
}

#[test]
fn one_that_hangs_is_ended_and_not_left_to_kill_later() {
    let mut guard = Guard::new(Some(GuardCommand { program: "sleep".into(), args: vec!["600".into()] }));
    guard.start().unwrap();
    let pid = guard.running.as_ref().unwrap().child.id().cast_signed();
    // More lines than a pipe takes.
    (0..1_000_000).find(|group| {
        guard.add(*group);
        guard.running.is_none()
    });
    assert!(guard.running.is_none() && guard.mark().is_none());
    assert!(rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap()).is_err());
}

#[test]
fn it_has_a_process_group_of_its_own() {
    let mut guard = Guard::new(Some(GuardCommand { program: "cat".into(), args: Vec::new() }));
    guard.start().unwrap();
    let pid = guard.running.as_ref().unwrap().child.id().cast_signed();
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
    guard.running.as_mut().unwrap().child.wait().unwrap();
    guard.add(1);
    assert!(guard.running.is_none() && guard.mark().is_none());
    guard.dismiss();
}
