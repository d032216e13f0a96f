//! The simulated runtime: a clock that the world sets, and a tray in which outputs wait for the world.

use mcp_proxy_core::event::Output;
use mcp_proxy_core::shard::Host;
use mcp_proxy_core::time::{Mono, Now, Unix};
use mcp_proxy_core::timer::Deadline;

/// 2026-01-01 in milliseconds: the wall clock at virtual time 0.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// What the engine sees of the world.
#[derive(Debug, Default)]
pub struct SimHost {
    /// Virtual time, nanoseconds.
    pub now: u64,
    /// How far the wall clock is off, milliseconds.
    pub wall_off_ms: i64,
    /// What the engine asked for in this turn, in order.
    pub outputs: Vec<Output>,
    /// When it wants to be woken.
    pub deadline: Option<Deadline>,
}

impl Host for SimHost {
    fn now(&mut self) -> Now {
        let wall = (EPOCH_MS + self.now / 1_000_000).saturating_add_signed(self.wall_off_ms);
        Now { mono: Mono(self.now), unix: Unix(wall) }
    }

    fn perform(&mut self, output: Output) {
        self.outputs.push(output);
    }

    fn wake_at(&mut self, deadline: Option<Deadline>) {
        self.deadline = deadline;
    }
}
