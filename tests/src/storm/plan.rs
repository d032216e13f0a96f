//! What a seed decides before anything happens: servers and their habits, bounds, how much goes wrong.

use crate::cast::Cast;
use crate::child::Program;
use crate::dice::Dice;
use crate::mind::Mind;
use crate::net::{MS, Weather};
use crate::site::{Site, Style};
use mcp_proxy_core::limits::Limits;
use serde_json::json;

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A child.
    Stdio,
    /// Streamable HTTP.
    Streamable,
    /// HTTP+SSE.
    Sse,
}

/// The plan.
#[derive(Debug, Clone)]
pub struct Plan {
    seed: u64,
    /// The servers.
    pub servers: Vec<(String, Reach)>,
    /// Bounds are small.
    pub tight: bool,
    /// Users log in.
    pub logins: bool,
    /// Chance of a fault with each deed of the crowd.
    pub faults_per_mille: u64,
    /// Most clients in the beginning.
    pub crowd_max: u64,
}

const REACHES: [Reach; 5] = [Reach::Stdio, Reach::Stdio, Reach::Streamable, Reach::Streamable, Reach::Sse];

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x0051_7095);
        let count = *dice.pick(&[1, 1, 2, 2, 3, 4]);
        let servers = (0..count).map(|n| {
            let reach = *dice.pick(&REACHES);
            let kind = match reach {
                Reach::Stdio => "fs",
                Reach::Streamable => "web",
                Reach::Sse => "old",
            };
            (format!("{kind}{n}"), reach)
        });
        let servers = servers.collect();
        Self {
            seed,
            servers,
            tight: dice.chance(250),
            logins: dice.chance(150),
            faults_per_mille: *dice.pick(&[0, 60, 150, 150, 300, 500]),
            crowd_max: *dice.pick(&[3, 6, 6, 6, 12]),
        }
    }

    /// Who takes part.
    pub fn cast(&self) -> Cast {
        let mut dice = Dice::new(self.seed ^ 0xca57);
        let mut cast = Cast::default();
        for (name, reach) in &self.servers {
            cast = match reach {
                Reach::Stdio => cast.stdio(name),
                Reach::Streamable => cast.streamable(name),
                Reach::Sse => cast.sse(name),
            };
            let mut options = json!({"sessions": *dice.pick(&["auto", "shared", "dedicated"])});
            if let Some(most) = dice.pick(&[None, None, Some(1), Some(3)]) {
                options["maxSessions"] = json!(most);
            }
            if dice.chance(300) {
                options["idleSeconds"] = json!(dice.range(1, 3));
            }
            cast = cast.options(name, options);
            let habits = dice.roll();
            cast = match reach {
                Reach::Stdio => cast.program(name, |it| habits_of_program(it, &mut Dice::new(habits))),
                Reach::Streamable | Reach::Sse => {
                    cast.change_site(name, |it| habits_of_site(it, &mut Dice::new(habits)))
                }
            };
            if *reach == Reach::Streamable && dice.chance(150) {
                cast = cast.unknown_transport(name);
            }
        }
        if self.logins {
            cast = cast.with_logins(&json!({}));
        }
        let (seed, tight) = (dice.roll(), self.tight);
        let cast = cast.limits(|limits| shorten(limits, tight, &mut Dice::new(seed)));
        // Those who log in wait for what they ask, so there must be room for them.
        if self.logins { cast.limits(|limits| limits.downstream_conns_max = 1_000) } else { cast }
    }
}

fn habits_of_mind(mind: &mut Mind, dice: &mut Dice) {
    mind.tools.extend(["task", "url"].map(str::to_owned));
    mind.page = *dice.pick(&[0, 0, 1, 5]);
    mind.others = *dice.pick(&[0, 2, 2]);
    mind.list_changed = dice.chance(800);
    mind.completes = dice.chance(800);
    mind.delay_ms = *dice.pick(&[0, 0, 0, 5, 100]);
    mind.revision =
        *dice.pick(&[None, None, None, Some("2025-03-26"), Some("2024-11-05"), Some("2025-11-25")]);
    mind.ping_mute = dice.chance(30);
    mind.list_failures = if dice.chance(100) { 1 } else { 0 };
}

