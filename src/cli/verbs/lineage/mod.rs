//! `lineage`: from which versions of which tables a table was computed. `lineage/1` is its document.

mod openlineage;
mod report;
mod text;

use clap::Args;

use crate::audit::{self, Direction, LineageOptions};
use crate::cli::args::Dates;
use crate::cli::{Format, Session, exit};
use crate::error::Result;
pub(in crate::cli) use report::LineageReport;
use report::{document, failed};

/// Options of `lineage`.
#[derive(Args, Clone, Debug)]
pub struct LineageArgs {
    /// The table, also at a version: table, table@v12, table@2026-11-20 (the end of that day)
    #[arg(value_name = "TABLE[@VERSION]")]
    pub table: String,
    /// What it was computed from, which is the default
    #[arg(long)]
    pub upstream: bool,
    /// What was computed from it
    #[arg(long, conflicts_with = "upstream")]
    pub downstream: bool,
    /// Also the columns from which each column is computed
    #[arg(long)]
    pub columns: bool,
    #[command(flatten)]
    pub dates: Dates,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &LineageArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json, Format::Mermaid, Format::OpenLineage])?;
    let options = LineageOptions {
        table: args.table.clone(),
        zone: args.dates.zone()?,
        direction: if args.downstream { Direction::Downstream } else { Direction::Upstream },
        // Its events have them always.
        columns: args.columns || format == Format::OpenLineage,
    };
    let result = match session.lake().await {
        Ok(lake) => Box::pin(audit::lineage(&lake.workspace, &options)).await,
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, failed)?;
    session.notes(&outcome.notes);
    match format {
        Format::Json => session.ui.document(&document(&outcome)),
        Format::Mermaid => session.ui.answer(&text::mermaid(&outcome)),
        Format::OpenLineage => session.ui.answer(&openlineage::events(&outcome)),
        _ => session.ui.page(&text::answer(&outcome)),
    }
    Ok(exit::DONE)
}
