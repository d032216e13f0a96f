//! Request and response heads: one owned text and ranges into it (RFC 9112 §2–5).
//!
//! Invariants: the text is parsed once and is valid UTF-8 (a head that is not is read as ISO-8859-1, so that
//! no field gets lost); every line ends with CRLF; no folded line, no blank before a colon, no control
//! character in a value. Storage is reused from one message to the next.
//! Deliberately absent: percent-decoding and normalising of the target (routing's business), a map of fields
//! (a dozen fields are found faster by looking at each), and bytes of a head in debug output.

use std::fmt;
use std::mem::MaybeUninit;

use super::fields::{Field, Fields, HEADERS_CAP, Span, complete, load};
use crate::fault::{Code, Fault};

/// The request methods somebody here cares about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the methods")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    /// Any other token; see [`RequestHead::method_str`].
    Other,
}

impl From<&str> for Method {
    /// Methods are case-sensitive (RFC 9110 §9.1).
    fn from(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// The head of one request.
#[derive(Default)]
pub struct RequestHead {
    fields: Fields,
    version_minor: u8,
    method: Span,
    target: Span,
    authority: Option<Span>,
}

impl RequestHead {
    /// The method, as far as it is a known one.
    pub fn method(&self) -> Method {
        self.method_str().into()
    }

    /// The method as sent.
    pub fn method_str(&self) -> &str {
        self.fields.text(self.method)
    }

    /// Path and query as sent: `/…`, or `*` of an `OPTIONS` request. An absolute target is reduced to this.
    pub fn target(&self) -> &str {
        match self.fields.text(self.target) {
            "" => "/",
            target => target,
        }
    }

    /// The target up to its `?`.
    pub fn path(&self) -> &str {
        self.target().split_once('?').map_or_else(|| self.target(), |(path, _)| path)
    }

    /// What follows the first `?` of the target.
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// Host and port the client means: those of an absolute target (RFC 9112 §3.2.2), else the `Host` field.
    pub fn host(&self) -> Option<&str> {
        match self.authority {
            Some(span) => Some(self.fields.text(span)),
            None => self.header("host"),
        }
    }

    /// The first field of this name (any case), without blanks around its value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// The value of a field that has one, however often it is said: in one line or in several (RFC 9110 §5.3).
    ///
    /// # Errors
    /// [`Code::BadHead`] when the values differ.
    pub fn single(&self, name: &str) -> Result<Option<&str>, Fault> {
        self.fields.single(name, |a, b| a == b)
    }

    /// `Content-Type`, however often it is said. Case and blanks make no difference (RFC 9110 §8.3.1).
    ///
    /// # Errors
    /// [`Code::BadHead`] when the values differ.
    pub fn content_type(&self) -> Result<Option<&str>, Fault> {
        let plain = |value: &str| value.to_ascii_lowercase().replace([' ', '\t'], "");
        self.fields.single("content-type", |a, b| a == b || plain(a) == plain(b))
    }

    /// Whether `Content-Encoding` names any coding: `identity` is none (RFC 9110 §8.4.1).
    pub fn is_coded(&self) -> bool {
        let mut codings = self.fields.items("content-encoding");
        codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
    }

    /// `Origin`, however often it is said.
    ///
    /// # Errors
    /// [`Code::BadHead`] when the values differ.
    pub fn origin(&self) -> Result<Option<&str>, Fault> {
        self.fields.single("origin", str::eq_ignore_ascii_case)
    }

    /// `Authorization`, however often it is said.
    ///
    /// # Errors
    /// [`Code::BadHead`] when the values differ.
    pub fn credential(&self) -> Result<Option<&str>, Fault> {
        self.fields.credential()
    }

    /// All fields in their order, names as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter()
    }

    /// How many fields have this name (any case).
    pub fn count(&self, name: &str) -> usize {
        self.fields.values(name).count()
    }

    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub fn version_minor(&self) -> u8 {
        self.version_minor
    }

    /// True unless the connection ends with this request: HTTP/1.0, or `Connection: close` (RFC 9112 §9.3).
    pub fn keep_alive(&self) -> bool {
        self.fields.keep_alive(self.version_minor)
    }

    /// True when the client may wait for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.version_minor == 1
            && self.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(crate) fn clear(&mut self) {
        self.fields.clear();
        self.version_minor = 0;
        self.method = Span::default();
        self.target = Span::default();
        self.authority = None;
    }

    /// Replaces this head by the one in `bytes`, which end with its blank line.
    pub(crate) fn parse(&mut self, bytes: &[u8], headers_max: usize) -> Result<(), Fault> {
        self.clear();
        let result = self.parse_text(bytes, headers_max);
        if result.is_err() {
            self.clear();
        }
        result
    }

    fn parse_text(&mut self, bytes: &[u8], headers_max: usize) -> Result<(), Fault> {
        let Fields { text, list } = &mut self.fields;
        load(text, bytes);
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_CAP];
        let slots = slots.get_mut(..headers_max.min(HEADERS_CAP)).unwrap_or_default();
        let mut parsed = httparse::Request::new(&mut []);
        complete(parsed.parse_with_uninit_headers(text.as_bytes(), slots), text)?;
        let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(Fault::peer(Code::BadHead, "incomplete request line"));
        };
        let (authority, target) = split_target(method, target)?;
        self.version_minor = version;
        self.method = Span::of(text, method.as_bytes());
        self.target = Span::of(text, target.as_bytes());
        self.authority = authority.map(|part| Span::of(text, part.as_bytes()));
        list.extend(parsed.headers.iter().map(|header| Field::of(text, header)));
        self.check()
    }

    /// What the syntax of single fields cannot tell: `Host` (RFC 9112 §3.2) and `Expect`.
    fn check(&self) -> Result<(), Fault> {
        match (self.count("host"), self.version_minor) {
            (1, _) | (0, 0) => {}
            (0, _) => return Err(Fault::peer(Code::BadHead, "request without a host field")),
            _ => return Err(Fault::peer(Code::BadHead, "more than one host field")),
        }
        let mut expectations = self.fields.values("expect");
        if self.version_minor == 1 && expectations.any(|value| !value.eq_ignore_ascii_case("100-continue")) {
            return Err(Fault::peer(Code::BadExpectation, "expectation other than 100-continue"));
        }
        Ok(())
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method_str())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// The head of one final response.
#[derive(Default)]
pub struct ResponseHead {
    fields: Fields,
    version_minor: u8,
    status: u16,
}

