//! `migrate new` and `migrate lint`: what concerns the project's files. Their documents are `draft/1` and `lint/1`.

use serde::Serialize;

use super::{LintArgs, NewArgs};
use crate::cli::document::{ErrorReport, FaultReport};
use crate::cli::render::error;
use crate::cli::{Format, Session, exit};
use crate::error::{Error, Kind, Result};
use crate::migrate::{self, Before, Draft, Renamed, Wanted};
use crate::shape::document;
use crate::source::Fault;
use crate::workspace;

pub(super) async fn run(session: &mut Session<'_>, args: &NewArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let drafted = drafted(session, args).await;
    let draft = session.or_document(format, drafted, |error| document(Err(error)))?;
    if format == Format::Json {
        session.ui.document(&document(Ok(&draft)));
        return Ok(exit::DONE);
    }
    session.ui.answer(&answer(&draft));
    if let Some(file) = &draft.file {
        session.ui.status(&format!("Next: read {}, then stedi-delta migrate apply --dry-run\n", file.display()));
    }
    Ok(exit::DONE)
}

async fn drafted(session: &mut Session<'_>, args: &NewArgs) -> Result<Draft> {
    let renamed = args.rename.iter().map(|text| Renamed::parse(text)).collect::<Result<Vec<_>>>()?;
    let mut project = workspace::load(&session.root()?)?;
    session.ui.progress().opened(&project.name, None);
    let mut replaced = None;
    if args.replace {
        // Where the lake cannot be read, it says so itself once it can.
        if let (Some(newest), Ok(lake)) = (project.migrations.last(), session.lake().await) {
            migrate::replaceable(&lake.workspace, newest).await?;
        }
        replaced = Some(migrate::set_aside(&mut project)?);
    }
    // Without a record of what the tables had, the lake itself says it.
    let before = match Before::recorded(&project)? {
        Some(before) => before,
        None => Before::stored(&session.lake().await?.workspace).await?,
    };
    let wanted = Wanted { label: &args.label, renamed: &renamed, replaced: replaced.as_deref() };
    migrate::draft(&project, wanted, &before)
}

fn answer(draft: &Draft) -> String {
    let mut text = String::new();
    match &draft.file {
        Some(file) => {
            text.push_str(&format!("{}\n", file.display()));
            draft.statements.iter().for_each(|statement| text.push_str(&format!("  {statement}\n")));
        }
        None => text.push_str("Nothing needs a migration.\n"),
    }
    if let Some(removed) = &draft.removed {
        text.push_str(&format!("{} is removed.\n", removed.display()));
    }
    if !draft.additions.is_empty() {
        text.push_str("The next sync adds by itself:\n");
        draft.additions.iter().for_each(|addition| text.push_str(&format!("  {addition}\n")));
    }
    if !draft.losses.is_empty() {
        text.push_str("Derived tables lose columns with their queries:\n");
        draft.losses.iter().for_each(|loss| text.push_str(&format!("  {loss}\n")));
    }
    if draft.wrote_snapshot {
        text.push_str("migrations/schema.json is written: commit it, too.\n");
    }
    text
}

document! {
/// The drafted migration.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct DraftReport {
    /// `draft/1`.
    report: &'static str,
    /// Exit code of the command.
    exit_code: u8,
    /// The migration, under the project's folder; `null` = none is needed.
    file: Option<String>,
    /// The migration that was there before, if its file was removed; omitted otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<String>,
    /// Its statements.
    statements: Vec<String>,
    /// Additions that the next sync makes without a migration.
    additions: Vec<String>,
    /// Columns that derived tables lose with their queries.
    losses: Vec<String>,
    /// Whether `migrations/schema.json` was written.
    wrote_schema: bool,
    /// Why nothing was drafted.
    error: Option<ErrorReport>,
}
}

fn document(result: Result<&Draft, &Error>) -> DraftReport {
    let draft = result.as_ref().ok();
    let list = |of: fn(&Draft) -> &Vec<String>| draft.map(|draft| of(draft).clone()).unwrap_or_default();
    DraftReport {
        report: "draft/1",
        exit_code: result.as_ref().err().map_or(exit::DONE, |error| exit::of(error.kind())),
        file: draft.and_then(|draft| draft.file.as_ref()).map(|file| file.display().to_string()),
        removed: draft.and_then(|draft| draft.removed.as_ref()).map(|file| file.display().to_string()),
        statements: list(|draft| &draft.statements),
        additions: list(|draft| &draft.additions),
        losses: list(|draft| &draft.losses),
        wrote_schema: draft.is_some_and(|draft| draft.wrote_snapshot),
        error: result.err().map(ErrorReport::from),
    }
}

pub(super) fn lint(session: &mut Session<'_>, args: &LintArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let found = session.root().and_then(|root| workspace::load(&root)).and_then(|p| migrate::lint(&p, args.all));
    let found = session.or_document(format, found, |error| linted(Err(error)))?;
    if format == Format::Json {
        session.ui.document(&linted(Ok(&found)));
    } else {
        for finding in &found {
            let text = error::note(finding, session.ui.color_err());
            session.ui.problem(&text);
        }
        if found.is_empty() {
            session.ui.answer("Nothing to say: no migration loses, breaks or changes anything.\n");
        }
    }
    Ok(if found.is_empty() { exit::DONE } else { exit::of(Kind::Evidence) })
}

document! {
/// The findings about migrations.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct LintReport {
    /// `lint/1`.
    report: &'static str,
    /// Exit code of the command.
    exit_code: u8,
    /// Losses, breaks and changes.
    findings: Vec<FaultReport>,
    /// Why there is no answer.
    error: Option<ErrorReport>,
}
}

fn linted(result: Result<&Vec<Fault>, &Error>) -> LintReport {
    let code = |found: &&Vec<Fault>| if found.is_empty() { exit::DONE } else { exit::of(Kind::Evidence) };
    LintReport {
        report: "lint/1",
        exit_code: result.as_ref().map_or_else(|error| exit::of(error.kind()), code),
        findings: result.as_ref().map(|found| found.iter().map(FaultReport::from).collect()).unwrap_or_default(),
        error: result.err().map(ErrorReport::from),
    }
}
