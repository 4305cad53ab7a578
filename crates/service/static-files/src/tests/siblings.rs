//! Siblings that cannot be sent after all.

use std::fs;

use content_coding::Coding;

use super::*;

/// As a deployment does it, or where they may not be read: between the look and the opening.
#[test]
fn in_the_place_of_a_sibling_that_cannot_be_opened_comes_what_else_there_is() {
    let (br, gz) = ("page.html.br", "page.html.gz");
    for (gone, body, coding) in [(&[br][..], Some("in gzip"), Some("gzip")), (&[br, gz], None, Some("zstd"))] {
        let options = Options { precompressed: Coding::ALL.into(), compress: vec![Coding::Zstd], ..Options::default() };
        // This one never knows anything without waiting.
        let [_, site] = Site::both(options);
        for (name, text) in [("page.html", "x".repeat(5000)), (br, "in brotli".into()), (gz, "in gzip".into())] {
            site.write(name, text);
        }
        let asked = request("GET", "/page.html", &[("Accept-Encoding", "zstd;q=0.5, gzip;q=0.8, br")]);
        let mut step = site.files.begin(&asked, b"/page.html", site.moment());
        let (head, sent) = loop {
            match step {
                Step::Ready(Answer::Send { head, body }) => break (head, bytes_of(body)),
                Step::Ready(other) => panic!("{other:?}"),
                Step::Blocking(work) => {
                    let Work { lookup, claim } = *work;
                    if claim.coded.as_ref().is_some_and(|coded| coded.coding() == Coding::Brotli) {
                        gone.iter().for_each(|name| fs::remove_file(site.at(name)).unwrap());
                    }
                    let (lookup, outcome) = lookup.wait();
                    step = site.files.conclude(&asked, b"/page.html", site.moment(), Work { lookup, claim }, outcome);
                }
            }
        };
        let encoding = head.fields.first(message::Known::ContentEncoding);
        assert_eq!(encoding, coding.map(str::as_bytes), "{gone:?}");
        assert!(body.is_none_or(|body| body.as_bytes() == sent));
    }
}
