//! `quarantine replay`: reads records that could not land again, by the current definition.

use std::collections::BTreeMap;

use crate::clock;
use crate::digest::DigestKey;
use crate::error::Result;
use crate::ingest::{self, Ledger, Report};
use crate::migrate::{self, Moves};
use crate::outcome::{Mode, Problem, Rows, TableOutcome, Warning};
use crate::progress::{Progress, Silent};
use crate::register::register;
use crate::retry;
use crate::workspace::Workspace;

/// Lands the records of a landing table's quarantine that its definition accepts, as a batch of its own.
///
/// # Errors
/// `Usage` if there is no such landing table, `Conflict` if concurrent commits keep winning, else as ingest.
pub async fn replay(workspace: &Workspace, name: &str) -> Result<TableOutcome> {
    replay_as(workspace, name, &crate::clock::run_id(), &Silent).await
}

/// The same with this run id.
///
/// # Errors
/// As [`replay`].
pub async fn replay_as(workspace: &Workspace, name: &str, run: &str, progress: &dyn Progress) -> Result<TableOutcome> {
    let replayed = retry::COMMIT.until_no_conflict(|| attempt(workspace, name, run, progress));
    replayed.await.map_err(|error| workspace.told(error))
}

async fn attempt(workspace: &Workspace, name: &str, run: &str, progress: &dyn Progress) -> Result<TableOutcome> {
    let started = clock::instant();
    let workspace = &migrate::placed(workspace, Moves::Recorded).await?;
    let table = workspace.landing_table(name)?;
    let place = workspace.place(table, run)?;
    let session = workspace.session()?;
    let ledger = Ledger::read(&workspace.warehouse, &session, &workspace.places).await?;
    let ledger = ledger.digested(DigestKey::of(&workspace.privacy));
    let report = Report { table, progress };
    let done = ingest::replay(&place, &workspace.warehouse, (&ledger, &session), &report).await?;
    let (version_before, version_after) = (done.version_before, Some(done.table.version()));
    let standing = BTreeMap::from([(table.name.clone(), done.table)]);
    // The rows are committed even if the catalog fails.
    let problem = register(workspace, &standing, progress).await.map_or_else(Some, |registered| registered.problem);
    let staying: u64 = done.stay.values().sum();
    let mut warnings = Vec::new();
    if staying > 0 {
        warnings.push(Warning {
            message: match staying {
                1 => format!("1 record of {name} stays in quarantine"),
                _ => format!("{staying} records of {name} stay in quarantine"),
            },
            details: done.stay.iter().take(5).map(|(reason, count)| format!("{count}: {reason}")).collect(),
            help: Some(format!("see them: stedi-delta quarantine ls {name}")),
        });
    }
    Ok(TableOutcome {
        version_before,
        version_after,
        mode: if version_before == version_after { Mode::None } else { Mode::Ingest },
        reason: format!("{} of {} records landed from quarantine", done.landed, done.landed + staying),
        rows: Rows { inserted: done.landed, ..Rows::default() },
        io: done.io,
        elapsed: started.elapsed(),
        warnings,
        problem: problem.map(Problem::Failed),
        ..TableOutcome::untouched(table.name.clone(), &table.zone, place.location.to_string())
    })
}
