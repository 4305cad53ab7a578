//! Finding a file and reading it: the part that may wait, free of everything that belongs to a worker.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::sync::Arc;

use clock::Tick;
use content_coding::{Coding, Codings, compress};
use fs::{Error, Meta, Notices, Opened, Place, Reach, Root};

use crate::mime::content_type;

mod list;
mod read;
mod siblings;

pub(crate) use list::{Listed, ListingWork};
use read::{Read, load};
pub(crate) use siblings::{Folder, Siblings};

/// A page larger than this is sent without what belongs to its end.
const PAGE_MAX: u64 = 8 << 20;

/// A search for the file behind a path. The worker has tried it on what the kernel has in memory; now it must wait, so
/// it goes to another thread (it is `Send`): [`Lookup::wait`] there.
#[derive(Debug)]
pub struct Lookup {
    /// Where to look.
    pub(crate) root: Arc<Root>,
    /// Whether to look first if another directory has taken the root's place.
    pub(crate) check_root: bool,
    /// Relative paths in order of preference: the file, or each index file of the directory.
    pub(crate) names: Vec<Box<[u8]>>,
    /// Whether a directory under that name is a finding (to be redirected to) or as good as nothing.
    pub(crate) directory_counts: bool,
    /// What the cache holds: which of the names, and what was known about it.
    pub(crate) known: Option<Known>,
    /// Files up to this size are read.
    pub(crate) content_max: u64,
    /// The codings of which a sibling of the file may be there.
    pub(crate) siblings: Codings,
    /// Those of them that this client takes.
    pub(crate) taken: Codings,
    /// What was known about the siblings in the directory of the names, or was learned by this search.
    pub(crate) folder: Cell<Folder>,
    /// When it began.
    pub(crate) began: Tick,
    /// The codings in which the route compresses.
    pub(crate) made: Codings,
    /// Compress what is found in this coding.
    pub(crate) compress: Option<Coding>,
    /// Who can tell of changes.
    pub(crate) notices: Option<Arc<Notices>>,
    /// What is put to the end of HTML pages, listings among them.
    pub(crate) page_suffix: Option<Arc<str>>,
    /// List the directory if none of the names is there.
    pub(crate) listing: Option<ListingWork>,
    /// None of them is: what is left is to list it.
    pub(crate) is_to_list: Cell<bool>,
    /// How far a search came that would have had to wait; the next one goes on from there.
    pub(crate) begun: RefCell<Option<Begun>>,
}

/// A file that was found and opened, of which there is more to learn.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Which of the names it is.
    name: usize,
    file: File,
    meta: Meta,
    siblings: Siblings,
    /// Where changes are told of since before it was read, if they are.
    place: Option<Place>,
}

/// What the cache holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Under which of the names.
    pub(crate) name: usize,
    /// What was known about it.
    pub(crate) meta: Meta,
    /// Which siblings it had.
    pub(crate) siblings: Siblings,
}

/// What a search came to.
#[derive(Debug)]
pub struct Outcome {
    /// The directory that has taken the root's place, if one has; the rest was found there.
    pub(crate) root: Option<Root>,
    /// What was found.
    pub(crate) found: Result<Found, Error>,
}

#[derive(Debug)]
pub(crate) enum Found {
    /// What the cache holds is current, with these siblings, and changes of it are told of there, if they are.
    Unchanged(Option<Place>, Siblings),
    /// A file.
    File(Loaded),
    /// A directory, asked for without the slash at its end.
    Directory,
    /// What is in a directory.
    Listing(Listed),
    /// A file that compressing would not make smaller.
    Incompressible,
}

#[derive(Debug)]
pub(crate) struct Loaded {
    /// Which of the names it is.
    pub(crate) name: usize,
    /// What is known about it, from the descriptor that the content comes from.
    pub(crate) meta: Meta,
    /// Its content, or the open file.
    pub(crate) content: LoadedContent,
    /// Whether the same `meta` will mean the same content.
    pub(crate) settled: bool,
    /// Whether it may be kept: not when it kept changing while it was read.
    pub(crate) cacheable: bool,
    /// Which siblings it has.
    pub(crate) siblings: Siblings,
    /// Where changes of it since then are told of, if they are.
    pub(crate) place: Option<Place>,
}

#[derive(Debug)]
pub(crate) enum LoadedContent {
    Bytes(Box<[u8]>),
    File(File),
}

impl Lookup {
    /// Searches wherever it takes, and gives the search back with what it came to, which may be [`Error::WouldBlock`] once: the rest is of another
    /// kind. Blocks: for another thread.
    pub fn wait(self) -> (Lookup, Outcome) {
        let outcome = self.run(Reach::Disk);
        (self, outcome)
    }

