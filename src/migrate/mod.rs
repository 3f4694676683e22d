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
mod draft;
mod journal;
mod lint;
mod pending;
mod rows;

use crate::error::{Error, Result};
use crate::outcome::{MigrationOutcome, MigrationState, StatementOutcome};
use crate::workspace::Workspace;

pub use apply::{Asked, apply};
pub use draft::{Before, Draft, Renamed, draft};
pub use journal::{FOLDER as JOURNAL_FOLDER, Journal};
pub use lint::lint;
pub use pending::Pending;

/// How the migrations of the project stand in the lake. Changes nothing.
///
/// # Errors
/// Faults of the migrations; when the lake cannot be read.
pub async fn status(workspace: &Workspace) -> Result<Vec<MigrationOutcome>> {
    let pending = Pending::find(workspace).await?;
    let mut all: Vec<MigrationOutcome> = Vec::new();
    for parsed in &pending.migrations {
        let number = parsed.migration.number;
        let entry = pending.journal.entries.get(&number);
        let lacking: Vec<StatementOutcome> = pending.of(number).map(|statement| statement.outcome(parsed)).collect();
        let state = match (entry.map(|entry| entry.state), lacking.is_empty()) {
            (Some(recorded), _) if recorded.is_done() => recorded,
            (Some(_), _) => MigrationState::Begun,
            (None, true) => MigrationState::Included,
            (None, false) => MigrationState::Pending,
        };
        all.push(MigrationOutcome {
            number,
            label: parsed.migration.label.clone(),
            state,
            recorded_ms: entry.map(|entry| entry.at_ms),
            run: entry.map(|entry| entry.run.clone()),
            statements: if lacking.is_empty() {
                entry.map(|entry| entry.statements.clone()).unwrap_or_default()
            } else {
                lacking
            },
        });
    }
    Ok(all)
}

/// The error of a command that carries out no migration, where some are pending.
#[must_use]
pub fn refused(pending: &Pending) -> Option<Error> {
    let names: Vec<String> = pending.names();
    let count = crate::outcome::counted(names.len() as u64, "migration");
    let is = if names.len() == 1 { "is" } else { "are" };
    (!names.is_empty()).then(|| {
        Error::failed(format!("{count} {is} pending: {}", names.join(", ")))
            .help("stedi-delta migrate apply   (or sync without --no-migrate)")
    })
}
