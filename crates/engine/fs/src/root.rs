//! A directory, and looking things up beneath it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode as Permissions, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{Errno, retry_on_intr};

use crate::error::Error;
use crate::meta::{Kind, Meta};
use crate::walk;

/// Opens a name without opening what it names: pipes get no reader, devices are not started, links are not followed.
pub(crate) const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Opens for reading. A pipe or terminal that took the place of a file between the look and this neither
/// stops the thread nor becomes its terminal.
pub(crate) const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// The kernel says "try again" when something was renamed while it resolved a path that holds `..` (of a link).
const RENAME_RETRIES: usize = 8;

/// Who keeps a look-up beneath the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The kernel (`openat2`, Linux 5.6): links are followed as long as they stay beneath the root.
    Beneath,
    /// We, walking the path component by component: every symbolic link is refused. For kernels without `openat2`,
    /// and for filters that forbid it.
    NoLinks,
}

/// How far a look-up may go for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What the kernel has in memory; [`Error::WouldBlock`] otherwise. For a worker thread. In [`Mode::NoLinks`], and before
    /// Linux 5.12, the kernel cannot be asked that way and the answer is always `WouldBlock`.
    Cached,
    /// Wherever it takes, waiting for disk or network. For a thread that may wait.
    Disk,
}

/// What was opened.
#[derive(Debug)]
pub enum Opened {
    /// A regular file, open for reading, and what is known about just that open file.
    File(File, Meta),
    /// A directory; nothing stays open.
    Directory(Meta),
}

/// A directory beneath which paths are looked up. Holds one descriptor.
///
/// Paths are bytes relative to the root, `/` between components; an empty path is the root itself. Nothing outside of
/// the root can be reached through `..`, absolute paths or links, whatever is renamed meanwhile.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    path: PathBuf,
    meta: Meta,
    mode: Mode,
    can_answer_cached: bool,
}

impl Root {
    /// Opens the directory at `path` (links in `path` itself are followed) and finds out what the kernel can do.
    /// Blocks; for start and reload.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Root> {
        let (path, dir) = open_root(path.as_ref())?;
        let (mode, can_answer_cached) = probe(dir.as_fd())?;
        Root::with(path, dir, mode, can_answer_cached)
    }

    /// As [`Root::open`], in [`Mode::NoLinks`] whatever the kernel can do.
    pub fn open_without_links(path: impl AsRef<Path>) -> io::Result<Root> {
        let (path, dir) = open_root(path.as_ref())?;
        Root::with(path, dir, Mode::NoLinks, false)
    }

    fn with(path: PathBuf, dir: OwnedFd, mode: Mode, can_answer_cached: bool) -> io::Result<Root> {
        let meta = Meta::of(&dir).map_err(io::Error::other)?;
        Ok(Root { dir, path, meta, mode, can_answer_cached })
    }

    /// Who keeps look-ups beneath this root; worth a line in the log when it is not the kernel.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether [`Reach::Cached`] can give anything but [`Error::WouldBlock`] here.
    pub fn can_answer_cached(&self) -> bool {
        self.can_answer_cached
    }

    /// Where the root was opened, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at what is at `path`, without opening it.
    pub fn stat(&self, path: &[u8], reach: Reach) -> Result<Meta, Error> {
        match self.mode {
            Mode::Beneath => Meta::of(self.resolve(path, LOOK, reach)?),
            Mode::NoLinks => Ok(self.walk(path, reach)?.meta),
        }
    }

    /// Opens the file at `path` for reading, or says that it is a directory.
    ///
    /// The path is looked at first and opened only when it names a regular file, so that no pipe, device or socket is
    /// ever opened on purpose. Should one take the file's place in between, it is opened without waiting, recognised by
    /// its own descriptor and closed: the one thing left to a racer who can write to the directory is a pipe that
    /// has a reader for a moment. (Reopening through `/proc/self/fd` would close that too, but needs a `/proc`.)
    pub fn open_file(&self, path: &[u8], reach: Reach) -> Result<Opened, Error> {
        match self.mode {
            Mode::Beneath => {
                let meta = Meta::of(self.resolve(path, LOOK, reach)?)?;
                opened_if_file(meta, || self.resolve(path, READ, reach))
            }
            Mode::NoLinks => {
                let place = self.walk(path, reach)?;
                opened_if_file(place.meta, || place.open_for_reading(self.dir.as_fd()))
            }
        }
    }

    /// Opens the root's own path again: the new root if another directory stands there now (replaced by a deployment, made
    /// anew by a build), `None` if it is the same one or nothing can be opened there. The only error is [`Error::WouldBlock`].
    pub fn reopened(&self, reach: Reach) -> Result<Option<Root>, Error> {
        let dir = match self.reopen(reach) {
            Ok(dir) => dir,
            Err(Error::WouldBlock) => return Err(Error::WouldBlock),
            // Removed, or out of reach since the privileges were dropped: what is open still serves.
            Err(_) => return Ok(None),
        };
        let Ok(meta) = Meta::of(&dir) else { return Ok(None) };
        if (meta.device, meta.inode) == (self.meta.device, self.meta.inode) {
            return Ok(None);
        }
        Ok(Some(Root { dir, path: self.path.clone(), meta, ..*self }))
    }

    fn reopen(&self, reach: Reach) -> Result<OwnedFd, Error> {
        let flags = LOOK | OFlags::DIRECTORY;
        match reach {
            Reach::Disk => Ok(retry_on_intr(|| openat(CWD, &self.path, flags, Permissions::empty()))?),
            Reach::Cached if !self.can_answer_cached => Err(Error::WouldBlock),
            Reach::Cached => {
                openat2(CWD, &self.path, flags, Permissions::empty(), ResolveFlags::CACHED).map_err(cached_error)
            }
        }
    }

    fn resolve(&self, path: &[u8], flags: OFlags, reach: Reach) -> Result<OwnedFd, Error> {
        let path = if path.is_empty() { b"." } else { path };
        match reach {
            Reach::Cached if !self.can_answer_cached => Err(Error::WouldBlock),
            Reach::Cached => beneath(self.dir.as_fd(), path, flags, ResolveFlags::CACHED).map_err(cached_error),
            Reach::Disk => {
                for _ in 0..RENAME_RETRIES {
                    match beneath(self.dir.as_fd(), path, flags, ResolveFlags::empty()) {
                        Err(Errno::AGAIN | Errno::INTR) => {}
                        other => return Ok(other?),
                    }
                }
                Err(Error::Io(Errno::AGAIN.into()))
            }
        }
    }

    fn walk<'p>(&self, path: &'p [u8], reach: Reach) -> Result<walk::Place<'p>, Error> {
        match reach {
            Reach::Cached => Err(Error::WouldBlock),
            Reach::Disk => walk::locate(self.dir.as_fd(), path),
        }
    }
}

