//! Comings, goings and changes behind the merged endpoint: who is told, how often, and what lists say meanwhile.

use super::{KINDS, three};
use mcp_proxy_core::event::ExitStatus;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{Kind, MERGED};
use mcp_proxy_tests::lists::LISTS;
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::{Value, json};

/// `fs` is there, then cannot be started for about eight seconds.
fn outage() -> Cast {
    three().outage("fs", 4).calm()
}

/// A client of each transport that hears of changes.
fn listeners(w: &mut World) -> [usize; 2] {
    w.until_all_tried();
    let clients = KINDS.map(|kind| w.client(MERGED, kind));
    w.listen(clients[0]);
    w.run_ms(1_000);
    clients
}

fn all_lists(w: &mut World, client: usize) -> Vec<Vec<Value>> {
    LISTS.iter().map(|(method, _, _)| w.items(client, method)).collect()
}

fn crash(w: &mut World, server: &str) {
    w.with_child(server, |child, net| child.exit(net, ExitStatus::Code(1)));
}

#[test]
fn a_server_that_stays_away_is_told_once_and_its_return_once() {
    // limit: away_ms
    // BR-51
    story(outage(), |w| {
        let clients = listeners(w);
        let single = w.client("web", Kind::Sse);
        let before = clients.map(|c| all_lists(w, c));
        crash(w, "fs");
        w.run_ms(4_000);
        for (c, before) in clients.into_iter().zip(&before) {
            assert_eq!((w.notices(c), &all_lists(w, c)), ([0; 3], before), "it may come back");
        }
        w.run_ms(2_000);
        for (c, before) in clients.into_iter().zip(&before) {
            assert_eq!(w.notices(c), [1; 3]);
            let rest: Vec<Vec<Value>> = before.iter().map(|list| list[list.len() / 3..].to_vec()).collect();
            assert_eq!(all_lists(w, c), rest);
        }
        w.run_until("it is back", |w| w.children_of("fs").len() == 2);
        w.run_ms(1_000);
        for (c, before) in clients.into_iter().zip(&before) {
            assert_eq!((w.notices(c), &all_lists(w, c)), ([2; 3], before));
        }
        assert_eq!(w.notices(single), [0; 3]);
    });
}

#[test]
fn a_server_over_http_that_stays_away_is_told_of_as_well() {
    // BR-51
    story(three().calm(), |w| {
        let clients = listeners(w);
        let before = clients.map(|c| all_lists(w, c));
        w.with_site("old", |site, net| {
            site.down = true;
            site.restart(net);
        });
        w.run_ms(20_000);
        for c in clients {
            assert_eq!(w.notices(c), [1; 3]);
            assert_eq!(
                w.listed(c, "resources/list"),
                ["sim://fs/0", "sim://fs/1", "sim://web/0", "sim://web/1"]
            );
        }
        w.site("old").down = false;
        w.run_ms(60_000);
        for (c, before) in clients.into_iter().zip(&before) {
            assert_eq!((w.notices(c), &all_lists(w, c)), ([2; 3], before));
        }
    });
}

#[test]
fn a_brief_restart_changes_nothing() {
    // BR-51
    story(three(), |w| {
        let clients = listeners(w);
        let before = clients.map(|c| all_lists(w, c));
        crash(w, "fs");
        let waiting = clients.map(|c| w.start_call(c, "fs__echo", json!({"text": "later"})));
        for (c, before) in clients.into_iter().zip(&before) {
            assert_eq!(&all_lists(w, c), before);
        }
        for req in waiting {
            assert_eq!(w.text(req), "later");
        }
        w.run_ms(10_000);
        for (c, before) in clients.into_iter().zip(&before) {
            assert_eq!((w.notices(c), &all_lists(w, c)), ([0; 3], before));
        }
    });
}

