//! `lineage/1`: versions of tables, and which was computed from which.

use serde::Serialize;

use crate::cli::document::ErrorReport;
use crate::cli::exit;
use crate::clock::rfc3339;
use crate::error::Error;
use crate::outcome::{ColumnUse, LineageOutcome, LineageTable};
use crate::shape::document;

document! {
/// Versions of tables, and which was computed from which.
#[derive(Debug, Serialize)]
pub(crate) struct LineageReport {
    /// `lineage/1`.
    pub report: &'static str,
    /// The table that was asked for.
    pub table: Option<String>,
    /// Its version.
    pub version: Option<u64>,
    /// `upstream` or `downstream`.
    pub direction: Option<&'static str>,
    /// Exit code of the command.
    pub exit_code: u8,
    /// The tables, that one first.
    pub tables: Vec<LineageTableReport>,
    /// Which was computed from which.
    pub edges: Vec<LineageEdgeReport>,
    /// What the columns of derived tables are computed from; only with `--columns`.
    pub columns: Option<Vec<ColumnLineageReport>>,
    /// What should be said besides.
    pub notes: Vec<String>,
    /// Why there is no result.
    pub error: Option<ErrorReport>,
}
}

document! {
/// A version of a table.
#[derive(Debug, Serialize)]
pub(crate) struct LineageTableReport {
    /// Its number in `edges` and `columns`.
    pub id: usize,
    /// Its name.
    pub table: String,
    /// Its zone.
    pub zone: Option<String>,
    /// `landing`, `derived`, `quarantine`, `system` or `dropped`.
    pub kind: &'static str,
    /// The version; `null` if it is not known.
    pub version: Option<u64>,
    /// When it was committed.
    pub committed_at: Option<String>,
    /// The sync that committed it.
    pub run: Option<String>,
    /// URL of its folder.
    pub location: String,
    /// Of a landing table: records of the version by file.
    pub files: Option<Vec<LandingFileReport>>,
    /// What should be said of it.
    pub notes: Vec<String>,
}
}

document! {
/// A landing file.
#[derive(Debug, Serialize)]
pub(crate) struct LandingFileReport {
    /// Path under the landing root.
    pub source_file: String,
    /// Records of it that the version holds.
    pub records: u64,
}
}

document! {
/// One version was computed from another one.
#[derive(Debug, Serialize)]
pub(crate) struct LineageEdgeReport {
    /// The source.
    pub from: usize,
    /// The table that was computed from it.
    pub to: usize,
    /// The version of the source that was read.
    pub version: Option<u64>,
    /// The source is the record of consent, and the query does not read it.
    pub consent_only: bool,
}
}

document! {
/// What a column is computed from.
#[derive(Debug, Serialize)]
pub(crate) struct ColumnLineageReport {
    /// The table.
    pub table: usize,
    /// The column; `null` for the columns that decide which rows there are.
    pub column: Option<String>,
    /// Columns of its sources.
    pub inputs: Vec<ColumnInputReport>,
}
}

document! {
/// A column of a source.
#[derive(Debug, Serialize)]
pub(crate) struct ColumnInputReport {
    /// The source.
    pub table: usize,
    /// The column.
    pub column: String,
    /// `identity`, `transformation` or `aggregation`; `null` if no value comes from it.
    pub used: Option<ColumnUse>,
}
}

/// The document.
#[must_use]
pub(super) fn document(outcome: &LineageOutcome) -> LineageReport {
    let root = outcome.tables.first();
    let edges = outcome.edges.iter().map(|edge| LineageEdgeReport {
        from: edge.from,
        to: edge.to,
        version: edge.read,
        consent_only: edge.is_consent,
    });
    let columns = outcome.columns.as_ref().map(|columns| {
        let column = |column: &crate::outcome::ColumnLineage| ColumnLineageReport {
            table: column.table,
            column: column.column.clone(),
            inputs: column
                .inputs
                .iter()
                .map(|input| ColumnInputReport { table: input.table, column: input.column.clone(), used: input.used })
                .collect(),
        };
        columns.iter().map(column).collect()
    });
    LineageReport {
        report: "lineage/1",
        table: root.map(|table| table.name.clone()),
        version: root.and_then(|table| table.version),
        direction: Some(if outcome.is_downstream { "downstream" } else { "upstream" }),
        exit_code: exit::DONE,
        tables: outcome.tables.iter().enumerate().map(|(id, found)| table(id, found)).collect(),
        edges: edges.collect(),
        columns,
        notes: outcome.notes.clone(),
        error: None,
    }
}

fn table(id: usize, table: &LineageTable) -> LineageTableReport {
    let files = table.files.as_ref().map(|files| {
        let file = |file: &crate::outcome::LandingFile| LandingFileReport {
            source_file: file.path.clone(),
            records: file.records,
        };
        files.iter().map(file).collect()
    });
    LineageTableReport {
        id,
        table: table.name.clone(),
        zone: table.zone.clone(),
        kind: table.kind,
        version: table.version,
        committed_at: table.committed_ms.map(rfc3339),
        run: table.run.clone(),
        location: table.url.clone(),
        files,
        notes: table.notes.clone(),
    }
}

/// The document of a lineage that could not be found.
#[must_use]
pub(super) fn failed(error: &Error) -> LineageReport {
    LineageReport {
        report: "lineage/1",
        table: None,
        version: None,
        direction: None,
        exit_code: exit::of(error.kind()),
        tables: Vec::new(),
        edges: Vec::new(),
        columns: None,
        notes: Vec::new(),
        error: Some(error.into()),
    }
}
