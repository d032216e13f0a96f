//! The proxy under test as a process: its configuration in a file of its own, its port read off its log.

use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::process;

/// A directory that is gone with the value.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("mcp-proxy-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn file(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it: what is left lies in the directory for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A proxy that listens. It is killed with the value.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub port: u16,
}

impl Proxy {
    /// Starts it and waits until it has tried all servers. Its log goes to `log`, line after line.
    ///
    /// # Errors
    /// It cannot be started, or ends, or is not ready within half a minute.
    pub async fn start(program: &Path, config: &Path, mark: (&str, &str), log: Log) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("-config")
            .arg(config)
            .env(mark.0, mark.1)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        let stderr = child.stderr.take().ok_or_else(|| io::Error::other("no stderr"))?;
        let mut lines = BufReader::new(stderr).lines();
        let port = timeout(START_MAX, ready(&mut lines, &log)).await.map_err(io::Error::other)??;
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                log.take(&line);
            }
        });
        Ok(Self { child, pid, port })
    }

    /// SIGKILL, and its end.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// SIGTERM, and its end.
    ///
    /// # Errors
    /// It does not end within half a minute.
    pub async fn stop(mut self) -> io::Result<ExitStatus> {
        process::signal(self.pid, Signal::TERM);
        timeout(START_MAX, self.child.wait()).await.map_err(io::Error::other)?
    }

    /// Whether it has ended by itself, and how.
    ///
    /// # Errors
    /// It cannot be asked for.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

/// What becomes of the log.
#[derive(Debug, Clone)]
pub enum Log {
    /// Only lines of level ERROR are shown.
    Errors,
    /// It is appended to a file.
    File(PathBuf),
}

impl Log {
    fn take(&self, line: &str) {
        match self {
            Self::Errors if line.contains("ERROR") || line.contains("panicked") => eprintln!("proxy: {line}"),
            Self::Errors => {}
            Self::File(path) => {
                let file = fs::OpenOptions::new().create(true).append(true).open(path);
                let written =
                    file.and_then(|mut file| io::Write::write_all(&mut file, format!("{line}\n").as_bytes()));
                if let Err(error) = written {
                    eprintln!("{}: {error}", path.display());
                }
            }
        }
    }
}

async fn ready(lines: &mut Lines<BufReader<ChildStderr>>, log: &Log) -> io::Result<u16> {
    const LISTENING: &str = " listening on 127.0.0.1:";
    let mut port = None;
    let mut initialized = false;
    while let Some(line) = lines.next_line().await? {
        log.take(&line);
        if let Some((_, rest)) = line.split_once(LISTENING) {
            port = rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
        }
        initialized |= line.contains("servers are ready");
        if let Some(port) = port.filter(|_| initialized) {
            return Ok(port);
        }
    }
    Err(io::Error::other("the proxy ended before it was ready"))
}

/// The configuration of a proxy on a free port, in front of `servers`.
pub fn config(servers: &Value, more: &Value) -> Value {
    let mut proxy = serde_json::json!({
        "addr": "127.0.0.1:0", "name": "worn out", "version": "1", "type": "both",
    });
    if let (Some(proxy), Some(more)) = (proxy.as_object_mut(), more.as_object()) {
        proxy.extend(more.clone());
    }
    serde_json::json!({ "mcpProxy": proxy, "mcpServers": servers })
}

/// The time for a start or an orderly end, on a slow and busy machine.
const START_MAX: Duration = Duration::from_secs(30);
