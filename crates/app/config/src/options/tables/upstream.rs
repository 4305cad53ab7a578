//! The options of an upstream.

use super::{form, key, off, planned, works};
use crate::options::{Kind, Section};

pub(crate) static UPSTREAM: Section = Section {
    title: "[upstream.NAME]",
    path: "upstream.NAME",
    doc: "NAME is what routes call it. Its tables may also be written in one line: retry = { attempts = 3 }.",
    keys: &[
        off(
            "servers",
            Kind::Servers(&SERVER),
            "[\"127.0.0.1:3000\", { address = \"127.0.0.1:3001\", weight = 3 }]",
            "The servers, at least one: addresses, or tables with the keys of upstream.NAME.servers below.",
        ),
        key(
            "balance",
            Kind::Choice(&[
                works("round_robin"),
                works("least_connections"),
                works("random_two"),
                works("ewma"),
                works("ip_hash"),
                works("first"),
                form("{ hash = \"header:NAME\" }"),
            ]),
            "\"round_robin\"",
            "How a server is picked; hash also takes \"cookie:NAME\", \"path\" and \"query\".",
        ),
        key(
            "protocol",
            Kind::Choice(&[works("http/1.1"), planned("h2")]),
            "\"http/1.1\"",
            "What is spoken to the servers.",
        ),
        off("keep_alive", Kind::Section(&KEEP_ALIVE), "", ""),
        off("timeouts", Kind::Section(&UPSTREAM_TIMEOUTS), "", ""),
        key(
            "queue",
            Kind::Whole { least: 0, most: u64::MAX },
            "0",
            "Requests that may wait when every server is at max_connections, shared out over the workers, at least one each.",
        ),
        off("retry", Kind::Section(&RETRY), "", ""),
        key("resolve", Kind::Duration { zero: false }, "\"10s\"", "How often names are looked up again."),
        off("sticky", Kind::Section(&STICKY), "", ""),
        off(
            "slow_start",
            Kind::Duration { zero: true },
            "\"30s\"",
            "How long a server that comes back takes to get its full share.",
        ),
        key(
            "proxy_protocol",
            Kind::Whole { least: 0, most: 2 },
            "0",
            "The PROXY header sent to the server: 0 none, 1 or 2 its version. A connection then carries requests of one client \
             only.",
        ),
        off("health", Kind::Section(&HEALTH), "", ""),
        off("ejection", Kind::Section(&EJECTION), "", ""),
        off("tls", Kind::Section(&UPSTREAM_TLS), "", ""),
    ],
};

pub(crate) static SERVER: Section = Section {
    title: "upstream.NAME.servers",
    path: "upstream.NAME.servers",
    doc: "",
    keys: &[
        off(
            "address",
            Kind::Address,
            "\"127.0.0.1:3001\"",
            "Where it is reached: an IP address or name with a port, or unix:/path; with https:// in front, over TLS.",
        ),
        key(
            "weight",
            Kind::Whole { least: 0, most: 1000 },
            "1",
            "Its share of the requests, beside the other weights; 0: it gets no new ones, and can be taken away in peace.",
        ),
        key("backup", Kind::Boolean, "false", "Used only when no other server is left."),
        off(
            "max_connections",
            Kind::Whole { least: 1, most: u64::MAX },
            "200",
            "Requests under way to it at a time, shared out over the workers, at least one each.",
        ),
    ],
};

pub(crate) static KEEP_ALIVE: Section = Section {
    title: "[upstream.NAME.keep_alive]",
    path: "upstream.NAME.keep_alive",
    doc: "",
    keys: &[
        key(
            "idle",
            Kind::Whole { least: 0, most: 1_000_000 },
            "64",
            "Idle connections kept for each server, shared out over the workers, at least one each; 0: none is kept.",
        ),
        key("idle_timeout", Kind::Duration { zero: false }, "\"60s\"", "How long one is kept."),
        key(
            "max_requests",
            Kind::Whole { least: 1, most: u64::MAX },
            "10000",
            "Requests a connection carries before it is closed.",
        ),
        key("max_age", Kind::Duration { zero: false }, "\"1h\"", "How old a connection gets before it is closed."),
        key(
            "hand_over",
            Kind::Boolean,
            "true",
            "A worker without an idle connection gets one that another worker has not used for 50 ms; false: each keeps its own.",
        ),
    ],
};

pub(crate) static UPSTREAM_TIMEOUTS: Section = Section {
    title: "[upstream.NAME.timeouts]",
    path: "upstream.NAME.timeouts",
    doc: "",
    keys: &[
        key("connect", Kind::Duration { zero: false }, "\"2s\"", "To connect; longer: 504."),
        key(
            "header",
            Kind::Duration { zero: false },
            "\"60s\"",
            "From the end of the request to the end of the answer's head; longer: 504.",
        ),
        key("body", Kind::Duration { zero: false }, "\"60s\"", "The longest silence inside the answer's body."),
        key(
            "tunnel",
            Kind::Duration { zero: false },
            "\"1h\"",
            "The longest silence of a WebSocket or another upgraded connection; of one that one side has ended: body.",
        ),
        key(
            "queue",
            Kind::Duration { zero: false },
            "\"1s\"",
            "How long a request waits for a free server; longer: 503.",
        ),
    ],
};

