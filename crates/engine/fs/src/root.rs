//! A directory, and looking things up beneath it.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Access, AtFlags, CWD, Mode as Permissions, OFlags, RawDir, ResolveFlags, accessat, openat, openat2};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::DecInt;

use crate::error::Error;
use crate::meta::{Kind, Meta};
use crate::walk;

/// Opens a name without opening what it names: pipes get no reader, devices are not started, links are not followed.
pub(crate) const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Opens for reading. A pipe or terminal that took the place of a file between the look and this neither
/// stops the thread nor becomes its terminal.
pub(crate) const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Room for the names of one call.
const NAMES_BUFFER: usize = 16 << 10;

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

/// What becomes of symbolic links beneath a root. Where `openat2` is missing ([`Mode::NoLinks`]) every link is refused, whatever
/// is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// They are followed as long as they stay beneath the root.
    #[default]
    Beneath,
    /// Every link is refused.
    Refuse,
    /// They are followed wherever they lead, out of the root too: whoever can make a link in it can show any file.
    Follow,
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
    /// A regular file.
    File {
        /// Open for reading.
        file: File,
        /// What is known about just that open file.
        meta: Meta,
        /// Whether it could be reached by its path alone then: no symbolic link is on the way, and it has no second name. So its
        /// changes are told of in the directories on the way.
        has_one_path: bool,
    },
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
    links: Links,
    can_answer_cached: bool,
}

