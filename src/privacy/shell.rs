//! Foreign text in commands that are suggested: names of files are input, and a user pastes what is suggested.

use super::{escaped, holds_credentials, one_line};

/// The beginning of a command line in a message.
pub(crate) const PROGRAM: &str = "stedi-delta ";

/// A text quoted as one word of a POSIX shell.
#[must_use]
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The same, if it can be suggested. A text that is not printed unchanged would name something else, and one with a
/// command line in it would get the options that are inserted into suggestions.
#[must_use]
pub(crate) fn word(text: &str) -> Option<String> {
    let is_unchanged = one_line(text) == text && escaped(text) == text && !holds_credentials(text);
    (is_unchanged && !text.contains(PROGRAM)).then(|| quoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_unless_a_shell_takes_it_as_it_is() {
        for plain in ["a:a/b.json", "s3://bucket/a@b%20c", "x=1,2+3", "-", "A_9"] {
            assert_eq!(word(plain).as_deref(), Some(plain));
        }
        for (text, expected) in [
            ("a:a/$(touch pwned).json", "'a:a/$(touch pwned).json'"),
            ("a/sp ace.json", "'a/sp ace.json'"),
            ("a/x;id.json", "'a/x;id.json'"),
            ("ann's `id`", r"'ann'\''s `id`'"),
            ("~/x", "'~/x'"),
            ("a\\b", "'a\\b'"),
            ("é", "'é'"),
            ("", "''"),
        ] {
            assert_eq!(word(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_text_that_is_not_printed_as_it_is_is_not_suggested() {
        for text in
            ["a\u{1b}b", "a\nb", "a\tb", "a\u{202e}b", "s3://u:p@b/x", "k?X-Amz-Signature=1", "stedi-delta sync"]
        {
            assert_eq!(word(text), None, "{text:?}");
        }
    }

    /// Shells agree with us about what one word is.
    #[cfg(unix)]
    #[test]
    fn a_shell_takes_a_word_for_the_text() {
        for text in ["a:a/$(touch pwned).json", "ann's \"x\" \\ `id` $HOME ~ * ; & | < >", "'", "''", "~", "", "é"] {
            let script = format!("printf %s {}", quoted(text));
            let ran = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
            assert_eq!(String::from_utf8(ran.stdout).expect("UTF-8"), text);
        }
    }
}
