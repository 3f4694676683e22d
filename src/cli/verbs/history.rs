//! `history`: the versions of a table. Its document is `history/1`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use crate::cli::document::ErrorReport;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::{explained, text};
use crate::cli::{Format, Session, exit};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::inspect;
use crate::outcome::HistoryEntry;

/// Options of `history`.
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    /// The table
    pub table: String,
    /// Most versions to show
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &HistoryArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => inspect::history(&lake.workspace, &args.table, args.limit).await,
        Err(error) => Err(error),
    };
    let entries = session.or_document(format, result, |error| failed(&args.table, error))?;
    if format == Format::Json {
        session.ui.document(&document(&args.table, &entries));
    } else {
        session.ui.answer(&answer(&entries));
    }
    Ok(exit::DONE)
}

/// Versions of a table, newest first.
pub(in crate::cli) fn answer(entries: &[HistoryEntry]) -> String {
    if entries.is_empty() {
        return "No versions.\n".into();
    }
    let mut grid = Grid::new(vec![
        Column::left(0, 0),
        Column::left(3, 0),
        Column::left(3, 0),
        Column::right(3, 0),
        Column::left(3, 0),
        Column::left(3, 0),
        Column::left(3, 0),
    ]);
    for entry in entries {
        grid.row(vec![
            format!("v{}", entry.version),
            entry.committed_ms.map(text::date_time).unwrap_or_default(),
            entry.operation.clone(),
            entry.rows.map(|[inserted, updated, deleted]| text::change(inserted, updated, deleted)).unwrap_or_default(),
            explained(entry.mode.as_deref().unwrap_or_default(), entry.reason.as_deref().unwrap_or_default()),
            sources(entry),
            entry.run.as_ref().map(|run| format!("run {run}")).or_else(|| entry.engine.clone()).unwrap_or_default(),
        ]);
    }
    grid.text()
}

fn sources(entry: &HistoryEntry) -> String {
    let sources: Vec<String> = entry
        .sources
        .iter()
        .map(|(name, number)| if name == "batch" { format!("batch {number}") } else { format!("{name} v{number}") })
        .collect();
    sources.join(", ")
}

/// The versions of a table.
#[derive(Debug, Serialize)]
pub(crate) struct HistoryReport {
    /// `history/1`.
    pub report: &'static str,
    /// Table name, as asked for.
    pub table: String,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Newest first.
    pub versions: Vec<VersionReport>,
    /// Why there is no result.
    pub error: Option<ErrorReport>,
}

/// One version.
#[derive(Debug, Serialize)]
pub(crate) struct VersionReport {
    /// Delta version.
    pub version: u64,
    /// When it was committed, by the writer's clock.
    pub committed_at: Option<String>,
    /// Delta operation.
    pub operation: String,
    /// The writer.
    pub engine: Option<String>,
    /// How the table was brought up to date.
    pub mode: Option<String>,
    /// Why this mode.
    pub reason: Option<String>,
    /// Run id.
    pub run: Option<String>,
    /// New rows.
    pub rows_inserted: Option<u64>,
    /// Rows whose values changed.
    pub rows_updated: Option<u64>,
    /// Deleted rows.
    pub rows_deleted: Option<u64>,
    /// Source table -> version from which this version was computed.
    pub sources: BTreeMap<String, u64>,
}

/// The document of a history.
#[must_use]
pub(in crate::cli) fn document(table: &str, entries: &[HistoryEntry]) -> HistoryReport {
    HistoryReport {
        report: "history/1",
        table: table.to_owned(),
        exit_code: exit::DONE,
        versions: entries.iter().map(version).collect(),
        error: None,
    }
}

/// The document of a history that could not be read.
#[must_use]
pub(in crate::cli) fn failed(table: &str, error: &Error) -> HistoryReport {
    HistoryReport { exit_code: exit::of(error.kind()), error: Some(error.into()), ..document(table, &[]) }
}

fn version(entry: &HistoryEntry) -> VersionReport {
    VersionReport {
        version: entry.version,
        committed_at: entry.committed_ms.map(rfc3339),
        operation: entry.operation.clone(),
        engine: entry.engine.clone(),
        mode: entry.mode.clone(),
        reason: entry.reason.clone(),
        run: entry.run.clone(),
        rows_inserted: entry.rows.map(|[inserted, _, _]| inserted),
        rows_updated: entry.rows.map(|[_, updated, _]| updated),
        rows_deleted: entry.rows.map(|[_, _, deleted]| deleted),
        sources: entry.sources.clone(),
    }
}
