//! Heads in, heads out. What is common to the tests of all directions is here.

mod chain;
mod client;
mod properties;
mod request;
mod response;
mod rules;
mod target;

use std::net::IpAddr;

use buf::Shared;
use message::{
    BodyLength, Field, FieldLines, Fields, FieldsBuilder, HeadWriter, Known, KnownSet, Method, RequestHead,
    ResponseHead, Span, TargetForm, Version,
};

use crate::*;

/// The fields of the lines that stand in `text` behind `from`, over the bytes as they are.
fn fields_at(text: &str, from: usize) -> Fields {
    let mut lines = FieldLines::new();
    let mut at = from;
    let mut canonical = true;
    for line in text[from..].split_inclusive("\r\n").take_while(|line| *line != "\r\n") {
        let (name, rest) = line.split_once(':').expect("a field line");
        let value = rest.trim_matches([' ', '\t', '\r', '\n']);
        let value_at = at + name.len() + 1 + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
        // White space alone is before the value and behind it.
        let value_at =
            if value.is_empty() { at + name.len() + 1 + usize::from(rest.starts_with(' ')) } else { value_at };
        canonical &= rest == format!(" {value}\r\n");
        lines.push(Field {
            name: Span::new(at, at + name.len()),
            value: Span::new(value_at, value_at + value.len()),
            known: Known::of(name.as_bytes()),
        });
        at += line.len();
    }
    lines.set_canonical(canonical && !lines.lines().is_empty());
    lines.over(Shared::copy_of(text.as_bytes()))
}

/// The same table, of which nothing is known but its lines.
fn without_layout(fields: &Fields) -> Fields {
    let mut twin = Fields::over(fields.shared_bytes());
    fields.lines().iter().for_each(|line| twin.push_span(*line));
    twin
}

fn fields(lines: &[&str]) -> Fields {
    let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    fields_at(&text, 0)
}

/// A request as a decoder would give it: `line` is "METHOD target HTTP/1.x".
fn request_head(line: &str, lines: &[&str]) -> RequestHead {
    let text = format!("{line}\r\n{}\r\n", lines.iter().map(|l| format!("{l}\r\n")).collect::<String>());
    let fields = fields_at(&text, line.len() + 2);
    let (method, rest) = line.split_once(' ').expect("a method");
    let (target, version) = rest.split_once(' ').expect("a version");
    let at = method.len() + 1;
    let end = at + target.len();
    let (form, named) = match target {
        "*" => (TargetForm::Asterisk, None),
        _ if target.starts_with('/') => (TargetForm::Origin, None),
        _ => {
            let host = at + target.find("//").expect("absolute-form") + 2;
            let path = text[host..end].find(['/', '?']).map_or(end, |n| host + n);
            (TargetForm::Absolute, Some(Span::new(host, path)))
        }
    };
    let host = fields.lines().iter().find(|l| l.known == Known::Host).map(|l| l.value);
    let path_at = named.map_or(at, |n| n.range().end);
    let question = text[path_at..end].find('?').map(|n| path_at + n);
    let path_end = if form == TargetForm::Asterisk { path_at } else { question.unwrap_or(end) };
    let has = |known| fields.first(known).is_some();
    RequestHead {
        method: Method::of(method.as_bytes()),
        method_span: Span::new(0, method.len()),
        version: if version == "HTTP/1.0" { Version::Http10 } else { Version::Http11 },
        form,
        target: Span::new(at, end),
        authority: named.or(host).unwrap_or_default(),
        path: Span::new(path_at, path_end),
        query: question.map(|q| Span::new(q + 1, end)),
        body: if has(Known::TransferEncoding) { BodyLength::Streamed } else { BodyLength::None },
        keep_alive: true,
        expect_continue: false,
        upgrade: has(Known::Upgrade) && fields.has_token(Known::Connection, b"upgrade"),
        fields,
    }
}

fn response_head(status: u16, body: BodyLength, lines: &[&str]) -> ResponseHead {
    ResponseHead::new(status, fields(lines), body)
}

/// What a test of requests can vary.
struct Setup {
    host: HostPolicy,
    rules: FieldRules,
    trailers: bool,
    /// The body was read whole, and goes with its length.
    buffered: bool,
    upgrade: bool,
    address: &'static str,
    scheme: Scheme,
    /// How the client asked; absent: as `scheme` says.
    asked: Option<Scheme>,
    trusted: bool,
    certificate: Option<ClientCertificate<'static>>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            host: HostPolicy::Client,
            rules: FieldRules::none(),
            trailers: false,
            buffered: false,
            upgrade: false,
            address: "192.0.2.7",
            scheme: Scheme::Http,
            asked: None,
            trusted: false,
            certificate: None,
        }
    }
}