fn open_root(path: &Path) -> io::Result<(PathBuf, OwnedFd)> {
    let path = std::path::absolute(path)?;
    let dir = retry_on_intr(|| openat(CWD, &path, LOOK | OFlags::DIRECTORY, Permissions::empty()))?;
    Ok((path, dir))
}

/// What the kernel can do, tried on the root itself.
fn probe(dir: BorrowedFd<'_>) -> io::Result<(Mode, bool)> {
    match beneath(dir, b".", LOOK, ResolveFlags::CACHED) {
        Ok(_) | Err(Errno::AGAIN) => return Ok((Mode::Beneath, true)),
        Err(Errno::NOSYS | Errno::PERM) => return Ok((Mode::NoLinks, false)),
        // A flag that the kernel does not know yet.
        Err(Errno::INVAL) => {}
        Err(other) => return Err(other.into()),
    }
    match beneath(dir, b".", LOOK, ResolveFlags::empty()) {
        Ok(_) => Ok((Mode::Beneath, false)),
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Ok((Mode::NoLinks, false)),
        Err(other) => Err(other.into()),
    }
}

fn beneath(dir: BorrowedFd<'_>, path: &[u8], flags: OFlags, more: ResolveFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more;
    openat2(dir, path, flags, Permissions::empty(), resolve)
}

fn cached_error(errno: Errno) -> Error {
    match errno {
        Errno::AGAIN | Errno::INTR => Error::WouldBlock,
        other => other.into(),
    }
}

fn opened_if_file(seen: Meta, open: impl FnOnce() -> Result<OwnedFd, Error>) -> Result<Opened, Error> {
    match seen.kind {
        Kind::File => {}
        Kind::Directory => return Ok(Opened::Directory(seen)),
        Kind::Link | Kind::Other => return Err(Error::NotAFile),
    }
    let file = File::from(open()?);
    let meta = Meta::of(&file)?;
    match meta.kind {
        Kind::File => Ok(Opened::File(file, meta)),
        Kind::Directory => Ok(Opened::Directory(meta)),
        Kind::Link | Kind::Other => Err(Error::NotAFile),
    }
}
