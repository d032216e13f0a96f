//! A file of the operator's that is read again and again: a template of a page, the list of users.
//!
//! Invariants: an unchanged file costs one `stat` and is not read; only a regular file is opened, and opening
//! never waits. Links are followed, since the operator may write here and we do not: a ConfigMap of Kubernetes is
//! mounted as links. Deliberately absent: watching, and any opinion on a file that was read half-written. Its
//! stamp is from before the reading, so that it is read again next time.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use super::Found;
use super::vault::read_at_most;
use crate::reason;

/// The file and what was last seen of it.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    is_optional: bool,
    /// Of the bytes that were given last, if the last answer was bytes or `Same`.
    stamp: Option<Stamp>,
}

/// Changes whenever somebody writes to a file or puts another in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Also moves when a copy brings its old time of modification with it.
    changed: (i64, i64),
}

impl Watched {
    /// A file that need not be there.
    pub(super) const fn optional(path: PathBuf) -> Self {
        Self { path, is_optional: true, stamp: None }
    }

    /// A file that is an error when it is not there.
    pub(super) const fn required(path: PathBuf) -> Self {
        Self { path, is_optional: false, stamp: None }
    }

    /// What is there now, if it is not what was there before.
    ///
    /// # Errors
    /// It cannot be read, in words for an operator.
    pub(super) fn load(&mut self) -> Result<Found, String> {
        let last = self.stamp.take();
        match self.look(last) {
            Ok(found) => Ok(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_optional => Ok(Found::Absent),
            Err(error) => Err(format!("cannot read {}: {}", self.path.display(), reason(&error))),
        }
    }

    fn look(&mut self, last: Option<Stamp>) -> io::Result<Found> {
        // Before it is opened, which does things to a device.
        let stamp = Stamp::of(&fs::metadata(&self.path)?)?;
        if last == Some(stamp) {
            self.stamp = last;
            return Ok(Found::Same);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&self.path, flags, Mode::empty())?);
        let stamp = Stamp::of(&file.metadata()?)?;
        let bytes = read_at_most(&file, BYTES_MAX)?
            .ok_or_else(|| io::Error::other(format!("it is larger than {} KiB", BYTES_MAX >> 10)))?;
        self.stamp = Some(stamp);
        Ok(Found::Bytes(bytes))
    }
}

impl Stamp {
    fn of(meta: &Metadata) -> io::Result<Self> {
        if !meta.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// A page is some KiB, a list of a thousand users about 100.
const BYTES_MAX: usize = 256 << 10;
