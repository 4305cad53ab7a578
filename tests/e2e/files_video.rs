//! A video that is sought in by Chromium, made here: a picture a second, far apart in the file.

use std::fs;

use tests::{folder, peers};

use crate::files_crawled::played;

/// Key frames of VP8, 64 by 48 pixels, each of one colour: red, green, blue, yellow.
const PICTURES: [&str; 4] = [
    "5003009d012a400030003f1188be58ac2926a3a2a801802209670000142b1fdbb5349800feeb8e5ff8340a0007ffff0417f105fc4158e5462496d0500000",
    "b003009d012a400030003f1188be58ac2926a3a2a8018022096700d2268000151a631c3e128000febbb7fe851b289af1ffc5b48e854cac979482c379786d40000000",
    "5003009d012a400030003f1188be58ac2926a3a2a80180220967000013f18e1f08458000feef2947fffc105fc417f105695fa0f8b73ae2f03b5300000000",
    "5003009d012a400030003f1188be58ac2926a3a2a80180220967000013f18e1f08458000fee0257fffe15afe56bf95abc6f9d8f6c0a20a6049450000",
];

/// So many seconds of each.
const SECONDS_EACH: u64 = 15;

/// So much of nothing stands behind each picture: more than a browser reads ahead lies between two colours.
const APART: usize = 512 << 10;

/// An element of Matroska: its id, its length in eight bytes, what is in it.
fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    let length = (1 << 56 | content.len() as u64).to_be_bytes();
    [id, &length, content].concat()
}

fn number(id: &[u8], value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// A WebM file of the pictures, with an index before them.
fn video() -> Vec<u8> {
    let pictures = PICTURES.map(|hex| {
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
        (0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>()
    });
    let seconds = SECONDS_EACH * pictures.len() as u64;
    let clusters: Vec<Vec<u8>> = (0..seconds)
        .map(|second| {
            // Of track 1, at the cluster's time, a key frame.
            let block = [&[0x81, 0, 0, 0x80], &pictures[(second / SECONDS_EACH) as usize][..]].concat();
            let cluster = [number(&[0xe7], second * 1000), element(&[0xa3], &block)].concat();
            [element(&[0x1f, 0x43, 0xb6, 0x75], &cluster), element(&[0xec], &vec![0; APART])].concat()
        })
        .collect();
    let information = [
        number(&[0x2a, 0xd7, 0xb1], 1_000_000),
        element(&[0x44, 0x89], &((seconds * 1000) as f64).to_be_bytes()),
        element(&[0x4d, 0x80], b"tests"),
        element(&[0x57, 0x41], b"tests"),
    ];
    let picture = [number(&[0xb0], 64), number(&[0xba], 48)].concat();
    let track = [
        number(&[0xd7], 1),
        number(&[0x73, 0xc5], 1),
        number(&[0x83], 1),
        element(&[0x86], b"V_VP8"),
        element(&[0xe0], &picture),
    ];
    let head = [
        element(&[0x15, 0x49, 0xa9, 0x66], &information.concat()),
        element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &track.concat())),
    ]
    .concat();
    // The index is as long whatever the places are: all numbers take eight bytes.
    let index = |begin: usize| {
        let mut place = begin;
        let mut points = Vec::new();
        for (second, cluster) in clusters.iter().enumerate() {
            let position = [number(&[0xf7], 1), number(&[0xf1], place as u64)].concat();
            let point = [number(&[0xb3], second as u64 * 1000), element(&[0xb7], &position)].concat();
            points.extend(element(&[0xbb], &point));
            place += cluster.len();
        }
        element(&[0x1c, 0x53, 0xbb, 0x6b], &points)
    };
    let begin = head.len() + index(0).len();
    let segment = [head, index(begin), clusters.concat()].concat();
    let kind = [number(&[0x42, 0xf7], 1), number(&[0x42, 0xf2], 4), number(&[0x42, 0xf3], 8)];
    let kind = [kind.concat(), element(&[0x42, 0x82], b"webm"), number(&[0x42, 0x87], 2), number(&[0x42, 0x85], 2)];
    [element(&[0x1a, 0x45, 0xdf, 0xa3], &kind.concat()), element(&[0x18, 0x53, 0x80, 0x67], &segment)].concat()
}

/// Forward to where it has not read yet, and back again: the picture that is shown is the one of that second, and parts were asked for. Not run where there is no
/// Chromium, which is said.
#[test]
fn chromium_moves_in_a_video() {
    let Some((browser, _profile)) = peers::chromium() else { return };
    let root = folder();
    fs::write(root.path().join("film.webm"), video()).expect("a file of ours");
    // The document of the frame is held open until all is said: the browser prints the page when it is loaded.
    let page = "<!doctype html><p id=said></p><canvas width=64 height=48></canvas>\
                <video src=film.webm preload=metadata muted></video><iframe></iframe><script>\
                const video = document.querySelector('video'), said = document.querySelector('#said');\
                const canvas = document.querySelector('canvas').getContext('2d');\
                const held = document.querySelector('iframe').contentDocument;\
                held.open();\
                const places = [50, 20, 35, 5];\
                const name = ([r, g, b]) => (r > 99 ? 'r' : '') + (g > 99 ? 'g' : '') + (b > 99 ? 'b' : '');\
                video.onerror = () => { said.textContent += video.error.message; held.close() };\
                video.onloadedmetadata = () => { video.currentTime = places[0] };\
                video.onseeked = () => {\
                  canvas.drawImage(video, 0, 0);\
                  const colour = name(canvas.getImageData(32, 24, 1, 1).data);\
                  said.textContent += `${places.shift()} of ${video.duration}: ${colour}; `;\
                  if (places.length) video.currentTime = places[0]; else held.close();\
                };</script>";
    let shown = played(browser, root.path(), page, "film.webm", 3);
    assert!(shown.out.contains("50 of 60: rg; 20 of 60: g; 35 of 60: b; 5 of 60: r; "), "{}\n{}", shown.out, shown.err);
}
