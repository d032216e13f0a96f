//! Connections that come in.

use super::stage::{Client, Plan, Run, server_after};
use serde_json::json;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

pub(super) fn a_request_may_come_byte_by_byte(run: Run) {
    let proxy = Plan::of(json!({})).start(run);
    let mut client = Client::connect(proxy.addr);
    client.socket.set_nodelay(true).unwrap();
    for _ in 0..2 {
        for byte in b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" {
            client.socket.write_all(&[*byte]).unwrap();
        }
        assert!(client.response().starts_with("HTTP/1.1 404 "));
    }
}

pub(super) fn a_client_that_ends_its_side_still_gets_its_answer(run: Run) {
    let proxy = Plan::of(json!({})).start(run);
    for _ in 0..3 {
        let mut socket = Client::connect(proxy.addr).socket;
        socket.write_all(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
}

pub(super) fn a_client_that_resets_its_connection_harms_nobody(run: Run) {
    let proxy = Plan::of(json!({"sh": server_after("")})).start(run);
    let mut client = Client::at_the_shell(&proxy);
    client.call("long", "");
    // With no time to linger a close is a reset.
    rustix::net::sockopt::set_socket_linger(&client.socket, Some(Duration::ZERO)).unwrap();
    drop(client);
    let idle = Client::connect(proxy.addr);
    rustix::net::sockopt::set_socket_linger(&idle.socket, Some(Duration::ZERO)).unwrap();
    drop(idle);
    assert!(Client::connect(proxy.addr).get("/nothing").starts_with("HTTP/1.1 404 "));
}

pub(super) fn a_slow_reader_gets_everything_and_holds_nobody_up(run: Run) {
    let proxy = Plan::of(json!({"sh": server_after("")})).start(run);
    let mut slow = Client::at_the_shell(&proxy);
    rustix::net::sockopt::set_socket_recv_buffer_size(&slow.socket, 16 * 1024).unwrap();
    slow.call("long", "");
    // The answer has begun, and the rest waits.
    let mut first = [0];
    slow.socket.peek(&mut first).unwrap();
    let mut other = Client::connect(proxy.addr);
    for _ in 0..10 {
        assert!(other.get("/nothing").starts_with("HTTP/1.1 404 "));
    }
    assert_eq!(slow.text().len(), 4_000_000);
}

pub(super) fn a_crowd_is_served(run: Run) {
    let proxy = Plan::of(json!({})).start(run);
    let mut crowd: Vec<Client> = (0..100).map(|_| Client::connect(proxy.addr)).collect();
    for _ in 0..2 {
        for client in &mut crowd {
            client.socket.write_all(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        }
        for client in &mut crowd {
            assert!(client.response().starts_with("HTTP/1.1 404 "));
        }
    }
}
