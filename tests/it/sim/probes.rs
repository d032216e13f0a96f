//! The page with which the doctor looks at what stands in front.

use super::one;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::story::story;
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

#[test]
fn the_page_for_the_doctor_comes_in_parts_and_says_what_arrived() {
    // FT-603
    story(one(), |w| {
        w.client("fs", Kind::Streamable);
        for (query, parts, seconds) in
            [("?seconds=0", 1, 0), ("", 2, 1), ("?seconds=3", 4, 3), ("?seconds=99", 21, 20)]
        {
            let begun = w.now_ms();
            let fields = [("mcp-name", "a"), ("mcp-name", "b"), ("authorization", "Bearer hidden")];
            let page = w.http("GET", &format!("/health/front/a%2Fb{query}"), &fields, "");
            assert_eq!((page.status(), page.field("content-type")), (200, Some("text/event-stream")));
            let events: Vec<String> = page.events.iter().map(|event| event.data.clone()).collect();
            assert_eq!(events.len(), parts, "{events:?}");
            assert!((seconds * 1_000..seconds * 1_000 + 500).contains(&(w.now_ms() - begun)), "{query}");
            let seen: Value = serde_json::from_str(&events[0]).unwrap();
            assert_eq!(seen["target"], format!("/health/front/a%2Fb{query}"));
            assert_eq!(
                (&seen["fields"]["mcp-name"], &seen["fields"]["authorization"]),
                (&json!(2), &json!(1))
            );
            assert_eq!(seen["fields"]["mcp-session-id"], 0);
            assert!(!events[0].contains("hidden"));
        }
        let post = w.http("POST", "/health/front", &[("content-type", "application/json")], "{}");
        assert_eq!((post.status(), post.field("allow")), (405, Some("GET")));
        assert_eq!(w.http("GET", "/health/front", &[("origin", "https://evil.example")], "").status(), 403);
    });
}

#[test]
fn the_page_for_the_doctor_is_answered_so_often_a_minute() {
    // limit: probes_per_minute
    story(one().limits(|limits| limits.probes_per_minute = 3), |w| {
        w.client("fs", Kind::Streamable);
        let ask = |w: &mut World| w.http("GET", "/health/front?seconds=0", &[], "").status();
        assert_eq!([ask(w), ask(w), ask(w)], [200; 3]);
        let refused = w.http("GET", "/health/front?seconds=0", &[], "");
        assert_eq!((refused.status(), refused.field("retry-after")), (503, Some("60")));
        w.run_ms(20_000);
        assert_eq!([ask(w), ask(w)], [200, 503]);
    });
}

#[test]
fn a_doctor_that_goes_away_leaves_nothing_behind() {
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let before = w.shard.proxy().health().connections;
        let xid = w.raw("GET /health/front?seconds=20 HTTP/1.1\r\nHost: localhost:9090\r\n\r\n");
        w.run_ms(1_500);
        w.hang_up(xid);
        w.run_ms(30_000);
        assert_eq!(w.shard.proxy().health().connections, before);
        w.check_echo(c);
    });
}
