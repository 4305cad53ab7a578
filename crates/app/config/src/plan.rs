//! The validated configuration: plain data that the workers are built from.

use std::path::PathBuf;
use std::time::Duration;

use balance::{EjectionPolicy, RetryPolicy};
use client_address::{Network, proxy_protocol};
use router::Rule;

use crate::address::{Address, ListenAddress};

/// Everything a process needs to know to serve. Every default is filled in; every reference points to something.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Threads, connections and the end of the process.
    pub runtime: Runtime,
    /// How much a client may send.
    pub limits: Limits,
    /// How long a client may take.
    pub timeouts: Timeouts,
    /// `[admin] listen`; none: there is no such listener.
    pub admin: Option<ListenAddress>,
    /// `[log.access]`; none: no line is written.
    pub access_log: Option<AccessLog>,
    /// Where to listen; at least one.
    pub listeners: Vec<Listener>,
    /// The routes in the order they are tried; the place of one is its [`router::RouteId`].
    pub routes: Vec<Route>,
    /// What is proxied to; the place of one is its [`UpstreamId`].
    pub upstreams: Vec<Upstream>,
}

/// A size that stands for "no limit".
pub const UNLIMITED: u64 = u64::MAX;

/// A number, or whatever suits the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// To be worked out by the process that runs the plan.
    Auto,
    /// This many, at least 1.
    Fixed(usize),
}

impl Count {
    /// The number, or what `auto` works out.
    pub fn or_else(self, auto: impl FnOnce() -> usize) -> usize {
        match self {
            Count::Auto => auto(),
            Count::Fixed(n) => n,
        }
    }
}

/// `[runtime]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Runtime {
    /// Worker threads.
    pub workers: Count,
    /// Whether each worker thread is pinned to a CPU.
    pub pin: bool,
    /// Client connections at a time, over all workers.
    pub max_connections: Count,
    /// How long exchanges under way may take to end when the process is told to stop; zero: none is waited for.
    pub shutdown_timeout: Duration,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of a request's head, 256 to 65,536.
    pub header_bytes: usize,
    /// Field lines of a head, at least 1.
    pub headers: usize,
    /// Bytes of a request line, at most `header_bytes`.
    pub uri_bytes: usize,
    /// Bytes of a request's body, or [`UNLIMITED`]. Routes hold their own; this one is for requests without a route.
    pub body_bytes: u64,
}

/// `[timeouts]`; none is zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// From accept to the end of the TLS handshake.
    pub tls_handshake: Duration,
    /// From accept (over TLS: from the end of the handshake), or the first byte of a later request, to the end of its head.
    pub header: Duration,
    /// The longest silence inside a request's body.
    pub body: Duration,
    /// Between two requests of a connection.
    pub idle: Duration,
    /// The longest silence of a client that does not read.
    pub write: Duration,
    /// The slowest average in bytes a second, after a grace of 5 s; 0: off.
    pub min_rate: u64,
}

/// `[log.access]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where the lines go.
    pub target: LogTarget,
    /// Their form.
    pub format: AccessFormat,
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// To the end of this file. A relative path is relative to the working folder by now.
    File(PathBuf),
}

/// The form of the lines of an access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// The Common Log Format.
    Common,
    /// The same with Referer and User-Agent.
    Combined,
    /// An object a line.
    Json,
    /// For people; command lines have it.
    Plain {
        /// With colours.
        colour: bool,
    },
}

/// One `[[listener]]`. It speaks HTTP/1.1, the only protocol so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Where to listen. A relative socket path is relative to the working folder by now.
    pub address: ListenAddress,
    /// Connections the system may hold ready, at least 1.
    pub backlog: u32,
    /// Whether clients are told the whole reason of a failure.
    pub reason: bool,
    /// What is needed to speak TLS; none: plain.
    pub tls: Option<ListenerTls>,
    /// Whether each connection begins with a PROXY header; `trusted_proxies` is not empty then.
    pub proxy_protocol: bool,
    /// Whose word about their clients is taken.
    pub trusted_proxies: Vec<Network>,
}

