//! Pages of a site's own in the place of ours.

use std::fs;

use tests::{Client, Tollgate, folder};

const TEXT: &str = r#"
[[route]]
path = "/api/*"
proxy = { upstream = "nobody" }
error_pages = { "5xx" = "errors/5xx.html" }

[[route]]
path = "/plain/*"
files = { root = "site" }

[[route]]
path = "/*"
files = { root = "site" }
error_pages = { "404" = "errors/404.html", "4xx" = "errors/4xx.txt" }

[upstream.nobody]
servers = ["127.0.0.1:9"]
retry = { attempts = 1 }
"#;

#[test]
fn each_failure_gets_the_page_of_its_status() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("site")).expect("a folder of ours");
    fs::create_dir_all(folder.path().join("errors")).expect("a folder of ours");
    for (name, text) in [("404.html", "<p>lost"), ("4xx.txt", "no"), ("5xx.html", "<p>later")] {
        fs::write(folder.path().join("errors").join(name), text).expect("a file of ours");
    }
    let mut server = Tollgate::config_in(folder, TEXT);
    let mut client = Client::connect(server.address());
    let html = Some("text/html; charset=utf-8".to_owned());
    let lost = client.get("/none");
    assert_eq!((lost.status, lost.text().as_str(), lost.field("content-type")), (404, "<p>lost", html.clone()));
    assert_eq!(lost.field("cache-control").as_deref(), Some("no-store"));
    let method = client.ask("DELETE /none HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((method.status, method.text().as_str()), (405, "no"));
    assert_eq!(method.field("allow").as_deref(), Some("GET, HEAD, OPTIONS"));
    assert!(client.get("/plain/none").text().contains("There is no such file here."));
    let gone = client.get("/api/x");
    assert_eq!((gone.status, gone.text().as_str(), gone.field("content-type")), (502, "<p>later", html));
    let mut client = Client::connect(server.address());
    client.send("HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.reply_to_head();
    assert_eq!((head.status, head.field("content-length").as_deref()), (404, Some("7")));
    // The connection is as good as before, and a reload reads the pages again.
    assert_eq!(client.get("/none").text(), "<p>lost");
    fs::write(server.folder().join("errors/404.html"), "<p>found out").expect("a file of ours");
    server.reload(TEXT);
    assert_eq!(Client::connect(server.address()).get("/none").text(), "<p>found out");
}
