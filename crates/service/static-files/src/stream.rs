//! Large files compressed on their way: a slice at a time on the blocking pool, in memory that does not grow with the file.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use content_coding::{Coding, Encoder};
use event_loop::{BlockingError, blocking};
use message::{BodyLength, FieldsBuilder, Known, ResponseHead};
use observe::{Failure, Kind};
use serve::{Chunk, Response};

use crate::entry::Entry;

/// A file larger than this is sent as it is, by the kernel: compressing it would keep a thread busy for seconds.
pub(crate) const STREAM_MAX: u64 = 16 << 20;

/// So many streams of one route are compressed at a time on a worker, each in up to 4 MiB; further ones get the file as it is.
const STREAMS_MAX: usize = 16;

/// What one call on the pool reads and compresses: some milliseconds.
const SLICE: usize = 128 << 10;

/// How many streams there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams(Rc<Cell<usize>>);

/// A file that is compressed on its way.
#[derive(Debug)]
pub struct Stream {
    coding: Coding,
    file: Rc<File>,
    size: u64,
    streams: Streams,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.0.set(self.streams.0.get() - 1);
    }
}

impl Stream {
    /// The stream of an open file; `None` when there are enough.
    pub(crate) fn begin(streams: &Streams, coding: Coding, file: &Rc<File>, size: u64) -> Option<Stream> {
        let count = streams.0.get();
        if count >= STREAMS_MAX {
            return None;
        }
        streams.0.set(count + 1);
        Some(Stream { coding, file: Rc::clone(file), size, streams: streams.clone() })
    }

    /// Sends a whole answer of this body behind `head`. The pool is never further ahead of the client than one slice.
    ///
    /// # Errors
    /// The client has gone, the file ended before its size or could not be read, the pool is overloaded. What has begun then must
    /// not end as if it were complete.
    pub async fn send(self, head: &ResponseHead, response: &mut Response<'_>) -> Result<(), Failure> {
        let file = self.file.try_clone().map_err(|e| unreadable(&e))?;
        let encoder = Encoder::new(self.coding).map_err(|e| unreadable(&e))?;
        let mut work = Some(Slices { encoder, file, at: 0, size: self.size });
        while let Some(slices) = work.take() {
            let (rest, bytes) = match blocking(move || slices.next()).await {
                Ok(next) => next.map_err(|e| unreadable(&e))?,
                Err(BlockingError::Overloaded) => return Err(Failure::new(Kind::Overload)),
                Err(BlockingError::Panicked) => return Err(Failure::new(Kind::Internal)),
            };
            // Not before the first slice is there: until then it can fail with a status.
            if !response.is_started() {
                response.start(head);
            }
            if !bytes.is_empty() {
                let length = bytes.len();
                response.push(Chunk::Cached(bytes.into(), 0..length))?;
                response.ready().await?;
            }
            work = rest;
        }
        response.finish(None)
    }
}

/// The head of the 200 that such a stream follows.
pub(crate) fn head(identity: &Entry, coding: Coding) -> ResponseHead {
    let weak = identity.validators.weakened(0);
    let mut fields = FieldsBuilder::new();
    for line in identity.whole.fields.iter().filter(|l| l.known != Known::AcceptRanges) {
        let value = if line.known == Known::Etag { weak.etag() } else { line.value };
        fields.push_known(line.known, line.name, value);
    }
    fields.push_known(Known::ContentEncoding, b"Content-Encoding", coding.token().as_bytes());
    ResponseHead::new(200, fields.finish(), BodyLength::Streamed)
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
        assert_eq!(streams.0.get(), 0);
    }
}
