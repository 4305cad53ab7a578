//! Which paths name which files, and that none names a file outside of the root.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
};

use tests::{Client, Tollgate, folder};

use crate::files::{curl_i, site};

#[test]
fn names_are_percent_decoded() {
    let root = site();
    let server = Tollgate::server(root.path());
    for (path, body) in [
        ("/a%20b.txt", "space"),
        ("/caf%C3%A9.txt", "accent"),
        ("/caf%c3%a9.txt", "accent"),
        ("/100%25.txt", "percent"),
        ("/a+b&c.txt", "plus"),
        ("/a%2Bb%26c.txt", "plus"),
        ("/%74en.txt", "0123456789"),
        ("/docs/../ten.txt", "0123456789"),
        ("/./docs/./../ten.txt", "0123456789"),
        ("/docs/%2e%2e/ten.txt", "0123456789"),
        ("/ten.txt?query", "0123456789"),
        ("//ten.txt", "0123456789"),
    ] {
        let (status, _, text) = curl_i(&server.url(path), &[]);
        assert_eq!((status, text.trim_end()), (200, body), "{path}");
    }
}

#[test]
fn no_path_leads_out_of_the_root() {
    let outside = folder();
    fs::write(outside.path().join("secret.txt"), "secret").expect("a file of ours");
    let root = outside.path().join("root");
    fs::create_dir_all(root.join("sub")).expect("a folder of ours");
    fs::write(root.join("plain.txt"), "plain").expect("a file of ours");
    symlink("../secret.txt", root.join("out.txt")).expect("a link of ours");
    symlink(outside.path().join("secret.txt"), root.join("absolute.txt")).expect("a link of ours");
    symlink("..", root.join("up")).expect("a link of ours");
    symlink("loop", root.join("loop")).expect("a link of ours");
    symlink("../plain.txt", root.join("sub/inner.txt")).expect("a link of ours");
    let server = Tollgate::server(&root);
    for (path, status) in [
        ("/../secret.txt", 400),
        ("/sub/../../secret.txt", 400),
        ("/%2e%2e/secret.txt", 400),
        ("/.%2E/secret.txt", 400),
        ("/sub/%2e%2e/%2e%2e/secret.txt", 400),
        ("/..%2fsecret.txt", 404),
        ("/..%5csecret.txt", 404),
        ("/..\\secret.txt", 404),
        ("/....//secret.txt", 404),
        ("/%252e%252e/secret.txt", 404),
        ("/plain.txt%00.html", 400),
        ("/%", 400),
        ("/%zz", 400),
        ("/%c0%ae%c0%ae/secret.txt", 404),
        ("/out.txt", 403),
        ("/absolute.txt", 403),
        ("/up/secret.txt", 403),
        ("/loop", 403),
        ("/proc/self/environ", 404),
    ] {
        let (got, _, body) = curl_i(&server.url(path), &[]);
        assert!(!body.contains("secret"), "{path}: {body}");
        assert_eq!(got, status, "{path}: {body}");
    }
    assert_eq!(curl_i(&server.url("/sub/inner.txt"), &[]).2, "plain", "a link that stays inside is followed");
}

#[test]
fn a_raw_nul_or_high_byte_in_the_target_is_refused() {
    let root = site();
    let server = Tollgate::server(root.path());
    for target in [&b"/ten.txt\0"[..], b"/\xff", b"/a\x01b", b"/a\x7f", b"/a b", b"ten.txt", b"", b"/#x"] {
        let mut client = Client::connect(server.address());
        let request = [b"GET ", target, b" HTTP/1.1\r\nHost: test\r\n\r\n"].concat();
        assert_eq!(client.ask(request).status, 400, "{}", target.escape_ascii());
        client.expect_end();
    }
}

#[test]
fn hidden_names_are_not_found_and_unreadable_ones_forbidden() {
    let root = site();
    fs::create_dir_all(root.path().join(".well-known")).expect("a folder of ours");
    fs::write(root.path().join(".well-known/x"), "known").expect("a file of ours");
    fs::write(root.path().join("locked.txt"), "locked").expect("a file of ours");
    fs::set_permissions(root.path().join("locked.txt"), Permissions::from_mode(0o000)).expect("a file of ours");
    let server = Tollgate::server(root.path());
    assert_eq!(curl_i(&server.url("/.hidden"), &[]).0, 404);
    assert_eq!(curl_i(&server.url("/%2ehidden"), &[]).0, 404);
    assert_eq!(curl_i(&server.url("/.well-known/x"), &[]).2, "known");
    // The superuser may read what nobody may.
    let expected = if fs::read(root.path().join("locked.txt")).is_ok() { 200 } else { 403 };
    assert_eq!(curl_i(&server.url("/locked.txt"), &[]).0, expected);
    let (status, _, body) = curl_i(&server.url("/locked.txt"), &["-H", "Accept: text/html"]);
    assert!(status == 200 || body.contains("<h1>403 Forbidden</h1>"), "{body}");
}

#[test]
fn pipes_and_devices_are_not_found() {
    let root = site();
    let pipe = root.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).expect("a pipe");
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).expect("a socket");
    let server = Tollgate::server(root.path());
    assert_eq!(curl_i(&server.url("/pipe"), &[]).0, 404);
    assert_eq!(curl_i(&server.url("/socket"), &[]).0, 404);
    assert_eq!(curl_i(&server.url("/ten.txt"), &[]).0, 200, "nothing hangs");
}
