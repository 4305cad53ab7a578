//! A real browser.

use std::process::Command;

use tests::{folder, run};

use crate::tls::secure;

/// Chromium shows the page; it speaks the post-quantum key exchange that OpenSSL 3.0 does not know. Not run where there is no
/// Chromium, which `cargo xtask setup` tells.
#[test]
fn chromium_shows_a_page() {
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let there = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    let Some(browser) = browsers.iter().find(there) else {
        eprintln!("not run: there is no Chromium here");
        return;
    };
    let site = secure("");
    let public = "openssl x509 -in \"$0\" -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | \
                  openssl base64";
    let pin = run(Command::new("sh").args(["-c", public, &site.path("site.pem")]));
    let profile = folder();
    let shown = run(Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--ignore-certificate-errors-spki-list={}", pin.out.trim()))
        .args(["--timeout=8000", "--dump-dom"])
        .arg(site.tollgate.url("/").replace("127.0.0.1", "localhost")));
    assert!(shown.out.contains("over tls"), "{}\n{}", shown.out, shown.err);
}
