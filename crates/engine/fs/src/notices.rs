//! What the kernel tells of changes (inotify), for those directories that somebody asked about.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::changes::{Changes, Happened, Place};
use crate::error::Error;
use crate::meta::Meta;
use crate::root::{Root, name_of};
use crate::watches::Watches;
use crate::ways::Ways;

mod way;

/// So many directories are watched at a time; the kernel's own limit per user is 8,192 on old systems.
const WATCHES_MAX: usize = 4096;

/// So many of them for what was asked for once: the others are left to what is asked for again.
const FIRST_MAX: usize = 2048;

/// When the system gives no watch, so many files are passed over that were asked for once: it takes calls to be refused again.
const PAUSE: u32 = 1024;

/// Room for the events of one read: a few hundred.
const BUFFER: usize = 16 << 10;

const EVENTS: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Notices of changes in directories. Any thread may ask for a directory to be watched ([`Notices::cover`]); one thread reads
/// ([`Notices::wait`]).
///
/// What nobody is told of: writing through a memory map, through another name of the same file, and on another machine where
/// the file system is shared. So who relies on it looks again by himself now and then.
#[derive(Debug)]
pub struct Notices {
    inotify: OwnedFd,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    watches: Watches,
    ways: Ways,
    /// So many files are still passed over.
    pause: u32,
    refused: Refused,
}

/// Who is told when the system gives a watch no more.
#[derive(Default)]
struct Refused(Option<Box<dyn FnOnce(io::Error) + Send>>);

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refused")
    }
}

impl Notices {
    /// Nothing is watched yet.
    ///
    /// # Errors
    /// The system's: it has no inotify, or this user has used up what there is.
    pub fn new() -> io::Result<Notices> {
        Ok(Notices { inotify: inotify::init(CreateFlags::CLOEXEC)?, table: Mutex::default() })
    }

    /// Has `refused` called, once and on any thread, when the system gives no watch (`max_user_watches`), and so does not tell of what
    /// changes there.
    #[must_use]
    pub fn telling(self, refused: impl FnOnce(io::Error) + Send + 'static) -> Notices {
        self.locked().refused = Refused(Some(Box::new(refused)));
        self
    }

    /// Has all directories on the way to the file at `path` beneath `root` watched, and gives the place of its own one: from now
    /// on, a change of what `path` means or holds is told of there.
    ///
    /// None where that cannot be promised: a symbolic link is on the way, the file has a second name, it is no longer what `known`
    /// says, or there are too many watches. Blocks for no disk where the path was just looked up. Costs three system calls when
    /// all is watched, six more a directory that is not, and three more one that is watched for another root.
    pub fn cover(&self, root: &Root, path: &[u8], known: &Meta) -> Option<Place> {
        let place = match self.watched_place(root, path) {
            Some(place) => place,
            None => self.watch_all(root, path).then(|| place_of(root, path))?,
        };
        // After the watches: what changes behind this look is told of, and what changed before it shows in it.
        let file = root.look_without_links(path).ok()?;
        let is_known = Meta::and_names_of(&file).is_ok_and(|(meta, names)| meta == *known && names == 1);
        is_known.then_some(place)
    }

    /// As [`Notices::cover`], as long as few directories are watched: for a file that nobody may ask for again.
    pub fn cover_first(&self, root: &Root, path: &[u8], known: &Meta) -> Option<Place> {
        let mut table = self.locked();
        if table.pause > 0 || table.watches.len() >= FIRST_MAX {
            table.pause = table.pause.saturating_sub(1);
            return None;
        }
        drop(table);
        self.cover(root, path, known)
    }

