//! A real browser.

use std::process::Command;

use tests::{peers, run};

use crate::tls::secure;

/// Chromium shows the page; it speaks the post-quantum key exchange that OpenSSL 3.0 does not know. Not run where there is no
/// Chromium, which is said.
#[test]
fn chromium_shows_a_page() {
    let Some((mut browser, _profile)) = peers::chromium() else { return };
    let site = secure("");
    let public = "openssl x509 -in \"$0\" -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | \
                  openssl base64";
    let pin = run(Command::new("sh").args(["-c", public, &site.path("site.pem")]));
    let ignored = format!("--ignore-certificate-errors-spki-list={}", pin.out.trim());
    let shown = run(browser.arg(ignored).arg(site.tollgate.url("/").replace("127.0.0.1", "localhost")));
    assert!(shown.out.contains("over tls"), "{}\n{}", shown.out, shown.err);
}
