//! The active phase of an HTTP/1 connection: from the first byte of a request until it is idle again. It holds
//! all that an idle connection must not: buffers, the machine, the queue, the deadlines.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll, ready};

use buf::{Class, ReadBuf};
use event_loop::{BoxedDyn, now};
use http1::{RequestDecoder, ResponseEncoder};
use message::RequestHead;
use net::{Peer, Transport};
use observe::{Failure, Kind as Fault};

use crate::body::RequestBody;
use crate::connection::{Connection, Expected, Over};
use crate::context::{Context, Handled, Site};
use crate::deadlines::Kind;
use crate::error_pages::ErrorPages;
use crate::exchange::{Client, Conclusion, Ending, Exchange, Told};
use crate::linger;
use crate::page;
use crate::record::{self, Record};
use crate::response::Response;
use crate::tls;
use crate::wire::Wire;

/// What the outer task does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait for the next request.
    Idle,
    /// Drop the stream.
    Close,
}

enum Head {
    /// In its place.
    Request,
    /// Nothing waits: the connection is idle.
    Idle,
    /// The client has closed, cleanly.
    Gone,
    /// Boxed, so that the usual outcomes stay small.
    Failed(Box<Failure>),
}

pub(crate) async fn active<S: Site, O: Over>(connection: &Connection<S>, over: O) -> Next {
    let context = connection.context();
    let mut phase = Phase::new(context.site());
    let wire = Wire::new(&connection.stream, phase.site.settings().timeouts);
    loop {
        let class = connection.next.class.get();
        phase.next_head(class);
        let looked = poll_fn(|cx| phase.poll_head(cx, &wire, &connection.next));
        match looked.await {
            Head::Request => {}
            Head::Idle => return Next::Idle,
            Head::Gone => return Next::Close,
            Head::Failed(failure) => {
                report(context, &*phase.site, &failure, &connection.admission.peer);
                // Behind half an answer there is nothing to say; that it is half shows where the wire is dropped.
                if !matches!(failure.kind, Fault::ClientGone | Fault::WriteTimeout | Fault::FileError) {
                    let body_bytes = refuse_broken(&wire, &failure, connection.local.tells_reasons());
                    if phase.site.settings().records {
                        phase.site.ended(&Record::of_no_request(&failure, &connection.admission.peer, body_bytes));
                    }
                    Box::pin(linger::close(&wire, &mut phase.input, context)).await;
                }
                return Next::Close;
            }
        }
        // The head may have been long on its way: it is served by what is configured now.
        context.renew(&mut phase.site);
        let Phase { site, decoder, input, head: Some(request), .. } = &mut phase else { return Next::Close };
        if class != HEAD {
            // The buffer is the body's, and free again as soon as that was passed on.
            request.fields.detach();
            input.release();
        }
        context.counters().requests.add(1);
        wire.status.set(0);
        let began = site.settings().records.then(now);
        let client = Client {
            wire: &wire,
            peer: &connection.admission.peer,
            counters: context.counters(),
            local: &connection.local,
            told: Told::Nothing,
        };
        let ending = {
            let settings = site.settings();
            let mut exchange = Exchange {
                body: RequestBody::new(&wire, decoder, input, request, settings.limits, settings.body_bytes),
                response: Response::new(&wire, request, context.draining_flag()),
                client,
                request,
            };
            exchange.response.strict_transport_security(over.hsts());
            let allowed =
                exchange.identify().and_then(|()| match over.covers(&connection.stream, request.authority_bytes()) {
                    true => exchange.body.limit(settings.body_bytes),
                    false => Err(misdirected(request)),
                });
            let handled = match allowed {
                Ok(()) => match site.handle(&mut exchange) {
                    Handled::Done(handled) => handled,
                    Handled::Waits(mut handler) => poll_fn(|cx| poll_handler(&wire, &mut handler, cx)).await,
                },
                refused => refused,
            };
            let (conclusion, failure) = exchange.conclude(handled);
            if let Some(failure) = &failure {
                report(context, &**site, failure, &exchange.client.named_peer());
            }
            if let Some(began) = began {
                record::tell(&**site, exchange.client, request, began, failure).await;
            }
            connection.next.class.set(exchange.body.class_of_whole(request.fields.bytes_len()));
            match conclusion {
                Conclusion::Ends(ending) => ending,
                // Rare, so that its state is kept out of every request's.
                Conclusion::BodyLeft => Box::pin(exchange.skip_rest()).await,
            }
        };
        match ending {
            Ending::KeepAlive => {}
            Ending::Close => {
                Box::pin(linger::close(&wire, &mut phase.input, context)).await;
                return Next::Close;
            }
            Ending::BreakOff => {
                Box::pin(linger::break_off(&wire, &mut phase.input, context)).await;
                return Next::Close;
            }
            Ending::Abort => {
                wire.abandon();
                return Next::Close;
            }
        }
    }
}

