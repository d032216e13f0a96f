//! HTTP servers that lose their sessions, and streams that die unnoticed: nothing is said in a session it is not about.

use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::Kind;
use mcp_proxy_tests::net::{Link, Phase, Who};
use mcp_proxy_tests::story::story;
use serde_json::json;

#[test]
fn an_event_stream_that_died_unnoticed_is_opened_again() {
    // Found by a storm: every POST was answered with 404, and so was the ping that should have told.
    for by_ping in [false, true] {
        story(Cast::default().sse("old"), |w| {
            let c = w.client("old", Kind::Streamable);
            w.check_echo(c);
            // By then connections of the pool are closed, and the stream is the only one.
            w.run_ms(20_000);
            let of_site = |link: &Link| matches!(link.peer, Who::Site(_)) && link.phase == Phase::Open;
            let open: Vec<_> =
                w.net.links.iter().filter(|(_, link)| of_site(link)).map(|(conn, _)| *conn).collect();
            let [stream] = open.as_slice() else { panic!("{open:?}") };
            w.vanish(*stream);
            if by_ping {
                w.run_ms(40_000);
                assert_eq!(w.site("old").count("GET"), 2);
            }
            w.check_echo(c);
            assert_eq!(w.site("old").count("GET"), 2);
        });
    }
}
