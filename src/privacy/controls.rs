//! Characters that control a terminal, or the layout of a text, instead of being displayed.

use std::borrow::Cow;

/// Whether a character is a control: also those that change the direction of the text around them. Line breaks and tabs
/// are layout.
fn acts(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n' && c != '\t')
}

/// A text with `\u001b` for a control character. Within a JSON document that is the same string.
#[must_use]
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    each(text, acts, |c| format!("\\u{:04x}", u32::from(c)))
}

/// The same on one line: it must not look like several.
#[must_use]
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    each(
        text,
        |c| acts(c) || c == '\n' || c == '\t',
        |c| match c {
            '\n' => "\\n".to_owned(),
            '\t' => "\\t".to_owned(),
            c => format!("\\u{:04x}", u32::from(c)),
        },
    )
}

/// A text of the same length in bytes with `?` for control characters, so that places in it stay valid. The carriage
/// return of a line break stays.
#[must_use]
pub(crate) fn covered(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match acts(c) && !(c == '\r' && rest.peek() == Some(&'\n')) {
            true => (0..c.len_utf8()).for_each(|_| shown.push('?')),
            false => shown.push(c),
        }
    }
    shown
}

fn each(text: &str, is_changed: impl Fn(char) -> bool, to: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(&is_changed) {
        return Cow::Borrowed(text);
    }
    let mut changed = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_changed(c) { changed.push_str(&to(c)) } else { changed.push(c) }
    }
    Cow::Owned(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_seen_instead() {
        assert_eq!(
            escaped("a\u{1b}]0;x\u{7}\r\n\tb\u{9b}2J\u{202e}é😀"),
            "a\\u001b]0;x\\u0007\\u000d\n\tb\\u009b2J\\u202eé😀"
        );
        assert_eq!(one_line("a\nerror: b\t\u{7f}"), "a\\nerror: b\\t\\u007f");
        assert!(matches!(escaped("plain\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_escape_in_a_document_is_the_same_text() {
        let text = "\u{9b}31m\u{2066}";
        let document = serde_json::to_string(text).expect("JSON");
        assert_eq!(serde_json::from_str::<String>(&escaped(&document)).expect("JSON"), text);
    }

    #[test]
    fn places_in_a_covered_text_stay() {
        assert_eq!(covered("a\u{1b}\u{9b}\rb\r\n"), "a????b\r\n");
    }
}
