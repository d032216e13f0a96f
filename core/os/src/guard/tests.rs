//! With a shell as guard that writes down what it is told.

use super::*;

/// A guard that copies its input to a file.
fn scribe(path: &std::path::Path) -> GuardCommand {
    let script = OsString::from(format!("cat > '{}'", path.display()));
    GuardCommand { program: "/bin/sh".into(), args: vec!["-c".into(), script] }
}

fn kill(guard: &mut Guard) {
    let child = &mut guard.running.as_mut().unwrap().child;
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn it_is_told_about_every_group_and_the_orderly_end() {
    let path = std::env::temp_dir().join(format!("mcp-proxy-guard-{}", std::process::id()));
    let mut guard = Guard::new(Some(scribe(&path)));
    guard.add(1);
    assert_eq!(guard.start(), Started { news: None, wants_keeper: true });
    assert_eq!(guard.start(), Started::default());
    guard.add(41);
    guard.remove(41);
    guard.dismiss();
    let told = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(told, "+1\n+41\n-41\nbye\n");
}

#[test]
fn one_that_ended_is_replaced_at_once_and_told_what_lives() {
    // FT-509
    let path = std::env::temp_dir().join(format!("mcp-proxy-guard-again-{}", std::process::id()));
    let mut guard = Guard::new(Some(scribe(&path)));
    guard.start();
    let mark = guard.mark.clone();
    [41, 42].into_iter().for_each(|group| guard.add(group));
    kill(&mut guard);
    guard.remove(41);
    // It is told first, so that nobody sees another one that does not know why.
    let (news, care) = guard.keep();
    assert!(news.unwrap().contains("started again"));
    assert!(matches!(care, Care::Look(Duration::ZERO)), "{care:?}");
    assert!(matches!(guard.keep(), (None, Care::Watch(_))));
    assert_eq!(guard.mark(), Some((MARK, mark.as_str())));
    assert_eq!(guard.start(), Started::default());
    guard.add(43);
    guard.dismiss();
    let told = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(told, "+42\n+43\nbye\n");
}

#[test]
fn one_that_ends_again_and_again_is_waited_for_longer_and_longer() {
    // FT-509
    let mut guard = Guard::new(Some(GuardCommand { program: "cat".into(), args: Vec::new() }));
    let (mut now, mut pauses) = (instant_now(), Vec::new());
    guard.start_at(now);
    for _ in 0..12 {
        kill(&mut guard);
        let mut pause = Duration::ZERO;
        while let (_, Care::Look(more)) = guard.keep_at(now) {
            now += more;
            pause += more;
        }
        pauses.push(pause.as_millis());
    }
    assert_eq!(pauses, [0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    // One that stays for a while starts anew.
    kill(&mut guard);
    assert!(matches!(guard.keep_at(now + STEADY), (Some(_), Care::Look(Duration::ZERO))));
    assert!(matches!(guard.keep_at(now + STEADY), (None, Care::Watch(_))));
}

#[test]
fn its_stdout_closes_with_it() {
    // FT-509
    use std::io::Read;
    let mut guard = Guard::new(Some(GuardCommand { program: "cat".into(), args: Vec::new() }));
    guard.start();
    let Care::Watch(mut lifeline) = guard.keep().1 else { panic!("nothing to watch") };
    guard.running.as_mut().unwrap().child.kill().unwrap();
    assert_eq!(lifeline.read(&mut [0]).unwrap(), 0);
    while !matches!(guard.keep().1, Care::Watch(_)) {}
}

#[test]
fn one_that_hangs_is_ended_and_not_left_to_kill_later() {
    let mut guard = Guard::new(Some(GuardCommand { program: "sleep".into(), args: vec!["600".into()] }));
    guard.start();
    let pid = Pid::from_child(&guard.running.as_ref().unwrap().child);
    assert!(guard.is(pid));
    // More lines than a pipe takes.
    (0..1_000_000).find(|group| {
        guard.add(*group);
        guard.running.is_none()
    });
    assert!(guard.running.is_none() && !guard.is(pid));
    assert!(rustix::process::test_kill_process(pid).is_err());
}

#[test]
fn it_has_a_process_group_of_its_own_and_our_mark() {
    let path = std::env::temp_dir().join(format!("mcp-proxy-guard-mark-{}", std::process::id()));
    let script = OsString::from(format!("echo $MCP_PROXY_GUARD > '{}'; exec cat", path.display()));
    let mut guard = Guard::new(Some(GuardCommand { program: "sh".into(), args: vec!["-c".into(), script] }));
    guard.start();
    let pid = Pid::from_child(&guard.running.as_ref().unwrap().child);
    assert_eq!(rustix::process::getpgid(Some(pid)).unwrap(), pid);
    let mark = guard.mark().unwrap().1.to_owned();
    guard.dismiss();
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), mark);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_missing_guard_is_told_once_and_so_is_its_coming() {
    // FT-509
    let path = std::env::temp_dir().join(format!("mcp-proxy-guard-late-{}", std::process::id()));
    let mut guard = Guard::new(Some(GuardCommand { program: path.clone(), args: Vec::new() }));
    let Started { news, wants_keeper } = guard.start();
    let news = news.unwrap();
    assert!(wants_keeper && news.contains("mcp-proxy-guard-late") && news.contains("No such file"), "{news}");
    assert!(guard.mark().is_some());
    let mut now = instant_now();
    for _ in 0..20 {
        let (news, care) = guard.keep_at(now);
        let Care::Look(pause) = care else { panic!("{care:?}") };
        assert_eq!(news, None);
        now += pause;
    }
    guard.add(1);
    std::os::unix::fs::symlink("/bin/cat", &path).unwrap();
    let (news, care) = guard.keep_at(now);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(care, Care::Watch(_)));
    assert_eq!(news.unwrap(), "the guard process runs now");
    guard.dismiss();
}

#[test]
fn without_a_command_there_is_none() {
    let mut guard = Guard::new(None);
    assert_eq!(guard.start(), Started::default());
    assert!(matches!(guard.keep(), (None, Care::Never)) && guard.mark().is_none());
    guard.dismiss();
}

#[test]
fn a_dead_guard_is_given_up() {
    let mut guard = Guard::new(Some(GuardCommand { program: "true".into(), args: Vec::new() }));
    guard.start();
    guard.running.as_mut().unwrap().child.wait().unwrap();
    // A child of another test may hold its end of the pipe until it has become its program.
    while guard.running.is_some() {
        guard.add(1);
    }
    guard.dismiss();
}
