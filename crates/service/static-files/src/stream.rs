//! Large files compressed on their way: a slice at a time on the blocking pool, in memory that does not grow with the file.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::{Rc, Weak};

use clock::Tick;
use content_coding::{Coding, Encoder};
use event_loop::{BlockingError, cpu_bound_further};
use message::{BodyLength, ResponseHead};
use observe::{Failure, Kind};
use serve::{Chunk, Response};

use crate::cache::{OpenFiles, Owner};
use crate::entry::Entry;
use crate::files::coded::CodedClaim;

/// A file larger than this is sent as it is, by the kernel: compressing it would keep a thread busy for seconds.
pub(crate) const STREAM_MAX: u64 = 16 << 20;

/// So many streams of one route are compressed at a time on a worker, each in up to 4 MiB; further ones get the file as it is.
const STREAMS_MAX: usize = 16;

/// What so many of them make is kept.
const KEEPERS_MAX: usize = 4;

/// What one call on the pool reads and compresses: some milliseconds.
const SLICE: usize = 128 << 10;

/// How many streams there are, and how many of them are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams(Rc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    streams: Cell<usize>,
    keepers: Cell<usize>,
}

/// A file that is compressed on its way.
#[derive(Debug)]
pub struct Stream {
    coding: Coding,
    file: Rc<File>,
    size: u64,
    streams: Streams,
    keeper: Option<Keeper>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.0.streams.set(self.streams.0.streams.get() - 1);
    }
}

/// Gathers what a stream makes, and puts it into the cache when that is complete.
#[derive(Debug)]
pub(crate) struct Keeper {
    cache: Rc<OpenFiles>,
    owner: Owner,
    key: Box<[u8]>,
    /// Gone when the owner has: then there is nobody to keep it for.
    route: Weak<Cell<Tick>>,
    made: CodedClaim,
    gathered: Vec<u8>,
    streams: Streams,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.streams.0.keepers.set(self.streams.0.keepers.get() - 1);
    }
}

impl Keeper {
    /// For the form that is claimed, of a file whose stamps will tell of every change from now on; `None` when there are enough.
    pub(crate) fn begin(
        streams: &Streams,
        cache: &Rc<OpenFiles>,
        owner: Owner,
        key: &[u8],
        route: &Rc<Cell<Tick>>,
        made: CodedClaim,
    ) -> Option<Keeper> {
        let count = streams.0.keepers.get();
        if count >= KEEPERS_MAX {
            return None;
        }
        streams.0.keepers.set(count + 1);
        Some(Keeper {
            cache: Rc::clone(cache),
            owner,
            key: key.into(),
            route: Rc::downgrade(route),
            made,
            gathered: Vec::new(),
            streams: streams.clone(),
        })
    }

    /// Takes the next bytes; `None` when that is more than a file may have of the cache.
    fn gather(mut self, bytes: &[u8]) -> Option<Keeper> {
        if self.gathered.len() + bytes.len() > self.cache.share() {
            self.made.mark_too_large();
            return None;
        }
        self.gathered.extend_from_slice(bytes);
        Some(self)
    }

    /// All of it is there.
    fn keep(mut self, file: &File) {
        let (identity, coding) = (self.made.identity(), self.made.coding());
        let is_the_same = fs::Meta::of(file).is_ok_and(|meta| meta == identity.meta);
        if is_the_same && self.route.upgrade().is_some() {
            let gathered = std::mem::take(&mut self.gathered).into_boxed_slice();
            let entry = Entry::compressed(self.made.identity(), coding, gathered);
            self.cache.insert(self.owner, &self.key, &Rc::new(entry), event_loop::now());
        }
    }
}

impl Stream {
    /// The stream of an open file; `None` when there are enough.
    pub(crate) fn begin(streams: &Streams, coding: Coding, file: &Rc<File>, size: u64) -> Option<Stream> {
        let count = streams.0.streams.get();
        if count >= STREAMS_MAX {
            return None;
        }
        streams.0.streams.set(count + 1);
        Some(Stream { coding, file: Rc::clone(file), size, streams: streams.clone(), keeper: None })
    }

    /// The same stream, whose bytes go to `keeper` too.
    pub(crate) fn kept_by(mut self, keeper: Option<Keeper>) -> Stream {
        self.keeper = keeper;
        self
    }

