//! What several tests of this crate share.

use buf::Shared;
use message::{BodyLength, Field, Fields, Known, Method, RequestHead, Span, TargetForm, Version};

/// A request head as an HTTP/1 machine would give it.
pub(crate) fn request(method: &str, target: &str, lines: &[(&str, &str)]) -> RequestHead {
    let mut text = format!("{method} {target}\r\n");
    let mut table = Vec::new();
    for (name, value) in lines {
        let at = text.len();
        text.push_str(&format!("{name}: {value}\r\n"));
        let value_at = at + name.len() + 2;
        table.push(Field {
            name: Span::new(at, at + name.len()),
            value: Span::new(value_at, value_at + value.len()),
            known: Known::of(name.as_bytes()),
        });
    }
    let mut fields = Fields::over(Shared::copy_of(text.as_bytes()));
    table.into_iter().for_each(|f| fields.push_span(f));
    let target_at = method.len() + 1;
    let path_len = target.find('?').unwrap_or(target.len());
    let query = target[path_len..].strip_prefix('?');
    RequestHead {
        method: Method::of(method.as_bytes()),
        method_span: Span::new(0, method.len()),
        version: Version::Http11,
        form: TargetForm::Origin,
        target: Span::new(target_at, target_at + target.len()),
        authority: Span::default(),
        path: Span::new(target_at, target_at + path_len),
        query: query.map(|q| Span::new(target_at + path_len + 1, target_at + path_len + 1 + q.len())),
        fields,
        body: BodyLength::None,
        keep_alive: true,
        expect_continue: false,
        upgrade: false,
    }
}
