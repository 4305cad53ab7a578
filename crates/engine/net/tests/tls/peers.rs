//! Real clients: curl and OpenSSL.

use std::future::poll_fn;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use buf::{Class, ReadBuf};
use event_loop::{Driver, sleep, spawn};
use net::{Address, Listener, Transport, accept_tls, connect, connect_tls};
use tls::{ServerConfig, server_name};

use crate::common::{ISSUED, accept, bound, client_config, noise, read_to_end, run, server_config, write_all};

/// Answers requests over TLS until dropped: with what was agreed on, or a megabyte.
async fn serve(listener: Listener, config: ServerConfig) {
    loop {
        let stream = accept(&listener).await;
        let config = config.clone();
        spawn(async move {
            let Ok(stream) = accept_tls(stream, &config).await else { return };
            let mut window = ReadBuf::new(Class::K16);
            loop {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    match poll_fn(|cx| stream.poll_read(cx, &mut window)).await {
                        Ok(0) | Err(_) => return,
                        Ok(_) => head.push_str(std::str::from_utf8(window.filled()).unwrap()),
                    }
                    window.clear();
                }
                let body = match head.split(' ').nth(1).unwrap() {
                    "/big" => noise(1_000_000),
                    _ => {
                        let session = stream.tls().unwrap();
                        let words = [
                            session.version().unwrap(),
                            session.server_name().unwrap_or("-"),
                            std::str::from_utf8(session.alpn().unwrap_or(b"-")).unwrap(),
                            if session.is_resumed() { "resumed" } else { "full" },
                        ];
                        words.join(" ").into_bytes()
                    }
                };
                write_all(&stream, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())
                    .await;
                write_all(&stream, &body).await;
            }
        });
    }
}

/// Runs `client` on a thread while a server answers on a port of the system's choice.
fn with_server<T: Send + 'static>(client: impl FnOnce(u16) -> T + Send + 'static) -> T {
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        let Address::Tcp(addr) = address else { panic!() };
        let server = spawn(serve(listener, server_config()));
        let thread = std::thread::spawn(move || client(addr.port()));
        while !thread.is_finished() {
            sleep(Duration::from_millis(5)).await;
        }
        event_loop::cancel(server);
        thread.join().unwrap()
    })
}

fn authority() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(ISSUED.0.as_bytes()).unwrap();
    file
}

fn curl(port: u16, authority: &str, more: &[&str], path: &str) -> Output {
    Command::new("curl")
        .args(["-sS", "--max-time", "10", "--cacert", authority])
        .args(["--resolve", &format!("a.example:{port}:127.0.0.1")])
        .args(more)
        .arg(format!("https://a.example:{port}{path}"))
        .output()
        .expect("curl is needed for this test")
}

#[test]
fn curl_is_served_in_both_versions() {
    let (thirteen, twelve, big, http2) = with_server(|port| {
        let file = authority();
        let ca = file.path().to_str().unwrap();
        (
            curl(port, ca, &["--http1.1"], "/"),
            curl(port, ca, &["--http1.1", "--tls-max", "1.2"], "/"),
            curl(port, ca, &["--http1.1"], "/big"),
            curl(port, ca, &["--tlsv1.3", "--no-alpn"], "/"),
        )
    });
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text(&thirteen), "TLSv1.3 a.example http/1.1 full", "{thirteen:?}");
    assert_eq!(text(&twelve), "TLSv1.2 a.example http/1.1 full", "{twelve:?}");
    assert!(big.stdout == noise(1_000_000));
    assert_eq!(text(&http2), "TLSv1.3 a.example - full", "{http2:?}");
}

