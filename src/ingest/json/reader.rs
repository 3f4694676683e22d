//! Where one record ends and the next begins.

use std::collections::VecDeque;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::error::ArrowError;

use super::column::kind;
use super::enclosed::{Following, Lookahead, may_be_separator};
use super::resync::{Broken, Resync};
use super::row::{Attempt, Rows};
use super::stretch::{Around, BYTE_ORDER_MARK, RECORD_SEPARATOR, Reach, Stretch, is_blank, is_space};
use super::syntax::{Extent, Text, extent, not_json};
use crate::error::{Error, Kind, Result};
use crate::ingest::format::quarantine::{Fault, Quarantine};
use crate::ingest::format::{Counts, FileReader, Landed, Options, Ready, RecordShape};

/// Bytes that may be read a second time after a broken record: this many, and [`REREAD_PER_BYTE`] more for each byte of
/// the file before it. This keeps reading linear in the size of any file.
const REREAD_AT_ONCE: u64 = 16 << 20;
const REREAD_PER_BYTE: u64 = 4;
/// Bytes after a gap that are examined for the rest of a record.
const AFTER_GAP: usize = 1 << 20;
/// Minimum growth of a buffer for a long record.
const GROWS_BY: usize = 8 << 20;
/// Maximum number of quarantined records in [`Counts::examples`].
const MAX_EXAMPLES: usize = 3;
/// Upper limit of [`Options::max_record`] and [`Options::max_raw`].
const MAX_RECORD: usize = 1 << 30;

/// Reads one file. Holds at most [`Options::max_record`] bytes beyond the last ones pushed, and one batch of each kind.
pub(super) struct RecordReader {
    options: Options,
    rows: Rows,
    quarantine: Quarantine,
    landed: VecDeque<Landed>,
    quarantined: VecDeque<RecordBatch>,
    counts: Counts,
    /// Bytes of the file from `base` on; those before `at` are processed.
    buffer: Vec<u8>,
    base: u64,
    at: usize,
    /// An attempt with fewer bytes than this would fail like the last one.
    wanted: usize,
    /// Whether the bytes so far are processed.
    idle: bool,
    /// Whether no bytes follow, and whether the last batches were built.
    ending: bool,
    ended: bool,
    place: Place,
    /// Blanks before `at` on its line, if there is nothing else.
    indent: Option<usize>,
    /// The stretch being skipped.
    stretch: Option<Stretch>,
    reread: u64,
    /// Why there are no more bytes although the file has not ended.
    broken_off: Option<String>,
    /// Whether more bytes follow after that.
    interrupted: bool,
    /// Whether the next bytes may be the rest of a record.
    after_gap: bool,
}

/// The expected next element.
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
    /// Anything in an array, after skipped bytes.
    Somewhere,
}

/// The next step.
enum Step {
    /// Continue after the bytes read.
    Go,
    /// Wait for more bytes.
    Wait,
}

impl RecordReader {
    /// A reader of one file into rows of this shape. `source_file` is the value of the column of that name.
    #[must_use]
    pub(super) fn new(shape: &RecordShape, source_file: &str, mut options: Options) -> Self {
        // Arrow's offsets within a batch have 31 bits.
        options.max_record = options.max_record.min(MAX_RECORD);
        options.max_raw = options.max_raw.min(MAX_RECORD);
        Self {
            options,
            rows: Rows::new(shape, source_file, &options),
            quarantine: Quarantine::new(source_file, options.batch_rows),
            landed: VecDeque::new(),
            quarantined: VecDeque::new(),
            counts: Counts::default(),
            buffer: Vec::new(),
            base: 0,
            at: 0,
            wanted: 0,
            idle: true,
            ending: false,
            ended: false,
            place: Place::Start,
            indent: Some(0),
            stretch: None,
            reread: 0,
            broken_off: None,
            interrupted: false,
            after_gap: false,
        }
    }
}

