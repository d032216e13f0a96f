//! A child process from spawn to exit.
//!
//! ```text
//!    ┌─ it closes its output ─▶ Closing ─ wait ─┐
//! Running ──stop──▶ stdin closed ──wait──▶ TERM to its group ──wait──▶ KILL to its group ──wait──▶ given up
//! ```
//!
//! Invariants: a child that was spawned is followed until it exited; at every moment it either runs for its
//! upstream or a timer will make the next step towards its end. (MCP basic/lifecycle § Shutdown.)

pub(super) mod line_rate;

use crate::effects::Effects;
use crate::event::{ChildSpec, Output, Signal};
use crate::id::ConnId;
use crate::timer::{ServerTimer, Timer};
use std::sync::Arc;

/// One child.
#[derive(Debug)]
pub(crate) struct Child {
    pub(in crate::servers) conn: ConnId,
    stage: Stage,
    timer: Option<Timer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// It has closed its output: as a rule it is about to exit, and then its exit code says more.
    Closing,
    InputClosed,
    Terminated,
    Killed,
}

impl Child {
    /// Asks for a new child.
    pub(crate) fn spawn(fx: &mut Effects, spec: Arc<ChildSpec>) -> Self {
        let conn = fx.mint();
        fx.output(Output::Spawn { conn, spec });
        Self { conn, stage: Stage::Running, timer: None }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Starts the end. What is queued for its stdin is still written.
    pub(crate) fn stop(&mut self, fx: &mut Effects) {
        if matches!(self.stage, Stage::Running | Stage::Closing) {
            self.stage = Stage::InputClosed;
            fx.shutdown(self.conn);
            self.arm(fx, fx.limits.child_stop_ms);
        }
    }

    /// It will say nothing more: its exit is awaited for a moment.
    pub(crate) fn await_exit(&mut self, fx: &mut Effects) {
        if matches!(self.stage, Stage::Running | Stage::InputClosed) {
            self.stage = Stage::Closing;
            self.arm(fx, fx.limits.exit_wait_ms);
        }
    }

    /// Whether its exit is awaited.
    pub(crate) fn is_closing(&self) -> bool {
        self.stage == Stage::Closing
    }

    /// The time for the present step is over: the next, firmer one. Returns false when even KILL did not help.
    pub(crate) fn escalate(&mut self, fx: &mut Effects) -> bool {
        let conn = self.conn;
        match self.stage {
            Stage::Running | Stage::Closing => {}
            Stage::Killed => return false,
            Stage::InputClosed => {
                self.stage = Stage::Terminated;
                fx.output(Output::Signal { conn, signal: Signal::Terminate });
                self.arm(fx, fx.limits.child_stop_ms);
            }
            Stage::Terminated => {
                self.stage = Stage::Killed;
                fx.output(Output::Signal { conn, signal: Signal::Kill });
                self.arm(fx, fx.limits.child_stop_ms);
            }
        }
        true
    }

    /// Skips to the last step.
    pub(crate) fn kill(&mut self, fx: &mut Effects) {
        if self.stage != Stage::Killed {
            self.stage = Stage::Terminated;
            self.escalate(fx);
        }
    }

    /// It is gone.
    pub(crate) fn exited(self, fx: &mut Effects) {
        if let Some(timer) = self.timer {
            fx.timers.cancel(timer);
        }
        fx.forget(self.conn);
    }

    fn arm(&mut self, fx: &mut Effects, ms: u64) {
        if let Some(timer) = self.timer.take() {
            fx.timers.cancel(timer);
        }
        self.timer = Some(fx.after(ms, ServerTimer::ChildStop, self.conn.0));
    }
}
