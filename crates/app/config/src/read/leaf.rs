//! Single values: from a node to a type, within the bounds that the table of options sets.

use std::time::Duration;

use toml::de::DeTable;

use crate::address::{AddressError, ListenAddress, ServerAddress};
use crate::diagnostic::Diagnostic;
use crate::options::{Key, Kind, nearest};
use crate::plan::{Count, UNLIMITED};
use crate::tree::{Node, Text, Value, plant};
use crate::units::{BadUnit, format_duration, format_size, parse_byte_rate, parse_duration, parse_size};

/// What is wrong with a value.
pub(crate) struct Wrong {
    /// Goes on from the key's name: "is not a duration".
    message: String,
    expected: String,
    hint: Option<String>,
}

/// A value in a sentence that says what to write: as it stands, unless it may hold credentials, which are not to be shown.
fn repeated(node: &Node, text: &str) -> String {
    let may_be_secret = node.substituted().is_some() || text.contains(|c: char| c == '@' || c.is_whitespace());
    if may_be_secret { "...".to_owned() } else { text.escape_debug().to_string() }
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>, expected: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), expected: expected.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Wrong {
        self.hint = Some(hint.into());
        self
    }

    /// The value is not of the key's kind.
    pub(crate) fn kind(key: &Key, node: &Node) -> Wrong {
        let found = match (node.substituted(), node.text()) {
            // What is to be a figure or a word is no secret; what stands in the place of a list or a table may be one.
            (Some(text), _) if key.kind.is_single() => format!(", found `{text}` after the environment was put in"),
            (None, Some(_)) if key.kind.is_text() => String::new(),
            _ => format!(", found {}", node.what()),
        };
        let wrong =
            Wrong::new(format!("is not {}", key.kind.noun()), format!("expected {}{found}", key.kind.describe()));
        match (node.text(), &key.kind) {
            (Some(text), Kind::Texts | Kind::Choices(_) | Kind::Servers(_)) => {
                wrong.hint(format!("put it in brackets: `[\"{}\"]`", repeated(node, text)))
            }
            (Some(text), Kind::Section(section)) => match section.keys.iter().find(|k| k.is_main()) {
                Some(main) => wrong.hint(format!("write `{{ {} = \"{}\" }}`", main.name, repeated(node, text))),
                None => wrong,
            },
            _ => wrong,
        }
    }

    /// An item of a list of tables, or of a table of tables.
    pub(crate) fn no_table(node: &Node) -> Wrong {
        Wrong::new("is not a table", format!("expected a table, found {}", node.what()))
    }

    /// An item of a list, or a value of a table, that should be a text.
    pub(crate) fn item(node: &Node) -> Wrong {
        Wrong::new("holds something other than text", format!("expected a text, found {}", node.what()))
            .hint("put it in double quotes")
    }

    fn range(key: &Key) -> Wrong {
        Wrong::new("is out of range", format!("expected {}", key.kind.describe()))
    }

    fn maybe_hint(mut self, hint: Option<String>) -> Wrong {
        self.hint = hint.or(self.hint);
        self
    }

    pub(crate) fn about(self, full_name: &str) -> Diagnostic {
        Diagnostic::error(format!("`{full_name}` {}", self.message)).expected(self.expected).maybe_hint(self.hint)
    }
}

/// A type that values are read as.
pub(crate) trait Leaf: Sized {
    fn read(key: &Key, node: &Node) -> Result<Self, Wrong>;
}

/// The default of a key, as a node; none when the key has none.
pub(crate) fn default_node(key: &Key) -> Option<Node> {
    if key.default.is_empty() {
        return None;
    }
    let text = format!("default = {}", key.default);
    let (document, _) = DeTable::parse_recoverable(&text);
    let table = plant(document, &mut |text, _| Text { text: text.to_owned(), substituted: false });
    table.entries.into_iter().next().map(|e| e.node)
}

