//! The end of an object in which one token is wrong.
//!
//! What stands after the wrong token must be JSON in every detail that strings and brackets depend on. If a quote was
//! lost, what should be strings stands outside of them, and the object has no such end.

use super::stretch::{RECORD_SEPARATOR, is_blank, is_space};

/// The end of an object of which one token is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repaired {
    /// Here.
    Ends(usize),
    /// A line begins here that may be the next record, or a separator before it.
    Line(usize),
    /// More than one token is wrong.
    Never,
    /// The bytes end before.
    Cut,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    /// The name of a field, or the end of the object.
    Name,
    Colon,
    Value,
    /// A comma, or the end of the object or array.
    Next,
}

/// The open brackets and strings at a place of an object.
pub(super) struct Position {
    open: Vec<u8>,
    expects: Expects,
    in_string: bool,
}

/// The end of the object that begins `bytes`, if the token at its first invalid byte `fault` is passed over. Lines that
/// begin with `{`, indented by at most `limit` bytes, may be records.
pub(super) fn repaired_end(bytes: &[u8], fault: usize, limit: usize) -> Repaired {
    Position::at(bytes, fault).repaired_end(bytes, fault, limit)
}

/// Whether a byte is one that the meaning of others depends on.
pub(super) fn is_structure(byte: u8) -> bool {
    matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"' | b'\\')
}

impl Position {
    /// The position at the first invalid byte of an object.
    pub(super) fn at(bytes: &[u8], fault: usize) -> Self {
        let mut position = Self { open: Vec::new(), expects: Expects::Value, in_string: false };
        let mut at = 0;
        while at < fault.min(bytes.len()) {
            at = position.step(bytes, at).unwrap_or(at + 1);
        }
        position
    }

    /// Whether it is in a string.
    pub(super) fn is_in_string(&self) -> bool {
        self.in_string
    }

    /// The open brackets.
    pub(super) fn brackets(&self) -> Vec<u8> {
        self.open.clone()
    }

    /// Whether it is in an array of the object.
    pub(super) fn is_in_array(&self) -> bool {
        self.open.contains(&b'[')
    }

    /// Whether the object has no other open bracket than its own, and a value should follow.
    pub(super) fn lacks_a_value(&self) -> bool {
        self.open.len() == 1 && self.expects == Expects::Value
    }

    fn repaired_end(mut self, bytes: &[u8], fault: usize, limit: usize) -> Repaired {
        let mut at = if self.in_string { fault } else { self.skip(bytes, fault) };
        while at < bytes.len() {
            match bytes[at] {
                b'\n' if self.in_string => return Repaired::Never,
                b'\n' => {
                    let indent = bytes[at + 1..].iter().take_while(|b| is_blank(**b)).count();
                    match bytes.get(at + 1 + indent) {
                        Some(b'{') if indent <= limit => return Repaired::Line(at + 1 + indent),
                        None => return Repaired::Cut,
                        _ => {}
                    }
                }
                RECORD_SEPARATOR => return Repaired::Line(at),
                _ => {}
            }
            match self.step(bytes, at) {
                Some(next) => at = next,
                None => return Repaired::Never,
            }
            if self.open.is_empty() {
                return Repaired::Ends(at);
            }
        }
        Repaired::Cut
    }

