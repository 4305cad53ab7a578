//! What callers of the crate rely on beside the contents of files.

use std::path::{Path, PathBuf};

use config::{
    Action, Count, Destination, ListenAddress, Plan, ServerAddress, Severity, UNLIMITED, UpstreamId, load, parse,
    parse_with,
};

fn listen() -> ListenAddress {
    "127.0.0.1:0".parse().unwrap()
}

fn assert_send_sync<T: Send + Sync + Clone + std::fmt::Debug>() {}

#[test]
fn a_plan_can_go_to_every_worker() {
    assert_send_sync::<Plan>();
    assert_send_sync::<config::Report>();
}

/// The defaults of the contract, spelt out once, so that none changes unseen.
#[test]
fn the_defaults_are_those_of_the_contract() {
    let plan = Plan::default();
    assert_eq!((plan.runtime.workers, plan.runtime.max_connections), (Count::Auto, Count::Auto));
    assert!(!plan.runtime.pin);
    assert_eq!(plan.runtime.shutdown_timeout.as_secs(), 30);
    let limits = &plan.limits;
    assert_eq!((limits.header_bytes, limits.headers, limits.uri_bytes), (16 << 10, 100, 8 << 10));
    assert_eq!(limits.body_bytes, 10 << 20);
    let t = &plan.timeouts;
    assert_eq!([t.header, t.body, t.idle, t.write].map(|d| d.as_secs()), [10, 30, 75, 30]);
    assert_eq!((t.min_rate, t.tls_handshake.as_secs()), (256, 10));
    assert_eq!(plan.listeners.len(), 1);
    assert_eq!(plan.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(plan.listeners[0].backlog, 4096);
    let to: ServerAddress = "127.0.0.1:1".parse().unwrap();
    let upstream = &Plan::for_proxy(listen(), &[to]).unwrap().upstreams[0];
    let (k, t) = (&upstream.keep_alive, &upstream.timeouts);
    assert_eq!((k.idle, k.max_requests), (64, 10_000));
    assert_eq!([k.idle_timeout, k.max_age, upstream.resolve].map(|d| d.as_secs()), [60, 3600, 10]);
    assert_eq!([t.connect, t.header, t.body, t.queue].map(|d| d.as_secs()), [2, 60, 60, 1]);
    assert_eq!(upstream.retry, balance::RetryPolicy::default());
    assert_eq!(upstream.servers[0].weight, 1);
}

#[test]
fn the_plan_of_a_served_folder() {
    let plan = Plan::for_server(Path::new("tests/golden/site"), listen()).unwrap();
    assert_eq!(plan.listeners[0].address, listen());
    assert_eq!(plan.routes.len(), 1);
    assert_eq!(plan.routes[0].body_bytes, plan.limits.body_bytes);
    let Action::Files(files) = &plan.routes[0].action else { panic!("{:?}", plan.routes[0].action) };
    assert!(files.root.is_absolute() && files.root.ends_with("tests/golden/site"));
    assert_eq!(files.index, ["index.html"]);
    let report = Plan::for_server(Path::new("nowhere"), listen()).unwrap_err();
    assert_eq!(report.to_string(), "error: the folder `nowhere` does not exist\n\n1 error");
}

#[test]
fn the_plan_of_a_plain_proxy() {
    let to: [ServerAddress; 2] = ["127.0.0.1:3000", "app.internal:80"].map(|a| a.parse().unwrap());
    let plan = Plan::for_proxy(listen(), &to).unwrap();
    let Action::Proxy(proxy) = &plan.routes[0].action else { panic!("{:?}", plan.routes[0].action) };
    assert_eq!(proxy.to, Destination::One(UpstreamId(0)));
    assert_eq!(plan.upstreams[0].servers.iter().map(|s| s.address.clone()).collect::<Vec<_>>(), to.map(|s| s.address));
    assert!(Plan::for_proxy(listen(), &[]).is_err());
}

#[test]
fn a_file_is_loaded_with_paths_relative_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("public")).unwrap();
    std::fs::create_dir(at("sites")).unwrap();
    std::fs::write(at("main.toml"), "include = [\"sites/*.toml\"]\n[limits]\nbody_bytes = \"0\"\n").unwrap();
    for name in ["b.toml", "a.toml", ".hidden.toml", "c.txt"] {
        let text = format!("[[route]]\npath = \"/{name}\"\nfiles = {{ root = \"../public\" }}\n");
        std::fs::write(at("sites").join(name), text).unwrap();
    }
    let plan = load(&at("main.toml")).unwrap().plan;
    assert_eq!(plan.routes.iter().map(|r| &*r.name).collect::<Vec<_>>(), ["/a.toml", "/b.toml"]);
    assert_eq!(plan.routes[0].body_bytes, UNLIMITED, "limits of another file");
    let Action::Files(files) = &plan.routes[0].action else { panic!() };
    assert_eq!(files.root, at("sites").join("../public"));
}

