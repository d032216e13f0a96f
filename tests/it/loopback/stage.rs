//! A proxy on some runtime, in a thread of its own, and a client that speaks plain HTTP to it.
//!
//! Invariants: nothing waits for a time to pass; what is waited for is a line of the log, bytes, or the end of a proxy.
//! Every proxy has ended when its test is over, and has left no child.

use mcp_proxy_core::config::{Source, parse};
use mcp_proxy_core::limits::Limits;
use mcp_proxy_core::log::Level;
use mcp_proxy_core::{Options as EngineOptions, Proxy};
use mcp_proxy_os::{GuardCommand, Log, Options, Stop, StoreOptions, seed};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What a runtime is to its tests.
pub(super) type Run = fn(Proxy, Options) -> io::Result<u8>;

/// A stdio server in shell. It has a child of its own, and answers each call with the length of its line, with four
/// million letters, or with its last words.
const SERVER: &str = r#"
echo "server $$" >&2
sleep 1000 &
echo "helper $!" >&2
text() { printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"' "$id"; head -c "$1" /dev/zero | tr '\0' x; printf '"}]}}\n'; }
while read -r line; do
  id=${line#*\"id\":}; id=${id%%[,\}]*}
  case "$line" in
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}';;
    *'"tools/list"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"tools":[{"name":"length","inputSchema":{"type":"object"}},{"name":"long","inputSchema":{"type":"object"}},{"name":"last","inputSchema":{"type":"object"}}]}}';;
    *'"long"'*) text 4000000;;
    *'"last"'*) text 200000; exit 7;;
    *'"id"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"'${#line}'"}]}}';;
  esac
done
"#;

/// The configuration of [`SERVER`], after other shell commands.
pub(super) fn server_after(words: &str) -> Value {
    json!({"command": "sh", "args": ["-c", format!("{words}\n{SERVER}")]})
}

/// What a proxy is started with.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) servers: Value,
    pub(super) oauth2: Value,
    pub(super) limits: Limits,
    pub(super) extra_roots_pem: Option<Vec<u8>>,
    pub(super) stop_signals: bool,
    pub(super) stop: Stop,
    pub(super) guard: Option<GuardCommand>,
    pub(super) store: Option<StoreOptions>,
}

impl Plan {
    /// With these servers, and nothing else.
    pub(super) fn of(servers: Value) -> Self {
        Self { servers, ..Self::default() }
    }

    /// The engine.
    pub(super) fn proxy(&self, addr: &str) -> Proxy {
        let mut proxy = json!({"addr": addr, "name": "t", "version": "1", "type": "streamable-http"});
        if !self.oauth2.is_null() {
            proxy["options"] = json!({"oauth2": self.oauth2});
        }
        let text = json!({"mcpProxy": proxy, "mcpServers": self.servers}).to_string();
        let config = parse(&Source { text: &text, name: "test", strict: true, env: None }).unwrap().config;
        let options = EngineOptions { log_level: Level::Debug, limits: self.limits.clone() };
        Proxy::new(Arc::new(config), options, seed().unwrap())
    }

    /// What the runtime is given beside it.
    pub(super) fn options(self, log: Log) -> Options {
        let Self { extra_roots_pem, stop_signals, stop, guard, store, .. } = self;
        Options { log, guard, extra_roots_pem, stop_signals, stop, store, ..Options::default() }
    }

    /// Runs it until it ends.
    pub(super) fn launch(self, run: Run, addr: &str) -> Running {
        let addr = addr.to_owned();
        let stop = self.stop.clone();
        let (log_to, log) = channel();
        let (done_to, done) = channel();
        spawn(move || {
            let log: Log = Box::new(move |record, _| drop(log_to.send(record.message.clone())));
            let proxy = self.proxy(&addr);
            drop(done_to.send(run(proxy, self.options(log))));
        });
        Running {
            addr: ([127, 0, 0, 1], 0).into(),
            log,
            passed: RefCell::default(),
            done,
            stop,
            ended: false,
        }
    }

    /// Runs it until it says where it listens.
    pub(super) fn start(self, run: Run) -> Running {
        let mut running = self.launch(run, "127.0.0.1:0");
        let line = running.line("listening on ");
        running.addr = line.rsplit(' ').next().unwrap().parse().unwrap();
        running
    }
}

/// A running proxy and what it logs.
pub(super) struct Running {
    pub(super) addr: SocketAddr,
    log: Receiver<String>,
    passed: RefCell<Vec<String>>,
    done: Receiver<io::Result<u8>>,
    stop: Stop,
    ended: bool,
}

