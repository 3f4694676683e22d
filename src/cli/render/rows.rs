//! Rows of a query, in the requested format. NULL is `NULL` in a table, `null` in JSON, empty in CSV.

use std::io::Write;
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use deltalake::arrow::csv;
use deltalake::arrow::datatypes::{FieldRef, Schema};
use deltalake::arrow::error::ArrowError;
use deltalake::arrow::json::writer::{JsonArray, LineDelimited, WriterBuilder, make_encoder};
use deltalake::arrow::json::{self, EncoderOptions};
use deltalake::arrow::util::display::FormatOptions;
use deltalake::arrow::util::pretty::pretty_format_batches_with_options;

use super::text;
use crate::cli::Format;
use crate::error::{Context, Error, Result};

/// Columns with the place and reason of a quarantined record, in reading order.
const PLACE_COLUMNS: [&str; 5] = ["table", "source_file", "source_offset", "length", "reason"];
/// The record itself: personal data.
const RAW_COLUMN: &str = "raw";

/// Writes rows.
pub(in crate::cli) fn write(batches: &[RecordBatch], format: Format, out: &mut impl Write) -> Result<()> {
    if format == Format::Table {
        return table(batches, out).context(doing);
    }
    let mut rows = writer(format, out);
    batches.iter().try_for_each(|batch| rows.write(batch))?;
    rows.finish()
}

/// Writes rows as a stream, in a format that does not need all of them: any but a table.
pub(in crate::cli) fn writer<W: Write>(format: Format, out: W) -> RowWriter<W> {
    match format {
        Format::Json => RowWriter::Json(WriterBuilder::new().with_explicit_nulls(true).build(out)),
        Format::Csv => RowWriter::Csv(Box::new(csv::WriterBuilder::new().with_header(true).build(out))),
        Format::Ndjson | Format::Table | Format::Mermaid | Format::OpenLineage => {
            RowWriter::Lines(WriterBuilder::new().with_explicit_nulls(true).build(out))
        }
    }
}

/// A writer of streamed rows.
pub(in crate::cli) enum RowWriter<W: Write> {
    Json(json::Writer<W, JsonArray>),
    Lines(json::Writer<W, LineDelimited>),
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write> RowWriter<W> {
    /// Writes a batch.
    pub(in crate::cli) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let written = match self {
            Self::Json(rows) => rows.write(batch),
            Self::Lines(rows) => rows.write(batch),
            Self::Csv(rows) => nested_as_json(batch).and_then(|batch| rows.write(&batch)),
        };
        written.context(doing)
    }

    /// Writes the end.
    pub(in crate::cli) fn finish(self) -> Result<()> {
        let written = match self {
            Self::Json(mut rows) => rows.finish().and_then(|()| Ok(rows.into_inner().write_all(b"\n")?)),
            Self::Lines(mut rows) => rows.finish(),
            Self::Csv(_) => Ok(()),
        };
        written.context(doing)
    }
}

fn doing() -> String {
    "the rows cannot be shown".into()
}

/// `482 rows`.
pub(in crate::cli) fn count(batches: &[RecordBatch]) -> String {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    format!("{}\n", text::count(rows as u64, "row"))
}

/// Quarantined records for display: place and reason, and the record itself only if requested.
pub(in crate::cli) fn quarantined(batches: &[RecordBatch], reveal: bool) -> Result<Vec<RecordBatch>> {
    batches.iter().map(|batch| project(batch, reveal)).collect()
}

fn project(batch: &RecordBatch, reveal: bool) -> Result<RecordBatch> {
    let schema = batch.schema();
    let columns: Vec<usize> = PLACE_COLUMNS
        .into_iter()
        .chain(reveal.then_some(RAW_COLUMN))
        .filter_map(|name| schema.index_of(name).ok())
        .collect();
    if columns.is_empty() && batch.num_columns() > 0 {
        return Err(Error::failed("these records have neither a place nor a reason")
            .help("read their table: stedi-delta query \"select * from TABLE_quarantine\""));
    }
    let doing = || "the records cannot be shown".to_owned();
    let shown = batch.project(&columns).context(doing)?;
    readable(&shown).context(doing)
}

/// Bytes as text: records are shown as text even if they are damaged.
fn readable(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let text = |column: &ArrayRef| -> ArrayRef {
        let Some(bytes) = column.as_binary_opt::<i32>() else { return column.clone() };
        Arc::new(bytes.iter().map(|value| value.map(String::from_utf8_lossy)).collect::<StringArray>())
    };
    let columns: Vec<ArrayRef> = batch.columns().iter().map(text).collect();
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<_> = fields.map(|(f, c)| f.as_ref().clone().with_data_type(c.data_type().clone())).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn table(batches: &[RecordBatch], out: &mut impl Write) -> Result<(), ArrowError> {
    let options = FormatOptions::new().with_null("NULL").with_display_error(true);
    let text = pretty_format_batches_with_options(batches, &options)?;
    Ok(writeln!(out, "{text}")?)
}

/// Nested values as the text of their JSON, for CSV.
fn nested_as_json(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let text = |(field, column): (&FieldRef, &ArrayRef)| -> Result<ArrayRef, ArrowError> {
        if !field.data_type().is_nested() {
            return Ok(column.clone());
        }
        let mut encoder = make_encoder(field, column.as_ref(), &options)?;
        let texts = (0..column.len()).map(|row| {
            column.is_valid(row).then(|| {
                let mut json = Vec::new();
                encoder.encode(row, &mut json);
                String::from_utf8_lossy(&json).into_owned()
            })
        });
        Ok(Arc::new(texts.collect::<StringArray>()))
    };
    let columns = schema.fields().iter().zip(batch.columns()).map(text).collect::<Result<Vec<_>, _>>()?;
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<_> = fields.map(|(f, c)| f.as_ref().clone().with_data_type(c.data_type().clone())).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
