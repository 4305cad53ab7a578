//! Text from outside, made harmless for a page.

use super::super::text::is_harmless;

/// `text` for an element's content or a quoted attribute: markup becomes text, control characters are shown.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(2_000) {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            _ if is_harmless(c) => out.push(c),
            _ => out.extend(c.escape_unicode()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escape("<b title=\"x\">a & 'b'</b>"), "&lt;b title=&quot;x&quot;&gt;a &amp; &#39;b&#39;&lt;/b&gt;");
        assert_eq!(escape("\0\u{202e}"), r"\u{0}\u{202e}");
        assert_eq!(escape("größer µs"), "größer µs");
    }
}
