//! A real site of thousands of files, rustdoc's output, crawled link by link from us and from nginx; and audio that is sought in.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write,
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
};

use tests::{Client, Ended, Reply, Tollgate, folder, peers, run};

/// Documentation of a crate with so many modules and things in each: a page for every one.
const MODULES: usize = 50;
const THINGS: usize = 45;

/// Has rustdoc write a site; its pages link to each other.
fn documentation(to: &Path) {
    let mut source = String::from("//! A crate of many things.\n");
    for module in 0..MODULES {
        let next = (module + 1) % MODULES;
        writeln!(source, "/// Module {module}.\npub mod part_{module} {{").expect("a text takes all");
        for thing in 0..THINGS {
            writeln!(source, "/// See [`super::part_{next}::Thing{thing}`].\npub struct Thing{thing}(pub u8);")
                .expect("a text takes all");
        }
        source.push_str("}\n");
    }
    let file = to.join("lib.rs");
    fs::write(&file, source).expect("a file of ours");
    let mut rustdoc = Command::new("rustdoc");
    let ended = run(rustdoc.args(["--crate-name", "tree", "--edition", "2024", "-o"]).arg(to.join("site")).arg(&file));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

/// Every link of a page to this site, as a path without fragment.
fn links(page: &str, at: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // What a script puts together has a `$` in it.
    for attribute in ["href=\"", "src=\""] {
        for (from, _) in page.match_indices(attribute) {
            let value = page[from + attribute.len()..].split('"').next().unwrap_or_default();
            let value = value.split(['#', '?']).next().unwrap_or_default();
            if !value.is_empty() && !value.contains([':', '$']) {
                found.insert(resolved(at, value));
            }
        }
    }
    found
}

/// RFC 3986 §5.2, as far as links within a site need it.
fn resolved(at: &str, link: &str) -> String {
    let base = if link.starts_with('/') { "" } else { &at[..at.rfind('/').unwrap_or(0)] };
    let mut parts: Vec<&str> = base.split('/').filter(|p| !p.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let directory = link.ends_with('/') || matches!(link.rsplit('/').next(), Some("." | ".."));
    format!("/{}{}", parts.join("/"), if directory && !parts.is_empty() { "/" } else { "" })
}

#[test]
fn links_are_resolved_as_browsers_do() {
    for (at, link, want) in [
        ("/tree/index.html", "x.html", "/tree/x.html"),
        ("/tree/index.html", "../help.html", "/help.html"),
        ("/tree/a/b.html", "./c/", "/tree/a/c/"),
        ("/tree/a/b.html", "..", "/tree/"),
        ("/tree/a/b.html", "/x", "/x"),
        ("/a", "../../x", "/x"),
    ] {
        assert_eq!(resolved(at, link), want, "{at} {link}");
    }
}

/// A connection to each of the two.
struct Both {
    ours: Client,
    theirs: Client,
}

impl Both {
    fn to(ours: SocketAddr, theirs: SocketAddr) -> Both {
        Both { ours: Client::connect(ours), theirs: Client::connect(theirs) }
    }

    /// Asks both the same, but that `lines` may hold what each said before of itself.
    fn ask(&mut self, method: &str, path: &str, lines: [String; 2]) -> [Reply; 2] {
        let clients = [&mut self.ours, &mut self.theirs];
        let mut replies = clients.into_iter().zip(lines).map(|(client, lines)| {
            client.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
            let reply = if method == "HEAD" { client.reply_to_head() } else { client.reply() };
            assert!(reply.complete, "{method} {path}");
            reply
        });
        [replies.next().expect("two"), replies.next().expect("two")]
    }
}

/// What is compared: the status, the fields, the bytes. What differs and is meant to, is made alike here, and nowhere else.
fn essence(reply: &Reply) -> (u16, BTreeMap<String, String>, &[u8]) {
    let mut fields = BTreeMap::new();
    for (name, value) in reply.head.lines().skip(1).filter_map(|line| line.split_once(':')) {
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        let value = match &*name {
            // The clocks of the two may stand on either side of a second.
            "date" => "a date",
            // We do not say who we are.
            "server" => continue,
            // Connections are kept in HTTP/1.1; nginx says so nevertheless, with a 304 it does not always.
            "connection" if value.eq_ignore_ascii_case("keep-alive") => continue,
            // Both are made of time and size; ours has the nanoseconds, so that two edits in one second are told apart.
            "etag" if value.starts_with('"') => "a strong tag",
            // No browser guesses a type here.
            "x-content-type-options" => continue,
            // That it answers in parts is plain from a part; nginx then leaves the field out.
            "accept-ranges" if reply.status == 206 => continue,
            // We compress where it is asked for; this nginx does not.
            "vary" if value == "Accept-Encoding" => continue,
            // Ours names the encoding of text, and calls scripts what RFC 9239 calls them.
            "content-type" => value.split(';').next().unwrap_or_default(),
            // RFC 9110 §10.2.2 allows a path; nginx writes out scheme, host and its own port.
            "location" => value.split_once("://").map_or(value, |(_, rest)| &rest[rest.find('/').unwrap_or(0)..]),
            _ => value,
        };
        // One name for what has two; nginx has the older ones.
        let value = match value {
            "application/javascript" => "text/javascript",
            "audio/x-wav" => "audio/wav",
            value => value,
        };
        fields.insert(name, value.to_owned());
    }
    // The pages of redirects and failures are each server's own, and so are their length, type and fields.
    if reply.status >= 300 && reply.status != 304 {
        ["content-length", "content-type", "cache-control"].into_iter().for_each(|name| drop(fields.remove(name)));
        return (reply.status, fields, &[]);
    }
    (reply.status, fields, &reply.body)
}

fn compare(differences: &mut Vec<String>, what: &str, [ours, theirs]: &[Reply; 2]) {
    let (mut a, b) = (essence(ours), essence(theirs));
    // nginx's table of types is the shorter one: what it does not know has no type of its own there.
    if b.1.get("content-type").is_some_and(|t| t == "application/octet-stream") {
        a.1.extend(b.1.get_key_value("content-type").map(|(name, t)| (name.clone(), t.clone())));
    }
    if a != b {
        let body = if a.2 == b.2 { "the same" } else { "other" };
        differences.push(format!("{what}: {} {:?}\n  nginx: {} {:?}; {body} bytes", a.0, a.1, b.0, b.1));
    }
}

/// Asks both for one address; with `thorough` in every way in which a browser or a crawler does. Gives the page, if it is one.
fn compare_address(both: &mut Both, path: &str, thorough: bool, differences: &mut Vec<String>) -> (u16, String) {
    let plain = || [String::new(), String::new()];
    let got = both.ask("GET", path, plain());
    compare(differences, &format!("GET {path}"), &got);
    if got[0].status == 200 && thorough {
        let mut also = |method: &str, what: &str, lines: [String; 2]| {
            let replies = both.ask(method, path, lines);
            compare(differences, &format!("{method} {path} {what}"), &replies);
        };
        let field = |name: &str| got.each_ref().map(|reply| reply.field(name).unwrap_or_default());
        also("HEAD", "", plain());
        also("GET", "If-None-Match", field("etag").map(|tag| format!("If-None-Match: {tag}\r\n")));
        also("GET", "If-Modified-Since", field("last-modified").map(|date| format!("If-Modified-Since: {date}\r\n")));
        also("GET", "If-Match", field("etag").map(|tag| format!("If-Match: {tag}\r\n")));
        for range in ["bytes=0-99", "bytes=100-", "bytes=-50", "bytes=99999999-"] {
            also("GET", range, [0, 1].map(|_| format!("Range: {range}\r\n")));
        }
        also("GET", "If-Range", field("etag").map(|tag| format!("Range: bytes=0-9\r\nIf-Range: {tag}\r\n")));
        also("GET", "stale If-Range", [0, 1].map(|_| "Range: bytes=0-9\r\nIf-Range: \"old\"\r\n".to_owned()));
    }
    let is_page = got[0].field("content-type").is_some_and(|t| t.starts_with("text/html")) && got[0].status == 200;
    (got[0].status, if is_page { got[0].text() } else { String::new() })
}

#[test]
fn a_site_of_thousands_of_files_is_crawled_like_nginx() {
    let folder = folder();
    documentation(folder.path());
    let root = folder.path().join("site");
    let ours = Tollgate::server(&root);
    let theirs = peers::nginx(&root, "index index.html; keepalive_requests 1000000;");
    let mut both = Both::to(ours.address(), theirs.address);
    let mut differences = Vec::new();
    let mut queue =
        VecDeque::from(["/tree/index.html", "/tree/", "/tree", "/tree/none.html", "/none/"].map(str::to_owned));
    let mut seen: BTreeSet<String> = queue.iter().cloned().collect();
    let mut statuses = BTreeMap::<u16, Vec<String>>::new();
    while let Some(path) = queue.pop_front() {
        let asked: usize = statuses.values().map(Vec::len).sum();
        let (status, page) = compare_address(&mut both, &path, asked.is_multiple_of(7), &mut differences);
        statuses.entry(status).or_default().push(path.clone());
        for link in links(&page, &path) {
            if seen.insert(link.clone()) {
                queue.push_back(link);
            }
        }
    }
    let counts: BTreeMap<u16, usize> = statuses.iter().map(|(status, paths)| (*status, paths.len())).collect();
    println!("{} addresses: {counts:?}", seen.len());
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences[..differences.len().min(20)].join("\n")
    );
    assert!(counts[&200] > MODULES * THINGS, "the crawl found too little: {counts:?}");
    assert_eq!(statuses[&404], ["/tree/none.html", "/none/"], "every link leads somewhere");
    // What no link of a page leads to: what scripts load.
    let mut others = 0;
    for file in files(&root) {
        let path = format!("/{}", file.strip_prefix(&root).expect("beneath it").display());
        if !file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) && seen.insert(path.clone())
        {
            compare_address(&mut both, &path, true, &mut differences);
            others += 1;
        }
    }
    assert!(differences.is_empty() && others > 0, "{}", differences.join("\n"));
    ours.stop();
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of ours").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { all.extend(files(&entry)) } else { all.push(entry) }
    }
    all
}

