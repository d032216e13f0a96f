//! A [`TlsCodec`] with the bytes it wants to send, and the trust store that makes them.
//!
//! This is what a runtime puts between a socket and the engine. A round of it: [`TlsStream::encrypt`] when nothing is
//! [pending](TlsStream::pending), write what is, report what [`TlsStream::sent`] says; read, [`TlsStream::decrypt`].
//!
//! Invariant: plaintext counts as sent only when the system has taken all of its ciphertext, so that the
//! engine's queue is the only one that can grow.

use super::{TlsCodec, TlsConfig, TlsFault, TlsFaultKind};

/// Makes codecs. The store is loaded with the first one: a proxy that dials no `https` never needs it.
#[derive(Debug)]
pub struct Trust {
    extra_roots_pem: Option<Vec<u8>>,
    config: Option<TlsConfig>,
}

impl Trust {
    /// Trusts the built-in roots and those in this PEM text.
    pub fn new(extra_roots_pem: Option<Vec<u8>>) -> Self {
        Self { extra_roots_pem, config: None }
    }

    /// Gives the client's side of a handshake with the server of this name.
    ///
    /// # Errors
    /// The extra roots or the name are of no use, in words for an operator.
    pub fn client(&mut self, name: &str) -> Result<TlsStream, String> {
        let config = match &mut self.config {
            Some(config) => config,
            empty => {
                let roots: Vec<&[u8]> = self.extra_roots_pem.as_deref().into_iter().collect();
                empty.insert(TlsConfig::new(&roots, false).map_err(|fault| fault.to_string())?)
            }
        };
        Ok(TlsStream::new(config.client(name).map_err(|fault| fault.to_string())?))
    }
}

/// One connection's TLS state.
#[derive(Debug)]
pub struct TlsStream {
    codec: TlsCodec,
    out: Vec<u8>,
    start: usize,
    sending: usize,
    notified: bool,
}

impl TlsStream {
    fn new(mut codec: TlsCodec) -> Self {
        let mut out = Vec::new();
        codec.flush(&mut out);
        Self { codec, out, start: 0, sending: 0, notified: false }
    }

    /// True until the engine may be told that the connection is there.
    pub fn is_handshaking(&self) -> bool {
        self.codec.is_handshaking()
    }

    /// The peer has said that it will send nothing more.
    pub fn is_read_closed(&self) -> bool {
        self.codec.is_read_closed()
    }

    /// Takes what the socket gave. What is to be answered is [`TlsStream::pending`], also after a fault.
    ///
    /// # Errors
    /// As of [`TlsCodec::decrypt`].
    pub fn decrypt(&mut self, ciphertext: &[u8], plain: &mut Vec<u8>) -> Result<(), TlsFault> {
        let result = self.codec.decrypt(ciphertext, plain);
        self.codec.flush(&mut self.out);
        result
    }

    /// Encrypts the beginning of `plain`. To be called when nothing is pending.
    ///
    /// # Errors
    /// As of [`TlsCodec::encrypt`].
    pub fn encrypt(&mut self, plain: &[u8]) -> Result<(), TlsFault> {
        let part = plain.get(..PLAIN_BYTES_MAX).unwrap_or(plain);
        self.sending = self.codec.encrypt(part, &mut self.out)?;
        Ok(())
    }

    /// Says that nothing more will come from us.
    pub fn close_notify(&mut self) {
        if !std::mem::replace(&mut self.notified, true) {
            self.codec.close_notify();
            self.codec.flush(&mut self.out);
        }
    }

    /// What it means when the socket ends now: the peer has not said that it has finished.
    pub fn cut_off(&self) -> TlsFault {
        let detail = match self.is_handshaking() {
            true => "connection closed during the TLS handshake",
            false => "connection closed without a TLS close_notify",
        };
        TlsFault::new(TlsFaultKind::Protocol, detail)
    }

    /// What is to be written next.
    pub fn pending(&self) -> &[u8] {
        self.out.get(self.start..).unwrap_or_default()
    }

    /// So much of it was written. Tells how much plaintext that completes.
    pub fn sent(&mut self, len: usize) -> Option<usize> {
        self.start += len;
        if self.start < self.out.len() {
            return None;
        }
        self.start = 0;
        self.out.clear();
        if self.out.capacity() > OUT_BYTES_KEPT {
            self.out = Vec::new();
        }
        match std::mem::take(&mut self.sending) {
            0 => None,
            sending => Some(sending),
        }
    }
}

/// Plaintext encrypted at once: four full records.
const PLAIN_BYTES_MAX: usize = 64 * 1024;

/// Storage an idle connection keeps.
const OUT_BYTES_KEPT: usize = 1024;
