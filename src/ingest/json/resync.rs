//! The place at which reading continues after an object that is not JSON.
//!
//! It is after its end, if only one token of it is wrong; at the line of the next record, if that comes first; or where
//! the next records begin: objects that are JSON up to the line's end, or up to the next broken one, and that no bracket
//! of the broken one encloses. The first such place is taken: a text after it may hold brackets and quotes.

use super::enclosed::{Following, Found, Lookahead};
use super::repair::{Position, Repaired, is_structure, repaired_end};
use super::stretch::{BYTE_ORDER_MARK, RECORD_SEPARATOR, is_blank, is_space};

/// The place at which reading can continue, from the object's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resync {
    /// The object ends here, and a separator may follow.
    Closed(usize),
    /// Another record begins here, before the object's end.
    Record(usize),
    /// Nowhere: the object has no end.
    Lost,
    /// Not within the bytes that may be examined: the object may continue after them.
    Open,
    /// More bytes are needed.
    Unknown,
}

/// An object that is not JSON, and the limits of the search.
pub(super) struct Broken<'b> {
    /// The bytes from its first one on, as far as they may be examined.
    pub(super) bytes: &'b [u8],
    /// The first invalid byte.
    pub(super) fault: usize,
    /// Whether no more bytes than these will ever be examined.
    pub(super) complete: bool,
    /// Whether it is an element of an array of records.
    pub(super) in_array: bool,
    /// Maximum indentation of the next record's line; deeper lines belong to the object.
    pub(super) limit: usize,
    /// Bytes that may be read again.
    pub(super) allowance: usize,
}

/// The next records on the object's line.
enum Next {
    Begins(usize),
    None,
    Unknown,
}

/// The end of the object by its brackets alone.
enum Balance {
    Closed(usize),
    /// A line that may begin a record, or a separator before one.
    Line(usize),
    /// A string crosses a line's end.
    Unbalanced,
    /// The bytes end.
    Inside,
}

/// Brackets beyond this depth count as unbalanced: only an attack has them.
const MAX_DEPTH: usize = 1 << 20;

