//! Chaos: eight servers, of which five are killed, stopped, slowed and restarted at random; 64 clients do not notice
//! more than they must.
//!
//! ```text
//! chaos PROXY [SECONDS [SEED]]
//!
//!   calm (a tenth) ─▶ chaos (SECONDS) ─▶ calm (a tenth) ─▶ does every server serve again? ─▶ SIGTERM
//! ```
//!
//! What must hold, or the exit code is 1:
//! - Every request is answered exactly once, by a result or an error, within the limit of its server (see [`stage`]).
//! - A result is the caller's own: each request carries a text that no other has.
//! - Calls to servers that nobody touches all succeed, and their 99th percentile under chaos is not more than twice
//!   that of both calms together. In short runs [`P99_FLOOR_SHORT_US`] is let pass.
//! - Afterwards every server serves again, and an orderly end leaves no process.

mod client;
mod fate;
mod ledger;
mod session;
mod stage;

use ledger::{Ledger, Phase};
use mcp_proxy_soak::dice::Dice;
use mcp_proxy_soak::process;
use mcp_proxy_soak::proxy::{Log, Proxy, Scratch, config};
use serde_json::json;
use stage::{SERVERS, Server};
use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

/// Clients at work at the same time.
const CLIENTS: u64 = 64;
/// Runs of less than a minute have too few calls for a fine judgement: below this a percentile tells nothing, since
/// each wait for a processor that somebody else has costs some milliseconds.
const P99_FLOOR_SHORT_US: u64 = 50_000;
/// Until the clients that all connect at once have spread.
const START: Duration = Duration::from_secs(3);
/// Until a server that died often is tried again (30 s at most), and has started.
const RETURN_MAX: Duration = Duration::from_secs(45);

/// What everybody shares.
struct Scene {
    port: Cell<u16>,
    phase: Cell<Phase>,
    ledger: RefCell<Ledger>,
    /// Texts so far.
    texts: Cell<u64>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: u64| args.get(place).map_or(Some(default), |text| text.parse().ok());
    let (Some(proxy), Some(seconds), Some(seed)) = (args.first(), number(1, 300), number(2, 20_261_125))
    else {
        eprintln!("usage: chaos PROXY [SECONDS [SEED]]");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let all = run(Path::new(proxy), Duration::from_secs(seconds), seed);
    match runtime.and_then(|runtime| LocalSet::new().block_on(&runtime, all)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(program: &Path, length: Duration, seed: u64) -> io::Result<bool> {
    println!("seed {seed}, {CLIENTS} clients, {} servers, {} s", SERVERS.len(), length.as_secs());
    let mut dice = Dice::new(seed);
    let scratch = Scratch::new("chaos")?;
    let servers = stage::start_all().await?;
    // Longer than a client waits for anything: who is silent for so long has vanished.
    let more = json!({"limits": {"sessionIdleSeconds": 60}});
    let config = scratch.file("config.json", &config(&stage::config(&servers)?, &more).to_string())?;
    let value = std::process::id().to_string();
    let mut proxy = Proxy::start(program, &config, ("CHAOS_RUN", &value), log()).await?;
    let scene = Rc::new(Scene {
        port: Cell::new(proxy.port),
        phase: Cell::new(Phase::Start),
        ledger: RefCell::default(),
        texts: Cell::default(),
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::task::spawn_local(client::live(scene.clone(), number, dice.fork())))
        .collect();

    let calm = (length / 10).max(Duration::from_secs(3));
    let (mut at, cpu) = (Instant::now() + START + calm, process::cpu_ms(proxy.pid));
    sleep_until(at - calm).await;
    scene.phase.set(Phase::Before);
    sleep_until(at).await;
    scene.phase.set(Phase::Chaos);
    at += length;
    let fates: Vec<_> = servers
        .into_iter()
        .map(|server| tokio::task::spawn_local(fate::befall(scene.clone(), server, dice.fork(), at)))
        .collect();
    let mut kept: Vec<Server> = Vec::new();
    for fate in fates {
        kept.push(fate.await.map_err(io::Error::other)??);
    }
    scene.phase.set(Phase::Return);
    ledger::all_return(&scene, Instant::now() + RETURN_MAX).await;
    scene.phase.set(Phase::After);
    sleep_until(Instant::now() + calm).await;
    scene.phase.set(Phase::Over);
    for client in clients {
        client.await.map_err(io::Error::other)?;
    }
    let used = process::cpu_ms(proxy.pid).saturating_sub(cpu);
    println!(
        "\nproxy: {used} ms of processor, {} KiB of its own, {} files open",
        process::own_kib(proxy.pid),
        process::open_files(proxy.pid)
    );
    let ended = proxy.ended()?;
    proxy.stop().await?;
    let mut ledger = scene.ledger.borrow_mut();
    if let Some(status) = ended {
        ledger.fault(format!("the proxy ended by itself: {status}"));
    }
    let left = process::marked(&format!("CHAOS_RUN={value}"));
    for found in &left {
        ledger.fault(format!("process {} is left: {}", found.pid, found.command));
    }
    drop(kept);
    println!("{ledger}");
    let is_short = length < Duration::from_secs(60);
    Ok(ledger.judge(if is_short { P99_FLOOR_SHORT_US } else { 0 }))
}

fn log() -> Log {
    std::env::var_os("CHAOS_LOG").map_or(Log::Errors, |path| Log::File(path.into()))
}
