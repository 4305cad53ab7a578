//! A route that serves files.

use std::cell::{Cell, RefCell};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::sync::Arc;

use clock::Tick;
use content_coding::{Coding, Codings};
use event_loop::{BlockingError, blocking, cpu_bound};
use fs::{Error, Reach, Root};
use message::{BodyLength, FieldsBuilder, Known, Method, RequestHead, ResponseHead};
use observe::{Failure, Kind};
use serve::Response;

use crate::answer::{self, ALLOW, Answer, Body, Head};
use crate::cache::{OpenFiles, Owner};
use crate::entry::{Entry, Form, Rendering, checked_to_be_due, is_due, kept_head};
use crate::files::coded::negotiates;
use crate::folders::Folders;
use crate::load::{Found, Lookup, Outcome};
use crate::options::{BadOption, Options};
use crate::stream::Streams;

mod brief;
mod claim;
pub(crate) mod coded;
mod search;

pub use claim::{Claim, Work};

/// The cache's key of the fallback file. The path of a request is never empty.
const FALLBACK_KEY: &[u8] = b"";

/// A worker's time.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Since the worker began.
    pub tick: Tick,
    /// Seconds since 1970.
    pub unix: u64,
}

impl Moment {
    /// This turn's time, from the reactor.
    pub fn now() -> Moment {
        Moment { tick: event_loop::now(), unix: event_loop::date().unix() }
    }
}

/// Serves the files beneath a root, on one worker.
///
/// [`Files::respond`] gives the whole answer, waiting where it must. Beneath it, and free of the reactor: [`Files::begin`] answers at once, or gives
/// [`Work`] to be done where waiting is allowed; its result goes to [`Files::conclude`], which answers or gives more work.
///
/// What the cache holds is compared with the file at `path` at most once a second, and so is the root with the directory
/// that stands at its own path: an edit, a replacement, a removal, a swapped link, a directory made anew show within a second, and at once
/// where changes are told of.
#[derive(Debug)]
pub struct Files {
    options: Options,
    fallback: Option<Box<[u8]>>,
    root: RefCell<Arc<Root>>,
    root_checked: Rc<Cell<Tick>>,
    cache: Rc<OpenFiles>,
    owner: Owner,
    /// The codings of which it looks for siblings.
    siblings: Codings,
    /// The codings in which it compresses.
    made: Codings,
    folders: Folders,
    /// Of the forms of files in each coding that the route offers.
    pub(crate) coded_owners: [Option<Owner>; Coding::ALL.len()],
    methods: Rc<ResponseHead>,
    streams: Streams,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this.
    Ready(Answer),
    /// Do this where waiting is allowed, then [`Files::conclude`].
    Blocking(Box<Work>),
}

impl Files {
    /// A route over `root`, with its open files in `cache`, which the routes of a worker share.
    pub fn new(options: Options, root: Arc<Root>, cache: Rc<OpenFiles>) -> Result<Files, BadOption> {
        options.check()?;
        let mut allow = FieldsBuilder::new();
        allow.push_known(Known::Allow, b"Allow", ALLOW.as_bytes());
        let root_checked = Rc::default();
        if let Some(notices) = cache.notices() {
            cache.watch_root(&root_checked);
            notices.watch_way(root.path());
        }
        let offers = |c: &Coding| options.precompressed.contains(c) || options.compress.contains(c);
        Ok(Files {
            fallback: options.fallback_name(),
            siblings: options.precompressed.iter().copied().collect(),
            made: options.compress.iter().copied().collect(),
            coded_owners: Coding::ALL.map(|c| offers(&c).then(|| cache.register())),
            options,
            folders: Folders::default(),
            root: RefCell::new(root),
            root_checked,
            owner: cache.register(),
            cache,
            methods: kept_head(204, &allow.finish(), BodyLength::None),
            streams: Streams::default(),
        })
    }

    /// What a request for `path` is answered with. A file in the cache costs no system call and no allocation;
    /// once a second three calls for the file and three for the root. What would wait for a disk is done
    /// on the blocking pool.
    pub async fn respond(&self, request: &RequestHead, path: &[u8]) -> Answer {
        match self.begin(request, path, Moment::now()) {
            Step::Ready(answer) => answer,
            // Boxed, so that the future of every request stays small.
            Step::Blocking(work) => Box::pin(self.wait(request, path, *work)).await,
        }
    }

    /// The rest of an answer for which [`Files::begin`] gave work.
    pub async fn wait(&self, request: &RequestHead, path: &[u8], mut work: Work) -> Answer {
        if let Some(outcome) = self.make_in_brief(&work.claim).await {
            match self.conclude(request, path, Moment::now(), work, outcome) {
                Step::Ready(answer) => return answer,
                Step::Blocking(more) => work = *more,
            }
        }
        loop {
            let Work { lookup, claim } = work;
            let search = if lookup.is_cpu_bound() { cpu_bound } else { blocking };
            let step = match search(move || lookup.wait()).await {
                Ok((lookup, outcome)) => self.conclude(request, path, Moment::now(), Work { lookup, claim }, outcome),
                Err(error) => Step::Ready(without_pool(request, error, &claim)),
            };
            match step {
                Step::Ready(answer) => return answer,
                Step::Blocking(more) => work = *more,
            }
        }
    }

