//! What has changed, and whom that concerns.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// So many changed names are told one by one; of more, only that there were many.
pub(crate) const NAMES_MAX: usize = 64;

/// And so many folders.
const FOLDERS_MAX: usize = 2 * NAMES_MAX;

/// Where changes of a file are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    folder: Name,
    file: Name,
}

impl Place {
    /// That of a file in a folder, both by their absolute paths.
    pub(crate) fn new(folder: &[u8], file: &[u8]) -> Place {
        Place { folder: Name::of(folder), file: Name::of(file) }
    }
}

/// An absolute path, told from others well enough: two that are taken for the same cost a look in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name(u64);

impl Name {
    fn of(path: &[u8]) -> Name {
        let told: Vec<u8> = folded(path).collect();
        let mut hasher = DefaultHasher::new();
        hasher.write(&told);
        Name(hasher.finish())
    }
}

/// A path without what a file system may take to be the same: the case of letters, and how it writes those that are not ASCII.
pub(crate) fn folded(path: &[u8]) -> impl Iterator<Item = u8> {
    path.iter().filter(|byte| byte.is_ascii()).map(u8::to_ascii_lowercase)
}

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Anything may have: there was too much to tell.
    pub all: bool,
    /// A folder came, went or moved: what lies beneath it is not among the names.
    pub folder_moved: bool,
    /// Another directory may have taken a root's place ([`crate::Notices::watch_way`]).
    pub root_moved: bool,
    /// The names of what changed, absolute, at most 64 of them.
    pub names: Vec<PathBuf>,
    /// What changed: files, folders whose own permissions did, and folders that may lie elsewhere now. Few, since many are all.
    changed: Vec<Name>,
    /// The folders that it is in.
    folders: Vec<Name>,
    /// A folder itself has, such as its permissions.
    folder_changed: bool,
    /// Of the names, those that were not there before, and those that are not there any more.
    came: Vec<Name>,
    gone: Vec<Name>,
}

/// What has happened to a name in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It is there now.
    Came,
    /// It is not there any more.
    Went,
    /// What it names has changed.
    Changed,
}

impl Changes {
    /// Whether nothing has.
    pub fn is_empty(&self) -> bool {
        !self.all && !self.folder_moved && !self.root_moved && self.changed.is_empty()
    }

    /// Whether the file at `place` may be another now, or what stands beside it under its name with an ending more (`page.html.gz`).
    pub fn concern(&self, place: Place) -> bool {
        self.all || self.changed.contains(&place.file) || self.changed.contains(&place.folder)
    }

    /// Whether anything in its folder may be.
    pub fn concern_folder_of(&self, place: Place) -> bool {
        self.all || self.folders.contains(&place.folder)
    }

    /// The names of what changed, without those that came and went meanwhile, as programs use them that replace a file; `None` where
    /// names do not tell all of it.
    pub fn lasting_names(&self) -> Option<impl Iterator<Item = &PathBuf>> {
        let is_told = !self.all && !self.folder_moved && !self.root_moved && !self.folder_changed;
        let has_passed = |path: &&PathBuf| {
            let name = Name::of(path.as_os_str().as_bytes());
            self.came.contains(&name) && self.gone.contains(&name)
        };
        is_told.then(|| self.names.iter().filter(move |path| !has_passed(path)))
    }

    /// Adds what changed later.
    pub fn merge(&mut self, more: Changes) {
        self.all |= more.all;
        self.folder_moved |= more.folder_moved;
        self.root_moved |= more.root_moved;
        self.folder_changed |= more.folder_changed;
        if self.all {
            return;
        }
        more.changed.into_iter().for_each(|name| add(&mut self.changed, name));
        more.folders.into_iter().for_each(|name| add(&mut self.folders, name));
        self.all |= self.folders.len() > FOLDERS_MAX;
        for path in more.names {
            let name = Name::of(path.as_os_str().as_bytes());
            let happened = if more.gone.contains(&name) { Happened::Went } else { Happened::Changed };
            let came = more.came.contains(&name);
            self.add_name(path, if came { Happened::Came } else { happened });
            if came && happened == Happened::Went {
                add(&mut self.gone, name);
            }
        }
    }

