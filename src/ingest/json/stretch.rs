//! Bytes skipped until reading can continue: they become one quarantined record. Memory is bounded by the bytes kept of
//! it.

use super::enclosed::{Following, Lookahead};
use crate::ingest::format::quarantine::Fault;

/// The only separator between records that occurs nowhere else in JSON (RFC 7464).
pub(super) const RECORD_SEPARATOR: u8 = 0x1E;

/// Bytes after a possible record that are examined for brackets that it did not open.
const LOOKAHEAD: usize = 64 << 10;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The end of a stretch.
enum End {
    /// A place where a record can begin.
    Record(Seeker),
    /// The bracket or quote that closes the first byte. Only strings and depth are checked.
    Closing { depth: u64, in_string: bool, escaped: bool },
}

/// A stretch in progress.
pub(super) struct Stretch {
    offset: u64,
    reason: String,
    max_raw: usize,
    raw: Vec<u8>,
    /// Bytes so far, and up to the last one that is not blank.
    seen: u64,
    length: u64,
    end: End,
}

/// How much of some bytes a stretch takes.
pub(super) enum Reach {
    /// This many bytes belong to it, and reading continues there.
    Ended(usize),
    /// This many bytes belong to it. Later bytes decide about the rest.
    Open(usize),
}

/// Blanks within a line.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// Blanks of JSON.
pub(super) fn is_space(byte: u8) -> bool {
    is_blank(byte) || byte == b'\n'
}

impl Stretch {
    /// A stretch that ends where the next record can begin: at a line that begins with `{`, indented by at most `limit`
    /// bytes, or at a `{` that can only begin a record.
    pub(super) fn to_record(offset: u64, reason: String, limit: usize, around: Around, max_raw: usize) -> Self {
        Self::new(offset, reason, max_raw, End::Record(Seeker::new(limit, around)))
    }

    /// A stretch that ends after the value that begins it.
    pub(super) fn to_closing(offset: u64, reason: String, max_raw: usize) -> Self {
        Self::new(offset, reason, max_raw, End::Closing { depth: 0, in_string: false, escaped: false })
    }

    fn new(offset: u64, reason: String, max_raw: usize, end: End) -> Self {
        Self { offset, reason, max_raw, raw: Vec::new(), seen: 0, length: 0, end }
    }

    /// The stretch as a quarantined record, without trailing blanks.
    pub(super) fn into_fault(mut self) -> Fault {
        self.raw.truncate(usize::try_from(self.length).unwrap_or(usize::MAX));
        Fault { offset: self.offset, length: self.length, reason: self.reason, raw: self.raw }
    }

    /// Takes bytes that belong to the stretch in any case.
    pub(super) fn absorb(&mut self, bytes: &[u8]) {
        self.keep(bytes);
        if let End::Record(seeker) = &mut self.end {
            seeker.skip(bytes);
        }
    }

    /// Takes bytes up to the end of the stretch; `last`: no bytes follow.
    pub(super) fn feed(&mut self, bytes: &[u8], last: bool) -> Reach {
        let mut closed = 0;
        if let End::Closing { depth, in_string, escaped } = &mut self.end {
            match find_closing(bytes, depth, in_string, escaped) {
                Closing::Inside => {
                    self.keep(bytes);
                    return Reach::Open(bytes.len());
                }
                Closing::Behind(n) => {
                    self.keep(&bytes[..n]);
                    return Reach::Ended(n);
                }
                // No JSON string crosses a line's end: from here on a record may begin anywhere.
                Closing::Never(n) => {
                    self.keep(&bytes[..n]);
                    closed = n;
                    self.end = End::Record(Seeker { line: Some(0), ..Seeker::new(usize::MAX, Around::Broken) });
                }
            }
        }
        let rest = &bytes[closed..];
        let reach = match &mut self.end {
            End::Record(seeker) => seeker.seek(rest, last),
            End::Closing { .. } => Reach::Open(rest.len()),
        };
        let (Reach::Ended(n) | Reach::Open(n)) = reach;
        self.keep(&rest[..n]);
        match reach {
            Reach::Ended(n) => Reach::Ended(closed + n),
            Reach::Open(n) => Reach::Open(closed + n),
        }
    }

