//! Sessions with connections of their own: what those offer is what the session is shown.

use super::{KINDS, three};
use mcp_proxy_tests::client::{Kind, MERGED, State};
use mcp_proxy_tests::lists::{LISTS, with_roots};
use mcp_proxy_tests::story::{story, story_of};
use serde_json::json;

#[test]
fn sessions_with_connections_of_their_own_see_what_those_offer() {
    let bonus = three().mind("fs", |m| m.bonus = Some(("roots", "for_roots")));
    // A filter that hides nothing, so that a single view looks names up as well.
    let bonus = bonus.options("fs", json!({"toolFilter": {"mode": "block", "list": ["no such"]}}));
    story(bonus, |w| {
        w.until_all_tried();
        for (kind, server) in KINDS.into_iter().flat_map(|kind| [(kind, MERGED), (kind, "fs")]) {
            let name = if server == MERGED { "fs__for_roots" } else { "for_roots" };
            let (with, without) = (w.client_with(server, kind, with_roots), w.client(server, kind));
            assert!(!w.listed(with, "tools/list").contains(&name.to_owned()), "the shared one's, at once");
            w.run_ms(1_000);
            assert!(w.listed(with, "tools/list").contains(&name.to_owned()));
            assert!(!w.listed(without, "tools/list").contains(&name.to_owned()));
            assert_eq!(w.call(with, name, json!({"text": "own"})), "own");
            assert_eq!(w.error_of(without, "tools/call", json!({"name": name})), -32602);
            if kind == Kind::Streamable {
                w.listen(with);
                w.listen(without);
            }
            w.run_ms(1_000);
            assert_eq!(
                (w.notices(with), w.notices(without)),
                ([1, 0, 0], [0; 3]),
                "of what its own one has more"
            );
            w.child("fs").mind().tools.push("later".to_owned());
            w.with_child("fs", |child, net| {
                child.print(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#, net);
            });
            w.run_ms(1_000);
            assert_eq!((w.notices(with), w.notices(without)), ([2, 0, 0], [0; 3]), "{server} {kind:?}");
        }
    });
}

#[test]
fn a_list_does_not_wait_for_connections_of_the_session() {
    // FT-702
    let cast = three().program("fs", |p| p.mind.mute = true).first_program("fs", |_| {}).calm();
    story(cast, |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client_with(MERGED, kind, with_roots);
            let asked = w.now_ms();
            let reqs = LISTS.map(|(method, _, _)| w.start(c, method, json!({})));
            for req in reqs {
                assert!(w.outcome(req)["result"].is_object());
            }
            assert!(w.now_ms() - asked < 100, "{}", w.now_ms() - asked);
            assert_eq!(w.listed(c, "tools/list").len(), 3 * 14);
            assert_eq!(w.call(c, "web__echo", json!({"text": "hi"})), "hi");
            w.run_ms(5_000);
            assert_eq!(w.notices(c), [0; 3], "the own ones offer the same");
        }
    });
}

#[test]
fn a_waiting_list_can_be_cancelled() {
    let cast = three().stdio("slow").program("slow", |p| p.mind.mute = true).calm();
    story_of(0..1, cast, |w| {
        w.run_ms(1_000);
        for kind in KINDS {
            let c = w.client(MERGED, kind);
            let (cancelled, other) =
                (w.start(c, "tools/list", json!({})), w.start(c, "prompts/list", json!({})));
            w.run_ms(100);
            w.cancel(cancelled);
            assert!(w.outcome(other)["result"].is_object());
            w.run_ms(1_000);
            assert!(!matches!(w.state(cancelled), State::Answered(_)));
        }
    });
}

#[test]
fn connections_of_a_session_sleep_unused_and_start_afresh_with_a_call() {
    // UP-36, BR-55
    story_of(0..4, three(), |w| {
        w.until_all_tried();
        for kind in KINDS {
            let c = w.client_with(MERGED, kind, with_roots);
            let tools = w.listed(c, "tools/list");
            w.run_ms(1_000);
            let before = ["fs", "web", "old"].map(|server| w.heard(server, "initialize").len());
            w.run_ms(130_000);
            assert_eq!(w.listed(c, "tools/list"), tools, "what it showed stays");
            for (server, before) in ["fs", "web", "old"].into_iter().zip(before) {
                assert_eq!(w.heard(server, "initialize").len(), before, "{server} sleeps");
                assert!(w.call(c, &format!("{server}__ask"), json!({})).contains(r#""roots":[]"#));
                assert_eq!(w.heard(server, "initialize").len(), before + 1);
            }
        }
    });
}

#[test]
fn who_joins_a_connection_is_shown_what_it_offers() {
    // BR-51: also after a call that came before the first list
    let cast = three().mind("fs", |m| m.bonus = Some(("roots", "for_roots")));
    let cast = cast.server("fs", "options", json!({"sessions": "shared"}));
    story(cast, |w| {
        w.until_all_tried();
        for kind in KINDS {
            let first = w.client_with(MERGED, kind, with_roots);
            w.listed(first, "tools/list");
            w.run_ms(1_000);
            let tools = w.listed(first, "tools/list");
            assert!(tools.contains(&"fs__for_roots".to_owned()));
            let second = w.client_with(MERGED, kind, with_roots);
            assert_eq!(w.call(second, "fs__echo", json!({"text": "hi"})), "hi");
            assert_eq!(w.listed(second, "tools/list"), tools);
            assert_eq!(w.call(second, "fs__for_roots", json!({"text": "hi"})), "hi");
        }
    });
}
