//! Clients that are described by a document at their own URL: what is fetched, from where, how often, and what is not.

use super::one;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::login::{ANN, App, CALLBACK, code_in, tokens};
use mcp_proxy_tests::publisher::Publisher;
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;
use std::net::IpAddr;

const HOST: &str = "app.example";
const ID: &str = "https://app.example/oauth/client.json";
/// A target of which no more is known than that it is on this machine.
const LOCAL: &str = "http://127.0.0.1:7777/callback";
const ADDR: [u8; 4] = [93, 184, 215, 14];
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

fn document(name: &str, redirect: &str) -> String {
    json!({"client_id": ID, "client_name": name, "redirect_uris": [redirect], "token_endpoint_auth_method": "none"})
        .to_string()
}

fn cast() -> Cast {
    let hosts = json!({"clientIdMetadata": {"allowedHosts": [HOST]}});
    one().with_logins(&hosts).publisher(Publisher::new(HOST, ADDR, &document("Documented", LOCAL)))
}

fn app() -> App {
    App::new(ID, LOCAL)
}

/// Opens the login page of the application; its status.
fn status(w: &mut World) -> u16 {
    let path = w.authorize_path(&app(), &[]);
    w.get(&path).status()
}

/// What must have come of a fetch that is refused: our own page, nothing cached for good, and no word of the reason.
fn check_refused(w: &mut World, what: &str) {
    let path = w.authorize_path(&app(), &[]);
    let begun = w.now_ms();
    let page = w.get(&path);
    assert_eq!((page.status(), page.field("location")), (400, None), "{what}");
    assert!(page.body.contains("cannot be read at the moment"), "{what}: {page:?}");
    assert!(w.now_ms() - begun <= 5_500, "{what}");
    assert!(w.watch.logged("event=cimd_fetch"), "{what}");
}

#[test]
fn a_document_is_fetched_once_and_its_client_logs_in() {
    // OA-95, OA-101
    story(cast(), |w| {
        w.until_open();
        let form = w.open_form(&app(), &[]);
        assert!(form.page.body.contains("Documented of app.example"), "{:?}", form.page);
        let code = code_in(&w.sign_in(&form, "ann", ANN)).unwrap();
        let first = tokens(&w.redeem(&app(), &code));
        let second = w.renewed(&app(), &first.refresh);
        assert_eq!(w.opens("fs", &second.access), 200);
        assert_eq!((w.lookups.as_slice(), w.dials.len()), ([HOST.to_owned()].as_slice(), 1));
        let visit = &w.publishers[0].visits;
        assert_eq!((visit.len(), visit[0].start.as_str()), (1, "GET /oauth/client.json HTTP/1.1"));
        assert_eq!(visit[0].get("host"), Some(HOST));
        assert!(visit[0].get("authorization").is_none() && visit[0].get("cookie").is_none());
        w.recast(|cast| cast.oauth(&json!({"clientIdMetadata": {"allowedHosts": []}})));
        w.crash_here();
        w.until_open();
        assert_eq!(w.opens("fs", &second.access), 401, "T-02: as it is configured now");
        assert_eq!(w.refresh(&app(), &second.refresh).status(), 401);
    });
}

#[test]
fn nothing_is_fetched_of_a_host_that_is_not_admitted_or_for_an_id_that_is_no_document() {
    // OA-96, OA-97
    story(cast().publisher(Publisher::new("other.example", [93, 184, 215, 15], "{}")), |w| {
        w.until_open();
        for id in [
            "https://other.example/client.json",
            "https://app.example.other.example/client.json",
            "http://app.example/oauth/client.json",
            "https://app.example/",
            "https://app.example",
            "https://app.example:8443/oauth/client.json",
            "https://user@app.example/oauth/client.json",
            "https://app.example/a/../oauth/client.json",
            "https://app.example/oauth/client.json#x",
            "https://127.0.0.1/client.json",
            "https://[::1]/client.json",
            "https://localhost/client.json",
        ] {
            let path = w.authorize_path(&App::new(id, LOCAL), &[]);
            let page = w.get(&path);
            assert_eq!((page.status(), page.field("location")), (400, None), "{id}");
        }
        assert_eq!((w.lookups.len(), w.dials.len()), (0, 0));
    });
}

#[test]
fn the_token_endpoint_never_fetches() {
    // OA-101
    story(cast(), |w| {
        w.until_open();
        for end in ["token", "revoke"] {
            let xid = w.begin_form(
                &app(),
                end,
                &[("grant_type", "refresh_token"), ("refresh_token", "x"), ("token", "x")],
            );
            assert_eq!(w.ended(xid).error(), (401, "invalid_client".to_owned()));
        }
        assert!(w.lookups.is_empty() && w.dials.is_empty());
    });
}

