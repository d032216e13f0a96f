//! The smallest runtime there is: threads that block, one channel, no async.
//!
//! ```text
//!   listeners · readers · writers · children ── events ──▶ the thread of the engine: turn, look
//!             ▲                                                                       │
//!             └────────────────── go on, write this ──────────────────────────────────┘
//! ```
//!
//! It shows what a runtime owes the engine, and nothing else. A reader reads once for each time it is told to, and what
//! it has read is handed in when the engine [wants](Proxy::wants_read) it; a writer has at most one piece of what is
//! [outgoing](Proxy::outgoing) at a time. The price is two threads a connection and four a child.
//! Deliberately absent: TLS, files, passwords, the guard, signals, speed.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use mcp_proxy_core::event::{ChildSpec, CloseCause, Command, Content, ExitStatus, ListenAddr};
use mcp_proxy_core::id::{ConnId, ListenerId};
use mcp_proxy_core::time::{Mono, Now};
use mcp_proxy_core::timer::Deadline;
use mcp_proxy_core::{Host, Input, Output, Proxy, Shard};
use mcp_proxy_os::child::{Process, command, exit_status, explain};
use mcp_proxy_os::{Clock, Log, Options, net, reason};

/// What a thread has to tell, to be done on the thread of the engine.
type Event = Box<dyn FnOnce(&mut Shard<Threads>) + Send>;

/// Drives the engine until it has stopped, and returns the exit code it asks for. Of the options it takes the log and
/// the handle to stop it.
pub(crate) fn run(proxy: Proxy, options: Options) -> io::Result<u8> {
    let (events, told) = channel();
    let waker = Waker::from(Arc::new(Bell(events.clone().into())));
    let mut shard = Shard::new(proxy, Threads::new(events, options.log));
    shard.start();
    loop {
        while options.stop.poll(&Context::from_waker(&waker)).is_ready() {
            shard.turn(Input::Command(Command::Stop));
        }
        while look(&mut shard) {}
        if let Some(code) = shard.host().stopped {
            return Ok(code);
        }
        match wait(&told, shard.host()) {
            Some(event) => event(&mut shard),
            None => shard.turn(Input::Timeout),
        }
    }
}

/// The next event, or none when the engine's time has come.
fn wait(told: &Receiver<Event>, host: &Threads) -> Option<Event> {
    let left = host.deadline.map_or(u64::MAX, |at| at.0.saturating_sub(host.clock.mono().0));
    told.recv_timeout(Duration::from_nanos(left)).ok()
}

/// Gives every thread that waits something to do, if there is something. Tells whether the engine was told anything.
fn look(shard: &mut Shard<Threads>) -> bool {
    let mut progress = false;
    for (id, listener) in &shard.host().listeners {
        if !listener.accepting.get() && shard.proxy().wants_accept(*id) {
            listener.accepting.set(listener.go_on.send(()).is_ok());
        }
    }
    let conns: Vec<ConnId> = shard.host().ends.keys().copied().collect();
    for conn in conns {
        let piece = match shard.host().ends.get(&conn) {
            Some(end) if !end.writing => shard.proxy().outgoing(conn).iter().take(PIECE).copied().collect(),
            Some(_) | None => Vec::new(),
        };
        let wanted = shard.proxy().wants_read(conn);
        let Some(end) = shard.host_mut().ends.get_mut(&conn) else { continue };
        let held = end.go_on(piece, wanted);
        let (last, ended) = (end.last(conn), end.exit.is_some());
        progress |= held.is_some() || last.is_some();
        match held {
            // After the end of a child, that of its pipes is nothing new.
            Some(Ok(bytes)) if bytes.is_empty() && ended => {}
            Some(Ok(bytes)) if bytes.is_empty() => shard.turn(Input::Eof { conn }),
            Some(Ok(bytes)) => shard.turn(Input::Received { conn, bytes: &bytes }),
            Some(Err(_)) => end_with(shard, conn, Input::Closed { conn, cause: CloseCause::Reset }),
            None => {}
        }
        if let Some(last) = last {
            end_with(shard, conn, last);
        }
    }
    progress
}

/// Forgets a connection or child, and tells the engine if it has not forgotten it before.
fn end_with(shard: &mut Shard<Threads>, conn: ConnId, last: Input<'_>) {
    if shard.host_mut().ends.remove(&conn).is_some() {
        shard.turn(last);
    }
}

