//! Peers that a server has to endure: they send or read a little at a time, for as long as they are let.
//!
//! What the server does about them is the result. An answer (408, say) counts with its status, a close or a reset as an
//! error of that kind; the service time is how long the connection was suffered. Then another takes its place.

use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

use buf::{Class, ReadBuf};
use event_loop::{now, precise, within};
use http1::{BodyEvent, Limits, ResponseDecoder};
use load::ErrorKind;
use net::{Stream, Transport};

use crate::dial::dial;
use crate::session::kind_of;
use crate::state::{Open, State, pause_after};
use crate::work::{Request, Slow};

/// Keeps a slow connection in place `number` until the worker ends. One task.
pub(crate) async fn run(state: Rc<State>, number: usize, slow: Slow, every: Duration) {
    let mut dialled = Some(dial(&state, number).await);
    state.tried(dialled.as_ref());
    state.begun.raised().await;
    let mut failures = 0;
    while !state.pacer.is_over(number) {
        let made = match dialled.take() {
            Some(made) => made,
            None => dial(&state, number).await,
        };
        match made {
            Ok(stream) => {
                let open = Open::new(&state);
                let suffered = suffer(&state, number, &stream, slow, every).await;
                drop(open);
                // Who was got rid of before there was anything slow to be seen is refused.
                failures = if suffered < every { failures + 1 } else { 0 };
            }
            Err(error) => {
                state.fail(number, error.kind, || error.text);
                failures += 1;
            }
        }
        // A server that refuses at once would be asked as fast as the network goes.
        pause_after(failures).await;
    }
    state.gone();
}

/// Is slow on one connection until it ends, counts how it did, and says how long it was suffered.
async fn suffer(state: &State, number: usize, stream: &Stream, slow: Slow, every: Duration) -> Duration {
    let begun = precise::nanos();
    let request = &state.origin_of(number).requests[state.pick(state.origin_number(number))];
    state.tally.borrow_mut().sent(0);
    state.in_flight.set(state.in_flight.get() + 1);
    let mut peer = Peer { state, stream, request, input: ReadBuf::new(Class::K4), answer: Answer::new(request) };
    let ended = match slow {
        Slow::Header => peer.send_slowly(peer.request.head_len - 2, b"X-Slow: 1\r\n", every).await,
        Slow::Body => peer.send_slowly(peer.request.head_len, b"x", every).await,
        Slow::Read => peer.read_slowly(every).await,
    };
    state.in_flight.set(state.in_flight.get() - 1);
    let lifetime = precise::nanos() - begun;
    match ended {
        Ok(status) => {
            let mut tally = state.tally.borrow_mut();
            tally.answered(Some(status), lifetime, lifetime);
            tally.target_answered(request.target, lifetime, lifetime);
        }
        Err(kind) => state.fail(number, kind, || format!("{}: after {:.1} s", peer.request.url, lifetime as f64 / 1e9)),
    }
    Duration::from_nanos(lifetime)
}

struct Peer<'a> {
    state: &'a State,
    stream: &'a Stream,
    request: &'a Request,
    input: ReadBuf,
    answer: Answer,
}

impl Peer<'_> {
    /// Sends the first `at_once` bytes of the request, then `piece` every so often; ends with the answer's status.
    async fn send_slowly(&mut self, at_once: usize, piece: &[u8], every: Duration) -> Result<u16, ErrorKind> {
        self.write(&self.request.bytes[..at_once]).await?;
        let mut next = now().after(every);
        loop {
            match within(next, self.read()).await {
                Some(Ok(Some(status))) => return Ok(status),
                Some(Ok(None)) => {}
                Some(Err(kind)) => return Err(kind),
                None => {
                    self.write(piece).await?;
                    next = now().after(every);
                }
            }
        }
    }

    /// Sends the request and reads one small buffer every so often; ends with the answer's status.
    async fn read_slowly(&mut self, every: Duration) -> Result<u16, ErrorKind> {
        self.write(&self.request.bytes).await?;
        loop {
            event_loop::sleep(every).await;
            if let Some(status) = self.read().await? {
                return Ok(status);
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> Result<(), ErrorKind> {
        while !bytes.is_empty() {
            let write = std::future::poll_fn(|cx| self.stream.poll_write(cx, &[IoSlice::new(bytes)], false));
            let n = write.await.map_err(|e| kind_of(&e))?;
            self.state.tally.borrow_mut().wrote(n as u64);
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// One read; the status when it completes the answer.
    async fn read(&mut self) -> Result<Option<u16>, ErrorKind> {
        let read = std::future::poll_fn(|cx| self.stream.poll_read(cx, &mut self.input));
        let n = read.await.map_err(|e| kind_of(&e))?;
        self.state.tally.borrow_mut().received(n as u64);
        if n == 0 {
            return self.answer.end(&mut self.input).map(Some);
        }
        self.answer.take(&mut self.input)
    }
}

/// Reads the answer, whatever it is: nobody compares it.
struct Answer {
    decoder: ResponseDecoder,
    status: u16,
}

impl Answer {
    fn new(request: &Request) -> Answer {
        Answer { decoder: ResponseDecoder::new(request.method), status: 0 }
    }

    fn take(&mut self, input: &mut ReadBuf) -> Result<Option<u16>, ErrorKind> {
        let limits = Limits::default();
        while self.status < 200 {
            match self.decoder.head(input, &limits) {
                Ok(Some(head)) => self.status = head.status,
                Ok(None) => return Ok(None),
                Err(_) => return Err(ErrorKind::Garbage),
            }
        }
        loop {
            match self.decoder.body(input, &limits) {
                Ok(BodyEvent::End) => return Ok(Some(self.status)),
                Ok(BodyEvent::More) => return Ok(self.decoder.body_done().then_some(self.status)),
                Ok(BodyEvent::Data(_) | BodyEvent::Trailers(_)) => {}
                Err(_) => return Err(ErrorKind::Garbage),
            }
        }
    }

    fn end(&mut self, input: &mut ReadBuf) -> Result<u16, ErrorKind> {
        let begun = self.decoder.begun(input);
        let early = if begun { ErrorKind::Truncated } else { ErrorKind::Closed };
        self.decoder.end_of_input().map_err(|_| early)?;
        self.take(input)?.ok_or(early)
    }
}
