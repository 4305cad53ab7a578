//! The handler: tries until an answer is on its way to the client, or none can be had.

use std::cell::RefCell;
use std::rc::Rc;

use balance::{Cause, Decision, FailedTry, GiveUp, ServerId, Tried};
use forward::{
    ClientAddress, ClientInfo, FieldRules, HostPolicy, PathRewrite, RequestOptions, ResponseOptions, Scheme,
};
use http1::Limits;
use message::{BodyLength, Known, ResponseHead, TargetForm};
use observe::{Failure, Kind};
use serve::{Exchange, Response};
use upstream::{Checkout, Upstream};

use crate::failure::{TryFailed, Unfit, Who};
use crate::relay::{Ends, Relay};

/// How requests and answers are rewritten on their way.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// What is taken off the front of the path, and what is put there.
    pub path: PathRewrite,
    /// Which Host the server sees.
    pub host: HostPolicy,
    /// Rules for the request's fields.
    pub request_fields: FieldRules,
    /// Rules for the answer's fields.
    pub response_fields: FieldRules,
}

/// The reverse-proxy handler of one route, on one worker.
pub struct Proxy {
    upstream: Rc<Upstream>,
    rewrite: Rewrite,
    limits: Limits,
    /// Where rewritten targets are put together.
    target: RefCell<Vec<u8>>,
}

/// What is known of a request across its tries.
struct Tries {
    attempt: u32,
    tried: Tried,
    fresh_tried: bool,
}

impl Proxy {
    /// A handler that sends requests to `upstream`. `limits` bound the heads of its answers.
    pub fn new(upstream: Rc<Upstream>, rewrite: Rewrite, limits: Limits) -> Proxy {
        Proxy { upstream, rewrite, limits, target: RefCell::default() }
    }

    /// The upstream.
    pub fn upstream(&self) -> &Rc<Upstream> {
        &self.upstream
    }

    /// Answers one exchange. `rewritten` is the normalised path of its request, where that is not the one that was sent.
    ///
    /// # Errors
    /// Why no answer, or no complete one, came from the upstream; or what became of the client.
    pub async fn handle(&self, exchange: &mut Exchange<'_>, rewritten: Option<Box<[u8]>>) -> Result<(), Failure> {
        let Some(mut server) = self.upstream.pick_first() else { return Err(self.no_server()) };
        let mut tries = Tries { attempt: 1, tried: Tried::default(), fresh_tried: false };
        let mut fresh = false;
        loop {
            let mut known = FailedTry {
                cause: Cause::Connect,
                attempt: tries.attempt,
                idempotent: exchange.request.method.is_idempotent(),
                request_bytes_written: false,
                replayable: true,
                reused: false,
                fresh_tried: tries.fresh_tried,
                answer_bytes_read: false,
                answer_begun: false,
            };
            let idle = if fresh { None } else { self.upstream.reuse(server) };
            let checkout = match idle {
                Some(checkout) => {
                    exchange.client.counters().reused.add(1);
                    Ok(checkout)
                }
                // Its state is large, and most requests find an idle connection.
                None => Box::pin(self.connect(exchange, server)).await,
            };
            let failed = match checkout {
                Ok(checkout) => match self.attempt(exchange, rewritten.as_deref(), checkout, &mut known).await {
                    Ok(()) => return Ok(()),
                    Err(failed) => failed,
                },
                Err(failed) => failed,
            };
            let Some(cause) = failed.cause else { return Err(failed.failure) };
            known.cause = cause;
            known.replayable = exchange.body.is_untouched();
            known.answer_begun = exchange.response.is_started();
            match failed.decided.unwrap_or_else(|| self.upstream.decide(&known)) {
                Decision::FreshConnection => {
                    tries.fresh_tried = true;
                    fresh = true;
                }
                Decision::Retry => {
                    tries.attempt += 1;
                    tries.tried.add(server);
                    fresh = false;
                    match self.upstream.pick_again(&tries.tried) {
                        Some(next) => server = next,
                        None => return Err(self.no_server()),
                    }
                }
                Decision::GiveUp(why) => return Err(told(failed.failure, &tries, why)),
            }
            exchange.client.counters().retries.add(1);
        }
    }

    /// A new connection, unless the client goes away meanwhile.
    async fn connect(&self, exchange: &Exchange<'_>, server: ServerId) -> Result<Checkout, TryFailed> {
        exchange.client.counters().connects.add(1);
        let client = exchange.client;
        let gone = std::future::poll_fn(|cx| client.poll_gone(cx).map(|f| Err(TryFailed::ours(f))));
        let connect = async {
            let connected = self.upstream.connect(server).await;
            connected.map_err(|failure| TryFailed { cause: Some(Cause::Connect), ..TryFailed::ours(failure) })
        };
        event_loop::race(connect, gone).await
    }

