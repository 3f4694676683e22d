//! `show`: the first rows of a table, at any version.

use clap::Args;

use super::query;
use crate::audit::{self, ShowOptions};
use crate::cli::args::Dates;
use crate::cli::{Format, Session};
use crate::error::Result;

/// Options of `show`.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// The table: members, members@v12, members@2026-11-20 (the end of that day)
    pub table: String,
    /// Only rows that meet this SQL condition
    #[arg(long = "where", value_name = "CONDITION")]
    pub condition: Option<String>,
    /// Most rows to show
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
    #[command(flatten)]
    pub dates: Dates,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &ShowArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json, Format::Ndjson, Format::Csv])?;
    let options = ShowOptions {
        table: args.table.clone(),
        zone: args.dates.zone()?,
        condition: args.condition.clone(),
        limit: args.limit,
    };
    let lake = session.lake().await?;
    let answer = audit::show(&lake.workspace, &options).await?;
    query::told(session, format, answer).await
}
