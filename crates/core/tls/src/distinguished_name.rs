//! Distinguished names as text (RFC 4514).

use crate::certificate::hex;
use crate::der::{self, Reader};

/// A distinguished name as RFC 4514 writes it: from the last part to the first.
pub(crate) fn name_text(body: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut relative = Reader(body);
    while !relative.is_empty() {
        let mut set = relative.inside(der::SET)?;
        let mut text = String::new();
        while !set.is_empty() {
            let mut attribute = set.inside(der::SEQUENCE)?;
            let kind = attribute.expect(der::OID)?.body;
            let value = attribute.any()?;
            if !text.is_empty() {
                text.push('+');
            }
            write_attribute(&mut text, kind, value);
        }
        parts.push(text);
    }
    parts.reverse();
    Some(parts.join(","))
}

/// The same name in ASCII: RFC 4514 §2.4 lets any character be written by its bytes.
pub(crate) fn ascii(name: &str) -> Box<str> {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                text.push('\\');
                text.push_str(&hex(&[byte]));
            }
        }
    }
    text.into()
}

/// The attributes that RFC 4514 §3 has short names for, and their OIDs.
const SHORT: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
];

fn write_attribute(text: &mut String, kind: &[u8], value: der::Item<'_>) {
    match SHORT.iter().find(|(oid, _)| *oid == kind) {
        Some((_, short)) => text.push_str(short),
        None => dotted(text, kind),
    }
    text.push('=');
    // UTF8String, PrintableString, TeletexString (as Latin letters in practice) and IA5String.
    let readable = match value.tag {
        der::UTF8_STRING | 0x13 | 0x14 | 0x16 => std::str::from_utf8(value.body).ok(),
        _ => None,
    };
    match readable {
        Some(value) => escape(text, value),
        None => {
            text.push('#');
            text.push_str(&hex(value.whole));
        }
    }
}

fn dotted(text: &mut String, oid: &[u8]) {
    let mut arc = 0u64;
    let mut is_first = true;
    for &byte in oid {
        arc = arc << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if is_first {
            let top = (arc / 40).min(2);
            text.push_str(&format!("{top}.{}", arc - top * 40));
            is_first = false;
        } else {
            text.push_str(&format!(".{arc}"));
        }
        arc = 0;
    }
}

/// Escapes what RFC 4514 §2.4 says, and control characters, which must not reach a log or a field.
fn escape(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (i, c) in value.chars().enumerate() {
        let at_edge = (c == ' ' && (i == 0 || i == last)) || (c == '#' && i == 0);
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            _ if at_edge => text.extend(['\\', c]),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    text.push('\\');
                    text.push_str(&hex(&[byte]));
                }
            }
            c => text.push(c),
        }
    }
}
