//! The PROXY header that stands before a connection's first byte, where a listener requires one.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use client_address::proxy_protocol::{Header, OFFERED_MAX, read};
use event_loop::{now, spawn};
use net::{Accepted, Peer, Stream, Transport};
use observe::{Failure, Kind as Fault};

use crate::connection as plain;
use crate::context::{Context, Site};
use crate::deadlines::Kind;
use crate::local::Local;
use crate::tls::{self, Tls};

/// Reads the header of one accepted connection, and has it served from the byte behind: over TLS, or not. It counts as
/// open from now on. Its header has the time of a request's head, which on a plain connection is that of both together.
///
/// # Errors
/// As [`crate::connection`]: over the limit.
pub(crate) fn connection<S: Site>(
    accepted: Accepted,
    tls: Option<Tls>,
    local: Rc<Local>,
    context: &Rc<Context<S>>,
) -> Result<impl Future<Output = ()> + 'static, bool> {
    let Accepted { stream, peer } = accepted;
    let mut admission = context.admit(peer)?;
    let by = now().after(context.site().settings().timeouts.header);
    stream.set_deadline(by, Kind::Idle as u8);
    Ok(async move {
        match header(&stream, &admission.peer, &local).await {
            Ok(header) => {
                let local = match header.ends {
                    Some(ends) => local.reached_at(ends.destination),
                    // Somebody is behind the balancer whom it does not know, and who may write what he likes into the fields.
                    None if !header.is_local => Local::new(local.address().clone(), local.tells_reasons()),
                    _ => local,
                };
                if let Some(ends) = header.ends {
                    admission.peer = Peer::of(ends.source);
                }
                // Tasks of their own are no larger than those of connections without a header.
                match tls {
                    None => drop(spawn(plain::admitted(stream, local, admission, by))),
                    Some(tls) => drop(spawn(tls::admitted(stream, tls, local, admission))),
                }
            }
            Err(failure) => {
                let context = &admission.context;
                context.counters().failed(failure.kind);
                context.site().failed(&failure, &admission.peer);
            }
        }
    })
}

/// Takes the header off the stream, and not a byte more.
async fn header(stream: &Stream, peer: &Peer, local: &Local) -> Result<Header, Failure> {
    if !local.trusts(peer) {
        return Err(failed("It is not one of trusted_proxies, and this listener is for these only."));
    }
    let mut seen = [0; OFFERED_MAX];
    let mut filled = 0;
    loop {
        let looked = poll_fn(|cx| stream.poll_peek(cx, &mut seen[filled..])).await;
        if filled == 0 && matches!(looked, Ok(0)) {
            // A balancer that looks whether somebody listens.
            return Err(Failure::because(Fault::ClientGone, "The connection ended without a byte."));
        }
        let n = received(looked)?;
        let header = read(&seen[..filled + n]).map_err(|bad| failed(bad.to_string()))?;
        // Until it is whole, all that has come is part of it.
        let end = header.map_or(filled + n, |header| header.len);
        skip(stream, end - filled).await?;
        match header {
            Some(header) => return Ok(header),
            None => filled = end,
        }
    }
}

/// Takes so many bytes off the stream: what was looked at, and the extensions of version 2, at most 64 KiB.
async fn skip(stream: &Stream, mut left: usize) -> Result<(), Failure> {
    let mut skipped = [0; 512];
    while left > 0 {
        let room = left.min(skipped.len());
        left -= received(poll_fn(|cx| stream.poll_take(cx, &mut skipped[..room])).await)?;
    }
    Ok(())
}

fn received(outcome: io::Result<usize>) -> Result<usize, Failure> {
    match outcome {
        Ok(0) => Err(failed("The connection ended before its PROXY header was complete.")),
        Ok(n) => Ok(n),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(failed("The PROXY header did not arrive in time.")),
        Err(_) => Err(failed("The connection broke before its PROXY header was complete.")),
    }
}

#[cold]
fn failed(sentence: impl Into<Cow<'static, str>>) -> Failure {
    Failure::because(Fault::ProxyHeader, sentence)
}
