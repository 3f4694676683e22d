//! `history`: the versions of a table. Its document is `history/1`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use crate::cli::args::Dates;
use crate::cli::document::ErrorReport;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::{explained, text};
use crate::cli::{Format, Session, exit};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::inspect::{self, HistoryOptions};
use crate::outcome::{History, HistoryEntry};
use crate::privacy::one_line;
use crate::shape::document;
use crate::travel::Point;

/// Options of `history`.
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    /// The table, as it is called or was called
    pub table: String,
    /// Most versions to show
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
    /// Only versions since then: v12, 2026-11-20 (the beginning of that day), 2026-11-20T10:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Show also versions in which a sync changed nothing
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub dates: Dates,
}

impl HistoryArgs {
    fn shown(&self) -> Result<HistoryOptions> {
        let zone = self.dates.zone()?;
        let since = self.since.as_deref().map(|text| Point::since(text, &zone)).transpose()?;
        Ok(HistoryOptions { limit: self.limit, since })
    }
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &HistoryArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let shown = args.shown()?;
    let result = match session.lake().await {
        Ok(lake) => inspect::history(&lake.workspace, &args.table, &shown).await,
        Err(error) => Err(error),
    };
    let history = session.or_document(format, result, |error| failed(&args.table, error))?;
    session.notes(&history.notes);
    if format == Format::Json {
        session.ui.document(&document(&args.table, &history.entries));
    } else {
        session.ui.page(&answer(&history, args.all));
    }
    Ok(exit::DONE)
}

/// Versions of a table, newest first; those in which nothing changed are counted unless `all`.
pub(in crate::cli) fn answer(history: &History, all: bool) -> String {
    let entries = &history.entries;
    if entries.is_empty() {
        return "No versions.\n".into();
    }
    let mut grid = Grid::new(vec![
        Column::left(0, 0),
        Column::left(2, 0),
        Column::left(2, 0),
        Column::right(2, 0),
        Column::right(2, 0),
        Column::left(2, 0),
    ]);
    // What stands below each row of the grid.
    let mut below: Vec<String> = Vec::new();
    let mut quiet = 0;
    let mut first = String::new();
    let indent = " ".repeat(entries.first().map_or(0, |entry| entry.version.to_string().len()) + 3);
    let fold = |quiet: &mut usize| {
        let line = match std::mem::take(quiet) {
            0 => return String::new(),
            1 => "1 sync changed nothing here".to_owned(),
            count => format!("{count} syncs changed nothing here"),
        };
        format!("{indent}{line}\n")
    };
    for entry in entries {
        if entry.is_quiet && !all {
            quiet += 1;
            continue;
        }
        let folded = fold(&mut quiet);
        below.last_mut().unwrap_or(&mut first).push_str(&folded);
        grid.row(vec![
            format!("v{}", entry.version),
            text::date_time(entry.committed_ms),
            entry.operation.clone(),
            entry.rows.map(|[inserted, updated, deleted]| text::change(inserted, updated, deleted)).unwrap_or_default(),
            files(entry.files),
            explained(entry.mode.as_deref().unwrap_or_default(), entry.reason.as_deref().unwrap_or_default()),
        ]);
        let origin = origin(entry);
        below.push(if origin.is_empty() { origin } else { format!("{indent}{}\n", one_line(&origin)) });
    }
    let folded = fold(&mut quiet);
    below.last_mut().unwrap_or(&mut first).push_str(&folded);
    let mut text = first;
    for (line, below) in grid.text().lines().zip(below) {
        text.push_str(line);
        text.push('\n');
        text.push_str(&below);
    }
    if let Some(begins) = history.begins {
        text.push_str(&format!("Versions before v{begins} are no longer in the log.\n"));
    }
    text
}

/// `2 files`, `+2 -1 files`.
fn files([added, removed]: [u64; 2]) -> String {
    match (added, removed) {
        (0, 0) => String::new(),
        (added, 0) => text::count(added, "file"),
        (0, 1) => "-1 file".to_owned(),
        (added, removed) => format!("{} files", text::change(added, 0, removed)),
    }
}

/// Who made a version, and from what.
fn origin(entry: &HistoryEntry) -> String {
    let who = entry.run.as_ref().map(|run| format!("run {run}"));
    let who = who.or_else(|| entry.engine.as_ref().map(|engine| format!("by {engine}")));
    let sources = sources(entry);
    let from = (!sources.is_empty()).then(|| format!("from {sources}"));
    let definition = entry.definition.as_ref().filter(|_| entry.is_new_definition);
    let definition = definition.map(|hash| format!("new definition {}", &hash[..8]));
    let clock = (entry.clock == "object").then(|| "time of the object in the store".to_owned());
    [who, from, definition, clock].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn sources(entry: &HistoryEntry) -> String {
    let sources: Vec<String> = entry
        .sources
        .iter()
        .map(|(name, number)| if name == "batch" { format!("batch {number}") } else { format!("{name} v{number}") })
        .collect();
    sources.join(", ")
}

document! {
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
}

document! {
/// One version.
#[derive(Debug, Serialize)]
pub(crate) struct VersionReport {
    /// Delta version.
    pub version: u64,
    /// When it was committed.
    pub committed_at: String,
    /// By which clock: `in_commit`, `writer` or `object`.
    pub clock: &'static str,
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
    /// Data files added.
    pub files_added: u64,
    /// Data files removed.
    pub files_removed: u64,
    /// The definition by which this version was computed, as a hash.
    pub definition: Option<String>,
    /// Whether a sync changed nothing in it.
    pub unchanged: bool,
    /// Source table -> version from which this version was computed.
    pub sources: BTreeMap<String, u64>,
}
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
        committed_at: rfc3339(entry.committed_ms),
        clock: entry.clock,
        operation: entry.operation.clone(),
        engine: entry.engine.clone(),
        mode: entry.mode.clone(),
        reason: entry.reason.clone(),
        run: entry.run.clone(),
        rows_inserted: entry.rows.map(|[inserted, _, _]| inserted),
        rows_updated: entry.rows.map(|[_, updated, _]| updated),
        rows_deleted: entry.rows.map(|[_, _, deleted]| deleted),
        files_added: entry.files[0],
        files_removed: entry.files[1],
        definition: entry.definition.clone(),
        unchanged: entry.is_quiet,
        sources: entry.sources.clone(),
    }
}
