//! The task of a connection.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buf::{Class, ReadBuf};
use clock::Tick;
use event_loop::{Boxed, now};
use net::{Stream, Transport};

use crate::serve::{Echo, Stop};
use crate::tally::End;

/// The kinds of a connection's deadline.
pub(crate) const IDLE: u8 = 0;
const LATE: u8 = 1;
const FLUSH: u8 = 2;

/// When we stop, how long after the socket was first found empty bytes are still echoed: a client that was held back has sent more than
/// had arrived.
const LATE_BYTES: Duration = Duration::from_millis(200);

/// When we stop, a connection on which bytes moved so recently may have more on their way: it is closed when its client has closed, or
/// after as long again. Closing it at once would answer those bytes with a reset, which destroys what the client has not read yet.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 << 10;

/// How far the stop has come: all that had arrived is echoed, then for a moment what arrives late, then the first empty socket is
/// the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Arrived,
    Late,
    Over,
}

struct Connection {
    stream: Stream,
    echo: Rc<Echo>,
    /// When a byte last moved. The deadline is moved when it fires and not with every byte.
    moved: Cell<Tick>,
    /// Whether bytes wait for the client to take them.
    pending: Cell<bool>,
    ending: Cell<Ending>,
    /// When the bytes in hand were reported, if this read is measured.
    reported: Cell<u64>,
}

/// Echoes until the client ends, breaks off or falls silent for too long, or until the worker stops.
pub(crate) fn connection(stream: Stream, echo: Rc<Echo>) -> impl Future<Output = ()> + 'static {
    echo.tally.accepted.add(1);
    echo.tally.open.add(1);
    stream.set_deadline(now().after(echo.idle), IDLE);
    let connection = Connection {
        stream,
        echo,
        moved: Cell::new(now()),
        pending: Cell::new(false),
        ending: Cell::new(Ending::Arrived),
        reported: Cell::new(0),
    };
    async move {
        // Leases its buffer when there is something to read and gives it back when there is nothing more.
        let mut window = ReadBuf::new(Class::K16);
        let end = poll_fn(|cx| connection.poll_echo(cx, &mut window)).await;
        connection.echo.tally.ended(end);
        if end == End::Stopped && connection.was_busy() {
            // In a box of its own, which only the last second pays for.
            Boxed::new(connection.linger(window)).await;
        } else if !window.is_empty() {
            // Bytes are lost; only a reset shows that.
            connection.stream.reset_on_close();
        }
    }
}

impl Connection {
    /// Ready when it is over. Reads only when nothing is left to be written: that is all the back-pressure there has to be.
    fn poll_echo(&self, cx: &mut Context<'_>, window: &mut ReadBuf) -> Poll<End> {
        loop {
            let step = if window.is_empty() { self.poll_read(cx, window) } else { self.poll_write(cx, window) };
            if let Err(end) = ready!(step) {
                return Poll::Ready(end);
            }
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, window: &mut ReadBuf) -> Poll<Result<(), End>> {
        match self.stream.poll_read(cx, window) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(End::Finished)),
            Poll::Ready(Ok(_)) => {
                self.moved.set(now());
                if let Some(sampler) = &self.echo.sampler {
                    self.reported.set(sampler.begin(self.echo.tally.requests.value()));
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(e)) => Poll::Ready(self.go_on_after(&e)),
            Poll::Pending => match self.echo.stop.get() {
                // The socket is empty, not just this task's turn over.
                Some(stop) if !self.stream.maybe_readable() => self.poll_late(stop),
                _ => Poll::Pending,
            },
        }
    }

    /// The stop has found the socket empty.
    fn poll_late(&self, stop: Stop) -> Poll<Result<(), End>> {
        match self.ending.get() {
            Ending::Arrived if self.was_busy() => {
                self.ending.set(Ending::Late);
                self.stream.set_deadline(now().after(LATE_BYTES).min(stop.by), LATE);
                Poll::Pending
            }
            Ending::Late => Poll::Pending,
            Ending::Arrived | Ending::Over => Poll::Ready(Err(End::Stopped)),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, window: &mut ReadBuf) -> Poll<Result<(), End>> {
        match self.stream.poll_write(cx, &[IoSlice::new(window.filled())], false) {
            Poll::Ready(Ok(n)) => {
                window.consume(n);
                self.echo.tally.bytes.add(n as u64);
                if self.pending.get() {
                    self.moved.set(now());
                }
                if window.is_empty() {
                    self.written();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(e)) => Poll::Ready(self.go_on_after(&e)),
            Poll::Pending => {
                if !self.pending.replace(true) {
                    self.echo.tally.pending.add(1);
                }
                Poll::Pending
            }
        }
    }

    fn written(&self) {
        self.echo.tally.requests.add(1);
        self.no_longer_pending();
        if let Some(sampler) = &self.echo.sampler
            && self.reported.get() != 0
        {
            sampler.end(self.reported.get(), &self.echo.tally.latency);
        }
    }

    fn no_longer_pending(&self) {
        if self.pending.replace(false) {
            self.echo.tally.pending.sub(1);
        }
    }

    /// What an error means: the end, or that a deadline has to be moved.
    fn go_on_after(&self, error: &io::Error) -> Result<(), End> {
        let timed_out = error.kind() == io::ErrorKind::TimedOut;
        // A connection can time out in the kernel as well; then none of ours has fired.
        match (self.stream.registration().fired().filter(|_| timed_out), self.echo.stop.get()) {
            (None, _) => Err(End::Broken),
            (Some(FLUSH), _) => Err(End::Cut),
            (Some(LATE), Some(Stop { by, .. })) => {
                self.ending.set(Ending::Over);
                self.stream.set_deadline(by, FLUSH);
                Ok(())
            }
            (Some(_), Some(Stop { by, .. })) => {
                self.stream.set_deadline(by, FLUSH);
                // Whatever the client has sent by now is echoed, whether it was reported or not.
                self.stream.reread_on_partial();
                Ok(())
            }
            (Some(_), None) => {
                let due = self.moved.get().after(self.echo.idle);
                if due.is_due(now()) {
                    return Err(End::Idle);
                }
                self.stream.set_deadline(due, IDLE);
                Ok(())
            }
        }
    }

    /// Whether bytes moved shortly before the stop, or since.
    fn was_busy(&self) -> bool {
        self.echo.stop.get().is_some_and(|stop| stop.began.is_before(self.moved.get().after(LINGER)))
    }

    /// Says that nothing follows, then reads and drops what still comes, for a moment.
    async fn linger(&self, mut window: ReadBuf) {
        if self.stream.shutdown_write().is_err() {
            return;
        }
        self.stream.set_deadline(now().after(LINGER), FLUSH);
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            match poll_fn(|cx| self.stream.poll_read(cx, &mut window)).await {
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    dropped += n;
                    window.clear();
                }
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        event_loop::served_in_panic(|| self.stream.peer().map_or_else(String::new, |peer| format!("client {peer}")));
        self.no_longer_pending();
        self.echo.left();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        fn size_of_future<F: Future>(_: impl FnOnce(Stream, Rc<Echo>) -> F) -> usize {
            size_of::<F>()
        }
        let size = size_of_future(connection);
        assert!(size <= 144, "{size}");
    }
}
