//! What is in a folder, as a page for people or as JSON for programs.

use message::Fields;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

mod accept;
mod html;
mod json;
mod order;
mod text;

use accept::wanted;
pub use order::{Column, Order};

/// More names than this are not shown, but the first (folders, then files, by name), whatever order is asked for; the listing says
/// so. A page of as many has about 2 MB.
pub const NAMES_MAX: usize = 10_000;

/// Of a folder with more names than this the first among so many are shown, as the system gives them.
pub const NAMES_READ_MAX: usize = 250_000;

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The name, without slash; any bytes.
    pub name: Box<[u8]>,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The size in bytes; of a folder without meaning.
    pub size: u64,
    /// When it was modified, in seconds since 1970.
    pub modified: i64,
}

/// What form a listing is asked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A page.
    Html,
    /// JSON.
    Json,
}

impl Form {
    /// The form that the Accept of a request asks for: the one with the higher weight; of two with the same JSON where that is
    /// named and a page is not, else the page.
    pub fn of(fields: &Fields) -> Form {
        let (page, json) = (wanted(fields, "text/html"), wanted(fields, "application/json"));
        if json > page && json.weight > 0 { Form::Json } else { Form::Html }
    }

    /// Its Content-Type.
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Html => "text/html; charset=utf-8",
            Form::Json => "application/json",
        }
    }
}

/// How a listing is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path of the URL as it was sent, with the slash at its end.
    pub path: Box<[u8]>,
    /// Page or JSON.
    pub form: Form,
    /// What comes first.
    pub order: Order,
}

/// Renders the listing; there are `left_out` more than `items`, `None` if nobody knows how many more. Costs some microseconds per item.
pub fn render(asked: &Asked, mut items: Vec<Item>, left_out: Option<usize>) -> String {
    asked.order.sort(&mut items);
    match asked.form {
        Form::Html => html::page(asked, &items, left_out),
        Form::Json => json::document(asked, &items, left_out),
    }
}

/// All but the unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What leads from the page to an item: relative, so that it holds under whatever path the folder is shown, and begun in a way
/// that no name can be taken for a scheme or a host.
fn link(item: &Item) -> String {
    let slash = if item.is_folder { "/" } else { "" };
    format!("./{}{slash}", percent_encode(&item.name, RESERVED))
}

fn decoded(path: &[u8]) -> String {
    percent_decode(path).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests;
