//! An upstream: its servers, whom to ask, the retry budget.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use balance::{Balancer, Decision, Ejector, FailedTry, RetryBudget, RetryPolicy, ServerId, ServerSetup, Tried};
use client_address::proxy_protocol::Version;
use event_loop::{now, sleep, spawn};
use observe::{Failure, Kind, Level};

use crate::checker;
use crate::checkout::Checkout;
use crate::hand_over::{HandOverOptions, Neighbours};
use crate::health::HealthOptions;
use crate::heir::Heir;
use crate::lease::{self, Balancing};
use crate::news::{News, Say, Topic};
use crate::pool::{Connection, Keep};
use crate::queue::Queue;
use crate::server::{Server, Target};
use crate::sticky::Sticky;
use crate::tls::Tls;

/// So many servers that are down are named in a sentence.
const TOLD: usize = 3;

/// How often idle connections are looked through.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// What the log says of a server that cannot be reached, whether its name or a connection is what fails.
pub(crate) const PASSED_OVER: &str = "passed over until it can be connected to";

/// One server, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerOptions {
    /// Where it is.
    pub target: Target,
    /// What TLS is spoken with; none: plain.
    pub tls: Option<Tls>,
    /// Its share of the requests; 0: it gets none.
    pub weight: u32,
    /// Whether it is used only when no other is left.
    pub backup: bool,
    /// Requests under way on this worker at a time; 0: any number.
    pub max_active: u32,
}

/// The waits on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to come about.
    pub connect: Duration,
    /// From the request sent to the answer's head.
    pub header: Duration,
    /// The longest silence inside the answer, or of a server that does not read the request; and of a tunnel of which one side
    /// has ended.
    pub body: Duration,
    /// The longest silence of a tunnel.
    pub tunnel: Duration,
}

/// Which connections are kept; per worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Idle connections per server.
    pub idle: usize,
    /// How long one may be idle.
    pub idle_timeout: Duration,
    /// Exchanges on one connection.
    pub max_requests: u32,
    /// How old one may become.
    pub max_age: Duration,
}

/// An upstream, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Its name, for sentences.
    pub name: String,
    /// Its servers.
    pub servers: Vec<ServerOptions>,
    /// The waits.
    pub timeouts: Timeouts,
    /// Which connections are kept.
    pub keep_alive: KeepAlive,
    /// When a failed try is made again.
    pub retry: RetryPolicy,
    /// Retries a second that the budget always allows on this worker.
    pub retries_per_second_min: u32,
    /// The PROXY header that connections begin with; they then carry exchanges of one client only.
    pub proxy_protocol: Option<Version>,
    /// How often names are looked up again.
    pub resolve: Duration,
    /// How servers are chosen.
    pub balancing: Balancing,
    /// How they are checked; none: not at all.
    pub health: Option<HealthOptions>,
    /// How its connections are handed over between workers; none: each keeps its own.
    pub hand_over: Option<HandOverOptions>,
}

/// An upstream on one worker.
pub struct Upstream {
    options: Options,
    pub(crate) kept: Keep,
    servers: Vec<Server>,
    pub(crate) balancer: RefCell<Balancer>,
    pub(crate) ejector: Option<RefCell<Ejector>>,
    pub(crate) queue: Queue,
    pub(crate) sticky: Option<Sticky>,
    pub(crate) neighbours: Option<Neighbours>,
    /// Who goes on in its place since a reload.
    pub(crate) heir: Rc<OnceCell<Heir>>,
    /// In whose place it goes on, the oldest first.
    pub(crate) before: RefCell<Vec<Weak<Upstream>>>,
    /// Requests need no lease.
    is_plain: bool,
    /// The changes of the checks that the balancer has heard of.
    health_seen: Cell<u32>,
    say: Say,
    budget: RefCell<RetryBudget>,
    retired: Cell<bool>,
    connect_text: String,
}

