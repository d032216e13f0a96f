//! What is under way when the driver ends, and how much at a time. The engine knows of no authorization server here,
//! and does not mind the answers.

use std::fs::create_dir;
use std::future::poll_fn;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mcp_proxy_core::Host;
use mcp_proxy_core::event::Output;
use mcp_proxy_core::redacted::Redacted;

use super::*;
use crate::Options;
use crate::driver::Ending;
use crate::driver::tests::{Bare, engine};

/// A directory that is gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mcp-proxy-driver-{}-{number}", std::process::id()));
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

/// A driver that keeps things in this directory.
fn driver(bare: &Bare, scratch: &Scratch) -> Ending<Bare> {
    let options = Options { store: Some(scratch.options()), ..Options::default() };
    Ending(Driver::new(bare.clone(), engine(""), options))
}

fn perform(driver: &Driver<Bare>, output: Output) {
    driver.with_host(|host| host.perform(output));
}

fn derive(driver: &Driver<Bare>, job: u64) {
    let secret = || Redacted::new("secret".to_owned());
    let candidate = Box::new(Candidate { password: secret(), stored: secret() });
    perform(driver, Output::Derive { job, candidate });
}

#[test]
fn a_stop_does_not_wait_for_a_lock() {
    // T-45
    let (bare, scratch) = (Bare::default(), Scratch::new());
    // Somebody else has read it, and so has the lock.
    let mut other = store::Store::new(Some(scratch.options()));
    assert!(other.ask(StoreKey::OAuth, Request::Load));
    let done = other.begin(StoreKey::OAuth).unwrap().perform();
    assert!(other.finish(done).1.is_some());
    let driver = driver(&bare, &scratch);
    perform(&driver.0, Output::Load { key: StoreKey::OAuth });
    derive(&driver.0, 1);
    // Both are under way.
    bare.step();
    driver.0.with_host(|host| host.store.end());
    bare.run(poll_fn(|cx| driver.0.with_host(|host| host.store.poll_written(cx))));
    bare.step();
    // Nobody else holds it.
    assert_eq!(Rc::strong_count(&driver.0), 1);
}

#[test]
fn a_stop_waits_for_what_is_written() {
    // OA-173
    let (bare, scratch) = (Bare::default(), Scratch::new());
    let driver = driver(&bare, &scratch);
    perform(&driver.0, Output::Load { key: StoreKey::OAuth });
    // The load is under way, and the write waits.
    bare.step();
    let bytes = Redacted::new(Arc::from(&b"new"[..]));
    perform(&driver.0, Output::Save { key: StoreKey::OAuth, ticket: 1, bytes });
    driver.0.with_host(|host| host.store.end());
    bare.run(poll_fn(|cx| driver.0.with_host(|host| host.store.poll_written(cx))));
    assert_eq!(std::fs::read(scratch.0.join("kept/oauth_clients.json")).unwrap(), b"new");
}

#[test]
fn passwords_wait_for_a_processor() {
    // T-16
    let (bare, scratch) = (Bare::default(), Scratch::new());
    let driver = driver(&bare, &scratch);
    let counts = || driver.0.with_host(|host| (host.store.derivations.len(), host.store.waiting.len()));
    driver.0.with_host(|host| host.store.processors = 3);
    for job in 0..200 {
        derive(&driver.0, job);
    }
    assert_eq!(counts(), (3, 197));
    while counts() != (0, 0) {
        bare.step();
        assert!(counts().0 == 3 || counts().1 == 0);
    }
}
