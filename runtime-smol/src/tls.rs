//! A [`TlsCodec`] with the bytes it wants to send, and the trust store that makes them.
//!
//! Invariant: plaintext counts as sent only when the system has taken all of its ciphertext, so that the
//! engine's queue is the only one that can grow.

use mcp_proxy_core::tls::{TlsCodec, TlsConfig, TlsFault};

/// Makes codecs. The store is loaded with the first one: a proxy that dials no `https` never needs it.
pub(crate) struct Trust {
    extra_roots_pem: Option<Vec<u8>>,
    config: Option<TlsConfig>,
}

impl Trust {
    pub(crate) fn new(extra_roots_pem: Option<Vec<u8>>) -> Self {
        Self { extra_roots_pem, config: None }
    }

    /// The client's side of a handshake with the server of this name.
    pub(crate) fn client(&mut self, name: &str) -> Result<TlsStream, String> {
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
pub(crate) struct TlsStream {
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

    pub(crate) fn is_handshaking(&self) -> bool {
        self.codec.is_handshaking()
    }

    /// The peer has said that it will send nothing more.
    pub(crate) fn is_read_closed(&self) -> bool {
        self.codec.is_read_closed()
    }

    /// Takes what the socket gave. What is to be answered is [`TlsStream::pending`], also after a fault.
    pub(crate) fn decrypt(&mut self, ciphertext: &[u8], plain: &mut Vec<u8>) -> Result<(), TlsFault> {
        let result = self.codec.decrypt(ciphertext, plain);
        self.codec.flush(&mut self.out);
        result
    }

    /// Encrypts the beginning of `plain`. To be called when nothing is pending.
    pub(crate) fn encrypt(&mut self, plain: &[u8]) -> Result<(), TlsFault> {
        let part = plain.get(..PLAIN_BYTES_MAX).unwrap_or(plain);
        self.sending = self.codec.encrypt(part, &mut self.out)?;
        Ok(())
    }

    /// Says that nothing more will come from us.
    pub(crate) fn close_notify(&mut self) {
        if !std::mem::replace(&mut self.notified, true) {
            self.codec.close_notify();
            self.codec.flush(&mut self.out);
        }
    }

    /// What is to be written next.
    pub(crate) fn pending(&self) -> &[u8] {
        self.out.get(self.start..).unwrap_or_default()
    }

    /// So much of it was written. Tells how much plaintext that completes.
    pub(crate) fn sent(&mut self, len: usize) -> Option<usize> {
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
