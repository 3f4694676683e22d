//! JSON files into batches: records, rows. Pure and synchronous.
//!
//! A file holds JSON objects: one per line, one after the other with or without blanks between, over several lines, or
//! as the elements of an array. Commas, RS (0x1E), byte order marks and `\n` as two characters may separate them. Every
//! byte of a file that is neither blank nor a separator belongs to exactly one record, and every record is either a
//! landed row or a row in quarantine with its offset and the reason. An invalid record ends where its brackets are
//! balanced, or where the next record begins; it does not affect the others. The output does not depend on how the
//! bytes were divided.

mod column;
mod nested;
mod number;
mod plain;
mod one;
mod reader;
mod resync;
mod row;
mod stretch;
mod syntax;
mod time;
#[cfg(test)]
mod tests;

use deltalake::arrow::array::RecordBatch;

use one::read_one;
use reader::RecordReader;

use super::format::{FileFormat, FileReader, Options};
use crate::definition::Column;

/// The JSON format.
pub struct Json;

impl FileFormat for Json {
    fn reader(&self, columns: &[Column], source_file: &str, options: Options) -> Box<dyn FileReader> {
        Box::new(RecordReader::new(columns, source_file, options))
    }

    fn read_one(
        &self,
        columns: &[Column],
        source_file: &str,
        source_offset: u64,
        record: &[u8],
        options: Options,
    ) -> Result<RecordBatch, String> {
        read_one(columns, source_file, source_offset, record, options)
    }
}
