//! Bytes as UTF-8 and as JSON values, without interpreting them.

use serde::Deserialize as _;
use serde::de::IgnoredAny;

/// The part of a buffer from `start` on that is UTF-8.
pub(super) struct Text<'b> {
    text: &'b str,
    start: usize,
    pub(super) end: usize,
    /// Bytes follow that can never be UTF-8, rather than an incomplete character.
    invalid: bool,
    unfinished: bool,
}

impl<'b> Text<'b> {
    pub(super) fn of(buffer: &'b [u8], start: usize) -> Self {
        let bytes = &buffer[start..];
        let (text, invalid, unfinished) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, false, false),
            Err(error) => {
                let text = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
                (text, error.error_len().is_some(), error.error_len().is_none())
            }
        };
        Self { text, start, end: start + text.len(), invalid, unfinished }
    }

    /// At most `most` bytes of text from a place of the buffer on.
    pub(super) fn at(&self, place: usize, most: usize) -> &'b str {
        let rest = self.text.get(place - self.start..).unwrap_or_default();
        &rest[..rest.floor_char_boundary(most)]
    }

    /// Whether the text ends before invalid UTF-8; `last`: no bytes follow the buffer.
    pub(super) fn invalid(&self, last: bool) -> bool {
        self.invalid || (last && self.unfinished)
    }
}

/// The extent of the JSON value at the start of some bytes; strings are not interpreted.
pub(super) enum Extent {
    Whole(usize),
    Incomplete,
    Broken(usize, serde_json::Error),
}

pub(super) fn extent(bytes: &[u8], most: usize) -> Extent {
    let bytes = &bytes[..bytes.len().min(most)];
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let ignored = IgnoredAny::deserialize(&mut json);
    let end = json.into_iter::<IgnoredAny>().byte_offset();
    let error = match ignored {
        Ok(_) => return Extent::Whole(end),
        Err(error) if error.is_eof() => return Extent::Incomplete,
        Err(error) => error,
    };
    match first_invalid(&bytes[..end], &error) {
        // A number at the end of the bytes (`-`, `1.`) is reported as invalid, not as unfinished.
        fault if fault == bytes.len() => Extent::Incomplete,
        fault => Extent::Broken(fault, error),
    }
}

/// The first invalid byte, given the bytes that the parser took before it reported an error: of escapes, words and some
/// numbers it takes the invalid byte, and up to three after it, which may be the next record's.
fn first_invalid(taken: &[u8], error: &serde_json::Error) -> usize {
    let end = taken.len();
    let what = error.to_string();
    let is_taken = if what.starts_with("invalid escape") {
        if let [before @ .., b'\\', b'u', _, _, _, _] = taken
            && before.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 0
        {
            let digits = end - 4;
            return digits + taken[digits..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        }
        true
    } else if what.starts_with("invalid number") {
        match taken {
            [.., b'e' | b'E', b'+' | b'-'] | [.., b'0'..=b'9'] => false,
            [.., b'-' | b'+' | b'e' | b'E', _] => true,
            _ => false,
        }
    } else {
        what.starts_with("expected ident")
    };
    end - usize::from(is_taken)
}

/// The parser's message without line and column, which are relative to the record. Parsers quote no data.
pub(super) fn not_json(error: &serde_json::Error, at: Option<usize>) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    match at {
        Some(at) => format!("not JSON: {what} at byte {at}"),
        None => format!("not JSON: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Extent, extent};

    /// The invalid byte of each text is its first `!`.
    #[test]
    fn the_first_invalid_byte_is_found_whatever_the_parser_took() {
        for text in [
            "!",
            "{\"a\":1,!",
            "{\"a\":!}",
            "{\"a\"!1}",
            "[1!]",
            "[-!]",
            "[1.!]",
            "[1e!]",
            "[1E+!]",
            "[1e-!]",
            "[1.5e!]",
            "[1e5!]",
            "[n!ll]",
            "[nul!]",
            "[t!]",
            "[fals!]",
            "[\"\\!\"]",
            "[\"\\u!}\"}{]",
            "[\"\\u0!\"}{]",
            "[\"\\u00!\"}{]",
            "[\"\\u000!\"}{]",
            "[\"\\\\\\u!\"}{]",
            "[\"\\\\u12\\!\"]",
            "[\"\\\\u123\\!\"]",
            "[\"\\n\\!\"]",
        ] {
            let at = text.find('!');
            for byte in ["!", "}"] {
                let text = text.replacen('!', byte, 1);
                let Extent::Broken(found, _) = extent(text.as_bytes(), text.len()) else { panic!("{text} is broken") };
                assert_eq!(Some(found), at, "{text}");
            }
        }
    }
}