    /// As [`Files::begin`], but sends what lies in the cache at once: `None` when the answer is complete. The cheapest way to
    /// answer, about 250 instructions.
    #[inline]
    pub fn send(&self, request: &RequestHead, path: &[u8], at: Moment, response: &mut Response<'_>) -> Option<Step> {
        if !matches!(request.method, Method::Get | Method::Head) {
            return Some(self.begin(request, path, at));
        }
        let entry = self.cache.find(self.owner, path, at.tick);
        if let Some(entry) = &entry
            && self.is_current(entry, at.tick)
        {
            let sent = match negotiates(request, entry) {
                false => answer::send_whole(request, entry, response),
                true => self.send_coded(request, path, at, entry, response),
            };
            if sent {
                return None;
            }
        }
        Some(self.begin_with(request, path, at, entry))
    }

    /// Answers a request for `path` if that needs no waiting.
    pub fn begin(&self, request: &RequestHead, path: &[u8], at: Moment) -> Step {
        match request.method {
            Method::Get | Method::Head => {
                self.begin_with(request, path, at, self.cache.find(self.owner, path, at.tick))
            }
            Method::Options => {
                Step::Ready(Answer::Send { head: Head::Shared(Rc::clone(&self.methods)), body: Body::Empty })
            }
            _ => refuse(Failure::method_not_allowed(ALLOW)),
        }
    }

    /// Answers a GET or HEAD; `entry` is what the cache holds for it.
    #[inline(never)]
    fn begin_with(&self, request: &RequestHead, path: &[u8], at: Moment, entry: Option<Rc<Entry>>) -> Step {
        if let Some(entry) = &entry
            && self.is_current(entry, at.tick)
            && self.knows_siblings(request, entry)
        {
            return self.answer(request, path, at, entry);
        }
        let Some(target) = self.target(path) else { return refuse(Kind::NotFound) };
        let mut work = self.work(request, self.names(&target), !target.directory, entry, at.tick);
        work.lookup.listing = self.listing(request, &target);
        self.try_now(request, path, at, work)
    }

    fn is_current(&self, entry: &Entry, now: Tick) -> bool {
        self.cache.is_current(entry, now) && !is_due(self.root_checked.get(), now)
    }

    fn try_now(&self, request: &RequestHead, path: &[u8], at: Moment, work: Work) -> Step {
        let outcome = work.lookup.run(Reach::Cached);
        match outcome.found {
            Err(Error::WouldBlock) => Step::Blocking(Box::new(work)),
            _ => self.conclude(request, path, at, work, outcome),
        }
    }

    /// Makes an answer of what a search for `path` came to, and remembers it.
    pub fn conclude(&self, request: &RequestHead, path: &[u8], at: Moment, work: Work, outcome: Outcome) -> Step {
        let key = if work.claim.is_fallback { FALLBACK_KEY } else { path };
        if work.claim.coded.is_some() {
            return self.conclude_coded(request, key, at, work, outcome);
        }
        let Work { lookup, mut claim } = work;
        let is_beneath_root = self.adopt(outcome.root, &lookup, at.tick);
        self.learn_folder(&lookup);
        let loaded = match outcome.found {
            Ok(Found::File(loaded)) => loaded,
            Ok(Found::Unchanged(place, siblings)) => {
                return match claim.keep().inspect(|entry| self.cache.vouch(entry, place, claim.told)) {
                    Some(entry) => {
                        // Those that no client before this one would have taken.
                        let told = entry.siblings.replace(siblings).older;
                        self.tell_of_older(&lookup, entry.name, siblings.older.without(told));
                        self.answer(request, key, at, &entry)
                    }
                    // Nothing is unchanged that was not known.
                    None => refuse(Kind::Internal),
                };
            }
            Ok(Found::Directory) => {
                self.cache.remove(self.owner, key);
                claim.keep();
                return Step::Ready(answer::to_directory(request, path));
            }
            Ok(Found::Listing(listed)) => {
                self.cache.remove(self.owner, key);
                claim.keep();
                return Step::Ready(answer::listing(request, listed, !self.made.is_empty(), &self.cache.pages));
            }
            Err(Error::WouldBlock) => return Step::Blocking(Box::new(Work { lookup, claim })),
            // Nothing was compressed.
            Ok(Found::Incompressible) => return refuse(Kind::Internal),
            Err(error) => return self.fail(request, path, at, Work { lookup, claim }, error),
        };
        claim.keep();
        self.tell_of_older(&lookup, loaded.name, loaded.siblings.older);
        let (cacheable, place) = (loaded.cacheable && is_beneath_root, loaded.place);
        let rendering =
            Rendering { names: &lookup.names, options: &self.options, compress: self.made, form: Form::Identity };
        // Current as of the beginning of the search: what changed since then shows at the next check, or is told of.
        let entry = Rc::new(Entry::new(loaded, &rendering, claim.began, at.unix));
        self.cache.vouch(&entry, place, claim.told);
        match cacheable {
            true => self.cache.insert(self.owner, key, &entry, at.tick),
            false => self.cache.remove(self.owner, key),
        }
        self.answer(request, key, at, &entry)
    }

