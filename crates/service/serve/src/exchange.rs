//! One request and its answer.

use std::cell::Ref;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use event_loop::{Ready, now};
use http1::HeadTooLarge;
use message::{HeadWriter, RequestHead};
use net::{Address, Peer, Transport};
use observe::{Counters, Failure};
use tls::Session;

use crate::body::RequestBody;
use crate::deadlines::Kind;
use crate::local::Local;
use crate::response::Response;
use crate::tunnel::Tunnel;
use crate::wire::Wire;

/// One request and its answer. The parts are separate fields, so that a handler can drive both directions at once.
pub struct Exchange<'c> {
    /// The request's head.
    pub request: &'c RequestHead,
    /// The request's body.
    pub body: RequestBody<'c>,
    /// The answer.
    pub response: Response<'c>,
    /// Who asks.
    pub client: Client<'c>,
}

/// The client of an exchange.
#[derive(Clone, Copy)]
pub struct Client<'c> {
    pub(crate) wire: &'c Wire<'c>,
    pub(crate) peer: &'c Peer,
    pub(crate) counters: &'c Counters,
    pub(crate) local: &'c Local,
    pub(crate) told: Told,
}

/// What is known of a client beside its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// Its connection is all that is believed.
    Nothing,
    /// It is a trusted proxy, which speaks for this client, or for one that it does not know.
    By(client_address::Told),
}

impl<'c> Client<'c> {
    /// Who connected.
    pub fn peer(&self) -> &'c Peer {
        self.peer
    }

    /// The client's address, as far as it is known: where a trusted proxy speaks for it, what that one tells.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.told {
            Told::Nothing => self.peer.ip(),
            Told::By(told) => told.client,
        }
    }

    /// Whether the peer is a trusted proxy, whose forwarded fields are believed.
    #[inline]
    pub fn is_trusted(&self) -> bool {
        matches!(self.told, Told::By(_))
    }

    /// The client's address and port, and where it reached us; none when its address is not known. What else is not is zero.
    #[cold]
    pub fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let source = match self.told {
            Told::By(told) if told.client != self.peer.ip() => SocketAddr::new(told.client?, 0),
            // A proxy that asks for itself too.
            _ => self.peer.socket_addr()?,
        };
        let nowhere = || match source {
            SocketAddr::V4(_) => SocketAddr::from(([0; 4], 0)),
            SocketAddr::V6(_) => SocketAddr::from(([0; 16], 0)),
        };
        let told = self.local.destination();
        Some((source, told.or_else(|| self.wire.stream.local_addr()).unwrap_or_else(nowhere)))
    }

    /// Whom logs name: a proxy itself, where it does not know for whom it speaks.
    pub(crate) fn named(&self) -> Option<IpAddr> {
        match self.told {
            Told::By(told) if told.client.is_some() => told.client,
            _ => self.peer.ip(),
        }
    }

    /// The same as the peer that it would be.
    #[cold]
    pub(crate) fn named_peer(&self) -> Peer {
        match self.named() {
            Some(named) if Some(named) != self.peer.ip() => Peer::of(SocketAddr::new(named, 0)),
            _ => self.peer.clone(),
        }
    }

    /// Whether the client asked over TLS: us, or the proxies that speak for it, where a trusted one says so.
    pub fn asked_over_tls(&self) -> bool {
        let told = if let Told::By(told) = self.told { told.over_tls } else { None };
        told.unwrap_or_else(|| self.is_over_tls())
    }

    /// The listener's address.
    pub fn local(&self) -> &'c Address {
        self.local.address()
    }

    /// Whether the client reached us over TLS.
    pub fn is_over_tls(&self) -> bool {
        self.wire.stream.tls().is_some()
    }

    /// What was agreed on over TLS, and who the client is if it has shown a certificate; none on a plain connection. Do not keep it
    /// over an operation on the connection.
    pub fn tls(&self) -> Option<Ref<'c, Session>> {
        self.wire.stream.tls()
    }

    /// The worker's counters.
    pub fn counters(&self) -> &'c Counters {
        self.counters
    }

    /// Ready when the client has gone (reset, not merely half-closed) or one of its deadlines has passed.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Failure> {
        self.wire.stream.poll_broken(cx).map(|e| self.wire.failure(&e))
    }

    /// As [`Client::poll_gone`], but a half-close counts too: for answers that only end when somebody has heard enough.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Failure> {
        let gone = self.poll_gone(cx);
        let half_closed = || self.wire.stream.registration().ready().has(Ready::READ_CLOSED);
        if gone.is_pending() && half_closed() { Poll::Ready(Failure::new(observe::Kind::ClientGone)) } else { gone }
    }

    /// A wait for a server begins, which may last so long; then [`Client::poll_gone`] gives a failure of the kind `NoServer`.
    pub fn limit_wait(&self, timeout: Duration) {
        self.wire.deadlines.set(Kind::Turn, now().after(timeout));
    }

    /// That wait is over.
    pub fn end_wait(&self) {
        self.wire.deadlines.clear(Kind::Turn);
    }

    /// Ends the exchange when it takes longer than `timeout` from now.
    pub fn limit_exchange(&self, timeout: Duration) {
        self.wire.deadlines.set(Kind::Exchange, now().after(timeout));
    }
}

