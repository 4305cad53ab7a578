//! Why a path could not be looked up.

use std::io;

use rustix::io::Errno;

/// Why a path beneath a root could not be looked up, opened or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing has that name, or a part of the path that should be a directory is none.
    #[error("no such file")]
    NotFound,
    /// The permissions forbid it.
    #[error("not permitted")]
    Forbidden,
    /// The path leads out of the root, or holds a link that may not be followed. To the kernel every absolute link leads out.
    #[error("outside of the root, or behind a link that may not be followed")]
    Outside,
    /// It is neither a regular file nor a directory: a pipe, a device, a socket.
    #[error("neither a file nor a directory")]
    NotAFile,
    /// No file can have that name: too long, or with a NUL byte.
    #[error("not a possible file name")]
    Invalid,
    /// The process or the system has no descriptor left. Worth trying again.
    #[error("too many open files")]
    TooManyOpen,
    /// The kernel's caches do not have the answer; only with [`Reach::Cached`](crate::Reach::Cached). Ask again
    /// from a thread that may wait.
    #[error("not in the kernel's caches")]
    WouldBlock,
    /// Anything else the system said.
    #[error(transparent)]
    Io(io::Error),
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        match errno {
            Errno::NOENT | Errno::NOTDIR => Error::NotFound,
            Errno::ACCESS | Errno::PERM => Error::Forbidden,
            // XDEV: the path left the root. LOOP: a link where none may be, a magic link, or links in a circle.
            Errno::XDEV | Errno::LOOP => Error::Outside,
            // What opening a socket or a device without a driver says.
            Errno::NXIO | Errno::NODEV => Error::NotAFile,
            Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => Error::Invalid,
            Errno::MFILE | Errno::NFILE => Error::TooManyOpen,
            other => Error::Io(other.into()),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match Errno::from_io_error(&error) {
            Some(errno) => Error::from(errno),
            None => Error::Io(error),
        }
    }
}
