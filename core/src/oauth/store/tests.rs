use super::*;
use crate::http::Reply;
use crate::redirect_uri::Policy;
use crate::rng::Rng;
use crate::time::Unix;
use serde_json::json;

const DAY: u64 = 24 * 3600;
const LIFETIMES: Lifetimes = Lifetimes { access: 3600, idle: 30 * DAY, absolute: 180 * DAY, grace: 120 };

fn at(seconds: u64) -> Now {
    Now { mono: Mono(1_000_000_000), unix: Unix(seconds * 1000) }
}

fn rng() -> Rng {
    Rng::new([5; 32])
}

fn read_at(text: &str, now: Now) -> Result<Read, FormatError> {
    let policy = Policy::default();
    read(text.as_bytes(), now, LIFETIMES, &Import { policy: &policy, tokens: true }, &mut rng())
}

fn client(name: &str) -> Client {
    Client {
        name: name.to_owned(),
        redirect_uris: vec!["https://claude.ai/api/mcp/auth_callback".to_owned()],
        method: AuthMethod::None,
        secret_hash: None,
        refresh: true,
        created_at: 1_000,
        last_used_at: 0,
        extra: Map::new(),
    }
}

fn grant(now: Now) -> Grant {
    let access = Access {
        hash: Hash::of("at"),
        expires_at: Expiry::after(now, 3600),
        aud: Audience::one("fs"),
        scope: Scopes::DEFAULT,
    };
    Grant {
        client_id: "c".to_owned(),
        user: Some("ann".to_owned()),
        cred_fp: "fp".to_owned(),
        aud: Audience::one("fs"),
        scope: Scopes { mcp: true, offline: true },
        created_at: unix(now),
        idle_expires_at: Expiry::after(now, 30 * DAY),
        absolute_expires_at: Expiry::after(now, 180 * DAY),
        refresh: vec![Refresh::new(Hash::of("rt"), now)],
        access: vec![access],
        extra: Map::new(),
    }
}

fn state(now: Now) -> State {
    let mut state = State::new(Key::new(&mut rng()));
    state.set_issuer("https://mcp.example.com");
    state.insert_client("c".into(), client("Claude"));
    state.put_grant(&"g".into(), grant(now));
    let document =
        Document { name: "D".into(), redirect_uris: vec!["https://d.example/cb".into()], fetched_at: 1_000 };
    state.put_document("https://d.example/c", document);
    state
}

fn text(state: &State, now: Now) -> String {
    String::from_utf8(format::write(state, now)).unwrap()
}

#[test]
fn what_is_written_is_read_back() {
    let now = at(1_000_000);
    let written = text(&state(now), now);
    let read = read_at(&written, now).unwrap();
    assert!(!read.rewrite);
    assert_eq!(text(&read.state, now), written);
    let (_, grant, access) = read.state.access(&Hash::of("at")).unwrap();
    assert!(!access.expires_at.is_over(now) && grant.user.as_deref() == Some("ann"));
    assert!(read.state.refresh(&Hash::of("rt")).is_some());
    assert_eq!(read.state.client("c").unwrap().name, "Claude");
    assert!(read.state.document("https://d.example/c").is_some());
}

#[test]
fn secrets_are_not_in_the_file() {
    let now = at(1_000_000);
    let written = text(&state(now), now); // OA-172, T-47
    assert!(!written.contains("\"at\"") && !written.contains("\"rt\""), "{written}");
}

#[test]
fn members_of_a_later_version_survive() {
    let now = at(1_000_000);
    let mut file: Value = serde_json::from_str(&text(&state(now), now)).unwrap();
    file["later"] = json!({"a": 1});
    file["clients"]["c"]["later"] = json!([2]);
    file["grants"]["g"]["later"] = json!("3");
    let read = read_at(&file.to_string(), now).unwrap();
    let again: Value = serde_json::from_str(&text(&read.state, now)).unwrap();
    assert_eq!(again, file);
}

