//! Which siblings cannot be in a directory, known from its names, so that they are not asked for one by one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use clock::Tick;
use content_coding::{Coding, Codings};
use foldhash::fast::RandomState;
use fs::{Error, Meta, Reach, Root};

use crate::entry::{checked_to_be_due, is_due};

/// So many directories are known at a time: about half a MiB.
const FOLDERS_MAX: usize = 4096;

/// So many names are read for each sibling that was asked for: both cost about the same, so that no directory costs more than
/// twice what asking would, however large it is and however often it changes.
const NAMES_PER_ASKED: u32 = 64;

/// After so long the names are read again whatever the directory's times say: not all file systems keep them.
const KEPT_MS: u32 = 10_000;

/// What is known about the directories of a route, by path relative to its root.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    known: RefCell<HashMap<Box<[u8]>, Names, RandomState>>,
    /// How many changes had been told of at the last look.
    told: Cell<u32>,
}

/// What is known about the names in a directory: which endings of siblings there are at all.
///
/// The names are read with the first look that may wait, if they are few, and later if they are many. That holds while the directory's
/// own times stay as they are, which is looked at once a second as with files, and when a change was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Not read since so many siblings were asked for; reading was tried in vain when it were so many.
    Unread { asked: u32, tried: u32 },
    /// Read.
    Read {
        /// Of the directory, then.
        meta: Meta,
        /// The codings of whose siblings there may be some.
        endings: Codings,
        /// When.
        read: Tick,
        /// When the directory was last looked at.
        checked: Tick,
    },
}

impl Folders {
    /// What is known about the directory of the file `name`. It has to be looked at again once another change was told of (`told` counts
    /// them), and each time where none ever is.
    pub(crate) fn of(&self, name: &[u8], told: Option<u32>, now: Tick) -> Option<Names> {
        let known = &mut *self.known.borrow_mut();
        let due = checked_to_be_due(now);
        if let Some(told) = told
            && self.told.replace(told) != told
        {
            known.values_mut().for_each(|names| names.looked_at(due));
        }
        let mut names = known.get(directory_of(name)).copied()?;
        if told.is_none() {
            names.looked_at(due);
        }
        Some(names)
    }

    /// Keeps what a search has learned about the directory of the file `name`.
    pub(crate) fn keep(&self, name: &[u8], names: Names, now: Tick) {
        let (known, directory) = (&mut *self.known.borrow_mut(), directory_of(name));
        if let Some(there) = known.get_mut(directory) {
            // Another search may have read them meanwhile.
            let is_read = matches!(there, Names::Read { checked, .. } if !is_due(*checked, now));
            if !is_read || matches!(names, Names::Read { .. }) {
                *there = names;
            }
            return;
        }
        if known.len() >= FOLDERS_MAX {
            known.clear();
        }
        known.insert(directory.into(), names);
    }

    /// Forgets all: the root is another.
    pub(crate) fn forget(&self) {
        self.known.borrow_mut().clear();
    }
}

impl Names {
    fn looked_at(&mut self, at: Tick) {
        if let Names::Read { checked, .. } = self {
            *checked = at;
        }
    }

    /// Those of the siblings in `sought` of the file `name` that may be there, and what is known then; `known` is what was known before.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] where `reach` forbids to find out. Whatever else is the matter shows when the siblings are asked for.
    pub(crate) fn possible(
        known: Option<Names>,
        root: &Root,
        name: &[u8],
        sought: Codings,
        now: Tick,
        reach: Reach,
    ) -> Result<(Names, Codings), Error> {
        let (mut asked, mut tried) = (0, 0);
        match known {
            Some(Names::Unread { asked: before, tried: then }) => (asked, tried) = (before, then),
            Some(names @ Names::Read { endings, checked, .. }) if !is_due(checked, now) => {
                return Ok((names, sought.and(endings)));
            }
            Some(Names::Read { meta, endings, read, .. }) if now.0.wrapping_sub(read.0) < KEPT_MS => {
                match root.stat(directory_of(name), reach) {
                    Ok(same) if same == meta => {
                        return Ok((Names::Read { meta, endings, read, checked: now }, sought.and(endings)));
                    }
                    Err(Error::WouldBlock) => return Err(Error::WouldBlock),
                    _ => {}
                }
            }
            Some(Names::Read { .. }) | None => {}
        }
        asked = asked.saturating_add(sought.len());
        // Each time twice as many as the last time.
        if reach == Reach::Disk && asked >= tried.saturating_mul(2) {
            tried = asked;
            if let Some((meta, endings)) = endings_in(root, directory_of(name), asked.saturating_mul(NAMES_PER_ASKED)) {
                return Ok((Names::Read { meta, endings, read: now, checked: now }, sought.and(endings)));
            }
        }
        Ok((Names::Unread { asked, tried }, sought))
    }
}

