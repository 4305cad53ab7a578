//! The handler: tries until an answer is on its way to the client, or none can be had.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use balance::{Cause, Decision, FailedTry, GiveUp, ServerId, Tried};
use buf::Class;
use client_address::proxy_protocol::{self, Ends, Version};
use event_loop::Footprint;
use forward::{FieldRules, HostPolicy, PathRewrite};
use http1::Limits;
use message::BodyLength;
use observe::{Failure, Kind, Side};
use serve::Exchange;
use upstream::{Checkout, Lease, Upstream};

use crate::buffered::Buffered;
use crate::choice;
use crate::failure::{Seen, TryFailed, Who};
use crate::relay::Relay;
use crate::tunnel;

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
    pub(crate) upstream: Rc<Upstream>,
    pub(crate) rewrite: Rewrite,
    pub(crate) limits: Limits,
    /// What answers are read into.
    pub(crate) input_class: Class,
    /// Whether a body is read whole before a server is asked.
    buffers: bool,
    /// How long an exchange may take, for sentences.
    limit: Option<Duration>,
    /// Where rewritten targets are put together.
    pub(crate) target: RefCell<Vec<u8>>,
}

/// What is known of a request across its tries.
pub(crate) struct Tries<'p> {
    /// Whom the present try goes to.
    server: ServerId,
    attempt: u32,
    /// The present try is not to use an idle connection.
    fresh: bool,
    /// A dead idle connection was replaced by a fresh one.
    fresh_tried: bool,
    tried: Tried,
    /// The body, when it was read before.
    pub(crate) buffered: Option<Box<Buffered>>,
    /// Of an upstream that counts its requests.
    lease: Option<Lease<'p>>,
}

impl<'p> Tries<'p> {
    /// Whether the request can be sent once more.
    pub(crate) fn is_replayable(&self, exchange: &Exchange<'_>) -> bool {
        exchange.body.is_untouched() || self.buffered.is_some()
    }

    /// The head of an answer came. Gives the Set-Cookie that the client's has to carry besides.
    #[inline]
    pub(crate) fn answered(&self, status: u16, exchange: &Exchange<'_>) -> Option<&'p str> {
        let lease = self.lease.as_ref()?;
        leased_answered(lease, status, exchange)
    }

    /// The present try, in the words of the retry machine, when it failed for `cause`.
    #[cold]
    pub(crate) fn failed(&self, cause: Cause, seen: Seen, exchange: &Exchange<'_>) -> FailedTry {
        FailedTry {
            cause,
            attempt: self.attempt,
            idempotent: exchange.request.method.is_idempotent(),
            request_bytes_written: seen.request_bytes_written,
            replayable: self.is_replayable(exchange),
            reused: seen.reused,
            fresh_tried: self.fresh_tried,
            answer_bytes_read: seen.answer_bytes_read,
            answer_begun: exchange.response.is_started(),
        }
    }
}

impl Proxy {
    /// A handler that sends requests to `upstream`. `limits` bound the heads of its answers.
    pub fn new(upstream: Rc<Upstream>, rewrite: Rewrite, limits: Limits) -> Proxy {
        let input_class = Class::for_bytes(limits.header_bytes);
        Proxy { upstream, rewrite, limits, input_class, buffers: false, limit: None, target: RefCell::default() }
    }

    /// The same, which reads a request's body whole before it asks a server (`buffers`).
    #[must_use]
    pub fn buffering(self, buffers: bool) -> Proxy {
        Proxy { buffers, ..self }
    }

