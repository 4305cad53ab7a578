//! The options of a route.

use super::{key, later, off, works};
use crate::options::{Choice, Key, Kind, Section};

pub(crate) static ROUTE: Section = Section {
    title: "[[route]]",
    path: "route",
    doc: "The first match from top to bottom wins, as written. A route has exactly one of proxy, files, redirect and respond; these and the other tables of it may also be written in one line: proxy = { upstream = \"api\" }.",
    keys: &[
        off(
            "hosts",
            Kind::Texts,
            "[\"example.com\", \"*.example.com\"]",
            "Hosts it is for, compared without case, port and trailing dot; absent: any. \"*.example.com\": one \
             or more labels in front, not example.com itself.",
        ),
        key(
            "path",
            Kind::Text,
            "\"/*\"",
            "\"/exact\", \"/prefix/*\" (matches /prefix too) or \"~regex\" (unanchored), compared with the \
             normalised path.",
        ),
        off("methods", Kind::Texts, "[\"GET\", \"POST\"]", "Methods it is for; absent: any."),
        off("match", Kind::Section(&MATCH), "", ""),
        off("name", Kind::Text, "\"api\"", "Shown in logs and metrics; absent: made from host and path."),
        off("proxy", Kind::Section(&PROXY), "", ""),
        off("files", Kind::Section(&FILES), "", ""),
        off("redirect", Kind::Section(&REDIRECT), "", ""),
        off("respond", Kind::Section(&RESPOND), "", ""),
        off("request_headers", Kind::Section(&REQUEST_HEADERS), "", ""),
        off("response_headers", Kind::Section(&RESPONSE_HEADERS), "", ""),
        off(
            "allow",
            Kind::Texts,
            "[\"10.0.0.0/8\"]",
            "Networks of clients that may come in; absent: all. Others: 403, also those whose address is not known.",
        ),
        off(
            "deny",
            Kind::Texts,
            "[\"10.1.0.0/16\"]",
            "Networks of clients that may not, even where allow has them: 403.",
        ),
        later(off("rate_limit", Kind::Section(&RATE_LIMIT), "", "")),
        later(off("basic_auth", Kind::Section(&BASIC_AUTH), "", "")),
        off("body_bytes", Kind::SizeOrNone, "\"50MiB\"", "A request's body; absent: limits.body_bytes."),
        off("timeout", Kind::Duration { zero: false }, "\"60s\"", "The whole exchange; absent: no limit of its own."),
        key(
            "buffer_request",
            Kind::Boolean,
            "false",
            "Read a request's whole body, into memory, before the upstream is asked: a slow client takes none of its time, and \
             the body can be sent again to another server. Needs a limit in body_bytes.",
        ),
        off(
            "error_pages",
            Kind::TextTable,
            "{ \"404\" = \"errors/404.html\", \"5xx\" = \"errors/5xx.html\" }",
            "Files, of up to 1 MiB, that take the place of our own pages for a status or for 4xx and 5xx; read at start and \
             reload. An upstream's pages stay.",
        ),
    ],
};

pub(crate) static MATCH: Section = Section {
    title: "[route.match]",
    path: "route.match",
    doc: "",
    keys: &[
        off(
            "headers",
            Kind::TextTable,
            "{ \"x-canary\" = \"1\" }",
            "Fields the request must have, all of them: with this value, with any (\"*\"), or with one that matches (\"~regex\").",
        ),
        off(
            "query",
            Kind::TextTable,
            "{ \"v\" = \"2\" }",
            "Query parameters the request must have; values as in headers, compared after percent-decoding.",
        ),
        off("clients", Kind::Texts, "[\"10.0.0.0/8\"]", "Networks the client must come from."),
        off(
            "scheme",
            Kind::Choice(&[works("http"), works("https")]),
            "\"http\"",
            "How the client must have asked; behind a trusted proxy, as that one tells.",
        ),
    ],
};

pub(crate) static PROXY: Section = Section {
    title: "[route.proxy]",
    path: "route.proxy",
    doc: "",
    keys: &[
        off("upstream", Kind::Text, "\"api\"", "The upstream that answers, by its name. This or split."),
        off(
            "split",
            Kind::Sections(&SPLIT),
            "[{ upstream = \"api\", weight = 95 }, { upstream = \"api-next\", weight = 5 }]",
            "Several upstreams, each with its share of the requests (a canary).",
        ),
        key(
            "split_by",
            Kind::Choice(&[works("request"), works("client")]),
            "\"request\"",
            "What the shares are of: requests, or clients: then each client address stays with its upstream, on all workers and \
             over restarts, as long as the weights stay.",
        ),
        key("strip_prefix", Kind::Text, "\"\"", "Taken off the front of the path; at least / is left."),
        key("add_prefix", Kind::Text, "\"\"", "Put in front of the path, after strip_prefix."),
        key(
            "host",
            Kind::Text,
            "\"client\"",
            "The Host the upstream sees: \"client\" (as the client sent it), \"upstream\" (the server's address), \
             or a name.",
        ),
    ],
};

pub(crate) static SPLIT: Section = Section {
    title: "route.proxy.split",
    path: "route.proxy.split",
    doc: "",
    keys: &[
        off("upstream", Kind::Text, "\"api\"", "The upstream, by its name."),
        key(
            "weight",
            Kind::Whole { least: 0, most: 1000 },
            "1",
            "Its share beside the other weights; 0: none for now.",
        ),
    ],
};

