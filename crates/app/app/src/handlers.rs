//! The handlers there are, as a closed set, and the small ones.

use std::path::PathBuf;
use std::rc::Rc;

use config::Piece;
use forward::FieldRules;
use message::{BodyLength, FieldsBuilder, Known, Method, RequestHead, ResponseHead};
use observe::{Failure, Kind};
use reverse_proxy::Proxy;
use serve::{Chunk, Client, Exchange, Handled};
use static_files::{Answer, Files, Moment, Step};

use crate::fields;
use crate::live::{self, Asked, LivePages};
use crate::split::Split;

/// A normalised path.
pub(crate) enum Path<'c> {
    /// As it was sent.
    AsSent(&'c [u8]),
    /// Something else.
    Rewritten(Box<[u8]>),
}

impl Path<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Path::AsSent(path) => path,
            Path::Rewritten(path) => path,
        }
    }

    /// The path, if it is not the one that was sent.
    fn rewritten(self) -> Option<Box<[u8]>> {
        match self {
            Path::AsSent(_) => None,
            Path::Rewritten(path) => Some(path),
        }
    }
}

/// What answers the requests of a route.
pub(crate) enum Handler {
    Proxy(Box<Proxy>),
    Split(Box<Split>),
    Files(Box<Files>),
    Live(Box<Live>),
    Redirect(Redirect),
    Respond(Respond),
}

/// Files whose pages are loaded again when one changes.
pub(crate) struct Live {
    pub(crate) files: Files,
    pub(crate) pages: Rc<LivePages>,
    pub(crate) root: PathBuf,
}

/// A redirect whose target is made of pieces.
pub(crate) struct Redirect {
    pub(crate) to: Vec<Piece>,
    pub(crate) status: u16,
}

/// A canned answer.
pub(crate) struct Respond {
    pub(crate) head: ResponseHead,
    pub(crate) body: Rc<[u8]>,
}

impl Handler {
    /// The methods that it takes, as far as that is known here.
    pub(crate) fn allow(&self) -> &'static str {
        match self {
            Handler::Files(_) | Handler::Live(_) => static_files::ALLOW,
            Handler::Proxy(_) | Handler::Split(_) | Handler::Redirect(_) | Handler::Respond(_) => ALLOW,
        }
    }

    /// Answers the exchange.
    pub(crate) fn handle<'e, 'c>(
        &'e self,
        exchange: &'e mut Exchange<'c>,
        path: Path<'c>,
        rules: &'e FieldRules,
    ) -> Handled<'e> {
        match self {
            Handler::Proxy(proxy) => Handled::waits(|| proxy.handle(exchange, path.rewritten())),
            Handler::Split(split) => match split.pick(exchange.client.ip()) {
                Some(proxy) => Handled::waits(|| proxy.handle(exchange, path.rewritten())),
                None => Handled::Done(Err(Failure::new(Kind::NoServer))),
            },
            Handler::Files(files) => send_file(files, exchange, path, rules),
            Handler::Live(live) => match Asked::of(path.bytes()) {
                None => send_file(&live.files, exchange, path, rules),
                Some(_) if !matches!(exchange.request.method, Method::Get | Method::Head) => {
                    Handled::Done(Err(Failure::method_not_allowed("GET, HEAD")))
                }
                Some(Asked::Script) => Handled::Done(live::send_script(exchange)),
                Some(Asked::Changes) => Handled::waits(|| live::send_changes(&live.pages, &live.root, exchange)),
            },
            Handler::Redirect(redirect) => Handled::Done(redirect.handle(exchange, &path, rules)),
            Handler::Respond(respond) => Handled::Done(respond.handle(exchange, rules)),
        }
    }
}

fn send_file<'e, 'c>(
    files: &'e Files,
    exchange: &'e mut Exchange<'c>,
    path: Path<'c>,
    rules: &'e FieldRules,
) -> Handled<'e> {
    let step = if rules.is_none() {
        match files.send(exchange.request, path.bytes(), Moment::now(), &mut exchange.response) {
            Some(step) => step,
            None => return Handled::Done(Ok(())),
        }
    } else {
        files.begin(exchange.request, path.bytes(), Moment::now())
    };
    match step {
        Step::Ready(Answer::Stream { head, body }) => {
            Handled::waits(|| async move { send_stream(&head, body, exchange, rules).await })
        }
        Step::Ready(answer) => Handled::Done(send(answer, exchange, rules)),
        Step::Blocking(work) => {
            let rewritten = path.rewritten();
            Handled::waits(|| async move {
                let path = rewritten.as_deref().unwrap_or(exchange.request.path_bytes());
                match files.wait(exchange.request, path, *work).await {
                    // Boxed, so that the future of every miss stays small.
                    Answer::Stream { head, body } => Box::pin(send_stream(&head, body, exchange, rules)).await,
                    answer => send(answer, exchange, rules),
                }
            })
        }
    }
}

