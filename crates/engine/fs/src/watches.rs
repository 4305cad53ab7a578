//! Which directories are watched, and by which of the kernel's numbers.

use std::collections::HashMap;

/// The watched directories, by absolute path. Makes no system call: who ends a watch here is told which ones to end there.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_path: HashMap<Box<[u8]>, Watch>,
    /// The paths of a watch: one, but where a directory is mounted twice.
    paths: HashMap<i32, Vec<Box<[u8]>>>,
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

    /// The paths of that number.
    pub(crate) fn paths_of(&self, number: i32) -> Vec<Box<[u8]>> {
        self.paths.get(&number).cloned().unwrap_or_default()
    }

    /// Takes note of a new one.
    pub(crate) fn insert(&mut self, path: Box<[u8]>, number: i32, identity: (u64, u64)) {
        let paths = self.paths.entry(number).or_default();
        if !paths.contains(&path) {
            paths.push(path.clone());
        }
        self.by_path.insert(path, Watch { number, identity, beneath: None });
    }

    /// Takes note that all of `way`, from the root down, are watched; or not, where one of them was forgotten meanwhile.
    pub(crate) fn link(&mut self, way: &[Box<[u8]>], root: (u64, u64)) {
        if way.iter().all(|path| self.by_path.contains_key(path)) {
            for path in way {
                if let Some(watch) = self.by_path.get_mut(path) {
                    watch.beneath = Some(root);
                }
            }
        }
    }

    /// Forgets the watches at and beneath `path`, and says which numbers have no path any more.
    pub(crate) fn forget(&mut self, path: &[u8]) -> Vec<i32> {
        let beneath = |other: &[u8]| other.strip_prefix(path).is_some_and(|r| r.is_empty() || r.starts_with(b"/"));
        let mut ended = Vec::new();
        for (gone, watch) in self.by_path.extract_if(|other, _| beneath(other)) {
            if let Some(paths) = self.paths.get_mut(&watch.number) {
                paths.retain(|other| *other != gone);
                if paths.is_empty() {
                    self.paths.remove(&watch.number);
                    ended.push(watch.number);
                }
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
