//! The options of the server itself: everything but routes and upstreams.

use super::{key, later, off, planned, works};
use crate::options::{Kind, ROUTE, Section, UPSTREAM};

pub(crate) static FILE: Section = Section {
    title: "the file",
    path: "",
    doc: "",
    keys: &[
        key(
            "include",
            Kind::Texts,
            "[]",
            "More files: paths or patterns, relative to this file, read in this order, the files of one pattern \
             sorted. Their routes come after this file's own.",
        ),
        off("runtime", Kind::Section(&RUNTIME), "", ""),
        off("admin", Kind::Section(&ADMIN), "", ""),
        off("log", Kind::Section(&LOG), "", ""),
        off("limits", Kind::Section(&LIMITS), "", ""),
        off("timeouts", Kind::Section(&TIMEOUTS), "", ""),
        off("listener", Kind::Sections(&LISTENER), "", ""),
        off("route", Kind::Sections(&ROUTE), "", ""),
        off("upstream", Kind::Named(&UPSTREAM), "", ""),
    ],
};

pub(crate) static RUNTIME: Section = Section {
    title: "[runtime]",
    path: "runtime",
    doc: "",
    keys: &[
        key(
            "workers",
            Kind::WholeOrAuto { most: 255 },
            "\"auto\"",
            "Threads per process: a number, or one per usable CPU.",
        ),
        later(key(
            "processes",
            Kind::Whole { least: 0, most: 1024 },
            "0",
            "0: this process serves. N: a supervisor keeps N worker processes alive.",
        )),
        key("pin", Kind::Boolean, "false", "Pin each worker thread to a CPU."),
        key(
            "max_connections",
            Kind::WholeOrAuto { most: 10_000_000 },
            "\"auto\"",
            "Connections per process; further ones are refused, counted and logged once. \"auto\": what the \
             descriptor limit allows, less a reserve, halved when proxying.",
        ),
        key(
            "shutdown_timeout",
            Kind::Duration { zero: true },
            "\"30s\"",
            "How long requests in flight may take to end on SIGTERM, SIGINT or an upgrade.",
        ),
        later(off("user", Kind::Text, "\"tollgate\"", "Drop to this user after binding (root only).")),
        later(off("group", Kind::Text, "\"tollgate\"", "Drop to this group after binding (root only).")),
        later(key(
            "sandbox",
            Kind::Choice(&[works("off"), planned("auto"), planned("require")]),
            "\"off\"",
            "Give up every right that serving does not need.",
        )),
        later(key(
            "watch",
            Kind::Boolean,
            "false",
            "Reload when the configuration (or a certificate) changes on disk.",
        )),
    ],
};

pub(crate) static ADMIN: Section = Section {
    title: "[admin]",
    path: "admin",
    doc: "",
    keys: &[
        off(
            "listen",
            Kind::ListenAddress,
            "\"127.0.0.1:9900\"",
            "Where /metrics (Prometheus), /healthz and /readyz are served, plain, without a password; absent: nowhere.",
        ),
        later(off(
            "token",
            Kind::Text,
            "\"${ADMIN_TOKEN:-}\"",
            "Required for anything that changes state. When empty, that needs a Unix socket, or loopback with a \
             loopback Host and no Origin.",
        )),
    ],
};

pub(crate) static LOG: Section = Section {
    title: "[log]",
    path: "log",
    doc: "",
    keys: &[
        later(key(
            "level",
            Kind::Choice(&[planned("error"), planned("warn"), works("info"), planned("debug"), planned("trace")]),
            "\"info\"",
            "How much the server says of itself, on standard error.",
        )),
        later(key(
            "format",
            Kind::Choice(&[works("text"), planned("json")]),
            "\"text\"",
            "The form of the server's own log.",
        )),
        off("access", Kind::Section(&LOG_ACCESS), "", ""),
    ],
};

pub(crate) static LOG_ACCESS: Section = Section {
    title: "[log.access]",
    path: "log.access",
    doc: "",
    keys: &[
        off(
            "path",
            Kind::Path,
            "\"logs/access.log\"",
            "The file of the access log, reopened on SIGUSR1; \"-\": standard output; absent: none.",
        ),
        off(
            "format",
            Kind::Choice(&[works("common"), works("combined"), works("json")]),
            "\"combined\"",
            "The form of its lines; absent: combined.",
        ),
    ],
};

pub(crate) static LIMITS: Section = Section {
    title: "[limits]",
    path: "limits",
    doc: "",
    keys: &[
        key(
            "header_bytes",
            Kind::Size { least: 256, most: 64 << 10 },
            "\"16KiB\"",
            "A request's head, from its first line to its empty line; more: 431.",
        ),
        key("headers", Kind::Whole { least: 1, most: 4096 }, "100", "Field lines of a request's head; more: 431."),
        key(
            "uri_bytes",
            Kind::Size { least: 64, most: 64 << 10 },
            "\"8KiB\"",
            "A request line, at most header_bytes; more: 414.",
        ),
        key("body_bytes", Kind::SizeOrNone, "\"10MiB\"", "A request's body; more: 413. A route may set its own."),
        later(key(
            "connections_per_client",
            Kind::Whole { least: 0, most: u64::MAX },
            "0",
            "Connections from one address at a time; 0: no limit.",
        )),
    ],
};