impl Upstream {
    /// Begins to use an upstream: its names are looked up, its idle connections looked after, until it is dropped. `worker` is
    /// this worker's number, so that not all begin with the same server.
    pub fn start(options: Options, worker: u16) -> Rc<Upstream> {
        Upstream::start_telling(options, worker, Rc::new(|_| {}))
    }

    /// The same; `say` is told what happens to servers.
    pub fn start_telling(options: Options, worker: u16, say: Say) -> Rc<Upstream> {
        // A connection that began with a PROXY header speaks for one client, and stays where it is.
        let hand_over = options.hand_over.as_ref().filter(|_| options.proxy_protocol.is_none());
        let neighbours = hand_over.and_then(|hand_over| Neighbours::of(hand_over, options.servers.len()));
        let server = |(place, server): (usize, &ServerOptions)| {
            let sign = neighbours.as_ref().map(|neighbours| neighbours.sign(place));
            Server::new(server.target.clone(), server.tls.clone(), sign)
        };
        let servers: Vec<Server> = options.servers.iter().enumerate().map(server).collect();
        // One that is listed twice has places of its own for each time: it gets the share of two.
        let mut listed = HashMap::new();
        let setup = |(s, server): (&ServerOptions, &Server)| {
            let times: &mut u64 = listed.entry(server.text().to_owned()).or_default();
            *times += 1;
            ServerSetup {
                weight: s.weight,
                backup: s.backup,
                max_active: s.max_active,
                identity: balance::hash_of(server.text().as_bytes()).wrapping_add(*times - 1),
            }
        };
        let setups: Vec<ServerSetup> = options.servers.iter().zip(&servers).map(setup).collect();
        let balancing = &options.balancing;
        let upstream = Rc::new(Upstream {
            balancer: RefCell::new(Balancer::with(&setups, balancing.policy, balancing.slow_start, worker)),
            ejector: lease::ejector(balancing, servers.len()),
            queue: Queue::default(),
            sticky: balancing.sticky.as_ref().map(|sticky| Sticky::new(sticky, &options.name, &servers)),
            neighbours,
            heir: Rc::default(),
            before: RefCell::default(),
            health_seen: Cell::new(0),
            say,
            is_plain: !balancing.counts() && options.servers.iter().all(|s| s.max_active == 0),
            servers,
            budget: RefCell::new(RetryBudget::new(options.retry.budget, options.retries_per_second_min, now())),
            retired: Cell::new(false),
            connect_text: format!("{:?}", options.timeouts.connect),
            kept: Keep::from(&options.keep_alive),
            options,
        });
        if let Some(neighbours) = &upstream.neighbours {
            neighbours.introduce(&upstream);
        }
        upstream.follow_health();
        if let Some(health) = upstream.options.health.as_ref().filter(|health| health.here) {
            checker::start(&upstream, &health.shared);
        }
        spawn(look_after(Rc::downgrade(&upstream)));
        let named = upstream.servers.iter().any(|s| matches!(s.target(), Target::Name { .. }));
        if named {
            // All workers find the same, so one of them tells.
            spawn(keep_names(Rc::downgrade(&upstream), worker == 0));
        }
        upstream
    }

    /// As configured.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The server of that number.
    pub fn server(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(id.index())
    }

    /// All servers.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Counts a new request for the retry budget and picks its first server.
    pub fn pick_first(&self) -> Option<ServerId> {
        let now = now();
        self.budget.borrow_mut().request(now);
        self.follow_health();
        self.balancer.borrow_mut().pick(now, const { &Tried::none() })
    }

    /// Whether [`Upstream::pick_first`] and [`Upstream::pick_again`] do; otherwise each try needs a lease.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Has the balancer go by the latest of the checks. Where there are none, a test of that.
    #[inline]
    pub(crate) fn follow_health(&self) {
        if let Some(health) = &self.options.health {
            let generation = health.shared.generation();
            if generation != self.health_seen.get() {
                self.follow(health, generation);
            }
        }
    }

