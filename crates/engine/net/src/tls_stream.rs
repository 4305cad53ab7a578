//! A stream over TLS.

use std::cell::{Cell, Ref, RefCell};
use std::io::{self, IoSlice};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::task::{Context, Poll, ready};

use buf::{FileRange, ReadBuf};
use event_loop::{Direction, Registration};
use tls::{IdleSession, Received, Session};

use crate::stream::Stream;
use crate::tls_file::{self, Piece};
use crate::transport::{FileSend, Transport};

/// Session data of at most so many bytes waits for the next write and leaves with it: a client's last flight with its
/// request, a server's tickets with its answer.
const JOIN_BELOW: usize = 4096;

/// How far the end of our own direction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// The close_notify is in the flight; the transport's end follows when that is out.
    Wanted,
    Done,
}

/// A stream over another one, boxed by whoever holds it; while it idles it holds the session and no buffer.
///
/// What was encrypted must be sent before anything else, in the same bytes. So a write that the socket took only in part
/// reports as much plaintext as that part stands for, at least one byte less than all, and *owes* the rest: the caller
/// offers those bytes again, as with every short write, and they are reported when their ciphertext is out. Nothing is
/// hidden when a write has said that all is written.
#[derive(Debug)]
pub(crate) struct TlsStream {
    inner: Stream,
    session: RefCell<Session>,
    /// Plaintext that is encrypted and not yet reported as written.
    owed: Cell<usize>,
    /// A writer waits for room: then nobody else may take its place in the reactor.
    writer_waits: Cell<bool>,
    reset: Cell<bool>,
    end: Cell<End>,
}

impl TlsStream {
    pub(crate) fn new(inner: Stream, session: Session) -> TlsStream {
        TlsStream {
            inner,
            session: RefCell::new(session),
            owed: Cell::new(0),
            writer_waits: Cell::new(false),
            reset: Cell::new(false),
            end: Cell::new(End::Open),
        }
    }

    pub(crate) fn session(&self) -> Ref<'_, Session> {
        self.session.borrow()
    }

    pub(crate) fn inner(&self) -> &Stream {
        &self.inner
    }

    /// The session and the stream below, unless a write is unfinished or its direction has ended.
    pub(crate) fn into_idle(self) -> Option<(IdleSession, Stream)> {
        let is_idle = self.owed.get() == 0 && !self.reset.get() && self.end.get() == End::Open;
        let session = self.session.into_inner().into_idle().filter(|_| is_idle)?;
        Some((session, self.inner))
    }

    /// The stream below, without its TLS.
    pub(crate) fn into_inner(self) -> Stream {
        self.inner
    }

    /// Carries the handshake on. When it is over, what the session still has to send waits for the first write, or for the
    /// first wait to read.
    ///
    /// # Errors
    /// The transport's, or why there is no connection (see [`crate::tls_error`]); the peer has then been sent the alert.
    pub(crate) fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let shaken = self.session.borrow_mut().handshake();
            match shaken {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => ready!(self.poll_push(cx))?,
                Err(error) => return Poll::Ready(Err(self.failed(error))),
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Reads ciphertext once; an end of the transport is an error unless the peer announced it.
    fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut session = self.session.borrow_mut();
        match self.inner.poll_read(cx, session.incoming()) {
            Poll::Ready(Ok(0)) => {
                let ended = session.transport_ended();
                drop(session);
                Poll::Ready(ended.map(|()| 0).map_err(|e| self.failed(e)))
            }
            Poll::Pending => {
                session.release();
                Poll::Pending
            }
            other => other,
        }
    }

    /// Writes the flight out.
    fn poll_push(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut session = self.session.borrow_mut();
        while !session.flight().is_empty() {
            let n = ready!(self.inner.poll_write(cx, &[IoSlice::new(session.flight().bytes())], false))?;
            session.flight().advance(n);
        }
        drop(session);
        self.finish();
        Poll::Ready(Ok(()))
    }

    /// Before a wait to read: what waits to be sent goes out first, or is woken for as well. What becomes of it shows at
    /// the next write; what can be read is read all the same.
    fn push_before_wait(&self, cx: &mut Context<'_>) {
        if !self.writer_waits.get() && !self.session.borrow_mut().flight().is_empty() {
            let _ = self.poll_push(cx);
        }
    }

    /// Sends what the socket takes at once, without the reactor. `more`: the end of the direction follows, and goes with it.
    fn push_now(&self, more: bool) {
        let mut session = self.session.borrow_mut();
        let n = self.inner.send_now(session.flight().bytes(), more);
        session.flight().advance(n);
        drop(session);
        self.finish();
    }

    /// Ends the transport's direction when the close_notify is out.
    fn finish(&self) {
        if self.end.get() == End::Wanted && self.session.borrow_mut().flight().is_empty() {
            self.end.set(End::Done);
            // A connection that is gone has no direction left to end.
            let _ = self.inner.shutdown_write();
        }
    }

    /// The peer has closed. Whoever has ended our direction too will drop the stream now, so the close_notify must be out.
    fn poll_goodbye(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.end.get() == End::Wanted {
            // A peer that is gone altogether needs none.
            let _ = ready!(self.poll_push(cx));
        }
        Poll::Ready(Ok(0))
    }

    fn failed(&self, error: tls::Error) -> io::Error {
        self.push_now(false);
        // The kind that says "the connection is gone" to all who know no TLS.
        io::Error::new(io::ErrorKind::ConnectionAborted, error)
    }

    fn check_deadline(&self) -> io::Result<()> {
        match self.inner.registration().fired() {
            Some(_) => Err(io::ErrorKind::TimedOut.into()),
            None => Ok(()),
        }
    }

    /// Writes the flight until it can report plaintext as written; none when nothing of it is owed.
    fn poll_report(&self, cx: &mut Context<'_>, more: bool) -> Poll<io::Result<usize>> {
        let mut session = self.session.borrow_mut();
        while !session.flight().is_empty() {
            let flight = [IoSlice::new(session.flight().bytes())];
            let Poll::Ready(wrote) = self.inner.poll_write(cx, &flight, more) else {
                self.writer_waits.set(true);
                return Poll::Pending;
            };
            let n = wrote?;
            session.flight().advance(n);
            let owed = self.owed.get();
            let paid = if session.flight().is_empty() { owed } else { n.min(owed.saturating_sub(1)) };
            if paid > 0 {
                return Poll::Ready(Ok(self.pay(paid)));
            }
        }
        // A reader that was about to wait may have sent it.
        Poll::Ready(Ok(self.pay(self.owed.get())))
    }

    fn pay(&self, n: usize) -> usize {
        self.owed.set(self.owed.get() - n);
        n
    }

    /// Whether new plaintext may be encrypted: all that was is reported, and little else waits.
    fn takes_more(&self) -> bool {
        self.owed.get() == 0 && self.session.borrow_mut().flight().len() <= JOIN_BELOW
    }

    fn encrypt(&self, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let sent = self.session.borrow_mut().send(slices);
        self.owed.set(sent.map_err(|e| self.failed(e))?);
        Ok(())
    }
}

