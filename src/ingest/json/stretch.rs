//! Bytes that are passed over until reading can go on: they become one quarantined record. Memory is bounded by the bytes
//! that are kept of it.

use crate::ingest::format::quarantine::Fault;

/// Of the separators that may stand between records, the one that stands nowhere else in JSON (RFC 7464).
pub(super) const RECORD_SEPARATOR: u8 = 0x1E;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What ends a stretch.
enum End {
    /// A place where a record can begin.
    Record(Seeker),
    /// The bracket or quote that closes what the first byte opened. Nothing is checked but strings and depth.
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

/// How far a stretch goes within some bytes.
pub(super) enum Reach {
    /// So many bytes belong to it, and reading goes on there.
    Ended(usize),
    /// So many bytes belong to it. The rest, if there is any, is told by the bytes to come.
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
    /// A stretch that ends where the next record can begin: at a line that begins with `{`, indented by at most
    /// `limit` bytes, and where a `{` stands that can only begin a record.
    pub(super) fn to_record(offset: u64, reason: String, limit: usize, around: Around, max_raw: usize) -> Self {
        Self::new(offset, reason, max_raw, End::Record(Seeker::new(limit, around)))
    }

    /// A stretch that ends behind the value that begins it.
    pub(super) fn to_closing(offset: u64, reason: String, max_raw: usize) -> Self {
        Self::new(offset, reason, max_raw, End::Closing { depth: 0, in_string: false, escaped: false })
    }

    fn new(offset: u64, reason: String, max_raw: usize, end: End) -> Self {
        Self { offset, reason, max_raw, raw: Vec::new(), seen: 0, length: 0, end }
    }

    /// The stretch as a quarantined record, without the blanks at its end.
    pub(super) fn into_fault(mut self) -> Fault {
        self.raw.truncate(usize::try_from(self.length).unwrap_or(usize::MAX));
        Fault { offset: self.offset, length: self.length, reason: self.reason, raw: self.raw }
    }

    /// Takes bytes that belong to the stretch whatever they are.
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
                // No string of JSON goes over a line's end: from here on a record may begin anywhere.
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

    /// Blanks before the place at which the stretch ended, on its line, if there is nothing else.
    pub(super) fn indent(&self) -> Option<usize> {
        match &self.end {
            End::Record(seeker) => seeker.line,
            End::Closing { .. } => None,
        }
    }

    /// Whether an array that the stretch began in turned out to be none.
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

/// What the bytes stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    /// The file: a comma separates its records, if anything does.
    File,
    /// An array of records: its next comma and its end end an element.
    Array,
    /// A record whose end is unknown: a comma may be one of its own.
    Broken,
}

/// Looks for a place where a record can begin, in bytes that are no JSON.
///
/// In valid JSON a `{` outside a string follows `:`, `,`, `[` or nothing. So behind anything else it begins a record,
/// and behind a comma it does where no bracket is open.
struct Seeker {
    around: Around,
    /// Blanks so far on this line, if there is nothing else, and how many of them the line of a record may have.
    line: Option<usize>,
    limit: usize,
    depth: u64,
    in_string: bool,
    escaped: bool,
    /// The last two bytes that are not blank.
    before: [u8; 2],
}

impl Seeker {
    fn new(limit: usize, around: Around) -> Self {
        Self { around, line: None, limit, depth: 0, in_string: false, escaped: false, before: [0; 2] }
    }

    /// Goes on behind some bytes, as if nothing were known of them but their last line.
    fn skip(&mut self, bytes: &[u8]) {
        let line = match bytes.iter().rposition(|b| *b == b'\n') {
            Some(newline) => {
                self.line = Some(0);
                &bytes[newline + 1..]
            }
            None => bytes,
        };
        self.line = self.line.filter(|_| line.iter().all(|b| is_blank(*b))).map(|n| n + line.len());
    }

    fn seek(&mut self, bytes: &[u8], last: bool) -> Reach {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' => {
                    // No string of JSON goes over a line's end.
                    (self.line, self.in_string, self.escaped) = (Some(0), false, false);
                    continue;
                }
                b if is_blank(*b) => {
                    self.line = self.line.map(|n| n + 1);
                    self.escaped = false;
                    continue;
                }
                b'{' if self.line.is_some_and(|indent| indent <= self.limit) => return Reach::Ended(at),
                b'{' if self.can_begin() => match bytes[at + 1..].iter().find(|b| !is_space(**b)) {
                    Some(b'"') => return Reach::Ended(at),
                    Some(b'}') if !self.in_string && matches!(self.before[0], b'}' | b']' | b',') => {
                        return Reach::Ended(at);
                    }
                    None if !last => return Reach::Open(at),
                    _ => {}
                },
                _ => {}
            }
            if *byte == RECORD_SEPARATOR {
                return Reach::Ended(at);
            }
            self.line = None;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b',' if self.depth == 0 && self.around == Around::Array => return Reach::Ended(at),
                    b']' if self.depth == 0 && self.around == Around::Array => {
                        match bytes[at + 1..].iter().find(|b| !is_blank(**b)) {
                            Some(b'\n' | b',' | b'{' | b'[' | b']' | &RECORD_SEPARATOR) => return Reach::Ended(at),
                            None if last => return Reach::Ended(at),
                            None => return Reach::Open(at),
                            // Text such as `[info] started`, which never was an array.
                            Some(_) => self.around = Around::File,
                        }
                    }
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
            }
            self.before = match (byte, self.before) {
                // A blank in two characters, as it may stand between two records.
                (b'n' | b'r' | b't', [b'\\', closing @ (b'}' | b']')]) => [closing, 0],
                _ => [*byte, self.before[0]],
            };
        }
        Reach::Open(bytes.len())
    }

    /// Whether a `{` here, with a name behind it, can be a record's first byte only.
    fn can_begin(&self) -> bool {
        let closed = |b: u8| matches!(b, b'}' | b']');
        let between = self.around != Around::Broken;
        match (self.before[0], self.in_string) {
            // What looks like a string is what stands between two, where a quote got lost: `"x}{"b"`.
            (b, true) => closed(b) || (between && b == b',' && closed(self.before[1])),
            (b',', false) => between && self.depth == 0,
            (b':' | b'[' | 0, false) => false,
            (_, false) => true,
        }
    }
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
