//! Notices of changed files: pages that reload by themselves (`server --dev`), and files that show a change at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tests::{Client, PATIENCE, Process, Tollgate, descriptors, eventually, folder, peers};

fn server(root: &Path, options: &[&str]) -> Tollgate {
    let mut command = Tollgate::command("server");
    command.arg(root).args(["--listen", "127.0.0.1:0"]).args(options);
    Tollgate::listening(&mut command, 1, folder())
}

/// A page with a style sheet, and a folder with another page.
fn site() -> tempfile::TempDir {
    let root = folder();
    fs::create_dir(root.path().join("sub")).expect("a folder of ours");
    for (name, text) in [
        ("index.html", "<!doctype html><title>One</title>"),
        ("style.css", "a {}"),
        ("sub/index.html", "<title>Sub</title>"),
        ("sub/data.json", "{}"),
    ] {
        fs::write(root.path().join(name), text).expect("a file of ours");
    }
    root
}

/// A browser's EventSource.
struct Events(Client);

impl Events {
    fn listen(server: &Tollgate) -> Events {
        Events::listen_at(server, "/.tollgate/changes")
    }

    fn listen_at(server: &Tollgate, path: &str) -> Events {
        let mut client = Client::connect(server.address());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n"));
        let head = client.read_until("\r\n\r\n").to_lowercase();
        assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
        Events(client)
    }

    /// Version and changed paths, as they stand there.
    fn next(&mut self) -> (u64, String) {
        let text = self.0.read_until("}\n\n");
        let (_, data) = text.split_once("data: {\"version\":").expect("an event");
        let (version, changed) = data.split_once(",\"changed\":").expect("an event");
        (version.parse().expect("a number"), changed.trim_end_matches("}\n\n").to_owned())
    }
}

#[test]
fn a_page_is_told_when_a_file_beside_it_changes() {
    let root = site();
    let server = server(root.path(), &["--dev", "--workers", "2"]);
    let page = Client::connect(server.address()).get("/");
    assert_eq!(page.field("cache-control").as_deref(), Some("no-store"));
    assert!(page.text().starts_with("<!doctype html><title>One</title>"), "{}", page.text());
    let text = page.text();
    let (_, version) = text.split_once("<script src=\"/.tollgate/live.js?").expect("the script");
    let first: u64 = version.strip_suffix("\"></script>\n").and_then(|n| n.parse().ok()).expect("a number");
    assert!(first > 0, "another run of the program counts from elsewhere");
    let script = Client::connect(server.address()).get("/.tollgate/live.js");
    assert!(script.text().contains("EventSource(`/.tollgate/changes?"));
    assert_eq!(script.field("content-type").as_deref(), Some("text/javascript; charset=utf-8"));
    // Several listeners, on both workers.
    let mut listeners: Vec<Events> = (0..6).map(|_| Events::listen(&server)).collect();
    for listener in &mut listeners {
        assert_eq!(listener.next(), (first, "[]".to_owned()));
    }
    let mut last = first;
    for (name, text) in [("style.css", "b {}"), ("index.html", "<title>Two</title>"), ("new.txt", "")] {
        fs::write(root.path().join(name), text).expect("a file of ours");
        let told: Vec<(u64, String)> = listeners.iter_mut().map(Events::next).collect();
        assert!(told[0].0 > last && told.iter().all(|t| *t == told[0]), "{told:?}");
        assert_eq!(told[0].1, format!("[\"/{name}\"]"));
        last = told[0].0;
    }
    let page = Client::connect(server.address()).get("/").text();
    assert!(page.starts_with("<title>Two</title>") && page.contains(&format!("live.js?{last}")), "{page}");
    // A page that was loaded before all that and listens now, or again.
    let told = Events::listen_at(&server, &format!("/.tollgate/changes?{first}")).next();
    assert_eq!(told, (last, "[\"/style.css\",\"/index.html\",\"/new.txt\"]".to_owned()));
    // Or that another run of the program gave.
    assert_eq!(Events::listen_at(&server, "/.tollgate/changes?0").next(), (last, "[]".to_owned()));
    // A folder is watched when something of it was asked for, even in vain.
    fs::write(root.path().join("sub/unseen.txt"), "").expect("a file of ours");
    assert_eq!(Client::connect(server.address()).get("/sub/missing.html").status, 404);
    fs::write(root.path().join("sub/missing.html"), "there").expect("a file of ours");
    let (version, changed) = listeners[0].next();
    assert_eq!((version, &*changed), (last + 1, "[\"/sub/missing.html\"]"));
    // The stop waits for no listener.
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let (_, end) = listeners.remove(1).0.read_to_end();
    assert_eq!(end, tests::End::Closed);
}