/// `[listener.tls]`. The files were there and fitted each other when the configuration was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerTls {
    /// At least one; the first is the default.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// Whether clients show certificates, and who signs them.
    pub client_auth: ClientAuth,
    /// Which client certificates were revoked.
    pub client_crl: Option<PathBuf>,
    /// What answers say of Strict-Transport-Security; none: nothing.
    pub hsts: Option<Hsts>,
    /// What the keys of session tickets are made from; none: a secret of the process.
    pub ticket_secret: Option<TicketSecret>,
}

/// `ticket_secret`, which opens every ticket made with it, and so is nobody's business.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecret(pub String);

impl std::fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketSecret(..)")
    }
}

/// `[listener.tls.hsts]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// For how long, at most a hundred years.
    pub max_age: Duration,
    /// Also for all names below.
    pub include_subdomains: bool,
    /// Browsers may have it built in.
    pub preload: bool,
}

/// A certificate and its key, PEM. Relative paths are relative to the working folder by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate and behind it its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// An OCSP response to staple, DER; none: nothing is stapled. For listeners only.
    pub ocsp: Option<PathBuf>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// Whether clients show certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// One that is shown must come from an authority in this file.
    Request(PathBuf),
    /// One must be shown, and come from an authority in this file.
    Require(PathBuf),
}

/// One `[[route]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// For logs and metrics; need not be unique.
    pub name: String,
    /// What a request must look like to come here.
    pub rule: Rule,
    /// What answers it.
    pub action: Action,
    /// Changes to the request's fields before the action sees them.
    pub request_headers: HeaderEdits,
    /// Changes to the answer's fields.
    pub response_headers: HeaderEdits,
    /// Whose clients may come in; empty: all.
    pub allow: Vec<Network>,
    /// Whose may not, even where they are among those.
    pub deny: Vec<Network>,
    /// Bytes of a request's body, or [`UNLIMITED`].
    pub body_bytes: u64,
    /// How long the whole exchange may take; none: no limit of its own.
    pub timeout: Option<Duration>,
    /// Whether a request's whole body is read before a server is asked; `body_bytes` is a limit then.
    pub buffer_request: bool,
    /// Pages in the place of our own, each for other statuses.
    pub error_pages: Vec<ErrorPage>,
}

/// A page for statuses.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorPage {
    /// Which.
    pub statuses: Statuses,
    /// The file, an absolute path. It existed when the configuration was read.
    pub file: PathBuf,
}

/// Which statuses are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// One, from 200 to 599.
    One(u16),
    /// All of a class, 2 to 5.
    Class(u8),
}

/// What answers a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A server of an upstream.
    Proxy(Proxy),
    /// A file below a folder.
    Files(Files),
    /// A redirect.
    Redirect(Redirect),
    /// A fixed answer.
    Respond(Respond),
}

/// The place of an upstream in [`Plan::upstreams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub usize);

/// `proxy = { ... }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// Who answers.
    pub to: Destination,
    /// Taken off the front of the path where it is whole segments of it, at least `/` is left: begins with `/` and does
    /// not end with one; empty: nothing.
    pub strip_prefix: String,
    /// Put in front of the path afterwards: begins with `/` and does not end with one; empty: nothing.
    pub add_prefix: String,
    /// The Host the upstream sees.
    pub host: HostField,
}

/// Whom a route's requests go to.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// One upstream.
    One(UpstreamId),
    /// Several, each with its share; at least one weight is not zero.
    Split {
        /// The shares, of different upstreams.
        shares: Vec<Share>,
        /// What they are shares of.
        by: SplitBy,
    },
}

/// One upstream's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose.
    pub upstream: UpstreamId,
    /// How large, beside the others: 0 to 1000.
    pub weight: u32,
}

