//! Peers that want everything: seats, memory, attention. Whoever wants too much is refused, and nobody else
//! notices: in each story another client calls all along and waits no longer than before.

use super::one;
use mcp_proxy_core::limits::Limits;
use mcp_proxy_tests::cast::Cast;
use mcp_proxy_tests::client::{AUTHORITY, Kind, Progress, State, Xid};
use mcp_proxy_tests::net::MS;
use mcp_proxy_tests::story::{story, story_of};
use mcp_proxy_tests::world::World;
use serde_json::json;
use std::net::IpAddr;

/// Storage grows in steps: what it takes is up to twice what is in it, and one read comes on top.
const ONE_READ: usize = 1 << 20;

/// Somebody who is not part of it.
struct Bystander {
    client: usize,
    usual: u64,
}

impl Bystander {
    /// A client that knows how long a call takes when nothing is the matter.
    fn of(w: &mut World, server: &str) -> Self {
        let client = w.client(server, Kind::Streamable);
        let mut one = Self { client, usual: 0 };
        one.usual = (0..5).map(|_| one.call(w)).max().expect("five calls");
        one
    }

    /// One call; gives how long it took, nanoseconds.
    fn call(&self, w: &mut World) -> u64 {
        let from = w.net.now;
        w.check_echo(self.client);
        w.net.now - from
    }

    /// A call takes as long as always; a new connection is a hop more.
    #[track_caller]
    fn notices_nothing(&self, w: &mut World) {
        let took = self.call(w);
        assert!(took <= self.usual + MS, "a call took {took} ns instead of {}", self.usual);
    }
}

/// One server of each kind in calm weather, and so much memory.
fn cast(memory: usize) -> Cast {
    super::three().calm().limits(|l| l.memory_bytes_max = memory)
}

/// A POST that announces `len` bytes and sends `sent` of them.
fn half_a_post(len: usize, sent: usize) -> String {
    format!(
        "POST /fs/mcp HTTP/1.1\r\nhost: {AUTHORITY}\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\r\n{}",
        "x".repeat(sent)
    )
}

/// Bodies of less than a share each, until so much is held.
fn crowd_in(w: &mut World, bytes: usize) -> Vec<Xid> {
    let mut all = Vec::new();
    while w.shard.proxy().held() < bytes {
        assert!(all.len() < 10_000, "{} bytes are held, not {bytes}", w.shard.proxy().held());
        all.push(w.raw(&half_a_post(70_000, 50_000)));
        w.run_ms(1);
    }
    all
}

#[test]
fn a_request_that_grows_is_refused_when_memory_is_short() {
    // limit: memory_bytes_max
    const BUDGET: usize = 8 << 20;
    story_of([0], cast(BUDGET), |w| {
        let bystander = Bystander::of(w, "fs");
        let floods: Vec<Xid> = (0..20).map(|_| w.raw(&half_a_post(4 << 20, 900_000))).collect();
        for _ in 0..20 {
            w.run_ms(10);
            bystander.notices_nothing(w);
        }
        let refused: Vec<&Xid> = floods.iter().filter(|xid| w.exchange(**xid).status() == 503).collect();
        assert!((5..20).contains(&refused.len()), "{} of 20 were refused", refused.len());
        assert!(refused.iter().all(|xid| w.exchange(**xid).field("retry-after") == Some("2")));
        assert!(w.most_held <= BUDGET + ONE_READ, "{} bytes were held", w.most_held);
        assert!(w.watch.logged("bytes are held for peers: large messages are refused"));
        w.run_ms(40_000);
        bystander.notices_nothing(w);
        assert!(w.shard.proxy().held() < BUDGET / 8, "{} bytes stay", w.shard.proxy().held());
    });
}

