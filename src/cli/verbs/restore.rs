//! `restore`: a derived table as it was. Its document is `restore/1`.

use clap::Args;
use serde::Serialize;

use crate::cli::args::Dates;
use crate::cli::document::ErrorReport;
use crate::cli::render::text;
use crate::cli::{Format, Session, exit};
use crate::error::{Error, Kind, Result};
use crate::migrate::{self, Moves};
use crate::outcome::RestoreOutcome;
use crate::restore;
use crate::shape::document;
use crate::travel::Point;

/// Options of `restore`.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The derived table
    pub table: String,
    /// Its version: v12, 2026-11-20 (the end of that day), 2026-11-20T10:00:00Z
    #[arg(long, value_name = "VERSION")]
    pub to: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub dates: Dates,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &RestoreArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let point = Point::parse(&args.to, &args.dates.zone()?)?;
    let result = restored(session, args, &point).await;
    let Some(outcome) = session.or_document(format, result, failed)? else {
        session.ui.status("Nothing was changed.\n");
        return Ok(exit::DONE);
    };
    if format == Format::Json {
        session.ui.document(&document(&outcome));
    } else {
        session.ui.page(&answer(&outcome));
        session.ui.status(&format!("Next: stedi-delta sync   (brings {} forward again)\n", outcome.table));
    }
    Ok(match &outcome.problem {
        Some(problem) => {
            session.ui.error(problem);
            exit::of(problem.kind())
        }
        None => exit::DONE,
    })
}

/// `None` = the answer was no.
async fn restored(session: &mut Session<'_>, args: &RestoreArgs, point: &Point) -> Result<Option<RestoreOutcome>> {
    let lake = session.lake().await?;
    let workspace = migrate::placed(&lake.workspace, Moves::Pending).await?;
    let restoration = restore::prepare(&workspace, &args.table, point).await?;
    let outcome = &restoration.outcome;
    if outcome.restored != outcome.version_before && !args.yes {
        let question = question(outcome);
        match session.ui.asks(&question) {
            Some(true) => {}
            Some(false) => return Ok(None),
            None => {
                let (first, rest) = question.split_once('\n').unwrap_or((question.as_str(), ""));
                let error = Error::new(Kind::Usage, "a restore needs `--yes` where nobody can be asked");
                let error = error.fact("would", first.to_owned());
                let error = if rest.is_empty() { error } else { error.fact("but", rest.trim().to_owned()) };
                return Err(
                    error.help(format!("stedi-delta restore {} --to v{} --yes", outcome.table, outcome.restored))
                );
            }
        }
    }
    restoration.carry_out(&lake.run, lake.progress.as_ref()).await.map(Some)
}

/// What it would do, and whose rows it would bring back.
fn question(outcome: &RestoreOutcome) -> String {
    let rows = outcome.rows.map(|rows| format!(", {}", text::count(rows, "row"))).unwrap_or_default();
    let first = format!("restore {} from v{} to v{}{rows}", outcome.table, outcome.version_before, outcome.restored);
    match outcome.withdrawn {
        None | Some(0) => first,
        Some(1) => format!("{first}\n1 person with rows in v{} has no consent today", outcome.restored),
        Some(count) => {
            format!("{first}\n{} people with rows in v{} have no consent today", text::number(count), outcome.restored)
        }
    }
}

/// What was done.
pub(in crate::cli) fn answer(outcome: &RestoreOutcome) -> String {
    let RestoreOutcome { table, restored, version_before, version_after, .. } = outcome;
    let Some(after) = version_after else { return format!("Nothing to do: {table} is at v{restored}.\n") };
    let rows = outcome.rows.map(|rows| format!(", {}", text::count(rows, "row"))).unwrap_or_default();
    let mut said = format!("{table}  v{version_before} -> v{after}  as of v{restored}{rows}\n");
    if let Some(count) = outcome.withdrawn.filter(|count| *count > 0) {
        let people = if count == 1 { "1 person".to_owned() } else { format!("{} people", text::number(count)) };
        let have = if count == 1 { "has" } else { "have" };
        said.push_str(&format!("It holds rows of {people} who {have} no consent today, until the next sync.\n"));
    }
    said
}

document! {
/// A restore.
#[derive(Debug, Serialize)]
pub(crate) struct RestoreReport {
    /// `restore/1`.
    pub report: &'static str,
    /// Exit code of the command.
    pub exit_code: u8,
    /// The table.
    pub table: Option<String>,
    /// The version whose rows it has now.
    pub restored: Option<u64>,
    /// Its newest version before.
    pub version_before: Option<u64>,
    /// The new version, if one was committed.
    pub version_after: Option<u64>,
    /// Data files added again.
    pub files_added: u64,
    /// Data files removed.
    pub files_removed: u64,
    /// Its rows, if the log says so.
    pub rows: Option<u64>,
    /// People with rows in it who have no consent today.
    pub withdrawn: Option<u64>,
    /// What failed.
    pub error: Option<ErrorReport>,
}
}

pub(in crate::cli) fn document(outcome: &RestoreOutcome) -> RestoreReport {
    RestoreReport {
        report: "restore/1",
        exit_code: outcome.problem.as_ref().map_or(exit::DONE, |problem| exit::of(problem.kind())),
        table: Some(outcome.table.clone()),
        restored: Some(outcome.restored),
        version_before: Some(outcome.version_before),
        version_after: outcome.version_after,
        files_added: outcome.files_added,
        files_removed: outcome.files_removed,
        rows: outcome.rows,
        withdrawn: outcome.withdrawn,
        error: outcome.problem.as_ref().map(Into::into),
    }
}

fn failed(error: &Error) -> RestoreReport {
    RestoreReport {
        report: "restore/1",
        exit_code: exit::of(error.kind()),
        table: None,
        restored: None,
        version_before: None,
        version_after: None,
        files_added: 0,
        files_removed: 0,
        rows: None,
        withdrawn: None,
        error: Some(error.into()),
    }
}