    /// Whether it takes milliseconds of a CPU, and not only waits for the disk.
    pub(crate) fn is_cpu_bound(&self) -> bool {
        self.compress.is_some() || self.is_to_list.get()
    }

    /// Searches. Blocks unless `reach` forbids it. The outcome is [`Error::WouldBlock`] where it would have to, and before a directory is listed.
    pub(crate) fn run(&self, reach: Reach) -> Outcome {
        if self.check_root {
            return self.run_anew(reach, None);
        }
        match self.search(&self.root, self.known, reach) {
            // A page of a new root, from whoever knows of that already, names files that are only there.
            missing @ Err(Error::NotFound) => self.run_anew(reach, Some(missing)),
            found => Outcome { root: None, found },
        }
    }

    /// Searches the directory that has taken the root's place, if one has, and else the root, unless that was `searched`.
    fn run_anew(&self, reach: Reach, searched: Option<Result<Found, Error>>) -> Outcome {
        match self.root.reopened(reach) {
            Err(would_block) => Outcome { root: None, found: Err(would_block) },
            Ok(None) => {
                let found = searched.unwrap_or_else(|| self.search(&self.root, self.known, reach));
                Outcome { root: None, found }
            }
            Ok(Some(root)) => {
                // What was found was found in another directory.
                self.begun.take();
                self.folder.take();
                let found = self.search(&root, None, reach);
                Outcome { root: Some(root), found }
            }
        }
    }

    fn search(&self, root: &Root, known: Option<Known>, reach: Reach) -> Result<Found, Error> {
        // Before the look, so that what changes behind it is told of.
        if let (Some(_), Some(notices)) = (&self.page_suffix, &self.notices) {
            for name in &self.names {
                let directory = name.iter().rposition(|byte| *byte == b'/').map_or(&[][..], |at| &name[..at]);
                notices.watch_directory(root, directory);
            }
            if let Some(work) = &self.listing {
                notices.watch_directory(root, &work.directory);
            }
        }
        if let Some(begun) = self.begun.take() {
            return self.go_on(root, begun, reach);
        }
        for (i, name) in self.names.iter().enumerate() {
            match self.look_at(root, i, name, known, reach) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) | Err(Error::NotFound) => {}
                Err(other) => return Err(other),
            }
        }
        match &self.listing {
            None => Err(Error::NotFound),
            // Where that takes nobody's turn who only waits for a disk ([`Lookup::is_cpu_bound`]).
            Some(_) if !self.is_to_list.replace(true) || reach == Reach::Cached => Err(Error::WouldBlock),
            Some(work) => work.list(root, self.page_suffix.as_deref()),
        }
    }

    fn look_at(
        &self,
        root: &Root,
        i: usize,
        name: &[u8],
        known: Option<Known>,
        reach: Reach,
    ) -> Result<Option<Found>, Error> {
        if let Some(known) = known
            && known.name == i
            && root.stat(name, reach)? == known.meta
        {
            let sought = self.siblings_to_seek(name, known.meta.size).or(known.siblings.sought);
            let mut siblings = Siblings::default();
            self.seek(root, name, &known.meta, sought, &mut siblings, reach)?;
            if siblings.there == known.siblings.there {
                let place = self.notices.as_ref().and_then(|notices| notices.cover(root, name, &known.meta));
                return Ok(Some(Found::Unchanged(place, siblings)));
            }
        }
        // Before it is opened, so that what changes behind that is told of.
        let relied_on = self.relied_on();
        let watched = relied_on.and_then(|notices| notices.watched_place(root, name));
        match root.open_file(name, reach)? {
            Opened::Directory(_) => Ok(self.directory_counts.then_some(Found::Directory)),
            Opened::File { file, meta, has_one_path } => {
                let relied_on = relied_on.filter(|_| has_one_path);
                // The first file of its directory. Before it is read.
                let cover = || relied_on.and_then(|notices| notices.cover_first(root, name, &meta));
                let place = watched.filter(|_| has_one_path).or_else(cover);
                let begun = Begun { name: i, file, meta, siblings: Siblings::default(), place };
                self.go_on(root, begun, reach).map(Some)
            }
        }
    }

    /// Who can tell of changes of what is loaded. What is compressed is as current as the file that it was made of; pages with
    /// something at their end are not kept.
    fn relied_on(&self) -> Option<&Arc<Notices>> {
        self.notices.as_ref().filter(|_| self.compress.is_none() && self.page_suffix.is_none())
    }

    /// Learns the rest about a file that is open.
    fn go_on(&self, root: &Root, mut begun: Begun, reach: Reach) -> Result<Found, Error> {
        match self.learn(root, &mut begun, reach) {
            Ok(read) => {
                let content = read.content.map_or(LoadedContent::File(begun.file), LoadedContent::Bytes);
                let Read { meta, settled, cacheable, .. } = read;
                let Begun { siblings, place, .. } = begun;
                let loaded = Loaded { name: begun.name, meta, content, settled, cacheable, siblings, place };
                Ok(match self.compress {
                    Some(coding) => compressed(loaded, coding),
                    None => Found::File(loaded),
                })
            }
            Err(error) => {
                if matches!(error, Error::WouldBlock) {
                    self.begun.replace(Some(begun));
                }
                Err(error)
            }
        }
    }

    fn learn(&self, root: &Root, begun: &mut Begun, reach: Reach) -> Result<Read, Error> {
        let name = &self.names[begun.name];
        let sought = self.siblings_to_seek(name, begun.meta.size);
        self.seek(root, name, &begun.meta, sought, &mut begun.siblings, reach)?;
        let suffix = self.page_suffix.as_deref().filter(|_| content_type(name).media_type == "text/html");
        let content_max = if suffix.is_some() { PAGE_MAX } else { self.content_max };
        let mut read = load(&begun.file, begun.meta, content_max, reach, |file| Meta::of(file))?;
        if let (Some(suffix), Some(page)) = (suffix, &mut read.content) {
            *page = [&**page, suffix.as_bytes()].concat().into();
        }
        Ok(read)
    }
}

