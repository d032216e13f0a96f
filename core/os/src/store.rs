//! What is kept for the engine and read for it: the work, which blocks, and the order it is done in.
//!
//! ```text
//!   ask ──▶ one line per key ── begin ──▶ Work::perform, on another thread ──▶ finish ──▶ Answer
//! ```
//!
//! Invariants:
//! - Requests for one key are done one at a time, in the order of asking; those for different keys do not wait for each
//!   other.
//! - After [`Store::end`] only what writes is still done, and nothing is reported.
//! - What is stored is never part of a reason or of a warning.
//!
//! Deliberately absent: threads and tasks, which are the runtime's; what the bytes mean, retries, and a bound on what
//! waits, all of which are the engine's; watching for changes, since the engine asks when it needs to know.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use mcp_proxy_core::Input;
use mcp_proxy_core::event::{Content, StoreKey};
use mcp_proxy_core::redacted::Redacted;

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

/// The requests of the engine, those under way and those that wait.
#[derive(Debug)]
pub struct Store {
    options: Option<StoreOptions>,
    lines: BTreeMap<StoreKey, Line>,
    /// The engine has stopped and hears nothing more.
    ended: bool,
}

/// The requests for one key.
#[derive(Debug)]
struct Line {
    /// Lent to the request under way.
    place: Option<Place>,
    waiting: VecDeque<Request>,
    /// Somebody works it off.
    served: bool,
    /// Whether the request under way must not be cut off.
    writing: bool,
}

/// What the engine wants of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// [`Output::Load`](mcp_proxy_core::Output::Load).
    Load,
    /// [`Output::Save`](mcp_proxy_core::Output::Save).
    Save {
        /// To be given back.
        ticket: u64,
        /// The new contents.
        bytes: Redacted<Arc<[u8]>>,
    },
    /// [`Output::SetAside`](mcp_proxy_core::Output::SetAside).
    SetAside {
        /// The time for the new name.
        unix_seconds: u64,
    },
}

/// A request that is to be done now.
#[derive(Debug)]
pub struct Work {
    key: StoreKey,
    place: Place,
    request: Request,
}

/// A request that is done.
#[derive(Debug)]
pub struct Done {
    key: StoreKey,
    place: Place,
    answer: Answer,
    warnings: Warnings,
}

/// What has become of a request.
#[derive(Debug)]
pub struct Answer {
    key: StoreKey,
    outcome: Outcome,
}

/// What lies behind a key.
#[derive(Debug)]
enum Place {
    /// Nothing, because nothing is configured.
    Nowhere,
    /// The same, but the engine was promised something.
    Missing,
    Vault(Vault),
    Watched(Watched),
}

/// The owned twin of [`Content`].
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Absent,
    Same,
    Bytes(Vec<u8>),
}

#[derive(Debug)]
enum Outcome {
    Loaded(Result<Found, String>),
    Saved { ticket: u64, result: Result<(), String> },
    SetAside(Result<String, String>),
}

/// What an operator should hear although the request went well.
type Warnings = Vec<String>;

impl Store {
    /// Keeps and reads things there; nowhere without options.
    pub fn new(options: Option<StoreOptions>) -> Self {
        Self { options, lines: BTreeMap::new(), ended: false }
    }

    /// Takes a request. Says whether somebody is to be found who works the line of its key off.
    #[must_use]
    pub fn ask(&mut self, key: StoreKey, request: Request) -> bool {
        let options = self.options.as_ref();
        let line = self.lines.entry(key).or_insert_with(|| Line::new(Place::of(key, options)));
        line.waiting.push_back(request);
        !std::mem::replace(&mut line.served, true)
    }

    /// The next request for this key. Without one, whoever works its line off is done.
    pub fn begin(&mut self, key: StoreKey) -> Option<Work> {
        let line = self.lines.get_mut(&key)?;
        let Some(request) = line.waiting.pop_front() else {
            line.served = false;
            return None;
        };
        line.writing = request.writes();
        Some(Work { key, place: line.place.take()?, request })
    }

    /// Takes note that a request is done. Gives what an operator should hear although it went well, and the answer if
    /// the engine still wants to hear it.
    pub fn finish(&mut self, done: Done) -> (Vec<String>, Option<Answer>) {
        let Done { key, place, answer, warnings } = done;
        if let Some(line) = self.lines.get_mut(&key) {
            line.place = Some(place);
            line.writing = false;
        }
        (warnings, Some(answer).filter(|_| !self.ended))
    }

    /// Gives up everything but the writes that were asked for. Whoever works these lines off is to be awaited, all
    /// others may be cut off.
    pub fn end(&mut self) -> Vec<StoreKey> {
        self.ended = true;
        let mut writing = Vec::new();
        for (key, line) in &mut self.lines {
            line.waiting.retain(Request::writes);
            if line.writing || !line.waiting.is_empty() {
                writing.push(*key);
            }
        }
        writing
    }

    /// Whether a write is under way or waits.
    pub fn is_writing(&self) -> bool {
        self.lines.values().any(|line| line.writing || line.waiting.iter().any(Request::writes))
    }
}

impl Line {
    const fn new(place: Place) -> Self {
        Self { place: Some(place), waiting: VecDeque::new(), served: false, writing: false }
    }
}

impl Work {
    /// Does it. Blocks, for as long as a disk or another process takes.
    #[must_use]
    pub fn perform(self) -> Done {
        let Self { key, mut place, request } = self;
        let mut warnings = Warnings::new();
        let outcome = place.perform(&request, &mut warnings);
        Done { key, place, answer: Answer { key, outcome }, warnings }
    }

    /// Does not do it, for this reason.
    #[must_use]
    pub fn refuse(self, reason: String) -> Done {
        let Self { key, place, request } = self;
        let outcome = match request {
            Request::Load => Outcome::Loaded(Err(reason)),
            Request::Save { ticket, .. } => Outcome::Saved { ticket, result: Err(reason) },
            Request::SetAside { .. } => Outcome::SetAside(Err(reason)),
        };
        Done { key, place, answer: Answer { key, outcome }, warnings: Warnings::new() }
    }
}

impl Answer {
    /// What the engine is to be told.
    pub fn input(&self) -> Input<'_> {
        let key = self.key;
        match &self.outcome {
            Outcome::Loaded(result) => {
                let result = match result {
                    Ok(Found::Absent) => Ok(Content::Absent),
                    Ok(Found::Same) => Ok(Content::Same),
                    Ok(Found::Bytes(bytes)) => Ok(Content::Bytes(bytes)),
                    Err(reason) => Err(reason.as_str()),
                };
                Input::Loaded { key, result }
            }
            Outcome::Saved { ticket, result } => {
                let result = result.as_ref().copied().map_err(String::as_str);
                Input::Saved { key, ticket: *ticket, result }
            }
            Outcome::SetAside(result) => {
                Input::SetAside { key, result: result.as_deref().map_err(String::as_str) }
            }
        }
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

    fn perform(&mut self, request: &Request, warnings: &mut Warnings) -> Outcome {
        match request {
            Request::Load => Outcome::Loaded(self.load(warnings)),
            Request::Save { ticket, bytes } => {
                Outcome::Saved { ticket: *ticket, result: self.save(bytes.expose()) }
            }
            Request::SetAside { unix_seconds } => Outcome::SetAside(self.set_aside(*unix_seconds, warnings)),
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

const NOT_CONFIGURED: &str = "no place for it is configured";

const READ_ONLY: &str = "it belongs to the operator and is only read";

#[cfg(test)]
mod tests;
