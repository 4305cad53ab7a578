//! Small files are compressed on the worker itself.

use std::cell::RefCell;
use std::fs::File;

use content_coding::{Coding, compress};
use fs::Meta;

use crate::entry::{Content, Entry};
use crate::files::coded::CodedClaim;
use crate::files::{Claim, Files};
use crate::load::{Found, Loaded, LoadedContent, Outcome, Siblings};

/// Files up to this size are compressed on the worker: a fifth of a millisecond. On another thread it takes longer, for two hand-overs and
/// for what the threads of the pool push out of each other's caches; and where they share the worker's CPU, it waits for them in
/// any case.
const BRIEF_MAX: u64 = 64 << 10;

thread_local! {
    /// For the content of files that are not in memory.
    static CONTENT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Files {
    /// Makes the coded form that is claimed on the worker, one file in each turn, if the file is small and in the page cache. `None`:
    /// that is for the blocking pool, as is what would have to wait for too many others.
    pub(super) async fn make_in_brief(&self, claim: &Claim) -> Option<Outcome> {
        let coded = claim.coded.as_ref().filter(|coded| coded.is_brief())?;
        if !self.cache.turns().pass().await {
            return None;
        }
        coded.make_in_brief()
    }
}

impl CodedClaim {
    fn is_brief(&self) -> bool {
        // The others take longer, or more memory.
        self.is_compressing && self.coding == Coding::Gzip && self.identity.meta.size <= BRIEF_MAX
    }

    /// Compresses the file that the cache holds.
    pub(crate) fn make_in_brief(&self) -> Option<Outcome> {
        let (made, settled) = match &self.identity.content {
            Content::Memory(answer) if answer.body().len() as u64 == self.identity.meta.size => {
                (compress(self.coding, answer.body()), self.identity.settled)
            }
            // Something was put to its end.
            Content::Memory(_) => return None,
            Content::File(file) => CONTENT.with_borrow_mut(|content| {
                // Asked before the reading.
                let settled = self.identity.meta.is_settled();
                read_now(file, &self.identity, content).then(|| (compress(self.coding, content), settled))
            })?,
        };
        let found = match made {
            Some(bytes) => Found::File(self.loaded(bytes, settled)),
            None => Found::Incompressible,
        };
        Some(Outcome { root: None, found: Ok(found) })
    }

    fn loaded(&self, bytes: Vec<u8>, settled: bool) -> Loaded {
        Loaded {
            name: 0,
            meta: self.identity.meta,
            content: LoadedContent::Bytes(bytes.into()),
            settled,
            cacheable: true,
            siblings: Siblings::default(),
            place: None,
        }
    }
}

/// Reads all of a file from the page cache. False: that would wait, or the file is not what it was.
fn read_now(file: &File, entry: &Entry, content: &mut Vec<u8>) -> bool {
    content.resize(entry.meta.size as usize, 0);
    let mut len = 0;
    while len < content.len() {
        match fs::read_resident(file, &mut content[len..], len as u64) {
            Ok(0) => return false,
            Ok(n) => len += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    Meta::of(file).is_ok_and(|now| now == entry.meta)
}
