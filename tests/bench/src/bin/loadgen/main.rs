//! Closed-loop MCP load generator over streamable-http and HTTP+SSE.
//!
//! ```text
//! loadgen --url URL [--kind http|sse] [--concurrency N] [--requests N | --duration S]
//!         [--method tools/call|tools/list] [--tool echo|blob|sleep]
//!         [--payload BYTES] [--expect-tools N] [--token T] [--modern]
//!         [--warmup N] [--gate] [--timeout-ms N] [--cpu N]
//! loadgen --url URL --wait-ready [--expect-tools N] [--deadline S]
//! loadgen --url URL --idle N            until stdin ends
//! ```
//!
//! Each of the N clients does `initialize` + `notifications/initialized` on its
//! own connection (keeping `Mcp-Session-Id`), then sends one request at a time.
//! Every answer is parsed and checked: same id (ids are unique over all the
//! clients), same payload (`echo` carries the client's number and a counter).
//! The result is one JSON line on stdout.
//!
//! With `--gate` the program prints `{"event":"ready"}` after the warm-up and
//! waits for a line on stdin before the measured part, and again after the
//! result before it closes its connections, so that the caller can read the
//! server's CPU time and memory at exact points.

mod load;
mod sock;

use std::io::{BufRead as _, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};

use mcp_proxy_bench::args::Args;
use mcp_proxy_bench::net;

use crate::load::{Load, Phase, Stats};

#[derive(Clone)]
struct Config {
    addr: SocketAddr,
    host: String,
    path: String,
    sse: bool,
    modern: bool,
    method: String,
    tool: String,
    payload: usize,
    expect_tools: usize,
    token: Option<String>,
    timeout_ns: u64,
    /// Idle mode: open the stream and stay there.
    idle: bool,
}

