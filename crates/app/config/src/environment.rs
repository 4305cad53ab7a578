//! `${NAME}` and `${NAME:-default}` inside strings; `$${` stands for `${` itself.

/// What is wrong with a substitution.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadSubstitution {
    /// The variable is not set and there is no default.
    Unset(String),
    /// `${` without `}`.
    Unclosed,
    /// What stands in the braces is no name.
    NoName(String),
    /// The variable's value is not UTF-8.
    NotText(String),
}

/// The value of a variable: none when it is not set, an error when it is not UTF-8.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<Result<String, ()>> + 'a;

/// Puts the environment in. Returns the text, and whether anything was put in. As in a shell, the default is taken for
/// an empty variable too. What a variable holds is not looked through again.
pub(crate) fn substitute(text: &str, lookup: &Lookup<'_>) -> (String, bool, Vec<BadSubstitution>) {
    let mut out = String::with_capacity(text.len());
    let (mut substituted, mut errors) = (false, Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let Some(end) = from.find('}') else {
            errors.push(BadSubstitution::Unclosed);
            rest = "";
            break;
        };
        rest = &from[end + 1..];
        match value_of(&from[2..end], lookup) {
            Ok(value) => {
                out.push_str(&value);
                substituted = true;
            }
            Err(error) => errors.push(error),
        }
    }
    out.push_str(rest);
    (out, substituted, errors)
}

fn value_of(inner: &str, lookup: &Lookup<'_>) -> Result<String, BadSubstitution> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        return Err(BadSubstitution::NoName(name.to_owned()));
    }
    match (lookup(name), default) {
        (Some(Err(())), _) => Err(BadSubstitution::NotText(name.to_owned())),
        (Some(Ok(value)), None) => Ok(value),
        (Some(Ok(value)), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(BadSubstitution::Unset(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<Result<String, ()>> {
        match name {
            "HOME" => Some(Ok("/home".into())),
            "EMPTY" => Some(Ok(String::new())),
            "NESTED" => Some(Ok("${HOME}".into())),
            "LATIN" => Some(Err(())),
            _ => None,
        }
    }

    #[test]
    fn substitutes() {
        for (text, expected, substituted) in [
            ("plain", "plain", false),
            ("${HOME}/x", "/home/x", true),
            ("a${HOME}b${HOME}", "a/homeb/home", true),
            ("${NONE:-d}", "d", true),
            ("${EMPTY:-d}", "d", true),
            ("${EMPTY}", "", true),
            ("${NONE:-}", "", true),
            ("${HOME:-d}", "/home", true),
            ("${NONE:-a:-b}", "a:-b", true),
            ("$${HOME}", "${HOME}", false),
            ("${NESTED}", "${HOME}", true),
            ("$HOME $ {} $", "$HOME $ {} $", false),
            ("~^/x$", "~^/x$", false),
        ] {
            assert_eq!(substitute(text, &lookup), (expected.into(), substituted, vec![]), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_goes_on() {
        let errors = |text| substitute(text, &lookup).2;
        assert_eq!(errors("${A}${HOME}${B}"), [BadSubstitution::Unset("A".into()), BadSubstitution::Unset("B".into())]);
        assert_eq!(errors("${HOME"), [BadSubstitution::Unclosed]);
        assert_eq!(errors("${}"), [BadSubstitution::NoName("".into())]);
        assert_eq!(errors("${1X}"), [BadSubstitution::NoName("1X".into())]);
        assert_eq!(errors("${A-b}"), [BadSubstitution::NoName("A-b".into())]);
        assert_eq!(errors("${LATIN:-x}"), [BadSubstitution::NotText("LATIN".into())]);
    }
}
