//! What the engine sees of the driver: two clocks, and outputs that become tasks, flags and wakes.
//!
//! Invariants: nothing here blocks or calls the engine. A task that is done takes itself out of the tables
//! *before* it reports its last input, since that input may put a successor under the same id.

use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Waker};

use mcp_proxy_core::Host;
use mcp_proxy_core::event::{ChildSpec, ListenAddr, Output, Signal, StoreKey};
use mcp_proxy_core::id::{ConnId, IdMap, ListenerId};
use mcp_proxy_core::log::Record;
use mcp_proxy_core::time::Now;
use mcp_proxy_core::timer::Deadline;
use mcp_proxy_core::tls::Trust;
use rustix::process::Pid;

use super::store::Store;
use super::{Driver, child, dial, listen};
use crate::child::Process;
use crate::store::Request;
use crate::{Alarm, Clock, Gate, Guard, Link, Log, Options, Runtime};

/// The host of the engine.
pub(super) struct DriverHost<R: Runtime> {
    driver: Weak<Driver<R>>,
    log: Log,
    accepted: u64,
    conns: IdMap<ConnId, Slot<R>>,
    listeners: Vec<Listening<R>>,
    stopped: Option<u8>,
    stop_waker: Option<Waker>,
    pub(super) clock: Clock,
    pub(super) alarm: Alarm,
    pub(super) guard: Guard,
    /// Who keeps it.
    pub(super) keeper: Option<R::Task>,
    pub(super) trust: Trust,
    pub(super) store: Store<R>,
}

/// A connection or child of the engine's. Dropping the task drops the socket.
struct Slot<R: Runtime> {
    link: Rc<Link>,
    process: Option<Rc<Process>>,
    /// Kept only to be dropped.
    _task: R::Task,
}

struct Listening<R: Runtime> {
    id: ListenerId,
    gate: Rc<Gate>,
    /// Kept only to be dropped.
    _task: R::Task,
}

impl<R: Runtime> DriverHost<R> {
    pub(super) fn new(driver: Weak<Driver<R>>, options: Options) -> Self {
        Self {
            driver,
            log: options.log,
            accepted: 0,
            conns: IdMap::default(),
            listeners: Vec::new(),
            stopped: None,
            stop_waker: None,
            clock: Clock::start(),
            alarm: Alarm::default(),
            guard: Guard::new(options.guard),
            keeper: None,
            trust: Trust::new(options.extra_roots_pem),
            store: Store::new(options.store),
        }
    }

    /// Writes a log line with the time of the present turn.
    pub(super) fn log(&mut self, record: &Record) {
        (self.log)(record, self.clock.unix());
    }

    /// The exit code, once the engine has stopped.
    pub(super) fn poll_stopped(&mut self, cx: &Context<'_>) -> Option<u8> {
        self.stop_waker = Some(cx.waker().clone());
        self.stopped
    }

    /// The id of the next connection that comes in.
    pub(super) fn next_accepted(&mut self) -> ConnId {
        self.accepted += 1;
        ConnId::accepted(self.accepted)
    }

    /// Enters a connection or child. Whoever has the id already is dropped.
    pub(super) fn insert(&mut self, conn: ConnId, link: Rc<Link>, task: R::Task) {
        self.conns.insert(conn, Slot { link, process: None, _task: task });
    }

    /// Takes out the entry of the task that is running and goes on to its end.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    /// Whether somebody here waits for the end of this process.
    #[expect(clippy::disallowed_methods, reason = "whether there is one does not depend on the order")]
    pub(super) fn has(&self, pid: Pid) -> bool {
        let is_child = |slot: &Slot<R>| slot.process.as_ref().is_some_and(|process| process.is(pid));
        self.guard.is(pid) || self.conns.values().any(is_child)
    }

    /// Wakes the listeners that may accept again.
    pub(super) fn resume_listeners(&self, wants_accept: impl Fn(ListenerId) -> bool) {
        for listening in &self.listeners {
            if listening.gate.is_waiting() && wants_accept(listening.id) {
                listening.gate.open();
            }
        }
    }

