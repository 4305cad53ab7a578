//! What the kernel tells of changes (inotify), for those directories that somebody asked about.

use std::collections::HashMap;
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

use crate::changes::{Changes, Place};
use crate::error::Error;
use crate::meta::Meta;
use crate::root::{Root, name_of};

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

#[derive(Clone, Copy, Debug)]
struct Watch {
    number: i32,
    /// Device and inode of the directory.
    identity: (u64, u64),
    /// The root beneath which all directories on the way to it are watched too, if they are. None of them is forgotten without it.
    beneath: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Table {
    /// By absolute path.
    watches: HashMap<Box<[u8]>, Watch>,
    /// The paths of a watch: one, but where a directory is mounted twice.
    paths: HashMap<i32, Vec<Box<[u8]>>>,
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
    /// on, a change of what `path` means or holds is told of there, or as one of all.
    ///
    /// None where that cannot be promised: a symbolic link is on the way, the file has a second name, it is no longer what `known`
    /// says, or there are too many watches. Blocks for no disk where the path was just looked up. Costs three system calls when
    /// all is watched, six more a directory that is not.
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
    /// where that cannot be.
    fn watch_all(&self, root: &Root, path: &[u8]) -> bool {
        let base = root.path().as_os_str().as_bytes();
        let mut directories = vec![&[][..]];
        directories.extend(path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]));
        if !directories.iter().all(|directory| self.watch(root, base, directory)) {
            return false;
        }
        // Unless one of them was forgotten meanwhile.
        let mut table = self.locked();
        let all: Vec<_> = directories.iter().map(|directory| joined(base, directory)).collect();
        if all.iter().all(|whole| table.watches.contains_key(whole)) {
            for whole in &all {
                if let Some(watch) = table.watches.get_mut(whole) {
                    watch.beneath = Some(root.identity());
                }
            }
        }
        true
    }

    /// The place of the file at `path` if all directories on the way to it are watched already. Whoever opens the file behind
    /// this, and finds that it has one path ([`crate::Opened`]), is told of every change since. Costs no system call.
    pub fn watched_place(&self, root: &Root, path: &[u8]) -> Option<Place> {
        let whole = joined(root.path().as_os_str().as_bytes(), directory_of(path));
        let is_watched = self.locked().watches.get(&whole)?.beneath == Some(root.identity());
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

    fn watch(&self, root: &Root, base: &[u8], directory: &[u8]) -> bool {
        let whole = joined(base, directory);
        if self.is_watched(root, &whole, directory) {
            return true;
        }
        let Ok(open) = root.look_without_links(directory) else { return false };
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

    /// Whether the directory is watched. Of the root itself it must be this one: a link that leads to it may lead elsewhere now, of
    /// which nobody tells.
    fn is_watched(&self, root: &Root, whole: &[u8], directory: &[u8]) -> bool {
        let mut table = self.locked();
        let Some(watch) = table.watches.get(whole) else { return false };
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
        let number = added?;
        let paths = table.paths.entry(number).or_default();
        if !paths.contains(&path) {
            paths.push(path.clone());
        }
        table.watches.insert(path, Watch { number, identity, beneath: None });
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
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let name = event.file_name().map(|name| name.to_bytes());
            self.note(event.wd(), event.events(), name, &mut changes);
            if reader.is_buffer_empty() {
                break;
            }
        }
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
            return;
        }
        let Some(paths) = table.paths.get(&watch).cloned() else { return };
        let moved = ReadFlags::MOVE_SELF | ReadFlags::DELETE_SELF | ReadFlags::IGNORED;
        let is_directory = events.contains(ReadFlags::ISDIR);
        for path in paths {
            if events.intersects(moved) {
                // What lay beneath it may lie elsewhere now.
                changes.all = true;
                self.forget(&mut table, &path);
                continue;
            }
            let Some(name) = name else {
                changes.add_folder(&path);
                continue;
            };
            let whole = joined(&path, name);
            changes.add_file(&path, &whole);
            if is_directory {
                changes.all = true;
                self.forget(&mut table, &whole);
            }
        }
    }

    /// Ends the watches at and beneath `path`.
    fn forget(&self, table: &mut Table, path: &[u8]) {
        let beneath = |other: &[u8]| other.strip_prefix(path).is_some_and(|r| r.is_empty() || r.starts_with(b"/"));
        for (gone, watch) in table.watches.extract_if(|other, _| beneath(other)) {
            if let Some(paths) = table.paths.get_mut(&watch.number) {
                paths.retain(|other| *other != gone);
                if paths.is_empty() {
                    table.paths.remove(&watch.number);
                    // The kernel has ended it already if the directory is gone.
                    let _ = inotify::remove_watch(&self.inotify, watch.number);
                }
            }
        }
    }

    /// How many directories are watched.
    pub fn watched(&self) -> usize {
        self.locked().watches.len()
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    use super::*;
    use crate::changes::NAMES_MAX;

    const SOON: Duration = Duration::from_millis(20);

    fn tree() -> (tempfile::TempDir, Root, Notices) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["top", "a/mid", "a/b/low"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let root = Root::open(folder.path()).unwrap();
        (folder, root, Notices::new().unwrap())
    }

    fn cover(notices: &Notices, root: &Root, path: &[u8]) -> Option<Place> {
        let known = root.stat(path, crate::Reach::Disk).ok()?;
        notices.cover(root, path, &known)
    }

    fn names(changes: &Changes) -> Vec<String> {
        let mut names: Vec<String> =
            changes.names.iter().map(|n| n.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn changes_are_told_of_where_they_happen() {
        let (folder, root, notices) = tree();
        let [top, mid, low] = [&b"top"[..], b"a/mid", b"a/b/low"].map(|name| cover(&notices, &root, name).unwrap());
        assert_eq!(notices.watched(), 3);
        assert!(top != mid && mid != low);
        for (name, place, is_it) in
            [("top", top, true), ("a/mid", mid, true), ("a/b/low", low, true), ("a/b/new", low, false)]
        {
            let concerned = |changes: &Changes| [top, mid, low].map(|one| changes.concern_folder_of(one));
            fs::write(folder.path().join(name), "y").unwrap();
            let changes = notices.wait().unwrap();
            assert!(!changes.all && changes.concern(place) == is_it, "{name}");
            assert_eq!(concerned(&changes), [top, mid, low].map(|one| one == place), "{name}");
            assert_eq!(changes.names, [folder.path().join(name)]);
            // What is left of it: CREATE and MODIFY may come in two reads.
            while notices.is_pending(SOON) {
                assert_eq!(concerned(&notices.wait().unwrap()), concerned(&changes));
            }
        }
        fs::rename(folder.path().join("top"), folder.path().join("a/mid")).unwrap();
        let changes = notices.wait().unwrap();
        assert_eq!(names(&changes), ["mid", "top"]);
        assert!(changes.concern(top) && changes.concern(mid) && !changes.concern(low));
        // Who may look into it is a matter of all that is in it.
        fs::set_permissions(folder.path().join("a/b"), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(notices.wait().unwrap().concern(low));
    }

    #[test]
    fn a_directory_that_moves_takes_its_watches_along() {
        let (folder, root, notices) = tree();
        cover(&notices, &root, b"a/b/low").unwrap();
        assert_eq!(notices.watched(), 3);
        fs::rename(folder.path().join("a"), folder.path().join("z")).unwrap();
        assert!(notices.wait().unwrap().all);
        while notices.is_pending(SOON) {
            notices.wait().unwrap();
        }
        assert_eq!(notices.watched(), 1, "only the root");
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/low"), "new").unwrap();
        let place = cover(&notices, &root, b"a/b/low").unwrap();
        while notices.is_pending(SOON) {
            notices.wait().unwrap();
        }
        let place = cover(&notices, &root, b"a/b/low").unwrap_or(place);
        fs::write(folder.path().join("a/b/low"), "newer").unwrap();
        let changes = notices.wait().unwrap();
        assert!(!changes.all && changes.concern(place));
        // Its end is told when nobody holds it any more.
        drop(root);
        fs::remove_dir_all(folder.path()).unwrap();
        assert!(notices.wait().unwrap().all);
        while notices.is_pending(SOON) {
            notices.wait().unwrap();
        }
        assert_eq!(notices.watched(), 0);
    }

    #[test]
    fn a_root_behind_a_link_is_watched_where_it_leads() {
        let (folder, _, notices) = tree();
        let (link, swap) = (folder.path().join("link"), folder.path().join("swap"));
        for name in ["one", "two"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("f"), name).unwrap();
        }
        symlink("one", &link).unwrap();
        cover(&notices, &Root::open(&link).unwrap(), b"f").unwrap();
        symlink("two", &swap).unwrap();
        fs::rename(&swap, &link).unwrap();
        let place = cover(&notices, &Root::open(&link).unwrap(), b"f").unwrap();
        while notices.is_pending(SOON) {
            notices.wait().unwrap();
        }
        fs::write(folder.path().join("two/f"), "changed").unwrap();
        assert!(notices.wait().unwrap().concern(place));
    }

    #[test]
    fn nothing_is_promised_of_links_and_second_names() {
        let (folder, root, notices) = tree();
        symlink("a", folder.path().join("link")).unwrap();
        symlink("top", folder.path().join("other")).unwrap();
        fs::hard_link(folder.path().join("a/mid"), folder.path().join("twin")).unwrap();
        for name in [&b"link/b/low"[..], b"other", b"twin", b"a/mid", b"none", b"a/none", b"none/x"] {
            assert_eq!(cover(&notices, &root, name), None, "{}", name.escape_ascii());
        }
        assert!(cover(&notices, &root, b"top").is_some());
        notices.watch_directory(&root, b"link/b");
        fs::write(folder.path().join("a/b/low"), "y").unwrap();
        let changes = notices.wait().unwrap();
        assert!(changes.names.contains(&folder.path().join("link/b/low")), "{changes:?}");
    }

    #[test]
    fn what_changed_before_the_watch_is_not_covered() {
        let (folder, root, notices) = tree();
        let known = root.stat(b"a/mid", crate::Reach::Disk).unwrap();
        fs::write(folder.path().join("a/mid"), "changed meanwhile").unwrap();
        assert_eq!(notices.cover(&root, b"a/mid", &known), None);
    }

    #[test]
    fn what_is_watched_already_is_known_before_the_file_is_opened() {
        let (_folder, root, notices) = tree();
        assert_eq!(notices.watched_place(&root, b"a/mid"), None);
        let place = cover(&notices, &root, b"a/mid");
        assert!(place.is_some());
        assert_eq!(notices.watched_place(&root, b"a/mid"), place);
        assert!(notices.watched_place(&root, b"a/another").is_some_and(|another| Some(another) != place));
        assert!(notices.watched_place(&root, b"top").is_some_and(|top| Some(top) != place));
        assert_eq!(notices.watched_place(&root, b"a/b/low"), None);
    }

    #[test]
    fn what_is_asked_for_once_takes_half_of_the_watches() {
        let (folder, root, notices) = tree();
        let known = root.stat(b"top", crate::Reach::Disk).unwrap();
        for n in 0..FIRST_MAX {
            fs::create_dir(folder.path().join(format!("d{n}"))).unwrap();
        }
        assert!(notices.cover_first(&root, b"top", &known).is_some());
        (0..FIRST_MAX).for_each(|n| notices.watch_directory(&root, format!("d{n}").as_bytes()));
        assert!(notices.cover_first(&root, b"top", &known).is_none());
        assert!(cover(&notices, &root, b"top").is_some());
    }

    #[test]
    fn a_system_without_watches_is_not_asked_for_each_file() {
        let (_folder, root, notices) = tree();
        let known = root.stat(b"top", crate::Reach::Disk).unwrap();
        // As it is after a refusal.
        notices.locked().pause = PAUSE;
        assert!((0..PAUSE).all(|_| notices.cover_first(&root, b"top", &known).is_none()));
        assert!(notices.cover_first(&root, b"top", &known).is_some());
    }

    #[test]
    fn of_a_directory_that_is_not_there_the_nearest_one_is_watched() {
        let (folder, root, notices) = tree();
        notices.watch_directory(&root, b"a/new/deep");
        assert_eq!(notices.watched(), 1);
        fs::create_dir(folder.path().join("a/new")).unwrap();
        assert!(notices.wait().unwrap().all);
    }

    #[test]
    fn very_much_at_once_is_told_as_all() {
        let (folder, root, notices) = tree();
        cover(&notices, &root, b"top").unwrap();
        for n in 0..200 {
            fs::write(folder.path().join(format!("many-{n}")), "").unwrap();
        }
        let changes = notices.wait().unwrap();
        assert!(changes.all);
        assert_eq!(changes.names.len(), NAMES_MAX);
    }

    #[test]
    fn paths_are_joined() {
        assert_eq!(&*joined(b"/srv", b"a"), b"/srv/a");
        assert_eq!(&*joined(b"/srv", b""), b"/srv");
        assert_eq!(&*joined(b"/", b"a"), b"/a");
    }
}