#[test]
fn no_address_of_ours_is_ever_dialled() {
    // OA-101, T-24
    let bad = [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "192.88.99.1",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:93.184.215.14",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:1::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
    ];
    story_of([0, 1, 2], cast(), |w| {
        w.until_open();
        for (ip, place) in bad.into_iter().flat_map(|ip| [0, 1, 2].map(|place| (ip, place))) {
            let (good, bad) = (IpAddr::from(ADDR), ip.parse().unwrap());
            w.publishers[0].names = vec![[vec![bad], vec![good, bad], vec![bad, good]][place].clone()];
            check_refused(w, ip);
            w.run_ms(MINUTE_MS + 1_000);
        }
        w.publishers[0].names = vec![vec![]];
        check_refused(w, "no address at all");
        assert!(w.dials.is_empty(), "{:?}", w.dials);
    });
}

#[test]
fn the_address_that_was_looked_at_is_the_one_that_is_dialled() {
    // OA-101, T-25
    let cast = cast();
    story(cast, |w| {
        let inside = IpAddr::from([127, 0, 0, 1]);
        w.publishers[0].names =
            vec![vec![IpAddr::from([93, 184, 215, 99]), IpAddr::from(ADDR)], vec![inside]];
        w.until_open();
        w.open_form(&app(), &[]);
        assert_eq!(
            (w.publishers[0].looked_up, w.lookups.len()),
            (1, 1),
            "the second answer is never asked for"
        );
        let dialled: Vec<String> = w.dials.iter().map(ToString::to_string).collect();
        assert_eq!(dialled, ["93.184.215.99:443", "93.184.215.14:443"]);
    });
}

#[test]
fn a_document_that_is_not_as_it_should_be_is_refused() {
    // OA-97, OA-99 to OA-101, T-24
    let good = document("Documented", LOCAL);
    let long = format!("{{\"x\":\"{}\",{}", "x".repeat(17 * 1024), &good[1..]);
    let with = |more: &str| format!("{},{more}}}", &good[..good.len() - 1]);
    type Change<'a> = Box<dyn Fn(&mut Publisher) + 'a>;
    let published = |status: &'static str, field: (&'static str, &'static str), body: String| -> Change<'_> {
        Box::new(move |site: &mut Publisher| site.publish(status, &[JSON, field], &body))
    };
    let none = ("x-nothing", "1");
    let table: Vec<(&str, Change<'_>)> = vec![
        ("redirect", published("302 Found", ("location", "http://127.0.0.1:8080/"), String::new())),
        ("redirect with a body", published("301 Moved", ("location", ID), good.clone())),
        ("not found", published("404 Not Found", none, good.clone())),
        ("forbidden", published("403 Forbidden", none, String::new())),
        ("no content", published("204 No Content", none, String::new())),
        ("compressed", published("200 OK", ("content-encoding", "gzip"), good.clone())),
        ("too long", published("200 OK", none, long)),
        ("of another", published("200 OK", none, good.replace("client.json", "other.json"))),
        ("no JSON", published("200 OK", none, "<html>".to_owned())),
        ("a list", published("200 OK", none, "[]".to_owned())),
        ("with a secret", published("200 OK", none, with("\"client_secret\":\"x\""))),
        ("with a key only", published("200 OK", none, good.replace("\"none\"", "\"private_key_jwt\""))),
        ("without targets", published("200 OK", none, good.replace(LOCAL, "").replace("[\"\"]", "[]"))),
        ("deep", published("200 OK", none, "[".repeat(10_000))),
        (
            "HTML by its type",
            Box::new(|site| site.publish("200 OK", &[("content-type", "text/html")], &good)),
        ),
        ("without a type", Box::new(|site| site.publish("200 OK", &[], &good))),
        ("slow", Box::new(|site| site.after_ms = 6_000)),
        ("byte by byte", Box::new(|site| site.drip_ms = Some(100))),
        ("down", Box::new(|site| site.down = true)),
        ("a bad certificate", Box::new(|site| site.bad_certificate = true)),
        ("cut", Box::new(|site| (site.reply.truncate(150), site.closes = true).1)),
        ("cut in the head", Box::new(|site| (site.reply.truncate(20), site.closes = true).1)),
        ("no HTTP", Box::new(|site| site.reply = b"SSH-2.0-x\r\n\r\n".to_vec())),
        (
            "endless",
            Box::new(|site| {
                let piece = format!("1000\r\n{}\r\n", "x".repeat(4_096)).repeat(20);
                let head =
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
                site.reply = format!("{head}{piece}").into_bytes();
            }),
        ),
        (
            "a long head",
            Box::new(|site| site.publish("200 OK", &[JSON, ("x-long", &"x".repeat(100_000))], &good)),
        ),
    ];
    for (what, change) in &table {
        story_of([0, 1, 3], cast(), |w| {
            change(&mut w.publishers[0]);
            w.until_open();
            check_refused(w, what);
            assert!(
                w.dials.iter().all(|addr| addr.to_string() == "93.184.215.14:443"),
                "{what}: {:?}",
                w.dials
            );
            w.publishers[0] = cast().publishers[0].clone();
            assert_eq!(status(w), 400, "a failure is remembered");
            w.run_ms(MINUTE_MS);
            assert_eq!(status(w), 200, "for a minute: {what}");
        });
    }
}

