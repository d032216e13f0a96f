//! Against small servers on loopback.

use super::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
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
