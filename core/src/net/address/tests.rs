use super::*;
use crate::net::is_global;

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn ranges(list: &[&str]) -> Vec<IpRange> {
    list.iter().map(|text| IpRange::parse(text).expect(text)).collect()
}

/// The head of a request with these fields.
fn head(fields: &[&str]) -> RequestHead {
    let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let mut head = RequestHead::default();
    head.parse(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes(), 100).expect("a good head");
    head
}

fn behind_proxy(fields: &[&str]) -> ClientAddress {
    Trust::default().client(ip("127.0.0.1"), &head(fields))
}

#[test]
fn every_known_field_of_a_trusted_peer_counts() {
    // OA-81
    let fields = [
        "X-Real-IP: 203.0.113.7",
        "X-Forwarded-For: 203.0.113.7",
        "X-Cluster-Client-IP: 203.0.113.7",
        "X-Forwarded: for=203.0.113.7",
        "Forwarded: for=203.0.113.7",
    ];
    for field in fields {
        for peer in ["127.0.0.1", "::1", "10.1.2.3", "fd00::1", "::ffff:192.168.0.1"] {
            let client = Trust::default().client(ip(peer), &head(&[field]));
            assert_eq!((client.shown, client.disagree), (ip("203.0.113.7"), false), "{field} {peer}");
            assert!(client.is_in(&ranges(&["203.0.113.0/24"])), "{field}");
            assert!(!client.is_in(&ranges(&[peer])), "{field}");
        }
    }
    let client = behind_proxy(&fields);
    assert_eq!((client.claims().len(), client.disagree), (5, false));
}

#[test]
fn a_field_of_a_service_counts_from_that_service_or_when_it_is_named() {
    // FT-601
    let cloudflare = IpRange::preset("cloudflare").expect("a preset").to_vec();
    let both = Trust { proxies: [cloudflare, Trust::default().proxies].concat(), header: None };
    for name in ["CF-Connecting-IP", "True-Client-IP"] {
        let head = head(&[&format!("{name}: 203.0.113.7"), "X-Real-IP: 198.51.100.1"]);
        let passed_on = both.client(ip("127.0.0.1"), &head);
        assert_eq!(passed_on.claims(), [Some(ip("198.51.100.1"))], "{name}: a front passes it on");
        let served = both.client(ip("172.64.1.1"), &head);
        assert_eq!((served.shown, served.disagree), (ip("203.0.113.7"), true), "{name}");
        let named = Trust { header: Some(name.to_ascii_lowercase()), ..both.clone() };
        assert_eq!(named.client(ip("127.0.0.1"), &head).claims(), [Some(ip("203.0.113.7"))]);
    }
}

#[test]
fn limits_count_every_claim_and_the_peer_where_there_is_doubt() {
    // FT-601: (fields, the addresses in doubt)
    let table: [(&[&str], &[&str]); 5] = [
        (
            &["X-Real-IP: 203.0.113.7", "X-Forwarded-For: 203.0.113.8"],
            &["203.0.113.7", "203.0.113.8", "127.0.0.1"],
        ),
        (&["X-Real-IP: 203.0.113.7", "Forwarded: for=unknown"], &["203.0.113.7", "127.0.0.1"]),
        // The front adds its line to that of the client: which is whose cannot be told.
        (
            &["X-Real-IP: 203.0.113.7", "X-Real-IP: 203.0.113.8", "Forwarded: for=203.0.113.9"],
            &["203.0.113.9", "127.0.0.1"],
        ),
        (&["X-Real-IP: junk"], &["127.0.0.1"]),
        (&["X-Real-IP: 2001:db8::1", "X-Forwarded-For: 2001:db8::2"], &["2001:db8::1", "127.0.0.1"]),
    ];
    for (fields, addresses) in table {
        let client = behind_proxy(fields);
        let mut expected: Vec<Network> = addresses.iter().map(|text| Network::contested(ip(text))).collect();
        expected.sort_unstable();
        assert!(client.is_doubtful(), "{fields:?}");
        assert_eq!(client.networks(), expected, "{fields:?}");
    }
    for (fields, address) in
        [(&["X-Real-IP: 203.0.113.7", "X-Forwarded-For: 203.0.113.7"][..], "203.0.113.7"), (&[], "127.0.0.1")]
    {
        let client = behind_proxy(fields);
        assert_eq!((client.is_doubtful(), client.networks()), (false, vec![Network::of(ip(address))]));
    }
}

