//! From arguments to a plan.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use load::parse::RateText;
use load::{Arrivals, words};

use crate::arguments::{Load, Sameness};
use crate::plan::{ModePlan, OriginPlan, PacePlan, PlacePlan, Plan, RequestPlan, TlsPlan, VerifyPlan, nanos};
use crate::problem::Problem;
use crate::render::{Shape, made_up_body, render};
use crate::report::counted;
use crate::source;
use crate::url::{Place, Scheme, Url};

/// How long is measured when nothing else is said.
const DURATION: Duration = Duration::from_secs(10);

/// The size of a message in echo mode when nothing else is said.
const BYTES: u64 = 64;

/// The largest body, and message in echo mode, that is sent.
const BODY_MAX: u64 = 64 << 20;

/// How long names may take to be looked up.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(10);

/// URLs that one run may have.
const URLS_MAX: usize = 100_000;

/// What a command makes of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Requests or echo, as the URL says.
    Load,
    Handshake,
    Hold,
    SlowHeader(Duration),
    SlowBody(Duration),
    SlowRead(Duration),
}

/// Makes the plan: reads files, looks up names, raises the descriptor limit.
pub(crate) fn prepare(load: &Load, kind: Kind) -> Result<Plan, Problem> {
    // What needs no look-up first: whoever mistyped need not wait for a name server.
    let sources = load.source.as_deref().map(source::parse).transpose().map_err(Problem::usage)?;
    let targets = targets(load)?;
    let scheme = one_scheme(&targets)?;
    let mode = mode_of(load, kind, scheme)?;
    nothing_ignored(load, kind, mode)?;
    let keep_alive = !load.no_keep_alive;
    let shape = shape(load, !keep_alive && mode == ModePlan::Http, kind)?;
    let origins = origins(load, &targets, &shape)?;
    let connections = load.connections;
    if connections == 0 {
        return Err(Problem::usage("--connections 0: at least one is needed"));
    }
    if (connections as usize) < origins.len() {
        let (n, of) = (words::count(connections), origins.len());
        return Err(Problem::usage(format!("--connections {n}: the URLs name {of} places, and each needs one")));
    }
    if load.requests == Some(0) {
        return Err(Problem::usage("--requests 0: at least one is needed"));
    }
    let duration = load.requests.is_none().then(|| load.duration.unwrap_or(DURATION));
    if duration.is_some_and(|d| d.is_zero()) {
        return Err(Problem::usage("--duration 0: nothing could be measured"));
    }
    let mut plan = Plan {
        sources: sources.unwrap_or_else(|| own_sources(&origins, connections)),
        origins,
        connections,
        mode,
        pace: pace(load, duration)?,
        pipeline: load.pipeline as usize,
        keep_alive,
        duration,
        warm_up: load.warm_up,
        connect_timeout: at_least_a_millisecond(load.connect_timeout, "--connect-timeout")?,
        answer_timeout: at_least_a_millisecond(load.timeout, "--timeout")?,
        drain: load.drain,
        verify: match load.verify {
            Sameness::All => VerifyPlan::All,
            Sameness::Length => VerifyPlan::Length,
            Sameness::Status => VerifyPlan::Status,
            Sameness::Nothing => VerifyPlan::Nothing,
        },
        tls: tls(load, &targets)?,
        seed: load.seed,
        workers: 1,
        processes: 1,
    };
    crate::limits::divide(&mut plan, load)?;
    Ok(plan)
}

fn at_least_a_millisecond(duration: Duration, name: &str) -> Result<Duration, Problem> {
    if duration < Duration::from_millis(1) {
        return Err(Problem::usage(format!("{name}: at least 1ms, since deadlines are kept in milliseconds")));
    }
    Ok(duration)
}

