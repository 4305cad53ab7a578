//! Watching the ways to roots.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::fs::{CWD, Mode, OFlags, openat, readlink};
use rustix::io::Errno;

use super::Notices;
use crate::root::{LOOK, name_of};

/// What comes to be in a directory; added to what it is watched for besides.
const EVENTS: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(WatchFlags::ONLYDIR).union(WatchFlags::MASK_ADD);

/// So many names are looked at on a way, links and all: the kernel gives up behind 40 links.
const STEPS_MAX: usize = 256;

impl Notices {
    /// Has it told of when another directory may have taken the place of the one at `root` ([`crate::Changes::root_moved`]): a link on the
    /// way leads elsewhere, or one was moved there, or made anew. Until [`Notices::leave_way`] was called as often.
    ///
    /// Promises nothing: nobody tells of mounts, nor of the ways to thousands of roots. Three system calls for each name on the way.
    pub fn watch_way(&self, root: &Path) {
        if self.locked().ways.join(root) {
            self.walk(root);
        }
    }

    /// One who asked does not ask any more.
    pub fn leave_way(&self, root: &Path) {
        let mut table = self.locked();
        let numbers = table.ways.leave(root);
        self.release(&table, &numbers);
    }

    /// Watches the directories on a way, from the top, so that what comes to be behind the last one that is there is told of.
    pub(super) fn walk(&self, root: &Path) {
        let before = self.locked().ways.restart(root);
        // Without links in it.
        let mut at = PathBuf::from("/");
        let mut left = names_of(root);
        for _ in 0..STEPS_MAX {
            let Some(name) = left.pop() else { break };
            if name == ".." {
                at.pop();
                continue;
            }
            if !self.watch_step(root, &at, &name) {
                break;
            }
            at.push(name);
            match readlink(&at, Vec::new()) {
                Ok(target) => {
                    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                    at.pop();
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    left.extend(names_of(target));
                }
                // No link.
                Err(Errno::INVAL) => {}
                Err(_) => break,
            }
        }
        self.release(&self.locked(), &before);
    }

    /// False where the way ends: no directory is there, nobody asks any more, or there are too many already.
    fn watch_step(&self, root: &Path, directory: &Path, name: &OsStr) -> bool {
        let opened = openat(CWD, directory, LOOK | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
        let Ok(directory) = opened else { return false };
        // Under the lock, so that what is read of this watch finds its way.
        let mut table = self.locked();
        if table.ways.are_full() {
            return false;
        }
        let added = inotify::add_watch(&self.inotify, name_of(&directory).as_slice(), EVENTS);
        // It may not be read, or is one too many: the others can be of use all the same.
        let Ok(number) = added else { return true };
        let is_asked_for = table.ways.step(root, number, name);
        self.release(&table, &[number]);
        is_asked_for
    }

    /// Adds the roots that may be others now.
    pub(super) fn note_way(&self, watch: i32, events: ReadFlags, name: Option<&[u8]>, moved: &mut BTreeSet<PathBuf>) {
        let ways = &self.locked().ways;
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            moved.extend(ways.roots());
        } else if events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
            moved.extend(ways.leading_through(watch, name.map(OsStr::from_bytes)));
        } else if events.contains(ReadFlags::IGNORED) {
            // The directory is gone, and its watch with it.
            moved.extend(ways.leading_through(watch, None));
        }
    }
}

/// The names in a path, the last one first.
fn names_of(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        _ => None,
    });
    names.rev().map(OsStr::to_owned).collect()
}