#[test]
fn fields_of_other_peers_are_ignored() {
    // OA-82, T-27
    let fields = [
        "CF-Connecting-IP: 10.0.0.1",
        "True-Client-IP: 10.0.0.1",
        "X-Real-IP: 10.0.0.1",
        "X-Forwarded-For: 10.0.0.1",
        "X-Cluster-Client-IP: 10.0.0.1",
        "X-Forwarded: for=10.0.0.1",
        "Forwarded: for=10.0.0.1",
    ];
    for peer in ["203.0.113.7", "2001:db8::7", "100.64.0.1"] {
        let client = Trust::default().client(ip(peer), &head(&fields));
        assert_eq!((client.shown, client.claims()), (ip(peer), &[Some(ip(peer))][..]));
        assert!(!client.is_in(&ranges(&["10.0.0.0/8"])));
    }
    let nobody = Trust { proxies: Vec::new(), header: None };
    assert_eq!(nobody.client(ip("::ffff:127.0.0.1"), &head(&fields)).shown, ip("127.0.0.1"));
}

#[test]
fn without_a_field_the_peer_is_the_client() {
    let client = behind_proxy(&["X-Other: 203.0.113.7"]);
    assert_eq!((client.shown, client.disagree), (ip("127.0.0.1"), false));
    assert!(client.is_in(&ranges(&["127.0.0.1"])) && client.is_in(&[]));
    assert!(!client.is_in(&ranges(&["203.0.113.7"])));
}

#[test]
fn conflicting_claims_never_widen_access() {
    // OA-83, T-27: (fields, shown, disagree, allowed)
    let table: [(&[&str], &str, bool, bool); 9] = [
        (&["X-Real-IP: 203.0.113.7", "X-Forwarded-For: 203.0.113.7"], "203.0.113.7", false, true),
        (&["X-Real-IP: 203.0.113.7", "X-Forwarded-For: 203.0.113.8"], "203.0.113.7", true, true),
        (&["X-Real-IP: 203.0.113.7", "X-Forwarded-For: 198.51.100.1"], "203.0.113.7", true, false),
        (&["X-Forwarded-For: 203.0.113.7", "Forwarded: for=198.51.100.1"], "203.0.113.7", true, false),
        (&["X-Forwarded-For: 203.0.113.7", "Forwarded: for=unknown"], "203.0.113.7", false, false),
        (&["X-Real-IP: junk", "X-Forwarded-For: 203.0.113.7"], "203.0.113.7", false, false),
        // Left of what the proxy added stands what the client sent.
        (&["X-Forwarded-For: 203.0.113.7, 198.51.100.1"], "198.51.100.1", false, false),
        (&["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 198.51.100.1"], "198.51.100.1", false, false),
        // Two lines of a field for one address: nobody knows whose is whose.
        (&["X-Real-IP: 203.0.113.7", "X-Real-IP: 203.0.113.8"], "127.0.0.1", false, false),
    ];
    for (fields, shown, disagree, allowed) in table {
        let client = behind_proxy(fields);
        assert_eq!((client.shown, client.disagree), (ip(shown), disagree), "{fields:?}");
        assert_eq!(client.is_in(&ranges(&["203.0.113.0/24"])), allowed, "{fields:?}");
        assert!(client.is_in(&[]), "{fields:?}");
    }
}

#[test]
fn lists_are_walked_from_the_right_past_trusted_proxies() {
    // (X-Forwarded-For, the client)
    let table = [
        ("203.0.113.7, 10.0.0.1", Some("203.0.113.7")),
        ("198.51.100.1, 203.0.113.7, 10.0.0.1,192.168.1.1", Some("203.0.113.7")),
        ("192.168.1.5, 10.0.0.1", Some("192.168.1.5")),
        ("10.0.0.9", Some("10.0.0.9")),
        ("junk, 203.0.113.7", Some("203.0.113.7")),
        ("203.0.113.7, junk", None),
        ("203.0.113.7,", None),
        ("203.0.113.7 198.51.100.1", None),
        (",", None),
        ("", None),
    ];
    for (value, client) in table {
        let found = behind_proxy(&[&format!("X-Forwarded-For: {value}")]);
        assert_eq!(found.claims(), [client.map(ip)], "{value}");
    }
    let cloudflare = IpRange::preset("cloudflare").expect("a preset").to_vec();
    let trust = Trust { proxies: cloudflare, header: None };
    let head = head(&["X-Forwarded-For: 203.0.113.7, 104.16.0.9"]);
    assert_eq!(trust.client(ip("172.64.1.1"), &head).shown, ip("203.0.113.7"));
    assert_eq!(trust.client(ip("127.0.0.1"), &head).shown, ip("127.0.0.1"));
}