/// The default of a key. The table of options is ours, and a test reads every default of it.
pub(crate) fn default_of<T: Leaf>(key: &Key) -> T {
    let node = default_node(key).unwrap_or_else(|| unreachable!("`{}` has no default", key.name));
    T::read(key, &node).unwrap_or_else(|wrong| unreachable!("the default of {}", wrong.about(key.name)))
}

impl Leaf for Duration {
    fn read(key: &Key, node: &Node) -> Result<Duration, Wrong> {
        let (least, most) = match key.kind {
            Kind::Duration { zero: true } => (Duration::ZERO, DURATION_MAX),
            Kind::Duration { zero: false } => (DURATION_MIN, DURATION_MAX),
            Kind::Age => (Duration::ZERO, AGE_MAX),
            _ => unreachable!("`{}` is no duration", key.name),
        };
        let duration = match &node.value {
            Value::Whole(Some(n)) if *n >= 0 => return Err(Wrong::kind(key, node).hint(format!("write `\"{n}s\"`"))),
            _ => unit(key, node, parse_duration)?,
        };
        if !(least..=most).contains(&duration) {
            let bounds = format!("expected a duration from {} to {}", format_duration(least), format_duration(most));
            return Err(Wrong { expected: bounds, ..Wrong::range(key) });
        }
        Ok(duration)
    }
}

/// The reactor's tick, and what its timers can surely count.
const DURATION_MIN: Duration = Duration::from_millis(1);
const DURATION_MAX: Duration = Duration::from_secs(7 * 86_400);
const AGE_MAX: Duration = Duration::from_secs(36_500 * 86_400);

/// A size in bytes; [`UNLIMITED`] where `"0"` means that.
pub(crate) struct Size(pub(crate) u64);

impl Leaf for Size {
    fn read(key: &Key, node: &Node) -> Result<Size, Wrong> {
        let size = match &node.value {
            Value::Whole(Some(0)) => return Err(Wrong::kind(key, node).hint("write `\"0\"`")),
            Value::Whole(Some(n)) if *n > 0 => return Err(Wrong::kind(key, node).hint(format!("write `\"{n}B\"`"))),
            _ => unit(key, node, parse_size)?,
        };
        match key.kind {
            Kind::SizeOrNone if size == 0 => Ok(Size(UNLIMITED)),
            Kind::SizeOrNone => Ok(Size(size)),
            Kind::Size { least, most } if !(least..=most).contains(&size) => {
                let bounds = format!("expected a size from {} to {}", format_size(least), format_size(most));
                Err(Wrong { expected: bounds, ..Wrong::range(key) })
            }
            Kind::Size { .. } => Ok(Size(size)),
            _ => unreachable!("`{}` is no size", key.name),
        }
    }
}

/// Bytes a second.
pub(crate) struct ByteRate(pub(crate) u64);

impl Leaf for ByteRate {
    fn read(key: &Key, node: &Node) -> Result<ByteRate, Wrong> {
        match &node.value {
            Value::Whole(Some(n)) if *n >= 0 => Err(Wrong::kind(key, node).hint(format!("write `\"{n}B/s\"`"))),
            _ => unit(key, node, parse_byte_rate).map(ByteRate),
        }
    }
}

fn unit<T>(key: &Key, node: &Node, parse: fn(&str) -> Result<T, BadUnit>) -> Result<T, Wrong> {
    let text = node.text().ok_or_else(|| Wrong::kind(key, node))?;
    parse(text).map_err(|bad| Wrong::kind(key, node).maybe_hint(bad.hint))
}

impl Leaf for u64 {
    fn read(key: &Key, node: &Node) -> Result<u64, Wrong> {
        let Kind::Whole { least, most } = key.kind else { unreachable!("`{}` is no whole number", key.name) };
        let number = whole(node).ok_or_else(|| match node.text().filter(|t| t.parse::<i64>().is_ok()) {
            Some(text) => Wrong::kind(key, node).hint(format!("write `{text}` without quotes")),
            None => Wrong::kind(key, node),
        })?;
        number.filter(|n| (least..=most).contains(n)).ok_or_else(|| Wrong::range(key))
    }
}