/// The engine's end of a connection or child. Its threads end when it is dropped.
struct End {
    /// Makes the reader read once. `None` after the end of what there is to read.
    read: Option<Sender<()>>,
    reading: bool,
    /// What was read and is not wanted yet.
    held: Option<io::Result<Vec<u8>>>,
    /// Takes what is to be written. `None` when nothing more will be.
    write: Option<Sender<Vec<u8>>>,
    writing: bool,
    shut_down: bool,
    /// Only a connection has one.
    socket: Option<TcpStream>,
    /// Only a child has these.
    process: Option<Process>,
    exit: Option<ExitStatus>,
    complains: bool,
}

impl End {
    /// Puts the threads to work, and gives what was read if it is wanted.
    fn go_on(&mut self, piece: Vec<u8>, wanted: bool) -> Option<io::Result<Vec<u8>>> {
        if !piece.is_empty() {
            self.writing = self.write.as_ref().is_some_and(|write| write.send(piece).is_ok());
        } else if self.shut_down && !self.writing {
            self.write = None;
        }
        // After our end of a connection what comes is dropped; of a child that has ended everything is heard.
        let drops = self.socket.is_some() && self.write.is_none() && !wanted;
        let held = self.held.take_if(|_| wanted || drops || self.exit.is_some());
        if matches!(&held, Some(Ok(bytes)) if bytes.is_empty()) || matches!(&held, Some(Err(_))) {
            self.read = None;
        }
        if self.held.is_none() && !self.reading && (wanted || drops || self.exit.is_some()) {
            self.reading = self.read.as_ref().is_some_and(|read| read.send(()).is_ok());
        }
        held.filter(|held| !drops || !matches!(held, Ok(bytes) if !bytes.is_empty()))
    }

    /// The last input about it, when it has come to that.
    fn last(&self, conn: ConnId) -> Option<Input<'static>> {
        let (read, written) = (self.read.is_none(), self.write.is_none());
        match self.exit {
            Some(status) if read && !self.complains => Some(Input::Exited { conn, status }),
            None if self.socket.is_some() && read && written => {
                Some(Input::Closed { conn, cause: CloseCause::Done })
            }
            Some(_) | None => None,
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket
            && !(self.read.is_none() && self.write.is_none())
        {
            // Whoever reads or writes hears of it.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// A listening socket, whose thread accepts once for each time it is told to.
struct Listener {
    go_on: Sender<()>,
    accepting: std::cell::Cell<bool>,
    addr: Option<SocketAddr>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Nothing else ends a thread that accepts.
        if let Some(addr) = self.addr {
            let _ = TcpStream::connect(addr);
        }
    }
}

/// The host: what the engine sees of the threads.
struct Threads {
    events: Sender<Event>,
    log: Log,
    clock: Clock,
    deadline: Option<Mono>,
    accepted: u64,
    ends: BTreeMap<ConnId, End>,
    listeners: BTreeMap<ListenerId, Listener>,
    stopped: Option<u8>,
}

impl Threads {
    fn new(events: Sender<Event>, log: Log) -> Self {
        Self {
            events,
            log,
            clock: Clock::start(),
            deadline: None,
            accepted: 0,
            ends: BTreeMap::new(),
            listeners: BTreeMap::new(),
            stopped: None,
        }
    }

    /// Has something told when the present turn is over.
    fn tell(&self, event: impl FnOnce(&mut Shard<Self>) + Send + 'static) {
        let _ = self.events.send(Box::new(event));
    }

    /// Does something that blocks, and has told what came of it.
    fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut Shard<Self>, T) + Send + 'static,
    ) {
        let events = self.events.clone();
        spawn(move || {
            let result = work();
            let _ = events.send(Box::new(move |shard| then(shard, result)));
        });
    }

    /// Starts the threads of a connection.
    fn open(&mut self, conn: ConnId, stream: &TcpStream) -> io::Result<()> {
        net::tune(stream);
        let (source, sink, socket) = (stream.try_clone()?, stream.try_clone()?, stream.try_clone()?);
        let mut end = self.end(conn, source, sink, |sink| drop(sink.shutdown(Shutdown::Write)));
        end.socket = Some(socket);
        self.ends.insert(conn, end);
        Ok(())
    }

