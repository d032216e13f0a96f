//! The spellings of a URI that a server may take for the same resource (RFC 3986 §6.2), to compare URIs of any scheme.
//!
//! There are two kinds of readers. One normalises as the RFC says ([`normal`]). The other unescapes, then opens: a path
//! of the file system, or what a URL parser of the WHATWG makes of it ([`opened`], [`Reader`]). A filter compares what
//! both would see, of the URI and of its own patterns, so `*` counts as a letter of every part.
//!
//! Invariants: nothing here fails; the result of each function is at most two bytes longer than its text; time grows
//! with the length of the text alone.
//! Deliberately absent: resolving references, letter case of paths, links of a file system, international host names.

/// How often a reader unescapes that takes `%2570` for `p`.
const ROUNDS_MAX: u8 = 3;

/// A reader that unescapes before it takes the URI apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Knows query and fragment.
    Url,
    /// Takes everything after the host for a path.
    Path,
    /// Looks at what names a file or page only: no slash at the end, no fragment, and no query of a file.
    File,
    /// As [`Reader::File`], and unescapes what it unescaped.
    Again,
}

/// The normal form of RFC 3986 §6.2.2 and §6.2.3: case of scheme and host, escapes, dot segments, default ports.
pub(crate) fn normal(uri: &str) -> String {
    let Some((scheme, rest)) = split_scheme(uri) else { return normal_escapes(uri) };
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path, tail) = split_rest(rest);
    let authority = authority.map(|authority| normal_authority(&scheme, &normal_escapes(authority)));
    let path = without_dots(&normal_escapes(path), false);
    let path = if path.is_empty() && is_web(&scheme) { "/".to_owned() } else { path };
    join(&scheme, authority.as_deref(), &path, &normal_escapes(tail))
}

/// All escapes resolved, as often as some reader does, and nothing else.
pub(crate) fn unescaped(uri: &str) -> String {
    unescape(uri, ROUNDS_MAX)
}

/// What a reader opens that unescapes first.
pub(crate) fn opened(uri: &str, reader: Reader) -> String {
    let blank = |letter: char| letter <= ' ';
    let text: String = uri.trim_matches(blank).chars().filter(|letter| !"\t\r\n".contains(*letter)).collect();
    let text = unescape(&text, if reader == Reader::Again { ROUNDS_MAX } else { 1 });
    let Some((scheme, rest)) = split_scheme(&text) else { return text };
    let (scheme, rest) = (scheme.to_ascii_lowercase(), rest.replace('\\', "/"));
    let rooted;
    let rest = match (scheme.as_str(), rest.starts_with("//")) {
        // `http:/host`, `http:///host`.
        (web, _) if is_web(web) => {
            rooted = format!("//{}", rest.trim_start_matches('/'));
            &rooted
        }
        // `file:/path`, `file:path`.
        ("file", false) => {
            rooted = format!("///{}", rest.trim_start_matches('/'));
            &rooted
        }
        _ => &rest,
    };
    let (authority, path, tail) = split_rest(rest);
    let authority = authority.map(|authority| normal_authority(&scheme, authority));
    let authority =
        authority.map(|host| if scheme == "file" && host == "localhost" { String::new() } else { host });
    let whole = if reader == Reader::Path { format!("{path}{tail}") } else { path.to_owned() };
    let mut path = without_dots(&whole, true);
    if path.is_empty() && is_web(&scheme) {
        path.push('/');
    }
    let tail = match reader {
        Reader::Url => tail,
        Reader::Path => "",
        Reader::File | Reader::Again => {
            if path.len() > 1 && path.ends_with('/') {
                path.pop();
            }
            match scheme.as_str() {
                "file" => "",
                web if is_web(web) => tail.split('#').next().unwrap_or_default(),
                _ => tail,
            }
        }
    };
    join(&scheme, authority.as_deref(), &path, tail)
}

/// Scheme, and what follows the colon. A pattern may have stars in its scheme.
fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'*');
    let first = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'*');
    (first && scheme.bytes().all(letter)).then_some((scheme, rest))
}

/// Authority, path, and the rest from `?` or `#` on.
fn split_rest(rest: &str) -> (Option<&str>, &str, &str) {
    let (authority, rest) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (Some(authority), rest)
        }
        None => (None, rest),
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (path, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
    (authority, path, tail)
}

fn join(scheme: &str, authority: Option<&str>, path: &str, tail: &str) -> String {
    let (slashes, authority) = authority.map_or(("", ""), |authority| ("//", authority));
    format!("{scheme}:{slashes}{authority}{path}{tail}")
}

fn is_web(scheme: &str) -> bool {
    matches!(scheme, "http" | "https" | "ws" | "wss")
}

/// Host in lower case, without a port that goes without saying.
fn normal_authority(scheme: &str, authority: &str) -> String {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let host = host.to_ascii_lowercase();
    let port = match scheme {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        _ => ":",
    };
    let host = host.strip_suffix(port).or_else(|| host.strip_suffix(':')).unwrap_or(&host);
    user.map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"))
}

