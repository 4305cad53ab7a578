//! New certificates while clients are served.

use std::process::Command;

use tests::{Authority, Process, Signal, folder, peers::curl, run};

use crate::tls::{Secure, configuration, secure, secure_in};

/// Asks again and again over both new and kept connections until standard input ends; then says how many answers and errors
/// there were, and how many different certificates were seen.
const LOAD: &str = "
import socket, ssl, sys, threading, os, hashlib
context = ssl.create_default_context(cafile=sys.argv[2])
stop, lock, seen, answers, errors = threading.Event(), threading.Lock(), [], [0], []
def connect():
    plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 9)
    s = context.wrap_socket(plain, server_hostname='localhost')
    mark = hashlib.sha256(s.getpeercert(True)).hexdigest()
    with lock:
        if mark not in seen:
            seen.append(mark)
            print('certificate', len(seen), flush=True)
    return s
def ask(s):
    s.sendall(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')
    text = b''
    while not text.endswith(b'over tls\\n'):
        piece = s.recv(65536)
        if not piece: raise OSError('closed inside ' + repr(text))
        text += piece
    with lock: answers[0] += 1
def kept():
    try:
        s = connect()
        while not stop.is_set(): ask(s)
    except Exception as e: errors.append(repr(e))
def new():
    try:
        while not stop.is_set():
            s = connect(); ask(s); s.close()
    except Exception as e: errors.append(repr(e))
threads = [threading.Thread(target=f) for f in (kept, kept, new, new)]
for t in threads: t.start()
open(sys.argv[3]).read()
stop.set()
for t in threads: t.join()
print('answers', answers[0], 'errors', errors, flush=True)
";

/// Starts the load; it ends when the pipe that is given back is written to and closed.
fn load(site: &Secure) -> (Process, std::path::PathBuf) {
    let pipe = site.tollgate.folder().join("stop");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let port = site.tollgate.address().port().to_string();
    let mut command = Command::new("python3");
    command.args(["-c", LOAD, &port, &site.path("authority.pem")]).arg(&pipe);
    (Process::start(&mut command), pipe)
}

fn ended(load: Process, pipe: &std::path::Path) {
    std::fs::write(pipe, "stop").expect("the load reads");
    let line = load.out_line(|line| line.starts_with("answers ").then(|| line.to_owned()));
    assert!(line.ends_with("errors []"), "{line}");
    let answers: usize = line.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    assert!(answers > 20, "{line}");
}

#[test]
fn a_new_certificate_at_a_reload_costs_no_request() {
    let mut site = secure("");
    let (load, pipe) = load(&site);
    load.out_line(|line| (line == "certificate 1").then_some(()));
    for number in 2..5 {
        site.authority.issue(&["localhost"]).write(site.tollgate.folder(), "site");
        site.tollgate.reload(&configuration(""));
        load.out_line(|line| (line == format!("certificate {number}")).then_some(()));
    }
    ended(load, &pipe);
    site.tollgate.stop();
}

#[test]
fn changed_files_are_taken_up_without_a_signal() {
    let site = secure("");
    let (load, pipe) = load(&site);
    load.out_line(|line| (line == "certificate 1").then_some(()));
    // A key that is not the certificate's leaves the old ones in place.
    site.authority.issue(&["localhost"]).write(site.tollgate.folder(), "other");
    std::fs::copy(site.path("other.key"), site.path("site.key")).expect("a file of ours");
    site.tollgate.process.logged(" have changed, but the old ones go on: ", 1);
    assert!(site.tollgate.process.log().contains("site.key: The private key does not belong to the certificate"));
    std::fs::copy(site.path("other.pem"), site.path("site.pem")).expect("a file of ours");
    site.tollgate.process.logged("took up the changed certificate of the listener on 127.0.0.1:", 1);
    load.out_line(|line| (line == "certificate 2").then_some(()));
    ended(load, &pipe);
    site.tollgate.stop();
}

#[test]
fn a_wrong_certificate_at_a_reload_changes_nothing() {
    let site = secure("");
    std::fs::write(site.path("site.key"), "no key").expect("a file of ours");
    site.tollgate.process.signal(Signal::HUP);
    site.tollgate.process.logged("not reloaded; the old configuration goes on", 1);
    site.tollgate.process.logged("there is no private key in it", 1);
    assert_eq!(site.curl(&[]).out, "over tls\n");
}

/// A listener that stays changes between plain and TLS; its port 0 is the same port all the time.
#[test]
fn a_listener_changes_between_plain_and_tls() {
    let mut site = secure("");
    assert_eq!(site.curl(&[]).out, "over tls\n");
    let with_tls = configuration("");
    let start = with_tls.find("[listener.tls]").expect("it is there");
    let end = with_tls.find("[[route]]").expect("it is there");
    site.tollgate.reload(&format!("{}{}", &with_tls[..start], &with_tls[end..]));
    assert_eq!(curl([format!("http://{}/", site.tollgate.address())]).out, "over tls\n");
    assert_eq!(site.curl(&[]).code, Some(35));
    site.tollgate.reload(&with_tls);
    assert_eq!(site.curl(&[]).out, "over tls\n");
}

/// A session outlives a reload, but not a change of what its client was judged by: the authorities, and the list of those that were
/// revoked.
#[test]
fn sessions_are_resumed_after_a_reload_unless_clients_are_judged_otherwise() {
    let folder = folder();
    let clients = Authority::new("clients");
    clients.write(folder.path(), "clients");
    clients.issue(&["somebody"]).write(folder.path(), "mine");
    let (_, list) = clients.issue_revoked(&["somebody else"]);
    std::fs::write(folder.path().join("clients.crl"), list).expect("a file of ours");
    let lines = "client_ca = \"clients.pem\"\nclient_auth = \"request\"";
    let with_list = format!("{lines}\nclient_crl = \"clients.crl\"");
    let mut site = secure_in(folder, lines);
    let (cert, key) = (site.path("mine.pem"), site.path("mine.key"));
    let to = site.tollgate.address().to_string();
    let authority = site.path("authority.pem");
    // The request is answered before the end, so that tickets of TLS 1.3 are there, which come behind the handshake.
    let ask = |version: &str, session: [&str; 2]| {
        let script = "printf 'GET / HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' | openssl s_client -ign_eof \"$@\"";
        let known = ["-connect", &to, "-CAfile", &authority, "-servername", "localhost", "-cert", &cert, "-key", &key];
        run(Command::new("sh").args(["-c", script, "sh", version]).args(known).args(session)).out
    };
    let versions = [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")];
    let begin = |site: &Secure| {
        for (version, _) in versions {
            let got = ask(version, ["-sess_out", &site.path(version)]);
            assert!(got.contains("over tls"), "{version}: {got}");
        }
    };
    let resumed = |site: &Secure| {
        versions.map(|(version, name)| {
            let got = ask(version, ["-sess_in", &site.path(version)]);
            got.contains(&format!("Reused, {name}"))
        })
    };
    begin(&site);
    assert_eq!(resumed(&site), [true; 2]);
    site.tollgate.reload(&configuration(lines));
    assert_eq!(resumed(&site), [true; 2], "a reload forgot the sessions");
    site.tollgate.reload(&configuration(&with_list));
    assert_eq!(resumed(&site), [false; 2], "the sessions outlived a list of the revoked");
    begin(&site);
    assert_eq!(resumed(&site), [true; 2]);
    Authority::new("other clients").write(site.tollgate.folder(), "clients");
    site.tollgate.reload(&configuration(&with_list));
    assert_eq!(resumed(&site), [false; 2], "the sessions outlived their authority");
}

/// Begins a session with the first port and goes on with it at each; says where that was possible, in both versions.
const RESUMED: &str = "
import socket, ssl, sys
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context = ssl._create_unverified_context()
    context.minimum_version = context.maximum_version = version
    def ask(port, session):
        plain = socket.create_connection(('127.0.0.1', int(port)), 9)
        with context.wrap_socket(plain, server_hostname='localhost', session=session) as s:
            s.sendall(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n')
            text = b''
            while piece := s.recv(65536): text += piece
            assert text.endswith(b'over tls\\n'), text
            return s.session_reused, s.session
    _, session = ask(sys.argv[1], None)
    print([ask(port, session)[0] for port in sys.argv[1:]])
";

/// Two programs with one secret are one to their clients.
#[test]
fn programs_with_one_ticket_secret_resume_each_others_sessions() {
    let started = |secret: &str| secure(&format!("ticket_secret = \"{}\"", secret.repeat(32)));
    let sites = [started("a"), started("a"), started("b")];
    let ports = sites.each_ref().map(|site| site.tollgate.address().port().to_string());
    let got = run(Command::new("python3").args(["-c", RESUMED]).args(&ports));
    assert_eq!(got.out, "[True, True, False]\n".repeat(2), "{}", got.err);
}

/// Wherever each keeps its files; but not where clients are judged otherwise.
#[test]
fn a_shared_ticket_secret_takes_tickets_of_clients_that_are_judged_alike() {
    let clients = Authority::new("clients");
    let (_, revoked) = clients.issue_revoked(&["somebody"]);
    let started = |lines: &str| {
        let folder = folder();
        clients.write(folder.path(), "clients");
        std::fs::write(folder.path().join("clients.crl"), &revoked).expect("a file of ours");
        let secret = "a".repeat(32);
        secure_in(folder, &format!("ticket_secret = \"{secret}\"\nclient_ca = \"clients.pem\"\n{lines}"))
    };
    let asked = "client_auth = \"request\"";
    let by_list = format!("{asked}\nclient_crl = \"clients.crl\"");
    let sites = [asked, asked, &by_list].map(started);
    let ports = sites.each_ref().map(|site| site.tollgate.address().port().to_string());
    let got = run(Command::new("python3").args(["-c", RESUMED]).args(&ports));
    assert_eq!(got.out, "[True, True, False]\n".repeat(2), "{}", got.err);
}
