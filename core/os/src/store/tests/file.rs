//! The file of the authorization server.

use super::*;

/// Puts something in place of the file.
type Make = fn(&Scratch);

#[test]
fn what_was_saved_is_read_again() {
    let scratch = Scratch::new();
    let mut vault = scratch.opened();
    vault.save(b"one").unwrap();
    vault.save(b"two").unwrap();
    assert_eq!(load(&mut vault).unwrap(), "two");
    drop(vault);
    assert_eq!(load(&mut scratch.vault()).unwrap(), "two");
    assert_eq!(scratch.names(), ["oauth.lock", FILE]);
}

#[test]
fn nothing_is_written_before_it_was_read() {
    let scratch = Scratch::new();
    let vault = scratch.vault();
    vault.save(b"new").unwrap_err();
    vault.set_aside(7, &mut Warnings::new()).unwrap_err();
    assert!(scratch.names().is_empty());
}

#[test]
fn something_else_in_place_of_the_file_is_refused_and_left() {
    // OA-178, T-44
    let cases: [(&str, Make); 5] = [
        ("it is a symbolic link", |scratch| {
            symlink(scratch.write("other", "precious"), scratch.join(FILE)).unwrap();
        }),
        ("it is a symbolic link", |scratch| symlink("nowhere", scratch.join(FILE)).unwrap()),
        ("it has 2 names (hard links)", |scratch| {
            fs::hard_link(scratch.write("other", "precious"), scratch.join(FILE)).unwrap();
        }),
        ("it is not a regular file", |scratch| mkfifo(&scratch.join(FILE))),
        ("it is not a regular file", |scratch| fs::create_dir(scratch.join(FILE)).unwrap()),
    ];
    for (words, make) in cases {
        let scratch = Scratch::new();
        make(&scratch);
        let kind = fs::symlink_metadata(scratch.join(FILE)).unwrap().file_type();
        refuses(&scratch, words);
        assert_eq!(fs::symlink_metadata(scratch.join(FILE)).unwrap().file_type(), kind);
        if scratch.join("other").exists() {
            assert_eq!(scratch.text("other"), "precious");
        }
    }
}

#[test]
fn a_file_of_another_user_is_refused() {
    // OA-178
    let scratch = Scratch::new();
    let path = scratch.write(FILE, "{}");
    // Only root can give things away.
    if std::os::unix::fs::chown(path, Some(65534), None).is_ok() {
        refuses(&scratch, "belongs to another user (65534)");
    }
}

#[test]
fn a_wide_file_is_tightened_and_told() {
    // T-43
    let scratch = Scratch::new();
    chmod(&scratch.write(FILE, "{}"), 0o644);
    let mut warnings = Warnings::new();
    assert_eq!(show(scratch.vault().load(&mut warnings)).unwrap(), "{}");
    assert_eq!(mode(&scratch.join(FILE)), 0o600);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("mode 0644"), "{warnings:?}");
    warnings.clear();
    show(scratch.vault().load(&mut warnings)).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_file_over_the_limit_is_neither_read_nor_written() {
    let scratch = Scratch::new();
    let path = scratch.write(FILE, "");
    let limit = 64 << 20;
    File::options().write(true).open(&path).unwrap().set_len(limit + 1).unwrap();
    refuses(&scratch, "it is larger than 64 MiB");
    File::options().write(true).open(&path).unwrap().set_len(limit).unwrap();
    let mut vault = scratch.vault();
    let Found::Bytes(mut bytes) = vault.load(&mut Warnings::new()).unwrap() else { panic!("no bytes") };
    assert_eq!(bytes.len() as u64, limit);
    bytes.push(0);
    let reason = vault.save(&bytes).unwrap_err();
    assert!(reason.contains("it is larger than 64 MiB"), "{reason}");
    assert_eq!(fs::metadata(&path).unwrap().len(), limit);
}

#[test]
fn a_failed_write_leaves_the_old_bytes_and_no_litter() {
    // OA-177, T-41
    let scratch = Scratch::new();
    scratch.write(FILE, "old");
    let full = |file: &mut File| {
        file.write_all(b"ne")?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    };
    let error = scratch.dir().replace(FILE, "temp", full).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(scratch.text(FILE), "old");
    assert_eq!(scratch.names(), [FILE]);
    // And it recovers by itself.
    scratch.dir().replace(FILE, "temp", |file| file.write_all(b"new")).unwrap();
    assert_eq!(scratch.text(FILE), "new");
}