pub(crate) static FILES: Section = Section {
    title: "[route.files]",
    path: "route.files",
    doc: "",
    keys: &[
        off("root", Kind::Path, "\"/srv/www\"", "The folder that is served; nothing outside it ever is."),
        key(
            "strip_prefix",
            Kind::Text,
            "\"\"",
            "Taken off the front of the path before it is looked up beneath root: with \"/docs\", /docs/a.html is root's a.html; \
             what does not begin with it is not there. Without it the whole path counts, in a route for /docs/* too: \
             root's docs/a.html.",
        ),
        key("index", Kind::Texts, "[\"index.html\"]", "What answers for a folder: the first of these that is there."),
        key(
            "listing",
            Kind::Boolean,
            "false",
            "Answer for a folder without index with a list of what is in it: a page, or JSON where Accept asks for that.",
        ),
        off(
            "fallback",
            Kind::Text,
            "\"/index.html\"",
            "What answers, with 200, for a path that is not there (single-page applications): the path of a file beneath root.",
        ),
        key(
            "precompressed",
            Kind::Choices(&CODINGS),
            "[]",
            "Serve file.br, file.zst or file.gz in the place of file where it is there, no more than two seconds older than \
             file, and the client takes it; what the client takes equally well is served in the order of this list.",
        ),
        key(
            "compress",
            Kind::Choices(&CODINGS),
            "[]",
            "Compress what gains by it (text, JSON, fonts and the like, of 1 KiB to 16 MiB) for clients that take it, and keep \
             what comes of it in memory, of files above 1 MiB if that is at most 2 MiB; in the order of this list.",
        ),
        key(
            "symlinks",
            Kind::Choice(&[works("beneath"), works("refuse"), works("follow")]),
            "\"beneath\"",
            "Symbolic links: beneath (followed while they are relative and stay beneath root), refuse (none is), follow (wherever they lead: \
             whoever can make a link beneath root can show any file).",
        ),
        off("cache_control", Kind::Text, "\"max-age=3600\"", "The Cache-Control field of the files; absent: none."),
        key("hidden", Kind::Boolean, "false", "Serve names that begin with a dot too."),
    ],
};

const CODINGS: [Choice; 3] = [works("br"), works("zstd"), works("gzip")];

pub(crate) static REDIRECT: Section = Section {
    title: "[route.redirect]",
    path: "route.redirect",
    doc: "",
    keys: &[
        off(
            "to",
            Kind::Text,
            "\"https://{host}{uri}\"",
            "Where to: a URL or a path. {scheme}: http or https, as the client asked; {host}: the request's host without port; \
             {authority}: the host with its port as sent; {uri}: its path and query as sent; {path}: its normalised path; \
             {query}: what stands behind the ? (at the end, a ? in front of an empty one is left out); {rest}: what the * of \
             the route's path stands for, with its / in front.",
        ),
        key("status", Kind::Whole { least: 301, most: 308 }, "308", "301, 302, 303, 307 or 308."),
    ],
};

pub(crate) static RESPOND: Section = Section {
    title: "[route.respond]",
    path: "route.respond",
    doc: "",
    keys: &[
        key("status", Kind::Whole { least: 200, most: 599 }, "200", "The status."),
        key("body", Kind::Text, "\"\"", "The body."),
        key("content_type", Kind::Text, "\"text/plain; charset=utf-8\"", "The type of the body."),
    ],
};

const HEADER_KEYS: [Key; 3] = [
    off("set", Kind::TextTable, "{ \"x-env\" = \"prod\" }", "Fields that replace those of their name."),
    off("add", Kind::TextTable, "{ \"x-env\" = \"prod\" }", "Fields that join those of their name."),
    off("remove", Kind::Texts, "[\"cookie\"]", "Names of fields that are taken out, before set and add."),
];

pub(crate) static REQUEST_HEADERS: Section =
    Section { title: "[route.request_headers]", path: "route.request_headers", doc: "", keys: &HEADER_KEYS };

pub(crate) static RESPONSE_HEADERS: Section =
    Section { title: "[route.response_headers]", path: "route.response_headers", doc: "", keys: &HEADER_KEYS };

pub(crate) static RATE_LIMIT: Section = Section {
    title: "[route.rate_limit]",
    path: "route.rate_limit",
    doc: "",
    keys: &[
        later(off("rate", Kind::Rate, "\"100/s\"", "How many requests on average.")),
        later(off("burst", Kind::Whole { least: 0, most: u64::MAX }, "200", "How many at once.")),
        later(off(
            "key",
            Kind::Text,
            "\"client\"",
            "What is counted: client, host, route, header:NAME or cookie:NAME.",
        )),
        later(off("status", Kind::Whole { least: 400, most: 599 }, "429", "The answer beyond it.")),
        later(key("dry_run", Kind::Boolean, "false", "Count and log, but let everything pass.")),
    ],
};

pub(crate) static BASIC_AUTH: Section = Section {
    title: "[route.basic_auth]",
    path: "route.basic_auth",
    doc: "",
    keys: &[
        later(off("realm", Kind::Text, "\"staff\"", "What the browser shows.")),
        later(off("users", Kind::Path, "\"users.htpasswd\"", "The file of users and password hashes.")),
    ],
};
