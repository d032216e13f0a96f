//! Soak: clients connect and vanish thousands of times, and the proxy is killed every few hundred.
//!
//! ```text
//! soak PROXY [CYCLES [SEED]]
//!
//!   start ─▶ 16 clients at work ─▶ SIGKILL in the midst of it ─▶ is anything left? ─┐   one life: 500 cycles
//!     ▲                                                                            │
//!     └────────────────────────────────────────────────────────────────────────────┘
//!   start ─▶ clients at work ─▶ all quiet: measure ─▶ … many times ─▶ SIGTERM ─▶ is anything left?   as many cycles again
//! ```
//!
//! The servers are trees (a shell that starts a shell that starts the server, see [`trees`]), one for every session.
//! A cycle is one client with its session: it says hello, calls once, and leaves in one of the ways of [`cycle`].
//!
//! What must hold, or the exit code is 1:
//! - Two seconds after a kill (the grace of the guard, and a little for it to act) no process of that life is left:
//!   neither of the trees, nor the guard, found by a mark in the environment that all descendants inherit.
//! - The same after the orderly end of the last life.
//! - In the last life, whenever everything is quiet, the proxy has as many files open as the first time and not
//!   more than [`RSS_SLACK_KIB`] more memory.
//! - As long as the proxy lives every call that is waited for gets its own answer within [`CYCLE_MAX`].

mod cycle;
mod trees;

use cycle::{Ground, Ways};
use mcp_proxy_soak::dice::Dice;
use mcp_proxy_soak::process::{self, Found};
use mcp_proxy_soak::proxy::{Log, Proxy, Scratch, config};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::Instant;

