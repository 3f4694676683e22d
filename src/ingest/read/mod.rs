//! Bytes of landing files into batches: decompression, records, rows. Pure and synchronous.
//!
//! A file holds JSON objects: one per line, one after the other with or without blanks between, over several lines, or
//! as the elements of an array. Every byte of a file that is neither blank nor a separator of an array belongs to
//! exactly one record, and every record is either a landed row or a row in quarantine with its offset and the reason.
//! What comes out does not depend on how the bytes were cut into pieces.
//!
//! - [`Decoder`]: raw bytes of a file -> decompressed bytes.
//! - [`RecordReader`]: decompressed bytes -> batches.
//! - [`read_one`]: one record again, after its quarantine.

mod base64;
mod column;
mod decoder;
mod nested;
mod number;
mod plain;
mod one;
mod quarantine;
mod reader;
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
pub use quarantine::quarantine_columns;
pub use reader::RecordReader;
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
    /// The first quarantined records, at most three: offset and reason.
    pub examples: Vec<(u64, String)>,
}
