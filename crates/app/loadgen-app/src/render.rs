//! From arguments to the bytes of a request.

use crate::url::Url;

/// What all requests of a run have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) method: Option<String>,
    /// "Name: value".
    pub(crate) fields: Vec<String>,
    pub(crate) body: Option<Vec<u8>>,
    /// A connection carries one request only.
    pub(crate) close: bool,
}

/// A request as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) method: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) head_len: usize,
}

/// Fields that follow from other options.
const OWN_FIELDS: [(&str, &str); 3] = [
    ("content-length", "it follows from the body"),
    ("transfer-encoding", "bodies are sent with their length"),
    ("connection", "--no-keep-alive says it"),
];

/// Renders the request for `url`; what is wrong with the arguments in a sentence.
pub(crate) fn render(url: &Url, shape: &Shape) -> Result<Rendered, String> {
    let default = if shape.body.is_some() { "POST" } else { "GET" };
    let method = shape.method.as_deref().unwrap_or(default);
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(format!("--method {method}: that is no method"));
    }
    if method == "CONNECT" {
        return Err("--method CONNECT: tunnels are not supported".into());
    }
    let mut head = format!("{method} {} HTTP/1.1\r\n", url.target);
    let mut own =
        vec![("Host", url.host.clone()), ("User-Agent", concat!("loadgen/", env!("CARGO_PKG_VERSION")).into())];
    let fields = shape.fields.iter().map(|field| split(field)).collect::<Result<Vec<_>, _>>()?;
    own.retain(|(name, _)| !fields.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)));
    for (name, value) in own.iter().map(|(n, v)| (*n, v.as_str())).chain(fields) {
        head += &format!("{name}: {value}\r\n");
    }
    match &shape.body {
        Some(body) => head += &format!("Content-Length: {}\r\n", body.len()),
        None if matches!(method, "POST" | "PUT" | "PATCH") => head += "Content-Length: 0\r\n",
        None => {}
    }
    if shape.close {
        head += "Connection: close\r\n";
    }
    head += "\r\n";
    let mut bytes = head.into_bytes();
    let head_len = bytes.len();
    bytes.extend_from_slice(shape.body.as_deref().unwrap_or_default());
    Ok(Rendered { method: method.to_owned(), bytes, head_len })
}

fn split(field: &str) -> Result<(&str, &str), String> {
    let Some((name, value)) = field.split_once(':') else {
        return Err(format!("--header `{field}`: a field is written as \"Name: value\""));
    };
    let value = value.trim();
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("--header `{field}`: `{name}` is no field name"));
    }
    if value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7F) {
        return Err(format!("--header `{}`: a value has no control characters", field.escape_debug()));
    }
    let taken = OWN_FIELDS.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    match taken {
        Some((_, why)) => Err(format!("--header `{field}`: {name} is not yours to set: {why}")),
        None => Ok((name, value)),
    }
}

/// RFC 9110 §5.6.2.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// A body of that size, of printable text, the same each time.
pub(crate) fn made_up_body(bytes: usize) -> Vec<u8> {
    b"The quick brown fox jumps over the lazy dog. ".iter().copied().cycle().take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(url: &str, shape: &Shape) -> String {
        String::from_utf8(render(&Url::parse(url).unwrap(), shape).unwrap().bytes).unwrap()
    }

    #[test]
    fn a_plain_request() {
        let expected =
            format!("GET /a?b HTTP/1.1\r\nHost: h:81\r\nUser-Agent: loadgen/{}\r\n\r\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(text("http://h:81/a?b", &Shape::default()), expected);
    }

    #[test]
    fn fields_replace_ours_and_a_body_brings_its_length() {
        let shape = Shape {
            fields: vec!["host: other".into(), "X-A:  1 ".into(), "User-Agent: me".into()],
            body: Some(b"abc".to_vec()),
            close: true,
            ..Shape::default()
        };
        let expected = "POST / HTTP/1.1\r\nhost: other\r\nX-A: 1\r\nUser-Agent: me\r\nContent-Length: 3\r\n\
                        Connection: close\r\n\r\nabc";
        assert_eq!(text("http://h/", &shape), expected);
    }

    #[test]
    fn a_put_without_a_body_says_so() {
        let shape = Shape { method: Some("PUT".into()), ..Shape::default() };
        assert!(text("http://h/", &shape).contains("\r\nContent-Length: 0\r\n"));
        assert_eq!(made_up_body(50).len(), 50);
    }

    #[test]
    fn what_could_break_the_framing_is_refused() {
        let url = Url::parse("http://h/").unwrap();
        for field in
            ["x", ": y", "a b: c", "a: b\r\nc: d", "Content-Length: 5", "transfer-encoding: chunked", "Connection: x"]
        {
            let shape = Shape { fields: vec![field.into()], ..Shape::default() };
            assert!(render(&url, &shape).is_err(), "{field}");
        }
        for method in ["", "G ET", "CONNECT", "A\r\n"] {
            let shape = Shape { method: Some(method.into()), ..Shape::default() };
            assert!(render(&url, &shape).is_err(), "{method}");
        }
    }
}
