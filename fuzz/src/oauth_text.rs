//! What the authorization server reads without a state: redirect targets, stored passwords, claims of proxies about a
//! client's address; and the throttle of logins, a small machine of its own.
//!
//! Byte 0: which; the rest: texts with a line end after each, or acts.
//!
//! Properties: what an entry admits has the form of a target, goes into a `Location` and into a content security policy
//! without breaking out, and keeps its meaning with parameters; a decoy costs what the real hash costs and is sound; a
//! proxy that is not trusted changes nothing and a further claim never widens what is allowed; a wait is never for ever,
//! and ends when it was said to end.

use crate::tape::Tape;
use mcp_proxy_core::net::IpRange;
use mcp_proxy_core::http::{Limits, Server, ServerEvent};
use mcp_proxy_core::net::{Trust, is_global};
use mcp_proxy_core::password::{self, Kind};
use mcp_proxy_core::redirect_uri::{self, Policy};
use mcp_proxy_core::throttle::{LoginRate, Throttle};
use mcp_proxy_core::net::Network;
use mcp_proxy_core::time::Mono;
use mcp_proxy_core::url::Url;
use std::net::IpAddr;

/// See the module.
pub fn oauth_text(data: &[u8]) {
    let mut tape = Tape::new(data);
    match tape.byte() % 4 {
        0 => check_redirect(&mut tape),
        1 => check_password(&mut tape),
        2 => check_address(&mut tape),
        _ => check_throttle(&mut tape),
    }
}

/// First the target, then the entries of the list.
fn check_redirect(tape: &mut Tape<'_>) {
    let loose = tape.one_in(2);
    let uri = String::from_utf8_lossy(tape.until(b'\n'));
    let list = String::from_utf8_lossy(tape.rest());
    let entries: Vec<&str> = list.split('\n').collect();
    let form = redirect_uri::check(&uri);
    check_words(redirect_uri::shown_host(&uri), redirect_uri::form_action_source(&uri));
    if form.is_ok() {
        assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()) && !uri.contains(['#', '\\', '"', '<', '*']), "{uri}");
        assert!(redirect_uri::same_target(&uri, &uri, loose), "{uri}");
        let more = redirect_uri::with_parameters(&uri, &[("code", "a&b=c"), ("state", "ä #\r\n")]);
        assert!(more.starts_with(uri.as_ref()) && more.is_ascii(), "{more}");
        let known = more.rsplit_once("code=").map(|(_, rest)| rest);
        assert_eq!(known, Some("a%26b%3Dc&state=%C3%A4%20%23%0D%0A"), "{more}");
        if uri.starts_with("https:") {
            assert!(Url::parse(&uri).is_ok(), "a target that is no URL: {uri}");
        }
    }
    match Policy::parse(entries.iter().copied(), loose) {
        Ok(policy) => {
            assert!(policy.admits(&uri).is_err() || form.is_ok(), "admitted without its form: {uri}");
            for entry in entries.iter().filter(|entry| redirect_uri::check(entry).is_ok()) {
                assert!(policy.admits(entry).is_ok(), "the list does not admit its own {entry}");
            }
        }
        Err(problems) => assert!(!problems.is_empty() && problems.iter().all(|(place, _)| *place < entries.len())),
    }
}

fn check_words(host: String, source: String) {
    let is_odd = |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>');
    assert!(!host.contains(is_odd), "{host:?} is no host");
    let ends = [' ', ';', ','];
    assert!(!source.is_empty() && !source.contains(is_odd) && !source.contains(ends), "{source:?} breaks out");
    assert!(source == "'none'" || !source.contains('\''), "{source:?}");
}

