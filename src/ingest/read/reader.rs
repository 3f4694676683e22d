//! Where one record ends and the next begins.

use std::collections::VecDeque;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::error::ArrowError;

use super::column::kind;
use super::quarantine::{Fault, Quarantine};
use super::row::{Attempt, Rows};
use super::stretch::{self, Stretch, is_blank};
use super::syntax::{Extent, Text, extent, not_json};
use super::{Counts, Landed, Options};
use crate::definition::Column;
use crate::error::{Error, Kind, Result};

/// Bytes that may be read a second time after a broken record: so many, and [`REREAD_PER_BYTE`] more for each byte of
/// the file before it. Keeps reading linear in the size of the file, whatever is in it.
const REREAD_AT_ONCE: u64 = 16 << 20;
const REREAD_PER_BYTE: u64 = 4;
/// Quarantined records named in [`Counts::examples`].
const MAX_EXAMPLES: usize = 3;
/// Upper limit of [`Options::max_record`] and [`Options::max_raw`].
const MAX_RECORD: usize = 1 << 30;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads one file. Holds at most [`Options::max_record`] bytes beyond the last ones pushed.
pub struct RecordReader {
    options: Options,
    rows: Rows,
    quarantine: Quarantine,
    landed: VecDeque<Landed>,
    quarantined: VecDeque<RecordBatch>,
    counts: Counts,
    /// Bytes of the file from `base` on; those before `at` are done with.
    buffer: Vec<u8>,
    base: u64,
    at: usize,
    /// An attempt with fewer bytes than this could only fail as the last one did.
    wanted: usize,
    place: Place,
    /// Blanks before `at` on its line, if there is nothing else.
    indent: Option<usize>,
    /// What is being passed over.
    stretch: Option<Stretch>,
    reread: u64,
    /// Why there are no more bytes although the file has not ended.
    broken_off: Option<String>,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The byte order mark.
    Start,
    /// A record or an array of records.
    Top,
    /// The first element of an array, or its end.
    First,
    /// An element, after a comma.
    Element,
    /// A comma or the end, after an element.
    Separator,
    /// Anything of an array, after bytes that were passed over.
    Somewhere,
}

/// What to do next.
enum Step {
    /// Go on behind what was read.
    Go,
    /// Wait for more bytes.
    Wait,
}

impl RecordReader {
    /// A reader of one file into rows of `columns`: the declared ones, without `source_file` and `source_offset`.
    /// `source_file` is the value of the former.
    #[must_use]
    pub fn new(columns: &[Column], source_file: &str, mut options: Options) -> Self {
        // Arrow's offsets within a batch have 31 bits.
        options.max_record = options.max_record.min(MAX_RECORD);
        options.max_raw = options.max_raw.min(MAX_RECORD);
        Self {
            options,
            rows: Rows::new(columns, source_file, &options),
            quarantine: Quarantine::new(source_file, options.batch_rows),
            landed: VecDeque::new(),
            quarantined: VecDeque::new(),
            counts: Counts::default(),
            buffer: Vec::new(),
            base: 0,
            at: 0,
            wanted: 0,
            place: Place::Start,
            indent: Some(0),
            stretch: None,
            reread: 0,
            broken_off: None,
        }
    }

