//! What versions of tables hold, and how they differ.

use std::ops::AddAssign;

use crate::error::Error;

/// A version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffVersion {
    /// Its number.
    pub version: u64,
    /// When it was committed, ms since the epoch, by the writer's clock.
    pub committed_ms: Option<i64>,
}

/// A column of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffColumn {
    /// Its name in the version before; `None` = that has no such column.
    pub before: Option<String>,
    /// Its name in the version after; `None` = that has no such column.
    pub after: Option<String>,
    /// The type in which rows are compared.
    pub data_type: String,
}

/// Rows by which two versions differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffRows {
    /// Rows that only the version after has.
    pub inserted: u64,
    /// Keys whose row has other values.
    pub updated: u64,
    /// Rows that only the version before has.
    pub deleted: u64,
}

impl AddAssign for DiffRows {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
    }
}

/// Data files that are read for a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffFiles {
    /// Their number.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
}

/// The difference of two versions of a table.
#[derive(Clone, Debug, Default)]
pub struct DiffOutcome {
    /// The table's name.
    pub table: String,
    /// The version before.
    pub from: DiffVersion,
    /// The version after.
    pub to: DiffVersion,
    /// Columns of the primary key, if there is one.
    pub key: Vec<String>,
    /// The other columns in which rows are compared.
    pub columns: Vec<DiffColumn>,
    /// The rows by which they differ.
    pub rows: DiffRows,
    /// What is read.
    pub files: DiffFiles,
    /// What should be said besides.
    pub notes: Vec<String>,
}

/// The difference of a lake between two cuts.
#[derive(Debug, Default)]
pub struct LakeDiffOutcome {
    /// Project name.
    pub project: String,
    /// Tables in the order of the project, quarantines of landing tables after them, without those that neither cut has.
    pub tables: Vec<LakeDiffTable>,
}

/// One table in the difference of a lake.
#[derive(Debug, Default)]
pub struct LakeDiffTable {
    /// Its name.
    pub table: String,
    /// Its zone.
    pub zone: String,
    /// Its version before; `None` = it did not exist.
    pub from: Option<u64>,
    /// Its version after; `None` = it did not exist.
    pub to: Option<u64>,
    /// The rows by which they differ.
    pub rows: DiffRows,
    /// What was read.
    pub files: DiffFiles,
    /// Why it could not be compared.
    pub problem: Option<Error>,
}

/// A column in `describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedColumn {
    /// Its name in that version.
    pub name: String,
    /// Its type: the declared one where the table has it, else that of the log.
    pub data_type: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Whether its values are personal data.
    pub is_personal: bool,
    /// Its name today, if that is another one; `None` also if the table no longer has it.
    pub today: Option<String>,
    /// Whether the table, by its definition, has it today.
    pub is_declared: bool,
    /// For people.
    pub description: String,
}

/// An expectation in `describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedExpectation {
    /// Its name.
    pub name: String,
    /// Its condition.
    pub check: String,
    /// `warn`, `quarantine` or `fail`.
    pub action: &'static str,
}

/// What a table is, at a version.
#[derive(Clone, Debug, Default)]
pub struct DescribeOutcome {
    /// Its name.
    pub table: String,
    /// `landing`, `derived`, `quarantine`, `system` or `dropped`.
    pub kind: &'static str,
    /// Its zone, unless it is a system table or was dropped.
    pub zone: Option<String>,
    /// For people.
    pub description: String,
    /// Labels to select by.
    pub tags: Vec<String>,
    /// URL or absolute path.
    pub location: String,
    /// The id that it got when it was created.
    pub id: String,
    /// The version.
    pub version: DiffVersion,
    /// The newest version.
    pub newest: DiffVersion,
    /// The oldest version from which on all can be read.
    pub oldest: DiffVersion,
    /// Columns of the version.
    pub columns: Vec<DescribedColumn>,
    /// Columns that identify a row, by their names today.
    pub primary_key: Vec<String>,
    /// Columns by which rows are sorted, by their names today.
    pub cluster_by: Vec<String>,
    /// Whose consent it requires: the column that names the person, the table with the grants, and that table's column.
    pub consent: Option<[String; 3]>,
    /// Of the record of consent: the columns that name the person, the condition that grants, and the columns that order
    /// records.
    pub grants: Option<(Vec<String>, String, Vec<String>)>,
    /// Checks on its rows.
    pub expectations: Vec<DescribedExpectation>,
    /// Tables that its query reads.
    pub sources: Vec<String>,
    /// Data files of the version.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Rows of the version, if the log has their number.
    pub rows: Option<u64>,
    /// What should be said besides.
    pub notes: Vec<String>,
}
