//! What a server says when it refuses: quoted for the log, for health and for who called, as the one who can act on it is
//! seldom the one who wrote the server.
//!
//! | over HTTP | told |
//! |---|---|
//! | a status | the status, and the first line of the body (of HTML, the title) |
//! | 401, or any status with `WWW-Authenticate` | also that it wants a credential |
//! | a JSON-RPC error | its code and message |
//!
//! Secrets of the configuration are taken out, as servers exist that repeat what they refuse.

use super::escape::plain;
use super::exchange::Exchange;
use crate::fault::Fault;
use crate::id::UpstreamId;
use crate::json::Span;
use crate::servers::ServersMut;
use crate::servers::call::server_error;

/// How much of a page is searched for its title.
const PAGE_BYTES_MAX: usize = 4 * 1024;

impl ServersMut<'_> {
    /// What a response with an error status says.
    pub(in crate::servers) fn refusal(&mut self, id: UpstreamId, exchange: &Exchange) -> String {
        let head = exchange.client.head();
        let (status, challenged) = (head.status(), head.header("www-authenticate").is_some());
        let said = first_line(&exchange.body);
        let link = self.server(id).and_then(|server| server.link.http());
        let said = link.map_or_else(String::new, |link| link.without_secrets(said));
        let wants = challenged || status == 401;
        match (said.as_str(), status) {
            ("", 404) => format!("the server answered HTTP {status}: there is no MCP endpoint at this URL"),
            ("", _) if wants => format!("the server answered HTTP {status}: {CREDENTIAL}"),
            ("", _) => format!("the server answered HTTP {status}"),
            (said, _) if wants => format!("the server answered HTTP {status}: {said} ({CREDENTIAL})"),
            (said, _) => format!("the server answered HTTP {status}: {said}"),
        }
    }

    /// A JSON-RPC error that came with an error status.
    pub(in crate::servers) fn refused_with(
        &mut self,
        id: UpstreamId,
        status: u16,
        text: &[u8],
        error: Span,
    ) -> Fault {
        let fault = server_error(text, error);
        let link = self.server(id).and_then(|server| server.link.http());
        let said = link.map_or_else(String::new, |link| link.without_secrets(fault.detail.into_owned()));
        let hint = if status == 401 { format!(" ({CREDENTIAL})") } else { String::new() };
        Fault { detail: format!("HTTP {status}: {said}{hint}").into(), ..fault }
    }
}

const CREDENTIAL: &str = "it wants a credential, see `headers`";

/// The first line of a body, or the title of a page.
fn first_line(body: &[u8]) -> String {
    let start = body.trim_ascii_start();
    if !start.starts_with(b"<") {
        return Fault::said(&plain(start.get(..start.len().min(PAGE_BYTES_MAX)).unwrap_or(start)));
    }
    let page = String::from_utf8_lossy(start.get(..start.len().min(PAGE_BYTES_MAX)).unwrap_or(start));
    let lower = page.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|at| {
        let from = at.checked_add(lower.get(at..)?.find('>')?)?.checked_add(1)?;
        page.get(from..from.checked_add(lower.get(from..)?.find('<')?)?)
    });
    Fault::said(title.unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_or_the_title_is_quoted() {
        let table = [
            ("Only for localhost\nsecond", "Only for localhost"),
            ("\r\n  { \"error\": \"no\" }\n", "{ \"error\": \"no\" }"),
            ("<html>\n<head><TITLE lang=en>502 Bad Gateway</TITLE></head>", "502 Bad Gateway"),
            ("<!DOCTYPE html><title></title>", ""),
            ("<p>no title", ""),
            ("<title", ""),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("", ""),
        ];
        for (body, line) in table {
            assert_eq!(first_line(body.as_bytes()), line, "{body}");
        }
    }
}
