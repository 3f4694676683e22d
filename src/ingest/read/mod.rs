//! Bytes of landing files into batches: decompression, records, rows. Pure and synchronous.
//!
//! A file holds JSON objects: one per line, one after the other with or without blanks between, over several lines, or
//! as the elements of an array. Commas, RS (0x1E), byte order marks and `\n` as two characters may stand between them.
//! Every byte of a file that is neither blank nor a separator belongs to exactly one record, and every record is either
//! a landed row or a row in quarantine with its offset and the reason. A record that is no JSON ends where its brackets
//! are balanced, or where the next record begins; the others are read as if it were not there. What comes out does not
//! depend on how the bytes were cut into pieces.
//!
//! - [`Decoder`]: raw bytes of a file -> decompressed bytes.
//! - [`RecordReader`]: decompressed bytes -> batches.
//! - [`read_one`]: one record again, after its quarantine.

mod codec;
mod column;
mod decoder;
mod nested;
mod number;
mod plain;
mod one;
mod quarantine;
mod reader;
mod resync;
mod row;
mod stretch;
mod syntax;
mod texts;
mod time;
#[cfg(test)]
mod tests;

use deltalake::arrow::array::{BinaryArray, Int64Array, RecordBatch};

pub use decoder::Decoder;
pub use one::read_one;
pub use quarantine::{quarantine_columns, quarantine_layout};
pub use reader::{Ready, RecordReader};
pub use row::{MAX_UNKNOWN_CHARS, UnknownFields};

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub struct Options {
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
pub struct Landed {
    /// The declared columns, then `source_file` (Utf8) and `source_offset` (Int64), both without NULL.
    pub batch: RecordBatch,
    /// The rows' records, if [`Options::keep_raw`].
    pub raw: Option<Raw>,
}

/// The records that rows were made of, one per row.
#[derive(Debug)]
pub struct Raw {
    /// The record's bytes, at most the first [`Options::max_raw`].
    pub bytes: BinaryArray,
    /// The record's full length in bytes.
    pub lengths: Int64Array,
}

/// What was found in a file so far. `records = landed + quarantined`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records found.
    pub records: u64,
    /// Records that became rows.
    pub landed: u64,
    /// Records that could not be used.
    pub quarantined: u64,
    /// Fields of landed records that no column takes.
    pub unknown_fields: UnknownFields,
    /// What stands between records and is no blank.
    pub separators: Separators,
    /// The first quarantined records, at most three: offset and reason.
    pub examples: Vec<(u64, String)>,
}

/// Separators that were skipped, of those that JSON does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Separators {
    /// Commas that are not those between two elements of an array.
    pub commas: u64,
    /// RS (0x1E).
    pub record_separators: u64,
    /// Backslash and `n`, `r` or `t`.
    pub escaped_blanks: u64,
    /// Byte order marks behind the file's beginning.
    pub byte_order_marks: u64,
}

impl Separators {
    /// Those that were there, with their names: `3 commas, 1 record separator (0x1E)`. Empty when there were none.
    #[must_use]
    pub fn describe(&self) -> String {
        let found = [
            (self.commas, "comma", "commas"),
            (self.record_separators, "record separator (0x1E)", "record separators (0x1E)"),
            (self.escaped_blanks, "`\\n` in two characters", "times `\\n` in two characters"),
            (self.byte_order_marks, "byte order mark", "byte order marks"),
        ];
        let found = found.iter().filter(|(count, ..)| *count > 0);
        let texts = found.map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }));
        texts.collect::<Vec<_>>().join(", ")
    }
}
