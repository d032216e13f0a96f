//! On real directories. Whatever is to succeed has the patience of the real lock: a child that another test starts
//! holds copies of all descriptors for the moment before it becomes its program.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use mcp_proxy_core::oauth::page::PageKind;

use super::dir::Dir;
use super::vault::FILE;
use super::*;

/// A directory that is gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mcp-proxy-store-{}-{number}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        chmod(&path, 0o700);
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn vault(&self) -> Vault {
        Vault::new(self.0.clone())
    }

    /// A vault that has been read.
    fn opened(&self) -> Vault {
        let mut vault = self.vault();
        load(&mut vault).unwrap();
        vault
    }

    fn dir(&self) -> Dir {
        Dir::open(&self.0, &mut Warnings::new()).unwrap()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        path
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.join(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// What a place gives, as text.
fn show(found: Result<Found, String>) -> Result<String, String> {
    Ok(match found? {
        Found::Absent => "(absent)".to_owned(),
        Found::Same => "(same)".to_owned(),
        Found::Bytes(bytes) => String::from_utf8(bytes).map_err(|error| error.to_string())?,
    })
}

fn load(vault: &mut Vault) -> Result<String, String> {
    show(vault.load(&mut Warnings::new()))
}

/// Checks that a load is refused, with these words.
fn refuses(scratch: &Scratch, words: &str) {
    let mut vault = scratch.vault();
    vault.lock_tries = 1;
    let reason = load(&mut vault).unwrap_err();
    assert!(reason.contains(words) && reason.contains(scratch.0.to_str().unwrap()), "{reason}");
    assert!(!reason.contains("os error"), "{reason}");
    vault.save(b"new").unwrap_err();
}

/// Runs one of these tests in a process of its own, with the umask of the shell script.
fn rerun(test: &str, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{script} exec \"$0\" \"$@\"")).arg(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("store::tests::{test}"), "--nocapture"]);
    command
}

mod directory;
mod file;
mod queue;
mod watch;
