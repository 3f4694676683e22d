//! `quarantine`: records that could not land. `replay/1` is the document of reading them again.

use clap::{Args, Subcommand};
use deltalake::arrow::array::RecordBatch;
use serde::Serialize;

use super::sync::{TableReport, changed, table, text};
use crate::cli::document::ErrorReport;
use crate::cli::{Format, Session, exit, render};
use crate::error::{Error, Result};
use crate::outcome::TableOutcome;
use crate::shape::document;
use crate::{inspect, replay};

/// What to do with quarantined records.
#[derive(Clone, Debug, Subcommand)]
pub enum QuarantineVerb {
    /// List records with their file, byte offset and reason
    Ls(QuarantineLsArgs),
    /// Read the records of a table again, by its current definition
    Replay(ReplayArgs),
}

/// Options of `quarantine ls`.
#[derive(Args, Clone, Debug)]
pub struct QuarantineLsArgs {
    /// Only this table's records
    pub table: Option<String>,
    /// Most records to show
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
}

/// Options of `quarantine replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// The landing table
    pub table: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, verb: &QuarantineVerb) -> Result<u8> {
    match verb {
        QuarantineVerb::Ls(args) => {
            let format = session.format(&[Format::Table, Format::Json, Format::Ndjson, Format::Csv])?;
            let lake = session.lake().await?;
            let batches = inspect::quarantine(&lake.workspace, args.table.as_deref(), args.limit).await?;
            listed(session, format, &batches)
        }
        QuarantineVerb::Replay(args) => {
            let format = session.format(&[Format::Table, Format::Json])?;
            let result = match session.lake().await {
                Ok(lake) => replay::replay_as(&lake.workspace, &args.table, &lake.run, lake.progress.as_ref()).await,
                Err(error) => Err(error),
            };
            let outcome = session.or_document(format, result, failed)?;
            Ok(replayed(session, format, &outcome))
        }
    }
}

/// Prints records; personal data only with `--reveal`.
pub(in crate::cli) fn listed(session: &mut Session<'_>, format: Format, batches: &[RecordBatch]) -> Result<u8> {
    let shown = render::rows::quarantined(batches, session.globals.reveal)?;
    let rows: usize = shown.iter().map(|batch| batch.num_rows()).sum();
    if rows == 0 && format == Format::Table {
        session.ui.answer("Nothing is in quarantine.\n");
        return Ok(exit::DONE);
    }
    render::rows::write(&shown, format, &mut session.ui.rows(format))?;
    if format == Format::Table {
        session.ui.status(&render::rows::count(&shown));
    }
    Ok(exit::DONE)
}

/// Prints the result of a replay for a table.
pub(in crate::cli) fn replayed(session: &mut Session<'_>, format: Format, outcome: &TableOutcome) -> u8 {
    let ui = &mut *session.ui;
    if format == Format::Json {
        ui.document(&document(outcome));
    } else {
        ui.page(&answer(outcome));
    }
    ui.problems_of(std::slice::from_ref(outcome), None);
    exit::of_table(outcome)
}

/// The line of the table.
fn answer(table: &TableOutcome) -> String {
    if changed(table) {
        text::lines(std::slice::from_ref(table), &[table])
    } else {
        format!("Nothing of {} could be replayed: 0 rows changed.\n", table.table)
    }
}

document! {
/// The result of a replay for one table.
#[derive(Debug, Serialize)]
pub(crate) struct ReplayReport {
    /// `replay/1`.
    pub report: &'static str,
    /// Exit code of the command.
    pub exit_code: u8,
    /// The result for the table.
    pub table: Option<TableReport>,
    /// Why nothing was done.
    pub error: Option<ErrorReport>,
}
}

/// The document of a replay.
#[must_use]
pub(in crate::cli) fn document(outcome: &TableOutcome) -> ReplayReport {
    ReplayReport { report: "replay/1", exit_code: exit::of_table(outcome), table: Some(table(outcome)), error: None }
}

/// The document of a replay that did not start.
#[must_use]
pub(in crate::cli) fn failed(error: &Error) -> ReplayReport {
    ReplayReport { report: "replay/1", exit_code: exit::of(error.kind()), table: None, error: Some(error.into()) }
}
