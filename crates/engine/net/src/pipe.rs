//! The way of bytes from one socket to another that does not lead through user space.

use std::cell::RefCell;
use std::io;
use std::io::ErrorKind::{InvalidInput, OutOfMemory, PermissionDenied, Unsupported};
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

use event_loop::Direction;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use crate::socket::operations;
use crate::stream::Stream;
use crate::transport::Transport;

/// The most pipes that a worker has. They hold bytes while their receivers are slow; bytes beyond are copied.
pub const PIPES_MAX: usize = 64;

/// Empty ones that are kept. A user's pipes are limited in sum, whoever of its programs holds them (16,384 pages, 64 of them each): a
/// worker that is at rest has a mebibyte of that.
const KEPT: usize = 4;

/// The most that is put into a pipe at once, and the size that is asked for: memory of the kernel's, for as long as a receiver
/// does not read. Where the system allows less, less goes in.
const PIECE: usize = 256 << 10;

/// Moves bytes from socket to socket (`splice`). While none are on their way it holds no pipe: one of the worker's is leased when
/// there is something to move, and given back when all of it has gone on. One that is dropped with bytes in it is closed.
///
/// # Contract
///
/// [`Pipe::poll_fill`] while it is empty, then [`Pipe::poll_drain`] until it is again.
#[derive(Debug, Default)]
pub struct Pipe {
    ends: Option<Ends>,
    held: u32,
}

#[derive(Debug)]
struct Ends {
    into: OwnedFd,
    out: OwnedFd,
}

/// What [`Pipe::poll_fill`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// So many bytes are in the pipe.
    Bytes(usize),
    /// Nothing follows from there.
    End,
    /// All pipes are in use, or the system has none left: read the bytes instead.
    NoPipe,
}

#[derive(Default)]
struct Pool {
    free: Vec<Ends>,
    /// Those there are, free and leased.
    made: usize,
    /// So many times none is asked for, since the system would not give one.
    pause: u32,
}

/// After a refusal so many bodies are copied before the system is asked again.
const PAUSE: u32 = 4096;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { free: Vec::new(), made: 0, pause: 0 }) };
}

impl Pipe {
    /// Holds nothing.
    pub const fn new() -> Pipe {
        Pipe { ends: None, held: 0 }
    }

    /// How many bytes are in it.
    pub fn held(&self) -> usize {
        self.held as usize
    }

    /// Takes at most `most` bytes off `from`, which must be a [`Stream::is_socket`]; at most 256 KiB. Only while it is empty.
    ///
    /// # Errors
    /// The stream's.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, from: &Stream, most: u64) -> Poll<io::Result<Filled>> {
        debug_assert!(self.held == 0 && most > 0);
        ready!(from.registration().poll_ready(cx, Direction::Read))?;
        let Some(ends) = Ends::lease() else { return Poll::Ready(Ok(Filled::NoPipe)) };
        let most = usize::try_from(most).unwrap_or(PIECE).min(PIECE);
        match from.splice_into(cx, ends.into.as_fd(), most) {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.ends = Some(ends);
                self.held = n as u32;
                from.registration().spend(operations(n));
                Poll::Ready(Ok(Filled::Bytes(n)))
            }
            // The system knows no way between these two, or a sandbox forbids it.
            Poll::Ready(Err(e)) if matches!(e.kind(), InvalidInput | Unsupported | PermissionDenied | OutOfMemory) => {
                ends.close();
                POOL.with_borrow_mut(|pool| pool.pause = PAUSE);
                Poll::Ready(Ok(Filled::NoPipe))
            }
            other => {
                ends.give_back();
                other.map_ok(|_| Filled::End)
            }
        }
    }

    /// Sends what is in it to `to`, and says how much of it went. Only while something is.
    ///
    /// # Errors
    /// The stream's.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, to: &Stream) -> Poll<io::Result<usize>> {
        ready!(to.registration().poll_ready(cx, Direction::Write))?;
        let Some(ends) = &self.ends else { return Poll::Ready(Ok(0)) };
        let sent = ready!(to.splice_from(cx, ends.out.as_fd(), self.held()))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.held -= sent as u32;
        to.registration().spend(operations(sent));
        if self.held == 0
            && let Some(ends) = self.ends.take()
        {
            ends.give_back();
        }
        Poll::Ready(Ok(sent))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // What is in it would come out before the next bytes: nobody may have it again.
        if let Some(ends) = self.ends.take() {
            ends.close();
        }
    }
}

impl Ends {
    fn lease() -> Option<Ends> {
        POOL.with_borrow_mut(|pool| match pool.free.pop() {
            None if pool.made == PIPES_MAX => None,
            None if pool.pause > 0 => {
                pool.pause -= 1;
                None
            }
            None => {
                let pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK);
                // A user's pipes are limited in sum; those beyond are so small that copying is cheaper.
                let large = pipe.and_then(|(out, into)| fcntl_setpipe_size(&into, PIECE).map(|_| Ends { into, out }));
                match large {
                    Ok(ends) => {
                        pool.made += 1;
                        Some(ends)
                    }
                    Err(_) => {
                        pool.pause = PAUSE;
                        None
                    }
                }
            }
            free => free,
        })
    }

    /// It is empty.
    fn give_back(self) {
        let mut ends = Some(self);
        // While the thread ends its pool may be gone already.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.free.len() < KEPT {
                pool.free.extend(ends.take());
            }
        });
        if let Some(ends) = ends {
            ends.close();
        }
    }

    fn close(self) {
        let _ = POOL.try_with(|pool| pool.borrow_mut().made -= 1);
    }
}
