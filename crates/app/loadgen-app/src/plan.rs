//! What a run is to do, decided in full: it can be handed to any number of threads and processes.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use load::parse::RateText;
use load::{Arrivals, Mix, Random, Rate, Schedule};
use load_driver::{Mode, Origin, Pace, Request, Slow, Timeouts, Verify, Work};
use message::Method;
use net::Address;
use serde::{Deserialize, Serialize};
use tls::{ClientOptions, Group, KeyExchange, Roots};

/// A run, ready to be executed by any number of workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) origins: Vec<OriginPlan>,
    pub(crate) connections: u64,
    pub(crate) mode: ModePlan,
    pub(crate) pace: PacePlan,
    pub(crate) pipeline: usize,
    pub(crate) keep_alive: bool,
    pub(crate) sources: Vec<IpAddr>,
    /// `None`: until the count is reached.
    pub(crate) duration: Option<Duration>,
    pub(crate) warm_up: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) drain: Duration,
    pub(crate) verify: VerifyPlan,
    pub(crate) tls: TlsPlan,
    pub(crate) seed: u64,
    /// Workers in all processes.
    pub(crate) workers: usize,
    pub(crate) processes: usize,
}

/// A place to connect to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OriginPlan {
    pub(crate) name: String,
    pub(crate) place: PlacePlan,
    /// For TLS: the name or address to be proved.
    pub(crate) server_name: Option<String>,
    pub(crate) requests: Vec<RequestPlan>,
    /// The sum of its requests' weights.
    pub(crate) weight: u64,
}

/// The addresses of an origin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PlacePlan {
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RequestPlan {
    pub(crate) url: String,
    pub(crate) method: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) head_len: usize,
    pub(crate) weight: u32,
    pub(crate) expected_status: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ModePlan {
    Http,
    Echo(usize),
    Handshake,
    Hold,
    SlowHeader(Duration),
    SlowBody(Duration),
    SlowRead(Duration),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PacePlan {
    Closed(Option<u64>),
    Open(Rates, Arrivals),
}

/// How to make TLS connections.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct TlsPlan {
    /// Whoever answers is believed.
    pub(crate) insecure: bool,
    /// PEM; otherwise the system's roots count.
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) resumption: bool,
    /// The only key exchange group that is offered.
    pub(crate) group: Option<String>,
}

/// The rates of an open loop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Rates {
    Constant(Rate),
    Ramp(Rate, Rate),
    Steps(Vec<Rate>),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum VerifyPlan {
    All,
    Length,
    Status,
    Nothing,
}

impl OriginPlan {
    /// How many TCP addresses it has.
    pub(crate) fn tcp_addresses(&self) -> usize {
        match &self.place {
            PlacePlan::Tcp(addresses) => addresses.len(),
            PlacePlan::Unix(_) => 0,
        }
    }
}

impl From<&RateText> for Rates {
    fn from(text: &RateText) -> Rates {
        match text {
            RateText::Constant(rate) => Rates::Constant(*rate),
            RateText::Ramp(from, to) => Rates::Ramp(*from, *to),
            RateText::Steps(rates) => Rates::Steps(rates.clone()),
        }
    }
}

impl Rates {
    pub(crate) fn text(&self) -> RateText {
        match self {
            Rates::Constant(rate) => RateText::Constant(*rate),
            Rates::Ramp(from, to) => RateText::Ramp(*from, *to),
            Rates::Steps(rates) => RateText::Steps(rates.clone()),
        }
    }
}

/// The part of `whole` that is the `index`th of `of`: parts differ by one at most and add up exactly.
pub(crate) fn share(whole: u64, index: usize, of: usize) -> u64 {
    let (index, of) = (index as u64, of.max(1) as u64);
    whole / of + u64::from(index < whole % of)
}

