//! The ways to roots: which directories lie on them, and by which of the kernel's numbers those are watched.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// So many directories on ways are watched: thousands of roots are to leave some of what the system has for what is asked for.
const DIRECTORIES_MAX: usize = 2048;

/// The ways that somebody asked about, of which there may be thousands. Makes no system call.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    by_root: HashMap<PathBuf, Way>,
    /// How many steps have each number.
    steps: HashMap<i32, usize>,
}

/// That to one root.
#[derive(Debug, Default)]
struct Way {
    /// How often it was asked for.
    users: usize,
    /// Each directory on it that is there, those behind links too: its number, and the name in it that leads on.
    steps: Vec<(i32, Box<OsStr>)>,
}

impl Ways {
    /// Takes note of one more who asks for the way to `root`; true for the first.
    pub(crate) fn join(&mut self, root: &Path) -> bool {
        let way = self.by_root.entry(root.to_owned()).or_default();
        way.users += 1;
        way.users == 1
    }

    /// One asks no more; with the last the way is forgotten, and the numbers of its steps come back.
    pub(crate) fn leave(&mut self, root: &Path) -> Vec<i32> {
        let Some(way) = self.by_root.get_mut(root) else { return Vec::new() };
        way.users -= 1;
        if way.users > 0 {
            return Vec::new();
        }
        let numbers = self.restart(root);
        self.by_root.remove(root);
        numbers
    }

    /// Forgets the steps of a way, which is walked again; their numbers come back.
    pub(crate) fn restart(&mut self, root: &Path) -> Vec<i32> {
        let steps = self.by_root.get_mut(root).map(|way| std::mem::take(&mut way.steps)).unwrap_or_default();
        let numbers: Vec<_> = steps.into_iter().map(|(number, _)| number).collect();
        for number in &numbers {
            match self.steps.get_mut(number) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.steps.remove(number)),
            }
        }
        numbers
    }

    /// The next step of a way; false if nobody asks for it any more.
    pub(crate) fn step(&mut self, root: &Path, number: i32, name: &OsStr) -> bool {
        let Some(way) = self.by_root.get_mut(root) else { return false };
        way.steps.push((number, name.into()));
        *self.steps.entry(number).or_default() += 1;
        true
    }

    /// Whether they lead through as many directories as may be watched for them.
    pub(crate) fn are_full(&self) -> bool {
        self.steps.len() >= DIRECTORIES_MAX
    }

    /// Whether a way leads through that directory.
    pub(crate) fn uses(&self, number: i32) -> bool {
        self.steps.contains_key(&number)
    }

    /// The roots to which `name` in that directory leads; without a name, the directory itself.
    pub(crate) fn leading_through<'w>(
        &'w self,
        number: i32,
        name: Option<&'w OsStr>,
    ) -> impl Iterator<Item = PathBuf> + 'w {
        let leads = move |(step, on): &(i32, Box<OsStr>)| *step == number && name.is_none_or(|name| **on == *name);
        // Most of what is told of is in no directory on a way.
        let ways = self.uses(number).then_some(&self.by_root).into_iter().flatten();
        ways.filter(move |(_, way)| way.steps.iter().any(leads)).map(|(root, _)| root.clone())
    }

    /// All roots.
    pub(crate) fn roots(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.by_root.keys().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_forgotten_with_the_last_who_asks() {
        let (mut ways, one, two) = (Ways::default(), Path::new("/srv/one"), Path::new("/srv/two"));
        assert_eq!([ways.join(one), ways.join(one), ways.join(two)], [true, false, true]);
        for (root, number, name) in [(one, 1, "srv"), (one, 2, "one"), (two, 1, "srv"), (two, 2, "two")] {
            assert!(ways.step(root, number, OsStr::new(name)));
        }
        let through = |name: Option<&str>| {
            let mut roots: Vec<_> = ways.leading_through(2, name.map(OsStr::new)).collect();
            roots.sort();
            roots
        };
        assert_eq!((through(Some("one")), through(Some("three"))), (vec![one.to_owned()], vec![]));
        assert_eq!(through(None), [one, two]);
        assert_eq!((ways.leave(one), ways.leave(one)), (vec![], vec![1, 2]));
        assert!(ways.uses(2) && !ways.step(one, 3, OsStr::new("x")));
        assert_eq!(ways.restart(two), [1, 2]);
        assert!(!ways.uses(2));
    }

    #[test]
    fn so_many_directories_are_watched_for_all_ways_together() {
        let mut ways = Ways::default();
        let roots = ["/srv/one", "/srv/two"].map(Path::new);
        for root in roots {
            ways.join(root);
            (1..DIRECTORIES_MAX as i32).for_each(|number| assert!(ways.step(root, number, OsStr::new("x"))));
        }
        assert!(!ways.are_full(), "each counts once");
        ways.step(roots[0], 0, OsStr::new("x"));
        assert!(ways.are_full());
        ways.leave(roots[0]);
        assert!(!ways.are_full());
    }
}
