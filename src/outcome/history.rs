//! Versions of a table, and one that comes back.

use std::collections::BTreeMap;

use crate::error::Error;

/// A table is, or would be, restored.
#[derive(Debug)]
pub struct RestoreOutcome {
    /// The table.
    pub table: String,
    /// The version whose rows it has then.
    pub restored: u64,
    /// Its newest version before.
    pub version_before: u64,
    /// The new version, if one was committed.
    pub version_after: Option<u64>,
    /// Data files added again.
    pub files_added: u64,
    /// Data files removed.
    pub files_removed: u64,
    /// Rows that it has then, if the log says so.
    pub rows: Option<u64>,
    /// People with rows in it who have no consent today; `None` if the table declares none.
    pub withdrawn: Option<u64>,
    /// A failure of the catalog, after the commit.
    pub problem: Option<Error>,
}

/// The versions of a table.
#[derive(Clone, Debug)]
pub struct History {
    /// Newest first.
    pub entries: Vec<HistoryEntry>,
    /// The first version in the log, if older ones were removed and would have been shown.
    pub begins: Option<u64>,
    /// What should be said of the table's name.
    pub notes: Vec<String>,
}

/// One version in `history`, newest first.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// The version.
    pub version: u64,
    /// When it was committed, ms since the epoch.
    pub committed_ms: i64,
    /// By which clock: `in_commit`, `writer`, or `object` (the object's time in the store).
    pub clock: &'static str,
    /// Delta operation: `WRITE`, `MERGE`, `CREATE TABLE`, `OPTIMIZE`, ...
    pub operation: String,
    /// The writer by the log: `stedi-delta/0.1.0`, `delta-rs:...`, ...
    pub engine: Option<String>,
    /// Mode of a commit of ours.
    pub mode: Option<String>,
    /// Reason of a commit of ours.
    pub reason: Option<String>,
    /// Run id of a commit of ours.
    pub run: Option<String>,
    /// Rows inserted, updated and deleted, if the log has them.
    pub rows: Option<[u64; 3]>,
    /// Data files added and removed.
    pub files: [u64; 2],
    /// The definition by which a commit of ours was computed, as a hash.
    pub definition: Option<String>,
    /// Whether it differs from that of the version before.
    pub is_new_definition: bool,
    /// Whether it is a commit of ours that changed no row, no file and no column.
    pub is_quiet: bool,
    /// Source table -> version from which this version was computed; for a landing table: batch number.
    pub sources: BTreeMap<String, u64>,
}