impl Leaf for Count {
    fn read(key: &Key, node: &Node) -> Result<Count, Wrong> {
        let Kind::WholeOrAuto { most } = key.kind else { unreachable!("`{}` has no auto", key.name) };
        if node.text() == Some("auto") {
            return Ok(Count::Auto);
        }
        let number = whole(node).ok_or_else(|| match node.text().filter(|t| t.parse::<i64>().is_ok()) {
            Some(text) => Wrong::kind(key, node).hint(format!("write `{text}` without quotes")),
            None => Wrong::kind(key, node),
        })?;
        let number = number.filter(|n| (1..=most).contains(n)).ok_or_else(|| Wrong::range(key))?;
        usize::try_from(number).map(Count::Fixed).map_err(|_| Wrong::range(key))
    }
}

/// A whole number, also as text from the environment: none when it is something else, an inner none when it does not fit.
fn whole(node: &Node) -> Option<Option<u64>> {
    match &node.value {
        Value::Whole(number) => Some(number.and_then(|n| u64::try_from(n).ok())),
        _ => node.substituted()?.parse::<u64>().ok().map(Some),
    }
}

/// A number from 0 to 1.
impl Leaf for f64 {
    fn read(key: &Key, node: &Node) -> Result<f64, Wrong> {
        let number = match &node.value {
            Value::Float(number) => *number,
            Value::Whole(Some(number)) => *number as f64,
            _ => match node.substituted().and_then(|t| t.parse().ok()) {
                Some(number) => number,
                None => return Err(Wrong::kind(key, node)),
            },
        };
        if (0.0..=1.0).contains(&number) { Ok(number) } else { Err(Wrong::range(key)) }
    }
}

impl Leaf for bool {
    fn read(key: &Key, node: &Node) -> Result<bool, Wrong> {
        match (&node.value, node.substituted()) {
            (Value::Boolean(boolean), _) => Ok(*boolean),
            (_, Some("true")) => Ok(true),
            (_, Some("false")) => Ok(false),
            (Value::Text(Text { text, .. }), None) if text == "true" || text == "false" => {
                Err(Wrong::kind(key, node).hint(format!("write `{text}` without quotes")))
            }
            _ => Err(Wrong::kind(key, node)),
        }
    }
}

impl Leaf for String {
    fn read(key: &Key, node: &Node) -> Result<String, Wrong> {
        node.text().map(str::to_owned).ok_or_else(|| match node.value {
            Value::List(_) | Value::Table(_) => Wrong::kind(key, node),
            _ => Wrong::kind(key, node).hint("put it in double quotes"),
        })
    }
}

impl Leaf for Vec<String> {
    fn read(key: &Key, node: &Node) -> Result<Vec<String>, Wrong> {
        let Value::List(items) = &node.value else { return Err(Wrong::kind(key, node)) };
        items.iter().map(|item| item.text().map(str::to_owned).ok_or_else(|| Wrong::item(item))).collect()
    }
}

impl Leaf for ServerAddress {
    fn read(key: &Key, node: &Node) -> Result<ServerAddress, Wrong> {
        let text = node.text().ok_or_else(|| Wrong::kind(key, node))?;
        text.parse().map_err(|error| wrong_address(key, error))
    }
}

impl Leaf for ListenAddress {
    fn read(key: &Key, node: &Node) -> Result<ListenAddress, Wrong> {
        let text = node.text().ok_or_else(|| Wrong::kind(key, node))?;
        text.parse().map_err(|error| wrong_address(key, error))
    }
}

fn wrong_address(key: &Key, error: AddressError) -> Wrong {
    Wrong::new(error.message, format!("expected {}", key.kind.describe())).hint(error.hint)
}

