//! The deadlines of a client connection. The stream's slot in the reactor holds the nearest; this set holds all.

use std::cell::Cell;

use clock::Tick;
use net::{Stream, Transport};
use observe::{Failure, Kind as Fault};

/// What a deadline is for. The number goes into the stream's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Between requests, and before the first byte of the first. Held by the outer task, not by this set.
    Idle = 0,
    Header,
    Body,
    Write,
    /// The client's average rate of sending.
    BodyRate,
    /// The client's average rate of reading.
    WriteRate,
    Exchange,
    /// For its turn with a server.
    Turn,
    /// Closing with unread input.
    Linger,
}

const KINDS: usize = Kind::Linger as usize + 1;
const ALL: [Kind; KINDS] = [
    Kind::Idle,
    Kind::Header,
    Kind::Body,
    Kind::Write,
    Kind::BodyRate,
    Kind::WriteRate,
    Kind::Exchange,
    Kind::Turn,
    Kind::Linger,
];

/// The deadlines of the active phase. Setting and clearing are a few stores; most requests do neither.
pub(crate) struct Deadlines<'c> {
    stream: &'c Stream,
    at: [Cell<Tick>; KINDS],
    set: Cell<u16>,
}

impl<'c> Deadlines<'c> {
    /// An empty set. What the outer task waited for is here: its idle deadline must not fire inside an exchange.
    pub(crate) fn new(stream: &'c Stream) -> Deadlines<'c> {
        stream.clear_deadline();
        Deadlines { stream, at: [const { Cell::new(Tick(0)) }; KINDS], set: Cell::new(0) }
    }

    pub(crate) fn is_set(&self, kind: Kind) -> bool {
        self.set.get() & (1 << kind as u16) != 0
    }

    pub(crate) fn set(&self, kind: Kind, at: Tick) {
        self.at[kind as usize].set(at);
        self.set.set(self.set.get() | 1 << kind as u16);
        self.arm();
    }

    pub(crate) fn clear(&self, kind: Kind) {
        if self.is_set(kind) {
            self.set.set(self.set.get() & !(1 << kind as u16));
            self.arm();
        }
    }

    pub(crate) fn clear_all(&self) {
        self.set.set(0);
        self.stream.clear_deadline();
    }

    fn nearest(&self) -> Option<(Kind, Tick)> {
        ALL.into_iter()
            .filter(|k| self.is_set(*k))
            .map(|k| (k, self.at[k as usize].get()))
            .reduce(|a, b| if b.1.is_before(a.1) { b } else { a })
    }

    fn arm(&self) {
        match self.nearest() {
            Some((kind, at)) => self.stream.set_deadline(at, kind as u8),
            None => self.stream.clear_deadline(),
        }
    }

    /// What it means that the stream answered `TimedOut`.
    pub(crate) fn failure(&self) -> Failure {
        Failure::new(match self.nearest().map(|(kind, _)| kind) {
            Some(Kind::Header) => Fault::HeadTimeout,
            Some(Kind::Body) => Fault::BodyTimeout,
            Some(Kind::Write) => Fault::WriteTimeout,
            Some(Kind::BodyRate | Kind::WriteRate) => Fault::TooSlow,
            Some(Kind::Exchange) => Fault::ExchangeTimeout,
            Some(Kind::Turn) => Fault::NoServer,
            Some(Kind::Idle | Kind::Linger) | None => Fault::ClientGone,
        })
    }
}
