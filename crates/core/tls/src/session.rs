//! One connection: bytes in, bytes out.

use std::cell::OnceCell;
use std::io::IoSlice;
use std::sync::Arc;

use buf::{Buf, Class, ReadBuf, Shared};
use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls_pki_types::ServerName;

use crate::certificate::{Certificate, ClientCertificate};
use crate::client::ClientConfig;
use crate::error::{Error, Role};
use crate::flight::Flight;
use crate::gather::Gather;
use crate::good_until::{NO_END, peer_until, set_peer_until};
use crate::server::ServerConfig;
use crate::sni;
use crate::step::{self, Order, Sink, Step};

mod facts;
mod idle;
mod refusal;

pub use idle::IdleSession;

/// The plaintext of a full record (RFC 8446 §5.1).
const RECORD: usize = 16 << 10;
/// What a record adds to its plaintext, at most (TLS 1.2 with AES-GCM: header 5, nonce 8, tag 16), rounded up.
const OVERHEAD: usize = 32;
/// Room for what rustls may send ahead of a record of its own accord (a key update, an alert).
const SLACK: usize = 128;
/// Full records gathered for one write: with their overhead they fill most of a 64 KiB buffer.
const RECORDS: usize = 3;
/// No length of input: there is something to look at.
const UNSEEN: u32 = u32::MAX;

/// What [`Session::receive`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes of plaintext were put into the window (at least one), or the window is full (zero).
    Plain(usize),
    /// The peer said that no byte follows (close_notify).
    End,
    /// More ciphertext is needed.
    Nothing,
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// The TLS machine of one connection, for either side. It knows no socket; box it, since it is about 1.3 KB.
///
/// The contract, as a driver calls it:
/// * [`Session::handshake`] until it says true. Between the calls write [`Session::flight`] out and then put what was
///   read into [`Session::incoming`].
/// * [`Session::receive`] for plaintext; when it says [`Received::Nothing`], read into [`Session::incoming`] and call again.
/// * [`Session::send`] encrypts; write the flight before the next call. [`Session::close`] adds the close_notify.
/// * Whatever was called, write out what is in [`Session::flight`] before waiting, also after an error: it holds the
///   alert for the peer.
/// * At the end of the transport, [`Session::transport_ended`] tells a clean end from a truncation.
/// * [`Session::release`] before idling gives back what buffers can be spared.
///
/// After an error every call gives that error again.
pub struct Session {
    side: Side,
    incoming: ReadBuf,
    flight: Flight,
    /// Plaintext that found no room in the caller's window.
    left: Shared,
    /// The length of `incoming` when all whole records in it had been taken: while it stays, asking rustls again reads
    /// nothing. [`UNSEEN`] while there may be more of them.
    seen: u32,
    /// The first record has been looked at: this is TLS.
    recognised: bool,
    peer_closed: bool,
    closed: bool,
    server_name: Option<Box<str>>,
    /// The certificate that the client was shown; on the server's side only.
    shown: Option<Arc<Certificate>>,
    /// Until when the certificates are good that the peer has shown, here or in the session that this one resumes.
    peer_until: u64,
    /// Who the client is, read when it is first asked for.
    client: OnceCell<Option<Box<ClientCertificate>>>,
    failed: Option<Error>,
}

impl Session {
    /// The most plaintext bytes that one [`Session::send`] takes.
    pub const SEND: usize = RECORDS * RECORD;

    /// The machine of an accepted connection.
    ///
    /// # Errors
    /// None that a checked configuration gives.
    pub fn server(config: &ServerConfig) -> Result<Session, Error> {
        let connection =
            UnbufferedServerConnection::new(Arc::clone(config.inner())).map_err(|e| Error::of(e, Role::Client))?;
        Ok(Session::new(Side::Server(connection)))
    }

    /// The machine of a connection made to `name`, which the server's certificate must be valid for.
    ///
    /// # Errors
    /// None that a checked configuration gives.
    pub fn client(config: &ClientConfig, name: ServerName<'static>) -> Result<Session, Error> {
        // The hello is made here, and with it the choice of what is resumed.
        set_peer_until(NO_END);
        let connection = UnbufferedClientConnection::new(Arc::clone(config.inner()), name)
            .map_err(|e| Error::of(e, Role::Server))?;
        Ok(Session { peer_until: peer_until(), ..Session::new(Side::Client(connection)) })
    }

    fn new(side: Side) -> Session {
        Session {
            side,
            incoming: ReadBuf::new(Class::K20),
            flight: Flight::default(),
            left: Shared::default(),
            seen: UNSEEN,
            recognised: false,
            peer_closed: false,
            closed: false,
            server_name: None,
            shown: None,
            peer_until: NO_END,
            client: OnceCell::new(),
            failed: None,
        }
    }

    /// Where ciphertext is read into. Its buffer is leased by the read.
    pub fn incoming(&mut self) -> &mut ReadBuf {
        &mut self.incoming
    }