/// One word of a [`Kind::Choice`].
pub(crate) struct Word(pub(crate) &'static str);

impl Leaf for Word {
    fn read(key: &Key, node: &Node) -> Result<Word, Wrong> {
        let Kind::Choice(choices) = key.kind else { unreachable!("`{}` is no choice", key.name) };
        let text = node.text().ok_or_else(|| Wrong::kind(key, node))?;
        match choices.iter().find(|c| c.word == text && !c.is_form) {
            Some(choice) if choice.built => Ok(Word(choice.word)),
            Some(_) => Err(unbuilt_word(key, text)),
            None => Err(unknown_word(key, text)),
        }
    }
}

/// One item of a [`Kind::Choices`].
pub(crate) fn word_of_list(key: &Key, item: &Node) -> Result<&'static str, Wrong> {
    let Kind::Choices(choices) = key.kind else { unreachable!("`{}` is no list of choices", key.name) };
    let text = item.text().ok_or_else(|| Wrong::item(item))?;
    match choices.iter().find(|c| c.word == text) {
        Some(choice) if choice.built => Ok(choice.word),
        Some(_) => Err(unbuilt_word(key, text)),
        None => Err(unknown_word(key, text)),
    }
}

fn unbuilt_word(key: &Key, word: &str) -> Wrong {
    Wrong::new(format!("cannot be `\"{word}\"`: that is not built yet"), format!("expected {}", key.kind.describe()))
}

fn unknown_word(key: &Key, word: &str) -> Wrong {
    let (Kind::Choice(choices) | Kind::Choices(choices)) = key.kind else {
        unreachable!("`{}` is no choice", key.name)
    };
    let near = nearest(word, choices.iter().filter(|c| !c.is_form).map(|c| c.word));
    Wrong::new(format!("cannot be `\"{word}\"`"), format!("expected {}", key.kind.describe()))
        .maybe_hint(near.map(|near| format!("did you mean `\"{near}\"`?")))
}

impl Key {
    /// Whether its table says little without it.
    fn is_main(&self) -> bool {
        self.default.is_empty() && self.built && matches!(self.kind, Kind::Text | Kind::Path)
    }
}

impl Kind {
    /// What it is in a word or two, with its article.
    fn noun(&self) -> &'static str {
        match self {
            Kind::Duration { .. } | Kind::Age => "a duration",
            Kind::Size { .. } | Kind::SizeOrNone => "a size",
            Kind::ByteRate | Kind::Rate => "a rate",
            Kind::Whole { .. } | Kind::WholeOrAuto { .. } => "a whole number",
            Kind::Share => "a number from 0 to 1",
            Kind::Boolean => "a boolean",
            Kind::Text | Kind::Choice(_) => "a text",
            Kind::Path => "a path",
            Kind::ListenAddress | Kind::Address => "an address",
            Kind::Texts | Kind::Choices(_) => "a list of texts",
            Kind::TextTable | Kind::Section(_) => "a table",
            Kind::Sections(_) => "a list of tables",
            Kind::Named(_) => "a table of named tables",
            Kind::Servers(_) => "a list of servers",
        }
    }

    /// Whether it is one figure, word or text, and no list or table.
    fn is_single(&self) -> bool {
        let is_table = matches!(self, Kind::TextTable | Kind::Section(_) | Kind::Sections(_) | Kind::Named(_));
        !is_table && !matches!(self, Kind::Texts | Kind::Choices(_) | Kind::Servers(_))
    }

    /// Whether its values are written as text, so that a wrong text need not be called one.
    fn is_text(&self) -> bool {
        matches!(
            self,
            Kind::Duration { .. }
                | Kind::Age
                | Kind::Size { .. }
                | Kind::SizeOrNone
                | Kind::ByteRate
                | Kind::Rate
                | Kind::WholeOrAuto { .. }
        )
    }
}