    /// Has all directories on the way watched, from the top, so that a directory that moves is told of by the one above it. False
    /// where that cannot be, and where one of them was forgotten meanwhile.
    fn watch_all(&self, root: &Root, path: &[u8]) -> bool {
        let base = root.path().as_os_str().as_bytes();
        let mut directories = vec![&[][..]];
        directories.extend(path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]));
        if !directories.iter().all(|directory| self.watch(root, base, directory)) {
            return false;
        }
        let way: Vec<_> = directories.iter().map(|directory| joined(base, directory)).collect();
        self.locked().watches.link(&way, root.identity())
    }

    /// The place of the file at `path` if all directories on the way to it are watched already. Whoever opens the file behind
    /// this, and finds that it has one path ([`crate::Opened`]), is told of every change since. Costs no system call.
    pub fn watched_place(&self, root: &Root, path: &[u8]) -> Option<Place> {
        let whole = joined(root.path().as_os_str().as_bytes(), directory_of(path));
        let is_watched = self.locked().watches.at(&whole)?.beneath == Some(root.identity());
        is_watched.then(|| place_of(root, path))
    }

    /// Has the directory at `path` beneath `root` watched, whatever links lead to it; promises nothing. Where it is not there, the
    /// nearest one on the way that is.
    pub fn watch_directory(&self, root: &Root, path: &[u8]) {
        let mut path = path;
        loop {
            let whole = joined(root.path().as_os_str().as_bytes(), path);
            if self.is_watched(root, &whole, path) {
                return;
            }
            match root.look_at_directory(path) {
                Ok(directory) => {
                    let _ = self.add(&directory, whole);
                    return;
                }
                Err(Error::NotFound) if !path.is_empty() => {
                    path = directory_of(path);
                }
                Err(_) => return,
            }
        }
    }

    /// Ends those of the watches that nobody needs.
    fn release(&self, table: &Table, numbers: &[i32]) {
        for number in numbers.iter().filter(|number| !table.is_needed(**number)) {
            let _ = inotify::remove_watch(&self.inotify, *number);
        }
    }

    fn watch(&self, root: &Root, base: &[u8], directory: &[u8]) -> bool {
        let whole = joined(base, directory);
        let watched = self.locked().watches.at(&whole).copied();
        if watched.is_some_and(|watch| watch.beneath == Some(root.identity())) {
            return true;
        }
        let Ok(open) = root.look_without_links(directory) else { return false };
        if let Some(watch) = watched {
            if identity(&open) == Some(watch.identity) {
                return true;
            }
            // Another root with that path, or a link that was there, led to another directory.
            self.forget(&mut self.locked(), &whole);
        }
        if self.add(&open, whole.clone()).is_err() {
            return false;
        }
        // It may have been moved between the look and the watch, when nobody told of it yet.
        let again = root.look_without_links(directory).ok();
        let is_there = again.as_ref().and_then(identity).is_some_and(|now| Some(now) == identity(&open));
        if !is_there {
            self.forget(&mut self.locked(), &whole);
        }
        is_there
    }

    /// Whether a directory of that path is watched. Of the root itself it must be this one: a link that leads to it may lead elsewhere
    /// now, of which nobody tells.
    fn is_watched(&self, root: &Root, whole: &[u8], directory: &[u8]) -> bool {
        let mut table = self.locked();
        let Some(watch) = table.watches.at(whole) else { return false };
        if directory.is_empty() && watch.identity != root.identity() {
            self.forget(&mut table, whole);
            return false;
        }
        true
    }

    fn add(&self, directory: &OwnedFd, path: Box<[u8]>) -> Result<(), Errno> {
        let identity = identity(directory).ok_or(Errno::BADF)?;
        // Under the lock, so that what is read of this watch finds its path.
        let mut table = self.locked();
        if table.watches.len() >= WATCHES_MAX {
            return Err(Errno::NOSPC);
        }
        let added = inotify::add_watch(&self.inotify, name_of(directory).as_slice(), EVENTS);
        // A directory that is closed to this user says nothing of the others.
        if let Err(error) = added
            && error != Errno::ACCESS
        {
            table.pause = PAUSE;
            let refused = table.refused.0.take();
            drop(table);
            if let Some(tell) = refused {
                tell(error.into());
            }
            return Err(error);
        }
        if let Some(replaced) = table.watches.insert(path, added?, identity) {
            self.release(&table, &[replaced]);
        }
        Ok(())
    }

    /// Waits for changes, and gives those that are there; none when what came concerns no directory that is still watched. For a
    /// thread of its own.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&self) -> io::Result<Changes> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(self.inotify.as_fd(), &mut buffer);
        let mut changes = Changes::default();
        let mut moved = BTreeSet::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let name = event.file_name().map(|name| name.to_bytes());
            self.note(event.wd(), event.events(), name, &mut changes);
            self.note_way(event.wd(), event.events(), name, &mut moved);
            if reader.is_buffer_empty() {
                break;
            }
        }
        changes.root_moved = !moved.is_empty();
        moved.iter().for_each(|root| self.walk(root));
        changes.merge(self.locked().watches.ended());
        Ok(changes)
    }

    /// Whether there is something to read, now or within `patience`.
    pub fn is_pending(&self, patience: Duration) -> bool {
        let mut fds = [PollFd::new(&self.inotify, PollFlags::IN)];
        let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
        poll(&mut fds, Some(&patience)).is_ok_and(|n| n > 0)
    }

    fn note(&self, watch: i32, events: ReadFlags, name: Option<&[u8]>, changes: &mut Changes) {
        let mut table = self.locked();
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            changes.all = true;
            // One of them may have moved.
            self.forget(&mut table, b"");
            return;
        }
        let moved = ReadFlags::MOVE_SELF | ReadFlags::DELETE_SELF | ReadFlags::IGNORED;
        let is_directory = events.contains(ReadFlags::ISDIR);
        let happened = match events {
            _ if events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) => Happened::Came,
            _ if events.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) => Happened::Went,
            _ => Happened::Changed,
        };
        for path in table.watches.paths_of(watch) {
            if events.intersects(moved) {
                // What lay beneath it may lie elsewhere now.
                changes.folder_moved = true;
                self.forget(&mut table, &path);
                continue;
            }
            let Some(name) = name else {
                // Who may look into it, which is a matter of all that lies beneath.
                changes.add_folder(&path);
                self.forget(&mut table, &path);
                continue;
            };
            let whole = joined(&path, name);
            changes.add_file(&path, &whole, happened);
            if is_directory {
                changes.folder_moved = true;
                self.forget(&mut table, &whole);
            }
        }
    }

    /// Ends the watches at and beneath `path`. That they have ended is told with what is read next, which is at the latest what the
    /// kernel says of their end.
    fn forget(&self, table: &mut Table, path: &[u8]) {
        let numbers = table.watches.forget(path);
        // The kernel has ended them already if the directories are gone.
        self.release(table, &numbers);
    }

    /// How many directories are watched.
    pub fn watched(&self) -> usize {
        self.locked().watches.len()
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn is_needed(&self, number: i32) -> bool {
        self.watches.has(number) || self.ways.uses(number)
    }
}

fn identity(fd: &OwnedFd) -> Option<(u64, u64)> {
    rustix::fs::fstat(fd).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// The place of the file at `path` beneath `root`.
fn place_of(root: &Root, path: &[u8]) -> Place {
    let base = root.path().as_os_str().as_bytes();
    Place::new(&joined(base, directory_of(path)), &joined(base, path))
}

fn directory_of(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(&[], |end| &path[..end])
}

fn joined(directory: &[u8], name: &[u8]) -> Box<[u8]> {
    match (directory, name) {
        (directory, b"") => directory.into(),
        (directory, name) if directory.ends_with(b"/") => [directory, name].concat().into(),
        (directory, name) => [directory, b"/", name].concat().into(),
    }
}

#[cfg(test)]
mod tests;