    /// Adds what has happened to a name in a folder, by absolute paths.
    pub(crate) fn add_file(&mut self, folder: &[u8], file: &[u8], happened: Happened) {
        // Nobody asks any further then, and there may be thousands more.
        if self.all {
            return;
        }
        add(&mut self.folders, Name::of(folder));
        add(&mut self.changed, Name::of(file));
        let begins = file.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        if let Some(dot) = file.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > begins) {
            add(&mut self.changed, Name::of(&file[..dot]));
        }
        self.add_name(OsString::from_vec(file.to_vec()).into(), happened);
    }

    /// Adds a folder that changed itself, and so all that is in it.
    pub(crate) fn add_folder(&mut self, folder: &[u8]) {
        if self.all {
            return;
        }
        self.folder_changed = true;
        add(&mut self.folders, Name::of(folder));
        add(&mut self.changed, Name::of(folder));
        self.all = self.folders.len() > FOLDERS_MAX;
    }

    fn add_name(&mut self, path: PathBuf, happened: Happened) {
        let name = Name::of(path.as_os_str().as_bytes());
        if !self.names.iter().any(|other| other.as_os_str() == path.as_os_str()) {
            if self.names.len() >= NAMES_MAX {
                self.all = true;
                return;
            }
            self.names.push(path);
            if happened == Happened::Came {
                add(&mut self.came, name);
            }
        }
        match happened {
            Happened::Went => add(&mut self.gone, name),
            Happened::Came | Happened::Changed => self.gone.retain(|other| *other != name),
        }
    }
}

fn add(names: &mut Vec<Name>, name: Name) {
    if !names.contains(&name) {
        names.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_concerns_what_has_its_name_or_stands_beside_it() {
        let place = |file: &str| Place::new(b"/srv", format!("/srv/{file}").as_bytes());
        let mut changes = Changes::default();
        changes.add_file(b"/srv", b"/srv/page.html", Happened::Changed);
        changes.add_file(b"/srv", b"/srv/style.css.br", Happened::Changed);
        changes.add_file(b"/srv", b"/srv/.hidden", Happened::Changed);
        for (file, concerned) in [
            ("page.html", true),
            ("PAGE.html", true),
            ("page.html.gz", false),
            ("style.css", true),
            ("style.css.br", true),
            ("style.css.gz", false),
            ("other", false),
            ("", false),
        ] {
            assert_eq!(changes.concern(place(file)), concerned, "{file}");
            assert!(changes.concern_folder_of(place(file)));
        }
        let mut at_top = Changes::default();
        at_top.add_file(b"/", b"/x.gz", Happened::Changed);
        assert!(at_top.concern(Place::new(b"/", b"/x")));
        let elsewhere = Place::new(b"/srv/a", b"/srv/a/page.html");
        assert!(!changes.concern(elsewhere) && !changes.concern_folder_of(elsewhere));
        let mut later = Changes::default();
        assert!(later.is_empty());
        later.add_folder(b"/srv/a");
        assert!(!later.is_empty() && later.concern(elsewhere) && later.concern_folder_of(elsewhere));
        changes.merge(later);
        assert!(changes.concern(elsewhere) && changes.concern(place("page.html")) && !changes.concern(place("other")));
        assert_eq!(changes.names.len(), 3);
        changes.merge(Changes { all: true, ..Changes::default() });
        assert!(changes.concern(place("other")));
    }

    #[test]
    fn many_names_are_all() {
        let mut changes = Changes::default();
        for n in 0..=NAMES_MAX {
            let file = format!("/srv/{n}");
            for _ in 0..2 {
                changes.add_file(b"/srv", file.as_bytes(), Happened::Changed);
            }
            assert_eq!(changes.all, n == NAMES_MAX);
        }
        assert_eq!(changes.names.len(), NAMES_MAX);
    }

    #[test]
    fn many_folders_are_all() {
        let ended = |folders: std::ops::Range<usize>| {
            let mut changes = Changes::default();
            folders.for_each(|n| changes.add_folder(format!("/srv/{n}").as_bytes()));
            changes
        };
        assert!(!ended(0..FOLDERS_MAX).all && ended(0..FOLDERS_MAX + 1).all);
        let mut both = ended(0..FOLDERS_MAX);
        both.merge(ended(0..FOLDERS_MAX));
        assert!(!both.all, "they are the same");
        both.merge(ended(FOLDERS_MAX..FOLDERS_MAX + 1));
        assert!(both.all);
    }

    #[test]
    fn names_that_came_and_went_do_not_last() {
        use Happened::{Came, Changed, Went};
        // As editors replace a file: with a name for the new one, and one for the old one.
        let events = [
            ("4913", Came),
            ("4913", Went),
            ("page", Went),
            ("page~", Came),
            ("page", Came),
            ("page", Changed),
            ("page~", Went),
            ("new", Came),
            ("old", Went),
        ];
        for first in 0..=events.len() {
            // However many of them come with the first reading.
            let [mut changes, later] = [&events[..first], &events[first..]].map(|events| {
                let mut changes = Changes::default();
                events.iter().for_each(|(name, happened)| {
                    changes.add_file(b"/srv", format!("/srv/{name}").as_bytes(), *happened);
                });
                changes
            });
            changes.merge(later);
            let names: Vec<_> = changes.lasting_names().unwrap().collect();
            assert_eq!(names, ["/srv/page", "/srv/new", "/srv/old"].map(std::path::Path::new), "{first}");
            assert!(changes.concern(Place::new(b"/srv", b"/srv/4913")), "whoever looked at it meanwhile");
            changes.add_folder(b"/srv");
            assert!(changes.lasting_names().is_none());
        }
    }
}