impl FileReader for RecordReader {
    fn push(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
            if self.buffer.len() < GROWS_BY && self.buffer.capacity() > 2 * GROWS_BY {
                // Release the space of a processed long record.
                self.buffer.shrink_to(GROWS_BY);
            }
        }
        // A doubled buffer of a record of maximum length would take twice its memory.
        if self.buffer.len() + bytes.len() > self.buffer.capacity() && self.buffer.len() > GROWS_BY {
            self.buffer.reserve_exact(bytes.len() + self.buffer.len() / 4);
        }
        self.buffer.extend_from_slice(bytes);
        self.idle &= self.buffer.len() < self.wanted;
    }

    fn finish(&mut self) {
        self.ending = true;
        self.idle = false;
    }

    fn break_off(&mut self, reason: String) {
        self.broken_off = Some(reason);
        self.finish();
    }

    fn interrupt(&mut self, reason: String) {
        self.interrupted = true;
        self.break_off(reason);
    }

    fn next_batch(&mut self) -> Result<Option<Ready>> {
        loop {
            if let Some(landed) = self.landed.pop_front() {
                return Ok(Some(Ready::Landed(Box::new(landed))));
            }
            if let Some(quarantined) = self.quarantined.pop_front() {
                return Ok(Some(Ready::Quarantined(quarantined)));
            }
            if self.idle {
                return Ok(None);
            }
            self.run()?;
            if self.idle && self.ending && self.interrupted {
                self.resume()?;
            } else if self.idle && self.ending && !self.ended {
                self.ended = true;
                self.end()?;
            }
        }
    }

    fn counts(&self) -> Counts {
        Counts { unknown_fields: self.rows.unknown(), ..self.counts.clone() }
    }
}

impl RecordReader {
    /// Builds the last batches.
    fn end(&mut self) -> Result<()> {
        if let Some(reason) = self.broken_off.take() {
            self.fault(&[], reason)?;
        } else if matches!(self.place, Place::First | Place::Element | Place::Separator) {
            // Truncated between two elements: nothing is broken, but something may be missing.
            self.fault(&[], "the array of records is not closed".to_owned())?;
        }
        self.place = Place::Top;
        self.landed.extend(self.rows.take().map_err(internal)?);
        self.quarantined.extend(self.quarantine.take().map_err(internal)?);
        Ok(())
    }

    /// Continues after bytes that are missing.
    fn resume(&mut self) -> Result<()> {
        if let Some(reason) = self.broken_off.take() {
            self.fault(&[], reason)?;
        }
        (self.ending, self.interrupted, self.after_gap) = (false, false, true);
        // The gap counts as a byte, so that no record after it has the offset of one before it.
        self.base += self.buffer.len() as u64 + 1;
        self.buffer.clear();
        (self.at, self.wanted, self.indent) = (0, 0, Some(0));
        self.place = if matches!(self.place, Place::Start | Place::Top) { Place::Top } else { Place::Somewhere };
        Ok(())
    }

    /// Reads to the end of the buffer, or until a batch is full.
    fn run(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let done = self.read_all(&buffer, self.ending);
        self.buffer = buffer;
        self.idle = done?;
        let pending = self.buffer.len() - self.at;
        // Twice as much, so that rereading costs no more than reading once, but at most the maximum length of a record.
        self.wanted = (2 * pending).min(self.options.max_record).max(pending + 1);
        Ok(())
    }

    /// Whether nothing can be read before there are more bytes.
    fn read_all(&mut self, buffer: &[u8], last: bool) -> Result<bool> {
        let mut text = Text::of(buffer, self.at);
        while self.at < buffer.len() {
            if !self.landed.is_empty() || !self.quarantined.is_empty() {
                return Ok(false);
            }
            if let Some(stretch) = &mut self.stretch {
                match stretch.feed(&buffer[self.at..], last) {
                    Reach::Ended(n) => {
                        self.at += n;
                        self.end_stretch()?;
                    }
                    Reach::Open(n) => {
                        self.at += n;
                        // The following bytes decide whether a record begins here.
                        if self.at < buffer.len() {
                            return Ok(true);
                        }
                    }
                }
                continue;
            }
            self.skip_separators(buffer, last);
            let Some(first) = buffer.get(self.at) else { break };
            if self.at > text.end {
                text = Text::of(buffer, self.at);
            }
            let step = match (self.place, first) {
                (_, b'{' | b'[') if self.after_gap => self.begin_after_gap(buffer, last)?,
                (Place::Start, _) => Step::Wait,
                (_, b'{') => self.record(buffer, &text, last)?,
                // A separator that may be incomplete.
                (_, b'\\' | 0xEF) if !last && may_be_separator(&buffer[self.at..]) => Step::Wait,
                (Place::Separator, _) => self.garbage(buffer, 0, "not JSON: expected `,` or `]`".to_owned())?,
                _ => self.other_value(buffer, last)?,
            };
            if matches!(step, Step::Wait) {
                return Ok(true);
            }
            self.after_gap = false;
        }
        if last && self.stretch.is_some() {
            self.end_stretch()?;
        }
        Ok(true)
    }

