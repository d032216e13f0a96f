//! A directory that nobody else can change, held open.
//!
//! Invariants: once the directory is open its path is not looked up again, so nothing that happens to the path
//! can lead a write elsewhere; no name in it is followed if it is a link; what is created here is for the owner
//! alone whatever the umask; no name waits (a FIFO opens at once), and no child inherits a descriptor.
//!
//! The directory itself may be reached by links: that is how operators move it to another disk.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::Warnings;
use crate::reason;

/// The directory.
#[derive(Debug)]
pub(super) struct Dir {
    handle: File,
    path: PathBuf,
}

impl Dir {
    /// Opens it, after creating what is missing of it.
    ///
    /// # Errors
    /// It cannot be created or opened, or somebody else could change what is in it.
    pub(super) fn open(path: &Path, warnings: &mut Warnings) -> Result<Self, String> {
        create(path).map_err(|error| format!("cannot create {}: {}", path.display(), reason(&error)))?;
        let handle = rustix::fs::open(path, OFlags::DIRECTORY | ALWAYS, Mode::empty()).map(File::from);
        let meta = handle.map_err(io::Error::from).and_then(|handle| Ok((handle.metadata()?, handle)));
        let (meta, handle) =
            meta.map_err(|error| format!("cannot open {}: {}", path.display(), reason(&error)))?;
        check(path, &meta, warnings)?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// The path of the directory, or of something in it, for people to read.
    pub(super) fn path(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Opens a regular file of ours in it; with `OFlags::CREATE` it need not be there.
    ///
    /// # Errors
    /// The system's, and in words whatever else lies there.
    pub(super) fn file(&self, name: &str, flags: OFlags) -> io::Result<(File, Metadata)> {
        let file = self.open_at(name, flags).map_err(|errno| match errno {
            Errno::LOOP => io::Error::other("it is a symbolic link"),
            errno => errno.into(),
        })?;
        let meta = file.metadata()?;
        let fault = if !meta.is_file() {
            "it is not a regular file".to_owned()
        } else if meta.uid() != own_uid() {
            format!("it belongs to another user ({})", meta.uid())
        } else if meta.nlink() != 1 {
            format!("it has {} names (hard links) instead of one", meta.nlink())
        } else {
            return Ok((file, meta));
        };
        Err(io::Error::other(fault))
    }

    /// Creates an empty file in it, for writing.
    ///
    /// # Errors
    /// The system's; there must be nothing with that name.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        Ok(self.open_at(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?)
    }

    fn open_at(&self, name: &str, flags: OFlags) -> rustix::io::Result<File> {
        let mode = Mode::from_raw_mode(FILE_MODE.into());
        rustix::fs::openat(&self.handle, name, flags | OFlags::NOFOLLOW | ALWAYS, mode).map(File::from)
    }

    /// Replaces a file as a whole or not at all: `write` fills a new one, which then takes the name. After an
    /// error nothing has changed, unless only the last step failed, which makes the new name survive a crash.
    pub(super) fn replace(
        &self,
        name: &str,
        temp: &str,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut file = self.create(temp)?;
        let written = restrict(&file)
            .and_then(|()| write(&mut file))
            .and_then(|()| file.sync_all())
            .and_then(|()| self.rename(temp, name));
        if written.is_err() {
            // Swept away at the next start if it stays now.
            let _ = self.remove(temp);
        }
        written?;
        self.sync()
    }

    /// Gives something in it another name, in place of whatever has that name.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.handle, from, &self.handle, to)?)
    }

    /// Removes a name that is not a directory's.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.handle, name, AtFlags::empty())?)
    }

    /// Makes the names in it survive a crash, on file systems that have to be told.
    pub(super) fn sync(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.handle) {
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes the regular files with such names.
    pub(super) fn sweep(&self, is_litter: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in rustix::fs::Dir::read_from(&self.handle)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().ok().filter(|name| is_litter(name)) else { continue };
            let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                self.remove(name)?;
            }
        }
        Ok(())
    }
}

/// Makes a file readable by its owner alone.
pub(super) fn restrict(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(FILE_MODE.into()))
}

/// Whether somebody else than the owner may do anything with a file, or the owner too much.
pub(super) fn is_wide(meta: &Metadata) -> bool {
    permissions(meta) & !u32::from(FILE_MODE) != 0
}

/// The permission bits, as `chmod` takes them.
pub(super) fn permissions(meta: &Metadata) -> u32 {
    meta.mode() & 0o7777
}

/// Creates the missing parts of a path, for us alone.
fn create(path: &Path) -> io::Result<()> {
    let is_missing = |part: &&Path| match fs::metadata(part) {
        Err(error) => error.kind() == io::ErrorKind::NotFound && !part.as_os_str().is_empty(),
        Ok(_) => false,
    };
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    for part in missing.into_iter().rev() {
        match DirBuilder::new().mode(DIR_MODE).create(part) {
            Ok(()) => {}
            // Somebody was faster, or it is a link to nowhere. Whether it will do shows when it is opened.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        }
        if permissions(&fs::symlink_metadata(part)?) != DIR_MODE {
            // The umask takes even from the owner, or the directory above passes its group on.
            fs::set_permissions(part, Permissions::from_mode(DIR_MODE))?;
        }
        if let Some(parent) = part.parent() {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            // We may be allowed to write there but not to read.
            let _ = File::open(parent).and_then(|parent| parent.sync_all());
        }
    }
    Ok(())
}

fn check(path: &Path, meta: &Metadata, warnings: &mut Warnings) -> Result<(), String> {
    let (path, mode) = (path.display(), permissions(meta));
    if meta.uid() != own_uid() && meta.uid() != 0 {
        return Err(format!("the directory {path} belongs to another user ({})", meta.uid()));
    }
    if mode & 0o022 != 0 {
        return Err(format!(
            "others than its owner may write to the directory {path} (mode {mode:04o}): \
             `chmod go-w` it, or use a directory of its own below it"
        ));
    }
    if mode & 0o044 != 0 {
        warnings.push(format!("others than its owner may list the directory {path} (mode {mode:04o})"));
    }
    Ok(())
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// For every opening, of directories and files.
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Read and write, for the owner.
const FILE_MODE: u16 = 0o600;

/// Everything, for the owner.
const DIR_MODE: u32 = 0o700;