impl Plan {
    /// The work of worker `index`.
    pub(crate) fn work(&self, index: usize, origins: &[Origin]) -> Work {
        let spread = self.spread();
        let mut random = Random::part(self.seed ^ 0x6d69_7865, index as u64);
        let origins = origins.iter().zip(&self.origins);
        let origins = origins.map(|(origin, plan)| {
            let weights: Vec<u32> = plan.requests.iter().map(|r| r.weight).collect();
            let mix = Mix::new(&weights, Random::new(random.next_u64()));
            Origin { mix: mix.unwrap_or_else(|| origin.mix.clone()), ..origin.clone() }
        });
        Work {
            number: index,
            origins: origins.collect(),
            pace: self.pace(index, &spread),
            connections: spread.of_worker(index),
            mode: self.mode(),
            pipeline: self.pipeline,
            keep_alive: self.keep_alive,
            sources: self.sources.clone(),
            duration: self.duration,
            warm_up: self.warm_up,
            timeouts: Timeouts { connect: self.connect_timeout, answer: self.answer_timeout, drain: self.drain },
            verify: match self.verify {
                VerifyPlan::All => Verify::All,
                VerifyPlan::Length => Verify::Length,
                VerifyPlan::Status => Verify::Status,
                VerifyPlan::Nothing => Verify::Nothing,
            },
            // One for each worker: kept sessions are behind a lock.
            tls: self.client(),
            targets: self.targets(),
            connecting_max: (CONNECTING_MAX / self.workers.max(1)).max(8),
        }
    }

    /// The origins, once for all workers of a process: they share what the first answers were.
    pub(crate) fn origins(&self) -> Vec<Origin> {
        let mut target = 0;
        let mut request = |plan: &RequestPlan| {
            target += 1;
            plan.request(target - 1)
        };
        let one = |plan: &OriginPlan| Origin {
            name: plan.name.clone(),
            addresses: match &plan.place {
                PlacePlan::Tcp(addresses) => addresses.iter().copied().map(Address::Tcp).collect(),
                PlacePlan::Unix(path) => vec![Address::Unix(path.clone())],
            },
            requests: plan.requests.iter().map(&mut request).collect(),
            mix: Mix::new(&[1], Random::new(1)).expect("one target of weight 1"),
            server_name: plan.server_name.as_deref().and_then(|name| tls::server_name(name).ok()),
        };
        self.origins.iter().map(one).collect()
    }

    /// How many URLs are told apart in the report: none where there is one, or more than a reader would want.
    pub(crate) fn targets(&self) -> usize {
        let urls = self.origins.iter().map(|origin| origin.requests.len()).sum();
        if (2..=TARGETS_MAX).contains(&urls) { urls } else { 0 }
    }

    /// Deals the connections out: origins take them by weight, the heaviest debt first, and workers take every so many-th.
    fn spread(&self) -> Spread {
        let total: u64 = self.origins.iter().map(|o| o.weight).sum();
        let mut given = vec![0u64; self.origins.len()];
        let mut origins = Vec::with_capacity(self.connections as usize);
        for number in 0..self.connections {
            let owed = |o: usize| {
                i128::from(number + 1) * i128::from(self.origins[o].weight) - i128::from(given[o]) * i128::from(total)
            };
            // Each origin has one connection before any has a second.
            let poorest =
                (0..given.len()).max_by_key(|o| (given[*o] == 0, owed(*o), std::cmp::Reverse(*o))).unwrap_or(0);
            given[poorest] += 1;
            origins.push(poorest as u16);
        }
        Spread { origins, workers: self.workers }
    }

    /// The connecting side of TLS, if an origin needs one. That it can be made was tried when the plan was.
    fn client(&self) -> Option<tls::ClientConfig> {
        let needed = self.origins.iter().any(|origin| origin.server_name.is_some());
        if needed { self.tls.client().ok() } else { None }
    }