fn habits_of_program(program: &mut Program, dice: &mut Dice) {
    habits_of_mind(&mut program.mind, dice);
    program.crlf = dice.chance(200);
    program.ignores_eof = dice.chance(150);
    program.ignores_term = dice.chance(100);
    program.exit_ms = *dice.pick(&[1, 1, 50, 1_500]);
    program.stderr_bytes = *dice.pick(&[0, 0, 0, 100]);
    if dice.chance(100) {
        "Listening on stdio\n".clone_into(&mut program.banner);
    }
}

fn habits_of_site(site: &mut Site, dice: &mut Dice) {
    habits_of_mind(&mut site.mind, dice);
    site.json = dice.chance(500);
    site.offers_get = dice.chance(800);
    site.event_ids = dice.chance(700);
    site.retry_ms = *dice.pick(&[None, None, Some(50), Some(1_000)]);
    site.cuts_rudely = dice.chance(300);
    site.decoy = dice.chance(150);
    // Over HTTP+SSE that is a reason to connect again.
    site.mind.ping_mute &= site.style == Style::Streamable;
    site.keeps_sessions = dice.chance(100);
    site.polls = site.event_ids && dice.chance(80);
    if site.polls {
        // Each page takes a second then.
        site.mind.page = 0;
    }
}

/// Bounds of time that let a storm end soon; with `tight`, small ones for everything else too.
fn shorten(l: &mut Limits, tight: bool, dice: &mut Dice) {
    (l.input_ms, l.ask_wait_ms) = (5_000, 1_000);
    (l.call_ms, l.call_total_ms, l.own_call_ms) = (8_000, 20_000, 4_000);
    (l.queue_ms, l.away_ms, l.lists_ms) = (5_000, 1_000, 2_000);
    (l.stream_retention_ms, l.session_idle_ms, l.server_conn_idle_ms) = (3_000, 10_000, 3_000);
    (l.request_ms, l.conn_idle_ms, l.keep_alive_ms) = (5_000, 10_000, 2_000);
    (l.handshake_ms, l.connect_ms, l.endpoint_ms) = (5_000, 2_000, 2_000);
    (l.ping_ms, l.backoff_max_ms, l.list_retry_ms) = (6_000, 2_000, 2_000);
    (l.task_poll_ms, l.child_stop_ms) = (500, 1_000);
    (l.suspend_ms, l.stall_ms) = (4_000, 10_000);
    if tight {
        l.sessions_max = *dice.pick(&[2, 8, 18]);
        l.session_calls_max = *dice.pick(&[1, 4, 20]);
        l.calls_max = *dice.pick(&[3, 30]);
        l.downstream_conns_max = *dice.pick(&[6, 20, 60]);
        l.upstream_queue_max = *dice.pick(&[1, 3]);
        l.upstream_queue_bytes_max = 4_000;
        l.message_bytes_max = 16_000;
        l.send_high_bytes = 2_000;
        l.send_cap_bytes = *dice.pick(&[20_000, 40_000]);
        l.upstream_send_cap_bytes = 20_000;
        l.replay_events_max = 3;
        l.replay_bytes_max = 8_000;
        l.session_streams_max = *dice.pick(&[2, 6]);
        l.pool_conns_max = *dice.pick(&[3, 8]);
        l.questions_max = *dice.pick(&[1, 5]);
        l.held_question_bytes_max = 300;
        l.watches_max = 1;
        l.server_conns_max = *dice.pick(&[1, 3]);
        l.shared_server_conns_max = *dice.pick(&[1, 2]);
        l.batch_max = 3;
        l.memory_bytes_max = *dice.pick(&[60_000, 200_000, 2_000_000]);
    }
}

/// A weather by chance: mostly pieces of some size, now and then single bytes.
pub fn weather(dice: &mut Dice) -> Weather {
    match dice.below(200) {
        0 => Weather::DRIZZLE,
        1..70 => Weather::CALM,
        _ => {
            let piece_max = *dice.pick(&[300, 1_500, 16_384]);
            let latency_max = if piece_max < 1_000 { MS / 20 } else { dice.range(1, 400) * MS / 10 };
            Weather { latency_min: 1_000, latency_max, piece_max, whole: false }
        }
    }
}
