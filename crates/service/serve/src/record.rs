//! What became of an exchange, for the access log.

use std::net::IpAddr;

use clock::Tick;
use event_loop::now;
use message::{Method, RequestHead};
use net::Peer;
use observe::{Failure, Kind};
use tls::{ClientCertificate, Session};

use crate::context::Site;
use crate::exchange::Client;

/// The status in the log of an exchange whose client went away before there was an answer: nginx's word for it.
const CLIENT_GONE: u16 = 499;

/// What became of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What was asked for; none when what came was no request.
    pub request: Option<&'a RequestHead>,
    /// Who asked; none: through a Unix socket. Where a trusted proxy speaks for the client, what that one tells.
    pub client: Option<IpAddr>,
    /// The certificate that it has shown, and that was found good.
    pub certificate: Option<&'a ClientCertificate>,
    /// The answer's status; 499 when the client went away before there was one.
    pub status: u16,
    /// Bytes of the answer behind its head, with their chunk lines. Of a body that did not go out to its end, what did.
    pub body_bytes: u64,
    /// Milliseconds from the end of the request's head until the answer was queued; where a file is part of it, until it was
    /// sent.
    pub took_ms: u32,
    /// What failed, if anything did.
    pub failure: Option<&'a Failure>,
}

impl<'a> Record<'a> {
    /// Of something that could not be read as a request, and was refused.
    pub(crate) fn of_no_request(failure: &'a Failure, peer: &'a Peer, body_bytes: u64) -> Record<'a> {
        let client = peer.ip();
        let status = failure.status;
        Record { request: None, client, certificate: None, status, body_bytes, took_ms: 0, failure: Some(failure) }
    }
}

/// Tells the site of an exchange. A file in the queue is sent first: how long that takes, and whether it comes to its end, is
/// what the record is to say.
pub(crate) async fn tell<S: Site>(
    site: &S,
    client: Client<'_>,
    request: &RequestHead,
    began: Tick,
    failure: Option<Failure>,
) {
    let wire = client.wire;
    let end_of_answer = wire.queued();
    let cut = wire.out.borrow().has_file() && wire.flush().await.is_err();
    let until = if cut { wire.written() } else { end_of_answer };
    let status = match (wire.status.get(), &failure) {
        (0, Some(failure)) if failure.kind == Kind::ClientGone => CLIENT_GONE,
        (0, Some(failure)) => failure.status,
        (status, _) => status,
    };
    let has_body = wire.is_answered() && request.method != Method::Head && !matches!(status, 204 | 304);
    let body_bytes = if has_body { wire.body.get().length(until) } else { 0 };
    let took_ms = now().0.wrapping_sub(began.0);
    let (session, failure) = (client.tls(), failure.as_ref());
    let certificate = session.as_deref().and_then(Session::client_certificate);
    let (request, client) = (Some(request), client.named());
    site.ended(&Record { request, client, certificate, status, body_bytes, took_ms, failure });
}
