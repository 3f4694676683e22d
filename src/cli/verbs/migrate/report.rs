//! `migrations/1`: migrations and how they stand.

use serde::Serialize;

use crate::cli::document::ErrorReport;
use crate::cli::exit;
use crate::clock::rfc3339;
use crate::error::Error;
use crate::outcome::{MigrationOutcome, MigrationState, StatementOutcome};
use crate::shape::document;

document! {
/// What the command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Done {
    /// It looked.
    Nothing,
    /// It checked whether they can be applied.
    Checked,
    /// It carried them out.
    Applied,
}
}

document! {
/// Migrations and how they stand.
#[derive(Debug, Serialize)]
pub(crate) struct MigrationsReport {
    /// `migrations/1`.
    pub report: &'static str,
    /// `nothing`, `checked`, `applied`.
    pub done: Done,
    /// Exit code of the command.
    pub exit_code: u8,
    /// All of them, or those that were checked or applied.
    pub migrations: Vec<MigrationReport>,
    /// Why there is no answer.
    pub error: Option<ErrorReport>,
}
}

document! {
/// A migration.
#[derive(Debug, Serialize)]
pub(crate) struct MigrationReport {
    /// Its number.
    pub number: u32,
    /// The rest of its name.
    pub label: String,
    /// `pending`, `begun`, `applied`, `included`.
    pub state: &'static str,
    /// When that was recorded.
    pub recorded_at: Option<String>,
    /// The run that recorded it.
    pub run: Option<String>,
    /// Its statements: the pending or the applied ones.
    pub statements: Vec<StatementReport>,
}
}

document! {
/// A statement.
#[derive(Debug, Serialize)]
pub(crate) struct StatementReport {
    /// Its number within the migration, from 1.
    pub number: usize,
    /// Its text, without the expression after `using`.
    pub statement: String,
    /// The table.
    pub table: String,
    /// The table's version before.
    pub version_before: Option<u64>,
    /// The version that it made.
    pub version_after: Option<u64>,
    /// Bytes of the data files that it reads.
    pub bytes_read: u64,
    /// Bytes of the data files that it wrote.
    pub bytes_written: u64,
    /// The new name of a table that is renamed; omitted otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_to: Option<String>,
    /// The folder of a table that is renamed or dropped, under the warehouse; omitted otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}
}

/// The document of a look, a check or an application.
#[must_use]
pub(in crate::cli) fn document(
    done: Done,
    migrations: &[MigrationOutcome],
    problem: Option<&Error>,
) -> MigrationsReport {
    MigrationsReport {
        report: "migrations/1",
        done,
        exit_code: problem.map_or(exit::DONE, |problem| exit::of(problem.kind())),
        migrations: migrations.iter().map(migration).collect(),
        error: problem.map(ErrorReport::from),
    }
}

/// The document of what went wrong.
#[must_use]
pub(in crate::cli) fn failed(done: Done, error: &Error) -> MigrationsReport {
    document(done, &[], Some(error))
}

/// A migration in a document.
pub(in crate::cli) fn migration(outcome: &MigrationOutcome) -> MigrationReport {
    MigrationReport {
        number: outcome.number,
        label: outcome.label.clone(),
        state: match outcome.state {
            MigrationState::Pending => "pending",
            MigrationState::Begun => "begun",
            MigrationState::Applied => "applied",
            MigrationState::Included => "included",
        },
        recorded_at: outcome.recorded_ms.map(rfc3339),
        run: outcome.run.clone(),
        statements: outcome.statements.iter().map(statement).collect(),
    }
}

fn statement(outcome: &StatementOutcome) -> StatementReport {
    StatementReport {
        number: outcome.number,
        statement: outcome.text.clone(),
        table: outcome.table.clone(),
        version_before: outcome.version_before,
        version_after: outcome.version_after,
        bytes_read: outcome.bytes_read,
        bytes_written: outcome.bytes_written,
        renamed_to: outcome.moved.as_ref().and_then(|moved| moved.to.clone()),
        folder: outcome.moved.as_ref().map(|moved| moved.home.to_string()),
    }
}
