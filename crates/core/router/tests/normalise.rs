//! Normal form of paths: the rules one by one, then properties.

use proptest::prelude::*;

use router::{BadPath, Normalised, Scratch, normalise};

fn normal(path: &str) -> Result<String, BadPath> {
    let mut scratch = Scratch::new();
    let normal = normalise(path.as_bytes(), &mut scratch)?;
    Ok(String::from_utf8(normal.to_vec()).expect("ASCII in, ASCII out"))
}

#[test]
fn dot_segments_are_removed() {
    for (path, expected) in [
        ("/", "/"),
        ("/a/b.html", "/a/b.html"),
        ("/.", "/"),
        ("/./", "/"),
        ("/a/.", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a/..", "/"),
        ("/a/../", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../c", "/a/c"),
        ("/a/b/../../c", "/c"),
        // The example of RFC 3986 §5.2.4.
        ("/a/b/c/./../../g", "/a/g"),
        ("/...", "/..."),
        ("/..a/.b/c..", "/..a/.b/c.."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a.", "/a."),
    ] {
        assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn repeated_slashes_are_kept_and_count_as_segments() {
    assert_eq!(normal("//").as_deref(), Ok("//"));
    assert_eq!(normal("/a//b/").as_deref(), Ok("/a//b/"));
    assert_eq!(normal("/a//../b").as_deref(), Ok("/a/b"));
    assert_eq!(normal("//..").as_deref(), Ok("/"));
    assert_eq!(normal("//../.."), Err(BadPath::AboveRoot));
}

#[test]
fn only_unreserved_characters_are_decoded() {
    for (path, expected) in [
        ("/%41%7a%30%2D%5f%7E", "/Az0-_~"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%2fb", "/a%2fb"),
        ("/a%5Cb%5c", "/a%5Cb%5c"),
        ("/a%20b%3F", "/a%20b%3F"),
        ("/%2541", "/%2541"),
        ("/%ff", "/%ff"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2e/b", "/a/b"),
        ("/a/..%2Fb", "/a/..%2Fb"),
        ("/a\\..\\b", "/a\\..\\b"),
    ] {
        assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn what_has_no_normal_form_is_refused() {
    for (path, expected) in [
        ("", BadPath::NotAbsolute),
        ("*", BadPath::NotAbsolute),
        ("a/b", BadPath::NotAbsolute),
        ("/..", BadPath::AboveRoot),
        ("/../a", BadPath::AboveRoot),
        ("/a/../..", BadPath::AboveRoot),
        ("/a/../../b", BadPath::AboveRoot),
        ("/%2e%2e/etc/passwd", BadPath::AboveRoot),
        ("/a\0", BadPath::Nul),
        ("/.a\0", BadPath::Nul),
        ("/a%00", BadPath::Nul),
        ("/%", BadPath::BrokenEscape),
        ("/%4", BadPath::BrokenEscape),
        ("/%4/1", BadPath::BrokenEscape),
        ("/%zz", BadPath::BrokenEscape),
        ("/a%4g/..", BadPath::BrokenEscape),
        ("/%+1", BadPath::BrokenEscape),
    ] {
        assert_eq!(normal(path), Err(expected), "{path:?}");
    }
}

#[test]
fn a_path_in_normal_form_is_borrowed() {
    let mut scratch = Scratch::new();
    for path in ["/", "/a/b.tar.gz", "/a.b/c.d", "//", "/.hidden", "/a%20b"] {
        let bytes = path.as_bytes();
        match normalise(bytes, &mut scratch) {
            Ok(Normalised::AsSent(same)) => assert!(std::ptr::eq(same, bytes)),
            other => panic!("{path}: {other:?}"),
        }
    }
    assert!(matches!(normalise(b"/%41", &mut scratch), Ok(Normalised::Rewritten(b"/A"))));
}

/// Paths that are mostly dots, slashes and escapes.
fn odd_path() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"/".to_vec()),
        3 => Just(b".".to_vec()),
        2 => Just(b"..".to_vec()),
        2 => Just(b"%2e".to_vec()),
        1 => Just(b"%2F".to_vec()),
        1 => Just(b"%5C".to_vec()),
        1 => Just(b"%25".to_vec()),
        1 => Just(b"%00".to_vec()),
        1 => Just(b"%".to_vec()),
        2 => Just(b"a".to_vec()),
        1 => any::<u8>().prop_map(|b| vec![b]),
        1 => any::<u8>().prop_map(|b| format!("%{b:02x}").into_bytes()),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| {
        let mut path = vec![b'/'];
        pieces.iter().for_each(|p| path.extend_from_slice(p));
        path
    })
}

proptest! {
    #[test]
    fn normal_form_is_stable_shorter_and_within_the_root(path in odd_path()) {
        let (mut first, mut second) = (Scratch::new(), Scratch::new());
        let Ok(once) = normalise(&path, &mut first) else { return Ok(()) };
        prop_assert_eq!(once[0], b'/');
        prop_assert!(once.len() <= path.len());
        prop_assert!(!once.contains(&0));
        for segment in once.split(|b| *b == b'/') {
            let decoded = segment.to_ascii_lowercase();
            prop_assert!(!matches!(&decoded[..], b"." | b".." | b"%2e" | b"%2e%2e" | b".%2e" | b"%2e."));
        }
        prop_assert_eq!(normalise(&once, &mut second), Ok(Normalised::AsSent(&once)));
    }

    #[test]
    fn agrees_with_a_stack_of_segments(path in odd_path()) {
        let expected = by_stack(&path);
        let mut scratch = Scratch::new();
        prop_assert_eq!(normalise(&path, &mut scratch).ok().map(|p| p.to_vec()), expected);
    }

    #[test]
    fn a_scratch_in_use_makes_no_difference(paths in proptest::collection::vec(odd_path(), 1..6)) {
        let mut kept = Scratch::new();
        for path in &paths {
            let mut fresh = Scratch::new();
            prop_assert_eq!(normalise(path, &mut kept), normalise(path, &mut fresh));
        }
    }
}

/// The same rules in the most obvious way: decode everything first, then keep a stack of segments.
fn by_stack(path: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut i = 0;
    while i < path.len() {
        if path[i] != b'%' {
            decoded.push(path[i]);
            i += 1;
            continue;
        }
        let digits = path.get(i + 1..i + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => decoded.push(byte),
            0 => return None,
            _ => decoded.extend_from_slice(&path[i..i + 3]),
        }
        i += 3;
    }
    if decoded.contains(&0) {
        return None;
    }
    let segments: Vec<&[u8]> = decoded[1..].split(|b| *b == b'/').collect();
    let mut stack: Vec<&[u8]> = Vec::new();
    for (n, segment) in segments.iter().enumerate() {
        let last = n + 1 == segments.len();
        match *segment {
            b"." => {}
            b".." => {
                stack.pop()?;
            }
            other => {
                stack.push(other);
                continue;
            }
        }
        if last {
            stack.push(b"");
        }
    }
    let mut out = Vec::new();
    for segment in stack {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    Some(out)
}
