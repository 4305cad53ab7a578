//! What TLS in front tells: the server behind of its client, the browser of HTTPS, the client of a wrong host.

use std::{fs, process::Command};

use tests::{Authority, Client, Origin, Tollgate, eventually, folder, peers::curl, run};

use crate::tls::{Secure, configuration, secure, secure_in};
use crate::trusted::access_logged;

/// A proxy that asks clients for certificates and tells `origin` of them.
fn telling(origin: &Origin) -> Secure {
    let folder = folder();
    let authority = Authority::new("the tests' authority");
    authority.write(folder.path(), "authority");
    authority.issue(&["localhost", "127.0.0.1"]).write(folder.path(), "site");
    authority.issue(&["jane"]).write(folder.path(), "jane");
    let text = configuration("client_ca = \"authority.pem\"\nclient_auth = \"request\"\nhsts = { max_age = \"1d\" }");
    let route = text.find("[[route]]").expect("a route");
    let text = format!(
        "[log.access]\npath = \"access.log\"\nformat = \"json\"\n{}[[listener]]\naddress = \"127.0.0.1:0\"\n\n[[route]]\npath = \"/raw/*\"\nproxy = {{ upstream = \"behind\" }}\n[[route]]\nproxy = {{ upstream = \"behind\" }}\n\
         [route.request_headers.set]\nx-verify = \"{{ssl_client_verify}}\"\nx-subject = \"{{ssl_client_s_dn}}\"\n\
         x-issuer = \"{{ssl_client_i_dn}}\"\nx-serial = \"{{ssl_client_serial}}\"\nx-print = \"{{ssl_client_fingerprint}}\"\n\
         [upstream.behind]\nservers = [\"{}\"]\n",
        &text[..route],
        origin.address()
    );
    let tollgate = Tollgate::config_in(folder, &text);
    Secure { tollgate, authority }
}

#[test]
fn the_server_behind_is_told_who_the_client_is_and_no_client_can_say_it_itself() {
    let sts = "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::answering(sts);
    let site = telling(&origin);
    let (cert, key) = (site.path("jane.pem"), site.path("jane.key"));
    let lies = ["-H", "X-Subject: CN=root", "-H", "x_subject: CN=root", "-H", "X-Verify: SUCCESS"];
    let with = ["--cert", &cert, "--key", &key];
    let got = site.curl(&[&with[..], &lies, &["-i"]].concat());
    assert!(got.out.ends_with("\r\n\r\nok"), "{}{}", got.out, got.err);
    // Once, and what the listener says.
    let said: Vec<&str> = got.out.lines().filter(|l| l.to_lowercase().starts_with("strict-transport")).collect();
    assert_eq!(said, ["Strict-Transport-Security: max-age=86400"]);
    let print = run(Command::new("openssl").args(["x509", "-in", &cert, "-noout", "-fingerprint", "-sha256"]));
    let print = print.out.split('=').nth(1).expect("a fingerprint").trim().replace(':', "").to_lowercase();
    let seen = origin.seen_text();
    for line in
        ["x-verify: SUCCESS", "x-subject: CN=jane", "x-issuer: CN=the tests' authority", &format!("x-print: {print}")]
    {
        assert!(seen.contains(&format!("{line}\r\n")), "{line}: {seen}");
    }
    assert!(!seen.contains("root") && seen.contains("x-serial: "), "{seen}");
    let logged = format!("\"ssl_client_s_dn\":\"CN=jane\",\"ssl_client_fingerprint\":\"{print}\"");
    access_logged(&site.tollgate, &["\"status\":200", &logged]);
    // Without a certificate, and without TLS, nothing is known.
    assert_eq!(site.curl(&lies).out, "ok");
    let plain = site.tollgate.listening_on()[1].clone();
    // The same servers by a route that says nothing of certificates.
    let got = curl(lies.iter().copied().chain([&*format!("{}raw/", plain)]));
    assert_eq!(got.out, "ok", "{}", got.err);
    assert!(origin.seen_text().contains("GET /raw/ HTTP"), "{}", origin.seen_text());
    let got = curl(lies.iter().copied().chain(["-i", &plain]));
    assert!(got.out.ends_with("ok") && !got.out.to_lowercase().contains("strict-transport"), "{}", got.out);
    let seen = origin.seen_text();
    assert_eq!(seen.matches("x-verify: NONE\r\n").count(), 2, "{seen}");
    assert_eq!(seen.matches("x-subject:").count(), 1, "{seen}");
    assert!(!seen.contains("root"), "{seen}");
    let read = || fs::read_to_string(site.tollgate.folder().join("access.log")).unwrap_or_default();
    let log = eventually("four lines", read, |log| log.lines().count() == 4);
    assert_eq!(log.matches("ssl_client").count(), 2, "{log}");
}

