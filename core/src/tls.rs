//! TLS as a codec, client side: ciphertext in, plaintext out, and the other way round (RFC 8446, RFC 5246).
//!
//! This is rustls 0.23's buffered connection behind two functions that own no buffers. The engine never sees
//! it: handshakes draw on the system's randomness and on the clock, so adapters run it between socket and
//! engine, and runs of the engine stay reproducible.
//!
//! Invariants:
//! - [`TlsCodec::decrypt`] takes everything it is given and leaves no plaintext inside, so rustls' bound of
//!   16 KiB of unread plaintext is never met.
//! - Reading can make something to write (alerts, key updates, the handshake): [`TlsCodec::flush`] after
//!   every `decrypt`, also after one that failed.
//! - [`TlsCodec::encrypt`] hands its ciphertext out at once, so rustls' bound of 64 KiB is never met.
//!
//! Deliberately absent: the server's side, client certificates, other protocols than HTTP/1.1, session storage
//! beyond memory, and every way of reading files: certificates come as bytes.

use std::borrow::Cow;
use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};

mod insecure;
mod stream;

pub use stream::{TlsStream, Trust};

/// Whom to trust. Building one takes a millisecond: do it once, and late.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    client: Arc<ClientConfig>,
}

impl TlsConfig {
    /// Trusts the built-in roots of Mozilla and all certificates in these PEM texts. With `insecure` any
    /// certificate will do; that is for fetching a configuration where an operator has asked for it.
    ///
    /// # Errors
    /// One of the texts holds no usable certificate.
    pub fn new(extra_roots_pem: &[&[u8]], insecure: bool) -> Result<Self, TlsFault> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsFault::new(TlsFaultKind::Config, describe(&error)))?;
        let mut client = if insecure {
            let verifier = Arc::new(insecure::AnyServer::new(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        } else {
            builder.with_root_certificates(roots(extra_roots_pem)?).with_no_client_auth()
        };
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { client: Arc::new(client) })
    }

    /// Starts a handshake with the server of this name, which may be an IP address, in brackets or not.
    ///
    /// # Errors
    /// It is neither a host name nor an address.
    pub fn client(&self, name: &str) -> Result<TlsCodec, TlsFault> {
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let server = ServerName::try_from(bare.to_owned()).map_err(|_| {
            TlsFault::new(TlsFaultKind::Config, format!("{name:?} is no name a certificate can have"))
        })?;
        let conn = ClientConnection::new(self.client.clone(), server)?;
        Ok(TlsCodec { conn, name: bare.into(), read_closed: false })
    }
}

/// One connection.
#[derive(Debug)]
pub struct TlsCodec {
    conn: ClientConnection,
    name: Box<str>,
    read_closed: bool,
}

impl TlsCodec {
    /// True until application data may be sent. Nothing is accepted by [`TlsCodec::encrypt`] before.
    pub fn is_handshaking(&self) -> bool {
        self.conn.is_handshaking()
    }

    /// True when the peer has said that it will send nothing more. A stream that ends without it was cut.
    pub fn is_read_closed(&self) -> bool {
        self.read_closed
    }

    /// Takes bytes from the socket and appends what they say to `plaintext`. Follow up with
    /// [`TlsCodec::flush`], whatever the result. Bytes behind the end of the stream are dropped.
    ///
    /// # Errors
    /// The peer broke the protocol or is not who it should be. The connection ends.
    pub fn decrypt(&mut self, mut ciphertext: &[u8], plaintext: &mut Vec<u8>) -> Result<(), TlsFault> {
        while !ciphertext.is_empty() && !self.read_closed {
            if self.conn.read_tls(&mut ciphertext).map_err(internal)? == 0 {
                return Err(TlsFault::new(TlsFaultKind::Protocol, "TLS takes no more bytes"));
            }
            let state = self.conn.process_new_packets().map_err(|error| self.fault(&error))?;
            self.read_closed = state.peer_has_closed();
            let len = state.plaintext_bytes_to_read();
            if len > 0 {
                let start = plaintext.len();
                plaintext.resize(start.saturating_add(len), 0);
                let room = plaintext.get_mut(start..).unwrap_or_default();
                self.conn.reader().read_exact(room).map_err(internal)?;
            }
        }
        Ok(())
    }