/// What becomes of the connection after an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    KeepAlive,
    /// Flush, then close as `linger` does.
    Close,
    /// The same, but the answer is incomplete.
    BreakOff,
    /// The answer is incomplete, and no byte may follow: nobody is there, or nobody could tell it from a complete one.
    Abort,
}

impl<'c> Exchange<'c> {
    /// Finds out who asks, where the peer is a proxy that is believed.
    ///
    /// # Errors
    /// What the proxy's fields tell contradicts itself.
    #[inline]
    pub(crate) fn identify(&mut self) -> Result<(), Failure> {
        if self.client.local.believes() { self.hear_proxy() } else { Ok(()) }
    }

    #[cold]
    fn hear_proxy(&mut self) -> Result<(), Failure> {
        let Client { local, peer, .. } = self.client;
        if local.trusts(peer) {
            let told = client_address::told(&self.request.fields, peer.ip(), &local.trusted());
            let told = told.map_err(|e| Failure::because(observe::Kind::BadRequest, e.to_string()))?;
            self.client.told = Told::By(told);
        }
        Ok(())
    }

    /// What follows from what the handler came to. A failure is answered here while no answer has begun.
    pub(crate) fn conclude(&mut self, handled: Result<(), Failure>) -> (Conclusion, Option<Failure>) {
        // Whatever waited for the body waits no longer: a later wait must set its deadlines anew.
        self.body.pause();
        let deadlines = &self.client.wire.deadlines;
        deadlines.clear(Kind::Exchange);
        let failure = match handled {
            Err(failure) => Some(failure),
            Ok(()) if !self.response.is_finished() => Some(Failure::new(observe::Kind::Internal)),
            Ok(()) => None,
        };
        if let Some(failure) = &failure {
            if self.response.is_started() || failure.kind == observe::Kind::ClientGone {
                self.response.give_up();
                return (Conclusion::Ends(self.broken_off(failure.kind)), Some(failure.clone()));
            }
            // A deadline that fired would make every write fail.
            deadlines.clear_all();
            self.response.refuse(failure, Some(self.request), self.client.local.tells_reasons());
        }
        let conclusion = match (self.response.keep_alive(), self.body.is_done()) {
            (false, _) => Conclusion::Ends(Ending::Close),
            (true, true) => Conclusion::Ends(Ending::KeepAlive),
            (true, false) => Conclusion::BodyLeft,
        };
        (conclusion, failure)
    }

    /// How an answer that cannot be completed ends. What is queued still goes out, since complete answers to pipelined
    /// requests may be part of it; the missing bytes show that the last one is not.
    fn broken_off(&self, failed: observe::Kind) -> Ending {
        use observe::Kind::{ClientGone, TooSlow, WriteTimeout};
        match failed {
            ClientGone | TooSlow | WriteTimeout => Ending::Abort,
            _ if self.response.ends_by_close() => Ending::Abort,
            _ => Ending::BreakOff,
        }
    }

    /// Switches protocols: queues a 101 whose fields `fields` writes in at most `fields_max` bytes (Upgrade is one of them;
    /// Connection is added), and gives what follows. The client's deadlines and the exchange's end when it begins.
    ///
    /// # Errors
    /// What `fields` says, or the head exceeds 64 KiB: nothing was queued then, and there may be another answer.
    pub fn upgrade<E: From<HeadTooLarge>>(
        &mut self,
        fields_max: usize,
        fields: impl FnOnce(&mut HeadWriter<'_>) -> Result<(), E>,
    ) -> Result<Tunnel<'_, 'c>, E> {
        self.response.switch(fields_max, fields)?;
        self.body.pause();
        Ok(Tunnel::new(self.client.wire, self.body.input()))
    }

    /// Skips what is left of the body after an early answer, if it is little.
    pub(crate) async fn skip_rest(&mut self) -> Ending {
        if self.body.skip().await { Ending::KeepAlive } else { Ending::Close }
    }
}

/// What is left to do for an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Conclusion {
    /// Nothing.
    Ends(Ending),
    /// The answer is complete, the request's body was not read to its end.
    BodyLeft,
}
