//! Files in a content coding: a sibling that somebody compressed before, or what is compressed as it is asked for.

use std::fs::File;
use std::rc::Rc;

use content_coding::{Accepted, Coding, Codings};
use fs::Error;
use message::{BodyLength, Known, KnownSet, Method, RequestHead, ResponseHead};
use observe::Kind;
use serve::Response;

use crate::answer::{self, Answer, Body, Head};
use crate::conditional::{Verdict, evaluate};
use crate::decide::{Decision, decide};
use crate::entry::{Content, Entry, Form, Rendering, with_tag};
use crate::files::{Claim, FALLBACK_KEY, Files, Moment, Step, Work, refuse, shown};
use crate::load::{Found, Known as KnownFile, Lookup, Outcome, Siblings};
use crate::stream::{self, Keeper, Stream};

/// Without this field the client gets the file as it is.
const NEGOTIATING: KnownSet = KnownSet::of(&[Known::AcceptEncoding]);

/// A part of a file is a part of the file as it is: the bytes of what is compressed on the fly may differ from one time to the next.
const IN_PARTS: KnownSet = KnownSet::of(&[Known::Range]);

/// Whether the client may get anything but the file as it is. The cost for all others is this test.
#[inline]
pub(crate) fn negotiates(request: &RequestHead, entry: &Entry) -> bool {
    entry.varies && request.fields.has_any(NEGOTIATING)
}

fn accepted(request: &RequestHead) -> Accepted {
    Accepted::of(request.fields.all(Known::AcceptEncoding))
}

/// A coded form that is being made.
#[derive(Debug)]
pub(crate) struct CodedClaim {
    pub(super) coding: Coding,
    /// The file as it is: what is sent if there is no coded form after all.
    pub(super) identity: Rc<Entry>,
    pub(super) is_compressing: bool,
}

impl CodedClaim {
    fn begin(coding: Coding, identity: &Rc<Entry>, is_compressing: bool) -> CodedClaim {
        if is_compressing {
            let mut under_way = identity.under_way.get();
            under_way.insert(coding);
            identity.under_way.set(under_way);
        }
        CodedClaim { coding, identity: Rc::clone(identity), is_compressing }
    }

    /// What it is made in.
    pub(crate) fn coding(&self) -> Coding {
        self.coding
    }

    /// What comes of it is not kept, however often it is made.
    pub(crate) fn mark_too_large(&self) {
        let mut too_large = self.identity.too_large.get();
        too_large.insert(self.coding);
        self.identity.too_large.set(too_large);
    }

    /// The file as it is.
    pub(crate) fn identity(&self) -> &Entry {
        &self.identity
    }
}

impl Drop for CodedClaim {
    fn drop(&mut self) {
        if self.is_compressing {
            let mut under_way = self.identity.under_way.get();
            under_way.remove(self.coding);
            self.identity.under_way.set(under_way);
        }
    }
}

impl Files {
    /// The codings that the client takes among those of which there may be siblings.
    pub(super) fn siblings_taken(&self, request: &RequestHead) -> Codings {
        match !self.siblings.is_empty() && request.fields.has_any(NEGOTIATING) {
            true => self.siblings.and(accepted(request).codings()),
            false => Codings::NONE,
        }
    }

    /// Whether all siblings that the client would take have been looked for. If not, no client before it took them.
    pub(super) fn knows_siblings(&self, request: &RequestHead, identity: &Entry) -> bool {
        let sought = identity.siblings.get().sought;
        sought.has_all(self.siblings) || sought.has_all(self.siblings_taken(request))
    }

    /// The coding that a client gets in which is made for it alone.
    pub(super) fn coding_made(&self, request: &RequestHead) -> Option<Coding> {
        let may = !self.made.is_empty() && request.fields.has_any(NEGOTIATING);
        if may { accepted(request).best(self.options.compress.iter().copied()) } else { None }
    }

    /// The coding that this request gets the file in; `None`: as it is.
    fn coding_for(&self, request: &RequestHead, accepted: &Accepted, identity: &Entry) -> Option<Coding> {
        let there = identity.siblings.get().there;
        let siblings = self.options.precompressed.iter().copied().filter(|c| there.has(*c));
        let shrinks = if request.fields.has_any(IN_PARTS) { Codings::NONE } else { identity.shrinks.get() };
        // What is there already before what has to be made.
        let made = self.options.compress.iter().copied().filter(|c| shrinks.has(*c) && !there.has(*c));
        accepted.best(siblings.chain(made))
    }

