//! The heads of an exchange, rewritten into the queues they leave from, and its trailers.

use balance::ServerId;
use buf::OutQueue;
use forward::{
    ClientAddress, ClientCertificate, ClientInfo, FieldRules, HostPolicy, RequestOptions, ResponseOptions, Scheme,
};
use http1::{RequestEncoder, RequestLine};
use message::{BodyLength, Fields, FieldsBuilder, HeadWriter, Known, RequestHead, ResponseHead, TargetForm, Version};
use serve::{Exchange, Response, Tunnel};

use crate::failure::Unfit;
use crate::proxy::Proxy;

impl Proxy {
    /// Writes the head of the request as `server` is to have it. `path` is the normalised one, where that is not the one
    /// that was sent. `asks`: the server is asked whether it wants the body.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "called in one place")]
    pub(crate) fn write_request(
        &self,
        exchange: &Exchange<'_>,
        server: ServerId,
        path: Option<&[u8]>,
        asks: bool,
        body: BodyLength,
        encoder: &mut RequestEncoder,
        out: &mut OutQueue,
    ) -> Result<(), Unfit> {
        let Exchange { request, client, .. } = exchange;
        let address = client.peer().ip().map_or_else(ClientAddress::unknown, ClientAddress::new);
        let tls = client.tls();
        let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
        let shown = tls.as_ref().filter(|_| self.rewrite.request_fields.wants_certificate());
        let certificate = shown.and_then(|session| session.client_certificate()).map(told);
        let trusted = client.is_trusted();
        let asked = match trusted {
            true if client.asked_over_tls() => Scheme::Https,
            true => Scheme::Http,
            false => scheme,
        };
        let from = ClientInfo { address: &address, scheme, asked, trusted, certificate };
        let host = &self.rewrite.host;
        let is_clients = *host == HostPolicy::Client && !request.authority.is_empty();
        let server = if is_clients { None } else { self.upstream.server(server) };
        let options = RequestOptions {
            host,
            upstream: server.map_or(b"", |s| s.authority().as_bytes()),
            rules: &self.rewrite.request_fields,
            // HTTP/1.0 has none.
            trailers: request.version == Version::Http11,
            chunked: body == BodyLength::Streamed,
            upgrade: request.upgrade,
        };
        let bytes = request.fields.bytes();
        let mut scratch;
        let target = match path {
            None if request.form == TargetForm::Origin && self.rewrite.path.is_none() => request.target.of(bytes),
            _ => {
                scratch = self.target.borrow_mut();
                let path = path.unwrap_or(request.path_bytes());
                forward::target(request, path, &self.rewrite.path, &mut scratch)
            }
        };
        let line =
            RequestLine { method: request.method_span.of(bytes), target, whole: whole_line(request, bytes, target) };
        let fields_max = forward::request_len_max(request, &options, &from) + if asks { EXPECT_LEN } else { 0 };
        encoder.head_with(out, line, body, fields_max, |fields| {
            let sent = forward::request(request, &options, &from, fields)?;
            if let Some(connection) = sent.connection {
                fields.push(Known::Connection, b"Connection", connection.as_bytes());
            }
            if asks {
                fields.push(Known::Expect, b"Expect", b"100-continue");
            }
            Ok(())
        })
    }

    /// Queues the answer as the client is to have it, whose whole body is at hand. `cookie`: a Set-Cookie of ours.
    #[inline]
    pub(crate) fn answer(
        &self,
        head: &ResponseHead,
        body: &[u8],
        cookie: Option<&str>,
        response: &mut Response<'_>,
    ) -> Result<(), Unfit> {
        let options = self.response_options(response.takes_trailers());
        let fields_max = forward::response_len_max(head, &options) + cookie.map_or(0, cookie_len);
        response.answer_with(head.status, body, fields_max, |fields| {
            forward::response(head, &options, fields)?;
            if let Some(cookie) = cookie {
                set_cookie(fields, cookie);
            }
            Ok(())
        })
    }

