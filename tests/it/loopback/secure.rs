//! TLS to upstreams.

use super::stage::{PATIENCE, Plan, Run, Running, spawn};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

type Tls<'a> = rustls::Stream<'a, rustls::ServerConnection, TcpStream>;

/// A proxy in front of a server with a certificate for localhost, which reads one request and then does this.
fn start(run: Run, extra_roots_pem: Option<Vec<u8>>, then: fn(Tls<'_>)) -> (Running, Receiver<String>) {
    let (heard_to, heard) = channel();
    let serve = move |mut socket: TcpStream| {
        let mut tls = rustls::ServerConnection::new(Arc::new(server_config())).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|len| len > 0) {
            request.extend_from_slice(&byte);
        }
        let _ = heard_to.send(String::from_utf8(request).unwrap());
        then(stream);
    };
    (start_before(run, extra_roots_pem, serve), heard)
}

fn start_before(
    run: Run,
    extra_roots_pem: Option<Vec<u8>>,
    serve: impl FnOnce(TcpStream) + Send + 'static,
) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(move || serve(listener.accept().unwrap().0));
    let url = format!("https://localhost:{port}/mcp");
    let servers = json!({"far": {"url": url, "transportType": "streamable-http"}});
    Plan { extra_roots_pem, ..Plan::of(servers) }.start(run)
}

pub(super) fn a_server_behind_tls_is_asked_and_heard(run: Run) {
    let (proxy, heard) = start(run, Some(CA.to_vec()), |mut stream| {
        stream.write_all(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let request = heard.recv_timeout(PATIENCE).unwrap();
    assert!(request.starts_with("POST /mcp HTTP/1.1\r\n"), "{request}");
    proxy.line("418");
}

pub(super) fn a_server_nobody_vouches_for_is_refused_in_words(run: Run) {
    let (proxy, _heard) = start(run, None, |_| {});
    proxy.line("certificate is signed by an unknown authority");
}

pub(super) fn a_server_without_tls_is_refused_in_words(run: Run) {
    let proxy = start_before(run, None, |mut socket| {
        // It waits for what it takes for a request before it answers, as they do.
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    proxy.line("server does not speak TLS");
}

pub(super) fn a_server_that_cuts_the_connection_is_noticed(run: Run) {
    let proxy = start_before(run, None, |mut socket| {
        // An end and not a reset, which it would be if something were unread.
        socket.shutdown(Shutdown::Write).unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    proxy.line("connection closed during the TLS handshake");
}

const CA: &[u8] = include_bytes!("../../../core/src/tls/testdata/ca.pem");
const CERT: &[u8] = include_bytes!("../../../core/src/tls/testdata/server.pem");
const KEY: &[u8] = include_bytes!("../../../core/src/tls/testdata/server.key");

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
