//! Every file in `configs/` starts and answers, but that its ports are chosen by the system.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use tests::{Authority, Client, Tollgate, folder, peers::curl, run};

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

/// A copy of the whole folder, its listeners' ports replaced by 0.
fn copied() -> TempDir {
    let to = folder();
    copy(&configs(), to.path());
    let certificates = to.path().join("tls");
    fs::create_dir(&certificates).expect("a folder of ours");
    let authority = Authority::new("the examples' authority");
    authority.write(&certificates, "authority");
    authority.issue(&["localhost", "127.0.0.1"]).write(&certificates, "localhost");
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder of ours");
    for entry in fs::read_dir(from).expect("the examples") {
        let entry = entry.expect("the examples");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("the examples").is_dir() {
            copy(&entry.path(), &target);
        } else {
            let text = fs::read_to_string(entry.path()).expect("the examples are text");
            let ports = ["8080", "8081", "8443", "9443"].map(|port| format!("address = \"127.0.0.1:{port}\""));
            let text = ports.iter().fold(text, |text, port| text.replace(port, "address = \"127.0.0.1:0\""));
            let text = text.replace("listen = \"127.0.0.1:9900\"", "listen = \"127.0.0.1:0\"");
            fs::write(target, text).expect("a file of ours");
        }
    }
}

/// A file of the copy, with a listener where it relies on the one by default.
fn started(name: &str) -> Tollgate {
    let folder = copied();
    let file = folder.path().join(name);
    let mut text = fs::read_to_string(&file).expect("an example");
    if !text.lines().any(|line| line == "[[listener]]") {
        text += "\n[[listener]]\naddress = \"127.0.0.1:0\"\n";
        fs::write(&file, &text).expect("a file of ours");
    }
    let listeners = text.lines().filter(|line| *line == "[[listener]]").count();
    let mut command = Tollgate::command("proxy");
    // One of them lets the environment choose.
    command.env("LISTEN", "127.0.0.1:0").arg("--config").arg(file);
    Tollgate::listening(&mut command, listeners, folder)
}

fn get(tollgate: &Tollgate, host: &str, path: &str) -> (u16, String) {
    let mut client = Client::connect(tollgate.address());
    let reply = client.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    (reply.status, reply.field("location").unwrap_or_else(|| reply.text()))
}

/// What is asked of each file: host, path, status, a part of the body or the location. Nobody listens behind the proxies.
fn questions(name: &str) -> &'static [(&'static str, &'static str, u16, &'static str)] {
    match name {
        "balancing.toml" => &[("a", "/", 503, "upstream app has no server that is up")],
        // More is asked below.
        "behind-a-balancer.toml" => &[("a", "/internal/x", 403, "at your address"), ("a", "/x", 502, "upstream app")],
        "canary.toml" => &[
            ("a", "/internal/x", 403, "at your address"),
            ("a", "/x?canary", 502, "upstream canary"),
            ("a:80", "/old/x?y", 308, "http://a:80/new/x?y"),
            ("a", "/x", 502, "upstream stable"),
        ],
        "hosts.toml" => &[
            ("example.com", "/", 200, "<"),
            ("www.example.com", "/a?b", 301, "http://example.com/a?b"),
            ("elsewhere", "/", 421, "does not answer for that name"),
        ],
        "include.toml" => {
            &[("a", "/healthz", 200, "ok"), ("docs.example.com", "/", 200, "<"), ("a", "/x", 404, "No route")]
        }
        "mixed.toml" => &[("a", "/healthz", 200, "ok"), ("a", "/old/x", 308, "/new/old/x"), ("a", "/", 200, "<")],
        "proxy.toml" => &[("a", "/", 502, "upstream app")],
        "reference.toml" => &[("a", "/", 404, "No route")],
        "site.toml" => &[
            ("a", "/", 200, "<"),
            ("a", "/downloads/", 200, "./notes.txt"),
            ("a", "/handbook/", 200, "./notes.txt"),
            ("a", "/app/settings", 200, "<"),
            ("a", "/none", 404, "Back to the beginning"),
        ],
        "static.toml" => &[("a", "/", 200, "<"), ("a", "/none", 404, "no such file")],
        "tls.toml" => &[
            ("example.com", "/a?b", 308, "https://www.example.com/a?b"),
            ("a", "/", 200, "<"),
            ("a", "/api/x", 502, "upstream api https://127.0.0.1:3443"),
        ],
        "to-https.toml" => &[("example.com:8080", "/a?b", 308, "https://example.com:8443/a?b")],
        "tuned.toml" => &[("a", "/", 200, "<"), ("a", "/api/x", 502, "upstream api")],
        // Through its socket, below.
        "unix.toml" => &[],
        other => panic!("configs/{other} has no question: add one"),
    }
}

