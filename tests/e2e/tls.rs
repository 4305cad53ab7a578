//! TLS in front, with real clients.

use std::{path::Path, process::Command};

use tempfile::TempDir;
use tests::{Authority, Ended, Tollgate, folder, peers::curl, run};

/// A listener over TLS that says "over tls", and beside it a folder with what its clients need.
pub(crate) struct Secure {
    pub(crate) tollgate: Tollgate,
    pub(crate) authority: Authority,
}

/// A listener with a certificate for localhost and 127.0.0.1, and more lines for `[listener.tls]`.
pub(crate) fn secure(lines: &str) -> Secure {
    secure_in(folder(), lines)
}

pub(crate) fn secure_in(folder: TempDir, lines: &str) -> Secure {
    let authority = Authority::new("the tests' authority");
    authority.write(folder.path(), "authority");
    authority.issue(&["localhost", "127.0.0.1"]).write(folder.path(), "site");
    let tollgate = Tollgate::config_in(folder, &configuration(lines));
    Secure { tollgate, authority }
}

pub(crate) fn configuration(lines: &str) -> String {
    format!(
        "[runtime]\nworkers = 2\n\n[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\n\
         certificates = [{{ cert = \"site.pem\", key = \"site.key\" }}]\n{lines}\n\
         [[route]]\nrespond = {{ status = 200, body = \"over tls\\n\" }}\n"
    )
}

impl Secure {
    pub(crate) fn path(&self, name: &str) -> String {
        self.tollgate.folder().join(name).to_str().expect("text").to_owned()
    }

    /// curl that believes the authority.
    pub(crate) fn curl(&self, arguments: &[&str]) -> Ended {
        let authority = self.path("authority.pem");
        let url = self.tollgate.url("/");
        curl(["--cacert", &authority].into_iter().chain(arguments.iter().copied()).chain([url.as_str()]))
    }

    pub(crate) fn s_client(&self, arguments: &[&str]) -> Ended {
        let authority = self.path("authority.pem");
        let to = self.tollgate.address().to_string();
        run(Command::new("openssl").args(["s_client", "-connect", &to, "-CAfile", &authority]).args(arguments))
    }

    /// Runs a Python program with the port and the authority's file as its arguments.
    pub(crate) fn python(&self, program: &str) -> Ended {
        let port = self.tollgate.address().port().to_string();
        run(Command::new("python3").args(["-c", program, &port, &self.path("authority.pem")]))
    }
}

#[test]
fn curl_gets_a_page_over_both_versions_and_no_older_one() {
    let site = secure("");
    for version in ["--tlsv1.2", "--tlsv1.3"] {
        let max = if version == "--tlsv1.2" { "1.2" } else { "1.3" };
        let got = site.curl(&["-v", version, "--tls-max", max]);
        assert!(got.out == "over tls\n" && got.code == Some(0), "{}", got.err);
        assert!(got.err.contains(&format!("SSL connection using TLSv{max}")), "{}", got.err);
        assert!(got.err.contains("ALPN: server accepted http/1.1"), "{}", got.err);
    }
    let old = site.curl(&["--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"]);
    assert_eq!(old.code, Some(35), "{}", old.err);
    let strict = secure("min_version = \"1.3\"");
    assert_eq!(strict.curl(&["--tls-max", "1.2"]).code, Some(35));
    assert_eq!(strict.curl(&[]).out, "over tls\n");
}

