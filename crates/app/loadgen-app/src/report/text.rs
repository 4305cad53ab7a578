//! Text that is safe to put on a terminal, and columns of it.

/// `text` with every control character shown instead of sent: a target's error message must not drive the terminal.
/// At most `chars_max` characters.
pub(super) fn printable(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    for (place, c) in text.chars().enumerate() {
        if place == chars_max {
            out.push('…');
            break;
        }
        if is_harmless(c) { out.push(c) } else { out.extend(c.escape_unicode()) }
    }
    out
}

/// Neither a control character nor one that turns the direction of writing or hides.
pub(super) fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// `text` with spaces before it, `width` characters in all.
pub(super) fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.chars().count())))
}

/// `text` with spaces behind it, `width` characters in all.
pub(super) fn left(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

/// `text` broken between words into lines of at most `width` characters; a unit stays with its number.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(number) if is_unit(word) && number.ends_with(|c: char| c.is_ascii_digit()) => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    packed(words.into_iter(), width, " ")
}

fn is_unit(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ',', ';', ':', ')']);
    matches!(word, "ns" | "µs" | "ms" | "s" | "min" | "h" | "%" | "B" | "KiB" | "MiB" | "GiB")
}

/// Parts behind one another with `gap` between them, as many as a line of `width` characters takes.
pub(super) fn packed(parts: impl Iterator<Item = String>, width: usize, gap: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.chars().count() + gap.len() + part.chars().count() <= width => {
                line.push_str(gap);
                line.push_str(&part);
            }
            _ => lines.push(part),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_shown_instead() {
        assert_eq!(printable("a\x1b[2Jb\r\n", 80), r"a\u{1b}[2Jb\u{d}\u{a}");
        assert_eq!(printable("\u{202E}evil\u{9b}31m", 80), r"\u{202e}evil\u{9b}31m");
        assert_eq!(printable("größer", 3), "grö…");
        assert_eq!(printable("abc", 3), "abc");
    }

    #[test]
    fn columns_count_characters_and_lines_break_between_words() {
        assert_eq!(
            (right("µs", 4).as_str(), left("µs", 4).as_str(), right("12345", 3).as_str()),
            ("  µs", "µs  ", "12345")
        );
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("it took 5.96 ms.", 12), ["it took", "5.96 ms."]);
        assert_eq!(wrapped("", 9), Vec::<String>::new());
    }
}
