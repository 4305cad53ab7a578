//! TLS in front: handshakes, so many a turn, and what becomes of those that fail.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task;
use std::time::Duration;

use buf::{Class, ReadBuf};
use event_loop::{now, spawn};
use http1::Hsts;
use net::{Accepted, Handshake, HandshakeFailure, Stream, Transport, accept_tls};
use observe::{Failure, Kind as Fault};
use tls::{Reason, ServerConfig};

use crate::active::refuse_broken;
use crate::connection::{Connection, Expected, Over, serve};
use crate::context::{Admission, Context, Site};
use crate::deadlines::Kind;
use crate::gate::{self, Step};
use crate::handshakes;
use crate::linger;
use crate::local::Local;
use crate::wire::Wire;

/// What a listener speaks TLS with.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificates, versions, who is asked for a certificate.
    pub config: ServerConfig,
    /// From accept to the end of the handshake.
    pub handshake_timeout: Duration,
    /// What answers say of Strict-Transport-Security; none: nothing.
    pub hsts: Option<Hsts>,
}

/// A connection over TLS.
#[derive(Clone, Copy)]
struct Secure {
    hsts: Option<Hsts>,
}

impl Over for Secure {
    fn covers(self, stream: &Stream, authority: &[u8]) -> bool {
        // An HTTP/1.0 request may name nobody.
        authority.is_empty() || stream.tls().is_none_or(|session| session.covers(host_of(authority)))
    }

    fn hsts(self) -> Option<Hsts> {
        self.hsts
    }
}

/// An authority without its port.
fn host_of(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|b| *b == b':') {
        Some(colon) if authority[colon + 1..].iter().all(u8::is_ascii_digit) => &authority[..colon],
        _ => authority,
    }
}

/// Shakes hands with one accepted connection, and has it served until it closes. It counts as open from now on.
///
/// # Errors
/// As [`crate::connection`]: over the limit.
pub(crate) fn connection<S: Site>(
    accepted: Accepted,
    tls: Tls,
    local: Rc<Local>,
    context: &Rc<Context<S>>,
) -> Result<impl Future<Output = ()> + 'static, bool> {
    let Accepted { stream, peer } = accepted;
    Ok(admitted(stream, tls, local, context.admit(peer)?))
}

/// The same for a connection that was counted in already.
pub(crate) fn admitted<S: Site>(
    stream: Stream,
    tls: Tls,
    local: Rc<Local>,
    admission: Admission<S>,
) -> impl Future<Output = ()> + 'static {
    let by = now().after(tls.handshake_timeout);
    let by = admission.context.drain_end().map_or(by, |end| by.min(end));
    stream.set_deadline(by, Kind::Idle as u8);
    async move {
        // Who connects and says nothing costs no session, and nor does who waits for a place: it is this future and no more.
        let first = first_step(&stream).await;
        // Boxed, so that who waits for a place does not carry the room for it.
        if let Some(connection) = Box::pin(begin(stream, first, &tls.config, local, admission)).await {
            // As a task of its own it is hardly larger than a plain connection's, whatever the handshake needed.
            spawn(serve(connection, Secure { hsts: tls.hsts }));
        }
    }
}

/// Waits for the first bytes, and then for a place; no longer than the client is there, and its time lasts.
async fn first_step(stream: &Stream) -> io::Result<()> {
    poll_fn(|cx| stream.poll_readable(cx)).await?;
    let place = async {
        gate::pass_first().await;
        Ok(())
    };
    event_loop::race(place, poll_fn(|cx| stream.poll_broken(cx).map(Err))).await
}

/// The handshake, which may take its first step. None when there is no connection.
///
/// Thousands may wait for their clients' answers at once, and what they held meanwhile leaves holes in the heap between the sessions
/// that stay: so it holds little.
fn begin<S: Site>(
    stream: Stream,
    first: io::Result<()>,
    config: &ServerConfig,
    local: Rc<Local>,
    admission: Admission<S>,
) -> impl Future<Output = Option<Connection<S>>> + use<S> {
    let mut shake = match first {
        Ok(()) => Ok((accept_tls(stream, config), Step::allowed())),
        Err(error) => Err(Some(Box::new(HandshakeFailure { error, stream }))),
    };
    async move {
        // By reference, so that it has one place in here.
        match poll_fn(|cx| poll_shake(&mut shake, cx)).await {
            Ok(stream) => Some(shaken(stream, local, admission)),
            Err(failed) => {
                Box::pin(refuse(failed, admission)).await;
                None
            }
        }
    }
}

type Shake = Result<(Handshake, Step), Option<Box<HandshakeFailure>>>;

fn poll_shake(shake: &mut Shake, cx: &mut task::Context<'_>) -> task::Poll<Result<Stream, Box<HandshakeFailure>>> {
    match shake {
        Ok((handshake, step)) => {
            task::ready!(step.poll_pass(cx));
            Pin::new(handshake).poll(cx).map_err(Box::new)
        }
        Err(failed) => task::Poll::Ready(Err(failed.take().expect("it fails once"))),
    }
}

fn shaken<S: Site>(stream: Stream, local: Rc<Local>, admission: Admission<S>) -> Connection<S> {
    let context = &admission.context;
    context.counters().handshakes.add(1);
    let head_by = now().after(context.site().settings().timeouts.header);
    let head_by = context.drain_end().map_or(head_by, |end| head_by.min(end));
    stream.set_deadline(head_by, Kind::Idle as u8);
    Connection { stream, local, next: Expected::first(head_by), admission }
}

