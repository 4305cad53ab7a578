//! The admin listener: health, readiness, metrics.

use std::{collections::BTreeMap, os::unix::fs::FileTypeExt, path::Path, process::Command};

use tests::{Authority, Client, Origin, Signal, Tollgate, answer, closed_port, eventually, folder, peers::curl, run};

/// The figures of a scrape, by name and labels. What is no line of Prometheus' text format fails the test.
fn metrics(tollgate: &Tollgate) -> BTreeMap<String, f64> {
    let got = curl(["-D-", &tollgate.admin_url("/metrics")]);
    let (head, text) = got.out.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{}{}", got.out, got.err));
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(head.contains("Cache-Control: no-store"), "{head}");
    let mut typed = Vec::new();
    let mut figures = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(["counter", "gauge"].contains(&kind) && !typed.contains(&name), "{line}");
            typed.push(name);
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let family = name.split('{').next().unwrap_or(name);
            assert_eq!(typed.last(), Some(&family), "{line}");
            assert!(figures.insert(name.to_owned(), value.parse().expect(line)).is_none(), "{line}");
        }
    }
    figures
}

/// What is asked is what is counted.
#[test]
fn metrics_count_requests_connections_and_failures() {
    let origin = Origin::answering(answer("200 OK", "hello"));
    let (up, down) = (origin.address(), closed_port());
    let site = Tollgate::config(&format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n\n[[route]]\npath = \"/up\"\nproxy = {{ upstream = \"up\" }}\n\n\
         [[route]]\npath = \"/down\"\nproxy = {{ upstream = \"down\" }}\n\n[upstream.up]\nservers = [\"{up}\"]\n\n\
         [upstream.down]\nservers = [\"{down}\"]\nhealth = {{ interval = \"50ms\", fall = 1 }}\n"
    ));
    let before = metrics(&site);
    let failures: Vec<&String> = before.keys().filter(|name| name.starts_with("tollgate_failures_total")).collect();
    assert!(failures.len() >= 38, "each verdict has its line from the start: {failures:?}");
    assert!(failures.iter().all(|name| before[*name] == 0.0));
    let mut client = Client::connect(site.address());
    for _ in 0..3 {
        assert_eq!(client.get("/up").text(), "hello");
    }
    assert_eq!(client.get("/none").status, 404);
    // Its server is down, as the checks find; then 503.
    let server_up = format!("tollgate_upstream_server_up{{upstream=\"down\",server=\"{down}\"}}");
    let is_down = |now: &BTreeMap<String, f64>| now[&server_up] == 0.0;
    let now = eventually("the check", || metrics(&site), is_down);
    assert_eq!(client.get("/down").status, 503);
    let is = |now: &BTreeMap<String, f64>, name: &str, value: f64| {
        assert_eq!(now.get(name), Some(&value), "{name}: {now:#?}")
    };
    is(&now, "tollgate_connections_open{worker=\"0\"}", 1.0);
    is(&now, "tollgate_connections_accepted_total{worker=\"0\"}", 1.0);
    is(&now, "tollgate_requests_total{worker=\"0\"}", 4.0);
    is(&now, "tollgate_upstream_connections_total{from=\"new\"}", 1.0);
    is(&now, "tollgate_upstream_connections_total{from=\"own\"}", 2.0);
    is(&now, "tollgate_failures_total{code=\"CNRT\",side=\"client\",phase=\"route\"}", 1.0);
    is(&now, "tollgate_build_info{program=\"proxy\",version=\"0.1.0\"}", 1.0);
    is(&metrics(&site), "tollgate_failures_total{code=\"UNON\",side=\"upstream\",phase=\"connect\"}", 1.0);
    assert!(
        now["process_resident_memory_bytes"] > 1e6
            && now["process_open_fds"] > 5.0
            && now["process_cpu_seconds_total"] > 0.0
    );
    assert!(now["process_max_fds"] > now["process_open_fds"] && now["process_start_time_seconds"] > 1.7e9);
    site.stop();
}

