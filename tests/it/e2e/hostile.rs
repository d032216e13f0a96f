//! The real program among peers that want everything. Each time somebody else calls all along and is answered, and
//! the memory of the process stays below a bound.
//!
//! The same is told with more cases in virtual time (`sim/floods.rs`); here it is about file descriptors, pipes and
//! the allocator.

use super::proxy::{Proxy, Scratch, config};
use super::{process, program, within};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1 << 20;

/// Somebody who is not part of it: a session on a connection of its own.
struct Bystander {
    stream: TcpStream,
    session: String,
}

impl Bystander {
    async fn of(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        let mut one = Self { stream, session: String::new() };
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "bystander", "version": "1"}});
        let (head, _) = one.ask("initialize", params).await;
        let session = head.lines().find(|line| field(line, "mcp-session-id").is_some());
        one.session = format!("{}\r\n", session.expect("a session"));
        one
    }

    /// One call and its answer.
    async fn calls(&mut self) {
        let (_, answer) =
            self.ask("tools/call", json!({"name": "echo", "arguments": {"text": "hello"}})).await;
        assert_eq!(answer["result"]["content"][0]["text"], "hello", "{answer}");
    }

    async fn ask(&mut self, method: &str, params: Value) -> (String, Value) {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let (session, len) = (&self.session, body.len());
        let request = format!(
            "POST /demo/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json\r\n{session}Content-Length: {len}\r\n\r\n{body}"
        );
        within("an answer", async {
            self.stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            loop {
                if let Some((head, body)) = whole(&answer) {
                    return (head, serde_json::from_slice(&body).unwrap());
                }
                assert_ne!(self.stream.read_buf(&mut answer).await.unwrap(), 0, "closed");
            }
        })
        .await
    }
}

/// The value of a line of a head, if it is that of this field.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Head and body of a response, when it is complete.
fn whole(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let len = head.lines().find_map(|line| field(line, "content-length"))?;
    let body = bytes[end + 4..].to_vec();
    (body.len() == len.parse::<usize>().unwrap()).then_some((head, body))
}

/// The built-in server, and another one that a shell makes up.
fn servers(script: Option<&str>) -> Value {
    let mut servers = json!({"demo": {"command": program::proxy(), "args": ["demo-server"]}});
    if let Some(script) = script {
        servers["bad"] = json!({"command": "sh", "args": ["-c", script]});
    }
    servers
}

#[track_caller]
fn stays_below(proxy: &Proxy, bytes: usize) {
    if let Some(memory) = process::memory(proxy.pid()) {
        assert!(memory < bytes, "the proxy has had {} MiB", memory / MIB);
    }
}

#[tokio::test]
async fn ten_thousand_open_connections_leave_room_for_others() {
    // T-30
    // Each is two descriptors of this system, one of them ours; some are for other tests that run meanwhile.
    let count = process::raise_files().saturating_sub(1_000).min(10_000);
    assert!(count >= 1_000, "{count} connections would show nothing");
    // It is started with fewer files than that, as systems do, and has to help itself.
    let home = Scratch::empty();
    let proxy = Proxy::start_after("ulimit -Sn 256", config(servers(None)), home.path()).await;
    proxy.logged("servers are ready").await;
    let mut bystander = Bystander::of(&proxy).await;
    let mut open = Vec::new();
    for number in 0..count {
        let stream = within("a connection", TcpStream::connect(proxy.address())).await.unwrap();
        open.push(stream);
        if number % 1_000 == 0 {
            bystander.calls().await;
        }
    }
    // They are full, so one of them makes room for each newcomer.
    for _ in 0..10 {
        Bystander::of(&proxy).await.calls().await;
    }
    stays_below(&proxy, 96 * MIB);
}

