//! Files that change while they are sent, and devices that links lead to.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, CWD, FileType, Mode, fadvise, mknodat};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tests::{Authority, Client, Ended, Tollgate, folder, peers::curl};

use crate::files::site;

/// Far more than what all buffers between the two programs hold.
const SIZE: usize = 24 << 20;

/// A site with a file of that size, and an answer of which the beginning has come.
fn under_way() -> (tempfile::TempDir, Tollgate, Client, Vec<u8>) {
    let root = site();
    let content: Vec<u8> = (0..SIZE).map(|n| (n / 1024 % 251) as u8).collect();
    fs::write(root.path().join("film.bin"), &content).expect("a file of ours");
    let server = Tollgate::server(root.path());
    let mut client = Client::connect_narrow(server.address());
    client.send("GET /film.bin HTTP/1.1\r\nHost: test\r\n\r\n");
    let head = client.read_until("\r\n\r\n");
    assert!(head.contains(&format!("{SIZE}")), "{head}");
    client.read_exactly(1000);
    (root, server, client, content)
}

/// The length was promised: an answer that cannot keep it must not look complete.
#[test]
fn a_file_that_is_cut_short_ends_the_connection() {
    let (root, server, mut client, content) = under_way();
    File::options().write(true).open(root.path().join("film.bin")).and_then(|f| f.set_len(10)).expect("a file of ours");
    let (rest, end) = client.read_to_end();
    assert_ne!(end, tests::End::Open, "it is ended at once");
    assert!(rest.len() < SIZE - 1000, "{} bytes", rest.len());
    // `sendfile` sends the pages of the file themselves. The system clears what of them lies behind the new end, even where that was sent
    // already and has not arrived.
    let as_it_was = rest.iter().zip(&content[1000..]).all(|(came, was)| came == was || *came == 0);
    assert!(as_it_was, "what came is neither what was there nor cleared");
    server.process.logged("The file became shorter while it was being sent.", 1);
    assert_eq!(Client::connect(server.address()).get("/ten.txt").status, 200);
    server.stop();
}

/// What is not in memory is read beforehand by another thread, over a descriptor of its own; where there is none, it is sent all the same.
#[test]
fn what_is_not_in_memory_is_sent_without_a_descriptor_to_spare() {
    let (root, server, mut client, content) = under_way();
    let id = Pid::from_raw(server.id() as i32).expect("an id");
    // What is open stays open; nothing more is.
    prlimit(Some(id), Resource::Nofile, Rlimit { current: Some(3), maximum: Some(20_000) }).expect("a child of ours");
    let file = File::open(root.path().join("film.bin")).expect("a file of ours");
    // Only what the disk has can leave the memory; what is on its way to the client stays.
    file.sync_all().and_then(|()| Ok(fadvise(&file, 0, None, Advice::DontNeed)?)).expect("advice is taken");
    assert!(client.read_exactly(SIZE - 1000) == content[1000..]);
    server.stop();
}

/// Over TLS without a close_notify (RFC 8446 §6.1), so that OpenSSL tells it from an end that was meant; and for curl, which ignores
/// that, too short for the length that was promised, or without the last chunk.
#[test]
fn a_file_that_is_cut_short_is_cut_for_clients_over_tls_too() {
    let (root, tls) = (folder(), folder());
    let authority = Authority::new("cut short");
    authority.write(tls.path(), "ca");
    authority.issue(&["127.0.0.1"]).write(tls.path(), "site");
    let [ca, cert, key] = ["ca.pem", "site.pem", "site.key"].map(|name| tls.path().join(name));
    let mut command = Tollgate::command("server");
    command.arg(root.path()).args(["--listen", "127.0.0.1:0", "--tls-cert"]).arg(cert).arg("--tls-key").arg(key);
    let server = Tollgate::listening(&mut command, 1, folder());
    let address = server.address().to_string();
    let file = root.path().join("large.txt");
    let (identity, gzip) = (("identity", "content-length: 15728640\r\n"), ("gzip", "transfer-encoding: chunked\r\n"));
    let meant = under_a_client(s_client(&ca, &address, "1.3", "identity", "close"), &file, |_| {});
    assert_eq!(meant.code, Some(0), "{}", meant.err);
    for (version, (accepted, framing)) in [("1.2", identity), ("1.2", gzip), ("1.3", identity), ("1.3", gzip)] {
        let cut = |client| under_a_client(client, &file, |file| file.set_len(10).expect("a file of ours"));
        let seen = cut(s_client(&ca, &address, version, accepted, "keep-alive"));
        assert!(seen.out.to_lowercase().contains(framing), "{}", seen.out);
        assert!(seen.err.contains("unexpected eof"), "{accepted}, TLS {version}: {}", seen.err);
        let mut curl = Command::new("curl");
        curl.args(["-sSi", "-q", "-N", "--max-time", "9", "--noproxy", "*", "--tls-max", version, "--cacert"]).arg(&ca);
        curl.args(["-H", &format!("Accept-Encoding: {accepted}"), &server.url("/large.txt")]);
        let seen = cut(curl);
        assert!(seen.out.to_lowercase().contains(framing), "{}", seen.out);
        assert_eq!(seen.code, Some(18), "{accepted}, TLS {version}: {}", seen.err);
    }
    server.process.logged("The file became shorter while it was being sent.", 8);
    server.stop();
}

