//! What may come to which endpoint: methods, media types, lengths. Asked as soon as the head of a request is there, so that
//! nothing is read that will be refused.

use super::endpoint::Endpoint;
use super::params::Params;
use super::{Request, Server};
use crate::http::Reply;
use crate::http::{Method, RequestHead};
use std::net::IpAddr;

/// The methods of documents.
const READ_METHODS: &str = "GET, HEAD, OPTIONS";
/// Longest body of a registration.
const REGISTRATION_BYTES_MAX: usize = 64 * 1024;
/// Longest form.
const FORM_BYTES_MAX: usize = 32 * 1024;

impl Server {
    /// Looks at the head of a request before its body is read: how long the body may be.
    ///
    /// # Errors
    /// The answer, if the head says enough.
    pub fn admit(&mut self, head: &RequestHead, peer: IpAddr) -> Result<usize, Reply> {
        let Some(endpoint) = self.endpoint(head.path()) else { return Err(Reply::not_found()) };
        self.hint_about_address(head, peer);
        let (methods, max) = match endpoint {
            // A browser that may not ask would not see that there is nothing.
            Endpoint::Unknown if head.method() == Method::Options => {
                return Err(Reply::preflight(READ_METHODS));
            }
            Endpoint::Unknown => return Err(Reply::not_found().open()),
            Endpoint::Metadata | Endpoint::OpenId | Endpoint::Keys | Endpoint::Resource(_) => {
                (READ_METHODS, 0)
            }
            Endpoint::Authorize => ("GET, HEAD, POST", FORM_BYTES_MAX),
            Endpoint::Token | Endpoint::Revoke => ("POST, OPTIONS", FORM_BYTES_MAX),
            Endpoint::Register => ("POST, OPTIONS", REGISTRATION_BYTES_MAX),
        };
        if !methods.split(", ").any(|method| method == head.method_str()) {
            let reply = Reply::bad_method(methods);
            return Err(if endpoint == Endpoint::Authorize { reply } else { reply.open() });
        }
        if head.method() == Method::Options {
            return Err(Reply::preflight(methods));
        }
        if self.issuer_for(head).is_none() {
            let text =
                "this proxy has no public URL (baseURL) and was not asked under a name of this machine";
            return Err(Reply::error(400, "invalid_request", text));
        }
        if head.method() == Method::Post {
            check_media_type(endpoint, head)?;
        }
        if endpoint == Endpoint::Register && self.settings.options.registration {
            let address = self.settings.options.trust.client(peer, head);
            self.may_register(&address)?;
        }
        Ok(max)
    }
}

/// A token or revocation request: a form, or an object in JSON.
pub(super) fn read_form(request: &Request<'_>) -> Result<Params, Reply> {
    let invalid = |text| Reply::error(400, "invalid_request", text);
    if request.head.query().is_some_and(|query| !query.is_empty()) {
        return Err(invalid("parameters belong into the body"));
    }
    let params = if media_type(request.head) == "application/json" {
        Params::json(request.body)
    } else {
        std::str::from_utf8(request.body).map_err(|_| ()).and_then(Params::form)
    };
    let params = params.map_err(|()| invalid("the body cannot be read"))?;
    match params.repeated() {
        Some(_) => Err(invalid("a parameter occurs more than once")),
        None => Ok(params),
    }
}

fn check_media_type(endpoint: Endpoint<'_>, head: &RequestHead) -> Result<(), Reply> {
    let kind = media_type(head);
    let (form, json) = (kind == "application/x-www-form-urlencoded", kind == "application/json");
    let (good, cors) = match endpoint {
        Endpoint::Register => (json, true),
        Endpoint::Authorize => (form, false),
        Endpoint::Token | Endpoint::Revoke => (form || json, true),
        Endpoint::Metadata
        | Endpoint::OpenId
        | Endpoint::Keys
        | Endpoint::Resource(_)
        | Endpoint::Unknown => (true, true),
    };
    let reply = match head.content_type() {
        // No coding is undone here, so nothing can swell up (T-59).
        _ if head.is_coded() => Reply::error(
            415,
            "invalid_request",
            "a packed body is not read here, send it without content-encoding",
        )
        .with("accept-encoding", "identity"),
        _ if good => return Ok(()),
        Err(fault) => Reply::error(400, "invalid_request", &fault.detail),
        Ok(_) => Reply::error(415, "invalid_request", "this media type is not accepted here"),
    };
    Err(if cors { reply.open() } else { reply })
}

/// Empty when there is none, or when several differ.
fn media_type(head: &RequestHead) -> String {
    let value = head.content_type().ok().flatten().unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