impl ResponseHead {
    /// The status, 100 to 999; 0 before the first response.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first field of this name (any case), without blanks around its value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// All fields in their order, names as sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter()
    }

    /// How many fields have this name (any case).
    pub fn count(&self, name: &str) -> usize {
        self.fields.values(name).count()
    }

    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub fn version_minor(&self) -> u8 {
        self.version_minor
    }

    /// True unless the connection ends with this response: HTTP/1.0, or `Connection: close`.
    pub fn keep_alive(&self) -> bool {
        self.fields.keep_alive(self.version_minor)
    }

    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(crate) fn clear(&mut self) {
        self.fields.clear();
        self.version_minor = 0;
        self.status = 0;
    }

    /// Replaces this head by the one in `bytes`, which end with its blank line.
    pub(crate) fn parse(&mut self, bytes: &[u8], headers_max: usize) -> Result<(), Fault> {
        self.clear();
        let result = self.parse_text(bytes, headers_max);
        if result.is_err() {
            self.clear();
        }
        result
    }

    fn parse_text(&mut self, bytes: &[u8], headers_max: usize) -> Result<(), Fault> {
        let Fields { text, list } = &mut self.fields;
        load(text, bytes);
        let mut slots = [const { MaybeUninit::uninit() }; HEADERS_CAP];
        let slots = slots.get_mut(..headers_max.min(HEADERS_CAP)).unwrap_or_default();
        let mut parsed = httparse::Response::new(&mut []);
        let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            text.as_bytes(),
            slots,
        );
        complete(outcome, text)?;
        let (Some(status @ 100..), Some(version)) = (parsed.code, parsed.version) else {
            return Err(Fault::peer(Code::BadHead, "status below 100"));
        };
        self.status = status;
        self.version_minor = version;
        list.extend(parsed.headers.iter().map(|header| Field::of(text, header)));
        Ok(())
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Splits a request target into authority (absolute form only) and path with query (RFC 9112 §3.2).
fn split_target<'a>(method: &str, target: &'a str) -> Result<(Option<&'a str>, &'a str), Fault> {
    let bad = || Fault::peer(Code::BadHead, "invalid request target");
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(bad());
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok((None, target));
    }
    let (scheme, rest) = target.split_once("://").ok_or_else(bad)?;
    let (authority, path) =
        rest.find(['/', '?']).and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if !known || authority.is_empty() || path.starts_with('?') {
        return Err(bad());
    }
    Ok((Some(authority), path))
}

#[cfg(test)]
mod tests;
