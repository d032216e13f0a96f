//! Plays many storms: `storm [seeds] [first seed] [threads]`.
//!
//! Prints progress, and at the end what was simulated. A storm that fails is named with the seed that repeats it; after
//! some of them the run ends with exit code 1. A run of one storm shows the last inputs and outputs if it fails.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program of its own, which reads the clock and its arguments"
)]

use mcp_proxy_tests::storm::{play, tally::Tally};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Failures after which a run ends.
const FAILURES_MAX: usize = 5;
/// How often progress is printed, in storms.
const PROGRESS_EVERY: u64 = 2_000;

/// What all threads share.
#[derive(Default)]
struct Run {
    next: AtomicU64,
    sum: Mutex<Tally>,
    failed: Mutex<Vec<u64>>,
}

fn main() -> ExitCode {
    let numbers: Option<Vec<u64>> = std::env::args().skip(1).map(|text| text.parse().ok()).collect();
    let Some(numbers) = numbers.filter(|numbers| numbers.len() <= 3) else {
        eprintln!("usage: storm [seeds] [first seed] [threads]");
        return ExitCode::from(2);
    };
    let number = |place: usize, usual: u64| numbers.get(place).copied().unwrap_or(usual);
    let (count, first, threads) = (number(0, 1_000), number(1, 0), number(2, 2));
    let (run, started) = (Run::default(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| play_some(&run, first, count, started));
        }
    });
    let failed = run.failed.into_inner().unwrap_or_default();
    let sum = run.sum.into_inner().unwrap_or_default();
    println!("commit           {:>14}", mcp_proxy_tests::story::commit());
    println!("wall time, s     {:>14.1}", started.elapsed().as_secs_f64());
    print!("{sum}");
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed seeds: {failed:?}");
    println!("repeat with: SIM_SEED={} cargo test -p mcp-proxy-tests sim::storm", failed[0]);
    ExitCode::FAILURE
}

/// One thread's part.
fn play_some(run: &Run, first: u64, count: u64, started: Instant) {
    loop {
        let place = run.next.fetch_add(1, Ordering::Relaxed);
        if place >= count || run.failed.lock().is_ok_and(|failed| failed.len() >= FAILURES_MAX) {
            return;
        }
        let seed = first + place;
        match catch_unwind(|| play(seed, count > 1)) {
            Ok(tally) => {
                if let Ok(mut sum) = run.sum.lock() {
                    sum.add(&tally);
                }
            }
            Err(_) => {
                if let Ok(mut failed) = run.failed.lock() {
                    failed.push(seed);
                }
            }
        }
        if (place + 1).is_multiple_of(PROGRESS_EVERY) {
            eprintln!("{:>8} storms in {:.0} s", place + 1, started.elapsed().as_secs_f64());
        }
    }
}
