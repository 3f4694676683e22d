//! `plan`: what a sync would do, and why.

mod report;
mod text;

pub(in crate::cli) use report::{document, failed};

use clap::Args;

use crate::cli::{Format, Session, exit};
use crate::error::Result;
use crate::inspect;

/// Options of `plan`.
#[derive(Args, Clone, Debug, Default)]
pub struct PlanArgs {
    /// Only these tables and those they read
    #[arg(short, long, value_name = "TABLES", num_args = 1.., value_delimiter = ',')]
    pub select: Vec<String>,
    /// Show the delta rules of each query, or why it has none
    #[arg(long)]
    pub explain: bool,
    /// Exit 2 if a sync would change something
    #[arg(long)]
    pub detailed_exitcode: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &PlanArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) if args.explain => inspect::explain(&lake.workspace, &args.select).await,
        Ok(lake) => inspect::plan(&lake.workspace, &args.select).await,
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, failed)?;
    let exit_code = exit::of_plan(&outcome, args.detailed_exitcode);
    let ui = &mut *session.ui;
    if format == Format::Json {
        ui.document(&document(&outcome, exit_code));
    } else {
        ui.answer(&text::answer(&outcome));
    }
    let problems = text::problems(&outcome, ui.color_err());
    ui.problems(&problems);
    if let (Format::Table, Some(next)) = (format, text::next(&outcome)) {
        ui.status(next);
    }
    Ok(exit_code)
}
