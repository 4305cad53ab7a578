//! Signals, for the thread that controls the workers.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals as Iterator;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: open the log files again, which somebody has renamed.
    Reopen,
    /// SIGTERM or SIGINT: finish what is under way and stop.
    Stop,
}

/// The signals this process listens to. A signal that arrived between two calls is not lost.
pub struct Signals {
    inner: Iterator,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system's, when the handlers cannot be set.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals { inner: Iterator::new([SIGHUP, SIGUSR1, SIGTERM, SIGINT])? })
    }

    /// A handle that ends the wait of [`Signals::wait`] from another thread.
    pub fn closer(&self) -> Closer {
        Closer { handle: self.inner.handle() }
    }

    /// Blocks until the next signal; `None` once closed.
    pub fn wait(&mut self) -> Option<Signal> {
        self.inner.forever().next().map(|number| match number {
            SIGHUP => Signal::Reload,
            SIGUSR1 => Signal::Reopen,
            _ => Signal::Stop,
        })
    }
}

/// Ends a [`Signals::wait`].
#[derive(Clone)]
pub struct Closer {
    handle: signal_hook::iterator::Handle,
}

impl Closer {
    /// Makes `wait` answer `None` from now on.
    pub fn close(&self) {
        self.handle.close();
    }
}
