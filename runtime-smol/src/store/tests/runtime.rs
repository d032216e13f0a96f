//! With a runtime around it. Its engine knows of no authorization server and does not mind the answers.

use std::cell::RefCell;

use super::*;
use smol::future::yield_now;

type Lines = Rc<RefCell<Vec<String>>>;

/// A runtime that keeps things in this directory, and what it logs.
fn runtime(scratch: &Scratch) -> (Rc<Runtime>, Lines) {
    let text = r#"{"mcpProxy":{"baseURL":"http://127.0.0.1","addr":"127.0.0.1:0","name":"test","version":"1",
        "type":"streamable-http"},"mcpServers":{}}"#;
    let source = Source { text, name: "test", strict: false, env: None };
    let config = Arc::new(parse(&source).unwrap().config);
    let lines = Lines::default();
    let log_to = lines.clone();
    let options = Options {
        log: Box::new(move |record, _| log_to.borrow_mut().push(record.message.clone())),
        guard: None,
        extra_roots_pem: None,
        stop_signals: false,
        store: Some(StoreOptions {
            dir: scratch.join("kept"),
            templates: scratch.0.clone(),
            users_file: Some(scratch.join("users")),
        }),
    };
    let proxy = Proxy::new(config, mcp_proxy_core::Options::default(), [0; 32]);
    (Runtime::new(proxy, options), lines)
}

fn perform(runtime: &Runtime, output: Output) {
    runtime.with_host(|host| host.perform(output));
}

fn save(runtime: &Runtime, text: &str) {
    let bytes = Redacted::new(Arc::from(text.as_bytes()));
    perform(runtime, Output::Save { key: StoreKey::OAuth, ticket: 1, bytes });
}

fn derive(runtime: &Runtime, job: u64) {
    let secret = || Redacted::new("secret".to_owned());
    let candidate = Box::new(Candidate { password: secret(), stored: secret() });
    perform(runtime, Output::Derive { job, candidate });
}

fn is_idle(runtime: &Runtime) -> bool {
    runtime.with_host(|host| {
        let store = &host.store;
        store.derivations.is_empty() && store.lines.values().all(|line| line.task.is_none())
    })
}

/// Runs until everything is answered.
fn settle(runtime: &Runtime) {
    smol::block_on(runtime.executor().run(async {
        while !is_idle(runtime) {
            yield_now().await;
        }
    }));
}

/// Ends it as `serve` does.
fn end(runtime: &Runtime) {
    let (_, writes) = runtime.with_host(crate::host::SmolHost::end);
    smol::block_on(runtime.executor().run(async {
        for write in writes {
            write.await;
        }
    }));
    runtime.clear();
}

#[test]
fn requests_for_a_key_are_done_in_order() {
    let scratch = Scratch::new();
    let (runtime, _) = runtime(&scratch);
    perform(&runtime, Output::Load { key: StoreKey::OAuth });
    save(&runtime, "one");
    perform(&runtime, Output::SetAside { key: StoreKey::OAuth });
    save(&runtime, "two");
    save(&runtime, "three");
    settle(&runtime);
    assert_eq!(scratch.text("kept/oauth_clients.json"), "three");
    assert_eq!(scratch.text("kept/oauth_clients.json.corrupt-0"), "one");
    // And again, from a new task.
    save(&runtime, "four");
    settle(&runtime);
    assert_eq!(scratch.text("kept/oauth_clients.json"), "four");
    end(&runtime);
}

#[test]
fn warnings_reach_the_log_without_what_is_stored() {
    // T-43
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("kept")).unwrap();
    chmod(&scratch.join("kept"), 0o755);
    chmod(&scratch.write("kept/oauth_clients.json", "secret"), 0o644);
    let (runtime, lines) = runtime(&scratch);
    perform(&runtime, Output::Load { key: StoreKey::OAuth });
    settle(&runtime);
    let lines = lines.borrow();
    assert!(lines.iter().any(|line| line.contains("mode 0755")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("mode 0644")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:?}");
}

#[test]
fn a_stop_waits_for_the_writes_and_for_nothing_else() {
    // OA-173
    let scratch = Scratch::new();
    let (runtime, _) = runtime(&scratch);
    perform(&runtime, Output::Load { key: StoreKey::OAuth });
    settle(&runtime);
    let text = "x".repeat(1 << 20);
    save(&runtime, &text);
    perform(&runtime, Output::Load { key: StoreKey::OAuth });
    perform(&runtime, Output::Load { key: StoreKey::Users });
    derive(&runtime, 1);
    assert!(runtime.executor().try_tick());
    let (_, writes) = runtime.with_host(crate::host::SmolHost::end);
    assert_eq!(writes.len(), 1);
    smol::block_on(runtime.executor().run(async {
        for write in writes {
            write.await;
        }
    }));
    assert_eq!(scratch.text("kept/oauth_clients.json"), text);
    assert!(is_idle(&runtime));
    runtime.clear();
    // Nobody holds the runtime any more, and so nobody the lock.
    assert_eq!(Rc::strong_count(&runtime), 1);
    drop(runtime);
    load(&mut Vault::new(scratch.join("kept"))).unwrap();
}

#[test]
fn a_stop_does_not_wait_for_a_lock() {
    // T-45
    let scratch = Scratch::new();
    let mut other = Vault::new(scratch.join("kept"));
    load(&mut other).unwrap();
    let (runtime, _) = runtime(&scratch);
    perform(&runtime, Output::Load { key: StoreKey::OAuth });
    assert!(runtime.executor().try_tick());
    end(&runtime);
    assert_eq!(Rc::strong_count(&runtime), 1);
}

#[test]
fn passwords_wait_for_a_processor() {
    // T-16
    let scratch = Scratch::new();
    let (runtime, _) = runtime(&scratch);
    let processors = runtime.with_host(|host| host.store.processors.clone());
    let busy: Vec<_> = std::iter::from_fn(|| processors.try_acquire()).collect();
    assert_eq!(busy.len(), available_parallelism().unwrap().get());
    for job in 0..200 {
        derive(&runtime, job);
    }
    while runtime.executor().try_tick() {}
    assert_eq!(runtime.with_host(|host| host.store.derivations.len()), 200);
    drop(busy);
    settle(&runtime);
    assert_eq!(Rc::strong_count(&runtime), 1);
}
