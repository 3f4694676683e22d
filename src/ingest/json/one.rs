//! Reads one record again, after its quarantine.

use deltalake::arrow::array::RecordBatch;

use super::column::kind;
use super::row::{Attempt, Rows};
use super::syntax::{Extent, extent, not_json};
use crate::definition::Column;
use crate::ingest::format::Options;

/// Reads one record again, by the rules of `RecordReader`: the batch has one row.
///
/// # Errors
/// Why the record cannot be used.
pub fn read_one(
    columns: &[Column],
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
    let mut rows = Rows::new(columns, source_file, &Options { keep_raw: false, ..options });
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