pub(crate) static RETRY: Section = Section {
    title: "[upstream.NAME.retry]",
    path: "upstream.NAME.retry",
    doc: "",
    keys: &[
        key(
            "attempts",
            Kind::Whole { least: 1, most: 16 },
            "2",
            "Tries for a request, the first one included; 1: no retry.",
        ),
        key(
            "on",
            Kind::Texts,
            "[\"connect\", \"reset\"]",
            "What is worth another try: connect, reset, timeout, a status such as 502, or 5xx.",
        ),
        key("budget", Kind::Share, "0.2", "Retries as a share of the requests of the last 10 s, at least 3 a second."),
        key(
            "methods",
            Kind::Choice(&[works("idempotent"), works("all")]),
            "\"idempotent\"",
            "\"idempotent\": any other request is tried again only if no byte of it was written. \"all\": every \
             request may be.",
        ),
    ],
};

pub(crate) static STICKY: Section = Section {
    title: "[upstream.NAME.sticky]",
    path: "upstream.NAME.sticky",
    doc: "Absent: every request is balanced. A client's first answer names its server in a signed cookie (HttpOnly, SameSite=Lax, \
          and Secure over TLS).",
    keys: &[
        off("cookie", Kind::Text, "\"tg\"", "The cookie's name; absent: `tg_` and the name of the upstream."),
        off("ttl", Kind::Age, "\"1h\"", "How long clients keep it; absent: as long as their browsers run."),
        off("secret", Kind::Text, "\"${STICKY_SECRET}\"", "What signs it, 16 characters or more. Must be there."),
    ],
};

pub(crate) static HEALTH: Section = Section {
    title: "[upstream.NAME.health]",
    path: "upstream.NAME.health",
    doc: "Absent: servers are not checked. One worker checks for all. The first check of a server decides alone.",
    keys: &[
        off(
            "path",
            Kind::Text,
            "\"/healthz\"",
            "What is asked for; absent: a connection (over TLS with its handshake) is enough.",
        ),
        off("host", Kind::Text, "\"app.internal\"", "The Host field of the check; absent: the server's address."),
        key("interval", Kind::Duration { zero: false }, "\"5s\"", "From the end of a check to the next."),
        key("jitter", Kind::Share, "0.1", "The interval is shorter or longer by up to this share."),
        key("timeout", Kind::Duration { zero: false }, "\"2s\"", "How long a check may take."),
        key("rise", Kind::Whole { least: 1, most: 1000 }, "2", "Good checks in a row that bring a server back."),
        key("fall", Kind::Whole { least: 1, most: 1000 }, "3", "Bad checks in a row that take it out."),
        key("expect", Kind::Texts, "[\"2xx\", \"3xx\"]", "Statuses that are good."),
        off("body", Kind::Text, "\"ok\"", "Text that the first 64 KiB of the answer must hold."),
    ],
};

pub(crate) static EJECTION: Section = Section {
    title: "[upstream.NAME.ejection]",
    path: "upstream.NAME.ejection",
    doc: "Absent: no server is ejected. Failures are broken connections, timeouts and statuses from 500. Each worker counts its own.",
    keys: &[
        key("consecutive", Kind::Whole { least: 1, most: 1000 }, "5", "Failures in a row that eject a server."),
        key("share", Kind::Share, "0.5", "The share of failures that does, of at least ten results."),
        key("window", Kind::Duration { zero: false }, "\"10s\"", "Counted over this time."),
        key("for", Kind::Duration { zero: false }, "\"10s\"", "How long; doubles on repeat, up to 5m."),
        key("max_ejected", Kind::Share, "0.5", "Never eject more than this share of the servers."),
    ],
};

pub(crate) static UPSTREAM_TLS: Section = Section {
    title: "[upstream.NAME.tls]",
    path: "upstream.NAME.tls",
    doc: "For the servers whose addresses begin with https://. Their certificates are verified. The files are read at the \
          start and with each reload.",
    keys: &[
        off(
            "server_name",
            Kind::Text,
            "\"api.internal\"",
            "The name sent to the server (SNI), which its certificate must carry; absent: the name or address it is \
             reached by.",
        ),
        off("ca", Kind::Path, "\"tls/ca.pem\"", "Who signs its certificate, PEM; absent: the system's roots."),
        off("client_cert", Kind::Path, "\"tls/me.pem\"", "The certificate shown to a server that asks for one, PEM."),
        off("client_key", Kind::Path, "\"tls/me.key\"", "Its private key, PEM, without a passphrase."),
        key(
            "insecure",
            Kind::Boolean,
            "false",
            "Believe any certificate: whoever can answer in the server's place reads and changes everything.",
        ),
    ],
};
