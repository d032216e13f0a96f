//! The file of the authorization server: read once, then replaced again and again.
//!
//! ```text
//!   new ── load ──> open: directory checked, lock held, litter gone ── load Ok ──> save, set aside
//!            └ Err: stays new, the next load tries again
//! ```
//!
//! Invariants: nothing is written before the file was read, so that what is there is never lost unseen; at any
//! moment, and after any crash, the file holds either the old or the new bytes; only one process has the directory
//! open. The lock is never removed: whoever removes a lock file takes it from somebody who waits for it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use super::dir::{Dir, is_wide, permissions, restrict};
use super::{Found, Warnings};
use crate::reason;

/// The file and its directory.
#[derive(Debug)]
pub(super) struct Vault {
    path: PathBuf,
    /// How often the lock is tried.
    pub(super) lock_tries: u32,
    open: Option<Open>,
    /// Whether the last load went well.
    read: bool,
}

#[derive(Debug)]
struct Open {
    dir: Dir,
    /// Held as long as it is open.
    _lock: File,
}

impl Vault {
    /// In this directory, which is not touched yet.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, lock_tries: LOCK_TRIES, open: None, read: false }
    }

    /// Reads the file. The first time it waits for the lock.
    ///
    /// # Errors
    /// Directory, lock or file is not as it should be, in words for an operator.
    pub(super) fn load(&mut self, warnings: &mut Warnings) -> Result<Found, String> {
        self.read = false;
        let open = match self.open.take() {
            Some(open) => open,
            None => Open::new(&self.path, self.lock_tries, warnings)?,
        };
        let dir = &self.open.insert(open).dir;
        let found = read(dir, warnings)
            .map_err(|error| format!("cannot read {}: {}", dir.path(FILE), reason(&error)))?;
        self.read = true;
        Ok(found)
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// It is as it was, or it is not certain that the new one survives a crash.
    pub(super) fn save(&self, bytes: &[u8]) -> Result<(), String> {
        let dir = self.dir()?;
        let temp = temp_name()?;
        let saved = match bytes.len() > BYTES_MAX {
            true => Err(too_large()),
            false => dir.replace(FILE, &temp, |file| file.write_all(bytes)),
        };
        saved.map_err(|error| format!("cannot write {}: {}", dir.path(FILE), reason(&error)))
    }

    /// Moves the file out of the way and says what its name is now.
    ///
    /// # Errors
    /// It is where it was.
    pub(super) fn set_aside(&self, unix_seconds: u64, warnings: &mut Warnings) -> Result<String, String> {
        let dir = self.dir()?;
        let name = set_aside(dir, unix_seconds)
            .map_err(|error| format!("cannot set {} aside: {}", dir.path(FILE), reason(&error)))?;
        if let Err(error) = dir.sync() {
            // After a crash the file may be back, and is set aside again.
            warnings.push(format!("cannot sync {}: {}", self.path.display(), reason(&error)));
        }
        Ok(name)
    }

    fn dir(&self) -> Result<&Dir, String> {
        let open = self.open.as_ref().filter(|_| self.read);
        Ok(&open.ok_or("what is there has not been read yet")?.dir)
    }
}

impl Open {
    fn new(path: &Path, lock_tries: u32, warnings: &mut Warnings) -> Result<Self, String> {
        let dir = Dir::open(path, warnings)?;
        let locked = lock(&dir, lock_tries)
            .map_err(|error| format!("cannot lock {}: {}", dir.path(LOCK), reason(&error)))?;
        let lock = locked.ok_or_else(|| {
            format!("another process uses {}: it holds the lock {LOCK} there", path.display())
        })?;
        if let Err(error) = dir.sweep(is_temp_name) {
            let error = reason(&error);
            warnings.push(format!("cannot remove old temporary files in {}: {error}", path.display()));
        }
        Ok(Self { dir, _lock: lock })
    }
}

/// Takes the lock, or gives `None` if somebody keeps it.
fn lock(dir: &Dir, tries: u32) -> io::Result<Option<File>> {
    let (file, meta) = dir.file(LOCK, OFlags::RDWR | OFlags::CREATE)?;
    if permissions(&meta) != 0o600 {
        restrict(&file)?;
    }
    for tried in 1..=tries {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK) if tried < tries => sleep(LOCK_PAUSE),
            Err(Errno::WOULDBLOCK) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(None)
}

fn read(dir: &Dir, warnings: &mut Warnings) -> io::Result<Found> {
    let (file, meta) = match dir.file(FILE, OFlags::RDONLY) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
        Err(error) => return Err(error),
    };
    if is_wide(&meta) {
        restrict(&file)?;
        let mode = permissions(&meta);
        warnings.push(format!("{} had mode {mode:04o}, now it is 0600", dir.path(FILE)));
    }
    match read_at_most(&file, BYTES_MAX)? {
        Some(bytes) => Ok(Found::Bytes(bytes)),
        None => Err(too_large()),
    }
}

/// The whole file, or `None` if it is larger. Its length is not believed: it may grow.
pub(super) fn read_at_most(file: &File, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let one_more = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_more).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() <= bytes_max))
}

fn set_aside(dir: &Dir, unix_seconds: u64) -> io::Result<String> {
    let (file, _) = dir.file(FILE, OFlags::RDONLY)?;
    restrict(&file)?;
    let name = reserve(dir, &format!("{FILE}.corrupt-{unix_seconds}"))?;
    match dir.rename(FILE, &name) {
        Ok(()) => Ok(name),
        Err(error) => {
            let _ = dir.remove(&name);
            Err(error)
        }
    }
}

/// An empty file with a new name, which a rename may then replace without harm.
fn reserve(dir: &Dir, name: &str) -> io::Result<String> {
    let mut free = name.to_owned();
    for number in 1..=ASIDE_MAX {
        match dir.create(&free) {
            Ok(_) => return Ok(free),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => free = format!("{name}-{number}"),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{ASIDE_MAX} others were set aside in the same second")))
}

/// Nobody can have made it before us, not even a process with our number in another container.
fn temp_name() -> Result<String, String> {
    let random = getrandom::u64().map_err(|error| format!("the system gives no random bytes: {error}"))?;
    Ok(format!("{TEMP_PREFIX}{random:016x}{TEMP_SUFFIX}"))
}

fn is_temp_name(name: &str) -> bool {
    let random = name.strip_prefix(TEMP_PREFIX).and_then(|rest| rest.strip_suffix(TEMP_SUFFIX));
    random.is_some_and(|random| {
        random.len() == 16 && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn too_large() -> io::Error {
    io::Error::other("it is larger than 64 MiB")
}

/// The name of the file. Operators know it.
pub(super) const FILE: &str = "oauth_clients.json";

const LOCK: &str = "oauth.lock";

const TEMP_PREFIX: &str = ".oauth_clients.json.";

const TEMP_SUFFIX: &str = ".tmp";

/// A hundred thousand clients need less. No more is written than could be read again.
const BYTES_MAX: usize = 64 << 20;

/// With the pause: five seconds, in which a predecessor that was told to stop has ended.
const LOCK_TRIES: u32 = 101;

const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Files set aside within one second.
const ASIDE_MAX: u32 = 100;