#[test]
fn openssl_verifies_the_chain_and_finds_nothing_old() {
    let site = secure("");
    let got = site.s_client(&["-verify_return_error", "-verify_hostname", "localhost", "-servername", "localhost"]);
    assert!(got.out.contains("Verify return code: 0 (ok)"), "{}{}", got.out, got.err);
    assert!(got.out.contains("Compression: NONE"), "{}", got.out);
    assert!(got.out.contains("Secure Renegotiation IS NOT supported"), "{}", got.out);
    let cbc = site.s_client(&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:AES128-SHA:DES-CBC3-SHA@SECLEVEL=0"]);
    assert!(cbc.err.contains("alert handshake failure"), "{}", cbc.err);
    let wrong = site.s_client(&["-alpn", "h2"]);
    assert!(wrong.err.contains("no application protocol"), "{}", wrong.err);
}

#[test]
fn node_gets_a_page() {
    let site = secure("");
    let script = format!(
        "const https = require('https'), fs = require('fs');\n\
         const agent = new https.Agent({{ keepAlive: true, maxSockets: 1, ca: fs.readFileSync({:?}) }});\n\
         const get = (left) => https.get({:?}, {{ agent }}, r => {{\n\
           let text = r.socket.getProtocol() + ' '; r.on('data', d => text += d);\n\
           r.on('end', () => {{ process.stdout.write(text);\n\
             if (left > 1) get(left - 1); else agent.destroy(); }}); }});\n\
         get(3);",
        site.path("authority.pem"),
        site.tollgate.url("/")
    );
    let got = run(Command::new("node").arg("-e").arg(script));
    assert_eq!(got.out, "TLSv1.3 over tls\n".repeat(3), "{}", got.err);
}

/// A session that one worker gave is taken by the other one, in both versions.
#[test]
fn python_resumes_its_session_on_any_worker() {
    let site = secure("");
    let got = site.python(
        "import socket, ssl, sys\n\
         for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):\n\
         \x20   context = ssl.create_default_context(cafile=sys.argv[2])\n\
         \x20   context.minimum_version = context.maximum_version = version\n\
         \x20   session, resumed = None, 0\n\
         \x20   for n in range(12):\n\
         \x20       plain = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 9)\n\
         \x20       with context.wrap_socket(plain, server_hostname='localhost', session=session) as s:\n\
         \x20           s.sendall(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n')\n\
         \x20           text = b''\n\
         \x20           while piece := s.recv(65536): text += piece\n\
         \x20           assert text.endswith(b'over tls\\n'), text\n\
         \x20           resumed += s.session_reused\n\
         \x20           session, spoken = s.session, s.version()\n\
         \x20   print(spoken, resumed)\n",
    );
    assert_eq!(got.out, "TLSv1.2 11\nTLSv1.3 11\n", "{}", got.err);
}

#[test]
fn the_certificate_is_chosen_by_the_name() {
    let folder = folder();
    let authority = Authority::new("many names");
    for (names, file) in [(["a.test", "b.test"], "ab"), (["*.c.test", "c.test"], "c")] {
        authority.issue(&names).write(folder.path(), file);
    }
    let more = "[[listener.tls.certificates]]\ncert = \"ab.pem\"\nkey = \"ab.key\"\n\
                [[listener.tls.certificates]]\ncert = \"c.pem\"\nkey = \"c.key\"\n";
    let text = configuration("").replace("certificates = [{ cert = \"site.pem\", key = \"site.key\" }]\n", more);
    let tollgate = Tollgate::config_in(folder, &text);
    let site = Secure { tollgate, authority };
    site.authority.write(site.tollgate.folder(), "authority");
    for (name, subject) in [("a.test", "a.test"), ("b.test", "a.test"), ("x.c.test", "*.c.test"), ("d.test", "a.test")]
    {
        let got = site.s_client(&["-servername", name]);
        assert!(got.out.contains(&format!("subject=CN = {subject}\n")), "{name}: {}{}", got.out, got.err);
    }
}

#[test]
fn http_on_a_tls_port_is_told_so_and_tls_on_a_plain_port_refused() {
    let site = secure("");
    let plain = format!("http://{}/", site.tollgate.address());
    let got = curl(["-i", &plain]);
    assert!(got.out.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{}", got.out);
    assert!(got.out.contains("This port speaks HTTPS"), "{}", got.out);
    // A body that is still on its way does not destroy the answer.
    let got = curl(["-i", "--data-binary", &"x".repeat(60_000), "-H", "Expect:", &plain]);
    assert!(got.out.contains("This port speaks HTTPS"), "{}{}", got.out, got.err);
    let other = Tollgate::config("[[route]]\nrespond = {}\n");
    let got = curl(["-k", &format!("https://{}/", other.address())]);
    assert_eq!(got.code, Some(35), "{}", got.err);
    assert_eq!(curl([other.url("/")]).code, Some(0));
    site.tollgate.stop();
}

#[test]
fn clients_show_certificates() {
    let folder = folder();
    let clients = Authority::new("clients");
    clients.write(folder.path(), "clients");
    let mine = clients.issue(&["somebody"]).write(folder.path(), "mine");
    let theirs = Authority::new("strangers").issue(&["somebody"]).write(folder.path(), "theirs");
    let old = clients.issue_expired(&["somebody"]).write(folder.path(), "old");
    let site = secure_in(folder, "client_ca = \"clients.pem\"\nclient_auth = \"require\"");
    let with = |(cert, key): &(std::path::PathBuf, std::path::PathBuf)| {
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        site.curl(&["--cert", &text(cert), "--key", &text(key)])
    };
    assert_eq!(with(&mine).out, "over tls\n");
    for refused in [site.curl(&[]), with(&theirs), with(&old)] {
        assert!(refused.out.is_empty() && refused.code != Some(0), "{}{}", refused.out, refused.err);
    }
    for sentence in [
        "The client showed no certificate, and one is required.",
        "The client's certificate was issued by an authority that is not trusted here.",
        "The client's certificate expired on 2021-01-01",
    ] {
        site.tollgate.process.logged(sentence, 1);
    }
    // TLS 1.2 tells it within the handshake.
    assert_ne!(site.curl(&["--tls-max", "1.2"]).code, Some(0));
}

/// In TLS 1.3 a client is told when it believes the handshake done, and may be sending already.
#[test]
fn who_is_refused_while_it_sends_learns_why() {
    let folder = folder();
    Authority::new("clients").write(folder.path(), "clients");
    let site = secure_in(folder, "client_ca = \"clients.pem\"\nclient_auth = \"require\"");
    let got = site.python(
        "import socket, ssl, sys, time\n\
         context = ssl.create_default_context(cafile=sys.argv[2])\n\
         s = context.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1])), 9), server_hostname='localhost')\n\
         for part in (b'POST / HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: 9\\r\\n\\r\\n', b'one', b'two'):\n\
         \x20   s.sendall(part)\n\
         \x20   time.sleep(0.1)\n\
         try: s.recv(1)\n\
         except ssl.SSLError as e: print(e.reason)",
    );
    assert_eq!(got.out.trim(), "TLSV13_ALERT_CERTIFICATE_REQUIRED", "{}", got.err);
}

#[test]
fn clients_may_show_certificates() {
    let folder = folder();
    let clients = Authority::new("clients");
    clients.write(folder.path(), "clients");
    clients.issue(&["somebody"]).write(folder.path(), "mine");
    Authority::new("strangers").issue(&["somebody"]).write(folder.path(), "theirs");
    let site = secure_in(folder, "client_ca = \"clients.pem\"\nclient_auth = \"request\"");
    assert_eq!(site.curl(&[]).out, "over tls\n");
    let with = |name: &str| {
        let (cert, key) = (site.path(&format!("{name}.pem")), site.path(&format!("{name}.key")));
        site.curl(&["--cert", &cert, "--key", &key])
    };
    assert_eq!(with("mine").out, "over tls\n");
    assert_ne!(with("theirs").code, Some(0));
}

#[test]
fn a_plain_listener_redirects_to_the_one_over_tls() {
    let folder = folder();
    let authority = Authority::new("redirects");
    authority.write(folder.path(), "authority");
    authority.issue(&["localhost"]).write(folder.path(), "site");
    let text =
        configuration("") + "\n[[route]]\npath = \"/never\"\nrespond = {}\n[[listener]]\naddress = \"127.0.0.1:0\"\n";
    let text = text.replace(
        "[[route]]\nrespond = { status = 200",
        "[[route]]\nhosts = [\"old.test\"]\nredirect = { to = \"https://{host}{uri}\", status = 308 }\n\n[[route]]\nrespond = \
         { status = 200",
    );
    let tollgate = Tollgate::config_in(folder, &text);
    assert!(tollgate.listening_on()[0].starts_with("https://") && tollgate.listening_on()[1].starts_with("http://"));
    let plain = tollgate.listening_on()[1].clone();
    let got = curl(["-i", "-H", "Host: old.test", &format!("{plain}a?b")]);
    assert!(
        got.out.contains("308 Permanent Redirect") && got.out.contains("Location: https://old.test/a?b"),
        "{}",
        got.out
    );
}

#[test]
fn server_speaks_tls_with_a_certificate_that_proxy_made() {
    let folder = folder();
    let data = folder.path().join("data");
    let make = |name: &str| {
        let mut command = Tollgate::command("proxy");
        command.args(["cert", "dev", name, "localhost", "--out"]).arg(folder.path()).env("XDG_DATA_HOME", &data);
        run(&mut command)
    };
    let made = make("example.test");
    assert!(made.code == Some(0) && made.out.contains("made a local authority"), "{}{}", made.out, made.err);
    let authority = data.join("tollgate/authority.pem");
    std::fs::write(folder.path().join("index.html"), "hello\n").expect("a file of ours");
    let mut command = Tollgate::command("server");
    command.arg(folder.path()).args(["--listen", "127.0.0.1:0", "--workers", "1", "--tls-cert"]);
    command.arg(folder.path().join("example.test.pem")).arg("--tls-key").arg(folder.path().join("example.test.key"));
    let served = Tollgate::listening(&mut command, 1, tests::folder());
    let (authority, port) = (authority.to_str().expect("text"), served.address().port());
    let to = format!("example.test:{port}:127.0.0.1");
    let got = curl(["--cacert", authority, "--resolve", &to, &format!("https://example.test:{port}/")]);
    assert_eq!(got.out, "hello\n", "{}", got.err);
    // The same authority signs the next one.
    let again = make("other.test");
    assert!(again.code == Some(0) && !again.out.contains("made a local authority"), "{}", again.out);
    // `--tls` makes one for localhost by itself, and takes it again.
    for is_first in [true, false] {
        let mut command = Tollgate::command("server");
        command
            .arg(folder.path())
            .args(["--listen", "127.0.0.1:0", "--workers", "1", "--tls"])
            .env("XDG_DATA_HOME", &data);
        let served = Tollgate::listening(&mut command, 1, tests::folder());
        assert_eq!(curl(["--cacert", authority, &served.url("/")]).out, "hello\n");
        let made = "made a certificate for localhost; it is taken by clients that trust ";
        assert_eq!(served.process.log().contains(&format!("{made}{authority}")), is_first, "{}", served.process.log());
    }
    let wrong = Tollgate::command("server").args(["--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.key"]).output();
    let wrong = wrong.expect("it starts");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("`/nowhere.pem` cannot be read: no such file"));
}

/// One program, one configuration: who comes without TLS is sent to it, once.
#[test]
fn http_clients_are_sent_on_to_https_once() {
    let folder = folder();
    let authority = Authority::new("the tests' authority");
    authority.write(folder.path(), "authority");
    std::fs::create_dir(folder.path().join("tls")).expect("a folder of ours");
    authority.issue(&["localhost"]).write(&folder.path().join("tls"), "localhost");
    std::fs::create_dir(folder.path().join("public")).expect("a folder of ours");
    std::fs::write(folder.path().join("public/a"), "over tls\n").expect("a file of ours");
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/to-https.toml"));
    let text =
        text.expect("an example").replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8443", "127.0.0.1:00");
    let site = Tollgate::config_in(folder, &text);
    let port =
        |place: usize| site.listening_on()[place].trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    let to = format!("localhost:8443:127.0.0.1:{}", port(1));
    let url = format!("http://localhost:{}/a?b", port(0));
    let authority = site.folder().join("authority.pem");
    let authority = authority.to_str().expect("text");
    let followed = ["-L", "--max-redirs", "3", "--connect-to", &to, "-w", "%{num_redirects} %{url_effective}"];
    let got = curl(["--cacert", authority, "--ipv4"].into_iter().chain(followed).chain([url.as_str()]));
    assert_eq!(got.out, "over tls\n1 https://localhost:8443/a?b", "{}", got.err);
}

/// Behind a proxy that ends TLS, the scheme is the one that it tells; anybody else may tell what they like.
#[test]
fn the_scheme_of_a_route_is_what_a_trusted_proxy_tells() {
    let routes = "[[route]]\nmatch.scheme = \"http\"\nredirect = { to = \"https://{host}{uri}\" }\n\n\
                  [[route]]\nrespond = { status = 200, body = \"served\\n\" }\n";
    let listener = |trusted: &str| format!("[[listener]]\naddress = \"127.0.0.1:0\"\n{trusted}\n{routes}");
    let ask = |site: &Tollgate, told: &str| {
        curl(["-w", "%{http_code}", "-H", &format!("X-Forwarded-Proto: {told}"), &site.url("/")]).out
    };
    let trusting = Tollgate::config(&listener("trusted_proxies = [\"127.0.0.1\"]"));
    assert_eq!(ask(&trusting, "https"), "served\n200");
    assert_eq!(ask(&trusting, "http"), "308");
    let strict = Tollgate::config(&listener(""));
    assert_eq!(ask(&strict, "https"), "308");
}

#[test]
fn a_revoked_client_is_refused_and_others_are_not() {
    let folder = folder();
    let clients = Authority::new("clients");
    clients.write(folder.path(), "clients");
    clients.issue(&["somebody"]).write(folder.path(), "mine");
    let (revoked, list) = clients.issue_revoked(&["somebody else"]);
    revoked.write(folder.path(), "revoked");
    std::fs::write(folder.path().join("clients.crl"), list).expect("a file of ours");
    let lines = "client_ca = \"clients.pem\"\nclient_crl = \"clients.crl\"\nclient_auth = \"require\"";
    let site = secure_in(folder, lines);
    let with = |name: &str| {
        let (cert, key) = (site.path(&format!("{name}.pem")), site.path(&format!("{name}.key")));
        site.curl(&["--cert", &cert, "--key", &key])
    };
    assert_eq!(with("mine").out, "over tls\n");
    assert_ne!(with("revoked").code, Some(0));
    site.tollgate.process.logged("The client's certificate was revoked.", 1);
}

/// Has OpenSSL answer that `site.pem` is good, into `site.ocsp`.
fn answer_ocsp(folder: &Path, authority: &Authority) {
    std::fs::write(folder.join("authority.key"), authority.key()).expect("a file of ours");
    let script = "serial=$(openssl x509 -in site.pem -noout -serial | cut -d= -f2) && \
                  printf 'V\\t991231235959Z\\t\\t%s\\tunknown\\t/CN=localhost\\n' $serial > index.txt && \
                  openssl ocsp -index index.txt -CA authority.pem -rsigner authority.pem -rkey authority.key -ndays 7 \
                  -issuer authority.pem -cert site.pem -respout site.new -noverify && mv site.new site.ocsp";
    let made = run(Command::new("sh").args(["-c", script]).current_dir(folder));
    assert_eq!(made.code, Some(0), "{}", made.err);
}

#[test]
fn an_ocsp_response_is_stapled_and_a_wrong_one_is_not() {
    let mut site = secure("");
    let none = site.s_client(&["-status"]);
    assert!(none.out.contains("OCSP response: no response sent"), "{}", none.out);
    let text = configuration("").replace("key = \"site.key\" }", "key = \"site.key\", ocsp = \"site.ocsp\" }");
    answer_ocsp(site.tollgate.folder(), &site.authority);
    site.tollgate.reload(&text);
    let stapled = |site: &Secure| {
        for version in ["-tls1_2", "-tls1_3"] {
            let got = site.s_client(&["-status", version]).out;
            let good = got.contains("OCSP Response Status: successful") && got.contains("Cert Status: good");
            assert!(good, "{version}: {got}");
        }
    };
    stapled(&site);
    // What a client could make nothing of is not taken up, and the one before goes on.
    let large = [&[0x30, 0x83, 1, 0x11, 0x70][..], &[0; 70_000]].concat();
    let unauthorized = [0x30, 3, 0x0a, 1, 6];
    let file = site.path("tollgate.toml");
    for wrong in [&large[..], b"<!DOCTYPE html>", &unauthorized, b""] {
        std::fs::write(site.path("site.ocsp"), wrong).expect("a file of ours");
        let checked = run(Tollgate::command("proxy").args(["--check", "--config", &file]));
        assert!(checked.code == Some(2) && checked.err.contains("ocsp`: "), "{}{}", checked.out, checked.err);
    }
    site.tollgate.process.logged("the OCSP response cannot be used, the old response goes on", 1);
    assert!(site.tollgate.process.log().contains("site.ocsp: It is no OCSP response in DER"));
    stapled(&site);
    // A new certificate does not wait for its response.
    site.authority.issue(&["localhost"]).write(site.tollgate.folder(), "site");
    site.tollgate.process.logged("the OCSP response cannot be used, none is stapled", 1);
    let none = site.s_client(&["-status"]);
    assert!(none.out.contains("OCSP response: no response sent"), "{}", none.out);
}

/// Has the response end so many seconds from now. Its signature is then wrong, which nobody here looks at.
fn ends_in(response: &Path, seconds: u64) {
    let at = format!("@{}", tests_now() + seconds);
    let end = run(Command::new("date").args(["-u", "-d", &at, "+%Y%m%d%H%M%SZ"])).out;
    let mut der = std::fs::read(response).expect("a file of ours");
    // producedAt, thisUpdate, nextUpdate.
    let times: Vec<usize> = (2..der.len()).filter(|at| der[at - 2..*at] == [0x18, 15] && der[*at] == b'2').collect();
    assert_eq!(times.len(), 3, "{times:?}");
    der[times[2]..times[2] + 15].copy_from_slice(end.trim().as_bytes());
    std::fs::write(response, der).expect("a file of ours");
}

fn tests_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[test]
fn an_ocsp_response_that_ages_is_stapled_until_its_end() {
    let mut site = secure("");
    let text = configuration("").replace("key = \"site.key\" }", "key = \"site.key\", ocsp = \"site.ocsp\" }");
    answer_ocsp(site.tollgate.folder(), &site.authority);
    ends_in(&site.tollgate.folder().join("site.ocsp"), 8);
    site.tollgate.reload(&text);
    let is_stapled = |site: &Secure| site.s_client(&["-status"]).out.contains("Cert Status: good");
    assert!(is_stapled(&site));
    site.tollgate.process.logged("and is not stapled any more. Fetch a new one.", 1);
    let none = site.s_client(&["-status"]);
    assert!(none.out.contains("OCSP response: no response sent"), "{}", none.out);
    // What cannot be used does not bring it back.
    std::fs::write(site.path("site.ocsp"), "<!DOCTYPE html>").expect("a file of ours");
    site.tollgate
        .process
        .logged("the OCSP response cannot be used, and the old response has ended, so that none is stapled", 1);
    assert!(!is_stapled(&site));
    // A new one is taken up as ever.
    answer_ocsp(site.tollgate.folder(), &site.authority);
    tests::eventually("a new response", || is_stapled(&site), |stapled| *stapled);
    assert_eq!(site.tollgate.process.log().matches("not stapled any more").count(), 1);
}
