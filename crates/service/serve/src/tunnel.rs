//! What is left of a connection when HTTP is over on it: bytes, both ways.

use std::future::poll_fn;

use buf::ReadBuf;
use net::Stream;
use observe::Failure;

use crate::wire::{Body, Wire};

/// The client's side of a switch of protocols ([`crate::Exchange::upgrade`]). It lasts as long as its exchange does: a
/// handler relays until both directions have ended, and returns.
///
/// None of a client's deadlines holds any more; that nothing passes is for the handler to watch.
pub struct Tunnel<'t, 'c> {
    wire: &'t Wire<'c>,
    input: &'t mut ReadBuf,
}

impl<'t, 'c> Tunnel<'t, 'c> {
    pub(crate) fn new(wire: &'t Wire<'c>, input: &'t mut ReadBuf) -> Tunnel<'t, 'c> {
        Tunnel { wire, input }
    }

    /// Sends what HTTP has left to be sent, the 101 at last. Before anything else.
    ///
    /// # Errors
    /// What became of the client.
    pub async fn begin(&self) -> Result<(), Failure> {
        poll_fn(|cx| self.wire.poll_flush(cx)).await?;
        self.wire.deadlines.clear_all();
        Ok(())
    }

    /// The client's stream, and what has come from it behind the request already: the first bytes of the other protocol.
    pub fn parts(&mut self) -> (&'c Stream, &mut ReadBuf) {
        (self.wire.stream, self.input)
    }

    /// How many bytes went to the client, for the record of the exchange.
    pub fn sent(&self, bytes: u64) {
        self.wire.body.set(Body::whole(usize::try_from(bytes).unwrap_or(usize::MAX)));
    }
}
