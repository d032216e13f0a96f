//! What is said of the page that shows what stands in front, and of a large request.

use super::super::net::Watched;
use super::super::probe::{long_body, odd_page, page};
use super::*;
use std::time::Duration;

const URL: &str = "https://mcp.example.com/tools/health/front?seconds=1";

/// The first part as it is when nothing is wrong, but for one member.
fn seen(member: &str, value: &str) -> String {
    let fields = r#"{"accept":1,"authorization":1,"last-event-id":1,"mcp-method":1,"mcp-name":1,
        "mcp-protocol-version":2,"mcp-session-id":1}"#;
    let mut all = vec![
        ("host", r#""mcp.example.com""#.to_owned()),
        ("target", r#""/tools/health/front?seconds=1""#.to_owned()),
        ("address", r#""named""#.to_owned()),
        ("header", "null".to_owned()),
        ("fields", fields.replace(['\n', ' '], "")),
    ];
    for (name, text) in &mut all {
        if *name == member {
            *text = value.to_owned();
        }
    }
    let members: Vec<String> = all.iter().map(|(name, text)| format!("\"{name}\":{text}")).collect();
    format!("data: {{{}}}\n\n", members.join(","))
}

const LAST: &str = "data: {\"left\":0}\n\n";

/// An answer of nginx whose pieces came at these times.
fn watched(pieces: &[(u64, &str)]) -> Watched {
    let headers = [("Content-Type", "text/event-stream"), ("Server", "nginx")];
    let pieces: Vec<_> =
        pieces.iter().map(|(at, text)| (Duration::from_millis(*at), text.as_bytes().to_vec())).collect();
    Watched { result: Ok(answer_of(200, &headers, "")), pieces }
}

fn answered(response: Response) -> Watched {
    Watched { result: Ok(response), pieces: Vec::new() }
}

fn failed(kind: ExchangeErrorKind, pieces: &[(u64, &str)]) -> Watched {
    Watched { result: Err(ExchangeError { kind, detail: "lost".to_owned() }), ..watched(pieces) }
}

#[test]
fn what_stands_in_front_is_seen() {
    // FT-603
    let good = seen("", "");
    let (begin, end) = good.split_at(30);
    let joined = seen("fields", &good[good.find("fields").unwrap() + 8..good.len() - 3].replace(":2", ":1"));
    let dropped = seen("fields", r#"{"mcp-session-id":0,"authorization":0,"mcp-protocol-version":2}"#);
    let arrive = (Good, "arrive while they are sent");
    let table: &[(&str, Watched, &[Said<'_>])] = &[
        ("good", watched(&[(20, &good), (1_020, LAST)]), &[arrive]),
        ("a part in pieces", watched(&[(20, begin), (30, end), (1_020, LAST)]), &[arrive]),
        ("held back", watched(&[(1_020, &good), (1_020, LAST)]), &[(Fail, "`proxy_buffering off;`")]),
        (
            "held back in one",
            watched(&[(1_020, &format!("{good}{LAST}"))]),
            &[(Fail, "`proxy_buffering off;`")],
        ),
        ("without its end", watched(&[(20, &good)]), &[(Fail, "cut after 0 s")]),
        ("cut", failed(ExchangeErrorKind::Broken, &[(20, &good)]), &[(Fail, "Envoy: `timeout: 0s`")]),
        ("nothing", failed(ExchangeErrorKind::Timeout, &[]), &[(Fail, "do not arrive")]),
        ("no connection", failed(ExchangeErrorKind::Connect, &[]), &[(Warn, "cannot be told")]),
        ("504", answered(html(504, "nginx")), &[(Fail, "proxy_read_timeout")]),
        ("an older proxy", answered(json(404, "{}")), &[(Good, "of a version without")]),
        ("not forwarded", answered(html(404, "nginx")), &[(Warn, "is not forwarded")]),
        ("too often", answered(json(503, "{}")), &[(Good, "wait a minute")]),
        ("a start page", answered(html(200, "nginx")), &[(Warn, "web page")]),
        (
            "another host",
            watched(&[(20, &seen("host", r#""127.0.0.1:9090""#)), (1_020, LAST)]),
            &[arrive, (Warn, "proxy_set_header Host $http_host;")],
        ),
        (
            "no address",
            watched(&[(20, &seen("address", r#""missing""#)), (1_020, LAST)]),
            &[arrive, (Warn, "proxy_set_header X-Forwarded-For $remote_addr;")],
        ),
        (
            "no proxy that is believed",
            watched(&[(20, &seen("address", r#""peer""#)), (1_020, LAST)]),
            &[arrive],
        ),
        ("joined", watched(&[(20, &joined), (1_020, LAST)]), &[arrive, (Good, "arrive as one")]),
        (
            "dropped",
            watched(&[(20, &dropped), (1_020, LAST)]),
            &[arrive, (Fail, "do not arrive: Authorization, Mcp-Session-Id")],
        ),
    ];
    for (name, watched, expected) in table {
        check(name, &page(watched, &url(URL), 1, false), expected);
    }
    let silent = watched(&[(20, &seen("address", r#""missing""#)), (1_020, LAST)]);
    check("nothing in front", &page(&silent, &url(URL), 1, true), &[arrive]);
    let long = watched(&[(20, &good), (20_020, LAST)]);
    check("long", &page(&long, &url(URL), 20, false), &[(Good, "takes 20 s arrives")]);
}

#[test]
fn paths_and_large_requests() {
    // FT-603
    let odd = url("https://mcp.example.com/health/front/a%2Fb/%63?seconds=0");
    let arrived = |target: &str| watched(&[(20, &seen("target", &format!("\"{target}\"")))]);
    let judged = |watched: &Watched| odd_page(watched, &odd).into_iter().collect::<Vec<_>>();
    check("as it is", &judged(&arrived("/health/front/a%2Fb/%63?seconds=0")), &[]);
    check("rewritten", &judged(&arrived("/health/front/a/b/c?seconds=0")), &[(Good, "are rewritten")]);
    check("refused", &judged(&answered(html(404, "Apache"))), &[(Warn, "nocanon")]);
    check("older", &judged(&answered(json(404, "{}"))), &[]);

    let said = |response: Response| [long_body(&Ok(response))];
    check("taken", &said(json(401, "{}")), &[(Good, "gets through")]);
    check("too long", &said(html(413, "nginx")), &[(Warn, "client_max_body_size 17m;")]);
    check("something else", &said(html(502, "nginx")), &[(Warn, "status 502")]);
    let error = ExchangeError { kind: ExchangeErrorKind::Broken, detail: "lost".to_owned() };
    check("closed", &[long_body(&Err(error))], &[(Warn, "gets no answer")]);
}

#[test]
fn every_front_has_a_line_for_every_trouble() {
    use super::super::mend::{Trouble, mend};
    let other = Some(Front::Other("x".to_owned()));
    let fronts =
        [None, other, Some(Front::Nginx), Some(Front::Apache), Some(Front::Caddy), Some(Front::Lighttpd)];
    let more = [Some(Front::Envoy), Some(Front::Cloudflare), Some(Front::Amazon), Some(Front::Ngrok)];
    for front in fronts.iter().chain(&more) {
        for trouble in [
            Trouble::Buffering,
            Trouble::TimeLimit,
            Trouble::BodyLimit,
            Trouble::Host,
            Trouble::Path,
            Trouble::Address,
            Trouble::Fields,
        ] {
            assert!(mend(front.as_ref(), trouble).ends_with(". Whole recipes are in templates/fronts."));
        }
    }
}
