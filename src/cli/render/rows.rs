//! Rows of a query, in the requested format. NULL is `NULL` in a table, `null` in JSON, empty in CSV.

use std::io::Write;
use std::sync::Arc;

use console::{Alignment, measure_text_width, pad_str, truncate_str};
use deltalake::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use deltalake::arrow::csv;
use deltalake::arrow::datatypes::{FieldRef, Schema};
use deltalake::arrow::error::ArrowError;
use deltalake::arrow::json::writer::{JsonArray, LineDelimited, WriterBuilder, make_encoder};
use deltalake::arrow::json::{self, EncoderOptions};
use deltalake::arrow::util::display::{ArrayFormatter, FormatOptions};
use deltalake::arrow::util::pretty::pretty_format_batches_with_options;

use super::text;
use super::width::{fitted, folded, limit};
use crate::cli::Format;
use crate::error::{Context, Error, Result};
use crate::privacy::one_line;

/// Cells are not cut below this.
const LEAST: usize = 8;

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
    let text = pretty_format_batches_with_options(batches, &options)?.to_string();
    let text = match limit().filter(|limit| text.lines().any(|line| measure_text_width(line) > *limit)) {
        Some(limit) => narrow(batches, &options, limit)?,
        None => text,
    };
    Ok(writeln!(out, "{text}")?)
}

/// The table in at most `limit` characters per line: cells are cut, except numbers, and columns at the end left out where
/// cutting does not suffice.
fn narrow(batches: &[RecordBatch], options: &FormatOptions<'_>, limit: usize) -> Result<String, ArrowError> {
    let Some(first) = batches.first() else { return Ok(String::new()) };
    let schema = first.schema();
    let names: Vec<String> = schema.fields().iter().map(|field| one_line(field.name()).into_owned()).collect();
    let mut cells: Vec<Vec<String>> = names.iter().map(|name| vec![name.clone()]).collect();
    for batch in batches {
        for (column, cells) in batch.columns().iter().zip(&mut cells) {
            let values = ArrayFormatter::try_new(column.as_ref(), options)?;
            cells.extend((0..column.len()).map(|row| one_line(&values.value(row).to_string()).into_owned()));
        }
    }
    let widths: Vec<usize> =
        cells.iter().map(|cells| cells.iter().map(|cell| measure_text_width(cell)).max().unwrap_or(0)).collect();
    // `| ` before each column, ` ` after it, and `|` at the end.
    let frame = |columns: usize| 3 * columns + 1;
    let least = |at: usize| {
        let values = cells[at].iter().skip(1).map(|cell| measure_text_width(cell));
        let number = schema.field(at).data_type().is_numeric().then(|| values.max().unwrap_or(0));
        widths[at].min(LEAST).max(number.unwrap_or(0))
    };
    let least: Vec<usize> = (0..widths.len()).map(least).collect();
    let shown = (1..=widths.len()).rev().find(|n| least[..*n].iter().sum::<usize>() + frame(*n) <= limit).unwrap_or(1);
    let widths = fitted(&widths[..shown], |at| least[at], limit.saturating_sub(frame(shown)));
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
    let mut text = format!("{rule}+\n");
    for row in 0..cells.first().map_or(0, Vec::len) {
        for (cells, width) in cells.iter().zip(&widths) {
            let cell = truncate_str(&cells[row], *width, "…");
            text.push_str(&format!("| {} ", pad_str(&cell, *width, Alignment::Left, None)));
        }
        text.push_str("|\n");
        if row == 0 {
            text.push_str(&format!("{rule}+\n"));
        }
    }
    text.push_str(&format!("{rule}+"));
    if shown < names.len() {
        let hidden = names[shown..].join(", ");
        let note =
            format!("{} not shown, --wide shows all: {hidden}", text::count((names.len() - shown) as u64, "column"));
        text.push_str(&format!("\n{}", folded(&note).trim_end()));
    }
    Ok(text)
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
