//! A running proxy: its configuration in a directory of its own, its log, its end.

use super::{process, program, within};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

/// A proxy that is killed when the test ends.
pub(crate) struct Proxy {
    child: Child,
    pid: u32,
    port: u16,
    log: Log,
    _config: Scratch,
}

impl Proxy {
    /// Starts a proxy in front of `servers` (the value of `mcpServers`) and waits until each has been tried.
    pub(crate) async fn in_front_of(servers: Value) -> Self {
        let proxy = Self::start(config(servers), &[]).await;
        proxy.log.line("servers are ready").await;
        proxy
    }

    /// Starts a proxy and waits until it listens.
    pub(crate) async fn start(config: Value, args: &[&str]) -> Self {
        let file = Scratch::file("config.json", &config.to_string());
        let command = command(&file, args);
        Self::spawn(command, file).await
    }

    /// Starts a proxy out of a shell that ran `words` before, in the directory `home`, which is also its `HOME`.
    pub(crate) async fn start_after(words: &str, config: Value, home: &Path) -> Self {
        let file = Scratch::file("config.json", &config.to_string());
        let script = format!("{words}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(program::proxy()).args(program::flags());
        command.arg("-config").arg(&file.path);
        command.current_dir(home).env("HOME", home).stdin(Stdio::null()).stderr(Stdio::piped());
        Self::spawn(command, file).await
    }

    /// Starts `program` as another user, with so many processes and threads.
    pub(crate) async fn start_as(
        user: u32,
        processes: u32,
        program: &Path,
        config: Value,
        home: &Path,
    ) -> Self {
        let file = Scratch::file("config.json", &config.to_string());
        // Each shell has a letter of its own for it.
        let script = format!(
            "{{ ulimit -u {processes} 2>/dev/null || ulimit -p {processes}; }} && exec \"$0\" \"$@\""
        );
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(program).args(program::flags());
        command.arg("-config").arg(&file.path).current_dir(home).uid(user).gid(user);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        Self::spawn(command, file).await
    }

    async fn spawn(mut command: Command, file: Scratch) -> Self {
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let pid = child.id().unwrap();
        let log = Log::of(&mut child);
        let line = log.line(" listening on 127.0.0.1:").await;
        let (_, port) = line.split_once(" listening on 127.0.0.1:").unwrap();
        let port = port.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
        Self { child, pid, port, log, _config: file }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Its address.
    pub(crate) fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The first line of the log, now or later, that contains `words`.
    pub(crate) async fn logged(&self, words: &str) -> String {
        self.log.line(words).await
    }

    /// Nobody reads its log until this is dropped.
    pub(crate) async fn unread(&self) -> OwnedMutexGuard<()> {
        self.log.reading.clone().lock_owned().await
    }

    /// Tells it to stop and gives its whole log.
    pub(crate) async fn log_to_the_end(mut self) -> String {
        self.signal(Signal::TERM);
        self.ended().await;
        within("the end of the log", self.log.end()).await
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        process::signal(self.pid, signal);
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        within("the end of the proxy", self.child.wait()).await.unwrap()
    }
}

/// A run of the program that ends by itself.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program with a configuration to its end.
pub(crate) async fn run_with(config: &str, args: &[&str]) -> Run {
    let file = Scratch::file("config.json", config);
    finish(command(&file, args)).await
}

/// Runs the program to its end.
pub(crate) async fn run(args: &[&str]) -> Run {
    let mut command = Command::new(program::proxy());
    command.args(args).stdin(Stdio::null());
    finish(command).await
}

async fn finish(mut command: Command) -> Run {
    let output = within("the end of the program", command.kill_on_drop(true).output()).await.unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn command(config: &Scratch, args: &[&str]) -> Command {
    let mut command = Command::new(program::proxy());
    command.args(program::flags()).arg("-config").arg(&config.path).args(args);
    command.env("E2E_WORDS", "from the environment");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A configuration that serves both transports on a free port of the loopback.
pub(crate) fn config(servers: Value) -> Value {
    json!({
        "mcpProxy": {"addr": "127.0.0.1:0", "name": "proxy under test", "version": "4.5.6", "type": "both"},
        "mcpServers": servers,
    })
}

/// What a process writes to stderr, line by line.
struct Log {
    lines: watch::Receiver<Vec<String>>,
    /// To be held for reading on.
    reading: Arc<Mutex<()>>,
}

impl Log {
    fn of(child: &mut Child) -> Self {
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let (told, lines) = watch::channel(Vec::new());
        let reading = Arc::new(Mutex::new(()));
        let turn = reading.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                let _turn = turn.lock().await;
                told.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
        });
        Self { lines, reading }
    }

    /// All of it, once the process has ended.
    async fn end(&mut self) -> String {
        while self.lines.changed().await.is_ok() {}
        self.lines.borrow().join("\n")
    }

    #[track_caller]
    fn line(&self, words: &str) -> impl Future<Output = String> {
        let mut lines = self.lines.clone();
        let wanted = words.to_owned();
        within(format!("the log line {words:?}"), async move {
            let found = lines.wait_for(|lines| lines.iter().any(|line| line.contains(&wanted))).await;
            let found = found.map(|lines| lines.iter().find(|line| line.contains(&wanted)).cloned());
            found.ok().flatten().unwrap_or_else(|| panic!("no {wanted:?} in the log: {:#?}", lines.borrow()))
        })
    }
}

/// A directory with at most one file; gone with the value.
pub(crate) struct Scratch {
    dir: PathBuf,
    path: PathBuf,
}

impl Scratch {
    fn file(name: &str, text: &str) -> Self {
        let mut scratch = Self::empty();
        scratch.path = scratch.dir.join(name);
        std::fs::write(&scratch.path, text).unwrap();
        scratch
    }

    /// An empty one.
    pub(crate) fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("mcp-proxy-e2e-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self { path: dir.clone(), dir }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.dir);
    }
}
