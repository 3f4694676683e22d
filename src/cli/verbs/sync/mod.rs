//! `sync`: brings tables to the newest cut.

mod digests;
mod report;
pub(in crate::cli) mod text;

pub(in crate::cli) use report::{SyncReport, TableReport, Totals, changed, document, failed, table};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::plan;
use crate::cli::caches;
use crate::cli::lake::Lake;
use crate::cli::render::error::plain_warning;
use crate::cli::{Format, Session, exit};
use crate::defer;
use crate::definition::Notify;
use crate::error::{Error, Kind, Result};
use crate::inspect;
use crate::notify;
use crate::outcome::SyncOutcome;
use crate::pin;
use crate::storage::Storage;
use crate::sync::{self, Deferred, Options, Planned, Reload};
use crate::workspace;

/// Options of `sync`.
#[derive(Args, Clone, Debug, Default)]
pub struct SyncArgs {
    /// Only these tables and those they read
    #[arg(short, long, value_name = "TABLES", num_args = 1.., value_delimiter = ',')]
    pub select: Vec<String>,
    /// Recompute the derived tables
    #[arg(long)]
    pub full_refresh: bool,
    /// Compare every derived table with its recomputed query; exit 3 if they differ
    #[arg(long)]
    pub verify: bool,
    /// Read the files of a landing table again, or one of them
    #[arg(long, value_name = "TABLE[:PATH]")]
    pub reload: Vec<String>,
    /// Remove the rows of a file from a landing table; it is not read again until --reload names it
    #[arg(long, value_name = "TABLE:PATH")]
    pub unload: Vec<String>,
    /// Stop if a migration is pending, instead of carrying it out first
    #[arg(long)]
    pub no_migrate: bool,
    /// Apply a plan of `plan --out`: its files and nothing else; exit 4 if anything of it has changed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["select", "full_refresh", "reload", "unload", "no_migrate"])]
    pub plan: Option<PathBuf>,
    /// Read the landing tables of another target at its cut, and write only this target's derived tables
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["plan", "reload", "unload", "no_migrate"])]
    pub defer: Option<String>,
}

impl SyncArgs {
    /// The options of the operation.
    fn options(&self, run: &str) -> Options {
        Options {
            select: self.select.clone(),
            full_refresh: self.full_refresh,
            verify: self.verify,
            reload: self.reload.iter().map(|text| Reload::parse(text)).collect(),
            unload: self.unload.iter().map(|text| Reload::parse(text)).collect(),
            no_migrate: self.no_migrate,
            plan: None,
            deferred: None,
            run: Some(run.to_owned()),
            cache: caches::folder(),
        }
    }
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &SyncArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let prepared = prepared(session, args).await;
    if let Err(error) = &prepared {
        notified_of(session, error).await;
    }
    let (lake, options) = session.or_document(format, prepared, failed)?;
    let mut outcome = sync::sync(&lake.workspace, &options, &lake.progress).await;
    match pin::after_sync(&lake.workspace, &outcome).await {
        Ok(pins) => outcome.pins = pins,
        Err(error) => outcome.problem = outcome.problem.or(Some(error)),
    }
    let exit_code = told(session, format, &outcome);
    let project = &lake.workspace.project;
    if let Some(notify) = &project.notify {
        notified(session, notify, &project.root, &document(&outcome)).await;
    }
    Ok(exit_code)
}

/// The lake, and what a sync of it is to do.
async fn prepared(session: &mut Session<'_>, args: &SyncArgs) -> Result<(Lake, Options)> {
    let lake = session.lake().await?;
    let mut options = args.options(&lake.run);
    if let Some(path) = &args.plan {
        let (select, planned) = planned(&lake, path).await?;
        (options.select, options.plan) = (select, Some(Arc::new(planned)));
    }
    if let Some(other) = &args.defer {
        let deferred = defer::landing_tables(&lake.workspace, other, Storage::default()).await?;
        let Deferred { target, run, ended, .. } = &deferred;
        session.notes(&[format!("landing tables are those of target `{target}`, as run {run} left them at {ended}")]);
        options.deferred = Some(Arc::new(deferred));
    }
    Ok((lake, options))
}

/// Sends the report of a sync that could not start, if the project can be read.
async fn notified_of(session: &mut Session<'_>, error: &Error) {
    let Some(project) = session.root().ok().and_then(|root| workspace::load(&root).ok()) else { return };
    if let Some(notify) = project.notify.as_ref().filter(|_| error.kind() != Kind::Usage) {
        notified(session, notify, &project.root, &failed(error)).await;
    }
}

/// Sends a report to those who are notified. What cannot be sent is a warning.
async fn notified(session: &mut Session<'_>, notify: &Notify, root: &Path, report: &SyncReport) {
    if notify.only_failures && report.exit_code == exit::DONE {
        return;
    }
    let Ok(report) = serde_json::to_string(report) else { return };
    for error in notify::send(notify, &report, root).await {
        let causes: Vec<String> = error.causes().into_iter().map(|cause| format!("because: {cause}")).collect();
        let text = plain_warning(error.message(), &causes, session.ui.color_err());
        session.ui.problems(&text);
    }
}

/// The selectors of a saved plan, and what it expects, after it was compared with the lake.
async fn planned(lake: &Lake, path: &Path) -> Result<(Vec<String>, Planned)> {
    let saved = plan::read(path)?;
    let planned = inspect::bind(&lake.workspace, &saved).await?;
    Ok((saved.select, planned))
}

/// Prints the result of a sync.
pub(in crate::cli) fn told(session: &mut Session<'_>, format: Format, outcome: &SyncOutcome) -> u8 {
    let exit_code = exit::of_sync(outcome);
    let ui = &mut *session.ui;
    if exit_code == exit::of(Kind::Usage) {
        // The request was wrong: there is nothing to report.
    } else if format == Format::Json {
        ui.document(&document(outcome));
    } else {
        ui.page(&text::answer(outcome));
    }
    ui.sums(&Totals::of(outcome));
    ui.problems_of(&outcome.tables, outcome.problem.as_ref());
    if let Some(left) = text::left_in_catalog(&outcome.left, &outcome.catalog, ui.color_err()) {
        ui.problems(&left);
    }
    if let (Format::Table, Some(next)) = (format, text::next(outcome)) {
        ui.status(&next);
    }
    exit_code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;
    use crate::cli::verbs::Verb;

    #[test]
    fn options_reach_the_operation() {
        let line = "stedi-delta sync -s a b --full-refresh --verify --reload c:x.json --unload d:y.json --no-migrate";
        let Verb::Sync(args) = parse(line.split(' ').map(Into::into)).expect("a command line").verb else { panic!() };
        let options = args.options("r1");
        let expected = Options {
            select: vec!["a".into(), "b".into()],
            full_refresh: true,
            verify: true,
            reload: vec![Reload { table: "c".into(), path: Some("x.json".into()) }],
            unload: vec![Reload { table: "d".into(), path: Some("y.json".into()) }],
            no_migrate: true,
            plan: None,
            deferred: None,
            run: Some("r1".into()),
            cache: caches::folder(),
        };
        assert_eq!(format!("{options:?}"), format!("{expected:?}"));
    }
}