    /// Starts a reader and a writer.
    fn end<W: Write + Send + 'static>(
        &self,
        conn: ConnId,
        source: impl Read + Send + 'static,
        sink: W,
        close: impl FnOnce(W) + Send + 'static,
    ) -> End {
        let (read, go_on) = channel();
        let (write, pieces) = channel();
        let events = (self.events.clone(), self.events.clone());
        spawn(move || read_on_demand(conn, source, &go_on, &events.0));
        spawn(move || write_pieces(conn, sink, &pieces, &events.1, close));
        End {
            read: Some(read),
            reading: false,
            held: None,
            write: Some(write),
            writing: false,
            shut_down: false,
            socket: None,
            process: None,
            exit: None,
            complains: false,
        }
    }

    fn listen(&mut self, id: ListenerId, addr: Arc<ListenAddr>) {
        let (go_on, told) = channel::<()>();
        let events = self.events.clone();
        self.listeners.insert(id, Listener { go_on, accepting: false.into(), addr: None });
        spawn(move || {
            let tell = |event: Event| drop(events.send(event));
            let bound = net::listen(&addr).and_then(|socket| {
                socket.set_nonblocking(false)?;
                Ok((socket.local_addr()?, socket))
            });
            let (addr, socket) = match bound {
                Ok(bound) => bound,
                Err(error) => {
                    return tell(Box::new(move |shard| {
                        shard.turn(Input::Listening { listener: id, result: Err(&reason(&error)) });
                    }));
                }
            };
            tell(Box::new(move |shard| {
                if let Some(listener) = shard.host_mut().listeners.get_mut(&id) {
                    listener.addr = Some(addr);
                }
                shard.turn(Input::Listening { listener: id, result: Ok(addr) });
            }));
            for () in told {
                let accepted = socket.accept();
                tell(Box::new(move |shard| on_accepted(shard, id, accepted)));
            }
        });
    }

    fn start(&mut self, conn: ConnId, spec: &ChildSpec) {
        let mut command = command(spec);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command.spawn().map(|mut child| (child.stdin.take(), child.stdout.take(), child));
        let (sink, source, mut child) = match started {
            Ok((Some(sink), Some(source), child)) => (sink, source, child),
            Ok(_) => return,
            Err(error) => {
                let reason = explain(spec, &error);
                return self.tell(move |shard| shard.turn(Input::Failed { conn, reason: &reason }));
            }
        };
        let (pid, process) = (child.id(), Process::default());
        process.started(pid);
        let mut end = self.end(conn, source, sink, drop);
        (end.process, end.complains) = (Some(process), true);
        self.ends.insert(conn, end);
        self.tell(move |shard| shard.turn(Input::Spawned { conn, pid }));
        if let Some(stderr) = child.stderr.take() {
            let events = self.events.clone();
            spawn(move || read_complaints(conn, stderr, &events));
        }
        self.work(
            move || child.wait().map_or(ExitStatus::Unknown, exit_status),
            move |shard, status| {
                if let Some(end) = shard.host_mut().ends.get_mut(&conn) {
                    end.process.iter().for_each(|process| process.ended(status));
                    end.exit = Some(status);
                }
            },
        );
    }
}

impl Host for Threads {
    fn now(&mut self) -> Now {
        self.clock.now()
    }

    fn perform(&mut self, output: Output) {
        match output {
            // Everybody is looked at after each event.
            Output::Wake { .. } => {}
            Output::Shutdown { conn } => {
                if let Some(end) = self.ends.get_mut(&conn) {
                    end.shut_down = true;
                }
            }
            Output::Close { conn } => drop(self.ends.remove(&conn)),
            Output::Signal { conn, signal } => {
                if let Some(process) = self.ends.get(&conn).and_then(|end| end.process.as_ref()) {
                    process.signal(signal);
                }
            }
            Output::Unlisten { listener } => drop(self.listeners.remove(&listener)),
            Output::Log(record) => (self.log)(&record, self.clock.unix()),
            Output::Stopped { code } => self.stopped = Some(code),
            Output::Listen { listener, addr } => self.listen(listener, addr),
            Output::Resolve { conn, name, port } => self.work(
                move || {
                    let found = net::lookup(&name, port);
                    found.map_err(|error| format!("cannot resolve {name}: {}", reason(&error)))
                },
                move |shard, result| {
                    let result = result.as_deref().map_err(String::as_str);
                    shard.turn(Input::Resolved { conn, result });
                },
            ),
            Output::Connect { conn, tls: Some(_), .. } => {
                self.tell(move |shard| shard.turn(Input::Failed { conn, reason: "there is no TLS here" }));
            }
            Output::Connect { conn, addr, tls: None } => self.work(
                move || TcpStream::connect(addr),
                move |shard, stream| match stream.and_then(|stream| shard.host_mut().open(conn, &stream)) {
                    Ok(()) => shard.turn(Input::Connected { conn }),
                    Err(error) => {
                        let reason = format!("cannot connect to {addr}: {}", reason(&error));
                        shard.turn(Input::Failed { conn, reason: &reason });
                    }
                },
            ),
            Output::Spawn { conn, spec } => self.start(conn, &spec),
            Output::Load { key } => {
                self.tell(move |shard| shard.turn(Input::Loaded { key, result: Ok(Content::Absent) }));
            }
            Output::Save { key, ticket, .. } => {
                self.tell(move |shard| shard.turn(Input::Saved { key, ticket, result: Err(NO_FILES) }));
            }
            Output::SetAside { key } => {
                self.tell(move |shard| shard.turn(Input::SetAside { key, result: Err(NO_FILES) }));
            }
            Output::Derive { job, .. } => {
                self.tell(move |shard| shard.turn(Input::Derived { job, matches: false }));
            }
        }
    }