    /// Ciphertext to be written out; advance it by what was.
    pub fn flight(&mut self) -> &mut Flight {
        &mut self.flight
    }

    /// Carries the handshake on; true when it is over. Otherwise write the flight out, read, and call again.
    ///
    /// # Errors
    /// Why there will be no connection. The flight may hold the alert that tells the peer.
    pub fn handshake(&mut self) -> Result<bool, Error> {
        self.check()?;
        if !self.is_handshaking() {
            return Ok(true);
        }
        let done = self.recognise().and_then(|()| self.shake_hands());
        self.settle(done)?;
        self.release_empty();
        Ok(!self.is_handshaking())
    }

    fn shake_hands(&mut self) -> Result<(), Error> {
        // Tickets stand behind the handshake's last message; they are to be in the flight as well.
        while self.is_handshaking() || self.common().wants_write() {
            match self.step(None)?.0 {
                Step::Again => {}
                Step::End | Step::Closed => return Err(Error::ClosedEarly),
                Step::Nothing => return self.make_room(),
            }
        }
        Ok(())
    }

    /// Decrypts into `plain` as much as is there and fits. Each record costs an allocation (rustls') and a copy.
    ///
    /// # Errors
    /// What the peer did wrong, or the fatal alert it sent.
    pub fn receive(&mut self, plain: &mut ReadBuf) -> Result<Received, Error> {
        self.check()?;
        let received = self.receive_into(plain);
        if received.is_err() {
            plain.release();
        }
        self.settle(received)
    }

    fn receive_into(&mut self, plain: &mut ReadBuf) -> Result<Received, Error> {
        let mut taken = 0;
        loop {
            if !self.left.is_empty() {
                let n = plain.fill_from(&self.left);
                self.left.advance(n);
                taken += n;
                if !self.left.is_empty() {
                    return Ok(Received::Plain(taken));
                }
                self.left = Shared::default();
            }
            let is_done = self.peer_closed || self.is_drained();
            if is_done {
                self.release_empty();
            }
            if is_done && taken > 0 {
                return Ok(Received::Plain(taken));
            }
            if is_done {
                plain.release();
                self.make_room()?;
                return Ok(if self.peer_closed { Received::End } else { Received::Nothing });
            }
            if plain.spare().is_empty() {
                return Ok(Received::Plain(taken));
            }
            taken += self.step(Some(plain))?.1;
        }
    }

    /// Encrypts the beginning of `slices` into the flight: up to three full records ([`Session::SEND`] bytes). Gives
    /// the plaintext bytes taken; write the flight out before the next call.
    ///
    /// # Errors
    /// The keys are used up (TLS 1.2 only, after 2^24 records and more), or an earlier error.
    pub fn send(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Error> {
        self.check()?;
        if self.closed {
            return Err(Error::Closed);
        }
        let total: usize = slices.iter().map(|s| s.len()).sum();
        let take = total.min(Session::SEND);
        if take == 0 {
            return Ok(0);
        }
        let sent = self.encrypt(Gather::new(slices), take);
        self.settle(sent)?;
        Ok(take)
    }

    fn encrypt(&mut self, mut plain: Gather<'_>, take: usize) -> Result<(), Error> {
        let mut scratch = Buf::default();
        let mut left = take;
        while left > 0 {
            let len = left.min(RECORD);
            let need = left + left.div_ceil(RECORD) * OVERHEAD + SLACK;
            self.write(need, Order::Record(plain.next(len, &mut scratch)))?;
            left -= len;
        }
        Ok(())
    }

    /// Adds the close_notify to the flight: the peer then knows that nothing is missing. Once; nothing can be sent
    /// afterwards. During a handshake, or after an error, it does nothing.
    pub fn close(&mut self) {
        if self.closed || self.failed.is_some() || self.is_handshaking() {
            return;
        }
        self.closed = true;
        // It fails only when there is no room for 30 bytes, and then there is much else that the peer will miss.
        let _ = self.write(SLACK, Order::CloseNotify);
    }

    /// The transport has ended. Fine after a close_notify; otherwise somebody may have cut the connection.
    ///
    /// # Errors
    /// [`Error::Truncated`], and before the first byte of a handshake [`Error::ClosedEarly`].
    pub fn transport_ended(&mut self) -> Result<(), Error> {
        self.check()?;
        let ended = match (self.peer_closed, self.is_handshaking()) {
            (true, _) => Ok(()),
            (false, true) => Err(Error::ClosedEarly),
            (false, false) => Err(Error::Truncated),
        };
        self.settle(ended)
    }

    /// Gives back the buffers that hold nothing; a small part of a record moves to a small buffer.
    pub fn release(&mut self) {
        self.release_empty();
        let (len, capacity) = (self.incoming.len(), self.incoming.capacity());
        if (1..Class::K4.bytes()).contains(&len) && capacity > Class::K4.bytes() {
            self.resize(Class::K4);
        }
    }

    /// Gives an empty buffer back; the next is of the usual size again.
    fn release_empty(&mut self) {
        if self.incoming.is_empty() {
            self.incoming = ReadBuf::new(Class::K20);
        }
    }

    /// Whether [`Session::receive`] would find something without further ciphertext: plaintext, whole records not yet
    /// looked at, the end, or an error.
    pub fn has_more(&self) -> bool {
        !self.left.is_empty()
            || self.peer_closed
            || self.failed.is_some()
            || !(self.is_drained() || self.incoming.is_empty())
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Client(c) => c,
            Side::Server(s) => s,
        }
    }