#[test]
fn what_is_worked_on_is_never_old_and_never_compressed() {
    let root = site();
    fs::write(root.path().join("style.css.gz"), "old").expect("a file of ours");
    let server = server(root.path(), &["--dev"]);
    let mut client = Client::connect(server.address());
    for n in 0..50 {
        fs::write(root.path().join("style.css"), format!("a {{ top: {n}px }}")).expect("a file of ours");
        let reply = client.ask("GET /style.css HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip, br, zstd\r\n\r\n");
        assert_eq!((reply.text(), reply.field("content-encoding")), (format!("a {{ top: {n}px }}"), None));
    }
    // What is put to the end of a page counts in its length, and its tag says that it is another form of it.
    let page = client.get("/sub/");
    assert!(page.field("etag").is_some_and(|tag| tag.starts_with("W/")), "{}", page.head);
    client.send("HEAD /sub/ HTTP/1.1\r\nHost: test\r\n\r\n");
    let head = client.reply_to_head();
    assert_eq!(head.field("content-length"), Some(page.body.len().to_string()));
    assert!(!client.get("/sub/data.json").text().contains("script"));
    let refused = client.ask("POST /.tollgate/changes HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((refused.status, refused.field("allow").as_deref()), (405, Some("GET, HEAD")));
}

/// The page that says that there is none reloads when there is one.
#[test]
fn a_page_that_is_missing_waits_for_it() {
    let root = site();
    let server = server(root.path(), &["--dev", "--cors"]);
    let mut client = Client::connect(server.address());
    let mut listener = Events::listen(&server);
    let first = listener.next().0;
    let ask = |client: &mut Client, accept: &str| {
        client.ask(format!("GET /sub/new.html HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\n\r\n"))
    };
    let missing = ask(&mut client, "text/html,*/*;q=0.8");
    assert_eq!((missing.status, missing.field("access-control-allow-origin").as_deref()), (404, Some("*")));
    let script = format!("<script src=\"/.tollgate/live.js?{first}\"></script>\n");
    assert!(missing.text().ends_with(&script), "{}", missing.text());
    assert!(!ask(&mut client, "*/*").text().contains("script"), "text for programs");
    fs::write(root.path().join("sub/new.html"), "there").expect("a file of ours");
    assert_eq!(listener.next().1, "[\"/sub/new.html\"]");
    assert!(ask(&mut client, "text/html").text().starts_with("there"));
    // Its folder is not there either.
    assert_eq!(client.get("/later/deep/page.html").status, 404);
    fs::create_dir(root.path().join("later")).expect("a folder of ours");
    assert_eq!(listener.next().1, "[]", "anything may be different");
}

/// What an editor has beside a file, while it is open and when it is written, is nothing that a page shows.
#[test]
fn a_file_that_an_editor_replaces_is_all_that_is_told() {
    let root = site();
    let server = server(root.path(), &["--dev"]);
    let at = |name: &str| root.path().join(name);
    let write = |name: &str| fs::write(at(name), "b {}").expect("a file of ours");
    let rename = |from: &str, to: &str| fs::rename(at(from), at(to)).expect("a file of ours");
    let remove = |name: &str| fs::remove_file(at(name)).expect("a file of ours");
    assert_eq!(Client::connect(server.address()).get("/").status, 200);
    let mut listener = Events::listen(&server);
    listener.next();
    let vim = || {
        write(".style.css.swp");
        write("4913");
        remove("4913");
        rename("style.css", "style.css~");
        write("style.css");
        remove("style.css~");
    };
    let sed = || {
        write("sedJ2d4u1");
        rename("sedJ2d4u1", "style.css");
    };
    let emacs = || {
        write("#style.css#");
        rename("style.css", "style.css~");
        write("style.css");
        remove("#style.css#");
    };
    for save in [&vim as &dyn Fn(), &sed, &emacs] {
        // On a machine that stops in the middle of it, what was there until then is told.
        let is_told = (0..20).any(|_| {
            save();
            listener.next().1 == "[\"/style.css\"]"
        });
        assert!(is_told);
    }
}

/// As a build does it that begins with nothing.
#[test]
fn a_page_waits_for_a_folder_that_is_made_anew() {
    let above = folder();
    let root = above.path().join("build/site");
    let make = |text: &str| {
        fs::create_dir_all(&root).expect("a folder of ours");
        fs::write(root.join("index.html"), text).expect("a file of ours");
    };
    make("one");
    let server = server(&root, &["--dev", "--workers", "2"]);
    let mut client = Client::connect(server.address());
    assert!(client.get("/").text().starts_with("one"));
    let mut listener = Events::listen(&server);
    let mut last = listener.next().0;
    for text in ["two", "three"] {
        fs::remove_dir_all(above.path().join("build")).expect("a folder of ours");
        let removed = listener.next().0;
        // Whoever loads the page now sees that there is none, and waits.
        assert_eq!((client.get("/").status, removed > last), (404, true));
        make(text);
        // It is told, and more than once if the load comes between the folder and the file.
        last = listener.next().0;
        while !client.get("/").text().starts_with(text) {
            last = listener.next().0;
        }
    }
}

#[test]
fn so_many_listen_and_no_more() {
    let root = site();
    let server = server(root.path(), &["--dev", "--workers", "1"]);
    let idle = descriptors(server.id());
    let listeners: Vec<Events> = (0..64).map(|_| Events::listen(&server)).collect();
    let refused = Client::connect(server.address()).get("/.tollgate/changes");
    assert_eq!((refused.status, refused.field("retry-after").as_deref()), (503, Some("1")));
    drop(listeners);
    // Those that have gone are noticed by their ends.
    eventually("connections", || descriptors(server.id()), |n| *n <= idle + 1);
    Events::listen(&server);
}

/// Both at once: browsers have some of what they offer over TLS only.
#[test]
fn pages_reload_over_tls_too() {
    let (root, data) = (site(), folder());
    let mut command = Tollgate::command("server");
    command.arg(root.path()).args(["--listen", "127.0.0.1:0", "--dev", "--tls"]).env("XDG_DATA_HOME", data.path());
    let server = Tollgate::listening(&mut command, 1, folder());
    let authority = data.path().join("tollgate/authority.pem");
    let authority = authority.to_str().expect("text");
    let page = peers::curl(["-i", "--cacert", authority, &server.url("/")]);
    assert!(page.out.contains("<title>One</title>") && page.out.contains("/.tollgate/live.js?"), "{}", page.err);
    assert!(page.out.to_lowercase().contains("cache-control: no-store"), "{}", page.out);
    let script = peers::curl(["--cacert", authority, &server.url("/.tollgate/live.js")]);
    assert!(script.out.contains("EventSource(`/.tollgate/changes?"), "{}", script.err);
    let mut listen = Command::new("curl");
    listen.args(["-sS", "-q", "-N", "--noproxy", "*", "--cacert", authority, &server.url("/.tollgate/changes")]);
    let listener = Process::start(&mut listen);
    let told = |part: &str| listener.out_line(|line| line.contains(part).then(|| line.to_owned()));
    told("\"changed\":[]");
    fs::write(root.path().join("style.css"), "b {}").expect("a file of ours");
    told("\"changed\":[\"/style.css\"]");
    drop(listener);
    server.stop();
}

/// Where other programs have used up what the system can watch: said, since nothing else would tell.
#[test]
fn what_the_system_does_not_watch_is_warned_of() {
    let started = |name: &str, limit: fn(&Path) -> usize| {
        let (root, program) = (site(), Tollgate::command("server"));
        let limit = limit(&root.path().canonicalize().expect("a folder of ours")).to_string();
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "sh", "-c", "echo \"$0\" >\"/proc/sys/user/$1\" && shift && exec \"$@\""]);
        command.args([&limit, name]).arg(program.get_program()).arg(root.path());
        command.args(["--listen", "127.0.0.1:0", "--dev"]);
        (Tollgate::listening(&mut command, 1, folder()), root)
    };
    let (server, _root) = started("max_inotify_instances", |_| 0);
    server.process.logged("pages do not reload by themselves: the system does not tell of changed files", 1);
    server.stop();
    // The folders on the way to the root, and the root.
    let (server, _root) = started("max_inotify_watches", |root| root.ancestors().count());
    let mut client = Client::connect(server.address());
    assert_eq!(client.get("/").status, 200);
    assert_eq!(server.process.log().matches("reload").count(), 0);
    for _ in 0..2 {
        assert_eq!(client.get("/sub/").status, 200);
    }
    server.process.logged("not every page reloads by itself: the system does not watch another folder", 1);
    drop(client);
    server.stop();
}