    /// Ends what the engine has left behind: nothing after an orderly stop, everything after a hard one.
    /// Gives back the guard, which is still to be dismissed when the [store](Store::poll_written) has written.
    pub(super) fn end(&mut self) -> Guard {
        for (_, slot) in std::mem::take(&mut self.conns) {
            if let Some(process) = slot.process {
                process.signal(Signal::Kill);
            }
        }
        self.listeners.clear();
        self.keeper = None;
        self.store.end();
        std::mem::take(&mut self.guard)
    }

    fn unlisten(&mut self, listener: ListenerId) {
        self.listeners.retain(|listening| listening.id != listener);
    }

    /// Drops a connection. Its task may be the one that is running: the flag stops it there.
    fn close(&mut self, conn: ConnId) {
        if let Some(slot) = self.conns.remove(&conn) {
            slot.link.close();
            if let Some(process) = slot.process {
                process.signal(Signal::Kill);
            }
        }
    }

    fn listen(&mut self, id: ListenerId, addr: Arc<ListenAddr>) {
        let Some(driver) = self.driver.upgrade() else { return };
        let gate: Rc<Gate> = Rc::default();
        let task = listen::serve(driver.clone(), id, addr, gate.clone());
        let task = driver.spawn(task);
        self.listeners.push(Listening { id, gate, _task: task });
    }

    fn resolve(&mut self, conn: ConnId, name: Arc<str>, port: u16) {
        let Some(driver) = self.driver.upgrade() else { return };
        let task = dial::resolve(driver.clone(), conn, name, port);
        let task = driver.spawn(task);
        self.insert(conn, Rc::default(), task);
    }

    fn connect(&mut self, conn: ConnId, addr: SocketAddr, tls: Option<Arc<str>>) {
        let Some(driver) = self.driver.upgrade() else { return };
        let link: Rc<Link> = Rc::default();
        let task = dial::connect(driver.clone(), conn, addr, tls, link.clone());
        let task = driver.spawn(task);
        self.insert(conn, link, task);
    }

    fn spawn(&mut self, conn: ConnId, spec: Arc<ChildSpec>) {
        let Some(driver) = self.driver.upgrade() else { return };
        let link: Rc<Link> = Rc::default();
        let process: Rc<Process> = Rc::default();
        let task = child::run(driver.clone(), conn, spec, link.clone(), process.clone());
        let task = driver.spawn(task);
        self.conns.insert(conn, Slot { link, process: Some(process), _task: task });
    }

    fn ask_store(&mut self, key: StoreKey, request: Request) {
        let Some(driver) = self.driver.upgrade() else { return };
        self.store.ask(&driver, key, request);
    }
}

impl<R: Runtime> Host for DriverHost<R> {
    fn now(&mut self) -> Now {
        self.clock.now()
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Wake { conn } => {
                if let Some(slot) = self.conns.get(&conn) {
                    slot.link.wake();
                }
            }
            Output::Shutdown { conn } => {
                if let Some(slot) = self.conns.get(&conn) {
                    slot.link.shut_down();
                }
            }
            Output::Close { conn } => self.close(conn),
            Output::Signal { conn, signal } => {
                if let Some(process) = self.conns.get(&conn).and_then(|slot| slot.process.as_ref()) {
                    process.signal(signal);
                }
            }
            Output::Unlisten { listener } => self.unlisten(listener),
            Output::Log(record) => self.log(&record),
            Output::Stopped { code } => {
                self.stopped = Some(code);
                if let Some(waker) = self.stop_waker.take() {
                    waker.wake();
                }
            }
            Output::Listen { listener, addr } => self.listen(listener, addr),
            Output::Resolve { conn, name, port } => self.resolve(conn, name, port),
            Output::Connect { conn, addr, tls } => self.connect(conn, addr, tls),
            Output::Spawn { conn, spec } => self.spawn(conn, spec),
            Output::Load { key } => self.ask_store(key, Request::Load),
            Output::Save { key, ticket, bytes } => self.ask_store(key, Request::Save { ticket, bytes }),
            Output::SetAside { key } => {
                self.ask_store(key, Request::SetAside { unix_seconds: self.clock.unix().0 / 1000 });
            }
            Output::Derive { job, candidate } => {
                if let Some(driver) = self.driver.upgrade() {
                    self.store.derive(&driver, job, candidate);
                }
            }
        }
    }

    fn wake_at(&mut self, deadline: Option<Deadline>) {
        self.alarm.want(deadline.map(|deadline| deadline.at));
    }
}