    fn check(&self) -> Result<(), Error> {
        self.failed.as_ref().map_or(Ok(()), |e| Err(e.clone()))
    }

    fn is_drained(&self) -> bool {
        self.incoming.len() == self.seen as usize
    }

    /// Who the peer is.
    fn peer(&self) -> Role {
        match self.side {
            Side::Client(_) => Role::Server,
            Side::Server(_) => Role::Client,
        }
    }

    /// Looks at the first byte that ever arrives: only a handshake record may come first.
    fn recognise(&mut self) -> Result<(), Error> {
        let Some(first) = self.incoming.filled().first() else { return Ok(()) };
        if self.recognised || matches!(first, 0x15 | 0x16) {
            self.recognised = true;
            return Ok(());
        }
        let looks_like_text = self.incoming.filled().iter().take(8).all(|b| b.is_ascii_graphic() || *b == b' ');
        if looks_like_text && first.is_ascii_uppercase() { Err(Error::PlainHttp) } else { Err(Error::NotTls) }
    }

    /// Lets rustls do one thing with what has arrived. Gives how much plaintext went into `plain`; what does not fit (all,
    /// without a window) is kept.
    fn step(&mut self, plain: Option<&mut ReadBuf>) -> Result<(Step, usize), Error> {
        let (handshaking, peer) = (plain.is_none(), self.peer());
        set_peer_until(self.peer_until);
        let Session { side, incoming, flight, left, .. } = self;
        let is_old = handshaking && refusal::is_old_hello(incoming.filled());
        let mut taken = 0;
        let sink = Sink { plain, left: Some(left), taken: Some(&mut taken) };
        let (discard, stepped) = match side {
            Side::Client(c) => step::take(c.process_tls_records(incoming.filled_mut()), flight, sink),
            Side::Server(s) => step::take(s.process_tls_records(incoming.filled_mut()), flight, sink),
        };
        incoming.consume(discard);
        self.peer_until = peer_until();
        if handshaking && let Some(asked) = sni::take_asked() {
            (self.server_name, self.shown) = (asked.name, asked.shown);
        }
        let step = stepped.map_err(|e| if is_old { refusal::for_its_version(e) } else { e }.blame(peer))?;
        self.seen = if step == Step::Nothing { self.incoming.len() as u32 } else { UNSEEN };
        self.peer_closed |= step == Step::End;
        Ok((step, taken))
    }

    /// A buffer that is full and holds no whole record must grow: a handshake message may be of 64 KiB.
    fn make_room(&mut self) -> Result<(), Error> {
        if self.incoming.len() < self.incoming.capacity() {
            return Ok(());
        }
        match self.incoming.capacity() {
            c if c < Class::K20.bytes() => self.resize(Class::K20),
            c if c < Class::K64.bytes() => self.resize(Class::K64),
            _ => return Err(Error::TooLarge),
        }
        Ok(())
    }

    fn resize(&mut self, class: Class) {
        let mut other = ReadBuf::new(class);
        other.fill_from(self.incoming.filled());
        self.incoming = other;
    }

    /// Has rustls carry out `order` into the flight, which gets room for `need` bytes.
    fn write(&mut self, need: usize, order: Order<'_>) -> Result<(), Error> {
        let peer = self.peer();
        loop {
            let Session { side, incoming, flight, seen, .. } = self;
            // Only what rustls has looked at already: a part of a message that it remembers by its place, or of a record.
            // Of more it might take a record, and there is no window for its plaintext. Right behind a record of data it
            // remembers nothing, so that it can be shown none.
            let known = if *seen == UNSEEN { 0 } else { *seen as usize };
            let input = incoming.filled_mut().get_mut(..known).unwrap_or_default();
            let (discard, ordered) = match side {
                Side::Client(c) => step::order(c.process_tls_records(input), flight, need, order),
                Side::Server(s) => step::order(s.process_tls_records(input), flight, need, order),
            };
            if *seen != UNSEEN {
                incoming.consume(discard);
                *seen -= discard as u32;
            }
            if ordered.map_err(|e| e.blame(peer))? {
                return Ok(());
            }
        }
    }
}