#[test]
fn every_example_starts_and_answers() {
    let files = fs::read_dir(configs()).expect("the examples");
    let mut names: Vec<String> = files
        .map(|f| f.expect("an entry").file_name().into_string().expect("text"))
        .filter(|n| n.ends_with(".toml"))
        .collect();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let questions = questions(&name);
        if name == "unix.toml" {
            continue;
        }
        let tollgate = started(&name);
        if name == "balancing.toml" {
            // Else it depends on the checks what is answered.
            tollgate.process.logged("; down after 1 failure", 4);
        }
        if name == "tuned.toml" {
            assert_eq!(curl([tollgate.admin_url("/healthz")]).out, "ok\n");
        }
        for (host, path, status, part) in questions {
            let (got, text) = get(&tollgate, host, path);
            assert_eq!(got, *status, "{name}: {host}{path}: {text}");
            if got == 502 || got == 503 {
                // Which server it was is for the log only.
                tollgate.process.logged(part, 1);
            } else {
                assert!(text.contains(part), "{name}: {host}{path}: {text}");
            }
        }
        tollgate.stop();
    }
}

#[test]
fn the_example_with_sockets_answers_on_its_socket() {
    let tollgate = started("unix.toml");
    let socket = tollgate.folder().join("tollgate.sock");
    assert!(UnixStream::connect(&socket).is_ok());
    let got = curl(["-i", "--unix-socket", socket.to_str().expect("text"), "http://a/"]);
    assert!(got.out.starts_with("HTTP/1.1 502"), "{}", got.out);
    tollgate.process.logged("there is no such socket", 1);
}

#[test]
fn the_example_behind_a_balancer_believes_it() {
    let tollgate = started("behind-a-balancer.toml");
    let told = "GET /internal/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.168.1.1\r\n\r\n";
    assert_eq!(Client::connect(tollgate.address()).ask(told).status, 502, "let in, and nobody is there");
    let [_, second] = tollgate.listening_on() else { panic!("{:?}", tollgate.listening_on()) };
    let got = curl(["--haproxy-protocol", "-o", "/dev/null", "-w", "%{http_code}", second]);
    assert_eq!(got.out, "502", "{}", got.err);
}

#[test]
fn the_example_with_tls_answers_over_tls() {
    let tollgate = started("tls.toml");
    let authority = tollgate.folder().join("tls/authority.pem");
    let authority = authority.to_str().expect("text");
    let [_, site, machines] = tollgate.listening_on() else { panic!("{:?}", tollgate.listening_on()) };
    let got = curl(["-i", "--cacert", authority, site]);
    assert!(got.out.starts_with("HTTP/1.1 200"), "{}{}", got.out, got.err);
    assert!(got.out.contains("Strict-Transport-Security: max-age=31536000\r\n"), "{}", got.out);
    assert_ne!(curl(["--cacert", authority, machines]).code, Some(0));
    let (cert, key) = (tollgate.folder().join("tls/localhost.pem"), tollgate.folder().join("tls/localhost.key"));
    let shown = ["--cert", cert.to_str().expect("text"), "--key", key.to_str().expect("text")];
    let got = curl(["-i", "--cacert", authority, machines].into_iter().chain(shown));
    assert!(got.out.starts_with("HTTP/1.1 200"), "{}{}", got.out, got.err);
}