    /// The same, whose exchanges may take so long altogether. Whoever calls it keeps that time ([`serve::Client::limit_exchange`]); here it is told.
    #[must_use]
    pub fn limited(self, limit: Option<Duration>) -> Proxy {
        Proxy { limit, ..self }
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
        let mut buffered = None;
        if self.buffers && !exchange.body.is_done() {
            let read = Box::pin(Buffered::read(exchange, &self.rewrite.request_fields)).await;
            buffered = Some(Box::new(
                read.map_err(|failure| self.unasked(failure, "was not asked: the body was not complete"))?,
            ));
        }
        let lease = match self.upstream.is_plain() {
            true => None,
            false => match self.lease_first(exchange) {
                None => Some(self.lease_in_turn(exchange).await?),
                at_once => at_once,
            },
        };
        let server = match &lease {
            None => self.upstream.pick_first().ok_or_else(|| self.upstream.no_server())?,
            Some(lease) => lease.server(),
        };
        let mut tries =
            Tries { server, attempt: 1, fresh: false, fresh_tried: false, tried: Tried::none(), buffered, lease };
        loop {
            let idle = if tries.fresh { None } else { self.reuse(tries.server, exchange) };
            let checkout = match idle {
                Some(checkout) => {
                    exchange.client.counters().reused.add(1);
                    checkout
                }
                // Its state is large, and most requests find an idle connection.
                None => match Box::pin(self.connect(exchange, &tries)).await {
                    Ok(checkout) => checkout,
                    Err(failed) => {
                        self.after(*failed, &mut tries, exchange)?;
                        continue;
                    }
                },
            };
            let mut relay = Relay::new(self, checkout, exchange.request.method);
            let mut relayed = relay.queue_head(exchange, rewritten.as_deref(), tries.buffered.as_deref());
            if relayed.is_ok() {
                relayed = std::future::poll_fn(|cx| relay.poll(cx, exchange, &tries)).await;
            }
            let Err(mut failed) = relayed else {
                // Only the connection is moved, which is a small part of the relay.
                if relay.ended_cleanly() {
                    relay.checkout.give_back();
                } else if relay.switched.is_some() {
                    return Box::pin(tunnel::run(self, &mut relay, exchange)).await;
                } else {
                    relay.tell_excess();
                }
                return Ok(());
            };
            failed.seen = relay.seen();
            self.after(*failed, &mut tries, exchange)?;
        }
    }

    /// An idle connection: one that speaks for this client, where servers are told whom connections speak for.
    #[inline(always)]
    fn reuse(&self, server: ServerId, exchange: &Exchange<'_>) -> Option<Checkout<'_>> {
        match self.upstream.options().proxy_protocol {
            None => self.upstream.reuse(server),
            Some(version) => self.upstream.reuse_for(server, &header(version, exchange)),
        }
    }

    /// What follows a failed try: makes ready for the next one, or says why there is none.
    #[cold]
    #[inline(never)]
    fn after<'p>(&'p self, failed: TryFailed, tries: &mut Tries<'p>, exchange: &Exchange<'_>) -> Result<(), Failure> {
        let TryFailed { cause, mut failure, decided, seen } = failed;
        if exchange.response.is_started() && failure.kind.side() == Side::Upstream {
            failure = broken_off(failure);
        }
        let decision =
            cause.map(|cause| decided.unwrap_or_else(|| self.upstream.decide(&tries.failed(cause, seen, exchange))));
        // An idle connection that the server had given up says nothing about it, nor does a status that clients can bring about.
        let is_its_fault = failure.kind.side() == Side::Upstream
            && decision != Some(Decision::FreshConnection)
            && !matches!(cause, Some(Cause::Status(..500)));
        if let Some(lease) = tries.lease.as_ref().filter(|_| is_its_fault) {
            lease.failed();
        }
        let Some(decision) = decision else { return Err(self.out_of_time(failure, seen, tries, exchange)) };
        match decision {
            Decision::FreshConnection => {
                tries.fresh_tried = true;
                tries.fresh = true;
            }
            Decision::Retry => {
                tries.attempt += 1;
                tries.tried.add(tries.server);
                tries.fresh = false;
                let next = match tries.lease.take() {
                    None => self.upstream.pick_again(&tries.tried),
                    Some(before) => {
                        // Ended first: what it failed with counts for the next choice.
                        drop(before);
                        let wanted = choice::wanted(&self.upstream, exchange);
                        tries.lease = self.upstream.lease_now(&tries.tried, wanted);
                        tries.lease.as_ref().map(Lease::server)
                    }
                };
                let Some(next) = next else { return Err(failure) };
                let level = failure.kind.level();
                match cause {
                    // It is told when it is passed over.
                    Some(Cause::Connect) => {}
                    // An answer has no verdict.
                    Some(Cause::Status(_)) => self.upstream.tell_retried(tries.server, level, &failure.sentence),
                    _ => self.upstream.tell_retried(tries.server, level, failure.verdict()),
                }
                tries.server = next;
            }
            Decision::GiveUp(why) => return Err(told(failure, tries, why)),
        }
        exchange.client.counters().retries.add(1);
        Ok(())
    }

    /// A failure of ours or the client's; with the server and how far things were, when the time of the exchange was over.
    fn out_of_time(&self, failure: Failure, seen: Seen, tries: &Tries<'_>, exchange: &Exchange<'_>) -> Failure {
        if failure.kind != Kind::ExchangeTimeout {
            return failure;
        }
        let how_far = match () {
            () if exchange.response.is_started() => "had not sent all of its answer, or the client not read it,",
            () if !seen.request_bytes_written => "was not connected to",
            () if exchange.body.is_done() => "had the request but had not answered it",
            () => "had not all of the request from the client",
        };
        let who = Who { upstream: &self.upstream, server: tries.server };
        let limit = self.limit_text();
        told(who.failed(failure.kind, format_args!("{how_far} when {limit} was over")), tries, GiveUp::NotListed)
    }