/// The URLs with their weights.
fn targets(load: &Load) -> Result<Vec<(Url, u32)>, Problem> {
    let mut targets = Vec::new();
    if !load.weights.is_empty() && load.weights.len() != load.url.len() {
        let (weights, urls) = (load.weights.len(), load.url.len());
        return Err(Problem::usage(format!(
            "--weights: {} for {}",
            counted(weights as u64, "weight"),
            counted(urls as u64, "URL")
        )));
    }
    for (i, text) in load.url.iter().enumerate() {
        let weight = load.weights.get(i).copied().unwrap_or(1);
        targets.push((Url::parse(text).map_err(Problem::usage)?, weight));
    }
    if let Some(file) = &load.urls {
        let text =
            std::fs::read_to_string(file).map_err(|e| Problem::usage(format!("--urls {}: {e}", file.display())))?;
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let in_line = |why: String| Problem::usage(format!("{}:{}: {why}", file.display(), number + 1));
            let (weight, url) = match line.split_once(char::is_whitespace) {
                Some((weight, url)) => {
                    let weight = weight.parse().map_err(|_| in_line(format!("`{weight}` is no weight")))?;
                    (weight, url.trim())
                }
                None => (1, line),
            };
            targets.push((Url::parse(url).map_err(in_line)?, weight));
        }
    }
    targets.retain(|(_, weight)| *weight > 0);
    match targets.len() {
        0 => Err(Problem::usage("there is no URL with a weight above 0")),
        1..=URLS_MAX => Ok(targets),
        more => Err(Problem::usage(format!("{more} URLs are more than the {URLS_MAX} that one run may have"))),
    }
}

fn one_scheme(targets: &[(Url, u32)]) -> Result<Scheme, Problem> {
    let first = targets[0].0.scheme;
    if targets.iter().any(|(url, _)| url.scheme != first) {
        return Err(Problem::usage("the URLs are of different kinds: tcp:// cannot be mixed with others"));
    }
    Ok(first)
}

fn mode_of(load: &Load, kind: Kind, scheme: Scheme) -> Result<ModePlan, Problem> {
    let lasting = !matches!(kind, Kind::Load | Kind::Handshake);
    if lasting && (load.requests.is_some() || rates(load).is_some()) {
        return Err(Problem::usage(
            "hold and slow-* last for --duration: a number of requests or a rate does not go with them",
        ));
    }
    let of_http = load.method.is_some() || !load.headers.is_empty() || load.expect_status.is_some();
    if scheme == Scheme::Tcp && (of_http || load.body.is_some() || load.body_file.is_some() || load.body_size.is_some())
    {
        return Err(Problem::usage(
            "--method, --header, --body and --expect-status are for http:// URLs; tcp:// has --bytes",
        ));
    }
    Ok(match (kind, scheme) {
        (Kind::Hold, _) => ModePlan::Hold,
        (Kind::Handshake, _) => ModePlan::Handshake,
        (Kind::Load, Scheme::Http) => ModePlan::Http,
        (Kind::Load, Scheme::Tcp) => {
            let bytes = load.bytes.unwrap_or(BYTES);
            if !(1..=BODY_MAX).contains(&bytes) {
                return Err(Problem::usage(format!("--bytes {bytes}: from 1 to {}", words::bytes(BODY_MAX))));
            }
            ModePlan::Echo(bytes as usize)
        }
        (_, Scheme::Tcp) => return Err(Problem::usage("slow peers speak HTTP: give an http:// URL")),
        (Kind::SlowHeader(every), _) => ModePlan::SlowHeader(every),
        (Kind::SlowBody(every), _) => ModePlan::SlowBody(every),
        (Kind::SlowRead(every), _) => ModePlan::SlowRead(every),
    })
}

