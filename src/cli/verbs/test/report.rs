//! `test/1`: the result of every test.

use serde::Serialize;

use crate::cli::document::{ErrorReport, seconds};
use crate::cli::exit;
use crate::error::Error;
use crate::outcome::{Mode, TestFailure, TestOutcome, TestResult};
use crate::shape::document;

document! {
/// The result of `test`.
#[derive(Debug, Serialize)]
pub(crate) struct TestReport {
    /// `test/1`.
    pub report: &'static str,
    /// Project name; `null` if it could not be read.
    pub project: Option<String>,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Seconds.
    pub seconds: f64,
    /// Every test that ran, in the order of files and places.
    pub tests: Vec<OneTestReport>,
    /// Why no test ran.
    pub error: Option<ErrorReport>,
}
}

document! {
/// The result of one test.
#[derive(Debug, Serialize)]
pub(crate) struct OneTestReport {
    /// Path relative to the project folder.
    pub file: String,
    /// Line of its name, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Its name.
    pub name: String,
    /// The tested table.
    pub table: String,
    /// Whether it passed.
    pub passed: bool,
    /// How the change was applied: `incremental`, `full`, ...; `null` without a change.
    pub mode: Option<&'static str>,
    /// The reason of the mode.
    pub reason: Option<String>,
    /// Why it failed.
    pub failures: Vec<FailureReport>,
    /// Seconds.
    pub seconds: f64,
}
}

document! {
/// Why a test failed.
#[derive(Debug, Serialize)]
pub(crate) struct FailureReport {
    /// The key whose rows differ: `expect`, `expect_after`, `expect_inserted`, `expect_deleted`; `law`: the maintained table
    /// differs from its query; `error`: it could not be computed.
    pub kind: &'static str,
    /// Compared columns.
    pub columns: Vec<String>,
    /// Expected rows that are not there: the values of these columns as texts.
    pub missing: Vec<Vec<Option<String>>>,
    /// Rows that are not expected.
    pub unexpected: Vec<Vec<Option<String>>>,
    /// The error of `law` and `error`.
    pub error: Option<ErrorReport>,
}
}

/// The document of tests that ran.
#[must_use]
pub(in crate::cli) fn document(outcome: &TestOutcome) -> TestReport {
    TestReport {
        report: "test/1",
        project: Some(outcome.project.clone()),
        exit_code: exit::of_test(outcome),
        passed: outcome.tests.len() - outcome.failed(),
        failed: outcome.failed(),
        seconds: seconds(outcome.elapsed),
        tests: outcome.tests.iter().map(test).collect(),
        error: None,
    }
}

/// The document of tests that did not run.
#[must_use]
pub(in crate::cli) fn failed(error: &Error) -> TestReport {
    TestReport {
        report: "test/1",
        project: None,
        exit_code: exit::of(error.kind()),
        passed: 0,
        failed: 0,
        seconds: 0.0,
        tests: Vec::new(),
        error: Some(error.into()),
    }
}

/// The mode by which a change was applied.
pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::None => "none",
        Mode::Ingest => "ingest",
        Mode::Incremental => "incremental",
        Mode::Full => "full",
        Mode::Check => "check",
        Mode::Metadata => "metadata",
    }
}

fn test(test: &TestResult) -> OneTestReport {
    OneTestReport {
        file: test.file.clone(),
        line: test.at.0,
        column: test.at.1,
        name: test.name.clone(),
        table: test.table.to_string(),
        passed: test.failures.is_empty(),
        mode: test.change.as_ref().map(|change| mode(change.mode)),
        reason: test.change.as_ref().map(|change| change.reason.clone()),
        failures: test.failures.iter().map(failure).collect(),
        seconds: seconds(test.elapsed),
    }
}

fn failure(failure: &TestFailure) -> FailureReport {
    let empty = |kind, error: &Error| FailureReport {
        kind,
        columns: Vec::new(),
        missing: Vec::new(),
        unexpected: Vec::new(),
        error: Some(error.into()),
    };
    match failure {
        TestFailure::Rows(rows) => FailureReport {
            kind: rows.key,
            columns: rows.columns.clone(),
            missing: rows.missing.clone(),
            unexpected: rows.unexpected.clone(),
            error: None,
        },
        TestFailure::Law(error) => empty("law", error),
        TestFailure::Error(error) => empty("error", error),
    }
}
