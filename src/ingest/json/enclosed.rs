//! Whether objects that look like the next records are inside a broken one.
//!
//! In `{"l":["n":1},{"n":2}],"m":3}` a bracket was lost, and the object that follows `}` looks like a record. The brackets
//! that close after it, and the name after a comma, show that it is not: no record opened them.

use super::repair::{Repaired, is_structure, repaired_end};
use super::stretch::{BYTE_ORDER_MARK, RECORD_SEPARATOR, is_blank, is_space};
use super::syntax::{Extent, extent};

/// The kind of text after a place where a record seems to begin or to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// Records up to the end of the line, or one at least before a broken one.
    Records,
    /// The end of the line, and perhaps of an array of records before it.
    Nothing,
    /// A broken record, or bytes that are none.
    Other,
    /// The rest of a broken record.
    Inside,
    /// More bytes are needed.
    Unknown,
}

/// What was found after a place.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) following: Following,
    /// Where that was decided.
    pub(super) at: usize,
    /// The number of objects before, without empty ones: texts contain such, too.
    pub(super) records: usize,
}

/// The bytes to examine.
#[derive(Clone, Copy)]
pub(super) struct Lookahead<'b> {
    pub(super) bytes: &'b [u8],
    /// Whether no more bytes follow.
    pub(super) complete: bool,
    /// Whether the place is in an array of records.
    pub(super) in_array: bool,
    /// Whether the place is the beginning of a line.
    pub(super) begins_line: bool,
    /// The last byte before the place that is not blank, or 0.
    pub(super) before: u8,
    /// Whether a `]` that ends a line may be the end of an array of records of which the beginning is unknown.
    pub(super) may_close: bool,
}

/// Objects after which a bracket or a name that cannot be there is taken for a fault of the next record.
const MANY: usize = 2;

/// Bytes after a second broken record that are examined for brackets that close the first one.
const BEYOND: usize = 8 << 10;