impl Setup {
    fn send(&self, head: &RequestHead) -> (String, Sent) {
        let (fields, sent) = self.try_send(head).expect("it can be sent");
        (text_of(&fields), sent)
    }

    fn try_send(&self, head: &RequestHead) -> Result<(Fields, Sent), TooManyOptions> {
        self.with(head, |options, client| {
            let len_max = request_len_max(head, options, client);
            let sent = written(len_max, |out| crate::request(head, options, client, out));
            // However the lines are copied, they are the same.
            let twin = RequestHead { fields: without_layout(&head.fields), ..head.clone() };
            let again = written(len_max, |out| crate::request(&twin, options, client, out));
            assert_eq!(format!("{sent:?}"), format!("{again:?}"));
            sent
        })
    }

    /// Whether `head` becomes larger than the 64 KiB that there are for it, and is known beforehand to become so.
    fn overflows(&self, head: &RequestHead) -> bool {
        self.with(head, |options, client| {
            let mut memory = vec![0; 64 << 10];
            let mut out = HeadWriter::over(&mut memory);
            let _ = crate::request(head, options, client, &mut out).expect("Connection is fine");
            assert!(!out.overflowed() || request_len_max(head, options, client) > 64 << 10);
            out.overflowed()
        })
    }

    fn with<R>(&self, head: &RequestHead, then: impl FnOnce(&RequestOptions<'_>, &ClientInfo<'_>) -> R) -> R {
        let address = self.address.parse::<IpAddr>().map_or(ClientAddress::unknown(), ClientAddress::new);
        let client = ClientInfo {
            address: &address,
            scheme: self.scheme,
            asked: self.asked.unwrap_or(self.scheme),
            trusted: self.trusted,
            certificate: self.certificate,
        };
        let options = RequestOptions {
            host: &self.host,
            upstream: b"origin:3000",
            rules: &self.rules,
            trailers: self.trailers,
            chunked: head.body == BodyLength::Streamed && !self.buffered,
            upgrade: self.upgrade,
        };
        then(&options, &client)
    }

    /// The lines that a GET of `lines` becomes.
    fn get(&self, lines: &[&str]) -> Vec<String> {
        lines_of(&self.send(&request_head("GET /p HTTP/1.1", lines)).0)
    }
}

/// What a client is sent for an answer of the server.
fn respond_to(head: &ResponseHead, options: &ResponseOptions<'_>) -> Result<Fields, TooManyOptions> {
    let len_max = response_len_max(head, options);
    let write =
        |head: &ResponseHead| written(len_max, |out| crate::response(head, options, out)).map(|(sent, ())| sent);
    let sent = write(head);
    let again = write(&ResponseHead { fields: without_layout(&head.fields), ..head.clone() });
    assert_eq!(format!("{sent:?}"), format!("{again:?}"));
    sent
}

/// The lines that `write` writes, read back: they fit into `len_max` bytes, and are what was noted of them.
fn written<R, E>(len_max: usize, write: impl FnOnce(&mut HeadWriter<'_>) -> Result<R, E>) -> Result<(Fields, R), E> {
    let mut memory = vec![b'#'; len_max];
    let mut out = HeadWriter::over(&mut memory);
    let said = write(&mut out)?;
    assert!(!out.overflowed(), "more than {len_max} bytes");
    let (len, noted) = (out.len(), out.names());
    memory.truncate(len);
    let text = String::from_utf8(memory).expect("text");
    let fields = fields_at(&text, 0);
    let names = fields.lines().iter().fold(KnownSet::default(), |names, line| names.with(KnownSet::of(&[line.known])));
    assert_eq!(noted, names, "{text}");
    Ok((fields, said))
}

/// The bytes that are sent: each line laid out as a line of ours.
fn text_of(fields: &Fields) -> String {
    let told: Vec<u8> = fields.iter().flat_map(|f| [f.name, b": ", f.value, b"\r\n"].concat()).collect();
    assert_eq!(told, fields.bytes());
    String::from_utf8(told).expect("text")
}

fn lines_of(text: &str) -> Vec<String> {
    text.split_terminator("\r\n").map(str::to_owned).collect()
}