    /// Passes over the wrong token at `fault`: what is neither a string nor a bracket, a colon too many, or nothing.
    fn skip(&mut self, bytes: &[u8], fault: usize) -> usize {
        let is_part =
            |byte: u8| !matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',' | b':' | b'\n' | RECORD_SEPARATOR);
        let mut at = fault;
        while let Some(byte) = bytes.get(at).copied() {
            match byte {
                _ if is_part(byte) => {}
                b':' if matches!(self.expects, Expects::Name | Expects::Value) => {}
                _ => break,
            }
            at += 1;
        }
        let in_object = self.open.last() == Some(&b'{');
        let is_bare = bytes[fault..at].iter().all(|b| is_space(*b));
        self.expects = match (bytes.get(at), self.expects) {
            // A value or a name is missing, or was the wrong token.
            (Some(b',' | b'}' | b']'), _) => Expects::Next,
            (Some(b'{' | b'['), Expects::Name | Expects::Colon) => Expects::Value,
            // A colon or a comma is missing.
            (Some(b'"'), Expects::Colon) if is_bare => Expects::Value,
            (Some(b'"'), Expects::Next) if is_bare && in_object => Expects::Name,
            (Some(b'"' | b'{' | b'['), Expects::Next) if !in_object => Expects::Value,
            // Part of a text that lost its first quote.
            (Some(b'"'), Expects::Name) if !is_bare && !bytes[fault..at].contains(&b':') => Expects::Next,
            (Some(b'"'), Expects::Value) if !is_bare => Expects::Next,
            (_, expects) => expects,
        };
        at
    }

    /// Takes the byte or the token at `at`; returns the place after it, or `None` if it cannot be there.
    fn step(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let byte = bytes[at];
        if self.in_string {
            match byte {
                b'\\' => return Some((at + 2).min(bytes.len())),
                b'"' => {
                    self.in_string = false;
                    self.expects = if self.expects == Expects::Name { Expects::Colon } else { Expects::Next };
                }
                _ => {}
            }
            return Some(at + 1);
        }
        match byte {
            _ if is_space(byte) => {}
            b'"' if matches!(self.expects, Expects::Name | Expects::Value) => {
                self.in_string = true;
            }
            b'{' | b'[' if self.expects == Expects::Value => {
                self.open.push(byte);
                self.expects = if byte == b'{' { Expects::Name } else { Expects::Value };
            }
            b':' if self.expects == Expects::Colon => self.expects = Expects::Value,
            b',' if self.expects == Expects::Next => {
                self.expects = if self.open.last() == Some(&b'{') { Expects::Name } else { Expects::Value };
            }
            b'}' | b']' => {
                let opening = if byte == b'}' { b'{' } else { b'[' };
                let may_close = match self.expects {
                    Expects::Next => true,
                    // Nothing is in it.
                    Expects::Name | Expects::Value => {
                        matches!(bytes[..at].iter().rfind(|b| !is_space(**b)), Some(b'{' | b'['))
                    }
                    Expects::Colon => false,
                };
                if !may_close || self.open.pop() != Some(opening) {
                    return None;
                }
                self.expects = Expects::Next;
            }
            _ if self.expects == Expects::Value => {
                let length = bytes[at..]
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
                    .count();
                let token = &bytes[at..at + length];
                let is_number = token.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-')
                    && token.last().is_some_and(u8::is_ascii_digit);
                // At the end of the bytes it may continue.
                if !is_number
                    && !matches!(token, b"null" | b"true" | b"false")
                    && (length == 0 || at + length < bytes.len())
                {
                    return None;
                }
                self.expects = Expects::Next;
                return Some(at + length);
            }
            _ => return None,
        }
        Some(at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Repaired, repaired_end};

    #[track_caller]
    fn check(text: &str, fault: usize, expected: Repaired) {
        assert_eq!(repaired_end(text.as_bytes(), fault, 0), expected, "{text}");
    }

    #[test]
    fn one_token_is_passed_over() {
        for (text, fault) in [
            ("{\"n\":NaN}", 5),
            ("{\"n\":01,\"m\":\"}\"}", 6),
            ("{NaN:\"a\":1,\"b\":[{}]}", 1),
            ("{\"n\":1 2,\"m\":3}", 7),
            ("{\"n\":1,}", 7),
            ("{\"n\":,\"m\":{}}", 5),
            ("{\"n\"1}", 4),
            ("{\"n\" \"x\"}", 5),
            ("{\"n\":1\"m\":2}", 6),
            ("{\"l\":[{\"n\":1}{\"n\":2}]}", 13),
            ("{\"n\"::1}", 5),
            ("{\"t\":\"\\x\",\"m\":[]}", 8),
        ] {
            check(text, fault, Repaired::Ends(text.len()));
            check(&text[..text.len() - 1], fault, Repaired::Cut);
        }
    }

    #[test]
    fn a_lost_quote_or_bracket_has_no_such_end() {
        for (text, fault) in [
            ("{\"n\":b\"}{\"n\":\":-}\"}", 5),
            ("{n\":\":-}\"}", 1),
            ("{\"n:1}{\"n\":\"}\"}", 8),
            ("{\"n\":[1,2}", 9),
            ("{\"n\":1]}", 6),
            ("{\"l\":[\"n\":1},{\"n\":2}]}", 9),
            ("{\"n\":1{\"m\":2}", 6),
            ("{\"n\":\"x\"y\",\"m\":1}", 8),
        ] {
            check(text, fault, Repaired::Never);
        }
        check("{\"n\":NaN\n{\"m\":1}", 5, Repaired::Line(9));
    }
}