    /// Sends a whole answer of this body behind `head`. The pool is never further ahead of the client than one slice.
    ///
    /// # Errors
    /// The client has gone, the file ended before its size or could not be read, the pool is overloaded. What has begun then must
    /// not end as if it were complete.
    pub async fn send(mut self, head: &ResponseHead, response: &mut Response<'_>) -> Result<(), Failure> {
        let file = self.file.try_clone().map_err(|e| unreadable(&e))?;
        let encoder = Encoder::new(self.coding).map_err(|e| unreadable(&e))?;
        let mut work = Some(Slices { encoder, file, at: 0, size: self.size });
        while let Some(slices) = work.take() {
            let (rest, bytes) = match cpu_bound_further(move || slices.next()).await {
                Ok(next) => next.map_err(|e| unreadable(&e))?,
                Err(BlockingError::Overloaded) => return Err(Failure::new(Kind::Overload)),
                Err(BlockingError::Panicked) => return Err(Failure::new(Kind::Internal)),
            };
            // Not before the first slice is there: until then it can fail with a status.
            if !response.is_started() {
                response.start(head);
            }
            self.keeper = self.keeper.take().and_then(|keeper| keeper.gather(&bytes));
            if !bytes.is_empty() {
                let length = bytes.len();
                response.push(Chunk::Cached(bytes.into(), 0..length))?;
                response.ready().await?;
            }
            work = rest;
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.keep(&self.file);
        }
        response.finish(None)
    }
}

/// The head of the 200 that such a stream follows.
pub(crate) fn head(identity: &Entry, coding: Coding) -> ResponseHead {
    ResponseHead::new(200, identity.compressed_fields(coding), BodyLength::Streamed)
}

/// What is left of a file to be compressed.
struct Slices {
    encoder: Encoder,
    file: File,
    at: u64,
    size: u64,
}

impl Slices {
    /// Compresses the next slice; what is left comes back unless that was all. Blocks: for another thread.
    fn next(mut self) -> io::Result<(Option<Slices>, Vec<u8>)> {
        let mut slice = vec![0; SLICE.min((self.size - self.at) as usize)];
        self.file.read_exact_at(&mut slice, self.at)?;
        self.at += slice.len() as u64;
        let mut bytes = self.encoder.push(&slice)?;
        if self.at < self.size {
            return Ok((Some(self), bytes));
        }
        bytes.extend(self.encoder.finish()?);
        Ok((None, bytes))
    }
}

fn unreadable(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Failure::because(Kind::FileError, "The file became shorter while it was being sent.")
        }
        _ => Failure::because(Kind::FileError, format!("The file could not be read: {error}.")),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests prepare files")]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::cache::Limits;

    fn slices(content: &[u8], size: u64) -> io::Result<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let mut rest = Some(Slices { encoder: Encoder::new(Coding::Gzip).unwrap(), file, at: 0, size });
        let mut all = Vec::new();
        while let Some(slices) = rest.take() {
            let (more, bytes) = slices.next()?;
            all.extend(bytes);
            rest = more;
        }
        Ok(all)
    }

    #[test]
    fn a_file_is_compressed_slice_by_slice() {
        for len in [1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 17] {
            let content: Vec<u8> = (0..len).map(|n| (n / 7 % 50) as u8).collect();
            let mut decoded = Vec::new();
            flate2::read::GzDecoder::new(&*slices(&content, len as u64).unwrap()).read_to_end(&mut decoded).unwrap();
            assert!(decoded == content, "{len}");
        }
    }

    #[test]
    fn a_file_that_became_shorter_fails() {
        let error = slices(&[b'x'; 1000], 1001).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(unreadable(&error).kind, Kind::FileError);
    }

    #[test]
    fn only_so_many_streams_are_compressed_at_a_time() {
        let (streams, file) = (Streams::default(), Rc::new(tempfile::tempfile().unwrap()));
        let begin = || Stream::begin(&streams, Coding::Gzip, &file, 1);
        let mut all: Vec<Stream> = (0..STREAMS_MAX).map(|_| begin().unwrap()).collect();
        assert!(begin().is_none());
        all.pop();
        assert!(begin().is_some());
        drop(all);
        assert_eq!(streams.0.streams.get(), 0);
    }

    #[test]
    fn nothing_is_gathered_for_a_cache_that_holds_nothing() {
        let limits = Limits { entries: 0, ..Limits::default() };
        assert_eq!((OpenFiles::new(limits).share(), OpenFiles::new(Limits::default()).share()), (0, 2 << 20));
    }
}