#[tokio::test]
async fn a_system_with_few_files_leaves_room_for_others() {
    let home = Scratch::empty();
    let proxy = Proxy::start_after("ulimit -n 300", config(servers(None)), home.path()).await;
    proxy.logged("the system allows 300 open files: 225 clients are let in at a time").await;
    proxy.logged("servers are ready").await;
    let mut open = Vec::new();
    for _ in 0..400 {
        open.push(within("a connection", TcpStream::connect(proxy.address())).await.unwrap());
    }
    for _ in 0..10 {
        Bystander::of(&proxy).await.calls().await;
    }
}

#[tokio::test]
async fn heads_that_never_end_leave_room_for_others() {
    // T-30
    let mut config = config(servers(None));
    config["mcpProxy"]["limits"] = json!({"connections": 200});
    let proxy = Proxy::start(config, &[]).await;
    proxy.logged("servers are ready").await;
    let mut open = Vec::new();
    for _ in 0..600 {
        let mut stream = within("a connection", TcpStream::connect(proxy.address())).await.unwrap();
        stream.write_all(b"POST /demo/mcp HTTP/1.1\r\nHost: local").await.unwrap();
        open.push(stream);
    }
    for _ in 0..10 {
        Bystander::of(&proxy).await.calls().await;
    }
}

#[tokio::test]
async fn a_line_of_a_gibibyte_is_skipped_and_costs_one_message_of_memory() {
    let proxy =
        Proxy::start(config(servers(Some("head -c 1073741824 /dev/zero; echo; exec cat >/dev/null"))), &[])
            .await;
    let skipped = proxy.logged("output was skipped");
    proxy.logged("handling requests at").await;
    let mut bystander = Bystander::of(&proxy).await;
    tokio::pin!(skipped);
    loop {
        tokio::select! {
            biased;
            _ = &mut skipped => break,
            () = bystander.calls() => {}
        }
    }
    bystander = Bystander::of(&proxy).await;
    bystander.calls().await;
    stays_below(&proxy, 96 * MIB);
}

#[tokio::test]
async fn a_flood_on_stderr_delays_nobody() {
    // Long lines, one that does not end, and as many short ones as fit through two pipes. In the next second there is
    // room in the log again.
    // It begins when its neighbour is there: lines of the log that nobody reads in time are lost.
    let home = Scratch::empty();
    let begin = home.path().join("begin");
    let script = format!(
        "while [ ! -e '{}' ]; do sleep 0.05; done; yes \"$(printf %01000d 0)\" | head -n 1000 >&2;
        head -c 67108864 /dev/zero >&2; echo >&2; yes | head -n 2000000 >&2; yes | head -n 2000000; sleep 1;
        echo over >&2; exec cat >/dev/null",
        begin.display()
    );
    let proxy = Proxy::start(config(servers(Some(&script))), &[]).await;
    let over = proxy.logged("over");
    proxy.logged("handling requests at").await;
    std::fs::write(&begin, "").expect("a file");
    let mut bystander = Bystander::of(&proxy).await;
    tokio::pin!(over);
    loop {
        tokio::select! {
            biased;
            _ = &mut over => break,
            () = bystander.calls() => {}
        }
    }
    Bystander::of(&proxy).await.calls().await;
    stays_below(&proxy, 64 * MIB);
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    // FT-501: more than a pipe and the queue hold, then everything as if nobody had a log.
    let home = Scratch::empty();
    let said = home.path().join("said");
    let script = format!(
        "yes \"$(printf %01000d 0)\" | head -n 900 >&2; touch '{}'; exec cat >/dev/null",
        said.display()
    );
    let mut proxy = Proxy::start(config(servers(Some(&script))), &["-expand-env=false"]).await;
    proxy.logged("handling requests at").await;
    let unread = proxy.unread().await;
    let mut bystander = Bystander::of(&proxy).await;
    while !said.exists() {
        bystander.calls().await;
    }
    bystander.calls().await;
    drop(unread);
    let line = proxy.logged(" lost: stderr was not read").await;
    assert!(line.contains(" WARN "), "{line}");
    // Nor does it keep the proxy from its end.
    let _unread = proxy.unread().await;
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().await.code(), Some(0));
}