#[test]
fn large_answers_are_refused_when_memory_is_short_and_small_ones_are_not() {
    const BUDGET: usize = 4 << 20;
    story_of([0], cast(BUDGET), |w| {
        let bystanders = ["fs", "web", "old"].map(|server| Bystander::of(w, server));
        crowd_in(w, BUDGET / 5 * 4);
        for json in [true, false] {
            w.site("web").json = json;
            for bystander in &bystanders {
                let big = w.start_call(bystander.client, "big", json!({"bytes": 300_000}));
                let answer = w.outcome(big);
                assert_eq!(answer["error"]["code"], -32603, "{answer}");
                let why = answer["error"]["message"].as_str().unwrap();
                assert!(why.contains("holds too much for others"), "{why}");
                bystander.notices_nothing(w);
            }
        }
        assert_eq!(w.children_of("fs").len(), 1, "nobody was restarted for it");
        w.run_ms(40_000);
        for bystander in &bystanders {
            assert_eq!(w.call(bystander.client, "big", json!({"bytes": 300_000})).len(), 300_000);
        }
    });
}

#[test]
fn large_calls_are_refused_when_memory_is_short_and_small_ones_are_not() {
    const BUDGET: usize = 4 << 20;
    story_of([0], cast(BUDGET), |w| {
        let bystander = Bystander::of(w, "fs");
        let other = w.client("fs", Kind::Streamable);
        crowd_in(w, BUDGET / 5 * 4);
        let big = w.start_call(other, "echo", json!({"text": "z".repeat(200_000)}));
        let answer = w.outcome(big);
        assert_eq!(answer["error"]["code"], -32603, "{answer}");
        bystander.notices_nothing(w);
        w.check_echo(other);
    });
}

#[test]
fn who_does_not_read_is_closed_when_memory_is_short() {
    const BUDGET: usize = 4 << 20;
    story_of([0], cast(BUDGET), |w| {
        let bystander = Bystander::of(w, "fs");
        let lazy: Vec<usize> = (0..12).map(|_| w.client("fs", Kind::Sse)).collect();
        let streams: Vec<Xid> =
            lazy.iter().map(|c| Xid { client: *c, index: w.clients[*c].stream.unwrap() }).collect();
        streams.iter().for_each(|xid| w.stall(*xid, true));
        for c in &lazy {
            w.start_call(*c, "big", json!({"bytes": 400_000}));
            w.run_ms(20);
            bystander.notices_nothing(w);
        }
        assert!(w.shard.proxy().held() > BUDGET / 2);
        for _ in 0..40 {
            w.run_ms(100);
            bystander.notices_nothing(w);
        }
        assert!(w.most_held <= BUDGET + ONE_READ, "{} bytes were held", w.most_held);
        assert!(w.watch.logged("does not read and memory is short"));
        streams.iter().for_each(|xid| w.stall(*xid, false));
        w.run_ms(2_000);
        let cut = streams.iter().filter(|xid| w.exchange(**xid).progress == Progress::Cut).count();
        assert!((1..12).contains(&cut), "{cut} of 12 were closed");
        assert_eq!(w.call(bystander.client, "big", json!({"bytes": 300_000})).len(), 300_000);
    });
}

#[test]
fn what_is_kept_for_clients_that_come_back_is_given_up_first() {
    const BUDGET: usize = 4 << 20;
    story_of([0], cast(BUDGET), |w| {
        let bystander = Bystander::of(w, "fs");
        let mut left = Vec::new();
        for _ in 0..4 {
            let c = w.client_with("fs", Kind::Streamable, |c| c.revision = "2025-11-25".to_owned());
            let req = w.start_call(c, "slow", json!({"ms": 1_000, "text": "t".repeat(100_000)}));
            let xid = w.exchange_of(req);
            w.run_until("an event id", |w| w.exchange(xid).last_event_id().is_some());
            let last = w.exchange(xid).last_event_id().unwrap().to_owned();
            w.hang_up(xid);
            left.push((req, xid, last));
        }
        w.run_ms(2_000);
        assert!(w.shard.proxy().held() > 400_000, "four answers are kept");
        let (req, xid, last) = left.remove(0);
        let back = w.resume(xid, &last);
        w.response(back);
        assert_eq!(w.text(req).len(), 100_000, "there is memory enough");
        crowd_in(w, BUDGET / 5 * 3);
        for (req, xid, last) in left {
            let again = w.resume(xid, &last);
            assert_eq!(w.exchange(again).status(), 400, "it is not known any more");
            w.cancel(req);
        }
        bystander.notices_nothing(w);
        assert_eq!(w.call(bystander.client, "big", json!({"bytes": 300_000})).len(), 300_000);
    });
}

