//! Directory and lock.

use super::*;

#[test]
fn what_is_created_is_private() {
    // OA-171, T-43
    let scratch = Scratch::new();
    let mut vault = Vault::new(scratch.join("a/b"));
    assert_eq!(load(&mut vault).unwrap(), "(absent)");
    vault.save(b"1").unwrap();
    let aside = vault.set_aside(7, &mut Warnings::new()).unwrap();
    vault.save(b"2").unwrap();
    for dir in ["a", "a/b"] {
        assert_eq!(mode(&scratch.join(dir)), 0o700, "{dir}");
    }
    for name in [FILE, "oauth.lock", &aside] {
        assert_eq!(mode(&scratch.join("a/b").join(name)), 0o600, "{name}");
    }
}

#[test]
fn it_is_private_whatever_the_umask() {
    // OA-171, T-43
    for umask in ["000", "077", "0777"] {
        let script = format!("umask {umask};");
        let output = rerun("directory::what_is_created_is_private", &script).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(" 1 passed"), "umask {umask}: {text}");
    }
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    // T-44
    for wide in [0o720, 0o702, 0o777, 0o1777] {
        let scratch = Scratch::new();
        chmod(&scratch.0, wide);
        refuses(&scratch, &format!("may write to the directory {} (mode {wide:04o})", scratch.0.display()));
        assert!(scratch.names().is_empty());
    }
}

#[test]
fn a_directory_that_others_may_list_is_told_and_left() {
    // T-43
    let scratch = Scratch::new();
    chmod(&scratch.0, 0o755);
    let mut warnings = Warnings::new();
    assert_eq!(show(scratch.vault().load(&mut warnings)).unwrap(), "(absent)");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("mode 0755"), "{warnings:?}");
    assert_eq!(mode(&scratch.0), 0o755);
    assert!(Dir::open(&scratch.0, &mut warnings).is_ok());
}

#[test]
fn a_directory_of_another_user_is_refused() {
    // OA-178
    let scratch = Scratch::new();
    // Only root can give things away.
    if std::os::unix::fs::chown(&scratch.0, Some(65534), None).is_ok() {
        refuses(&scratch, "belongs to another user (65534)");
    }
}

#[test]
fn something_else_in_place_of_the_directory_is_refused() {
    // T-44
    let scratch = Scratch::new();
    scratch.write("file", "");
    mkfifo(&scratch.join("fifo"));
    symlink("nowhere", scratch.join("dangling")).unwrap();
    for name in ["file", "file/below", "fifo", "dangling", "dangling/below"] {
        let path = scratch.join(name);
        let reason = load(&mut Vault::new(path.clone())).unwrap_err();
        assert!(reason.contains(path.to_str().unwrap()), "{reason}");
    }
    assert_eq!(scratch.names(), ["dangling", "fifo", "file"]);
}

#[test]
fn a_link_to_a_directory_is_followed() {
    let scratch = Scratch::new();
    symlink(&scratch.0, scratch.join("link")).unwrap();
    let mut vault = Vault::new(scratch.join("link"));
    load(&mut vault).unwrap();
    // From then on the path does not matter.
    fs::remove_file(scratch.join("link")).unwrap();
    vault.save(b"here").unwrap();
    assert_eq!(scratch.text(FILE), "here");
}

#[test]
fn a_second_process_is_refused_until_the_first_has_ended() {
    // OA-178, T-45
    let scratch = Scratch::new();
    let first = scratch.opened();
    refuses(&scratch, "another process uses");
    drop(first);
    scratch.opened();
}

#[test]
fn a_successor_waits_for_the_lock() {
    // T-45
    let scratch = Scratch::new();
    let first = scratch.opened();
    let (mut second, (told, ended)) = (scratch.vault(), std::sync::mpsc::channel());
    spawn(move || drop(told.send(load(&mut second))));
    assert!(ended.try_recv().is_err());
    drop(first);
    assert_eq!(ended.recv().unwrap().unwrap(), "(absent)");
}

#[expect(clippy::disallowed_methods, reason = "the other process of a test")]
fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

#[test]
fn a_load_that_failed_may_be_tried_again() {
    let scratch = Scratch::new();
    let first = scratch.opened();
    let mut second = scratch.vault();
    second.lock_tries = 1;
    load(&mut second).unwrap_err();
    drop(first);
    second.lock_tries = 1000;
    load(&mut second).unwrap();
    second.save(b"new").unwrap();
}

#[test]
fn children_do_not_inherit_the_lock() {
    // T-45
    let scratch = Scratch::new();
    let vault = scratch.opened();
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    drop(vault);
    scratch.opened();
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn a_lock_that_leads_elsewhere_is_refused() {
    // T-44
    let scratch = Scratch::new();
    let other = scratch.write("other", "precious");
    symlink(&other, scratch.join("oauth.lock")).unwrap();
    refuses(&scratch, "it is a symbolic link");
    fs::remove_file(scratch.join("oauth.lock")).unwrap();
    fs::hard_link(&other, scratch.join("oauth.lock")).unwrap();
    refuses(&scratch, "it has 2 names");
    fs::remove_file(scratch.join("oauth.lock")).unwrap();
    mkfifo(&scratch.join("oauth.lock"));
    refuses(&scratch, "it is not a regular file");
    assert_eq!(scratch.text("other"), "precious");
}

#[test]
fn a_wide_lock_is_tightened() {
    // T-43
    let scratch = Scratch::new();
    chmod(&scratch.write("oauth.lock", ""), 0o666);
    scratch.opened();
    assert_eq!(mode(&scratch.join("oauth.lock")), 0o600);
}