    /// Sends the coded form for this request, if it lies in the cache and is current. False: nothing was sent.
    pub(super) fn send_coded(
        &self,
        request: &RequestHead,
        key: &[u8],
        at: Moment,
        identity: &Entry,
        response: &mut Response<'_>,
    ) -> bool {
        let accepted = accepted(request);
        if !identity.siblings.get().sought.has_all(self.siblings.and(accepted.codings())) {
            return false;
        }
        let Some(coding) = self.coding_for(request, &accepted, identity) else {
            return answer::send_whole(request, identity, response);
        };
        let cached = self.coded_owners[coding.index()].and_then(|owner| self.cache.find(owner, key, at.tick));
        cached.is_some_and(|coded| {
            self.is_coded_current(&coded, coding, identity, at) && answer::send_whole(request, &coded, response)
        })
    }

    fn is_coded_current(&self, coded: &Entry, coding: Coding, identity: &Entry, at: Moment) -> bool {
        match identity.siblings.get().there.has(coding) {
            true => self.cache.is_current(coded, at.tick),
            // Made of just this file, which is current.
            false => coded.meta == identity.meta,
        }
    }

    /// Answers a GET or HEAD of a file that is current, in a coding where the client likes one.
    pub(super) fn answer(&self, request: &RequestHead, key: &[u8], at: Moment, identity: &Rc<Entry>) -> Step {
        let coding = match negotiates(request, identity) {
            true => self.coding_for(request, &accepted(request), identity),
            false => None,
        };
        let coded = coding.and_then(|c| Some((c, self.coded_owners[c.index()]?)));
        let Some((coding, owner)) = coded else { return Step::Ready(answer::of_file(request, identity)) };
        let cached = self.cache.find(owner, key, at.tick);
        if let Some(cached) = &cached
            && self.is_coded_current(cached, coding, identity, at)
        {
            return Step::Ready(answer::of_file(request, cached));
        }
        match identity.siblings.get().there.has(coding) {
            true => self.find_sibling(request, key, at, coding, identity, cached),
            false => self.compress(request, key, at, coding, identity),
        }
    }

    fn find_sibling(
        &self,
        request: &RequestHead,
        key: &[u8],
        at: Moment,
        coding: Coding,
        identity: &Rc<Entry>,
        cached: Option<Rc<Entry>>,
    ) -> Step {
        let Some(name) = self.name_of(key, identity.name) else {
            return Step::Ready(answer::of_file(request, identity));
        };
        let sibling = [&name, coding.suffix().as_bytes()].concat();
        let mut claim = Claim::new(cached, None, at.tick, self.cache.told());
        claim.is_fallback = key == FALLBACK_KEY;
        claim.coded = Some(CodedClaim::begin(coding, identity, false));
        let known = claim.entry.as_ref().filter(|(e, _)| e.is_believed());
        let known = known.map(|(e, _)| KnownFile { name: 0, meta: e.meta, siblings: Siblings::default() });
        let lookup = self.lookup_of(sibling.into(), known, self.cache.content_max(), None, at.tick);
        self.try_now(request, key, at, Work { lookup, claim })
    }

    fn compress(&self, request: &RequestHead, key: &[u8], at: Moment, coding: Coding, identity: &Rc<Entry>) -> Step {
        let weak = identity.validators.weakened(0);
        if evaluate(&request.fields, &weak) == Verdict::NotModified {
            return Step::Ready(not_modified(identity, weak.etag()));
        }
        // Large files are compressed on their way. What comes of it is kept unless it would push too many others out of the cache.
        if let Content::File(file) = &identity.content
            && identity.meta.size > COMPRESS_MAX
        {
            return Step::Ready(self.stream(request, key, coding, identity, file));
        }
        // Somebody else's request has it made already; until that is done there is the file as it is, for those who take that.
        let may_make = !identity.under_way.get().has(coding) || accepted(request).refuses_identity();
        let name = self.name_of(key, identity.name).filter(|_| may_make);
        let Some(name) = name else { return Step::Ready(answer::of_file(request, identity)) };
        let mut claim = Claim::new(None, None, at.tick, self.cache.told());
        claim.is_fallback = key == FALLBACK_KEY;
        claim.coded = Some(CodedClaim::begin(coding, identity, true));
        let lookup = self.lookup_of(name, None, COMPRESS_MAX, Some(coding), at.tick);
        Step::Blocking(Box::new(Work { lookup, claim }))
    }

