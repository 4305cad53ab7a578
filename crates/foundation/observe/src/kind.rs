//! The closed list of what can fail, and the one table that says what follows from it.

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's request or behaviour.
    Client,
    /// A server of the upstream.
    Upstream,
    /// We, or this machine.
    Local,
}

impl Side {
    /// Its name, as logs and fields have it.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Upstream => "upstream",
            Side::Local => "local",
        }
    }
}

/// When it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the first request: the PROXY header, the TLS handshake.
    Handshake,
    /// Reading the request's head.
    RequestHead,
    /// Reading (and passing on) the request's body.
    RequestBody,
    /// Choosing what to do.
    Route,
    /// Reaching a server.
    Connect,
    /// Waiting for the head of a server's answer.
    ResponseHead,
    /// Relaying a server's answer, or reading a file.
    ResponseBody,
    /// Writing to the client.
    Write,
    /// Behind a switch of protocols, when bytes pass both ways unread.
    Tunnel,
}

impl Phase {
    /// Its name, as logs and fields have it.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Handshake => "handshake",
            Phase::RequestHead => "request-head",
            Phase::RequestBody => "request-body",
            Phase::Route => "route",
            Phase::Connect => "connect",
            Phase::ResponseHead => "response-head",
            Phase::ResponseBody => "response-body",
            Phase::Write => "write",
            Phase::Tunnel => "tunnel",
        }
    }
}

/// How loudly to log it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every public server sees this all day.
    Debug,
    /// Worth a look when it is frequent.
    Info,
    /// Somebody should look.
    Warn,
    /// A fault of ours.
    Error,
}

