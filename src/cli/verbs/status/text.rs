//! A status: one line per table, with what a sync would do.

use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{FIRST_TABLE, NO_TABLES, bytes, count, date_time, heading, number, plural, unless_same};
use crate::cli::verbs::pin;
use crate::outcome::{MigrationState, StatusOutcome, TableStatus};

/// The result: the state of every table.
pub(in crate::cli) fn answer(outcome: &StatusOutcome) -> String {
    if outcome.tables.is_empty() && outcome.migrations.is_empty() {
        return NO_TABLES.to_owned();
    }
    let mut text = heading(&outcome.project, &outcome.target, &outcome.landing, &outcome.warehouse);
    let mut grid = Grid::new(vec![
        Column::left(0, 0),
        Column::left(3, 0),
        Column::left(4, 0),
        Column::right(3, 0),
        Column::left(1, 0),
        Column::right(3, 0).optional(),
        Column::left(1, 0).optional(),
        Column::right(3, 0).optional(),
        Column::left(3, 0).optional(),
        Column::left(3, 0),
    ]);
    let mut zone = "";
    for table in &outcome.tables {
        let mut cells = vec![
            unless_same(&table.zone, zone),
            table.table.to_string(),
            table.version.map_or_else(|| "new".into(), |v| format!("v{v}")),
        ];
        cells.extend(contents(table));
        cells.push(state(table));
        grid.row(cells);
        zone = &table.zone;
    }
    text.push_str(&grid.text());
    text.push('\n');
    for migration in &outcome.migrations {
        let state = match migration.state {
            MigrationState::Begun => "has begun, and is not finished",
            _ => "is pending",
        };
        text.push_str(&format!("Migration {:04}_{} {state}.\n", migration.number, migration.label));
    }
    if outcome.problem.is_some() {
        text.push_str("Migrations stop a sync.\n");
    }
    text.push_str(&format!("{}\n", summary(outcome)));
    for pin in &outcome.pins {
        for problem in pin::problems(pin) {
            text.push_str(&format!("pin {}: {problem}\n", pin.pin.name));
        }
    }
    text
}

/// What to type if a sync would do something.
pub(in crate::cli) fn next(outcome: &StatusOutcome) -> Option<&'static str> {
    if outcome.tables.is_empty() && outcome.migrations.is_empty() {
        return Some(FIRST_TABLE);
    }
    let is_pending = outcome.tables.iter().any(|t| !t.pending.is_empty()) || !outcome.migrations.is_empty();
    (is_pending && outcome.problem.is_none()).then_some("Next: stedi-delta sync\n")
}

/// Rows, files, size and time; empty for a table that does not exist.
fn contents(table: &TableStatus) -> [String; 6] {
    if table.version.is_none() {
        return Default::default();
    }
    let (rows, unit) = match table.rows {
        Some(rows) => (number(rows), plural(rows, "row")),
        None => ("?".into(), "rows".into()),
    };
    let time = table.committed_ms.map(date_time).unwrap_or_default();
    [rows, unit, number(table.files), plural(table.files, "file"), bytes(table.bytes), time]
}

fn state(table: &TableStatus) -> String {
    let mut parts = table.pending.clone();
    if !table.behind.is_empty() {
        let names: Vec<&str> = table.behind.iter().map(|n| n.as_str()).collect();
        parts.push(format!("behind {}", names.join(", ")));
    }
    parts.extend(table.left_out.as_ref().map(|files| format!("left out: {files}")));
    parts.extend(table.problem.as_ref().map(|problem| format!("stopped: {problem}")));
    if parts.is_empty() {
        parts.push("up to date".into());
    }
    if table.rows_in_quarantine > 0 {
        parts.push(match &table.quarantine {
            Some(quarantine) => format!("{} in {quarantine}", count(table.rows_in_quarantine, "row")),
            None => format!("{} in quarantine", count(table.rows_in_quarantine, "record")),
        });
    }
    if table.personal_log_entries > 0 {
        let entries = count(table.personal_log_entries, "log entry");
        parts.push(format!("{entries} with personal data, until the log is cleaned up (docs/state.md)"));
    }
    parts.join("; ")
}

fn summary(outcome: &StatusOutcome) -> String {
    let tables = outcome.tables.len() as u64;
    let waits =
        |t: &&TableStatus| !t.pending.is_empty() || !t.behind.is_empty() || t.left_out.is_some() || t.problem.is_some();
    let behind = outcome.tables.iter().filter(waits).count() as u64;
    let are = |n: u64| if n == 1 { "is" } else { "are" };
    if behind == 0 {
        return format!("{} {} up to date.", count(tables, "table"), are(tables));
    }
    format!("{} of {} {} behind.", number(behind), count(tables, "table"), are(behind))
}
