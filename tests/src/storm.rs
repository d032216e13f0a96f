//! Storms: a seed gives servers and bounds, a crowd with all kinds of messages, and a schedule of faults.
//!
//! | phase | what happens |
//! |---|---|
//! | storm | clients come, ask, are asked, cancel, resume and leave ([`crowd`]), users log in ([`logins`]); meanwhile the network, servers, the disk, clocks and the proxy itself fail ([`fault`]) |
//! | calm | all faults end; every request that is open is over within the limits |
//! | rest | everybody leaves; what is left is what was there in the beginning ([`rest`]) |
//! | proof | a client that comes late is served by every server, soon |
//!
//! Beside the checkers of the simulator these hold throughout: an answer is that of its request and its client; no queue
//! is longer than its bound. Left out: faults of TLS, and bytes that are spoilt on their way to or from a client, whose
//! reader takes every flaw for one of the proxy.

pub mod crowd;
pub mod fault;
pub mod logins;
pub mod plan;
pub mod rest;
pub mod tally;

use crate::dice::Dice;
use crate::world::World;
use crowd::{Asked, Newcomer};
use fault::Undo;
use logins::Login;
use plan::Plan;
use std::collections::BTreeSet;
use tally::Tally;

/// One storm under way.
#[derive(Debug)]
pub struct Storm {
    world: World,
    plan: Plan,
    dice: Dice,
    tally: Tally,
    /// Faults that end by themselves: when, in virtual milliseconds, and what.
    undo: Vec<(u64, Undo)>,
    /// Requests, with what they should come to.
    asked: Vec<Asked>,
    newcomers: Vec<Newcomer>,
    /// Exchanges whose stream was asked for again, by client and place.
    resumed: BTreeSet<(usize, usize)>,
    /// Servers whose words may have been lost on the way.
    harmed: BTreeSet<String>,
    logins: Vec<Login>,
    counter: u64,
}

/// Plays the storm of a seed. `quiet` keeps no record, which is faster.
///
/// # Panics
///
/// When a promise is broken.
pub fn play(seed: u64, quiet: bool) -> Tally {
    let mut storm = Storm::new(seed, quiet);
    storm.rage();
    storm.calm();
    storm.rest();
    storm.prove();
    storm.end()
}

impl Storm {
    fn new(seed: u64, quiet: bool) -> Self {
        let plan = Plan::of(seed);
        let mut world = World::new(seed, plan.cast());
        world.watch.quiet = quiet;
        let mut tally = Tally { seeds: 1, ..Tally::default() };
        if plan.tight {
            tally.fault("memory: small bounds");
        }
        Self {
            world,
            plan,
            dice: Dice::new(seed ^ 0xdeed_0000),
            tally,
            undo: Vec::new(),
            asked: Vec::new(),
            newcomers: Vec::new(),
            resumed: BTreeSet::new(),
            harmed: BTreeSet::new(),
            logins: Vec::new(),
            counter: 0,
        }
    }

    /// Everything happens at once, by chance.
    fn rage(&mut self) {
        if self.plan.logins {
            self.world.until_open();
            self.first_logins();
        }
        let crowd = self.dice.range(2, self.plan.crowd_max);
        for _ in 0..crowd {
            self.arrive();
        }
        for _ in 0..30 + 3 * crowd {
            if self.dice.chance(self.plan.faults_per_mille) {
                self.inject();
            }
            self.act();
            let pause_ms = match self.dice.below(40) {
                0 => self.dice.below(6_000),
                1..4 => self.dice.below(700),
                _ => self.dice.below(60),
            };
            self.pass(pause_ms);
        }
    }

    /// Lets time pass, and what is due happen.
    fn pass(&mut self, ms: u64) {
        let until = self.world.now_ms() + ms;
        while let Some(at) = self.undo.iter().map(|(at, _)| *at).filter(|at| *at <= until).min() {
            self.world.run_ms(at.saturating_sub(self.world.now_ms()));
            self.undo_due();
        }
        self.world.run_ms(until.saturating_sub(self.world.now_ms()));
        self.welcome();
        self.check_queues();
    }
}
