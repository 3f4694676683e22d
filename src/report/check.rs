//! `check/1`: the faults of a project's files, and the notes on them.

use serde::Serialize;

use super::ErrorReport;
use crate::error::Error;
use crate::source::Fault;

/// What `check` found.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// `check/1`.
    pub report: &'static str,
    /// Project name; `null` where it could not be read.
    pub project: Option<String>,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Tables of a project without faults.
    pub tables: Option<usize>,
    /// All faults, in the order of files and places.
    pub faults: Vec<FaultReport>,
    /// What Athena reads in another way, or not at all; of a project without faults.
    pub warnings: Vec<FaultReport>,
    /// What else stopped the check: there is no project here, a file cannot be read.
    pub error: Option<ErrorReport>,
}

/// One fault with its place.
#[derive(Debug, Serialize)]
pub struct FaultReport {
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

/// The document of a check: `Ok` = name, number of tables and notes of a project without faults.
#[must_use]
pub fn check(result: Result<(&str, usize, &[Fault]), &Error>) -> CheckReport {
    let error = result.err();
    CheckReport {
        report: "check/1",
        project: result.ok().map(|(name, ..)| name.to_owned()),
        exit_code: error.map_or(0, |e| e.kind().exit_code()),
        tables: result.ok().map(|(_, tables, _)| tables),
        faults: error.map(|e| e.faults().iter().map(FaultReport::from).collect()).unwrap_or_default(),
        warnings: result.ok().map(|(.., notes)| notes.iter().map(FaultReport::from).collect()).unwrap_or_default(),
        error: error.filter(|e| e.faults().is_empty()).map(ErrorReport::from),
    }
}
