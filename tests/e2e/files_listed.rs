//! Folders that show what is in them.

use std::fs;

use tests::{Client, Tollgate, folder, peers::curl};

use crate::files::{curl_i, site};

const ROUTE: &str = "[[route]]\npath = \"/*\"\nfiles = { root = \"site\", listing = true }\n";

fn listed() -> Tollgate {
    let folder = folder();
    let root = folder.path().join("site");
    fs::create_dir_all(root.join("sub/deep")).expect("a folder of ours");
    for (name, size) in [("b.txt", 2048), ("<a>&\".txt", 10), ("c d.html", 5), (".hidden", 1)] {
        fs::write(root.join("sub").join(name), "x".repeat(size)).expect("a file of ours");
    }
    Tollgate::config_in(folder, ROUTE)
}

#[test]
fn every_link_of_a_listing_leads_to_its_file() {
    let server = listed();
    let (status, head, page) = curl_i(&server.url("/sub/"), &[]);
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(!page.contains("hidden") && !page.contains("<a>&"), "{page}");
    let links: Vec<&str> = page.split("href=\"").skip(1).filter_map(|s| s.split('"').next()).collect();
    let names: Vec<&&str> = links.iter().filter(|l| l.starts_with("./") && l.len() > 2).collect();
    assert_eq!(names.len(), 4, "{links:?}");
    for link in links.iter().filter(|l| !l.starts_with('?')) {
        let joined = server.url(&format!("/sub/{link}"));
        // curl removes the dot segments, as a browser does.
        let ended = curl(["-o", "/dev/null", "-w", "%{http_code}", &joined]);
        assert_eq!(ended.out, "200", "{link}");
    }
}

#[test]
fn a_listing_is_sorted_as_asked_and_made_for_programs_too() {
    let server = listed();
    let names = |query: &str| {
        let reply = Client::connect(server.address())
            .ask(format!("GET /sub/{query} HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n"));
        assert_eq!(reply.field("content-type").as_deref(), Some("application/json"));
        assert_eq!(reply.field("vary").as_deref(), Some("Accept"));
        let text = reply.text();
        let names = text.split("{\"name\":\"").skip(1).filter_map(|s| s.split("\",\"type\"").next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["deep", r#"\u003ca>&\".txt"#, "b.txt", "c d.html"]);
    assert_eq!(names("?sort=size&order=desc")[..2], ["deep", "b.txt"]);
    assert_eq!(names("?sort=size")[1], "c d.html");
}

#[test]
fn nothing_is_listed_where_nobody_asked_for_it() {
    let root = site();
    let server = Tollgate::server(root.path());
    assert_eq!(curl_i(&server.url("/docs/empty/"), &[]).0, 404);
}
