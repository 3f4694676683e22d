//! Landing files -> batches, for any format.
//!
//! - [`Decoder`]: raw bytes of a file -> decompressed bytes.
//! - [`FileReader`]: decompressed bytes -> batches of rows, and of unusable records.
//! - [`FileFormat::read_one`]: one record again, after its quarantine.
//!
//! A new format is a folder beside `json/` that implements [`FileFormat`], its name in [`Format`], and its arm in
//! [`of`].

mod codec;
mod decoder;
pub(super) mod quarantine;
mod search;
pub(super) mod texts;

use deltalake::arrow::array::{BinaryArray, Int64Array, RecordBatch};
use std::collections::BTreeMap;

pub(crate) use decoder::{Decoder, Piece};
pub(crate) use quarantine::{quarantine_columns, quarantine_layout};

use super::json::Json;
use crate::definition::{Column, Format, OnNewField, RESCUED, Reading, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::error::Result;

/// A format of landing files.
pub(crate) trait FileFormat: Sync {
    /// A reader of one file into rows of this shape. `source_file` is the value of the column of that name.
    fn reader(&self, shape: &RecordShape, source_file: &str, options: Options) -> Box<dyn FileReader>;

    /// Reports the values of a record that a reader passed on, as they stand in the file: what `infer` learns from.
    fn values(&self, record: &[u8], values: &mut dyn Values);

    /// One record again, by the same rules: the batch has one row.
    ///
    /// # Errors
    /// Why the record cannot be used.
    fn read_one(
        &self,
        shape: &RecordShape,
        source_file: &str,
        source_offset: u64,
        record: &[u8],
        options: Options,
    ) -> Result<RecordBatch, String>;

    /// The length of the record that begins some bytes.
    fn extent(&self, bytes: &[u8]) -> Extent;
}

/// The extent of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// It has this many bytes.
    Whole(usize),
    /// It does not end in these bytes.
    Incomplete,
    /// It is none.
    Broken,
}

/// Receives the values of records, from the outside in. A field is followed by its value, the begin of an object or an array
/// by everything in it and its end.
pub(crate) trait Values {
    /// NULL.
    fn null(&mut self);
    /// True or false.
    fn boolean(&mut self);
    /// A number, as it is written.
    fn number(&mut self, literal: &str);
    /// A text.
    fn text(&mut self, text: &str);
    /// A value that no column but one of type `json` takes.
    fn unreadable(&mut self);
    /// An object; whether its fields are wanted. If not, neither they nor its end are reported.
    fn begin_object(&mut self) -> bool;
    /// The next field of an object.
    fn field(&mut self, name: &str);
    /// The end of an object.
    fn end_object(&mut self);
    /// An array; whether its elements are wanted. If not, neither they nor its end are reported.
    fn begin_array(&mut self) -> bool;
    /// The end of an array.
    fn end_array(&mut self);
}

/// Reads one file: `push`, [`next_batch`](Self::next_batch) until there is none, ..., `finish`, `next_batch` until
/// there is none. The output does not depend on how the bytes were divided.
pub(crate) trait FileReader: Send {
    /// Takes the next decompressed bytes of the file.
    fn push(&mut self, bytes: &[u8]);

    /// Ends the file.
    fn finish(&mut self);

    /// Ends the file before its end, for a reason such as a corrupt gzip stream. The reason goes to quarantine once: with
    /// the record that it truncates, or with an empty record.
    fn break_off(&mut self, reason: String);

    /// Ends a part of the file before damaged bytes, for a reason that goes to quarantine as by [`Self::break_off`]. What
    /// is pushed next does not continue what came before; all batches are taken before that.
    fn interrupt(&mut self, reason: String);

    /// Reads until a batch is full; after [`Self::finish`] also the last ones. `None`: more bytes are needed.
    ///
    /// # Errors
    /// Only faults of our own: whatever is in a file, it lands or goes to quarantine.
    fn next_batch(&mut self) -> Result<Option<Ready>>;

    /// The counts so far.
    #[must_use]
    fn counts(&self) -> Counts;
}

/// The implementation of a format.
#[must_use]
pub(crate) fn of(format: Format) -> &'static dyn FileFormat {
    match format {
        Format::Json => &Json,
    }
}

/// How the records of a table become its rows.
#[derive(Clone, Debug)]
pub(crate) struct RecordShape {
    /// The declared columns, without those that are appended.
    pub columns: Vec<Column>,
    /// How each of them comes.
    pub readings: Vec<Reading>,
    /// What becomes of fields that none of them takes.
    pub on_new_field: OnNewField,
}