fn compressed(loaded: Loaded, coding: Coding) -> Found {
    let LoadedContent::Bytes(bytes) = &loaded.content else { return Found::Incompressible };
    match compress(coding, bytes) {
        Some(small) => Found::File(Loaded { content: LoadedContent::Bytes(small.into()), ..loaded }),
        None => Found::Incompressible,
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests prepare files")]
mod tests {
    use super::*;

    #[test]
    fn a_search_goes_on_with_what_it_has_open() {
        let dir = tempfile::TempDir::new().unwrap();
        let at = dir.path().join("page.txt");
        std::fs::write(&at, "found first").unwrap();
        std::fs::write(dir.path().join("page.txt.gz"), "in gzip").unwrap();
        // This one never knows anything without waiting.
        let lookup = search_for(b"page.txt", Root::open_without_links(dir.path()).unwrap());
        let opened = File::open(&at).unwrap();
        let meta = Meta::of(&opened).unwrap();
        let begun = Begun { name: 0, file: opened, meta, siblings: Siblings::default(), place: None };
        let stopped = lookup.go_on(&lookup.root, begun, Reach::Cached);
        assert!(matches!(stopped, Err(Error::WouldBlock)), "{stopped:?}");
        std::fs::write(dir.path().join("new"), "another file").unwrap();
        std::fs::rename(dir.path().join("new"), &at).unwrap();
        let (lookup, outcome) = lookup.wait();
        let Ok(Found::File(loaded)) = outcome.found else { panic!("{:?}", outcome.found) };
        let LoadedContent::Bytes(bytes) = loaded.content else { panic!("not read") };
        assert_eq!((&*bytes, loaded.meta.inode), (&b"found first"[..], meta.inode));
        assert_eq!(loaded.siblings.there, [Coding::Gzip].into_iter().collect());
        assert_eq!(loaded.siblings.sought, lookup.siblings);
        // The next one begins anew.
        let Ok(Found::File(loaded)) = lookup.run(Reach::Disk).found else { panic!("not found") };
        assert_ne!(loaded.meta.inode, meta.inode);
    }

    #[test]
    fn compressing_takes_a_cpu() {
        let dir = tempfile::TempDir::new().unwrap();
        let lookup = || search_for(b"page.txt", Root::open(dir.path()).unwrap());
        assert!(!lookup().is_cpu_bound());
        assert!(Lookup { compress: Some(Coding::Gzip), ..lookup() }.is_cpu_bound());
    }

    pub(super) fn search_for(name: &[u8], root: Root) -> Lookup {
        Lookup {
            root: Arc::new(root),
            check_root: false,
            names: vec![name.into()],
            directory_counts: false,
            known: None,
            content_max: 100,
            siblings: Coding::ALL.into_iter().collect(),
            taken: Codings::NONE,
            folder: Cell::default(),
            began: Tick(0),
            made: Codings::NONE,
            compress: None,
            notices: None,
            page_suffix: None,
            listing: None,
            is_to_list: Cell::default(),
            begun: RefCell::default(),
        }
    }
}