#[test]
fn addresses_are_read_in_all_their_spellings() {
    let table = [
        ("203.0.113.7", Some("203.0.113.7")),
        (" 203.0.113.7\t", Some("203.0.113.7")),
        ("203.0.113.7:5", Some("203.0.113.7")),
        ("2001:db8::7", Some("2001:db8::7")),
        ("[2001:DB8::7]", Some("2001:db8::7")),
        ("[2001:db8::7]:65535", Some("2001:db8::7")),
        ("::ffff:203.0.113.7", Some("203.0.113.7")),
        ("[::ffff:203.0.113.7]:1", Some("203.0.113.7")),
        ("unknown", None),
        ("_hidden", None),
        ("localhost", None),
        ("203.0.113", None),
        ("203.0.113.07", None),
        ("0xcb.0.113.7", None),
        ("3405803783", None),
        ("203.0.113.7:", None),
        ("203.0.113.7:x", None),
        ("203.0.113.7:+5", None),
        ("203.0.113.7:123456", None),
        ("203.0.113.7/32", None),
        ("[203.0.113.7]", None),
        ("[2001:db8::7", None),
        ("[2001:db8::7]5", None),
        ("fe80::1%eth0", None),
        ("\"203.0.113.7\"", None),
    ];
    for (value, expected) in table {
        let found = behind_proxy(&[&format!("X-Real-IP: {value}")]);
        assert_eq!(found.claims(), [expected.map(ip)], "{value}");
        assert_eq!(found.is_in(&ranges(&["0.0.0.0/0", "::/0"])), expected.is_some(), "{value}");
    }
}

#[test]
fn forwarded_is_read_by_its_grammar() {
    // OA-84: (value, the client)
    let table = [
        ("for=203.0.113.7", Some("203.0.113.7")),
        ("For=203.0.113.7", Some("203.0.113.7")),
        ("FOR=\"203.0.113.7\"", Some("203.0.113.7")),
        ("for=\"203.0.113.7:47011\"", Some("203.0.113.7")),
        ("for=203.0.113.7:47011", Some("203.0.113.7")),
        ("for=\"[2001:db8:cafe::17]:4711\"", Some("2001:db8:cafe::17")),
        ("for=\"[2001:db8:cafe::17]\"", Some("2001:db8:cafe::17")),
        ("for=[2001:db8:cafe::17]:1", Some("2001:db8:cafe::17")),
        ("proto=https;for=203.0.113.7;by=10.0.0.1", Some("203.0.113.7")),
        ("for=203.0.113.7 ; proto=http", Some("203.0.113.7")),
        ("for=198.51.100.1, for=203.0.113.7", Some("203.0.113.7")),
        ("for=203.0.113.7,for=10.0.0.1;by=\"a,b;for=x\"", Some("203.0.113.7")),
        ("for=\"203.0.\\113.7\"", Some("203.0.113.7")),
        ("for=unknown, for=203.0.113.7", Some("203.0.113.7")),
        ("for=203.0.113.7, for=unknown", None),
        ("for=203.0.113.7, for=_hidden", None),
        ("for=203.0.113.7, by=10.0.0.1", None),
        ("for=203.0.113.7,", None),
        ("for=unknown", None),
        ("for=203.0.113.7;for=203.0.113.8", None),
        ("for=", None),
        ("for", None),
        ("=203.0.113.7", None),
        ("203.0.113.7", None),
        ("for = 203.0.113.7", None),
        ("for= 203.0.113.7", None),
        ("for=203.0.113.7 for=203.0.113.8", None),
        ("for=203.0.113.7\u{e4}", None),
        ("for=\"203.0.113.7\"\u{e4}", None),
        // What a client sends to swallow what the proxy adds behind it.
        ("for=203.0.113.7;x=\", for=198.51.100.1", None),
        ("for=203.0.113.7;x=\", for=\"[2001:db8::1]\"", None),
        ("for=203.0.113.7;x=\"\\, for=\"[2001:db8::1]\"", None),
        ("", None),
    ];
    for (value, client) in table {
        for name in ["Forwarded", "forwarded", "X-Forwarded"] {
            let found = behind_proxy(&[&format!("{name}: {value}")]);
            assert_eq!(found.claims(), [client.map(ip)], "{name}: {value}");
        }
    }
    // Each line is well-formed by itself, or none counts.
    let split = behind_proxy(&["Forwarded: for=\"203.0.113.7", "Forwarded: for=198.51.100.1\""]);
    assert_eq!(split.claims(), [None]);
    let joined = behind_proxy(&["Forwarded: for=203.0.113.7", "Forwarded: for=10.0.0.1"]);
    assert_eq!(joined.shown, ip("203.0.113.7"));
}