/// Without `--dev` too: files that are asked for all the time show a change before the next look at them is due, which is once a second. The
/// machine may be busy at one or the other.
#[test]
fn a_change_is_noticed_at_once() {
    let root = site();
    let names: Vec<String> = (0..9).map(|n| format!("{n}.css")).collect();
    names.iter().for_each(|name| fs::write(root.path().join(name), "old").expect("a file of ours"));
    let server = server(root.path(), &["--workers", "1"]);
    let mut client = Client::connect(server.address());
    let mut is = |name: &str, content: &str| client.get(&format!("/{name}")).text() == content;
    // Until they are old enough to be believed, and were looked at twice.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) {
        assert!(names.iter().all(|name| is(name, "old")));
    }
    let noticed = names.iter().map(|name| {
        // All were looked at just now: no look is due soon that would find the change.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(50) {
            names.iter().for_each(|name| _ = is(name, ""));
        }
        fs::write(root.path().join(name), "at once").expect("a file of ours");
        let changed = Instant::now();
        while !is(name, "at once") {
            assert!(changed.elapsed() < PATIENCE);
            names.iter().for_each(|name| _ = is(name, ""));
        }
        changed.elapsed()
    });
    let noticed: Vec<Duration> = noticed.collect();
    let at_once = noticed.iter().filter(|took| **took < Duration::from_millis(300)).count();
    assert!(at_once > 5, "{noticed:?}");
    assert!(Client::connect(server.address()).get("/.tollgate/live.js").status == 404, "only with --dev");
}