#[test]
fn a_newer_format_is_not_touched_and_a_broken_file_is_told_apart() {
    let now = at(1_000_000);
    let newer = r#"{"format": 99, "whatever": true}"#;
    assert_eq!(read_at(newer, now).err(), Some(FormatError::Newer(99))); // OA-174, T-42
    let good = text(&state(now), now);
    for len in 0..good.len() {
        // T-40
        let Some(cut) = good.get(..len) else { continue };
        assert!(matches!(read_at(cut, now), Err(FormatError::Corrupt(_))), "{len}");
    }
    for bad in [
        "[]",
        "null",
        "{}x",
        r#"{"format": "2"}"#,
        r#"{"format": 2}"#,
        r#"{"x": {"y": 1}}"#,
        r#"{"format":2,"hmacKey":"00"}"#,
    ] {
        assert!(matches!(read_at(bad, now), Err(FormatError::Corrupt(_))), "{bad}");
    }
    let deep = format!("{{\"format\":2,\"x\":{}{}}}", "[".repeat(100), "]".repeat(100)); // FT-511
    assert!(
        matches!(read_at(&deep, now), Err(FormatError::Corrupt(reason)) if reason.contains("too deeply"))
    );
    let Err(FormatError::Corrupt(reason)) = read_at("{\"secret-token\": nope}", now) else {
        panic!("it is read")
    };
    assert!(!reason.contains("secret"), "{reason}");
}

#[test]
fn stored_expiries_are_clamped_whatever_the_clock_said() {
    let (then, now) = (at(2_000_000_000), at(1_000_000));
    let read = read_at(&text(&state(then), then), now).unwrap(); // T-46
    let (_, grant, access) = read.state.access(&Hash::of("at")).unwrap();
    let later = |seconds: u64| Now {
        mono: now.mono.plus_ms(seconds * 1000),
        unix: Unix(now.unix.0 + seconds * 1000),
    };
    assert!(!access.expires_at.is_over(later(3_599)) && access.expires_at.is_over(later(3_600)));
    assert!(grant.lifetime().is_over(later(30 * DAY)));
}

#[test]
fn an_expiry_holds_by_either_clock() {
    let now = at(1_000_000);
    let expiry = Expiry::after(now, 60);
    let with =
        |mono_s: u64, unix_s: u64| Now { mono: now.mono.plus_ms(mono_s * 1000), unix: Unix(unix_s * 1000) };
    assert!(!expiry.is_over(with(59, 1_000_059)));
    assert!(expiry.is_over(with(60, 0)), "turning the wall clock back revives nothing"); // OA-179
    assert!(expiry.is_over(with(1, 9_000_000)));
}

/// A file as the original program writes it.
fn fork_file() -> Value {
    json!({
        "clients": {
            "good": {"client_id": "good", "client_secret": "shh", "client_name": "Claude",
                "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
                "client_id_issued_at": "2025-11-25T12:41:15.123456789Z"},
            "foreign": {"client_id": "foreign", "redirect_uris": ["https://evil.example/cb"]},
            "broken": {"client_id": "broken"},
        },
        "accessTokens": {
            "tok-1": {"Token": "tok-1", "RefreshToken": "ref-1", "ClientID": "good", "Scope": "mcp",
                "ExpiresAt": "2025-11-25T13:00:00Z"},
            "tok-2": {"Token": "tok-2", "ClientID": "good", "ExpiresAt": "2025-11-25T12:00:00Z"},
            "tok-3": {"Token": "tok-3", "ClientID": "foreign", "ExpiresAt": "2025-11-25T13:00:00Z"},
        },
        "savedAt": "2025-11-25T12:41:15Z",
    })
}

#[test]
fn files_of_the_original_are_taken_over_hashed() {
    // OA-176
    let now = at(1_764_074_475);
    let read = read_at(&fork_file().to_string(), now).unwrap();
    assert!(read.rewrite);
    let client = read.state.client("good").unwrap();
    assert_eq!((client.method, client.created_at), (AuthMethod::Any, 1_764_074_475));
    assert!(client.secret_hash.unwrap().matches("shh"));
    assert!(read.state.client("foreign").is_none() && read.state.client("broken").is_none());
    assert!(read.state.access(&Hash::of("tok-1")).is_some());
    assert!(read.state.access(&Hash::of("tok-2")).is_none(), "it has expired");
    assert!(read.state.access(&Hash::of("tok-3")).is_none(), "its client was not taken over");
    assert!(read.state.refresh(&Hash::of("ref-1")).is_none(), "nobody knows whose it was");
    let written = text(&read.state, now);
    for secret in ["shh", "tok-1", "ref-1"] {
        assert!(!written.contains(secret), "{secret}");
    }
}

#[test]
fn the_older_bare_map_of_clients_is_taken_over() {
    let now = at(1_764_074_475); // OA-176
    let read = read_at(&fork_file()["clients"].to_string(), now).unwrap();
    assert!(read.rewrite && read.state.client("good").is_some() && read.state.client("foreign").is_none());
}

