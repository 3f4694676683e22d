//! Outcomes as text for people.

mod grid;
mod text;
pub(super) mod catalog;
pub(super) mod error;
pub(super) mod plan;
pub(super) mod rows;
pub(super) mod status;
pub(super) mod sync;

pub(super) use text::duration;

use grid::{Column, Grid};

use crate::definition::Project;
use crate::outcome::HistoryEntry;

/// A project without faults.
pub(super) fn check(project: &Project) -> String {
    let tables = text::count(project.tables.len() as u64, "table");
    let zones = text::count(project.zones.len() as u64, "zone");
    let warnings = match project.notes.len() as u64 {
        0 => String::new(),
        notes => format!(", {}", text::count(notes, "warning")),
    };
    format!("{}: {tables} in {zones}, no errors{warnings}.\n", project.name)
}

/// Versions of a table, newest first.
pub(super) fn history(entries: &[HistoryEntry]) -> String {
    if entries.is_empty() {
        return "No versions.\n".into();
    }
    let mut grid = Grid::new(vec![
        Column::left(0, 0),
        Column::left(3, 0),
        Column::left(3, 0),
        Column::right(3, 0),
        Column::left(3, 0),
        Column::left(3, 0),
        Column::left(3, 0),
    ]);
    for entry in entries {
        grid.row(vec![
            format!("v{}", entry.version),
            entry.committed_ms.map(text::date_time).unwrap_or_default(),
            entry.operation.clone(),
            entry.rows.map(|[inserted, updated, deleted]| text::change(inserted, updated, deleted)).unwrap_or_default(),
            explained(entry.mode.as_deref().unwrap_or_default(), entry.reason.as_deref().unwrap_or_default()),
            sources(entry),
            entry.run.as_ref().map(|run| format!("run {run}")).or_else(|| entry.engine.clone()).unwrap_or_default(),
        ]);
    }
    grid.text()
}

/// `full: the query changed`.
fn explained(mode: &str, reason: &str) -> String {
    match (mode, reason) {
        (mode, "") => mode.to_owned(),
        ("", reason) => reason.to_owned(),
        (mode, reason) => format!("{mode}: {reason}"),
    }
}

fn sources(entry: &HistoryEntry) -> String {
    let sources: Vec<String> = entry
        .sources
        .iter()
        .map(|(name, number)| if name == "batch" { format!("batch {number}") } else { format!("{name} v{number}") })
        .collect();
    sources.join(", ")
}

#[cfg(test)]
mod tests;