impl Transport for TlsStream {
    fn registration(&self) -> &Registration {
        self.inner.registration()
    }

    fn poll_read(&self, cx: &mut Context<'_>, into: &mut ReadBuf) -> Poll<io::Result<usize>> {
        self.check_deadline()?;
        loop {
            let received = self.session.borrow_mut().receive(into);
            match received {
                Ok(Received::Plain(n)) => return Poll::Ready(Ok(n)),
                Ok(Received::End) => return self.poll_goodbye(cx),
                Ok(Received::Nothing) => {}
                Err(error) => return Poll::Ready(Err(self.failed(error))),
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return self.poll_goodbye(cx),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.push_before_wait(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], more: bool) -> Poll<io::Result<usize>> {
        self.writer_waits.set(false);
        loop {
            if self.takes_more() {
                self.encrypt(slices)?;
                if self.owed.get() == 0 {
                    return Poll::Ready(Ok(0));
                }
            }
            match ready!(self.poll_report(cx, more))? {
                0 => {}
                n => return Poll::Ready(Ok(n)),
            }
        }
    }

    fn poll_send_file(&self, cx: &mut Context<'_>, range: &FileRange, check: bool) -> Poll<io::Result<FileSend>> {
        self.writer_waits.set(false);
        loop {
            if self.takes_more() {
                // With no room to send there is no need to read.
                ready!(self.registration().poll_ready(cx, Direction::Write))?;
                match tls_file::read(range, check, Session::SEND)? {
                    Piece::Cold => return Poll::Ready(Ok(FileSend::Cold)),
                    Piece::Bytes(bytes) => self.encrypt(&[IoSlice::new(&bytes)])?,
                }
            }
            // The last of it is not held back: nothing need follow.
            let more = range.len > self.owed.get() as u64;
            match ready!(self.poll_report(cx, more))? {
                0 => {}
                n => return Poll::Ready(Ok(FileSend::Sent(n))),
            }
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        if self.end.get() == End::Open {
            self.session.borrow_mut().close();
            self.end.set(End::Wanted);
            // Whoever waited to write has given up.
            self.writer_waits.set(false);
            // What does not leave now does so before the next wait to read.
            self.push_now(true);
        }
        Ok(())
    }

    fn break_off_write(&self) -> io::Result<()> {
        if self.end.replace(End::Done) == End::Done {
            return Ok(());
        }
        self.writer_waits.set(false);
        self.inner.shutdown_write()
    }

    fn reset_on_close(&self) {
        self.reset.set(true);
        self.inner.reset_on_close();
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_deadline()?;
        if self.session.borrow().has_more() {
            return Poll::Ready(Ok(()));
        }
        self.push_before_wait(cx);
        self.inner.poll_readable(cx)
    }

    fn maybe_readable(&self) -> bool {
        self.session.borrow().has_more() || self.inner.maybe_readable()
    }
}

/// A stream whose handshake is over. Dropping it sends the close_notify, if the socket has room for it: who must be sure ends
/// the direction first ([`Transport::shutdown_write`]) and reads until the peer has closed.
#[derive(Debug)]
pub(crate) struct Established(Box<TlsStream>);

impl Established {
    pub(crate) fn new(stream: Box<TlsStream>) -> Established {
        Established(stream)
    }

    /// The stream, without the farewell that dropping it says.
    pub(crate) fn into_inner(self) -> TlsStream {
        let this = ManuallyDrop::new(self);
        // SAFETY: the box is moved out of what is never dropped, and not looked at again.
        *unsafe { std::ptr::read(&raw const this.0) }
    }
}

impl Deref for Established {
    type Target = TlsStream;

    fn deref(&self) -> &TlsStream {
        &self.0
    }
}

impl Drop for Established {
    fn drop(&mut self) {
        let TlsStream { inner, session, owed, reset, end, .. } = &mut *self.0;
        let session = session.get_mut();
        // An unfinished write must not look like a clean end.
        if reset.get() || owed.get() > 0 || end.get() != End::Open {
            return;
        }
        session.close();
        if session.is_closed() {
            inner.send_now(session.flight().bytes(), false);
        }
    }
}