/// The end of each certificate, as OpenSSL reads it; a new one takes the place of the old.
#[test]
fn the_end_of_each_certificate_is_a_metric() {
    let folder = folder();
    let authority = Authority::new("the tests' authority");
    authority.issue(&["example.test"]).write(folder.path(), "site");
    let text = "[admin]\nlisten = \"127.0.0.1:0\"\n\n[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\n\
                certificates = [{ cert = \"site.pem\", key = \"site.key\" }]\n\n[[route]]\nrespond = { status = 204 }\n";
    let mut site = Tollgate::config_in(folder, text);
    let ends = |now: BTreeMap<String, f64>| {
        let of = |(name, end): (String, f64)| {
            Some((name.strip_prefix("tollgate_certificate_not_after_seconds")?.to_owned(), end))
        };
        now.into_iter().filter_map(of).collect::<Vec<_>>()
    };
    let first = ends(metrics(&site));
    assert_eq!(first.len(), 1, "{first:?}");
    let (end, serial) = end_and_serial(&site.folder().join("site.pem"));
    assert_eq!(first[0].1, end);
    assert_eq!(first[0].0, format!("{{name=\"example.test\",serial=\"{serial}\"}}"));
    authority.issue(&["example.test"]).write(site.folder(), "site");
    site.reload(text);
    let second = ends(metrics(&site));
    assert!(second.len() == 1 && second != first, "{second:?}");
    site.stop();
}

fn end_and_serial(certificate: &Path) -> (f64, String) {
    let path = certificate.to_str().expect("text");
    let told =
        run(Command::new("openssl")
            .args(["x509", "-in", path, "-noout", "-enddate", "-serial", "-dateopt", "iso_8601"]));
    let line = |name: &str| told.out.lines().find_map(|line| line.strip_prefix(name)).expect(name).to_owned();
    let date = run(Command::new("date").args(["-u", "+%s", "-d", &line("notAfter=")]));
    (date.out.trim().parse().expect("a number"), line("serial=").to_ascii_lowercase())
}

#[test]
fn health_and_readiness_are_told_and_nothing_else_is_there() {
    let folder = folder();
    let socket = folder.path().join("admin.sock");
    let held = Origin::start(|connection, _| {
        connection.request();
        connection.some();
    });
    let mut site = Tollgate::config_in(
        folder,
        &format!(
            "[admin]\nlisten = \"unix:admin.sock\"\n\n[[route]]\nproxy = {{ upstream = \"held\" }}\n\n\
             [upstream.held]\nservers = [\"{}\"]\n",
            held.address()
        ),
    );
    let ask = |path: &str, more: &[&str]| {
        let url = format!("http://localhost{path}");
        let socket = socket.to_str().expect("text");
        curl([&["--unix-socket", socket, "-w", "%{http_code}"], more, &[&url]].concat()).out
    };
    assert_eq!(ask("/healthz", &[]), "ok\n200");
    assert_eq!(ask("/readyz", &[]), "ok\n200");
    assert_eq!(ask("/readyz", &["-I", "-o", "/dev/null"]), "200");
    assert!(ask("/", &[]).contains("/metrics") && ask("/x", &[]).contains("/metrics, /healthz and /readyz"));
    assert!(ask("/healthz", &["-d", "x"]).ends_with("405"));
    // What is under way keeps the process for a while: alive, but not for new clients.
    let mut client = Client::connect(site.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request", || held.seen().len(), |n| *n == 1);
    site.process.signal(Signal::TERM);
    site.process.logged("stopping", 1);
    assert_eq!(ask("/readyz", &[]), "This process is stopping: it serves what is under way.\n503");
    assert_eq!(ask("/healthz", &[]), "ok\n200");
    client.reset();
    assert_eq!(site.process.wait().code, Some(0));
    assert!(!socket.exists(), "its socket's file stays behind");
}

/// A reload moves it, and a refused one is seen.
#[test]
fn a_reload_moves_it_and_a_refused_one_is_counted() {
    let text = |listen: &str| format!("{listen}\n[[route]]\nrespond = {{ status = 204 }}\n");
    let mut site = Tollgate::config(&text("[admin]\nlisten = \"127.0.0.1:0\"\n"));
    let first = site.admin_url("/");
    assert_eq!(metrics(&site)["tollgate_last_reload_successful"], 1.0);
    std::fs::write(site.file(), "nonsense").expect("a file of ours");
    site.process.signal(Signal::HUP);
    site.process.logged("not reloaded", 1);
    let now = metrics(&site);
    assert_eq!((now["tollgate_last_reload_successful"], now["tollgate_reloads_total{result=\"refused\"}"]), (0.0, 1.0));
    site.reload(&text("[admin]\nlisten = \"unix:moved.sock\"\n"));
    let socket = site.folder().join("moved.sock");
    let told = curl(["--unix-socket", socket.to_str().expect("text"), "http://a/metrics"]).out;
    assert!(told.contains("tollgate_last_reload_successful 1\n") && told.contains("{result=\"done\"} 1\n"), "{told}");
    eventually("the old one is gone", || curl([&first]).code, |code| *code == Some(7));
    site.reload(&text(""));
    eventually("none is left", || std::fs::metadata(&socket).is_ok_and(|m| m.file_type().is_socket()), |there| !there);
    site.stop();
}

#[test]
fn an_address_that_is_taken_is_an_error_at_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = folder();
    let file = folder.path().join("tollgate.toml");
    let text = format!(
        "[admin]\nlisten = \"{}\"\n\n[[listener]]\naddress = \"127.0.0.1:0\"\n\n[[route]]\nrespond = {{ status = 204 }}\n",
        taken.local_addr().expect("an address")
    );
    std::fs::write(&file, text).expect("a file of ours");
    let ended = run(Tollgate::command("proxy").arg("--config").arg(&file));
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("another program listens there already"), "{}", ended.err);
}

