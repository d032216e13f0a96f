//! Who asked, who was answered, and how: the counts, and the judgement over them.

use crate::Scene;
use crate::stage::{Role, SERVERS};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// When a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everybody connects at once: not compared with anything.
    Start,
    Before,
    Chaos,
    /// All servers run again, but some are still waited for.
    Return,
    After,
    /// Nothing is sent any more.
    Over,
}

/// What befalls a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    Kill,
    Term,
    Stop,
    Slow,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// Its own result, by this process.
    Result { pid: u32 },
    /// An error, by code.
    Error(i64, String),
    /// The answer to something else.
    Wrong(String),
    /// The exchange ended without an answer.
    Broken(String),
    /// No answer at all.
    Nothing,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Entry {
    method: &'static str,
    role: Option<Role>,
    phase: Phase,
    began: Instant,
    pub(crate) said: Said,
    late: bool,
    took: Option<Duration>,
}

impl Entry {
    pub(crate) fn new(method: &'static str, role: Option<Role>, phase: Phase) -> Self {
        Self { method, role, phase, began: Instant::now(), said: Said::Nothing, late: false, took: None }
    }

    /// The answer is there. `took` is given where it is to be compared.
    pub(crate) fn finish(&mut self, limit: Duration, took: Option<Duration>) {
        self.late = self.began.elapsed() > limit;
        self.took = took;
    }
}

/// Everything that was counted.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    counts: BTreeMap<Phase, Counts>,
    /// Microseconds of results, by phase and whether the server is healthy.
    times: BTreeMap<(Phase, bool), Vec<u64>>,
    errors: BTreeMap<String, u64>,
    pids: BTreeMap<&'static str, BTreeSet<u32>>,
    /// The latest result of each server.
    heard: BTreeMap<&'static str, Instant>,
    blows: BTreeMap<Blow, u64>,
    faults: Vec<String>,
    fault_count: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    requests: u64,
    results: u64,
    errors: u64,
    late: u64,
    duplicate: u64,
    wrong: u64,
    broken: u64,
    unanswered: u64,
}

impl Ledger {
    pub(crate) fn enter(&mut self, entry: Entry) {
        let counts = self.counts.entry(entry.phase).or_default();
        counts.requests += 1;
        counts.late += u64::from(entry.late);
        let whom = entry.role.map_or("all", |role| role.name);
        let is_healthy = entry.role.is_none_or(|role| role.is_healthy);
        let mut fault = None;
        match &entry.said {
            Said::Result { pid } => {
                counts.results += 1;
                if let (Some(role), true) = (entry.role, *pid > 0) {
                    self.pids.entry(role.name).or_default().insert(*pid);
                    self.heard.insert(role.name, Instant::now());
                }
                if let Some(took) = entry.took {
                    let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                    self.times.entry((entry.phase, is_healthy)).or_default().push(took);
                }
            }
            Said::Error(code, message) => {
                counts.errors += 1;
                *self.errors.entry(kind(*code, message, whom)).or_default() += 1;
                if is_healthy {
                    fault = Some(format!("error {code} of a healthy server: {message}"));
                }
            }
            Said::Wrong(text) => {
                counts.wrong += 1;
                fault = Some(format!("wrong answer: {text}"));
            }
            Said::Broken(why) => {
                counts.broken += 1;
                fault = Some(format!("exchange without answer: {why}"));
            }
            Said::Nothing => {
                counts.unanswered += 1;
                fault = Some("no answer".to_owned());
            }
        }
        if entry.late {
            let took = entry.began.elapsed();
            self.fault(format!(
                "{} to {whom}: answered late, after {took:?}: {:?}",
                entry.method, entry.said
            ));
        }
        if let Some(fault) = fault {
            self.fault(format!("{} to {whom} ({:?}): {fault}", entry.method, entry.phase));
        }
    }

    pub(crate) fn blow(&mut self, blow: Blow) {
        *self.blows.entry(blow).or_default() += 1;
    }

    pub(crate) fn duplicate(&mut self, what: String) {
        self.counts.entry(Phase::Chaos).or_default().duplicate += 1;
        self.fault(format!("duplicate: {what}"));
    }