impl Lookahead<'_> {
    /// At most `limit` bytes after a place.
    pub(super) fn limited(self, at: usize, limit: usize) -> Self {
        let cut = self.bytes.len().min(at.saturating_add(limit));
        Self { bytes: &self.bytes[..cut], complete: self.complete || cut < self.bytes.len(), ..self }
    }

    /// Reads objects from a place on, up to the end of the line, or further if the next line goes on with a comma or a
    /// closing bracket.
    pub(super) fn following(self, begins: usize) -> Found {
        let Self { bytes, complete, .. } = self;
        let (mut in_array, mut until) = (self.in_array, usize::MAX);
        let (mut objects, mut records) = (0, 0);
        let mut at = begins;
        // Objects after commas are in an array, if they are inside another one.
        let is_listed = self.before == b',' || separator(bytes, at).1;
        let (following, at) = loop {
            // Before an end that shows nothing, and before other bytes.
            let ended = if objects == 0 { Following::Nothing } else { Following::Records };
            let broken = match records {
                0 if objects == 0 => Following::Other,
                0 => Following::Inside,
                _ => Following::Records,
            };
            let (next, has_comma) = separator(bytes, at);
            if next >= until {
                break (broken, next);
            }
            match bytes.get(next) {
                None if !complete => break (Following::Unknown, next),
                None => break (ended, next),
                // Only after these can a value continue on the next line.
                Some(b'\n') if self.begins_line && !matches!(self.before, b',' | b'[' | b':') => break (ended, next),
                Some(b'\n' | &RECORD_SEPARATOR) => match self.next_line(next) {
                    NextLine::Continues(there) => at = there,
                    NextLine::Begins if has_comma => at = next + 1,
                    NextLine::Begins => break (ended, next),
                    NextLine::Unknown => break (Following::Unknown, next),
                },
                // A name or a value.
                Some(b'"') if has_comma => match is_name(bytes, next, complete) {
                    None => break (Following::Unknown, next),
                    Some(true) if is_listed && records >= MANY => break (Following::Records, next),
                    Some(_) => break (Following::Inside, next),
                },
                Some(b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') if has_comma => {
                    break (Following::Inside, next);
                }
                Some(b'[') if !in_array => (in_array, at) = (true, next + 1),
                Some(b'{') => match extent(&bytes[next..], usize::MAX) {
                    Extent::Whole(length) => {
                        objects += 1;
                        records += usize::from(length > 2);
                        at = next + length;
                    }
                    Extent::Incomplete if complete => break (broken, bytes.len()),
                    Extent::Incomplete => break (Following::Unknown, bytes.len()),
                    Extent::Broken(fault, _) => {
                        until = until.min((next + fault).saturating_add(BEYOND));
                        match repaired_end(&bytes[next..], fault, usize::MAX) {
                            Repaired::Ends(length) if !is_structure(bytes[next + fault]) => {
                                (objects, records, at) = (objects + 1, records + 1, next + length);
                            }
                            Repaired::Cut if !complete && bytes.len() < until => {
                                break (Following::Unknown, bytes.len());
                            }
                            _ if records == 0 && !has_field(&bytes[next..next + fault]) => {
                                break (broken, next + fault);
                            }
                            _ => break (Following::Records, next + fault),
                        }
                    }
                },
                // Not the end of an array.
                Some(b'}') if is_listed && records >= MANY => break (Following::Records, next),
                Some(b'}') => break (Following::Inside, next),
                Some(b']') => {
                    let (after, has_comma) = separator(bytes, next + 1);
                    match bytes.get(after) {
                        None if !complete => break (Following::Unknown, after),
                        Some(_) if !complete && may_be_separator(&bytes[after..]) => break (Following::Unknown, after),
                        _ if has_comma => break (Following::Inside, next),
                        None | Some(b'\n' | b'{' | b'[' | &RECORD_SEPARATOR) if in_array => {
                            (in_array, at) = (false, next + 1);
                        }
                        None | Some(b'\n' | &RECORD_SEPARATOR) if self.may_close => break (ended, after),
                        Some(_) | None => break (Following::Inside, next),
                    }
                }
                Some(_) if !complete && may_be_separator(&bytes[next..]) => break (Following::Unknown, next),
                Some(_) => {
                    break match rest_of_text(bytes, next, complete) {
                        None => (Following::Unknown, next),
                        Some(true) if records > 0 => (Following::Inside, next),
                        Some(_) => (broken, next),
                    };
                }
            }
        };
        Found { following, at, records }
    }

    /// What the line after the one that ends at `newline` begins with.
    fn next_line(self, newline: usize) -> NextLine {
        let blanks = self.bytes[newline + 1..].iter().position(|b| !is_space(*b));
        match blanks.map(|blanks| newline + 1 + blanks) {
            None if !self.complete => NextLine::Unknown,
            Some(at) if matches!(self.bytes[at], b',' | b']' | b'}') => NextLine::Continues(at),
            _ => NextLine::Begins,
        }
    }
}

/// Whether bytes are perhaps half of a separator.
pub(super) fn may_be_separator(bytes: &[u8]) -> bool {
    bytes == b"\\" || (bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes))
}

/// Whether bytes between objects are the rest of a text, or close brackets, rather than a record that lost its beginning.
/// `None` if more bytes are needed.
fn rest_of_text(bytes: &[u8], from: usize, complete: bool) -> Option<bool> {
    let is_end = |byte: &u8| matches!(byte, b'{' | b'}' | b']' | b'"' | b'\n');
    match bytes[from..].iter().position(is_end).map(|length| from + length) {
        None => complete.then_some(false),
        Some(at) if bytes[at] == b'"' => is_name(bytes, at, complete).map(|is_name| !is_name),
        Some(at) => Some(matches!(bytes[at], b'}' | b']')),
    }
}

/// Whether the string that begins at `at` is the name of a field. `None` if more bytes are needed.
fn is_name(bytes: &[u8], mut at: usize, complete: bool) -> Option<bool> {
    at += 1;
    loop {
        match bytes.get(at) {
            None => return complete.then_some(false),
            Some(b'\n') => return Some(false),
            Some(b'\\') => at += 2,
            Some(b'"') => break,
            Some(_) => at += 1,
        }
    }
    match bytes[at + 1..].iter().find(|b| !is_blank(**b)) {
        None if !complete => None,
        next => Some(next == Some(&b':')),
    }
}

