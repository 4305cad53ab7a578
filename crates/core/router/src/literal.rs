//! What a regular expression can be found by: the folder that all its matches lie in.

/// Of an expression that begins with `^/folder/...`, that folder as a path without the slash at its end: every path that it
/// matches goes through it. `None` where that cannot be told, or is the root.
///
/// Only what is surely literal is taken: letters, digits and such, and escaped dots and hyphens.
pub(crate) fn folder(expression: &str) -> Option<String> {
    let from = expression.strip_prefix('^')?;
    if !from.starts_with('/') || has_alternative(expression) {
        return None;
    }
    let mut literal = String::new();
    let mut chars = from.chars().peekable();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some(escaped @ ('.' | '-')) => escaped,
                _ => break,
            },
            c if c.is_ascii_alphanumeric() || "/_-~%!,;=:@&".contains(c) => c,
            _ => break,
        };
        // It may be there or not, or more than once.
        if matches!(chars.peek(), Some('*' | '+' | '?' | '{')) {
            break;
        }
        literal.push(c);
    }
    let end = literal.rfind('/').filter(|end| *end > 0)?;
    literal.truncate(end);
    Some(literal)
}

/// Whether a `|` may stand outside all groups. Says yes when in doubt: brackets may hold any of these characters.
fn has_alternative(expression: &str) -> bool {
    if !expression.contains('|') {
        return false;
    }
    let mut depth = 0usize;
    let mut chars = expression.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '[' => return true,
            '|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::folder;

    #[test]
    fn the_folder_is_what_is_surely_there() {
        for (expression, expected) in [
            (r"^/api/v1/\d+$", Some("/api/v1")),
            (r"^/api/v1", Some("/api")),
            (r"^/a\.b/x", Some("/a.b")),
            (r"^/a.b/x", None),
            (r"^/api/*x", None),
            (r"^/x/api/?y", Some("/x")),
            (r"^/x/ab?/y", Some("/x")),
            (r"^/x/a{2}/y", Some("/x")),
            (r"^/x/(a|b)/y", Some("/x")),
            (r"^/x/y|^/z", None),
            (r"^/x/[(]|^/z", None),
            (r"^/x/\(|^/z", None),
            (r"^/x/\(\|y", Some("/x")),
            (r"/api/x", None),
            (r"^/api$", None),
            (r"^api/x", None),
            (r"(?i)^/api/x", None),
            (r"^//x", Some("/")),
        ] {
            assert_eq!(folder(expression).as_deref(), expected, "{expression}");
        }
    }
}