#[test]
fn each_absence_counts_for_itself() {
    // BR-51
    let cast = three().calm().limits(|l| {
        l.away_ms = 5_000;
        l.backoff_ms = 1_000;
        l.backoff_max_ms = 1_000;
    });
    story(cast, |w| {
        let clients = listeners(w);
        for _ in 0..4 {
            crash(w, "fs");
            w.run_ms(2_300);
        }
        w.run_ms(10_000);
        assert!(w.children_of("fs").len() >= 5, "it was back each time");
        for c in clients {
            assert_eq!(w.notices(c), [0; 3]);
        }
    });
}

#[test]
fn only_lists_that_change_are_told_of() {
    // BR-51: also to a client that has not asked for them yet
    for asks in [false, true] {
        let cast = outage().mind("fs", |m| m.others = 0).stdio("new").outage("new", 3);
        let cast = cast.program("new", |p| p.mind.tools.clear()).first_program("new", |p| p.missing = true);
        story_of(0..2, cast, |w| {
            w.run_until("two servers", |w| w.watch.logged("handling requests at /old"));
            let clients = listeners(w);
            if asks {
                clients.iter().for_each(|c| drop(all_lists(w, *c)));
            }
            w.run_until("the new server", |w| w.watch.logged("handling requests at /new"));
            w.run_ms(500);
            for c in clients {
                assert_eq!(w.notices(c), [0, 1, 1], "it has no tools");
            }
            crash(w, "fs");
            w.run_ms(20_000);
            for c in clients {
                assert_eq!(w.notices(c), [2, 1, 1], "gone and back, it has nothing but tools");
            }
        });
    }
}

#[test]
fn a_server_that_comes_late_is_told_once() {
    // BR-51
    let cast = (0..3).fold(three(), |cast, _| cast.first_program("fs", |p| p.missing = true));
    story(cast, |w| {
        let clients = listeners(w);
        assert!(w.children_of("fs").is_empty(), "not yet");
        let lists = clients.map(|c| all_lists(w, c));
        w.run_until("the server", |w| w.watch.logged("handling requests at /fs"));
        w.run_ms(2_000);
        for (c, before) in clients.into_iter().zip(lists) {
            assert_eq!(w.notices(c), [1; 3]);
            assert_eq!(w.listed(c, "tools/list").len(), before[0].len() + 14);
            assert_eq!(w.call(c, "fs__echo", json!({"text": "hi"})), "hi");
        }
    });
}

#[test]
fn a_server_that_returns_with_other_tools_is_one_change() {
    // BR-51
    for (starts, away) in [(0, false), (4, true)] {
        let mut cast = three().outage("fs", starts).calm();
        let last = cast.programs.get_mut("sim-fs").and_then(|programs| programs.last_mut()).unwrap();
        last.mind.tools.push("fresh".to_owned());
        story_of(0..1, cast, |w| {
            let clients = listeners(w);
            clients.iter().for_each(|c| drop(all_lists(w, *c)));
            crash(w, "fs");
            w.run_ms(7_000);
            // Clients that have never seen the list.
            let late = KINDS.map(|kind| w.client(MERGED, kind));
            w.listen(late[0]);
            w.run_ms(20_000);
            for c in clients {
                assert_eq!(w.notices(c), if away { [2; 3] } else { [1, 0, 0] });
            }
            for c in late {
                assert_eq!(w.notices(c), if away { [1; 3] } else { [0; 3] });
                assert!(w.listed(c, "tools/list").contains(&"fs__fresh".to_owned()));
            }
        });
    }
}

