//! The PROXY protocol with those who made it: HAProxy in front and behind, nginx behind, curl in front.

use tests::{Authority, Tollgate, eventually, folder, peers};

use crate::trusted::{access_logged, configuration, origin};

const LISTENER: &str = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]";

#[test]
fn haproxy_in_front_tells_who_connected() {
    let origin = origin();
    let server = Tollgate::config(&configuration(LISTENER, &origin, ""));
    // The last one has extensions behind the addresses.
    for (n, send) in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"].into_iter().enumerate() {
        let haproxy = peers::haproxy_with("", &format!("  server s {} {send}", server.address()));
        let from = format!("127.0.0.{}", 7 + n);
        for _ in 0..2 {
            let got = peers::curl(["--interface", &from, &haproxy.url("/")]);
            assert_eq!(got.out, "ok", "{send}: {}", got.err);
        }
        access_logged(&server, &[&format!("\"client\":\"{from}\"")]);
        assert!(origin.seen_text().contains(&format!("X-Forwarded-For: {from}\r\n")), "{}", origin.seen_text());
    }
    server.stop();
}

/// Its checks come with a header that speaks for nobody (LOCAL, UNKNOWN); had they failed three times, it would answer 503.
#[test]
fn haproxy_finds_us_well() {
    let origin = origin();
    let server = Tollgate::config(&configuration(LISTENER, &origin, ""));
    for (n, send) in ["send-proxy", "send-proxy-v2"].into_iter().enumerate() {
        let path = format!("/check-{n}");
        let lines = format!(
            "  option httpchk\n  http-check send meth GET uri {path} ver HTTP/1.1 hdr Host a\n  http-check expect string ok\n  default-server init-addr last\n  \
             server s {} check inter 100ms rise 1 {send} check-send-proxy",
            server.address()
        );
        let haproxy = peers::haproxy_with("", &lines);
        let file = server.folder().join("access.log");
        let read = || std::fs::read_to_string(&file).unwrap_or_default();
        let good =
            |line: &&str| [&*path, "\"client\":\"127.0.0.1\"", "\"status\":200"].iter().all(|p| line.contains(p));
        eventually("checks in the access log", read, |text| text.lines().filter(good).count() >= 5);
        assert_eq!(peers::curl([haproxy.url("/")]).out, "ok");
    }
    assert!(!server.process.log().contains("CPRX"), "{}", server.process.log());
}

/// The header comes before the TLS handshake: HAProxy passes the connection on as it is, and curl says it itself.
#[test]
fn a_header_stands_before_the_tls_handshake() {
    let folder = folder();
    let authority = Authority::new("the tests' authority");
    let authority_file = authority.write(folder.path(), "authority");
    authority.issue(&["localhost", "127.0.0.1"]).write(folder.path(), "site");
    let tls = "[listener.tls]\ncertificates = [{ cert = \"site.pem\", key = \"site.key\" }]";
    let origin = origin();
    let server = Tollgate::config_in(folder, &configuration(&format!("{LISTENER}\n{tls}"), &origin, ""));
    let authority_file = authority_file.to_str().expect("text");
    for (n, send) in ["send-proxy", "send-proxy-v2"].into_iter().enumerate() {
        let haproxy = peers::haproxy_with("", &format!("  mode tcp\n  server s {} {send}", server.address()));
        let (from, url) = (format!("127.0.0.{}", 7 + n), format!("https://{}/", haproxy.address));
        let got = peers::curl(["--cacert", authority_file, "--interface", &from, &url]);
        assert_eq!(got.out, "ok", "{}", got.err);
        access_logged(&server, &[&format!("\"client\":\"{from}\"")]);
    }
    let got = peers::curl(["--haproxy-protocol", "--cacert", authority_file, &server.url("/")]);
    assert_eq!(got.out, "ok", "{}", got.err);
    // Without one there is neither.
    let refused = peers::curl(["--cacert", authority_file, &server.url("/")]);
    assert!(refused.code.is_some_and(|code| code != 0) && refused.out.is_empty(), "{}", refused.out);
    server.process.logged("CPRX", 1);
    server.stop();
}