    #[cold]
    fn follow(&self, health: &HealthOptions, generation: u32) {
        self.health_seen.set(generation);
        for (number, server) in (0..).zip(&self.servers) {
            let id = ServerId(number);
            let is_up = health.shared.is_up(id);
            self.balancer.borrow_mut().set_available(id, is_up, now());
            if !is_up {
                server.pool.clear();
            }
        }
        self.serve_queue();
    }

    pub(crate) fn tell(&self, news: News<'_>) {
        (self.say)(news);
    }

    /// Why no server can take a request.
    #[cold]
    pub fn no_server(&self) -> Failure {
        let name = &self.options.name;
        let health = self.options.health.as_ref().map(|health| &health.shared);
        let count = self.servers.len();
        let is_down = |number: &u32| health.is_some_and(|health| !health.is_up(ServerId(*number)));
        if count == 0 || !(0..count as u32).all(|number| is_down(&number)) {
            let sentence = format!("upstream {name} has no server that could take the request");
            return Failure::because(Kind::NoServer, sentence).with_retry_after(self.next_chance());
        }
        let down = |(number, server): (u32, &Server)| {
            let why = health.and_then(|health| health.why_down(ServerId(number)));
            why.map_or_else(|| server.text().to_owned(), |why| format!("{}: {why}", server.text()))
        };
        let down: Vec<String> = (0..).zip(&self.servers).take(TOLD).map(down).collect();
        let more = count.saturating_sub(TOLD);
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        let sentence = format!("upstream {name} has no server that is up: {}{more}", down.join("; "));
        Failure::because(Kind::NoServer, sentence).with_retry_after(self.next_chance())
    }

    /// How long it is until a server may be there again: one that was passed over has its turn, an ejected one is back, or the next
    /// checks have been made. Nothing while one can be asked.
    fn next_chance(&self) -> Duration {
        let balancer = self.balancer.borrow();
        let turn = balancer.next_turn(now());
        if turn.is_none() && balancer.available() > 0 {
            return Duration::ZERO;
        }
        let ejector = self.ejector.as_ref().map(|ejector| ejector.borrow());
        let back = ejector.and_then(|ejector| ejector.next_release(now()));
        let is_down = |number| self.options.health.as_ref().is_some_and(|h| !h.shared.is_up(ServerId(number)));
        let checked = (0..self.servers.len() as u32).any(is_down);
        let checked = self.options.health.as_ref().filter(|_| checked).map(|h| h.shared.policy().interval);
        [turn, back, checked].into_iter().flatten().min().unwrap_or_default()
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    pub(crate) fn count_request(&self) {
        self.budget.borrow_mut().request(now());
    }

    pub(crate) fn is_full(&self) -> bool {
        self.balancer.borrow().is_full() || self.is_full_further_on()
    }

    /// Picks the server for another try.
    pub fn pick_again(&self, tried: &Tried) -> Option<ServerId> {
        self.follow_health();
        self.balancer.borrow_mut().pick(now(), tried)
    }

    /// What follows a failed try; a retry is taken from the budget.
    pub fn decide(&self, failed: &FailedTry) -> Decision {
        self.options.retry.decide(failed, &mut self.budget.borrow_mut(), now())
    }

    /// An idle connection to that server, if there is one.
    pub fn reuse(&self, server: ServerId) -> Option<Checkout<'_>> {
        let idle = self.server(server)?.reuse(now(), &self.kept);
        let connection = idle.or_else(|| self.idle_further_on(server))?;
        Some(Checkout::new(self, server, connection))
    }

