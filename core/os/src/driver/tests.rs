//! The smallest runtime, and what the driver promises on it. What it does on real ones is told by the end-to-end tests.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::{Pin, pin};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Waker};
use std::thread::{Builder, yield_now};
use std::time::Instant;

use mcp_proxy_core::config::{Source as Config, parse};

use super::*;
use crate::{Direction, Io, Readiness};

/// A runtime that never waits: it polls everybody again and again.
#[derive(Clone, Default)]
pub(super) struct Bare(Rc<RefCell<Vec<Running>>>);

/// A task, and whether it was cancelled.
type Running = (Rc<Cell<bool>>, Pin<Box<dyn Future<Output = ()>>>);

/// Cancels a task when it is dropped.
pub(super) struct Task(Rc<Cell<bool>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

impl Runtime for Bare {
    type Task = Task;
    type Io<T: Source> = Asked<T>;

    fn spawn(&self, work: impl Future<Output = ()> + 'static) -> Task {
        let is_cancelled: Rc<Cell<bool>> = Rc::default();
        self.0.borrow_mut().push((is_cancelled.clone(), Box::pin(work)));
        Task(is_cancelled)
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + 'static + use<> {
        poll_fn(move |_| if instant_now() < at { Poll::Pending } else { Poll::Ready(()) })
    }

    fn watch<T: Source>(&self, io: T) -> io::Result<Asked<T>> {
        Ok(Asked(io))
    }

    fn start(
        &self,
        mut command: Command,
        stdio: [Stdio; 3],
    ) -> io::Result<(u32, impl Future<Output = io::Result<ExitStatus>> + 'static + use<>)> {
        let [stdin, stdout, stderr] = stdio;
        let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn()?;
        let pid = child.id();
        let ended = move |_: &mut Context<'_>| match child.try_wait().transpose() {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        };
        Ok((pid, poll_fn(ended)))
    }
}

/// A descriptor that is asked in each poll.
pub(super) struct Asked<T>(T);

impl<T: Source> Io<T> for Asked<T> {
    fn get_ref(&self) -> &T {
        &self.0
    }

    fn poll_io<R>(
        &mut self,
        _cx: &mut Context<'_>,
        _direction: Direction,
        mut attempt: impl FnMut(&T) -> io::Result<(R, Readiness)>,
    ) -> Poll<io::Result<R>> {
        match attempt(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result.map(|(result, _)| result)),
        }
    }
}

impl Bare {
    /// Polls every task once.
    pub(super) fn step(&self) {
        let cx = &mut Context::from_waker(Waker::noop());
        let tasks = self.0.take();
        for (is_cancelled, mut work) in tasks {
            if !is_cancelled.get() && work.as_mut().poll(cx).is_pending() {
                self.0.borrow_mut().push((is_cancelled, work));
            }
        }
    }

    /// Polls all of them until this is done.
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return result;
            }
            self.step();
            yield_now();
        }
    }
}

/// An engine with one server, started by this.
pub(super) fn engine(server: &str) -> Proxy {
    let text = format!(
        r#"{{"mcpProxy":{{"addr":"127.0.0.1:0","name":"test","version":"1","type":"streamable-http"}},
            "mcpServers":{{{server}}}}}"#
    );
    let source = Config { text: &text, name: "test", strict: false, env: None };
    let config = parse(&source).unwrap().config;
    Proxy::new(Arc::new(config), mcp_proxy_core::Options::default(), [0; 32])
}

#[test]
fn four_methods_make_a_runtime() {
    let (bare, stop, (heard, hear)) = (Bare::default(), Stop::default(), channel());
    let client = Builder::new().spawn({
        let stop = stop.clone();
        move || {
            let addr: SocketAddr = hear.recv().unwrap();
            let mut stream = TcpStream::connect(addr).unwrap();
            stream
                .write_all(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            stop.stop();
            answer
        }
    });
    let log = move |record: &Record, _| {
        if let Some((_, rest)) = record.message.split_once("listening on ") {
            let addr = rest.split(|c: char| c.is_whitespace() || c == ',').next().unwrap();
            heard.send(addr.trim_start_matches("http://").parse().unwrap()).unwrap();
        }
    };
    let options = Options { log: Box::new(log), stop, ..Options::default() };
    let proxy = engine(r#""cat":{"command":"cat"}"#);
    assert_eq!(bare.run(serve(bare.clone(), proxy, options)).unwrap(), 0);
    assert!(client.unwrap().join().unwrap().starts_with("HTTP/1.1 404 "));
}

#[test]
fn nothing_is_left_of_a_proxy_that_is_dropped() {
    let bare = Bare::default();
    let log: Rc<()> = Rc::default();
    let held = log.clone();
    let options = Options { log: Box::new(move |_, _| drop(held.clone())), ..Options::default() };
    let mut work = Box::pin(serve(bare.clone(), engine(r#""cat":{"command":"cat"}"#), options));
    for _ in 0..100 {
        assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        bare.step();
    }
    drop(work);
    // The task of a child takes another one along.
    bare.step();
    bare.step();
    assert!(bare.0.borrow().is_empty());
    assert_eq!(Rc::strong_count(&log), 1);
}

#[test]
#[should_panic = "a task has panicked"]
fn a_panic_in_a_task_ends_the_proxy() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let bare = Bare::default();
    let driver = Driver::new(bare.clone(), engine(""), Options::default());
    let _task = driver.spawn(async { assert_eq!(1, 2, "on purpose") });
    // As an executor does it that goes on without the task.
    assert!(catch_unwind(AssertUnwindSafe(|| bare.step())).is_err());
    bare.run(driver.stopped());
}