#[test]
fn curl_tells_who_it_is() {
    let origin = origin();
    let server = Tollgate::config(&configuration(LISTENER, &origin, ""));
    let url = server.url("/");
    let got = peers::curl(["--haproxy-protocol", &url, &url]);
    assert_eq!(got.out, "okok", "{}", got.err);
    assert_ne!(peers::curl([url]).code, Some(0));
}

/// What HAProxy takes for the ends of a connection.
const SEEN: &str = "  http-request return status 200 content-type text/plain lf-string \"%[src] %[dst_port]\"";

#[test]
fn haproxy_behind_learns_who_connected() {
    let front = |version: u8, to: &peers::Peer| {
        Tollgate::config(&format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.9\"]\n\
             [[route]]\nproxy = {{ upstream = \"haproxy\" }}\n\
             [upstream.haproxy]\nservers = [\"{}\"]\nproxy_protocol = {version}\n",
            to.address
        ))
    };
    let haproxy = peers::haproxy_with("accept-proxy", SEEN);
    for version in [1, 2] {
        let server = front(version, &haproxy);
        let (url, port) = (server.url("/"), server.address().port());
        let got = peers::curl(["--interface", "127.0.0.7", &url, &url]);
        assert_eq!(got.out, format!("127.0.0.7 {port}").repeat(2), "{}", got.err);
        for (told, seen) in [("203.0.113.9", "203.0.113.9"), ("2001:db8::9", "2001:db8::9"), ("unknown", "127.0.0.1")] {
            let told = format!("X-Forwarded-For: {told}");
            let got = peers::curl(["--interface", "127.0.0.9", "-H", &told, &url]);
            assert!(got.out.starts_with(&format!("{seen} ")), "{told}: {}", got.out);
        }
        server.stop();
    }
}

#[test]
fn nginx_behind_learns_who_connected() {
    let folder = folder();
    let says = "keepalive_timeout 60;\nlocation / { return 200 \"$proxy_protocol_addr\"; }";
    let nginx = peers::nginx_listening("proxy_protocol", folder.path(), says);
    for version in [1, 2] {
        let server = Tollgate::config(&format!(
            "[[route]]\nproxy = {{ upstream = \"nginx\" }}\n\
             [upstream.nginx]\nservers = [\"{}\"]\nproxy_protocol = {version}\n",
            nginx.address
        ));
        for from in ["127.0.0.7", "127.0.0.8"] {
            let url = server.url("/");
            let got = peers::curl(["--interface", from, &url, &url]);
            assert_eq!(got.out, from.repeat(2), "{}", got.err);
        }
        server.stop();
    }
}

#[test]
fn a_header_is_sent_before_the_tls_handshake_with_a_server() {
    let folder = folder();
    let authority = Authority::new("the tests' authority");
    let authority_file = authority.write(folder.path(), "authority");
    let certificate = authority.issue(&["127.0.0.1"]);
    let both = folder.path().join("both.pem");
    std::fs::write(&both, certificate.cert + &certificate.key).expect("a file of ours");
    let haproxy = peers::haproxy_with(&format!("accept-proxy ssl crt {}", both.display()), SEEN);
    for version in [1, 2] {
        let server = Tollgate::config(&format!(
            "[[route]]\nproxy = {{ upstream = \"haproxy\" }}\n\
             [upstream.haproxy]\nservers = [\"https://{}\"]\nproxy_protocol = {version}\n\
             [upstream.haproxy.tls]\nca = \"{}\"\n",
            haproxy.address,
            authority_file.display()
        ));
        let got = peers::curl(["--interface", "127.0.0.7", &server.url("/")]);
        assert!(got.out.starts_with("127.0.0.7 "), "{} {}", got.out, got.err);
        server.stop();
    }
}