/// Polls a handler. Answers that gathered before it must not wait with it.
fn poll_handler(
    wire: &Wire<'_>,
    handler: &mut BoxedDyn<'_, Result<(), Failure>>,
    cx: &mut task::Context<'_>,
) -> Poll<Result<(), Failure>> {
    let handled = Pin::new(handler).poll(cx);
    if handled.is_pending() && !wire.out.borrow().is_empty() {
        // What it comes to shows at the next write.
        let _ = wire.poll_flush(cx);
    }
    handled
}

fn report<S: Site>(context: &Context<S>, site: &S, failure: &Failure, peer: &Peer) {
    context.counters().failed(failure.kind);
    site.failed(failure, peer);
}

/// What heads are read into at first. Most are smaller; and thousands of requests that wait for a server take the less room in the
/// CPU's caches.
pub(crate) const HEAD: Class = Class::K2;

/// What the active phase holds of the requests.
struct Phase<S> {
    site: Rc<S>,
    /// What heads are read into that are too large for the usual buffer.
    largest: Class,
    input: ReadBuf,
    decoder: RequestDecoder,
    /// The present request's.
    head: Option<RequestHead>,
    /// The phase begins: there is something to read, and nothing to write.
    fresh: bool,
    /// A part of a head was there and the socket was read once more for the rest.
    reread: bool,
}

impl<S: Site> Phase<S> {
    fn new(site: Rc<S>) -> Phase<S> {
        let largest = Class::for_bytes(site.settings().limits.header_bytes);
        let (input, decoder) = (ReadBuf::growing(HEAD, largest), RequestDecoder::new());
        Phase { site, largest, input, decoder, head: None, fresh: true, reread: false }
    }

    /// The present request is done.
    fn next_head(&mut self, class: Class) {
        // Its body may have been read in larger pieces.
        match class == HEAD || !buf::is_plentiful(class) {
            true => self.input.lease_next(HEAD, self.largest),
            false => self.input.lease_next(class, self.largest.max(class)),
        }
        self.head = None;
        self.reread = false;
    }