/// What `openssl s_client` prints until it has the answer, or has given up.
fn s_client(port: u16, authority: &str, more: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", "a.example"])
        .args(["-CAfile", authority, "-verify_return_error", "-verify_hostname", "a.example", "-ign_eof"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is needed for this test");
    let mut input = child.stdin.take().unwrap();
    // One that was refused has closed it already.
    let _ = input.write_all(b"GET / HTTP/1.1\r\n\r\n");
    let mut output = child.stdout.take().unwrap();
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    while !text.contains(" full") && !text.contains(" resumed") {
        match output.read(&mut bytes).unwrap() {
            0 => break,
            n => text.push_str(&String::from_utf8_lossy(&bytes[..n])),
        }
    }
    let _ = child.kill();
    let rest = child.wait_with_output().unwrap();
    text.push_str(&String::from_utf8_lossy(&rest.stderr));
    text
}

#[test]
fn openssl_agrees_resumes_and_is_refused_what_is_weak() {
    let text = with_server(|port| {
        let file = authority();
        let ca = file.path().to_str().unwrap();
        let session = tempfile::NamedTempFile::new().unwrap();
        let kept = session.path().to_str().unwrap();
        [
            s_client(port, ca, &["-tls1_3", "-sess_out", kept]),
            s_client(port, ca, &["-tls1_3", "-sess_in", kept]),
            s_client(port, ca, &["-tls1_2", "-sess_out", kept]),
            s_client(port, ca, &["-tls1_2", "-sess_in", kept]),
            // Its first guess of a group is none of ours, so that the hello is asked for again.
            s_client(port, ca, &["-tls1_3", "-groups", "P-521:P-256"]),
            s_client(port, ca, &["-tls1_2", "-cipher", "AES128-SHA"]),
            s_client(port, ca, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]),
        ]
    });
    for (text, expected) in text.iter().zip(["TLSv1.3 a.example - full", "TLSv1.3 a.example - resumed"]) {
        assert!(text.contains(expected) && text.contains("Verify return code: 0 (ok)"), "{text}");
    }
    for (text, expected) in text[2..].iter().zip(["TLSv1.2 a.example - full", "TLSv1.2 a.example - resumed"]) {
        assert!(text.contains(expected), "{text}");
    }
    assert!(text[4].contains("TLSv1.3 a.example - full"), "{}", text[4]);
    assert!(text[5].contains("handshake failure"), "{}", text[5]);
    assert!(text[6].contains("SSL alert number") && !text[6].contains("TLSv1.1 "), "{}", text[6]);
}

/// `openssl s_server`, which answers each request with a page about the connection and closes; ended when dropped.
struct Origin {
    child: Child,
    port: u16,
}

impl Origin {
    fn start(dir: &Path, more: &[&str]) -> Origin {
        let (chain, key) = (dir.join("chain.pem"), dir.join("key.pem"));
        std::fs::write(&chain, &ISSUED.0).unwrap();
        std::fs::write(&key, &ISSUED.1).unwrap();
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
            .arg(&chain)
            .arg("-key")
            .arg(&key)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is needed for this test");
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let port =
            lines.map_while(Result::ok).find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit(':').next()?.parse().ok());
        Origin { child, port: port.expect("it says where it listens") }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn our_client_agrees_with_openssl_and_resumes() {
    let dir = tempfile::tempdir().unwrap();
    for (version, expected) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let origin = Origin::start(dir.path(), &[version]);
        let address: Address = format!("127.0.0.1:{}", origin.port).parse().unwrap();
        let config = client_config();
        run(Driver::Mio, async {
            for resumed in [false, true] {
                let name = server_name("a.example").unwrap();
                let stream = connect_tls(connect(&address).await.unwrap(), &config, name).await.unwrap();
                write_all(&stream, b"GET / HTTP/1.0\r\n\r\n").await;
                let page = String::from_utf8(read_to_end(&stream).await.unwrap()).unwrap();
                let session = stream.tls().unwrap();
                assert_eq!((session.version(), session.is_resumed()), (Some(expected), resumed));
                assert!(page.contains(if resumed { "Reused" } else { "New" }), "{page}");
            }
        });
    }
}