fn directory_of(name: &[u8]) -> &[u8] {
    name.iter().rposition(|byte| *byte == b'/').map_or(&[], |at| &name[..at])
}

/// Which siblings' endings are among the names in a directory of at most so many names. Blocks.
fn endings_in(root: &Root, directory: &[u8], names_max: u32) -> Option<(Meta, Codings)> {
    let mut endings = Codings::NONE;
    let look = |name: &[u8]| {
        let has = |coding: &Coding| {
            let suffix = coding.suffix().as_bytes();
            // Whatever the file system makes of letters.
            name.len() > suffix.len() && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
        };
        Coding::ALL.into_iter().filter(has).for_each(|coding| {
            endings.insert(coding);
        });
    };
    let meta = root.read_names(directory, names_max as usize, look).ok()??;
    Some((meta, endings))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests prepare files, and wait for the file system's clock")]
mod tests {
    use std::fs::{create_dir, rename, write};
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    struct Site {
        dir: tempfile::TempDir,
        root: Root,
        folders: Folders,
        now: Tick,
    }

    impl Site {
        fn with(names: &[&str]) -> Site {
            let dir = tempfile::tempdir().unwrap();
            create_dir(dir.path().join("a")).unwrap();
            names.iter().for_each(|name| write(dir.path().join(name), "x").unwrap());
            let root = Root::open(dir.path()).unwrap();
            let site = Site { dir, root, folders: Folders::default(), now: Tick(u32::MAX - 500) };
            site.settle();
            site
        }

        /// Waits until the file system's clock has moved on.
        fn settle(&self) {
            for name in ["", "a"] {
                while !self.root.stat(name.as_bytes(), Reach::Disk).unwrap().is_settled() {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }

        fn path(&self, name: &str) -> impl AsRef<Path> {
            self.dir.path().join(name)
        }

        fn ask(&self, name: &str) -> Codings {
            let name = name.as_bytes();
            let known = self.folders.of(name, Some(0), self.now);
            let (names, possible) = Names::possible(known, &self.root, name, all(), self.now, Reach::Disk).unwrap();
            self.folders.keep(name, names, self.now);
            possible
        }

        fn pass(&mut self, ms: u32) {
            self.now = Tick(self.now.0.wrapping_add(ms));
        }
    }

    fn all() -> Codings {
        Coding::ALL.into_iter().collect()
    }

    fn only(coding: Coding) -> Codings {
        [coding].into_iter().collect()
    }

    #[test]
    fn what_cannot_be_there_is_known_for_each_directory() {
        let site = Site::with(&["page", "other.gz", "a/page", "a/other.BR", "a/zst", "a/.zst"]);
        let in_memory = Names::possible(None, &site.root, b"page", all(), site.now, Reach::Cached);
        assert_eq!(in_memory.unwrap().1, all(), "nothing is known yet");
        assert_eq!(site.ask("page"), only(Coding::Gzip));
        assert_eq!(site.ask("a/page"), only(Coding::Brotli));
        assert_eq!(site.ask("gone/page"), all());
        let known = site.folders.of(b"another", Some(0), site.now);
        let asked = Names::possible(known, &site.root, b"another", only(Coding::Brotli), site.now, Reach::Cached);
        assert_eq!(asked.unwrap(), (known.unwrap(), Codings::NONE));
    }

    #[test]
    fn a_new_name_shows_at_once_where_changes_are_told_of_and_where_none_ever_is() {
        let site = Site::with(&["a/page"]);
        assert_eq!(site.ask("a/page"), Codings::NONE);
        let ask = |told| {
            let known = site.folders.of(b"a/page", told, site.now);
            Names::possible(known, &site.root, b"a/page", all(), site.now, Reach::Disk).unwrap().1
        };
        write(site.path("a/page.br"), "x").unwrap();
        site.settle();
        assert_eq!(ask(Some(0)), Codings::NONE, "nobody has told of it");
        assert_eq!(ask(None), only(Coding::Brotli));
        assert_eq!(ask(Some(1)), only(Coding::Brotli));
    }

    #[test]
    fn a_new_name_shows_within_a_second() {
        let mut site = Site::with(&["a/page"]);
        assert_eq!(site.ask("a/page"), Codings::NONE);
        write(site.path("a/page.br"), "x").unwrap();
        site.pass(999);
        assert_eq!(site.ask("a/page"), Codings::NONE);
        site.pass(1);
        assert_eq!(site.ask("a/page"), all());
        site.settle();
        assert_eq!(site.ask("a/page"), only(Coding::Brotli));
        site.pass(1000);
        assert_eq!(site.ask("a/page"), only(Coding::Brotli), "it is still the same");
        // The directory is another one.
        rename(site.path("a"), site.path("b")).unwrap();
        create_dir(site.path("a")).unwrap();
        site.pass(1000);
        assert_eq!(site.ask("a/page"), all());
    }

    #[test]
    fn names_are_read_again_after_ten_seconds() {
        let mut site = Site::with(&["a/page"]);
        assert_eq!(site.ask("a/page"), Codings::NONE);
        let began = site.now;
        let read_at = |site: &Site| match site.folders.of(b"a/page", Some(0), site.now) {
            Some(Names::Read { read, .. }) => read,
            other => panic!("{other:?}"),
        };
        for _ in 0..9 {
            site.pass(1000);
            assert_eq!(site.ask("a/page"), Codings::NONE);
            assert_eq!(read_at(&site), began);
        }
        site.pass(1000);
        assert_eq!(site.ask("a/page"), Codings::NONE);
        assert_eq!(read_at(&site), site.now);
    }

    #[test]
    fn a_directory_that_changes_is_not_believed() {
        let site = Site::with(&["a/page"]);
        write(site.path("a/new"), "x").unwrap();
        assert_eq!(site.ask("a/page"), all(), "another name at the same time would not show");
    }

    #[test]
    fn large_directories_are_read_when_it_is_worth_it() {
        let names: Vec<String> = (0..1000).map(|n| format!("a/{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let site = Site::with(&names);
        let asked = (1..).take_while(|_| site.ask("a/0") == all()).count();
        // 16 and 2 siblings for 1,002 names; tried before at 3, 6 and 12, and next at 24.
        assert_eq!(asked + 1, 24 / Coding::ALL.len());
    }

    #[test]
    fn what_one_search_has_read_another_does_not_undo() {
        let mut site = Site::with(&["page"]);
        let late = Names::Unread { asked: 3, tried: 0 };
        assert_eq!(site.ask("page"), Codings::NONE);
        site.folders.keep(b"page", late, site.now);
        assert_eq!(site.ask("page"), Codings::NONE);
        site.pass(1000);
        site.folders.keep(b"page", late, site.now);
        assert_eq!(site.folders.of(b"page", Some(0), site.now), Some(late));
        site.folders.forget();
        assert_eq!(site.folders.of(b"page", Some(0), site.now), None);
    }

    #[test]
    fn memory_is_bounded() {
        let site = Site::with(&[]);
        for n in 0..=FOLDERS_MAX {
            site.ask(&format!("{n}/page"));
        }
        assert_eq!(site.folders.known.borrow().len(), 1);
    }
}