impl Broken<'_> {
    /// Where reading continues, and how many bytes had to be examined.
    ///
    /// Objects inside the broken one never count as records: one could be an older state of it, which it replaces.
    pub(super) fn resync(&self) -> (Resync, usize) {
        let mut reach = self.fault;
        let found = self.find(&mut reach);
        (found, reach)
    }

    fn find(&self, reach: &mut usize) -> Resync {
        let position = Position::at(self.bytes, self.fault);
        match self.lines(&position, reach) {
            Next::Begins(at) => return Resync::Record(at),
            Next::Unknown => return Resync::Unknown,
            Next::None => {}
        }
        let mut likely = None;
        match repaired_end(self.bytes, self.fault, self.limit) {
            Repaired::Cut if !self.complete => return Resync::Unknown,
            Repaired::Ends(end) => {
                let found = self.following(end, &position, reach);
                match found.following {
                    Following::Unknown => return Resync::Unknown,
                    Following::Records | Following::Nothing if !self.is_value_after(end, &position) => {
                        return Resync::Closed(end);
                    }
                    // If a bracket or a quote is wrong, others need not be what they seem.
                    _ if self.bytes.get(self.fault).is_none_or(|byte| is_structure(*byte)) => {}
                    // Another record has a bracket too many.
                    Following::Inside if found.records > 0 => return Resync::Closed(end),
                    Following::Other => likely = Some(end),
                    _ => {}
                }
            }
            _ => {}
        }
        match self.next_records(&position, reach) {
            Next::Begins(at) => return self.ended_before(at),
            Next::Unknown => return Resync::Unknown,
            Next::None => {}
        }
        if let Some(end) = likely {
            return Resync::Closed(end);
        }
        match self.balance(&position, reach) {
            Balance::Closed(end) if self.bytes[self.fault..end].contains(&b'\n') => Resync::Closed(end),
            Balance::Closed(end) => match self.following(end, &position, reach).following {
                Following::Records | Following::Nothing => Resync::Closed(end),
                Following::Other | Following::Inside => Resync::Lost,
                Following::Unknown => Resync::Unknown,
            },
            Balance::Line(at) => match self.following(at, &position, reach).following {
                Following::Unknown => Resync::Unknown,
                Following::Inside => Resync::Lost,
                _ => Resync::Record(at),
            },
            Balance::Unbalanced => Resync::Lost,
            Balance::Inside if self.complete => Resync::Open,
            Balance::Inside => Resync::Unknown,
        }
    }

    fn following(&self, at: usize, position: &Position, reach: &mut usize) -> Found {
        let ahead = Lookahead {
            bytes: self.bytes,
            complete: self.complete,
            in_array: self.in_array,
            begins_line: self.bytes[..at].iter().rfind(|b| !is_blank(**b)) == Some(&b'\n'),
            before: self.bytes[..at].iter().rfind(|b| !is_space(**b)).copied().unwrap_or_default(),
            may_close: self.in_array || !position.is_in_array(),
        };
        let found = ahead.following(at);
        *reach = found.at.max(*reach);
        found
    }

    /// Whether an array after the bracket at the fault is the value that is missing before it: `{"items":}[{"n":1}]`.
    fn is_value_after(&self, end: usize, position: &Position) -> bool {
        end == self.fault + 1
            && position.lacks_a_value()
            && self.bytes[end..].iter().find(|b| !is_blank(**b)) == Some(&b'[')
    }

    /// The end of the object before the record at `at`, if a bracket ends it.
    fn ended_before(&self, at: usize) -> Resync {
        let end = without_separators(&self.bytes[..at]).len();
        if self.bytes[..end].ends_with(b"}") { Resync::Closed(end) } else { Resync::Record(at) }
    }

    /// The first line before the fault that begins with a record, or the first separator that stands only between records.
    fn lines(&self, position: &Position, reach: &mut usize) -> Next {
        for (at, byte) in self.bytes[..self.fault].iter().enumerate() {
            if *byte == RECORD_SEPARATOR && self.may_return(at) {
                return Next::Begins(at);
            }
            if *byte != b'\n' {
                continue;
            }
            let indent = self.bytes[at + 1..].iter().take_while(|b| is_blank(**b)).count();
            let begins = at + 1 + indent;
            match self.bytes.get(begins) {
                None if !self.complete => return Next::Unknown,
                Some(b'{') if indent <= self.limit && self.may_return(begins) => {
                    match self.following(begins, position, reach).following {
                        Following::Unknown => return Next::Unknown,
                        Following::Inside => {}
                        _ => return Next::Begins(begins),
                    }
                }
                _ => {}
            }
        }
        Next::None
    }

    /// The next records on the line of the fault.
    fn next_records(&self, position: &Position, reach: &mut usize) -> Next {
        let bytes = self.bytes;
        if let Some(at) = self.begins_before_fault() {
            match self.following(at, position, reach).following {
                Following::Records => return Next::Begins(at),
                Following::Unknown => return Next::Unknown,
                _ => {}
            }
        }
        // Whether the fault is inside a string is not certain, so brackets are counted for both cases.
        let mut sides = [Side::default(); 2];
        let mut outside = usize::from(position.is_in_string());
        let mut at = self.fault;
        // The last two bytes that are not blank.
        let mut last = bytes[..at].iter().rposition(|b| !is_space(*b)).unwrap_or_default();
        let mut before_last = 0;
        while let Some(byte) = bytes.get(at).copied() {
            match byte {
                // A text that was divided.
                b'\n' if at == self.fault => {}
                b'\n' | RECORD_SEPARATOR => return Next::None,
                b'\\' => {
                    at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'"' | b'\\')));
                    (before_last, last) = (bytes[last], at - 1);
                    continue;
                }
                b'"' => outside = 1 - outside,
                b'{' if self.may_begin(at, last, before_last, sides[outside]) => match self.begins_record(at) {
                    None => return Next::Unknown,
                    Some(false) => {}
                    Some(true) => {
                        let found = self.following(at, position, reach);
                        match found.following {
                            Following::Records => return Next::Begins(at),
                            Following::Unknown => return Next::Unknown,
                            // The objects up to there are inside, too.
                            Following::Inside => sides[outside].inside = found.at,
                            Following::Nothing | Following::Other => {}
                        }
                    }
                },
                _ => {}
            }
            match byte {
                b'{' | b'[' if at != self.fault => sides[outside].depth += 1,
                b'}' | b']' => sides[outside].depth = sides[outside].depth.saturating_sub(1),
                _ => {}
            }
            if !is_space(byte) {
                (before_last, last) = (bytes[last], at);
            }
            at += 1;
        }
        *reach = bytes.len().max(*reach);
        if self.complete { Next::None } else { Next::Unknown }
    }

    /// Whether a `{` can begin a record, by what stands before it: no bracket that was opened after the fault encloses
    /// it, and it is no value.
    fn may_begin(&self, at: usize, last: usize, before_last: u8, side: Side) -> bool {
        if at < side.inside {
            return false;
        }
        match self.bytes[last] {
            b':' if last != self.fault => false,
            // Of another array of records.
            b'[' if last != self.fault => side.depth == 1 && before_last == b']',
            _ => side.depth == 0,
        }
    }

    /// Whether a `{` begins an object, by what stands after it; `None` if more bytes are needed.
    fn begins_record(&self, at: usize) -> Option<bool> {
        match self.bytes[at + 1..].iter().find(|b| !is_space(**b)) {
            Some(b'"') => Some(true),
            Some(b'}') => Some(matches!(without_separators(&self.bytes[..at]), [.., b'}' | b']'])),
            None if !self.complete => None,
            _ => Some(false),
        }
    }

    /// The record before the fault if the quote before it is lost: in `{"b":"x}{"b":"y"}` the next record's first quote
    /// ends the text.
    fn begins_before_fault(&self) -> Option<usize> {
        let before = |at: usize| self.bytes[..at].iter().rposition(|b| !is_space(*b));
        let quote = before(self.fault).filter(|at| self.bytes[*at] == b'"')?;
        let brace = before(quote).filter(|at| self.bytes[*at] == b'{')?;
        without_separators(&self.bytes[..brace]).ends_with(b"}").then_some(brace)
    }

    /// Scans from the fault on, where a bracket closes unclosed ones of another kind inside it.
    fn balance(&self, position: &Position, reach: &mut usize) -> Balance {
        let bytes = self.bytes;
        let mut state = position.brackets();
        let mut arrays = state.iter().filter(|opening| **opening == b'[').count();
        let mut in_string = position.is_in_string();
        let mut last = bytes[..self.fault].iter().rfind(|b| !is_space(**b)).copied().unwrap_or_default();
        let mut at = self.fault;
        while at < bytes.len() {
            let byte = bytes[at];
            *reach = (at + 1).max(*reach);
            match byte {
                b'\n' => {
                    let indent = bytes[at + 1..].iter().take_while(|b| is_blank(**b)).count();
                    match bytes.get(at + 1 + indent) {
                        Some(b'{') if indent <= self.limit => return Balance::Line(at + 1 + indent),
                        None if !self.complete => return Balance::Inside,
                        _ if in_string => return Balance::Unbalanced,
                        _ => {}
                    }
                }
                RECORD_SEPARATOR => return Balance::Line(at),
                b'\\' if in_string => {
                    at += 1 + usize::from(bytes.get(at + 1).is_some_and(|b| *b != b'\n'));
                    continue;
                }
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' if state.len() >= MAX_DEPTH => return Balance::Unbalanced,
                b'{' | b'[' => {
                    arrays += usize::from(byte == b'[');
                    state.push(byte);
                }
                b'}' | b']' if last == b':' && !self.complete && bytes[at + 1..].iter().all(|b| is_blank(*b)) => {
                    return Balance::Inside;
                }
                // Between a colon and its value it ends nothing.
                b'}' | b']' if last == b':' && bytes[at + 1..].iter().find(|b| !is_blank(**b)) == Some(&b'[') => {}
                b']' if arrays == 0 => match bytes[at + 1..].iter().find(|b| !is_blank(**b)) {
                    None if !self.complete => return Balance::Inside,
                    // The end of the array that contains the object.
                    None | Some(b'\n' | b'[' | b'{' | &RECORD_SEPARATOR) if self.in_array => {
                        return Balance::Unbalanced;
                    }
                    _ => {}
                },
                b'}' | b']' => {
                    let opening = if byte == b'}' { b'{' } else { b'[' };
                    while let Some(open) = state.pop() {
                        arrays -= usize::from(open == b'[');
                        if open == opening {
                            break;
                        }
                    }
                    if state.is_empty() {
                        return Balance::Closed(at + 1);
                    }
                }
                _ => {}
            }
            if !is_space(byte) {
                last = byte;
            }
            at += 1;
        }
        Balance::Inside
    }

    /// Whether reading can return to a place before the fault.
    fn may_return(&self, at: usize) -> bool {
        self.fault.saturating_sub(at) <= self.allowance
    }
}

