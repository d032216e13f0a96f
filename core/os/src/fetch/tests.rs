//! Against small servers on loopback.

use super::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

/// Answers one connection after the other with these texts, and gives what was asked.
fn server(answers: Vec<String>) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (heard, requests) = channel();
    spawn(move || {
        for answer in answers {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap() > 0 {
                request.extend_from_slice(&byte);
            }
            heard.send(String::from_utf8(request).unwrap()).unwrap();
            // The client may have heard enough before the end.
            let _ = socket.write_all(answer.as_bytes());
        }
    });
    (addr, requests)
}

#[expect(clippy::disallowed_methods, reason = "the other side of a test")]
fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn moved(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

fn get(url: &str, headers: &[(String, String)]) -> Result<String, String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let body = fetch(&url, headers, Some(Duration::from_secs(20)), false, None)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn token() -> [(String, String); 1] {
    [("Authorization".to_owned(), "Bearer secret".to_owned())]
}

#[test]
fn a_body_comes_back_and_headers_go_out() {
    let (addr, requests) = server(vec![ok("{}")]);
    assert_eq!(get(&format!("http://{addr}/a/b.json?v=1"), &token()).unwrap(), "{}");
    let request = requests.recv().unwrap();
    assert!(request.starts_with("GET /a/b.json?v=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("Host: {addr}\r\n")), "{request}");
    assert!(request.contains("Authorization: Bearer secret\r\n"), "{request}");
}

#[test]
fn a_chunked_body_comes_back_whole() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let (addr, _requests) = server(vec![chunks.to_owned()]);
    assert_eq!(get(&format!("http://{addr}/"), &[]).unwrap(), "abcde");
}

#[test]
fn a_redirect_keeps_headers_within_the_origin_only() {
    let (other, other_requests) = server(vec![ok("there")]);
    let (addr, requests) = server(vec![moved("/second"), moved(&format!("http://{other}/third"))]);
    assert_eq!(get(&format!("http://{addr}/first"), &token()).unwrap(), "there");
    assert!(requests.recv().unwrap().contains("secret"));
    let second = requests.recv().unwrap();
    assert!(second.starts_with("GET /second ") && second.contains("secret"), "{second}");
    let third = other_requests.recv().unwrap();
    assert!(third.starts_with("GET /third ") && !third.contains("secret"), "{third}");
}

#[test]
fn redirects_have_an_end() {
    let (addr, requests) = server(vec![moved("/again"); 6]);
    let error = get(&format!("http://{addr}/"), &[]).unwrap_err();
    assert!(error.contains("more than 5 redirects"), "{error}");
    assert_eq!(requests.iter().count(), 6);
}

#[test]
fn another_status_is_an_error_that_names_it_but_no_query() {
    // SEED-016
    let (addr, _requests) = server(vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()]);
    let error = get(&format!("http://{addr}/x?key=secret"), &[]).unwrap_err();
    assert!(error.contains("404") && !error.contains("secret"), "{error}");
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let (addr, _requests) =
        server(vec![ok(&"x".repeat(BODY_BYTES_MAX)), ok(&"x".repeat(BODY_BYTES_MAX + 1))]);
    assert_eq!(get(&format!("http://{addr}/"), &[]).unwrap().len(), BODY_BYTES_MAX);
    let error = get(&format!("http://{addr}/"), &[]).unwrap_err();
    assert!(error.contains("larger than 4 MiB"), "{error}");
}

#[test]
fn a_cut_body_is_an_error() {
    let (addr, _requests) = server(vec!["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned()]);
    assert!(get(&format!("http://{addr}/"), &[]).is_err());
}

#[test]
fn a_silent_server_runs_into_the_time_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let error = fetch(&url, &[], Some(Duration::from_millis(50)), false, None).unwrap_err();
    assert!(error.contains("no answer within 50ms"), "{error}");
}

fn ask(url: &Url, body: Option<&[u8]>) -> Result<Response, ExchangeError> {
    let terms = Terms {
        body_bytes_max: 16,
        timeout: Some(Duration::from_secs(20)),
        insecure: false,
        extra_roots: None,
    };
    let headers = [("Content-Type".to_owned(), "text/plain".to_owned())];
    let method = if body.is_some() { "POST" } else { "GET" };
    exchange(&Exchange { method, url, headers: &headers, body }, &terms)
}

fn at(url: String) -> Url {
    Url::parse(&url).unwrap()
}

#[test]
fn an_exchange_shows_status_headers_and_body_and_sends_its_own() {
    let text = "HTTP/1.1 401 No\r\nA: 1\r\nB: 2\r\na: 3\r\nContent-Length: 2\r\n\r\n{}";
    let (addr, requests) = server(vec![text.to_owned()]);
    let response = ask(&at(format!("http://{addr}/x")), Some(b"hello")).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (401, &b"{}"[..]));
    assert_eq!(response.values("A").collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!((response.header("b"), response.header("c")), (Some("2"), None));
    let request = requests.recv().unwrap();
    assert!(request.starts_with("POST /x HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Content-Type: text/plain\r\nContent-Length: 5\r\n"), "{request}");
}

#[test]
fn an_exchange_follows_no_redirect() {
    let (addr, requests) = server(vec![moved("/next")]);
    let response = ask(&at(format!("http://{addr}/")), None).unwrap();
    assert_eq!((response.status, response.header("location")), (302, Some("/next")));
    assert_eq!(requests.iter().count(), 1);
}

#[test]
fn an_event_stream_is_not_waited_for() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n: hello\n\n";
    let (addr, _requests) = server(vec![head.to_owned()]);
    let response = ask(&at(format!("http://{addr}/")), None).unwrap();
    assert_eq!((response.status, response.body.len()), (200, 0));
}

#[test]
fn an_exchange_that_fails_says_who_can_help() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (large, _requests) = server(vec![ok(&"x".repeat(16)), ok(&"x".repeat(17))]);
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let no_tls = plain.local_addr().unwrap();
    spawn(move || drop(plain.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
    let (no_http, _requests) = server(vec!["SSH-2.0-x\r\n".to_owned()]);
    assert!(ask(&at(format!("http://{large}/")), None).is_ok());
    for (url, kind, part) in [
        (format!("http://{closed}/"), ExchangeErrorKind::Connect, "refused"),
        (format!("http://{large}/"), ExchangeErrorKind::TooLarge, "larger than"),
        (format!("https://{no_tls}/"), ExchangeErrorKind::Tls, "TLS"),
        (format!("http://{no_http}/"), ExchangeErrorKind::Broken, "no HTTP"),
    ] {
        let error = ask(&at(url.clone()), None).unwrap_err();
        assert_eq!(error.kind, kind, "{url}: {error}");
        assert!(error.detail.contains(part), "{url}: {error}");
    }
}

#[test]
fn an_exchange_ends_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let timeout = Some(Duration::from_millis(50));
    let terms = Terms { body_bytes_max: 16, timeout, insecure: false, extra_roots: None };
    let request = Exchange { method: "GET", url: &url, headers: &[], body: None };
    let error = exchange(&request, &terms).unwrap_err();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        (ExchangeErrorKind::Timeout, "no answer within 50ms")
    );
}