#[test]
fn a_target_must_be_in_the_document_and_be_admitted() {
    // OA-99
    story(cast(), |w| {
        w.until_open();
        for (published, asked, status) in [
            ("https://evil.test/cb", "https://evil.test/cb", 400),
            ("https://claude.com/api/mcp/auth_callback", CALLBACK, 400),
            ("http://localhost/callback", "http://localhost:4711/callback", 200),
            ("http://localhost/callback", CALLBACK, 400),
            (CALLBACK, CALLBACK, 200),
        ] {
            w.publishers[0].publish("200 OK", &[JSON], &document("Documented", published));
            w.run_ms(6 * MINUTE_MS);
            let path = w.authorize_path(&App::new(ID, asked), &[]);
            assert_eq!(w.get(&path).status(), status, "{published} {asked}");
        }
    });
}

#[test]
fn a_copy_is_used_while_it_is_fresh_and_when_there_is_no_other() {
    // OA-102
    story_of([0, 1, 2], cast(), |w| {
        let fields = [JSON, ("cache-control", "public, max-age=3600")];
        w.publishers[0].publish("200 OK", &fields, &document("First name", LOCAL));
        w.until_open();
        assert_eq!(status(w), 200);
        w.publishers[0].publish("200 OK", &fields, &document("Second name", LOCAL));
        w.run_ms(59 * MINUTE_MS);
        assert!(w.open_form(&app(), &[]).page.body.contains("First name"));
        assert_eq!(w.lookups.len(), 1);
        w.run_ms(2 * MINUTE_MS);
        assert!(w.open_form(&app(), &[]).page.body.contains("Second name"));
        assert_eq!(w.lookups.len(), 2);
        w.publishers[0].down = true;
        w.run_ms(61 * MINUTE_MS);
        assert_eq!(
            (status(w), status(w), w.lookups.len()),
            (200, 200, 3),
            "the old copy, and no second try at once"
        );
        w.run_ms(MINUTE_MS + 1_000);
        assert_eq!((status(w), w.lookups.len()), (200, 4));
        w.crash_here();
        w.until_open();
        assert_eq!((status(w), w.lookups.len()), (200, 1), "kept over a restart");
        w.run_ms(7 * DAY_MS + 10 * MINUTE_MS);
        assert_eq!(status(w), 400, "but not for ever");
    });
}

#[test]
fn known_documents_come_with_the_program() {
    // README section 4.2
    story(one().with_logins(&json!({})), |w| {
        w.until_open();
        for (id, redirect, name) in [
            ("https://claude.ai/oauth/mcp-oauth-client-metadata", CALLBACK, "Claude"),
            (
                "https://claude.ai/oauth/claude-code-client-metadata",
                "http://localhost:4711/callback",
                "Claude Code",
            ),
        ] {
            let app = App::new(id, redirect);
            let form = w.open_form(&app, &[]);
            assert!(form.page.body.contains(&format!("{name} of claude.ai")), "{:?}", form.page);
            let tokens = w.log_in(&app, "ann", &[]);
            assert_eq!(w.opens("fs", &tokens.access), 200);
        }
        assert_eq!(w.lookups, ["claude.ai", "claude.ai"], "one try for each");
        assert!(w.dials.is_empty());
    });
}

#[test]
fn many_visitors_wait_for_one_fetch() {
    // OA-102, T-28
    story_of(0..8, cast(), |w| {
        w.publishers[0].after_ms = 2_000;
        w.until_open();
        let path = w.authorize_path(&app(), &[]);
        let all: Vec<_> = (0..105).map(|_| w.begin("GET", &path, &[], "")).collect();
        let leaver = w.begin("GET", &path, &[], "");
        w.run_ms(500);
        w.hang_up(leaver);
        let statuses: Vec<u16> = all.into_iter().map(|xid| w.ended(xid).status()).collect();
        assert_eq!(w.publishers[0].visits.len(), 1);
        let forms = statuses.iter().filter(|status| **status == 200).count();
        assert!(forms >= 99 && statuses.iter().all(|status| [200, 400].contains(status)), "{statuses:?}");
        w.open_form(&app(), &[]);
    });
}

#[test]
fn a_stop_does_not_wait_for_a_fetch() {
    // SEED-068
    story(cast(), |w| {
        w.publishers[0].after_ms = 100_000;
        w.until_open();
        let path = w.authorize_path(&app(), &[]);
        w.begin("GET", &path, &[], "");
        w.run_ms(100);
    });
}
