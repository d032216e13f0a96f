//! Who is served when, and what an end leaves over.

use super::*;

fn store(scratch: &Scratch) -> Store {
    Store::new(Some(StoreOptions {
        dir: scratch.join("kept"),
        templates: scratch.0.clone(),
        users_file: Some(scratch.join("users")),
    }))
}

fn save(ticket: u64, text: &str) -> Request {
    Request::Save { ticket, bytes: Redacted::new(Arc::from(text.as_bytes())) }
}

/// Works a line off. Gives the warnings and what the engine is told.
fn settle(store: &mut Store, key: StoreKey) -> (Vec<String>, Vec<String>) {
    let (mut warnings, mut told) = (Vec::new(), Vec::new());
    while let Some(work) = store.begin(key) {
        let (more, answer) = store.finish(work.perform());
        warnings.extend(more);
        if let Some(answer) = answer {
            told.push(tell(&answer.input()));
        }
    }
    (warnings, told)
}

fn tell(input: &Input<'_>) -> String {
    if let Input::Loaded { result: Ok(Content::Bytes(bytes)), .. } = input {
        String::from_utf8_lossy(bytes).into_owned()
    } else if let Input::Loaded { result, .. } = input {
        format!("{result:?}")
    } else if let Input::Saved { ticket, result, .. } = input {
        format!("{ticket} {result:?}")
    } else if let Input::SetAside { result, .. } = input {
        format!("{result:?}")
    } else {
        panic!("{input:?}")
    }
}

#[test]
fn requests_for_a_key_are_done_in_order() {
    let scratch = Scratch::new();
    let mut store = store(&scratch);
    let aside = Request::SetAside { unix_seconds: 7 };
    let requests = [Request::Load, save(1, "one"), aside, save(2, "two"), save(3, "three"), Request::Load];
    // Somebody is needed for the first, who then does all of them.
    let needed: Vec<bool> = requests.into_iter().map(|request| store.ask(StoreKey::OAuth, request)).collect();
    assert_eq!(needed, [true, false, false, false, false, false]);
    let (_, told) = settle(&mut store, StoreKey::OAuth);
    let name = r#"Ok("oauth_clients.json.corrupt-7")"#;
    assert_eq!(told, ["Ok(Absent)", "1 Ok(())", name, "2 Ok(())", "3 Ok(())", "three"]);
    assert_eq!(scratch.text("kept/oauth_clients.json.corrupt-7"), "one");
    // And again, by somebody else.
    assert!(store.ask(StoreKey::OAuth, save(4, "four")));
    assert_eq!(settle(&mut store, StoreKey::OAuth).1, ["4 Ok(())"]);
    assert_eq!(scratch.text("kept/oauth_clients.json"), "four");
}

#[test]
fn keys_do_not_wait_for_each_other() {
    let scratch = Scratch::new();
    let mut store = store(&scratch);
    assert!(store.ask(StoreKey::OAuth, Request::Load));
    let under_way = store.begin(StoreKey::OAuth).unwrap();
    scratch.write("users", "ada:secret");
    assert!(store.ask(StoreKey::Users, Request::Load));
    assert_eq!(settle(&mut store, StoreKey::Users).1, ["ada:secret"]);
    assert!(store.finish(under_way.perform()).1.is_some());
}

#[test]
fn warnings_do_not_hold_what_is_stored() {
    // T-43
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("kept")).unwrap();
    chmod(&scratch.join("kept"), 0o755);
    chmod(&scratch.write("kept/oauth_clients.json", "secret"), 0o644);
    let mut store = store(&scratch);
    assert!(store.ask(StoreKey::OAuth, Request::Load));
    let (warnings, told) = settle(&mut store, StoreKey::OAuth);
    assert_eq!(told, ["secret"]);
    assert!(warnings.iter().any(|line| line.contains("mode 0755")), "{warnings:?}");
    assert!(warnings.iter().any(|line| line.contains("mode 0644")), "{warnings:?}");
    assert!(!warnings.iter().any(|line| line.contains("secret")), "{warnings:?}");
}

#[test]
fn an_end_waits_for_the_writes_and_for_nothing_else() {
    // OA-173
    let scratch = Scratch::new();
    let mut store = store(&scratch);
    assert!(store.ask(StoreKey::OAuth, Request::Load));
    settle(&mut store, StoreKey::OAuth);
    assert!(store.ask(StoreKey::OAuth, save(1, "one")));
    assert!(!store.ask(StoreKey::OAuth, Request::Load));
    assert!(!store.ask(StoreKey::OAuth, save(2, "two")));
    assert!(store.ask(StoreKey::Users, Request::Load));
    let write = store.begin(StoreKey::OAuth).unwrap();
    let read = store.begin(StoreKey::Users).unwrap();
    assert_eq!(store.end(), [StoreKey::OAuth]);
    assert!(store.finish(write.perform()).1.is_none());
    assert!(store.finish(read.perform()).1.is_none());
    assert!(settle(&mut store, StoreKey::OAuth).1.is_empty());
    assert_eq!(scratch.text("kept/oauth_clients.json"), "two");
}