#[test]
fn a_temporary_name_that_is_taken_is_left_alone() {
    // T-44
    let make: [fn(&Path, &Path); 4] = [
        |temp, _| fs::create_dir(temp).unwrap(),
        |temp, other| symlink(other, temp).unwrap(),
        |temp, other| fs::hard_link(other, temp).unwrap(),
        |temp, _| mkfifo(temp),
    ];
    for make in make {
        let scratch = Scratch::new();
        scratch.write(FILE, "old");
        make(&scratch.join("temp"), &scratch.write("other", "precious"));
        let error = scratch.dir().replace(FILE, "temp", |_| panic!("nothing to write to")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((scratch.text(FILE).as_str(), scratch.text("other").as_str()), ("old", "precious"));
        assert_eq!(scratch.names(), [FILE, "other", "temp"]);
    }
}

#[test]
fn a_rename_that_fails_leaves_no_litter() {
    // T-41
    let scratch = Scratch::new();
    let vault = scratch.opened();
    fs::create_dir(scratch.join(FILE)).unwrap();
    let reason = vault.save(b"new").unwrap_err();
    assert!(reason.contains("cannot write") && reason.contains(FILE), "{reason}");
    assert_eq!(scratch.names(), ["oauth.lock", FILE]);
    fs::remove_dir(scratch.join(FILE)).unwrap();
    vault.save(b"new").unwrap();
    assert_eq!(scratch.text(FILE), "new");
}

#[test]
fn a_link_that_appears_later_is_replaced_and_not_followed() {
    // T-44
    let scratch = Scratch::new();
    let vault = scratch.opened();
    symlink(scratch.write("other", "precious"), scratch.join(FILE)).unwrap();
    vault.save(b"new").unwrap();
    assert!(fs::symlink_metadata(scratch.join(FILE)).unwrap().is_file());
    assert_eq!((scratch.text(FILE).as_str(), scratch.text("other").as_str()), ("new", "precious"));
}

#[test]
fn litter_of_a_crash_is_swept_away_and_nothing_else() {
    // T-40
    let scratch = Scratch::new();
    let litter = ".oauth_clients.json.0123456789abcdef.tmp";
    let kept = [
        ".oauth_clients.json.0123456789abcde.tmp",
        ".oauth_clients.json.0123456789abcdeF.tmp",
        ".oauth_clients.json.0123456789abcdef.tmp~",
        ".oauth_clients.json.aaaaaaaaaaaaaaaa.tmp",
        ".oauth_clients.json.bbbbbbbbbbbbbbbb.tmp",
        "other",
        "oauth_clients.json.0123456789abcdef.tmp",
    ];
    for name in [litter, kept[0], kept[1], kept[2], kept[5], kept[6]] {
        scratch.write(name, "");
    }
    fs::create_dir(scratch.join(kept[3])).unwrap();
    symlink("other", scratch.join(kept[4])).unwrap();
    scratch.opened();
    assert!(!scratch.names().contains(&litter.to_owned()));
    for name in kept {
        assert!(scratch.names().contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn litter_is_left_while_its_process_may_live() {
    // T-45
    let scratch = Scratch::new();
    let _first = scratch.opened();
    scratch.write(".oauth_clients.json.0123456789abcdef.tmp", "");
    refuses(&scratch, "another process uses");
    assert_eq!(scratch.names().len(), 2);
}

#[test]
fn what_is_set_aside_never_replaces_what_was() {
    // OA-174
    let scratch = Scratch::new();
    let mut vault = scratch.opened();
    for (text, name) in [("a", "corrupt-7"), ("b", "corrupt-7-1"), ("c", "corrupt-7-2")] {
        let name = format!("{FILE}.{name}");
        chmod(&scratch.write(FILE, text), 0o644);
        assert_eq!(vault.set_aside(7, &mut Warnings::new()).unwrap(), name);
        assert_eq!(scratch.text(&name), text);
        assert_eq!(mode(&scratch.join(&name)), 0o600);
        assert_eq!(load(&mut vault).unwrap(), "(absent)");
    }
    vault.save(b"new").unwrap();
    assert_eq!(load(&mut vault).unwrap(), "new");
}

#[test]
fn what_cannot_be_set_aside_leaves_no_name_behind() {
    // T-44
    let scratch = Scratch::new();
    let vault = scratch.opened();
    let reason = vault.set_aside(7, &mut Warnings::new()).unwrap_err();
    assert!(reason.contains("cannot set") && reason.contains("No such file"), "{reason}");
    symlink(scratch.write("other", "precious"), scratch.join(FILE)).unwrap();
    vault.set_aside(7, &mut Warnings::new()).unwrap_err();
    assert_eq!(scratch.names(), ["oauth.lock", FILE, "other"]);
}

#[test]
fn a_killed_process_loses_nothing_it_has_acknowledged() {
    // OA-173, T-40
    let scratch = Scratch::new();
    for round in 0..8 {
        let mut child = rerun("file::saves_for_ever_if_told_where", "");
        let mut child = child.env(WHERE, &scratch.0).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = || loop {
            let line = lines.next().unwrap().unwrap();
            if let Some(number) = line.strip_prefix("saved ") {
                return number.parse::<u8>().unwrap();
            }
        };
        let mut last = acknowledged();
        for _ in 0..round {
            last = acknowledged();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let Found::Bytes(bytes) = scratch.vault().load(&mut Warnings::new()).unwrap() else {
            panic!("nothing there")
        };
        assert_eq!(bytes.len(), SAVED_BYTES);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "torn");
        assert!(bytes[0] >= last, "{} after {last}", bytes[0]);
        assert_eq!(scratch.names(), ["oauth.lock", FILE]);
    }
}

#[test]
fn saves_for_ever_if_told_where() {
    let Some(dir) = std::env::var_os(WHERE) else { return };
    let mut vault = Vault::new(dir.into());
    vault.load(&mut Warnings::new()).unwrap();
    for number in 0..=u8::MAX {
        vault.save(&vec![number; SAVED_BYTES]).unwrap();
        println!("saved {number}");
    }
}

/// Tells the process that is to be killed where to save.
const WHERE: &str = "MCP_PROXY_TEST_STORE";

const SAVED_BYTES: usize = 100_000;