/// Clients at work at the same time.
const CLIENTS: usize = 16;
/// Cycles from kill to kill; fewer when there are few altogether, so that there are four kills at least.
const KILL_EVERY: u64 = 500;
/// Longer than any answer takes on a busy machine.
const CYCLE_MAX: Duration = Duration::from_secs(20);
/// From a kill of the proxy to the end of everything: TERM, two seconds of grace, KILL, and a busy machine.
const CLEAN_MAX: Duration = Duration::from_secs(5);
/// Until abandoned sessions and their trees are gone: the session idles for 2 s, the stop of a deaf tree takes 4 s.
const QUIET_MAX: Duration = Duration::from_secs(30);
/// Measurements of the last life.
const QUIETS: u64 = 20;
/// The same in a short run. Each costs some seconds of waiting.
const QUIETS_SHORT: u64 = 3;
/// What memory may grow from the first quiet moment to any later one. The allocator keeps what busy moments of
/// different height have needed; a leak of 60 bytes a cycle would be more than that in a full run.
const RSS_SLACK_KIB: u64 = 512;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: u64| args.get(place).map_or(Some(default), |text| text.parse().ok());
    let (Some(proxy), Some(cycles), Some(seed)) = (args.first(), number(1, 10_000), number(2, 20_261_125))
    else {
        eprintln!("usage: soak PROXY [CYCLES [SEED]]");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let soak = async { Soak::new(PathBuf::from(proxy), seed)?.run(cycles).await };
    match runtime.and_then(|runtime| LocalSet::new().block_on(&runtime, soak)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Soak {
    program: PathBuf,
    scratch: Scratch,
    config: PathBuf,
    dice: Dice,
    ways: Rc<RefCell<Ways>>,
    faults: Vec<String>,
    lives: u64,
    done: u64,
}

/// One life of the proxy, with its clients.
struct Life {
    proxy: Proxy,
    mark: String,
    ground: Rc<Ground>,
    workers: Vec<JoinHandle<()>>,
}

impl Soak {
    fn new(program: PathBuf, seed: u64) -> io::Result<Self> {
        let scratch = Scratch::new("soak")?;
        let more = json!({"limits": {"sessionIdleSeconds": 2}});
        let config = scratch.file("config.json", &config(&trees::servers()?, &more).to_string())?;
        println!("seed {seed}, {CLIENTS} clients, trees: {}", trees::NAMES.join(", "));
        Ok(Self {
            program,
            scratch,
            config,
            dice: Dice::new(seed),
            ways: Rc::default(),
            faults: Vec::new(),
            lives: 0,
            done: 0,
        })
    }

    async fn run(mut self, cycles: u64) -> io::Result<bool> {
        let every = KILL_EVERY.min(cycles / 4).max(1);
        println!(
            "\n  life  cycles  seconds | when killed: processes  files  memory KiB | left  gone after ms"
        );
        let began = Instant::now();
        while self.done < cycles {
            self.short_life(every.min(cycles - self.done)).await?;
        }
        let kills = self.lives;
        println!("\n  quiet  cycles  seconds | processes  files  memory KiB  zombies");
        self.long_life(cycles).await?;
        println!("\n{}", self.ways.borrow());
        println!(
            "{} cycles, {kills} kills in {} s: {} faults",
            self.done,
            began.elapsed().as_secs(),
            self.faults.len()
        );
        for fault in &self.faults {
            println!("  {fault}");
        }
        drop(self.scratch);
        Ok(self.faults.is_empty())
    }

    /// Ends with SIGKILL while clients are at work.
    async fn short_life(&mut self, cycles: u64) -> io::Result<()> {
        let began = Instant::now();
        let life = self.start(u64::MAX).await?;
        while life.ground.done.get() < cycles && !life.ground.is_stuck() {
            tokio::time::sleep(LOOK / 4).await;
        }
        // Not always just after the end of a cycle.
        tokio::time::sleep(self.dice.millis(0, 30)).await;
        let (processes, files) = (process::marked(&life.mark).len(), process::open_files(life.proxy.pid));
        let (memory, done) = (process::own_kib(life.proxy.pid), life.ground.done.get());
        life.ground.is_over.set(true);
        life.proxy.kill().await?;
        let killed = Instant::now();
        let left = until_none(&life.mark, CLEAN_MAX).await;
        let gone = killed.elapsed().as_millis();
        for worker in life.workers {
            worker.abort();
        }
        println!(
            "  {:>4}  {done:>6}  {:>7.1} | {processes:>22}  {files:>5}  {memory:>10} | {:>4}  {gone:>13}",
            self.lives,
            (killed - began).as_secs_f64(),
            left.len(),
        );
        self.done += done;
        self.note_left(&left, "after a kill");
        self.faults.append(&mut life.ground.faults.borrow_mut());
        Ok(())
    }

    /// Goes through many cycles, is measured whenever nothing happens, and ends in order.
    async fn long_life(&mut self, cycles: u64) -> io::Result<()> {
        let began = Instant::now();
        let mut life = self.start(0).await?;
        let idle = process::marked(&life.mark).len();
        let mut first = None;
        let quiets = if cycles < 1000 { QUIETS_SHORT } else { QUIETS };
        for quiet in 1..=quiets {
            life.ground.allowed.set(cycles * quiet / quiets);
            while life.ground.done.get() < life.ground.allowed.get() && !life.ground.is_stuck() {
                tokio::time::sleep(LOOK).await;
            }
            let deadline = Instant::now() + QUIET_MAX;
            while process::marked(&life.mark).len() > idle && Instant::now() < deadline {
                tokio::time::sleep(LOOK).await;
            }
            // The connections of the last clients idle a moment longer than their trees.
            let mut files = process::open_files(life.proxy.pid);
            while first.is_some_and(|(first, _)| files > first) && Instant::now() < deadline {
                tokio::time::sleep(LOOK).await;
                files = process::open_files(life.proxy.pid);
            }
            let processes = process::marked(&life.mark).len();
            let (memory, zombies) = (process::own_kib(life.proxy.pid), process::zombies_of(life.proxy.pid));
            let (first_files, first_memory) = *first.get_or_insert((files, memory));
            println!(
                "  {quiet:>5}  {:>6}  {:>7.1} | {processes:>9}  {files:>5}  {memory:>10}  {zombies:>7}",
                life.ground.done.get(),
                began.elapsed().as_secs_f64(),
            );
            let mut expect = |holds: bool, what: &str| {
                if !holds {
                    self.faults.push(format!("quiet moment {quiet}: {what}"));
                }
            };
            expect(processes <= idle, &format!("{processes} processes, {idle} at the start"));
            expect(files <= first_files, &format!("{files} files open, {first_files} at first"));
            expect(memory <= first_memory + RSS_SLACK_KIB, &format!("{memory} KiB, {first_memory} at first"));
            expect(zombies == 0, &format!("{zombies} zombies"));
            if let Some(status) = life.proxy.ended()? {
                self.faults.push(format!("the proxy ended by itself: {status}"));
                break;
            }
        }
        life.ground.is_over.set(true);
        let status = life.proxy.stop().await?;
        let left = until_none(&life.mark, CLEAN_MAX).await;
        println!("  stopped in order: {status}, {} processes left", left.len());
        self.done += life.ground.done.get();
        self.note_left(&left, "after the orderly end");
        self.faults.append(&mut life.ground.faults.borrow_mut());
        Ok(())
    }

    /// Starts a proxy and its clients, who go through at most `allowed` cycles.
    async fn start(&mut self, allowed: u64) -> io::Result<Life> {
        self.lives += 1;
        let value = format!("{}-{}", std::process::id(), self.lives);
        let mark = format!("SOAK_LIFE={value}");
        let proxy = Proxy::start(&self.program, &self.config, ("SOAK_LIFE", &value), Log::Errors).await?;
        let ground = Rc::new(Ground {
            port: proxy.port,
            allowed: Cell::new(allowed),
            begun: Cell::new(0),
            done: Cell::new(0),
            is_over: Cell::new(false),
            faults: RefCell::default(),
        });
        let workers = (0..CLIENTS).map(|_| {
            let (ground, dice, ways) = (ground.clone(), self.dice.fork(), self.ways.clone());
            tokio::task::spawn_local(work(ground, dice, ways))
        });
        let workers = workers.collect();
        Ok(Life { proxy, mark, ground, workers })
    }

    fn note_left(&mut self, left: &[Found], when: &str) {
        for Found { pid, command } in left {
            self.faults.push(format!("life {}: process {pid} is left {when}: {command}", self.lives));
            process::signal(*pid, rustix::process::Signal::KILL);
        }
    }
}

/// One client after the other.
async fn work(ground: Rc<Ground>, mut dice: Dice, ways: Rc<RefCell<Ways>>) {
    while !ground.is_over.get() && !ground.is_stuck() {
        if ground.begun.get() >= ground.allowed.get() {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        ground.begun.set(ground.begun.get() + 1);
        let (way, server) = (*dice.pick(&cycle::ALL), trees::choose(&mut dice));
        let result = tokio::time::timeout(CYCLE_MAX, cycle::run(ground.port, way, server, &mut dice)).await;
        if ground.is_over.get() {
            return;
        }
        let fault = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no end within {CYCLE_MAX:?}")),
        };
        if let Some(fault) = fault {
            ground.faults.borrow_mut().push(format!("{way:?} before {server}: {fault}"));
        }
        ways.borrow_mut().count(way);
        ground.done.set(ground.done.get() + 1);
    }
}

/// Waits until nobody has the mark any more; gives back who still has.
async fn until_none(mark: &str, limit: Duration) -> Vec<Found> {
    let deadline = Instant::now() + limit;
    loop {
        let left = process::marked(mark);
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// From one look at processes to the next: nobody tells when they end.
const LOOK: Duration = Duration::from_millis(50);
