//! Applies the migrations of a project to a lake: finds the statements that its tables lack, checks and applies them.
//!
//! Each table's log records the statements that the table includes (`stedi-delta/migration` and `stedi-delta/statement` of
//! our newest commit). So there is no other state between two commits: after a crash or a conflict the tables are read
//! again. The [`Journal`] keeps the text of each applied migration, so that later edits are detected.
//!
//! All statements are checked before the first change: against the columns that the statements before them produce,
//! against the definitions, and against the rows if a row can violate them. Then each statement is one commit that
//! replaces every data file.

mod apply;
mod column_names;
mod draft;
mod journal;
mod lint;
mod no_ops;
mod moves;
mod pending;
mod rows;

use std::collections::BTreeMap;

use crate::definition::Migration;
use crate::error::{Error, Result};
use crate::lake::LakeTable;
use crate::outcome::MigrationOutcome;
use crate::progress::{Progress, Silent};
use crate::register::{Registered, register};
use crate::workspace::Workspace;

pub use apply::{Applied, Asked, carry_out, fulfilled};
pub use column_names::ColumnNames;
pub use draft::{Before, Draft, Renamed, Wanted, draft, set_aside};
pub use journal::{FOLDER as JOURNAL_FOLDER, Journal};
pub use lint::lint;
pub use moves::{Moves, placed};
pub use pending::{Pending, Requests};

/// Migrations were applied without a sync.
#[derive(Debug)]
pub struct AppliedAlone {
    /// The migrations that had a pending statement; those that need a sync are begun.
    pub migrations: Vec<MigrationOutcome>,
    /// A failure of the catalog.
    pub problem: Option<Error>,
}

/// Applies every pending statement but those that need a sync, and updates the catalog as a sync does.
///
/// # Errors
/// As [`carry_out`].
pub async fn apply_alone(workspace: &Workspace, asked: Asked<'_>, progress: &dyn Progress) -> Result<AppliedAlone> {
    let Applied { mut migrations, workspace, left, .. } = Box::pin(carry_out(workspace, asked)).await?;
    left.into_iter().for_each(|one| add(&mut migrations, one));
    let mut problem = None;
    if !asked.dry_run && !workspace.project.migrations.is_empty() {
        // Also after a run that died between a statement and the catalog.
        let registered = registered(&workspace, progress).await;
        problem = registered.map_or_else(Some, |registered| registered.problem);
    }
    Ok(AppliedAlone { migrations, problem })
}

/// The same without events; a failure of the catalog is an error.
///
/// # Errors
/// As [`apply_alone`], and a failure of the catalog.
pub async fn apply(workspace: &Workspace, asked: Asked<'_>) -> Result<Vec<MigrationOutcome>> {
    let applied = apply_alone(workspace, asked, &Silent).await?;
    applied.problem.map_or(Ok(applied.migrations), Err)
}

async fn registered(workspace: &Workspace, progress: &dyn Progress) -> Result<Registered> {
    let mut standing = BTreeMap::new();
    for table in &workspace.project.tables {
        if let Some(stands) = LakeTable::open(&workspace.location(table)?).await? {
            standing.insert(table.name.clone(), stands);
        }
    }
    register(workspace, &standing, progress).await
}

/// Adds the statements of a migration to those that are there.
pub(crate) fn add(all: &mut Vec<MigrationOutcome>, more: MigrationOutcome) {
    match all.iter_mut().find(|known| known.number == more.number) {
        Some(known) => {
            known.statements.extend(more.statements);
            known.statements.sort_by_key(|statement| statement.number);
            known.state = more.state;
        }
        None => {
            all.push(more);
            all.sort_by_key(|migration| migration.number);
        }
    }
}

/// How the migrations of the project stand in the lake. Changes nothing.
///
/// # Errors
/// Faults of the migrations; when the lake cannot be read.
pub async fn status(workspace: &Workspace) -> Result<Vec<MigrationOutcome>> {
    let pending = Pending::find(workspace).await?;
    Ok(pending.migrations.iter().map(|parsed| pending.outcome(parsed)).collect())
}

/// Checks that a lake does not have a migration.
///
/// # Errors
/// If it has; a journal that cannot be read is none.
pub async fn replaceable(workspace: &Workspace, newest: &Migration) -> Result<()> {
    let Ok(journal) = Journal::read(workspace).await else { return Ok(()) };
    let Some(entry) = journal.entries.get(&newest.number) else { return Ok(()) };
    Err(Error::failed(format!("migration {:04}_{} is in this lake", newest.number, newest.label))
        .fact("recorded", format!("{}, run {}", crate::clock::rfc3339(entry.at_ms), entry.run))
        .help("leave out --replace: what has changed since becomes the next migration"))
}

/// The error of a command that carries out no migration, where some are pending.
#[must_use]
pub fn refused(pending: &Pending) -> Option<Error> {
    let names: Vec<String> = pending.names();
    let count = crate::outcome::counted(names.len() as u64, "migration");
    let is = if names.len() == 1 { "is" } else { "are" };
    (!names.is_empty()).then(|| {
        Error::failed(format!("{count} {is} pending: {}", names.join(", "))).help(
            match pending.lacking.iter().all(|lacking| lacking.is_request) {
                true => "sync without --no-migrate: their statements need it",
                false => "stedi-delta migrate apply   (or sync without --no-migrate)",
            },
        )
    })
}
