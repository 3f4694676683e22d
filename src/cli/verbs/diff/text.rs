//! `diff` as text.

use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use deltalake::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::cli::Format;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::{rows, text};
use crate::error::{Context, Result};
use crate::outcome::{DiffColumn, DiffOutcome, DiffRows, DiffVersion, LakeDiffOutcome, LakeDiffTable};

/// The counts, what changed of the columns, and the first lines.
pub(in crate::cli) fn answer(outcome: &DiffOutcome, lines: &[RecordBatch]) -> Result<String> {
    let mut text = format!("{} {} -> {}\n", outcome.table, version(outcome.from), version(outcome.to));
    for column in &outcome.columns {
        match (&column.before, &column.after) {
            (Some(before), Some(after)) if before != after => {
                text.push_str(&format!("column {before} was renamed to {after}\n"));
            }
            (Some(before), None) => text.push_str(&format!("column {before} ({}) was dropped\n", column.data_type)),
            (None, Some(after)) => text.push_str(&format!("column {after} ({}) was added\n", column.data_type)),
            _ => {}
        }
    }
    text.push_str(&counts(outcome.rows));
    if lines.iter().any(|batch| batch.num_rows() > 0) {
        let shown = lines.iter().map(|batch| table(outcome, batch)).collect::<Result<Vec<_>>>()?;
        let mut table = Vec::new();
        rows::write(&shown, Format::Table, &mut table)?;
        text.push_str(&String::from_utf8_lossy(&table));
    }
    Ok(text)
}

fn version(of: DiffVersion) -> String {
    match of.committed_ms {
        Some(ms) => format!("v{} ({})", of.version, text::date_time(ms)),
        None => format!("v{}", of.version),
    }
}

fn counts(rows: DiffRows) -> String {
    let counts = [("inserted", rows.inserted), ("updated", rows.updated), ("deleted", rows.deleted)];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(what, rows)| format!("{} {what}", text::count(*rows, "row")))
        .collect();
    if counts.is_empty() { "no row differs\n".into() } else { format!("{}\n", counts.join(", ")) }
}

/// Lines with one cell for the values before and after.
fn table(outcome: &DiffOutcome, lines: &RecordBatch) -> Result<RecordBatch> {
    let doing = || "the rows cannot be shown".to_owned();
    let part = |name: &str| lines.column_by_name(name).and_then(|part| part.as_struct_opt());
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    columns.extend(lines.column_by_name("op").map(|op| ("op".to_owned(), Arc::clone(op))));
    if let Some(key) = part("key") {
        for (field, column) in key.fields().iter().zip(key.columns()) {
            columns
                .push((field.name().clone(), Arc::new(texts(column)?.into_iter().map(Some).collect::<StringArray>())));
        }
    }
    for column in &outcome.columns {
        let side = |part_name: &str, name: &Option<String>| {
            let part = part(part_name)?;
            Some((part.clone(), part.column_by_name(name.as_ref()?)?.clone()))
        };
        let (before, after) = (side("before", &column.before), side("after", &column.after));
        // A row that is not there has no values; one that is there may have NULL.
        let shown = both(before.as_ref(), after.as_ref())?;
        columns.push((header(column), shown));
    }
    let fields = columns
        .iter()
        .map(|(name, column)| deltalake::arrow::datatypes::Field::new(name, column.data_type().clone(), true));
    let schema = deltalake::arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect()).context(doing)
}

fn header(column: &DiffColumn) -> String {
    match (&column.before, &column.after) {
        (Some(before), Some(after)) if before != after => format!("{before} -> {after}"),
        (Some(name), None) => format!("- {name}"),
        (None, Some(name)) => format!("+ {name}"),
        (_, after) => after.clone().unwrap_or_default(),
    }
}

/// A struct of lines, and one of its columns.
type Side = (deltalake::arrow::array::StructArray, ArrayRef);

/// Values before and after: one where there is one, or both are alike.
fn both(before: Option<&Side>, after: Option<&Side>) -> Result<ArrayRef> {
    let values = |side: Option<&Side>| -> Result<Option<Vec<Option<String>>>> {
        let Some((part, column)) = side else { return Ok(None) };
        let texts = texts(column)?;
        Ok(Some(texts.into_iter().enumerate().map(|(row, text)| part.is_valid(row).then_some(text)).collect()))
    };
    let (before, after) = (values(before)?, values(after)?);
    let rows = before.as_ref().or(after.as_ref()).map_or(0, Vec::len);
    let at = |side: &Option<Vec<Option<String>>>, row: usize| side.as_ref().and_then(|side| side[row].clone());
    let cells = (0..rows).map(|row| match (at(&before, row), at(&after, row)) {
        (Some(before), Some(after)) if before != after => format!("{before} -> {after}"),
        (_, Some(only)) | (Some(only), None) => only,
        (None, None) => String::new(),
    });
    Ok(Arc::new(cells.collect::<Vec<_>>().into_iter().map(Some).collect::<StringArray>()))
}

fn texts(column: &ArrayRef) -> Result<Vec<String>> {
    let options = FormatOptions::new().with_null("NULL").with_display_error(true);
    let values = ArrayFormatter::try_new(column.as_ref(), &options).context(|| "the rows cannot be shown".into())?;
    Ok((0..column.len()).map(|row| values.value(row).to_string()).collect())
}

/// The counts of every table.
pub(in crate::cli) fn lake_answer(outcome: &LakeDiffOutcome) -> String {
    if outcome.tables.is_empty() {
        return "No table existed at either time.\n".into();
    }
    let mut grid = Grid::new(vec![
        Column::left(0, 0),
        Column::left(3, 0),
        Column::left(3, 0),
        Column::right(3, 0),
        Column::left(3, 0),
    ]);
    let mut above = String::new();
    for table in &outcome.tables {
        let zone = text::unless_same(&table.zone, &above);
        above.clone_from(&table.zone);
        let rows = table.rows;
        let changed = match table.problem {
            Some(_) => String::new(),
            None => text::change(rows.inserted, rows.updated, rows.deleted),
        };
        let failed = if table.problem.is_some() { "failed".to_owned() } else { String::new() };
        grid.row(vec![zone, table.table.clone(), versions(table), changed, failed]);
    }
    grid.text()
}

fn versions(table: &LakeDiffTable) -> String {
    let one = |version: Option<u64>| version.map(|version| format!("v{version}"));
    match (one(table.from), one(table.to)) {
        (None, Some(to)) => format!("new -> {to}"),
        (Some(from), None) => format!("{from} -> none"),
        (Some(from), Some(to)) if from == to => from,
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        (None, None) => String::new(),
    }
}
