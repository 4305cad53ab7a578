//! Large bodies go from socket to socket within the kernel.

use std::task::{Context, Poll, ready};

use net::Filled;
use serve::{Exchange, RequestBody, Response};

use super::{Relay, Wait};
use crate::failure::{TryFailed, garbage};

/// Of an answer's body so much must be left for a pipe to be worth its calls.
const ANSWER_FROM: u64 = 32 << 10;

/// The same of a request's.
const REQUEST_FROM: u64 = 128 << 10;

impl Relay<'_> {
    /// Whether what is left of the answer's body may go through a pipe.
    #[inline]
    pub(super) fn pipes_answer(&self, response: &Response<'_>) -> bool {
        self.decoder.body_left().is_some_and(|left| left >= ANSWER_FROM) && self.is_bare(response)
    }

    #[inline(never)]
    fn is_bare(&self, response: &Response<'_>) -> bool {
        self.input.is_empty() && self.checkout.stream().is_socket() && response.pipeable() > 0
    }

    /// Whether what is left of the request's body may go through a pipe.
    #[inline]
    pub(super) fn pipes_request(&self, body: &RequestBody<'_>) -> bool {
        self.encoder.unframed() >= REQUEST_FROM && self.checkout.stream().is_socket() && body.pipeable() > 0
    }

    /// Whether much of the answer's body is to be read at once.
    #[inline(never)]
    pub(super) fn is_bulky(&self) -> bool {
        serve::is_bulky(self.last_read, || self.decoder.body_left(), self.checkout.stream())
    }

    /// Ready when the next piece of the answer may be passed on: what is in the pipe has gone, and the queue has room.
    pub(super) fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        response: &mut Response<'_>,
    ) -> Poll<Result<(), Box<TryFailed>>> {
        if self.down.held() > 0 {
            ready!(response.poll_send_piped(cx, &mut self.down)).map_err(TryFailed::ours)?;
        }
        response.poll_ready(cx).map_err(TryFailed::ours)
    }

    /// Takes the next bytes of the answer's body into the pipe; they go on from there before anything else. False when there is no
    /// pipe to be had: they are read instead. Waits as `poll_read` does.
    #[inline(never)]
    pub(super) fn poll_pipe_answer(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Poll<Result<bool, Box<TryFailed>>> {
        let response = &mut exchange.response;
        if response.poll_flush_now(cx).map_err(TryFailed::ours)?.is_pending() {
            // Our client is slow, not the server.
            self.stop_waiting();
            return Poll::Pending;
        }
        let left = self.decoder.body_left().unwrap_or(0).min(response.pipeable());
        match self.down.poll_fill(cx, self.checkout.stream(), left) {
            Poll::Ready(Ok(Filled::Bytes(n))) => {
                self.stop_waiting();
                self.decoder.pass(n as u64);
                response.push_piped(n).map_err(TryFailed::ours)?;
                Poll::Ready(Ok(true))
            }
            Poll::Ready(Ok(Filled::NoPipe)) => Poll::Ready(Ok(false)),
            Poll::Ready(Ok(Filled::End)) => {
                self.decoder.end_of_input().map_err(|e| garbage(self.who(), &e, self.answering))?;
                Poll::Ready(Ok(true))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(self.broken(&e))),
            Poll::Pending => {
                self.wait_for_answer(Wait::Silence);
                exchange.client.poll_gone(cx).map(|failure| Err(TryFailed::ours(failure)))
            }
        }
    }
}
