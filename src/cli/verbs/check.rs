//! `check`: the project's files. Its document is `check/1`: faults and notes.

use serde::Serialize;

use crate::cli::document::{ErrorReport, FaultReport};
use crate::cli::render::{error, text};
use crate::cli::{Format, Session, exit};
use crate::definition::Project;
use crate::error::{Error, Result};
use crate::shape::document;
use crate::source::Fault;
use crate::workspace;

pub(in crate::cli) async fn run(session: &mut Session<'_>) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let checked = match session.root() {
        Ok(root) => workspace::check(&root).await,
        Err(error) => Err(error),
    };
    let project = session.or_document(format, checked, |error| document(Err(error)))?;
    session.ui.progress().opened(&project.name, None);
    if format == Format::Json {
        session.ui.document(&document(Ok((&project.name, project.tables.len(), &project.notes))));
    } else {
        for note in &project.notes {
            let text = error::note(note, session.ui.color_err());
            session.ui.problem(&text);
        }
        session.ui.answer(&answer(&project));
    }
    Ok(exit::DONE)
}

/// A project without faults.
fn answer(project: &Project) -> String {
    let tables = text::count(project.tables.len() as u64, "table");
    let zones = text::count(project.zones.len() as u64, "zone");
    let warnings = match project.notes.len() as u64 {
        0 => String::new(),
        notes => format!(", {}", text::count(notes, "warning")),
    };
    format!("{}: {tables} in {zones}, no errors{warnings}.\n", project.name)
}

document! {
/// The result of `check`.
#[derive(Debug, Serialize)]
pub(crate) struct CheckReport {
    /// `check/1`.
    pub report: &'static str,
    /// Project name; `null` if it could not be read.
    pub project: Option<String>,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Tables of a project without faults.
    pub tables: Option<usize>,
    /// All faults, in the order of files and places.
    pub faults: Vec<FaultReport>,
    /// Parts that Athena reads differently, or not at all, of a project without faults.
    pub warnings: Vec<FaultReport>,
    /// Another error that stopped the check: there is no project here, a file cannot be read.
    pub error: Option<ErrorReport>,
}
}

/// The document of a check: `Ok` = name, number of tables and notes of a project without faults.
#[must_use]
pub(in crate::cli) fn document(result: Result<(&str, usize, &[Fault]), &Error>) -> CheckReport {
    let error = result.err();
    CheckReport {
        report: "check/1",
        project: result.ok().map(|(name, ..)| name.to_owned()),
        exit_code: error.map_or(exit::DONE, |e| exit::of(e.kind())),
        tables: result.ok().map(|(_, tables, _)| tables),
        faults: error.map(|e| e.faults().iter().map(FaultReport::from).collect()).unwrap_or_default(),
        warnings: result.ok().map(|(.., notes)| notes.iter().map(FaultReport::from).collect()).unwrap_or_default(),
        error: error.filter(|e| e.faults().is_empty()).map(ErrorReport::from),
    }
}