#[test]
fn every_example_passes_the_check() {
    let configs = copied();
    let examples = fs::read_dir(configs.path()).expect("a folder of ours").map(|entry| entry.expect("ours").path());
    let examples: Vec<_> = examples.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    assert!(examples.len() > 10, "{examples:?}");
    for file in examples {
        let ended = run(Tollgate::command("proxy").arg("--check").arg("--config").arg(&file));
        assert_eq!(ended.code, Some(0), "{file:?}: {}", ended.err);
    }
}

/// Other proxies take their files in other ways: who writes it so is told how, and not of subcommands.
#[test]
fn what_stands_without_its_option_is_told_of() {
    let file = configs().join("proxy.toml");
    let file = file.to_str().expect("text");
    for (arguments, hint) in [
        (&["--check", file][..], format!("write `--config {file}` for the configuration file")),
        (&[file], format!("write `--config {file}` for")),
        (&["gone.toml", "--check"], "write `--config gone.toml` for".to_owned()),
        (&["127.0.0.1:3000", "127.0.0.1:3001"], "write `--to 127.0.0.1:3000` to forward".to_owned()),
        (
            &["--listen", "127.0.0.1:0", "https://app.internal:443"],
            "write `--to https://app.internal:443` to".to_owned(),
        ),
        (&["/"], "`server /` serves it".to_owned()),
        (&["-c", file], "there is no `-c`: write `--config FILE`".to_owned()),
        (&["-p", "80"], "there is no `-p`: write `--listen ".to_owned()),
        (&["certs"], "unrecognized subcommand 'certs'".to_owned()),
        (&["--chekc"], "unexpected argument '--chekc'".to_owned()),
    ] {
        let ended = run(Tollgate::command("proxy").args(arguments));
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.err.contains(&hint), "{arguments:?}: {}", ended.err);
    }
}

/// The same of `server`, which takes a folder where others take a file, a port or an address.
#[test]
fn what_server_does_not_take_is_answered_with_what_it_takes() {
    let folder = TempDir::new().expect("a folder");
    let page = folder.path().join("page.html");
    fs::write(&page, "a page").expect("a file");
    let [served, page] = [folder.path(), &page].map(|path| path.to_str().expect("text"));
    let file = configs().join("static.toml");
    let file = file.to_str().expect("text");
    for (arguments, hint) in [
        (&[file][..], format!("write `--config {file}` for the configuration file")),
        (&["--check", file], format!("write `--config {file}` for the configuration file")),
        (&["gone.toml"], "write `--config gone.toml` for".to_owned()),
        (&[served, file], format!("write `--config {file}` for the configuration file")),
        (&[page], format!("the folder that it is in with `server {served}`, and ask for /page.html")),
        (&["--config", served], format!("`server {served}` serves the folder")),
        (
            &["8080"],
            "write `server --listen 127.0.0.1:8080` to listen on the port 8080, or `server --listen 0.0.0.0:8080`"
                .to_owned(),
        ),
        (&[":8080"], "write `server --listen 127.0.0.1:8080` to".to_owned()),
        (&["0"], "write `server --listen 127.0.0.1:0` to listen on a port that the system chooses".to_owned()),
        (&["https://a"], "write `proxy --to https://a:443` to forward requests to that server".to_owned()),
        (&["http://host/"], "write `proxy --to host:80` to forward".to_owned()),
        (&["host:81"], "write `proxy --to host:81` to forward".to_owned()),
        (&["https://localhost:8443/a"], "write `server --tls --listen 127.0.0.1:8443` to".to_owned()),
        (&[served, "http://localhost:3000/"], "write `--listen 127.0.0.1:3000` to".to_owned()),
        (&["[::1]:3000"], "write `server --listen [::1]:3000` to".to_owned()),
        (&["unix:/run/a"], "write `server --listen unix:/run/a` to".to_owned()),
        (&[served, served], "one folder is served".to_owned()),
        (&["-c", file], "there is no `-c`: write `--config FILE`".to_owned()),
        (&["--root", served], "there is no `--root`: the folder stands by itself".to_owned()),
        (&["--config", file, served, "--spa"], "leave out [DIR], --spa, or `--config`".to_owned()),
        (&["--tls-key", "a.key", "--config", file], "leave out --tls-key <FILE>, or `--config`".to_owned()),
        (&["--open", "--config", file], "'--open' cannot be used with '--config".to_owned()),
        (&["--lisen", "127.0.0.1:0"], "a similar argument exists: '--listen'".to_owned()),
        (&["gone"], "the folder `gone` does not exist\n\n1 error".to_owned()),
        (&["a:b/c"], "the folder `a:b/c` does not exist\n\n1 error".to_owned()),
    ] {
        let ended = run(Tollgate::command("server").args(arguments));
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.err.contains(&hint), "{arguments:?}: {}", ended.err);
    }
}

