//! The listing for programs.

use std::fmt::Write;

use crate::listing::text::{json, timestamp};
use crate::listing::{Asked, Item, decoded, link};

pub(crate) fn document(asked: &Asked, items: &[Item], left_out: Option<usize>) -> String {
    let mut out = String::with_capacity(64 + 128 * items.len());
    let path = json(decoded(&asked.path).as_bytes());
    let is_complete = left_out == Some(0);
    let _ = write!(out, "{{\"path\":{path},\"complete\":{is_complete},");
    if let Some(n @ 1..) = left_out {
        let _ = write!(out, "\"left_out\":{n},");
    }
    out.push_str("\"entries\":[");
    for (i, item) in items.iter().enumerate() {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        let (name, url) = (json(&item.name), json(link(item).as_bytes()));
        let modified = timestamp(item.modified);
        let _ = match item.is_folder {
            true => write!(out, "{{\"name\":{name},\"type\":\"directory\",\"modified\":\"{modified}\",\"url\":{url}}}"),
            false => write!(
                out,
                "{{\"name\":{name},\"type\":\"file\",\"size\":{},\"modified\":\"{modified}\",\"url\":{url}}}",
                item.size
            ),
        };
    }
    out.push_str("\n]}\n");
    out
}
