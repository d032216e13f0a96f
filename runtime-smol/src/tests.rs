//! The whole adapter with a real engine, on loopback and with real children.

use super::*;
use mcp_proxy_core::config::{Source, parse};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A stdio server in shell: greets, and answers every other request with the length of its line.
const SERVER: &str = r#"
echo "server $$" >&2
sleep 100 &
echo "helper $!" >&2
while read -r line; do
  id=${line#*\"id\":}; id=${id%%[,\}]*}
  case "$line" in
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}';;
    *'"tools/list"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"tools":[{"name":"length","inputSchema":{"type":"object"}}]}}';;
    *'"id"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"content":[{"type":"text","text":"'${#line}'"}]}}';;
  esac
done
"#;

/// A running proxy and what it logs.
struct Running {
    addr: SocketAddr,
    log: Receiver<String>,
    done: Receiver<io::Result<u8>>,
}

/// Runs a proxy with these servers (JSON) in a thread of its own until it says where it listens.
fn start(servers: &str, extra_roots_pem: Option<Vec<u8>>, stop_signals: bool) -> Running {
    let text = format!(
        r#"{{"mcpProxy":{{"baseURL":"http://127.0.0.1","addr":"127.0.0.1:0","name":"test","version":"1",
        "type":"streamable-http"}},"mcpServers":{servers}}}"#
    );
    let source = Source { text: &text, name: "test", strict: false, env: None };
    let config = Arc::new(parse(&source).unwrap().config);
    let (log_to, log) = channel();
    let (done_to, done) = channel();
    spawn(move || {
        let options = mcp_proxy_core::Options { log_level: Level::Debug, ..Default::default() };
        let log: Log = Box::new(move |record, _| drop(log_to.send(record.message.clone())));
        let options_here = Options { log, guard: None, extra_roots_pem, stop_signals, store: None };
        drop(done_to.send(run(Proxy::new(config, options, seed().unwrap()), options_here)));
    });
    let line = await_line(&log, "listening on ");
    let addr = line.rsplit(' ').next().unwrap().parse().unwrap();
    Running { addr, log, done }
}

#[expect(clippy::disallowed_methods, reason = "the proxy runs beside its test")]
fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