#[test]
fn a_line_without_an_end_costs_one_message_of_memory() {
    // A child writes a GiB and never a line feed: at first within its limit, then beyond it.
    let cast = one().stdio("db").calm();
    story_of([0], cast, |w| {
        let bystander = Bystander::of(w, "db");
        let c = w.client("fs", Kind::Streamable);
        let req = w.start_call(c, "never", json!({}));
        w.until_heard(req);
        let id = w.child("fs").mind().last("tools/call").unwrap().value["id"].clone();
        let conn = w.child("fs").conn;
        w.net.send(conn, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"x":""#).as_bytes());
        let mebibyte = vec![b'x'; 1 << 20];
        for round in 0..1_024 {
            w.net.send(conn, &mebibyte);
            w.run_ms(1);
            if round % 100 == 0 {
                bystander.notices_nothing(w);
            }
        }
        let max = 2 * Limits::default().message_bytes_max + 2 * ONE_READ;
        assert!(w.most_held <= max, "{} bytes were held", w.most_held);
        w.net.send(conn, b"\"}}\n");
        let answer = w.outcome(req);
        assert!(answer.to_string().contains("longer than is allowed"), "{answer}");
        w.check_echo(c);
        bystander.notices_nothing(w);
    });
}

#[test]
fn a_line_that_grows_is_dropped_when_memory_is_short() {
    const BUDGET: usize = 4 << 20;
    story_of([0], cast(BUDGET).stdio("db"), |w| {
        let (bystander, c) = (Bystander::of(w, "db"), w.client("fs", Kind::Streamable));
        crowd_in(w, BUDGET / 5 * 4);
        let req = w.start_call(c, "never", json!({}));
        w.until_heard(req);
        let id = w.child("fs").mind().last("tools/call").unwrap().value["id"].clone();
        let conn = w.child("fs").conn;
        w.net.send(conn, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"x":""#).as_bytes());
        for _ in 0..50 {
            w.net.send(conn, &[b'x'; 50_000]);
            w.run_ms(1);
            bystander.notices_nothing(w);
        }
        assert!(w.most_held <= BUDGET + ONE_READ, "{} bytes were held", w.most_held);
        w.net.send(conn, b"\"}}\n");
        let answer = w.outcome(req);
        assert!(answer.to_string().contains("holds too much for others"), "{answer}");
        assert_eq!(w.children_of("fs").len(), 1);
        w.check_echo(c);
    });
}

#[test]
fn an_answer_that_is_packed_in_an_unknown_way_is_an_error_to_its_call_alone() {
    // FT-104. We ask for what is not packed, since a few bytes could become any number.
    story(Cast::default().streamable("web"), |w| {
        let c = w.client("web", Kind::Streamable);
        for json in [true, false] {
            w.site("web").json = json;
            w.site("web").packs = Some("br");
            let answer = w.ask(c, "tools/call", json!({"name": "echo", "arguments": {}}));
            let why = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(why.contains("packed its answer as `br`"), "{answer}");
            w.site("web").packs = None;
            w.check_echo(c);
        }
        let asks = |hit: &mcp_proxy_tests::site::Hit| hit.head.get("accept-encoding") == Some("identity");
        assert!(w.site("web").hits.iter().all(asks));
    });
}

#[test]
fn ten_thousand_idle_connections_lock_nobody_out() {
    // T-30; limit: downstream_conns_max is in the next two
    story_of([0], cast(Limits::default().memory_bytes_max), |w| {
        let bystander = Bystander::of(w, "fs");
        for round in 0..12 {
            (0..1_000).for_each(|_| {
                w.raw("");
            });
            w.run_ms(100);
            bystander.notices_nothing(w);
            let late = w.client("fs", Kind::Streamable);
            w.check_echo(late);
            let clients = w.shard.proxy().census().clients;
            assert!(clients <= 10_000, "{clients} in round {round}");
        }
        assert!(w.shard.proxy().census().clients > 9_000);
        assert!(w.most_held < 2 << 20, "{} bytes were held", w.most_held);
    });
}

#[test]
fn a_thousand_heads_that_do_not_come_to_their_end_lock_nobody_out() {
    // T-30
    story_of([0], one().calm().limits(|l| l.downstream_conns_max = 100), |w| {
        let bystander = Bystander::of(w, "fs");
        for _ in 0..10 {
            let slow: Vec<Xid> = (0..100).map(|_| w.raw("POST /fs/mcp HTTP/1.1\r\nhost: ")).collect();
            for letter in ["l", "o", "c", "a"] {
                for xid in &slow {
                    w.net.send(w.clients[xid.client].exchanges[xid.index].conn, letter.as_bytes());
                }
                w.run_ms(50);
                bystander.notices_nothing(w);
            }
            assert!(w.shard.proxy().census().clients <= 100);
        }
    });
}

/// What a stranger asks whose request is whole.
const ASKS: &str = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A crowd that takes all seats and keeps coming, `each_ms` one of them, with these bytes. Among them strangers who ask
/// `after_ms` after they came. Gives how many of them asked and how many were answered.
fn among(w: &mut World, crowd: &str, each_ms: u64, after_ms: &[u64], rounds: usize) -> (usize, usize) {
    let mut asked = Vec::new();
    for _ in 0..rounds {
        for after in after_ms {
            let guest = w.raw("");
            for _ in 0..after.div_ceil(each_ms) {
                w.raw(crowd);
                w.run_ms(each_ms.min(*after));
            }
            w.net.send(w.exchange(guest).conn, ASKS.as_bytes());
            asked.push(guest);
            w.run_ms(1);
        }
    }
    w.run_ms(1_000);
    let served =
        |xid: &&Xid| w.exchange(**xid).progress == Progress::Complete && w.exchange(**xid).status() == 200;
    (asked.len(), asked.iter().filter(served).count())
}

#[test]
fn newcomers_are_served_among_ten_thousand_half_heads() {
    // FT-502
    story_of([0], cast(Limits::default().memory_bytes_max), |w| {
        let bystander = Bystander::of(w, "fs");
        for _ in 0..10_000 {
            w.raw("POST /fs/mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n");
        }
        w.run_ms(200);
        let half = "POST /fs/mcp HTTP/1.1\r\nhost: ";
        let (asked, served) = among(w, half, 5, &[20, 5, 100, 300, 1_500], 10);
        assert!(served * 100 >= asked * 99, "{served} of {asked}");
        bystander.notices_nothing(w);
    });
}

#[test]
fn whatever_the_crowd_does_not_finish_newcomers_are_served() {
    // FT-502
    let body = half_a_post(100, 50);
    for crowd in
        ["", "G", "GET / HTTP/1.1\r\nhost", "GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n", "?\r\n\r\n"]
    {
        story_of([0], one().calm().limits(|l| l.downstream_conns_max = 200), |w| {
            w.client("fs", Kind::Streamable);
            (0..200).for_each(|_| {
                w.raw(crowd);
            });
            w.run_ms(1_000);
            let (asked, served) = among(w, crowd, 5, &[20, 100, 500], 10);
            assert_eq!(served, asked, "{crowd:?}");
        });
    }
    story_of([0], one().calm().limits(|l| l.downstream_conns_max = 200), |w| {
        w.client("fs", Kind::Streamable);
        (0..200).for_each(|_| {
            w.raw(&body);
        });
        w.run_ms(11_000);
        let (asked, served) = among(w, &body, 100, &[200, 300], 10);
        assert_eq!(served, asked, "bodies that take longer than ten seconds");
    });
}

#[test]
fn who_behaved_keeps_a_seat_among_half_heads() {
    // FT-502
    story_of([0], one().calm().limits(|l| l.downstream_conns_max = 100), |w| {
        w.client("fs", Kind::Streamable);
        let known: Vec<Xid> = (0..20).map(|_| w.raw(ASKS)).collect();
        w.run_ms(5_000);
        for _ in 0..1_000 {
            w.raw("GET / HTTP/1.1\r\nhost");
            w.run_ms(5);
        }
        let open = |xid: &&Xid| w.net.links.contains_key(&w.exchange(**xid).conn);
        assert_eq!(known.iter().filter(open).count(), 20);
    });
}

#[test]
fn a_seat_is_taken_from_nobody_who_uses_it() {
    // limit: downstream_conns_max
    story_of([0], one().calm().limits(|l| l.downstream_conns_max = 6), |w| {
        let c = w.client("fs", Kind::Streamable);
        let stream = w.listen(c);
        let call = w.start_call(c, "slow", json!({"ms": 20_000}));
        let upload = w.raw(&half_a_post(100, 50));
        w.until_heard(call);
        for _ in 0..50 {
            w.raw("");
            w.run_ms(5);
            assert!(w.shard.proxy().census().clients < 6, "one seat is kept free");
        }
        for xid in [stream, upload, w.exchange_of(call)] {
            assert_eq!(w.exchange(xid).progress, Progress::Running);
        }
        let streams: Vec<Xid> = (0..3).map(|_| w.listen(c)).collect();
        assert_eq!(w.shard.proxy().census().clients, 6, "as many as there may be");
        let waits = w.raw("");
        w.run_ms(1_000);
        assert_eq!(w.shard.proxy().census().clients, 6, "and one more waits at the door");
        w.hang_up(streams[0]);
        w.run_ms(1_000);
        assert_eq!(w.exchange(waits).progress, Progress::Running);
        assert_eq!(w.text(call), "done");
    });
}

#[test]
fn an_address_has_as_many_connections_as_the_limit() {
    // T-30
    let far: [IpAddr; 2] = [[8, 8, 8, 8].into(), [9, 9, 9, 9].into()];
    story_of([0], one().calm().limits(|l| l.conns_per_address_max = 3), |w| {
        let near: Vec<Xid> = (0..20).map(|_| w.raw("GET")).collect();
        w.visitors_from = far[0];
        let many: Vec<Xid> = (0..4).map(|_| w.raw("GET")).collect();
        w.visitors_from = far[1];
        let other = w.raw("GET");
        w.run_ms(100);
        let open = |w: &World, xid: &Xid| w.exchange(*xid).progress == Progress::Running;
        assert!(near.iter().all(|xid| open(w, xid)), "a proxy beside us has many clients");
        assert_eq!(many.iter().filter(|xid| open(w, xid)).count(), 3);
        assert!(open(w, &other));
        w.hang_up(many[0]);
        w.run_ms(100);
        w.visitors_from = far[0];
        let late = w.raw("GET");
        w.run_ms(100);
        assert!(open(w, &late), "there is room again");
    });
}

#[test]
fn many_registrations_and_calls_are_counted_and_given_back() {
    story_of([0, 2, 3], one(), |w| {
        let c = w.client("fs", Kind::Streamable);
        let before = w.shard.proxy().held();
        let calls: Vec<_> = (0..200).map(|_| w.start_call(c, "slow", json!({"ms": 2_000}))).collect();
        w.run_ms(1_000);
        assert!(w.shard.proxy().held() > before + 200 * 200);
        calls.iter().for_each(|req| assert_eq!(w.text(*req), "done"));
        w.end_session(c);
        w.run_ms(100_000);
        assert!(w.shard.proxy().held() < before + 64 * 1_024, "{} stay", w.shard.proxy().held());
        assert!(calls.iter().all(|req| matches!(w.state(*req), State::Answered(_))));
    });
}