    /// Reads the next decompressed bytes of the file.
    ///
    /// # Errors
    /// Only faults of our own: whatever is in a file, it lands or goes to quarantine.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= self.wanted { self.run(false) } else { Ok(()) }
    }

    /// Ends the file. Everything can be taken afterwards.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub fn finish(&mut self) -> Result<()> {
        self.run(true)?;
        if let Some(reason) = self.broken_off.take() {
            self.fault(&[], reason)?;
        } else if matches!(self.place, Place::First | Place::Element | Place::Separator) {
            // Cut off between two elements: nothing is broken, but something may be missing.
            self.fault(&[], "the array of records is not closed".to_owned())?;
        }
        self.place = Place::Top;
        self.landed.extend(self.rows.take().map_err(internal)?);
        self.quarantined.extend(self.quarantine.take().map_err(internal)?);
        Ok(())
    }

    /// Ends the file before its end, for a reason such as a corrupt gzip stream. The reason goes to quarantine once:
    /// with the record that it cuts off, or with a record of no bytes.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub fn break_off(&mut self, reason: String) -> Result<()> {
        self.broken_off = Some(reason);
        self.finish()
    }

    /// The next full batch of rows; after [`Self::finish`] also the last one.
    pub fn next_landed(&mut self) -> Option<Landed> {
        self.landed.pop_front()
    }

    /// The next full batch of quarantined records, with the columns of [`quarantine_columns`](super::quarantine_columns);
    /// after [`Self::finish`] also the last one.
    pub fn next_quarantined(&mut self) -> Option<RecordBatch> {
        self.quarantined.pop_front()
    }

    /// What was found so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { unknown_fields: self.rows.unknown.clone(), ..self.counts.clone() }
    }

    /// Reads as far as the buffer goes.
    fn run(&mut self, last: bool) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let done = self.read_all(&buffer, last);
        self.buffer = buffer;
        let pending = self.buffer.len() - self.at;
        // Twice as much, so that reading anew costs no more than reading once, but never more than a record may have.
        self.wanted = (2 * pending).min(self.options.max_record).max(pending + 1);
        done
    }

    fn read_all(&mut self, buffer: &[u8], last: bool) -> Result<()> {
        let mut text = Text::of(buffer, self.at);
        while self.at < buffer.len() {
            if let Some(stretch) = &mut self.stretch {
                let end = stretch.feed(&buffer[self.at..]);
                self.at = end.map_or(buffer.len(), |n| self.at + n);
                if end.is_some() {
                    self.end_stretch()?;
                }
                continue;
            }
            self.skip_separators(buffer, last);
            let Some(first) = buffer.get(self.at) else { break };
            if self.at > text.end {
                text = Text::of(buffer, self.at);
            }
            let step = match (self.place, first) {
                (Place::Start, _) => Step::Wait,
                (Place::Separator, _) => self.broken(buffer, 0, "not JSON: expected `,` or `]`".to_owned())?,
                (_, b'{') => self.record(buffer, &text, last)?,
                _ => self.other_value(buffer, last)?,
            };
            if matches!(step, Step::Wait) {
                return Ok(());
            }
        }
        if last && self.stretch.is_some() {
            self.end_stretch()?;
        }
        Ok(())
    }

    /// Goes to the first byte that belongs to a record.
    fn skip_separators(&mut self, buffer: &[u8], last: bool) {
        if self.place == Place::Start {
            if buffer.len() < BYTE_ORDER_MARK.len() && !last {
                return;
            }
            self.place = Place::Top;
            if buffer.starts_with(BYTE_ORDER_MARK) {
                self.at = BYTE_ORDER_MARK.len();
            }
        }
        while let Some(byte) = buffer.get(self.at) {
            self.indent = match (byte, self.place) {
                (b'\n', _) => Some(0),
                (b, _) if is_blank(*b) => self.indent.map(|n| n + 1),
                (b'[', Place::Top) => {
                    self.place = Place::First;
                    None
                }
                (b']', Place::First | Place::Separator | Place::Somewhere) => {
                    self.place = Place::Top;
                    None
                }
                (b',', Place::Separator) => {
                    self.place = Place::Element;
                    None
                }
                (b',', Place::Somewhere) => None,
                _ => return,
            };
            self.at += 1;
        }
    }

    /// Reads the object at `at`.
    fn record(&mut self, buffer: &[u8], text: &Text<'_>, last: bool) -> Result<Step> {
        let rest = &buffer[self.at..];
        let piece = text.at(self.at, self.options.max_record);
        let mut reason = None;
        match self.rows.read(piece, self.base + self.at as u64) {
            Attempt::Landed(length) => {
                self.counts.records += 1;
                self.counts.landed += 1;
                if self.rows.is_full() {
                    self.landed.extend(self.rows.take().map_err(internal)?);
                }
                self.pass(length);
                return Ok(Step::Go);
            }
            Attempt::Refused(length, reason) => {
                self.fault(&rest[..length], reason)?;
                self.pass(length);
                return Ok(Step::Go);
            }
            // Without a byte in the way that is no UTF-8, the object's end is simply not here.
            Attempt::Incomplete if !text.invalid(last) && rest.len() < self.options.max_record => {
                return self.incomplete(buffer, last);
            }
            Attempt::Incomplete => {}
            Attempt::Malformed(error) => reason = Some(error),
        }
        match extent(rest, self.options.max_record) {
            Extent::Whole(length) => {
                // Well-formed, but with something in a name or a text that is no character.
                let reason = reason.map_or_else(
                    || format!("not UTF-8 at byte {}", text.end.saturating_sub(self.at)),
                    |error| not_json(&error, None),
                );
                self.fault(&rest[..length], reason)?;
                self.pass(length);
                Ok(Step::Go)
            }
            Extent::Incomplete => self.incomplete(buffer, last),
            Extent::Broken(at, error) => self.broken(buffer, at, not_json(&error, Some(at))),
        }
    }

    /// Passes over a value at `at` that is no object, or over bytes that are no JSON.
    fn other_value(&mut self, buffer: &[u8], last: bool) -> Result<Step> {
        let rest = &buffer[self.at..];
        match extent(rest, self.options.max_record) {
            Extent::Whole(length) => match rest.get(length) {
                None if !last => Ok(Step::Wait),
                Some(b) if !is_blank(*b) && *b != b'\n' && (self.place == Place::Top || !matches!(b, b',' | b']')) => {
                    self.broken(buffer, length, format!("not JSON: expected a record's end at byte {length}"))
                }
                _ => {
                    let found = rest.first().map_or("nothing", |b| kind_of(*b));
                    self.fault(&rest[..length], format!("a record must be an object, found {found}"))?;
                    self.pass(length);
                    Ok(Step::Go)
                }
            },
            Extent::Incomplete => self.incomplete(buffer, last),
            Extent::Broken(at, error) => {
                let utf16 =
                    self.base + self.at as u64 == 0 && (rest.starts_with(b"\xFF\xFE") || rest.starts_with(b"\xFE\xFF"));
                let reason =
                    if utf16 { "not UTF-8: the file is UTF-16".to_owned() } else { not_json(&error, Some(at)) };
                self.broken(buffer, at, reason)
            }
        }
    }

    /// The buffer ends before the value at `at` does.
    fn incomplete(&mut self, buffer: &[u8], last: bool) -> Result<Step> {
        let rest = &buffer[self.at..];
        if rest.len() >= self.options.max_record {
            let reason = format!("record is longer than {} bytes", self.options.max_record);
            let offset = self.base + self.at as u64;
            self.stretch = Some(match rest.first() {
                Some(b'{' | b'[' | b'"') => Stretch::to_closing(offset, reason, self.options.max_raw),
                _ => Stretch::to_line(offset, reason, usize::MAX, self.options.max_raw),
            });
            Ok(Step::Go)
        } else if last {
            let reason = match self.broken_off.take() {
                Some(reason) => {
                    // Where the bytes end says nothing about the record: it is taken as it is.
                    self.fault(rest, reason)?;
                    self.at = buffer.len();
                    self.place = Place::Top;
                    return Ok(Step::Go);
                }
                None => "record is cut off".to_owned(),
            };
            self.broken(buffer, rest.len(), reason)
        } else {
            Ok(Step::Wait)
        }
    }

    /// What begins at `at` is no JSON from its byte `fault` on: reading goes on at the next line that begins a record.
    /// That may be a line that was already read as part of this record (a line that lost its end swallows the next
    /// one), so looking for it starts at the record's beginning where the allowance for reading twice suffices.
    fn broken(&mut self, buffer: &[u8], fault: usize, reason: String) -> Result<Step> {
        let (head, tail) = buffer[self.at..].split_at(1);
        let offset = self.base + self.at as u64;
        let seen = &tail[..fault.saturating_sub(1)];
        // In a record over several lines, deeper lines that begin with `{` are objects within it.
        let spread = head == b"{" && seen.iter().find(|b| !is_blank(**b)) == Some(&b'\n');
        let limit = if spread { self.indent.unwrap_or(usize::MAX) } else { usize::MAX };
        let mut stretch = Stretch::to_line(offset, reason, limit, self.options.max_raw);
        stretch.absorb(head);
        let twice = stretch::next_line(seen, limit).map(|line| (seen.len() - line) as u64);
        match twice {
            Some(cost) if self.reread + cost <= REREAD_AT_ONCE + REREAD_PER_BYTE * offset => {
                self.reread += cost;
                self.at += 1;
            }
            _ => {
                stretch.absorb(seen);
                self.at += 1 + seen.len();
            }
        }
        self.stretch = Some(stretch);
        Ok(Step::Go)
    }

    fn end_stretch(&mut self) -> Result<()> {
        if let Some(stretch) = self.stretch.take() {
            self.indent = stretch.indent();
            self.count_fault(stretch.into_fault())?;
        }
        if self.place != Place::Top {
            self.place = Place::Somewhere;
        }
        Ok(())
    }

    /// Goes behind a value.
    fn pass(&mut self, length: usize) {
        self.at += length;
        self.indent = None;
        if matches!(self.place, Place::First | Place::Element) {
            self.place = Place::Separator;
        }
    }

    /// Quarantines the bytes at `at`.
    fn fault(&mut self, bytes: &[u8], reason: String) -> Result<()> {
        let raw = bytes[..bytes.len().min(self.options.max_raw)].to_vec();
        self.count_fault(Fault { offset: self.base + self.at as u64, length: bytes.len() as u64, reason, raw })
    }

    fn count_fault(&mut self, fault: Fault) -> Result<()> {
        self.counts.records += 1;
        self.counts.quarantined += 1;
        if self.counts.examples.len() < MAX_EXAMPLES {
            self.counts.examples.push((fault.offset, fault.reason.clone()));
        }
        self.quarantine.push(fault);
        if self.quarantine.is_full() {
            self.quarantined.extend(self.quarantine.take().map_err(internal)?);
        }
        Ok(())
    }
}

fn kind_of(first: u8) -> &'static str {
    kind(std::str::from_utf8(&[first]).unwrap_or_default())
}

fn internal(error: ArrowError) -> Error {
    Error::new(Kind::Internal, "a batch could not be built").because(error)
}