/// What shares are shares of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitBy {
    /// Requests.
    Request,
    /// Clients, by their addresses: each stays with its upstream.
    Client,
}

/// The Host field of a request to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostField {
    /// As the client sent it.
    Client,
    /// The address of the server, as the configuration writes it.
    Upstream,
    /// This value.
    Fixed(String),
}

/// `files = { ... }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Files {
    /// The folder that is served, an absolute path. It existed when the configuration was read.
    pub root: PathBuf,
    /// What is taken off the front of the path before it is looked up; no slash at its end. Empty: nothing.
    pub strip_prefix: String,
    /// The names that answer for a folder, the first that is there; each one a single path segment. May be empty.
    pub index: Vec<String>,
    /// Whether a folder without index is answered with a list of what is in it.
    pub listing: bool,
    /// The path of the file that answers where there is none: begins with `/` and does not end with one.
    pub fallback: Option<String>,
    /// The codings whose siblings are served, in order of preference: `br`, `zstd`, `gzip`.
    pub precompressed: Vec<&'static str>,
    /// The codings that files are compressed in, in order of preference.
    pub compress: Vec<&'static str>,
    /// What becomes of symbolic links.
    pub symlinks: Symlinks,
    /// The Cache-Control field, a valid field value; none: no such field.
    pub cache_control: Option<String>,
    /// That of HTML pages, where it is another; command lines have it.
    pub page_cache_control: Option<String>,
    /// Whether names that begin with a dot are served.
    pub hidden: bool,
    /// Whether pages are loaded again in the browser when a file changes; command lines have it.
    pub live: bool,
}

/// What becomes of symbolic links beneath a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// They are followed as long as they stay beneath it.
    Beneath,
    /// None is followed.
    Refuse,
    /// They are followed wherever they lead.
    Follow,
}

/// `redirect = { ... }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// The value of Location, in pieces.
    pub to: Vec<Piece>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// A piece of a redirect's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This text, visible ASCII.
    Text(String),
    /// `{host}`: the request's host without its port.
    Host,
    /// `{uri}`: the request's path and query as they were sent.
    Uri,
    /// `{path}`: the request's normalised path.
    Path,
    /// `{scheme}`: `http` or `https`, whichever the client asked in.
    Scheme,
    /// `{authority}`: the request's host and port as they were sent.
    Authority,
    /// `{query}`: what stands behind the `?` of the request's target, as it was sent; may be empty.
    Query,
    /// `{rest}`: the normalised path without the first so many bytes, which are the route's prefix; empty or begins with `/`.
    Rest(usize),
}

/// `respond = { ... }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// The body; empty for 204, 205 and 304.
    pub body: String,
    /// The Content-Type field, a valid field value.
    pub content_type: String,
}

/// Changes to the fields of a message, in the order of the members. Names are tokens, values valid field values; no
/// name is one of those that frame a message or belong to the connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderEdits {
    /// Names whose fields are taken out.
    pub remove: Vec<String>,
    /// Fields that replace those of their name.
    pub set: Vec<(String, String)>,
    /// Fields that join those of their name.
    pub add: Vec<(String, String)>,
}

impl HeaderEdits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// One `[upstream.NAME]`. It is spoken to in HTTP/1.1.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Its servers; at least one.
    pub servers: Vec<Server>,
    /// The connections that are kept.
    pub keep_alive: KeepAlive,
    /// How long a server may take.
    pub timeouts: UpstreamTimeouts,
    /// When a failed try is made again.
    pub retry: RetryPolicy,
    /// How often names are looked up again; not zero.
    pub resolve: Duration,
    /// The PROXY header that its servers are sent.
    pub proxy_protocol: Option<proxy_protocol::Version>,
    /// How TLS is spoken to those of its servers that it is spoken to.
    pub tls: UpstreamTls,
    /// How a server is chosen.
    pub balance: Balance,
    /// Requests that may wait for a server with room, over all workers; 0: none.
    pub queue: u64,
    /// How long a server that comes back takes to get its full share; zero: no time.
    pub slow_start: Duration,
    /// When servers are ejected for what they answered; none: never.
    pub ejection: Option<EjectionPolicy>,
    /// How servers are checked; none: they are not.
    pub health: Option<Health>,
    /// How clients are kept with their servers; none: they are not.
    pub sticky: Option<Sticky>,
}