fn send(answer: Answer, exchange: &mut Exchange<'_>, rules: &FieldRules) -> Result<(), Failure> {
    match answer {
        Answer::Send { head, body } if rules.is_none() => body.send(&head, &mut exchange.response),
        Answer::Send { head, body } => body.send(&fields::apply(rules, &head), &mut exchange.response),
        // It is sent where waiting is possible.
        Answer::Stream { .. } => Err(Failure::new(Kind::Internal)),
        Answer::Refuse(failure) => Err(failure),
    }
}

async fn send_stream(
    head: &ResponseHead,
    body: static_files::Stream,
    exchange: &mut Exchange<'_>,
    rules: &FieldRules,
) -> Result<(), Failure> {
    if rules.is_none() {
        body.send(head, &mut exchange.response).await
    } else {
        body.send(&fields::apply(rules, head), &mut exchange.response).await
    }
}

fn start(exchange: &mut Exchange<'_>, head: &ResponseHead, rules: &FieldRules) {
    if rules.is_none() {
        exchange.response.start(head);
    } else {
        exchange.response.start(&fields::apply(rules, head));
    }
}

impl Redirect {
    fn handle(&self, exchange: &mut Exchange<'_>, path: &Path<'_>, rules: &FieldRules) -> Result<(), Failure> {
        let request = exchange.request;
        let path = path.bytes();
        let host = router::host_of(request.authority_bytes());
        if host.is_empty() && self.to.iter().any(|piece| matches!(piece, Piece::Host | Piece::Authority)) {
            let sentence = "The request names no host, and this redirect needs one.";
            return Err(Failure::because(Kind::BadRequest, sentence));
        }
        let mut parts: Vec<&[u8]> =
            self.to.iter().map(|piece| part(piece, &exchange.client, request, host, path)).collect();
        // A `?` with nothing behind it would make it another URL than without.
        if let ([.., Piece::Text(_), Piece::Query], [.., text, []]) = (&self.to[..], &mut parts[..]) {
            *text = text.strip_suffix(b"?").unwrap_or(text);
        }
        let mut fields = FieldsBuilder::new();
        fields.push_parts(Known::Location, b"Location", &parts);
        let head = ResponseHead::new(self.status, fields.finish(), BodyLength::Known(0));
        start(exchange, &head, rules);
        exchange.response.finish(None)
    }
}

fn part<'a>(
    piece: &'a Piece,
    client: &Client<'_>,
    request: &'a RequestHead,
    host: &'a [u8],
    path: &'a [u8],
) -> &'a [u8] {
    match piece {
        Piece::Text(text) => text.as_bytes(),
        Piece::Host => host,
        Piece::Authority => request.authority_bytes(),
        Piece::Uri => origin_form(request),
        Piece::Path => path,
        Piece::Query => request.query_bytes().unwrap_or_default(),
        Piece::Rest(prefix) => path.get(*prefix..).unwrap_or_default(),
        Piece::Scheme if client.asked_over_tls() => b"https",
        Piece::Scheme => b"http",
    }
}

/// The path and query as they were sent; of an absolute-form target only that part.
fn origin_form(request: &RequestHead) -> &[u8] {
    if request.path.is_empty() {
        return b"/";
    }
    let end = request.query.map_or(request.path.range().end, |q| q.range().end);
    &request.fields.bytes()[request.path.range().start..end]
}

impl Respond {
    pub(crate) fn new(plan: &config::Respond) -> Respond {
        let mut fields = FieldsBuilder::new();
        if !plan.body.is_empty() {
            fields.push_known(Known::ContentType, b"Content-Type", plan.content_type.as_bytes());
        }
        let body = match plan.status {
            204 | 205 | 304 => BodyLength::None,
            _ => BodyLength::Known(plan.body.len() as u64),
        };
        Respond { head: ResponseHead::new(plan.status, fields.finish(), body), body: plan.body.as_bytes().into() }
    }

    fn handle(&self, exchange: &mut Exchange<'_>, rules: &FieldRules) -> Result<(), Failure> {
        start(exchange, &self.head, rules);
        if !self.body.is_empty() {
            exchange.response.push(Chunk::Cached(Rc::clone(&self.body), 0..self.body.len()))?;
        }
        exchange.response.finish(None)
    }
}

/// An empty answer to `OPTIONS *` and its like, with the methods that are known here.
pub(crate) fn options(exchange: &mut Exchange<'_>) -> Result<(), Failure> {
    let mut fields = FieldsBuilder::new();
    fields.push_known(Known::Allow, b"Allow", ALLOW.as_bytes());
    exchange.response.start(&ResponseHead::new(204, fields.finish(), BodyLength::None));
    exchange.response.finish(None)
}

/// The methods that some route may take; CONNECT and TRACE are taken by none.
pub(crate) const ALLOW: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