/// What failed. A closed list: each has one code, one status, one side, one phase, one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The request is refused by `http1`; the failure carries the status.
    BadRequest,
    /// HTTP without TLS arrived where TLS is spoken.
    PlainOnTls,
    /// A TLS handshake arrived where HTTP is spoken without.
    TlsOnPlain,
    /// A connection came from a stranger, or without its PROXY header, where one is required.
    ProxyHeader,
    /// A client's TLS handshake came to nothing: it was broken, too slow, or had nothing in common with us.
    TlsHandshake,
    /// A client's certificate was not accepted here, or ours there.
    TlsRefused,
    /// The head did not arrive in time.
    HeadTimeout,
    /// The body fell silent.
    BodyTimeout,
    /// The client was slower than `min_rate`.
    TooSlow,
    /// The body is larger than `body_bytes`.
    BodyTooLarge,
    /// The body's framing is broken, or it ended early.
    BodyBroken,
    /// The client went away.
    ClientGone,
    /// The client did not read.
    WriteTimeout,
    /// The request is for a host that the certificate of its connection does not cover.
    Misdirected,
    /// No route matches.
    NoRoute,
    /// The path cannot be normalised.
    BadPath,
    /// The method is not allowed here.
    MethodNotAllowed,
    /// There is no such file.
    NotFound,
    /// The file may not be read.
    Forbidden,
    /// The file could not be read for a reason of this machine.
    FileError,
    /// This machine is out of something (descriptors, slow-call queue).
    Overload,
    /// The exchange took longer than the route's `timeout`.
    ExchangeTimeout,
    /// A server refused the connection or could not be reached.
    ConnectFailed,
    /// A server's name could not be looked up.
    NameUnknown,
    /// The TLS handshake with a server failed.
    UpstreamTls,
    /// A server did not accept the connection in time.
    ConnectTimeout,
    /// A server closed the connection before its answer began.
    UpstreamClosed,
    /// A server reset the connection before its answer began.
    UpstreamReset,
    /// A server sent no response head in time.
    UpstreamTimeout,
    /// A server's answer breaks the rules of HTTP.
    UpstreamGarbage,
    /// The head of a server's answer is larger than is read or passed on.
    UpstreamHeadTooLarge,
    /// A server changed protocols without being asked to.
    UpstreamSwitched,
    /// A server's answer ended before it was complete.
    UpstreamTruncated,
    /// A server's answer fell silent.
    UpstreamSilent,
    /// A server sent something behind the end of its answer.
    UpstreamExcess,
    /// There is no server to ask.
    NoServer,
    /// A server broke the connection of a tunnel.
    TunnelBroken,
    /// No byte passed a tunnel for longer than `timeouts.tunnel`.
    TunnelIdle,
    /// A fault in this program.
    Internal,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = Kind::Internal as usize + 1;

    /// All kinds, in order.
    pub const ALL: [Kind; Kind::COUNT] = [
        Kind::BadRequest,
        Kind::PlainOnTls,
        Kind::TlsOnPlain,
        Kind::ProxyHeader,
        Kind::TlsHandshake,
        Kind::TlsRefused,
        Kind::HeadTimeout,
        Kind::BodyTimeout,
        Kind::TooSlow,
        Kind::BodyTooLarge,
        Kind::BodyBroken,
        Kind::ClientGone,
        Kind::WriteTimeout,
        Kind::Misdirected,
        Kind::NoRoute,
        Kind::BadPath,
        Kind::MethodNotAllowed,
        Kind::NotFound,
        Kind::Forbidden,
        Kind::FileError,
        Kind::Overload,
        Kind::ExchangeTimeout,
        Kind::ConnectFailed,
        Kind::NameUnknown,
        Kind::UpstreamTls,
        Kind::ConnectTimeout,
        Kind::UpstreamClosed,
        Kind::UpstreamReset,
        Kind::UpstreamTimeout,
        Kind::UpstreamGarbage,
        Kind::UpstreamHeadTooLarge,
        Kind::UpstreamSwitched,
        Kind::UpstreamTruncated,
        Kind::UpstreamSilent,
        Kind::UpstreamExcess,
        Kind::NoServer,
        Kind::TunnelBroken,
        Kind::TunnelIdle,
        Kind::Internal,
    ];

    /// Four letters to search logs for, the first for the side: **C**lient, **U**pstream, **L**ocal. docs/verdicts.md
    /// explains each. Never reused for something else.
    pub const fn code(self) -> &'static str {
        match self {
            Kind::BadRequest => "CBAD",
            Kind::PlainOnTls => "CPLN",
            Kind::TlsOnPlain => "CTLS",
            Kind::ProxyHeader => "CPRX",
            Kind::TlsHandshake => "CHSK",
            Kind::TlsRefused => "CCRT",
            Kind::HeadTimeout => "CHTO",
            Kind::BodyTimeout => "CBTO",
            Kind::TooSlow => "CSLO",
            Kind::BodyTooLarge => "CBIG",
            Kind::BodyBroken => "CBRK",
            Kind::ClientGone => "CGON",
            Kind::WriteTimeout => "CWTO",
            Kind::Misdirected => "CMIS",
            Kind::NoRoute => "CNRT",
            Kind::BadPath => "CPTH",
            Kind::MethodNotAllowed => "CMTH",
            Kind::NotFound => "CNFD",
            Kind::Forbidden => "LFBD",
            Kind::FileError => "LFIL",
            Kind::Overload => "LOVR",
            Kind::ExchangeTimeout => "LXTO",
            Kind::ConnectFailed => "UREF",
            Kind::NameUnknown => "UDNS",
            Kind::UpstreamTls => "UTLS",
            Kind::ConnectTimeout => "UCTO",
            Kind::UpstreamClosed => "UCLS",
            Kind::UpstreamReset => "URST",
            Kind::UpstreamTimeout => "UHTO",
            Kind::UpstreamGarbage => "UBAD",
            Kind::UpstreamHeadTooLarge => "UHDR",
            Kind::UpstreamSwitched => "USWI",
            Kind::UpstreamTruncated => "UTRU",
            Kind::UpstreamSilent => "USIL",
            Kind::UpstreamExcess => "UEXC",
            Kind::NoServer => "UNON",
            Kind::TunnelBroken => "UTUN",
            Kind::TunnelIdle => "LTIL",
            Kind::Internal => "LINT",
        }
    }

    /// The status it is answered with while no answer has begun.
    pub const fn status(self) -> u16 {
        match self {
            Kind::BadRequest | Kind::BodyBroken | Kind::BadPath | Kind::ClientGone => 400,
            Kind::ProxyHeader | Kind::PlainOnTls | Kind::TlsOnPlain | Kind::TlsHandshake | Kind::TlsRefused => 400,
            Kind::Forbidden => 403,
            Kind::NoRoute | Kind::NotFound => 404,
            Kind::MethodNotAllowed => 405,
            Kind::HeadTimeout | Kind::BodyTimeout | Kind::TooSlow | Kind::WriteTimeout => 408,
            Kind::BodyTooLarge => 413,
            Kind::Misdirected => 421,
            Kind::FileError | Kind::Internal => 500,
            Kind::ConnectFailed | Kind::NameUnknown | Kind::UpstreamTls | Kind::UpstreamClosed => 502,
            Kind::UpstreamReset | Kind::UpstreamGarbage | Kind::UpstreamHeadTooLarge => 502,
            Kind::UpstreamSwitched | Kind::UpstreamTruncated | Kind::UpstreamExcess | Kind::TunnelBroken => 502,
            Kind::NoServer | Kind::Overload => 503,
            Kind::ConnectTimeout | Kind::UpstreamTimeout | Kind::UpstreamSilent => 504,
            Kind::ExchangeTimeout | Kind::TunnelIdle => 504,
        }
    }

    /// Who is to blame.
    pub const fn side(self) -> Side {
        match self {
            Kind::BadRequest | Kind::HeadTimeout | Kind::BodyTimeout | Kind::TooSlow => Side::Client,
            Kind::BodyTooLarge | Kind::BodyBroken | Kind::ClientGone | Kind::WriteTimeout => Side::Client,
            Kind::ProxyHeader | Kind::PlainOnTls | Kind::TlsOnPlain | Kind::TlsHandshake | Kind::TlsRefused => {
                Side::Client
            }
            Kind::NoRoute | Kind::BadPath | Kind::MethodNotAllowed | Kind::NotFound => Side::Client,
            Kind::Misdirected => Side::Client,
            Kind::Forbidden | Kind::FileError | Kind::Overload | Kind::ExchangeTimeout => Side::Local,
            Kind::TunnelIdle | Kind::Internal => Side::Local,
            Kind::ConnectFailed | Kind::ConnectTimeout | Kind::UpstreamClosed | Kind::UpstreamTimeout => Side::Upstream,
            Kind::UpstreamGarbage | Kind::UpstreamTruncated | Kind::UpstreamSilent | Kind::NoServer => Side::Upstream,
            Kind::NameUnknown | Kind::UpstreamTls | Kind::UpstreamReset | Kind::TunnelBroken => Side::Upstream,
            Kind::UpstreamHeadTooLarge | Kind::UpstreamSwitched | Kind::UpstreamExcess => Side::Upstream,
        }
    }

    /// When it happens.
    pub const fn phase(self) -> Phase {
        match self {
            Kind::ProxyHeader | Kind::PlainOnTls | Kind::TlsOnPlain | Kind::TlsHandshake | Kind::TlsRefused => {
                Phase::Handshake
            }
            Kind::BadRequest | Kind::HeadTimeout => Phase::RequestHead,
            Kind::BodyTimeout | Kind::TooSlow | Kind::BodyTooLarge | Kind::BodyBroken => Phase::RequestBody,
            Kind::NoRoute | Kind::BadPath | Kind::MethodNotAllowed | Kind::Overload | Kind::Internal => Phase::Route,
            Kind::NotFound | Kind::Forbidden | Kind::Misdirected => Phase::Route,
            Kind::ConnectFailed | Kind::ConnectTimeout | Kind::NoServer => Phase::Connect,
            Kind::NameUnknown | Kind::UpstreamTls => Phase::Connect,
            Kind::UpstreamClosed | Kind::UpstreamTimeout | Kind::UpstreamGarbage => Phase::ResponseHead,
            Kind::UpstreamReset | Kind::UpstreamHeadTooLarge | Kind::UpstreamSwitched => Phase::ResponseHead,
            Kind::TunnelBroken | Kind::TunnelIdle => Phase::Tunnel,
            Kind::UpstreamTruncated | Kind::UpstreamSilent | Kind::UpstreamExcess => Phase::ResponseBody,
            Kind::FileError | Kind::ExchangeTimeout => Phase::ResponseBody,
            Kind::ClientGone | Kind::WriteTimeout => Phase::Write,
        }
    }

    /// How loudly to log it.
    pub const fn level(self) -> Level {
        match self {
            Kind::Internal => Level::Error,
            Kind::FileError | Kind::Overload | Kind::NoServer => Level::Warn,
            Kind::ConnectFailed | Kind::ConnectTimeout | Kind::UpstreamClosed | Kind::UpstreamTimeout => Level::Warn,
            Kind::UpstreamGarbage | Kind::UpstreamTruncated | Kind::UpstreamSilent => Level::Warn,
            Kind::NameUnknown | Kind::UpstreamTls | Kind::UpstreamReset => Level::Warn,
            Kind::UpstreamHeadTooLarge | Kind::UpstreamSwitched | Kind::UpstreamExcess => Level::Warn,
            Kind::ExchangeTimeout | Kind::Forbidden | Kind::ProxyHeader => Level::Info,
            Kind::TunnelBroken | Kind::TunnelIdle => Level::Info,
            _ => Level::Debug,
        }
    }

    /// Whether the client's connection is unusable after it: the end of its request is not known, or was not read.
    pub const fn closes(self) -> bool {
        match self {
            Kind::BadRequest | Kind::HeadTimeout | Kind::BodyTimeout | Kind::TooSlow | Kind::BodyTooLarge => true,
            Kind::BodyBroken | Kind::ClientGone | Kind::WriteTimeout | Kind::Internal => true,
            Kind::ProxyHeader | Kind::PlainOnTls | Kind::TlsOnPlain | Kind::TlsHandshake | Kind::TlsRefused => true,
            // What is left of a body is skipped after the answer, as after any early answer.
            _ => false,
        }
    }

    /// The sentence when nothing more is known.
    pub const fn sentence(self) -> &'static str {
        match self {
            Kind::BadRequest => "The request breaks the rules of HTTP.",
            Kind::PlainOnTls => "This port speaks HTTPS: write https:// instead of http:// in front of its address.",
            Kind::TlsOnPlain => {
                "This port speaks HTTP without TLS: write http:// instead of https:// in front of its address."
            }
            Kind::ProxyHeader => "The connection does not begin with a PROXY header from a trusted proxy.",
            Kind::TlsHandshake => "The TLS handshake failed.",
            Kind::TlsRefused => "A certificate was not accepted in the TLS handshake.",
            Kind::HeadTimeout => "The request's head did not arrive in time.",
            Kind::BodyTimeout => "The request's body fell silent before it was complete.",
            Kind::TooSlow => "The request's body arrived slower than this server's minimum rate.",
            Kind::BodyTooLarge => "The request's body is larger than this server accepts here.",
            Kind::BodyBroken => "The request's body is broken or ended early.",
            Kind::ClientGone => "The client closed the connection before the answer was complete.",
            Kind::WriteTimeout => "The client did not read the answer in time.",
            Kind::Misdirected => "The certificate of this connection does not cover the request's host.",
            Kind::NoRoute => "No route of this server matches the request's host and path.",
            Kind::BadPath => "The request's path is broken: it leaves the root, or its percent-encoding is wrong.",
            Kind::MethodNotAllowed => "This method is not allowed here; the Allow field lists those that are.",
            Kind::NotFound => "There is no such file here.",
            Kind::Forbidden => "The file is there, but this server may not read it.",
            Kind::FileError => "The file could not be read.",
            Kind::Overload => "This server is overloaded; try again in a moment.",
            Kind::ExchangeTimeout => "The exchange took longer than the route allows.",
            Kind::ConnectFailed => "No connection to the server behind this proxy could be made.",
            Kind::NameUnknown => "The name of the server behind this proxy could not be looked up.",
            Kind::UpstreamTls => "No TLS connection to the server behind this proxy could be made.",
            Kind::ConnectTimeout => "The server behind this proxy did not accept a connection in time.",
            Kind::UpstreamClosed => "The server behind this proxy closed the connection before it answered.",
            Kind::UpstreamReset => "The server behind this proxy reset the connection before it answered.",
            Kind::UpstreamTimeout => "The server behind this proxy sent no response head in time.",
            Kind::UpstreamGarbage => "The server behind this proxy sent an answer that breaks the rules of HTTP.",
            Kind::UpstreamHeadTooLarge => "The server behind this proxy sent a head larger than is accepted here.",
            Kind::UpstreamSwitched => "The server behind this proxy changed protocols without being asked to.",
            Kind::UpstreamTruncated => {
                "The server behind this proxy closed the connection before its answer was complete."
            }
            Kind::UpstreamSilent => "The server behind this proxy fell silent before its answer was complete.",
            Kind::UpstreamExcess => "The server behind this proxy sent more than its answer was to have.",
            Kind::NoServer => "There is no healthy server behind this proxy.",
            Kind::TunnelBroken => "The server behind this proxy broke the connection.",
            Kind::TunnelIdle => "Nothing passed through the connection for too long.",
            Kind::Internal => "This server made a mistake; the fault is not in the request.",
        }
    }
}