fn percentile(sorted: &[u64], q: f64) -> f64 {
    if sorted.is_empty() {
        return 0.0;
    }
    let i = ((sorted.len() as f64 * q).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted[i] as f64 / 1000.0
}

fn gate(what: &str) {
    println!("{{\"event\":\"{what}\"}}");
    let _ = std::io::stdout().flush();
    let mut line = String::new();
    let _ = std::io::stdin().lock().read_line(&mut line);
}

fn fatal(why: &str) -> ! {
    println!("{}", serde_json::json!({ "event": "fatal", "error": why }));
    std::process::exit(1);
}

fn main() {
    let args = Args::parse(
        &["wait-ready", "gate", "modern"],
        &[
            "url",
            "kind",
            "concurrency",
            "requests",
            "duration",
            "method",
            "tool",
            "payload",
            "expect-tools",
            "token",
            "warmup",
            "timeout-ms",
            "cpu",
            "idle",
            "deadline",
        ],
    )
    .unwrap_or_else(|e| fatal(&e));
    if args.str("cpu").is_some() {
        net::pin_to_cpu(args.num("cpu", 0));
    }
    net::raise_fd_limit();
    let url = args.str("url").unwrap_or_else(|| fatal("--url is needed"));
    let rest = url.strip_prefix("http://").unwrap_or_else(|| fatal("only http:// URLs"));
    let (host, path) = match rest.find('/') {
        Some(i) => (&rest[..i], &rest[i..]),
        None => (rest, "/"),
    };
    let addr =
        host.to_socket_addrs().ok().and_then(|mut a| a.next()).unwrap_or_else(|| fatal("bad host in --url"));
    if !addr.ip().is_loopback() {
        fatal("only loopback addresses are loaded");
    }
    let idle: usize = args.num("idle", 0);
    let wait_ready = args.flag("wait-ready");
    let cfg = Config {
        addr,
        host: host.to_string(),
        path: path.to_string(),
        sse: args.str("kind") == Some("sse"),
        modern: args.flag("modern"),
        method: if wait_ready {
            "tools/list".into()
        } else {
            args.str("method").unwrap_or("tools/call").to_string()
        },
        tool: args.str("tool").unwrap_or("echo").to_string(),
        payload: args.num("payload", 100),
        expect_tools: args.num("expect-tools", 1),
        token: args.str("token").map(str::to_string),
        timeout_ns: args.num("timeout-ms", 10_000u64) * 1_000_000,
        idle: idle > 0,
    };
    let deadline = net::now_ns() + (args.num("deadline", 60.0f64) * 1e9) as u64;

    if wait_ready {
        let mut last;
        let mut tries = 0u64;
        loop {
            tries += 1;
            let mut load = Load::new(Config { timeout_ns: 5_000_000_000, ..cfg.clone() }, 1)
                .unwrap_or_else(|e| fatal(&e.to_string()));
            load.clients[0].failures = 5; // one failure ends this try
            if load.connect_all(deadline) {
                load.run(1, deadline);
                if load.stats.ok == 1 {
                    println!(
                        "{}",
                        serde_json::json!({"event": "up", "monotonic_ns": net::now_ns(), "tries": tries, "tools": load.stats.max_tools})
                    );
                    return;
                }
            }
            last = load.stats.first_error.unwrap_or_else(|| "no answer".into());
            if net::now_ns() > deadline {
                fatal(&format!("not ready after {tries} tries: {last}"));
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    let n = if idle > 0 { idle } else { args.num("concurrency", 1) };
    let mut load = Load::new(cfg, n).unwrap_or_else(|e| fatal(&e.to_string()));
    let all = load.connect_all(deadline);
    if idle > 0 {
        // Let the servers settle, and count what stayed open.
        let until = net::now_ns() + 500_000_000;
        while net::now_ns() < until {
            load.turn(50);
        }
        let held = load.clients.iter().filter(|c| c.phase == Phase::Holding).count();
        let streams =
            load.clients.iter().filter(|c| c.stream.is_some() && matches!(c.stream_status, 0 | 200)).count();
        let refused =
            load.clients.iter().find(|c| !matches!(c.stream_status, 0 | 200)).map(|c| c.stream_status);
        println!(
            "{}",
            serde_json::json!({"event": "idle", "clients": n, "held": held, "streams_open": streams, "stream_refused_with": refused,
                "errors": load.stats.errors, "first_error": load.stats.first_error})
        );
        let _ = std::io::stdout().flush();
        let mut line = String::new();
        let _ = std::io::stdin().lock().read_line(&mut line);
        return;
    }
    if !all && load.clients.iter().all(|c| c.phase != Phase::Ready) {
        fatal(&format!("no client could start: {}", load.stats.first_error.as_deref().unwrap_or("deadline")));
    }
    let warmup: u64 = args.num("warmup", 0);
    if warmup > 0 {
        load.run(warmup, net::now_ns() + 5_000_000_000);
    }
    let setup_errors = load.stats.errors;
    let setup_error = load.stats.first_error.take();
    load.stats =
        Stats { first_error: setup_error, latencies_ns: Vec::with_capacity(1 << 20), ..Stats::default() };
    if args.flag("gate") {
        gate("ready");
    }
    let duration: f64 = args.num("duration", 0.0);
    let t0 = net::now_ns();
    let cpu0 = net::cpu_ns();
    let stop_at = if duration > 0.0 { t0 + (duration * 1e9) as u64 } else { t0 + 600_000_000_000 };
    let budget = args.num("requests", if duration > 0.0 { u64::MAX } else { 1000 });
    load.run(budget, stop_at);
    let wall = (net::now_ns() - t0) as f64 / 1e9;
    let cpu = (net::cpu_ns() - cpu0) as f64 / 1e9;
    let s = &mut load.stats;
    s.latencies_ns.sort_unstable();
    let l = &s.latencies_ns;
    println!(
        "{}",
        serde_json::json!({
            "event": "result", "calls": s.ok, "errors": s.errors, "setup_errors": setup_errors, "reconnects": s.reconnects,
            "wall_s": wall, "rps": s.ok as f64 / wall, "bytes_in": s.bytes, "loadgen_cpu_s": cpu,
            "p50_us": percentile(l, 0.50), "p90_us": percentile(l, 0.90), "p99_us": percentile(l, 0.99),
            "max_us": l.last().map_or(0.0, |v| *v as f64 / 1000.0),
            "tools": s.max_tools, "first_error": s.first_error,
        })
    );
    if args.flag("gate") {
        gate("done");
    }
}
