//! The keys of `files` and the options of `server`, and what is never served.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tests::{Client, Tollgate, eventually, folder, run};

use crate::files::{curl_i, site};

fn server(root: &Path, options: &[&str]) -> Tollgate {
    let mut command = Tollgate::command("server");
    command.arg(root).args(["--listen", "127.0.0.1:0", "--workers", "1"]).args(options);
    Tollgate::listening(&mut command, 1, folder())
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

#[test]
fn a_single_page_application() {
    let root = site();
    let server = server(root.path(), &["--spa", "--cache", "1h"]);
    for path in ["/", "/users/7", "/users/7/"] {
        let (status, head, body) = curl_i(&server.url(path), &[]);
        assert_eq!((status, body.contains("Home")), (200, true), "{path}");
        // A new version shows at once; what its page names may be kept.
        assert!(lower(&head).contains("cache-control: no-cache\r\n"), "{head}");
    }
    let (_, head, body) = curl_i(&server.url("/ten.txt"), &[]);
    assert_eq!(
        (body.as_str(), lower(&head).contains("cache-control: max-age=3600\r\n")),
        ("0123456789", true),
        "{head}"
    );
    assert_eq!(curl_i(&server.url("/%00"), &[]).0, 400);
}

#[test]
fn files_for_other_sites_and_folders_that_show_themselves() {
    let root = site();
    let server = server(root.path(), &["--cors", "--listing", "--cache", "0"]);
    let (_, head, _) = curl_i(&server.url("/data.json"), &[]);
    assert!(lower(&head).contains("access-control-allow-origin: *"), "{head}");
    assert!(lower(&head).contains("cache-control: no-cache"), "{head}");
    let (status, head, _) = curl_i(&server.url("/data.json"), &["-X", "OPTIONS"]);
    assert_eq!((status, lower(&head).contains("access-control-allow-methods: get, head, options")), (204, true));
    assert!(lower(&head).contains("access-control-max-age: 7200"), "{head}");
    // A script is to see what failed, too.
    for (path, arguments, wanted) in [
        ("/none", &[][..], 404),
        ("/none", &["-H", "Accept: text/html"], 404),
        ("/data.json", &["-X", "DELETE"], 405),
        ("/ten.txt", &["-H", "Range: bytes=99-"], 416),
    ] {
        let (status, head, _) = curl_i(&server.url(path), arguments);
        assert_eq!((status, lower(&head).matches("access-control-allow-origin: *").count()), (wanted, 1), "{head}");
    }
    let (status, _, page) = curl_i(&server.url("/docs/empty/"), &[]);
    assert_eq!((status, page.contains("0 folders, 0 files")), (200, true));
}

/// As Nix and OSTree keep them.
#[test]
fn files_that_are_all_of_1970() {
    let root = folder();
    let (page, next) = (root.path().join("page.txt"), root.path().join("next"));
    let write = |path: &Path, content: &str| {
        fs::write(path, content).expect("a file of ours");
        let file = fs::File::options().append(true).open(path).expect("a file of ours");
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)).expect("a time");
    };
    write(&page, "one");
    let server = Tollgate::server(root.path());
    let (_, head, body) = curl_i(&server.url("/page.txt"), &[]);
    assert_eq!(body, "one");
    assert!(!lower(&head).contains("last-modified"), "{head}");
    let tag = lower(&head).lines().find_map(|line| line.strip_prefix("etag: ").map(str::to_owned)).expect("a tag");
    let condition = format!("If-None-Match: {tag}");
    assert_eq!(curl_i(&server.url("/page.txt"), &["-H", &condition]).0, 304);
    write(&next, "two");
    fs::rename(&next, &page).expect("a file of ours");
    let ask = || curl_i(&server.url("/page.txt"), &["-H", &condition]).2;
    tests::eventually("the new file", ask, |body| body == "two");
}

#[test]
fn a_folder_that_stands_beneath_a_path_of_its_own() {
    let folder = folder();
    std::os::unix::fs::symlink(site().keep(), folder.path().join("site")).expect("a link of ours");
    let route = "[[route]]\npath = \"/shop/*\"\n\
                 files = { root = \"site\", strip_prefix = \"/shop/\", listing = true, fallback = \"/ten.txt\" }\n";
    let server = Tollgate::config_in(folder, route);
    for (path, status, what) in [
        ("/shop/", 200, "Home"),
        ("/shop/docs/", 200, "Docs"),
        ("/shop/ten.txt?x", 200, "0123456789"),
        ("/shop/none", 200, "0123456789"),
        ("/shop/docs/empty/", 200, "/shop/docs/empty/"),
        ("/ten.txt", 404, ""),
    ] {
        let (seen, _, body) = curl_i(&server.url(path), &[]);
        assert_eq!((seen, body.contains(what)), (status, true), "{path}: {body}");
    }
    for (path, location) in [("/shop", "location: /shop/\r"), ("/shop/docs?a", "location: /shop/docs/?a\r")] {
        let (status, head, _) = curl_i(&server.url(path), &[]);
        assert_eq!((status, lower(&head).contains(location)), (301, true), "{head}");
    }
}

