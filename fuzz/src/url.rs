//! Names and addresses: [`Url`], [`Glob`], [`IpRange`].
//!
//! Byte 0: which; the rest: two texts with a line end between.
//!
//! Properties: what is a URL is one again when it is written out, and the same; a resolved reference is one too, has no
//! dot segments and keeps the base where it must; nobody sees a query. A glob fits what its definition says, with its
//! steps counted by a table instead of a search. A range holds the addresses whose first bits are its own.

use crate::tape::Tape;
use mcp_proxy_core::net::IpRange;
use mcp_proxy_core::glob::{Glob, Globs};
use mcp_proxy_core::url::Url;
use std::net::IpAddr;

/// See the module.
pub fn url(data: &[u8]) {
    let mut tape = Tape::new(data);
    let which = tape.byte();
    let first = String::from_utf8_lossy(tape.until(b'\n'));
    let second = String::from_utf8_lossy(tape.rest());
    match which % 3 {
        0 => check_url(&first, &second),
        1 => check_glob(&first, &second),
        _ => check_range(&first, &second),
    }
}

fn check_url(text: &str, reference: &str) {
    let Ok(url) = Url::parse(text) else { return };
    check_form(&url);
    let Ok(resolved) = url.resolve(reference) else { return };
    check_form(&resolved);
    if reference.starts_with('/') && !reference.starts_with("//") {
        assert_eq!(resolved.origin(), url.origin(), "a path changed the origin");
    }
    if reference.is_empty() || reference.starts_with('#') {
        assert_eq!(resolved, url);
    }
    // Nothing is left to be resolved in what was resolved.
    assert_eq!(url.resolve(&whole(&resolved)).as_ref(), Ok(&resolved));
}

fn whole(url: &Url) -> String {
    format!("{}{}", url.origin(), url.target())
}

fn check_form(url: &Url) {
    let text = whole(url);
    match Url::parse(&text) {
        Ok(again) => assert_eq!(whole(&again), text),
        Err(error) => panic!("{text} is no URL again: {error}"),
    }
    assert_eq!(Url::parse(&text).as_ref(), Ok(url));
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{text}");
    assert!(url.path().starts_with('/') && !url.path().split('/').any(|it| it == "." || it == ".."), "{text}");
    assert!(!url.host().is_empty() && url.host() == url.host().to_ascii_lowercase(), "{text}");
    assert!(url.port() != 0 && !url.authority().contains(['@', '/', '?', '#']), "{text}");
    let hidden = if url.query().is_some() { "?***" } else { "" };
    assert_eq!(format!("{url}"), format!("{}{}{hidden}", url.origin(), url.path()));
}

fn check_glob(pattern: &str, name: &str) {
    let glob = Glob::new(pattern);
    assert_eq!(glob.as_str(), pattern);
    let fits = fits(pattern.as_bytes(), name.as_bytes());
    assert_eq!(glob.matches(name), fits, "{pattern:?} {name:?}");
    let several: Globs = [pattern, "another"].into_iter().collect();
    assert_eq!(several.matches(name), fits || name == "another");
}

/// Row by row: `row[n]` says whether the pattern so far fits the first `n` bytes.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut row = vec![false; name.len() + 1];
    row[0] = true;
    for wanted in pattern {
        if *wanted == b'*' {
            let mut any = false;
            row.iter_mut().for_each(|fits| {
                any |= *fits;
                *fits = any;
            });
        } else {
            for at in (1..row.len()).rev() {
                row[at] = row[at - 1] && name[at - 1] == *wanted;
            }
            row[0] = false;
        }
    }
    row[name.len()]
}

fn check_range(range: &str, address: &str) {
    let (Some(range), Ok(ip)) = (IpRange::parse(range), address.parse::<IpAddr>()) else {
        if range.trim().parse::<IpAddr>().is_ok() {
            assert!(IpRange::parse(range).is_some(), "an address is a range of one: {range:?}");
        }
        return;
    };
    let text = range_text(range);
    assert_eq!(range.contains(ip), range.contains(ip.to_canonical()), "{text} {ip}");
    if let IpAddr::V4(short) = ip {
        assert_eq!(range.contains(ip), range.contains(IpAddr::V6(short.to_ipv6_mapped())), "{text} {ip}");
    }
    assert!(IpRange::parse(&ip.to_string()).is_some_and(|one| one.contains(ip)), "{ip}");
    let ip = ip.to_canonical();
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    let around: Vec<bool> =
        (0..=bits).map(|n| IpRange::parse(&format!("{ip}/{n}")).is_some_and(|it| it.contains(ip))).collect();
    assert!(around.iter().all(|holds| *holds), "{ip} is not in every range around it");
}

fn range_text(range: IpRange) -> String {
    format!("{range:?}")
}