#[test]
fn with_a_field_named_no_other_counts() {
    let trust = |header: &str| Trust { header: Some(header.to_owned()), ..Trust::default() };
    let head =
        head(&["X-Real-IP: 198.51.100.1", "Fly-Client-IP: 203.0.113.7", "Forwarded: for=198.51.100.2"]);
    let client = |header: &str| trust(header).client(ip("127.0.0.1"), &head);
    assert_eq!(client("fly-client-ip").claims(), [Some(ip("203.0.113.7"))]);
    assert_eq!(client("Forwarded").claims(), [Some(ip("198.51.100.2"))]);
    assert_eq!(client("x-forwarded-for").claims(), [Some(ip("127.0.0.1"))]);
    assert!(!client("fly-client-ip").disagree && behind_proxy(&["X-Real-IP: 203.0.113.7"]).is_in(&[]));
}

#[test]
fn only_addresses_of_the_public_internet_are_global() {
    // T-24
    let global = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "160.79.104.10",
        "168.63.129.15",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00:1450::1",
    ];
    let special = [
        ("unspecified", ["0.0.0.0", "0.1.2.3", "::"]),
        ("loopback", ["127.0.0.1", "127.255.255.255", "::1"]),
        ("private", ["10.0.0.1", "172.16.0.1", "192.168.0.1"]),
        ("shared", ["100.64.0.0", "100.100.100.200", "100.127.255.255"]),
        ("link-local", ["169.254.169.254", "fe80::1", "febf::1"]),
        ("a cloud's own", ["168.63.129.16", "fd00:ec2::254", "fd20:ce::254"]),
        ("protocol assignments", ["192.0.0.1", "192.0.0.170", "2001:1::1"]),
        ("benchmarks", ["198.18.0.1", "198.19.255.255", "2001:2::1"]),
        ("documentation", ["192.0.2.1", "198.51.100.1", "203.0.113.1"]),
        ("documentation, IPv6", ["2001:db8::1", "2001:db8:ffff::", "3fff::1"]),
        ("multicast", ["224.0.0.1", "239.255.255.255", "ff02::1"]),
        ("reserved", ["240.0.0.1", "255.255.255.254", "255.255.255.255"]),
        ("IPv4-mapped", ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8"]),
        ("IPv4-compatible", ["::127.0.0.1", "::8.8.8.8", "::a00:1"]),
        ("6to4", ["2002:7f00:1::", "2002:808:808::1", "192.88.99.1"]),
        ("Teredo", ["2001::1", "2001:0:4136:e378::", "2001:0:ffff::"]),
        ("NAT64", ["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1"]),
        ("ULA", ["fc00::1", "fd00::1", "fdff::1"]),
        ("site-local", ["fec0::1", "feff::1", "fee0::1"]),
        ("ORCHID", ["2001:10::1", "2001:20::1", "2001:2f:ffff::"]),
        ("discard and segment routing", ["100::1", "100:0:0:1::1", "5f00::1"]),
        ("given back or never given", ["3ffe::1", "4000::1", "1fff::1"]),
    ];
    for text in global {
        assert!(is_global(ip(text)), "{text}");
    }
    for (kind, texts) in special {
        for text in texts {
            assert!(!is_global(ip(text)), "{kind}: {text}");
        }
    }
}
