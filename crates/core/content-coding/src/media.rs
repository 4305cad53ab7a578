//! What is worth compressing.

/// Files smaller than this are sent as they are: with their head they fit into one packet as it is.
pub const SIZE_MIN: u64 = 1024;

/// Whether content of that media type (without parameters) shrinks when it is compressed. What is compressed already, as pictures,
/// films, archives and web fonts are, only costs time; so does what nobody knows.
pub fn is_compressible(media_type: &str) -> bool {
    let (kind, name) = media_type.split_once('/').unwrap_or((media_type, ""));
    match kind {
        "text" => true,
        "application" => {
            matches!(
                name,
                "json"
                    | "javascript"
                    | "ecmascript"
                    | "xml"
                    | "xml-dtd"
                    | "wasm"
                    | "rtf"
                    | "x-sh"
                    | "x-ndjson"
                    | "sql"
                    | "x-sql"
                    | "toml"
                    | "yaml"
                    | "x-yaml"
                    | "vnd.apple.mpegurl"
                    | "vnd.ms-fontobject"
                    | "postscript"
            ) || is_structured_text(name)
        }
        "image" => matches!(name, "bmp" | "x-icon" | "vnd.microsoft.icon") || is_structured_text(name),
        "font" => matches!(name, "ttf" | "otf" | "sfnt" | "collection"),
        "model" => is_structured_text(name),
        _ => false,
    }
}

/// Whether a structured syntax suffix (RFC 6839) says that it is text.
fn is_structured_text(name: &str) -> bool {
    name.ends_with("+json") || name.ends_with("+xml") || name.ends_with("+yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_shrinks_and_pictures_do_not() {
        for shrinks in [
            "text/html",
            "text/css",
            "text/javascript",
            "text/plain",
            "application/json",
            "application/manifest+json",
            "application/atom+xml",
            "application/xhtml+xml",
            "application/vnd.apple.mpegurl",
            "application/wasm",
            "image/svg+xml",
            "image/x-icon",
            "font/ttf",
        ] {
            assert!(is_compressible(shrinks), "{shrinks}");
        }
        for stays in [
            "image/jpeg",
            "image/png",
            "image/webp",
            "image/avif",
            "video/mp4",
            "audio/mpeg",
            "font/woff2",
            "font/woff",
            "application/gzip",
            "application/zip",
            "application/zstd",
            "application/pdf",
            "application/octet-stream",
            "",
            "text",
        ] {
            assert_eq!(is_compressible(stays), stays == "text", "{stays}");
        }
    }
}
