//! Migrations: one line each, and one for every statement.

use super::report::Done;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{bytes, date_time};
use crate::outcome::{MigrationOutcome, MigrationState, StatementOutcome};

/// The answer.
pub(in crate::cli) fn answer(done: Done, migrations: &[MigrationOutcome]) -> String {
    match (done, migrations) {
        (Done::Nothing, []) => return "No migrations.\n".into(),
        (_, []) => return "Nothing to do: no migration is pending.\n".into(),
        _ => {}
    }
    lines(migrations)
}

/// The next command if migrations are pending.
pub(in crate::cli) fn next(done: Done, migrations: &[MigrationOutcome]) -> Option<&'static str> {
    let is_pending = |m: &&MigrationOutcome| matches!(m.state, MigrationState::Pending | MigrationState::Begun);
    match done {
        Done::Nothing | Done::Checked => {
            let pending: Vec<&MigrationOutcome> = migrations.iter().filter(is_pending).collect();
            let needs_sync = |m: &&MigrationOutcome| m.statements.iter().all(|statement| statement.needs_sync);
            let next = match pending.iter().all(|m| !m.statements.is_empty()) && pending.iter().all(needs_sync) {
                true => "Next: stedi-delta sync\n",
                false => "Next: stedi-delta migrate apply\n",
            };
            (!pending.is_empty()).then_some(next)
        }
        Done::Applied => (!migrations.is_empty()).then_some("Next: stedi-delta sync\n"),
    }
}

/// Migrations and their statements.
pub(in crate::cli) fn lines(migrations: &[MigrationOutcome]) -> String {
    let mut text = String::new();
    for migration in migrations {
        text.push_str(&format!("{:04}_{}  {}\n", migration.number, migration.label, state(migration)));
        let mut grid = Grid::new(vec![Column::left(2, 0), Column::left(3, 0), Column::left(3, 0)]);
        for statement in &migration.statements {
            grid.row(vec![statement.text.clone(), versions(statement), sizes(statement)]);
        }
        text.push_str(&grid.text());
    }
    text
}

fn state(migration: &MigrationOutcome) -> String {
    let word = match migration.state {
        MigrationState::Pending => "pending",
        MigrationState::Begun => "begun, and not finished",
        MigrationState::Applied => "applied",
        MigrationState::Included => "included: the tables were made with it",
    };
    match (migration.recorded_ms, &migration.run) {
        (Some(at), Some(run)) => format!("{word}  {}  run {run}", date_time(at)),
        _ => word.to_owned(),
    }
}

fn versions(statement: &StatementOutcome) -> String {
    let table = &statement.table;
    if let Some(moved) = &statement.moved {
        let version = statement.version_before.map(|before| format!(" v{before}")).unwrap_or_default();
        return format!("{table}{version} stays in {}", moved.home);
    }
    match (statement.version_before, statement.version_after) {
        (Some(before), Some(after)) => format!("{table} v{before} -> v{after}"),
        (Some(before), None) => format!("{table} v{before}"),
        _ => table.clone(),
    }
}

fn sizes(statement: &StatementOutcome) -> String {
    match (statement.bytes_read, statement.bytes_written) {
        (0, 0) => String::new(),
        (read, 0) => format!("{} to be rewritten", bytes(read)),
        (read, written) => format!("{} read, {} written", bytes(read), bytes(written)),
    }
}