    /// One try on one connection. Ends well when the whole answer was queued for the client.
    async fn attempt(
        &self,
        exchange: &mut Exchange<'_>,
        path: Option<&[u8]>,
        checkout: Checkout,
        known: &mut FailedTry,
    ) -> Result<(), TryFailed> {
        known.reused = checkout.is_reused();
        let who = Who { upstream: &self.upstream, server: checkout.server() };
        let timeouts = &self.upstream.options().timeouts;
        let method = exchange.request.method;
        let mut relay = Relay::new(checkout, who, method, self.limits, timeouts.header, timeouts.body);
        self.queue_head(exchange, path, &mut relay)?;
        let Exchange { body, response, client, .. } = exchange;
        let mut ends = Ends { body, response, client: *client };
        let arrived = std::future::poll_fn(|cx| relay.poll_head(cx, &mut ends)).await;
        self.head_arrived(arrived, &relay, &mut ends, known)?;
        std::future::poll_fn(|cx| relay.poll_body(cx, &mut ends)).await?;
        // Only the connection is moved, which is a small part of the relay.
        if relay.ended_cleanly() {
            relay.checkout.give_back();
        }
        Ok(())
    }

    /// Begins the answer to the client, unless there is none, or another try may bring a better one. Not in the future
    /// itself, which would keep room for both heads.
    #[inline(never)]
    fn head_arrived(
        &self,
        arrived: Result<ResponseHead, TryFailed>,
        relay: &Relay<'_>,
        ends: &mut Ends<'_, '_>,
        known: &mut FailedTry,
    ) -> Result<(), TryFailed> {
        let head = arrived.inspect_err(|_| {
            known.request_bytes_written = relay.written > 0;
            known.answer_bytes_read = relay.answer_begun();
        })?;
        let who = relay.who;
        if self.upstream.options().retry.retries_status(head.status) && ends.body.is_untouched() {
            known.request_bytes_written = true;
            known.answer_bytes_read = true;
            known.cause = Cause::Status(head.status);
            // The answer is at hand: it goes to the client unless another try really follows.
            let decision = self.upstream.decide(known);
            if decision == Decision::Retry {
                let sentence = format!("{who} answered with status {}", head.status);
                let failed = TryFailed::of_server(known.cause, Kind::UpstreamClosed, sentence);
                return Err(TryFailed { decided: Some(decision), ..failed });
            }
        }
        self.start_answer(&head, who, ends.response)
    }

    /// Queues the rewritten head of the request.
    // Not inside the future, where it would find all registers taken.
    #[inline(never)]
    fn queue_head(&self, exchange: &Exchange<'_>, path: Option<&[u8]>, relay: &mut Relay<'_>) -> Result<(), TryFailed> {
        let Exchange { request, client, .. } = exchange;
        let address = client.peer().ip().map_or_else(ClientAddress::unknown, ClientAddress::new);
        let from = ClientInfo { address: &address, scheme: Scheme::Http, trusted: false };
        let host = &self.rewrite.host;
        let is_clients = *host == HostPolicy::Client && !request.authority.is_empty();
        let server = self.upstream.server(relay.checkout.server()).filter(|_| !is_clients);
        let options = RequestOptions {
            host,
            upstream: server.map_or(b"", |s| s.authority().as_bytes()),
            rules: &self.rewrite.request_fields,
            trailers: true,
            upgrade: false,
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
        let fields_max = forward::request_len_max(request, &options, &from);
        let (encoder, out) = relay.head_out();
        let queued =
            encoder.head_with(out, request.method_span.of(bytes), target, request.body, fields_max, |fields| {
                let sent = forward::request(request, &options, &from, fields)?;
                if let Some(connection) = sent.connection {
                    fields.push(Known::Connection, b"Connection", connection.as_bytes());
                }
                Ok::<_, Unfit>(())
            });
        queued.map_err(|unfit| unfit.of_client())
    }

    /// Queues the head of the answer as the client gets it.
    fn start_answer(&self, head: &ResponseHead, who: Who<'_>, response: &mut Response<'_>) -> Result<(), TryFailed> {
        let options = ResponseOptions { rules: &self.rewrite.response_fields, trailers: true, upgrade: false };
        // A bodiless answer declares the length of the body it would have.
        let body = forward::declared_length(head).map_or(head.body, BodyLength::Known);
        let fields_max = forward::response_len_max(head, &options);
        let started = response.start_with(head.status, body, fields_max, |fields| {
            forward::response(head, &options, fields).map_err(Unfit::from)
        });
        started.map_err(|unfit| unfit.of_server(who))
    }

    fn no_server(&self) -> Failure {
        let name = &self.upstream.options().name;
        Failure::because(Kind::NoServer, format!("upstream {name} has no server that could take the request"))
    }
}

/// The failure as the client and the log are told it: with the tries that were made.
fn told(failure: Failure, tries: &Tries, why: GiveUp) -> Failure {
    let attempts = tries.attempt;
    match why {
        _ if attempts == 1 => failure,
        GiveUp::AnswerBegun => failure,
        _ => Failure { sentence: format!("{}; {attempts} attempts", failure.sentence).into(), ..failure },
    }
}