    /// Notes what must not be. Only the first of them are kept.
    pub(crate) fn fault(&mut self, what: String) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_SHOWN {
            self.faults.push(what);
        }
    }

    /// The servers that have not answered since a moment.
    pub(crate) fn silent_since(&self, moment: Instant) -> Vec<&'static str> {
        let heard = |role: &Role| self.heard.get(role.name).is_some_and(|at| *at > moment);
        SERVERS.iter().filter(|role| !heard(role)).map(|role| role.name).collect()
    }

    /// Tells the result, and whether everything is as it must be.
    pub(crate) fn judge(&mut self, p99_floor_us: u64) -> bool {
        let (calm, chaos) = (self.p99(&[Phase::Before, Phase::After]), self.p99(&[Phase::Chaos]));
        println!("healthy servers, p99: calm {calm} us, chaos {chaos} us");
        if chaos > (calm * 2).max(p99_floor_us) {
            self.fault(format!("p99 of healthy servers: {chaos} us under chaos, {calm} us in the calm"));
        }
        println!("{} faults", self.fault_count);
        for fault in &self.faults {
            println!("  {fault}");
        }
        self.fault_count == 0
    }

    /// Of the healthy servers, over all of these phases.
    fn p99(&self, phases: &[Phase]) -> u64 {
        let times = phases.iter().filter_map(|phase| self.times.get(&(*phase, true)));
        percentile(&times.flatten().copied().collect::<Vec<_>>(), 99)
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n  phase   requests  results  errors  late  twice  wrong  broken  none | healthy ms p50    p99    max | others p50     p99"
        )?;
        for (phase, counts) in &self.counts {
            let Counts { requests, results, errors, late, duplicate, wrong, broken, unanswered } = counts;
            let time = |is_healthy, percent| {
                let times = self.times.get(&(*phase, is_healthy));
                times.map_or(0.0, |times| percentile(times, percent) as f64 / 1000.0)
            };
            writeln!(
                f,
                "  {:<6}  {requests:>8}  {results:>7}  {errors:>6}  {late:>4}  {duplicate:>5}  {wrong:>5}  {broken:>6}  \
                 {unanswered:>4} | {:>14.2} {:>6.2} {:>6.1} | {:>10.2} {:>7.1}",
                format!("{phase:?}").to_lowercase(),
                time(true, 50),
                time(true, 99),
                time(true, 100),
                time(false, 50),
                time(false, 99),
            )?;
        }
        writeln!(f, "\nerrors")?;
        for (kind, count) in &self.errors {
            writeln!(f, "  {count:>6}  {kind}")?;
        }
        write!(f, "\nblows:")?;
        for (blow, count) in &self.blows {
            write!(f, "  {blow:?} {count}")?;
        }
        write!(f, "\nprocesses that answered:")?;
        for (name, pids) in &self.pids {
            write!(f, "  {name} {}", pids.len())?;
        }
        writeln!(f)
    }
}

/// Waits until every server has answered anew; who has not by `deadline` is a fault.
pub(crate) async fn all_return(scene: &Rc<Scene>, deadline: Instant) {
    let began = Instant::now();
    loop {
        let silent = scene.ledger.borrow().silent_since(began);
        if silent.is_empty() {
            println!("all servers answered again after {:.1} s", began.elapsed().as_secs_f64());
            return;
        }
        if Instant::now() >= deadline {
            let line = format!("did not come back within {:?}: {}", began.elapsed(), silent.join(", "));
            return scene.ledger.borrow_mut().fault(line);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The smallest time that so many percent do not exceed.
fn percentile(times: &[u64], percent: usize) -> u64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

/// An error without what differs from one to the next.
fn kind(code: i64, message: &str, whom: &str) -> String {
    let mut words = message.replace(whom, "NAME").replace(|c: char| c.is_ascii_digit(), "0");
    if let Some((at, _)) = words.char_indices().nth(90) {
        words.truncate(at);
    }
    while words.contains("00") {
        words = words.replace("00", "0");
    }
    format!("{code} {words}")
}

/// Faults that are shown.
const FAULTS_SHOWN: usize = 40;
