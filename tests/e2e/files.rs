//! `server DIR` and curl: methods, redirects, ranges, conditions, and what an edit does.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tests::{Client, Signal, Tollgate, folder, peers::curl};

/// A small site.
pub(crate) fn site() -> TempDir {
    let root = folder();
    let write = |name: &str, content: &[u8]| fs::write(root.path().join(name), content).expect("a file of ours");
    fs::create_dir_all(root.path().join("docs/empty")).expect("a folder of ours");
    write("index.html", b"<!doctype html><title>Home</title>\n");
    write("docs/index.html", b"<!doctype html><title>Docs</title>\n");
    write("ten.txt", b"0123456789");
    write("empty.txt", b"");
    write("style.css", b"body { margin: 0 }\n");
    write("app.js", b"console.log(1)\n");
    write("data.json", b"{\"a\": 1}\n");
    write("logo.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n");
    write("pixel.png", b"\x89PNG\r\n\x1a\n");
    write("noextension", b"bytes");
    write("a b.txt", b"space\n");
    write("caf\u{e9}.txt", b"accent\n");
    write("100%.txt", b"percent\n");
    write("a+b&c.txt", b"plus\n");
    write(".hidden", b"secret\n");
    write("docs/large.bin", &large());
    root
}

/// Larger than what is kept in memory, and no two places in it alike.
pub(crate) fn large() -> Vec<u8> {
    let mut x = 1u64;
    let mut word = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        x.to_be_bytes()
    };
    (0..(3 << 20) / 8 + 5).flat_map(|_| word()).collect()
}

