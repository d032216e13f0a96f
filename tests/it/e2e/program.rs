//! Where the programs under test are.
//!
//! They are built by the cargo that runs the tests, into the target directory and profile of the tests, so a plain
//! `cargo test` on a clean checkout works and never tests a stale program. `MCP_PROXY_BIN` names a finished proxy to
//! test instead.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The proxy.
pub(crate) fn proxy() -> &'static Path {
    static PROXY: OnceLock<PathBuf> = OnceLock::new();
    PROXY.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "this is how the caller names another program")]
        let given = std::env::var("MCP_PROXY_BIN").ok().filter(|path| !path.is_empty());
        given.map_or_else(|| build(&["--package", "mcp-proxy", "--bin", "mcp-proxy"]), PathBuf::from)
    })
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