    fn wake_at(&mut self, deadline: Option<Deadline>) {
        self.deadline = deadline.map(|deadline| deadline.at);
    }
}

fn on_accepted(
    shard: &mut Shard<Threads>,
    listener: ListenerId,
    accepted: io::Result<(TcpStream, SocketAddr)>,
) {
    let host = shard.host_mut();
    let Some(open) = host.listeners.get(&listener) else { return };
    open.accepting.set(false);
    host.accepted += 1;
    let conn = ConnId::accepted(host.accepted);
    if let Ok((stream, peer)) = accepted
        && host.open(conn, &stream).is_ok()
    {
        shard.turn(Input::Accepted { conn, listener, peer });
    }
}

/// A reader: what it gives is held until it is wanted. Nothing is the end.
fn read_on_demand(conn: ConnId, mut source: impl Read, go_on: &Receiver<()>, events: &Sender<Event>) {
    let mut chunk = vec![0; PIECE];
    for () in go_on {
        let result = source.read(&mut chunk).map(|len| chunk.get(..len).unwrap_or_default().to_vec());
        let _ = events.send(Box::new(move |shard| {
            if let Some(end) = shard.host_mut().ends.get_mut(&conn) {
                end.reading = false;
                end.held = Some(result);
            }
        }));
    }
}

/// A writer: it ends when nothing more will come, and then closes its side.
fn write_pieces<W: Write>(
    conn: ConnId,
    mut sink: W,
    pieces: &Receiver<Vec<u8>>,
    events: &Sender<Event>,
    close: impl FnOnce(W),
) {
    for piece in pieces {
        let result = sink.write(&piece);
        let _ = events.send(Box::new(move |shard| {
            let Some(end) = shard.host_mut().ends.get_mut(&conn) else { return };
            end.writing = false;
            let lost = Input::Closed { conn, cause: CloseCause::Reset };
            match result {
                Ok(len) if len > 0 => shard.turn(Input::Sent { conn, len }),
                Ok(_) | Err(_) if end.socket.is_some() => end_with(shard, conn, lost),
                // A child may live on without.
                Ok(_) | Err(_) => {
                    end.write = None;
                    shard.turn(lost);
                }
            }
        }));
    }
    close(sink);
}

/// The reader of stderr, which is heard whether it is wanted or not.
fn read_complaints(conn: ConnId, mut stderr: impl Read, events: &Sender<Event>) {
    let mut chunk = vec![0; PIECE];
    while let Ok(len) = stderr.read(&mut chunk)
        && len > 0
    {
        let bytes = chunk.get(..len).unwrap_or_default().to_vec();
        let _ = events.send(Box::new(move |shard| shard.turn(Input::Stderr { conn, bytes: &bytes })));
    }
    let _ = events.send(Box::new(move |shard| {
        if let Some(end) = shard.host_mut().ends.get_mut(&conn) {
            end.complains = false;
        }
    }));
}

/// Wakes the thread of the engine, which then looks at the handle to stop it.
struct Bell(std::sync::Mutex<Sender<Event>>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Ok(events) = self.0.lock() {
            let _ = events.send(Box::new(|_| {}));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "threads are the point of this")]
fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

/// One read, one write.
const PIECE: usize = 64 * 1024;

const NO_FILES: &str = "nothing is kept here";