#[test]
fn a_change_is_told_once_to_everybody_who_sees_it() {
    // BR-51, BR-59, UP-60
    story(three(), |w| {
        let clients = listeners(w);
        let singles = ["fs", "web", "old"].map(|server| w.client(server, Kind::Sse));
        for (n, server) in ["fs", "web", "old"].into_iter().enumerate() {
            w.teach(server, |mind| mind.tools.push("fresh".to_owned()));
            for _ in 0..10 {
                w.say_changed(server, "tools");
            }
            w.run_ms(2_000);
            for c in clients {
                assert_eq!(w.notices(c), [n + 1, 0, 0]);
                assert!(w.listed(c, "tools/list").contains(&format!("{server}__fresh")));
                assert_eq!(w.call(c, &format!("{server}__fresh"), json!({})), "done");
            }
            w.say_changed(server, "tools");
            w.say_changed(server, "prompts");
        }
        w.run_ms(2_000);
        for c in clients {
            assert_eq!(w.notices(c), [3, 0, 0], "what changed nothing is not told");
        }
        for c in singles {
            assert_eq!(w.notices(c), [1, 0, 0]);
        }
    });
}

#[test]
fn a_list_asked_for_after_a_notice_is_not_older_than_it() {
    // BR-59
    for delay_ms in [0, 150] {
        let cast = three().mind("web", |m| m.delay_ms = delay_ms).mind("fs", |m| m.page = 4);
        story(cast, |w| {
            let clients = listeners(w);
            let mut newest = [0; 2];
            let mut seen = [0; 2];
            for n in 0..60 {
                if n < 40 {
                    let server = if n % 3 == 0 { "fs" } else { "web" };
                    let known: usize = ["fs", "web"].map(|s| w.minds(s)[0].tools.len()).iter().sum();
                    w.teach(server, |mind| mind.tools.push(format!("t{known}")));
                    w.say_changed(server, "tools");
                }
                w.run_ms(35);
                for (place, c) in clients.into_iter().enumerate() {
                    if w.notices(c)[0] == seen[place] {
                        continue;
                    }
                    seen[place] = w.notices(c)[0];
                    let count = w.listed(c, "tools/list").len();
                    // In a calm no two notices are under way at a time.
                    let more = usize::from(w.seed % 4 == 0);
                    assert!(count >= newest[place] + more, "notice {}: {count} tools", seen[place]);
                    newest[place] = count;
                }
            }
            w.run_ms(2_000);
            for c in clients {
                assert_eq!(w.listed(c, "tools/list").len(), 3 * 14 + 40);
                assert!((2..=40).contains(&w.notices(c)[0]));
            }
        });
    }
}

#[test]
fn names_stay_while_a_server_is_away() {
    // BR-02
    for prefix in ["on-clash", "never"] {
        let cast = outage().merged("prefix", json!(prefix)).named("web", "resources", &["sim://fs/0"]);
        story_of(0..2, cast, |w| {
            let clients = listeners(w);
            let before = w.listed(clients[0], "tools/list");
            crash(w, "fs");
            w.run_ms(6_000);
            let left: Vec<String> = if prefix == "never" { vec![] } else { before[14..].to_vec() };
            assert_eq!(w.listed(clients[1], "tools/list"), left, "nobody else takes them");
            let waits = w.start(clients[0], "resources/read", json!({"uri": "sim://fs/0"}));
            assert_eq!(w.outcome(waits)["result"]["contents"][0]["text"], "of fs");
            assert_eq!(w.listed(clients[0], "tools/list"), before);
        });
    }
}

#[test]
fn with_all_servers_away_lists_fail_and_the_session_lives_on() {
    // BR-58: an empty list would say that there is nothing
    let cast = Cast::default().stdio("fs").outage("fs", 4).stdio("db").outage("db", 5).calm();
    story_of(0..1, cast, |w| {
        let clients = listeners(w);
        let before = clients.map(|c| all_lists(w, c));
        crash(w, "fs");
        crash(w, "db");
        w.run_ms(6_000);
        for c in clients {
            for (method, _, _) in LISTS {
                assert_eq!(w.error_of(c, method, json!({})), -32603);
            }
        }
        w.run_ms(30_000);
        for (c, before) in clients.into_iter().zip(before) {
            assert_eq!(all_lists(w, c), before);
            assert_eq!(w.call(c, "db__echo", json!({"text": "hi"})), "hi");
        }
    });
}
