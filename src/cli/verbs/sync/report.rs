//! `sync/1`: the result of a sync.

use serde::Serialize;

use crate::cli::document::{ErrorReport, WarningReport, seconds, warning};
use crate::cli::exit;
use crate::cli::verbs::migrate::{MigrationReport, migration};
use crate::cli::verbs::optimize::{self, OptimizedReport};
use crate::clock::rfc3339;
use crate::error::Error;
use crate::outcome::{DigestNotice, Files, Mode, PinNotice, Problem, Rows, SyncOutcome, TableOutcome, Verified};
use crate::shape::document;

document! {
/// The result of a sync.
#[derive(Debug, Serialize)]
pub(crate) struct SyncReport {
    /// `sync/1`.
    pub report: &'static str,
    /// Project name; `null`, like the next six, if the project could not be opened.
    pub project: Option<String>,
    /// Target name.
    pub target: Option<String>,
    /// Landing root, as given.
    pub landing: Option<String>,
    /// Warehouse root, as given.
    pub warehouse: Option<String>,
    /// Run id.
    pub run: Option<String>,
    /// Start time.
    pub started_at: Option<String>,
    /// Wall-clock time.
    pub seconds: Option<f64>,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Landing and derived tables in the order of the project.
    pub tables: Vec<TableReport>,
    /// Migrations of which a statement was carried out first; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<MigrationReport>,
    /// Totals over the tables.
    pub totals: Totals,
    /// Persons whose consent ended.
    pub grants_ended: u64,
    /// Tables that were checked and hold no row of them.
    pub grants_ended_tables: u64,
    /// Tables that the catalog has under this warehouse, but the project no longer has.
    pub left_in_catalog: Vec<String>,
    /// Pins with people whose consent has ended, if consent changed in this run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinNotice>,
    /// Digests of tables that were computed by a scan, or not at all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<DigestNotice>,
    /// Tables of which files were merged afterwards, or should have been; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub optimized: Vec<OptimizedReport>,
    /// What `vacuum` could free at most, of tables whose folders were looked at in this run; absent if it is little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeable: Option<Files>,
    /// A failure that does not belong to a table.
    pub error: Option<ErrorReport>,
}
}

document! {
/// The result of a sync for one table.
#[derive(Debug, Serialize)]
pub(crate) struct TableReport {
    /// Table name.
    pub table: String,
    /// Its zone.
    pub zone: String,
    /// URL or absolute path.
    pub location: String,
    /// Version before; `null` = it did not exist.
    pub version_before: Option<u64>,
    /// Version after; `null` = it does not exist yet.
    pub version_after: Option<u64>,
    /// `none`, `ingest`, `full`, `incremental`, `check`.
    pub mode: Mode,
    /// Why this mode.
    pub reason: String,
    /// `rows_inserted`, `rows_updated`, `rows_deleted`, `rows_quarantined`.
    #[serde(flatten)]
    pub rows: Rows,
    /// Landing files or data files of sources read.
    pub files_read: u64,
    /// Rows of data files that a refresh decoded.
    pub rows_read: u64,
    /// Data files added.
    pub files_added: u64,
    /// Data files removed.
    pub files_removed: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// Files that wait for the next sync.
    pub waiting: Vec<String>,
    /// Warnings.
    pub warnings: Vec<WarningReport>,
    /// Landing files that could not be read although they should be; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<ErrorReport>,
    /// The table compared with its query; `null` unless requested.
    pub verified: Option<Verified>,
    /// Why the table is not at the cut.
    pub error: Option<ErrorReport>,
}
}

document! {
/// Totals over the tables of a sync.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    /// Tables at the cut that a commit changed.
    pub tables_changed: u64,
    /// Tables at the cut that needed no commit.
    pub tables_unchanged: u64,
    /// Tables that failed.
    pub tables_failed: u64,
    /// Tables skipped because of a failed one.
    pub tables_skipped: u64,
    /// `rows_inserted`, `rows_updated`, `rows_deleted`, `rows_quarantined`.
    #[serde(flatten)]
    pub rows: Rows,
    /// Files read.
    pub files_read: u64,
    /// Data files added.
    pub files_added: u64,
    /// Data files removed.
    pub files_removed: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Catalog entries created or updated.
    pub entries_registered: u64,
    /// Tables compared with their queries and found equal.
    pub tables_verified: u64,
}
}

