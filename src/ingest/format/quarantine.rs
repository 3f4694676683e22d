//! Unusable records, as rows of the quarantine table.

use std::sync::Arc;

use deltalake::arrow::array::{Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::Schema;
use deltalake::arrow::error::ArrowError;

use super::texts::Texts;
use crate::definition::{Column, ColumnType, SOURCE_FILE, SOURCE_OFFSET};
use crate::lake::Layout;

/// A batch is closed at this many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// The layout of statistics of such a table.
#[must_use]
pub(crate) fn quarantine_layout() -> Layout {
    Layout::of(&quarantine_columns(), &[])
}

/// Columns of every quarantine table of a landing table.
#[must_use]
pub(crate) fn quarantine_columns() -> Vec<Column> {
    let column = |name: &str, column_type, nullable, pii, description: &str| Column {
        nullable,
        description: description.to_owned(),
        pii,
        ..Column::new(name, column_type)
    };
    vec![
        column(SOURCE_FILE, ColumnType::String, false, false, "Path of the file under the landing root"),
        column(
            SOURCE_OFFSET,
            ColumnType::Long,
            false,
            false,
            "Byte at which the record begins in the decompressed file",
        ),
        column("length", ColumnType::Long, false, false, "Length of the record in bytes"),
        column("reason", ColumnType::String, false, false, "Why the record could not be used"),
        column("raw", ColumnType::Binary, true, true, "The record's bytes, at most the first MiB"),
    ]
}

/// One unusable record.
pub(in crate::ingest) struct Fault {
    pub(in crate::ingest) offset: u64,
    pub(in crate::ingest) length: u64,
    pub(in crate::ingest) reason: String,
    /// At most its first bytes.
    pub(in crate::ingest) raw: Vec<u8>,
}

/// The quarantine batch under construction.
pub(in crate::ingest) struct Quarantine {
    source_file: String,
    max_rows: usize,
    bytes: usize,
    offsets: Vec<i64>,
    lengths: Vec<i64>,
    reasons: Vec<String>,
    raws: Texts,
}

impl Quarantine {
    pub(in crate::ingest) fn new(source_file: &str, max_rows: usize) -> Self {
        Self {
            source_file: source_file.to_owned(),
            max_rows: max_rows.max(1),
            bytes: 0,
            offsets: Vec::new(),
            lengths: Vec::new(),
            reasons: Vec::new(),
            raws: Texts::new(),
        }
    }

    pub(in crate::ingest) fn push(&mut self, fault: Fault) {
        self.offsets.push(fault.offset as i64);
        self.lengths.push(fault.length as i64);
        self.raws.push(&fault.raw);
        self.bytes += fault.raw.len() + fault.reason.len() + self.source_file.len();
        self.reasons.push(fault.reason);
    }

    pub(in crate::ingest) fn is_full(&self) -> bool {
        self.offsets.len() >= self.max_rows || self.bytes >= BATCH_BYTES
    }

    /// The rows so far as a batch; `None` if there are none. The rows are gone afterwards.
    pub(in crate::ingest) fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let rows = self.offsets.len();
        if rows == 0 {
            return Ok(None);
        }
        self.bytes = 0;
        let fields: Vec<_> = quarantine_columns().iter().map(Column::field).collect();
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            vec![
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&self.source_file, rows))),
                Arc::new(Int64Array::from(std::mem::take(&mut self.offsets))),
                Arc::new(Int64Array::from(std::mem::take(&mut self.lengths))),
                Arc::new(StringArray::from_iter_values(std::mem::take(&mut self.reasons))),
                Arc::new(self.raws.binaries(None)?),
            ],
        )?;
        Ok(Some(batch))
    }
}
