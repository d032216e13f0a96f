//! Servers behind a balancer that tells its replicas apart by a cookie.

use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::site::odd::Reply;
use mcp_proxy_tests::story::story;
use serde_json::json;

const SECRET: &str = "replica-secret-7";

/// A site that sets this cookie with every answer.
fn setting(cookie: &'static str) -> Cast {
    Cast::default().streamable("web").secret(SECRET).change_site("web", move |site| {
        site.fields.push(("set-cookie".to_owned(), cookie.to_owned()));
    })
}

#[test]
fn a_cookie_goes_back_with_all_that_follows() {
    // FT-109: calls, notifications, streams and the end of the session
    let cast = setting("replica=replica-secret-7; Path=/; HttpOnly").change_site("web", |site| {
        site.set_odd(|_, head, body| {
            let known = head.get("cookie") == Some("replica=replica-secret-7");
            (!body.contains("\"initialize\"") && !known).then(|| Reply::bare(404))
        });
    });
    story(cast, |w| {
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
        let slow = w.start_call(c, "slow", json!({"ms": 1_000}));
        w.until_heard(slow);
        w.cancel(slow);
        w.check_echo(c);
        w.run_ms(40_000);
        assert_eq!(w.site("web").mind.count("initialize"), 1);
        assert!(w.site("web").newest_session().is_some());
        w.finish();
        assert!(w.site("web").live.is_empty(), "the session is deleted with its cookie");
    });
}

#[test]
fn cookies_that_are_not_for_the_request_stay_here() {
    // FT-109
    for cookie in [
        "replica=replica-secret-7; Secure",
        "replica=replica-secret-7; Path=/elsewhere",
        "replica=replica-secret-7; Domain=evil.test",
        "replica=replica-secret-7; Max-Age=0",
        "replica=replica-secret-7; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    ] {
        story(setting(cookie), |w| {
            let c = w.client("web", Kind::Streamable);
            w.check_echo(c);
            assert!(w.site("web").hits.iter().all(|hit| hit.head.get("cookie").is_none()), "{cookie}");
        });
    }
}

#[test]
fn cookies_expire_and_are_deleted() {
    // FT-109
    story(setting("replica=replica-secret-7; Max-Age=10").calm(), |w| {
        let c = w.client("web", Kind::Streamable);
        w.site("web").fields.clear();
        w.check_echo(c);
        assert!(w.site("web").hits.last().unwrap().head.get("cookie").is_some());
        w.run_ms(11_000);
        w.check_echo(c);
        assert!(w.site("web").hits.last().unwrap().head.get("cookie").is_none());
    });
    story(setting("replica=replica-secret-7"), |w| {
        let c = w.client("web", Kind::Streamable);
        let gone = ("set-cookie".to_owned(), "replica=; Max-Age=0".to_owned());
        w.site("web").fields = vec![gone, ("set-cookie".to_owned(), "other=1".to_owned())];
        w.check_echo(c);
        w.check_echo(c);
        assert_eq!(w.site("web").hits.last().unwrap().head.get("cookie"), Some("other=1"));
    });
}

#[test]
fn a_cookie_of_one_server_or_connection_is_not_told_to_another() {
    // FT-109: each connection has a jar of its own, which goes with it; what is configured stays.
    let cast = setting("replica=replica-secret-7").sse("old").streamable("mine");
    let cast = cast.server(
        "mine",
        "headers",
        json!({"Cookie": "replica=mine", "X-Api-Key": "header-secret-of-mine"}),
    );
    let cast = cast.change_site("mine", |site| {
        site.fields = vec![
            ("set-cookie".to_owned(), "replica=theirs".to_owned()),
            ("set-cookie".to_owned(), "b=2".to_owned()),
        ];
    });
    story(cast, |w| {
        for server in ["web", "old", "mine"] {
            let c = w.client(server, Kind::Streamable);
            w.check_echo(c);
        }
        assert!(w.site("old").hits.iter().all(|hit| hit.head.get("cookie").is_none()));
        assert_eq!(w.site("mine").hits.last().unwrap().head.get("cookie"), Some("replica=mine; b=2"));
        w.with_site("web", |site, net| {
            site.restart(net);
            site.down = true;
        });
        w.run_ms(3_000);
        let before = w.site("web").hits.len();
        w.site("web").down = false;
        w.run_ms(10_000);
        let hits = &w.site("web").hits;
        assert!(hits.len() > before, "it is back");
        assert!(hits[before].head.get("cookie").is_none(), "and begins without a cookie");
    });
}