/// A server with a certificate for localhost, that answers this often.
fn secure_server(answers: usize) -> u16 {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let cert = CertificateDer::from_pem_slice(include_bytes!("../../../src/tls/testdata/server.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../../src/tls/testdata/server.key"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.unwrap()], key.unwrap())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(move || {
        for _ in 0..answers {
            let mut socket = listener.accept().unwrap().0;
            let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::Stream::new(&mut tls, &mut socket);
            let mut request = Vec::new();
            let mut byte = [0];
            // A client that does not trust us goes away in between.
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|len| len > 0) {
                request.extend_from_slice(&byte);
            }
            let _ = stream.write_all(ok("{}").as_bytes());
        }
    });
    port
}

#[test]
fn an_exchange_over_tls_needs_trust() {
    let ca: &[u8] = include_bytes!("../../../src/tls/testdata/ca.pem");
    let url = at(format!("https://localhost:{}/", secure_server(3)));
    let ask = |insecure, extra_roots| {
        let timeout = Some(Duration::from_secs(20));
        let terms = Terms { body_bytes_max: 16, timeout, insecure, extra_roots };
        exchange(&Exchange { method: "GET", url: &url, headers: &[], body: None }, &terms)
    };
    assert_eq!(ask(false, Some(ca)).unwrap().body, b"{}");
    assert_eq!(ask(true, None).unwrap().body, b"{}");
    let error = ask(false, None).unwrap_err();
    assert_eq!(error.kind, ExchangeErrorKind::Certificate, "{error}");
    assert!(error.detail.contains("unknown authority"), "{error}");
}