/// Refuses what would change nothing: whoever gave it expects that it does.
fn nothing_ignored(load: &Load, kind: Kind, mode: ModePlan) -> Result<(), Problem> {
    let (echo, http) = (matches!(mode, ModePlan::Echo(_)), mode == ModePlan::Http);
    let lasting = !echo && !http && mode != ModePlan::Handshake;
    let mute = matches!(mode, ModePlan::Handshake | ModePlan::Hold);
    let body = load.body.is_some() || load.body_file.is_some() || load.body_size.is_some();
    let request = load.method.is_some() || !load.headers.is_empty() || body;
    let slow = match kind {
        Kind::SlowHeader(every) | Kind::SlowBody(every) | Kind::SlowRead(every) => Some(every),
        _ => None,
    };
    let wrong = [
        (slow == Some(Duration::ZERO), "--every 0: a peer that never rests between its steps is not slow"),
        (
            load.bytes.is_some() && !echo,
            "--bytes is the size of a message to a tcp:// URL; here nothing would be of that size",
        ),
        (
            load.pipeline > 1 && load.no_keep_alive,
            "--pipeline does not go with a connection for every request: the second request under way has none",
        ),
        (
            load.pipeline > 1 && !echo && !http,
            "--pipeline is for requests; hold, handshake and slow-* have one at most",
        ),
        (load.no_keep_alive && lasting, "--no-keep-alive: connections that are held or slow carry one request at most"),
        (mute && request, "hold and handshake send no request, so that there is no method, header or body to it"),
        (
            load.expect_status.is_some() && !http,
            "--expect-status is for plain load over HTTP: here no answer is held against it",
        ),
        (
            load.verify != Sameness::All && !http,
            "--verify is for plain load over HTTP; an echo is always compared byte by byte, and the others have no answers",
        ),
        (
            lasting && !load.warm_up.is_zero(),
            "--warm-up: hold and slow-* have nothing to warm up; make --duration longer",
        ),
    ];
    wrong.into_iter().find(|(is_so, _)| *is_so).map_or(Ok(()), |(_, why)| Err(Problem::usage(why)))
}

fn shape(load: &Load, close: bool, kind: Kind) -> Result<Shape, Problem> {
    let body = match (&load.body, &load.body_file, load.body_size) {
        (Some(text), ..) => Some(text.clone().into_bytes()),
        (_, Some(file), _) => {
            Some(std::fs::read(file).map_err(|e| Problem::usage(format!("--body-file {}: {e}", file.display())))?)
        }
        (_, _, Some(size)) if size > BODY_MAX => return Err(too_large()),
        (_, _, Some(size)) => Some(made_up_body(size as usize)),
        // A byte of it at a time: what was announced never comes to its end.
        _ if matches!(kind, Kind::SlowBody(_)) => Some(made_up_body(1 << 20)),
        _ => None,
    };
    if body.as_ref().is_some_and(|body| body.len() as u64 > BODY_MAX) {
        return Err(too_large());
    }
    Ok(Shape { method: load.method.clone(), fields: load.headers.clone(), body, close })
}

fn too_large() -> Problem {
    Problem::usage(format!("the body is larger than the {} that are sent at most", words::bytes(BODY_MAX)))
}

/// How to make TLS connections, tried out if any target needs it.
fn tls(load: &Load, targets: &[(Url, u32)]) -> Result<TlsPlan, Problem> {
    let needed = targets.iter().any(|(url, _)| url.tls);
    if !needed {
        return match load.insecure || load.ca.is_some() || load.no_resumption || load.group.is_some() {
            true => Err(Problem::usage("--insecure, --ca, --no-resumption and --group are for https:// URLs")),
            false => Ok(TlsPlan::default()),
        };
    }
    let read = |file: &std::path::PathBuf| {
        std::fs::read(file).map_err(|e| Problem::usage(format!("--ca {}: {e}", file.display())))
    };
    let roots = load.ca.as_ref().map(read).transpose()?;
    let plan = TlsPlan { insecure: load.insecure, roots, resumption: !load.no_resumption, group: load.group.clone() };
    let whose = load.ca.as_ref().map(|file| format!("--ca {}: ", file.display())).unwrap_or_default();
    plan.client().map_err(|e| Problem::usage(format!("{whose}{e}")))?;
    Ok(plan)
}

/// Groups the URLs by where they go.
fn origins(load: &Load, targets: &[(Url, u32)], shape: &Shape) -> Result<Vec<OriginPlan>, Problem> {
    let mut origins: Vec<OriginPlan> = Vec::new();
    let mut known: BTreeMap<(Place, Option<String>), usize> = BTreeMap::new();
    for (url, weight) in targets {
        let place = match &load.unix {
            Some(path) => Place::Unix(path.clone()),
            None => url.place.clone(),
        };
        let server_name = match &url.place {
            Place::Host(host, _) if url.tls => Some(host.clone()),
            _ => None,
        };
        if let Some(name) = &server_name {
            tls::server_name(name).map_err(|e| Problem::usage(format!("{}: {e}", url.text)))?;
        }
        let key = (place.clone(), server_name.clone());
        let at = match known.get(&key) {
            Some(at) => *at,
            None => {
                origins.push(OriginPlan {
                    name: place.to_string(),
                    place: resolve(&place)?,
                    server_name,
                    requests: Vec::new(),
                    weight: 0,
                });
                known.insert(key, origins.len() - 1);
                origins.len() - 1
            }
        };
        let rendered = render(url, shape).map_err(Problem::usage)?;
        origins[at].weight += u64::from(*weight);
        origins[at].requests.push(RequestPlan {
            url: url.text.clone(),
            method: rendered.method,
            bytes: rendered.bytes,
            head_len: rendered.head_len,
            weight: *weight,
            expected_status: load.expect_status,
        });
    }
    if origins.len() > usize::from(u16::MAX) {
        return Err(Problem::usage("the URLs name more than 65,535 places"));
    }
    Ok(origins)
}

