//! The result of `lineage`: versions of tables, what each was computed from, and the landing files at the end.

use crate::definition::column_lineage::ColumnUse;

/// The tables from which a version of a table was computed, or that were computed from it.
#[derive(Clone, Debug, Default)]
pub struct LineageOutcome {
    /// The table that was asked for first; each version of a table once.
    pub tables: Vec<LineageTable>,
    /// Which was computed from which.
    pub edges: Vec<LineageEdge>,
    /// Whether `edges` lead away from the table that was asked for.
    pub is_downstream: bool,
    /// What each column of the derived tables is computed from, if that was asked for.
    pub columns: Option<Vec<ColumnLineage>>,
    /// The project, and the target in which its tables are.
    pub project: String,
    /// See [`Self::project`].
    pub target: String,
    /// URL of the landing root.
    pub landing: String,
    /// What should be said besides.
    pub notes: Vec<String>,
}

/// A version of a table.
#[derive(Clone, Debug, Default)]
pub struct LineageTable {
    /// Its name.
    pub name: String,
    /// Its zone, if it is a table of the project.
    pub zone: Option<String>,
    /// `landing`, `derived`, `quarantine`, `system` or `dropped`.
    pub kind: &'static str,
    /// The version; `None` if it is not known.
    pub version: Option<u64>,
    /// When it was committed, ms since the epoch.
    pub committed_ms: Option<i64>,
    /// The sync that committed it.
    pub run: Option<String>,
    /// The id of the table.
    pub id: String,
    /// URL of its folder.
    pub url: String,
    /// Its columns in that version, with their types.
    pub columns: Vec<(String, String)>,
    /// The query of a derived table, as it is today.
    pub sql: Option<String>,
    /// Of a landing table: the files whose records that version holds.
    pub files: Option<Vec<LandingFile>>,
    /// What should be said of it.
    pub notes: Vec<String>,
}

/// A landing file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingFile {
    /// Path under the landing root.
    pub path: String,
    /// Records of it that the version holds.
    pub records: u64,
}

/// One version was computed from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageEdge {
    /// The source, an index of [`LineageOutcome::tables`].
    pub from: usize,
    /// The table that was computed from it.
    pub to: usize,
    /// The version of the source that was read.
    pub read: Option<u64>,
    /// The source is the record of consent, and the query does not read it.
    pub is_consent: bool,
}

/// What a column is computed from.
#[derive(Clone, Debug)]
pub struct ColumnLineage {
    /// The table, an index of [`LineageOutcome::tables`].
    pub table: usize,
    /// The column; `None` = those that decide which rows there are, whatever values they have.
    pub column: Option<String>,
    /// Columns of its sources.
    pub inputs: Vec<ColumnInput>,
}

/// A column of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInput {
    /// The source, an index of [`LineageOutcome::tables`].
    pub table: usize,
    /// The column.
    pub column: String,
    /// How values come from it; `None` = they do not: it decides which rows there are.
    pub used: Option<ColumnUse>,
}
