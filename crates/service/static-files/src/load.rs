//! Finding a file and reading it: the part that may wait, free of everything that belongs to a worker.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use clock::Tick;
use content_coding::{Coding, Codings, SIZE_MIN, compress};
use fs::{Error, ListLimits, Meta, Notices, Opened, Place, Reach, Root};

use crate::entry::shrinks;
use crate::folders::Names as FolderNames;
use crate::listing::{self, Form, Item, NAMES_MAX, NAMES_READ_MAX};
use crate::mime::content_type;
use crate::path::{WELL_KNOWN, has_url};

/// A page larger than this is sent without what belongs to its end.
const PAGE_MAX: u64 = 8 << 20;

/// A file that keeps changing while it is read is served from its descriptor after so many tries.
const READ_TRIES: usize = 3;

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
    /// How far a search came that would have had to wait; the next one goes on from there.
    pub(crate) begun: RefCell<Option<Begun>>,
}

/// The directory of a search.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Folder {
    /// What is known about its names.
    pub(crate) names: Option<FolderNames>,
    /// Whether the search has asked.
    pub(crate) is_new: bool,
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

/// The files beside a file that hold it in a coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Siblings {
    /// The codings that were looked for.
    pub(crate) sought: Codings,
    /// Those of them that are there and not older than the file.
    pub(crate) there: Codings,
    /// Those of them that are there, but older.
    pub(crate) older: Codings,
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

/// A directory to be listed.
#[derive(Debug)]
pub(crate) struct ListingWork {
    /// Its path relative to the root.
    pub(crate) directory: Box<[u8]>,
    /// Whether names that start with a dot are shown.
    pub(crate) hidden: bool,
    /// How it is asked for.
    pub(crate) asked: listing::Asked,
    /// The coding that it is to be sent in, if it is long enough to gain by it.
    pub(crate) coding: Option<Coding>,
}