#[test]
fn a_route_says_in_its_failures_too_who_may_read_them() {
    let folder = folder();
    fs::write(folder.path().join("404.html"), "ours").expect("a file of ours");
    let text = "[[route]]\npath = \"/down\"\nproxy = { upstream = \"down\" }\n\
                response_headers = { set = { access-control-allow-origin = \"*\" } }\n\
                [[route]]\npath = \"/*\"\nfiles = { root = \".\" }\nerror_pages = { \"404\" = \"404.html\" }\n\
                response_headers = { set = { Access-Control-Allow-Origin = \"https://a.test\", x-env = \"1\" } }\n\
                [upstream.down]\nservers = [\"127.0.0.1:1\"]\n";
    let server = Tollgate::config_in(folder, text);
    let mut client = Client::connect(server.address());
    let seen = |reply: tests::Reply| {
        (reply.status, reply.field("access-control-allow-origin"), reply.field("x-env"), reply.text())
    };
    let (origin, any) = (Some("https://a.test".to_owned()), Some("*".to_owned()));
    assert_eq!(seen(client.get("/none")), (404, origin.clone(), None, "ours".to_owned()));
    let page = seen(client.get("/404.html"));
    assert_eq!((page.0, page.1, page.2.as_deref()), (200, origin, Some("1")));
    let down = seen(client.get("/down"));
    assert_eq!((down.0, down.1), (502, any));
}

#[test]
fn options_that_make_no_sense_are_told() {
    for (arguments, text) in [
        (&["--cache", "1w"][..], "expected a time such as 30s, 10m, 1h or 7d, or 0"),
        (&["--cache", "-5s"], "'-5s' for '--cache <TIME>': expected a time such as"),
        (&["-p", "80"], "write --listen 127.0.0.1:80, or --listen 0.0.0.0:80 for everybody"),
        (&["--port", "x"], "write --listen with an address and a port"),
        (&["--spa", "--config", "x.toml"], "leave out --spa, or `--config`"),
        (&["--open", "--listen", "unix:/tmp/x"], "--open needs an IP address"),
    ] {
        let ended = run(Tollgate::command("server").args(arguments));
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.err.contains(text), "{arguments:?}: {}", ended.err);
    }
}

/// The browser gets what is listened on, and nothing before: another program may be there.
#[test]
fn the_site_is_opened_where_it_is() {
    let (root, data) = (site(), folder());
    let browser = data.path().join("browser");
    let opened = data.path().join("opened");
    let script = format!("#!/bin/sh\necho \"$1\" >{0}.new && mv {0}.new {0}\n", opened.display());
    fs::write(&browser, script).expect("a file of ours");
    fs::set_permissions(&browser, Permissions::from_mode(0o755)).expect("a file of ours");
    let command = |listen: &str, options: &[&str]| {
        let mut command = Tollgate::command("server");
        command.arg(root.path()).args(["--open", "--listen", listen]).args(options);
        command.env("BROWSER", &browser).env("XDG_DATA_HOME", data.path());
        command
    };
    for (options, host) in [(&[][..], "http://127.0.0.1"), (&["--tls"], "https://localhost")] {
        let server = Tollgate::listening(&mut command("127.0.0.1:0", options), 1, folder());
        let url = eventually("a page", || fs::read_to_string(&opened).unwrap_or_default(), |url| !url.is_empty());
        assert_eq!(url, format!("{host}:{}/\n", server.address().port()));
        assert!(!server.process.log().contains("handshake"), "{}", server.process.log());
        fs::remove_file(&opened).expect("it is there");
        server.stop();
    }
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = run(&mut command(&other.local_addr().expect("its address").to_string(), &[]));
    assert_eq!((taken.code, opened.exists()), (Some(2), false), "{}", taken.err);
}

#[test]
fn links_go_as_far_as_they_are_told() {
    for (policy, inner, outer) in [("beneath", 200, 403), ("refuse", 403, 403), ("follow", 200, 200)] {
        let folder = folder();
        let root = folder.path().join("site");
        fs::create_dir_all(&root).expect("a folder of ours");
        fs::write(root.join("plain.txt"), "plain").expect("a file of ours");
        fs::write(folder.path().join("outside.txt"), "outside").expect("a file of ours");
        symlink("plain.txt", root.join("inner.txt")).expect("a link of ours");
        symlink("../outside.txt", root.join("outer.txt")).expect("a link of ours");
        let text = format!("[[route]]\npath = \"/*\"\nfiles = {{ root = \"site\", symlinks = \"{policy}\" }}\n");
        let server = Tollgate::config_in(folder, &text);
        let statuses = ["/plain.txt", "/inner.txt", "/outer.txt"].map(|path| curl_i(&server.url(path), &[]).0);
        assert_eq!(statuses, [200, inner, outer], "{policy}");
        assert_eq!(curl_i(&server.url("/..%2foutside.txt"), &[]).0, 404, "{policy}");
    }
}