    fn mode(&self) -> Mode {
        match self.mode {
            ModePlan::Http => Mode::Http,
            ModePlan::Echo(bytes) => Mode::Echo(bytes),
            ModePlan::Handshake => Mode::Handshake,
            ModePlan::Hold => Mode::Hold,
            ModePlan::SlowHeader(every) => Mode::Slow(Slow::Header, every),
            ModePlan::SlowBody(every) => Mode::Slow(Slow::Body, every),
            ModePlan::SlowRead(every) => Mode::Slow(Slow::Read, every),
        }
    }

    fn pace(&self, index: usize, spread: &Spread) -> Pace {
        match &self.pace {
            PacePlan::Closed(count) => Pace::Closed(count.map(|n| share(n, index, self.workers))),
            PacePlan::Open(rates, arrivals) => {
                let span = self.duration.map(nanos);
                let plan = rates.text().plan(span).unwrap_or_else(|| load::RatePlan::constant(rates.text().peak()));
                let plan = if self.warm_up.is_zero() { plan } else { plan.after_warm_up(nanos(self.warm_up)) };
                let total: u64 = self.origins.iter().map(|o| o.weight).sum();
                let schedule = |(n, origin): (usize, &OriginPlan)| {
                    let weight = origin.weight as f64 / total.max(1) as f64;
                    let plan = if self.origins.len() == 1 { plan.clone() } else { plan.clone().scaled(weight) };
                    let (place, sharing) = spread.share(n, index);
                    let seed = self.seed.wrapping_add(n as u64 * 0x9e37_79b9);
                    let schedule = Schedule::share(plan, *arrivals, seed, place, sharing);
                    match arrivals {
                        Arrivals::Constant => schedule.shifted(n as f64 / self.origins.len() as f64),
                        Arrivals::Poisson => schedule,
                    }
                };
                Pace::Open(self.origins.iter().enumerate().map(schedule).collect())
            }
        }
    }
}

/// URLs that a report tells apart; each takes a worker 132 KiB.
const TARGETS_MAX: usize = 16;

/// Which origin each connection goes to.
struct Spread {
    /// By connection, of all workers.
    origins: Vec<u16>,
    workers: usize,
}

impl Spread {
    fn of_worker(&self, worker: usize) -> Vec<u16> {
        self.origins.iter().skip(worker).step_by(self.workers).copied().collect()
    }

    /// The plan of an origin is shared by the workers that have a connection to it: which of them `worker` is, and of how
    /// many. A worker without one gets a share that nobody asks for.
    fn share(&self, origin: usize, worker: usize) -> (u32, u32) {
        let mut has = vec![false; self.workers];
        for (number, of) in self.origins.iter().enumerate() {
            has[number % self.workers] |= usize::from(*of) == origin;
        }
        let before = has[..worker].iter().filter(|has| **has).count();
        let all = has.iter().filter(|has| **has).count();
        (before as u32, all.max(1) as u32)
    }
}

/// Connection attempts under way at once, of all workers: about what the queues of listening sockets hold.
const CONNECTING_MAX: usize = 256;

impl TlsPlan {
    /// Makes it; what is wrong in a sentence.
    pub(crate) fn client(&self) -> Result<tls::ClientConfig, tls::ConfigError> {
        let mut options = match &self.roots {
            _ if self.insecure => ClientOptions::insecure_without_verification(),
            Some(pem) => ClientOptions::new(Roots::from_pem(pem)?),
            None => ClientOptions::new(Roots::system()?),
        };
        options.alpn = vec![b"http/1.1".to_vec()];
        options.resumption = self.resumption;
        if let Some(group) = self.group.as_deref().and_then(Group::of_name) {
            options.key_exchange = KeyExchange::Only(group);
        }
        tls::ClientConfig::new(options)
    }
}

impl RequestPlan {
    fn request(&self, target: usize) -> Request {
        Request {
            url: self.url.clone(),
            method: Method::of(self.method.as_bytes()),
            bytes: Arc::from(self.bytes.as_slice()),
            head_len: self.head_len,
            expected: Arc::new(OnceLock::new()),
            expected_status: self.expected_status,
            target,
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
