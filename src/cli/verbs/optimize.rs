//! `optimize`: merges small files of tables. Its document is `optimize/1`.

use clap::Args;
use serde::Serialize;

use crate::cli::document::{ErrorReport, seconds};
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{bytes, count, duration, unless_same};
use crate::cli::{Format, Session, exit};
use crate::error::{Error, Result};
use crate::migrate::{self, Moves};
use crate::optimize::{self, Options};
use crate::outcome::{OptimizeOutcome, OptimizedTable};
use crate::shape::document;

/// Options of `optimize`.
#[derive(Args, Clone, Debug)]
pub struct OptimizeArgs {
    /// Tables, quarantines, or files, runs, pins [default: all]
    pub tables: Vec<String>,
    /// Say which files would be merged, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write every file again, sorted by `cluster_by`, unless it is already
    #[arg(long)]
    pub full: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &OptimizeArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = optimized(session, args).await;
    let outcome = session.or_document(format, result, failed)?;
    let exit_code = exit::of_optimize(&outcome);
    if format == Format::Json {
        session.ui.document(&document(&outcome));
    } else {
        session.ui.page(&answer(&outcome));
    }
    for table in &outcome.tables {
        if let Some(problem) = &table.problem {
            session.ui.error(problem);
        }
    }
    Ok(exit_code)
}

async fn optimized(session: &mut Session<'_>, args: &OptimizeArgs) -> Result<OptimizeOutcome> {
    let lake = session.lake().await?;
    let workspace = migrate::placed(&lake.workspace, Moves::Pending).await?;
    let options = Options { tables: args.tables.clone(), dry_run: args.dry_run, full: args.full };
    optimize::optimize(&workspace, &options, &lake.run, lake.progress.as_ref()).await
}

/// Tables whose files were merged, or would be, and those that were left as they are.
pub(in crate::cli) fn answer(outcome: &OptimizeOutcome) -> String {
    let mut grid = Grid::new(vec![
        Column::left(0, 0),
        Column::left(3, 0),
        Column::left(3, 0),
        Column::left(3, 0),
        Column::left(3, 0),
    ]);
    let mut zone = "";
    let (mut shown, mut even) = (0, 0);
    for table in &outcome.tables {
        if table.files_merged == 0 && table.skipped.is_none() && table.problem.is_none() {
            even += 1;
            continue;
        }
        shown += 1;
        let (read, written) = (bytes(table.bytes_read), bytes(table.bytes_written));
        grid.row(vec![
            unless_same(&table.zone, zone),
            table.table.clone(),
            versions(table),
            what(table, outcome.dry_run),
            match (table.files_merged, outcome.dry_run) {
                (0, _) => String::new(),
                (_, true) => read,
                (_, false) => format!("{read} -> {written}"),
            },
        ]);
        zone = &table.zone;
    }
    let mut said = grid.text();
    if shown > 0 {
        said.push('\n');
    }
    let merged: u64 = outcome.tables.iter().map(|table| table.files_merged).sum();
    if merged == 0 && shown == 0 {
        said.push_str(&format!("Nothing to gain in {}.\n", count(even, "table")));
        return said;
    }
    let written: u64 = outcome.tables.iter().map(|table| table.files_written).sum();
    let would = if outcome.dry_run { "would be merged" } else { "merged" };
    let files = count(merged, "file");
    said.push_str(&format!("{files} {would} into {written} in {}.", duration(outcome.elapsed)));
    if even > 0 {
        said.push_str(&format!(" Nothing to gain in {}.", count(even, "other table")));
    }
    said.push('\n');
    said
}

fn versions(table: &OptimizedTable) -> String {
    let version = |version: Option<u64>| version.map_or_else(String::new, |version| format!("v{version}"));
    if table.version_before == table.version_after {
        return version(table.version_before);
    }
    format!("{} -> {}", version(table.version_before), version(table.version_after))
}

/// What was done, or why not.
pub(in crate::cli) fn what(table: &OptimizedTable, dry_run: bool) -> String {
    let about = if dry_run { "about " } else { "" };
    let merged = (table.files_merged > 0)
        .then(|| format!("{} into {about}{}", count(table.files_merged, "file"), table.files_written));
    let skipped = table.skipped.as_ref().map(|why| format!("left: {why}"));
    let failed = table.problem.as_ref().map(|_| "failed".to_owned());
    [merged, skipped, failed].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

document! {
/// The result of `optimize`.
#[derive(Debug, Serialize)]
pub(crate) struct OptimizeReport {
    /// `optimize/1`.
    pub report: &'static str,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Project name; `null`, like the next one, if the project could not be opened.
    pub project: Option<String>,
    /// Target name.
    pub target: Option<String>,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// Tables that exist, in the order of the project.
    pub tables: Vec<OptimizedReport>,
    /// Wall-clock time.
    pub seconds: Option<f64>,
    /// What failed apart from tables.
    pub error: Option<ErrorReport>,
}
}

document! {
/// The result for one table.
#[derive(Debug, Serialize)]
pub(crate) struct OptimizedReport {
    /// Table name.
    pub table: String,
    /// Its zone; `system` for tables of the tool's own.
    pub zone: String,
    /// URL or absolute path.
    pub location: String,
    /// Version before.
    pub version_before: Option<u64>,
    /// Version after.
    pub version_after: Option<u64>,
    /// Data files before.
    pub files_before: u64,
    /// Data files after; an estimate with `--dry-run`.
    pub files_after: u64,
    /// Data files that were merged.
    pub files_merged: u64,
    /// Data files into which they were; an estimate with `--dry-run`.
    pub files_written: u64,
    /// Bytes of the merged files.
    pub bytes_read: u64,
    /// Bytes of the new ones.
    pub bytes_written: u64,
    /// Rows in them.
    pub rows: u64,
    /// Commits.
    pub commits: u64,
    /// Why it was left as it is, or its rest was.
    pub skipped: Option<String>,
    /// Wall-clock time.
    pub seconds: f64,
    /// What failed.
    pub error: Option<ErrorReport>,
}
}

pub(in crate::cli) fn document(outcome: &OptimizeOutcome) -> OptimizeReport {
    OptimizeReport {
        report: "optimize/1",
        exit_code: exit::of_optimize(outcome),
        project: Some(outcome.project.clone()),
        target: Some(outcome.target.clone()),
        dry_run: outcome.dry_run,
        tables: outcome.tables.iter().map(table).collect(),
        seconds: Some(seconds(outcome.elapsed)),
        error: None,
    }
}

/// The result for one table, also in `sync/1`.
pub(in crate::cli) fn table(table: &OptimizedTable) -> OptimizedReport {
    OptimizedReport {
        table: table.table.clone(),
        zone: table.zone.clone(),
        location: table.location.clone(),
        version_before: table.version_before,
        version_after: table.version_after,
        files_before: table.files_before,
        files_after: table.files_after,
        files_merged: table.files_merged,
        files_written: table.files_written,
        bytes_read: table.bytes_read,
        bytes_written: table.bytes_written,
        rows: table.rows,
        commits: table.commits,
        skipped: table.skipped.clone(),
        seconds: seconds(table.elapsed),
        error: table.problem.as_ref().map(Into::into),
    }
}

fn failed(error: &Error) -> OptimizeReport {
    OptimizeReport {
        report: "optimize/1",
        exit_code: exit::of(error.kind()),
        project: None,
        target: None,
        dry_run: false,
        tables: Vec::new(),
        seconds: None,
        error: Some(error.into()),
    }
}
