//! The page that says what failed: plain text, or HTML for a browser.

use std::borrow::Cow;

use buf::Shared;
use message::{BodyLength, FieldsBuilder, Known, RequestHead, ResponseHead, reason_phrase};
use observe::Failure;

use crate::error_pages::ErrorPages;

pub(crate) struct Page {
    pub(crate) head: ResponseHead,
    pub(crate) body: Shared,
}

/// Seconds a client is asked to wait before it tries again, where nothing is known.
const RETRY_AFTER: u16 = 1;

/// The page of a failure; with `reasons` it says all that is known. `more` is what the route adds.
pub(crate) fn of(failure: &Failure, request: Option<&RequestHead>, reasons: bool, more: &ErrorPages) -> Page {
    let html = request
        .and_then(|r| r.fields.first(Known::Accept))
        .is_some_and(|accept| contains_ignoring_case(accept, b"text/html"));
    let sentence = if reasons { &failure.sentence } else { failure.public_sentence() };
    let body = if html { as_html(failure.status, sentence) + more.suffix() } else { as_text(failure.status, sentence) };
    let body = Shared::copy_of(body.as_bytes());
    let kind: &[u8] = if html { b"text/html; charset=utf-8" } else { b"text/plain; charset=utf-8" };
    Page { head: head(failure, kind, body.len(), reasons, more.fields()), body }
}

/// The head of a failure's answer, whatever its page is.
pub(crate) fn head(
    failure: &Failure,
    content_type: &[u8],
    length: usize,
    reasons: bool,
    more: &[(String, String)],
) -> ResponseHead {
    let mut fields = FieldsBuilder::new();
    if let Some(allow) = &failure.allow {
        fields.push_known(Known::Allow, b"Allow", allow.as_bytes());
    }
    let retry_after = failure.retry_after.or((failure.status == 503).then_some(RETRY_AFTER));
    if let Some(seconds) = retry_after {
        fields.push_known(Known::RetryAfter, b"Retry-After", seconds.to_string().as_bytes());
    }
    if reasons {
        fields.push_known(Known::Other, b"Tollgate-Reason", as_field_value(&failure.verdict().to_string()).as_bytes());
    }
    // What failed now may work in a moment: no cache keeps it.
    fields.push_known(Known::CacheControl, b"Cache-Control", b"no-store");
    fields.push_known(Known::ContentType, b"Content-Type", content_type);
    fields.push_known(Known::Other, b"X-Content-Type-Options", b"nosniff");
    more.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    ResponseHead::new(failure.status, fields.finish(), BodyLength::Known(length as u64))
}

/// The most bytes of a reason in a field: the log has it whole.
const REASON_MAX: usize = 512;

/// The text as the value of a field: visible ASCII and spaces. What the system says of an error may be in any language.
fn as_field_value(text: &str) -> String {
    text.chars().take(REASON_MAX).map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

fn as_text(status: u16, sentence: &str) -> String {
    format!("{status} {}\n\n{sentence}\n", reason_phrase(status))
}

fn as_html(status: u16, sentence: &str) -> String {
    let phrase = reason_phrase(status);
    let sentence = escape(sentence);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{status} {phrase}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>body{{font:1rem/1.5 system-ui,sans-serif;\
         max-width:36rem;margin:20vh auto 0;padding:0 1rem;color:#222;background:#fff}}h1{{font-size:1.4rem;\
         margin:0}}p{{color:#555}}@media(prefers-color-scheme:dark){{body{{color:#eee;background:#181818}}\
         p{{color:#aaa}}}}</style></head>\n<body><h1>{status} {phrase}</h1><p>{sentence}</p></body></html>\n"
    )
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"))
}

fn contains_ignoring_case(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use observe::Kind;

    use super::*;

    #[test]
    fn a_page_says_what_happened_and_hides_no_markup() {
        let failure = Failure::because(Kind::ConnectFailed, "upstream <b>api</b> refused");
        let page = of(&failure, None, true, &ErrorPages::default());
        assert_eq!(&*page.body, b"502 Bad Gateway\n\nupstream <b>api</b> refused\n");
        assert!(as_html(502, &failure.sentence).contains("upstream &lt;b&gt;api&lt;/b&gt; refused"));
    }

    #[test]
    fn a_503_says_when_to_try_again_and_a_405_what_is_allowed() {
        let page = of(&Failure::new(Kind::NoServer), None, false, &ErrorPages::default());
        assert_eq!(page.head.fields.first(Known::RetryAfter), Some(&b"1"[..]));
        let after = |kind, wait| {
            let page = of(&Failure::new(kind).with_retry_after(wait), None, false, &ErrorPages::default());
            page.head.fields.first(Known::RetryAfter).map(|value| String::from_utf8_lossy(value).into_owned())
        };
        assert_eq!(after(Kind::NoServer, Duration::from_millis(4_001)).as_deref(), Some("5"));
        assert_eq!(after(Kind::ConnectFailed, Duration::ZERO).as_deref(), Some("1"), "a 502 too, where it is known");
        assert_eq!(after(Kind::ConnectTimeout, Duration::MAX).as_deref(), Some("65535"));
        let page = of(&Failure::new(Kind::ConnectFailed), None, false, &ErrorPages::default());
        assert_eq!(page.head.fields.first(Known::RetryAfter), None);
        let page = of(&Failure::method_not_allowed("GET, HEAD"), None, false, &ErrorPages::default());
        assert_eq!(page.head.fields.first(Known::Allow), Some(&b"GET, HEAD"[..]));
    }

    #[test]
    fn the_reason_is_told_only_where_it_is_meant_to_be() {
        let failure = Failure::because(Kind::ConnectFailed, "upstream api 10.0.0.7:80: r\u{e9}fus\u{e9}\r\nX: 1");
        let reason = |reasons| {
            let page = of(&failure, None, reasons, &ErrorPages::default());
            let fields = &page.head.fields;
            let reason = fields.iter().find(|line| line.name == b"Tollgate-Reason").map(|line| line.value.to_vec());
            (
                reason.map(|value| String::from_utf8(value).expect("ASCII")),
                String::from_utf8(page.body.to_vec()).expect("text"),
            )
        };
        let (field, body) = reason(true);
        assert_eq!(field.as_deref(), Some("UREF upstream/connect: upstream api 10.0.0.7:80: r?fus???X: 1"));
        assert!(body.contains("10.0.0.7"));
        let (field, body) = reason(false);
        assert_eq!(field, None);
        assert!(!body.contains("10.0.0.7"), "{body}");
    }
}
