//! The admin listener's answers.

use std::rc::Rc;

use message::{BodyLength, FieldsBuilder, Known, Method, ResponseHead};
use net::Peer;
use observe::{Failure, Kind};
use serve::{Chunk, Exchange, Handled, Settings, Site};

use crate::exposition::Exposition;

/// What the site tells.
pub trait Facts: 'static {
    /// Everything that is counted. Called for each scrape; it may take as long as a scrape may.
    fn metrics(&self) -> Exposition;

    /// Why no new clients should be sent here, in a sentence; none: they may come.
    fn not_ready(&self) -> Option<String>;
}

/// Answers requests of operators: `/metrics`, `/healthz`, `/readyz`, and `/`, which says so.
pub struct AdminSite {
    settings: Settings,
    facts: Box<dyn Facts>,
}

const INDEX: &str = "Tollgate's admin listener.\n\n\
    /metrics   what is counted, for Prometheus\n\
    /healthz   200 while the process lives\n\
    /readyz    200 while it takes new clients, 503 once it is stopping\n";

const TEXT: &[u8] = b"text/plain; charset=utf-8";
const PROMETHEUS: &[u8] = b"text/plain; version=0.0.4; charset=utf-8";

impl AdminSite {
    /// A site that tells `facts`.
    pub fn new(facts: Box<dyn Facts>) -> AdminSite {
        // No request here has a body to read.
        AdminSite { settings: Settings { body_bytes: 1 << 10, ..Settings::default() }, facts }
    }

    fn answer(&self, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
        if !matches!(exchange.request.method, Method::Get | Method::Head) {
            return Err(Failure::method_not_allowed("GET, HEAD"));
        }
        match exchange.request.path_bytes() {
            b"/" => send(exchange, 200, TEXT, INDEX),
            b"/metrics" => send(exchange, 200, PROMETHEUS, &self.facts.metrics().render()),
            b"/healthz" => send(exchange, 200, TEXT, "ok\n"),
            b"/readyz" => match self.facts.not_ready() {
                None => send(exchange, 200, TEXT, "ok\n"),
                Some(why) => send(exchange, 503, TEXT, &format!("{why}\n")),
            },
            _ => Err(Failure::because(Kind::NoRoute, "There is /metrics, /healthz and /readyz here.")),
        }
    }
}

fn send(exchange: &mut Exchange<'_>, status: u16, content_type: &[u8], body: &str) -> Result<(), Failure> {
    let mut fields = FieldsBuilder::new();
    fields.push_known(Known::CacheControl, b"Cache-Control", b"no-store");
    fields.push_known(Known::ContentType, b"Content-Type", content_type);
    fields.push(b"X-Content-Type-Options", b"nosniff");
    exchange.response.start(&ResponseHead::new(status, fields.finish(), BodyLength::Known(body.len() as u64)));
    if exchange.response.wants_body() {
        exchange.response.push(Chunk::Cached(Rc::from(body.as_bytes()), 0..body.len()))?;
    }
    exchange.response.finish(None)
}

impl Site for AdminSite {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn handle<'e>(&'e self, exchange: &'e mut Exchange<'_>) -> Handled<'e> {
        Handled::Done(self.answer(exchange))
    }

    // Who asks for the wrong path here sees the answer; the log is for clients' failures.
    fn failed(&self, _: &Failure, _: &Peer) {}
}
