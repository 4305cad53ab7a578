//! The listing for people: one page without scripts, sorted by links.

use std::fmt::Write;

use crate::listing::text::{escaped, size, timestamp};
use crate::listing::{Asked, Column, Item, Order, decoded, link};

pub(crate) fn page(asked: &Asked, items: &[Item], left_out: Option<usize>) -> String {
    let mut out = String::with_capacity(4096 + 256 * items.len());
    let title = escaped(decoded(&asked.path).as_bytes());
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\n\
         <style>{STYLE}</style></head>\n<body><h1>"
    );
    trail(&mut out, &asked.path);
    out.push_str("</h1>\n");
    summary(&mut out, items, left_out);
    out.push_str("<table><thead><tr>");
    for (column, label) in [(Column::Name, "Name"), (Column::Size, "Size"), (Column::Modified, "Modified (UTC)")] {
        heading(&mut out, asked.order, column, label);
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    if has_parent(&asked.path) {
        out.push_str("<tr class=\"dir\"><td><a href=\"../\">..</a></td><td></td><td></td></tr>\n");
    }
    items.iter().for_each(|item| row(&mut out, item));
    out.push_str("</tbody></table></body></html>\n");
    out
}

/// Every folder on the way as a link. The links count upwards, so that they hold under any path, and none can name a host.
fn trail(out: &mut String, path: &[u8]) {
    let slashes = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'/').count();
    let ups = |behind: &[u8]| match slashes(behind) {
        0 => String::from("./"),
        n => "../".repeat(n),
    };
    let _ = write!(out, "<a href=\"{}\">/</a>", ups(path.get(1..).unwrap_or_default()));
    let mut at = 0;
    for segment in path.split(|b| *b == b'/') {
        at = (at + segment.len() + 1).min(path.len());
        if !segment.is_empty() {
            let name = escaped(decoded(segment).as_bytes());
            let _ = write!(out, "<a href=\"{}\"><bdi>{name}</bdi></a>/", ups(&path[at..]));
        }
    }
}

fn has_parent(path: &[u8]) -> bool {
    path.iter().any(|b| *b != b'/')
}

fn summary(out: &mut String, items: &[Item], left_out: Option<usize>) {
    let folders = items.iter().filter(|i| i.is_folder).count();
    let files = items.len() - folders;
    let bytes: u64 = items.iter().filter(|i| !i.is_folder).fold(0, |sum, i| sum.saturating_add(i.size));
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let _ = write!(out, "<p>{folders} folder{}, {files} file{}", plural(folders), plural(files));
    if files > 0 {
        let _ = write!(out, ", {}", size(bytes));
    }
    let _ = match left_out {
        Some(0) => writeln!(out, "</p>"),
        Some(1) => writeln!(out, "; 1 more, which comes behind these by name, is not shown</p>"),
        Some(n) => writeln!(out, "; {n} more, which come behind these by name, are not shown</p>"),
        None => writeln!(out, "; there are more, which are not shown</p>"),
    };
}

fn heading(out: &mut String, order: Order, column: Column, label: &str) {
    let (sorted, arrow) = match (order.column == column, order.descending) {
        (false, _) => ("", ""),
        (true, false) => (" aria-sort=\"ascending\"", " <span>\u{2191}</span>"),
        (true, true) => (" aria-sort=\"descending\"", " <span>\u{2193}</span>"),
    };
    let query = order.click(column).replace('&', "&amp;");
    let _ = write!(out, "<th{sorted}><a href=\"{query}\">{label}{arrow}</a></th>");
}

fn row(out: &mut String, item: &Item) {
    let (name, to) = (escaped(&item.name), link(item));
    let time = timestamp(item.modified);
    let shown = time.get(..16).unwrap_or(&time).replace('T', " ");
    let time = format!("<time datetime=\"{time}\">{shown}</time>");
    let _ = match item.is_folder {
        true => writeln!(
            out,
            "<tr class=\"dir\"><td><a href=\"{to}\"><bdi>{name}</bdi>/</a></td><td></td><td>{time}</td></tr>"
        ),
        false => writeln!(
            out,
            "<tr><td><a href=\"{to}\"><bdi>{name}</bdi></a></td><td title=\"{} byte{}\">{}</td><td>{time}</td></tr>",
            item.size,
            if item.size == 1 { "" } else { "s" },
            size(item.size)
        ),
    };
}

const STYLE: &str = ":root{color-scheme:light dark;--line:#8883;--dim:#777;--link:#0b57d0}\
@media(prefers-color-scheme:dark){:root{--dim:#999;--link:#8ab4f8}}\
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2.5rem auto;padding:0 1rem}\
h1{font-size:1.25rem;font-weight:600;margin:0;overflow-wrap:anywhere}p{color:var(--dim);margin:.25rem 0 1.25rem}\
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}h1 a{padding:0 .1em}\
table{width:100%;border-collapse:collapse}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line)}\
th a{color:var(--dim);font-weight:500}td:first-child{width:99%;overflow-wrap:anywhere}\
td+td,th+th{white-space:nowrap;font-variant-numeric:tabular-nums;color:var(--dim)}\
td:nth-child(2),th:nth-child(2){text-align:right}.dir a{font-weight:600}tbody tr:hover{background:#8881}\
@media(max-width:32rem){td:nth-child(3),th:nth-child(3){display:none}}";
