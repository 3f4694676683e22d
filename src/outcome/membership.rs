//! The result of `audit membership`: whether somebody is in a table, since when, and why.

use crate::shape::document;
use serde_json::Value;

/// Whether rows of a subject are in a version of a table.
#[derive(Clone, Debug, Default)]
pub struct MembershipOutcome {
    /// The table.
    pub table: String,
    /// The version that was asked for.
    pub at: VersionTime,
    /// The newest version.
    pub newest: u64,
    /// Who was asked for.
    pub subject: Subject,
    /// Rows of the subject in that version.
    pub rows: u64,
    /// The versions that hold such rows without a gap: those around the version, or the newest before it. `None` = no
    /// version up to it did, as far as can be read.
    pub stretch: Option<Stretch>,
    /// Every version in which the number of such rows changed, newest first; `None` if it was not asked for.
    pub versions: Option<Vec<VersionRows>>,
    /// The versions of which nothing is known.
    pub unknown: Option<Unknown>,
    /// The first rows, and where they come from.
    pub explained: Vec<Explained>,
    /// Rows of all tables by which these are explained; others refer to them by their index.
    pub nodes: Vec<SourceRow>,
    /// What should be said besides.
    pub notes: Vec<String>,
}

/// A person or a thing, by the value of a column.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The column.
    pub column: String,
    /// The value as it is shown.
    pub value: String,
    /// Whether that is a keyed hash.
    pub is_hashed: bool,
}

/// A version, and when it was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionTime {
    /// Its number.
    pub version: u64,
    /// Milliseconds since the epoch, if known.
    pub committed_ms: Option<i64>,
}

/// Versions without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first one, as far as known.
    pub since: VersionTime,
    /// Whether the one before is known not to be among them.
    pub is_since_known: bool,
    /// The last one; `None` = the newest version is still among them.
    pub until: Option<VersionTime>,
}

/// A version that changed the number of a subject's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRows {
    /// The version.
    pub at: VersionTime,
    /// Rows that came.
    pub inserted: u64,
    /// Rows that went.
    pub deleted: u64,
    /// Rows in that version.
    pub rows: u64,
}

/// Versions that cannot be read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// They are before this one.
    pub before: u64,
    /// The reason.
    pub why: String,
}

document! {
/// How a row takes part in a row that is computed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Values come from it.
    Value,
    /// It is one of the rows of a group.
    Group,
    /// It meets a condition (`exists`, `in`).
    Condition,
    /// The row is there because there is none like it (`not exists`).
    Absence,
}
}

/// A row of the subject.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Itself.
    pub node: usize,
    /// How many equal ones are among the rows shown.
    pub copies: u64,
    /// The records of landing tables that it comes from, as far as they were followed.
    pub records: Vec<Record>,
}

/// A record of a landing table that a row comes from.
#[derive(Clone, Debug)]
pub struct Record {
    /// The record.
    pub node: usize,
    /// How it takes part.
    pub role: Role,
    /// The tables on the way from the row to it.
    pub via: Vec<String>,
}

/// A row of a version of a table.
#[derive(Clone, Debug, Default)]
pub struct SourceRow {
    /// The table.
    pub table: String,
    /// Its version.
    pub version: u64,
    /// Its values by column, personal ones as hashes; empty for a record of a landing table that is only referred to.
    pub values: Vec<(String, Value)>,
    /// The landing file of a record, under the landing root, and its byte offset in it, decompressed.
    pub place: Option<(String, i64)>,
    /// Its length in bytes, if known; that of compressed files as its offset, decompressed.
    pub length: Option<u64>,
    /// How its file is compressed, if it is.
    pub compression: Option<&'static str>,
    /// The rows that it comes from, by the scans of the query.
    pub sources: Vec<SourceRows>,
    /// What should be said of it.
    pub notes: Vec<String>,
}

/// Rows of one scan that a row comes from.
#[derive(Clone, Debug)]
pub struct SourceRows {
    /// The table.
    pub table: String,
    /// The version that was read.
    pub version: Option<u64>,
    /// How they take part.
    pub role: Role,
    /// How many different ones there are; `None` if they cannot be told apart.
    pub rows: Option<u64>,
    /// The first of them.
    pub nodes: Vec<usize>,
    /// What should be said of them.
    pub note: Option<String>,
}