/// Whether the beginning of an object holds a field and the comma after it: text that only looks like an object does not.
fn has_field(object: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    object.iter().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            b',' => return !in_string && depth == 1,
            _ => {}
        }
        false
    })
}

/// How a line begins.
enum NextLine {
    /// With a comma or a closing bracket, here: it continues the line before.
    Continues(usize),
    /// With anything else.
    Begins,
    Unknown,
}

/// The position after blanks and what some programs write between records, and whether a comma is among it.
fn separator(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut has_comma = false;
    loop {
        match &bytes[at..] {
            [b',', ..] => (at, has_comma) = (at + 1, true),
            [b'\\', b'n' | b'r' | b't', ..] => at += 2,
            [0, ..] => at += 1,
            [byte, ..] if is_blank(*byte) => at += 1,
            rest if rest.starts_with(BYTE_ORDER_MARK) => at += BYTE_ORDER_MARK.len(),
            _ => return (at, has_comma),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Following, Lookahead};

    #[track_caller]
    fn check(text: &str, in_array: bool, expected: Following) {
        let of = |bytes, complete| {
            Lookahead { bytes, complete, in_array, begins_line: false, before: 0, may_close: true }
                .following(0)
                .following
        };
        assert_eq!(of(text.as_bytes(), true), expected, "{text}");
        // With fewer bytes the result is the same, or it waits.
        for end in 0..text.len() {
            let early = of(&text.as_bytes()[..end], false);
            assert!(early == expected || early == Following::Unknown, "{text} up to {end}: {early:?}");
        }
    }

    #[test]
    fn records_up_to_the_end_of_the_line_or_to_a_broken_one() {
        for records in [
            "{\"n\":1}",
            ",{\"n\":1}{\"n\":\"]}\"}\n]",
            "{\"n\":1},\n{\"n\":2}\n",
            ",{\"n\":1}]",
            "{}][{}]",
            "\\n{}\\n",
            "{\"n\":1}{\"n\":x\"}}",
            "{\"n\":1}\"n\":2}{\"n\":3}",
            "{\"n\":1,\"m\":x\"}}",
            "[{\"n\":1},{\"n\":2}]\n",
            // Another record has a bracket too many: objects after commas would be in an array.
            ",{\"n\":1},{\"n\":2}},{\"n\":3}",
            ",{\"n\":1},{\"n\":2},\"m\":2},{\"n\":3}",
        ] {
            check(records, records.contains(']') && !records.starts_with('['), Following::Records);
        }
        for nothing in ["", "\n", "]\n", ",]\n", " \\n "] {
            check(nothing, true, Following::Nothing);
        }
        for other in ["{\"n\":", "x}", "{\"n\":x\"}{\"n\":2}", "{\"},{\"a\":1}", ",\n{\"n\":x\"}"] {
            check(other, false, Following::Other);
        }
    }

    #[test]
    fn brackets_that_no_record_opened_tell_that_an_object_is_inside() {
        for in_array in [false, true] {
            for inside in [
                ",{\"n\":2}]}",
                ",{\"n\":2}],\"m\":[3],\"s\":\"}\"}{\"n\":4}",
                ",{\"n\":2},{\"n\":3}]}]",
                "{\"n\":2}},{\"n\":4}",
                "{\"n\":2},\"m\":4}",
                ",{\"n\":2}},{\"n\":4}",
                ",{\"n\":2},\"m\":4}",
                ",{\"n\":2},\n{\"n\":3}]}",
                ",{\"n\":2}\n]}",
                ",{\"n\":2},{\"n\":NaN}]}",
                ",{\"n\":2},[3]",
                ",{\"n\":2},3",
                ",\"n\":2}\n",
                "{}\",\"m\":1}",
                "{\"n\":2}\",\"m\":1}",
            ] {
                check(inside, in_array, Following::Inside);
            }
        }
        check("{\"n\":2}]{\"n\":3}", false, Following::Inside);
    }
}
