//! With threads that wait for the test.

use super::*;
use std::sync::mpsc::channel;
use std::task::Wake;
use std::thread::{Thread, current, park};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<T>(mut promise: Promise<T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(current())));
    loop {
        match Pin::new(&mut promise).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => park(),
        }
    }
}

#[test]
fn what_blocks_is_done_elsewhere_and_side_by_side() {
    let pool = Pool::new("test", 8);
    let (to_second, from_first) = channel();
    // The first waits for the second.
    let first = pool.run(from_first, |from| from.recv().unwrap()).unwrap();
    let second = pool.run(to_second, |to| to.send(current().id()).unwrap()).unwrap();
    wait(second);
    assert_ne!(wait(first), current().id());
}

#[test]
fn there_are_never_more_threads_than_the_bound() {
    let pool = Pool::new("test", 3);
    let promises: Vec<_> = (0..100).map(|at| pool.run(at, |at| at * 2).unwrap()).collect();
    assert!(pool.shared.lock().threads <= 3);
    let results: Vec<i32> = promises.into_iter().map(wait).collect();
    assert_eq!(results, (0..100).map(|at| at * 2).collect::<Vec<_>>());
}

#[test]
fn work_that_nobody_waits_for_any_more_is_done_all_the_same() {
    let pool = Pool::new("test", 1);
    let (to, from) = channel();
    drop(pool.run(to, |to| to.send(7).unwrap()).unwrap());
    assert_eq!(from.recv().unwrap(), 7);
}

#[test]
fn without_a_thread_the_input_comes_back() {
    // FT-405: no system has so much room for a stack.
    let mut pool = Pool::new("test", 2);
    let possible = std::mem::replace(&mut pool.stack_bytes, 1 << 60);
    for input in 0..100 {
        let refused = pool.run(input, |input| input + 1).unwrap_err();
        assert_eq!(refused.input, input);
        assert!(refused.reason.starts_with("no thread can be started for it: "), "{}", refused.reason);
    }
    // One is enough for all.
    pool.stack_bytes = possible;
    let (to, from) = channel();
    let first = pool.run(from, |from| from.recv().unwrap()).unwrap();
    pool.stack_bytes = 1 << 60;
    let second = pool.run((), |()| 2).unwrap();
    to.send(1).unwrap();
    assert_eq!((wait(first), wait(second)), (1, 2));
}

#[test]
fn a_panic_of_the_work_is_a_panic_of_who_waits() {
    let pool = Pool::new("test", 1);
    for round in 0..100 {
        let promise = pool.run((), |()| assert_eq!(1, 2, "on purpose")).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| wait(promise))).is_err());
        // And what comes next is done all the same.
        assert_eq!(wait(pool.run(round, |round| round + 1).unwrap()), round + 1);
    }
}

#[test]
fn threads_leave_with_the_pool() {
    let pool = Pool::new("test", 4);
    let shared = pool.shared.clone();
    wait(pool.run((), |()| ()).unwrap());
    drop(pool);
    let mut state = shared.lock();
    while state.threads > 0 {
        let pause = Duration::from_millis(1);
        state = shared.changed.wait_timeout(state, pause).unwrap().0;
    }
}