    /// Blanks before the end of the stretch, on its line, if there is nothing else.
    pub(super) fn indent(&self) -> Option<usize> {
        match &self.end {
            End::Record(seeker) => seeker.line,
            End::Closing { .. } => None,
        }
    }

    /// Whether the array in which the stretch began turned out not to be one.
    pub(super) fn left_array(&self) -> bool {
        matches!(&self.end, End::Record(Seeker { around: Around::File, .. }))
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.max_raw.saturating_sub(self.raw.len());
        self.raw.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if let Some(last) = bytes.iter().rposition(|b| !is_space(*b)) {
            self.length = self.seen + last as u64 + 1;
        }
        self.seen += bytes.len() as u64;
    }
}

/// The context of the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    /// The file: a comma separates its records, if anything does.
    File,
    /// An array of records: its next comma and its end end an element.
    Array,
    /// A record whose end is unknown: a comma may be one of its own.
    Broken,
}

/// Finds a place where a record can begin, in bytes that are not JSON.
///
/// In valid JSON a `{` outside a string follows `:`, `,`, `[` or nothing. So after anything else it begins a record;
/// after a comma it does if no bracket is open. What follows it must agree.
struct Seeker {
    around: Around,
    /// Blanks so far on this line, if there is nothing else, and the maximum indentation of a record's line.
    line: Option<usize>,
    limit: usize,
    /// If a quote was lost, text looks like brackets and brackets look like text: each assumption has its own side.
    sides: [Side; 2],
    /// The side by which the next byte is outside of strings.
    outside: usize,
    escaped: bool,
    /// Whether there was any quote on this line: without one, nothing is inside a string.
    quoted: bool,
    /// The last two bytes that are not blank.
    before: [u8; 2],
}

#[derive(Clone, Copy, Default)]
struct Side {
    /// Brackets that are open.
    depth: u64,
    /// Bytes that are known to be inside a broken record.
    inside: usize,
}

impl Seeker {
    fn new(limit: usize, around: Around) -> Self {
        let sides = [Side::default(); 2];
        Self { around, line: None, limit, sides, outside: 0, escaped: false, quoted: false, before: [0; 2] }
    }

    /// Continues after some bytes as if only their last line were known.
    fn skip(&mut self, bytes: &[u8]) {
        let line = match bytes.iter().rposition(|b| *b == b'\n') {
            Some(newline) => {
                self.line = Some(0);
                &bytes[newline + 1..]
            }
            None => bytes,
        };
        self.line = self.line.filter(|_| line.iter().all(|b| is_blank(*b))).map(|n| n + line.len());
        self.before = [bytes.iter().rfind(|b| !is_space(**b)).copied().unwrap_or_default(), 0];
    }