    /// Takes on the root that a search has found, if any, and says whether what it found lies beneath the present one.
    fn adopt(&self, found: Option<Root>, lookup: &Lookup, now: Tick) -> bool {
        let Some(root) = found else { return self.is_beneath_root(lookup) };
        if self.is_beneath_root(lookup) {
            *self.root.borrow_mut() = Arc::new(root);
            self.owners().for_each(|owner| self.cache.forget_all(owner));
            self.folders.forget();
            return true;
        }
        // Another search has found a new one meanwhile. Of two that differ nobody knows which is the later one.
        let is_present = root.identity() == self.root.borrow().identity();
        if !is_present {
            self.root_checked.set(checked_to_be_due(now));
        }
        is_present
    }

    /// Says which siblings are not sent since they are older than their file.
    fn tell_of_older(&self, lookup: &Lookup, name: usize, older: Codings) {
        for coding in Coding::ALL.into_iter().filter(|coding| older.has(*coding)) {
            let (file, suffix) = (shown(lookup, name), coding.suffix());
            self.cache.tell(&format!(
                "{file}{suffix} is older than {file} and is not sent in its place: compress the file again, or, if it was only copied \
                 before it, copy with times (cp -a, rsync -a)"
            ));
        }
    }

    fn fail(&self, request: &RequestHead, path: &[u8], at: Moment, work: Work, error: Error) -> Step {
        let Work { lookup, mut claim } = work;
        // Once, with the descriptors that the cache can spare.
        if matches!(error, Error::TooManyOpen) && !claim.is_retry && self.cache.shed_descriptors() > 0 {
            claim.is_retry = true;
            return Step::Blocking(Box::new(Work { lookup, claim }));
        }
        let is_fallback = claim.is_fallback;
        self.cache.remove(self.owner, if is_fallback { FALLBACK_KEY } else { path });
        claim.keep();
        match (&error, &self.fallback) {
            (Error::NotFound | Error::Invalid, Some(name)) if !is_fallback => self.fall_back(request, path, at, name),
            _ => refuse(answer::failure_of(&error)),
        }
    }

    fn fall_back(&self, request: &RequestHead, path: &[u8], at: Moment, name: &[u8]) -> Step {
        let entry = self.cache.find(self.owner, FALLBACK_KEY, at.tick);
        if let Some(entry) = &entry
            && self.is_current(entry, at.tick)
            && self.knows_siblings(request, entry)
        {
            return self.answer(request, FALLBACK_KEY, at, entry);
        }
        let mut work = self.work(request, vec![name.into()], false, entry, at.tick);
        work.claim.is_fallback = true;
        self.try_now(request, path, at, work)
    }
}

impl Files {
    #[cfg(test)]
    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    fn owners(&self) -> impl Iterator<Item = Owner> {
        std::iter::once(self.owner).chain(self.coded_owners.into_iter().flatten())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.owners().for_each(|owner| self.cache.unregister(owner));
        if let Some(notices) = self.cache.notices() {
            notices.leave_way(self.root.borrow().path());
        }
    }
}

/// The path of what was looked for, for a log. Strangers may have chosen the name: it is to be no line of its own there, nor an order to a
/// terminal.
fn shown(lookup: &Lookup, name: usize) -> String {
    let path = lookup.root.path().join(std::ffi::OsStr::from_bytes(&lookup.names[name]));
    path.to_string_lossy().replace(char::is_control, "?")
}

fn refuse(failure: impl Into<Failure>) -> Step {
    Step::Ready(Answer::Refuse(failure.into()))
}

/// The answer when the blocking pool gave none: what the cache holds, although it is due to be checked, before nothing.
fn without_pool(request: &RequestHead, error: BlockingError, claim: &Claim) -> Answer {
    if let (BlockingError::Overloaded, Some(coded)) = (&error, &claim.coded) {
        return answer::of_file(request, coded.identity());
    }
    match (error, &claim.entry) {
        (BlockingError::Overloaded, Some((entry, _))) => answer::of_file(request, entry),
        (BlockingError::Overloaded, None) => Answer::Refuse(Failure::new(Kind::Overload)),
        (BlockingError::Panicked, _) => Answer::Refuse(Failure::new(Kind::Internal)),
    }
}