pub(crate) static TIMEOUTS: Section = Section {
    title: "[timeouts]",
    path: "timeouts",
    doc: "",
    keys: &[
        key(
            "tls_handshake",
            Kind::Duration { zero: false },
            "\"10s\"",
            "From accept to the end of the TLS handshake. The time for the first head begins behind it.",
        ),
        key(
            "header",
            Kind::Duration { zero: false },
            "\"10s\"",
            "From accept, or the first byte of a later request, to the end of its head; longer: 408.",
        ),
        key(
            "body",
            Kind::Duration { zero: false },
            "\"30s\"",
            "The longest silence inside a request's body; longer: 408.",
        ),
        key("idle", Kind::Duration { zero: false }, "\"75s\"", "Between two requests of a connection."),
        key("write", Kind::Duration { zero: false }, "\"30s\"", "The longest silence of a client that does not read."),
        key(
            "min_rate",
            Kind::ByteRate,
            "\"256B/s\"",
            "The slowest average after a grace of 5 s, counted only while we wait for the client: for its body, \
             or for room in its socket.",
        ),
    ],
};

pub(crate) static LISTENER: Section = Section {
    title: "[[listener]]",
    path: "listener",
    doc: "One table for each address. With none: one listener on 127.0.0.1:8080.",
    keys: &[
        off(
            "address",
            Kind::ListenAddress,
            "\"127.0.0.1:8080\"",
            "Where to listen: an IP address and port, or unix:/path. With no listener at all: 127.0.0.1:8080.",
        ),
        key(
            "protocols",
            Kind::Choices(&[works("http/1.1"), planned("h2"), planned("h3")]),
            "[\"http/1.1\"]",
            "What is spoken here.",
        ),
        key(
            "proxy_protocol",
            Kind::Boolean,
            "false",
            "Require and strip a PROXY header (v1 or v2) in front of each connection, within timeouts.header; only \
             trusted_proxies may connect then.",
        ),
        key(
            "trusted_proxies",
            Kind::Texts,
            "[]",
            "Networks whose X-Forwarded-For, Forwarded and PROXY are believed; \"unix:\" for whoever comes through a Unix \
             socket.",
        ),
        key(
            "backlog",
            Kind::Whole { least: 1, most: 1 << 20 },
            "4096",
            "Connections the system may hold ready before they are accepted.",
        ),
        key(
            "reason",
            Kind::Boolean,
            "false",
            "Tell clients why a request failed: the whole verdict in Tollgate-Reason and on the page, with the names and \
             addresses of servers. Not for a public listener.",
        ),
        off("tls", Kind::Section(&LISTENER_TLS), "", ""),
    ],
};

pub(crate) static LISTENER_TLS: Section = Section {
    title: "[listener.tls]",
    path: "listener.tls",
    doc: "This listener speaks TLS, and nothing else. Its files are read again by themselves when they \
          change; connections stay.",
    keys: &[
        off(
            "certificates",
            Kind::Sections(&CERTIFICATE),
            "[{ cert = \"tls/a.pem\", key = \"tls/a.key\" }]",
            "Picked by SNI from each certificate's names; the first is the default. Of several for one name, each client \
             gets the one it can verify, ECDSA before RSA.",
        ),
        key("min_version", Kind::Choice(&[works("1.2"), works("1.3")]), "\"1.2\"", "The oldest TLS version."),
        off(
            "client_ca",
            Kind::Path,
            "\"tls/clients.pem\"",
            "Who signs client certificates, PEM; needed when client_auth is not none.",
        ),
        off("client_crl", Kind::Path, "\"tls/clients.crl\"", "Which of their certificates were revoked, PEM."),
        key(
            "client_auth",
            Kind::Choice(&[works("none"), works("request"), works("require")]),
            "\"none\"",
            "Whether clients show a certificate: \"request\": if they have one, it must be good; \"require\": no \
             connection without.",
        ),
        off(
            "ticket_secret",
            Kind::Text,
            "\"${TICKET_SECRET}\"",
            "What the keys of session tickets are made from, 32 characters or more: programs with the same one resume each \
             other's sessions, and sessions outlive a restart. Absent: a new one at each start.",
        ),
        off("hsts", Kind::Section(&HSTS), "", ""),
    ],
};

pub(crate) static HSTS: Section = Section {
    title: "[listener.tls.hsts]",
    path: "listener.tls.hsts",
    doc: "Every answer of this listener says Strict-Transport-Security (RFC 6797): browsers then come by https only, and \
          take no certificate that they cannot verify. What servers behind say of it is left out.",
    keys: &[
        off("max_age", Kind::Age, "\"365d\"", "For how long; \"0s\": browsers forget it."),
        key("include_subdomains", Kind::Boolean, "false", "Also for all names below the one that was asked."),
        key(
            "preload",
            Kind::Boolean,
            "false",
            "Browsers may have it built in (hstspreload.org); it is hard to take back.",
        ),
    ],
};

pub(crate) static CERTIFICATE: Section = Section {
    title: "listener.tls.certificates",
    path: "listener.tls.certificates",
    doc: "",
    keys: &[
        off("cert", Kind::Path, "\"tls/a.pem\"", "The certificate and behind it its chain, PEM."),
        off("key", Kind::Path, "\"tls/a.key\"", "Its private key, PEM, without a passphrase."),
        off(
            "ocsp",
            Kind::Path,
            "\"tls/a.ocsp\"",
            "What its issuer says of its state (an OCSP response, DER), sent with each handshake. Keep it fresh; it is read \
             again when it changes.",
        ),
    ],
};
