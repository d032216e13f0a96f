//! What is under way when the runtime ends, and how much at a time. The engine knows of no authorization server here,
//! and does not mind the answers.

use std::fs::create_dir;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mcp_proxy_core::config::{Source, parse};
use mcp_proxy_core::event::Output;
use mcp_proxy_core::redacted::Redacted;
use mcp_proxy_core::{Host, Options, Proxy};

use super::*;
use crate::Ending;

/// A directory that is gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mcp-proxy-tokio-{}-{number}", std::process::id()));
        create_dir(&path).unwrap();
        std::fs::DirBuilder::new().mode(0o700).create(path.join("kept")).unwrap();
        Self(path)
    }

    fn options(&self) -> StoreOptions {
        StoreOptions {
            dir: self.0.join("kept"),
            templates: self.0.clone(),
            users_file: Some(self.0.join("users")),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A runtime that keeps things in this directory.
fn runtime(scratch: &Scratch) -> Ending {
    let text = r#"{"mcpProxy":{"addr":"127.0.0.1:0","name":"test","version":"1"},"mcpServers":{}}"#;
    let config = parse(&Source { text, name: "test", strict: false, env: None }).unwrap().config;
    let options = mcp_proxy_os::Options { store: Some(scratch.options()), ..Default::default() };
    Ending(Runtime::new(Proxy::new(Arc::new(config), Options::default(), [0; 32]), options))
}

fn perform(runtime: &Runtime, output: Output) {
    runtime.with_host(|host| host.perform(output));
}

fn derive(runtime: &Runtime, job: u64) {
    let secret = || Redacted::new("secret".to_owned());
    let candidate = Box::new(Candidate { password: secret(), stored: secret() });
    perform(runtime, Output::Derive { job, candidate });
}

/// Runs a test within tokio.
fn within(test: impl Future<Output = ()>) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&tokio, test);
    tokio.shutdown_background();
}

#[test]
fn a_stop_does_not_wait_for_a_lock() {
    // T-45
    let scratch = Scratch::new();
    // Somebody else has read it, and so has the lock.
    let mut other = os::Store::new(Some(scratch.options()));
    assert!(other.ask(StoreKey::OAuth, Request::Load));
    let done = other.begin(StoreKey::OAuth).unwrap().perform();
    assert!(other.finish(done).1.is_some());
    let runtime = runtime(&scratch);
    let weak = Rc::downgrade(&runtime.0);
    within(async move {
        perform(&runtime.0, Output::Load { key: StoreKey::OAuth });
        derive(&runtime.0, 1);
        // Both are under way.
        tokio::task::yield_now().await;
        assert!(runtime.0.with_host(|host| host.store.end()).is_empty());
    });
    assert_eq!(weak.strong_count(), 0);
}

#[test]
fn a_stop_waits_for_what_is_written() {
    // OA-173
    let scratch = Scratch::new();
    let runtime = runtime(&scratch);
    within(async move {
        perform(&runtime.0, Output::Load { key: StoreKey::OAuth });
        // The load is under way, and the write waits.
        tokio::task::yield_now().await;
        let bytes = Redacted::new(Arc::from(&b"new"[..]));
        perform(&runtime.0, Output::Save { key: StoreKey::OAuth, ticket: 1, bytes });
        let writes = runtime.0.with_host(|host| host.store.end());
        assert_eq!(writes.len(), 1);
        for write in writes {
            write.ended().await;
        }
    });
    assert_eq!(std::fs::read(scratch.0.join("kept/oauth_clients.json")).unwrap(), b"new");
}

#[test]
fn passwords_wait_for_a_processor() {
    // T-16
    let scratch = Scratch::new();
    let runtime = runtime(&scratch);
    within(async move {
        let processors = runtime.0.with_host(|host| host.store.processors.clone());
        let busy: Vec<_> = std::iter::from_fn(|| processors.try_acquire().ok()).collect();
        assert_eq!(busy.len(), available_parallelism().unwrap().get());
        for job in 0..200 {
            derive(&runtime.0, job);
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(runtime.0.with_host(|host| host.store.derivations.len()), 200);
        drop(busy);
        while runtime.0.with_host(|host| !host.store.derivations.is_empty()) {
            tokio::task::yield_now().await;
        }
    });
}