    /// The same before a server was asked.
    #[cold]
    fn unasked(&self, failure: Failure, how_far: &str) -> Failure {
        if failure.kind != Kind::ExchangeTimeout {
            return failure;
        }
        let (name, limit) = (&self.upstream.options().name, self.limit_text());
        Failure::because(failure.kind, format!("upstream {name} {how_far} when {limit} was over"))
    }

    fn limit_text(&self) -> String {
        self.limit.map_or_else(|| "the route's timeout".into(), |limit| format!("the route's timeout of {limit:?}"))
    }

    /// A connection that another worker can spare, or a new one, unless the client goes away meanwhile.
    async fn connect(&self, exchange: &Exchange<'_>, tries: &Tries<'_>) -> Result<Checkout<'_>, Box<TryFailed>> {
        let (client, server) = (exchange.client, tries.server);
        let gone = std::future::poll_fn(|cx| client.poll_gone(cx).map(|f| Err(TryFailed::ours(f))));
        let connect = async {
            if !tries.fresh
                && let Some(checkout) = self.upstream.take_over(server).await
            {
                client.counters().reused.add(1);
                client.counters().handed_over.add(1);
                return Ok(checkout);
            }
            client.counters().connects.add(1);
            let header = self.upstream.options().proxy_protocol.map(|version| header(version, exchange));
            let connected = self.upstream.connect_for(server, header).await;
            connected.map_err(|failure| TryFailed::with_cause(Cause::Connect, failure))
        };
        event_loop::race(connect, gone).await
    }

    /// A server that counts its requests, if there is one with room.
    // Not inside the future, which most upstreams go through without it.
    #[inline(never)]
    fn lease_first(&self, exchange: &Exchange<'_>) -> Option<Lease<'_>> {
        self.upstream.lease_first(choice::wanted(&self.upstream, exchange))
    }

    /// A server that counts its requests, after a wait, unless the client goes away meanwhile. Thousands may wait: the time of each is
    /// its client's, and takes no timer of its own.
    async fn lease_in_turn(&self, exchange: &Exchange<'_>) -> Result<Lease<'_>, Failure> {
        let client = exchange.client;
        let footprint = Footprint::of(exchange.request.fields.places());
        let place = self.upstream.queue_up(choice::wanted(&self.upstream, exchange), footprint)?;
        client.limit_wait(self.upstream.options().balancing.queue_timeout);
        let come = std::future::poll_fn(|cx| match place.poll_lease(cx) {
            Poll::Ready(lease) => Poll::Ready(Ok(lease)),
            Poll::Pending => client.poll_gone(cx).map(Err),
        });
        let come = come.await;
        client.end_wait();
        come.map_err(|failure| match failure.kind {
            Kind::NoServer => self.upstream.waited_in_vain(),
            _ => self.unasked(failure, "had no server below its max_connections"),
        })
    }
}

#[inline(never)]
fn leased_answered<'p>(lease: &Lease<'p>, status: u16, exchange: &Exchange<'_>) -> Option<&'p str> {
    lease.answered(status, exchange.request.body == BodyLength::None);
    lease.cookie(exchange.client.asked_over_tls())
}

/// The PROXY header that tells of this exchange's client.
#[cold]
fn header(version: Version, exchange: &Exchange<'_>) -> Box<[u8]> {
    let ends = exchange.client.ends().map(|(source, destination)| Ends { source, destination });
    proxy_protocol::write(version, ends)
}

/// The failure as the client and the log are told it: with the tries that were made, and why there was no other where nothing else tells.
#[cold]
fn told(failure: Failure, tries: &Tries<'_>, why: GiveUp) -> Failure {
    let attempts = tries.attempt;
    let mut sentence = failure.sentence.into_owned();
    if attempts > 1 && why != GiveUp::AnswerBegun {
        sentence += &format!("; {attempts} attempts");
    }
    if why == GiveUp::BudgetSpent {
        sentence += &format!("; not tried again: {}", why.reason());
    }
    Failure { sentence: sentence.into(), ..failure }
}

/// A server's failure in the middle of its answer: what the client was answered with is not the status of such a failure.
#[cold]
fn broken_off(failure: Failure) -> Failure {
    Failure { sentence: format!("{}; the answer to the client was broken off", failure.sentence).into(), ..failure }
}
