//! Bytes that are passed over until reading can go on: they become one quarantined record.

use super::quarantine::Fault;

/// What ends a stretch.
enum End {
    /// A line whose first non-blank byte is `{`, indented by at most `limit` bytes.
    Line { at_start: bool, indent: usize, limit: usize },
    /// The bracket or quote that closes what the first byte opened. Nothing is checked but strings and depth.
    Closing { depth: u64, in_string: bool, escaped: bool },
}

/// A stretch in progress. Memory is bounded by the bytes that are kept of it.
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

/// Blanks within a line.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

impl Stretch {
    /// A stretch that ends before the next line that begins a record.
    pub(super) fn to_line(offset: u64, reason: String, limit: usize, max_raw: usize) -> Self {
        Self::new(offset, reason, max_raw, End::Line { at_start: false, indent: 0, limit })
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
        if let End::Line { at_start, indent, .. } = &mut self.end {
            let line = match bytes.iter().rposition(|b| *b == b'\n') {
                Some(newline) => {
                    (*at_start, *indent) = (true, 0);
                    &bytes[newline + 1..]
                }
                None => bytes,
            };
            *at_start &= line.iter().all(|b| is_blank(*b));
            *indent += line.len();
        }
    }

    /// Takes bytes up to the end of the stretch: `Some(n)` when `n` of them belong to it and reading goes on there.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut closed = 0;
        if let End::Closing { depth, in_string, escaped } = &mut self.end {
            match find_closing(bytes, depth, in_string, escaped) {
                Closing::Inside => {
                    self.keep(bytes);
                    return None;
                }
                Closing::Behind(n) => {
                    self.keep(&bytes[..n]);
                    return Some(n);
                }
                // No string of JSON goes over a line's end: from here on only lines count.
                Closing::Never(n) => {
                    self.keep(&bytes[..n]);
                    closed = n;
                    self.end = End::Line { at_start: true, indent: 0, limit: usize::MAX };
                }
            }
        }
        let rest = &bytes[closed..];
        let found = match &mut self.end {
            End::Line { at_start, indent, limit } => find_line(rest, at_start, indent, *limit),
            End::Closing { .. } => None,
        };
        self.keep(&rest[..found.unwrap_or(rest.len())]);
        found.map(|n| closed + n)
    }

    /// Indentation of the line before which the stretch ended; `None` if it did not end at a line.
    pub(super) fn indent(&self) -> Option<usize> {
        match &self.end {
            End::Line { indent, .. } => Some(*indent),
            End::Closing { .. } => None,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.max_raw.saturating_sub(self.raw.len());
        self.raw.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if let Some(last) = bytes.iter().rposition(|b| !is_blank(*b) && *b != b'\n') {
            self.length = self.seen + last as u64 + 1;
        }
        self.seen += bytes.len() as u64;
    }
}

/// The place of the `{` that begins the next line of records, when the bytes begin within a line.
pub(super) fn next_line(bytes: &[u8], limit: usize) -> Option<usize> {
    find_line(bytes, &mut false, &mut 0, limit)
}

/// The place of the `{` that begins the next line of records. `at_start`: only blanks, `indent` of them, so far on
/// this line.
fn find_line(bytes: &[u8], at_start: &mut bool, indent: &mut usize, limit: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        if *at_start {
            let blanks = bytes[at..].iter().take_while(|b| is_blank(**b)).count();
            at += blanks;
            *indent += blanks;
            match bytes.get(at) {
                None => return None,
                Some(b'{') if *indent <= limit => return Some(at),
                Some(_) => *at_start = false,
            }
        }
        at += 1 + bytes[at..].iter().position(|b| *b == b'\n')?;
        (*at_start, *indent) = (true, 0);
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
                _ if *escaped => *escaped = false,
                b'\\' => *escaped = true,
                b'"' => *in_string = false,
                b'\n' => return Closing::Never(at + 1),
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