    fn stream(
        &self,
        request: &RequestHead,
        key: &[u8],
        coding: Coding,
        identity: &Rc<Entry>,
        file: &Rc<File>,
    ) -> Answer {
        let head = || Head::Own(stream::head(identity, coding));
        if decide(request, &identity.validators.weakened(0), answer::date_now) != Decision::Whole {
            return answer::of_file(request, identity);
        }
        if request.method == Method::Head {
            return Answer::Send { head: head(), body: Body::Empty };
        }
        match Stream::begin(&self.streams, coding, file, identity.meta.size) {
            Some(body) => Answer::Stream { head: head(), body: body.kept_by(self.keeper(key, coding, identity)) },
            None => answer::of_file(request, identity),
        }
    }

    /// Who keeps what a stream makes; nobody where another one is kept already, or where it cannot be.
    fn keeper(&self, key: &[u8], coding: Coding, identity: &Rc<Entry>) -> Option<Keeper> {
        let owner = self.coded_owners[coding.index()]?;
        if identity.under_way.get().or(identity.too_large.get()).has(coding) || !identity.meta.is_settled() {
            return None;
        }
        let claim = CodedClaim::begin(coding, identity, true);
        Keeper::begin(&self.streams, &self.cache, owner, key, &self.root_checked, claim)
    }

    /// Makes an answer of what the search for a coded form came to.
    pub(super) fn conclude_coded(
        &self,
        request: &RequestHead,
        key: &[u8],
        at: Moment,
        work: Work,
        outcome: Outcome,
    ) -> Step {
        let Work { lookup, mut claim } = work;
        let Some(coded) = claim.coded.take() else { return refuse(Kind::Internal) };
        let identity = &coded.identity;
        let cached = claim.keep();
        let loaded = match (outcome.found, cached) {
            (Ok(Found::File(loaded)), _) => loaded,
            (Ok(Found::Unchanged(place, _)), Some(cached)) => {
                self.cache.vouch(&cached, place, claim.told);
                return Step::Ready(answer::of_file(request, &cached));
            }
            (found, _) => {
                if matches!(found, Ok(Found::Incompressible)) {
                    let mut shrinks = identity.shrinks.get();
                    shrinks.remove(coded.coding);
                    identity.shrinks.set(shrinks);
                }
                if let Some(owner) = self.coded_owners[coded.coding.index()] {
                    self.cache.remove(owner, key);
                }
                return match found {
                    Err(error @ (Error::NotFound | Error::Forbidden | Error::Outside)) if !coded.is_compressing => {
                        self.pass_over(request, key, at, &lookup, &coded, &error)
                    }
                    // The file itself is there.
                    _ => Step::Ready(answer::of_file(request, identity)),
                };
            }
        };
        let is_current = loaded.settled || !coded.is_compressing;
        let cacheable = loaded.cacheable && is_current && outcome.root.is_none() && self.is_beneath_root(&lookup);
        let place = loaded.place;
        let rendering = Rendering {
            names: &lookup.names,
            options: &self.options,
            compress: Codings::NONE,
            form: if coded.is_compressing { Form::Compressed(coded.coding) } else { Form::Sibling(coded.coding) },
        };
        let entry = Rc::new(Entry::new(loaded, &rendering, claim.began, at.unix));
        self.cache.vouch(&entry, place, claim.told);
        if let Some(owner) = self.coded_owners[coded.coding.index()].filter(|_| cacheable) {
            self.cache.insert(owner, key, &entry, at.tick);
        }
        Step::Ready(answer::of_file(request, &entry))
    }

    /// Answers with the next best coding in the place of a sibling that has gone since, or may not be read.
    fn pass_over(
        &self,
        request: &RequestHead,
        key: &[u8],
        at: Moment,
        lookup: &Lookup,
        sibling: &CodedClaim,
        error: &Error,
    ) -> Step {
        let identity = Rc::clone(&sibling.identity);
        let mut siblings = identity.siblings.get();
        siblings.there.remove(sibling.coding);
        identity.siblings.set(siblings);
        if matches!(error, Error::Forbidden) {
            let file = shown(lookup, 0);
            self.cache.tell(&format!("{file} may not be read, and is not sent in the place of the file beside it"));
        }
        self.answer(request, key, at, &identity)
    }
}

/// A file larger than this is not compressed into memory.
const COMPRESS_MAX: u64 = 1 << 20;

/// The 304 of a form that is not made because the client has it.
fn not_modified(identity: &Entry, etag: &[u8]) -> Answer {
    let fields = with_tag(identity.not_modified.fields.iter(), etag).finish();
    Answer::Send { head: Head::Own(ResponseHead::new(304, fields, BodyLength::None)), body: Body::Empty }
}