    /// An idle connection that began with this PROXY header, if there is one: it speaks for that client, and no other.
    #[cold]
    pub fn reuse_for(&self, server: ServerId, header: &[u8]) -> Option<Checkout<'_>> {
        let connection = self.server(server)?.pool.take_for(now(), &self.kept, header)?;
        Some(Checkout::new(self, server, connection))
    }

    /// A new connection to that server.
    ///
    /// # Errors
    /// The reason in a sentence, after the connect timeout at the latest. The balancer has been told.
    pub async fn connect(&self, server: ServerId) -> Result<Checkout<'_>, Failure> {
        self.connect_for(server, None).await
    }

    /// The same for a connection that begins with a PROXY header.
    ///
    /// # Errors
    /// As [`Upstream::connect`].
    pub async fn connect_for(&self, server: ServerId, header: Option<Box<[u8]>>) -> Result<Checkout<'_>, Failure> {
        let Some(state) = self.server(server) else { return Err(Failure::new(observe::Kind::NoServer)) };
        let by = now().after(self.options.timeouts.connect);
        match state.connect(&self.options.name, by, &self.connect_text, header).await {
            Ok(connection) => {
                if self.kept.outlasts_a_probe() {
                    connection.stream.probe_peer();
                }
                let has_failed = self.balancer.borrow().has_failed(server);
                self.balancer.borrow_mut().succeeded(server, now());
                if has_failed {
                    let (name, text) = (&self.options.name, state.text());
                    let sentence = format_args!("upstream {name} {text} can be connected to again");
                    self.say(Topic::Connecting, state, Level::Info, sentence);
                }
                // It may be back, with room for those who wait.
                self.serve_queue();
                Ok(Checkout::new(self, server, connection))
            }
            Err(failure) => {
                let has_failed = self.balancer.borrow().has_failed(server);
                self.balancer.borrow_mut().connect_failed(server, now());
                // Of a name that is unknown it is told when it is looked up.
                let is_news = failure.kind != Kind::NameUnknown && !has_failed;
                if is_news && self.balancer.borrow().has_failed(server) {
                    let why = &failure.sentence;
                    let sentence = format_args!("{why}; {PASSED_OVER}");
                    self.say(Topic::Connecting, state, Level::Warn, sentence);
                }
                Err(failure.with_retry_after(self.next_chance()))
            }
        }
    }

    pub(crate) fn keep(&self, server: ServerId, connection: Box<Connection>) {
        if self.retired.get() {
            self.pass_on(server, connection);
        } else if let Some(server) = self.servers.get(server.index()) {
            server.keep(connection, &self.kept);
        }
    }

    /// No exchange will begin any more: idle connections are closed, and those that come back too, unless their servers stay with
    /// who goes on in its place.
    pub fn retire(&self) {
        self.retired.set(true);
        self.servers.iter().for_each(|s| s.pool.clear());
    }
}

async fn look_after(upstream: Weak<Upstream>) {
    loop {
        sleep(PRUNE_EVERY).await;
        let Some(upstream) = upstream.upgrade() else { return };
        if upstream.retired.get() {
            return;
        }
        upstream.follow_health();
        upstream.release_ejected();
        upstream.serve_queue();
        upstream.servers.iter().for_each(|s| s.pool.prune(now(), &upstream.kept));
        for (number, server) in (0..).zip(&upstream.servers) {
            upstream.tell_of_addresses(server);
            if server.pool.take_unasked() {
                let sentence = "sent more behind the end of its answer, or an answer that nobody had asked for; its connection was closed";
                upstream.tell_excess(ServerId(number), format_args!("{sentence}"));
            }
        }
    }
}

async fn keep_names(upstream: Weak<Upstream>, tells: bool) {
    let mut unknown = Vec::new();
    loop {
        let Some(strong) = upstream.upgrade() else { return };
        if strong.retired.get() {
            return;
        }
        unknown.resize(strong.servers.len(), false);
        for (server, was_unknown) in strong.servers.iter().zip(&mut unknown) {
            server.refresh().await;
            if tells {
                strong.tell_of_name(server, was_unknown);
            }
        }
        let every = strong.options.resolve;
        drop(strong);
        sleep(every).await;
    }
}