/// One of two assumptions about which bytes are inside strings.
#[derive(Clone, Copy, Default)]
struct Side {
    /// Brackets that were opened after the fault and not closed.
    depth: usize,
    /// Objects before this byte are inside the broken one.
    inside: usize,
}

/// Bytes without the separators at their end.
fn without_separators(mut bytes: &[u8]) -> &[u8] {
    loop {
        bytes = match bytes {
            [rest @ .., b'\\', b'n' | b'r' | b't'] => rest,
            [rest @ .., b',' | 0] => rest,
            [rest @ .., byte] if is_space(*byte) => rest,
            _ => match bytes.strip_suffix(BYTE_ORDER_MARK) {
                Some(rest) => rest,
                None => return bytes,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Broken, Resync};

    #[track_caller]
    fn check(text: &str, fault: &str, in_array: bool, expected: Resync) {
        let fault = text.find(fault).expect("the fault is in the text");
        let of = |bytes, complete| Broken { bytes, fault, complete, in_array, limit: 0, allowance: 1 << 20 };
        assert_eq!(of(text.as_bytes(), true).resync().0, expected, "{text}");
        // With fewer bytes the result is the same, or it waits.
        for end in fault + 1..text.len() {
            let early = of(&text.as_bytes()[..end], false).resync().0;
            assert!(early == expected || early == Resync::Unknown, "{text} up to {end}: {early:?}");
        }
    }

    #[test]
    fn objects_inside_are_no_records() {
        let text = "{\"e\":\"a\",\"ts\":5,\"l\":[\"e\":\"a\",\"ts\":3},{\"e\":\"a\",\"ts\":4}]}";
        check(&format!("{text}{{\"n\":3}}"), ":\"a\",\"ts\":3", false, Resync::Closed(text.len()));
        check(&format!("{text},{{\"n\":3}}]"), ":\"a\",\"ts\":3", true, Resync::Closed(text.len()));
        check(&format!("{text}\n{{\"n\":3}}"), ":\"a\",\"ts\":3", false, Resync::Lost);
        // Over several lines.
        check("{\"n\":x\",\"l\":[1,{\"n\":2},\n{\"n\":3}]}\n{\"n\":4}", "x", false, Resync::Lost);
        check("{\"n\":[1,\n{\"n\":2},\n{\"n\":3}],:1}\n{\"n\":4}", ":1}", false, Resync::Closed(30));
        check("{\"a\":0[\n{\"a\":0}\n,\"z\":{\"y\":1}}", "[", false, Resync::Lost);
        // An early bracket: the array is the value that is missing before it.
        check("{\"l\":}[{\"n\":1},{\"n\":2}]\n{\"n\":3}", "}[", false, Resync::Record(24));
        check("{\"l\":}[{\"n\":1},{\"n\":2}]}{\"n\":3}", "}[", false, Resync::Closed(24));
        check("{\"l\":}[{\"n\":1}],\"m\":2}{\"n\":3}", "}[", false, Resync::Closed(22));
        check("{\"l\":}{\"n\":1}}{\"n\":3}", "}{", false, Resync::Closed(14));
        // A text with JSON in it whose quotes were not escaped.
        check("{\"t\":\"{\"n\":1}{\"n\":2}\",\"m\":3}{\"n\":4}", "n\":1", false, Resync::Closed(28));
        check("{\"t\":\"[{\"n\":1},{\"n\":2}]\",\"m\":3}\n{\"n\":4}", "n\":1", false, Resync::Closed(31));
    }

    #[test]
    fn behind_the_balanced_end() {
        check("{\"n\":NaN}{\"n\":3}", "NaN", false, Resync::Closed(9));
        check("{\"n\":NaN,\"t\":\"}\\\"}{\",\"u\":[{}]} x", "NaN", false, Resync::Closed(30));
        check("{\"n\":NaN,\n  \"u\":[\n    {\"n\":1}\n  ]}", "NaN", false, Resync::Closed(34));
        // A bracket without its counterpart.
        check("{\"n\":[1,2}{\"n\":3}", "}", false, Resync::Closed(10));
        check("{\"n\":1]}{\"n\":3}", "]", false, Resync::Closed(8));
        check("{\"n\":]1},{\"n\":3}]", "]", true, Resync::Closed(8));
        check("{\"z\":][{\"n\":1}],\"b\":\"y\"},{\"n\":3}]", "][", true, Resync::Closed(24));
        // An object without a name is no other record if the first one is balanced.
        check("{\"n\":1,{\"m\":2},\"o\":3},{\"n\":4}]", "{\"m", true, Resync::Closed(21));
        // Another record has a bracket too many.
        check("{\"n\":NaN}{\"n\":2}}{\"n\":3}", "NaN", false, Resync::Closed(9));
    }

    #[test]
    fn where_another_record_begins() {
        check("{\"n\":NaN\n{\"n\":3}}", "NaN", false, Resync::Lost);
        check("{\"n\":NaN\n{\"n\":3}", "NaN", false, Resync::Record(9));
        check("{\"n\":2{\"n\":3}", "{\"n\":3", false, Resync::Record(6));
        check("{\"n\":2,{\"n\":3},{\"n\":4}]", "{\"n\":3", true, Resync::Record(7));
        check("{\"n\":{x,\"m\":1}{\"n\":3}", "x", false, Resync::Closed(14));
        check("{\"n\":{[1]},{\"n\":3},{\"n\":4}]", "[", true, Resync::Closed(10));
        check("{\"b\":\"x}{\"b\":\"y\"}", "b\":\"y", false, Resync::Closed(8));
        check("{\"b\":\"x},\n{\"b\":\"y\"}", "\n{", false, Resync::Closed(8));
        // A lost quote in an element of an array.
        check("{\"b\":\"x,\"c\":[{},{}]},{\"b\":\"y\"}]", "c", true, Resync::Closed(20));
        check("{\"b\":x\"},{\"b\":\"y\"}]", "x", true, Resync::Closed(8));
        check("{\"z\":{\"a:{}},\"b\":1},{\"b\":2}]", "b\":1", true, Resync::Closed(19));
        check("{\"b\":\"\\\",\"a\":10},{\"a\":0}]", "a\":10", true, Resync::Closed(16));
        check("{\"z\":[{\"\\\":[2,{}]}],\"b\":1},{\"b\":2}]", "b\":1", true, Resync::Closed(26));
        check("{\"\\\":[2,{}]},{\"a\":0}]", "a\":0", true, Resync::Closed(12));
        // A list that was cut off.
        check("{\"a\":[1,2},{\"a\":3}]", "}", true, Resync::Closed(10));
        check("{\"a\":[1,2},{\"a\":3}", "}", true, Resync::Closed(10));
        // The closing bracket became a colon or another bracket.
        check("{\"n\":1:{\"n\":3}{\"n\":4}", ":{", false, Resync::Record(7));
        check("{\"n\":1:,{\"n\":3},{\"n\":4}]", ":,", true, Resync::Record(8));
        check("{\"n\":1[{\"n\":3}{\"n\":4}", "[", false, Resync::Record(7));
        check("{\"n\":1[,{\"n\":3},{\"n\":4}]", "[", true, Resync::Record(8));
        check("{\"z\":[{\"n\":1[,{\"n\":[2]}],\"b\":1},{\"n\":4}]", "[,", true, Resync::Closed(31));
        // Before the next line.
        check("{\"n\":1!{\"n\":3}\n{\"n\":4}", "!", false, Resync::Record(7));
    }

    #[test]
    fn texts_after_a_lost_quote_may_hold_brackets() {
        for text in [":-}", "}", "]}", "{", "}{", "},{", "[", "{}", "\\\"}", "a, b"] {
            let other = format!("{{\"id\":5,\"v\":\"{text}\"}}");
            check(&format!("{{\"id\":1,\"v\":b\"}}{{\"id\":2,\"v\":\"x\"}}{other}"), "b\"", false, Resync::Closed(15));
            check(&format!("{{\"id\":1,\"v\":b\"}},{other},{{\"id\":2}}]"), "b\"", true, Resync::Closed(15));
            check(&format!("{{\"id\":1,\"v\":\"b}}{other}{{\"id\":2}}"), "id\":5", false, Resync::Closed(15));
        }
    }

    #[test]
    fn nowhere() {
        check("{\"n\":NaN, \"m\":[", "NaN", false, Resync::Open);
        check("{\"n\":NaN, \"m\":]", "NaN", true, Resync::Lost);
    }
}
