//! A server that is frozen while calls go on coming, told from one that works.

use super::{one, three};
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, State};
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;

/// So long it may take from the freeze until the child is replaced: until the next ping, and three times from one to the
/// next.
const DOCUMENTED_MS: u64 = 4 * 30_000 + STOP_MS;

/// A frozen child does not see that its input is closed, nor that it is told to go.
const STOP_MS: u64 = 5_000;

fn quick() -> Cast {
    one().options("fs", json!({"silenceTimeout": "6s"}))
}

/// Calls without end, one every so often, until the child is replaced. Gives how long that took.
fn until_replaced(w: &mut World, every_ms: u64, mut call: impl FnMut(&mut World)) -> u64 {
    let since = w.now_ms();
    while w.children_of("fs").len() < 2 {
        assert!(w.now_ms() - since < 400_000, "never replaced\n{}", w.watch.report());
        call(w);
        w.run_ms(every_ms);
    }
    w.now_ms() - since
}

#[test]
fn a_frozen_child_is_replaced_under_steady_calls() {
    // FT-504: from the very start, when no ping was answered yet, or later; with calls that overlap or do not
    for (lives_ms, every_ms) in [(100, 6_500), (100, 2_000), (70_000, 6_500), (70_000, 500)] {
        story_of([0, 1], quick(), |w| {
            let c = w.client("fs", Kind::Streamable);
            w.check_echo(c);
            w.run_ms(lives_ms);
            w.with_child("fs", |child, net| child.stop(true, net));
            let took = until_replaced(w, every_ms, |w| {
                w.start_call(c, "echo", json!({}));
            });
            assert!(took <= DOCUMENTED_MS + every_ms, "{lives_ms} {every_ms}: {took} ms");
            assert!(w.watch.logged("it answers neither calls nor pings"), "{}", w.watch.report());
            w.run_ms(10_000);
            w.check_echo(c);
        });
    }
}

#[test]
fn calls_that_clients_cancel_or_leave_say_the_same() {
    // FT-504
    for leaves in [false, true] {
        story_of([0, 1], one(), |w| {
            let c = w.client("fs", Kind::Streamable);
            w.check_echo(c);
            w.with_child("fs", |child, net| child.stop(true, net));
            let took = until_replaced(w, 100, |w| {
                let req = w.start_call(c, "echo", json!({}));
                w.run_ms(8_000);
                if leaves {
                    w.reset(w.exchange_of(req));
                } else {
                    w.cancel(req);
                }
            });
            assert!(took < DOCUMENTED_MS + 8_100, "{leaves}: {took} ms");
            w.run_ms(10_000);
            let c = w.client("fs", Kind::Streamable);
            w.check_echo(c);
        });
    }
}

#[test]
fn a_frozen_http_server_is_given_up_in_the_same_way() {
    // FT-504
    let cast = three().options("web", json!({"silenceTimeout": "6s"}));
    story_of([0], cast, |w| {
        let c = w.client("web", Kind::Streamable);
        w.check_echo(c);
        w.site("web").stuck = true;
        let since = w.now_ms();
        while !w.watch.logged("it answers neither calls nor pings") {
            assert!(w.now_ms() - since < DOCUMENTED_MS + 30_000, "{}", w.watch.report());
            w.start_call(c, "echo", json!({}));
            w.run_ms(3_000);
        }
        w.site("web").stuck = false;
    });
}

#[test]
fn a_child_that_works_on_one_call_and_says_nothing_stays_untouched() {
    // FT-504: others give up meanwhile, and come again
    story(one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let work = w.start_call(c, "slow", json!({"ms": 900_000, "text": "worked"}));
        w.until_heard(work);
        // Nothing else is answered until that is done.
        w.child("fs").mind().ping_mute = true;
        for _ in 0..20 {
            let other = w.start_call(c, "never", json!({}));
            w.run_ms(30_000);
            w.cancel(other);
        }
        assert_eq!(*w.state(work), State::Waiting);
        w.run_ms(400_000);
        assert_eq!(w.text(work), "worked");
        assert_eq!(w.children_of("fs").len(), 1);
    });
}

#[test]
fn a_child_that_answers_pings_may_leave_calls_unanswered() {
    // FT-504
    story(quick(), |w| {
        let c = w.client("fs", Kind::Streamable);
        for _ in 0..30 {
            w.start_call(c, "never", json!({}));
            w.run_ms(10_000);
        }
        w.check_echo(c);
        assert_eq!(w.children_of("fs").len(), 1);
    });
}