    /// Encrypts `plaintext` and appends the records to `ciphertext`. Returns how many bytes were accepted: all
    /// of them, or none during the handshake.
    ///
    /// # Errors
    /// The keys are used up, or we have already sent our end.
    pub fn encrypt(&mut self, plaintext: &[u8], ciphertext: &mut Vec<u8>) -> Result<usize, TlsFault> {
        if self.conn.is_handshaking() {
            return Ok(0);
        }
        let mut rest = plaintext;
        while !rest.is_empty() {
            let taken = self.conn.writer().write(rest).map_err(internal)?;
            if taken == 0 {
                return Err(TlsFault::new(TlsFaultKind::Protocol, "TLS takes no more data"));
            }
            rest = rest.get(taken..).unwrap_or_default();
            self.flush(ciphertext);
        }
        Ok(plaintext.len())
    }

    /// Queues our end of the stream. What the peer sends afterwards can still be read.
    pub fn close_notify(&mut self) {
        self.conn.send_close_notify();
    }

    /// Appends everything that waits to be sent.
    pub fn flush(&mut self, ciphertext: &mut Vec<u8>) {
        while self.conn.wants_write() {
            // Writing to a vector does not fail.
            if !self.conn.write_tls(ciphertext).is_ok_and(|len| len > 0) {
                break;
            }
        }
    }

    /// Names the server where that helps.
    fn fault(&self, error: &Error) -> TlsFault {
        let mut fault = TlsFault::from(error.clone());
        if fault.kind == TlsFaultKind::Certificate {
            fault.detail = format!("{}: {}", self.name, fault.detail).into();
        }
        fault
    }
}

/// What kind of trouble it is, and so who can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFaultKind {
    /// The server is not trusted. An operator may add a root certificate or correct a name or a clock.
    Certificate,
    /// The two do not understand each other.
    Protocol,
    /// Our own settings are of no use.
    Config,
}

/// Why a TLS connection ends, in words for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFault {
    /// Who can help.
    pub kind: TlsFaultKind,
    /// One lower-case sentence without a full stop.
    pub detail: Cow<'static, str>,
}

impl TlsFault {
    fn new(kind: TlsFaultKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for TlsFault {}

impl From<Error> for TlsFault {
    fn from(error: Error) -> Self {
        let certificate = matches!(error, Error::InvalidCertificate(_) | Error::NoCertificatesPresented);
        let kind = if certificate { TlsFaultKind::Certificate } else { TlsFaultKind::Protocol };
        Self::new(kind, describe(&error))
    }
}

fn internal(error: std::io::Error) -> TlsFault {
    TlsFault::new(TlsFaultKind::Protocol, format!("TLS failed: {error}"))
}

fn roots(extra_pem: &[&[u8]]) -> Result<RootCertStore, TlsFault> {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for pem in extra_pem {
        let before = store.len();
        store.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
        if store.len() == before {
            return Err(TlsFault::new(
                TlsFaultKind::Config,
                "the extra root certificates (SSL_CERT_FILE) hold no usable certificate in PEM form",
            ));
        }
    }
    Ok(store)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list of rustls is open")]
fn describe(error: &Error) -> Cow<'static, str> {
    if let Error::InvalidCertificate(why) = error {
        return describe_certificate(why);
    }
    match error {
        Error::NoCertificatesPresented => "server sent no certificate".into(),
        Error::InvalidMessage(_) => "server does not speak TLS, or breaks it".into(),
        Error::AlertReceived(alert) => format!("server refused the TLS connection: {alert:?}").into(),
        Error::PeerIncompatible(why) => format!("server and proxy have no TLS in common: {why:?}").into(),
        other => format!("TLS failed: {other}").into(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the list of rustls is open")]
fn describe_certificate(why: &CertificateError) -> Cow<'static, str> {
    use CertificateError as Why;
    match why {
        Why::Expired | Why::ExpiredContext { .. } => "certificate has expired".into(),
        Why::NotValidYet | Why::NotValidYetContext { .. } => {
            "certificate is not valid yet (is the clock right?)".into()
        }
        Why::UnknownIssuer => {
            "certificate is signed by an unknown authority (set SSL_CERT_FILE for your own)".into()
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            "certificate is not valid for this name".into()
        }
        Why::Revoked => "certificate has been revoked".into(),
        Why::BadEncoding | Why::BadSignature => "certificate is damaged".into(),
        other => format!("certificate is not acceptable: {other}").into(),
    }
}

#[cfg(test)]
mod tests;
