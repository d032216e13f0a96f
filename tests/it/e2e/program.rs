//! Where the programs under test are.
//!
//! They are built by the cargo that runs the tests, into the target directory and profile of the tests, so a plain
//! `cargo test` on a clean checkout works and never tests a stale program. `MCP_PROXY_BIN` names a finished proxy to
//! test instead. `MCP_PROXY_RUNTIME` names the runtime that every proxy is told to run on, so that the same tests tell
//! about each of them.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The proxy.
pub(crate) fn proxy() -> &'static Path {
    static PROXY: OnceLock<PathBuf> = OnceLock::new();
    PROXY.get_or_init(|| {
        let mut build_args = vec!["--package", "mcp-proxy", "--bin", "mcp-proxy"];
        build_args.extend(runtime().iter().flat_map(|runtime| ["--features", runtime]));
        variable("MCP_PROXY_BIN").map_or_else(|| build(&build_args), PathBuf::from)
    })
}

/// The flags that every proxy is started with.
pub(crate) fn flags() -> impl Iterator<Item = &'static str> {
    runtime().into_iter().flat_map(|runtime| ["-runtime", runtime])
}

/// The runtime to test, if it is not the default.
fn runtime() -> Option<&'static str> {
    static RUNTIME: OnceLock<Option<String>> = OnceLock::new();
    RUNTIME.get_or_init(|| variable("MCP_PROXY_RUNTIME")).as_deref()
}

#[expect(clippy::disallowed_methods, reason = "this is how the caller chooses what to test")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The stdio server: the example `everything` of this package.
pub(crate) fn everything() -> &'static Path {
    static EVERYTHING: OnceLock<PathBuf> = OnceLock::new();
    // The features of the whole workspace, so that `cargo test --workspace` has built it already.
    EVERYTHING.get_or_init(|| build(&["--workspace", "--example", "everything"]))
}

/// Builds one program and gives its path.
fn build(what: &[&str]) -> PathBuf {
    // `<target>/<profile>/deps/it-<hash>`
    let own = std::env::current_exe().unwrap();
    let profile_dir = own.ancestors().nth(2).unwrap();
    let profile = match profile_dir.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--message-format=json-render-diagnostics", "--profile", profile])
        .arg("--target-dir")
        .arg(profile_dir.parent().unwrap())
        .args(what)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo build {what:?} failed");
    let messages = String::from_utf8(output.stdout).unwrap();
    let built = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back();
    built.expect("cargo names what it built")
}
