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
    match ignored {
        Ok(_) => Extent::Whole(end),
        // A number at the end of the bytes (`-`, `1.`) is reported as invalid, not as unfinished.
        Err(error) if error.is_eof() || end == bytes.len() => Extent::Incomplete,
        Err(error) => Extent::Broken(end, error),
    }
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
