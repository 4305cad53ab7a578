//! One request and its answer.

use std::task::{Context, Poll};
use std::time::Duration;

use event_loop::now;
use message::RequestHead;
use net::{Address, Peer, Transport};
use observe::{Counters, Failure};

use crate::body::RequestBody;
use crate::deadlines::Kind;
use crate::response::Response;
use crate::wire::Wire;

/// One request and its answer. The parts are separate fields, so that a handler can drive both directions at once.
pub struct Exchange<'c> {
    /// The request's head.
    pub request: RequestHead,
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
    pub(crate) local: &'c Address,
}

impl<'c> Client<'c> {
    /// Who connected.
    pub fn peer(&self) -> &'c Peer {
        self.peer
    }

    /// The listener's address.
    pub fn local(&self) -> &'c Address {
        self.local
    }

    /// The worker's counters.
    pub fn counters(&self) -> &'c Counters {
        self.counters
    }

    /// Ready when the client has gone (reset, not merely half-closed) or one of its deadlines has passed.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Failure> {
        self.wire.stream.poll_broken(cx).map(|e| self.wire.failure(&e))
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
    /// The answer is incomplete: break off, so that nobody takes it for complete.
    Abort,
}

/// Of an unread body, so much is skipped to keep the connection.
const SKIP_BYTES: u64 = 64 << 10;

impl Exchange<'_> {
    /// Brings the exchange to its end after its handler: answers failures, skips what is left of the body.
    pub(crate) async fn conclude(&mut self, handled: Result<(), Failure>) -> (Ending, Option<Failure>) {
        let deadlines = &self.client.wire.deadlines;
        deadlines.clear(Kind::Exchange);
        let failure = match handled {
            Err(failure) => Some(failure),
            Ok(()) if !self.response.is_finished() => Some(Failure::new(observe::Kind::Internal)),
            Ok(()) => None,
        };
        if let Some(failure) = failure {
            if self.response.is_started() || failure.kind == observe::Kind::ClientGone {
                return (Ending::Abort, Some(failure));
            }
            // A deadline that fired would make every write fail.
            deadlines.clear_all();
            self.response.refuse(&failure, Some(&self.request));
            let ending = self.ending().await;
            return (ending, Some(failure));
        }
        if self.body.is_done() && self.response.keep_alive() {
            return (Ending::KeepAlive, None);
        }
        (self.ending().await, None)
    }

    async fn ending(&mut self) -> Ending {
        if self.response.keep_alive() && self.body.skip(SKIP_BYTES).await { Ending::KeepAlive } else { Ending::Close }
    }
}
