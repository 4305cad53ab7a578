//! What is searched for, and where.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use clock::Tick;
use content_coding::{Coding, Codings};
use message::RequestHead;

use crate::entry::{Entry, is_due};
use crate::files::{Claim, FALLBACK_KEY, Files, Work};
use crate::listing::{self, Order};
use crate::load::{Folder, Known as KnownFile, ListingWork, Lookup};
use crate::path::{Relative, behind_prefix, relative};

impl Files {
    pub(super) fn target(&self, path: &[u8]) -> Option<Relative> {
        relative(behind_prefix(path, self.options.prefix.as_bytes())?, self.options.hidden)
    }

    /// The names that a target can stand for.
    pub(super) fn names(&self, target: &Relative) -> Vec<Box<[u8]>> {
        match target.directory {
            true => self.options.index.iter().map(|name| target.join(name.as_bytes())).collect(),
            false => vec![target.bytes.clone().into()],
        }
    }

    /// The name beneath the root of what the cache holds under `key`, which was the one at `place`.
    pub(super) fn name_of(&self, key: &[u8], place: usize) -> Option<Box<[u8]>> {
        match key {
            FALLBACK_KEY => self.fallback.clone(),
            path => self.names(&self.target(path)?).into_iter().nth(place),
        }
    }

    pub(super) fn listing(&self, request: &RequestHead, target: &Relative) -> Option<ListingWork> {
        let wanted = self.options.listing && target.directory;
        wanted.then(|| ListingWork {
            directory: target.bytes.clone().into(),
            hidden: self.options.hidden,
            asked: listing::Asked {
                path: request.path_bytes().into(),
                form: listing::Form::of(&request.fields),
                order: Order::of_query(request.query_bytes()),
            },
            coding: self.coding_made(request),
        })
    }

    pub(super) fn work(
        &self,
        request: &RequestHead,
        names: Vec<Box<[u8]>>,
        directory_counts: bool,
        entry: Option<Rc<Entry>>,
        now: Tick,
    ) -> Work {
        let check_root = is_due(self.root_checked.get(), now);
        let known = entry.as_ref().filter(|e| e.is_believed());
        let known = known.map(|e| KnownFile { name: e.name, meta: e.meta, siblings: e.siblings.get() });
        let lookup = Lookup {
            root: Arc::clone(&self.root.borrow()),
            check_root,
            directory_counts,
            known,
            content_max: self.cache.content_max(),
            siblings: self.siblings,
            taken: self.siblings_taken(request),
            folder: Cell::new(self.folder_of(&names, now)),
            began: now,
            names,
            made: self.made,
            compress: None,
            notices: self.cache.notices(),
            page_suffix: self.options.page_suffix.as_ref().map(|suffix| Arc::clone(&suffix.borrow())),
            listing: None,
            is_to_list: Cell::default(),
            begun: RefCell::default(),
        };
        let claim = Claim::new(entry, check_root.then_some(&self.root_checked), now, self.cache.told());
        Work { lookup, claim }
    }

    fn folder_of(&self, names: &[Box<[u8]>], now: Tick) -> Folder {
        let name = names.first().filter(|_| !self.siblings.is_empty());
        let told = self.cache.notices().map(|_| self.cache.told());
        Folder { names: name.and_then(|name| self.folders.of(name, told, now)), is_new: false }
    }

    /// Whether a search was made beneath the present root. What was found beneath an earlier one is sent, but not kept: nobody would tell that
    /// it is not there any more.
    pub(super) fn is_beneath_root(&self, lookup: &Lookup) -> bool {
        Arc::ptr_eq(&lookup.root, &self.root.borrow())
    }

    /// Keeps what a search beneath the present root has learned about its directory.
    pub(super) fn learn_folder(&self, lookup: &Lookup) {
        if let (Folder { names: Some(names), is_new: true }, Some(name)) = (lookup.folder.get(), lookup.names.first())
            && self.is_beneath_root(lookup)
        {
            self.folders.keep(name, names, lookup.began);
        }
    }

    /// A search for a form in a coding, or for a file to be compressed.
    pub(super) fn lookup_of(
        &self,
        name: Box<[u8]>,
        known: Option<KnownFile>,
        content_max: u64,
        compress: Option<Coding>,
        began: Tick,
    ) -> Lookup {
        Lookup {
            root: Arc::clone(&self.root.borrow()),
            check_root: false,
            names: vec![name],
            directory_counts: false,
            known,
            content_max,
            siblings: Codings::NONE,
            taken: Codings::NONE,
            folder: Cell::default(),
            began,
            made: Codings::NONE,
            compress,
            notices: self.cache.notices(),
            page_suffix: None,
            listing: None,
            is_to_list: Cell::default(),
            begun: RefCell::default(),
        }
    }
}