    fn seek(&mut self, bytes: &[u8], last: bool) -> Reach {
        for (at, byte) in bytes.iter().enumerate() {
            self.sides.iter_mut().for_each(|side| side.inside = side.inside.saturating_sub(1));
            match byte {
                b'\n' => {
                    // No JSON string crosses a line's end.
                    (self.line, self.escaped, self.outside, self.quoted) = (Some(0), false, 0, false);
                    self.sides.iter_mut().for_each(|side| side.inside = 0);
                    continue;
                }
                b if is_blank(*b) => {
                    self.line = self.line.map(|n| n + 1);
                    self.escaped = false;
                    continue;
                }
                b'{' if self.sides[self.outside].inside == 0 => match self.begins(bytes, at, last) {
                    Begins::Record => return Reach::Ended(at),
                    Begins::Inside(length) => self.sides[self.outside].inside = length,
                    Begins::Unknown => return Reach::Open(at),
                    Begins::Nothing => {}
                },
                &RECORD_SEPARATOR => return Reach::Ended(at),
                _ => {}
            }
            self.line = None;
            let side = &mut self.sides[self.outside];
            match byte {
                b'"' | b'\\' if self.escaped => {}
                b'"' => (self.outside, self.quoted) = (1 - self.outside, true),
                b'{' | b'[' => side.depth += 1,
                b',' if side.depth == 0 && self.around == Around::Array && !self.quoted => return Reach::Ended(at),
                b']' if side.depth == 0 && self.around == Around::Array => {
                    match bytes[at + 1..].iter().find(|b| !is_blank(**b)) {
                        Some(b'\n' | &RECORD_SEPARATOR) => return Reach::Ended(at),
                        Some(b',' | b'{' | b'[' | b']') if self.quoted => {}
                        Some(b',' | b'{' | b'[' | b']') => return Reach::Ended(at),
                        None if last => return Reach::Ended(at),
                        None => return Reach::Open(at),
                        Some(_) if self.quoted => {}
                        // Text such as `[info] started`, which is not an array.
                        Some(_) => self.around = Around::File,
                    }
                }
                b'}' | b']' => side.depth = side.depth.saturating_sub(1),
                _ => {}
            }
            self.escaped = *byte == b'\\' && !self.escaped;
            self.before = match (byte, self.before) {
                // A blank in two characters, as some programs write between records.
                (b'n' | b'r' | b't', [b'\\', closing @ (b'}' | b']')]) => [closing, 0],
                _ => [*byte, self.before[0]],
            };
        }
        Reach::Open(bytes.len())
    }

    /// Whether a record begins with the `{` at `at`.
    fn begins(&self, bytes: &[u8], at: usize, last: bool) -> Begins {
        let is_line = self.line.is_some_and(|indent| indent <= self.limit);
        let can_follow = match self.before[0] {
            b':' | b'[' | 0 => false,
            b',' => self.sides[self.outside].depth == 0,
            _ => true,
        };
        if !is_line && !can_follow {
            return Begins::Nothing;
        }
        let is_object = match bytes[at + 1..].iter().find(|b| !is_space(**b)) {
            Some(b'"') => true,
            Some(b'}') => matches!(self.before[0], b'}' | b']' | b','),
            None if !last => return Begins::Unknown,
            _ => false,
        };
        if !is_line && !is_object {
            return Begins::Nothing;
        }
        let ahead = Lookahead {
            bytes,
            complete: last,
            in_array: self.around != Around::File,
            begins_line: self.line.is_some(),
            before: self.before[0],
            may_close: true,
        };
        let found = ahead.limited(at, LOOKAHEAD).following(at);
        match found.following {
            Following::Unknown => Begins::Unknown,
            Following::Records => Begins::Record,
            Following::Inside if is_line => Begins::Nothing,
            // It may be an object of a record that lost its beginning.
            Following::Inside => Begins::Inside(found.at - at),
            _ if is_line || !(self.quoted || self.around == Around::Broken) => Begins::Record,
            _ => Begins::Nothing,
        }
    }
}

/// What begins with a `{`.
enum Begins {
    Record,
    /// This many bytes from there on are inside a broken record.
    Inside(usize),
    Nothing,
    Unknown,
}

enum Closing {
    Inside,
    Behind(usize),
    Never(usize),
}

fn find_closing(bytes: &[u8], depth: &mut u64, in_string: &mut bool, escaped: &mut bool) -> Closing {
    for (at, byte) in bytes.iter().enumerate() {
        if *in_string {
            match byte {
                b'\n' => return Closing::Never(at + 1),
                _ if *escaped => *escaped = false,
                b'\\' => *escaped = true,
                b'"' => *in_string = false,
                _ => {}
            }
            if *in_string {
                continue;
            }
        } else {
            match byte {
                b'"' => *in_string = true,
                b'{' | b'[' => *depth += 1,
                b'}' | b']' => *depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if *depth == 0 && !*in_string {
            return Closing::Behind(at + 1);
        }
    }
    Closing::Inside
}
