//! `catalog`: the entries of the tables for query engines.

mod report;
mod text;

pub(in crate::cli) use report::{CatalogReport, document, failed};

use clap::{Args, Subcommand};

use crate::cli::{Format, Session, exit};
use crate::error::Result;
use crate::migrate::{self, Moves};
use crate::migration::Places;
use crate::outcome::CatalogOutcome;
use crate::register;
use crate::workspace::ResolvedTarget;

/// What to do about the catalog.
#[derive(Clone, Debug, Subcommand)]
pub enum CatalogVerb {
    /// Compare catalog, logs and definitions, field by field; exit 2 if they differ
    Check,
    /// Update the catalog to match the logs
    Register(CatalogRegisterArgs),
    /// Print the CREATE EXTERNAL TABLE statements for Athena
    Ddl(CatalogDdlArgs),
}

/// Options of `catalog register`.
#[derive(Args, Clone, Debug, Default)]
pub struct CatalogRegisterArgs {
    /// Point entries here that belong to other tables
    #[arg(long)]
    pub relocate: bool,
    /// Drop entries of tables that left the project; never data
    #[arg(long)]
    pub prune: bool,
}

/// Options of `catalog ddl`.
#[derive(Args, Clone, Debug)]
pub struct CatalogDdlArgs {
    /// Only these tables [default: all but quarantines]
    pub tables: Vec<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, verb: &CatalogVerb) -> Result<u8> {
    match verb {
        CatalogVerb::Check => check(session).await,
        CatalogVerb::Register(args) => repair(session, args).await,
        CatalogVerb::Ddl(args) => {
            session.format(&[Format::Table])?;
            let text = ddl(session, &args.tables).await?;
            session.ui.answer(&text);
            Ok(exit::DONE)
        }
    }
}

/// Only the lake tells where tables are that migrations moved; without any, no connection is opened.
async fn ddl(session: &mut Session<'_>, tables: &[String]) -> Result<String> {
    let address = ResolvedTarget::find(&session.options()?)?;
    if !address.moves_tables() {
        return register::ddl(&address, &Places::default(), tables);
    }
    let placed = migrate::placed(&session.lake().await?.workspace, Moves::Recorded).await?;
    register::ddl(&address, &placed.places, tables)
}

async fn check(session: &mut Session<'_>) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => match migrate::placed(&lake.workspace, Moves::Recorded).await {
            Ok(placed) => register::check(&placed).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, failed)?;
    Ok(checked(session, format, &outcome))
}

/// Prints the result of `catalog check`.
pub(in crate::cli) fn checked(session: &mut Session<'_>, format: Format, outcome: &CatalogOutcome) -> u8 {
    let exit_code = exit::of_catalog(outcome);
    if format == Format::Json {
        session.ui.document(&document(outcome, exit_code));
    } else {
        session.ui.page(&text::check(outcome));
    }
    if let (Format::Table, Some(next)) = (format, text::next(outcome)) {
        session.ui.status(&next);
    }
    exit_code
}

async fn repair(session: &mut Session<'_>, args: &CatalogRegisterArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => {
            let repairs = register::Repairs { relocate: args.relocate, prune: args.prune };
            match migrate::placed(&lake.workspace, Moves::Recorded).await {
                Ok(placed) => register::repair(&placed, repairs, lake.progress.as_ref()).await,
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, failed)?;
    Ok(repaired(session, format, &outcome))
}

/// Prints the result of `catalog register`.
pub(in crate::cli) fn repaired(session: &mut Session<'_>, format: Format, outcome: &CatalogOutcome) -> u8 {
    let exit_code = exit::of_repair(outcome);
    if format == Format::Json {
        session.ui.document(&document(outcome, exit_code));
    } else {
        session.ui.page(&text::registered(outcome));
    }
    if let Some(error) = &outcome.problem {
        session.ui.error(error);
    }
    exit_code
}
