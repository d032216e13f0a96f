//! Connections that go out, without TLS.

use super::stage::{PATIENCE, Plan, Run, spawn};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::mpsc::channel;

fn far(address: &str) -> Value {
    json!({"far": {"url": format!("http://{address}/mcp"), "transportType": "streamable-http"}})
}

pub(super) fn a_server_is_asked_and_heard(run: Run) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (heard_to, heard) = channel();
    spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap() > 0 {
            request.extend_from_slice(&byte);
        }
        heard_to.send(String::from_utf8(request).unwrap()).unwrap();
        socket.write_all(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    // By its name, so that it is looked up.
    let proxy = Plan::of(far(&format!("localhost:{}", addr.port()))).start(run);
    let request = heard.recv_timeout(PATIENCE).unwrap();
    assert!(request.starts_with("POST /mcp HTTP/1.1\r\n"), "{request}");
    proxy.line("418");
}

pub(super) fn a_name_without_an_address_is_told(run: Run) {
    let line = Plan::of(far("nowhere.invalid")).start(run).line("cannot resolve nowhere.invalid: ");
    assert!(!line.contains("os error"), "{line}");
}

pub(super) fn a_closed_port_is_told(run: Run) {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Plan::of(far(&closed.to_string())).start(run);
    proxy.line(&format!("cannot connect to {closed}: Connection refused"));
}

pub(super) fn a_server_that_hangs_up_is_told(run: Run) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    spawn(move || {
        for socket in listener.incoming().take(2) {
            // An end and not a reset, which it would be if something were unread.
            let mut socket = socket.unwrap();
            socket.shutdown(Shutdown::Write).unwrap();
            let _ = socket.read_to_end(&mut Vec::new());
        }
    });
    Plan::of(far(&addr.to_string())).start(run).line("connection closed without a response");
}
