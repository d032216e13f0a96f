//! A handle that stops a running proxy from another thread or task.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Stops the proxy that was given a clone of it.
///
/// The first [`stop`](Self::stop) lets running calls finish within the grace period, ends the children and then the
/// proxy; the second ends it at once. Before the start it counts as well.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    wanted: u32,
    waker: Option<Waker>,
}

impl Stop {
    /// Asks for the end.
    pub fn stop(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.wanted = state.wanted.saturating_add(1);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// For runtimes: ready once for each time that somebody asked. One task at a time may wait.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.wanted.checked_sub(1) {
            Some(rest) => {
                state.wanted = rest;
                Poll::Ready(())
            }
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Count(AtomicU32);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_stop_is_told_once_and_none_is_lost() {
        let stop = Stop::default();
        let count = Arc::new(Count(AtomicU32::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        stop.stop();
        assert_eq!(stop.poll(&cx), Poll::Ready(()));
        assert_eq!(stop.poll(&cx), Poll::Pending);
        let other = stop.clone();
        other.stop();
        stop.stop();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(
            (stop.poll(&cx), stop.poll(&cx), stop.poll(&cx)),
            (Poll::Ready(()), Poll::Ready(()), Poll::Pending)
        );
    }
}
