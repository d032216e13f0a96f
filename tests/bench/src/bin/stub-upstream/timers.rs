//! Replies that are due later.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use mcp_proxy_bench::net;

#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    /// timer number -> (connection token, bytes to send)
    due: HashMap<u64, (u64, Vec<u8>)>,
    next: u64,
}

impl Timers {
    pub(crate) fn add(&mut self, ms: u64, token: u64, bytes: Vec<u8>) {
        self.next += 1;
        self.heap.push(Reverse((net::now_ns() + ms * 1_000_000, self.next)));
        self.due.insert(self.next, (token, bytes));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Milliseconds until the next timer, for epoll; `None` when there is none.
    pub(crate) fn timeout(&self) -> Option<u64> {
        let Reverse((at, _)) = self.heap.peek()?;
        Some(at.saturating_sub(net::now_ns()).div_ceil(1_000_000).min(60_000))
    }

    pub(crate) fn pop_due(&mut self) -> Option<(u64, Vec<u8>)> {
        let Reverse((at, n)) = *self.heap.peek()?;
        if at > net::now_ns() {
            return None;
        }
        self.heap.pop();
        self.due.remove(&n)
    }
}
