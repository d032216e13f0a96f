//! The codec against a rustls server in memory. The clock stands still, so the certificates never expire.

use super::*;
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::server::ServerConnection;
use rustls::time_provider::TimeProvider;
use rustls::{ServerConfig, version};
use std::time::Duration;

const CA: &[u8] = include_bytes!("testdata/ca.pem");
const CERT: &[u8] = include_bytes!("testdata/server.pem");
const KEY: &[u8] = include_bytes!("testdata/server.key");

/// 2026-01-01.
const TODAY: u64 = 1_767_225_600;

#[derive(Debug)]
struct Clock(u64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

/// A config whose clock stands at `unix` seconds.
fn config(roots: &[&[u8]], insecure: bool, unix: u64) -> TlsConfig {
    let mut config = TlsConfig::new(roots, insecure).unwrap();
    Arc::make_mut(&mut config.client).time_provider = Arc::new(Clock(unix));
    config
}

struct Pair {
    client: TlsCodec,
    server: ServerConnection,
    /// Bytes of one delivery to the client.
    piece: usize,
    /// What the client has decrypted so far.
    plain: Vec<u8>,
}

impl Pair {
    fn new(config: &TlsConfig, name: &str, piece: usize) -> Self {
        Self::with_version(config, name, piece, &version::TLS13)
    }

    fn with_version(
        config: &TlsConfig,
        name: &str,
        piece: usize,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> Self {
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(CERT).unwrap()],
                PrivateKeyDer::from_pem_slice(KEY).unwrap(),
            )
            .unwrap();
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let server = ServerConnection::new(Arc::new(server)).unwrap();
        Self { client: config.client(name).unwrap(), server, piece, plain: Vec::new() }
    }

    /// Moves bytes both ways until nobody has any. Gives what the server has decrypted.
    fn exchange(&mut self) -> Result<Vec<u8>, TlsFault> {
        let mut heard = Vec::new();
        loop {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            self.client.flush(&mut up);
            feed_server(&mut self.server, &up, &mut heard);
            while self.server.wants_write() {
                self.server.write_tls(&mut down).map_err(internal)?;
            }
            if up.is_empty() && down.is_empty() {
                return Ok(heard);
            }
            for piece in down.chunks(self.piece) {
                self.client.decrypt(piece, &mut self.plain)?;
            }
        }
    }
}

fn feed_server(server: &mut ServerConnection, mut bytes: &[u8], heard: &mut Vec<u8>) {
    while !bytes.is_empty() && server.read_tls(&mut bytes).unwrap() > 0 {
        // A client's alert is an error here; the test looks at the client.
        let Ok(state) = server.process_new_packets() else { return };
        let start = heard.len();
        heard.resize(start + state.plaintext_bytes_to_read(), 0);
        server.reader().read_exact(&mut heard[start..]).unwrap();
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 % 251) as u8).collect()
}

fn refusal(config: &TlsConfig, name: &str) -> TlsFault {
    Pair::new(config, name, usize::MAX).exchange().unwrap_err()
}

#[test]
fn a_megabyte_passes_both_ways_in_pieces_of_any_size() {
    let config = config(&[CA], false, TODAY);
    for version in [&version::TLS12, &version::TLS13] {
        for piece in [7, 1000, usize::MAX] {
            let mut pair = Pair::with_version(&config, "localhost", piece, version);
            pair.exchange().unwrap();
            assert!(!pair.client.is_handshaking());
            assert_eq!(pair.server.alpn_protocol(), Some(&b"http/1.1"[..]));
            let data = pattern(1_000_000);
            let mut up = Vec::new();
            assert_eq!(pair.client.encrypt(&data, &mut up).unwrap(), data.len());
            let mut heard = Vec::new();
            feed_server(&mut pair.server, &up, &mut heard);
            assert!(heard == data);
            for part in data.chunks(32 * 1024) {
                pair.server.writer().write_all(part).unwrap();
                pair.exchange().unwrap();
            }
            assert!(pair.plain == data, "{piece}");
        }
    }
}

