//! Building blocks of documents. A document is an outcome for scripts: versioned, serialisable, independent of the
//! inner types.
//!
//! Each begins with `report`, its name and number: `sync/1`. New keys may be added under the same number; a key that
//! changes its meaning or is removed raises it. Keys have the order of the structs. Times are RFC 3339 in UTC,
//! durations seconds, sizes bytes; unknown values are `null`, never omitted. No document holds values of columns
//! classified `pii`.

use std::time::Duration;

use serde::Serialize;

use crate::error::Error;
use crate::name::TableName;
use crate::outcome::Warning;
use crate::shape::document;
use crate::source::Fault;

document! {
/// A problem.
#[derive(Debug, Serialize)]
pub(super) struct ErrorReport {
    /// `usage`, `definition`, `failed`, `evidence`, `conflict`, `internal`; or `skipped`: a table that it reads failed.
    pub kind: &'static str,
    /// What happened.
    pub message: String,
    /// Its causes, outermost first.
    pub causes: Vec<String>,
    /// Its facts, most important first.
    pub facts: Vec<FactReport>,
    /// The next thing to type.
    pub help: Option<String>,
    /// Faults of the project's files.
    pub faults: Vec<FaultReport>,
}
}

document! {
/// One labelled fact.
#[derive(Debug, Serialize)]
pub(super) struct FactReport {
    /// `table`, `rows`, `because`, ...
    pub label: String,
    /// Its value.
    pub value: String,
}
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind().name(),
            message: error.message().to_owned(),
            causes: error.causes(),
            facts: error
                .facts()
                .iter()
                .map(|(label, value)| FactReport { label: label.clone(), value: value.clone() })
                .collect(),
            help: error.next().map(str::to_owned),
            faults: error.faults().iter().map(FaultReport::from).collect(),
        }
    }
}

impl ErrorReport {
    /// A table that was skipped because `source` failed or was skipped.
    pub(super) fn skipped(source: &TableName) -> Self {
        Self {
            kind: "skipped",
            message: format!("`{source}`, which it reads, is not at the cut"),
            causes: Vec::new(),
            facts: vec![FactReport { label: "because".into(), value: source.to_string() }],
            help: None,
            faults: Vec::new(),
        }
    }
}

document! {
/// One fault with its place.
#[derive(Debug, Serialize)]
pub(super) struct FaultReport {
    /// Path relative to the project folder; `null` for a whole missing file.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What was found.
    pub message: String,
    /// What was expected.
    pub label: String,
    /// The next thing to do.
    pub help: Option<String>,
}
}

impl From<&Fault> for FaultReport {
    fn from(fault: &Fault) -> Self {
        let at = fault.place.as_ref().map(crate::source::Place::line_column);
        Self {
            file: fault.place.as_ref().map(|p| p.file.path.display().to_string()),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            message: fault.message.clone(),
            label: fault.label.clone(),
            help: fault.help.clone(),
        }
    }
}

document! {
/// A problem that did not stop the table.
#[derive(Debug, Serialize)]
pub(super) struct WarningReport {
    /// What happened.
    pub message: String,
    /// Details.
    pub details: Vec<String>,
    /// The next thing to type.
    pub help: Option<String>,
}
}

/// A warning in a document.
pub(super) fn warning(warning: &Warning) -> WarningReport {
    WarningReport { message: warning.message.clone(), details: warning.details.clone(), help: warning.help.clone() }
}

/// Seconds, to the millisecond.
pub(super) fn seconds(elapsed: Duration) -> f64 {
    // Exact up to a run of 285 million years.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ms")]
    let milliseconds = elapsed.as_millis() as f64;
    milliseconds / 1000.0
}