    /// Reads until the next head is complete, and puts it in its place. Answers that gathered are flushed before any wait.
    fn poll_head(&mut self, cx: &mut task::Context<'_>, wire: &Wire<'_>, next: &Expected) -> Poll<Head> {
        loop {
            if !self.input.is_empty() {
                if wire.is_behind()
                    && let Err(failure) = ready!(wire.poll_flush(cx))
                {
                    return failed(failure);
                }
                let limits = &self.site.settings().limits;
                if let Err(reject) = self.decoder.head_into(&mut self.head, &mut self.input, limits) {
                    return failed(match tls::is_hello(self.input.filled()) {
                        true => Failure::new(Fault::TlsOnPlain),
                        false => Failure::refused(reject.status(), reject.sentence()),
                    });
                }
                if self.head.is_some() {
                    wire.deadlines.clear(Kind::Header);
                    next.come();
                    return Poll::Ready(Head::Request);
                }
            }
            let begun = self.decoder.head_begun(&self.input);
            if !self.fresh {
                if let Err(failure) = ready!(wire.poll_flush(cx)) {
                    return failed(failure);
                }
                if begun {
                    self.begun(wire, next);
                } else {
                    self.input.release();
                    if !wire.stream.maybe_readable() {
                        return Poll::Ready(Head::Idle);
                    }
                }
            }
            match wire.stream.poll_read(cx, &mut self.input) {
                Poll::Ready(Ok(n)) if n > 0 => (self.fresh, self.reread) = (false, false),
                Poll::Ready(end) => return Poll::Ready(ended(end, begun, wire)),
                // Readable by assumption, but there was nothing: an idle connection waits outside, without its buffers.
                Poll::Pending if !begun && !wire.stream.maybe_readable() => return Poll::Ready(Head::Idle),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// A part of a head is there: its time counts, and the socket is asked once more before it is waited for.
    #[inline(never)]
    fn begun(&mut self, wire: &Wire<'_>, next: &Expected) {
        if !wire.deadlines.is_set(Kind::Header) {
            let by = next.head_by().unwrap_or_else(|| now().after(self.site.settings().timeouts.header));
            wire.deadlines.set(Kind::Header, by);
        }
        if !std::mem::replace(&mut self.reread, true) {
            wire.stream.reread_on_partial();
        }
    }
}

#[cold]
fn misdirected(request: &RequestHead) -> Failure {
    let host = String::from_utf8_lossy(request.authority_bytes());
    let sentence = format!("The certificate of this connection does not cover {}.", host.escape_debug());
    Failure::because(Fault::Misdirected, sentence)
}

#[cold]
fn failed(failure: Failure) -> Poll<Head> {
    Poll::Ready(Head::Failed(Box::new(failure)))
}

/// What it means that no byte comes any more; `begun` when part of a head had come.
#[cold]
fn ended(end: io::Result<usize>, begun: bool, wire: &Wire<'_>) -> Head {
    let failure = match end {
        _ if !begun => return Head::Gone,
        Ok(_) => Failure::refused(400, "The connection was closed in the middle of a request's head."),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => wire.deadlines.failure(),
        Err(_) => Failure::new(Fault::ClientGone),
    };
    Head::Failed(Box::new(failure))
}

/// Answers a request that has no usable head; gives the length of the answer's body.
pub(crate) fn refuse_broken(wire: &Wire<'_>, failure: &Failure, reasons: bool) -> u64 {
    wire.deadlines.clear_all();
    let page = page::of(failure, None, reasons, &ErrorPages::default());
    let out = &mut wire.out.borrow_mut();
    let mut encoder = ResponseEncoder::for_refusal();
    encoder.head(out, &page.head, event_loop::date().as_bytes(), true);
    // The lengths agree by construction.
    let length = page.body.len() as u64;
    let _ = encoder.data(out, page.body).and_then(|()| encoder.end(out, None));
    length
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::connection::Plain;

    /// A site for the tests that only ask how large things are.
    pub(crate) struct Nothing;

    impl Site for Nothing {
        fn settings(&self) -> &crate::Settings {
            unreachable!("no connection is served here")
        }

        fn handle<'e>(&'e self, _: &'e mut Exchange<'_>) -> Handled<'e> {
            Handled::Done(Ok(()))
        }

        fn failed(&self, _: &Failure, _: &Peer) {}
    }

    #[test]
    fn the_active_phase_fits_a_recycled_block() {
        fn size_of_future<'c, F: Future>(_: impl FnOnce(&'c Connection<Nothing>, Plain) -> F) -> usize {
            size_of::<F>()
        }
        let size = size_of_future(active);
        // It is boxed for every request; above a block of `event_loop::Boxed` that goes to the allocator.
        assert!(size <= 1280, "{size}");
    }
}