/// A stored password, then one that is typed.
fn check_password(tape: &mut Tape<'_>) {
    let stored = String::from_utf8_lossy(tape.until(b'\n'));
    let typed = String::from_utf8_lossy(tape.rest());
    let (cost, decoy) = (password::cost(&stored), password::decoy(&stored));
    match password::check(&stored) {
        Ok(kind) if kind.is_hash() => {
            assert_eq!(kind, Kind::of(&stored));
            assert!(cost > 0 && cost <= 60_000_000_000, "{stored} costs {cost} ns");
            assert_eq!(password::check(&decoy), Ok(kind), "{decoy}");
            assert_eq!(password::cost(&decoy), cost, "{decoy}");
            assert_eq!(decoy.len(), stored.len());
            assert_eq!(password::decoy(&decoy), decoy);
        }
        Ok(_) => assert_eq!((cost, decoy.as_str()), (0, "")),
        Err(reason) => {
            let shown = stored.len() > 6 && !reason.is_empty() && reason.contains(stored.as_ref());
            assert!(!shown, "an error shows the password: {reason}");
        }
    }
    assert_eq!(password::plain_matches(&typed, &stored), typed == stored && !stored.is_empty());
}

/// The peer, whether only one field is read, then the fields of a request.
fn check_address(tape: &mut Tape<'_>) {
    let peer = tape.pick(&["127.0.0.1", "10.1.2.3", "203.0.113.7", "::1", "::ffff:10.0.0.1", "2001:db8::7"]);
    let peer: IpAddr = peer.parse().expect("an address");
    let header = tape.pick(&[None, Some("x-real-ip"), Some("x-forwarded-for"), Some("cf-connecting-ip")]);
    let trust = Trust { header: header.map(str::to_owned), ..Trust::default() };
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    head.extend_from_slice(tape.rest());
    head.extend_from_slice(b"\r\n\r\n");
    let mut http = Server::new(Limits::default());
    http.push(&head);
    if http.next() != Ok(Some(ServerEvent::Head)) {
        return;
    }
    let client = trust.client(peer, http.head());
    assert!(!client.claims().is_empty());
    assert!(client.claims().iter().flatten().all(|ip| *ip == ip.to_canonical()), "{client:?}");
    let (all, nothing) = (["0.0.0.0/0", "::/0"].map(|it| IpRange::parse(it).expect("a range")), []);
    let readable = client.claims().iter().all(Option::is_some);
    assert_eq!(client.is_in(&all), readable, "{client:?}");
    assert!(client.is_in(&nothing), "an empty list is everywhere");
    if !trust.trusts(peer.to_canonical()) {
        assert_eq!(client.claims(), [Some(peer.to_canonical())], "a stranger was believed");
    }
    let only = IpRange::parse(&client.shown.to_string()).expect("a range");
    assert_eq!(client.is_in(&[only]), readable && !client.disagree, "{client:?}");
    if is_global(client.shown) {
        let inner = ["loopback", "private"].into_iter().filter_map(IpRange::preset).flatten();
        assert!(!inner.into_iter().any(|range| range.contains(client.shown)), "{} is ours", client.shown);
    }
}

/// Tries of three users from addresses of all kinds, right and wrong, and time that passes.
fn check_throttle(tape: &mut Tape<'_>) {
    let rate = LoginRate {
        quick_tries: tape.byte().into(),
        delay_max_seconds: u32::from(tape.byte()) * u32::from(tape.byte()),
        address_per_minute: tape.byte().into(),
        global_per_minute: u32::from(tape.byte()) * 4,
    };
    let mut throttle = Throttle::new(rate, 1 + tape.below(8));
    let mut now = Mono(1);
    while !tape.is_over() {
        let user = tape.pick(&["ann", "bob", ""]);
        let host = tape.byte();
        let address = if host & 1 == 0 {
            IpAddr::from([192, 0, 2, host])
        } else {
            IpAddr::from([0x2001, 0xdb8, 0, u16::from(host & 0xe), 0, 0, 0, host.into()])
        };
        let from = [Network::of(address)];
        match throttle.admit(now, user, &from) {
            Ok(()) if tape.one_in(4) => throttle.succeeded(now, user, &from),
            Ok(()) => {}
            Err(seconds) => {
                let longest = u64::from(rate.delay_max_seconds).max(60);
                assert!((1..=longest).contains(&seconds), "{rate:?}: wait {seconds} s");
                let mut later = throttle.clone();
                let then = now.plus_ms(seconds * 1_000);
                assert_eq!(later.admit(then, user, &from), Ok(()), "{rate:?}: the wait was {seconds} s");
            }
        }
        now = now.plus_ms([0, 1, 900, 1_000, 60_000, 3_600_000][tape.below(6)]);
    }
}
