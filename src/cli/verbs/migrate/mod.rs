//! `migrate`: what the files of `migrations/` say, and what of it this lake has. Its documents are `migrations/1`.

mod new;
mod report;
pub(in crate::cli) mod text;

use clap::{Args, Subcommand};

pub(in crate::cli) use new::{DraftReport, LintReport};
pub(in crate::cli) use report::{Done, MigrationReport, MigrationsReport, document, failed, migration};

use crate::cli::{Format, Session, exit};
use crate::error::Result;
use crate::migrate::{self, AppliedAlone, Asked};

/// The verbs of migrations.
#[derive(Clone, Debug, Subcommand)]
pub enum MigrateVerb {
    /// Draft the migration that brings the tables to their definitions; writes into the project
    New(NewArgs),
    /// Show the state of every migration in this lake; writes nothing
    Status,
    /// Apply pending migrations, as every sync does first
    Apply(ApplyArgs),
    /// Report what the newest migration loses, breaks or changes; reads only the project
    Lint(LintArgs),
}

/// Options of `migrate new`.
#[derive(Args, Clone, Debug)]
pub struct NewArgs {
    /// The name of the file: `crm_names` for migrations/0001_crm_names.sql
    pub label: String,
    /// A renamed column or field, or TABLE=NAME: a renamed table
    #[arg(long, value_name = "TABLE.COLUMN=NAME")]
    pub rename: Vec<String>,
    /// Draft the newest migration again, instead of a further one; only before a lake has it
    #[arg(long)]
    pub replace: bool,
}

/// Options of `migrate lint`.
#[derive(Args, Clone, Debug)]
pub struct LintArgs {
    /// Check every migration, not only the newest
    #[arg(long)]
    pub all: bool,
}

/// Options of `migrate apply`.
#[derive(Args, Clone, Debug)]
pub struct ApplyArgs {
    /// Check them, rows included, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, verb: &MigrateVerb) -> Result<u8> {
    let done = match verb {
        MigrateVerb::New(args) => return new::run(session, args).await,
        MigrateVerb::Lint(args) => return new::lint(session, args),
        MigrateVerb::Status => Done::Nothing,
        MigrateVerb::Apply(args) if args.dry_run => Done::Checked,
        MigrateVerb::Apply(_) => Done::Applied,
    };
    let format = session.format(&[Format::Table, Format::Json])?;
    let lake = session.lake().await;
    let lake = session.or_document(format, lake, |error| failed(done, error))?;
    let result = match verb {
        MigrateVerb::Apply(args) => {
            let asked = Asked { run: &lake.run, dry_run: args.dry_run };
            migrate::apply_alone(&lake.workspace, asked, lake.progress.as_ref()).await
        }
        _ => migrate::status(&lake.workspace).await.map(|migrations| AppliedAlone { migrations, problem: None }),
    };
    let AppliedAlone { migrations, problem } = session.or_document(format, result, |error| failed(done, error))?;
    let code = problem.as_ref().map_or(exit::DONE, |problem| exit::of(problem.kind()));
    if format == Format::Json {
        session.ui.document(&document(done, &migrations, problem.as_ref()));
        return Ok(code);
    }
    session.ui.page(&text::answer(done, &migrations));
    if let Some(problem) = &problem {
        session.ui.error(problem);
    }
    if let Some(next) = text::next(done, &migrations) {
        session.ui.status(next);
    }
    Ok(code)
}
