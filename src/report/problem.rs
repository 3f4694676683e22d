//! Errors in a document.

use serde::Serialize;

use super::FaultReport;
use crate::error::Error;
use crate::name::TableName;

/// Why something is not as it should be.
#[derive(Debug, Serialize)]
pub struct ErrorReport {
    /// `usage`, `definition`, `failed`, `evidence`, `conflict`, `internal`; or `skipped`: a table that it reads failed.
    pub kind: &'static str,
    /// What happened.
    pub message: String,
    /// Its causes, outermost first.
    pub causes: Vec<String>,
    /// Facts around it, in the order in which they are worth reading.
    pub facts: Vec<FactReport>,
    /// The next thing to type.
    pub help: Option<String>,
    /// Faults of the project's files.
    pub faults: Vec<FaultReport>,
}

/// One labelled fact.
#[derive(Debug, Serialize)]
pub struct FactReport {
    /// `table`, `rows`, `because`, ...
    pub label: String,
    /// What there is to say.
    pub value: String,
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
    /// A table that stays behind because `source` did.
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