/// Looks a name up, on a thread of its own, since the system's resolver keeps no deadline.
fn resolve(place: &Place) -> Result<PlacePlan, Problem> {
    let (host, port) = match place {
        Place::Unix(path) => return Ok(PlacePlan::Unix(path.clone())),
        Place::Host(host, port) => (host.clone(), *port),
    };
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(PlacePlan::Tcp(vec![SocketAddr::new(ip, port)]));
    }
    let (send, receive) = crossbeam::channel::bounded(1);
    let name = host.clone();
    let lookup = move || {
        let _ = send.send((name.as_str(), port).to_socket_addrs().map(|found| found.collect::<Vec<_>>()));
    };
    let started = std::thread::Builder::new().name("lookup".into()).spawn(lookup);
    let found = match started {
        Ok(_) => receive.recv_timeout(LOOKUP_PATIENCE).map_err(|_| format!("no answer within {LOOKUP_PATIENCE:?}")),
        Err(e) => Err(e.to_string()),
    };
    let addresses =
        found.and_then(|found| found.map_err(|e| e.to_string())).map_err(|why| Problem::lookup(&host, why))?;
    // One family: a name with both would send half of the connections to an address that nobody listens on.
    let v4: Vec<SocketAddr> = addresses.iter().copied().filter(SocketAddr::is_ipv4).collect();
    match if v4.is_empty() { addresses } else { v4 } {
        none if none.is_empty() => Err(Problem::lookup(&host, "it has no address".into())),
        mut some => {
            some.dedup();
            Ok(PlacePlan::Tcp(some))
        }
    }
}

/// Loopback has 16 million addresses of ours: when one has too few ports for the connections, more are used unasked.
fn own_sources(origins: &[OriginPlan], connections: u64) -> Vec<IpAddr> {
    let loopback = origins.iter().all(|origin| {
        matches!(&origin.place, PlacePlan::Tcp(list) if list.iter().all(|a| matches!(a.ip(), IpAddr::V4(ip) if ip.is_loopback())))
    });
    let ports = crate::limits::local_ports() * 3 / 4;
    if !loopback || connections <= ports {
        return Vec::new();
    }
    let needed = connections.div_ceil(ports).min(250) as u8;
    (1..=needed).map(|n| IpAddr::V4(Ipv4Addr::new(127, 0, 0, n))).collect()
}

fn pace(load: &Load, duration: Option<Duration>) -> Result<PacePlan, Problem> {
    let Some(rates) = rates(load) else {
        if load.poisson {
            return Err(Problem::usage(
                "--poisson: says when requests are sent, and needs a --rate, --ramp or --steps",
            ));
        }
        if load.requests.is_some() && !load.warm_up.is_zero() {
            return Err(Problem::usage("--warm-up: does not go with a number of requests; use --duration"));
        }
        return Ok(PacePlan::Closed(load.requests));
    };
    let arrivals = if load.poisson { Arrivals::Poisson } else { Arrivals::Constant };
    if rates.plan(duration.map(nanos)).is_none() {
        return Err(Problem::usage("a ramp needs a --duration"));
    }
    Ok(PacePlan::Open((&rates).into(), arrivals))
}

/// The rate, ramp or steps that was asked for.
pub(crate) fn rates(load: &Load) -> Option<RateText> {
    [&load.rate, &load.ramp, &load.steps].into_iter().flatten().next().cloned()
}

/// A duration in words.
pub(crate) fn time(duration: Duration) -> String {
    words::time(nanos(duration))
}