/// The head and the body that curl printed with `-i`.
pub(crate) fn curl_i(url: &str, args: &[&str]) -> (u16, String, String) {
    let ended = curl(["-i", "--path-as-is", url].iter().chain(args));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let (head, body) = ended.out.split_once("\r\n\r\n").unwrap_or((&ended.out, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.trim().parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {}", ended.out)), head.to_owned(), body.to_owned())
}

fn field(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().to_owned())
}

#[test]
fn get_and_head_of_files_and_folders() {
    let root = site();
    let server = Tollgate::server(root.path());
    let (status, head, body) = curl_i(&server.url("/"), &[]);
    assert_eq!((status, body.trim_end()), (200, "<!doctype html><title>Home</title>"));
    assert_eq!(field(&head, "content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(field(&head, "accept-ranges").as_deref(), Some("bytes"));
    for name in ["etag", "last-modified", "date", "content-length"] {
        assert!(field(&head, name).is_some(), "{name} is missing: {head}");
    }
    let (status, head, body) = curl_i(&server.url("/ten.txt"), &["-I"]);
    assert_eq!((status, field(&head, "content-length").as_deref(), &*body), (200, Some("10"), ""));
    assert_eq!(curl_i(&server.url("/docs/"), &[]).2.trim_end(), "<!doctype html><title>Docs</title>");
    let (status, head, _) = curl_i(&server.url("/docs?x=1"), &[]);
    assert_eq!((status, field(&head, "location").as_deref()), (301, Some("/docs/?x=1")));
    let (status, _, body) = curl_i(&server.url("/none.txt"), &[]);
    assert_eq!(status, 404);
    assert!(body.contains("There is no such file here."), "{body}");
    assert_eq!(curl_i(&server.url("/docs/empty/"), &[]).0, 404, "a folder without an index is not shown");
    assert_eq!(curl_i(&server.url("/ten.txt/"), &[]).0, 404, "a file is no folder");
    let (status, head, body) = curl_i(&server.url("/empty.txt"), &[]);
    assert_eq!((status, field(&head, "content-length").as_deref(), &*body), (200, Some("0"), ""));
    server.stop();
}

#[test]
fn one_request_is_counted_as_one() {
    let root = site();
    let mut server = Tollgate::server(root.path());
    curl_i(&server.url("/ten.txt"), &[]);
    server.process.signal(Signal::TERM);
    let ended = server.process.wait();
    assert!(ended.err.contains("stopped after 1 request") && !ended.err.contains("1 requests"), "{}", ended.err);
}

#[test]
fn other_methods_are_told_what_is_allowed() {
    let root = site();
    let server = Tollgate::server(root.path());
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let (status, head, _) = curl_i(&server.url("/ten.txt"), &["-X", method, "-d", "body"]);
        assert_eq!((status, field(&head, "allow").as_deref()), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    let (status, head, _) = curl_i(&server.url("/ten.txt"), &["-X", "TRACE"]);
    assert_eq!((status, field(&head, "allow").as_deref()), (405, Some("GET, HEAD, OPTIONS")), "TRACE");
    let (status, head, _) = curl_i(&server.url("/ten.txt"), &["-X", "OPTIONS"]);
    assert_eq!((status, field(&head, "allow").as_deref()), (204, Some("GET, HEAD, OPTIONS")));
    assert_eq!(fs::read(root.path().join("ten.txt")).expect("still there"), b"0123456789");
}

#[test]
fn ranges_are_served_and_what_is_none_is_answered_whole() {
    let root = site();
    let server = Tollgate::server(root.path());
    for (range, status, content_range, body) in [
        ("bytes=0-0", 206, Some("bytes 0-0/10"), "0"),
        ("bytes=2-5", 206, Some("bytes 2-5/10"), "2345"),
        ("bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=-3", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=-99", 206, Some("bytes 0-9/10"), "0123456789"),
        ("bytes=5-99", 206, Some("bytes 5-9/10"), "56789"),
        ("bytes=0-18446744073709551615", 206, Some("bytes 0-9/10"), "0123456789"),
        ("bytes=0-1,4-5", 206, Some("bytes 0-5/10"), "012345"),
        ("bytes=5-2", 200, None, "0123456789"),
        ("bytes=x-y", 200, None, "0123456789"),
        ("lines=0-1", 200, None, "0123456789"),
    ] {
        let (got, head, text) = curl_i(&server.url("/ten.txt"), &["-H", &format!("Range: {range}")]);
        assert_eq!((got, field(&head, "content-range").as_deref(), &*text), (status, content_range, body), "{range}");
    }
    for range in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
        let (status, head, _) = curl_i(&server.url("/ten.txt"), &["-H", &format!("Range: {range}")]);
        assert_eq!((status, field(&head, "content-range").as_deref()), (416, Some("bytes */10")), "{range}");
    }
    let part = curl(["-o", "-", "-r", "1048570-1048585", &server.url("/docs/large.bin"), "-w", "%{http_code}"]);
    assert!(part.out.ends_with("206"));
}

#[test]
fn conditions_save_the_transfer() {
    let root = site();
    let server = Tollgate::server(root.path());
    let url = server.url("/ten.txt");
    let (_, head, _) = curl_i(&url, &[]);
    let tag = field(&head, "etag").expect("a tag");
    let date = field(&head, "last-modified").expect("a date");
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (lines, status) in [
        (vec![format!("If-None-Match: {tag}")], 304),
        (vec![format!("If-None-Match: W/{tag}")], 304),
        (vec!["If-None-Match: *".into()], 304),
        (vec![format!("If-None-Match: \"a\", {tag}")], 304),
        (vec!["If-None-Match: \"a\"".into()], 200),
        (vec![format!("If-Modified-Since: {date}")], 304),
        (vec![format!("If-Modified-Since: {past}")], 200),
        (vec![format!("If-None-Match: \"a\""), format!("If-Modified-Since: {date}")], 200),
        (vec![format!("If-Match: {tag}")], 200),
        (vec!["If-Match: \"a\"".into()], 412),
        (vec![format!("If-Unmodified-Since: {past}")], 412),
        (vec![format!("If-Range: {tag}"), "Range: bytes=0-1".into()], 206),
        (vec!["If-Range: \"a\"".into(), "Range: bytes=0-1".into()], 200),
    ] {
        let args: Vec<&str> = lines.iter().flat_map(|line| ["-H", line]).collect();
        let (got, head, body) = curl_i(&url, &args);
        assert_eq!(got, status, "{lines:?}");
        if status == 304 {
            assert_eq!((field(&head, "etag"), &*body), (Some(tag.clone()), ""));
        }
    }
}

#[test]
fn a_large_file_arrives_byte_for_byte() {
    let root = site();
    let server = Tollgate::server(root.path());
    let to = root.path().join("received");
    let got = curl(["-o", to.to_str().expect("text"), &server.url("/docs/large.bin")]);
    assert_eq!(got.code, Some(0), "{}", got.err);
    assert!(fs::read(&to).expect("received") == large());
    let got = curl(["-o", to.to_str().expect("text"), "-r", "65536-2000000", &server.url("/docs/large.bin")]);
    assert_eq!(got.code, Some(0), "{}", got.err);
    assert!(fs::read(&to).expect("received") == large()[65536..=2_000_000]);
}

#[test]
fn connections_are_reused_and_pipelines_answered_in_order() {
    let root = site();
    let server = Tollgate::server(root.path());
    let url = server.url("/ten.txt");
    let got = curl(["-w", "[%{num_connects}]", &url, &url, &url]);
    assert_eq!(got.out, "0123456789[1]0123456789[0]0123456789[0]");

    let mut client = Client::connect(server.address());
    let paths = ["/ten.txt", "/none", "/docs/large.bin", "/style.css", "/docs", "/ten.txt"];
    client.send(paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).concat());
    let replies = paths.map(|_| client.reply());
    assert_eq!(replies.each_ref().map(|r| r.status), [200, 404, 200, 200, 301, 200]);
    assert!(replies[2].body == large());
    assert_eq!(replies[5].text(), "0123456789");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").status, 200);
    client.expect_end();
}

/// Until the answer has changed; within about a second, says the contract: the rest is for a busy machine.
fn soon(url: &str, want: &str) {
    let begun = Instant::now();
    loop {
        let got = curl([url]).out;
        if got == want {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "still {got:?} instead of {want:?}");
    }
}

#[test]
fn edits_replacements_and_removals_show() {
    let root = site();
    let server = Tollgate::server(root.path());
    let file = root.path().join("ten.txt");
    let url = server.url("/ten.txt");
    soon(&url, "0123456789");
    fs::write(&file, "edited").expect("a file of ours");
    soon(&url, "edited");
    let other = root.path().join("other");
    fs::write(&other, "replaced").expect("a file of ours");
    fs::rename(&other, &file).expect("a file of ours");
    soon(&url, "replaced");
    fs::remove_file(&file).expect("a file of ours");
    soon(&url, "404 Not Found\n\nThere is no such file here.\n");
    fs::write(&file, "back").expect("a file of ours");
    soon(&url, "back");
    replace_folder(root.path());
    soon(&server.url("/docs/"), "another folder");
}

fn replace_folder(root: &Path) {
    let other = root.join("other-docs");
    fs::create_dir(&other).expect("a folder of ours");
    fs::write(other.join("index.html"), "another folder").expect("a file of ours");
    fs::rename(root.join("docs"), root.join("old-docs")).expect("a folder of ours");
    fs::rename(&other, root.join("docs")).expect("a folder of ours");
}

#[test]
fn files_can_be_opened_when_all_connections_are_taken() {
    let root = site();
    let server = with_200_descriptors(root.path(), "16");
    let clients: Vec<TcpStream> = (0..200).map(|_| connected(&server)).collect();
    let statuses: Vec<String> = clients.iter().filter_map(status_of_part).collect();
    assert!(statuses.len() >= 32, "{statuses:?}");
    assert!(statuses.iter().all(|status| status == "HTTP/1.1 206"), "{statuses:?}");
}

#[test]
fn connections_are_taken_when_all_descriptors_are_those_of_files() {
    let root = site();
    // Larger than what is kept in memory.
    let content = [0; 20_000];
    (0..150).for_each(|n| fs::write(root.path().join(format!("f{n}")), content).expect("a file of ours"));
    let server = with_200_descriptors(root.path(), "1");
    let asked = curl(["-I", &server.url("/f[0-149]")]);
    assert_eq!(asked.out.matches("HTTP/1.1 200 ").count(), 150, "{}", asked.err);
    let clients: Vec<TcpStream> = (0..100).map(|_| connected(&server)).collect();
    assert_eq!(clients.iter().filter_map(status_of_part).count(), 100);
}

/// By the shell's `ulimit`, which sets the hard limit as well.
fn with_200_descriptors(root: &Path, workers: &str) -> Tollgate {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 200 && exec \"$0\" \"$@\""])
        .arg(Tollgate::command("server").get_program())
        .arg(root);
    Tollgate::listening(command.args(["--listen", "127.0.0.1:0", "--workers", workers]), 1, folder())
}

fn connected(server: &Tollgate) -> TcpStream {
    let client = TcpStream::connect(server.address()).expect("a connection");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    client
}

/// What a client is told that asks for a part of a large file; none where its connection was closed.
fn status_of_part(mut client: &TcpStream) -> Option<String> {
    let mut status = [0; 12];
    client.write_all(b"GET /docs/large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\n\r\n").ok()?;
    client.read_exact(&mut status).ok()?;
    String::from_utf8(status.into()).ok()
}
