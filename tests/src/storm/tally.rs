//! What storms came to: how long, how much went wrong, what was asked and how it was answered.

use std::collections::BTreeMap;
use std::fmt;

/// The sum of some storms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many storms.
    pub seeds: u64,
    /// Virtual time, milliseconds.
    pub virtual_ms: u64,
    /// Inputs that engines were handed.
    pub inputs: u64,
    /// Clients that shook hands.
    pub clients: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Requests and other deeds of clients by kind.
    pub requests: BTreeMap<String, u64>,
    /// Requests by what they came to.
    pub answers: BTreeMap<String, u64>,
}

impl Tally {
    /// Notes a fault.
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// Notes a deed of a client.
    pub fn request(&mut self, kind: &str) {
        *self.requests.entry(kind.to_owned()).or_default() += 1;
    }

    /// Notes what a request came to.
    pub fn answer(&mut self, kind: &str) {
        *self.answers.entry(kind.to_owned()).or_default() += 1;
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.virtual_ms += other.virtual_ms;
        self.inputs += other.inputs;
        self.clients += other.clients;
        other.faults.iter().for_each(|(kind, n)| *self.faults.entry(kind).or_default() += n);
        other.requests.iter().for_each(|(kind, n)| *self.requests.entry(kind.clone()).or_default() += n);
        other.answers.iter().for_each(|(kind, n)| *self.answers.entry(kind.clone()).or_default() += n);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.virtual_ms as f64 / 3_600_000.0;
        writeln!(f, "storms           {:>14}", self.seeds)?;
        writeln!(f, "simulated hours  {hours:>14.1}")?;
        writeln!(f, "inputs           {:>14}", self.inputs)?;
        writeln!(f, "clients          {:>14}", self.clients)?;
        writeln!(f, "faults           {:>14}", self.faults.values().sum::<u64>())?;
        self.faults.iter().try_for_each(|(kind, n)| writeln!(f, "  {kind:<36}{n:>10}"))?;
        writeln!(f, "requests         {:>14}", self.requests.values().sum::<u64>())?;
        self.requests.iter().try_for_each(|(kind, n)| writeln!(f, "  {kind:<36}{n:>10}"))?;
        writeln!(f, "answers          {:>14}", self.answers.values().sum::<u64>())?;
        self.answers.iter().try_for_each(|(kind, n)| writeln!(f, "  {kind:<36}{n:>10}"))
    }
}
