//! TLS, against nginx.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tests::peers::{Peer, nginx};
use tests::{closed_port, folder, run};

use crate::{errors, loadgen, saved, tells_of_errors, total};

/// nginx with a certificate for 127.0.0.1 of an authority that nobody knows.
struct Secure {
    nginx: Peer,
    folder: TempDir,
    url: String,
}

impl Secure {
    /// It answers with "." on a connection with a full handshake, and with "r" where a session was resumed.
    fn start() -> Secure {
        let folder = folder();
        certificates(folder.path());
        let (here, address) = (folder.path().display(), closed_port());
        let server = format!(
            "listen {address} ssl;\nssl_certificate {here}/cert.pem;\nssl_certificate_key {here}/key.pem;\n\
             location / {{ return 200 $ssl_session_reused; }}"
        );
        let nginx = nginx(folder.path(), &server);
        Secure { nginx, url: format!("https://{address}/"), folder }
    }

    fn ca(&self) -> String {
        format!("--ca {}", self.folder.path().join("ca.pem").display())
    }
}

/// ca.pem, and cert.pem with key.pem that it signed.
fn certificates(folder: &Path) {
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").expect("a file of ours");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for arguments in [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=test-authority"),
        format!("req {key} -keyout key.pem -out cert.csr -subj /CN=localhost"),
        "x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out cert.pem".into(),
    ] {
        let ended = run(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
        assert_eq!(ended.code, Some(0), "openssl {arguments}: {}", ended.err);
    }
}

#[test]
fn a_certificate_is_believed_when_its_authority_is_trusted_or_nothing_is_asked() {
    let server = Secure::start();
    for trust in [server.ca(), "--insecure".into()] {
        let (json, _) = saved(&format!("-c 3 -n 60 {trust} {}", server.url));
        assert_eq!((total(&json, "answered"), errors(&json)), (60, "{}".into()), "{trust}");
        assert_eq!(total(&json, "connected"), 3);
    }
}

#[test]
fn an_unknown_authority_and_a_wrong_name_are_refused_with_the_reason() {
    let server = Secure::start();
    let ended = loadgen(&format!("-c 2 -n 10 {}", server.url));
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("TLS handshake failed") && ended.err.contains("certificate"), "{}", ended.err);
    // The certificate is for 127.0.0.1 and localhost.
    let elsewhere = server.url.replace("127.0.0.1", "127.0.0.2");
    let ended = loadgen(&format!("-c 2 -n 10 {} {elsewhere}", server.ca()));
    assert_eq!(ended.code, Some(1));
}

/// What `openssl req -x509` makes is an authority, trusted or not.
#[test]
fn a_certificate_of_an_authority_is_refused_in_words() {
    let server = Secure::start();
    let here = server.folder.path();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let made = format!(
        "req -x509 {key} -keyout key.pem -out cert.pem -days 30 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    );
    assert_eq!(run(Command::new("openssl").args(made.split(' ')).current_dir(here)).code, Some(0));
    let address = closed_port();
    let lines = format!(
        "listen {address} ssl;\nssl_certificate {0}/cert.pem;\nssl_certificate_key {0}/key.pem;\nreturn 200;",
        here.display()
    );
    let folder = folder();
    let _nginx = nginx(folder.path(), &lines);
    let ended = loadgen(&format!("-c 1 -n 1 --ca {}/cert.pem https://{address}/", here.display()));
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("is that of an authority (CA:TRUE)"), "{}", ended.err);
}

#[test]
fn sessions_are_resumed_unless_that_is_switched_off() {
    let server = Secure::start();
    let load = format!("-c 1 -n 10 --no-keep-alive {} {}", server.ca(), server.url);
    // The first answer says that the handshake was a full one; those that differ were resumed.
    let (json, code) = saved(&load);
    assert_eq!(errors(&json), "{\"body\":9}");
    assert!(tells_of_errors(code));
    assert_eq!((total(&json, "handshakes"), total(&json, "resumed")), (10, 9));
    let ended = loadgen(&format!("-q {load}"));
    assert!(ended.out.contains("TLS           1 full handshake, 9 sessions resumed\n"), "{}", ended.out);
    assert!(ended.out.contains("certificates verified, resumption on"), "{}", ended.out);
    let (json, _) = saved(&format!("--no-resumption {load}"));
    assert_eq!((total(&json, "handshakes"), total(&json, "resumed")), (10, 0));
    assert_eq!((total(&json, "answered"), errors(&json)), (10, "{}".into()));
}

#[test]
fn handshakes_are_made_and_counted_alone() {
    let server = Secure::start();
    for more in ["", "--no-resumption"] {
        let ended = loadgen(&format!("handshake -q --json - -c 2 -n 20 {more} {} {}", server.ca(), server.url));
        let json = &ended.out;
        assert_eq!((total(json, "answered"), errors(json)), (20, "{}".into()), "{}", ended.err);
        // One was made before the beginning, to see whether anybody is there.
        assert!((20..=21).contains(&total(json, "connected")), "{}", total(json, "connected"));
        assert_eq!(total(json, "handshakes"), total(json, "connected"));
        let said = if more.is_empty() { "closed before a ticket comes" } else { "resumption off" };
        assert!(json.contains(&format!("certificates verified, {said}")), "{json}");
    }
}

#[test]
fn a_server_without_tls_is_told_apart() {
    let server = Secure::start();
    let plain = server.nginx.url("/").replace("http://", "https://");
    let ended = loadgen(&format!("-c 1 -n 1 --insecure {plain}"));
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("TLS handshake failed"), "{}", ended.err);
}