    /// Queues the head of the answer as the client is to have it.
    #[inline(never)]
    pub(crate) fn start_answer(
        &self,
        head: &ResponseHead,
        cookie: Option<&str>,
        response: &mut Response<'_>,
    ) -> Result<(), Unfit> {
        let options = self.response_options(response.takes_trailers());
        // A bodiless answer declares the length of the body it would have.
        let length = forward::declared_length(head).map_or(head.body, BodyLength::Known);
        let fields_max = forward::response_len_max(head, &options) + cookie.map_or(0, cookie_len);
        response.start_with(head.status, length, fields_max, |fields| {
            forward::response(head, &options, fields)?;
            if let Some(cookie) = cookie {
                set_cookie(fields, cookie);
            }
            Ok(())
        })
    }

    /// Answers the client with the server's 101. `cookie`: a Set-Cookie of ours.
    #[cold]
    pub(crate) fn switch<'e, 'c>(
        &self,
        head: &ResponseHead,
        cookie: Option<&str>,
        exchange: &'e mut Exchange<'c>,
    ) -> Result<Tunnel<'e, 'c>, Unfit> {
        let options = ResponseOptions { upgrade: true, ..self.response_options(false) };
        let fields_max = forward::response_len_max(head, &options) + cookie.map_or(0, cookie_len);
        exchange.upgrade(fields_max, |fields| {
            forward::response(head, &options, fields)?;
            if let Some(cookie) = cookie {
                set_cookie(fields, cookie);
            }
            Ok(())
        })
    }

    #[inline]
    fn response_options(&self, trailers: bool) -> ResponseOptions<'_> {
        ResponseOptions { rules: &self.rewrite.response_fields, trailers, upgrade: false }
    }
}

/// The whole line of a Set-Cookie.
#[cold]
fn cookie_len(cookie: &str) -> usize {
    SET_COOKIE.len() + ": \r\n".len() + cookie.len()
}

#[cold]
fn set_cookie(fields: &mut HeadWriter<'_>, cookie: &str) {
    fields.push(Known::SetCookie, SET_COOKIE, cookie.as_bytes());
}

const SET_COOKIE: &[u8] = b"Set-Cookie";

/// What a server is told of a client's certificate.
#[cold]
fn told(certificate: &tls::ClientCertificate) -> ClientCertificate<'_> {
    ClientCertificate {
        subject: &certificate.subject,
        issuer: &certificate.issuer,
        serial: &certificate.serial,
        fingerprint: &certificate.fingerprint,
    }
}

/// Passes on an interim answer. What `rules` take out is not in it either; what they set is for the final one.
pub(crate) fn inform(head: &ResponseHead, rules: &FieldRules, response: &mut Response<'_>) -> Result<(), Unfit> {
    let options = ResponseOptions { rules, trailers: false, upgrade: false };
    let fields_max = forward::response_len_max(head, &options);
    let write = |fields: &mut HeadWriter<'_>| forward::response(head, &options, fields).map_err(Unfit::from);
    response.inform(head.status, fields_max, write)
}

/// The trailers of a message as they are passed on, either way: none of a name that `rules` take out of the head or set there, since a
/// recipient may merge the two.
pub(crate) fn passed_trailers(fields: &Fields, rules: &FieldRules) -> Fields {
    let mut passed = FieldsBuilder::new();
    forward::trailers(fields, rules, &mut passed);
    passed.finish()
}

/// The line that asks.
const EXPECT_LEN: usize = "Expect: 100-continue\r\n".len();

/// The request line as it was received, when it has this target and is written as ours are.
#[inline]
fn whole_line<'h>(request: &RequestHead, bytes: &'h [u8], target: &[u8]) -> Option<&'h [u8]> {
    let (method, sent) = (request.method_span.range(), request.target.range());
    // Behind the target stand a space, the version, and the end of the line; the fields follow.
    let end = sent.end + " HTTP/1.1\r\n".len();
    let is_plain = request.version == Version::Http11
        && sent.start == method.end + 1
        && request.fields.lines().first().is_some_and(|line| line.name.range().start == end)
        && std::ptr::eq(target, &bytes[sent]);
    if is_plain { bytes.get(method.start..end) } else { None }
}