/// RFC 3986 §6.2.2.1, §6.2.2.2: escapes of letters that need none are resolved, the others have upper-case digits.
fn normal_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        match after.get(..2).and_then(escaped) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte))
            }
            Some(_) => {
                out.push('%');
                out.push_str(&after.get(..2).unwrap_or_default().to_ascii_uppercase());
            }
            None => {
                out.push('%');
                rest = after;
                continue;
            }
        }
        rest = after.get(2..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// All escapes resolved, `rounds` times. What is no UTF-8 then is replaced.
fn unescape(text: &str, rounds: u8) -> String {
    let mut text = text.to_owned();
    for _ in 0..rounds {
        if !text.contains('%') {
            break;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('%') {
            out.extend_from_slice(before.as_bytes());
            let byte = after.get(..2).and_then(escaped);
            out.push(byte.unwrap_or(b'%'));
            rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
        }
        out.extend_from_slice(rest.as_bytes());
        text = String::from_utf8_lossy(&out).into_owned();
    }
    text
}

fn escaped(digits: &str) -> Option<u8> {
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// RFC 3986 §5.2.4. A file system also takes several slashes for one, before it goes up.
fn without_dots(path: &str, one_slash: bool) -> String {
    let (root, relative) = path.strip_prefix('/').map_or(("", path), |relative| ("/", relative));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = relative.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." if is_last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if is_last {
                    kept.push("");
                }
            }
            "" if one_slash && !is_last => {}
            _ => kept.push(segment),
        }
    }
    format!("{root}{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_form_is_that_of_rfc_3986() {
        // FT-506
        let table = [
            ("file:///notes/private", "file:///notes/private"),
            ("FILE:///notes/private", "file:///notes/private"),
            ("file:///notes/%70rivat%65", "file:///notes/private"),
            ("file:///notes/./private", "file:///notes/private"),
            ("file:///x/../notes/private", "file:///notes/private"),
            ("file:///x/%2E%2e/notes/private", "file:///notes/private"),
            ("file:///../../notes/private", "file:///notes/private"),
            ("file:///notes/x/..", "file:///notes/"),
            ("file:///a%2fb%c3%a9", "file:///a%2Fb%C3%A9"),
            ("file:///a//b", "file:///a//b"),
            ("HTTP://User@Example.COM:80", "http://User@example.com/"),
            ("https://example.com:443/a?B=%7e#C", "https://example.com/a?B=~#C"),
            ("https://example.com:/A", "https://example.com/A"),
            ("db://Host:80/T", "db://host:80/T"),
            ("urn:ISBN:1", "urn:ISBN:1"),
            ("note:a/./b", "note:a/b"),
            ("*://Host/*", "*://host/*"),
            ("FILE:*", "file:*"),
            ("*secret%41*", "*secretA*"),
            ("file:///100%", "file:///100%"),
            ("file:///%zz%4", "file:///%zz%4"),
            ("file:///%é", "file:///%é"),
            ("file:///{+path}", "file:///{+path}"),
            ("", ""),
            (":", ":"),
        ];
        for (uri, expected) in table {
            assert_eq!(normal(uri), expected, "{uri}");
            assert_eq!(normal(expected), expected, "the normal form of a normal form is itself");
        }
    }

    #[test]
    fn readers_that_unescape_first_see_the_path_they_open() {
        let table = [
            (Reader::Url, "file:///notes%2Fprivate", "file:///notes/private"),
            (Reader::Url, "file:///public/..%2fnotes%2fprivate", "file:///notes/private"),
            (Reader::Url, "file:///notes//private", "file:///notes/private"),
            (Reader::Url, "file:///a//../notes/private", "file:///notes/private"),
            (Reader::Url, "file://LOCALHOST/notes/private", "file:///notes/private"),
            (Reader::Url, "file:/notes/private", "file:///notes/private"),
            (Reader::Url, "file:notes/private", "file:///notes/private"),
            (Reader::Url, "file:\\\\\\notes\\private", "file:///notes/private"),
            (Reader::Url, " \tfile:///not\nes/private ", "file:///notes/private"),
            (Reader::Url, "http:/Host\\a", "http://host/a"),
            (Reader::Url, "http:///host:80/a", "http://host/a"),
            (Reader::Url, "file:///a?b/../c", "file:///a?b/../c"),
            (Reader::Path, "file:///a?b/../c", "file:///c"),
            (Reader::File, "file:///notes/private/?a#b", "file:///notes/private"),
            (Reader::File, "http://host/a/?b#c", "http://host/a?b"),
            (Reader::File, "db://host/a?b#c", "db://host/a?b#c"),
            (Reader::Again, "file:///notes/%2570rivate", "file:///notes/private"),
            (Reader::Url, "file:///notes/%2570rivate", "file:///notes/%70rivate"),
            (Reader::Url, "file:///%ff", "file:///\u{fffd}"),
            (Reader::Url, "*%73ecret*", "*secret*"),
        ];
        for (reader, uri, expected) in table {
            assert_eq!(opened(uri, reader), expected, "{uri}");
        }
        assert_eq!(unescaped("x:///%252e%252e/a"), "x:///../a");
    }
}
