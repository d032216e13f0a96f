//! What is kept for the engine and read for it, and the comparing of passwords: everything that blocks.
//!
//! ```text
//!   Load, Save, SetAside ── one line per key ── one request at a time ─┐
//!   Derive ──────────────── semaphore ──────── one per processor ──────┴─ threads of the `blocking` pool
//! ```
//!
//! Invariants:
//! - No file is touched on the thread of the engine. Requests for one key are done in the order of asking; those
//!   for different keys do not wait for each other.
//! - A write that was asked for is done before the runtime ends. Whatever else is under way then is given up.
//! - What is stored and what was typed is never part of a reason or of a log line.
//!
//! Deliberately absent: what the bytes mean, retries, and a bound on what waits, all of which are the engine's;
//! watching for changes, since the engine asks when it needs to know.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::available_parallelism;

use mcp_proxy_core::Input;
use mcp_proxy_core::event::{Candidate, Content, StoreKey};
use mcp_proxy_core::log::Level;
use mcp_proxy_core::oauth::password;
use mcp_proxy_core::redacted::Redacted;
use smol::Task;
use smol::lock::Semaphore;

use crate::Runtime;
use vault::Vault;
use watched::Watched;

mod dir;
mod vault;
mod watched;

/// Where the things lie that the engine keeps and reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The directory of `oauth_clients.json`. Missing parts are created, for the owner alone. At most one process
    /// uses it at a time.
    pub dir: PathBuf,
    /// The directory of the operator's page templates, for instance `…/templates/oauth`. It need not exist.
    pub templates: PathBuf,
    /// The operator's list of users, if there is one.
    pub users_file: Option<PathBuf>,
}

/// The requests of the engine that block, those under way and those that wait.
pub(crate) struct Store {
    options: Option<StoreOptions>,
    lines: BTreeMap<StoreKey, Line>,
    /// More at a time would only make each of them later.
    processors: Rc<Semaphore>,
    derivations: BTreeMap<u64, Task<()>>,
    /// The engine has stopped and hears nothing more.
    ended: bool,
}

/// The requests for one key.
struct Line {
    /// Lent to the request under way.
    place: Option<Place>,
    waiting: VecDeque<Request>,
    /// Whether the request under way must not be cut off.
    writing: bool,
    task: Option<Task<()>>,
}

/// What the engine wants of a key.
pub(crate) enum Request {
    Load,
    Save { ticket: u64, bytes: Redacted<Arc<[u8]>> },
    SetAside { unix_seconds: u64 },
}

/// What lies behind a key.
enum Place {
    /// Nothing, because nothing is configured.
    Nowhere,
    /// The same, but the engine was promised something.
    Missing,
    Vault(Vault),
    Watched(Watched),
}

/// The owned twin of [`Content`].
#[derive(PartialEq, Eq)]
enum Found {
    Absent,
    Same,
    Bytes(Vec<u8>),
}

/// What has become of a request.
enum Answer {
    Loaded(Result<Found, String>),
    Saved { ticket: u64, result: Result<(), String> },
    SetAside(Result<String, String>),
}

/// What an operator should hear although the request went well.
type Warnings = Vec<String>;

impl Store {
    pub(crate) fn new(options: Option<StoreOptions>) -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            options,
            lines: BTreeMap::new(),
            processors: Rc::new(Semaphore::new(processors)),
            derivations: BTreeMap::new(),
            ended: false,
        }
    }

    /// Takes a request. It is done when those for the same key before it are.
    pub(crate) fn ask(&mut self, runtime: &Rc<Runtime>, key: StoreKey, request: Request) {
        let options = self.options.as_ref();
        let line = self.lines.entry(key).or_insert_with(|| Line::new(Place::of(key, options)));
        line.waiting.push_back(request);
        if line.task.is_none() {
            line.task = Some(runtime.executor().spawn(serve(runtime.clone(), key)));
        }
    }

    /// Takes a password to compare.
    pub(crate) fn derive(&mut self, runtime: &Rc<Runtime>, job: u64, candidate: Box<Candidate>) {
        let task = derive(runtime.clone(), job, candidate, self.processors.clone());
        self.derivations.insert(job, runtime.executor().spawn(task));
    }

    /// Reports nothing more, and gives up everything but the writes that were asked for. Their tasks are to be
    /// awaited.
    pub(crate) fn end(&mut self) -> Vec<Task<()>> {
        self.ended = true;
        self.derivations.clear();
        let mut writes = Vec::new();
        for line in self.lines.values_mut() {
            line.waiting.retain(Request::writes);
            let task = line.task.take();
            if line.writing || !line.waiting.is_empty() {
                writes.extend(task);
            }
        }
        writes
    }

    /// The next request for this key, and what it is about. Without one its task ends.
    fn begin(&mut self, key: StoreKey) -> Option<(Place, Request)> {
        let line = self.lines.get_mut(&key)?;
        let Some(request) = line.waiting.pop_front() else {
            if let Some(task) = line.task.take() {
                task.detach();
            }
            return None;
        };
        line.writing = request.writes();
        Some((line.place.take()?, request))
    }

    /// Takes the place back. Says whether the engine still wants to hear what has become of the request.
    fn finish(&mut self, key: StoreKey, place: Place) -> bool {
        if let Some(line) = self.lines.get_mut(&key) {
            line.place = Some(place);
            line.writing = false;
        }
        !self.ended
    }

    fn forget(&mut self, job: u64) {
        if let Some(task) = self.derivations.remove(&job) {
            task.detach();
        }
    }
}

