//! `catalog/1`: the catalog compared with logs and definitions, or updated.

use serde::Serialize;

use crate::cli::document::ErrorReport;
use crate::cli::exit;
use crate::error::Error;
use crate::outcome::{CatalogOutcome, Drift, EntryOutcome, EntryState};
use crate::shape::document;

document! {
/// A catalog and a project.
#[derive(Debug, Serialize)]
pub(crate) struct CatalogReport {
    /// `catalog/1`.
    pub report: &'static str,
    /// Project name.
    pub project: Option<String>,
    /// Target name.
    pub target: Option<String>,
    /// The name of the catalog.
    pub catalog: Option<String>,
    /// Database in it.
    pub database: Option<String>,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Tables in the order of the project, then those that left it.
    pub tables: Vec<EntryReport>,
    /// The error that stopped the command, or a part of it.
    pub error: Option<ErrorReport>,
}
}

document! {
/// A table and its entry.
#[derive(Debug, Serialize)]
pub(crate) struct EntryReport {
    /// Table name.
    pub table: String,
    /// URL or absolute path.
    pub location: String,
    /// `equal`, `missing`, `differs`, `elsewhere`, `foreign`, `not_created`, `gone`, `unreadable`, `left`, `created`, `updated`,
    /// `dropped`.
    pub state: EntryState,
    /// Fields of the entry that differ.
    pub drift: Vec<Drift>,
    /// Other problems.
    pub notes: Vec<String>,
}
}

/// The document of a catalog.
#[must_use]
pub(crate) fn document(outcome: &CatalogOutcome, exit_code: u8) -> CatalogReport {
    let entry = |e: &EntryOutcome| EntryReport {
        table: e.table.clone(),
        location: e.location.clone(),
        state: e.state,
        drift: e.drift.clone(),
        notes: e.notes.clone(),
    };
    CatalogReport {
        report: "catalog/1",
        project: Some(outcome.project.clone()),
        target: Some(outcome.target.clone()),
        catalog: Some(outcome.catalog.clone()),
        database: Some(outcome.database.clone()),
        exit_code,
        tables: outcome.entries.iter().map(entry).collect(),
        error: outcome.problem.as_ref().map(ErrorReport::from),
    }
}

/// The document if there is no result.
#[must_use]
pub(crate) fn failed(error: &Error) -> CatalogReport {
    CatalogReport {
        report: "catalog/1",
        project: None,
        target: None,
        catalog: None,
        database: None,
        exit_code: exit::of(error.kind()),
        tables: Vec::new(),
        error: Some(ErrorReport::from(error)),
    }
}
