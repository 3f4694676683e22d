//! A definition that exists: whether records fit it, and the edit with which they do.

use super::change::{Edits, Known, compare};
use super::learn::rehearse;
use super::observe::Observed;
use super::sample::Samples;
use super::{Action, Columns, Inferred, checked, diff};
use crate::definition::{SOURCE_FILE, SOURCE_OFFSET, Table, column_spans};
use crate::error::{Error, Kind, Result};
use crate::ingest::covers;
use crate::ingest::format::{RecordShape, of};
use crate::storage::ObjectMeta;
use crate::workspace::Workspace;

/// The edit of a definition with which it fits the records.
pub(super) fn edited(
    workspace: &Workspace,
    table: &Table,
    files: &[(String, ObjectMeta)],
    samples: &Samples,
    observed: &mut Observed,
) -> Result<Inferred> {
    let Some(landing) = table.landing() else {
        return Err(Error::new(Kind::Internal, "a derived table has no landing files"));
    };
    for (file, _) in files {
        if !covers(landing, file)? {
            return Err(Error::new(Kind::Usage, format!("`{}` does not read `{file}`", table.name))
                .fact("path", landing.path.clone())
                .fact("definition", table.file.path.display().to_string())
                .help("name another table: --table ZONE.NAME, or write another `path` there"));
        }
    }
    let shape = RecordShape::of(table);
    let declared = shape.columns.iter().zip(&shape.readings);
    let known: Vec<Known> = declared
        .map(|(column, reading)| Known {
            name: column.name.clone(),
            column_type: column.column_type.clone(),
            reading: reading.clone(),
        })
        .collect();
    let before = rehearse(samples, of(landing.format), &shape)?;
    let spans = column_spans(&table.file);
    let mut edits = Edits::default();
    compare(observed, 0, &known, spans.as_ref(), "", &mut edits);
    let changes = edits.changes.clone();
    let text = edits.apply(&table.file.text);
    let (fate, columns) = if text == table.file.text {
        (before.clone(), known_columns(table))
    } else {
        // Tables that read it may not fit a changed type.
        let (shape, columns) = checked(workspace, &table.file.path, &text, &table.name)
            .map_err(|error| unfit(error, table, &diff::lines(&table.file.text, &text)))?;
        (rehearse(samples, of(landing.format), &shape)?, columns)
    };
    Ok(Inferred {
        table: table.name.to_string(),
        zone: table.zone.clone(),
        file: table.file.path.clone(),
        path: landing.path.clone(),
        action: if changes.is_empty() { Action::Unchanged } else { Action::Proposed },
        diff: diff::lines(&table.file.text, &text),
        text,
        files: [0; 3],
        bytes: 0,
        fate,
        columns,
        keys: Vec::new(),
        left_out: 0,
        changes,
        before: Some(before),
    })
}

pub(super) fn known_columns(table: &Table) -> Columns {
    let appended = [SOURCE_FILE, SOURCE_OFFSET];
    let declared = table.columns.iter().filter(|column| !appended.contains(&column.name.as_str()));
    declared.map(|column| (column.name.clone(), column.column_type.delta_name(), Vec::new())).collect()
}

/// The edit breaks other tables.
fn unfit(error: Error, table: &Table, diff: &[String]) -> Error {
    if error.faults().is_empty() {
        return error;
    }
    let mut unfit = Error::failed(format!("with the edit that `{}` needs, other tables have errors", table.name));
    for fault in error.faults().iter().take(3) {
        let file = fault.place.as_ref().map(|place| place.file.path.display().to_string()).unwrap_or_default();
        unfit = unfit.fact("fault", format!("{file}: {}", fault.message));
    }
    unfit.fact("edit", diff.join("\n")).help("make the edit and change these queries, then stedi-delta check")
}
