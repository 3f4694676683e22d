//! `membership/1`: whether a subject is in a table, in which versions, and where its rows come from.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::document::ErrorReport;
use crate::cli::exit;
use crate::clock::rfc3339;
use crate::error::Error;
use crate::outcome::{Explained, MembershipOutcome, Record, Role, SourceRow, SourceRows, VersionRows};
use crate::shape::document;

document! {
/// Whether a subject is in a table, and why.
#[derive(Debug, Serialize)]
pub(crate) struct MembershipReport {
    /// `membership/1`.
    pub report: &'static str,
    /// The table.
    pub table: Option<String>,
    /// The version that was asked for.
    pub version: Option<u64>,
    /// When it was committed.
    pub committed_at: Option<String>,
    /// The newest version.
    pub newest: Option<u64>,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Who was asked for.
    pub subject: Option<SubjectReport>,
    /// Whether the version holds rows of the subject.
    pub member: Option<bool>,
    /// How many.
    pub rows: Option<u64>,
    /// The versions without a gap that hold such rows: those around the version, or the newest before it.
    pub stretch: Option<StretchReport>,
    /// Every version in which the number of rows changed, newest first; only with `--all-versions`.
    pub versions: Option<Vec<VersionRowsReport>>,
    /// The versions of which nothing is known.
    pub unknown: Option<UnknownReport>,
    /// The first rows, and the records of landing tables that they come from.
    pub explained: Vec<ExplainedReport>,
    /// All rows that these were computed from, by `id`.
    pub nodes: Vec<NodeReport>,
    /// What should be said besides.
    pub notes: Vec<String>,
    /// Why there is no result.
    pub error: Option<ErrorReport>,
}
}

document! {
/// Who was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct SubjectReport {
    /// The column.
    pub column: String,
    /// The value, or its keyed hash.
    pub value: String,
    /// Whether it is a hash.
    pub hashed: bool,
}
}

document! {
/// Versions without a gap.
#[derive(Debug, Serialize)]
pub(crate) struct StretchReport {
    /// The first one, as far as known.
    pub since: u64,
    /// When it was committed.
    pub since_committed_at: Option<String>,
    /// Whether the version before holds no such row; otherwise it cannot be read.
    pub since_known: bool,
    /// The last one; `null` = the newest version.
    pub until: Option<u64>,
    /// When that was committed.
    pub until_committed_at: Option<String>,
}
}

document! {
/// A version in which the number of rows changed.
#[derive(Debug, Serialize)]
pub(crate) struct VersionRowsReport {
    /// The version.
    pub version: u64,
    /// When it was committed.
    pub committed_at: Option<String>,
    /// Rows that came.
    pub rows_inserted: u64,
    /// Rows that went.
    pub rows_deleted: u64,
    /// Rows in it.
    pub rows: u64,
}
}

document! {
/// Versions that cannot be read any more.
#[derive(Debug, Serialize)]
pub(crate) struct UnknownReport {
    /// They are before this one.
    pub before: u64,
    /// The reason.
    pub why: String,
}
}

document! {
/// A row of the subject.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainedReport {
    /// Its node.
    pub node: usize,
    /// Its values; personal ones are hashes.
    pub row: Map<String, Value>,
    /// How many equal ones are among the rows shown.
    pub copies: u64,
    /// The records of landing files that it comes from, those of its values first.
    pub records: Vec<RecordReport>,
}
}

document! {
/// A record of a landing file.
#[derive(Debug, Serialize)]
pub(crate) struct RecordReport {
    /// Its node.
    pub node: usize,
    /// The landing table.
    pub table: String,
    /// Its version.
    pub version: u64,
    /// The file, under the landing root.
    pub source_file: String,
    /// The byte at which it begins in the decompressed file.
    pub source_offset: i64,
    /// Its length in bytes, if known.
    pub length: Option<u64>,
    /// `gzip`, `zstd` or `bzip2`: then offset and length are those in the decompressed file.
    pub compression: Option<&'static str>,
    /// `value`, `group` or `condition`.
    pub role: Role,
    /// The tables between.
    pub via: Vec<String>,
}
}

document! {
/// A row of a version of a table.
#[derive(Debug, Serialize)]
pub(crate) struct NodeReport {
    /// Its number.
    pub id: usize,
    /// The table.
    pub table: String,
    /// Its version.
    pub version: u64,
    /// Of a record: the file, under the landing root.
    pub source_file: Option<String>,
    /// Of a record: the byte at which it begins in the decompressed file.
    pub source_offset: Option<i64>,
    /// Of a record: its length in bytes, if known.
    pub length: Option<u64>,
    /// Of a record: `gzip`, `zstd` or `bzip2`: then offset and length are those in the decompressed file.
    pub compression: Option<&'static str>,
    /// Of a row: its values; personal ones are hashes.
    pub row: Option<Map<String, Value>>,
    /// The rows that it was computed from, by the scans of the query.
    pub sources: Vec<SourceReport>,
    /// What should be said of it.
    pub notes: Vec<String>,
}
}

