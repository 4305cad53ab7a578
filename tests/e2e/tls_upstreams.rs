//! TLS to the servers behind.

use std::path::Path;

use tests::{Authority, Process, Tollgate, folder, peers::curl};

/// A proxy with one server over TLS and these lines for `[upstream.api.tls]`.
fn proxy(to: &str, folder: &Path, lines: &str) -> Tollgate {
    let own = tests::folder();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), own.path().join(entry.file_name())).expect("a file of ours");
    }
    let text = format!(
        "[[route]]\nproxy = {{ upstream = \"api\" }}\n[upstream.api]\nservers = [\"https://{to}\"]\n\
         timeouts = {{ connect = \"1s\" }}\n[upstream.api.tls]\n{lines}\n"
    );
    Tollgate::config_in(own, &text)
}

/// Node over TLS that says how many connections it has had, and what it was told of the client.
pub(crate) fn node(folder: &Path, name: &str, options: &str) -> (Process, u16) {
    let script = format!(
        "const fs = require('fs'); let connections = 0;\n\
         const server = require('https').createServer({{ cert: fs.readFileSync({:?}), key: fs.readFileSync({:?}), {options} }},\n\
         (request, response) => response.end(connections + ' ' + request.headers.host + ' ' +\n\
           request.headers['x-forwarded-proto'] + ' ' + (request.socket.getPeerCertificate().subject || {{}}).CN + '\\n'));\n\
         server.on('secureConnection', () => connections++); server.keepAliveTimeout = 60000;\n\
         server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));",
        folder.join(format!("{name}.pem")),
        folder.join(format!("{name}.key"))
    );
    let process = Process::start(std::process::Command::new("node").arg("-e").arg(script));
    let port = process.out_line(|line| line.strip_prefix("port ").and_then(|p| p.trim().parse::<u16>().ok()));
    (process, port)
}

#[test]
fn connections_over_tls_are_kept_and_shown_a_certificate() {
    let folder = folder();
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    servers.write(folder.path(), "ca");
    servers.issue(&["api.internal"]).write(folder.path(), "api");
    clients.issue(&["the proxy"]).write(folder.path(), "me");
    clients.write(folder.path(), "clients");
    let options = format!("requestCert: true, ca: fs.readFileSync({:?})", folder.path().join("clients.pem"));
    let (_node, port) = node(folder.path(), "api", &options);
    let lines = "server_name = \"api.internal\"\nca = \"ca.pem\"\nclient_cert = \"me.pem\"\nclient_key = \"me.key\"";
    let proxy = proxy(&format!("127.0.0.1:{port}"), folder.path(), lines);
    let address = proxy.address();
    for _ in 0..5 {
        // Node's tickets make the idle connection look readable, and it must be taken again all the same.
        let got = curl([proxy.url("/")]);
        assert_eq!(got.out, format!("1 {address} http the proxy\n"), "{}", got.err);
    }
    proxy.stop();
}

