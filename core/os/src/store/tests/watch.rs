//! Files of the operator's.

use super::*;

fn look(watched: &mut Watched) -> Result<String, String> {
    show(watched.load())
}

#[test]
fn a_template_is_given_when_it_has_changed() {
    // T-53
    let scratch = Scratch::new();
    let mut page = Watched::optional(scratch.join("page"));
    assert_eq!(look(&mut page).unwrap(), "(absent)");
    assert_eq!(look(&mut page).unwrap(), "(absent)");
    let path = scratch.write("page", "one");
    assert_eq!(look(&mut page).unwrap(), "one");
    assert_eq!(look(&mut page).unwrap(), "(same)");
    assert_eq!(look(&mut page).unwrap(), "(same)");
    // Longer, then as long but later, then another file in its place.
    scratch.write("page", "three");
    assert_eq!(look(&mut page).unwrap(), "three");
    scratch.write("page", "seven");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    assert_eq!(look(&mut page).unwrap(), "seven");
    fs::rename(scratch.write("other", "eight"), &path).unwrap();
    assert_eq!(look(&mut page).unwrap(), "eight");
    assert_eq!(look(&mut page).unwrap(), "(same)");
    fs::remove_file(&path).unwrap();
    assert_eq!(look(&mut page).unwrap(), "(absent)");
    assert_eq!(look(&mut page).unwrap(), "(absent)");
    scratch.write("page", "eight");
    assert_eq!(look(&mut page).unwrap(), "eight");
}

#[test]
fn a_template_behind_links_is_followed() {
    // As Kubernetes mounts a ConfigMap, and as it changes one.
    let scratch = Scratch::new();
    for (dir, text) in [("v1", "one"), ("v2", "two")] {
        fs::create_dir(scratch.join(dir)).unwrap();
        scratch.write(&format!("{dir}/page"), text);
    }
    symlink("v1", scratch.join("now")).unwrap();
    symlink("now/page", scratch.join("page")).unwrap();
    let mut page = Watched::optional(scratch.join("page"));
    assert_eq!(look(&mut page).unwrap(), "one");
    assert_eq!(look(&mut page).unwrap(), "(same)");
    symlink("v2", scratch.join("next")).unwrap();
    fs::rename(scratch.join("next"), scratch.join("now")).unwrap();
    assert_eq!(look(&mut page).unwrap(), "two");
    assert_eq!(look(&mut page).unwrap(), "(same)");
}

#[test]
fn something_else_in_place_of_a_template_is_refused_at_once() {
    // T-44
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("dir")).unwrap();
    mkfifo(&scratch.join("fifo"));
    symlink("/dev/null", scratch.join("device")).unwrap();
    symlink("loop", scratch.join("loop")).unwrap();
    scratch.write("file", "");
    for (name, words) in [
        ("dir", "it is not a regular file"),
        ("fifo", "it is not a regular file"),
        ("device", "it is not a regular file"),
        ("loop", "symbolic links"),
        ("file/page", "Not a directory"),
    ] {
        let path = scratch.join(name);
        let reason = look(&mut Watched::optional(path.clone())).unwrap_err();
        assert!(reason.contains(words) && reason.contains(path.to_str().unwrap()), "{reason}");
        assert!(!reason.contains("os error"), "{reason}");
    }
}

#[test]
fn after_an_error_a_template_is_given_again() {
    // T-53
    let scratch = Scratch::new();
    let path = scratch.write("page", "one");
    let mut page = Watched::optional(path.clone());
    assert_eq!(look(&mut page).unwrap(), "one");
    fs::rename(&path, scratch.join("kept")).unwrap();
    fs::create_dir(&path).unwrap();
    look(&mut page).unwrap_err();
    look(&mut page).unwrap_err();
    fs::remove_dir(&path).unwrap();
    fs::rename(scratch.join("kept"), &path).unwrap();
    assert_eq!(look(&mut page).unwrap(), "one");
}

#[test]
fn a_template_over_the_limit_is_refused() {
    // T-44
    let scratch = Scratch::new();
    let mut page = Watched::optional(scratch.write("page", &"x".repeat((256 << 10) + 1)));
    let reason = look(&mut page).unwrap_err();
    assert!(reason.contains("it is larger than 256 KiB"), "{reason}");
    scratch.write("page", &"x".repeat(256 << 10));
    assert_eq!(look(&mut page).unwrap().len(), 256 << 10);
}

#[test]
fn a_list_of_users_must_be_there() {
    let scratch = Scratch::new();
    let mut users = Watched::required(scratch.join("users"));
    let reason = look(&mut users).unwrap_err();
    assert!(reason.contains("users") && reason.contains("No such file"), "{reason}");
    let path = scratch.write("users", "ada:secret");
    assert_eq!(look(&mut users).unwrap(), "ada:secret");
    assert_eq!(look(&mut users).unwrap(), "(same)");
    fs::remove_file(&path).unwrap();
    look(&mut users).unwrap_err();
    fs::create_dir(&path).unwrap();
    look(&mut users).unwrap_err();
    fs::remove_dir(&path).unwrap();
    // Whoever writes it decides what is in it: no reason shows any of it.
    scratch.write("users", &"ada:secret\n".repeat(100_000));
    let reason = look(&mut users).unwrap_err();
    assert!(!reason.contains("secret"), "{reason}");
}

#[test]
fn what_is_not_configured_is_absent_and_cannot_be_written() {
    let scratch = Scratch::new();
    let some = StoreOptions { dir: scratch.0.clone(), templates: scratch.0.clone(), users_file: None };
    let page = StoreKey::Page(PageKind::Error);
    let warnings = &mut Warnings::new();
    for (key, options, found) in [
        (StoreKey::OAuth, None, Some("(absent)")),
        (page, None, Some("(absent)")),
        (page, Some(&some), Some("(absent)")),
        (StoreKey::Users, None, None),
        (StoreKey::Users, Some(&some), None),
    ] {
        let mut place = Place::of(key, options);
        assert_eq!(show(place.load(warnings)).ok().as_deref(), found, "{key:?}");
        place.save(b"new").unwrap_err();
        place.set_aside(7, warnings).unwrap_err();
    }
    assert!(scratch.names().is_empty());
}

#[test]
fn each_page_has_its_file() {
    let scratch = Scratch::new();
    let options = StoreOptions { dir: scratch.0.clone(), templates: scratch.0.clone(), users_file: None };
    for kind in PageKind::ALL {
        scratch.write(kind.file_name(), kind.file_name());
        let mut place = Place::of(StoreKey::Page(kind), Some(&options));
        assert_eq!(show(place.load(&mut Warnings::new())).unwrap(), kind.file_name());
    }
}