/// The first log line that contains `part`.
fn await_line(log: &Receiver<String>, part: &str) -> String {
    let mut seen = String::new();
    loop {
        match log.recv_timeout(PATIENCE) {
            Ok(line) if line.contains(part) => return line,
            Ok(line) => writeln!(seen, "{line}").unwrap(),
            Err(_) => panic!("no line with {part:?} after:\n{seen}"),
        }
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn post(session: Option<&str>, body: &str) -> String {
    let session = session.map_or_else(String::new, |id| format!("Mcp-Session-Id: {id}\r\n"));
    format!(
        "POST /sh/mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{session}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One whole response. A slow answer comes as an event stream.
fn response(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    let whole = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let (head, body) = text.split_once("\r\n\r\n")?;
        if head.contains("chunked") {
            return body.ends_with("\r\n0\r\n\r\n").then_some(());
        }
        let len = head.split_once("content-length: ").map_or("0", |(_, rest)| rest.lines().next().unwrap());
        (body.len() >= len.parse().unwrap()).then_some(())
    };
    while whole(&bytes).is_none() {
        assert_ne!(socket.read(&mut byte).unwrap(), 0, "{:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&byte);
    }
    String::from_utf8(bytes).unwrap()
}

fn number(line: &str) -> i32 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn lives(pid: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::test_kill_process(pid).is_ok()
}

#[test]
fn calls_cross_the_proxy_and_sigterm_ends_it_with_all_children() {
    let script = SERVER.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let servers = format!(r#"{{"sh":{{"command":"sh","args":["-c","{script}"]}}}}"#);
    let proxy = start(&servers, None, true);
    let server = number(&await_line(&proxy.log, "server "));
    let helper = number(&await_line(&proxy.log, "helper "));
    await_line(&proxy.log, "All clients initialized");
    let mut socket = connect(proxy.addr);
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    socket.write_all(post(None, hello).as_bytes()).unwrap();
    let answer = response(&mut socket);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let session = answer.lines().find(|line| line.to_ascii_lowercase().starts_with("mcp-session-id: "));
    let session = session.unwrap().split_once(": ").unwrap().1.to_owned();
    socket
        .write_all(
            post(Some(&session), r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).as_bytes(),
        )
        .unwrap();
    assert!(response(&mut socket).starts_with("HTTP/1.1 202 "));
    // More than the pipe to the child holds.
    let long = "x".repeat(300_000);
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{{"name":"length","arguments":{{"x":"{long}"}}}}}}"#
    );
    socket.write_all(post(Some(&session), &call).as_bytes()).unwrap();
    let answer = response(&mut socket);
    assert!(answer.contains(r#""id":"a""#), "{answer}");
    let text = answer.split(r#""text":""#).nth(1).unwrap();
    assert!(text.split('"').next().unwrap().parse::<usize>().unwrap() > long.len(), "{answer}");

    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
    assert_eq!(proxy.done.recv_timeout(PATIENCE).unwrap().unwrap(), 0);
    assert!(!lives(server), "the child is still there");
    // It was killed; whoever inherited it may take a moment to collect it.
    let gone = || {
        !lives(helper)
            || std::fs::read_to_string(format!("/proc/{helper}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    };
    assert!(
        (0..1000).any(|_| gone() || {
            std::thread::yield_now();
            false
        }),
        "the child's child is still there"
    );
}

#[test]
fn a_program_that_is_missing_is_told_by_name() {
    let proxy = start(r#"{"sh":{"command":"/nowhere/server"}}"#, None, false);
    await_line(&proxy.log, "cannot start `/nowhere/server`: No such file or directory");
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answer() {
    let proxy = start("{}", None, false);
    for _ in 0..3 {
        let mut socket = connect(proxy.addr);
        for byte in b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" {
            socket.write_all(&[*byte]).unwrap();
        }
        socket.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
}

#[test]
fn a_port_in_use_ends_with_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let text = format!(
        r#"{{"mcpProxy":{{"baseURL":"http://127.0.0.1","addr":"{addr}","name":"t","version":"1"}},"mcpServers":{{}}}}"#
    );
    let config = parse(&Source { text: &text, name: "test", strict: false, env: None }).unwrap().config;
    let proxy = Proxy::new(Arc::new(config), mcp_proxy_core::Options::default(), [0; 32]);
    let options = Options {
        log: Box::new(|_, _| {}),
        guard: None,
        extra_roots_pem: None,
        stop_signals: false,
        store: None,
    };
    assert_eq!(run(proxy, options).unwrap(), 1);
}

#[test]
fn a_server_behind_tls_is_asked_and_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard_to, heard) = channel();
    spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut tls = rustls::ServerConnection::new(Arc::new(server_config())).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
            request.extend_from_slice(&byte);
        }
        heard_to.send(String::from_utf8(request).unwrap()).unwrap();
        stream.write_all(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let servers =
        format!(r#"{{"far":{{"url":"https://localhost:{port}/mcp","transportType":"streamable-http"}}}}"#);
    let proxy = start(&servers, Some(CA.to_vec()), false);
    let request = heard.recv_timeout(PATIENCE).unwrap();
    assert!(request.starts_with("POST /mcp HTTP/1.1\r\n"), "{request}");
    await_line(&proxy.log, "418");
}

#[test]
fn a_server_nobody_vouches_for_is_refused_in_words() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut tls = rustls::ServerConnection::new(Arc::new(server_config())).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        drop(stream.read(&mut [0]));
    });
    let servers =
        format!(r#"{{"far":{{"url":"https://localhost:{port}/mcp","transportType":"streamable-http"}}}}"#);
    let proxy = start(&servers, None, false);
    await_line(&proxy.log, "certificate is signed by an unknown authority");
}

const CA: &[u8] = include_bytes!("../../core/src/tls/testdata/ca.pem");
const CERT: &[u8] = include_bytes!("../../core/src/tls/testdata/server.pem");
const KEY: &[u8] = include_bytes!("../../core/src/tls/testdata/server.key");

fn server_config() -> rustls::ServerConfig {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERT).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap()
}

/// Far longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