#[test]
fn tokens_of_the_original_can_be_left_behind() {
    let now = at(1_764_074_475);
    let policy = Policy::default();
    let import = Import { policy: &policy, tokens: false };
    let read = read(fork_file().to_string().as_bytes(), now, LIFETIMES, &import, &mut rng()).unwrap();
    assert!(read.state.client("good").is_some() && read.state.access(&Hash::of("tok-1")).is_none());
}

fn reply(text: &str) -> Reply {
    Reply::json(200, text.to_owned())
}

fn bodies(outcome: Outcome) -> Vec<String> {
    match outcome {
        Outcome::Durable(replies) => replies.into_iter().map(|(_, reply)| reply.body).collect(),
        Outcome::Undone(_) | Outcome::Stale => panic!("{outcome:?}"),
    }
}

#[test]
fn what_comes_during_a_save_goes_into_the_next_one_together() {
    let now = at(1);
    let mut book = Book::new(State::new(Key::new(&mut rng())));
    assert_eq!(book.after_save(0, reply("nothing to save")).unwrap().body, "nothing to save");
    book.change().insert_client("a".into(), client("a"));
    assert!(book.after_save(1, reply("a")).is_none());
    let (first, _) = book.next_save(now).unwrap();
    for id in ["b", "c"] {
        book.change().insert_client(id.into(), client(id));
        assert!(book.after_save(2, reply(id)).is_none());
    }
    assert!(book.next_save(now).is_none(), "one at a time");
    assert!(book.durable().client("a").is_none());
    assert_eq!(bodies(book.on_saved(first, true)), ["a"]);
    assert!(book.durable().client("a").is_some() && book.durable().client("b").is_none());
    let (second, bytes) = book.next_save(now).unwrap();
    assert!(String::from_utf8(bytes).unwrap().contains("\"c\""));
    assert_eq!(bodies(book.on_saved(second, true)), ["b", "c"]);
    assert!(book.next_save(now).is_none());
    assert!(matches!(book.on_saved(second, true), Outcome::Stale));
}

#[test]
fn a_failed_save_undoes_what_it_was_for_and_what_was_based_on_it() {
    let now = at(1); // T-41
    let mut book = Book::new(state(now));
    book.change().insert_client("a".into(), client("a"));
    assert!(book.after_save(1, reply("a")).is_none());
    let (ticket, _) = book.next_save(now).unwrap();
    book.change().remove_client("c");
    assert!(book.after_save(2, reply("b")).is_none());
    let Outcome::Undone(requests) = book.on_saved(ticket, false) else { panic!("it was saved") };
    assert_eq!(requests, [1, 2]);
    assert!(book.staged().client("a").is_none() && book.staged().client("c").is_some());
    assert!(book.staged().grant("g").is_some() && book.next_save(now).is_none());
}

#[test]
fn an_answer_waits_for_the_save_it_was_based_on() {
    let now = at(1);
    let mut book = Book::new(State::new(Key::new(&mut rng())));
    book.change().insert_client("a".into(), client("a"));
    let (ticket, _) = book.next_save(now).unwrap();
    assert!(book.after_save(1, reply("the same again")).is_none());
    assert_eq!(bodies(book.on_saved(ticket, true)), ["the same again"]);
}

#[test]
fn a_client_takes_its_grants_along_and_indexes_follow() {
    let now = at(1_000_000);
    let mut state = state(now);
    let mut changed = grant(now);
    changed.access.clear();
    changed.refresh.push(Refresh::new(Hash::of("rt2"), now));
    state.put_grant(&"g".into(), changed);
    assert!(state.access(&Hash::of("at")).is_none() && state.refresh(&Hash::of("rt2")).is_some());
    state.remove_client("c");
    assert!(state.refresh(&Hash::of("rt")).is_none() && state.refresh(&Hash::of("rt2")).is_none());
    assert_eq!(state.grants().count(), 0);
}

#[test]
fn documents_are_bounded_and_the_oldest_goes() {
    let mut state = State::new(Key::new(&mut rng()));
    for n in 0..DOCUMENTS_MAX as u64 + 1 {
        let document = Document { name: String::new(), redirect_uris: Vec::new(), fetched_at: n };
        state.put_document(&format!("https://a.example/{n}"), document);
    }
    assert_eq!(state.documents().count(), DOCUMENTS_MAX);
    assert!(
        state.document("https://a.example/0").is_none() && state.document("https://a.example/1").is_some()
    );
}
