//! The documents of `diff`: `diff/1`, and with `--lake`, `lake_diff/1`.

use serde::Serialize;

use crate::cli::document::ErrorReport;
use crate::cli::exit;
use crate::clock::rfc3339;
use crate::error::Error;
use crate::outcome::{DiffOutcome, DiffVersion, LakeDiffOutcome, LakeDiffTable};
use crate::shape::document;

document! {
/// The difference of two versions of a table.
#[derive(Debug, Serialize)]
pub(crate) struct DiffReport {
    /// `diff/1`.
    pub report: &'static str,
    /// Table name; if it failed, as asked for.
    pub table: String,
    /// Exit code of the command.
    pub exit_code: u8,
    /// The version before.
    pub from: Option<VersionReport>,
    /// The version after.
    pub to: Option<VersionReport>,
    /// Columns of the primary key.
    pub key: Vec<String>,
    /// The other columns in which rows are compared.
    pub columns: Vec<ColumnReport>,
    /// Rows that only the version after has.
    pub rows_inserted: Option<u64>,
    /// Keys whose row has other values.
    pub rows_updated: Option<u64>,
    /// Rows that only the version before has.
    pub rows_deleted: Option<u64>,
    /// Data files that were read.
    pub files_read: Option<u64>,
    /// Their size.
    pub bytes_read: Option<u64>,
    /// What should be said besides.
    pub notes: Vec<String>,
    /// Why there is no result.
    pub error: Option<ErrorReport>,
}
}

document! {
/// A version.
#[derive(Debug, Serialize)]
pub(crate) struct VersionReport {
    /// Delta version.
    pub version: u64,
    /// When it was committed, by the writer's clock.
    pub committed_at: Option<String>,
}
}

document! {
/// A column of the comparison.
#[derive(Debug, Serialize)]
pub(crate) struct ColumnReport {
    /// Its name before; `null` = it was added.
    pub before: Option<String>,
    /// Its name after; `null` = it was dropped.
    pub after: Option<String>,
    /// The type in which it is compared.
    #[serde(rename = "type")]
    pub data_type: String,
}
}

/// The document of a difference.
#[must_use]
pub(in crate::cli) fn document(outcome: &DiffOutcome) -> DiffReport {
    let column = |of: &crate::outcome::DiffColumn| ColumnReport {
        before: of.before.clone(),
        after: of.after.clone(),
        data_type: of.data_type.clone(),
    };
    DiffReport {
        report: "diff/1",
        table: outcome.table.clone(),
        exit_code: exit::DONE,
        from: Some(version(outcome.from)),
        to: Some(version(outcome.to)),
        key: outcome.key.clone(),
        columns: outcome.columns.iter().map(column).collect(),
        rows_inserted: Some(outcome.rows.inserted),
        rows_updated: Some(outcome.rows.updated),
        rows_deleted: Some(outcome.rows.deleted),
        files_read: Some(outcome.files.files),
        bytes_read: Some(outcome.files.bytes),
        notes: outcome.notes.clone(),
        error: None,
    }
}

/// The document of versions that could not be compared.
#[must_use]
pub(in crate::cli) fn failed(table: &str, error: &Error) -> DiffReport {
    DiffReport {
        report: "diff/1",
        table: table.to_owned(),
        exit_code: exit::of(error.kind()),
        from: None,
        to: None,
        key: Vec::new(),
        columns: Vec::new(),
        rows_inserted: None,
        rows_updated: None,
        rows_deleted: None,
        files_read: None,
        bytes_read: None,
        notes: Vec::new(),
        error: Some(error.into()),
    }
}

/// A version in a document.
pub(in crate::cli::verbs) fn version(of: DiffVersion) -> VersionReport {
    VersionReport { version: of.version, committed_at: of.committed_ms.map(rfc3339) }
}

document! {
/// The difference of all tables of a lake.
#[derive(Debug, Serialize)]
pub(crate) struct LakeDiffReport {
    /// `lake_diff/1`.
    pub report: &'static str,
    /// Exit code of the command.
    pub exit_code: u8,
    /// In the order of the project.
    pub tables: Vec<TableReport>,
    /// Why there is no result.
    pub error: Option<ErrorReport>,
}
}

document! {
/// One table.
#[derive(Debug, Serialize)]
pub(crate) struct TableReport {
    /// Its name.
    pub table: String,
    /// Its zone.
    pub zone: String,
    /// Its version before; `null` = it did not exist.
    pub version_from: Option<u64>,
    /// Its version after; `null` = it did not exist.
    pub version_to: Option<u64>,
    /// Rows that only the version after has.
    pub rows_inserted: Option<u64>,
    /// Keys whose row has other values.
    pub rows_updated: Option<u64>,
    /// Rows that only the version before has.
    pub rows_deleted: Option<u64>,
    /// Data files that were read.
    pub files_read: u64,
    /// Their size.
    pub bytes_read: u64,
    /// Why it could not be compared.
    pub error: Option<ErrorReport>,
}
}

/// The document of the difference of a lake.
#[must_use]
pub(in crate::cli) fn lake_document(outcome: &LakeDiffOutcome) -> LakeDiffReport {
    let tables = outcome.tables.iter().map(table).collect();
    LakeDiffReport { report: "lake_diff/1", exit_code: exit::of_lake_diff(outcome), tables, error: None }
}

/// The document of cuts that could not be compared.
#[must_use]
pub(in crate::cli) fn lake_failed(error: &Error) -> LakeDiffReport {
    let (exit_code, error) = (exit::of(error.kind()), Some(error.into()));
    LakeDiffReport { report: "lake_diff/1", exit_code, tables: Vec::new(), error }
}

fn table(of: &LakeDiffTable) -> TableReport {
    let count = |rows: u64| of.problem.is_none().then_some(rows);
    TableReport {
        table: of.table.clone(),
        zone: of.zone.clone(),
        version_from: of.from,
        version_to: of.to,
        rows_inserted: count(of.rows.inserted),
        rows_updated: count(of.rows.updated),
        rows_deleted: count(of.rows.deleted),
        files_read: of.files.files,
        bytes_read: of.files.bytes,
        error: of.problem.as_ref().map(Into::into),
    }
}
