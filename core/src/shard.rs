//! The thin runtime interface, and the only loop that drives the engine.
//!
//! A runtime implements the three methods of [`Host`] and calls [`Shard::turn`] with whatever happened; nothing
//! else may call [`Proxy::handle`]. A turn reads the clock once, hands the input in, carries out every output,
//! and arms one timer.

use crate::event::{Input, Output};
use crate::proxy::Proxy;
use crate::time::Now;
use crate::timer::Deadline;

/// What a runtime provides. Object-safe, synchronous, no `Send` needed.
pub trait Host {
    /// Reads the clocks.
    fn now(&mut self) -> Now;
    /// Starts an effect. Must not block and must not call back into the shard; results come as later inputs.
    fn perform(&mut self, output: Output);
    /// Wants [`Input::Timeout`] at this time; replaces the wish before. Called once a turn.
    fn wake_at(&mut self, deadline: Option<Deadline>);
}

/// One engine and its host.
#[derive(Debug)]
pub struct Shard<H> {
    proxy: Proxy,
    host: H,
}

impl<H: Host> Shard<H> {
    /// Puts an engine on a host. Call [`Shard::start`] next.
    pub fn new(proxy: Proxy, host: H) -> Self {
        Self { proxy, host }
    }

    /// Carries out what a fresh engine wants: open listeners, start servers.
    pub fn start(&mut self) {
        let now = self.host.now();
        self.proxy.start(now);
        self.drain();
    }

    /// Hands one input in and carries out everything that follows.
    pub fn turn(&mut self, input: Input<'_>) {
        let now = self.host.now();
        let timeout = input == Input::Timeout;
        self.proxy.handle(now, input);
        self.drain();
        debug_assert!(
            !timeout || self.proxy.deadline().is_none_or(|next| next.at > now.mono),
            "a timeout must move the deadline: {:?}",
            self.proxy.deadline()
        );
    }

    /// The engine, for [`Proxy::outgoing`], [`Proxy::wants_read`] and [`Proxy::wants_accept`].
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The host.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// The host, to be changed.
    pub fn host_mut(&mut self) -> &mut H {
        &mut self.host
    }

    fn drain(&mut self) {
        while let Some(output) = self.proxy.poll_output() {
            self.host.perform(output);
        }
        self.host.wake_at(self.proxy.deadline());
    }
}
