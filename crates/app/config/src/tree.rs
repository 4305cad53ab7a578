//! A file as a tree of values with their places, after the environment was put in.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Text),
    /// None when it does not fit.
    Whole(Option<i64>),
    Float(f64),
    Boolean(bool),
    Datetime,
    List(Vec<Node>),
    Table(Table),
}

#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// Part of it comes from the environment: then it may also be read as a number or a boolean.
    pub(crate) substituted: bool,
}

/// The entries of a table in the order they were written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

impl Table {
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }
}

/// Two values are the same whatever their places.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        match (&self.value, &other.value) {
            (Value::Text(a), Value::Text(b)) => a.text == b.text,
            (Value::Whole(a), Value::Whole(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Boolean(a), Value::Boolean(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Table(a), Value::Table(b)) => {
                a.entries.len() == b.entries.len()
                    && a.entries.iter().all(|e| b.entry(&e.key).is_some_and(|o| o.node == e.node))
            }
            _ => false,
        }
    }
}

impl Node {
    /// What it is, with its article: "a list".
    pub(crate) fn what(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a text",
            Value::Whole(_) => "a whole number",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "a boolean",
            Value::Datetime => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    pub(crate) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// A text whose value the environment had a part in.
    pub(crate) fn substituted(&self) -> Option<&str> {
        match &self.value {
            Value::Text(Text { text, substituted: true }) => Some(text),
            _ => None,
        }
    }
}

/// Makes the tree of a document. `text` is given each string with its place and puts the environment in.
pub(crate) fn plant(document: Spanned<DeTable<'_>>, text: &mut dyn FnMut(&str, Range<usize>) -> Text) -> Table {
    table(document.into_inner(), text)
}

fn table(table: DeTable<'_>, text: &mut dyn FnMut(&str, Range<usize>) -> Text) -> Table {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry { key_span: key.span(), key: key.into_inner().into_owned(), node: node(value, text) })
        .collect();
    // The parser sorts by key; places bring the order of the file back.
    entries.sort_by_key(|e| e.key_span.start);
    Table { entries }
}

fn node(value: Spanned<DeValue<'_>>, text: &mut dyn FnMut(&str, Range<usize>) -> Text) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(string) => Value::Text(text(&string, span.clone())),
        DeValue::Integer(integer) => Value::Whole(i64::from_str_radix(integer.as_str(), integer.radix()).ok()),
        DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(boolean) => Value::Boolean(boolean),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(list) => Value::List(list.into_iter().map(|v| node(v, text)).collect()),
        DeValue::Table(inner) => Value::Table(table(inner, text)),
    };
    Node { span, value }
}