/// So many minutes of a sound as a WAV file: 8-bit, 8 kHz.
fn tone(minutes: u32) -> Vec<u8> {
    let samples: Vec<u8> = (0..8000 * 60 * minutes).map(|n: u32| 128 + (n / 7 * (n % 251) % 64) as u8).collect();
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + samples.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    for number in [16u32, 0x0001_0001, 8000, 8000, 0x0008_0001] {
        wav.extend(number.to_le_bytes());
    }
    wav.extend(b"data");
    wav.extend((samples.len() as u32).to_le_bytes());
    wav.extend(samples);
    wav
}

/// As a media element asks: from the beginning, with the connection given up when it has enough; then from where the listener has moved
/// to, on the condition that it is still the same file; then the end, where some formats have their index.
#[test]
fn audio_is_sought_in() {
    let root = folder();
    let wav = tone(1);
    fs::write(root.path().join("tone.wav"), &wav).expect("a file of ours");
    let ours = Tollgate::server(root.path());
    let theirs = peers::nginx(root.path(), "");
    let mut both = Both::to(ours.address(), theirs.address);
    let begin = both.ask("GET", "/tone.wav", [0, 1].map(|_| "Range: bytes=0-\r\n".to_owned()));
    let mut differences = Vec::new();
    compare(&mut differences, "from the beginning", &begin);
    assert_eq!(begin[0].status, 206);
    assert_eq!(begin[0].field("content-range"), Some(format!("bytes 0-{}/{}", wav.len() - 1, wav.len())));
    assert_eq!(begin[0].field("content-type").as_deref(), Some("audio/wav"));
    let tags = begin.each_ref().map(|reply| reply.field("etag").unwrap_or_default());
    // Given up in the middle: the next seek comes on another connection, and this one costs nobody anything.
    let mut impatient = Client::connect_narrow(ours.address());
    impatient.send("GET /tone.wav HTTP/1.1\r\nHost: test\r\nRange: bytes=0-\r\n\r\n");
    impatient.read_exactly(2000);
    impatient.reset();
    for at in [wav.len() / 2, wav.len() / 4 * 3 + 1, 44, wav.len() - 1] {
        let lines =
            tags.clone().map(|tag| format!("Range: bytes={at}-\r\nIf-Range: {tag}\r\nAccept-Encoding: identity\r\n"));
        let replies = both.ask("GET", "/tone.wav", lines);
        compare(&mut differences, &format!("from {at}"), &replies);
        assert_eq!(replies[0].status, 206, "{at}");
        assert!(replies[0].body == wav[at..], "{at}");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    ours.stop();
}

/// Chromium shows a page and moves in a sound, to where it has not read yet. Not run where there is no Chromium, which is said.
#[test]
fn chromium_shows_a_page_and_moves_in_a_sound() {
    let Some((browser, _profile)) = peers::chromium() else { return };
    let root = folder();
    fs::write(root.path().join("tone.wav"), tone(20)).expect("a file of ours");
    fs::write(root.path().join("style.css"), "h1 { color: rgb(1, 2, 3) }").expect("a file of ours");
    // The document of the frame is held open until all is said: the browser prints the page when it is loaded.
    let page = "<!doctype html><link rel=stylesheet href=style.css><h1>A page</h1><p id=said></p>\
                <audio src=tone.wav preload=metadata muted></audio><iframe></iframe><script>\
                const audio = document.querySelector('audio');\
                const held = document.querySelector('iframe').contentDocument;\
                held.open();\
                audio.onloadedmetadata = () => { audio.currentTime = 900 };\
                audio.onseeked = () => {\
                  document.querySelector('#said').textContent = `at ${audio.currentTime} of ${audio.duration}, ` +\
                    getComputedStyle(document.querySelector('h1')).color;\
                  held.close();\
                };</script>";
    let shown = played(browser, root.path(), page, "tone.wav", 2);
    assert!(shown.out.contains("at 900 of 1200, rgb(1, 2, 3)"), "{}\n{}", shown.out, shown.err);
}

/// What a browser makes of `page` in the folder. The player on it asks for `file` in at least so many parts.
pub(crate) fn played(mut browser: Command, root: &Path, page: &str, file: &str, parts: usize) -> Ended {
    fs::write(root.join("index.html"), page).expect("a file of ours");
    let mut command = Tollgate::command("server");
    command.arg(root).args(["--listen", "127.0.0.1:0", "--log", "common"]);
    let server = Tollgate::listening(&mut command, 1, folder());
    let shown = run(browser.arg(server.url("/")));
    let asked = format!("\"GET /{file} HTTP/1.1\" 206 ");
    server
        .process
        .out_lines(|lines| (lines.iter().filter(|line| line.contains(&asked)).count() >= parts).then_some(()));
    shown
}