#[test]
fn what_is_no_file_is_never_opened() {
    let root = site();
    mknodat(CWD, root.path().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe of ours");
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).expect("a socket of ours");
    symlink("/dev/zero", root.path().join("zero")).expect("a link of ours");
    let server = server(root.path(), &["--listing"]);
    let mut client = Client::connect(server.address());
    for (path, status) in [("/pipe", 404), ("/socket", 404), ("/zero", 403), ("/ten.txt", 200)] {
        assert_eq!(client.get(path).status, status, "{path}");
    }
    let page = client.get("/docs/../").text();
    assert!(!page.contains("pipe") && !page.contains("socket") && !page.contains("zero"), "{page}");
    // Nobody ever opened it for reading: a writer that does not wait is refused.
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    let opened = rustix::fs::open(root.path().join("pipe"), flags, Mode::empty());
    assert_eq!(opened.unwrap_err(), rustix::io::Errno::NXIO);
}

#[test]
fn methods_that_change_things_are_not_allowed() {
    let root = site();
    let server = server(root.path(), &["--spa"]);
    let mut client = Client::connect(server.address());
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in ["/ten.txt", "/docs/", "/none"] {
            let reply = client.ask(format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
            let allow = reply.field("allow");
            assert_eq!((reply.status, allow.as_deref()), (405, Some("GET, HEAD, OPTIONS")), "{method} {path}");
        }
    }
    assert_eq!(fs::read_to_string(root.path().join("ten.txt")).expect("a file of ours"), "0123456789");
}

#[test]
fn every_type_is_named_and_none_is_guessed() {
    let root = site();
    let server = server(root.path(), &[]);
    for (path, kind) in [
        ("/index.html", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/data.json", "application/json"),
        ("/logo.svg", "image/svg+xml; charset=utf-8"),
        ("/pixel.png", "image/png"),
        ("/noextension", "application/octet-stream"),
    ] {
        let reply = Client::connect(server.address()).get(path);
        assert_eq!(reply.field("content-type").as_deref(), Some(kind), "{path}");
        assert_eq!(reply.field("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
    }
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    let root = folder();
    let told = |server: &Tollgate| server.process.log();
    let spa = server(root.path(), &["--spa"]);
    spa.process.logged("/index.html cannot answer for paths that are not there", 1);
    assert_eq!(curl_i(&spa.url("/users/7"), &[]).0, 404);
    let checked = run(Tollgate::command("server").arg(root.path()).args(["--spa", "--check"]));
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    assert!(
        checked.err.starts_with("warning: ") && checked.err.contains("no such file; they are a 404"),
        "{}",
        checked.err
    );
    fs::write(root.path().join("index.html"), "home").expect("a file of ours");
    // It comes to be at once.
    assert_eq!(curl_i(&spa.url("/users/8"), &[]).2, "home");
    assert_eq!(told(&server(root.path(), &["--spa"])), "");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Root may read everything.
    let other = |arguments: &[&str]| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(Tollgate::command("server").get_program()).arg(root.path());
        command.args(["--listen", "127.0.0.1:0", "--workers", "1"]).args(arguments);
        Tollgate::listening(&mut command, 1, folder())
    };
    for (mode, arguments, text, status) in [
        (0o700, &["--spa"][..], "keep this user out: every file of it is a 403", 403),
        (0o711, &["--listing"], "hide its names from this user: it is not listed", 200),
    ] {
        fs::set_permissions(root.path(), Permissions::from_mode(mode)).expect("a folder of ours");
        let closed = other(arguments);
        closed.process.logged(text, 1);
        assert_eq!(told(&closed).lines().count(), 1, "{}", told(&closed));
        assert_eq!(curl_i(&closed.url("/index.html"), &[]).0, status);
    }
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("a folder of ours");
    assert_eq!(told(&other(&["--listing"])), "");
}

#[test]
fn what_may_not_be_read_is_forbidden() {
    let root = site();
    // Root may read everything, so the program has to run as somebody else for this.
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(root.path().join("ten.txt"), Permissions::from_mode(0o000)).expect("a file of ours");
        let server = server(root.path(), &[]);
        assert_eq!(curl_i(&server.url("/ten.txt"), &[]).0, 403);
        return;
    }
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("a folder of ours");
    fs::set_permissions(root.path().join("ten.txt"), Permissions::from_mode(0o600)).expect("a file of ours");
    let program = Tollgate::command("server");
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program.get_program());
    command.arg(root.path()).args(["--listen", "127.0.0.1:0", "--workers", "1"]);
    let server = Tollgate::listening(&mut command, 1, folder());
    assert_eq!(curl_i(&server.url("/ten.txt"), &[]).0, 403);
    assert_eq!(curl_i(&server.url("/data.json"), &[]).0, 200);
}