impl Line {
    const fn new(place: Place) -> Self {
        Self { place: Some(place), waiting: VecDeque::new(), writing: false, task: None }
    }
}

impl Request {
    const fn writes(&self) -> bool {
        match self {
            Self::Load => false,
            Self::Save { .. } | Self::SetAside { .. } => true,
        }
    }
}

impl Place {
    fn of(key: StoreKey, options: Option<&StoreOptions>) -> Self {
        let users = options.and_then(|options| options.users_file.as_ref());
        match (key, options, users) {
            (StoreKey::OAuth, Some(options), _) => Self::Vault(Vault::new(options.dir.clone())),
            (StoreKey::Page(kind), Some(options), _) => {
                Self::Watched(Watched::optional(options.templates.join(kind.file_name())))
            }
            (StoreKey::Users, _, Some(users)) => Self::Watched(Watched::required(users.clone())),
            (StoreKey::Users, _, None) => Self::Missing,
            (StoreKey::OAuth | StoreKey::Page(_), None, _) => Self::Nowhere,
        }
    }

    /// Does what was asked for. Blocks.
    fn perform(&mut self, request: &Request, warnings: &mut Warnings) -> Answer {
        match request {
            Request::Load => Answer::Loaded(self.load(warnings)),
            Request::Save { ticket, bytes } => {
                Answer::Saved { ticket: *ticket, result: self.save(bytes.expose()) }
            }
            Request::SetAside { unix_seconds } => Answer::SetAside(self.set_aside(*unix_seconds, warnings)),
        }
    }

    fn load(&mut self, warnings: &mut Warnings) -> Result<Found, String> {
        match self {
            Self::Nowhere => Ok(Found::Absent),
            Self::Missing => Err(NOT_CONFIGURED.to_owned()),
            Self::Vault(vault) => vault.load(warnings),
            Self::Watched(watched) => watched.load(),
        }
    }

    fn save(&self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Nowhere | Self::Missing => Err(NOT_CONFIGURED.to_owned()),
            Self::Vault(vault) => vault.save(bytes),
            Self::Watched(_) => Err(READ_ONLY.to_owned()),
        }
    }

    fn set_aside(&self, unix_seconds: u64, warnings: &mut Warnings) -> Result<String, String> {
        match self {
            Self::Nowhere | Self::Missing => Err(NOT_CONFIGURED.to_owned()),
            Self::Vault(vault) => vault.set_aside(unix_seconds, warnings),
            Self::Watched(_) => Err(READ_ONLY.to_owned()),
        }
    }
}

impl Answer {
    fn report(&self, runtime: &Runtime, key: StoreKey) {
        match self {
            Self::Loaded(result) => {
                let result = match result {
                    Ok(Found::Absent) => Ok(Content::Absent),
                    Ok(Found::Same) => Ok(Content::Same),
                    Ok(Found::Bytes(bytes)) => Ok(Content::Bytes(bytes)),
                    Err(reason) => Err(reason.as_str()),
                };
                runtime.turn(Input::Loaded { key, result });
            }
            Self::Saved { ticket, result } => {
                let result = result.as_ref().copied().map_err(String::as_str);
                runtime.turn(Input::Saved { key, ticket: *ticket, result });
            }
            Self::SetAside(result) => {
                let result = result.as_deref().map_err(String::as_str);
                runtime.turn(Input::SetAside { key, result });
            }
        }
    }
}

/// Works off the line of a key, and ends when it is empty.
async fn serve(runtime: Rc<Runtime>, key: StoreKey) {
    while let Some((mut place, request)) = runtime.with_host(|host| host.store.begin(key)) {
        let work = move || {
            let mut warnings = Warnings::new();
            let answer = place.perform(&request, &mut warnings);
            (place, answer, warnings)
        };
        let (place, answer, warnings) = smol::unblock(work).await;
        let wanted = runtime.with_host(|host| host.store.finish(key, place));
        for warning in warnings {
            runtime.log(Level::Warn, warning);
        }
        if wanted {
            answer.report(&runtime, key);
        }
    }
}

async fn derive(runtime: Rc<Runtime>, job: u64, candidate: Box<Candidate>, processors: Rc<Semaphore>) {
    let matches = {
        let _processor = processors.acquire().await;
        let work = move || password::verify(candidate.password.expose(), candidate.stored.expose());
        smol::unblock(work).await
    };
    runtime.with_host(|host| host.store.forget(job));
    runtime.turn(Input::Derived { job, matches });
}

const NOT_CONFIGURED: &str = "no place for it is configured";

const READ_ONLY: &str = "it belongs to the operator and is only read";

#[cfg(test)]
mod tests;