impl RecordShape {
    /// That of a landing table.
    #[must_use]
    pub(crate) fn of(table: &Table) -> Self {
        let is_declared = |column: &&Column| ![SOURCE_FILE, SOURCE_OFFSET, RESCUED].contains(&column.name.as_str());
        let columns = table.columns.iter().filter(is_declared).cloned().collect();
        let (readings, on_new_field) =
            table.landing().map(|landing| (landing.readings.clone(), landing.on_new_field)).unwrap_or_default();
        Self { columns, readings, on_new_field }
    }

    /// That of columns which are found by their own names.
    #[cfg(test)]
    pub(crate) fn plain(columns: &[Column]) -> Self {
        let readings = columns.iter().map(|column| Reading::of(&column.name, &column.column_type)).collect();
        Self { columns: columns.to_vec(), readings, on_new_field: OnNewField::Warn }
    }
}

/// A full batch, or the last one of a file.
#[derive(Debug)]
pub(crate) enum Ready {
    /// Rows.
    Landed(Box<Landed>),
    /// Unusable records, with the columns of [`quarantine_columns`].
    Quarantined(RecordBatch),
}

/// Options of reading a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Whether landed rows come with the bytes of their records.
    pub keep_raw: bool,
    /// Most bytes of a record that can land, at most 1 GiB; a longer one goes to quarantine.
    pub max_record: usize,
    /// Most bytes kept of a quarantined record, and of a landed one with `keep_raw`.
    pub max_raw: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { batch_rows: 32 << 10, keep_raw: false, max_record: 64 << 20, max_raw: 1 << 20 }
    }
}

/// Rows of the landing table.
#[derive(Debug)]
pub(crate) struct Landed {
    /// The declared columns, `_rescued` (Utf8) if the table has it, then `source_file` (Utf8) and `source_offset` (Int64),
    /// both without NULL.
    pub batch: RecordBatch,
    /// The rows' records, if [`Options::keep_raw`].
    pub raw: Option<Raw>,
}

/// The records of the rows, one per row.
#[derive(Debug)]
pub(crate) struct Raw {
    /// The record's bytes, at most the first [`Options::max_raw`].
    pub bytes: BinaryArray,
    /// The record's full length in bytes.
    pub lengths: Int64Array,
}

/// Counts of a file so far. `records = landed + quarantined`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Records found.
    pub records: u64,
    /// Records that became rows.
    pub landed: u64,
    /// Records that were unusable.
    pub quarantined: u64,
    /// Fields of landed records without a column.
    pub unknown_fields: UnknownFields,
    /// Separators between records that are not blanks.
    pub separators: Separators,
    /// The first quarantined records, at most three: offset and reason.
    pub examples: Vec<(u64, String)>,
}

/// Skipped separators that are not part of JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Separators {
    /// Commas other than those between two elements of an array.
    pub commas: u64,
    /// RS (0x1E).
    pub record_separators: u64,
    /// Backslash and `n`, `r` or `t`.
    pub escaped_blanks: u64,
    /// Byte order marks after the beginning of the file.
    pub byte_order_marks: u64,
    /// NUL (0x00): padding that a crash or a rotation of the file left.
    pub nul_bytes: u64,
}

impl Separators {
    /// The separators found, with their names: `3 commas, 1 record separator (0x1E)`. Empty if there were none.
    #[must_use]
    pub(crate) fn describe(&self) -> String {
        let found = [
            (self.commas, "comma", "commas"),
            (self.record_separators, "record separator (0x1E)", "record separators (0x1E)"),
            (self.escaped_blanks, "`\\n` in two characters", "times `\\n` in two characters"),
            (self.byte_order_marks, "byte order mark", "byte order marks"),
            (self.nul_bytes, "NUL (0x00)", "NULs (0x00)"),
        ];
        let found = found.iter().filter(|(count, ..)| *count > 0);
        let texts = found.map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }));
        texts.collect::<Vec<_>>().join(", ")
    }
}

/// Characters kept of the name of an unknown field.
pub(crate) const MAX_UNKNOWN_CHARS: usize = 100;

/// Names of unknown fields that are counted individually.
const MAX_UNKNOWN: usize = 1000;

/// Fields without a column, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnknownFields {
    /// Landed records that have the field; at most 1000 names, each cut to 100 characters.
    pub by_name: BTreeMap<String, u64>,
    /// Occurrences of all further names.
    pub other: u64,
}

impl UnknownFields {
    pub(in crate::ingest) fn count(&mut self, name: &str) {
        let name = match name.char_indices().nth(MAX_UNKNOWN_CHARS) {
            Some((end, _)) => &name[..end],
            None => name,
        };
        if let Some(count) = self.by_name.get_mut(name) {
            *count += 1;
        } else if self.by_name.len() < MAX_UNKNOWN {
            self.by_name.insert(name.to_owned(), 1);
        } else {
            self.other += 1;
        }
    }
}