/// OpenSSL's client, asking for the file.
fn s_client(ca: &Path, address: &str, version: &str, accepted: &str, connection: &str) -> Command {
    let request = format!(
        "GET /large.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accepted}\r\nConnection: {connection}\r\n\r\n"
    );
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "printf %s \"$0\" | exec timeout 9 openssl s_client -quiet -connect \"$@\"",
        &request,
        address,
    ]);
    command.arg(if version == "1.2" { "-tls1_2" } else { "-tls1_3" }).arg("-CAfile").arg(ca);
    command
}

/// What a client comes to that has read the beginning of the file's bytes when `change` is made of the file: it goes on then.
fn under_a_client(mut client: Command, file: &Path, change: impl FnOnce(&File)) -> Ended {
    // Bytes that no coding makes fewer, and as many as are compressed on the way.
    let bytes = (0..15 << 17).flat_map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).to_le_bytes());
    fs::write(file, bytes.collect::<Vec<u8>>()).expect("a file of ours");
    let mut client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a client");
    // No more than this and what fits into a pipe is read before.
    let mut begin = [0; 1000];
    let mut out = client.stdout.take().expect("a pipe");
    out.read_exact(&mut begin).expect("an answer");
    change(&File::options().write(true).open(file).expect("a file of ours"));
    out.read_to_end(&mut Vec::new()).expect("the rest");
    let ended = client.wait_with_output().expect("it has ended");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: ended.status.code(), out: text(&begin), err: text(&ended.stderr) }
}

#[test]
fn a_file_that_is_replaced_goes_on_as_it_began() {
    let (root, server, mut client, content) = under_way();
    fs::write(root.path().join("new"), vec![b'n'; SIZE]).expect("a file of ours");
    fs::rename(root.path().join("new"), root.path().join("film.bin")).expect("a file of ours");
    assert!(client.read_exactly(SIZE - 1000) == content[1000..], "not half of each");
    let replaced = curl(["-r", "0-9", &server.url("/film.bin")]);
    assert_eq!(replaced.out.len(), 10);
    // Removed while it is sent: it is there until nobody needs it.
    client.send("GET /docs/large.bin HTTP/1.1\r\nHost: test\r\n\r\n");
    client.read_until("\r\n\r\n");
    fs::remove_file(root.path().join("docs/large.bin")).expect("a file of ours");
    let large = crate::files::large();
    assert!(client.read_exactly(large.len()) == large);
    server.stop();
}

/// Where links may lead anywhere, they may lead to what is no file.
#[test]
fn no_link_leads_to_a_device_a_pipe_or_a_socket() {
    let folder = folder();
    let root = folder.path().join("site");
    fs::create_dir(&root).expect("a folder of ours");
    mknodat(CWD, folder.path().join("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe of ours");
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).expect("a socket of ours");
    for (name, to) in [("zero", "/dev/zero"), ("tty", "/dev/tty"), ("pipe", "../pipe"), ("socket", "../socket")] {
        symlink(to, root.join(name)).expect("a link of ours");
    }
    fs::write(folder.path().join("outside"), "outside").expect("a file of ours");
    symlink("../outside", root.join("outside")).expect("a link of ours");
    let text =
        "[[route]]\npath = \"/*\"\nfiles = { root = \"site\", symlinks = \"follow\", listing = true, index = [] }\n";
    let server = Tollgate::config_in(folder, text);
    let mut client = Client::connect(server.address());
    for name in ["zero", "tty", "pipe", "socket"] {
        assert_eq!(client.get(&format!("/{name}")).status, 404, "{name}");
    }
    assert_eq!(client.get("/outside").text(), "outside");
    let page = client.get("/").text();
    assert!(page.contains("outside") && !page.contains("zero") && !page.contains("pipe"), "{page}");
}

/// The folder of a file that was asked for is watched; from then on no change waits for the look once a second.
#[test]
fn each_of_several_changes_in_a_second_shows_at_once() {
    let root = site();
    let at = root.path().join("news.txt");
    fs::write(&at, "first").expect("a file of ours");
    let server = Tollgate::server(root.path());
    let mut client = Client::connect(server.address());
    assert_eq!(client.get("/news.txt").text(), "first");
    let mut late = Duration::ZERO;
    for change in ["one", "another", "gone", "back", "gone", "last"] {
        match change {
            "gone" => fs::remove_file(&at),
            text => fs::write(&at, text),
        }
        .expect("a file of ours");
        let changed = Instant::now();
        loop {
            let reply = client.get("/news.txt");
            let shows = if change == "gone" { reply.status == 404 } else { reply.text() == change };
            if shows {
                break;
            }
            assert!(changed.elapsed() < Duration::from_secs(3), "{change} does not show");
            thread::sleep(Duration::from_millis(5));
        }
        late = late.max(changed.elapsed());
        thread::sleep(Duration::from_millis(40));
    }
    assert!(late < Duration::from_millis(500), "it took {late:?}");
    server.stop();
}