document! {
/// Rows of one scan.
#[derive(Debug, Serialize)]
pub(crate) struct SourceReport {
    /// The table.
    pub table: String,
    /// The version that was read.
    pub version: Option<u64>,
    /// `value`, `group`, `condition` or `absence`.
    pub role: Role,
    /// How many different ones there are; `null` if they cannot be told apart.
    pub rows: Option<u64>,
    /// The first of them.
    pub nodes: Vec<usize>,
    /// What should be said of them.
    pub note: Option<String>,
}
}

/// The document.
#[must_use]
pub(in crate::cli) fn document(outcome: &MembershipOutcome) -> MembershipReport {
    let subject = &outcome.subject;
    let versions = |versions: &Vec<VersionRows>| {
        let report = |changed: &VersionRows| VersionRowsReport {
            version: changed.at.version,
            committed_at: changed.at.committed_ms.map(rfc3339),
            rows_inserted: changed.inserted,
            rows_deleted: changed.deleted,
            rows: changed.rows,
        };
        versions.iter().map(report).collect()
    };
    MembershipReport {
        report: "membership/1",
        table: Some(outcome.table.clone()),
        version: Some(outcome.at.version),
        committed_at: outcome.at.committed_ms.map(rfc3339),
        newest: Some(outcome.newest),
        exit_code: exit::DONE,
        subject: Some(SubjectReport {
            column: subject.column.clone(),
            value: subject.value.clone(),
            hashed: subject.is_hashed,
        }),
        member: Some(outcome.rows > 0),
        rows: Some(outcome.rows),
        stretch: outcome.stretch.map(|stretch| StretchReport {
            since: stretch.since.version,
            since_committed_at: stretch.since.committed_ms.map(rfc3339),
            since_known: stretch.is_since_known,
            until: stretch.until.map(|until| until.version),
            until_committed_at: stretch.until.and_then(|until| until.committed_ms).map(rfc3339),
        }),
        versions: outcome.versions.as_ref().map(versions),
        unknown: outcome
            .unknown
            .as_ref()
            .map(|unknown| UnknownReport { before: unknown.before, why: unknown.why.clone() }),
        explained: outcome.explained.iter().map(|row| explained(outcome, row)).collect(),
        nodes: outcome.nodes.iter().enumerate().map(|(id, row)| node(id, row)).collect(),
        notes: outcome.notes.clone(),
        error: None,
    }
}

/// The document of an audit that could not be made.
#[must_use]
pub(in crate::cli) fn failed(error: &Error) -> MembershipReport {
    MembershipReport {
        report: "membership/1",
        table: None,
        version: None,
        committed_at: None,
        newest: None,
        exit_code: exit::of(error.kind()),
        subject: None,
        member: None,
        rows: None,
        stretch: None,
        versions: None,
        unknown: None,
        explained: Vec::new(),
        nodes: Vec::new(),
        notes: Vec::new(),
        error: Some(error.into()),
    }
}

fn explained(outcome: &MembershipOutcome, row: &Explained) -> ExplainedReport {
    let record = |record: &Record| {
        let node = outcome.nodes.get(record.node)?;
        let (source_file, source_offset) = node.place.clone()?;
        Some(RecordReport {
            node: record.node,
            table: node.table.clone(),
            version: node.version,
            source_file,
            source_offset,
            length: node.length,
            compression: node.compression,
            role: record.role,
            via: record.via.clone(),
        })
    };
    ExplainedReport {
        node: row.node,
        row: outcome.nodes.get(row.node).map(values).unwrap_or_default(),
        copies: row.copies,
        records: row.records.iter().filter_map(record).collect(),
    }
}

fn values(row: &SourceRow) -> Map<String, Value> {
    row.values.iter().cloned().collect()
}

fn node(id: usize, row: &SourceRow) -> NodeReport {
    let source = |rows: &SourceRows| SourceReport {
        table: rows.table.clone(),
        version: rows.version,
        role: rows.role,
        rows: rows.rows,
        nodes: rows.nodes.clone(),
        note: rows.note.clone(),
    };
    NodeReport {
        id,
        table: row.table.clone(),
        version: row.version,
        source_file: row.place.as_ref().map(|(file, _)| file.clone()),
        source_offset: row.place.as_ref().map(|(_, offset)| *offset),
        length: row.length,
        compression: row.compression,
        row: (!row.values.is_empty()).then(|| values(row)),
        sources: row.sources.iter().map(source).collect(),
        notes: row.notes.clone(),
    }
}