/// `[upstream.NAME.health]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What is asked for, begins with `/`; none: it is enough that a connection comes about.
    pub path: Option<String>,
    /// The Host field; none: the server's address.
    pub host: Option<String>,
    /// What the answer's body must hold, not empty; none: anything.
    pub body: Option<String>,
    /// The statuses that are good; at least one.
    pub expect: Vec<Statuses>,
    /// From one check to the next; not zero.
    pub interval: Duration,
    /// The interval is shorter or longer by up to this share, 0 to 1.
    pub jitter: f64,
    /// How long a check may take; not zero.
    pub timeout: Duration,
    /// Good checks in a row that bring a server up, at least 1.
    pub rise: u32,
    /// Bad checks in a row that take it down, at least 1.
    pub fall: u32,
}

/// `[upstream.NAME.sticky]`.
#[derive(Clone, PartialEq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// How long clients keep it; none: as long as their browsers run.
    pub ttl: Option<Duration>,
    /// What signs it; not empty.
    pub secret: String,
}

/// The secret is nobody's business.
impl std::fmt::Debug for Sticky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sticky").field("cookie", &self.cookie).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// `balance = ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// `round_robin`.
    RoundRobin,
    /// `least_connections`.
    LeastConnections,
    /// `random_two`.
    RandomTwo,
    /// `ewma`.
    Ewma,
    /// `first`.
    First,
    /// `ip_hash`, or `{ hash = ... }`.
    Hash(HashKey),
}

/// What of a request decides where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    Client,
    /// `header:NAME`: a field.
    Header(String),
    /// `cookie:NAME`: a cookie.
    Cookie(String),
    /// `path`.
    Path,
    /// `query`.
    Query,
}

/// `[upstream.NAME.tls]`. The files were there and fitted each other when the configuration was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamTls {
    /// The name that servers' certificates must carry; none: where each is reached.
    pub server_name: Option<String>,
    /// Who signs their certificates; none: the system's roots.
    pub ca: Option<PathBuf>,
    /// The certificate shown to servers that ask for one.
    pub client: Option<CertificateFiles>,
    /// Whether any certificate is believed.
    pub insecure: bool,
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where it is reached. A relative socket path is relative to the working folder by now.
    pub address: Address,
    /// Whether TLS is spoken to it.
    pub tls: bool,
    /// Its share of the requests beside the other weights, 0 to 1000; 0: it gets none.
    pub weight: u32,
    /// Whether it is used only when no other is left.
    pub backup: bool,
    /// Requests under way at a time, over all workers; none: any number.
    pub max_connections: Option<u64>,
}

/// `keep_alive = { ... }`.
#[derive(Clone, Debug, PartialEq)]
pub struct KeepAlive {
    /// Idle connections kept for each server, over all workers; 0: none.
    pub idle: usize,
    /// How long an idle connection is kept; not zero.
    pub idle_timeout: Duration,
    /// Requests a connection carries, at least 1.
    pub max_requests: u64,
    /// How old a connection gets; not zero.
    pub max_age: Duration,
    /// Whether workers hand over idle connections to each other.
    pub hand_over: bool,
}

/// `timeouts = { ... }` of an upstream; none is zero.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamTimeouts {
    /// To connect.
    pub connect: Duration,
    /// From the end of the request to the end of the answer's head.
    pub header: Duration,
    /// The longest silence inside the answer's body.
    pub body: Duration,
    /// The longest silence of a tunnel (a WebSocket, say).
    pub tunnel: Duration,
    /// How long a request waits for a free server.
    pub queue: Duration,
}
