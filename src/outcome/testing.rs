//! The results of tests of queries.

use std::time::Duration;

use super::{Mode, Rows};
use crate::error::Error;
use crate::name::TableName;

/// The results of `test`.
#[derive(Debug)]
pub struct TestOutcome {
    /// Project name.
    pub project: String,
    /// Every test that ran, in the order of files and places.
    pub tests: Vec<TestResult>,
    /// How many did not fit the names on the command line.
    pub left_out: usize,
    /// Time of all.
    pub elapsed: Duration,
}

impl TestOutcome {
    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.tests.iter().filter(|test| !test.failures.is_empty()).count()
    }
}

/// The result of one test.
#[derive(Debug)]
pub struct TestResult {
    /// Its file, relative to the project.
    pub file: String,
    /// Line and column of its name.
    pub at: (usize, usize),
    /// Its name.
    pub name: String,
    /// The tested table.
    pub table: TableName,
    /// How the change was applied, if the test has one.
    pub change: Option<TestedChange>,
    /// Why it failed; empty if it passed.
    pub failures: Vec<TestFailure>,
    /// Time.
    pub elapsed: Duration,
}

/// How a change reached the tested table.
#[derive(Clone, Debug)]
pub struct TestedChange {
    /// The mode.
    pub mode: Mode,
    /// Its reason.
    pub reason: String,
    /// Inserted, updated and deleted rows.
    pub rows: Rows,
}

/// Why a test failed.
#[derive(Debug)]
pub enum TestFailure {
    /// Other rows than expected.
    Rows(Box<RowDifference>),
    /// The incrementally maintained table differs from its query.
    Law(Error),
    /// The table could not be computed, or was refused.
    Error(Error),
}

/// Rows that differ from the expected ones.
#[derive(Clone, Debug)]
pub struct RowDifference {
    /// The key with the expected rows: `expect`, `expect_after`, ...
    pub key: &'static str,
    /// Compared columns.
    pub columns: Vec<String>,
    /// Expected rows that are not there, each as often as it is missing; `None` = NULL.
    pub missing: Vec<Vec<Option<String>>>,
    /// Rows that are not expected.
    pub unexpected: Vec<Vec<Option<String>>>,
}
