//! The results of `optimize`, and of a sync's share of it.

use std::time::Duration;

use crate::error::Error;

/// One table whose files were looked at.
#[derive(Debug, Default)]
pub struct OptimizedTable {
    /// Its name.
    pub table: String,
    /// Its zone; `system` for tables of the tool's own.
    pub zone: String,
    /// URL or absolute path.
    pub location: String,
    /// Version before; `None` = there is no table.
    pub version_before: Option<u64>,
    /// Version after; that before if nothing was committed.
    pub version_after: Option<u64>,
    /// Its data files before.
    pub files_before: u64,
    /// Its data files after; with `--dry-run` an estimate.
    pub files_after: u64,
    /// Data files that were merged.
    pub files_merged: u64,
    /// Data files into which their rows were written; with `--dry-run` an estimate.
    pub files_written: u64,
    /// Bytes of the former.
    pub bytes_read: u64,
    /// Bytes of the latter; 0 with `--dry-run`.
    pub bytes_written: u64,
    /// Rows in them.
    pub rows: u64,
    /// Commits made.
    pub commits: u64,
    /// Why it was left as it is, or its rest was; `None` = nothing is left to gain.
    pub skipped: Option<String>,
    /// What failed; what was committed stands.
    pub problem: Option<Error>,
    /// Wall-clock time.
    pub elapsed: Duration,
}

impl OptimizedTable {
    /// A table that was not looked at yet.
    #[must_use]
    pub fn untouched(table: String, zone: String, location: String) -> Self {
        Self { table, zone, location, ..Self::default() }
    }
}

/// The result of `optimize`.
#[derive(Debug)]
pub struct OptimizeOutcome {
    /// Project name.
    pub project: String,
    /// Target name.
    pub target: String,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// The tables, in the order of the project; quarantines after their tables, then those of the tool's own.
    pub tables: Vec<OptimizedTable>,
    /// Wall-clock time.
    pub elapsed: Duration,
}
