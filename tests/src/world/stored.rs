//! The host's side of what is kept, and of passwords.

use super::World;
use crate::cast::Cast;
use crate::disk::{Disk, Done};
use crate::net::{Event, MS};
use mcp_proxy_core::event::{Candidate, Content, Input, Output};

impl World {
    /// Begins what an output asks for.
    pub(super) fn keep(&mut self, output: Output) {
        let id = match output {
            Output::Load { key } => self.disk.load(key),
            Output::Save { key, ticket, bytes } => self.disk.save(key, ticket, bytes.expose().to_vec()),
            Output::SetAside { key } => self.disk.set_aside(key),
            Output::Derive { job, candidate } => return self.derive(job, *candidate),
            other => panic!("{other:?} is not about the store"),
        };
        let delay = Disk::delay(&mut self.net.dice) + self.disk.slow_ms * MS;
        self.net.plan(delay, Event::Stored(id));
    }

    /// The cast knows what its hashes are of: hashing itself is tested elsewhere.
    fn derive(&mut self, job: u64, candidate: Candidate) {
        let of = self.cast.hashes.get(candidate.stored.expose());
        let matches = of == Some(candidate.password.expose());
        self.derived += 1;
        self.hashing += 1;
        self.hashing_most = self.hashing_most.max(self.hashing);
        self.net.plan(self.hashing_ms * MS, Event::Derived(job, matches));
    }

    pub(super) fn on_stored(&mut self, id: u64) {
        match self.disk.finish(id) {
            None => {}
            Some(Done::Loaded(key, result, same)) => {
                let content = result.as_ref().map(|bytes| match bytes {
                    Some(_) if same => Content::Same,
                    Some(bytes) => Content::Bytes(bytes),
                    None => Content::Absent,
                });
                self.turn(&Input::Loaded { key, result: content.map_err(|reason| *reason) });
            }
            Some(Done::Saved(key, ticket, result)) => self.turn(&Input::Saved { key, ticket, result }),
            Some(Done::SetAside(key, result)) => self.turn(&Input::SetAside { key, result }),
        }
    }

    /// Kills the process and starts another on the same disk, at the same time, in a new world.
    #[must_use]
    pub fn crash(mut self) -> Self {
        let disk = std::mem::take(&mut self.disk).crash(&mut self.net.dice);
        self.stopped = Some(137);
        let (seed, mut cast, now) = (self.seed, self.cast.clone(), self.net.now);
        cast.secrets = self.watch.secrets().to_vec();
        self.crashes += 1;
        let mut next = Self::on(seed ^ (self.crashes << 32), cast, disk, now, self.shard.host().wall_off_ms);
        next.seed = seed;
        next.crashes = self.crashes;
        next.watch.quiet = self.watch.quiet;
        next.net.weather = self.net.weather;
        next.publishers.clone_from(&self.publishers);
        next
    }

    /// The same in place.
    pub fn crash_here(&mut self) {
        let world = std::mem::replace(self, Self::new(0, Cast::default()));
        *self = world.crash();
    }

    /// What the program is started with from the next crash on.
    pub fn recast(&mut self, change: impl FnOnce(Cast) -> Cast) {
        self.cast = change(self.cast.clone());
    }
}
