//! Whether objects that look like the next records are inside the broken one.
//!
//! In `{"l":["n":1},{"n":2}],"m":3}` a bracket was lost, and the object that follows `}` looks like a record. The brackets
//! that close after it, and the name after a comma, show that it is not: no record opened them.

use super::stretch::{BYTE_ORDER_MARK, RECORD_SEPARATOR, is_blank};

/// The kind of text after a place where a record seems to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// Records, or nothing that shows the opposite.
    Records,
    /// The rest of a broken record: where that ends, if it ends on this line.
    Inside(Option<usize>),
    /// More bytes are needed.
    Unknown,
}

/// Looks at the values from `at` on, up to the end of the line or `limit`. `complete`: no more bytes follow.
pub(super) fn following(bytes: &[u8], mut at: usize, complete: bool, limit: usize) -> Following {
    let cut = bytes.len().min(at.saturating_add(limit));
    let complete = complete || cut < bytes.len();
    let bytes = &bytes[..cut];
    let end = if complete { Following::Records } else { Following::Unknown };
    loop {
        let (next, has_comma) = separator(bytes, at);
        match bytes.get(next) {
            None => return end,
            Some(b'{' | b'[') => match value(bytes, next) {
                Value::Ends(after) => at = after,
                Value::Cut => return end,
                Value::Broken => return Following::Records,
            },
            Some(b'"') if has_comma => return rest(bytes, next, complete),
            Some(b'}') => return rest(bytes, next, complete),
            Some(b']') => {
                let (after, _) = separator(bytes, next + 1);
                return match bytes.get(after) {
                    None => end,
                    // The end of an array of records.
                    Some(b'\n' | b'{' | b'[' | &RECORD_SEPARATOR) => Following::Records,
                    Some(_) => rest(bytes, next, complete),
                };
            }
            // Perhaps half of a separator.
            Some(b'\\' | 0xEF) if !complete && bytes.len() - next < BYTE_ORDER_MARK.len() => return end,
            Some(_) => return Following::Records,
        }
    }
}

/// The position after blanks and what some programs write between records, and whether a comma is among it.
fn separator(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut has_comma = false;
    loop {
        match &bytes[at..] {
            [b',', ..] => (at, has_comma) = (at + 1, true),
            [b'\\', b'n' | b'r' | b't', ..] => at += 2,
            [byte, ..] if is_blank(*byte) => at += 1,
            rest if rest.starts_with(BYTE_ORDER_MARK) => at += BYTE_ORDER_MARK.len(),
            _ => return (at, has_comma),
        }
    }
}

/// The end of a value.
enum Value {
    Ends(usize),
    /// Its brackets do not pair, or it goes on after the line.
    Broken,
    /// The bytes end within it.
    Cut,
}

/// Finds the end of the object or array that begins here.
fn value(bytes: &[u8], begins: usize) -> Value {
    let mut open = Vec::new();
    let mut at = begins;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\n' | &RECORD_SEPARATOR => return Value::Broken,
            b'"' => match string(bytes, at) {
                Some(after) => at = after,
                None if bytes[at..].contains(&b'\n') => return Value::Broken,
                None => return Value::Cut,
            },
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' if open.pop() != Some(*byte) => return Value::Broken,
            b'}' | b']' if open.is_empty() => return Value::Ends(at),
            _ => {}
        }
    }
    Value::Cut
}

/// The position after a string of which this is the first byte after its quote; `None` if it does not end on this line.
fn string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\n' => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end of a record of which the rest stands here: after its last closing bracket.
fn rest(bytes: &[u8], mut at: usize, complete: bool) -> Following {
    let unknown = if complete { Following::Inside(None) } else { Following::Unknown };
    loop {
        match bytes.get(at) {
            None => return unknown,
            Some(b'\n' | &RECORD_SEPARATOR) => return Following::Inside(None),
            Some(b'"') => match string(bytes, at + 1) {
                Some(after) => at = after,
                None if bytes[at..].contains(&b'\n') => return Following::Inside(None),
                None => return unknown,
            },
            Some(b'{' | b'[') => match value(bytes, at) {
                Value::Ends(after) => at = after,
                Value::Broken => return Following::Inside(None),
                Value::Cut => return unknown,
            },
            Some(b'}') => {
                let (next, has_comma) = separator(bytes, at + 1);
                match bytes.get(next) {
                    None if !complete => return Following::Unknown,
                    None | Some(b'\n' | b'{' | &RECORD_SEPARATOR) => return Following::Inside(Some(at + 1)),
                    Some(b'[') if !has_comma => return Following::Inside(Some(at + 1)),
                    // The end of an array of records.
                    Some(b']') if !has_comma => match bytes[next + 1..].iter().find(|b| !is_blank(**b)) {
                        None if !complete => return Following::Unknown,
                        None | Some(b'\n' | b'{' | b'[' | &RECORD_SEPARATOR) => {
                            return Following::Inside(Some(at + 1));
                        }
                        Some(_) => at += 1,
                    },
                    Some(_) => at += 1,
                }
            }
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Following, following};

    #[track_caller]
    fn check(text: &str, expected: Following) {
        assert_eq!(following(text.as_bytes(), 0, true, usize::MAX), expected, "{text}");
        // With fewer bytes the result is the same, or it waits.
        for end in 0..text.len() {
            let early = following(&text.as_bytes()[..end], 0, false, usize::MAX);
            assert!(early == expected || early == Following::Unknown, "{text} up to {end}: {early:?}");
        }
    }

    #[test]
    fn brackets_that_no_record_opened_tell_that_an_object_is_inside() {
        for records in [
            "",
            "\n",
            "{\"n\":1}",
            ",{\"n\":1}{\"n\":\"]}\"}\n]}",
            ",{\"n\":1}]",
            "{}][{}]",
            "\\n{}\\n",
            "{\"n\":",
            "x}",
        ] {
            check(records, Following::Records);
        }
        check(",{\"n\":2}]}", Following::Inside(Some(10)));
        check(",{\"n\":2}],\"m\":[3],\"s\":\"}\"}{\"n\":4}", Following::Inside(Some(26)));
        check(",{\"n\":2},{\"n\":3}]}]", Following::Inside(Some(18)));
        check(",{\"n\":2}},{\"n\":4}", Following::Inside(Some(9)));
        check(",\"n\":2}\n", Following::Inside(Some(7)));
        check(",{\"n\":2}]}x\n{\"n\":5}", Following::Inside(None));
    }
}
