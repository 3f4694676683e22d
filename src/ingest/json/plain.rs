//! A fast path for the usual record, read in one pass: an object of strings without escapes, numbers without exponents,
//! and literals.
//!
//! It gives up on anything else, including invalid records: the general reader then starts again and decides. So this
//! file only needs to be correct about what it accepts, and can be fast.
//!
//! Its only purpose is speed; remove it if it is not faster: `tests::speed` reads the same records with it and, by means
//! of one exponent, with the general reader. A whole `sync` of 1.5 million such records (132 MB), Parquet included, takes
//! 0.52 s of processor time with it, and 0.73 s without.

/// Passes name and value of each field at the start of `text` to `field`, values as JSON without surrounding blanks.
/// Returns the object's length in bytes; `None` if it is not usual or `field` declines.
#[inline]
pub(super) fn object<'t>(text: &'t str, mut field: impl FnMut(&'t str, &'t str) -> bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = blanks(bytes, expect(bytes, 0, b'{')?);
    loop {
        let name_end = string(bytes, at)?;
        let name = &text[at + 1..name_end - 1];
        at = blanks(bytes, name_end);
        at = blanks(bytes, expect(bytes, at, b':')?);
        let end = match bytes.get(at)? {
            b'"' => string(bytes, at)?,
            b'-' | b'0'..=b'9' => number(bytes, at)?,
            b't' => literal(bytes, at, b"true")?,
            b'f' => literal(bytes, at, b"false")?,
            b'n' => literal(bytes, at, b"null")?,
            _ => return None,
        };
        if !field(name, &text[at..end]) {
            return None;
        }
        at = blanks(bytes, end);
        match bytes.get(at)? {
            b',' => at = blanks(bytes, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

#[inline]
fn expect(bytes: &[u8], at: usize, wanted: u8) -> Option<usize> {
    (*bytes.get(at)? == wanted).then_some(at + 1)
}

#[inline]
fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// The end of the string that begins at `at`.
#[inline]
fn string(bytes: &[u8], at: usize) -> Option<usize> {
    let start = expect(bytes, at, b'"')?;
    let length = bytes[start..].iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20))?;
    (bytes[start + length] == b'"').then_some(start + length + 1)
}

/// The end of the number that begins at `at`; something must follow it, else it may continue in later bytes.
#[inline]
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let whole = if bytes[at] == b'-' { at + 1 } else { at };
    let mut end = digits(bytes, whole);
    // A leading zero stands alone.
    if end == whole || (bytes[whole] == b'0' && end > whole + 1) {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        let fraction = end + 1;
        end = digits(bytes, fraction);
        if end == fraction {
            return None;
        }
    }
    matches!(bytes.get(end)?, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n').then_some(end)
}

#[inline]
fn digits(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

#[inline]
fn literal(bytes: &[u8], at: usize, wanted: &[u8]) -> Option<usize> {
    bytes[at..].starts_with(wanted).then_some(at + wanted.len())
}

#[cfg(test)]
mod tests {
    use super::object;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn fields(text: &str) -> Option<(usize, Vec<(String, String)>)> {
        let mut fields = Vec::new();
        let length = object(text, |name, value| {
            fields.push((name.to_owned(), value.to_owned()));
            true
        })?;
        Some((length, fields))
    }

    #[test]
    fn usual_records_are_read_and_all_others_left_alone() {
        let (length, found) = fields("{ \"a\" : \"x\", \"b\":-1.50,\r\n\"c\":null,\"d\":true}{").unwrap();
        assert_eq!(length, 43);
        let values: Vec<&str> = found.iter().map(|(_, v)| v.as_str()).collect();
        assert_eq!(values, ["\"x\"", "-1.50", "null", "true"]);
        let others = [
            "",
            "{",
            "{}",
            "{\"a\"",
            "{\"a\":1",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":1e3}",
            "{\"a\":-}",
            "{\"a\":.5}",
            "{\"a\":\"\\n\"}",
            "{\"a\":\"x\ny\"}",
            "{\"a\":{}}",
            "{\"a\":[1]}",
            "{\"a\":1,}",
            "{\"a\":1 2}",
            "{\"a\":tru}",
            "{\"a\":truer}",
            "{'a':1}",
            "[1]",
            "{\"a\":1x}",
            "{\"a\" 1}",
        ];
        for other in others {
            assert_eq!(fields(other), None, "{other}");
        }
    }

    proptest! {
        /// Accepted text is JSON with the same meaning to an independent reader.
        #[test]
        fn what_is_accepted_is_what_serde_reads(text in "[{}\\[\\]\",:truefalsn0-9.e\\\\ \\n-]{0,24}") {
            let text = format!("{{\"a\":{text}");
            if let Some((length, found)) = fields(&text) {
                let read: Map<String, Value> = serde_json::from_str(&text[..length]).unwrap();
                for (name, value) in read {
                    // A repeated name has its last value.
                    let ours = found.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| v.as_str()).unwrap();
                    prop_assert_eq!(serde_json::from_str::<Value>(ours).unwrap(), value);
                }
            }
        }
    }
}