#[test]
fn a_server_that_is_ejected_is_counted_once() {
    let bad = Origin::answering(answer("500 Internal Server Error", "bad"));
    let good = Origin::answering(answer("200 OK", "good"));
    let site = Tollgate::config(&format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n\n[runtime]\nworkers = 1\n\n[[route]]\nproxy = {{ upstream = \"api\" }}\n\n\
         [upstream.api]\nservers = [\"{}\", \"{}\"]\n[upstream.api.ejection]\nconsecutive = 2\nfor = \"1m\"\n",
        bad.address(),
        good.address()
    ));
    let ejections = || metrics(&site)["tollgate_upstream_ejections_total"];
    assert_eq!(ejections(), 0.0);
    let mut client = Client::connect(site.address());
    let bads = (0..10).filter(|_| client.get("/").status == 500).count();
    assert_eq!((bads, ejections()), (2, 1.0));
}

#[test]
fn handshakes_that_fail_are_counted_by_their_reason_and_one_of_each_is_told() {
    let files = folder();
    Authority::new("ours").issue(&["localhost"]).write(files.path(), "site");
    let text = "[admin]\nlisten = \"127.0.0.1:0\"\n\n[runtime]\nworkers = 1\n\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
                [listener.tls]\ncertificates = [{ cert = \"site.pem\", key = \"site.key\" }]\n\n[[route]]\n\
                respond = { status = 200, body = \"x\" }\n";
    let site = Tollgate::config_in(files, text);
    let address = site.address().to_string();
    let connect = |more: &[&str]| run(Command::new("openssl").args(["s_client", "-connect", &address]).args(more));
    for _ in 0..3 {
        connect(&["-alpn", "h2"]);
    }
    connect(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    let name = |reason: &str| format!("tollgate_tls_handshake_failures_total{{reason=\"{reason}\"}}");
    let all = |now: &BTreeMap<String, f64>| now[&name("no_common_protocol")] + now[&name("incompatible")] == 4.0;
    let now = eventually("four failures", || metrics(&site), all);
    assert_eq!(now[&name("incompatible")], 1.0);
    // Clients that do not trust the certificate are no other case: anybody could fill the log.
    for _ in 0..3 {
        connect(&["-verify_return_error"]);
    }
    eventually("three refusals", || metrics(&site), |now| now[&name("refused")] == 3.0);
    let log = site.process.log();
    assert_eq!(log.matches("more of the kind within a minute are counted only").count(), 3, "{log}");
    assert_eq!(log.matches("client/handshake").count(), 3, "{log}");
    assert!(log.contains("speaks no version of TLS that is enabled here"), "{log}");
    site.stop();
}