/// The document of a sync.
#[must_use]
pub(crate) fn document(outcome: &SyncOutcome) -> SyncReport {
    SyncReport {
        report: "sync/1",
        project: Some(outcome.project.clone()),
        target: Some(outcome.target.clone()),
        landing: Some(outcome.landing.clone()),
        warehouse: Some(outcome.warehouse.clone()),
        run: Some(outcome.run.clone()),
        started_at: Some(rfc3339(outcome.started_ms)),
        seconds: Some(seconds(outcome.elapsed)),
        exit_code: exit::of_sync(outcome),
        tables: outcome.tables.iter().map(table).collect(),
        migrations: outcome.migrations.iter().map(migration).collect(),
        totals: Totals::of(outcome),
        grants_ended: outcome.grants_ended,
        grants_ended_tables: outcome.grants_ended_tables,
        left_in_catalog: outcome.left.clone(),
        pins: outcome.pins.clone(),
        digests: outcome.digests.clone(),
        optimized: outcome.optimized.iter().map(optimize::table).collect(),
        freeable: Some(outcome.freeable).filter(|files| files.files > 0),
        error: outcome.problem.as_ref().map(ErrorReport::from),
    }
}

/// The document of a sync that did not start: the project has faults, or its stores cannot be opened.
#[must_use]
pub(crate) fn failed(error: &Error) -> SyncReport {
    SyncReport {
        report: "sync/1",
        project: None,
        target: None,
        landing: None,
        warehouse: None,
        run: None,
        started_at: None,
        seconds: None,
        exit_code: exit::of(error.kind()),
        tables: Vec::new(),
        migrations: Vec::new(),
        totals: Totals::default(),
        grants_ended: 0,
        grants_ended_tables: 0,
        left_in_catalog: Vec::new(),
        pins: Vec::new(),
        digests: Vec::new(),
        optimized: Vec::new(),
        freeable: None,
        error: Some(error.into()),
    }
}

/// Whether this run committed to the table.
#[must_use]
pub(crate) fn changed(table: &TableOutcome) -> bool {
    table.version_before != table.version_after
}

impl Totals {
    /// Totals over the tables of an outcome.
    #[must_use]
    pub(crate) fn of(outcome: &SyncOutcome) -> Self {
        let mut totals = Self { entries_registered: outcome.registered, ..Self::default() };
        for table in &outcome.tables {
            let count = match &table.problem {
                Some(Problem::Failed(_)) => &mut totals.tables_failed,
                Some(Problem::Skipped(_)) => &mut totals.tables_skipped,
                None if changed(table) => &mut totals.tables_changed,
                None => &mut totals.tables_unchanged,
            };
            *count += 1;
            totals.tables_verified += u64::from(table.verified.is_some_and(Verified::is_equal));
            totals.rows += table.rows;
            totals.files_read += table.io.files_read;
            totals.files_added += table.io.files_added;
            totals.files_removed += table.io.files_removed;
            totals.bytes_read += table.io.bytes_read;
            totals.bytes_written += table.io.bytes_written;
        }
        totals
    }
}

pub(in crate::cli) fn table(outcome: &TableOutcome) -> TableReport {
    TableReport {
        table: outcome.table.to_string(),
        zone: outcome.zone.clone(),
        location: outcome.location.clone(),
        version_before: outcome.version_before,
        version_after: outcome.version_after,
        mode: outcome.mode,
        reason: outcome.reason.clone(),
        rows: outcome.rows,
        files_read: outcome.io.files_read,
        rows_read: outcome.io.rows_read,
        files_added: outcome.io.files_added,
        files_removed: outcome.io.files_removed,
        bytes_read: outcome.io.bytes_read,
        bytes_written: outcome.io.bytes_written,
        seconds: seconds(outcome.elapsed),
        waiting: outcome.waiting.clone(),
        warnings: outcome.warnings.iter().map(warning).collect(),
        left_out: outcome.left_out.iter().map(ErrorReport::from).collect(),
        verified: outcome.verified,
        error: outcome.problem.as_ref().map(|problem| match problem {
            Problem::Failed(error) => ErrorReport::from(error),
            Problem::Skipped(source) => ErrorReport::skipped(source),
        }),
    }
}