impl Running {
    /// The first line of the log, of those not taken yet, that contains this, and takes it. What comes in over several
    /// pipes is logged in any order, so lines that nobody has asked for stay for whoever asks later.
    #[track_caller]
    pub(super) fn line(&self, part: &str) -> String {
        let mut passed = self.passed.borrow_mut();
        if let Some(at) = passed.iter().position(|line| line.contains(part)) {
            return passed.remove(at);
        }
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => passed.push(line),
                Err(_) => panic!("no line with {part:?} in:\n{}", passed.join("\n")),
            }
        }
    }

    /// Stops it in order.
    pub(super) fn stop(&self) {
        self.stop.stop();
    }

    /// Waits for its end.
    #[track_caller]
    pub(super) fn code(&mut self) -> u8 {
        self.ended = true;
        self.done.recv_timeout(PATIENCE).expect("it ends").unwrap()
    }

    /// Stops it and gives what it has logged since it was last asked for a line.
    #[track_caller]
    pub(super) fn log_to_the_end(mut self) -> String {
        self.stop();
        assert_eq!(self.code(), 0);
        self.log.try_iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.stop.stop();
            self.stop.stop();
            let end = self.done.recv_timeout(PATIENCE);
            assert!(end.is_ok() || std::thread::panicking(), "it did not end");
        }
    }
}

/// A client with one connection.
pub(super) struct Client {
    pub(super) socket: TcpStream,
    session: String,
}

impl Client {
    pub(super) fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket, session: String::new() }
    }

    /// With a session at the server `sh`.
    pub(super) fn at_the_shell(proxy: &Running) -> Self {
        proxy.line("servers are ready");
        let mut client = Self::connect(proxy.addr);
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        client.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}));
        let answer = client.response();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let session = answer.lines().find(|line| line.to_ascii_lowercase().starts_with("mcp-session-id: "));
        client.session = format!("{}\r\n", session.unwrap());
        client.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        assert!(client.response().starts_with("HTTP/1.1 202 "));
        client
    }

    pub(super) fn post(&mut self, message: &Value) {
        let body = message.to_string();
        let head = format!(
            "POST /sh/mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{}Content-Length: {}\r\n\r\n",
            self.session,
            body.len()
        );
        self.socket.write_all((head + &body).as_bytes()).unwrap();
    }

    /// Calls a tool without waiting.
    pub(super) fn call(&mut self, tool: &str, argument: &str) {
        let params = json!({"name": tool, "arguments": {"x": argument}});
        self.post(&json!({"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": params}));
    }

    /// The text of the answer to a call.
    #[track_caller]
    pub(super) fn text(&mut self) -> String {
        let answer = self.response();
        let text = answer.split(r#""text":""#).nth(1).unwrap_or_else(|| panic!("{answer:.1000}"));
        text.split('"').next().unwrap().to_owned()
    }

    pub(super) fn get(&mut self, path: &str) -> String {
        self.socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).unwrap();
        self.response()
    }

    /// One whole response. A slow answer comes as an event stream; of a chunked one the chunks are joined.
    #[track_caller]
    pub(super) fn response(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            if let Some(response) = whole(&bytes) {
                return response;
            }
            let len = self.socket.read(&mut chunk).unwrap();
            assert_ne!(len, 0, "cut off: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]));
            bytes.extend_from_slice(&chunk[..len]);
        }
    }
}

/// The response, if it is all there.
fn whole(bytes: &[u8]) -> Option<String> {
    let end = bytes.windows(4).take(64 * 1024).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let lower = head.to_ascii_lowercase();
    let mut body = &bytes[end + 4..];
    let mut response = head + "\r\n\r\n";
    if !lower.contains("transfer-encoding: chunked") {
        let len = lower.split_once("content-length: ").map_or("0", |(_, rest)| rest.lines().next().unwrap());
        response.push_str(&String::from_utf8_lossy(body.get(..len.parse().unwrap())?));
        return Some(response);
    }
    if !body.ends_with(b"0\r\n\r\n") {
        return None;
    }
    loop {
        let line = body.windows(2).position(|two| two == b"\r\n")?;
        let len = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        if len == 0 {
            return Some(response);
        }
        body = &body[line + 2..];
        response.push_str(&String::from_utf8_lossy(body.get(..len)?));
        body = &body[len + 2..];
    }
}

/// A directory that is gone when the test is over.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mcp-proxy-loopback-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The number at the end of a line.
pub(super) fn number(line: &str) -> i32 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Waits until a process has ended, collected or not.
#[track_caller]
pub(super) fn gone(pid: i32) {
    let stat = format!("/proc/{pid}/stat");
    let lives = || {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::test_kill_process(pid).is_ok()
            && !std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "))
    };
    let ended = (0..LOOKS).any(|_| {
        std::thread::yield_now();
        !lives()
    });
    assert!(ended, "process {pid} is still there");
}

/// The other side of a test.
#[expect(clippy::disallowed_methods, reason = "a test has two sides")]
pub(super) fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

/// Far longer than anything here takes; a test that waits so long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Looks at a process that was killed. The system needs a moment.
const LOOKS: u32 = 100_000;