/// Counts and reports a handshake that failed. Who spoke HTTP is told in HTTP what is spoken here.
async fn refuse<S: Site>(failed: Box<HandshakeFailure>, admission: Admission<S>) {
    let (peer, context) = (&admission.peer, &admission.context);
    let failure = failure(&failed);
    let site = context.site();
    let reason = handshakes::number(failed.tls(), failed.error.kind());
    context.counters().failed(failure.kind);
    context.counters().handshake_failed(reason);
    site.failed(&failure, peer);
    if matches!(failure.kind, Fault::TlsHandshake | Fault::TlsRefused) {
        let due = context.handshakes_told.borrow_mut().is_due(reason, now());
        if let Some(unsaid) = due {
            site.handshake_failed(&failure, peer, unsaid);
        }
    }
    if failure.kind == Fault::PlainOnTls {
        let wire = Wire::new(&failed.stream, site.settings().timeouts);
        refuse_broken(&wire, &failure, false);
        linger::close(&wire, &mut ReadBuf::new(Class::K4), context).await;
    }
    if failed.tls().is_some_and(|error| error.is_our_refusal()) {
        // In TLS 1.3 the client holds the handshake for done, and sends its request before it reads why there will be no answer.
        let wire = Wire::new(&failed.stream, site.settings().timeouts);
        linger::close(&wire, &mut ReadBuf::new(Class::K4), context).await;
    }
}

fn failure(failed: &HandshakeFailure) -> Failure {
    let Some(error) = failed.tls() else {
        return match failed.error.kind() {
            io::ErrorKind::TimedOut => Failure::because(Fault::TlsHandshake, "The TLS handshake did not end in time."),
            _ => Failure::because(Fault::TlsHandshake, "The connection broke during the TLS handshake."),
        };
    };
    let kind = match error.reason() {
        Reason::PlainHttp => return Failure::new(Fault::PlainOnTls),
        Reason::Local => Fault::Internal,
        _ if error.is_over_certificate() => Fault::TlsRefused,
        _ => Fault::TlsHandshake,
    };
    Failure::because(kind, error.to_string())
}

/// Whether a head that is no HTTP is the beginning of a TLS handshake: the type of its record, and its major version.
pub(crate) fn is_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16, 3, ..])
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::active::tests::Nothing;

    #[test]
    fn a_handshake_is_no_large_task() {
        fn size_of_future<F, E>(
            _: impl FnOnce(Accepted, Tls, Rc<Local>, &'static Rc<Context<Nothing>>) -> Result<F, E>,
        ) -> usize {
            size_of::<F>()
        }
        let size = size_of_future(connection::<Nothing>);
        // The session, in a box of the stream, is what it costs beside; afterwards the task is as a plain connection's.
        assert!(size <= 256, "{size}");
        fn size_of_begin<F>(
            _: impl FnOnce(Stream, io::Result<()>, &'static ServerConfig, Rc<Local>, Admission<Nothing>) -> F,
        ) -> usize {
            size_of::<F>()
        }
        let size = size_of_begin(begin::<Nothing>);
        assert!(size <= 120, "{size}");
    }

    /// The error with which a client that does `what` leaves the queue, before those in front of it were let through.
    fn left_the_queue(what: impl FnOnce(&Stream, net::memory::MemoryStream)) -> io::ErrorKind {
        const IN_FRONT: u32 = 10_000;
        let passed = Rc::new(Cell::new(0));
        let all = async {
            for _ in 0..IN_FRONT {
                let passed = Rc::clone(&passed);
                spawn(async move {
                    gate::pass_first().await;
                    passed.set(passed.get() + 1);
                });
            }
            event_loop::sleep(Duration::from_millis(1)).await;
            let (client, ours) = net::memory::pair(net::memory::Weather::default());
            poll_fn(|cx| client.poll_write(cx, &[io::IoSlice::new(b"hello")], false)).await.expect("room");
            let ours = Stream::from(ours);
            what(&ours, client);
            first_step(&ours).await.map_err(|error| error.kind())
        };
        let (worker, _) = event_loop::Worker::new(event_loop::WorkerConfig::default()).expect("a worker");
        let left = worker.block_on(all).expect("it ran");
        assert!(passed.get() < IN_FRONT, "it waited to the end");
        left.expect_err("it waits no more")
    }

    #[test]
    fn who_is_gone_or_out_of_time_does_not_wait_for_its_place() {
        let gone = left_the_queue(|_, client| client.reset_on_close());
        assert_eq!(gone, io::ErrorKind::ConnectionReset);
        let late = left_the_queue(|ours, client| {
            ours.set_deadline(now().after(Duration::from_millis(1)), Kind::Idle as u8);
            std::mem::forget(client);
        });
        assert_eq!(late, io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_host_is_an_authority_without_its_port() {
        for (authority, host) in
            [("a.test", "a.test"), ("a.test:8443", "a.test"), ("[::1]:8443", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(host_of(authority.as_bytes()), host.as_bytes());
        }
    }

    #[test]
    fn a_hello_is_told_from_http() {
        assert!(is_hello(&[0x16, 3, 1, 0, 5]));
        assert!(!is_hello(b"GET / HTTP/1.1"));
        assert!(!is_hello(&[0x16]));
    }
}