#[test]
fn includes_are_bounded_in_depth() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..40 {
        let text = format!("include = [\"{}.toml\"]\n", n + 1);
        std::fs::write(folder.path().join(format!("{n}.toml")), text).unwrap();
    }
    let report = load(&folder.path().join("0.toml")).unwrap_err();
    assert!(report.to_string().contains("more than 16 deep"), "{report}");
    assert_eq!(report.errors(), 1);
}

/// A log or a disk image named by mistake must be refused in good time.
#[test]
fn large_garbage_is_refused_quickly() {
    for garbage in ["{}}= ", "a = = [\n", "\"\n"] {
        let report = parse(&garbage.repeat(30_000), "x.toml", Path::new("")).unwrap_err();
        assert!(report.errors() > 0);
        assert!(report.to_string().len() < 1 << 20);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_without_a_place() {
    let report = load(Path::new("/no/such/file.toml")).unwrap_err();
    assert_eq!(report.to_string(), "error: cannot read `/no/such/file.toml`: No such file or directory\n\n1 error");
    assert!(report.diagnostics[0].place.is_none());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin.toml");
    std::fs::write(&path, b"a = 1\nb = \"\xe9\"\n").unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("line 2 is not UTF-8"));
    assert!(load(folder.path()).unwrap_err().to_string().contains("Is a directory"));
}

#[test]
fn a_diagnostic_says_where_it_is() {
    let text = "[runtime]\n\n# \u{e9}\n\u{feff}workers = 0\n".replace('\u{feff}', "");
    let report = parse(&text, "x.toml", Path::new("")).unwrap_err();
    let [diagnostic] = report.diagnostics.as_slice() else { panic!("{report}") };
    let place = diagnostic.place.as_ref().unwrap();
    assert_eq!((place.file(), place.line(), place.column()), ("x.toml", 4, 11));
    assert_eq!(place.to_string(), "x.toml:4:11");
    assert_eq!(diagnostic.severity, Severity::Error);
    assert_eq!((report.errors(), report.warnings()), (1, 0));
}

#[test]
fn colour_is_there_only_when_asked_for() {
    let report = parse("x = 1", "x.toml", Path::new("")).unwrap_err();
    assert!(!report.render(false).contains('\x1b'));
    assert!(report.render(true).contains('\x1b'));
    assert_eq!(report.render(false), report.to_string());
}

#[test]
fn what_a_file_holds_cannot_reach_the_terminal_raw() {
    let text = "\"\\u001b[31mred\" = 1\n[[route]]\nhosts = [\"a\\u001b[0m\"]\npath = \"/\\u001b\"\nrespond = { body = \"\x1b]0;x\" }\n";
    let report = parse(text, "x\x1b.toml", Path::new("")).unwrap_err();
    assert!(report.errors() >= 3, "{report}");
    assert!(!report.to_string().contains('\x1b'));
}

#[test]
fn a_flood_of_errors_is_counted_but_not_all_printed() {
    let text: String = (0..1000).map(|n| format!("key{n} = 1\n")).collect();
    let report = parse(&text, "x.toml", Path::new("")).unwrap_err();
    let text = report.to_string();
    assert!(text.ends_with("... and 800 more\n\n1000 errors"), "{}", &text[text.len() - 100..]);
}

/// Cuts and swaps in valid files: whatever comes out, it is a plan or a report, never a panic.
#[test]
fn broken_files_never_panic() {
    let no_environment = |_: &str| None;
    let cases = std::fs::read_dir("tests/golden").unwrap().map(|e| e.unwrap().path());
    let cases: Vec<PathBuf> = cases.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
    let mut tried = 0;
    for case in &cases {
        let text = std::fs::read_to_string(case).unwrap();
        // Includes read files; what is broken here is the text.
        let text = text.replace("include", "included");
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).step_by(17).collect();
        for at in places {
            let cut = &text[..at];
            let doubled = format!("{cut}\"{}", &text[at..]);
            let bracketed = format!("{cut}[{}", &text[at..]);
            for broken in [cut, &doubled, &bracketed] {
                tried += 1;
                if let Err(report) = parse_with(broken, "x.toml", Path::new("tests/golden"), &no_environment) {
                    assert!(report.errors() > 0);
                    // Every error's place must be drawable.
                    report.diagnostics.iter().for_each(|d| assert!(!d.render(false).is_empty()));
                }
            }
        }
    }
    assert!(tried > 1000);
}
