//! `history/1`: the versions of a table, newest first.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ErrorReport;
use crate::clock::rfc3339;
use crate::error::Error;
use crate::outcome::HistoryEntry;

/// The versions of a table.
#[derive(Debug, Serialize)]
pub struct HistoryReport {
    /// `history/1`.
    pub report: &'static str,
    /// Table name, as asked for.
    pub table: String,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Newest first.
    pub versions: Vec<VersionReport>,
    /// Why there is no answer.
    pub error: Option<ErrorReport>,
}

/// One version.
#[derive(Debug, Serialize)]
pub struct VersionReport {
    /// Delta version.
    pub version: u64,
    /// When it was committed, by the writer's clock.
    pub committed_at: Option<String>,
    /// Delta operation.
    pub operation: String,
    /// Who wrote it.
    pub engine: Option<String>,
    /// How the table was brought up to date.
    pub mode: Option<String>,
    /// Why this mode.
    pub reason: Option<String>,
    /// Run id.
    pub run: Option<String>,
    /// Rows that were not there before.
    pub rows_inserted: Option<u64>,
    /// Rows whose values changed.
    pub rows_updated: Option<u64>,
    /// Rows that are gone.
    pub rows_deleted: Option<u64>,
    /// Source table -> version that this version was computed from.
    pub sources: BTreeMap<String, u64>,
}

/// The document of a history.
#[must_use]
pub fn history(table: &str, entries: &[HistoryEntry]) -> HistoryReport {
    HistoryReport {
        report: "history/1",
        table: table.to_owned(),
        exit_code: 0,
        versions: entries.iter().map(version).collect(),
        error: None,
    }
}

/// The document of a history that could not be read.
#[must_use]
pub fn history_failed(table: &str, error: &Error) -> HistoryReport {
    HistoryReport { exit_code: error.kind().exit_code(), error: Some(error.into()), ..history(table, &[]) }
}

fn version(entry: &HistoryEntry) -> VersionReport {
    VersionReport {
        version: entry.version,
        committed_at: entry.committed_ms.map(rfc3339),
        operation: entry.operation.clone(),
        engine: entry.engine.clone(),
        mode: entry.mode.clone(),
        reason: entry.reason.clone(),
        run: entry.run.clone(),
        rows_inserted: entry.rows.map(|[inserted, _, _]| inserted),
        rows_updated: entry.rows.map(|[_, updated, _]| updated),
        rows_deleted: entry.rows.map(|[_, _, deleted]| deleted),
        sources: entry.sources.clone(),
    }
}