#[test]
fn nothing_is_accepted_during_the_handshake() {
    let mut pair = Pair::new(&config(&[CA], false, TODAY), "localhost", usize::MAX);
    let mut out = Vec::new();
    assert_eq!(pair.client.encrypt(b"early", &mut out).unwrap(), 0);
    assert!(out.is_empty());
    assert_eq!(pair.exchange().unwrap(), b"");
}

#[test]
fn each_side_may_end_while_the_other_goes_on() {
    let mut pair = Pair::new(&config(&[CA], false, TODAY), "localhost", usize::MAX);
    pair.exchange().unwrap();
    pair.server.writer().write_all(b"last words").unwrap();
    pair.server.send_close_notify();
    pair.exchange().unwrap();
    assert_eq!(pair.plain, b"last words");
    assert!(pair.client.is_read_closed());
    let (mut up, mut heard) = (Vec::new(), Vec::new());
    pair.client.encrypt(b"answer", &mut up).unwrap();
    pair.client.close_notify();
    pair.client.flush(&mut up);
    feed_server(&mut pair.server, &up, &mut heard);
    assert_eq!(heard, b"answer");
    pair.client.decrypt(b"whatever follows", &mut pair.plain).unwrap();
    assert_eq!(pair.plain, b"last words");
}

#[test]
fn names_and_addresses_of_the_certificate_are_accepted() {
    let config = config(&[CA], false, TODAY);
    for name in ["localhost", "127.0.0.1", "::1", "[::1]"] {
        Pair::new(&config, name, usize::MAX).exchange().unwrap();
    }
}

#[test]
fn refusals_name_the_server_and_the_reason() {
    let trusting = config(&[CA], false, TODAY);
    let table = [
        (config(&[], false, TODAY), "localhost", "localhost: certificate is signed by an unknown authority"),
        (config(&[CA], false, 4_733_510_401), "localhost", "localhost: certificate has expired"),
        (config(&[CA], false, 1_577_836_799), "localhost", "localhost: certificate is not valid yet"),
        (trusting, "example.com", "example.com: certificate is not valid for this name"),
    ];
    for (config, name, expected) in table {
        let fault = refusal(&config, name);
        assert_eq!(fault.kind, TlsFaultKind::Certificate);
        assert!(fault.detail.starts_with(expected), "{fault}");
    }
}

#[test]
fn a_refusal_leaves_an_alert_for_the_server() {
    let mut pair = Pair::new(&config(&[], false, TODAY), "localhost", usize::MAX);
    pair.exchange().unwrap_err();
    let mut up = Vec::new();
    pair.client.flush(&mut up);
    let mut up = up.as_slice();
    pair.server.read_tls(&mut up).unwrap();
    let error = pair.server.process_new_packets().unwrap_err();
    assert!(matches!(error, Error::AlertReceived(_)), "{error}");
}

#[test]
fn insecure_takes_any_certificate() {
    // SEED-012
    let config = config(&[], true, 0);
    for version in [&version::TLS12, &version::TLS13] {
        let mut pair = Pair::with_version(&config, "example.com", usize::MAX, version);
        pair.exchange().unwrap();
        assert!(!pair.client.is_handshaking());
    }
}

#[test]
fn bytes_that_are_no_tls_are_a_protocol_fault() {
    let mut client = config(&[CA], false, TODAY).client("localhost").unwrap();
    let fault = client.decrypt(b"HTTP/1.1 400 Bad Request\r\n\r\n", &mut Vec::new()).unwrap_err();
    assert_eq!(fault.kind, TlsFaultKind::Protocol);
    assert!(fault.detail.contains("does not speak TLS"), "{fault}");
}

#[test]
fn useless_settings_are_refused() {
    for pem in [&b""[..], b"no certificate", KEY] {
        let fault = TlsConfig::new(&[CA, pem], false).unwrap_err();
        assert_eq!(fault.kind, TlsFaultKind::Config);
    }
    let fault = config(&[CA], false, TODAY).client("no name").unwrap_err();
    assert_eq!(fault.kind, TlsFaultKind::Config);
}