#[test]
fn every_answer_over_tls_says_hsts_and_none_without() {
    let folder = folder();
    fs::create_dir(folder.path().join("files")).expect("a folder");
    fs::write(folder.path().join("files/a.txt"), "a file").expect("a file");
    let lines = "hsts = { max_age = \"365d\", include_subdomains = true, preload = true }\n[[listener]]\naddress = \
                 \"127.0.0.1:0\"\n[[route]]\npath = \"/files/*\"\nfiles = { root = \"files\" }\n[[route]]\npath = \
                 \"/own\"\nrespond = {}\nresponse_headers = { set = { \"strict-transport-security\" = \"max-age=7\" } }";
    let site = secure_in(folder, lines);
    let authority = site.path("authority.pem");
    let ask = |path: &str, more: &[&str]| {
        let url = site.tollgate.url(path);
        let got = curl(["-i", "--cacert", &authority].into_iter().chain(more.iter().copied()).chain([url.as_str()]));
        let lines = got.out.lines().filter(|l| l.to_lowercase().starts_with("strict-transport")).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let all = ["Strict-Transport-Security: max-age=31536000; includeSubDomains; preload"];
    for path in ["/", "/files/a.txt", "/files/a.txt", "/files/none"] {
        assert_eq!(ask(path, &[]), all, "{path}");
    }
    assert_eq!(ask("/", &["--http1.0"]), all);
    assert_eq!(ask("/own", &[]), ["strict-transport-security: max-age=7"]);
    let mut plain =
        Client::connect(site.tollgate.listening_on()[1].trim_end_matches('/')[7..].parse().expect("an address"));
    assert!(plain.get("/").field("strict-transport-security").is_none());
}

#[test]
fn a_host_that_the_certificate_does_not_cover_is_misdirected() {
    let site = secure("");
    let localhost = site.tollgate.url("/").replace("127.0.0.1", "localhost");
    let authority = site.path("authority.pem");
    let status = |host: &str| {
        let field = format!("Host: {host}");
        let got = curl(["-i", "--cacert", &authority, "-H", &field, &localhost]);
        got.out.lines().next().unwrap_or_default().to_owned()
    };
    // The name of the handshake, another one of the certificate, and one that it does not have.
    assert_eq!(status("localhost"), "HTTP/1.1 200 OK");
    assert_eq!(status("LocalHost.:8443"), "HTTP/1.1 200 OK");
    assert_eq!(status("127.0.0.1"), "HTTP/1.1 200 OK");
    assert_eq!(status("elsewhere.test"), "HTTP/1.1 421 Misdirected Request");
    // Who asked for no name could not choose.
    let got = site.curl(&["-i", "-H", "Host: elsewhere.test"]);
    assert!(got.out.starts_with("HTTP/1.1 200"), "{}", got.out);
}

/// What OpenSSL can try against a server: renegotiation, compression, downgrades, old and weak suites.
#[test]
fn openssl_can_neither_renegotiate_nor_go_back() {
    let site = secure("");
    let to = site.tollgate.address().to_string();
    let script =
        format!("(sleep 0.3; echo R; sleep 0.7) | openssl s_client -connect {to} -tls1_2 -legacy_renegotiation");
    let got = run(Command::new("sh").args(["-c", &script]));
    assert!(got.out.contains("RENEGOTIATING") || got.err.contains("RENEGOTIATING"), "{}{}", got.out, got.err);
    assert!(got.err.contains("no renegotiation"), "{}", got.err);
    // What is good enough gets a certificate, asked for in the same ways.
    for arguments in [
        &["-tls1_2", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_2", "-cipher", "ECDHE:@SECLEVEL=0"],
        &["-tls1_2", "-groups", "prime256v1"],
    ] {
        let got = site.s_client(arguments);
        assert!(got.out.contains("BEGIN CERTIFICATE"), "{arguments:?}: {}{}", got.out, got.err);
    }
    for arguments in [
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "RSA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "DHE:@SECLEVEL=0"],
        &["-tls1_2", "-groups", "secp224r1"],
    ] {
        let got = site.s_client(arguments);
        assert!(!got.out.contains("BEGIN CERTIFICATE"), "{arguments:?}: {}", got.out);
    }
    let got = site.s_client(&["-tls1_2", "-comp"]);
    assert!(got.out.contains("Compression: NONE"), "{}", got.out);
    assert_eq!(site.curl(&[]).out, "over tls\n");
}

/// The post-quantum one too, which the system's OpenSSL need not know and `loadgen` does.
#[test]
fn every_key_exchange_group_is_spoken() {
    let site = secure("");
    let (authority, url) = (site.path("authority.pem"), site.tollgate.url("/"));
    for group in ["X25519MLKEM768", "X25519", "P-256", "P-384"] {
        let load = ["-q", "--json", "-", "-c", "2", "-n", "10", "--no-keep-alive", "--no-resumption", "--ca"];
        let got = run(Tollgate::command("loadgen").args(load).args([&authority, "--group", group, &url]));
        let all = got.out.contains("\"answered\":10,\"errors\":0,");
        assert!(all, "{group}: {}{}", got.out, got.err);
    }
}

/// Of two certificates for one name each client gets the one that it can verify.
#[test]
fn ecdsa_and_rsa_stand_side_by_side() {
    let folder = folder();
    for (name, key) in [("ec", "ec -pkeyopt ec_paramgen_curve:P-256"), ("rsa", "rsa:2048")] {
        let script = format!(
            "openssl req -x509 -newkey {key} -nodes -days 90 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
             -keyout {name}.key -out {name}.pem"
        );
        let made = run(Command::new("sh").args(["-c", &script]).current_dir(folder.path()));
        assert_eq!(made.code, Some(0), "{}", made.err);
    }
    let both = "certificates = [{ cert = \"rsa.pem\", key = \"rsa.key\" }, { cert = \"ec.pem\", key = \"ec.key\" }]\n";
    let text = configuration("").replace("certificates = [{ cert = \"site.pem\", key = \"site.key\" }]\n", both);
    let authority = Authority::new("none");
    authority.write(folder.path(), "authority");
    let site = Secure { tollgate: Tollgate::config_in(folder, &text), authority };
    for (arguments, kind) in [
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"][..], "Peer signature type: RSA"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "Peer signature type: ECDSA"),
        (&["-tls1_3", "-sigalgs", "RSA-PSS+SHA256"], "Peer signature type: RSA-PSS"),
        (&["-tls1_3"], "Peer signature type: ECDSA"),
    ] {
        let got = site.s_client(&[arguments, &["-servername", "localhost"]].concat());
        assert!(got.out.contains(kind), "{arguments:?}: {}{}", got.out, got.err);
    }
}

#[test]
fn the_end_of_each_certificate_is_said_at_the_start() {
    let site = secure("");
    // The tests' certificates are good for thousands of years.
    site.tollgate.process.logged("the certificate for localhost is good for", 1);
}
