//! The place at which reading continues after an object that is not JSON.
//!
//! It is after its balanced end, strings and escapes honoured, if it has one; at the line of the next record, if that
//! comes first; or where another record begins, if the object lost its end.

use super::enclosed::{Following, following};
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

/// The end of a scan.
enum Scan {
    Closed(usize),
    /// A line that begins a record, or a separator before one.
    Line(usize),
    /// `}{` among the fields of an object, where not even a lost comma explains it: the position of the `{`.
    Touching(usize),
    /// The object has no balanced end: strings cross a line's end, or the array closes before it.
    Unbalanced,
    /// The bytes end.
    Inside,
}

/// Open brackets, and how many of them are those of arrays.
#[derive(Clone, Default)]
struct State {
    open: Vec<u8>,
    arrays: usize,
    in_string: bool,
    escaped: bool,
    /// The first `{` where no value can begin: it may begin the next record.
    misplaced: Option<usize>,
    /// How far the scan read.
    reach: usize,
    /// The last quote that opened a string.
    quote: usize,
    /// Whether a `[` at the fault is not counted as a bracket.
    passes_fault: bool,
    /// Whether some bracket was closed by one of another kind, or by none.
    is_unpaired: bool,
}

impl State {
    fn push(&mut self, opening: u8) {
        self.arrays += usize::from(opening == b'[');
        self.open.push(opening);
    }

    /// Closes the innermost bracket of a kind, and with it unclosed ones inside.
    fn close(&mut self, opening: u8) {
        while let Some(open) = self.open.pop() {
            self.arrays -= usize::from(open == b'[');
            if open == opening {
                break;
            }
            self.is_unpaired = true;
        }
    }
}

/// Bytes after a broken object that are examined for brackets of its own.
const LOOKAHEAD: usize = 1 << 20;

/// Brackets beyond this depth count as unbalanced: only an attack has them.
const MAX_DEPTH: usize = 1 << 20;

