//! The files beside a file that hold it in a coding.

use content_coding::{Coding, Codings};
use fs::{Error, Meta, Reach, Root};

use super::Lookup;
use crate::entry::shrinks;
use crate::folders::Names as FolderNames;
use crate::mime::content_type;

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

/// The directory of a search.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Folder {
    /// What is known about its names.
    pub(crate) names: Option<FolderNames>,
    /// Whether the search has asked.
    pub(crate) is_new: bool,
}

impl Lookup {
    /// Looks which of the siblings in `sought` are files, and not older than `file`.
    pub(super) fn seek(
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
    pub(super) fn siblings_to_seek(&self, name: &[u8], size: u64) -> Codings {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tests::search_for;

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
}