/// What is in a directory, as it is sent.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) form: Form,
    pub(crate) coding: Option<Coding>,
    /// Whether something was put to its end.
    pub(crate) has_suffix: bool,
    pub(crate) bytes: Box<[u8]>,
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
    /// Searches wherever it takes, and gives the search back with what it came to. Blocks: for another thread.
    pub fn wait(self) -> (Lookup, Outcome) {
        let outcome = self.run(Reach::Disk);
        (self, outcome)
    }

    /// Searches. Blocks unless `reach` forbids it, in which case the outcome may be [`Error::WouldBlock`].
    pub(crate) fn run(&self, reach: Reach) -> Outcome {
        let replaced = if self.check_root { self.root.reopened(reach) } else { Ok(None) };
        match replaced {
            Err(would_block) => Outcome { root: None, found: Err(would_block) },
            Ok(None) => Outcome { root: None, found: self.search(&self.root, self.known, reach) },
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
            Some(_) if reach == Reach::Cached => Err(Error::WouldBlock),
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

    /// Looks which of the siblings in `sought` are files, and not older than `file`.
    fn seek(
        &self,
        root: &Root,
        name: &[u8],
        file: &Meta,
        sought: Codings,
        siblings: &mut Siblings,
        reach: Reach,
    ) -> Result<(), Error> {
        let left = sought.without(siblings.sought);
        if left.is_empty() {
            return Ok(());
        }
        let known = self.folder.get().names;
        let (names, possible) = FolderNames::possible(known, root, name, left, self.began, reach)?;
        self.folder.set(Folder { names: Some(names), is_new: true });
        siblings.sought = siblings.sought.or(left.without(possible));
        for coding in Coding::ALL.into_iter().filter(|c| possible.has(*c)) {
            match root.stat(&[name, coding.suffix().as_bytes()].concat(), reach) {
                Ok(meta) if meta.kind == fs::Kind::File => {
                    let list = if is_older(&meta, file) { &mut siblings.older } else { &mut siblings.there };
                    list.insert(coding);
                }
                Err(Error::WouldBlock) => return Err(Error::WouldBlock),
                // Whatever else is the matter with it: the file itself is there.
                _ => {}
            }
            siblings.sought.insert(coding);
        }
        Ok(())
    }

    /// The codings of which a sibling is looked for: all, since the answer says if there are any (Vary), even to a client that
    /// takes none of them; but where it says so anyhow, since the file is one to compress, those that this client takes.
    fn siblings_to_seek(&self, name: &[u8], size: u64) -> Codings {
        match self.siblings.is_empty() || shrinks(self.made, content_type(name).media_type, size).is_empty() {
            true => self.siblings,
            false => self.siblings.and(self.taken),
        }
    }
}

/// Whether a sibling was made of what the file held before: one that was copied with it, in whatever order and however coarse the
/// times are that an archive keeps (two seconds), was not.
fn is_older(sibling: &Meta, file: &Meta) -> bool {
    sibling.modified.secs.saturating_add(COPIED_WITHIN) < file.modified.secs
}

/// In seconds.
const COPIED_WITHIN: i64 = 2;

impl ListingWork {
    fn list(&self, root: &Root, page_suffix: Option<&str>) -> Result<Found, Error> {
        let at_top = self.directory.is_empty();
        let is_hidden = |name: &[u8]| !self.hidden && name.starts_with(b".") && !(at_top && name == WELL_KNOWN);
        let shown = |name: &[u8]| !is_hidden(name) && has_url(&self.directory, name);
        let listed = root.list(&self.directory, ListLimits { entries: NAMES_MAX, names: NAMES_READ_MAX }, shown)?;
        let item = |e: fs::Listing| Item {
            name: e.name,
            is_folder: e.meta.kind == fs::Kind::Directory,
            size: e.meta.size,
            modified: e.meta.modified.secs,
        };
        let items = listed.entries.into_iter().map(item).collect();
        let suffix = page_suffix.filter(|_| self.asked.form == Form::Html);
        let text = listing::render(&self.asked, items, listed.left_out) + suffix.unwrap_or_default();
        let coding = self.coding.filter(|_| text.len() as u64 >= SIZE_MIN);
        let compressed = coding.and_then(|coding| Some((coding, compress(coding, text.as_bytes())?)));
        let (coding, bytes) = compressed.map_or((None, text.into_bytes()), |(coding, bytes)| (Some(coding), bytes));
        Ok(Found::Listing(Listed { form: self.asked.form, coding, has_suffix: suffix.is_some(), bytes: bytes.into() }))
    }
}

fn compressed(loaded: Loaded, coding: Coding) -> Found {
    let LoadedContent::Bytes(bytes) = &loaded.content else { return Found::Incompressible };
    match compress(coding, bytes) {
        Some(small) => Found::File(Loaded { content: LoadedContent::Bytes(small.into()), ..loaded }),
        None => Found::Incompressible,
    }
}

/// What came of reading a file.
struct Read {
    meta: Meta,
    /// All of it; `None` where it is to be sent from its descriptor.
    content: Option<Box<[u8]>>,
    settled: bool,
    cacheable: bool,
}

/// Reads a small file whole, so that the bytes are those of one moment; leaves a larger one to be sent from its descriptor.
fn load(
    file: &File,
    mut meta: Meta,
    content_max: u64,
    reach: Reach,
    mut look_again: impl FnMut(&File) -> Result<Meta, Error>,
) -> Result<Read, Error> {
    let mut cacheable = true;
    for _ in 0..READ_TRIES {
        if meta.size > content_max {
            break;
        }
        // Asked before the reading: what was settled before it is still the same file if `meta` is the same after it.
        let settled = meta.is_settled();
        let content = read_whole(file, meta.size as usize, reach)?;
        let after = look_again(file)?;
        if content.is_some() && after == meta {
            return Ok(Read { meta, content, settled, cacheable: true });
        }
        cacheable = false;
        meta = after;
    }
    let settled = meta.is_settled();
    let cacheable = cacheable || meta.size > content_max;
    Ok(Read { meta, content: None, settled, cacheable })
}

/// The first `size` bytes; `None` when the file ends before.
fn read_whole(file: &File, size: usize, reach: Reach) -> Result<Option<Box<[u8]>>, Error> {
    let mut bytes = vec![0; size];
    let mut len = 0;
    while len < size {
        let room = &mut bytes[len..];
        let read = match reach {
            Reach::Cached => fs::read_resident(file, room, len as u64),
            Reach::Disk => file.read_at(room, len as u64),
        };
        match read {
            Ok(0) => return Ok(None),
            Ok(n) => len += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Err(Error::WouldBlock),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Some(bytes.into()))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests prepare files")]
mod tests {
    use std::io::Write;

    use super::*;

    const MAX: u64 = 100;

    fn file(content: &str) -> (File, Meta) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let meta = Meta::of(&file).unwrap();
        (file, meta)
    }

    fn text(read: &Read) -> Option<&str> {
        read.content.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap())
    }

    #[test]
    fn small_files_are_read_and_large_ones_are_not() {
        let (small, meta) = file(&"x".repeat(100));
        let read = load(&small, meta, MAX, Reach::Disk, |f| Meta::of(f)).unwrap();
        assert_eq!((read.meta, read.cacheable), (meta, true));
        assert_eq!(text(&read), Some(&*"x".repeat(100)));
        let (large, meta) = file(&"x".repeat(101));
        let read = load(&large, meta, MAX, Reach::Disk, |_| panic!("nothing was read")).unwrap();
        assert_eq!((read.meta, read.cacheable, text(&read)), (meta, true, None));
    }

    #[test]
    fn what_changed_while_it_was_read_is_read_again() {
        let (changed, meta) = file("changed");
        for size in [3, 7, 50] {
            let before = Meta { size, inode: meta.inode + 1, ..meta };
            let read = load(&changed, before, MAX, Reach::Disk, |f| Meta::of(f)).unwrap();
            assert_eq!((read.meta, read.cacheable), (meta, true));
            assert_eq!(text(&read), Some("changed"));
        }
    }

    #[test]
    fn what_keeps_changing_is_sent_and_not_kept() {
        let (changing, meta) = file("changing");
        let mut looks = 0;
        let look = |f: &File| {
            looks += 1;
            Meta::of(f).map(|m| Meta { inode: m.inode + looks, ..m })
        };
        let read = load(&changing, meta, MAX, Reach::Disk, look).unwrap();
        assert_eq!((read.cacheable, text(&read)), (false, None));
        assert_eq!((looks, read.meta.inode), (READ_TRIES as u64, meta.inode + looks));
    }

    #[test]
    fn what_grew_too_large_meanwhile_is_sent_from_its_descriptor() {
        let (grown, meta) = file(&"x".repeat(200));
        let before = Meta { size: 10, ..meta };
        let read = load(&grown, before, MAX, Reach::Disk, |f| Meta::of(f)).unwrap();
        assert_eq!((read.meta, read.cacheable, text(&read)), (meta, true, None));
    }

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
    fn siblings_that_nobody_takes_are_not_looked_for_where_the_answer_varies_anyhow() {
        let dir = tempfile::TempDir::new().unwrap();
        let mut lookup = search_for(b"page.txt", Root::open(dir.path()).unwrap());
        let all = lookup.siblings;
        assert_eq!(lookup.siblings_to_seek(b"page.txt", 5000), all);
        lookup.made = [Coding::Gzip].into_iter().collect();
        assert_eq!(lookup.siblings_to_seek(b"page.txt", 5000), Codings::NONE);
        assert_eq!(lookup.siblings_to_seek(b"page.txt", 500), all, "not compressed");
        assert_eq!(lookup.siblings_to_seek(b"page.png", 5000), all, "not compressed");
        lookup.taken = [Coding::Brotli].into_iter().collect();
        assert_eq!(lookup.siblings_to_seek(b"page.txt", 5000), lookup.taken);
    }

    fn search_for(name: &[u8], root: Root) -> Lookup {
        Lookup {
            root: Arc::new(root),
            check_root: false,
            names: vec![name.into()],
            directory_counts: false,
            known: None,
            content_max: MAX,
            siblings: Coding::ALL.into_iter().collect(),
            taken: Codings::NONE,
            folder: Cell::default(),
            began: Tick(0),
            made: Codings::NONE,
            compress: None,
            notices: None,
            page_suffix: None,
            listing: None,
            begun: RefCell::default(),
        }
    }
}