    /// Advances to the first byte of a record.
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
            let mut length = 1;
            self.indent = match (byte, self.place) {
                (b'\n', _) => Some(0),
                (b, _) if is_blank(*b) => self.indent.map(|n| n + 1),
                (b'[', Place::Top) if self.after_gap => return,
                (b'[', Place::Top) => {
                    self.place = Place::First;
                    None
                }
                (b']', Place::First | Place::Element | Place::Separator | Place::Somewhere) => {
                    // A comma after the last element.
                    self.counts.separators.commas += u64::from(self.place == Place::Element);
                    self.place = Place::Top;
                    None
                }
                (b',', Place::Separator) => {
                    self.place = Place::Element;
                    None
                }
                (b',', Place::Somewhere) => None,
                (b',', _) => {
                    self.counts.separators.commas += 1;
                    None
                }
                (&RECORD_SEPARATOR, _) => {
                    self.counts.separators.record_separators += 1;
                    self.indent
                }
                (0, _) => {
                    self.counts.separators.nul_bytes += 1;
                    self.indent
                }
                (b'\\', _) if matches!(buffer.get(self.at + 1), Some(b'n' | b'r' | b't')) => {
                    self.counts.separators.escaped_blanks += 1;
                    length = 2;
                    self.indent
                }
                (0xEF, _) if buffer[self.at..].starts_with(BYTE_ORDER_MARK) => {
                    self.counts.separators.byte_order_marks += 1;
                    length = BYTE_ORDER_MARK.len();
                    self.indent
                }
                _ => return,
            };
            self.at += length;
        }
    }

    /// Decides whether a record begins at `at`, or the rest of one of which the beginning is missing: objects in it are no
    /// records.
    fn begin_after_gap(&mut self, buffer: &[u8], last: bool) -> Result<Step> {
        let in_array = self.place != Place::Top;
        let ahead =
            Lookahead { bytes: buffer, complete: last, in_array, begins_line: false, before: 0, may_close: true };
        match ahead.limited(self.at, AFTER_GAP).following(self.at).following {
            Following::Unknown => return Ok(Step::Wait),
            Following::Inside => {
                let reason = "the record's beginning is missing".to_owned();
                return Ok(self.pass_over(&buffer[self.at..=self.at], reason, usize::MAX, Around::Broken));
            }
            _ => {}
        }
        Ok(Step::Go)
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
            // Unless a byte is invalid UTF-8, the object's end is just not in the buffer.
            Attempt::Incomplete if !text.invalid(last) && rest.len() < self.options.max_record => {
                return self.incomplete(buffer, last);
            }
            Attempt::Incomplete => {}
            Attempt::Malformed(error) => reason = Some(error),
        }
        match extent(rest, self.options.max_record) {
            Extent::Whole(length) => {
                // Well-formed, but with an invalid character in a name or a text.
                let reason = reason.map_or_else(
                    || format!("not UTF-8 at byte {}", text.end.saturating_sub(self.at)),
                    |error| not_json(&error, None),
                );
                self.fault(&rest[..length], reason)?;
                self.pass(length);
                Ok(Step::Go)
            }
            Extent::Incomplete => self.incomplete(buffer, last),
            Extent::Broken(at, error) => self.broken(buffer, at, not_json(&error, Some(at)), last),
        }
    }

    /// Skips a value at `at` that is not an object, or bytes that are not JSON.
    fn other_value(&mut self, buffer: &[u8], last: bool) -> Result<Step> {
        let rest = &buffer[self.at..];
        match extent(rest, self.options.max_record) {
            Extent::Whole(length) => match rest.get(length) {
                None if !last => Ok(Step::Wait),
                Some(b) if !self.can_follow(*b) => {
                    self.garbage(buffer, length, format!("not JSON: expected a record's end at byte {length}"))
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
                self.garbage(buffer, at, reason)
            }
        }
    }

    /// Whether a byte can follow a value that is not a record.
    fn can_follow(&self, byte: u8) -> bool {
        match byte {
            b'{' | RECORD_SEPARATOR => true,
            b',' | b']' => self.place != Place::Top,
            _ => is_space(byte),
        }
    }

    /// Handles a value at `at` that is longer than the buffer.
    fn incomplete(&mut self, buffer: &[u8], last: bool) -> Result<Step> {
        let rest = &buffer[self.at..];
        if rest.len() >= self.options.max_record {
            let reason = format!("record is longer than {} bytes", self.options.max_record);
            let offset = self.base + self.at as u64;
            self.stretch = Some(match rest.first() {
                Some(b'{' | b'[' | b'"') => Stretch::to_closing(offset, reason, self.options.max_raw),
                _ => Stretch::to_record(offset, reason, usize::MAX, self.around(), self.options.max_raw),
            });
            Ok(Step::Go)
        } else if last {
            let reason = match self.broken_off.take() {
                Some(reason) => {
                    // The end of the bytes does not depend on the record: it is quarantined as it is.
                    self.fault(rest, reason)?;
                    self.at = buffer.len();
                    self.leave_element();
                    return Ok(Step::Go);
                }
                None => "record is cut off".to_owned(),
            };
            match rest.first() {
                Some(b'{') => self.broken(buffer, rest.len(), reason, last),
                _ => self.garbage(buffer, rest.len(), reason),
            }
        } else {
            Ok(Step::Wait)
        }
    }

    /// Handles an object at `at` that is invalid JSON from its byte `fault` on.
    fn broken(&mut self, buffer: &[u8], fault: usize, reason: String, last: bool) -> Result<Step> {
        let rest = &buffer[self.at..];
        let most = self.options.max_record.min(fault.saturating_add(self.allowance()));
        let seen = &rest[..rest.len().min(most.max(fault))];
        let limit = self.indent.unwrap_or(usize::MAX);
        let object = Broken {
            bytes: seen,
            fault,
            complete: last || seen.len() < rest.len() || seen.len() >= most,
            in_array: self.place != Place::Top,
            limit,
            allowance: self.allowance(),
        };
        let (next, looked_at) = object.resync();
        match next {
            Resync::Unknown => Ok(Step::Wait),
            Resync::Closed(end) => {
                self.fault(&rest[..end], reason)?;
                self.pass(end);
                Ok(Step::Go)
            }
            Resync::Record(at) => {
                self.reread += looked_at.max(fault).saturating_sub(at) as u64;
                let length = rest[..at].iter().rposition(|b| !is_space(*b)).map_or(0, |last| last + 1);
                self.fault(&rest[..length], reason)?;
                let line = rest[..at].iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
                let begins_line = line > 0 && rest[line..at].iter().all(|b| is_blank(*b));
                self.indent = begins_line.then_some(at - line);
                self.at += at;
                self.leave_element();
                Ok(Step::Go)
            }
            Resync::Open if seen.len() >= self.options.max_record => {
                let offset = self.base + self.at as u64;
                self.stretch = Some(Stretch::to_closing(offset, reason, self.options.max_raw));
                Ok(Step::Go)
            }
            Resync::Lost | Resync::Open => {
                self.reread += looked_at.saturating_sub(fault) as u64;
                // In a record over several lines, deeper lines that begin with `{` are objects within it.
                let spread = rest.iter().skip(1).find(|b| !is_blank(**b)) == Some(&b'\n');
                Ok(self.pass_over(&rest[..fault], reason, if spread { limit } else { usize::MAX }, Around::Broken))
            }
        }
    }

    /// Handles bytes at `at` that are neither a value, from the byte `fault` on, nor an object. The next record may be a
    /// line that was already read as part of them, so the search starts at their beginning if the allowance for rereading
    /// is sufficient.
    fn garbage(&mut self, buffer: &[u8], fault: usize, reason: String) -> Result<Step> {
        let known = if fault <= self.allowance() { 0 } else { fault };
        self.reread += (fault - known) as u64;
        Ok(self.pass_over(&buffer[self.at..][..known], reason, usize::MAX, self.around()))
    }

    /// Skips bytes up to the next record; none begins in those that are `known`.
    fn pass_over(&mut self, known: &[u8], reason: String, limit: usize, around: Around) -> Step {
        let offset = self.base + self.at as u64;
        let mut stretch = Stretch::to_record(offset, reason, limit, around, self.options.max_raw);
        stretch.absorb(known);
        self.at += known.len();
        self.stretch = Some(stretch);
        Step::Go
    }

    /// Bytes that may still be read a second time.
    fn allowance(&self) -> usize {
        let offset = self.base + self.at as u64;
        usize::try_from((REREAD_AT_ONCE + REREAD_PER_BYTE * offset).saturating_sub(self.reread)).unwrap_or(usize::MAX)
    }

    /// The context of garbage at `at`.
    fn around(&self) -> Around {
        if self.place == Place::Top { Around::File } else { Around::Array }
    }

    fn end_stretch(&mut self) -> Result<()> {
        if let Some(stretch) = self.stretch.take() {
            self.indent = stretch.indent();
            if stretch.left_array() {
                self.place = Place::Top;
            }
            self.count_fault(stretch.into_fault())?;
        }
        self.leave_element();
        Ok(())
    }

    /// Continues with the next element of an array.
    fn leave_element(&mut self) {
        if self.place != Place::Top {
            self.place = Place::Somewhere;
        }
    }

    /// Advances past a value.
    fn pass(&mut self, length: usize) {
        self.at += length;
        self.indent = None;
        if self.place != Place::Top {
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
