//! Content types by file name.

/// A media type, and whether `; charset=utf-8` belongs behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// The media type, such as `text/html`.
    pub media_type: &'static str,
    /// Whether it is text whose encoding should be said: what a browser would guess otherwise.
    pub utf8: bool,
}

/// What is served when nothing better is known. With `nosniff`, browsers offer it as a download.
const UNKNOWN: &str = "application/octet-stream";

/// The type of a file by the extension of its name, in any case; `application/octet-stream` when that says nothing.
pub fn content_type(path: &[u8]) -> ContentType {
    let known = |e| common(e).or_else(|| better(e)).or_else(|| mime_guess::from_ext(e).first_raw());
    let media_type = match extension(path).and_then(known) {
        // One name for all scripts: the other one is obsolete (RFC 9239 §6).
        Some("application/javascript") => "text/javascript",
        Some(other) => other,
        None => UNKNOWN,
    };
    // JSON has no charset parameter: it is UTF-8 by definition (RFC 8259 §11).
    let utf8 = media_type.starts_with("text/") || matches!(media_type, "image/svg+xml" | "application/xhtml+xml");
    ContentType { media_type, utf8 }
}

/// The types of most of what a site holds; the whole table is searched by halves, in any case of letters, which a request for a new file would pay
/// for twice.
fn common(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "html" => "text/html",
        "css" => "text/css",
        "js" => "text/javascript",
        "json" => "application/json",
        "txt" => "text/plain",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" => "image/jpeg",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

/// Types that the table does not know, or has under a name that is not theirs, in any case of letters.
fn better(extension: &str) -> Option<&'static str> {
    const BETTER: [(&str, &str); 10] = [
        // A source map is JSON (ECMA-426).
        ("map", "application/json"),
        // RFC 8878 §7.1.
        ("zst", "application/zstd"),
        ("zstd", "application/zstd"),
        // HLS: a player may go by the types of playlist and segments (RFC 8216 §4 and §10); the table has a type of DLNA.
        ("m3u8", "application/vnd.apple.mpegurl"),
        ("ts", "video/mp2t"),
        // RFC 4337; the table has a name that is registered nowhere.
        ("m4a", "audio/mp4"),
        // RFC 8081 §4.4.
        ("otf", "font/otf"),
        // A solid, not Microsoft's list of trusted certificates.
        ("stl", "model/stl"),
        // A package, not a plug-in for sound.
        ("rpm", "application/x-rpm"),
        // As .tar.gz.
        ("tgz", "application/gzip"),
    ];
    BETTER.iter().find(|(name, _)| name.eq_ignore_ascii_case(extension)).map(|(_, media_type)| *media_type)
}

fn extension(path: &[u8]) -> Option<&str> {
    let name = path.rsplit(|b| *b == b'/').next()?;
    let dot = name.iter().rposition(|b| *b == b'.')?;
    // In `.profile` the dot makes the name hidden; nothing is behind it.
    if dot == 0 {
        return None;
    }
    std::str::from_utf8(&name[dot + 1..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_is_as_in_the_whole_table() {
        let mut known = 0;
        for extension in ["html", "css", "js", "json", "txt", "svg", "png", "jpg", "webp", "woff2", "bin"] {
            let Some(media_type) = common(extension) else { continue };
            assert_eq!(mime_guess::from_ext(extension).first_raw(), Some(media_type), "{extension}");
            known += 1;
        }
        assert_eq!(known, 10);
    }

    #[test]
    fn types_of_the_web() {
        for (path, media_type, utf8) in [
            ("index.html", "text/html", true),
            ("a/b.c/INDEX.HTM", "text/html", true),
            ("style.css", "text/css", true),
            ("app.js", "text/javascript", true),
            ("app.mjs", "text/javascript", true),
            ("notes.txt", "text/plain", true),
            ("logo.svg", "image/svg+xml", true),
            ("data.json", "application/json", false),
            ("app.webmanifest", "application/manifest+json", false),
            ("app.wasm", "application/wasm", false),
            ("font.woff2", "font/woff2", false),
            ("photo.JPG", "image/jpeg", false),
            ("photo.webp", "image/webp", false),
            ("photo.avif", "image/avif", false),
            ("icon.png", "image/png", false),
            ("favicon.ico", "image/x-icon", false),
            ("film.mp4", "video/mp4", false),
            ("paper.pdf", "application/pdf", false),
            ("archive.tar.gz", "application/gzip", false),
            ("archive.tar.zst", "application/zstd", false),
            ("app.js.map", "application/json", false),
            ("APP.CSS.MAP", "application/json", false),
            ("live.m3u8", "application/vnd.apple.mpegurl", false),
            ("live/0.TS", "video/mp2t", false),
            ("song.m4a", "audio/mp4", false),
            ("font.otf", "font/otf", false),
            ("part.stl", "model/stl", false),
            ("a.rpm", "application/x-rpm", false),
            ("a.tgz", "application/gzip", false),
            ("README", UNKNOWN, false),
            (".html", UNKNOWN, false),
            ("a.html/x", UNKNOWN, false),
            ("odd.\u{e9}", UNKNOWN, false),
            ("dot.", UNKNOWN, false),
            ("", UNKNOWN, false),
        ] {
            assert_eq!(content_type(path.as_bytes()), ContentType { media_type, utf8 }, "{path}");
        }
        assert_eq!(content_type(b"x.\xff").media_type, UNKNOWN);
    }
}
