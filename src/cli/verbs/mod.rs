//! One module per verb: its arguments, its call of one operation, its text and its document.
//!
//! A new verb is a module here with a line in [`Verb`] and one in [`run`], an operation beside the others with its line
//! in that module, and a test in `tests/it/cli`.

pub(super) mod audit;
pub(super) mod catalog;
pub(super) mod check;
pub(super) mod completions;
pub(super) mod describe;
pub(super) mod diff;
pub(super) mod history;
pub(super) mod infer;
pub(super) mod init;
pub(super) mod lineage;
pub(super) mod migrate;
pub(super) mod optimize;
pub(super) mod pin;
pub(super) mod plan;
pub(super) mod quarantine;
pub(super) mod query;
pub(super) mod report;
pub(super) mod restore;
pub(super) mod schema;
pub(super) mod show;
pub(super) mod status;
pub(super) mod sync;
pub(super) mod vacuum;
pub(super) mod test;
#[cfg(test)]
mod tests;

use clap::{Command, Subcommand};

use super::Session;
use crate::error::Result;
use audit::AuditVerb;
use catalog::CatalogVerb;
use check::CheckArgs;
use completions::{CompletionsArgs, ManArgs};
use describe::DescribeArgs;
use diff::DiffArgs;
use history::HistoryArgs;
use infer::InferArgs;
use init::InitArgs;
use lineage::LineageArgs;
use migrate::MigrateVerb;
use optimize::OptimizeArgs;
use pin::{PinArgs, UnpinArgs};
use plan::PlanArgs;
use quarantine::QuarantineVerb;
use query::QueryArgs;
use report::ReportArgs;
use restore::RestoreArgs;
use schema::SchemaArgs;
use show::ShowArgs;
use sync::SyncArgs;
use test::TestArgs;
use vacuum::VacuumArgs;

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Make a new project: empty, or an example with data
    Init(InitArgs),
    /// Draft the definition of a landing table from sample files, or an edit of one
    Infer(InferArgs),
    /// Check the project's files; reads and writes no data
    Check(CheckArgs),
    /// Run the tests of queries in tests/*.toml: given rows, expected rows, and what a change does; in memory
    Test(TestArgs),
    /// Bring tables to the newest cut (one set of landing versions): ingest new files, refresh derived tables
    Sync(SyncArgs),
    /// Show what a sync would do and why; writes nothing
    Plan(PlanArgs),
    /// Show the state of every table and what a sync would do
    Status,
    /// Run a query over the tables
    Query(QueryArgs),
    /// Show the versions of a table, newest first
    History(HistoryArgs),
    /// Write a page for auditors: lineage, consent, verification, versions, pins
    Report(ReportArgs),
    /// Keep a version of a table for audits, under a name
    Pin(PinArgs),
    /// End a pin
    Unpin(UnpinArgs),
    /// List pins, whether their files are there, and how many of their people have no consent any more
    Pins,
    /// Make a derived table what it was at an older version, until the next sync
    Restore(RestoreArgs),
    /// Merge small files of tables, and sort them by `cluster_by`; no row changes
    Optimize(OptimizeArgs),
    /// Check past versions: consent in the cut of each, rows against the query, and why somebody is in a table
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Show the first rows of a table, at any version
    Show(ShowArgs),
    /// Show what a table is: columns, keys, consent, size, and how far back it can be read
    Describe(DescribeArgs),
    /// Show the rows by which two versions of a table differ
    Diff(DiffArgs),
    /// Show from which versions of which tables a table was computed, down to landing files
    Lineage(LineageArgs),
    /// Delete files that no version within the retention needs; says what, unless `--yes`
    Vacuum(VacuumArgs),
    /// List migrations, draft one, or apply pending ones
    #[command(subcommand)]
    Migrate(MigrateVerb),
    /// List quarantined records (those that could not land), or read them again
    #[command(subcommand)]
    Quarantine(QuarantineVerb),
    /// Compare the catalog with the tables, repair it, or print the statements for Athena
    #[command(subcommand)]
    Catalog(CatalogVerb),
    /// Print a JSON Schema of the project's files, for editors, or of the documents of `--format json`
    Schema(SchemaArgs),
    /// Print the completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one of each verb
    Man(ManArgs),
}

/// The names of all verbs.
pub(super) fn names() -> Vec<String> {
    let all = Verb::augment_subcommands(Command::new(""));
    all.get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
}

/// Runs a verb; returns the exit code.
///
/// # Errors
/// The error that ended it: the caller prints it.
pub(super) async fn run(session: &mut Session<'_>, verb: &Verb) -> Result<u8> {
    match verb {
        Verb::Check(args) => Box::pin(check::run(session, args)).await,
        Verb::Test(args) => Box::pin(test::run(session, args)).await,
        Verb::Init(args) => init::run(session, args),
        Verb::Infer(args) => Box::pin(infer::run(session, args)).await,
        // On the heap: the futures of all verbs in one are nested too deeply for the compiler.
        Verb::Sync(args) => Box::pin(sync::run(session, args)).await,
        Verb::Plan(args) => Box::pin(plan::run(session, args)).await,
        Verb::Status => Box::pin(status::run(session)).await,
        Verb::Query(args) => Box::pin(query::run(session, args)).await,
        Verb::History(args) => Box::pin(history::run(session, args)).await,
        Verb::Report(args) => Box::pin(report::run(session, args)).await,
        Verb::Pin(args) => Box::pin(pin::set(session, args)).await,
        Verb::Unpin(args) => Box::pin(pin::remove(session, args)).await,
        Verb::Pins => Box::pin(pin::list(session)).await,
        Verb::Restore(args) => Box::pin(restore::run(session, args)).await,
        Verb::Optimize(args) => Box::pin(optimize::run(session, args)).await,
        Verb::Audit(verb) => Box::pin(audit::run(session, verb)).await,
        Verb::Show(args) => Box::pin(show::run(session, args)).await,
        Verb::Describe(args) => Box::pin(describe::run(session, args)).await,
        Verb::Diff(args) => Box::pin(diff::run(session, args)).await,
        Verb::Lineage(args) => Box::pin(lineage::run(session, args)).await,
        Verb::Vacuum(args) => Box::pin(vacuum::run(session, args)).await,
        Verb::Migrate(verb) => Box::pin(migrate::run(session, verb)).await,
        Verb::Quarantine(verb) => Box::pin(quarantine::run(session, verb)).await,
        Verb::Catalog(verb) => Box::pin(catalog::run(session, verb)).await,
        Verb::Schema(args) => schema::run(session, args),
        Verb::Completions(args) => completions::completions(session, args),
        Verb::Man(args) => completions::man(session, args),
    }
}
