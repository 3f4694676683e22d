//! `status/1`: the state of every table, and what a sync would do.

use serde::Serialize;

use crate::cli::document::ErrorReport;
use crate::cli::exit;
use crate::cli::verbs::migrate::{MigrationReport, migration};
use crate::cli::verbs::pin::PinReport;
use crate::clock::rfc3339;
use crate::error::Error;
use crate::outcome::{StatusOutcome, TableStatus};
use crate::shape::document;

document! {
/// The state of every table.
#[derive(Debug, Serialize)]
pub(crate) struct StatusReport {
    /// `status/1`.
    pub report: &'static str,
    /// Project name.
    pub project: Option<String>,
    /// Target name.
    pub target: Option<String>,
    /// Landing root, as given.
    pub landing: Option<String>,
    /// Warehouse root, as given.
    pub warehouse: Option<String>,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Landing and derived tables in the order of the project.
    pub tables: Vec<TableStatusReport>,
    /// All pins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinReport>,
    /// Migrations with pending statements.
    pub migrations: Vec<MigrationReport>,
    /// Why migrations stop a sync; `null` = they do not.
    pub problem: Option<ErrorReport>,
    /// Why there is no result.
    pub error: Option<ErrorReport>,
}
}

document! {
/// The state of a table.
#[derive(Debug, Serialize)]
pub(crate) struct TableStatusReport {
    /// Table name.
    pub table: String,
    /// Its zone.
    pub zone: String,
    /// URL or absolute path.
    pub location: String,
    /// Current version; `null` = not created.
    pub version: Option<u64>,
    /// Rows at that version.
    pub rows: Option<u64>,
    /// Data files at that version.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// When that version was committed.
    pub committed_at: Option<String>,
    /// Records in quarantine.
    pub rows_in_quarantine: u64,
    /// The table that holds them, of a derived table with a quarantine.
    pub quarantine: Option<String>,
    /// Entries of its log that hold personal data as bounds, until the log is cleaned up.
    pub personal_log_entries: u64,
    /// Nothing is pending, no table above it is behind, and nothing stops it.
    pub up_to_date: bool,
    /// What a sync would do.
    pub pending: Vec<String>,
    /// Tables above it that are behind.
    pub behind: Vec<String>,
    /// Files that a sync would leave out with an error; it stops nothing.
    pub left_out: Option<String>,
    /// The problem that stops it, or makes a sync leave out files.
    pub problem: Option<String>,
}
}

/// The document of a status.
#[must_use]
pub(crate) fn document(outcome: &StatusOutcome) -> StatusReport {
    StatusReport {
        report: "status/1",
        project: Some(outcome.project.clone()),
        target: Some(outcome.target.clone()),
        landing: Some(outcome.landing.clone()),
        warehouse: Some(outcome.warehouse.clone()),
        exit_code: 0,
        tables: outcome.tables.iter().map(table).collect(),
        pins: outcome.pins.iter().map(Into::into).collect(),
        migrations: outcome.migrations.iter().map(migration).collect(),
        problem: outcome.problem.as_ref().map(ErrorReport::from),
        error: None,
    }
}

/// The document of a status that could not be determined.
#[must_use]
pub(crate) fn failed(error: &Error) -> StatusReport {
    StatusReport {
        report: "status/1",
        project: None,
        target: None,
        landing: None,
        warehouse: None,
        exit_code: exit::of(error.kind()),
        tables: Vec::new(),
        pins: Vec::new(),
        migrations: Vec::new(),
        problem: None,
        error: Some(error.into()),
    }
}

fn table(table: &TableStatus) -> TableStatusReport {
    TableStatusReport {
        table: table.table.to_string(),
        zone: table.zone.clone(),
        location: table.location.clone(),
        version: table.version,
        rows: table.rows,
        files: table.files,
        bytes: table.bytes,
        committed_at: table.committed_ms.map(rfc3339),
        rows_in_quarantine: table.rows_in_quarantine,
        quarantine: table.quarantine.as_ref().map(ToString::to_string),
        personal_log_entries: table.personal_log_entries,
        up_to_date: table.pending.is_empty()
            && table.behind.is_empty()
            && table.left_out.is_none()
            && table.problem.is_none(),
        pending: table.pending.clone(),
        behind: table.behind.iter().map(ToString::to_string).collect(),
        left_out: table.left_out.clone(),
        problem: table.problem.clone().or_else(|| table.left_out.clone()),
    }
}