impl Broken<'_> {
    /// Where reading continues, and how many bytes had to be examined.
    ///
    /// Objects inside the broken one never count as records: one could be an older state of it, which it replaces.
    pub(super) fn resync(&self) -> (Resync, usize) {
        let (found, is_certain, reach) = self.first();
        let at = match found {
            Resync::Closed(at) | Resync::Record(at) if !is_certain && !self.bytes[..at].contains(&b'\n') => at,
            _ => return (found, reach),
        };
        let found = match following(self.bytes, at, self.complete, LOOKAHEAD) {
            Following::Records => found,
            Following::Inside(Some(end)) => Resync::Closed(end),
            Following::Inside(None) => Resync::Lost,
            Following::Unknown => Resync::Unknown,
        };
        (found, reach)
    }

    /// The first place at which a record may begin, whether only a record can begin there, and how many bytes had to be
    /// examined.
    fn first(&self) -> (Resync, bool, usize) {
        let mut state = State::default();
        let before = self.scan(&mut state, 0, self.fault);
        let at_fault = state.clone();
        let found = match before {
            Scan::Inside if self.fault < self.bytes.len() => self.scan(&mut state, self.fault, self.bytes.len()),
            before => before,
        };
        let is_open = matches!(found, Scan::Inside);
        if self.bytes.get(self.fault) == Some(&b'[') && matches!(found, Scan::Inside | Scan::Unbalanced) {
            if is_open && !self.complete {
                return (Resync::Unknown, true, state.reach);
            }
            // After a value it opens nothing, and the object does not close with it: `{"a":1[{"a":2}` lost its bracket.
            let mut other = State { passes_fault: true, ..at_fault.clone() };
            let found = self.scan(&mut other, self.fault, self.bytes.len());
            if let Some(next) = self.after(&found, other.misplaced) {
                return (next, false, state.reach.max(other.reach));
            }
        }
        if let Some(next) = self.after(&found, self.begins_at_fault().or(state.misplaced)) {
            return (next, matches!(found, Scan::Closed(_)) && !state.is_unpaired, state.reach);
        }
        // Its quotes do not pair. If the fault follows a string, that string may have lost its end: a backslash came
        // before its closing quote, or the quote is missing, and the quote that ended it begins the next string.
        // Otherwise the fault may be inside a string that lost its opening quote.
        let follows_string = self.bytes[..self.fault].iter().rfind(|b| !is_space(**b)) == Some(&b'"');
        let before = (follows_string && !at_fault.in_string).then_some(at_fault.quote + 1);
        let unescaped = before.and_then(|begins| self.escaped_quote(begins));
        let begins = [unescaped, before].into_iter().flatten().map(|from| (from, false));
        let mut reach = state.reach;
        let mut second_best = None;
        for (from, in_string) in begins.chain([(self.fault, !at_fault.in_string)]) {
            let mut other = State { in_string, escaped: false, ..at_fault.clone() };
            let found = self.scan(&mut other, from, self.bytes.len());
            reach = reach.max(other.reach);
            let record = match found {
                Scan::Closed(end) => return (Resync::Closed(end), false, reach),
                Scan::Inside if !self.complete => return (Resync::Unknown, true, reach),
                Scan::Line(at) | Scan::Touching(at) => Some(other.misplaced.map_or(at, |other| other.min(at))),
                Scan::Inside | Scan::Unbalanced => other.misplaced,
            };
            second_best = second_best.or(record);
        }
        let lost = if is_open { Resync::Open } else { Resync::Lost };
        (second_best.map_or(lost, Resync::Record), false, reach)
    }

    /// The position after the first escaped quote of the string that begins here.
    fn escaped_quote(&self, begins: usize) -> Option<usize> {
        let mut at = begins;
        while at + 1 < self.fault {
            match &self.bytes[at..at + 2] {
                [b'\\', b'"'] => return Some(at + 2),
                [b'\\', _] => at += 2,
                _ => at += 1,
            }
        }
        None
    }

    /// Where reading continues after a scan, if its end or another record determines it.
    fn after(&self, found: &Scan, candidate: Option<usize>) -> Option<Resync> {
        match *found {
            Scan::Closed(end) => Some(Resync::Closed(end)),
            Scan::Line(at) | Scan::Touching(at) => Some(Resync::Record(candidate.map_or(at, |other| other.min(at)))),
            Scan::Inside if !self.complete => Some(Resync::Unknown),
            Scan::Inside | Scan::Unbalanced => candidate.map(Resync::Record),
        }
    }

    /// The record that begins at the fault: the object lost its closing bracket, `{"a":1{"a":2}`, or the quote before
    /// it, `{"b":"x}{"b":"y"}`, so that the next record's first quote ends its text.
    fn begins_at_fault(&self) -> Option<usize> {
        if self.bytes.get(self.fault) == Some(&b'{') {
            return Some(self.fault);
        }
        let before = |at: usize| self.bytes[..at].iter().rposition(|b| !is_space(*b));
        let quote = before(self.fault).filter(|at| self.bytes[*at] == b'"')?;
        let brace = before(quote).filter(|at| self.bytes[*at] == b'{')?;
        let mut between = &self.bytes[..brace];
        loop {
            between = match between {
                [rest @ .., b'\\', b'n' | b'r' | b't'] => rest,
                [rest @ .., b','] => rest,
                [rest @ .., byte] if is_space(*byte) => rest,
                [.., b'}'] => return Some(brace),
                _ => return between.strip_suffix(BYTE_ORDER_MARK).filter(|b| b.ends_with(b"}")).map(|_| brace),
            }
        }
    }

    /// Scans from one byte to another.
    fn scan(&self, state: &mut State, from: usize, to: usize) -> Scan {
        let bytes = self.bytes;
        let mut last = bytes[..from].iter().rposition(|b| !is_space(*b)).map_or(0, |at| bytes[at]);
        for at in from..to {
            state.reach = at + 1;
            let byte = bytes[at];
            if byte == b'\n' {
                let indent = bytes[at + 1..].iter().take_while(|b| is_blank(**b)).count();
                match bytes.get(at + 1 + indent) {
                    Some(b'{') if indent <= self.limit && self.may_return(at + 1 + indent) => {
                        return Scan::Line(at + 1 + indent);
                    }
                    None if !self.complete => return Scan::Inside,
                    _ if state.in_string => return Scan::Unbalanced,
                    _ => {}
                }
            }
            // It stands only between records, and never in a string.
            if byte == RECORD_SEPARATOR && self.may_return(at) {
                return Scan::Line(at);
            }
            if state.in_string {
                match byte {
                    _ if state.escaped => state.escaped = false,
                    b'\\' => state.escaped = true,
                    b'"' => state.in_string = false,
                    _ => {}
                }
                last = byte;
                continue;
            }
            match byte {
                b'"' => (state.in_string, state.quote) = (true, at),
                b'{' if last == b'}' && at != self.fault && state.open.last() == Some(&b'{') => {
                    return Scan::Touching(at);
                }
                b'[' if state.passes_fault && at == self.fault => {}
                b'{' | b'[' if state.open.len() >= MAX_DEPTH => return Scan::Unbalanced,
                b'{' | b'[' => {
                    let is_misplaced = match state.open.last() {
                        Some(b'{') => last != b':',
                        Some(_) => !matches!(last, b'[' | b','),
                        None => false,
                    };
                    if byte == b'{' && is_misplaced && bytes[at + 1..].iter().find(|b| !is_space(**b)) == Some(&b'"') {
                        state.misplaced.get_or_insert(at);
                    }
                    state.push(byte);
                }
                b']' if state.arrays == 0 => match bytes[at + 1..].iter().find(|b| !is_blank(**b)) {
                    None if !self.complete => return Scan::Inside,
                    // Between a colon and its value it ends nothing.
                    Some(b'[' | b'{') if last == b':' => {}
                    // The end of the array that contains the object.
                    None | Some(b'\n' | b'[' | b'{' | &RECORD_SEPARATOR) if self.in_array => return Scan::Unbalanced,
                    _ => state.is_unpaired = true,
                },
                b'}' | b']' => {
                    state.close(if byte == b'}' { b'{' } else { b'[' });
                    if state.open.is_empty() {
                        return Scan::Closed(at + 1);
                    }
                }
                _ => {}
            }
            if !is_space(byte) {
                // No value follows the bracket or the colon at the fault.
                let is_none = at == self.fault && (byte == b':' || (byte == b'[' && state.passes_fault));
                last = if is_none { 0 } else { byte };
            }
        }
        Scan::Inside
    }

    /// Whether reading can return to a place before the fault.
    fn may_return(&self, at: usize) -> bool {
        self.fault.saturating_sub(at) <= self.allowance
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
        check(&format!("{text}\n{{\"n\":3}}"), ":\"a\",\"ts\":3", false, Resync::Closed(text.len()));
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
    }

    #[test]
    fn where_another_record_begins() {
        check("{\"n\":NaN\n{\"n\":3}}", "NaN", false, Resync::Record(9));
        check("{\"n\":2{\"n\":3}", "{\"n\":3", false, Resync::Record(6));
        check("{\"n\":2,{\"n\":3},{\"n\":4}]", "{\"n\":3", true, Resync::Record(7));
        check("{\"n\":{x,\"m\":1}{\"n\":3}", "x", false, Resync::Record(14));
        check("{\"n\":{[1]},{\"n\":3},{\"n\":4}]", "[", true, Resync::Record(11));
        check("{\"b\":\"x}{\"b\":\"y\"}", "b\":\"y", false, Resync::Record(8));
        check("{\"b\":\"x},\n{\"b\":\"y\"}", "\n{", false, Resync::Record(10));
        // A lost quote in an element of an array.
        check("{\"b\":\"x,\"c\":[{},{}]},{\"b\":\"y\"}]", "c", true, Resync::Closed(20));
        check("{\"b\":x\"},{\"b\":\"y\"}]", "x", true, Resync::Closed(8));
        check("{\"z\":{\"a:{}},\"b\":1},{\"b\":2}]", "b\":1", true, Resync::Closed(19));
        check("{\"b\":\"\\\",\"a\":10},{\"a\":0}]", "a\":10", true, Resync::Closed(16));
        check("{\"z\":[{\"\\\":[2,{}]}],\"b\":1},{\"b\":2}]", "b\":1", true, Resync::Closed(26));
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
    fn nowhere() {
        check("{\"n\":NaN, \"m\":[", "NaN", false, Resync::Open);
        check("{\"n\":NaN, \"m\":]", "NaN", true, Resync::Lost);
    }
}