/// What TLS is to be spoken with is loaded as it is at the start.
#[test]
fn a_check_looks_at_certificates_and_keys() {
    let folder = folder();
    let authority = Authority::new("an authority");
    authority.issue(&["a.test"]).write(folder.path(), "a");
    authority.issue(&["b.test"]).write(folder.path(), "b");
    authority.issue_expired(&["old.test"]).write(folder.path(), "old");
    for (cert, key, code, said) in [
        ("a.pem", "a.key", 0, ""),
        ("old.pem", "old.key", 0, "ertificate for old.test expired on 2021-01-01"),
        ("a.pem", "b.key", 2, "the private key does not belong to the certificate for a.test"),
        ("gone.pem", "a.key", 2, "no such file"),
    ] {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\ncertificates = [{{ cert = \"{cert}\", key = \"{key}\" }}]\n\
             [[route]]\npath = \"/*\"\nrespond = {{ status = 204 }}\n"
        );
        let file = folder.path().join("a.toml");
        fs::write(&file, text).expect("a file of ours");
        let by_file = run(Tollgate::command("proxy").arg("--check").arg("--config").arg(&file));
        assert!(code == 0 && said.is_empty() || by_file.err.contains("a.toml:4:"), "{}", by_file.err);
        let mut command = Tollgate::command("server");
        command.arg("--check").arg(folder.path());
        command.arg("--tls-cert").arg(folder.path().join(cert)).arg("--tls-key").arg(folder.path().join(key));
        for ended in [by_file, run(&mut command)] {
            assert!(ended.code == Some(code) && ended.err.contains(said), "{cert} {key}: {}", ended.err);
        }
    }
}

/// `--tls` makes what it needs; a check says whether it could, and makes nothing.
#[test]
fn a_check_says_whether_a_certificate_of_ones_own_can_be_had() {
    let data = folder();
    let files = data.path().join("tollgate");
    let check = |code, said: &str| {
        let mut command = Tollgate::command("server");
        let ended = run(command.arg(data.path()).args(["--tls", "--check"]).env("XDG_DATA_HOME", data.path()));
        assert!(ended.code == Some(code) && ended.err.contains(said), "{said}: {}", ended.err);
    };
    check(0, "");
    assert!(!files.exists(), "it made something");
    fs::create_dir(&files).expect("a folder of ours");
    fs::write(files.join("localhost.pem"), "somebody's").expect("a file of ours");
    check(2, "localhost.key would be replaced, but what is there was not made by your local authority");
    fs::remove_file(files.join("localhost.pem")).expect("a file of ours");
    let authority = Authority::new("an authority");
    authority.write(&files, "authority");
    check(2, "authority.key cannot be read: ");
    fs::write(files.join("authority.key"), "a key").expect("a file of ours");
    check(2, "authority.key cannot be used");
    let mut command = Tollgate::command("server");
    let ended = run(command.arg(data.path()).args(["--tls", "--check"]).env_remove("HOME").env_remove("XDG_DATA_HOME"));
    assert!(ended.code == Some(2) && ended.err.contains("neither HOME nor XDG_DATA_HOME"), "{}", ended.err);
}
