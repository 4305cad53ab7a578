//! One table being read: unknown and unbuilt keys are reported when it is opened, wrong values when they are asked for.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::options::{Key, Kind, Section, home_of, nearest};
use crate::read::items_of;
use crate::read::leaf::{self, Leaf, Wrong};
use crate::source::{Place, Source};
use crate::tree::{Entry, Node, Table, Value};

/// Where everything that is wrong is gathered.
#[derive(Default)]
pub(crate) struct Notes(RefCell<Vec<Diagnostic>>);

impl Notes {
    pub(crate) fn push(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    pub(crate) fn into_inner(self) -> Vec<Diagnostic> {
        self.0.into_inner()
    }
}

/// A table that is being read. Ask for every key of its section that is built, once; when it is dropped, a debug build
/// checks that none was forgotten, so that no option can be accepted and ignored.
pub(crate) struct Cursor<'a> {
    section: &'static Section,
    /// The table's full name as the file writes it: `upstream.api.retry`.
    path: String,
    source: &'a Arc<Source>,
    table: &'a Table,
    span: Range<usize>,
    notes: &'a Notes,
    /// A bit for each key of the section that was asked for.
    asked: Cell<u64>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(
        section: &'static Section,
        path: String,
        source: &'a Arc<Source>,
        table: &'a Table,
        span: Range<usize>,
        notes: &'a Notes,
    ) -> Cursor<'a> {
        let cursor = Cursor { section, path, source, table, span, notes, asked: Cell::new(0) };
        cursor.check_keys();
        cursor
    }

    pub(crate) fn notes(&self) -> &'a Notes {
        self.notes
    }

    pub(crate) fn source(&self) -> &'a Arc<Source> {
        self.source
    }

    /// The table's full name.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Its header, or the inline table itself.
    pub(crate) fn place(&self) -> Place {
        self.place_of(self.span.clone())
    }

    pub(crate) fn place_of(&self, span: Range<usize>) -> Place {
        Place::new(self.source, span)
    }

    /// Where a key's name stands, or the table when the key is absent.
    pub(crate) fn key_place(&self, name: &str) -> Place {
        self.place_of(self.table.entry(name).map_or(self.span.clone(), |e| e.key_span.clone()))
    }

    /// Where a key's value stands, or the table when the key is absent.
    pub(crate) fn value_place(&self, name: &'static str) -> Place {
        self.place_of(self.table.entry(name).map_or(self.span.clone(), |e| e.node.span.clone()))
    }

    /// The value of a key, unread.
    pub(crate) fn node(&self, name: &'static str) -> Option<&'a Node> {
        self.ask(name);
        self.table.entry(name).map(|e| &e.node)
    }

    /// The value of a key that has a default.
    pub(crate) fn get<T: Leaf>(&self, name: &'static str) -> T {
        let key = self.ask(name);
        self.optional(name).unwrap_or_else(|| leaf::default_of(key))
    }

    /// The value of a key that may be absent. None also when it is wrong, which is then noted.
    pub(crate) fn optional<T: Leaf>(&self, name: &'static str) -> Option<T> {
        let key = self.ask(name);
        let node = &self.table.entry(name)?.node;
        T::read(key, node).map_err(|wrong| self.wrong(name, node, wrong)).ok()
    }

    /// The value of a key that must be there.
    pub(crate) fn required<T: Leaf>(&self, name: &'static str) -> Option<T> {
        let key = self.ask(name);
        if self.table.entry(name).is_none() {
            let missing = Diagnostic::error(format!("{} has no `{name}`", self.title()));
            self.notes.push(
                missing
                    .at(self.place())
                    .expected(format!("expected `{name}`, {}", key.kind.describe()))
                    .hint(format!("such as `{name} = {}`", key.example))
                    .absence(),
            );
        }
        self.optional(name)
    }

    /// A list of texts, each with its place; the default where it is absent.
    pub(crate) fn texts(&self, name: &'static str) -> Vec<(String, Place)> {
        let key = self.ask(name);
        let Some(entry) = self.table.entry(name) else {
            return match key.default {
                "" => Vec::new(),
                _ => leaf::default_of::<Vec<String>>(key).into_iter().map(|text| (text, self.place())).collect(),
            };
        };
        let Some(items) = items_of(&entry.node) else {
            self.wrong(name, &entry.node, Wrong::kind(key, &entry.node));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items {
            match item.text() {
                Some(text) => texts.push((text.to_owned(), self.place_of(item.span.clone()))),
                None => self.wrong(name, item, Wrong::item(item)),
            }
        }
        texts
    }

    /// A list of words that all work; the default where it is absent.
    pub(crate) fn words(&self, name: &'static str) -> Vec<&'static str> {
        let key = self.ask(name);
        let default;
        let node = match self.table.entry(name) {
            Some(entry) => &entry.node,
            None => {
                default = leaf::default_node(key);
                match &default {
                    Some(node) => node,
                    None => return Vec::new(),
                }
            }
        };
        let Some(items) = items_of(node) else {
            self.wrong(name, node, Wrong::kind(key, node));
            return Vec::new();
        };
        let mut words = Vec::new();
        for item in items {
            match leaf::word_of_list(key, item) {
                Ok(word) => words.push(word),
                Err(wrong) => self.wrong(name, item, wrong),
            }
        }
        words
    }

    /// A table of texts: name, value, and the places of both.
    pub(crate) fn text_table(&self, name: &'static str) -> Vec<TextEntry> {
        let key = self.ask(name);
        let Some(entry) = self.table.entry(name) else { return Vec::new() };
        let Value::Table(table) = &entry.node.value else {
            self.wrong(name, &entry.node, Wrong::kind(key, &entry.node));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for Entry { key, key_span, node } in &table.entries {
            match node.text() {
                Some(text) => texts.push(TextEntry {
                    name: key.clone(),
                    name_place: self.place_of(key_span.clone()),
                    value: text.to_owned(),
                    value_place: self.place_of(node.span.clone()),
                }),
                None => self.wrong(&format!("{name}.{key}"), node, Wrong::item(node)),
            }
        }
        texts
    }

    /// A table inside this one.
    pub(crate) fn section(&self, name: &'static str) -> Option<Cursor<'a>> {
        let key = self.ask(name);
        let entry = self.table.entry(name)?;
        let Kind::Section(section) = key.kind else { unreachable!("`{name}` is read as a table but is none") };
        match &entry.node.value {
            Value::Table(table) => {
                let span = entry.node.span.clone();
                Some(Cursor::new(section, self.full_name(name), self.source, table, span, self.notes))
            }
            _ => {
                self.wrong(name, &entry.node, Wrong::kind(key, &entry.node));
                None
            }
        }
    }

    /// The same, empty when the table is absent, so that its defaults are read.
    pub(crate) fn section_or_empty(&self, name: &'static str) -> Cursor<'a> {
        static EMPTY: Table = Table { entries: Vec::new() };
        let Kind::Section(section) = self.ask(name).kind else {
            unreachable!("`{name}` is read as a table but is none")
        };
        self.section(name).unwrap_or_else(|| {
            Cursor::new(section, self.full_name(name), self.source, &EMPTY, self.span.clone(), self.notes)
        })
    }

    /// An array of tables.
    pub(crate) fn sections(&self, name: &'static str) -> Vec<Cursor<'a>> {
        let key = self.ask(name);
        let Some(entry) = self.table.entry(name) else { return Vec::new() };
        let Kind::Sections(section) = key.kind else { unreachable!("`{name}` is read as tables but is none") };
        let Some(items) = items_of(&entry.node) else {
            let wrong = match entry.node.value {
                Value::Table(_) => {
                    let text = self.source.text.get(entry.node.span.clone()).unwrap_or_default();
                    let hint = match text.starts_with('{') {
                        true => format!("put it into brackets: `{name} = [{{ ... }}]`"),
                        false => format!("write `{}` with two brackets", section.title),
                    };
                    Wrong::kind(key, &entry.node).hint(hint)
                }
                _ => Wrong::kind(key, &entry.node),
            };
            self.wrong(name, &entry.node, wrong);
            return Vec::new();
        };
        let mut cursors = Vec::new();
        for item in items {
            match &item.value {
                Value::Table(table) => {
                    let span = item.span.clone();
                    cursors.push(Cursor::new(section, self.full_name(name), self.source, table, span, self.notes));
                }
                _ => self.wrong(name, item, Wrong::no_table(item)),
            }
        }
        cursors
    }

    /// A table of tables whose names the user chose.
    pub(crate) fn named(&self, name: &'static str) -> Vec<(&'a str, Cursor<'a>)> {
        let key = self.ask(name);
        let Some(entry) = self.table.entry(name) else { return Vec::new() };
        let Kind::Named(section) = key.kind else { unreachable!("`{name}` is read as named tables but is none") };
        let Value::Table(table) = &entry.node.value else {
            self.wrong(name, &entry.node, Wrong::kind(key, &entry.node).hint(format!("write `{}`", section.title)));
            return Vec::new();
        };
        let mut cursors = Vec::new();
        for Entry { key: own_name, node, .. } in &table.entries {
            let path = format!("{}.{own_name}", self.full_name(name));
            match &node.value {
                Value::Table(table) => {
                    let span = node.span.clone();
                    cursors.push((&**own_name, Cursor::new(section, path, self.source, table, span, self.notes)));
                }
                _ => {
                    let hint = format!("`{}` gives each one a name, such as `[upstream.api]`", section.title);
                    self.wrong(&format!("{name}.{own_name}"), node, Wrong::no_table(node).hint(hint));
                }
            }
        }
        cursors
    }

    /// Notes that a value is wrong.
    pub(crate) fn wrong(&self, name: &str, node: &Node, wrong: Wrong) {
        let full_name = self.full_name(name);
        self.notes.push(wrong.about(&full_name).at(self.place_of(node.span.clone())));
    }

    pub(crate) fn full_name(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// How messages call this table: `` `[upstream.api]` ``.
    fn title(&self) -> String {
        match self.section.title {
            title if title.starts_with("[[") => format!("`[[{}]]`", self.path),
            title if title.starts_with('[') => format!("`[{}]`", self.path),
            _ if self.path.is_empty() => "the file".to_owned(),
            _ => format!("`{}`", self.path),
        }
    }

    fn ask(&self, name: &str) -> &'static Key {
        let place = self.section.keys.iter().position(|k| k.name == name);
        let place = place.unwrap_or_else(|| unreachable!("`{name}` is not in the table of options"));
        self.asked.set(self.asked.get() | 1 << place);
        &self.section.keys[place]
    }

    fn check_keys(&self) {
        for entry in &self.table.entries {
            match self.section.key(&entry.key) {
                None => self.unknown_key(entry),
                Some(key) if !key.built => self.unbuilt_key(key, entry),
                Some(_) => {}
            }
        }
    }

    fn unknown_key(&self, entry: &Entry) {
        let name = &entry.key;
        let names = || self.section.keys.iter().map(|k| k.name);
        let near = nearest(name, names());
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => match home_of(name) {
                Some(home) => format!("`{name}` is a key of `{}`", home.title),
                None => format!("its keys are {}", names().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
            },
        };
        let unknown = Diagnostic::error(format!("unknown key `{name}`")).at(self.place_of(entry.key_span.clone()));
        self.notes.push(unknown.expected(format!("expected a key of {}", self.title())).hint(hint));
    }

    /// A key that does not work yet: its default says nothing new and is taken.
    fn unbuilt_key(&self, key: &'static Key, entry: &Entry) {
        if leaf::default_node(key).is_some_and(|default| default == entry.node) {
            return;
        }
        let expected = match key.default {
            "" => "leave it out for now".to_owned(),
            default => format!("only the default works so far, `{default}`"),
        };
        let unbuilt = Diagnostic::error(format!("`{}` is not built yet", self.full_name(key.name)));
        self.notes.push(unbuilt.at(self.place_of(entry.key_span.clone())).expected(expected));
        // What is inside is not read, but a misspelt key in it need not wait for the day it is built.
        self.unknown_keys_within(&key.kind, self.full_name(key.name), &entry.node);
    }

    fn unknown_keys_within(&self, kind: &'static Kind, path: String, node: &'a Node) {
        let (section, tables): (_, Vec<&'a Table>) = match (kind, &node.value) {
            (Kind::Section(section), Value::Table(table)) => (section, vec![table]),
            (Kind::Sections(section), Value::List(items)) => (section, items.iter().filter_map(Node::table).collect()),
            _ => return,
        };
        for table in tables {
            let asked = Cell::new(u64::MAX);
            let (source, notes, span) = (self.source, self.notes, node.span.clone());
            let inner = Cursor { section, path: path.clone(), source, table, span, notes, asked };
            for entry in &table.entries {
                match section.key(&entry.key) {
                    None => inner.unknown_key(entry),
                    Some(key) => inner.unknown_keys_within(&key.kind, inner.full_name(key.name), &entry.node),
                }
            }
        }
    }
}

impl Drop for Cursor<'_> {
    fn drop(&mut self) {
        if cfg!(debug_assertions) && !std::thread::panicking() {
            let asked = self.asked.get();
            let mut keys = self.section.keys.iter().enumerate();
            if let Some((_, key)) = keys.find(|(n, key)| key.built && asked & 1 << n == 0) {
                panic!("`{}` is built, but nothing reads it", self.full_name(key.name));
            }
        }
    }
}

/// One line of a table of texts.
pub(crate) struct TextEntry {
    pub(crate) name: String,
    pub(crate) name_place: Place,
    pub(crate) value: String,
    pub(crate) value_place: Place,
}