#[test]
fn tls_in_front_and_behind_is_told_as_https() {
    let folder = folder();
    let authority = Authority::new("all");
    authority.write(folder.path(), "ca");
    authority.issue(&["localhost", "127.0.0.1"]).write(folder.path(), "site");
    let (_node, port) = node(folder.path(), "site", "");
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\n\
         certificates = [{{ cert = \"site.pem\", key = \"site.key\" }}]\n\
         [[route]]\nproxy = {{ upstream = \"api\", host = \"upstream\" }}\n\
         [upstream.api]\nservers = [\"https://localhost:{port}\"]\ntls = {{ ca = \"ca.pem\" }}\n"
    );
    let ca = folder.path().join("ca.pem");
    let proxy = Tollgate::config_in(folder, &text);
    let got = curl(["--cacert", ca.to_str().expect("text"), &proxy.url("/")]);
    assert_eq!(got.out, format!("1 localhost:{port} https undefined\n"), "{}", got.err);
    proxy.stop();
}

/// What is wrong with a server's certificate is said in words, to the client and in the log.
#[test]
fn a_certificate_that_is_not_believed_says_why() {
    let folder = folder();
    let authority = Authority::new("known");
    authority.write(folder.path(), "ca");
    authority.issue(&["a.test", "b.test"]).write(folder.path(), "named");
    authority.issue_expired(&["localhost"]).write(folder.path(), "expired");
    Authority::new("strangers").issue(&["localhost"]).write(folder.path(), "strange");
    for (name, lines, sentence) in [
        ("named", "ca = \"ca.pem\"", "The server's certificate is not for localhost; it names a.test and b.test."),
        ("expired", "ca = \"ca.pem\"", "The server's certificate expired on 2021-01-01"),
        ("strange", "ca = \"ca.pem\"", "issued by an authority that is not trusted here"),
        ("strange", "insecure = true", ""),
        ("named", "ca = \"ca.pem\"\nserver_name = \"b.test\"", ""),
    ] {
        let (_node, port) = node(folder.path(), name, "");
        let proxy = proxy(&format!("localhost:{port}"), folder.path(), lines);
        let got = curl(["-w", "%{http_code}", &proxy.url("/")]);
        if sentence.is_empty() {
            assert!(got.out.ends_with("200"), "{name} {lines}: {}", got.out);
            continue;
        }
        assert!(got.out.contains(sentence) && got.out.ends_with("502"), "{name}: {}", got.out);
        proxy.process.logged(&format!("upstream api https://localhost:{port}: no TLS connection could be made"), 1);
    }
}

#[test]
fn servers_that_speak_no_tls_or_nothing_at_all_are_named() {
    let folder = folder();
    Authority::new("known").write(folder.path(), "ca");
    // Node and its like answer a hello in HTTP; here it is said before anything is asked.
    let talks = tests::Origin::start(|connection, _| {
        connection.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        connection.wait_for_end();
    });
    let silent = tests::Origin::start(|connection, _| {
        connection.wait_for_end();
    });
    for (origin, status, sentence) in [
        (&talks, "502", "What arrived is HTTP without TLS."),
        (&silent, "504", "did not complete the TLS handshake within 1s"),
    ] {
        let proxy = proxy(&origin.address().to_string(), folder.path(), "ca = \"ca.pem\"");
        let got = curl(["-w", "%{http_code}", &proxy.url("/")]);
        assert!(got.out.contains(sentence) && got.out.ends_with(status), "{}", got.out);
    }
}

#[test]
fn the_command_line_takes_servers_over_tls_and_the_systems_authorities() {
    let folder = folder();
    let authority = Authority::new("the system's");
    let trusted = authority.write(folder.path(), "ca");
    authority.issue(&["localhost"]).write(folder.path(), "site");
    let (_node, port) = node(folder.path(), "site", "");
    let mut command = Tollgate::command("proxy");
    command.args(["--listen", "127.0.0.1:0", "--workers", "1", "--to", &format!("https://localhost:{port}")]);
    let proxy = Tollgate::listening(command.env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR"), 1, folder);
    let got = curl([proxy.url("/")]);
    assert_eq!(got.out, format!("1 {} http undefined\n", proxy.address()), "{}", got.err);
    proxy.stop();
}

#[test]
fn a_renewed_certificate_is_shown_to_servers_without_a_signal() {
    let folder = folder();
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    servers.write(folder.path(), "ca");
    servers.issue(&["api.internal"]).write(folder.path(), "api");
    clients.issue(&["the first"]).write(folder.path(), "me");
    clients.write(folder.path(), "clients");
    let options = format!("requestCert: true, ca: fs.readFileSync({:?})", folder.path().join("clients.pem"));
    let (_node, port) = node(folder.path(), "api", &options);
    let lines = "server_name = \"api.internal\"\nca = \"ca.pem\"\nclient_cert = \"me.pem\"\nclient_key = \"me.key\"";
    let proxy = proxy(&format!("127.0.0.1:{port}"), folder.path(), lines);
    let ask = || curl([proxy.url("/")]).out;
    assert!(ask().ends_with("the first\n"), "{}", ask());
    // A certificate without its key leaves the old ones in place.
    clients.issue(&["the second"]).write(folder.path(), "other");
    let copy = |from: &str, to: &str| {
        std::fs::copy(folder.path().join(from), proxy.folder().join(to)).expect("a file of ours");
    };
    copy("other.pem", "me.pem");
    proxy.process.logged("the TLS files of upstreams have changed, but the old ones go on: upstream api: ", 1);
    assert!(ask().ends_with("the first\n"), "{}", ask());
    // Nothing else is read with them, whatever has become of it: the configuration's file is none any more.
    std::fs::write(proxy.file(), "broken = [").expect("a file of ours");
    copy("other.key", "me.key");
    proxy.process.logged("took up the changed TLS files of upstream api", 1);
    assert!(ask().ends_with("the second\n"), "{}", ask());
    proxy.stop();
}

#[test]
fn whom_the_system_trusts_is_read_again_at_a_reload() {
    let files = folder();
    let authority = Authority::new("the system's");
    authority.write(files.path(), "ca");
    Authority::new("another").write(files.path(), "other");
    authority.issue(&["localhost"]).write(files.path(), "site");
    let (_node, port) = node(files.path(), "site", "");
    let trusted = files.path().join("trusted.pem");
    let trust = |name: &str| {
        std::fs::copy(files.path().join(name), &trusted).expect("a file of ours");
    };
    trust("ca.pem");
    let folder = folder();
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nproxy = {{ upstream = \"api\" }}\n[upstream.api]\n\
         servers = [\"https://localhost:{port}\"]\n"
    );
    std::fs::write(folder.path().join("tollgate.toml"), &text).expect("a file of ours");
    let mut command = Tollgate::command("proxy");
    command.arg("--config").arg(folder.path().join("tollgate.toml"));
    let mut proxy = Tollgate::listening(command.env("SSL_CERT_FILE", &trusted).env_remove("SSL_CERT_DIR"), 1, folder);
    let status = |proxy: &Tollgate| curl(["-o", "/dev/null", "-w", "%{http_code}", &proxy.url("/")]).out;
    assert_eq!(status(&proxy), "200");
    for (name, expected) in [("other.pem", "502"), ("ca.pem", "200")] {
        trust(name);
        proxy.reload(&text);
        assert_eq!(status(&proxy), expected, "{name}: {}", proxy.process.log());
    }
    proxy.stop();
}

#[test]
fn a_server_that_wants_a_certificate_and_gets_none_is_a_matter_of_tls() {
    let folder = folder();
    let authority = Authority::new("all");
    authority.write(folder.path(), "ca");
    authority.issue(&["localhost"]).write(folder.path(), "site");
    let ca = folder.path().join("ca.pem");
    let (_node, port) = node(folder.path(), "site", &format!("requestCert: true, ca: fs.readFileSync({ca:?})"));
    let proxy = proxy(&format!("localhost:{port}"), folder.path(), "ca = \"ca.pem\"");
    // Over TLS 1.3 it says so when we take the handshake to be over.
    let got = curl(["-o", "/dev/null", "-w", "%{http_code}", &proxy.url("/")]);
    assert_eq!(got.out, "502", "{}", got.err);
    proxy.process.logged("502 UTLS ", 1);
    proxy.stop();
}

/// In one line with its place, since a log is read line by line; and it is servers who refuse it.
#[test]
fn what_is_wrong_with_the_certificate_for_servers_is_told_at_a_reload() {
    let folder = folder();
    let authority = Authority::new("anybody");
    authority.write(folder.path(), "ca");
    authority.issue(&["me"]).write(folder.path(), "me");
    let lines = "server_name = \"api.internal\"\nca = \"ca.pem\"\nclient_cert = \"me.pem\"\nclient_key = \"me.key\"";
    let mut proxy = proxy("127.0.0.1:9", folder.path(), lines);
    authority.issue_expired(&["me"]).write(proxy.folder(), "me");
    let upstream =
        "upstream api: tls.client_cert: The certificate for me expired on 2021-01-01: servers will refuse it.";
    proxy.process.logged(upstream, 1);
    let text = std::fs::read_to_string(proxy.file()).expect("a file of ours");
    proxy.reload(&text);
    let log = proxy.process.log();
    let line = log.lines().find(|line| line.contains("`upstream.api.tls.client_cert`")).expect("it is told");
    assert!(line.contains(" warn  ") && line.contains("tollgate.toml:"), "{line}");
    assert!(line.ends_with("expired on 2021-01-01: servers will refuse it; replace it"), "{line}");
    assert!(log.lines().all(|line| line.starts_with("20")), "every line has its time: {log}");
    proxy.stop();
}

/// A listener goes on with the certificate that was taken up last, and what is spoken to servers with is renewed behind a reload that
/// was refused too.
#[test]
fn renewals_of_listeners_and_of_upstreams_leave_each_other_alone() {
    let folder = folder();
    let authority = Authority::new("anybody");
    authority.write(folder.path(), "ca");
    authority.issue(&["localhost"]).write(folder.path(), "site");
    authority.issue(&["the first"]).write(folder.path(), "me");
    let lines = "server_name = \"api.internal\"\nca = \"ca.pem\"\nclient_cert = \"me.pem\"\nclient_key = \"me.key\"\n\
                 [[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\ncertificates = [{ cert = \"site.pem\", key = \"site.key\" }]";
    let proxy = proxy("127.0.0.1:9", folder.path(), lines);
    let serial_of = |file: &Path| {
        tests::run(std::process::Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(file)).out
    };
    let shown = || {
        let script = "openssl s_client -connect \"$0\" </dev/null 2>/dev/null | openssl x509 -noout -serial";
        tests::run(std::process::Command::new("sh").args(["-c", script, &proxy.address().to_string()])).out
    };
    authority.issue(&["localhost"]).write(proxy.folder(), "site");
    proxy.process.logged("took up the changed certificate of the listener", 1);
    let serial = serial_of(&proxy.folder().join("site.pem"));
    assert_eq!(shown(), serial);
    authority.issue(&["the second"]).write(proxy.folder(), "me");
    proxy.process.logged("took up the changed TLS files of upstream api", 1);
    assert_eq!(shown(), serial, "the listener went back to what it began with");
    let text = std::fs::read_to_string(proxy.file()).expect("a file of ours");
    std::fs::write(proxy.file(), "broken = [").expect("a file of ours");
    authority.issue(&["the third"]).write(proxy.folder(), "me");
    for _ in 0..3 {
        proxy.process.signal(tests::Signal::HUP);
    }
    proxy.process.logged("took up the changed TLS files of upstream api", 2);
    std::fs::write(proxy.file(), text).expect("a file of ours");
    assert_eq!(proxy.process.log().matches("took up the changed certificate of the listener").count(), 1);
    proxy.stop();
}