impl Root {
    /// Opens the directory at `path` (links in `path` itself are followed) and finds out what the kernel can do. Links
    /// beneath it are followed where they stay there. Blocks; for start and reload.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Root> {
        Root::open_with(path, Links::Beneath)
    }

    /// As [`Root::open`], with links treated as `links` says.
    pub fn open_with(path: impl AsRef<Path>, links: Links) -> io::Result<Root> {
        let (path, dir) = open_root(path.as_ref())?;
        let (mode, can_answer_cached) = probe(dir.as_fd())?;
        Root::with(path, dir, mode, links, can_answer_cached)
    }

    /// As [`Root::open`], in [`Mode::NoLinks`] whatever the kernel can do.
    pub fn open_without_links(path: impl AsRef<Path>) -> io::Result<Root> {
        let (path, dir) = open_root(path.as_ref())?;
        Root::with(path, dir, Mode::NoLinks, Links::Refuse, false)
    }

    fn with(path: PathBuf, dir: OwnedFd, mode: Mode, links: Links, can_answer_cached: bool) -> io::Result<Root> {
        let meta = Meta::of(&dir).map_err(io::Error::other)?;
        Ok(Root { dir, path, meta, mode, links, can_answer_cached })
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
    /// It is opened as a mere name first and looked at; only when that is a regular file, just what was looked at is opened
    /// for reading. So no pipe, device or socket is ever opened, whatever takes a file's place meanwhile. (Where there is
    /// no `/proc`, the path is resolved a second time: a pipe that took the file's place in between then has a reader for a moment,
    /// which does not wait, before it is recognised and closed.)
    pub fn open_file(&self, path: &[u8], reach: Reach) -> Result<Opened, Error> {
        match self.mode {
            Mode::Beneath => {
                let (name, is_direct) = self.find(path, reach)?;
                opened_if_file(&name, is_direct, || self.resolve(path, READ, reach))
            }
            Mode::NoLinks => {
                let place = self.walk(path, reach)?;
                match &place.found {
                    Some(name) => opened_if_file(name, true, || place.open_for_reading(self.dir.as_fd())),
                    None => Ok(Opened::Directory(place.meta)),
                }
            }
        }
    }

    /// Shows `look` the names in the directory at `path`, in no order, "." and ".." among them, and stops at `names_max`.
    ///
    /// Gives what is known about the directory if it was shown whole, and its [`Meta`] will tell when a name comes or goes; `None` if not.
    /// Blocks, with a system call for some hundred names: for a thread that may wait.
    pub fn read_names(
        &self,
        path: &[u8],
        names_max: usize,
        mut look: impl FnMut(&[u8]),
    ) -> Result<Option<Meta>, Error> {
        let directory = self.open_directory(path)?;
        let before = Meta::of(&directory)?;
        if !before.is_settled() {
            return Ok(None);
        }
        let mut buffer = [MaybeUninit::uninit(); NAMES_BUFFER];
        let mut names = RawDir::new(&directory, &mut buffer);
        let mut left = names_max;
        while let Some(entry) = names.next() {
            if left == 0 {
                return Ok(None);
            }
            left -= 1;
            look(entry?.file_name().to_bytes());
        }
        Ok((Meta::of(&directory)? == before).then_some(before))
    }

    /// Whether this process may look up names in the directory; without, everything beneath it is [`Error::Forbidden`].
    pub fn may_be_searched(&self) -> bool {
        self.permits(Access::EXEC_OK)
    }

    /// Whether this process may read the names in the directory, which only [`Root::list`] and [`Root::read_names`] do, and look
    /// up names in it.
    pub fn may_be_read(&self) -> bool {
        self.permits(Access::READ_OK)
    }

    fn permits(&self, access: Access) -> bool {
        // Where the system cannot say, the requests will.
        retry_on_intr(|| accessat(&self.dir, ".", access, AtFlags::EACCESS)) != Err(Errno::ACCESS)
    }

    /// Device and inode of the directory.
    pub fn identity(&self) -> (u64, u64) {
        (self.meta.device, self.meta.inode)
    }

    /// Opens what is at `path` as a mere name, if no symbolic link is on the way to it nor it itself one. For notices, behind a
    /// look-up of the same path.
    pub(crate) fn look_without_links(&self, path: &[u8]) -> Result<OwnedFd, Error> {
        match self.mode {
            Mode::Beneath => {
                let path = if path.is_empty() { b"." } else { path };
                Ok(beneath(self.dir.as_fd(), path, LOOK, ResolveFlags::NO_SYMLINKS)?)
            }
            // The walk follows none.
            Mode::NoLinks => match walk::locate(self.dir.as_fd(), path)?.found {
                Some(found) => Ok(found),
                None => Ok(self.dir.try_clone()?),
            },
        }
    }

    /// Opens the directory at `path` as a mere name.
    pub(crate) fn look_at_directory(&self, path: &[u8]) -> Result<OwnedFd, Error> {
        match self.mode {
            Mode::Beneath => self.resolve(path, LOOK | OFlags::DIRECTORY, Reach::Disk),
            Mode::NoLinks => self.look_without_links(path),
        }
    }

    pub(crate) fn open_directory(&self, path: &[u8]) -> Result<OwnedFd, Error> {
        let flags = READ | OFlags::DIRECTORY;
        match self.mode {
            Mode::Beneath => self.resolve(path, flags, Reach::Disk),
            Mode::NoLinks => walk::locate(self.dir.as_fd(), path)?.open_directory(self.dir.as_fd()),
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

    /// Opens what is at `path` as a mere name, and says whether no symbolic link is on the way.
    fn find(&self, path: &[u8], reach: Reach) -> Result<(OwnedFd, bool), Error> {
        match self.resolve_with(path, LOOK, ResolveFlags::NO_SYMLINKS, reach) {
            // A link: whether it may be followed is another question.
            Err(Error::Outside) if self.links != Links::Refuse => Ok((self.resolve(path, LOOK, reach)?, false)),
            direct => Ok((direct?, true)),
        }
    }

    fn resolve(&self, path: &[u8], flags: OFlags, reach: Reach) -> Result<OwnedFd, Error> {
        self.resolve_with(path, flags, ResolveFlags::empty(), reach)
    }

    fn resolve_with(&self, path: &[u8], flags: OFlags, more: ResolveFlags, reach: Reach) -> Result<OwnedFd, Error> {
        let path = if path.is_empty() { b"." } else { path };
        match reach {
            Reach::Cached if !self.can_answer_cached => Err(Error::WouldBlock),
            Reach::Cached => self.open_beneath(path, flags, more | ResolveFlags::CACHED).map_err(cached_error),
            Reach::Disk => {
                for _ in 0..RENAME_RETRIES {
                    match self.open_beneath(path, flags, more) {
                        Err(Errno::AGAIN | Errno::INTR) => {}
                        other => return Ok(other?),
                    }
                }
                Err(Error::Io(Errno::AGAIN.into()))
            }
        }
    }

    fn open_beneath(&self, path: &[u8], flags: OFlags, more: ResolveFlags) -> Result<OwnedFd, Errno> {
        match self.links {
            Links::Beneath => beneath(self.dir.as_fd(), path, flags, more),
            Links::Refuse => beneath(self.dir.as_fd(), path, flags, more | ResolveFlags::NO_SYMLINKS),
            // Links may lead out; the path itself may not.
            Links::Follow if leads_out(path) => Err(Errno::XDEV),
            Links::Follow => {
                let resolve = ResolveFlags::NO_MAGICLINKS | more;
                openat2(&self.dir, path, flags, Permissions::empty(), resolve)
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

fn leads_out(path: &[u8]) -> bool {
    path.starts_with(b"/") || path.split(|b| *b == b'/').any(|part| part == b"..")
}

/// Opens for reading what was opened as a name, if that is a file; `is_direct` if no link led to it. `again` opens it by its path, for
/// systems without `/proc`.
fn opened_if_file(
    name: &OwnedFd,
    is_direct: bool,
    again: impl FnOnce() -> Result<OwnedFd, Error>,
) -> Result<Opened, Error> {
    let (seen, names) = Meta::and_names_of(name)?;
    match seen.kind {
        Kind::File => {}
        Kind::Directory => return Ok(Opened::Directory(seen)),
        Kind::Link | Kind::Other => return Err(Error::NotAFile),
    }
    match reopen(name) {
        // Just what was looked at: there is no need to look again.
        Ok(opened) => {
            let has_one_path = is_direct && names == 1;
            return Ok(Opened::File { file: File::from(opened), meta: seen, has_one_path });
        }
        Err(Errno::NOENT | Errno::NOTDIR) => {}
        Err(other) => return Err(other.into()),
    }
    let file = File::from(again()?);
    let meta = Meta::of(&file)?;
    match meta.kind {
        Kind::File => Ok(Opened::File { file, meta, has_one_path: false }),
        Kind::Directory => Ok(Opened::Directory(meta)),
        Kind::Link | Kind::Other => Err(Error::NotAFile),
    }
}

/// Opens for reading just that file which is open as a name. Its inode is in memory, and so is `/proc`: nothing waits for a disk.
fn reopen(name: &OwnedFd) -> Result<OwnedFd, Errno> {
    let own = own_descriptors()?;
    retry_on_intr(|| openat(own, DecInt::from_fd(name), READ, Permissions::empty()))
}

/// The directory of this process's descriptors, held open: looking it up each time costs more than opening the file.
/// (A process that forks and goes on would have to open it anew.)
fn own_descriptors() -> Result<BorrowedFd<'static>, Errno> {
    static OWN: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(own) = OWN.get() {
        return Ok(own.as_fd());
    }
    // A failure is not kept: the process may have been out of descriptors for a moment.
    let opened = openat(CWD, &PROC[..PROC.len() - 1], LOOK | OFlags::DIRECTORY, Permissions::empty())?;
    Ok(OWN.get_or_init(|| opened).as_fd())
}

/// The path of what a descriptor of this process is open on.
pub(crate) struct NameOf {
    path: [u8; PROC.len() + 10],
    len: usize,
}

impl NameOf {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.path[..self.len]
    }
}

pub(crate) fn name_of(fd: &OwnedFd) -> NameOf {
    let mut path = [0; PROC.len() + 10];
    let number = DecInt::from_fd(fd);
    let digits = number.as_bytes();
    let len = PROC.len() + digits.len();
    path[..PROC.len()].copy_from_slice(PROC);
    path[PROC.len()..len].copy_from_slice(digits);
    NameOf { path, len }
}

const PROC: &[u8; 14] = b"/proc/self/fd/";