/// Chromium loads the page again when a file beside it changes. Not run where there is no Chromium, which is said.
#[test]
fn chromium_reloads_a_page_by_itself() {
    let Some((mut browser, _profile)) = peers::chromium() else { return };
    let root = site();
    // The first time the page is never done, so that it is printed when it was loaded a second time.
    let page = "<!doctype html><p id=said></p><iframe></iframe><script>\
                if (sessionStorage.seen) document.querySelector('#said').textContent = 'loaded again';\
                else { sessionStorage.seen = 1; document.querySelector('iframe').contentDocument.open(); }\
                </script>";
    fs::write(root.path().join("index.html"), page).expect("a file of ours");
    let server = server(root.path(), &["--dev", "--log", "common"]);
    assert_says(browser.arg(server.url("/")), &server, &[root.path().join("beside.txt")], "loaded again");
}

/// A listing too, within a page that does not listen itself: it is XHTML, and done when the listing was loaded a second time.
#[test]
fn chromium_reloads_a_listing_by_itself() {
    let Some((mut browser, _profile)) = peers::chromium() else { return };
    let root = site();
    fs::create_dir(root.path().join("listed")).expect("a folder of ours");
    let page = "<html xmlns='http://www.w3.org/1999/xhtml'><body><p id='said'/><iframe id='held'></iframe>\
                <iframe id='listing' src='/listed/'></iframe><script>\
                let times = 0;\
                document.querySelector('#held').contentDocument.open();\
                document.querySelector('#listing').onload = () => {\
                  times += 1;\
                  if (times === 1) return;\
                  document.querySelector('#said').textContent = 'loaded again';\
                  document.querySelector('#held').contentDocument.close();\
                };\
                </script></body></html>";
    fs::write(root.path().join("page.xhtml"), page).expect("a file of ours");
    let server = server(root.path(), &["--dev", "--listing", "--log", "common"]);
    assert_says(browser.arg(server.url("/page.xhtml")), &server, &[root.path().join("listed/new.txt")], "loaded again");
}

/// A style sheet and its map, as compilers write them: the page stays, and takes the style anew.
#[test]
fn chromium_takes_a_style_sheet_anew() {
    let Some((mut browser, _profile)) = peers::chromium() else { return };
    let root = site();
    let page = "<!doctype html><link rel=stylesheet href=style.css><p id=said></p><iframe></iframe><script>\
                const held = document.querySelector('iframe').contentDocument;\
                const say = (text) => { document.querySelector('#said').textContent = text; held.close(); };\
                held.open();\
                if (sessionStorage.seen) say('loaded again');\
                sessionStorage.seen = 1;\
                new MutationObserver((_, observer) => {\
                  if (!document.querySelector('[href*=changed]')) return;\
                  observer.disconnect();\
                  say('only the style');\
                }).observe(document, { childList: true, subtree: true });\
                </script>";
    fs::write(root.path().join("index.html"), page).expect("a file of ours");
    let server = server(root.path(), &["--dev", "--log", "common"]);
    let files = ["style.css", "style.css.map"].map(|name| root.path().join(name));
    assert_says(browser.arg(server.url("/")), &server, &files, "only the style");
}

/// Changes the files until the browser is done, and looks at what it shows.
fn assert_says(browser: &mut Command, server: &Tollgate, files: &[PathBuf], said: &str) {
    let mut browser = Process::start(browser);
    server.process.out_line(|line| line.contains("/.tollgate/live.js").then_some(()));
    let begun = Instant::now();
    // Until the page listens and hears of it; nothing tells when it does.
    while browser.is_running() && begun.elapsed() < PATIENCE {
        for file in files {
            fs::write(file, format!("{:?}", begun.elapsed())).expect("a file of ours");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let shown = browser.wait();
    assert!(shown.out.contains(&format!("<p id=\"said\">{said}</p>")), "{}\n{}", shown.out, shown.err);
}
