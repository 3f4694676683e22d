//! JSON files into batches: records, rows. Pure and synchronous.
//!
//! A file holds JSON objects: one per line, one after the other with or without blanks between, over several lines, or
//! as the elements of an array. Commas, RS (0x1E), byte order marks and `\n` as two characters may separate them. Every
//! byte of a file that is neither blank nor a separator belongs to exactly one record, and every record is either a
//! landed row or a row in quarantine with its offset and the reason. An invalid record ends where its brackets are
//! balanced, or where the next record begins; it does not affect the others. The output does not depend on how the
//! bytes were divided.

mod column;
mod enclosed;
pub(crate) mod fits;
mod leftover;
mod names;
mod nested;
mod new_fields;
mod number;
mod plain;
mod reader;
mod repair;
mod resync;
mod row;
mod stretch;
mod syntax;
mod time;
mod values;
#[cfg(test)]
mod tests;

use deltalake::arrow::array::RecordBatch;

use column::kind;
use reader::RecordReader;
use row::{Attempt, Rows};
use syntax::{Extent, extent, not_json};

use super::format::{self, FileFormat, FileReader, Options, RecordShape, Values};

/// The JSON format.
pub(super) struct Json;

impl FileFormat for Json {
    fn reader(&self, shape: &RecordShape, source_file: &str, options: Options) -> Box<dyn FileReader> {
        Box::new(RecordReader::new(shape, source_file, options))
    }

    fn values(&self, record: &[u8], values: &mut dyn Values) {
        // A record that was read is one object, and UTF-8.
        if let Ok(text) = std::str::from_utf8(record) {
            values::report(text.trim_matches([' ', '\t', '\r', '\n']), values);
        }
    }

    fn read_one(
        &self,
        shape: &RecordShape,
        source_file: &str,
        source_offset: u64,
        record: &[u8],
        options: Options,
    ) -> Result<RecordBatch, String> {
        let text = std::str::from_utf8(record).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.len() > options.max_record {
            return Err(format!("record is longer than {} bytes", options.max_record));
        }
        if !text.starts_with('{') {
            return Err(match extent(text.as_bytes(), text.len()) {
                Extent::Whole(length) if length == text.len() => {
                    format!("a record must be an object, found {}", kind(text))
                }
                Extent::Whole(length) => format!("not JSON: expected a record's end at byte {length}"),
                Extent::Incomplete => "record is cut off".to_owned(),
                Extent::Broken(at, error) => not_json(&error, Some(at)),
            });
        }
        let mut rows = Rows::new(shape, source_file, &Options { keep_raw: false, ..options });
        match rows.read(text, source_offset) {
            Attempt::Landed(length) if length == text.len() => match rows.take() {
                Ok(Some(landed)) => Ok(landed.batch),
                Ok(None) => Err("no record".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            Attempt::Landed(length) => Err(format!("not JSON: expected the record's end at byte {length}")),
            Attempt::Refused(_, reason) => Err(reason),
            Attempt::Incomplete => Err("record is cut off".to_owned()),
            Attempt::Malformed(error) => Err(not_json(&error, None)),
        }
    }

    fn extent(&self, bytes: &[u8]) -> format::Extent {
        match extent(bytes, bytes.len()) {
            Extent::Whole(length) => format::Extent::Whole(length),
            Extent::Incomplete => format::Extent::Incomplete,
            Extent::Broken(..) => format::Extent::Broken,
        }
    }
}
