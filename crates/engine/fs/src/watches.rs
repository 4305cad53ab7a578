//! Which directories are watched, and by which of the kernel's numbers.

use std::collections::HashMap;

use crate::changes::{Changes, folded};

/// The watched directories, by absolute path. Makes no system call: who ends a watch here is told which ones to end there.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_path: HashMap<Box<[u8]>, Watch>,
    /// The paths of a watch: one, but where a directory is mounted twice.
    paths: HashMap<i32, Vec<Box<[u8]>>>,
    /// The directories whose watch has ended since that was last told of.
    ended: Changes,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    number: i32,
    /// Device and inode of the directory.
    pub(crate) identity: (u64, u64),
    /// The root beneath which all directories on the way to it are watched too, if they are. None of them is forgotten without it.
    pub(crate) beneath: Option<(u64, u64)>,
}

impl Watches {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.by_path.len()
    }

    /// That of the directory at `path`.
    pub(crate) fn at(&self, path: &[u8]) -> Option<&Watch> {
        self.by_path.get(path)
    }

    /// Whether a path has that number.
    pub(crate) fn has(&self, number: i32) -> bool {
        self.paths.contains_key(&number)
    }

    /// The paths of that number.
    pub(crate) fn paths_of(&self, number: i32) -> Vec<Box<[u8]>> {
        self.paths.get(&number).cloned().unwrap_or_default()
    }

    /// Takes note of a new one, and gives the number of the one that was there if no path has it any more.
    pub(crate) fn insert(&mut self, path: Box<[u8]>, number: i32, identity: (u64, u64)) -> Option<i32> {
        let paths = self.paths.entry(number).or_default();
        if !paths.contains(&path) {
            paths.push(path.clone());
        }
        let before = self.by_path.insert(path.clone(), Watch { number, identity, beneath: None })?;
        if before.number == number { None } else { self.without_path(before.number, &path) }
    }

    /// Takes note that all of `way`, from the root down, are watched; false where one of them was forgotten meanwhile.
    pub(crate) fn link(&mut self, way: &[Box<[u8]>], root: (u64, u64)) -> bool {
        let all = way.iter().all(|path| self.by_path.contains_key(path));
        for path in way.iter().filter(|_| all) {
            if let Some(watch) = self.by_path.get_mut(path) {
                watch.beneath = Some(root);
            }
        }
        all
    }

    /// Forgets the watches at and beneath `path`, whatever a file system takes to be the same, and gives the numbers that no path has
    /// any more. [`Watches::ended`] tells of them.
    pub(crate) fn forget(&mut self, path: &[u8]) -> Vec<i32> {
        let beneath = |other: &[u8]| {
            let mut rest = folded(other);
            folded(path).all(|byte| rest.next() == Some(byte)) && matches!(rest.next(), None | Some(b'/'))
        };
        let gone: Vec<_> = self.by_path.extract_if(|other, _| beneath(other)).collect();
        let ended = gone.into_iter().filter_map(|(path, watch)| {
            self.ended.add_folder(&path);
            self.without_path(watch.number, &path)
        });
        ended.collect()
    }

    /// The directories whose watch has ended since this was last asked. All that was known to be watched beneath a directory that has
    /// moved is among them, and so each file that relied on that.
    pub(crate) fn ended(&mut self) -> Changes {
        std::mem::take(&mut self.ended)
    }

    /// Takes a path from a number, and gives the number if that was the last one.
    fn without_path(&mut self, number: i32, path: &[u8]) -> Option<i32> {
        let paths = self.paths.get_mut(&number)?;
        paths.retain(|other| **other != *path);
        if !paths.is_empty() {
            return None;
        }
        self.paths.remove(&number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::Place;

    #[test]
    fn what_lies_beneath_is_forgotten_and_a_number_with_its_last_path() {
        let mut watches = Watches::default();
        for (number, path) in [(1, "/srv"), (2, "/srv/a"), (3, "/srv/a/b"), (4, "/srv/ab"), (2, "/srv/mounted")] {
            watches.insert(path.as_bytes().into(), number, (0, 0));
        }
        assert_eq!(watches.forget(b"/srv/a"), [3], "2 has another path");
        assert_eq!((watches.len(), watches.paths_of(2).len(), watches.paths_of(3).len()), (3, 1, 0));
        assert!(watches.at(b"/srv/ab").is_some());
        assert_eq!(watches.forget(b"/srv/mounted"), [2]);
    }

    #[test]
    fn whose_watch_has_ended_is_told_once() {
        let mut watches = Watches::default();
        let concerned = |changes: &Changes, folder: &str| {
            changes.concern(Place::new(folder.as_bytes(), format!("{folder}/file").as_bytes()))
        };
        for (number, path) in [(1, "/srv"), (2, "/srv/a"), (3, "/srv/a/b"), (4, "/srv/A/c"), (5, "/srv/ab")] {
            watches.insert(path.as_bytes().into(), number, (0, 0));
        }
        watches.forget(b"/srv/a");
        let ended = watches.ended();
        let told = ["/srv", "/srv/a", "/srv/a/b", "/srv/A/c", "/srv/ab"].map(|folder| concerned(&ended, folder));
        assert_eq!(told, [false, true, true, true, false]);
        assert!(watches.ended().is_empty());
        // The end of all: the root of the system is watched too.
        watches.insert(b"/".as_slice().into(), 6, (0, 0));
        watches.forget(b"");
        assert_eq!(watches.len(), 0);
    }

    #[test]
    fn another_directory_at_a_path_ends_the_watch_of_the_first() {
        let mut watches = Watches::default();
        let mut insert = |number| watches.insert(b"/srv/a".as_slice().into(), number, (0, number as u64));
        assert_eq!([insert(1), insert(1), insert(2)], [None, None, Some(1)]);
        assert_eq!((watches.paths_of(1).len(), watches.forget(b"/srv/a")), (0, vec![2]));
    }

    #[test]
    fn all_of_a_way_are_linked_or_none() {
        let mut watches = Watches::default();
        let way = [&b"/srv"[..], b"/srv/a"].map(Box::<[u8]>::from);
        watches.insert(way[0].clone(), 1, (0, 0));
        assert!(!watches.link(&way, (7, 7)));
        assert_eq!(watches.at(&way[0]).and_then(|watch| watch.beneath), None);
        watches.insert(way[1].clone(), 2, (0, 0));
        assert!(watches.link(&way, (7, 7)));
        assert_eq!(watches.at(&way[0]).and_then(|watch| watch.beneath), Some((7, 7)));
    }
}
